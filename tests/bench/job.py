"""What one measured process gets on its command line, and what it prints at its end.

Read by the interpreters of both environments, so it imports nothing but the standard library.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

COLUMNS = (
    "id",
    "batch",
    "title",
    "url",
    "quantity",
    "rating",
    "price",
    "in_stock",
    "listed_on",
    "scraped_at",
    "details",
)
"""The columns of the data; ``details`` is nested, ``id`` and ``batch`` are clustered, ``quantity`` is not, and
``rating`` is what is sorted by."""


@dataclass(frozen=True)
class Job:
    """One export: from Parquet parts of this disk into one blob.

    ``ids`` are the only rows to keep; ``between`` is a column and the lowest and highest value to keep. ``exports`` is
    where we write, ``container`` and ``blob`` where the peers do.
    """

    format: str
    parts: Sequence[str]
    results: str
    workflow: str
    connection_string: str
    endpoint: str
    account: str
    key: str
    container: str
    scratch: str
    exports: str
    blob: str = "peer.out"
    ids: Sequence[int] | None = None
    between: tuple[str, int, int] | None = None
    sort: str | None = None
    compression: str = "none"
    since: str | None = None
    """The earlier run of an export of changes; ``parts`` are then one file of the newer run and one of the older."""

    @classmethod
    def read(cls, text: str) -> "Job":
        """The job of a command line."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """The job for a command line."""
        return json.dumps(asdict(self))

    def but(self, **changes: object) -> "Job":
        """The same job with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def condition(self) -> str:
        """What rows to keep, in SQL that every engine takes."""
        if self.ids is not None:
            return f"id IN ({', '.join(map(str, self.ids))})"
        if self.between is not None:
            column, low, high = self.between
            return f"{column} >= {low} AND {column} <= {high}"
        return "1 = 1"

    def select(self, source: str, *, details: str = "details") -> str:
        """The SELECT in SQL; ``details`` is the engine's spelling of the nested column."""
        columns = ", ".join(COLUMNS[:-1])
        where = "" if self.condition == "1 = 1" else f" WHERE {self.condition}"
        order = f" ORDER BY {self.sort}" if self.sort else ""
        return f"SELECT {columns}, {details} AS details FROM {source}{where}{order}"

    def local_file(self) -> Path:
        """A file of this disk for those who write one first."""
        return Path(self.scratch) / f"{self.blob}.{self.format}"


def without_pandas() -> None:
    """Hide pandas from the clients of DuckDB and Arrow, which load it with the first value that they convert.

    That is a third of a second and 60 MB, which an environment without pandas does not pay.
    """
    sys.meta_path.insert(0, _NoPandas())


class _NoPandas(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Raises ModuleNotFoundError for pandas."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)
        return None


def run(prepare: Callable[[Job], Callable[[], None]]) -> None:
    """Do the job of the command line: ``prepare`` imports and connects, what it returns is timed as the work."""
    work = prepare(Job.read(sys.argv[1]))
    started, cpu = time.perf_counter(), time.process_time()
    work()
    result = {"work": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    sys.stdout.write(json.dumps(result) + "\n")
