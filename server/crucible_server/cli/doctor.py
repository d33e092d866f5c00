"""`crucible doctor`: whether a server can run here, and what to do about what is in its way."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crucible_server.cli.exits import Exit
from crucible_server.cli.options import ConfigOption, DataDirOption, JsonOption
from crucible_server.cli.terminal import emit

if TYPE_CHECKING:
    from crucible_server.cli.findings.finding import Finding

_COLOURS = {"ok": "32", "warning": "33", "error": "31"}


def doctor(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Look whether a server can run here: interpreter, kernel, limits, store, address. Changes nothing.

    Exit code 0: no errors; 3: something makes a server impossible.
    """
    found = _examine(config, data_dir)
    errors = sum(finding.status == "error" for finding in found)
    if as_json:
        document = {"ok": not errors, "findings": [asdict(finding) for finding in found]}
        emit(sys.stdout, json.dumps(document, ensure_ascii=False) + "\n")
    else:
        _print(found)
    if errors:
        raise typer.Exit(Exit.REFUSED)


def _examine(file: Path | None, data_dir: Path | None) -> list[Finding]:
    from crucible_server.cli.findings import development, files, kernel, machine, server, storage, toolchain
    from crucible_server.cli.findings.finding import bounded

    overrides = {} if data_dir is None else {"data_dir": data_dir}
    config, found = server.look_at_configuration(file, overrides)
    found += toolchain.look_at_programs(config)
    found += development.look(config) if config is not None else ()
    found += bounded(kernel.GROUP, kernel.look)
    found += bounded(machine.GROUP, lambda: machine.look(config))
    if config is not None:
        found += files.look(config)
        found += bounded(storage.GROUP, lambda: storage.look(config))
        found += bounded(server.GROUP, lambda: server.look_at_address(config))
    return found


def _print(found: Sequence[Finding]) -> None:
    width = max(len(finding.name) for finding in found)
    for group, findings in groupby(found, lambda finding: finding.group):
        emit(sys.stdout, f"{group}\n")
        for finding in findings:
            _print_status(finding.status)
            emit(sys.stdout, f"{finding.name:<{width}}  {finding.detail}\n")
            if finding.advice:
                emit(sys.stdout, f"{'':<{width + 13}}-> {finding.advice}\n")
    counts = [f"{sum(finding.status == status for finding in found)} {status}" for status in _COLOURS]
    emit(sys.stdout, ", ".join(counts) + "\n")


def _print_status(status: str) -> None:
    word = f"  {status:<7}  "
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        emit(sys.stdout, f"\x1b[{_COLOURS[status]}m{word}\x1b[0m", is_ours=True)
    else:
        emit(sys.stdout, word)
