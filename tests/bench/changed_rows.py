"""Two runs as Parquet files, of which 1 % of the rows each were added, changed and removed.

As a program (``python -m tests.bench.changed_rows ROWS OLDER NEWER PARTS...``), since DuckDB's memory would count as
that of every process that the bench starts later (`tests.bench.process`).
"""

import sys

import duckdb

from tests.bench.job import COLUMNS, without_pandas

without_pandas()


def write(rows: int, older: str, newer: str, parts: list[str]) -> None:
    """Write the rows of the parts, and the same with changes."""
    columns = ", ".join(COLUMNS)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone='UTC'")
        source = "read_parquet($parts, hive_partitioning = false)"
        connection.execute(f"COPY (SELECT {columns} FROM {source}) TO '{older}' (FORMAT parquet)", {"parts": parts})
        changed = (
            f"SELECT * REPLACE (if(id % 100 = 7, rating + 1, rating) AS rating) FROM '{older}' WHERE id % 100 <> 3"
        )
        added = f"SELECT * REPLACE (id + {rows} AS id) FROM '{older}' WHERE id % 100 = 3"
        connection.execute(f"COPY ({changed} UNION ALL {added}) TO '{newer}' (FORMAT parquet)")


if __name__ == "__main__":
    write(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
