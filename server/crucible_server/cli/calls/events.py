"""Events: following, listing, emitting."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from crucible import CrucibleError
from crucible.v1 import event_pb2
from crucible.v1 import event_service_pb2 as pb
from crucible.values import to_value
from crucible_server.cli.calls.arguments import moment
from crucible_server.cli.calls.connection import answer, client_error, complete, connect
from crucible_server.cli.calls.pages import ListOptions, ListView, print_list
from crucible_server.cli.calls.plain import emit_json, plain
from crucible_server.cli.exits import Exit
from crucible_server.cli.terminal import CommandError, emit, visible

_RESUME_SECONDS = 60.0


def tail_events(
    types: Sequence[str],
    script: str,
    principal: str,
    *,
    after: int | None,
    count: int | None,
    server: str,
    as_json: bool,
) -> None:
    """Prints events as they happen, `count` of them or without end. Raises CommandError."""
    complete(_tail(types, script, principal, after, count, server, as_json))


async def _tail(
    types: Sequence[str],
    script: str,
    principal: str,
    after: int | None,
    count: int | None,
    server: str,
    as_json: bool,
) -> None:
    left = count
    async with connect(server) as client:
        subscription = client.subscribe(
            types, script_id=script, principal=principal, after=after, resume=_RESUME_SECONDS
        )
        try:
            async with subscription:
                async for event in subscription:
                    if as_json:
                        emit_json(as_plain(event.message))
                    else:
                        emit(sys.stdout, _line(event.message))
                    if left is not None and (left := left - 1) <= 0:
                        return
        except CrucibleError as error:
            failed = client_error(error, server)
            if failed.exit is Exit.UNREACHABLE and subscription.last_sequence:
                raise CommandError(
                    failed.exit, f"{failed}\ngo on with: crucible events tail --after {subscription.last_sequence}"
                ) from None
            raise failed from None


def as_plain(event: event_pb2.Event) -> dict[str, Any]:
    """An event as what `json.dumps` takes: what its kind tells is in `data`."""
    kind = event.WhichOneof("kind")
    members = {name: getattr(event, name) for name in ("sequence", "event_id", "type", "source", "trace_id")}
    members |= {name: getattr(event, name) for name in ("principal", "script_id", "execution_id")}
    members["time"] = plain(event.time)
    if kind == "custom":
        members["data"] = plain(event.custom.data) if event.custom.HasField("data") else None
    else:
        members["data"] = None if kind is None else plain(getattr(event, kind))
    return members


def _line(event: event_pb2.Event) -> str:
    about = event.execution_id or event.script_id
    cells = [event.time.ToJsonString()[:23].rstrip("Z").ljust(23), str(event.sequence), event.type]
    cells += [cell for cell in (about, _gist(event)) if cell]
    return visible("  ".join(cells)) + "\n"


def _gist(event: event_pb2.Event) -> str:
    kind = event.WhichOneof("kind")
    if kind == "custom":
        return json.dumps(plain(event.custom.data), ensure_ascii=False) if event.custom.HasField("data") else ""
    detail = {} if kind is None else plain(getattr(event, kind))
    shown = ("success", "state", "status", "error", "message", "reason", "service_id", "service_type", "keys")
    return " ".join(f"{name}={detail[name]}" for name in shown if detail.get(name) not in (None, "", []))


def list_events(types: Sequence[str], options: ListOptions) -> None:
    """Prints a list. Raises CommandError."""
    request = pb.ListEventsRequest(
        filter=event_pb2.EventFilter(types=types, script_id=options.script, principal=options.principal),
        created_after=moment("--since", options.since),
        created_before=moment("--until", options.until),
    )
    print_list(_LIST, request, options)


_LIST = ListView(
    rows="events",
    method=lambda client: client.event_stub.ListEvents,
    id_of=lambda event: event.event_id,
    header=("SEQUENCE", "TIME", "TYPE", "PRINCIPAL", "ABOUT", "WHAT"),
    row=lambda event: (
        str(event.sequence),
        event.time.ToJsonString(),
        event.type,
        event.principal,
        event.execution_id or event.script_id,
        _gist(event),
    ),
    shrink=("WHAT", "ABOUT"),
    plain=as_plain,
)


def emit_event(
    type_name: str, data: str | None, event_id: str, script: str, execution: str, *, server: str, as_json: bool
) -> None:
    """Has an event stored. Raises CommandError."""
    event = pb.NewEvent(type=type_name, event_id=event_id, script_id=script, execution_id=execution)
    if data is not None:
        try:
            event.data.CopyFrom(to_value(_read(data), "--data"))
        except (ValueError, RecursionError) as error:
            raise CommandError(Exit.USAGE, f"--data: {error}") from None
    (stored,) = complete(_emit(event, server)).events
    if as_json:
        emit_json(plain(stored))
    else:
        emit(sys.stdout, f"{stored.sequence}{' (it was there)' if stored.existed else ''}\n")


def _read(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data


async def _emit(event: pb.NewEvent, server: str) -> pb.EmitResponse:
    async with connect(server) as client:
        response: pb.EmitResponse = await answer(client.event_stub.Emit, pb.EmitRequest(events=[event]))
        return response
