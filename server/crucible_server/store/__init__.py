"""What survives the server: scripts, names, byte code, executions and their output."""

from .errors import StoreError, StoreErrorKind
from .records import ExecutionEnd, ExecutionRecord, ScriptRecord, UnitRecord
from .store import Store

__all__ = [
    "ExecutionEnd",
    "ExecutionRecord",
    "ScriptRecord",
    "Store",
    "StoreError",
    "StoreErrorKind",
    "UnitRecord",
]
