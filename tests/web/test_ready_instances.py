"""A service runs its instance pool while it serves, and closes all instances when it stops."""

import asyncio
from pathlib import Path

from tests.helpers.server import Server
from tests.helpers.services import services_in
from web.app import create_app_with


def test_the_instance_pool_runs_while_the_service_does(tmp_path: Path) -> None:
    services = services_in(tmp_path)
    app = create_app_with(services)

    async def serve() -> None:
        async with app.router.lifespan_context(app), asyncio.timeout(30):
            while services.instances.ready < 2:
                await asyncio.sleep(0.005)

    assert services.instances.ready == 0
    asyncio.run(serve())
    assert services.instances.ready == 0
    # Instances that no session used create no spill folder.
    assert not (tmp_path / "s").exists()


def test_exports_leave_no_spill_folder(people: Server) -> None:
    bodies = {people.download("people", format="csv", sortBy=field) for field in ("name", "age", "city", "name")}
    assert len(bodies) == 3
    assert list((people.folder / "spill").iterdir()) == []
