"""What has to be configured before anyone could sign in: the service refuses to start without, and doctor says so."""

from pathlib import Path

import pytest

from engine.settings import DuckDBSettings, StorageSettings
from web.auth.authenticator import InvalidCredentials
from web.cli.doctor.access import check_auth
from web.cli.doctor.findings import Level
from web.container import Services, make_services
from web.settings import AdmissionSettings, AuthSettings, MissingSetting, QuerySettings, ServerSettings, SigningSettings

JWKS = "http://127.0.0.1:9/keys"
SECRET = "0123456789abcdef0123456789abcdef"


def started(folder: Path, auth: AuthSettings) -> Services:
    return make_services(
        StorageSettings(results=str(folder / "r"), exports=str(folder / "e")),
        DuckDBSettings(spill_directory=folder / "s"),
        ServerSettings(),
        auth,
        SigningSettings(signing_keys=f"k1={SECRET}"),
        AdmissionSettings(),
        QuerySettings(),
    )


UNBOUND: dict[str, dict[str, str]] = {
    "neither": {"jwks_url": JWKS},
    "no audience": {"jwks_url": JWKS, "jwt_issuer": "https://issuer"},
    "no issuer": {"jwks_url": JWKS, "jwt_audience": "tailrace"},
    "an empty audience": {"jwks_url": JWKS, "jwt_audience": "", "jwt_issuer": "https://issuer"},
    "beside keys": {"jwks_url": JWKS, "api_keys": "a-key=acme"},
    "beside a secret": {"jwks_url": JWKS, "jwt_secret": SECRET, "jwt_audience": "tailrace"},
}


@pytest.mark.parametrize("given", UNBOUND.values(), ids=UNBOUND.keys())
def test_public_keys_need_an_audience_and_an_issuer(tmp_path: Path, given: dict[str, str]) -> None:
    auth = AuthSettings.model_validate(given)
    with pytest.raises(MissingSetting, match="TAILRACE_JWT_AUDIENCE and TAILRACE_JWT_ISSUER"):
        started(tmp_path, auth)
    told = [finding for finding in check_auth(auth) if finding.area == "tokens"]
    assert [finding.level for finding in told] == [Level.PROBLEM]
    assert "TAILRACE_JWT_AUDIENCE" in told[0].text


BOUND: dict[str, dict[str, str]] = {
    "public keys": {"jwks_url": JWKS, "jwt_audience": "tailrace", "jwt_issuer": "https://issuer"},
    "a secret": {"jwt_secret": SECRET},
    "keys": {"api_keys": "a-key=acme"},
}


@pytest.mark.parametrize("given", BOUND.values(), ids=BOUND.keys())
def test_what_is_enough_to_start(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(InvalidCredentials):
        started(tmp_path, AuthSettings.model_validate(given)).authenticator.authenticate([])
