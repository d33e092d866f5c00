"""Stores in real files and real databases, and records to put into them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crucible_server.store import Store
from crucible_server.store.schema import REVISIONS
from tests.postgresql import PostgresServer, database_of
from tests.store.databases import PostgresDatabase, SqliteFile, StoreDatabase

KINDS = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of a database runs on both, unless it looks into the file."""
    if "database" in metafunc.fixturenames:
        kinds = KINDS[:1] if "path" in metafunc.fixturenames else KINDS
        metafunc.parametrize("database", kinds, indirect=True)


@pytest.fixture(scope="session")
def template(postgres: PostgresServer) -> str:
    """A database with an empty store, of which others are copied."""
    name = postgres.create(name="template_store")
    PostgresDatabase(postgres, name).upgrade(REVISIONS[-1])
    return name


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreDatabase]:
    """A place where the test's store is or will be."""
    if request.param == "sqlite":
        yield SqliteFile(tmp_path / "data" / "crucible.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    is_empty = request.node.get_closest_marker("empty_database") is not None
    with database_of(server, "template0" if is_empty else request.getfixturevalue("template")) as name:
        yield PostgresDatabase(server, name)


@pytest.fixture
def path(database: StoreDatabase) -> Path:
    """The test's file: a test that asks for it is for SQLite only."""
    assert isinstance(database, SqliteFile)
    return database.path


@pytest.fixture
def url(database: StoreDatabase) -> str:
    """The database's address."""
    return database.url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An open, empty store."""
    store = await Store.open(url)
    yield store
    await store.close()
