"""How much is taken: numbers that can be held, lists that hold up nobody."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import crucible
from crucible.v1 import server_info_pb2
from crucible_server.config import Effect, HealthCheckConfig, ServerConfig, all_keys, load_config, value_at
from crucible_server.configuration import Configuration
from crucible_server.errors import ServiceError
from crucible_server.store import Store
from tests.configuration.conftest import TIMEOUT, Configured, wait_for_health, wait_until


def test_the_largest_of_everything_works(configured: Configured) -> None:
    """All at once what is at most taken, and executions still run, are stored and found, also after a restart."""
    largest: dict[str, object] = {}
    for key in all_keys(ServerConfig):
        if key.effect is Effect.LOCAL or key.path.startswith("engine.discovery") or key.section is HealthCheckConfig:
            continue
        value = value_at(ServerConfig(), key)
        for most in (2**53, 36500 * 86400.0, 2**31 - 1, 32 * 2**20, 2**20, 1_000_000, 32768, 1024, 256, 64):
            if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
                break
            try:
                configured.client.update_config({key.path: most}, validate_only=True)
            except crucible.ValidationError:
                continue
            largest[key.path] = most
            break
    # Two that are said of each child beforehand, on a machine that has not as much.
    for name in ("engine.resource_limits.max_memory_bytes", "spare_children", "max_spare_children"):
        largest.pop(name, None)
    assert len(largest) > 30
    configured.client.update_config(largest)
    for restarts in (False, True):
        if restarts:
            configured.restart()
        result = configured.client.run("pub fn main() { 1 }")
        assert configured.client.get_execution(result.execution_id).state == "SUCCEEDED"
        assert configured.client.server_info().max_stored_executions == 2**53
        assert configured.client.config()["execution_retention"] == 36500 * 86400.0
        assert wait_for_health(configured.client).status == server_info_pb2.SERVICE_STATUS_HEALTHY
    assert not any("Traceback" in line or "_failed" in line for line in configured.server.log)


async def test_what_an_applier_cannot_take_is_not_stored(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/crucible.db")
    configuration = Configuration(load_config(None, {"data_dir": tmp_path}))
    await configuration.open(store)

    def check(config: ServerConfig) -> None:
        if config.grace_period == 7:
            raise OverflowError("too much for this machine")

    configuration.checks.append(check)
    with pytest.raises(ServiceError, match="cannot be put in force: too much for this machine"):
        await configuration.update({"grace_period": 7}, [], expected=None, principal="anna", comment="")
    assert await store.latest_config_revision() is None
    assert (configuration.version, configuration.config.grace_period) == (0, 10.0)
    await store.close()


def test_others_are_served_while_a_long_list_is_read(configured: Configured) -> None:
    """The longest that is taken; meanwhile nobody waits for nearly as long as it takes."""
    entries = [f"https://h{number}.example.org" for number in range(10_000)]
    waits: list[tuple[float, float]] = []
    is_over = threading.Event()

    def ask() -> None:
        with crucible.Client(configured.server.address) as client:
            while not is_over.is_set():
                before = time.monotonic()
                client.server_info()
                waits.append((before, time.monotonic()))

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: bool(waits), "nothing is answered")
    before = time.monotonic()
    update = configured.client.update_config({"engine.http.allow": entries})
    after = time.monotonic()
    is_over.set()
    asking.join(TIMEOUT)
    assert len(update.config["engine.http.allow"]) == 10_000
    # What of them fell into it: the first has begun before, the last goes on.
    meanwhile = [min(end, after) - max(start, before) for start, end in waits if end > before and start < after]
    assert len(meanwhile) > 3
    assert max(meanwhile) < 0.9 * (after - before)
    assert max(map(len, configured.server.log)) < 3000
