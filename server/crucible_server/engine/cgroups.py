"""Control groups: processes that are bounded together, and can be killed whole.

Of version 2 where this process may make groups that have controllers, else of version 1, whose controllers are mounted
one by one. Groups are made below the group of this process. Nothing here waits.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from crucible_server.engine.cgroup_mounts import Hierarchy, hierarchies

_KILL_ROUNDS = 20


class ControlGroupError(Exception):
    """What cannot be had, and why."""


class ControlGroup:
    """One group: a folder in each hierarchy that it needs."""

    def __init__(self, folders: Sequence[Path], bounds: str = "", shortfall: str = "") -> None:
        self._folders = tuple(folders)
        self.bounds = bounds
        """What is in force, in words; empty when nothing is."""
        self.shortfall = shortfall
        """What was asked for and could not be had, in words; empty when all is in force."""

    @property
    def exists(self) -> bool:
        """Whether nobody removed it."""
        return all(folder.is_dir() for folder in self._folders)

    def add(self, pid: int) -> None:
        """Moves a process into the group; what it forks from then on is born there. Raises ControlGroupError."""
        for folder in self._folders:
            try:
                _write(folder / "cgroup.procs", str(pid))
            except OSError as error:
                raise ControlGroupError(f"cannot add a process to {folder}: {error.strerror}") from error

    def processes(self) -> set[int]:
        """Process ids of its members, as far as this process can see them."""
        found: set[int] = set()
        for folder in self._folders:
            with contextlib.suppress(OSError):
                found |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
        return found - {0}

    def kill(self) -> None:
        """kill -9 of all its processes, and of what they fork meanwhile. They are gone a moment later."""
        try:
            for folder in self._folders:
                _write(folder / "cgroup.kill", "1")
        except OSError:
            self._kill_one_by_one()

    def _kill_one_by_one(self) -> None:
        # Version 1, or version 2 before Linux 5.14. What is frozen forks no more.
        for _ in range(_KILL_ROUNDS):
            self._freeze("FROZEN")
            opened = []
            for pid in self.processes():
                with contextlib.suppress(OSError):
                    opened.append((pid, os.pidfd_open(pid)))
            # Those that are members after they were opened are meant, and not others that got their numbers.
            members = self.processes()
            for pid, pidfd in opened:
                with contextlib.suppress(OSError):
                    if pid in members:
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.close(pidfd)
            self._freeze("THAWED")
            if not members:
                return

    def _freeze(self, state: str) -> None:
        for folder in self._folders:
            with contextlib.suppress(OSError):
                _write(folder / "freezer.state", state)

    def remove(self) -> bool:
        """Removes it; False while it has processes, which end in their own time."""
        gone = True
        for folder in self._folders:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone


class ControlGroups:
    """What this process may make of control groups. `probe` looks and changes nothing."""

    def __init__(self, found: Sequence[Hierarchy], problem: str) -> None:
        self._hierarchies = tuple(found)
        self._leaf: Path | None = None
        self.problem = problem
        """Why no groups can be made here; empty when they can."""

    @classmethod
    def probe(cls) -> ControlGroups:
        """Looks at what is mounted and whether this user may write there."""
        found = hierarchies()
        if not found:
            return cls((), "no control groups with the controllers memory and pids are mounted; mount cgroup2")
        denied = [str(each.folder) for each in found if not os.access(each.folder, os.W_OK | os.X_OK)]
        if len(denied) == len(found):
            places = ", ".join(denied)
            return cls((), f"this user may not make groups in {places}; delegate them (Delegate=yes in systemd)")
        return cls(found, "")

    @property
    def version(self) -> int:
        """Of the hierarchy or hierarchies that are used; 0 when there are none."""
        return self._hierarchies[0].version if self._hierarchies else 0

    @property
    def foreseen(self) -> str:
        """What could be made, in words; empty when nothing could."""
        if not self._hierarchies:
            return ""
        places = ", ".join(str(each.folder) for each in self._hierarchies)
        return f"version {self.version}: groups for memory and processes can be made in {places}"

    def make(self, name: str, *, memory_bytes: int | None = None, pids: int | None = None) -> ControlGroup:
        """A group whose processes may have so much together; None means no bound. Some may be missing: see `shortfall`.
        `name` is of lower-case letters, digits and `-`.

        Raises ControlGroupError when no group can be made.
        """
        if self.problem:
            raise ControlGroupError(self.problem)
        self._prepare()
        folders, said, lacking = [], [], []
        for hierarchy in self._hierarchies:
            folder = hierarchy.folder / _own(name)
            try:
                folder.mkdir()
            except FileExistsError:
                pass
            except OSError as error:
                lacking.append(f"cannot make {folder}: {error.strerror}")
                continue
            kept, missing = _bound(folder, hierarchy, memory_bytes, pids)
            if missing and not kept and hierarchy.version == 1:
                # Without its bound it is of no use.
                with contextlib.suppress(OSError):
                    folder.rmdir()
            else:
                folders.append(folder)
            said += kept
            lacking += missing
        for what, wanted, controller in (
            ("memory", memory_bytes, "memory"),
            ("the number of processes", pids, "pids"),
        ):
            if wanted is not None and not any(controller in each.controllers for each in self._hierarchies):
                lacking.append(f"no controller for {what}")
        if not folders:
            raise ControlGroupError("; ".join(lacking))
        version = f"version {self.version}: "
        return ControlGroup(folders, version + " and ".join(said) if said else "", "; ".join(lacking))

    def _prepare(self) -> None:
        # In version 2 a group has either processes or groups with controllers, the root of all alone both: this process
        # has to make room.
        unified = next((each for each in self._hierarchies if each.version == 2), None)
        if unified is None or self._leaf is not None:
            return
        control = unified.folder / "cgroup.subtree_control"
        try:
            missing = unified.controllers - set(control.read_text().split())
            if not missing:
                return
            if (unified.folder / "cgroup.type").exists():
                leaf = unified.folder / _own("server")
                leaf.mkdir(exist_ok=True)
                self._leaf = leaf
                _write(leaf / "cgroup.procs", str(os.getpid()))
            _write(control, " ".join(f"+{name}" for name in sorted(missing)))
        except OSError as error:
            self.close()
            raise ControlGroupError(
                f"cannot hand controllers down from {unified.folder}: {error.strerror}; start the server alone in a "
                "group that is delegated to it (Delegate=yes in systemd)"
            ) from error

    def close(self) -> None:
        """Goes back to where this process came from, as far as it had to move."""
        if self._leaf is None:
            return
        folder = self._leaf.parent
        with contextlib.suppress(OSError):
            names = (folder / "cgroup.subtree_control").read_text().split()
            if names:
                _write(folder / "cgroup.subtree_control", " ".join(f"-{name}" for name in names))
            _write(folder / "cgroup.procs", str(os.getpid()))
            self._leaf.rmdir()
        self._leaf = None

    def sweep(self) -> None:
        """Removes the groups of servers that were killed, with what is left in them."""
        name = re.compile(re.escape(_prefix()) + r"-(\d+)-(\d+)-[a-z0-9-]+")
        for hierarchy in self._hierarchies:
            with contextlib.suppress(OSError):
                for folder in hierarchy.folder.iterdir():
                    match = name.fullmatch(folder.name)
                    if match and _start_of(int(match[1])) != match[2]:
                        left = ControlGroup([folder])
                        left.kill()
                        left.remove()


def _bound(
    folder: Path, hierarchy: Hierarchy, memory_bytes: int | None, pids: int | None
) -> tuple[list[str], list[str]]:
    """What is kept in a folder, and what is not, in words."""
    kept, lacking = [], []
    memory = "memory.max" if hierarchy.version == 2 else "memory.limit_in_bytes"
    for controller, file, value, words in (
        ("pids", "pids.max", pids, f"at most {pids} processes"),
        ("memory", memory, memory_bytes, f"at most {(memory_bytes or 0) >> 20} MiB of memory"),
    ):
        if value is None or controller not in hierarchy.controllers:
            continue
        try:
            _write(folder / file, str(value))
            kept.append(words)
        except OSError as error:
            lacking.append(f"cannot write {folder / file}: {error.strerror}")
    return kept, lacking


def _write(path: Path, text: str) -> None:
    # Never makes the file: one that is not there is a controller that is not there.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _own(name: str) -> str:
    return f"{_prefix()}-{os.getpid()}-{_start_of(os.getpid())}-{name}"


def _prefix() -> str:
    # Process ids mean something within their namespace only.
    return f"crucible-{os.stat('/proc/self/ns/pid').st_ino}"


def _start_of(pid: int) -> str:
    """When a process was started, in ticks since boot; empty when there is none of this id."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
