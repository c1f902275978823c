"""What one run of the benchmark is to do."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".tailrace" / "bench"
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
ALL_GOALS = tuple(range(1, 12))
FORMATS = ("csv", "json", "parquet")
SMALL_ROWS = 1_000
PANDAS_MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class Settings:
    """``large`` 0 leaves out the largest size of the goals about growth; ``formats`` are for goals 1 to 3.

    ``cold``: memory is taken as it is found (`tests.bench.memory`). ``into``: where the report goes, below the folder
    of all: a short run must not take the place of one of hours.
    """

    rows: int
    rounds: int
    goals: tuple[int, ...]
    large: int = 5
    formats: tuple[str, ...] = FORMATS
    seed: int = 7
    cold: bool = False
    into: str = "."

    def __post_init__(self) -> None:
        if self.rows < 10_000 or self.rounds < 1 or not set(self.goals) <= set(ALL_GOALS):
            raise ValueError("at least 10,000 rows, one round, and goals from 1 to 11")
        if not self.formats or not set(self.formats) <= set(FORMATS):
            raise ValueError(f"formats are {', '.join(FORMATS)}")

    @property
    def folder(self) -> Path:
        """Where the report goes."""
        return FOLDER / self.into

    @property
    def sizes(self) -> tuple[int, ...]:
        """The rows of the goals about growth."""
        return (self.rows // 10, self.rows, *([self.rows * self.large] if self.large else []))

    @property
    def pandas_rows(self) -> int:
        """As many rows as pandas is asked for: it holds all of them in memory."""
        return min(self.rows, PANDAS_MOST_ROWS)
