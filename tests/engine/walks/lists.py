"""Steps that list, with every filter, in small pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from crucible.v1 import script_service_pb2 as api
from tests.engine.walks.model import CANCELLED, FAILED, INTERRUPTED, PRINCIPAL, PROGRAMS, RUNNING, SUCCEEDED, State
from tests.engine.walks.server import ModelledServer, picks, refused

Moments = tuple[int | None, int | None]

page_sizes = st.sampled_from([1, 2, 3, 1000])
prefixes = st.sampled_from(["", "", "a", "a/", "b", "c"])
principals = st.sampled_from(["", "", PRINCIPAL, "another"])
states = st.lists(st.sampled_from([RUNNING, SUCCEEDED, FAILED, CANCELLED, INTERRUPTED]), max_size=3)
moments = st.tuples(st.none() | picks, st.none() | picks)
"""Each the time of creation of something: lists begin with it and end before it."""


class ListSteps(ModelledServer):
    """Each reads a whole list and compares it."""

    @rule(prefix=st.sampled_from(["", "", "a", "a/", "b", "c"]), principal=principals, moments=moments, size=page_sizes)
    def list_scripts(self, prefix: str, principal: str, moments: Moments, size: int) -> None:
        request = api.ListScriptsRequest(name_prefix=prefix, principal=principal, page_size=size)
        after, before = bound(request, moments, [each.create_time for each in self.model.scripts.values()])
        if is_backwards(after, before):
            refused("VALIDATION_ERROR", lambda: self.call("ListScripts", request))
            return
        listed = self.pages("ListScripts", request, "scripts")
        assert [each.script_id for each in listed] == self.model.listed_scripts(prefix, principal, after, before)
        assert all(list(each.names) == self.model.names_of(each.script_id) for each in listed)

    def check_lists(self) -> None:
        """Compares both lists whole, in small pages."""
        scripts = self.pages("ListScripts", api.ListScriptsRequest(page_size=2), "scripts")
        assert [each.script_id for each in scripts] == self.model.listed_scripts("", "", None, None)
        executions = self.pages("ListExecutions", api.ListExecutionsRequest(page_size=3), "executions")
        expected = self.model.listed_executions((), "", "", None, None)
        assert [each.execution_id for each in executions] == expected

    @rule(states=states, pick=st.none() | picks, principal=principals, moments=moments, size=page_sizes)
    def list_executions(
        self, states: list[State], pick: int | None, principal: str, moments: Moments, size: int
    ) -> None:
        script_id = "" if pick is None else PROGRAMS[pick % len(PROGRAMS)].script_id
        request = api.ListExecutionsRequest(states=states, script_id=script_id, principal=principal, page_size=size)
        after, before = bound(request, moments, [each.create_time for each in self.model.executions.values()])
        if is_backwards(after, before):
            refused("VALIDATION_ERROR", lambda: self.call("ListExecutions", request))
            return
        listed = self.pages("ListExecutions", request, "executions")
        expected = self.model.listed_executions(states, script_id, principal, after, before)
        assert [each.execution_id for each in listed] == expected
        for each in listed:
            known = self.model.executions[each.execution_id]
            assert (each.state, each.redacted) == (known.state, known.redacted)
            assert not each.result.HasField("return_value")
            assert not each.result.stdout

    def pages(self, method: str, request: Any, field: str) -> list[Any]:
        """All rows, page by page; every token is tried in lists that it does not belong to."""
        rows: list[Any] = []
        while True:
            answer = self.call(method, request)
            page = list(getattr(answer, field))
            rows += page
            if not answer.next_page_token:
                assert len(page) <= request.page_size
                return rows
            assert len(page) == request.page_size
            request.page_token = answer.next_page_token
            other = type(request)()
            other.CopyFrom(request)
            other.principal += "x"
            refused("VALIDATION_ERROR", lambda other=other: self.call(method, other))  # type: ignore[misc]
            strange: Any = api.ListScriptsRequest() if method == "ListExecutions" else api.ListExecutionsRequest()
            strange.page_token = answer.next_page_token
            name = "ListScripts" if method == "ListExecutions" else "ListExecutions"
            refused("VALIDATION_ERROR", lambda name=name, strange=strange: self.call(name, strange))  # type: ignore[misc]


def bound(request: Any, moments: Moments, times: Sequence[int]) -> tuple[int | None, int | None]:
    """Sets the filters by time, and returns them."""
    after, before = (None if pick is None or not times else times[pick % len(times)] for pick in moments)
    for field, time_ns in (("created_after", after), ("created_before", before)):
        if time_ns is not None:
            getattr(request, field).FromNanoseconds(time_ns)
    return after, before


def is_backwards(after: int | None, before: int | None) -> bool:
    """Whether nothing could ever be between them, which is refused."""
    return after is not None and before is not None and after >= before
