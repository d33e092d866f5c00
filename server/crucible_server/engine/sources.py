"""Sources and names of scripts: what is taken and what is not."""

from __future__ import annotations

import re

from crucible.v1 import script_pb2
from crucible_server.errors import ErrorKind, ServiceError, invalid
from crucible_server.policy.levels import Limits

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}\Z")
_MAX_PATH_BYTES = 255
_MAX_FILES = 1000


def source_size(source: script_pb2.ScriptSource) -> int:
    """Bytes of all files together."""
    return len(source.source.encode()) + sum(len(text.encode()) for text in source.files.values())


def check_name(name: str, field: str) -> None:
    """Refuses what cannot be a script's name."""
    if not _NAME.match(name):
        raise invalid(field, f"expected 1 to 128 letters, digits, `_`, `-`, `.`, `/`, got {name[:80]!r}")


def check_source(source: script_pb2.ScriptSource, limits: Limits) -> None:
    """Refuses what cannot be a source: empty, too large, or with paths that lead elsewhere."""
    if not source.source:
        raise invalid("source.source", "expected the text of a script, got an empty one")
    size = source_size(source)
    if limits.max_source_bytes is not None and size > limits.max_source_bytes:
        raise ServiceError(
            ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
            f"source.source: expected at most {limits.max_source_bytes} bytes with all included files, got {size}",
            quota="max_source_bytes",
        )
    if len(source.file_name.encode()) > _MAX_PATH_BYTES:
        size = len(source.file_name.encode())
        raise invalid("source.file_name", f"expected at most {_MAX_PATH_BYTES} bytes, got {size}")
    if len(source.files) > _MAX_FILES:
        raise invalid("source.files", f"expected at most {_MAX_FILES} files, got {len(source.files)}")
    for path in source.files:
        parts = path.split("/")
        is_long = len(path.encode()) > _MAX_PATH_BYTES
        if is_long or not path.endswith(".rn") or any(part in ("", ".", "..") for part in parts):
            raise invalid(
                f"source.files[{path[:80]!r}]",
                f"expected a relative path such as `util.rn` or `util/mod.rn`, of at most {_MAX_PATH_BYTES} bytes",
            )
