"""Settings of the front, one class per concern. Nothing is read from the environment before one is made."""

from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings, megabytes


class MissingSetting(Exception):
    """The service cannot start; the text names the setting and the remedy."""


class ServerSettings(BaseSettings):
    """Where the service listens, and how the world reaches it."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on")
    base_url: str | None = Field(
        None,
        # Braces belong to no URL; in a route they would stand for any segment.
        pattern=r"^https?://[^\s/?#]+(/[^\s?#{}]*)?$",
        description="Public address of the service, with or without a path; `http://HOST:PORT` if unset",
    )

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        """Accept ``[::1]`` for ``::1``: a socket takes only the second form."""
        return host[1:-1] if host.startswith("[") and host.endswith("]") else host

    @field_validator("base_url")
    @classmethod
    def _with_a_host(cls, base_url: str | None) -> str | None:
        if base_url is not None:
            try:
                parts = urlsplit(base_url)
                usable = bool(parts.hostname) and parts.port != 0
            except ValueError:
                usable = False
            if not usable:
                raise ValueError("the host or port is not valid; an IPv6 address needs brackets, http://[::1]:8000")
        return base_url

    @property
    def public_url(self) -> str:
        """The address that links begin with, without a slash at the end."""
        if self.base_url is not None:
            return self.base_url.rstrip("/")
        # A zone (fe80::1%eth0) has its percent sign escaped in a URL (RFC 6874).
        host = "[" + self.host.replace("%", "%25") + "]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class AuthSettings(BaseSettings):
    """Who may ask."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    api_keys: str = Field(
        "",
        repr=False,
        description="`key=team`, comma-separated; or `sha256:HEX=team`; `key=team:publish` may also publish and delete",
    )
    api_keys_file: Path | None = Field(
        None, description="File of keys by `tailrace keys new`; changes count within a second, without a restart"
    )
    jwt_secret: str | None = Field(None, repr=False, description="Shared secret of HS256 tokens, 32 bytes or more")
    jwks_url: str | None = Field(None, description="Public keys of RS256, ES256 and EdDSA tokens")
    jwt_audience: str | None = Field(None, description="`aud` that tokens must have; `TAILRACE_JWKS_URL` needs it")
    jwt_issuer: str | None = Field(None, description="`iss` that tokens must have; `TAILRACE_JWKS_URL` needs it")

    @property
    def configured(self) -> bool:
        """Whether anybody could sign in."""
        return bool(self.api_keys or self.api_keys_file or self.jwt_secret or self.jwks_url)

    @property
    def unbound(self) -> str | None:
        """What is wrong with public keys whose tokens could be meant for anyone; None if nothing is."""
        if self.jwks_url is None or (self.jwt_audience and self.jwt_issuer):
            return None
        return (
            "TAILRACE_JWKS_URL needs TAILRACE_JWT_AUDIENCE and TAILRACE_JWT_ISSUER: without them a token that was made "
            "for another service would open this one"
        )


class SigningSettings(BaseSettings):
    """How download URLs are signed, and who serves what they name."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    signing_keys: str = Field(
        "", repr=False, description="`kid=secret`, comma-separated, 32 bytes or more each; the first signs, all verify"
    )
    url_ttl_seconds: int = Field(86_400, ge=1, le=604_800, description="How long a signed URL is good")
    downloads: Literal["stream", "redirect"] = Field(
        "stream", description="`stream` serves files itself, `redirect` sends callers to Azure by short-lived URLs"
    )

    @property
    def url_ttl(self) -> timedelta:
        """How long a signed URL is good."""
        return timedelta(seconds=self.url_ttl_seconds)


class AdmissionSettings(BaseSettings):
    """How much is taken on at once."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    exports_at_once: int = Field(
        3, ge=1, description="Exports that run side by side; if they are several, all but one of them of one team"
    )
    queue_length: int = Field(16, ge=0, description="Exports that may wait, half of them of one team; more get a 503")
    deadline_seconds: int = Field(3600, ge=1, description="How long one export may take, and wait before that")
    grace_seconds: int = Field(20, ge=0, description="How long running exports are waited for when the service stops")


class PublishSettings(BaseSettings):
    """What publishing over HTTP may take; what is received waits in the spill directory until it is published."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    publish_limit: str = Field(
        "10GB", pattern=r"^[0-9]+(MB|GB)$", description="The most that one `POST .../runs` may bring, uncompressed"
    )
    max_concurrent_publishes: int = Field(
        2, ge=1, description="Runs that are received and published side by side, shared out as exports are"
    )

    @property
    def limit_bytes(self) -> int:
        """`publish_limit` in bytes."""
        return megabytes(self.publish_limit) * 1_000_000


class ConnectionSettings(BaseSettings):
    """How many clients are connected, and how slow they may be."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    max_connections: int = Field(
        2000,
        ge=1,
        description="Connections at once; further clients wait. Fewer if the limit of open files (`ulimit -n`) does "
        "not allow two for each connection and 128 for the rest",
    )
    stall_seconds: int = Field(
        60,
        ge=1,
        description="How long a client may read nothing of a response, or send nothing of a request body, before its "
        "connection is closed",
    )


class QuerySettings(BaseSettings):
    """What looking at rows may take: pages, facts of columns, and SQL that people type."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    queries_at_once: int = Field(
        4, ge=1, description="Pages, column facts and SQL statements that run side by side, shared out as exports are"
    )
    query_seconds: int = Field(30, ge=1, description="How long one of these may take, and wait before that")
    query_memory_limit: str = Field(
        "512MB",
        pattern=r"^[0-9]+(MB|GB)$",
        description="Memory of DuckDB, for each; the process of an SQL statement may take 300 MB more, "
        "and 100 MB for each of `TAILRACE_THREADS`",
    )
    sql: Literal["confined", "limited", "off"] = Field(
        "confined",
        description="SQL of callers: `confined` needs Linux 6.7 with Landlock and seccomp, `limited` does without, "
        "`off` is none",
    )


class HousekeepingSettings(BaseSettings):
    """What the service does to keep its store of exports in bounds."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    sweep_seconds: int = Field(
        3600,
        ge=0,
        description="How often the service does what `tailrace sweep` does; 0 leaves it to a timer",
    )
    team_exports_limit: str | None = Field(
        None,
        pattern=r"^[0-9]+(MB|GB)$",
        description="The most that finished exports of one team may take; more get a 429. No limit if unset",
    )

    @property
    def team_limit_bytes(self) -> int | None:
        """The limit in bytes, or None."""
        return None if self.team_exports_limit is None else megabytes(self.team_exports_limit) * 1_000_000


SETTINGS = (
    StorageSettings,
    ServerSettings,
    AuthSettings,
    SigningSettings,
    AdmissionSettings,
    PublishSettings,
    ConnectionSettings,
    QuerySettings,
    HousekeepingSettings,
    DuckDBSettings,
    RunnerSettings,
)
"""Every class of settings, in the order of the table in .container/OPERATIONS.md."""
