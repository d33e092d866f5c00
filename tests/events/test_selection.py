"""Who may see which events."""

from __future__ import annotations

import pytest

from crucible.v1 import event_pb2
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.events.kinds import TYPES
from crucible_server.events.selection import select
from crucible_server.policy.principals import LOCAL, Caller
from crucible_server.policy.roles import OPERATOR_EVENTS
from crucible_server.store import StoredEvent

USER = Caller("acme", "anna")


def event(type_name: str, tenant: str = "acme") -> StoredEvent:
    """An event of a tenant."""
    return StoredEvent(1, tenant, type_name, "bert", "", None, b"")


def test_a_user_sees_its_tenant_and_not_what_is_for_operators() -> None:
    selection = select(USER, event_pb2.EventFilter())
    assert selection.admits(event("script_executed"))
    assert not selection.admits(event("script_executed", "other"))
    assert not selection.admits(event("health_status_changed", ""))
    assert OPERATOR_EVENTS < TYPES
    assert not any(selection.admits(event(name)) for name in OPERATOR_EVENTS)


def test_an_operator_sees_the_server_as_well_but_no_other_tenant() -> None:
    selection = select(LOCAL, event_pb2.EventFilter())
    assert all(selection.admits(event(name, tenant)) for name in TYPES for tenant in ("local", ""))
    assert not selection.admits(event("script_executed", "other"))


@pytest.mark.parametrize("name", sorted(OPERATOR_EVENTS))
def test_what_a_user_may_not_see_it_cannot_ask_for(name: str) -> None:
    with pytest.raises(ServiceError) as raised:
        select(USER, event_pb2.EventFilter(types=["script_executed", name]))
    assert raised.value.kind == ErrorKind.ERROR_KIND_SECURITY_VIOLATION
    assert select(LOCAL, event_pb2.EventFilter(types=[name])).types == {name}


def test_every_kind_of_the_contract_has_its_type() -> None:
    spec = {
        "script_compiled",
        "script_executed",
        "health_status_changed",
        "migration_started",
        "migration_completed",
        "service_registered",
        "service_unregistered",
    }
    assert spec < TYPES
    assert not any("." in name for name in TYPES)
