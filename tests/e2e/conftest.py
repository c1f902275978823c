"""A run that is large enough to be caught in the middle of its export."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 1_500_000


def text_of(number: int) -> str:
    """The text of a row."""
    return f"row {number} of the run"


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet file of `ROWS` rows: n, and the text of n."""
    path = tmp_path_factory.mktemp("numbers") / "numbers.parquet"
    pq.write_table(pa.table({"n": pa.array(range(ROWS)), "text": [text_of(n) for n in range(ROWS)]}), path)
    return path
