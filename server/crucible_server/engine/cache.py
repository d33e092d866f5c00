"""Byte code in memory: the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crucible.v1 import script_pb2


@dataclass(frozen=True, slots=True)
class CompiledUnit:
    """Byte code that may be handed to a child, with what the server needs to know of it."""

    unit_key: str
    script_id: str
    unit: bytes
    script: script_pb2.CompiledScript
    functions: Mapping[str, script_pb2.FunctionInfo]
    diagnostics: tuple[script_pb2.Diagnostic, ...] = ()
    rendered: str = ""
    tenant: str = ""

    @classmethod
    def of(
        cls,
        unit_key: str,
        unit: bytes,
        script: script_pb2.CompiledScript,
        diagnostics: tuple[script_pb2.Diagnostic, ...] = (),
        rendered: str = "",
        tenant: str = "",
    ) -> CompiledUnit:
        """Collects the functions by name; of two with one name the public one counts."""
        functions: dict[str, script_pb2.FunctionInfo] = {}
        for function in script.functions:
            if function.name not in functions or function.is_public:
                functions[function.name] = function
        return cls(unit_key, script.script_id, unit, script, functions, diagnostics, rendered, tenant)


class UnitCache:
    """Bounded by count and by bytes of byte code."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, CompiledUnit] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self.rejections = 0
        """Units in the store that were not what this server sealed."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, unit_key: str) -> CompiledUnit | None:
        """The unit of a key, which is then the most recently used."""
        unit = self._entries.get(unit_key)
        if unit is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(unit_key)
        return unit

    def discard(self, unit_keys: Iterable[str]) -> None:
        """Drops units whose scripts are gone, if they are there."""
        for unit_key in unit_keys:
            unit = self._entries.pop(unit_key, None)
            if unit is not None:
                self.bytes -= len(unit.unit)

    def clear(self) -> None:
        """Drops all units."""
        self._entries.clear()
        self.bytes = 0

    def has_room(self, unit: CompiledUnit) -> bool:
        """Whether `put` keeps a unit: one that is larger than the whole cache it does not."""
        return self._max_entries > 0 and len(unit.unit) <= self._max_bytes

    def put(self, unit: CompiledUnit) -> list[CompiledUnit]:
        """Adds a unit, if there is room for it; returns what was evicted for that."""
        size = len(unit.unit)
        if not self.has_room(unit):
            return []
        old = self._entries.pop(unit.unit_key, None)
        if old is not None:
            self.bytes -= len(old.unit)
        self._entries[unit.unit_key] = unit
        self.bytes += size
        return self._evict()

    def resize(self, max_entries: int, max_bytes: int) -> list[CompiledUnit]:
        """Other bounds from now on; returns what was evicted because it no longer fits."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        return self._evict()

    def _evict(self) -> list[CompiledUnit]:
        evicted = []
        while len(self._entries) > self._max_entries or self.bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= len(oldest.unit)
            self.evictions += 1
            evicted.append(oldest)
        return evicted
