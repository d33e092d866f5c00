"""What can be configured, with its defaults."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from .addresses import check_address
from .discovery import DiscoveryConfig, HealthCheckConfig
from .events import EventsConfig
from .files import FilesConfig
from .http import HttpConfig
from .isolation import IsolationConfig, check_layers
from .quantities import MAX_COUNT, Bytes, Count, Seconds
from .telemetry import TelemetryConfig

MIB = 1024 * 1024
MEMORY_BOUNDS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where control groups of version 2 and 1 say how much memory they grant."""
_KEY = re.compile(r"[0-9A-Fa-f]{64}")

arguments_only: ContextVar[bool] = ContextVar("arguments_only", default=False)
"""Whether ServerConfig leaves the environment alone; set by whoever has read all layers itself."""


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class ResourceLimitsConfig(BaseModel):
    """Bounds for every execution on this server, whatever its level. None leaves it to the level.

    Memory, processor share, concurrency, times and network can only lower what the level grants. The others
    replace the level's default, so that an operator can raise them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    max_memory_bytes: Bytes | None = ByteSize(100 * MIB)
    """Of the script's values."""
    max_cpu_percentage: float | None = Field(default=80.0, gt=0, le=1_000_000, allow_inf_nan=False)
    """Of one processor."""
    max_concurrent_operations: Count | None = 100
    """Executions that one principal may have running at once."""
    operation_timeout: Seconds | None = 60.0
    """For a call in all, its time in the queue included."""
    max_execution_time: Seconds | None = None
    """For the script itself, by the wall clock."""
    max_network_requests: Count | None = None
    """Redirects included."""
    max_operations: Count | None = None
    """Instructions of the virtual machine."""
    max_output_bytes: Bytes | None = None
    """Standard output and standard error together."""
    max_return_bytes: Bytes | None = None
    """The value that a script returns."""
    max_native_depth: int | None = Field(default=None, gt=0, le=1024)
    """How often native code may enter the virtual machine again."""
    max_host_calls: Count | None = None
    """Calls that ask the server for something."""


class ScriptEngineConfig(BaseModel):
    """How scripts are compiled, cached and bounded."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    max_cache_size: int = Field(default=1000, le=MAX_COUNT)
    """Scripts whose byte code is kept in memory."""
    max_cache_bytes: Bytes = ByteSize(256 * MIB)
    """And its size in all."""
    default_execution_timeout: Seconds = 30.0
    """For executions whose request names no time; the level's own limit holds besides."""
    max_source_size: Bytes = ByteSize(MIB)
    """Source with all included files."""
    enable_caching: bool = True
    """`false` compiles every time: byte code is neither kept in memory nor in the store."""
    security_level: Annotated[Literal["safe", "production", "development"], BeforeValidator(_lower)] = "safe"
    """For requests that name none."""
    resource_limits: ResourceLimitsConfig = ResourceLimitsConfig()
    http: HttpConfig = HttpConfig()
    discovery: DiscoveryConfig = DiscoveryConfig()
    health_check: HealthCheckConfig = HealthCheckConfig()
    files: FilesConfig = FilesConfig()

    @field_validator("max_cache_size")
    @classmethod
    def _check_cache_size(cls, value: int) -> int:
        if value <= 0:
            raise ValueError("expected a number of scripts above zero; `enable_caching = false` turns the cache off")
        return value


def _data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification says to ignore relative paths.
    return (Path(base) if os.path.isabs(base) else Path("~/.local/share").expanduser()) / "crucible"


def _vm_path() -> Path:
    beside = Path(sys.executable).parent / "crucible-vm"
    if beside.is_file():
        return beside
    return Path(shutil.which("crucible-vm") or "crucible-vm")


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def interpreter_variable() -> dict[str, Any]:
    """What CRUCIBLE_VM sets."""
    path = os.environ.get("CRUCIBLE_VM")
    return {"vm_path": path} if path else {}


def machine_memory() -> int:
    """Bytes that this machine has, or less when a control group bounds this process."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in MEMORY_BOUNDS:
        with contextlib.suppress(OSError, ValueError):
            # "max" is no number, and version 1 says "no limit" by a very large one.
            total = min(total, int(Path(file).read_text()))
    return total


class ServerConfig(BaseSettings):
    """The server: where it listens, where it keeps things, how much it runs at once.

    Values come from arguments, then environment variables `CRUCIBLE_*` (`__` between nested names), then the
    defaults. `load` adds the file.
    """

    model_config = SettingsConfigDict(
        env_prefix="CRUCIBLE_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    allow_insecure_listen: bool = False
    """Whether others than this machine may reach a server that knows neither TLS nor identities."""
    listen: str = "127.0.0.1:50051"
    """`HOST:PORT`; port 0 takes a free one."""
    data_dir: Path = Field(default_factory=_data_dir)
    """Where everything lies that outlives the server; by default `$XDG_DATA_HOME/crucible`."""
    store_url: str = Field(default_factory=lambda values: _below(values, "crucible.db", "sqlite:///"), repr=False)
    """`sqlite:///PATH` or a path, or `postgresql://USER@HOST:PORT/DATABASE`, which several servers may share."""
    store_password_file: Path | None = None
    """The file that holds the password for PostgreSQL; without it, PostgreSQL's own ways serve, such as ~/.pgpass."""
    store_password: SecretStr | None = None
    """The password itself, instead of the file; from the environment only."""
    store_lease: Seconds = Field(default=30.0, ge=2.0, le=3600.0)
    """How long a server that shares its database may be silent before others record its executions as interrupted."""
    store_synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    """For SQLite: NORMAL survives a killed server, FULL also power loss, at a disk flush for each group of writes."""
    unit_key_file: Path = Field(default_factory=lambda values: Path(_below(values, "unit.key")))
    """The key that seals byte code in the store; made when there is neither a key nor sealed byte code."""
    unit_key: SecretStr | None = None
    """The key itself as 64 hexadecimal digits, instead of the file."""
    vm_path: Path = Field(default_factory=_vm_path)
    """The interpreter; besides, CRUCIBLE_VM names it."""
    spare_children: int = Field(default=2, ge=0, le=64)
    """Children that wait ready-forked at least; 0 keeps none."""
    max_spare_children: int = Field(default_factory=lambda: max(8, 2 * _processors()), ge=0, le=256)
    """And at most: in between, as many as executions have lately run at once."""
    max_concurrent_executions: Count = Field(default_factory=lambda: max(64, 16 * _processors()))
    """Of all principals together."""
    max_queued_executions: int = Field(default=1000, ge=0, le=MAX_COUNT)
    """Executions that may wait beyond those."""
    max_executions_memory: Bytes = Field(default_factory=lambda: ByteSize(machine_memory() * 3 // 4))
    """What the memory limits of all running executions may add up to; by default three quarters of the machine's, or
    of what its control group grants."""
    max_crashes_per_minute: Count = 100
    """Interpreters that the scripts of one principal may crash; then it has to wait."""
    grace_period: Seconds = 10.0
    """How long a stopping server waits for what runs."""
    max_request_bytes: Bytes = Field(default=ByteSize(4 * MIB), le=2**31 - 1)
    """The largest request that is taken, less than 2 GiB."""
    execution_retention: Seconds = 7 * 86400.0
    """How long finished executions are kept, unless `max_stored_executions` is reached."""
    max_stored_executions: Count = 1_000_000
    """Finished executions beyond these are deleted, the oldest first."""
    script_retention: Seconds = 30 * 86400.0
    """How long a script without a name is kept after its last use."""
    max_stored_scripts: Count = 100_000
    """Scripts without a name beyond these are deleted, the least recently used first."""
    allow_development: bool = False
    """Whether scripts may run at the level Development: outside the jail, with all that the server's user may do, or,
    when that is root, `nobody`. Whoever reaches the server can then act as that user."""
    isolation: IsolationConfig = IsolationConfig()
    require_isolation: tuple[str, ...] = ()
    """Layers of isolation without which the server does not start; besides those that are never optional."""
    log_format: Literal["console", "json"] = "console"
    """How log lines look: for people, or one JSON object each."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    """What is less important is not logged."""
    engine: ScriptEngineConfig = ScriptEngineConfig()
    events: EventsConfig = EventsConfig()
    telemetry: TelemetryConfig = TelemetryConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment."""
        if arguments_only.get():
            return (init_settings,)
        return init_settings, env_settings, InitSettingsSource(settings_cls, interpreter_variable())

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str, info: ValidationInfo) -> str:
        check_address(
            value,
            is_open=bool(info.data.get("allow_insecure_listen")),
            otherwise="this version has neither TLS nor authentication, so whoever reaches the port can run scripts. "
            "Put a proxy that has both before it, or set `allow_insecure_listen = true` where the network itself is "
            "trusted",
        )
        return value

    @field_validator("store_url")
    @classmethod
    def _check_store(cls, value: str) -> str:
        if not value.startswith("sqlite:////"):
            # Imported late, and only when it is needed: the reading of addresses belongs to the one who opens them.
            from crucible_server.store.address import address_of
            from crucible_server.store.errors import StoreError

            try:
                address_of(value)
            except StoreError as error:
                raise ValueError(error.message) from None
        return value

    @field_validator("unit_key")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _KEY.fullmatch(value.get_secret_value()):
            length = len(value.get_secret_value())
            raise ValueError(f"expected 64 hexadecimal digits (`openssl rand -hex 32` makes them), got {length} others")
        return value

    @field_validator("require_isolation")
    @classmethod
    def _check_layers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_layers(value)

    @field_validator("data_dir", "unit_key_file", "vm_path", "store_password_file")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()

    @field_validator("store_synchronous", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("engine")
    @classmethod
    def _keep_apart(cls, value: ScriptEngineConfig, info: ValidationInfo) -> ScriptEngineConfig:
        own = {name: info.data[name] for name in ("data_dir", "unit_key_file", "vm_path") if name in info.data}
        value.files.require_apart(**own)
        return value

    @field_validator("engine")
    @classmethod
    def _check_level(cls, value: ScriptEngineConfig, info: ValidationInfo) -> ScriptEngineConfig:
        if value.security_level == "development" and not info.data.get("allow_development"):
            raise ValueError(
                'security_level: expected "safe" or "production"; "development" needs `allow_development = true` too'
            )
        return value


def _below(values: dict[str, Any], name: str, prefix: str = "") -> str:
    # Without a valid data_dir, whose error is reported, any place will do.
    return f"{prefix}{values.get('data_dir', Path('.')).absolute() / name}"
