"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from tests.bench.memory import MemoryInUse
from tests.bench.process import environment
from tests.bench.settings import PEERS_PYTHON, ROOT

_PACKAGES = ("polars", "chdb", "datafusion", "duckdb", "duckdb-extension-azure", "azure-storage-blob")
_LIST = (
    "import importlib.metadata as m, sys\n"
    "for name in sys.argv[1:]:\n"
    "    try: print(name, m.version(name))\n"
    "    except m.PackageNotFoundError: print(name, 'missing')\n"
)


def machine(memory: MemoryInUse) -> dict[str, str]:
    """The processor, memory, system and versions, for the head of the report."""
    size = f"{int(_field('/proc/meminfo', 'MemTotal').split()[0] or 0) / 2**20:.0f} GiB"
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{size}, {'all of it in use before each measurement' if memory.kept else 'as it was found'}",
        "system": f"{_field('/etc/os-release', 'PRETTY_NAME', '=')} (Linux {platform.release().split('-')[0]})",
        "python": platform.python_version(),
        "tailrace": f"{importlib.metadata.version('tailrace')} at {_commit()}",
        "ours": f"duckdb {importlib.metadata.version('duckdb')}",
        "peers": ", ".join(_peers()),
        "stores": "an ideal store that drops bodies, over loopback HTTP on the same cores; for goals 10 and 13 "
        f"Azurite {_azurite()} on disk",
    }


def _field(path: str, name: str, separator: str = ":") -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(separator)
        if key.strip() == name:
            return value.strip().strip('"')
    return ""


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "no commit"


def _peers() -> list[str]:
    command = [str(PEERS_PYTHON), "-c", _LIST, *_PACKAGES]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout.splitlines()


def _azurite() -> str:
    lines = (ROOT / "tests" / "azurite" / "package.json").read_text().splitlines()
    return next((line.split(":")[1].strip(' ",') for line in lines if '"azurite":' in line), "")
