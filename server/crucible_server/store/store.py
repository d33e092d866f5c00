"""The store as the engine sees it."""

from __future__ import annotations

from .configurations import ConfigStore
from .events import EventStore
from .executions import ExecutionStore
from .scripts import ScriptStore
from .services import ServiceStore


class Store(ScriptStore, ExecutionStore, EventStore, ServiceStore, ConfigStore):
    """Scripts, names, byte code, executions, output, events, services and changes of the configuration in one database.

    Every awaited write is committed when it returns: it survives a killed server, and with `synchronous` FULL
    a power loss as well. Cancelling a caller does not take its write back. All methods raise StoreError. Used
    from the event loop that opened it.
    """
