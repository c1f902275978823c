"""Many clients at once against one service."""
