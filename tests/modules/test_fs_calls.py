"""Forged host calls of `crucible.fs`: what a child says is checked by the server, then by the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from crucible.v1 import value_pb2
from crucible.vm.v1 import child_pb2
from crucible_server.config import FilesConfig, HttpConfig
from crucible_server.engine.host_calls import HostCallContext, HostCalls
from crucible_server.engine.job import HostCallError
from crucible_server.files.allowance import FileAllowance
from crucible_server.files.calls import CALLS
from crucible_server.files.client import Files
from crucible_server.outbound.allowance import Allowance
from tests.modules.disk import VM

PRODUCTION = frozenset({"crucible::basic", "crucible::fs", "crucible::http", "crucible::json"})
ONE_PATH = ("read", "exists", "metadata", "create_dir", "remove")
TWO_PATHS = ("rename", "copy")


def value_of(value: Any) -> value_pb2.Value:
    made = value_pb2.Value()
    match value:
        case None:
            made.null_value.SetInParent()
        case bool():
            made.bool_value = value
        case int():
            made.int_value = value
        case float():
            made.double_value = value
        case str():
            made.string_value = value
        case bytes():
            made.bytes_value = value
        case list():
            made.list_value.values.extend(value_of(one) for one in value)
        case dict():
            made.object_value.SetInParent()
            for name, one in value.items():
                made.object_value.fields[name].CopyFrom(value_of(one))
    return made


def call_of(name: str, arguments: Any, version: int = 1) -> child_pb2.HostCall:
    return child_pb2.HostCall(
        call_id=1, name=f"crucible.fs.{name}", schema_version=version, arguments=value_of(arguments)
    )


def answers(
    calls: Sequence[child_pb2.HostCall], base: Path, modules: frozenset[str] = PRODUCTION, **bounds: Any
) -> list[value_pb2.Value | str]:
    """What each call of one execution gives: a value, or the message with which it is refused."""
    (base / "root").mkdir(exist_ok=True)
    (base / "fixed").mkdir(exist_ok=True)
    roots = {"data": {"path": base / "root", "access": "write"}, "fixed": {"path": base / "fixed"}}
    files = Files(VM, FilesConfig.model_validate({"allow_file_access": True, "roots": roots, **bounds}))

    async def run() -> list[value_pb2.Value | str]:
        context = HostCallContext(None, Allowance(10), FileAllowance(files.config.max_execution_bytes))  # type: ignore[arg-type]
        handler = HostCalls(HttpConfig(), files).handler(context, modules)
        given: list[value_pb2.Value | str] = []
        await files.start()
        try:
            for call in calls:
                try:
                    given.append(await handler(call))
                except HostCallError as error:
                    given.append(str(error))
        finally:
            await files.stop()
        return given

    return asyncio.run(run())


def test_a_call_of_a_level_without_files_does_not_exist(tmp_path: Path) -> None:
    calls = [call_of(name, {"path": "data/f"}) for name in CALLS]
    for message in answers(calls, tmp_path, PRODUCTION - {"crucible::fs"}):
        assert isinstance(message, str)
        assert "does not exist at this level" in message


def test_a_server_without_files_has_none_whatever_the_level_says() -> None:
    handler = HostCalls(HttpConfig()).handler(HostCallContext(None, Allowance(10)), PRODUCTION)  # type: ignore[arg-type]

    async def refused(name: str) -> None:
        await handler(call_of(name, {"path": "data/f"}))

    for name in CALLS:
        with pytest.raises(HostCallError, match="this server allows no files"):
            asyncio.run(refused(name))


def test_arguments_of_another_shape_are_refused(tmp_path: Path) -> None:
    shapes: list[Any] = [
        {},
        {"path": 1},
        {"path": None},
        {"path": b"data/f"},
        {"path": ["data/f"]},
        {"path": {"path": "data/f"}},
        {"path": "data/f", "root": 0},
        {"path": "data/f", "x" * 10_000: 1},
        {"from": "data/f"},
        {"from": "data/f", "to": 1},
    ]
    calls = [call_of(name, shape) for shape in shapes for name in (*ONE_PATH, *TWO_PATHS)]
    calls += [call_of(name, shape) for shape in (None, "data/f", ["data/f"], 1.0) for name in CALLS]
    calls += [call_of("list", {"path": "data"}), call_of("list", {"path": "data", "after": 1})]
    wrong: list[Any] = [None, 1, 1.0, True, ["x"], {}]
    for name in ("write", "append"):
        calls += [call_of(name, {"path": "data/f", "data": data}) for data in wrong]
        calls.append(call_of(name, {"path": "data/f"}))
        calls.append(call_of(name, {"path": "data/f", "data": "x", "is_append": False}))
    for offset, length in ((-1, 1), (0, -1), (1.0, 1), (0, "1"), (True, 1), (0, 2**62), (None, None)):
        calls.append(call_of("read_part", {"path": "data/f", "offset": offset, "length": length}))
    calls += [call_of(name, {"path": "data/f"}, version=2) for name in CALLS]
    for call, given in zip(calls, answers(calls, tmp_path), strict=True):
        assert isinstance(given, str), call
        assert "expected" in given, given
        assert len(given) < 1000
        # Nothing of the server's own words for a mistake of its own.
        assert "Traceback" not in given
    assert list((tmp_path / "root").iterdir()) == []


def test_forged_paths_are_refused_by_every_call(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    paths = ["data/../secret", "fixed/../secret", "/etc/passwd", "data/./../secret", "data\0", "0/f", "", "/", ".."]
    calls = []
    for path in paths:
        calls += [call_of(name, {"path": path}) for name in ONE_PATH]
        calls += [call_of(name, {"from": path, "to": "data/x"}) for name in TWO_PATHS]
        calls += [call_of(name, {"from": "data/x", "to": path}) for name in TWO_PATHS]
        calls += [call_of(name, {"path": path, "data": "x"}) for name in ("write", "append")]
        calls.append(call_of("read_part", {"path": path, "offset": 0, "length": 10}))
        calls.append(call_of("list", {"path": path, "after": ""}))
    for call, given in zip(calls, answers(calls, tmp_path), strict=True):
        assert isinstance(given, str), call
        assert given.startswith("fs: "), given
        assert "SECRET" not in given
        assert str(tmp_path) not in given
    assert (tmp_path / "secret").read_text() == "SECRET"
    assert list((tmp_path / "root").iterdir()) == []


def test_calls_count_against_the_execution_whoever_makes_them(tmp_path: Path) -> None:
    write = call_of("write", {"path": "data/f", "data": b"x" * 400})
    read = call_of("read", {"path": "data/f"})
    given = answers([write, write, read, write, read], tmp_path, max_execution_bytes=1000)
    assert [isinstance(one, str) for one in given] == [False, False, True, True, True]
    assert all("max_execution_bytes" in one for one in given if isinstance(one, str))


def test_a_page_may_begin_after_any_text(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    for name in ("a", "b"):
        (tmp_path / "root" / name).touch()
    texts = ["", "a", "a\0", "\0", "..", "/", "\U0010ffff" * 1000]
    given = answers([call_of("list", {"path": "data", "after": text}) for text in texts], tmp_path)
    names = []
    for one in given:
        assert isinstance(one, value_pb2.Value)
        entries = one.object_value.fields["entries"].list_value.values
        names.append("".join(entry.object_value.fields["name"].string_value for entry in entries))
    assert names == ["ab", "b", "b", "ab", "ab", "ab", ""]
