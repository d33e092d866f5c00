"""Where control groups are mounted, and which folder there is that of this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WANTED = ("memory", "pids")
"""The controllers that bound a group."""
_HELPFUL = ("freezer",)


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A tree of groups: the folder of the group that this process is in, and which controllers it can have below."""

    folder: Path
    version: int
    controllers: frozenset[str]


def hierarchies() -> list[Hierarchy]:
    """The one hierarchy of version 2 where that has controllers, else those of version 1, else none."""
    own = _own_groups()
    first: list[Hierarchy] = []
    for kind, mount_point, root, options in _mounts():
        if kind == "cgroup2":
            folder = _folder(mount_point, root, own.get(""))
            if folder is None:
                continue
            controllers = frozenset(_words(folder / "cgroup.controllers")).intersection(WANTED)
            if controllers:
                return [Hierarchy(folder, 2, controllers)]
        else:
            for name in (*WANTED, *_HELPFUL):
                folder = _folder(mount_point, root, own.get(name))
                if name in options and folder is not None and not any(name in each.controllers for each in first):
                    first.append(Hierarchy(folder, 1, frozenset({name})))
    return first if any(each.controllers.intersection(WANTED) for each in first) else []


def _own_groups() -> dict[str, str]:
    """The group of this process for each controller of version 1, and under the empty name for version 2."""
    found = {}
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            found[name] = path
    return found


def _mounts() -> Iterator[tuple[str, Path, str, set[str]]]:
    """Kind, place, root within the file system, and options of each mount of control groups."""
    for line in _lines(Path("/proc/self/mountinfo")):
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            yield kind, Path(_unescaped(fields[4])), _unescaped(fields[3]), set(options.split(","))


def _folder(mount_point: Path, root: str, group: str | None) -> Path | None:
    """Where a group is seen; None when it is not below what is mounted."""
    if group is None or ".." in group.split("/"):
        return None
    if root != "/":
        # A container sees its own group as the root, by either name.
        if group == root or group.startswith(root + "/"):
            group = group[len(root) :]
        elif group != "/":
            return None
    folder = mount_point / group.lstrip("/")
    return folder if folder.is_dir() else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), text)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
