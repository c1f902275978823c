"""The export engine: knows Parquet, SQL, DuckDB and blobs; never HTTP."""
