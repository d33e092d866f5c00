"""What surrounds the children of an interpreter: what its zygotes are told to do, and what the server does itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from crucible.vm.v1 import zygote_pb2
from crucible_server.config import IsolationConfig
from crucible_server.config.models import machine_memory
from crucible_server.engine import bounds
from crucible_server.engine.cgroups import ControlGroup, ControlGroupError, ControlGroups
from crucible_server.layers import Layer, check_required, mark_required, not_isolated

log = structlog.get_logger()

_OTHER_PROCESSES = 16


def zygote_flags(config: IsolationConfig) -> list[str]:
    """The flags of a zygote that does without what the operator turned off."""
    flags = []
    if not config.namespaces:
        flags.append("--without-namespaces")
    if not config.landlock:
        flags.append("--without-landlock")
    return flags


class Surroundings(Protocol):
    """What an interpreter's zygotes are started in."""

    flags: Sequence[str]
    """Of every zygote."""

    def open(self) -> None:
        """To be called before each zygote is started."""

    def add(self, pid: int) -> None:
        """To be called with the id of each process that a zygote is, before that has children."""

    def completed(self, ready: zygote_pb2.Ready) -> zygote_pb2.Ready:
        """What a zygote said, which is to be used, with the layers that the server adds. Raises ServiceError."""

    def close(self) -> bool:
        """To be called until it is True, once the zygotes have been stopped."""


class _Open:
    """Nothing around: what the level Development is confined by is the zygote's own."""

    flags: Sequence[str] = ("--development",)

    def open(self) -> None:
        """Does nothing."""

    def add(self, pid: int) -> None:
        """Does nothing."""

    def completed(self, ready: zygote_pb2.Ready) -> zygote_pb2.Ready:
        """What the zygote said, and no more."""
        return ready

    def close(self) -> bool:
        """There is nothing to remove."""
        return True


DEVELOPMENT: Surroundings = _Open()
"""Of the interpreter whose children run outside the jail."""


class Isolation:
    """The depth of one interpreter. What cannot be had is a layer that is not active and says why; never an error, but
    for the layers that are required, and for those of a zygote that an earlier one gave."""

    def __init__(
        self,
        config: IsolationConfig,
        require: Sequence[str] = (),
        *,
        memory_bytes: int | None = None,
        pids: int | None = None,
        name: str = "zygote",
    ) -> None:
        """Memory and number bound all processes of the interpreter together; `name` is that of its control group."""
        self._config = config
        self._require = frozenset(require)
        self._memory_bytes = memory_bytes
        self._pids = pids
        self._name = name
        self._groups: ControlGroups | None = None
        self._group: ControlGroup | None = None
        self._problem = "" if config.cgroup else "turned off by the operator"
        self._foreseen = ""
        self._given: frozenset[str] = frozenset()
        self.flags: Sequence[str] = zygote_flags(config)
        """Of every zygote."""

    def open(self) -> None:
        """To be called before each zygote is started: makes its control group, unless it is there."""
        if not self._config.cgroup:
            return
        if self._group is not None and self._group.exists:
            self._lacks(self._group.shortfall)
            return
        try:
            if self._groups is None:
                self._groups = ControlGroups.probe()
                self._groups.sweep()
            self._group = self._groups.make(self._name, memory_bytes=self._memory_bytes, pids=self._pids)
            self._lacks(self._group.shortfall)
        except ControlGroupError as error:
            self._group = None
            self._lacks(str(error))

    def widen(self, memory_bytes: int, pids: int) -> None:
        """Lets the processes have that much together, if it is more: what runs may use all that it began with."""
        if memory_bytes <= (self._memory_bytes or 0) and pids <= (self._pids or 0):
            return
        self._memory_bytes = max(memory_bytes, self._memory_bytes or 0)
        self._pids = max(pids, self._pids or 0)
        if self._groups is None or self._group is None:
            return
        try:
            # It is there, and gets other bounds.
            self._group = self._groups.make(self._name, memory_bytes=self._memory_bytes, pids=self._pids)
            self._lacks(self._group.shortfall)
        except ControlGroupError as error:
            self._lacks(str(error))

    def foresee(self) -> None:
        """In place of `open`: looks what could be had, and makes nothing."""
        if self._config.cgroup:
            groups = ControlGroups.probe()
            self._problem, self._foreseen = groups.problem, groups.foreseen

    def add(self, pid: int) -> None:
        """Puts a process of a zygote, which has no children yet, into the control group."""
        if self._group is None:
            return
        try:
            self._group.add(pid)
        except ControlGroupError as error:
            self._lacks(str(error))

    def close(self) -> bool:
        """Removes the control group; whether it is gone, which takes until all its processes are."""
        if self._group is not None:
            if not self._group.remove():
                return False
            self._group = None
        if self._groups is not None:
            self._groups.close()
            self._groups = None
        return True

    def _lacks(self, problem: str) -> None:
        # What is missing from the start is said with the other layers.
        if self._given and problem and problem != self._problem:
            log.warning("layer_missing", layer="cgroup", reason=problem)
        self._problem = problem

    def described(self, ready: zygote_pb2.Ready) -> zygote_pb2.Ready:
        """What a zygote said, with the layers that the server adds, and those required that the operator requires."""
        whole = zygote_pb2.Ready()
        whole.CopyFrom(ready)
        whole.layers.extend(self.layers())
        mark_required(whole.layers, self._require)
        return whole

    def completed(self, ready: zygote_pb2.Ready) -> zygote_pb2.Ready:
        """The same of a zygote that is to be used.

        Raises ServiceError (CONFIGURATION_ERROR) when one is missing that is required, or that an earlier zygote had.
        """
        whole = self.described(ready)
        check_required(whole.layers)
        given = frozenset(layer.name for layer in ready.layers if layer.active)
        if lost := self._given - given:
            reasons = [f"{layer.name} ({layer.detail})" for layer in ready.layers if layer.name in lost]
            raise not_isolated(f"the zygote before had more: {', '.join(reasons)}")
        if not self._given:
            log_missing(whole.layers)
        self._given = given
        return whole

    def layers(self) -> list[Layer]:
        """The layers that the server adds."""
        config = self._config
        renewal = (
            f"another zygote takes over after {config.zygote_renewal_crashes} crashes of children, and every "
            f"{config.zygote_renewal_interval:g} s"
        )
        bounds = self._foreseen if self._group is None else self._group.bounds
        detail = "; ".join(filter(None, (bounds, self._problem)))
        return [
            Layer(name="cgroup", active=bool(bounds) and not self._problem, detail=detail),
            Layer(name="zygote_renewal", active=True, detail=renewal),
        ]


def isolation_of_tree(
    config: IsolationConfig, require: Sequence[str], *, jobs: int, spares: int, memory: int
) -> Isolation:
    """The isolation of an interpreter with so many jobs, whose limits add up to so many bytes, and spares besides."""
    memory_bytes, pids = bounds_of_tree(jobs=jobs, spares=spares, memory=memory)
    return Isolation(config, require, memory_bytes=memory_bytes, pids=pids)


def bounds_of_tree(*, jobs: int, spares: int, memory: int) -> tuple[int, int]:
    """Bytes and processes that the children of such an interpreter may have together."""
    children = jobs + spares
    # The group has to run out of memory before the machine does.
    machine = machine_memory() // 16 * 15
    # Each child may be the last of a zygote that another took over from; others are about to be forked or reaped.
    return min(bounds.tree_memory(memory, children), machine), 4 * children + _OTHER_PROCESSES


def log_missing(layers: Iterable[Layer]) -> None:
    """Warns of each layer that is not active."""
    for layer in layers:
        if not layer.active:
            log.warning("layer_missing", layer=layer.name, reason=layer.detail)
