"""What the Python client for asyncio does with events and with registered services of a real server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

import crucible
from tests.servers import RunningServer


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[crucible.AsyncClient]:
    async with crucible.AsyncClient(server.address) as connected:
        yield connected


async def test_events_are_emitted_delivered_and_listed(client: crucible.AsyncClient) -> None:
    kind = f"test.{uuid.uuid4().hex}"
    first = await client.emit(kind, {"n": 0})
    more = await client.emit_all([crucible.NewEvent(kind, {"n": number}) for number in range(1, 5)])
    sequences = [first.sequence, *(each.sequence for each in more)]
    assert sequences == sorted(sequences)
    got = []
    async with client.subscribe(kind, after=first.sequence - 1) as subscription:
        async for event in subscription:
            got.append((event.sequence, event.data["n"]))
            if len(got) == 5:
                break
    assert got == list(zip(sequences, range(5), strict=True))
    assert subscription.last_sequence == sequences[-1]
    assert [event.sequence async for event in client.events(kind, page_size=2)] == sequences[::-1]


async def test_a_subscription_begins_with_what_happens_next(client: crucible.AsyncClient) -> None:
    kind = f"test.{uuid.uuid4().hex}"
    await client.emit(kind, "before")
    async with client.subscribe(kind) as subscription:
        await client.emit(kind, "after")
        assert (await anext(aiter(subscription))).data == "after"
        await client.unsubscribe(subscription.subscription_id)


async def test_services_are_registered_watched_and_taken_back(client: crucible.AsyncClient) -> None:
    kind = uuid.uuid4().hex
    async with client.watch_services(kind) as watch:
        changes = aiter(watch)
        assert await anext(changes) == crucible.ServiceChange((), ())
        service = await client.register_service(f"{kind}-1", kind, "https://example.com/api", lease=60)
        assert await anext(changes) == crucible.ServiceChange((service,), ())
        assert await client.heartbeat(service.service_id) > service.lease_expire_time
        assert [each.service_id async for each in client.services(kind)] == [service.service_id]
        await client.unregister_service(service.service_id)
        assert await anext(changes) == crucible.ServiceChange((), (service.service_id,))
    with pytest.raises(crucible.ServiceNotFound):
        await client.unregister_service(service.service_id)
