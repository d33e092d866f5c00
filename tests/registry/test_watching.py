"""Those who watch: what changes is looked for once for all of them, and costs the others nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator

import pytest

from crucible_server.errors import ServiceError
from crucible_server.registry.watching import Change, Watching
from crucible_server.store import ServiceRecord

WEB = ServiceRecord("local", "web", "Web", "local", 1, 9, 5, 1, "", b"", b"")


class Services:
    """What there is, and how often somebody looked at all of it or at one."""

    def __init__(self, *records: ServiceRecord) -> None:
        self.records = {record.service_id: record for record in records}
        self.reads = self.looks = 0

    async def read(self, tenant: str) -> list[ServiceRecord]:
        self.reads += 1
        await asyncio.sleep(0)
        return [self.records[key] for key in sorted(self.records)]

    def put(self, service_id: str, **changes: object) -> None:
        """A service that is new, or changes."""
        known = self.records.get(service_id, WEB)
        self.records[service_id] = dataclasses.replace(known, service_id=service_id, **changes)  # type: ignore[arg-type]

    def fits(self, record: ServiceRecord) -> bool:
        """A filter: what is well."""
        self.looks += 1
        return record.status == 1


@pytest.fixture
def services() -> Services:
    return Services(*(dataclasses.replace(WEB, service_id=f"s-{number:03}") for number in range(500)))


@pytest.fixture
async def watching(services: Services) -> AsyncIterator[Watching]:
    watching = Watching(services.read)
    watching.start()
    yield watching
    await watching.stop()


async def take(changes: AsyncIterator[Change]) -> tuple[list[str], list[str]]:
    """Ids of what came or changed, and of what went."""
    change = await asyncio.wait_for(anext(changes), 10)
    return [each.service_id for each in change.services], sorted(change.gone)


async def test_many_who_watch_the_same_cost_one_look_at_what_changed(services: Services, watching: Watching) -> None:
    watches = [watching.watch(("local", b"well"), services.fits) for _ in range(300)]
    for changes in watches:
        assert len((await take(changes))[0]) == 500
    assert services.reads == 1
    assert services.looks == 500
    waiting = [asyncio.create_task(take(changes)) for changes in watches]
    await asyncio.sleep(0)
    services.put("s-007", register_time=2)
    watching.changed()
    assert await asyncio.gather(*waiting) == [(["s-007"], [])] * 300
    assert services.reads == 2
    assert services.looks == 501


async def test_changes_that_follow_closely_are_looked_at_together(services: Services, watching: Watching) -> None:
    changes = watching.watch(("local", b"well"), services.fits)
    await take(changes)
    waiting, began = asyncio.create_task(take(changes)), time.monotonic()
    for number in range(2, 52):
        services.put("s-001", register_time=number)
        watching.changed()
        await asyncio.sleep(0.01)
    assert (await waiting) == (["s-001"], [])
    # One at first, and some five a second, however long that takes; not fifty.
    assert services.reads <= 3 + 5 * (time.monotonic() - began)


async def test_who_is_slow_is_told_the_outcome_alone(services: Services, watching: Watching) -> None:
    slow, quick = (watching.watch(("local", b"well"), services.fits) for _ in range(2))
    await take(slow)
    await take(quick)
    for step in (
        lambda: services.put("s-001", status=3),
        lambda: services.put("new", register_time=5),
        lambda: services.put("brief", register_time=6),
        lambda: services.records.pop("brief"),
        lambda: services.records.pop("s-002"),
        lambda: services.records.pop("s-003"),
        lambda: services.put("s-003", register_time=7),
        lambda: services.put("s-004", register_time=8),
        lambda: services.put("s-004", register_time=9),
    ):
        step()
        watching.changed()
        await take(quick)
    # `brief` came and went.
    assert await take(slow) == (["new", "s-003", "s-004"], ["s-001", "s-002"])
    fresh = watching.watch(("local", b"well"), services.fits)
    found, gone = await take(fresh)
    assert (len(found), gone) == (499, [])
    services.records.pop("new")
    watching.changed()
    assert await take(slow) == await take(fresh) == await take(quick) == ([], ["new"])


async def test_a_stop_ends_those_who_watch(services: Services, watching: Watching) -> None:
    changes = watching.watch(("local", b"well"), services.fits)
    await take(changes)
    waiting = asyncio.create_task(take(changes))
    await asyncio.sleep(0)
    await watching.stop()
    with pytest.raises(ServiceError, match="watch again"):
        await waiting
    assert watching.count == 0
