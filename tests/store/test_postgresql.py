"""What only PostgreSQL can refuse, and how the refusal helps."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from crucible_server.config import ServerConfig
from crucible_server.engine.storage import open_store, store_password
from crucible_server.store import ExecutionQuery, ScriptQuery, Store, StoreError, StoreErrorKind
from crucible_server.store.address import address_of
from crucible_server.store.maintenance import backup_store, check_store, restore_store
from crucible_server.store.postgresql.database import PostgresDatabase
from tests.postgresql import GUARDED, PASSWORD, PostgresServer, database_of, reserved_port
from tests.store.records import NOW, execution, script


@pytest.fixture
def name(postgres: PostgresServer) -> Iterator[str]:
    """An empty database."""
    with database_of(postgres) as made:
        yield made


@pytest.fixture
def guarded(postgres: PostgresServer, name: str) -> Iterator[str]:
    """The address of a database of a user who has to give a password."""
    with contextlib.closing(postgres.connect(name)) as connection:
        connection.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'")
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {GUARDED}")
        yield postgres.url(name, GUARDED)
        connection.execute(f"DROP OWNED BY {GUARDED}")
        connection.execute(f"DROP ROLE {GUARDED}")


async def refusal(url: str, password: str | None = None) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await Store.open(url, password=password)
    if password:
        assert password not in caught.value.message
    return caught.value


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that nobody listens on."""
    with reserved_port() as place:
        yield place.getsockname()[1]


async def test_a_server_that_is_not_there(tmp_path: Path, nobody: int) -> None:
    url = f"postgresql://crucible@127.0.0.1:{nobody}/crucible"
    error = await refusal(url)
    assert error.kind is StoreErrorKind.UNAVAILABLE
    assert "Check that PostgreSQL runs" in error.message
    for refused in (
        lambda: check_store(url),
        lambda: backup_store(url, tmp_path / "backup"),
    ):
        with pytest.raises(StoreError, match="cannot be reached"):
            refused()
    assert list(tmp_path.iterdir()) == []


async def test_a_database_that_is_not_there(postgres: PostgresServer) -> None:
    error = await refusal(postgres.url("absent"))
    assert error.kind is StoreErrorKind.CONFIGURATION
    assert "createdb" in error.message


async def test_a_wrong_password_is_refused_and_never_shown(guarded: str) -> None:
    for password in ("s3cret-but-wrong", None):
        error = await refusal(guarded, password)
        assert error.kind is StoreErrorKind.CONFIGURATION
        assert "store_password_file" in error.message
    store = await Store.open(guarded, password=PASSWORD)
    try:
        assert PASSWORD not in f"{store._database} {address_of(guarded, PASSWORD)!r}"
        await store.check()
    finally:
        await store.close()


async def test_a_user_that_is_not_there_or_has_no_rights(postgres: PostgresServer, name: str) -> None:
    url = postgres.url(name, "stranger")
    assert (await refusal(url)).kind is StoreErrorKind.CONFIGURATION
    with contextlib.closing(postgres.connect(name)) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
        try:
            error = await refusal(url)
            assert "permission denied" in error.message
            assert "owner of the database" in error.message
        finally:
            connection.execute("DROP OWNED BY stranger; DROP ROLE stranger")


async def test_a_database_of_another_encoding(postgres: PostgresServer) -> None:
    made = postgres.create(ENCODING="'LATIN1'", LOCALE="'C'", LOCALE_PROVIDER="libc")
    try:
        error = await refusal(postgres.url(made))
    finally:
        postgres.drop(made)
    assert error.kind is StoreErrorKind.CONFIGURATION
    assert "LATIN1; expected UTF8" in error.message


async def test_a_server_that_is_full(postgres: PostgresServer, name: str) -> None:
    with contextlib.closing(postgres.connect("postgres")) as connection:
        connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        connection.execute("CREATE ROLE ordinary LOGIN")
        try:
            error = await refusal(postgres.url(name, "ordinary"))
        finally:
            connection.execute("DROP ROLE ordinary")
    assert error.kind is StoreErrorKind.UNAVAILABLE


async def test_a_standby(postgres: PostgresServer, name: str) -> None:
    store = await Store.open(postgres.url(name))
    await store.close()
    with contextlib.closing(postgres.connect("postgres")) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    store = await Store.open(postgres.url(name) + "?options=-c%20default_transaction_read_only%3Doff")
    try:
        await store.check()
    finally:
        await store.close()
    store = await Store.open(postgres.url(name))
    try:
        with pytest.raises(StoreError) as caught:
            await store.check()
        assert caught.value.kind is StoreErrorKind.READ_ONLY
    finally:
        await store.close()


async def test_an_order_of_letters_that_is_not_that_of_the_database(postgres: PostgresServer, name: str) -> None:
    with contextlib.closing(postgres.connect(name)) as connection:
        # In English, capitals and small letters are mixed.
        assert connection.execute("SELECT 'B' > 'a'").fetchone() == (True,)
    store = await Store.open(postgres.url(name))
    try:
        for number, letters in enumerate(("a", "B", "\u00e9", "z", "Z", "_")):
            await store.put_script(script(letters), None, f"{letters}/name{number}")
        ids = [summary.script_id for summary in await store.list_scripts(ScriptQuery("local", 10))]
        assert ids == sorted(ids, reverse=True)
        for letters in ids:
            found = await store.list_scripts(ScriptQuery("local", 10, name_prefix=f"{letters}/"))
            assert [summary.script_id for summary in found] == [letters]
    finally:
        await store.close()
    with contextlib.closing(postgres.connect(name)) as connection:
        loose = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND data_type = 'character varying' AND collation_name IS DISTINCT FROM 'C' "
            "AND table_name <> 'alembic_version'"
        ).fetchall()
    assert loose == []


async def test_texts_that_cannot_be_stored_are_not_found(postgres: PostgresServer, name: str) -> None:
    store = await Store.open(postgres.url(name))
    try:
        await store.begin_execution(execution("e1"))
        assert await store.get_execution("local", "e1\0") is None
        assert await store.get_script("local", "\0") is None
        assert await store.resolve_name("local", "a\0b") is None
        assert await store.list_scripts(ScriptQuery("local", 10, name_prefix="\0")) == []
        assert await store.list_executions(ExecutionQuery("local", 10, principal="anna\0")) == []
        assert len(await store.list_executions(ExecutionQuery("local", 10, before=(NOW + 1, "\0")))) == 1
        with pytest.raises(StoreError) as caught:
            await store.begin_execution(execution("e2", script_name="a\0"))
        assert caught.value.kind is StoreErrorKind.CONFLICT
        await store.check()
    finally:
        await store.close()


async def test_writes_reach_the_disk_whatever_the_database_is_set_to(postgres: PostgresServer, name: str) -> None:
    for given, expected in (("off", "on"), ("local", "local"), ("on", "on")):
        with contextlib.closing(postgres.connect("postgres")) as connection:
            connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = {given}")
        store = await Store.open(postgres.url(name))
        try:
            assert isinstance(store._database, PostgresDatabase)
            assert store._database._connection.raw.execute("SHOW synchronous_commit").fetchone() == (expected,)
        finally:
            await store.close()


async def test_an_upgrade_waits_for_the_servers_of_the_older_version(
    postgres: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crucible_server.store.postgresql import schema

    monkeypatch.setattr(schema, "_WAIT_SECONDS", 0.3)
    older = await Store.open(postgres.url(name))
    try:
        with contextlib.closing(postgres.connect(name)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0003'; ALTER TABLE servers RENAME TO other")
            error = await refusal(postgres.url(name))
            assert error.kind is StoreErrorKind.LOCKED
            connection.execute("UPDATE alembic_version SET version_num = '0006'; ALTER TABLE other RENAME TO servers")
            await older.check()
            with pytest.raises(StoreError, match=rf"process {os.getpid()} on"):
                restore_store(await backup_of(older, postgres.url(name)), postgres.url(name))
    finally:
        await older.close()


async def backup_of(store: Store, url: str) -> Path:
    import tempfile

    folder = Path(tempfile.mkdtemp())
    await asyncio.to_thread(backup_store, url, folder / "backup")
    return folder / "backup"


async def test_servers_that_start_together_on_an_empty_database(postgres: PostgresServer, name: str) -> None:
    stores = await asyncio.gather(*(Store.open(postgres.url(name)) for _ in range(4)))
    try:
        assert len({store.instance_id for store in stores}) == 4
        keys = await asyncio.gather(*(store.claim_setting("key", bytes([n])) for n, store in enumerate(stores)))
        assert len(set(keys)) == 1
        for store in stores:
            await store.check()
    finally:
        for store in stores:
            await store.close()


async def test_the_password_comes_from_a_file_or_the_environment(
    guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    config = ServerConfig(data_dir=tmp_path, store_url=guarded, store_password_file=file)
    store = await open_store(config)
    await store.close()
    assert stat.S_IMODE((tmp_path / "server.id").stat().st_mode) == 0o600
    monkeypatch.setenv("CRUCIBLE_STORE_PASSWORD", PASSWORD)
    by_environment = ServerConfig(data_dir=tmp_path, store_url=guarded)
    assert PASSWORD not in repr(by_environment)
    store = await open_store(by_environment)
    await store.close()
    monkeypatch.delenv("CRUCIBLE_STORE_PASSWORD")
    for content, mode, words in ((PASSWORD, 0o644, "chmod 600"), ("", 0o600, "one line"), ("a\nb", 0o600, "one line")):
        file.write_text(content)
        file.chmod(mode)
        with pytest.raises(StoreError, match=words) as caught:
            store_password(config)
        assert PASSWORD not in caught.value.message
    file.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        store_password(config)
