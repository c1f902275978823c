"""Exports that take little memory whatever their limit: the same bytes, written by fewer workers at a time."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.common.cancellation import CancelToken
from engine.execute import executor
from engine.execute.session import open_session
from tests.helpers.engine import Engine

TEXT = 'a line "of" text\n' * 60


def test_only_wide_rows_are_written_by_one_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tmp_path)
    narrow, wide = pa.table({"n": range(130_000)}), pa.table({"text": [f"{n} {TEXT}" for n in range(26_000)]})
    exporter = engine.exporter(threads=2, range_bytes=1)
    for workflow, rows, wanted_workers in (("narrow", narrow, 2), ("wide", wide, 1)):
        engine.publish(engine.write_parquet(rows), workflow=workflow)
        for format_name in ("csv", "json"):
            workers: list[int] = []

            def counting(*arguments: Any, _workers: list[int] = workers, **options: Any) -> AbstractContextManager[Any]:
                _workers.append(options["workers"])
                return open_session(*arguments, **options)

            plan = engine.plan(exporter, format_name, workflow=workflow)
            assert len(plan.ranges) == 2
            usual = engine.content(exporter.export(plan, CancelToken()))
            plan = replace(plan, export_id="0" * len(plan.export_id), bounds_memory=True)
            with monkeypatch.context() as patch:
                patch.setattr(executor, "open_session", counting)
                assert engine.content(exporter.export(plan, CancelToken())) == usual
            assert set(workers) == {wanted_workers}, (workflow, format_name)
