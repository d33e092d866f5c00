"""Client of Crucible, the service that runs untrusted Rune scripts.

    import crucible

    with crucible.Client("127.0.0.1:50051") as client:
        print(client.run("pub fn main(n) { n * 2 }", args={"n": 21}).value)

`AsyncClient` is the same for asyncio.
"""

from crucible.aio import AsyncClient, AsyncStream
from crucible.aio_config import AsyncConfigWatch
from crucible.aio_events import AsyncServiceWatch, AsyncSubscription
from crucible.client import Client, Stream
from crucible.client_config import ConfigWatch
from crucible.client_events import ServiceWatch, Subscription
from crucible.configuration import Config, ConfigChange, ConfigEntry, ConfigNews, ConfigRevision, ConfigUpdate
from crucible.errors import (
    CallTimeout,
    CompilationError,
    ConfigurationError,
    CrucibleError,
    EventExists,
    EventsExpired,
    ExecutionAborted,
    ExecutionExists,
    ExecutionFailed,
    ExecutionNotFound,
    ExecutionUnfinished,
    FieldViolation,
    InternalError,
    MigrationError,
    ResourceExceeded,
    RevisionNotFound,
    ScriptNotFound,
    SecurityViolation,
    ServiceExists,
    ServiceNotFound,
    SubscriptionNotFound,
    Unavailable,
    Unimplemented,
    ValidationError,
    VersionConflict,
)
from crucible.events import Emitted, Event, NewEvent
from crucible.requests import Limits, State
from crucible.results import (
    Compilation,
    CompiledScript,
    Diagnostic,
    Execution,
    ExecutionError,
    Frame,
    Function,
    Metrics,
    Output,
    Result,
    Script,
    ScriptStats,
    Usage,
)
from crucible.services import Service, ServiceChange
from crucible.values import UInt64

__all__ = [
    "AsyncClient",
    "AsyncConfigWatch",
    "AsyncServiceWatch",
    "AsyncStream",
    "AsyncSubscription",
    "CallTimeout",
    "Client",
    "Compilation",
    "CompilationError",
    "CompiledScript",
    "Config",
    "ConfigChange",
    "ConfigEntry",
    "ConfigNews",
    "ConfigRevision",
    "ConfigUpdate",
    "ConfigWatch",
    "ConfigurationError",
    "CrucibleError",
    "Diagnostic",
    "Emitted",
    "Event",
    "EventExists",
    "EventsExpired",
    "Execution",
    "ExecutionAborted",
    "ExecutionError",
    "ExecutionExists",
    "ExecutionFailed",
    "ExecutionNotFound",
    "ExecutionUnfinished",
    "FieldViolation",
    "Frame",
    "Function",
    "InternalError",
    "Limits",
    "Metrics",
    "MigrationError",
    "NewEvent",
    "Output",
    "ResourceExceeded",
    "Result",
    "RevisionNotFound",
    "Script",
    "ScriptNotFound",
    "ScriptStats",
    "SecurityViolation",
    "Service",
    "ServiceChange",
    "ServiceExists",
    "ServiceNotFound",
    "ServiceWatch",
    "State",
    "Stream",
    "Subscription",
    "SubscriptionNotFound",
    "UInt64",
    "Unavailable",
    "Unimplemented",
    "Usage",
    "ValidationError",
    "VersionConflict",
]
