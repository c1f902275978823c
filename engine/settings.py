"""Settings of the engine, one class per concern. Nothing is read from the environment before one is made."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StorageSettings(BaseSettings):
    """Where results and exports live."""

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


class DuckDBSettings(BaseSettings):
    """What one export may take of the machine."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, description="Ranges that run side by side")
    memory_limit: str = Field("1GB", pattern=r"^[0-9]+(MB|GB)$", description="Memory of DuckDB, per export")
    spill_directory: Path = Field(Path(".tailrace/spill"), description="Where large sorts go")
    spill_limit: str = Field("50GB", pattern=r"^[0-9]+(MB|GB)$", description="The most that a sort may spill")


def megabytes(size: str) -> int:
    """A size as settings spell it, in units of 1,000,000 bytes."""
    return int(size[:-2]) * (1000 if size.endswith("GB") else 1)
