"""What one run of the benchmark is to do."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".tailrace" / "bench"
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
ALL_GOALS = tuple(range(1, 21))
FORMATS = ("csv", "json", "parquet")
SMALL_ROWS = 1_000
STATEMENT_ROWS = 1_000_000
PUBLISHED_ROWS = 1_000_000
SHEET_ROWS = 200_000
COMPARED_ROWS = 1_000_000


@dataclass(frozen=True)
class Settings:
    """``large`` 0 leaves out the largest size of the goals about growth; ``formats`` are for goals 1 to 3.

    ``workflows`` are those of the lists. ``cold``: memory is taken as it is found (`tests.bench.memory`). ``into``: the
    folder of the report, so that a short run does not replace the report of a long one.
    """

    rows: int
    rounds: int
    goals: tuple[int, ...]
    large: int = 5
    formats: tuple[str, ...] = FORMATS
    workflows: int = 10_000
    seed: int = 7
    cold: bool = False
    into: str = "."

    def __post_init__(self) -> None:
        if self.rows < 10_000 or self.rounds < 1 or not set(self.goals) <= set(ALL_GOALS):
            raise ValueError(f"at least 10,000 rows, one round, and goals from 1 to {ALL_GOALS[-1]}")
        if not self.formats or not set(self.formats) <= set(FORMATS):
            raise ValueError(f"formats are {', '.join(FORMATS)}")

    @property
    def quick(self) -> bool:
        """A single round shows that all of it works: the run that is verified is the one that is counted."""
        return self.rounds == 1

    @property
    def runs(self) -> int:
        """Runs of a contender, with the one that is verified."""
        return self.rounds + (not self.quick)

    @property
    def folder(self) -> Path:
        """Where the report goes."""
        return FOLDER / self.into

    @property
    def sizes(self) -> tuple[int, ...]:
        """The rows of the goals about growth."""
        return (self.rows // 10, self.rows, *([self.rows * self.large] if self.large else []))

    @property
    def line_rows(self) -> int:
        """The rows of the goals about a line, which takes minutes for each GB."""
        return max(self.rows // 5, 10_000)
