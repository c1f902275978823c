"""The parts of a front over directories, without a process or a socket."""

from pathlib import Path

from engine.bootstrap import initialise
from engine.settings import DuckDBSettings, StorageSettings
from web.container import Services, make_services
from web.settings import AdmissionSettings, AuthSettings, QuerySettings, ServerSettings, SigningSettings


def services_in(folder: Path, admission: AdmissionSettings | None = None) -> Services:
    """Services whose results, exports and spill lie in ``r``, ``e`` and ``s`` of a folder."""
    storage = StorageSettings(results=str(folder / "r"), exports=str(folder / "e"))
    initialise(storage)
    return make_services(
        storage,
        DuckDBSettings(spill_directory=folder / "s"),
        ServerSettings(),
        AuthSettings(api_keys="a-key=team"),
        SigningSettings(signing_keys="k1=0123456789abcdef0123456789abcdef"),
        admission or AdmissionSettings(),
        QuerySettings(),
    )
