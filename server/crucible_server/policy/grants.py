"""What a caller is granted for one request: level, modules and limits, never more than its own rights."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from crucible.v1 import execution_pb2, script_pb2, security_pb2, server_info_pb2
from crucible_server.config import ServerConfig
from crucible_server.errors import ErrorKind, ServiceError, invalid
from crucible_server.policy import levels
from crucible_server.policy.levels import Limits, PolicyError
from crucible_server.policy.principals import Caller

Level = security_pb2.SecurityLevel
_JAILED = (Level.SECURITY_LEVEL_SAFE, Level.SECURITY_LEVEL_PRODUCTION)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one request may do: for whom, at which level, with which modules and limits."""

    tenant: str
    principal: str
    level: Level
    modules: tuple[str, ...]
    limits: Limits
    compile_limits: Limits
    """For the compiler, which is jailed at every level."""


class Grants:
    """Caps what requests ask for by the level and by the operator's configuration."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._available: frozenset[str] = frozenset()
        self._no_development = ""
        self._plain: dict[int, Limits] = {}

    @property
    def default_level(self) -> Level:
        """The level of a request that names none."""
        return levels.resolve_level(Level.SECURITY_LEVEL_UNSPECIFIED, self._config)

    def apply(self, config: ServerConfig) -> None:
        """Takes up another configuration for requests from now on."""
        self._config = config
        self._plain = {}

    def set_available(self, modules: Sequence[str]) -> None:
        """Tells which modules the interpreter has."""
        self._available = frozenset(modules)

    def refuse_development(self, reason: str) -> None:
        """Tells why this machine cannot give the level that the operator enabled."""
        self._no_development = f"DEVELOPMENT is enabled, but this machine cannot give it: {reason}"

    def jailed_limits(self) -> list[Limits]:
        """The widest limits of each level that runs in the jail."""
        return [levels.effective_limits(level, self._config, None, None) for level in _JAILED]

    def for_compile(self, caller: Caller, context: script_pb2.CompilationContext) -> Grant:
        """The grant of a compilation. Raises ServiceError."""
        try:
            field = "context.security_level"
            level = self._resolve(context.security_level, field)
            return self._grant(caller, level, self._level_limits(level))
        except PolicyError as error:
            raise _refused(error) from None

    def for_execution(self, caller: Caller, context: execution_pb2.ExecutionContext) -> Grant:
        """The grant of an execution. Raises ServiceError for what the caller, the level or this server lacks."""
        security = context.security_context
        try:
            level = self._resolve(security.security_level, "context.security_context.security_level")
            levels.check_sandbox(level, security.sandbox if security.HasField("sandbox") else None)
            timeout = context.timeout if context.HasField("timeout") else None
            requested = context.limits if context.HasField("limits") else None
            if requested is None and timeout is None:
                limits = self._level_limits(level)
            else:
                limits = levels.effective_limits(level, self._config, requested, timeout)
        except PolicyError as error:
            raise _refused(error) from None
        if context.working_directory:
            _check_working_directory(level, context.working_directory)
        if context.available_tools:
            raise invalid("context.available_tools", "this server has no tools registered; leave it empty")
        return self._grant(caller, level, limits)

    def _level_limits(self, level: Level) -> Limits:
        limits = self._plain.get(level)
        if limits is None:
            limits = self._plain[level] = levels.effective_limits(level, self._config, None, None)
        return limits

    def _grant(self, caller: Caller, level: Level, limits: Limits) -> Grant:
        modules = self._modules(level)
        compile_limits = limits
        if level == Level.SECURITY_LEVEL_DEVELOPMENT:
            compile_limits = self._level_limits(Level.SECURITY_LEVEL_PRODUCTION)
        return Grant(caller.tenant, caller.principal, level, modules, limits, compile_limits)

    def _modules(self, level: Level) -> tuple[str, ...]:
        available = self._available
        # Outside the jail files are the system's own, and the operator's roots bound nothing.
        if level != Level.SECURITY_LEVEL_DEVELOPMENT and not self._config.engine.files.allow_file_access:
            available -= {"crucible::fs"}
        return levels.modules_of(level, available)

    def _resolve(self, requested: int, field: str) -> Level:
        level = levels.resolve_level(requested, self._config, field=field)
        if level == Level.SECURITY_LEVEL_DEVELOPMENT and self._no_development:
            raise PolicyError(field, f"{self._no_development}; use SAFE or PRODUCTION", denied=True)
        return level

    def levels(self, caller: Caller) -> list[server_info_pb2.SecurityLevelInfo]:
        """Every level as this caller may use it."""
        infos = []
        for level in (*_JAILED, Level.SECURITY_LEVEL_DEVELOPMENT):
            reason = levels.disabled_reason(level, self._config)
            if level == Level.SECURITY_LEVEL_DEVELOPMENT:
                reason = reason or self._no_development
            info = server_info_pb2.SecurityLevelInfo(level=level, disabled_reason=reason)
            if not info.disabled_reason:
                info.enabled = True
                info.limits.CopyFrom(levels.to_message(levels.level_limits(level, self._config)))
                info.modules.extend(self._modules(level))
            infos.append(info)
        return infos


def _check_working_directory(level: Level, directory: str) -> None:
    field = "context.working_directory"
    if level != Level.SECURITY_LEVEL_DEVELOPMENT:
        raise ServiceError(
            ErrorKind.ERROR_KIND_SECURITY_VIOLATION,
            f"{field}: scripts have no file system outside DEVELOPMENT; leave it empty",
        )
    shown = repr(directory[:200])
    if not os.path.isabs(directory) or "\0" in directory:
        raise invalid(field, f"expected an absolute path of a directory on the server's machine, got {shown}")
    try:
        is_directory = stat.S_ISDIR(os.stat(directory).st_mode)
    except PermissionError:
        # The script has another user perhaps; it says so itself when it cannot enter.
        return
    except OSError as error:
        raise invalid(field, f"expected an existing directory, got {shown}: {error.strerror}") from None
    if not is_directory:
        raise invalid(field, f"expected a directory, got {shown}, which is none")


def _refused(error: PolicyError) -> ServiceError:
    if error.denied:
        return ServiceError(ErrorKind.ERROR_KIND_SECURITY_VIOLATION, str(error))
    return invalid(error.field, error.message)
