"""A thousand executions leave nothing: no zombie, no descriptor, no memory that grows with their number."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import crucible
from tests.conftest import StartServer
from tests.engine.processes import descriptors_of, resident_bytes, wait_until, zombies_of
from tests.servers import RunningServer, children_of

EXECUTIONS = 1000
WARM_UP = 200
AT_ONCE = 8
GROWTH = 8 * 1024 * 1024
"""Bytes that server or zygote may have grown: a leak of 8 KiB for each execution is seen."""

TALKS = 'pub fn main(n) { println!("{n}"); crucible::basic::log("called"); n }'
# Their ends differ: a panic, an error, an allocation refused, a protocol of the compiler.
FAILS = (
    'pub fn main(n) { panic!("no") }',
    "pub fn main(n) { Err(n) }",
    'pub fn main(n) { let s = "xxxxxxxx"; loop { s += s; } }',
    "pub fn main(n) { loop {} }",
)


async def run_many(address: str, number: int) -> None:
    async with crucible.AsyncClient(address) as client:
        talks = await client.compile(TALKS)
        fails = [await client.compile(source) for source in FAILS]
        numbers = iter(range(number))

        async def worker() -> None:
            for n in numbers:
                if n % 50 == 49:
                    script = fails[n // 50 % len(FAILS)]
                    result = await client.run(script, args={"n": n}, check=False, timeout=0.2)
                    assert not result.success
                else:
                    assert (await client.run(talks, args={"n": n})).value == n

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def descriptors(server: RunningServer) -> tuple[Counter[str], Counter[str]]:
    """What the descriptors of server and zygote lead to: sockets, pipes, files by their names."""
    kinds = [
        Counter(target.partition(":[")[0] for target in descriptors_of(pid).values())
        for pid in (server.pid, server.zygote_pid())
    ]
    # SQLite keeps a closed connection's files for the next one while another holds a lock: a few, not ever more.
    for name in [name for name in kinds[0] if "crucible.db" in name]:
        assert kinds[0].pop(name) <= 8, f"{name} is open too often"
    return kinds[0], kinds[1]


def wait_for_rest(server: RunningServer) -> None:
    """Connections and children close a moment after the last call."""
    zygote = server.zygote_pid()
    wait_until(lambda: len(children_of(zygote)) == 2, "expected the two spares alone")
    with crucible.Client(server.address) as client:
        wait_until(lambda: client.health().details["active_executions"].int_value == 0, "some are active")
    time.sleep(0.5)


async def test_a_thousand_executions_leave_nothing(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_SPARE_CHILDREN="2")
    zygote = server.zygote_pid()
    await run_many(server.address, WARM_UP)
    wait_for_rest(server)
    before = descriptors(server)
    memory = resident_bytes(server.pid), resident_bytes(zygote)
    await run_many(server.address, EXECUTIONS)
    wait_for_rest(server)
    assert server.zygote_pid() == zygote, "the zygote was replaced"
    assert zombies_of(zygote) == zombies_of(server.pid) == []

    def are_closed() -> bool:
        return all(now <= then for now, then in zip(descriptors(server), before, strict=True))

    wait_until(are_closed, f"expected no more than {before} to be open")
    grown = resident_bytes(server.pid) - memory[0], resident_bytes(zygote) - memory[1]
    assert max(grown) < GROWTH, f"server and zygote grew by {grown} bytes"
