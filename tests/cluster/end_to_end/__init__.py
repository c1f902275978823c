"""The end-to-end suite once more, by services whose exports run on the cluster."""
