"""Steps that compile, name and delete scripts, and look at them."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from crucible.v1 import execution_pb2
from crucible.v1 import script_service_pb2 as api
from tests.engine.walks.model import PRINCIPAL, Program
from tests.engine.walks.server import NO_SCRIPT, ModelledServer, names, picks, programs, refused


class ScriptSteps(ModelledServer):
    """Each does one thing and compares what came of it."""

    @rule(program=programs, name=st.none() | names, force=st.booleans())
    def compile(self, program: Program, name: str | None, force: bool) -> None:
        self.compiled(program, name, force=force)

    @rule(name=st.none() | names)
    def compile_what_does_not(self, name: str | None) -> None:
        request = api.CompileScriptRequest()
        request.source.source, request.context.name = "pub fn main( {", name or ""
        self.model.compilations += 1
        answer = self.call("CompileScript", request)
        assert (answer.success, answer.HasField("script")) == (False, False)

    @rule(name=names, pick=picks)
    def name_script(self, name: str, pick: int) -> None:
        scripts = sorted(self.model.scripts) or [NO_SCRIPT]
        request = api.NameScriptRequest(name=name, script_id=scripts[pick % len(scripts)])
        if request.script_id == NO_SCRIPT:
            refused("SCRIPT_NOT_FOUND", lambda: self.call("NameScript", request))
            return
        self.model.names[name] = request.script_id
        answer = self.call("NameScript", request)
        assert list(answer.script.names) == self.model.names_of(request.script_id)

    @rule(name=names)
    def remove_name(self, name: str) -> None:
        request = api.NameScriptRequest(name=name)
        if self.model.names.pop(name, None) is None:
            refused("SCRIPT_NOT_FOUND", lambda: self.call("NameScript", request))
        else:
            assert not self.call("NameScript", request).HasField("script")

    @rule(pick=picks, is_warm=st.booleans())
    def delete_script(self, pick: int, is_warm: bool) -> None:
        scripts = sorted(self.model.scripts) or [NO_SCRIPT]
        script_id = scripts[pick % len(scripts)]
        if script_id != NO_SCRIPT:
            if is_warm:
                self.compiled(self.model.scripts[script_id].program)
            self.call("DeleteScript", api.DeleteScriptRequest(script_id=script_id))
            self.model.delete_script(script_id)
        context = execution_pb2.ExecutionContext(script_id=script_id)
        for method, request in (
            ("DeleteScript", api.DeleteScriptRequest(script_id=script_id)),
            ("GetScript", api.GetScriptRequest(script_id=script_id)),
            ("ExecuteScript", api.ExecuteScriptRequest(context=context)),
            ("GetMetrics", api.GetMetricsRequest(script_ids=[script_id])),
        ):
            refused("SCRIPT_NOT_FOUND", lambda method=method, request=request: self.call(method, request))  # type: ignore[misc]

    @rule(program=programs, name=st.none() | names)
    def get_script(self, program: Program, name: str | None) -> None:
        request = api.GetScriptRequest(include_source=True)
        if name:
            request.script_name = name
            script_id = self.model.names.get(name, NO_SCRIPT)
        else:
            request.script_id = script_id = program.script_id
        if script_id not in self.model.scripts:
            refused("SCRIPT_NOT_FOUND", lambda: self.call("GetScript", request))
            return
        script, known = self.call("GetScript", request).script, self.model.scripts[script_id]
        assert (script.script_id, script.principal) == (script_id, PRINCIPAL)
        assert script.source == known.program.source
        assert list(script.names) == self.model.names_of(script_id)
        assert script.create_time.ToNanoseconds() == known.create_time

    @rule()
    def figures(self) -> None:
        self.check_figures()
