"""The services that endpoints use, made once per process from settings."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio.to_thread

from engine.bootstrap import open_exporter
from engine.execute.instance_pool import InstancePool
from engine.execute.session import open_instance
from engine.exports.exporter import Exporter
from engine.exports.readiness import Readiness
from engine.exports.status import ExportStatusStore
from engine.plan.planner import ExportPlan
from engine.query.sandbox import Limits
from engine.request.formats import FORMATS
from engine.request.request import ExportRequest
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings, megabytes
from engine.stores.clock import StoreClock
from engine.stores.port import ObjectStore, ReadUrls
from web.auth.api_keys import KnownKeys, parse_api_keys
from web.auth.authenticator import Authenticator
from web.auth.jwks import JwksClient
from web.auth.jwt import JwtVerifier
from web.auth.key_file import KeyFile
from web.auth.signed_urls import UrlSigner, parse_signing_keys
from web.jobs.admission import Admission
from web.jobs.export_jobs import ExportJobs
from web.jobs.publish_jobs import PublishJobs
from web.jobs.query_jobs import QueryJobs
from web.jobs.replicas import Announcement
from web.jobs.shared_calls import SharedCalls
from web.jobs.sweeping import Sweeping
from web.settings import (
    AdmissionSettings,
    AuthSettings,
    HousekeepingSettings,
    MissingSetting,
    PublishSettings,
    QuerySettings,
    ServerSettings,
    SigningSettings,
)
from web.telemetry.machine_metrics import watch_spill

_COUNTED_PERCENT = 80
"""DuckDB's share of the memory of an export whose rows are the result of a statement."""

_ValueT = TypeVar("_ValueT")
_ParsedT = TypeVar("_ParsedT")


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one process. Without ``read_urls`` it sends files itself."""

    storage: StorageSettings
    exporter: Exporter
    authenticator: Authenticator
    signer: UrlSigner
    signing: SigningSettings
    jobs: ExportJobs
    lookups: SharedCalls[Any]
    """Of finished exports."""
    statuses: ExportStatusStore
    store_clock: StoreClock
    """The time of the exports store."""
    queries: QueryJobs
    lists: QueryJobs
    """Lists of workflows, runs and exports, which do not wait for statements and column profiles."""
    publishing: PublishJobs
    grace_seconds: float
    read_urls: ReadUrls | None
    readiness: Readiness
    draining: asyncio.Event
    """Set when the service is about to stop, but still accepts requests."""
    sweeping: Sweeping
    announcement: Announcement
    instances: InstancePool
    """Runs while the application does: see `web.app`."""

    def described(self) -> dict[str, object]:
        """What the log says at start: the address of links, the stores, and how many keys there are."""
        return {
            "url": self.signer.base,
            "results": self.storage.results,
            "exports": self.storage.exports,
            **self.authenticator.described(),
            "signingKeys": len(self.signer.key_ids),
        }

    async def plan(self, request: ExportRequest, team: str) -> ExportPlan:
        """Plan the export that a team requests. Raises NotFound or InvalidRequest."""
        return await anyio.to_thread.run_sync(self.exporter.plan, request, team)

    async def close(self) -> None:
        """Wait for running jobs within the grace period, then cancel them."""
        await asyncio.gather(self.jobs.close(), self.publishing.close(self.grace_seconds))
        self.queries.cancel()
        self.lists.cancel()


def make_services(
    storage: StorageSettings,
    duckdb: DuckDBSettings,
    server: ServerSettings,
    auth: AuthSettings,
    signing: SigningSettings,
    admission: AdmissionSettings,
    query: QuerySettings,
    runner: RunnerSettings | None = None,
    housekeeping: HousekeepingSettings | None = None,
    publish: PublishSettings | None = None,
) -> Services:
    """Check the settings and make the services. Raises MissingSetting for those that security requires.

    Without ``runner`` every export runs in this process. Raises InvalidInput for an unavailable runner.
    """
    housekeeping = housekeeping or HousekeepingSettings()
    instances = InstancePool(open_instance)
    # Exports are retained for longer than a URL is valid, so that signing another URL rarely needs a write.
    exporter = open_exporter(
        storage,
        duckdb,
        runner,
        retention=signing.url_ttl * 1.25,
        instances=instances,
        team_limit_bytes=housekeeping.team_limit_bytes,
        statements=Limits(
            # The rest is for the text that its writers buffer, and for the process itself.
            memory_megabytes=megabytes(duckdb.memory_limit) * _COUNTED_PERCENT // 100,
            threads=duckdb.threads,
            seconds=admission.export_timeout_seconds,
            confined=query.user_sql == "confined",
        ),
    )
    watch_spill(duckdb.spill_directory)
    slots = Admission(
        max_concurrent=admission.max_concurrent_exports,
        queue_size=admission.export_queue_size,
        queue_timeout_seconds=admission.queue_timeout_seconds,
    )
    store_clock = StoreClock(exporter.exports)
    statuses = ExportStatusStore(exporter.exports, store_clock)
    signer = _signer(server, signing)
    name = f"{socket.gethostname()}:{server.port}"
    return Services(
        storage=storage,
        exporter=exporter,
        authenticator=_authenticator(auth),
        signer=signer,
        signing=signing,
        jobs=ExportJobs(exporter, statuses, slots, admission),
        lookups=SharedCalls(),
        statuses=statuses,
        store_clock=store_clock,
        queries=QueryJobs(query, duckdb),
        lists=QueryJobs(query, duckdb),
        grace_seconds=admission.shutdown_grace_seconds,
        publishing=PublishJobs(exporter.results, publish or PublishSettings(), duckdb),
        read_urls=_read_urls(signing, exporter.exports),
        readiness=Readiness(exporter),
        draining=asyncio.Event(),
        sweeping=Sweeping(exporter, duckdb, housekeeping.sweep_seconds),
        announcement=Announcement(exporter.exports, store_clock, name=name, key_ids=signer.key_ids),
        instances=instances,
    )


def _read_urls(signing: SigningSettings, exports: ObjectStore) -> ReadUrls | None:
    if signing.download_mode == "stream":
        return None
    urls = exports.read_urls()
    if urls is None:
        raise MissingSetting(
            "TAILRACE_DOWNLOAD_MODE=redirect needs a store that can sign URLs: set TAILRACE_EXPORTS to "
            "az://container/prefix, with an account key or an identity (a shared access signature cannot sign "
            "another one), or set TAILRACE_DOWNLOAD_MODE=stream."
        )
    return urls


def _parse(setting: str, parse: Callable[[_ValueT], _ParsedT], value: _ValueT) -> _ParsedT:
    try:
        return parse(value)
    except (OSError, ValueError) as error:
        raise MissingSetting(f"{setting} cannot be read: {error}.") from error


def _authenticator(auth: AuthSettings) -> Authenticator:
    if not auth.configured:
        raise MissingSetting(
            "No authentication is configured; set TAILRACE_API_KEYS (key=team), TAILRACE_API_KEYS_FILE, "
            "TAILRACE_JWT_SECRET or TAILRACE_JWKS_URL. `tailrace keys new` makes a key."
        )
    keys: list[KnownKeys] = []
    if auth.api_keys:
        keys.append(_parse("TAILRACE_API_KEYS", parse_api_keys, auth.api_keys))
    if auth.api_keys_file is not None:
        keys.append(_parse("TAILRACE_API_KEYS_FILE", KeyFile, auth.api_keys_file))
    if auth.unbound is not None:
        raise MissingSetting(f"{auth.unbound}.")
    tokens = None
    if auth.jwt_secret or auth.jwks_url:
        try:
            tokens = JwtVerifier(
                secret=auth.jwt_secret,
                jwks=JwksClient(auth.jwks_url) if auth.jwks_url else None,
                audience=auth.jwt_audience,
                issuer=auth.jwt_issuer,
            )
        except ValueError as error:
            raise MissingSetting(f"TAILRACE_JWT_SECRET or TAILRACE_JWKS_URL: {error}.") from error
    return Authenticator(keys, tokens)


def _signer(server: ServerSettings, signing: SigningSettings) -> UrlSigner:
    if not signing.signing_keys:
        raise MissingSetting(
            "No signing key is configured; set TAILRACE_SIGNING_KEYS (kid=secret, 32 bytes or more). "
            "`tailrace keys signing` makes one."
        )
    keys = _parse("TAILRACE_SIGNING_KEYS", parse_signing_keys, signing.signing_keys)
    return UrlSigner(keys, base_url=server.public_url, max_ttl=signing.url_max_ttl, formats=FORMATS)
