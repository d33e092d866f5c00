"""What survives the server: scripts, names, byte code, executions and their output."""

from .announcements import Announcement, CancelRequested, Missed, ScriptRemoved
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
    "Announcement",
    "CancelRequested",
    "Change",
    "ExecutionEnd",
    "ExecutionQuery",
    "ExecutionRecord",
    "Missed",
    "OutputSegment",
    "ScriptDeletion",
    "ScriptQuery",
    "ScriptRecord",
    "ScriptRemoved",
    "ScriptStats",
    "ScriptSummary",
    "Store",
    "StoreError",
    "StoreErrorKind",
    "UnitRecord",
]
