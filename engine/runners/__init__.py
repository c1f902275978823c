"""Runners write the file of a plan: in this process, or on a Ray cluster."""

from engine.runners.local import LocalRunner
from engine.runners.port import Runner, Staged

__all__ = ["LocalRunner", "Runner", "Staged"]
