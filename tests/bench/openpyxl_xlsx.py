"""openpyxl's ``write_only`` workbook to a local file: what a Python program does with the rows of a run."""

import json
from collections.abc import Callable

import openpyxl  # type: ignore[import-untyped]
import pyarrow.parquet as pq

from tests.bench.job import COLUMNS, Job, run, without_pandas

without_pandas()


def prepare(job: Job) -> Callable[[], None]:
    """Nothing is open before."""

    def work() -> None:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(COLUMNS)
        for part in job.parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(columns=list(COLUMNS)):
                    for row in batch.to_pylist():
                        # It refuses moments with a zone, and has no cells of objects.
                        row["scraped_at"] = row["scraped_at"].replace(tzinfo=None)
                        row["details"] = json.dumps(row["details"], ensure_ascii=False)
                        sheet.append(list(row.values()))
        book.save(f"{job.scratch}/openpyxl.xlsx")

    return work


if __name__ == "__main__":
    run(prepare)
