"""Random walks through everything that changes what a server holds, against a plain model of it.

By default a few walks, the same ones each time. `LONG_TESTS=1 python -m pytest tests/engine/test_model.py` takes many
long ones, others each time, and shrinks one that fails; MODEL_EXAMPLES says how many.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from crucible.v1 import execution_pb2, server_info_pb2
from crucible.v1 import script_service_pb2 as api
from tests.engine.walks.executions import ExecutionSteps
from tests.engine.walks.lists import ListSteps
from tests.engine.walks.model import INTERRUPTED, Program
from tests.engine.walks.scripts import ScriptSteps
from tests.engine.walks.server import line_then, picks, programs, refused
from tests.lengths import LONG, TIMEOUT

pytestmark = pytest.mark.timeout(TIMEOUT)

FORGERIES = [
    "unit = CAST(unit AS BLOB) || x'00'",
    "unit = zeroblob(length(unit))",
    "unit = 'text'",
    "unit = 1",
    "compiled = x''",
    "mac = zeroblob(32)",
    "mac = 'text'",
    # The byte code of another script, where there is one.
    (
        "(mac, compiled, unit) = (SELECT mac, compiled, unit FROM (SELECT mac, compiled, unit, script_id FROM units "
        "UNION ALL SELECT x'', x'', x'', x'') AS other WHERE other.script_id <> units.script_id)"
    ),
]
"""What somebody with the database and without the key could do; the last takes another script's."""


class EngineMachine(ScriptSteps, ExecutionSteps, ListSteps):
    """All steps, and those that end the server and start it again on the same data."""

    @rule(kill=st.booleans(), is_at_work=st.booleans())
    def restart(self, kill: bool, is_at_work: bool) -> None:
        if is_at_work and not self.loops:
            self.start_loop(detached=kill)
        self.end(kill)
        self.start()
        for execution_id in self.model.executions:
            self.check_execution(execution_id)
        self.check_figures()
        self.check_lists()

    @precondition(lambda self: self.model.scripts)
    @rule(pick=picks, forgery=st.sampled_from(FORGERIES))
    def restart_with_forged_byte_code(self, pick: int, forgery: str) -> None:
        script_id = sorted(self.model.scripts)[pick % len(self.model.scripts)]
        self.end(kill=False)
        with closing(sqlite3.connect(self.server.data_dir / "crucible.db")) as connection, connection:
            changed = connection.execute(f"UPDATE units SET {forgery} WHERE script_id = ?", (script_id,)).rowcount
        assert changed == 1
        self.model.forged.add(script_id)
        self.start()

    @rule(program=programs)
    def stop_and_start_again(self, program: Program) -> None:
        answer = self.call("Stop", api.StopRequest(grace_period={"seconds": 0}))
        assert answer.status == server_info_pb2.SERVICE_STATUS_STOPPED
        assert answer.interrupted_executions == len(self.loops)
        self.end_loops(line_then(INTERRUPTED))
        context = execution_pb2.ExecutionContext(source=program.source)
        refused("UNAVAILABLE", lambda: self.call("ExecuteScript", api.ExecuteScriptRequest(context=context)))
        request = api.CompileScriptRequest(source=program.source)
        refused("UNAVAILABLE", lambda: self.call("CompileScript", request))
        assert self.call("Start", api.StartRequest()).status == server_info_pb2.SERVICE_STATUS_HEALTHY


TestEngine = EngineMachine.TestCase
TestEngine.settings = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "100" if LONG else "8")),
    stateful_step_count=100 if LONG else 40,
    derandomize=not LONG,
    # Shrinking takes far longer than finding.
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink) if LONG else (Phase.explicit, Phase.generate),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
