"""Every byte of what is published or exported, held against what was promised of it.

Exports check the version of each part, which is cheap; a bit that the disk has flipped is found by its hash alone.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run
from engine.errors import ObjectMissing, StoreError, StoreUnavailable
from engine.exports.export import is_export
from engine.stores.port import ObjectStore


@dataclass(frozen=True, slots=True)
class Checked:
    """One object: its key, its bytes, and what is wrong with it (None if nothing is)."""

    key: str
    size: int
    wrong: str | None


def verify_run(results: ResultStore, run: Run) -> Iterator[Checked]:
    """The objects of a run, against its manifest. Raises StoreUnavailable."""
    for part in run.objects:
        info = results.store.head(part.key)
        if info is None:
            wrong: str | None = "it is missing"
        elif info.size != part.bytes:
            wrong = f"it has {info.size} bytes, and was published with {part.bytes}"
        elif _sha256(results.store, part.key, info.size, info.etag) != part.sha256:
            wrong = "its bytes are others than those that were published"
        elif info.etag != part.etag:
            wrong = "its bytes are right, but it was written anew: exports take it for another version"
        else:
            wrong = None
        yield Checked(part.key, part.bytes, wrong)


def verify_exports(exports: ObjectStore, workflow_id: str | None = None) -> Iterator[Checked]:
    """Finished exports, of one workflow or all, against the hash that was given out. Raises StoreUnavailable."""
    for listed in exports.list("" if workflow_id is None else f"{workflow_id}/"):
        info = exports.head(listed.key) if is_export(listed.key) else None
        if info is not None:
            digest = _sha256(exports, info.key, info.size, info.etag)
            right = digest == info.metadata.get("sha256")
            yield Checked(info.key, info.size, None if right else "its bytes are others than those that were promised")


def _sha256(store: ObjectStore, key: str, size: int, etag: str) -> str | None:
    """The hash of a version, or None if it cannot be read to its end."""
    digest = hashlib.sha256()
    try:
        for chunk in store.stream(key, start=0, length=size, etag=etag):
            digest.update(chunk)
    except ObjectMissing:
        # Swept, or replaced, in this moment.
        return None
    except StoreUnavailable:
        raise
    except StoreError:
        return None
    return digest.hexdigest()
