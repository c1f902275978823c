"""Every byte of what is published or exported, held against what was promised of it.

Exports check the version of each part, which is cheap; a bit that the disk has flipped is found by its hash alone.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run, RunObject
from engine.errors import DocumentDamaged, ObjectMissing, ObjectUnreadable, StoreError, StoreUnavailable
from engine.exports.export import is_export, read_metadata
from engine.exports.leases import SUFFIX as LEASE
from engine.exports.leases import Lease
from engine.exports.status import SUFFIX as STATUS
from engine.exports.status import ExportStatus
from engine.stores.documents import Documents
from engine.stores.port import ObjectInfo, ObjectStore

_MAX_UNAVAILABLE = 5
"""So many objects in a row that the store does not give: it is the store that is unavailable."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One object: its key, its bytes, and what is wrong with it (None if nothing is)."""

    key: str
    size: int
    wrong: str | None


def verify_results(
    results: ResultStore, workflow_id: str | None = None, run_id: str | None = None
) -> Iterator[Checked]:
    """The objects of every run, of one workflow or all, and of documents those that are damaged.

    Raises StoreUnavailable.
    """
    for info in results.store.list("workflow=" if workflow_id is None else f"workflow={workflow_id}/"):
        folder, *names = info.key.split("/")
        workflow = folder.partition("=")[2]
        try:
            if names == ["workflow.json"] and run_id is None:
                results.stored_workflow(workflow)
            elif names[1:] == ["run.json"] and run_id in (None, names[0].partition("=")[2]):
                run = results.run(workflow, names[0].partition("=")[2])
                if run is not None:
                    yield from verify_run(results, run)
        except DocumentDamaged as error:
            yield Checked(info.key, info.size, error.reason)


def verify_run(results: ResultStore, run: Run) -> Iterator[Checked]:
    """The objects of a run, against its manifest. Raises StoreUnavailable if the store as a whole does not answer."""
    return _each((part.key, part.bytes, partial(_check_part, results.store, part)) for part in run.objects)


def verify_exports(exports: ObjectStore, workflow_id: str | None = None) -> Iterator[Checked]:
    """Finished exports, of one workflow or all, against the hash that was given out, and damaged leases and tickets.

    Raises StoreUnavailable if the store as a whole does not answer.
    """
    listed = exports.list("" if workflow_id is None else f"{workflow_id}/")
    return _each((info.key, info.size, partial(_check_export, exports, info.key)) for info in listed)


def _each(objects: Iterable[tuple[str, int, Callable[[], Checked | None]]]) -> Iterator[Checked]:
    """What the checks find; one object that is damaged or unavailable does not stop those after it."""
    unavailable = 0
    for key, size, check in objects:
        try:
            checked = check()
            unavailable = 0
        except DocumentDamaged as error:
            checked = Checked(key, size, error.reason)
        except StoreUnavailable as error:
            unavailable += not isinstance(error, ObjectUnreadable)
            if unavailable == _MAX_UNAVAILABLE:
                raise
            checked = Checked(key, size, f"it is unavailable: {error.message.rstrip('.')}")
        if checked is not None:
            yield checked


def _check_part(store: ObjectStore, part: RunObject) -> Checked:
    info = store.head(part.key)
    if info is None:
        wrong: str | None = "it is missing"
    elif info.size != part.bytes:
        wrong = f"it has {info.size} bytes, and was published with {part.bytes}"
    else:
        wrong = _wrong_bytes(store, info, part.sha256, "published")
        if wrong is None and info.etag != part.etag:
            wrong = "its bytes are right, but it was written anew: exports take it for another version"
    return Checked(part.key, part.bytes, wrong)


def _check_export(exports: ObjectStore, key: str) -> Checked | None:
    """None for what is no export, and for a lease or ticket that is as it should be. Raises DocumentDamaged."""
    if key.endswith(LEASE) and is_export(key.removesuffix(LEASE)):
        Documents(exports, Lease).load(key)
    elif key.endswith(STATUS):
        Documents(exports, ExportStatus).load(key)
    elif is_export(key) and (info := exports.head(key)) is not None:
        return Checked(key, info.size, _wrong_bytes(exports, info, read_metadata(info).sha256, "promised"))
    return None


def _wrong_bytes(store: ObjectStore, info: ObjectInfo, sha256: str, how: str) -> str | None:
    """What is wrong with the bytes of a version. Raises StoreUnavailable."""
    digest = hashlib.sha256()
    try:
        for chunk in store.stream(info.key, start=0, length=info.size, etag=info.etag):
            digest.update(chunk)
    except ObjectMissing:
        return "it was removed while it was read"
    except StoreUnavailable:
        raise
    except StoreError as error:
        return f"it cannot be read to its end: {error.message.rstrip('.')}"
    return None if digest.hexdigest() == sha256 else f"its bytes are others than those that were {how}"
