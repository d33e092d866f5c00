"""The part of ScriptService that reads, lists, names and deletes what is stored."""

from __future__ import annotations

import grpc
from google.protobuf.message import Message

from crucible.v1 import execution_pb2
from crucible.v1 import script_service_pb2 as pb
from crucible_server.api import handlers
from crucible_server.api.handlers import Context
from crucible_server.api.paging import Page, created_between
from crucible_server.api.records import Presenter
from crucible_server.engine.engine import Engine
from crucible_server.errors import invalid
from crucible_server.store import ExecutionQuery, ScriptQuery

_STATES = {
    number: name
    for name, number in execution_pb2.ExecutionState.items()
    if number != execution_pb2.EXECUTION_STATE_UNSPECIFIED
}


class StoredThings:
    """Handlers over the engine's catalog of scripts and history of executions."""

    def __init__(self, engine: Engine, presenter: Presenter) -> None:
        self._engine = engine
        self._presenter = presenter

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[bytes, Message]]:
        """The RPCs served here, by name."""
        return {
            "GetScript": handlers.unary(pb.GetScriptRequest, self._get_script),
            "ListScripts": handlers.unary(pb.ListScriptsRequest, self._list_scripts),
            "NameScript": handlers.unary(pb.NameScriptRequest, self._name_script),
            "DeleteScript": handlers.unary(pb.DeleteScriptRequest, self._delete_script),
            "ListExecutions": handlers.unary(pb.ListExecutionsRequest, self._list_executions),
            "DeleteExecution": handlers.unary(pb.DeleteExecutionRequest, self._delete_execution),
        }

    async def _get_script(self, request: pb.GetScriptRequest, context: Context) -> pb.GetScriptResponse:
        catalog = self._engine.catalog
        summary = await catalog.find(handlers.caller(context).tenant, request.script_id, request.script_name)
        script = self._presenter.script(summary)
        if request.include_source:
            script.source.ParseFromString((await catalog.source(summary)).source)
        return pb.GetScriptResponse(script=script)

    async def _list_scripts(self, request: pb.ListScriptsRequest, context: Context) -> pb.ListScriptsResponse:
        tenant = handlers.caller(context).tenant
        page = Page.of(request, tenant)
        after, before = created_between(request)
        scripts = await self._engine.catalog.page(
            ScriptQuery(
                tenant=tenant,
                limit=page.limit,
                before=page.before,
                name_prefix=request.name_prefix,
                principal=request.principal,
                created_after=after,
                created_before=before,
            )
        )
        shown, token = page.cut(scripts, lambda each: (each.create_time, each.script_id), self._presenter.script)
        return pb.ListScriptsResponse(scripts=shown, next_page_token=token)

    async def _name_script(self, request: pb.NameScriptRequest, context: Context) -> pb.NameScriptResponse:
        summary = await self._engine.catalog.name(handlers.caller(context).tenant, request.name, request.script_id)
        if summary is None:
            return pb.NameScriptResponse()
        return pb.NameScriptResponse(script=self._presenter.script(summary))

    async def _delete_script(self, request: pb.DeleteScriptRequest, context: Context) -> pb.DeleteScriptResponse:
        await self._engine.catalog.delete(handlers.caller(context), request.script_id)
        return pb.DeleteScriptResponse()

    async def _list_executions(self, request: pb.ListExecutionsRequest, context: Context) -> pb.ListExecutionsResponse:
        tenant = handlers.caller(context).tenant
        page = Page.of(request, tenant)
        after, before = created_between(request)
        for index, state in enumerate(request.states):
            if state not in _STATES:
                raise invalid(f"states[{index}]", f"expected one of {', '.join(_STATES.values())}, got {state}")
        executions = await self._engine.history.page(
            ExecutionQuery(
                tenant=tenant,
                limit=page.limit,
                before=page.before,
                states=tuple(sorted(set(request.states))),
                script_id=request.script_id,
                principal=request.principal,
                created_after=after,
                created_before=before,
            )
        )
        shown, token = page.cut(
            executions,
            lambda each: (each[0].create_time, each[0].execution_id),
            lambda each: self._presenter.listed_execution(*each),
        )
        return pb.ListExecutionsResponse(executions=shown, next_page_token=token)

    async def _delete_execution(
        self, request: pb.DeleteExecutionRequest, context: Context
    ) -> pb.DeleteExecutionResponse:
        execution_id = handlers.required_id(request.execution_id)
        tenant = handlers.caller(context).tenant
        if request.redact_only:
            await self._engine.history.redact(tenant, execution_id)
        else:
            await self._engine.history.delete(tenant, execution_id)
        return pb.DeleteExecutionResponse()
