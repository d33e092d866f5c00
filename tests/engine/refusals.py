"""What a refused call says, read from the status on the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from crucible.errors import ERROR_DOMAIN

MAX_DETAILS_BYTES = 4096
"""Some clients lose longer trailers."""


@dataclass
class Refusal:
    """An error status with its details; `reason` is empty when there was no ErrorInfo."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    fields: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    quotas: list[str] = field(default_factory=list)
    retry_after: float | None = None

    @property
    def words(self) -> tuple[str, str]:
        """Code and reason."""
        return self.code.name, self.reason


def refusal(call: Callable[[], object]) -> Refusal:
    """Makes a call that has to be refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    # The error of a call is a grpc.Call too, which no declared class says.
    error: Any = caught.value
    refused = Refusal(error.code(), error.details() or "")
    status = rpc_status.from_call(error)
    if status is None:
        return refused
    assert status.ByteSize() <= MAX_DETAILS_BYTES
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        quota, retry = error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            assert info.domain == ERROR_DOMAIN
            refused.reason = info.reason
        elif detail.Unpack(bad):
            refused.fields += [violation.field for violation in bad.field_violations]
            refused.descriptions += [violation.description for violation in bad.field_violations]
        elif detail.Unpack(quota):
            refused.quotas += [violation.subject for violation in quota.violations]
        elif detail.Unpack(retry):
            refused.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return refused
