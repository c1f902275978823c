"""The manifests of Kubernetes and Azure Container Apps: they follow the published schemas, and the service runs with
what they set."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from azure.mgmt.appcontainers import models, types
from pydantic import TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from engine.settings import DuckDBSettings
from tests.helpers.deployed import CONTAINER
from tests.helpers.forks import TAILRACE, run
from tests.helpers.running import wait_for
from tests.helpers.server import Server
from web.cli.doctor.memory import memory_need
from web.environment import variable_of
from web.settings import SETTINGS, AdmissionSettings, PublishSettings, QuerySettings

_VERSIONS = ("1.30", "1.37")
_KNOWN = {variable_of(kind, name) for kind in SETTINGS for name in kind.model_fields} | {"AZURE_CLIENT_ID"}
_MARGIN_SECONDS = 10


def _documents(folder: str) -> dict[str, Any]:
    """The documents of a folder's files by kind and name."""
    found = {}
    for path in sorted((CONTAINER / folder).glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text("utf-8")):
            kind = document.get("kind", document.get("type"))
            found[f"{kind} {document.get('metadata', {}).get('name', path.stem)}"] = document
    return found


KUBERNETES = _documents("kubernetes")
CONTAINER_APPS = _documents("container-apps")
_CONFIGURATION: dict[str, str] = KUBERNETES["ConfigMap tailrace"]["data"]
_POD = KUBERNETES["Deployment tailrace"]["spec"]["template"]["spec"]
_APP = CONTAINER_APPS["Microsoft.App/containerApps app"]["properties"]["template"]


@pytest.fixture(scope="module")
def container_apps_types() -> Any:
    """The types of Azure's resource provider, which refuse unknown members."""
    for name, value in vars(models).items():
        # Enumerations that the module imports for type checkers alone.
        if not name.startswith("_") and not hasattr(types, name):
            setattr(types, name, value)
    for kind in vars(types).values():
        if is_typeddict(kind):
            # A generated class that inherits lost ``total=False``; what is required is marked as such.
            kind.__required_keys__ = frozenset()
            kind.__pydantic_config__ = {"extra": "forbid"}
    return types


@pytest.mark.parametrize("version", _VERSIONS)
def test_kubernetes_manifests_follow_the_schema(version: str) -> None:
    assert len(KUBERNETES) == 6
    for document in KUBERNETES.values():
        kubernetes_validate.validate(document, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**KUBERNETES["Service tailrace"], "sepc": {}}, version, strict=True)


def test_container_apps_follow_the_types_of_azure(container_apps_types: Any) -> None:
    app = CONTAINER_APPS["Microsoft.App/containerApps app"]
    TypeAdapter(container_apps_types.ContainerApp).validate_python(app)
    TypeAdapter(container_apps_types.Job).validate_python(CONTAINER_APPS["Microsoft.App/jobs sweep"])
    with pytest.raises(ValidationError):
        TypeAdapter(container_apps_types.ContainerApp).validate_python({**app, "propertys": {}})


def test_settings_of_manifests_exist() -> None:
    names = {*_CONFIGURATION}
    for document in CONTAINER_APPS.values():
        for container in document["properties"]["template"]["containers"]:
            names |= {entry["name"] for entry in container["env"]}
    assert names - _KNOWN == set()


def test_a_pod_has_the_time_that_it_takes_to_stop() -> None:
    settings = AdmissionSettings()
    seconds = settings.drain_seconds + settings.shutdown_grace_seconds + _MARGIN_SECONDS
    for template in (_POD, _APP):
        assert template["terminationGracePeriodSeconds"] >= seconds


def test_a_pod_has_the_memory_that_its_settings_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    of_app = {each["name"]: each.get("value", "") for each in _APP["containers"][0]["env"]}
    for template, settings in ((_POD, _CONFIGURATION), (_APP, of_app)):
        resources = template["containers"][0]["resources"]
        gibibytes = resources.get("limits", resources)["memory"]
        assert gibibytes.endswith("Gi")
        with monkeypatch.context() as environment:
            for name, value in settings.items():
                environment.setenv(name, value)
            need = memory_need(DuckDBSettings(), AdmissionSettings(), PublishSettings(), QuerySettings())
        assert need.total_bytes <= float(gibibytes[:-2]) * 2**30


def test_the_drain_is_longer_than_a_balancer_takes_to_notice() -> None:
    drain = AdmissionSettings().drain_seconds
    probes = [_POD["containers"][0]["readinessProbe"]]
    probes += [probe for probe in _APP["containers"][0]["probes"] if probe["type"] == "Readiness"]
    for probe in probes:
        assert probe["periodSeconds"] * probe["failureThreshold"] + 1 < drain


def test_probes_ask_routes_that_exist() -> None:
    container = _POD["containers"][0]
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    of_app = {probe["type"].lower(): probe["httpGet"]["path"] for probe in _APP["containers"][0]["probes"]}
    assert of_app == paths


def test_container_apps_have_an_offered_size() -> None:
    """The consumption plan has 2 GiB for each core, and at most 4 cores."""
    for document in CONTAINER_APPS.values():
        for container in document["properties"]["template"]["containers"]:
            cores, memory = container["resources"]["cpu"], container["resources"]["memory"]
            assert (memory, cores <= 4, cores * 4 % 1) == (f"{cores * 2:g}Gi", True, 0)


class _Mounted:
    """A secret as the kubelet mounts it: files are links into a folder that is replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        folder.mkdir()

    def update(self, name: str, text: str) -> None:
        """Replace the content, as after a change of the secret."""
        self._number += 1
        data = self.folder / f"..{self._number}"
        data.mkdir()
        (data / name).write_text(text)
        link = self.folder / "..new"
        link.symlink_to(data.name)
        link.replace(self.folder / "..data")
        if not (self.folder / name).is_symlink():
            (self.folder / name).symlink_to(f"..data/{name}")


def test_a_pod_serves_takes_new_keys_from_its_secret_and_sweeps(tmp_path: Path) -> None:
    """With the settings of the ConfigMap, but for stores and paths, which lie in a folder."""
    folder = tmp_path / "pod"
    folder.mkdir()
    settings = {name: value for name, value in _CONFIGURATION.items() if not value.startswith(("az:", "/"))}
    settings |= {name: f"{folder}{value}" for name, value in _CONFIGURATION.items() if value.startswith("/")}
    server = Server((str(tmp_path / "store"), {}), folder, **settings)
    del server.environment["TAILRACE_API_KEYS"]
    mounted, made = _Mounted(folder / "keys"), tmp_path / "made.jsonl"

    def new_key() -> str:
        with_file = {**server.environment, "TAILRACE_API_KEYS_FILE": str(made)}
        done = run(("keys", "new", "--team", "acme"), with_file, tmp_path, program=TAILRACE)
        assert done.returncode == 0, done.stderr
        mounted.update("keys.jsonl", made.read_text())
        return done.stdout.strip()

    def status(key: str) -> int:
        return server.request("/v4/workflows", headers={"x-api-key": key}).status

    first = new_key()
    with server:
        assert (status(first), server.request("/readyz").status) == (200, 200)
        second = new_key()
        wait_for(lambda: status(second) == 200)
        assert status(first) == 200
        # The pod of the CronJob has no file of keys.
        job = KUBERNETES["CronJob tailrace-sweep"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
        program, *command = job["command"]
        server.environment["TAILRACE_API_KEYS_FILE"] = str(tmp_path / "nothing" / "keys.jsonl")
        done = server.command(*command)
        assert (program, done.returncode, done.stderr) == ("tailrace", 0, "")
