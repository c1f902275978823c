"""The engine's settings, one class per concern. An instance reads the environment when it is created."""

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

AzureChecksum = Literal["auto", "crc64", "md5"]


def renamed(name: str, *deprecated: str) -> AliasChoices:
    """Name the environment variable of a setting, and old names for it that work for one more release.

    The first of them that is set counts.
    """
    return AliasChoices(*(f"TAILRACE_{one}" for one in (name, *deprecated)))


class StorageSettings(BaseSettings):
    """Where results and exports are stored."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True, populate_by_name=True)

    results: str = Field(".tailrace/results", description="Published runs: a directory or `az://container/prefix`")
    exports: str = Field(".tailrace/exports", description="Finished exports: a directory or `az://container/prefix`")
    azure_connection_string: str | None = Field(
        None,
        validation_alias="AZURE_STORAGE_CONNECTION_STRING",
        description="Credentials for `az://` locations",
    )
    azure_account_url: str | None = Field(
        None,
        validation_alias="AZURE_STORAGE_ACCOUNT_URL",
        description="Instead of a connection string: the account's URL, with DefaultAzureCredential (extra `azure`)",
    )
    azure_checksum: AzureChecksum = Field(
        "auto",
        description="What Azure checks each block by: `crc64` (extra `azure`) or `md5`; "
        "`auto` is `crc64`, and `md5` for the emulator and without the extra",
    )


class DuckDBSettings(BaseSettings):
    """The resources of one export."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Ranges of one export that run at the same time"
    )
    memory_limit: str = Field(
        "1GB",
        pattern=r"^[0-9]+(MB|GB)$",
        description="Memory of DuckDB for each export or publish. On a cluster, each task gets this divided by "
        "`TAILRACE_THREADS`, and 125 MB or more",
    )
    spill_directory: Path = Field(
        Path(".tailrace/spill"),
        description="Temporary files: of sorts that exceed memory, and of publishing (bodies, prepared files)",
    )
    spill_limit: str = Field(
        "50GB",
        pattern=r"^[0-9]+(MB|GB)$",
        description="Disk space that one export or publish may spill; on a cluster, divided in the same way",
    )


class RunnerSettings(BaseSettings):
    """Where exports run."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True, populate_by_name=True)

    runner: Literal["local", "ray"] = Field(
        "local", description="`local` is this process; `ray` spreads large exports over a Ray cluster (extra `ray`)"
    )
    runner_min_bytes: int = Field(
        268_435_456, ge=0, description="Parquet bytes below which an export runs in this process, whatever the runner"
    )
    ray_max_tasks: int | None = Field(
        None,
        ge=1,
        validation_alias=renamed("RAY_MAX_TASKS", "RUNNER_TASKS_AT_ONCE"),
        description="Tasks that one export runs at once on the cluster, each within the limits of a task. "
        "The number of CPUs if unset",
    )
    sha256_limit: str = Field(
        "10GB",
        pattern=r"^[0-9]+(MB|GB)$",
        description="Files of a cluster above it have a CRC-64 but no SHA-256, for which this host needs all bytes",
    )
    ray_address: str | None = Field(
        None,
        validation_alias="RAY_ADDRESS",
        description="The cluster of `TAILRACE_RUNNER=ray`, as `host:port`; this host has to be one of its nodes",
    )

    @property
    def max_hashed_bytes(self) -> int:
        """`sha256_limit` in bytes."""
        return megabytes(self.sha256_limit) * 1_000_000


def megabytes(size: str) -> int:
    """A size such as ``2GB`` in units of 1,000,000 bytes."""
    return int(size[:-2]) * (1000 if size.endswith("GB") else 1)
