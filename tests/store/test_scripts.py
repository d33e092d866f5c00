"""Scripts, names and byte code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crucible_server.store import Store, StoreError, StoreErrorKind
from tests.store.records import NOW, script, unit


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
