"""What the engine is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from crucible.vm.v1 import zygote_pb2
from crucible_server.config import FilesConfig, HttpConfig, IsolationConfig
from crucible_server.engine.upkeep import Retention


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine is told at its start, and when the configuration changes."""

    vm_path: Path
    spare_children: int
    max_spare_children: int
    spare_limits: zygote_pb2.ChildLimits
    max_concurrent_executions: int
    max_queued_executions: int
    max_executions_memory: int
    max_crashes_per_minute: int
    is_caching: bool
    cache_entries: int
    cache_bytes: int
    retention: Retention
    http: HttpConfig
    isolation: IsolationConfig
    require_isolation: tuple[str, ...]
    allow_development: bool
    files: FilesConfig = field(default_factory=FilesConfig)
    traced_origins: tuple[str, ...] = ()
