"""Client of Crucible, the service that runs untrusted Rune scripts.

    import crucible

    with crucible.Client("127.0.0.1:50051") as client:
        print(client.run("pub fn main(n) { n * 2 }", args={"n": 21}).value)

`AsyncClient` is the same for asyncio.
"""

from crucible.aio import AsyncClient, AsyncStream
from crucible.client import Client, Stream
from crucible.errors import (
    CallTimeout,
    CompilationError,
    ConfigurationError,
    CrucibleError,
    ExecutionAborted,
    ExecutionExists,
    ExecutionFailed,
    ExecutionNotFound,
    FieldViolation,
    InternalError,
    MigrationError,
    ResourceExceeded,
    ScriptNotFound,
    SecurityViolation,
    ServiceNotFound,
    Unavailable,
    Unimplemented,
    ValidationError,
)
from crucible.requests import Limits
from crucible.results import (
    Compilation,
    CompiledScript,
    Diagnostic,
    Execution,
    ExecutionError,
    Frame,
    Function,
    Output,
    Result,
    Usage,
)
from crucible.values import UInt64

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "CallTimeout",
    "Client",
    "Compilation",
    "CompilationError",
    "CompiledScript",
    "ConfigurationError",
    "CrucibleError",
    "Diagnostic",
    "Execution",
    "ExecutionAborted",
    "ExecutionError",
    "ExecutionExists",
    "ExecutionFailed",
    "ExecutionNotFound",
    "FieldViolation",
    "Frame",
    "Function",
    "InternalError",
    "Limits",
    "MigrationError",
    "Output",
    "ResourceExceeded",
    "Result",
    "ScriptNotFound",
    "SecurityViolation",
    "ServiceNotFound",
    "Stream",
    "UInt64",
    "Unavailable",
    "Unimplemented",
    "Usage",
    "ValidationError",
]
