"""Where the ranges of an export run: one port, this machine and a cluster as its adapters."""

from engine.runners.local import LocalRunner
from engine.runners.port import Runner, Staged

__all__ = ["LocalRunner", "Runner", "Staged"]
