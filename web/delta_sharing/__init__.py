"""The open protocol Delta Sharing, read only, over the exports of the service (README.md in this folder)."""
