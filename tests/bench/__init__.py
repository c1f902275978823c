"""The benchmark: Tailrace and its peers, side by side on one machine, against one emulator."""
