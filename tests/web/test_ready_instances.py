"""A service has instances of DuckDB open ahead while it serves, and leaves none when it stops."""

import asyncio
from pathlib import Path

from engine.session import SPARES
from engine.settings import DuckDBSettings, StorageSettings
from tests.helpers.server import Server
from web.app import create_app_with
from web.services import make_services
from web.settings import AdmissionSettings, AuthSettings, QuerySettings, ServerSettings, SigningSettings


def test_they_are_there_while_it_serves(tmp_path: Path) -> None:
    services = make_services(
        StorageSettings(results=str(tmp_path / "r"), exports=str(tmp_path / "e")),
        DuckDBSettings(spill_directory=tmp_path / "s"),
        ServerSettings(),
        AuthSettings(api_keys="a-key=team"),
        SigningSettings(signing_keys="k1=0123456789abcdef0123456789abcdef"),
        AdmissionSettings(),
        QuerySettings(),
    )
    app = create_app_with(services)

    async def serve() -> None:
        async with app.router.lifespan_context(app), asyncio.timeout(30):
            while SPARES.ready < 2:
                await asyncio.sleep(0.005)

    assert SPARES.ready == 0
    asyncio.run(serve())
    assert SPARES.ready == 0
    # What nobody took has never touched the disk.
    assert not (tmp_path / "s").exists()


def test_exports_one_after_another_and_at_once_leave_no_spill_folder(people: Server) -> None:
    bodies = {people.download("people", format="csv", sortBy=field) for field in ("name", "age", "city", "name")}
    assert len(bodies) == 3
    assert list((people.folder / "spill").iterdir()) == []
