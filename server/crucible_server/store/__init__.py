"""What survives the server: scripts, names, byte code, executions and their output."""

from .errors import StoreError, StoreErrorKind
from .records import (
    Change,
    ExecutionEnd,
    ExecutionQuery,
    ExecutionRecord,
    OutputSegment,
    ScriptDeletion,
    ScriptQuery,
    ScriptRecord,
    ScriptStats,
    ScriptSummary,
    UnitRecord,
)
from .store import Store

__all__ = [
    "Change",
    "ExecutionEnd",
    "ExecutionQuery",
    "ExecutionRecord",
    "OutputSegment",
    "ScriptDeletion",
    "ScriptQuery",
    "ScriptRecord",
    "ScriptStats",
    "ScriptSummary",
    "Store",
    "StoreError",
    "StoreErrorKind",
    "UnitRecord",
]
