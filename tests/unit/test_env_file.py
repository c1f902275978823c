"""The file of settings in the working directory."""

from pathlib import Path

import pytest

from web.cli.local.env_file import read_env_file
from web.settings import MissingSetting


def test_the_file_sets_only_settings_that_the_environment_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_env_file({}) is None
    (tmp_path / ".env").write_text(
        "# a comment\nTAILRACE_PORT=9000\nexport TAILRACE_LOG='json'\nTAILRACE_SIGNING_KEYS=k=pa$HOME{x}\n"
        "AZURE_STORAGE_ACCOUNT_URL=\nHTTP_PROXY=http://127.0.0.1:1\nTAILRACE_HOST\n"
    )
    environment = {"TAILRACE_PORT": "8000"}
    assert read_env_file(environment) == (
        Path(".env"),
        ["AZURE_STORAGE_ACCOUNT_URL", "TAILRACE_LOG", "TAILRACE_SIGNING_KEYS"],
    )
    assert environment == {
        "TAILRACE_PORT": "8000",
        "TAILRACE_LOG": "json",
        "TAILRACE_SIGNING_KEYS": "k=pa$HOME{x}",
        "AZURE_STORAGE_ACCOUNT_URL": "",
    }
    assert read_env_file({"TAILRACE_ENV_FILE": ""}) is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"TAILRACE_HOST=\xe9\n")
    for name, reason in (("absent", "No such file"), ("latin", "it is not UTF-8"), (".", "Is a directory")):
        with pytest.raises(MissingSetting, match=reason):
            read_env_file({"TAILRACE_ENV_FILE": str(tmp_path / name)})
