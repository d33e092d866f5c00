"""Words of the command line that several commands share. Light: it is loaded for every help and completion."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_SERVER = "127.0.0.1:50051"


class Level(StrEnum):
    """Security levels by the names that people type."""

    SAFE = "safe"
    PRODUCTION = "production"
    DEVELOPMENT = "development"


class State(StrEnum):
    """States of executions by the names that people type."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


SourceArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The script, a folder with a main.rn, or - for standard input.")
]
OwnServerOption = Annotated[
    str | None, typer.Option("--server", metavar="HOST:PORT", help="A server of its own when left out.")
]
ServerOption = Annotated[
    str, typer.Option("--server", metavar="HOST:PORT", envvar="CRUCIBLE_SERVER", help="The server to ask.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for each id.")]

PrincipalOption = Annotated[str, typer.Option(help="Only those of this principal.")]
SinceOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only those from then on: RFC 3339, or how long ago, such as 2h, 7d.")
]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only those before then, given likewise.")]
LimitOption = Annotated[int, typer.Option(min=1, metavar="N", help="How many to list at most, newest first.")]
AllOption = Annotated[bool, typer.Option("--all", help="List all, whatever --limit says.")]
PageTokenOption = Annotated[str, typer.Option(metavar="TOKEN", help="Go on where a list ended, with the same filters.")]
IdsOption = Annotated[bool, typer.Option("--ids", help="Print the ids only, one a line.")]
ConfigOption = Annotated[Path | None, typer.Option(metavar="FILE", help="A configuration file (TOML).")]
DataDirOption = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where scripts and executions are kept.")]
