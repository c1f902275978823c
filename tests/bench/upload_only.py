"""The upload of bytes that are there already, by the requests that our export would send: the share that is sending."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.stores import ObjectStore, open_store
from engine.stores.block_stream import COPIED_AT_ONCE, block_bytes
from tests.bench.job import Job, run

_KEY = "upload-only"
_TYPE = "application/octet-stream"


def prepare(job: Job) -> Callable[[], None]:
    """Open the store; the file is one that our export wrote before."""
    if job.file is None:
        raise ValueError("there is no file to upload")
    path = Path(job.file)
    store = open_store(job.exports, connection_string=job.connection_string)

    def work() -> None:
        size = path.stat().st_size
        if size < block_bytes(0):
            store.create(_KEY, path.read_bytes(), content_type=_TYPE, metadata={})
        else:
            _upload(store, path, size)

    return work


def _upload(store: ObjectStore, path: Path, size: int) -> None:
    upload = store.begin(_KEY, content_type=_TYPE)

    def stage(ordinal: int, start: int, length: int) -> str:
        with path.open("rb") as file:
            file.seek(start)
            return upload.stage(ordinal, file.read(length))

    # As many at once as where nothing is encoded.
    with ThreadPoolExecutor(min(COPIED_AT_ONCE, upload.parallel_blocks)) as pool:
        futures = [pool.submit(stage, *block) for block in _blocks(size)]
        upload.commit([future.result() for future in futures], metadata={})


def _blocks(size: int) -> list[tuple[int, int, int]]:
    """Ordinal, start and length of each block."""
    blocks: list[tuple[int, int, int]] = []
    start = 0
    while start < size:
        length = min(block_bytes(len(blocks)), size - start)
        blocks.append((len(blocks), start, length))
        start += length
    return blocks


if __name__ == "__main__":
    run(prepare)
