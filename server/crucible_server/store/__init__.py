"""What survives the server: scripts, names, byte code, executions and their output, events, services."""

from .announcements import Announcement, CancelRequested, EventsStored, Missed, ScriptRemoved, ServicesChanged
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
    "Announcement",
    "CancelRequested",
    "Change",
    "Drafts",
    "EventBounds",
    "EventDraft",
    "EventPage",
    "EventSelection",
    "EventTakenError",
    "EventsStored",
    "ExecutionEnd",
    "ExecutionQuery",
    "ExecutionRecord",
    "Missed",
    "OutputSegment",
    "Registered",
    "ScriptDeletion",
    "ScriptQuery",
    "ScriptRecord",
    "ScriptRemoved",
    "ScriptStats",
    "ScriptSummary",
    "ServiceRecord",
    "ServicesChanged",
    "Store",
    "StoreError",
    "StoreErrorKind",
    "StoredEvent",
    "UnitRecord",
]
