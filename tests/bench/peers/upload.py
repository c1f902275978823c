"""The upload of a finished file by azure-storage-blob, as its documentation advises for large files."""

from pathlib import Path

from azure.storage.blob import BlobClient

from tests.bench.job import Job


def blob_client(job: Job) -> BlobClient:
    """The blob of a job, in 8 MiB blocks."""
    return BlobClient.from_connection_string(
        job.connection_string, job.container, job.blob, max_block_size=8 * 1024 * 1024
    )


def upload(client: BlobClient, path: Path) -> None:
    """Send a file over eight connections, and remove it."""
    with path.open("rb") as file:
        client.upload_blob(file, length=path.stat().st_size, overwrite=True, max_concurrency=8)
    path.unlink()
