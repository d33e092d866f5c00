"""Changes of the configuration that were made by calls, as the store keeps them."""

from __future__ import annotations

import asyncio

import pytest

from crucible_server.store import Store, StoreError, StoreErrorKind
from crucible_server.store.configurations import KEPT_REVISIONS, ConfigRevisionRecord
from crucible_server.store.maintenance import check_store
from tests.store.databases import StoreDatabase
from tests.store.records import NOW


def revision(version: int) -> ConfigRevisionRecord:
    return ConfigRevisionRecord(version, NOW + version, "anna", f"no. {version}", None, b"", b'{"spare_children": 1}')


async def add(store: Store, first: int, last: int) -> None:
    await asyncio.gather(*(store.add_config_revision(revision(version)) for version in range(first, last + 1)))


async def versions(store: Store) -> list[int]:
    return [each.version for each in await store.list_config_revisions(1 << 62, 1 << 20)]


async def test_the_newest_are_kept_and_the_one_in_force_among_them(store: Store, url: str) -> None:
    assert await store.latest_config_revision() is None
    await add(store, 1, KEPT_REVISIONS)
    assert await versions(store) == list(range(KEPT_REVISIONS, 0, -1))
    await add(store, KEPT_REVISIONS + 1, KEPT_REVISIONS + 3)
    assert await versions(store) == list(range(KEPT_REVISIONS + 3, 3, -1))
    assert await store.latest_config_revision() == revision(KEPT_REVISIONS + 3)
    assert await store.get_config_revision(3) is None
    assert await store.get_config_revision(4) == revision(4)
    report = check_store(url)
    assert (report.problems, report.config_revisions) == ([], KEPT_REVISIONS)


async def test_a_number_that_is_taken_deletes_nothing(store: Store) -> None:
    await add(store, 1, KEPT_REVISIONS)
    with pytest.raises(StoreError) as raised:
        await store.add_config_revision(revision(KEPT_REVISIONS))
    assert raised.value.kind is StoreErrorKind.CONFLICT
    assert len(await versions(store)) == KEPT_REVISIONS


async def test_many_that_an_older_version_has_kept_go_with_the_next(store: Store, database: StoreDatabase) -> None:
    names = "(version, time, principal, comment, changes, overlay)"
    database.change_all(
        f"INSERT INTO config_revisions {names} VALUES (?, ?, ?, ?, ?, ?)",
        [(version, NOW, "anna", "", b"", b"{}") for version in range(1, KEPT_REVISIONS + 501)],
    )
    await add(store, KEPT_REVISIONS + 501, KEPT_REVISIONS + 501)
    assert await versions(store) == list(range(KEPT_REVISIONS + 501, 501, -1))
