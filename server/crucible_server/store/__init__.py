"""What survives the server: scripts, names, byte code, executions and their output, events, services."""

from .errors import StoreError, StoreErrorKind
from .event_operations import Drafts
from .event_records import (
    EventBounds,
    EventDraft,
    EventPage,
    EventSelection,
    EventTakenError,
    ServiceRecord,
    StoredEvent,
)
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
from .service_operations import Registered
from .store import Store

__all__ = [
    "Change",
    "Drafts",
    "EventBounds",
    "EventDraft",
    "EventPage",
    "EventSelection",
    "EventTakenError",
    "ExecutionEnd",
    "ExecutionQuery",
    "ExecutionRecord",
    "OutputSegment",
    "Registered",
    "ScriptDeletion",
    "ScriptQuery",
    "ScriptRecord",
    "ScriptStats",
    "ScriptSummary",
    "ServiceRecord",
    "Store",
    "StoreError",
    "StoreErrorKind",
    "StoredEvent",
    "UnitRecord",
]
