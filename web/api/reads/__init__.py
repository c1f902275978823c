"""What clients of the public API read: runs, rows in any number, and the Parquet file of a run."""
