"""A PostgreSQL server for tests: of Debian's package, on a free loopback port, under a user without rights."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import psycopg
from psycopg import sql

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

VERSION = 15
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_NOBODY = "nobody"
GUARDED, PASSWORD = "guarded", "correct horse battery staple"
"""A user who has to give a password, and that password."""


def program(name: str) -> str:
    """The path of a program of the server's package, which Debian keeps off the PATH."""
    beside = Path(f"/usr/lib/postgresql/{VERSION}/bin/{name}")
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise AssertionError(
            f"PostgreSQL is needed for tests: install postgresql-{VERSION} (Debian), or put it on the PATH"
        )
    return found


# A parent, to the kernel, is the thread that has started the process: this one lasts as long as the tests do.
_STARTING = ThreadPoolExecutor(1, thread_name_prefix="postgresql")


def reserved_port() -> socket.socket:
    """A socket at a loopback port that nobody listens on, and that nobody else is given while it is open.

    Who asks for this port, as PostgreSQL does, gets it: both allow that the address is used again.
    """
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place


class PostgresServer:
    """One server with a folder of its own. A context manager that starts it, stops it and removes the folder."""

    def __init__(self, *settings: str) -> None:
        """`settings` are such as `max_connections=20`."""
        self._settings = settings
        self._user = pwd.getpwnam(_NOBODY).pw_uid if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="crucible-pg-"))
        self._place = reserved_port()
        self.port = int(self._place.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def __enter__(self) -> Self:
        try:
            if self._user is not None:
                os.chown(self.folder, self._user, self._user)
            self._initialise()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._remove()

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str, user: str = "crucible") -> str:
        """The address of one of its databases."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            "fsync=off",
            "full_page_writes=off",
            "max_connections=60",
            "shared_buffers=32MB",
            *self._settings,
        ]
        with (self.folder / "log").open("ab") as log:
            starting = _STARTING.submit(
                subprocess.Popen,
                # It goes when the tests are killed; what would have it go is forgotten with a change of the user.
                [*self._as_user(), "setpriv", "--pdeathsig", "INT"]
                + [program("postgres"), "-D", str(self.folder / "data")]
                + [word for option in options for word in ("-c", option)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
            self._process = starting.result()
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise AssertionError("PostgreSQL did not start:\n" + (self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def stop(self, number: int = signal.SIGINT) -> None:
        """Has it break off all sessions and end; SIGQUIT ends it as a crash does."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            raise
        self._process = None

    def connect(self, database: str, user: str = "crucible", **options: Any) -> Connection:
        """A connection of the test's own, in autocommit mode."""
        connection: Connection = psycopg.connect(
            self.url(database, user), autocommit=True, connect_timeout=30, **options
        )
        return connection

    def create(self, template: str = "template0", name: str = "", **options: str) -> str:
        """Makes a database and returns its name."""
        self._databases += 1
        name = name or f"t{self._databases}"
        words = sql.SQL(" ").join(sql.SQL(f"{key} {value}") for key, value in options.items())
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy ").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        with contextlib.closing(self.connect("postgres")) as connection:
            connection.execute(command + words)
        return name

    def drop(self, name: str) -> None:
        """Removes a database, whoever is connected to it."""
        with contextlib.closing(self.connect("postgres")) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _initialise(self) -> None:
        # A language whose order of letters is not that of their numbers: nothing may depend on it.
        subprocess.run(
            [
                *self._as_user(),
                program("initdb"),
                "-D",
                str(self.folder / "data"),
                "--username=crucible",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--locale-provider=icu",
                "--icu-locale=en-US",
            ],
            check=True,
            capture_output=True,
            timeout=START_SECONDS,
            cwd=self.folder,
        )
        access = self.folder / "data" / "pg_hba.conf"
        access.write_text(f"host all {GUARDED} 127.0.0.1/32 scram-sha-256\n" + access.read_text())

    def _as_user(self) -> Sequence[str]:
        if self._user is None:
            return ()
        return ("setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups")

    def _remove(self) -> None:
        self._place.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def database_of(server: PostgresServer, template: str = "template0") -> Iterator[str]:
    """A database for as long as it is needed."""
    name = server.create(template)
    try:
        yield name
    finally:
        server.drop(name)
