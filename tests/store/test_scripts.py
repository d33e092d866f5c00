"""Scripts, names and byte code."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from crucible_server.store import ScriptDeletion, ScriptStats, ScriptSummary, Store, StoreError, StoreErrorKind
from tests.store.records import FAILED, NOW, RUNNING, end, execution, script, unit


async def test_a_script_comes_back_as_it_went_in(store: Store) -> None:
    await store.put_script(script(), unit(), "tools/clean")
    assert await store.get_script("local", "sha256") == script()
    assert await store.get_unit("key") == unit()
    assert await store.resolve_name("local", "tools/clean") == "sha256"


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.get_script("local", "sha256") is None
    assert await store.get_unit("key") is None
    assert await store.resolve_name("local", "tools/clean") is None


async def test_another_tenants_script_and_name_are_not_there(store: Store) -> None:
    await store.put_script(script(), unit(), "clean")
    assert await store.get_script("other", "sha256") is None
    assert await store.resolve_name("other", "clean") is None


async def test_storing_again_keeps_who_and_when_and_renews_the_rest(store: Store) -> None:
    await store.put_script(script(), unit(), None)
    later = script(principal="bert", create_time=NOW + 5, last_used_time=NOW + 5, functions=b"more")
    await store.put_script(later, unit(mac=b"new"), None)
    assert await store.get_script("local", "sha256") == replace(later, principal="anna", create_time=NOW)
    assert (await store.get_unit("key")) == unit(mac=b"new")


async def test_a_name_points_at_the_newest(store: Store) -> None:
    await store.put_script(script(), None, "clean")
    await store.put_script(script("sha257"), None, "clean")
    assert await store.resolve_name("local", "clean") == "sha257"
    assert await store.get_script("local", "sha256") == script()


async def test_script_unit_and_name_are_stored_together_or_not_at_all(store: Store) -> None:
    # The unit names a script that does not exist; the foreign key refuses it after the script was inserted.
    with pytest.raises(StoreError) as caught:
        await store.put_script(script(), unit(script_id="elsewhere"), "clean")
    assert caught.value.kind is StoreErrorKind.CONFLICT
    assert await store.get_script("local", "sha256") is None
    assert await store.resolve_name("local", "clean") is None


async def test_a_script_belongs_to_all_who_stored_it(store: Store) -> None:
    await store.put_script(script(), unit(), "clean")
    await store.put_script(script(principal="bert"), None, None)
    assert await store.delete_script("local", "sha256", "carl") == ScriptDeletion(False, False, ())
    assert await store.delete_script("local", "sha256", "anna") == ScriptDeletion(True, False, ())
    assert await store.delete_script("local", "sha256", "anna") == ScriptDeletion(False, False, ())
    assert await store.resolve_name("local", "clean") == "sha256"
    assert await store.get_unit("key") == unit()
    assert await store.script_stats("local", ["sha256"]) != []
    assert store.script_count == 1


async def test_with_the_last_reference_goes_all_of_the_script(store: Store, path: Path) -> None:
    await store.put_script(script(), unit(), "clean")
    await store.put_script(script(), unit("key2"), "tidy")
    await store.put_script(script(tenant="other"), unit("key3", tenant="other"), "clean")
    deletion = await store.delete_script("local", "sha256", "anna")
    assert (deletion.found, deletion.removed, set(deletion.unit_keys)) == (True, True, {"key", "key2"})
    assert await store.get_script("local", "sha256") is None
    assert await store.get_script_summary("local", "sha256") is None
    assert await store.get_unit("key") is None
    assert await store.resolve_name("local", "clean") is None
    assert await store.resolve_name("other", "clean") == "sha256"
    assert await store.get_unit("key3") is not None
    assert store.script_count == 1
    connection = sqlite3.connect(path)
    for table in ("scripts", "script_names", "script_references", "script_stats", "units"):
        assert connection.execute(f"SELECT count(*) FROM {table} WHERE tenant = 'local'").fetchone() == (0,), table
    connection.close()
    await store.put_script(script(), unit(), None)
    assert await store.script_stats("local", ["sha256"]) == [ScriptStats("sha256", 0, 0, 0, 0, 0, None)]


async def test_names_are_given_and_taken(store: Store) -> None:
    assert not await store.name_script("local", "clean", "sha256", NOW)
    assert await store.resolve_name("local", "clean") is None
    await store.put_script(script(), None, "tidy")
    assert await store.name_script("local", "clean", "sha256", NOW)
    assert not await store.name_script("other", "clean", "sha256", NOW)
    found = await store.get_script_summary("local", "sha256")
    assert found == ScriptSummary("local", "sha256", "anna", NOW, NOW, 6, b"functions", ("clean", "tidy"))
    assert await store.remove_name("local", "clean")
    assert not await store.remove_name("local", "clean")
    assert await store.resolve_name("local", "clean") is None
    assert await store.resolve_name("local", "tidy") == "sha256"


async def test_the_last_use_moves_forward_only(store: Store) -> None:
    async def last_used() -> int:
        found = await store.get_script("local", "sha256")
        assert found is not None
        return found.last_used_time

    await store.put_script(script(last_used_time=NOW + 5), None, None)
    store.touch_scripts([("local", "sha256", NOW + 3), ("local", "nobody", NOW + 9)])
    store.touch_scripts([])
    await store.check()
    assert await last_used() == NOW + 5
    store.touch_scripts([("local", "sha256", NOW + 8)])
    await store.check()
    assert await last_used() == NOW + 8
    await store.put_script(script(last_used_time=NOW), None, None)
    assert await last_used() == NOW + 8


async def test_the_ends_of_executions_add_up(store: Store) -> None:
    await store.put_script(script(), None, None)
    await store.put_script(script("idle"), None, None)
    ends = (
        end("a", execution_time_ns=5, memory_bytes=10, end_time=NOW + 9),
        end("b", execution_time_ns=7, memory_bytes=3, end_time=NOW + 4, success=False, state=FAILED),
        end("c", script_id="gone"),
    )
    for each in ends:
        await store.begin_execution(execution(each.execution_id, script_id=each.script_id))
        await store.finish_execution(each)
    for again in ends:
        with pytest.raises(StoreError):
            await store.finish_execution(again)
    await store.begin_execution(execution("d", state=RUNNING, start_time=NOW))
    await store.interrupt_unfinished(NOW + 20, lambda *_: b"")
    assert await store.script_stats("local", ["idle", "gone", "sha256"]) == [
        ScriptStats("idle", 0, 0, 0, 0, 0, None),
        ScriptStats("sha256", 3, 1, 5 + 7 + 20, 20, 10, NOW + 20),
    ]
    assert await store.script_stats("other", ["sha256"]) == []
    found = await store.get_script("local", "sha256")
    assert found is not None
    assert found.last_used_time == NOW + 20


async def test_byte_code_is_dropped_by_its_seal(store: Store) -> None:
    await store.put_script(script(), unit(), None)
    assert not await store.drop_unit("key", b"another seal")
    assert not await store.drop_unit("key2", b"mac")
    assert await store.get_unit("key") == unit()
    assert await store.drop_unit("key", b"mac")
    assert await store.get_unit("key") is None


async def test_byte_code_of_other_toolchains_is_dropped(store: Store) -> None:
    for number in range(90):
        toolchain = ("rune 0", "rune 1", "rune 2")[number % 3]
        await store.put_script(script(), unit(f"key{number}", toolchain=toolchain), None)
    assert await store.drop_units_of_other_toolchains("rune 1") == 60
    assert await store.drop_units_of_other_toolchains("rune 1") == 0
    assert await store.get_unit("key1") == unit("key1")
    assert await store.get_unit("key0") is None
    assert await store.drop_all_units() == 30
    assert await store.drop_all_units() == 0
    assert await store.get_script("local", "sha256") == script()


async def test_settings(store: Store) -> None:
    assert await store.get_setting("cache") is None
    await store.put_setting("cache", b"\x00on")
    await store.put_setting("other", b"")
    await store.put_setting("cache", b"off")
    assert await store.get_setting("cache") == b"off"
    assert await store.get_setting("other") == b""
