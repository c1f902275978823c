"""Verification: reads every byte of runs and exports, and compares their hashes with the recorded ones.

An export only checks the version of each part; a bit that has flipped on the disk is found by the hash alone.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run, RunObject
from engine.errors import DocumentDamaged, InvalidInput, ObjectMissing, ObjectUnreadable, StoreError, StoreUnavailable
from engine.exports.export import is_export, read_metadata
from engine.exports.file_hash import FileHash
from engine.exports.leases import SUFFIX as LEASE
from engine.exports.leases import Lease
from engine.exports.status import SUFFIX as STATUS
from engine.exports.status import ExportStatus
from engine.stores.documents import Documents
from engine.stores.port import ObjectInfo, ObjectStore

_MAX_UNAVAILABLE = 5
"""Consecutive objects that cannot be read before the whole store counts as unavailable."""
_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CheckedObject:
    """The result for one object; ``size`` is in bytes, ``problem`` is None for an intact object."""

    key: str
    size: int
    problem: str | None


def verify_results(
    results: ResultStore, workflow_id: str | None = None, run_id: str | None = None
) -> Iterator[CheckedObject]:
    """Check the objects of every run, of one workflow or all; yields each object, and each damaged document.

    Of all, it also yields each index that lacks workflows, which are then in no list. Raises StoreUnavailable if the
    store as a whole does not respond.
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
            yield CheckedObject(info.key, info.size, error.reason)
    if workflow_id is None:
        for key, missing in results.index.missing():
            shown = ", ".join(missing[:_MAX_SHOWN]) + (", ..." if len(missing) > _MAX_SHOWN else "")
            yield CheckedObject(key, 0, f"it is damaged or lacks workflows ({shown}); `tailrace sweep` writes it anew")


def verify_run(results: ResultStore, run: Run) -> Iterator[CheckedObject]:
    """Check the objects of a run against its manifest. Raises StoreUnavailable as `verify_results` does."""
    return _check_each((part.key, part.bytes, partial(_check_part, results.store, part)) for part in run.objects)


def verify_exports(exports: ObjectStore, workflow_id: str | None = None) -> Iterator[CheckedObject]:
    """Check the finished exports of one workflow or all; yields each export, and each damaged lease and status.

    Raises StoreUnavailable as `verify_results` does.
    """
    listed = exports.list("" if workflow_id is None else f"{workflow_id}/")
    return _check_each((info.key, info.size, partial(_check_export, exports, info.key)) for info in listed)


def _check_each(objects: Iterable[tuple[str, int, Callable[[], CheckedObject | None]]]) -> Iterator[CheckedObject]:
    """Run the checks; a damaged or unavailable object does not stop the rest."""
    unavailable = 0
    for key, size, check in objects:
        try:
            checked = check()
            unavailable = 0
        except DocumentDamaged as error:
            checked = CheckedObject(key, size, error.reason)
        except StoreUnavailable as error:
            unavailable += not isinstance(error, ObjectUnreadable)
            if unavailable == _MAX_UNAVAILABLE:
                raise
            checked = CheckedObject(key, size, f"it is unavailable: {error.message.rstrip('.')}")
        if checked is not None:
            yield checked


def _check_part(store: ObjectStore, part: RunObject) -> CheckedObject:
    info = store.head(part.key)
    if info is None:
        problem: str | None = "it is missing"
    elif info.size != part.bytes:
        problem = f"it has {info.size:,} bytes and was published with {part.bytes:,}"
    else:
        problem = _hash_problem(store, info, FileHash(part.sha256), "published")
        if problem is None and info.etag != part.etag:
            problem = "its bytes are correct, but it was rewritten, so exports refuse it as another version"
    return CheckedObject(part.key, part.bytes, problem)


def _check_export(exports: ObjectStore, key: str) -> CheckedObject | None:
    """The result for an export; None for an intact lease or status and for other objects. Raises DocumentDamaged."""
    if key.endswith(LEASE) and is_export(key.removesuffix(LEASE)):
        Documents(exports, Lease).load(key)
    elif key.endswith(STATUS):
        Documents(exports, ExportStatus).load(key)
    elif is_export(key) and (info := exports.head(key)) is not None:
        metadata = read_metadata(info)
        recorded = FileHash(metadata.sha256, metadata.crc64nvme)
        return CheckedObject(key, info.size, _hash_problem(exports, info, recorded, "exported"))
    return None


def _hash_problem(store: ObjectStore, info: ObjectInfo, recorded: FileHash, how: str) -> str | None:
    """Why the bytes of a version do not have that hash, or None if they do. Raises StoreUnavailable."""
    try:
        for chunk in store.stream(info.key, start=0, length=info.size, etag=info.etag):
            recorded.update(chunk)
    except ObjectMissing:
        return "it was removed while it was being read"
    except StoreUnavailable:
        raise
    except StoreError as error:
        return f"it cannot be read to its end: {error.message.rstrip('.')}"
    except InvalidInput as error:
        return f"it cannot be checked: {error.message.rstrip('.')} ({error.details['remedy']})"
    return None if recorded.matches else f"its bytes differ from those that were {how}"
