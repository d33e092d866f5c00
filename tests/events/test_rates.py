"""How much a principal may emit."""

from __future__ import annotations

import pytest

from crucible_server.errors import ServiceError
from crucible_server.events.rates import EmitLimit


def test_what_is_used_up_comes_back_with_time_and_for_each_on_its_own() -> None:
    now = 0.0
    limit = EmitLimit(60, clock=lambda: now)
    limit.take("local", "anna", 60)
    with pytest.raises(ServiceError) as raised:
        limit.take("local", "anna", 3)
    assert raised.value.retry_after == pytest.approx(3)
    limit.take("local", "bert", 60)
    limit.take("other", "anna", 60)
    now = 3.0
    limit.take("local", "anna", 3)
    with pytest.raises(ServiceError):
        limit.take("local", "anna", 1)
    now = 1000.0
    limit.take("local", "anna", 60)
