"""Settings of the service, one class per concern. Making an instance reads the environment, nothing else does."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.request.formats import FORMATS
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings, megabytes, renamed


class MissingSetting(Exception):
    """The service cannot start; the text names the setting and the remedy."""


class ServerSettings(BaseSettings):
    """Where the service listens, and its public address."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on")
    base_url: str | None = Field(
        None,
        # Braces are not valid in a URL, and in a route they would match any segment.
        pattern=r"^https?://[^\s/?#]+(/[^\s?#{}]*)?$",
        description="Public address of the service, with or without a path; `http://HOST:PORT` if unset",
    )
    log: Literal["auto", "json", "text"] = Field(
        "auto",
        description="Form of the log: `json`, one object a line; `text`, for people; `auto` is `text` on a terminal",
    )

    trusted_proxies: str = Field(
        "",
        description="Addresses and networks of reverse proxies, comma-separated (`10.0.0.0/8,::1`). Only from these is "
        "`X-Forwarded-For` used for the client's address in the log",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _of_networks(cls, text: str) -> str:
        """Refuse anything else, since a name that is not an address would be ignored in silence."""
        for entry in filter(None, map(str.strip, text.split(","))):
            try:
                ip_network(entry)
            except ValueError as error:
                raise ValueError(f"{error}; give addresses and networks, such as 10.0.0.0/8 and 192.0.2.7") from error
        return text

    @property
    def proxies(self) -> list[str]:
        """The trusted proxies, each an address or a network."""
        return [entry.strip() for entry in self.trusted_proxies.split(",") if entry.strip()]

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        """Accept ``[::1]`` for ``::1``: sockets take only the latter."""
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
    """Whose requests are accepted."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    api_keys: str = Field(
        "",
        repr=False,
        description="`key=team`, comma-separated; or `sha256:HEX=team`; `key=team:publish` may also publish and delete",
    )
    api_keys_file: Path | None = Field(
        None,
        description="File of keys made by `tailrace keys new`; changes take effect within a second, without a restart",
    )
    jwt_secret: str | None = Field(
        None,
        repr=False,
        description="Shared secret of HS256 tokens, 32 bytes or more; several, comma-separated, while it is rotated",
    )
    jwks_url: str | None = Field(None, description="Public keys of RS256, ES256 and EdDSA tokens")
    jwt_audience: str | None = Field(None, description="`aud` that tokens must have; `TAILRACE_JWKS_URL` needs it")
    jwt_issuer: str | None = Field(None, description="`iss` that tokens must have; `TAILRACE_JWKS_URL` needs it")

    @property
    def configured(self) -> bool:
        """Whether any way to authenticate is set up."""
        return bool(self.api_keys or self.api_keys_file or self.jwt_secret or self.jwks_url)

    @property
    def unbound(self) -> str | None:
        """Why tokens of the key set could be meant for another service; None if they cannot."""
        if self.jwks_url is None or (self.jwt_audience and self.jwt_issuer):
            return None
        return (
            "TAILRACE_JWKS_URL needs TAILRACE_JWT_AUDIENCE and TAILRACE_JWT_ISSUER: without them a token that was "
            "issued for another service would be accepted"
        )


class SigningSettings(BaseSettings):
    """How download URLs are signed, and who serves the files."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    signing_keys: str = Field(
        "", repr=False, description="`kid=secret`, comma-separated, 32 bytes or more each; the first signs, all verify"
    )
    url_ttl_seconds: int = Field(86_400, ge=1, le=604_800, description="How long a signed URL is valid")
    url_max_ttl_seconds: int = Field(
        604_800,
        ge=1,
        le=604_800,
        description="How long a URL that another replica signed may be valid: no less than `TAILRACE_URL_TTL_SECONDS` "
        "of any replica",
    )
    download_mode: Literal["stream", "redirect"] = Field(
        "stream",
        validation_alias=renamed("DOWNLOAD_MODE", "DOWNLOADS"),
        description="`stream` serves files itself, `redirect` sends callers to Azure by short-lived URLs",
    )

    @field_validator("url_max_ttl_seconds")
    @classmethod
    def _accepts_what_it_signs(cls, seconds: int, info: ValidationInfo) -> int:
        # Not there if it is invalid itself.
        if seconds < info.data.get("url_ttl_seconds", 0):
            raise ValueError("it is less than TAILRACE_URL_TTL_SECONDS, so the service would refuse its own URLs")
        return seconds

    @property
    def url_ttl(self) -> timedelta:
        """How long a signed URL is valid."""
        return timedelta(seconds=self.url_ttl_seconds)

    @property
    def url_max_ttl(self) -> timedelta:
        """How long any URL may be valid."""
        return timedelta(seconds=self.url_max_ttl_seconds)


class AdmissionSettings(BaseSettings):
    """How many exports run and wait, and for how long."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True, populate_by_name=True)

    max_concurrent_exports: int = Field(
        3,
        ge=1,
        validation_alias=renamed("MAX_CONCURRENT_EXPORTS", "EXPORTS_AT_ONCE"),
        description="Exports that run at the same time. One team may use at most N-1 of N (1 if N is 1)",
    )
    export_queue_size: int = Field(
        16,
        ge=0,
        validation_alias=renamed("EXPORT_QUEUE_SIZE", "QUEUE_LENGTH"),
        description="Exports that may wait, at most half of them of one team; further ones get a 503",
    )
    export_timeout_seconds: int = Field(
        3600,
        ge=1,
        validation_alias=renamed("EXPORT_TIMEOUT_SECONDS", "DEADLINE_SECONDS"),
        description="How long one export may run",
    )
    queue_timeout_seconds: int = Field(
        3600,
        ge=1,
        validation_alias=renamed("QUEUE_TIMEOUT_SECONDS", "DEADLINE_SECONDS"),
        description="How long one export may wait before it runs; then it gets a 503",
    )
    drain_seconds: int = Field(
        5,
        ge=0,
        description="How long `/readyz` is a 503 after SIGTERM while requests are still accepted, so that a load "
        "balancer sends them elsewhere: more than its health check takes to notice",
    )
    abandoned_seconds: int = Field(
        300,
        ge=0,
        description="How long an export goes on after its last caller has disconnected, so that an equal request finds "
        "it; it is the first to be cancelled when another one waits",
    )
    shutdown_grace_seconds: int = Field(
        20,
        ge=0,
        validation_alias=renamed("SHUTDOWN_GRACE_SECONDS", "GRACE_SECONDS"),
        description="How long the service waits for running exports when it stops",
    )


class PublishSettings(BaseSettings):
    """Limits of publishing over HTTP. Request bodies are stored in the spill directory until they are published."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    publish_limit: str = Field(
        "10GB", pattern=r"^[0-9]+(MB|GB)$", description="Largest body of one `POST .../runs`, uncompressed"
    )
    max_concurrent_publishes: int = Field(
        2,
        ge=1,
        description="Runs that are received and published at the same time; teams share them as they share exports",
    )
    prepare_formats: str = Field(
        "",
        description="Formats, comma-separated: every finished run is exported as a whole in each of them when it is "
        "published, so that the first request finds the file",
    )

    @field_validator("prepare_formats")
    @classmethod
    def _of_formats(cls, text: str) -> str:
        if text and not FORMATS.keys() >= set(text.split(",")):
            raise ValueError(f"give one or more of {', '.join(FORMATS)}, separated by commas alone")
        return text

    @property
    def prepared(self) -> tuple[str, ...]:
        """The names of `prepare_formats`, each once."""
        return tuple(dict.fromkeys(filter(None, self.prepare_formats.split(","))))

    @property
    def limit_bytes(self) -> int:
        """`publish_limit` in bytes."""
        return megabytes(self.publish_limit) * 1_000_000


class ConnectionSettings(BaseSettings):
    """How many clients may be connected, and how slow they may be."""

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
    """Limits of what reads rows without an export: pages, column statistics, and SQL that users write."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True, populate_by_name=True)

    max_concurrent_queries: int = Field(
        4,
        ge=1,
        validation_alias=renamed("MAX_CONCURRENT_QUERIES", "QUERIES_AT_ONCE"),
        description="Pages, column statistics and SQL statements that run at the same time, and as many lists beside "
        "them; teams share them as they share exports",
    )
    query_timeout_seconds: int = Field(
        30,
        ge=1,
        validation_alias=renamed("QUERY_TIMEOUT_SECONDS", "QUERY_SECONDS"),
        description="How long one of these may run, and how long it may wait before that",
    )
    query_memory_limit: str = Field(
        "512MB",
        pattern=r"^[0-9]+(MB|GB)$",
        description="Memory of DuckDB for each of these; the process of a SQL statement may take 300 MB more, "
        "and 100 MB for each of `TAILRACE_THREADS`",
    )
    user_sql: Literal["confined", "limited", "off"] = Field(
        "confined",
        validation_alias=renamed("USER_SQL", "SQL"),
        description="SQL that users write: `confined` needs Linux 6.7 with Landlock and seccomp, `limited` runs "
        "without them, `off` refuses it",
    )


class HousekeepingSettings(BaseSettings):
    """How the service removes expired exports and limits what a team stores."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", env_ignore_empty=True)

    sweep_seconds: int = Field(
        3600,
        ge=0,
        description="How often the service removes expired exports, as `tailrace sweep` does; 0 leaves it to a timer",
    )
    team_exports_limit: str | None = Field(
        None,
        pattern=r"^[0-9]+(MB|GB)$",
        description="Storage that finished exports of one team may take; further ones get a 429. No limit if unset",
    )

    @property
    def team_limit_bytes(self) -> int | None:
        """`team_exports_limit` in bytes, or None."""
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
