"""Real disks that are full or read-only, real files without permissions: each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import pytest

from crucible_server.store import ExecutionQuery, Store, StoreError, StoreErrorKind
from crucible_server.store.maintenance import backup_store, check_store, restore_store
from tests.store.records import NOW, end, execution, script, segment, unit
from tests.store.test_maintenance import fill, finish, readable

ROOT = Path(__file__).parents[2]
NOBODY = 65534
PROGRAM = "import sys; from tests.store import test_disk; test_disk.run(sys.argv[1], sys.argv[2])"


async def refused(call: Awaitable[object]) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await call
    return caught.value


def inflate(disk: Path, room: int = 0) -> Path:
    """A file that leaves so many bytes of the disk."""
    balloon = disk / "balloon"
    with balloon.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(file.tell() - room)
    return balloon


async def full(disk: Path) -> None:
    """Fills the disk beside the store, and makes room again."""
    url = f"sqlite:///{disk}/crucible.db"
    store = await Store.open(url)
    await store.put_script(script(), unit(), "clean")
    await store.begin_execution(execution("before"))
    balloon = inflate(disk, room=500_000)
    acknowledged = []

    async def write() -> None:
        for number in range(10_000):
            await store.begin_execution(execution(f"e{number}", request=bytes(2000)))
            acknowledged.append(f"e{number}")
            await store.finish_execution(end(f"e{number}", output=None, expire_time=NOW))

    error = await refused(write())
    assert error.kind is StoreErrorKind.FULL
    assert "Free space" in error.message
    large = bytes(200_000)
    calls: list[Coroutine[object, object, object]] = [
        store.begin_execution(execution("large", request=large)),
        store.append_output("local", "before", segment(data=large)),
        store.finish_execution(end("before", output=segment(data=large))),
        store.put_script(script("new", source=large), None, None),
        store.put_setting("large", large),
    ]
    for call in calls:
        assert (await refused(call)).kind is StoreErrorKind.FULL
    count = store.execution_count
    assert count == len(acknowledged) + 1
    listed = await store.list_executions(ExecutionQuery("local", 20_000))
    assert {record.execution_id for record in listed} == {*acknowledged, "before"}
    with pytest.raises(StoreError) as caught:
        backup_store(url, disk / "backup")
    assert caught.value.kind is StoreErrorKind.FULL
    assert not any("backup" in file.name for file in disk.iterdir())

    balloon.unlink()
    await store.append_output("local", "before", segment(data=large))
    await store.finish_execution(end("before", output=None))
    assert await store.expire_executions(NOW, limit=20_000) > 0
    await store.check()
    await store.close()
    again = await Store.open(url)
    assert await again.get_output("local", "before") == segment(data=large)
    assert await again.resolve_name("local", "clean") == "sha256"
    await again.close()


async def full_before_the_start(disk: Path) -> None:
    """A store cannot be made, upgraded or restored without room; what is there stays."""
    url = f"sqlite:///{disk}/crucible.db"
    source = await Store.open(f"sqlite:///{disk}/source.db")
    await source.put_setting("large", bytes(1_000_000))
    await source.close()
    backup_store(f"sqlite:///{disk}/source.db", disk / "backup")
    balloon = inflate(disk)
    assert (await refused(Store.open(url))).kind is StoreErrorKind.FULL
    for target in (url, f"sqlite:///{disk}/source.db"):
        with pytest.raises(StoreError) as caught:
            restore_store(disk / "backup", target)
        assert caught.value.kind is StoreErrorKind.FULL
    balloon.unlink()
    assert await value_of(f"sqlite:///{disk}/source.db") == bytes(1_000_000)
    assert await value_of(url) is None


async def value_of(url: str) -> bytes | None:
    store = await Store.open(url)
    try:
        return await store.get_setting("large")
    finally:
        await store.close()


async def read_only(disk: Path) -> None:
    """A disk that is mounted read-only: no server, but checks and backups."""
    url = f"sqlite:///{disk}/crucible.db"
    store = await Store.open(url)
    await fill(store)
    await store.close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    error = await refused(Store.open(url))
    assert error.kind is StoreErrorKind.READ_ONLY
    assert "store_url" in error.message
    assert check_store(url).problems == []
    backup = disk.parent / "backup"
    backup_store(url, backup)
    assert check_store(f"sqlite:///{backup}").executions == 3
    with pytest.raises(StoreError) as caught:
        restore_store(backup, url)
    assert caught.value.kind is StoreErrorKind.READ_ONLY
    with pytest.raises(StoreError) as caught:
        backup_store(url, disk / "backup")
    assert caught.value.kind is StoreErrorKind.READ_ONLY


async def no_permission(folder: Path) -> None:
    """Files that this user may not write or read."""
    path = folder / "crucible.db"
    url = f"sqlite:///{path}"
    store = await Store.open(url)
    await store.begin_execution(readable("a"))
    await finish(store, "a")
    await store.close()
    if os.geteuid() == 0:
        # Nothing is forbidden to root. All that is imported late has been by now: it may be out of reach.
        for file in (folder, *folder.iterdir()):
            os.chown(file, NOBODY, NOBODY)
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    path.chmod(0o400)
    error = await refused(Store.open(url))
    assert error.kind is StoreErrorKind.READ_ONLY
    assert "write access" in error.message
    assert check_store(url).executions == 1
    path.chmod(0)
    assert (await refused(Store.open(url))).kind is StoreErrorKind.READ_ONLY
    with pytest.raises(StoreError):
        check_store(url)
    path.chmod(0o600)
    folder.chmod(0o500)
    # Neither the log nor the lock can be made.
    (folder / "crucible.db.lock").chmod(0o400)
    assert (await refused(Store.open(url))).kind is StoreErrorKind.READ_ONLY
    with pytest.raises(StoreError) as caught:
        backup_store(url, folder / "backup")
    assert caught.value.kind is StoreErrorKind.READ_ONLY
    folder.chmod(0o700)
    (folder / "crucible.db.lock").chmod(0o600)
    again = await Store.open(url)
    assert await again.get_execution("local", "a") is not None
    await again.close()


SCENARIOS: dict[str, Callable[[Path], Coroutine[object, object, None]]] = {
    each.__name__: each for each in (full, full_before_the_start, read_only, no_permission)
}


def run(name: str, folder: str) -> None:
    """Plays one of the scenarios, in a process of its own."""
    asyncio.run(SCENARIOS[name](Path(folder)))


def can_mount() -> bool:
    """Whether a small disk can be had."""
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/tmp"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="a disk of its own takes user and mount namespaces")
@pytest.mark.parametrize("name", ["full", "full_before_the_start", "read_only"])
def test_a_disk(tmp_path: Path, name: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=4m none "$1" && exec "$2" -c "$3" "$4" "$1"'
    arguments = ["sh", str(disk), sys.executable, PROGRAM, name]
    subprocess.run(["unshare", "-Urm", "sh", "-c", script, *arguments], cwd=ROOT, check=True, timeout=100)


def test_files_without_permissions() -> None:
    # The folders of pytest are for their owner only.
    with tempfile.TemporaryDirectory(prefix="crucible-") as folder:
        command = [sys.executable, "-c", PROGRAM, "no_permission", folder]
        subprocess.run(command, cwd=ROOT, check=True, timeout=100)
