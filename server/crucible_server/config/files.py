"""Which files scripts may reach, and how much of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationInfo, field_validator

from .quantities import Bytes, Seconds

_MIB = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# What the kernel shows there are no files of the operator's.
_KERNEL = (Path("/proc"), Path("/sys"))


class FileRootConfig(BaseModel):
    """A directory that scripts may reach."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    path: Path
    """Absolute; it has to exist when the server starts."""
    access: Literal["read", "write"] = "read"
    """`write` includes reading."""

    @field_validator("path")
    @classmethod
    def _check_path(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("expected an absolute path of a directory")
        if not value.is_dir():
            what = "a file" if value.exists() else "nothing of this name"
            raise ValueError(f"expected a directory that exists, got {what}")
        resolved = value.resolve()
        if resolved in (Path("/"), Path("/dev")) or any(resolved.is_relative_to(kernel) for kernel in _KERNEL):
            raise ValueError("expected a directory made for scripts, not one of the system's own")
        return value


class FilesConfig(BaseModel):
    """Bounds of `crucible::fs`. Nothing can be reached unless it is allowed and below a root."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    allow_file_access: bool = False
    """Whether scripts of Production have `crucible::fs`."""
    roots: Mapping[str, FileRootConfig] = Field(default_factory=dict)
    """By the name that paths of scripts begin with."""
    max_file_bytes: Bytes = ByteSize(16 * _MIB)
    """No file is made larger."""
    max_read_bytes: Bytes = Field(default=ByteSize(4 * _MIB), le=32 * _MIB)
    """Of one call; larger files are read in parts."""
    max_list_entries: int = Field(default=4096, gt=0, le=32768)
    """That the server fetches at once; a listing of more takes several host calls."""
    max_concurrent_calls: int = Field(default=64, gt=0, le=1024)
    """Of all executions together; others wait."""
    max_execution_bytes: Bytes = ByteSize(256 * _MIB)
    """What one execution may read and write in all."""
    call_timeout: Seconds = Field(default=30.0, le=3600.0)
    """Of one call, in seconds: a broker that takes longer is killed and started again."""
    uid: int | None = Field(default=None, gt=0, lt=2**32 - 1)
    """The user that the broker becomes; for a server of root alone. None stays what the server is."""
    gid: int | None = Field(default=None, gt=0, lt=2**32 - 1)
    """Its group; None is the number of the user."""

    @field_validator("roots")
    @classmethod
    def _check_roots(cls, value: Mapping[str, FileRootConfig], info: ValidationInfo) -> Mapping[str, FileRootConfig]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(f"expected names of at most 64 letters, digits, `_` and `-`, got {name[:80]!r}")
        for (name, root), (other, inner) in permutations(value.items(), 2):
            if inner.path.resolve().is_relative_to(root.path.resolve()):
                raise ValueError(
                    f"expected roots apart from each other, but `{other}` lies in `{name}`, whose access would hold "
                    "for it"
                )
        if info.data.get("allow_file_access") and not value:
            raise ValueError(
                "expected at least one root with `allow_file_access`: [engine.files.roots.NAME] with a path"
            )
        return value

    def require_apart(self, **own: Path) -> None:
        """Raises ValueError when a root has something of the server's own in it, or lies in it."""
        for name, root in self.roots.items():
            path = root.path.resolve()
            for what, other in own.items():
                place = other.expanduser().resolve()
                if place.is_relative_to(path) or path.is_relative_to(place):
                    raise ValueError(
                        f"expected the root `{name}` ({path}) apart from the server's own {what} ({place}): scripts "
                        "would reach it"
                    )
