"""The host calls of `crucible::fs`: arguments checked, the broker asked, its reply as a value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from crucible.v1 import value_pb2
from crucible.vm.v1 import broker_pb2
from crucible_server.files.allowance import FileAllowance, FileRefusedError
from crucible_server.files.client import Files, MissingError, shown

Request = broker_pb2.BrokerRequest
Call = Callable[["Files", value_pb2.ObjectValue, FileAllowance], Awaitable[value_pb2.Value]]

_NULL = value_pb2.Value(null_value=value_pb2.NullValue())


async def read(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """A whole file as bytes."""
    (path,) = _texts(arguments, "path")
    request = Request(read=broker_pb2.ReadFile(at=files.at(path), is_whole=True))
    return await _read(files, allowance, shown(path), request)


async def read_part(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """Bytes of a file from an offset on."""
    path, offset, length = _take(arguments, path="string_value", offset="int_value", length="int_value")
    most = int(files.config.max_read_bytes)
    if offset < 0 or length < 0:
        raise FileRefusedError(f"expected an offset and a length from 0 on, got {offset} and {length}")
    if length > most:
        raise FileRefusedError(
            f"{shown(path)}: expected at most {most} bytes at once (the server's max_read_bytes), got {length}"
        )
    request = Request(read=broker_pb2.ReadFile(at=files.at(path), offset=offset, length=length))
    return await _read(files, allowance, shown(path), request)


async def _read(files: Files, allowance: FileAllowance, where: str, request: Request) -> value_pb2.Value:
    if request.read.is_whole:
        request.read.length = files.config.max_read_bytes
    allowance.require()
    reply = await files.ask(allowance, where, request, "data")
    allowance.require(len(reply.data))
    allowance.bytes_moved += len(reply.data)
    return value_pb2.Value(bytes_value=reply.data)


async def write(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """Replaces a file."""
    return await _write(files, arguments, allowance, is_append=False)


async def append(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """Adds to a file."""
    return await _write(files, arguments, allowance, is_append=True)


async def _write(
    files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance, *, is_append: bool
) -> value_pb2.Value:
    fields = dict(arguments.fields)
    data = fields.pop("data", _NULL)
    (path,) = _texts(value_pb2.ObjectValue(fields=fields), "path")
    kind = data.WhichOneof("kind")
    if kind == "string_value":
        content = data.string_value.encode()
    elif kind == "bytes_value":
        content = data.bytes_value
    else:
        raise FileRefusedError("expected `data` as string or bytes")
    at = files.at(path, to_write=True)
    request = Request(write=broker_pb2.WriteFile(at=at, data=content, is_append=is_append))
    await files.ask(allowance, shown(path), request, "done")
    return _NULL


async def exists(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """Whether there is anything of this name."""
    (path,) = _texts(arguments, "path")
    request = Request(metadata=broker_pb2.ReadMetadata(at=files.at(path)))
    try:
        await files.ask(allowance, shown(path), request, "metadata")
    except MissingError:
        return value_pb2.Value(bool_value=False)
    return value_pb2.Value(bool_value=True)


async def metadata(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """An object of size, is_file, is_dir and modified."""
    (path,) = _texts(arguments, "path")
    request = Request(metadata=broker_pb2.ReadMetadata(at=files.at(path)))
    found = (await files.ask(allowance, shown(path), request, "metadata")).metadata
    value = value_pb2.Value()
    fields = value.object_value.fields
    fields["size"].int_value = found.size
    fields["modified"].double_value = found.modified_ns / 1e9
    _set_kind(fields, found.kind)
    return value


async def list_(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """A page of a directory: an object of entries and is_more."""
    path, after = _texts(arguments, "path", "after")
    request = Request(list=broker_pb2.ListFolder(at=files.at(path), after=after))
    allowance.require()
    found = (await files.ask(allowance, shown(path), request, "entries")).entries
    allowance.bytes_moved += sum(len(entry.name.encode()) for entry in found.entries)
    value = value_pb2.Value()
    value.object_value.fields["is_more"].bool_value = found.is_more
    entries = value.object_value.fields["entries"].list_value
    entries.SetInParent()
    for entry in found.entries:
        fields = entries.values.add().object_value.fields
        fields["name"].string_value = entry.name
        _set_kind(fields, entry.kind)
    return value


async def create_dir(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """Makes a directory."""
    (path,) = _texts(arguments, "path")
    request = Request(create_folder=broker_pb2.CreateFolder(at=files.at(path, to_write=True)))
    await files.ask(allowance, shown(path), request, "done")
    return _NULL


async def remove(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """Removes a file or an empty directory."""
    (path,) = _texts(arguments, "path")
    request = Request(remove=broker_pb2.RemovePath(at=files.at(path, to_write=True)))
    await files.ask(allowance, shown(path), request, "done")
    return _NULL


async def rename(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """Renames within a root."""
    source, target = _texts(arguments, "from", "to")
    at, to = files.at(source, to_write=True), files.at(target, to_write=True)
    if at.root != to.root:
        raise FileRefusedError(
            f"{shown(source)} to {shown(target)}: expected both in one root; copy the file and remove it instead"
        )
    request = Request(rename=broker_pb2.RenamePath(at=at, to=to))
    await files.ask(allowance, f"{shown(source)} to {shown(target)}", request, "done")
    return _NULL


async def copy(files: Files, arguments: value_pb2.ObjectValue, allowance: FileAllowance) -> value_pb2.Value:
    """Copies a file; how many bytes it has."""
    source, target = _texts(arguments, "from", "to")
    request = Request(copy=broker_pb2.CopyFile(at=files.at(source), to=files.at(target, to_write=True)))
    allowance.require()
    reply = await files.ask(allowance, f"{shown(source)} to {shown(target)}", request, "copied")
    # Read and written.
    allowance.bytes_moved += 2 * reply.copied
    return value_pb2.Value(int_value=reply.copied)


CALLS: dict[str, Call] = {
    "read": read,
    "read_part": read_part,
    "write": write,
    "append": append,
    "exists": exists,
    "metadata": metadata,
    "list": list_,
    "create_dir": create_dir,
    "remove": remove,
    "rename": rename,
    "copy": copy,
}
"""By their names after `crucible.fs.`."""


def _texts(arguments: value_pb2.ObjectValue, *names: str) -> list[str]:
    return [str(text) for text in _take(arguments, **dict.fromkeys(names, "string_value"))]


def _take(arguments: value_pb2.ObjectValue, **kinds: str):  # type: ignore[no-untyped-def]
    # A copy: looking up a name that is missing would add it.
    fields = dict(arguments.fields)
    for name in fields:
        if name not in kinds:
            raise FileRefusedError(f"expected {', '.join(kinds)}, got {name[:80]!r}")
    taken = []
    for name, kind in kinds.items():
        value = fields.get(name, _NULL)
        if value.WhichOneof("kind") != kind:
            raise FileRefusedError(f"expected `{name}` as {kind.removesuffix('_value')}")
        taken.append(getattr(value, kind))
    return taken


def _set_kind(fields, kind: broker_pb2.FileKind) -> None:  # type: ignore[no-untyped-def]
    fields["is_file"].bool_value = kind == broker_pb2.FILE_KIND_FILE
    fields["is_dir"].bool_value = kind == broker_pb2.FILE_KIND_FOLDER
