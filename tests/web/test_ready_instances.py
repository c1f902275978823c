"""A service has instances of DuckDB open ahead while it serves, and leaves none when it stops."""

import asyncio
from pathlib import Path

from engine.execute.session import SPARES
from tests.helpers.server import Server
from tests.helpers.services import services_in
from web.app import create_app_with


def test_they_are_there_while_it_serves(tmp_path: Path) -> None:
    services = services_in(tmp_path)
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
