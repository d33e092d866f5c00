"""`crucible store`: looking after the store of a server, from beside it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from crucible_server.cli.exits import Exit
from crucible_server.cli.options import ConfigOption, DataDirOption, JsonOption
from crucible_server.cli.progress import bar
from crucible_server.cli.tables import emit_sheet, size
from crucible_server.cli.terminal import CommandError, emit

if TYPE_CHECKING:
    from crucible_server.config import ServerConfig
    from crucible_server.store import UnitRecord
    from crucible_server.store.maintenance import CheckReport

app = typer.Typer(help="The store of a server: check, back up, restore, reseal.", no_args_is_help=True)


@app.command()
def check(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Check the whole store, while a server runs or not; nothing is changed.

    Exit code 0: it is sound; 3: it is damaged, or cannot be opened.
    """
    settings = _settings(config, data_dir)
    with _store_errors(), bar("checking", enabled=not as_json) as progress:
        from crucible_server.store.maintenance import check_store

        is_sealed = _seal(settings)
        report = check_store(
            settings.store_url,
            password=_password(settings),
            is_sealed=is_sealed,
            script_id_of=_script_id_of,
            progress=progress,
        )
    _print_report(report, seals_checked=is_sealed is not None, as_json=as_json)
    if report.problems:
        raise typer.Exit(Exit.REFUSED)


@app.command()
def backup(
    destination: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make; it must not exist.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the store into a file, while a server runs or not.

    The key of the byte code is not in it: keep that file too, or have the byte code compiled anew.
    """
    settings = _settings(config, data_dir)
    with _store_errors(), bar("backing up", enabled=not as_json) as progress:
        from crucible_server.store.maintenance import backup_store

        backup_store(settings.store_url, destination, progress, password=_password(settings))
        written = destination.stat().st_size
    if as_json:
        _emit_json({"backup": str(destination), "bytes": written})
    else:
        emit(sys.stdout, f"{destination}: a backup of {size(written)}\n")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup made by `crucible store backup`.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the place of the store. The server has to be stopped; the store that was there is kept."""
    settings = _settings(config, data_dir)
    with _store_errors(), bar("restoring", enabled=not as_json) as progress:
        from crucible_server.store.maintenance import restore_store

        kept = restore_store(file, settings.store_url, progress, password=_password(settings))
    if as_json:
        _emit_json({"restored": str(file), "kept": str(kept) if kept else None})
        return
    emit(sys.stdout, f"{file}: restored\n")
    if kept:
        emit(sys.stdout, f"what was there before is now {_place_of(kept)}\n")


@app.command()
def reseal(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Take up the key that is configured now, or a new one, when the former is lost. The server has to be stopped.

    Stored byte code is dropped and compiled anew from the sources when it is needed. Nothing else is lost.
    """
    settings = _settings(config, data_dir)
    with _store_errors():
        import asyncio

        dropped = asyncio.run(_reseal(settings))
    if as_json:
        _emit_json({"dropped_units": dropped})
    else:
        emit(sys.stdout, f"the key is taken up; byte code of {dropped} scripts is dropped and will be compiled anew\n")


async def _reseal(config: ServerConfig) -> int:
    from crucible_server.engine.keys import reseal as adopt_key
    from crucible_server.engine.storage import open_store
    from crucible_server.store import StoreError, StoreErrorKind
    from crucible_server.store.address import SqliteAddress, address_of

    address = address_of(config.store_url)
    if isinstance(address, SqliteAddress) and not address.path.exists():
        raise StoreError(
            StoreErrorKind.CONFIGURATION,
            f"there is no store at {address}: nothing to reseal. Name it by --data-dir or --config",
        )
    store = await open_store(config)
    try:
        if others := await store.other_servers():
            raise StoreError(
                StoreErrorKind.LOCKED,
                f"the store {address} is in use by {', '.join(others)}: stop all servers that share it first",
            )
        return await adopt_key(config, store)
    finally:
        await store.close()


def _settings(file: Path | None, data_dir: Path | None) -> ServerConfig:
    from crucible_server.cli.serve import configuration

    return configuration(file, {} if data_dir is None else {"data_dir": data_dir})


def _password(config: ServerConfig) -> str | None:
    from crucible_server.engine.storage import store_password

    return store_password(config)


def _place_of(kept: str) -> str:
    return kept if "/" in kept else f"the schema {kept} of the database; drop it when it is not wanted any more"


def _seal(config: ServerConfig) -> Callable[[UnitRecord], bool] | None:
    """What tells whether byte code is sealed by the key of this server; None when there is no key."""
    from crucible_server.engine.keys import configured_seal

    if config.unit_key is None and not config.unit_key_file.exists():
        return None
    return configured_seal(config, may_create=False).is_valid


def _script_id_of(source: bytes) -> str:
    from crucible.v1 import script_pb2
    from crucible_server.engine.identity import script_id

    return script_id(script_pb2.ScriptSource.FromString(source))


@contextmanager
def _store_errors() -> Iterator[None]:
    """Errors of the store as CommandError, and an order to end as one too, so that what is half done is tidied up."""
    from crucible_server.errors import ServiceError
    from crucible_server.store import StoreError, StoreErrorKind

    def terminate(_number: int, _frame: object) -> NoReturn:
        raise CommandError(Exit.TERMINATED, "terminated by a signal")

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except StoreError as error:
        # A place that cannot be meant, such as a file that exists already.
        misused = error.kind in (StoreErrorKind.CONFIGURATION, StoreErrorKind.CONFLICT)
        raise CommandError(Exit.USAGE if misused else Exit.REFUSED, error.message) from None
    except (ServiceError, OSError) as error:
        raise CommandError(Exit.REFUSED, str(error)) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_report(report: CheckReport, *, seals_checked: bool, as_json: bool) -> None:
    if as_json:
        _emit_json(
            {
                "sound": not report.problems,
                "problems": report.problems,
                "seals_checked": seals_checked,
                "schema": report.revision,
                "bytes": report.bytes,
                "scripts": report.scripts,
                "units": report.units,
                "executions": report.executions,
                "output_segments": report.output_segments,
                "events": report.events,
                "services": report.services,
                "config_revisions": report.config_revisions,
            }
        )
        return
    emit_sheet(
        (
            ("schema", report.revision),
            ("size", size(report.bytes)),
            ("scripts", f"{report.scripts:,}"),
            ("byte code", f"{report.units:,}" + ("" if seals_checked else "; not checked for want of the key")),
            ("executions", f"{report.executions:,}"),
            ("output", f"{report.output_segments:,} segments"),
            ("events", f"{report.events:,}"),
            ("services", f"{report.services:,}"),
            ("configuration", f"{report.config_revisions:,} changes by calls"),
            ("problems", "\n".join(report.problems) or "none"),
        )
    )
    if report.problems:
        emit(
            sys.stderr,
            "error: the store is damaged. Stop the server, keep a copy of it (a file with its -wal file), and restore "
            "a backup with `crucible store restore`\n",
        )


def _emit_json(document: dict[str, object]) -> None:
    import json

    emit(sys.stdout, json.dumps(document, ensure_ascii=False) + "\n")
