"""A snapshot of the catalog and of the finished exports of all teams, for SQL over them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import run_key, workflow_key
from engine.common.ids import is_id
from engine.errors import DocumentDamaged
from engine.exports.export import is_export
from engine.query.inspect.document_index import DocumentIndex, Entry
from engine.query.inspect.manifest_rows import export_entry, run_entry, workflow_entry
from engine.stores.port import ObjectInfo, ObjectStore

EXPORTS = "exports"


class Snapshot:
    """Rows of the views, each store as it was when its rows were first asked for. Every method raises StoreError.

    What has been damaged is left out, and reported to ``warn`` in a sentence with its key. Without ``exports``, there
    are no rows of exports.
    """

    def __init__(
        self,
        results: ResultStore,
        exports: ObjectStore | None,
        *,
        index: Callable[[str], Path | None] = lambda _: None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._results = results
        self._exports = exports
        self._path_of_index = index
        self._warn = warn
        self._indexes: dict[str, DocumentIndex] = {}
        self.skipped: list[str] = []
        """What has been reported to ``warn``."""

    def lines(self, kind: str) -> Iterator[str]:
        """The rows of a kind as JSON objects (`manifest_rows`), ordered by workflow and run."""
        store = EXPORTS if kind == EXPORTS else "results"
        if store not in self._indexes:
            self._indexes[store] = self._indexed(store)
        return self._indexes[store].lines(kind)

    def report(self, damage: str) -> None:
        """Report what is left out, once."""
        if damage not in self.skipped:
            self.skipped.append(damage)
            self._warn(damage)

    def forget(self) -> None:
        """Read the stores again when rows are next asked for."""
        self.close()
        self._indexes.clear()

    def close(self) -> None:
        """Close the indexes."""
        for index in self._indexes.values():
            index.close()

    def _indexed(self, store: str) -> DocumentIndex:
        listed, read = self._listed_exports() if store == EXPORTS else self._listed_documents()
        index = DocumentIndex.open(self._path_of_index(store) if listed else None)
        for damage in index.refresh(listed, _damage_as_entry(read)):
            self.report(damage)
        return index

    def _listed_documents(self) -> tuple[Sequence[ObjectInfo], Callable[[ObjectInfo], Entry | None]]:
        results = self._results

        def read(info: ObjectInfo) -> Entry | None:
            folders = [folder.partition("=")[2] for folder in info.key.split("/")[:-1]]
            if len(folders) == 1:
                workflow = results.stored_workflow(folders[0])
                return None if workflow is None else workflow_entry(workflow)
            run = results.run(folders[0], folders[1])
            return None if run is None else run_entry(run)

        return [info for info in results.store.list("workflow=") if _is_document(info.key)], read

    def _listed_exports(self) -> tuple[Sequence[ObjectInfo], Callable[[ObjectInfo], Entry | None]]:
        exports = self._exports
        if exports is None:
            return [], lambda _: None

        def read(listed: ObjectInfo) -> Entry | None:
            # A list has no metadata, so this is one request for each export.
            info = exports.head(listed.key)
            return None if info is None else export_entry(info)

        return [info for info in exports.list("") if is_export(info.key)], read


def _is_document(key: str) -> bool:
    """Whether the key is of a workflow or a run."""
    folders = [folder.partition("=")[2] for folder in key.split("/")[:-1]]
    return all(map(is_id, folders)) and (
        (len(folders) == 1 and key == workflow_key(*folders)) or (len(folders) == 2 and key == run_key(*folders))
    )


def _damage_as_entry(read: Callable[[ObjectInfo], Entry | None]) -> Callable[[ObjectInfo], Entry | None]:
    def reader(info: ObjectInfo) -> Entry | None:
        try:
            return read(info)
        except DocumentDamaged as error:
            return Entry(damage=error.message)

    return reader
