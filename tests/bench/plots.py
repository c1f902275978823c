"""Plots of a report, as SVG and PNG. Run by the interpreter of the peers' environment, which has matplotlib."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

_OURS = "#0b6e4f"
_PEER = "#9aa5b1"


def main() -> None:
    """Draw what the report of the command line holds, next to it."""
    path = Path(sys.argv[1])
    report = json.loads(path.read_text(encoding="utf-8"))
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("Agg")
    # Text as text, and no time stamp: equal figures give equal files.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tailrace", "font.size": 9})
    plt: Any = import_module("matplotlib.pyplot")
    bars = [line for line in report["lines"] if line["goal"] == 1]
    growth = next((line for line in report["lines"] if line["goal"] in (4, 11) and line["facts"]), None)
    drawings = [(_bars, line) for line in bars] + ([(_growth, growth)] if growth else [])
    if not drawings:
        return
    figure, axes = plt.subplots(1, len(drawings), figsize=(4.4 * len(drawings), 3.1), squeeze=False)
    for axis, (draw, line) in zip(axes[0], drawings, strict=True):
        draw(axis, line)
    figure.suptitle(f"{report['machine']['processor']}, {report['machine']['cores']} cores", fontsize=8, color="#555")
    figure.tight_layout()
    figure.savefig(path.with_name("report.svg"), metadata={"Date": None})
    figure.savefig(path.with_name("report.png"), dpi=150)


def _bars(axis: Any, line: dict[str, Any]) -> None:
    """Medians with their spread, the fastest on top."""
    series = sorted((one for one in line["series"] if "work" in one and "error" not in one), key=_median, reverse=True)
    medians = [_median(one) for one in series]
    below = [_median(one) - one["work"]["min"] for one in series]
    above = [one["work"]["max"] - _median(one) for one in series]
    colors = [_OURS if one["contender"] == "tailrace" else _PEER for one in series]
    axis.barh([one["title"] for one in series], medians, xerr=[below, above], color=colors, ecolor="#333", capsize=2)
    what, _, rows = line["work"].removeprefix("full export, ").partition(", ")
    axis.set_title(f"{what}, {rows}", fontsize=9)
    axis.set_xlabel("seconds into an ideal store")
    axis.spines[["top", "right"]].set_visible(False)


def _growth(axis: Any, line: dict[str, Any]) -> None:
    """Memory and time of ours against the number of rows."""
    rows = line["facts"]["rows"]
    axis.plot(rows, [one["peakMb"] for one in line["series"]], "o-", color=_OURS)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("rows")
    axis.set_ylabel("peak MB", color=_OURS)
    axis.set_title("CSV: memory and time", fontsize=9)
    times = axis.twinx()
    times.plot(rows, [_median(one) for one in line["series"]], "s--", color=_PEER)
    times.set_yscale("log")
    times.set_ylabel("seconds")


def _median(series: dict[str, Any]) -> float:
    median: float = series["work"]["median"]
    return median


if __name__ == "__main__":
    main()
