"""Figures of events, the registry, the configuration and the connection to the store, there to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, cast

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from crucible.v1 import server_info_pb2
from crucible_server.engine.service import status_word

Status = server_info_pb2.ServiceStatus


class Operations(Protocol):
    """What is to be read, in any thread."""

    @property
    def events_seen(self) -> int:
        """Events that were stored since the start."""

    @property
    def subscriptions_open(self) -> int:
        """Subscriptions."""

    @property
    def subscription_lag(self) -> int:
        """Events that the slowest subscription has still to look at."""

    @property
    def services(self) -> dict[int, int]:
        """How many services there are of each status."""

    @property
    def configuration_version(self) -> int:
        """The version in force."""

    @property
    def store_reconnects(self) -> int:
        """Connections to the database that were lost."""


def observe_operations(meter: Meter, operations: Operations) -> None:
    """Makes them readable."""

    def one(read: Callable[[], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: (Observation(read()),)

    def services(_: CallbackOptions) -> Iterable[Observation]:
        counts = operations.services
        words = {status: status_word(cast(Status, status)) for status in Status.values() if status}
        return [Observation(counts.get(each, 0), {"crucible.service.status": word}) for each, word in words.items()]

    meter.create_observable_counter(
        "crucible.events.stored", [one(lambda: operations.events_seen)], "{event}", "Events that were stored."
    )
    meter.create_observable_counter(
        "crucible.store.reconnects",
        [one(lambda: operations.store_reconnects)],
        "{connection}",
        "Connections to the database that were lost and made again.",
    )
    meter.create_observable_gauge(
        "crucible.events.subscriptions",
        [one(lambda: operations.subscriptions_open)],
        "{subscription}",
        "Subscriptions that are open.",
    )
    meter.create_observable_gauge(
        "crucible.events.lag",
        [one(lambda: operations.subscription_lag)],
        "{event}",
        "Events that the slowest subscription has still to look at.",
    )
    meter.create_observable_gauge(
        "crucible.registry.services", [services], "{service}", "Registered services of all tenants."
    )
    meter.create_observable_gauge(
        "crucible.configuration.version",
        [one(lambda: operations.configuration_version)],
        "",
        "Version of the configuration in force.",
    )
