"""Clients as they should be: each chooses its execution ids, and asks again with the same until it has an answer."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import grpc

from crucible.v1 import execution_pb2, script_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub
from tests.engine.processes import PATIENCE

T = TypeVar("T")

# The message of the log is proof outside of the store that the script ran: the server's log cannot be rolled back.
TALKER = """
pub fn main(me, lines) {
    crucible::basic::log("ran");
    for n in 0..lines { println!("{me}:{n} and eighty bytes more, so that long output fills segments of the store"); }
    let work = 0;
    while work < 30000 { work += 1; }
    [me, lines]
}
"""
LONG_OUTPUT = 7000
"""Lines: more than two segments, less than what SAFE permits."""
_PAUSE = 0.02
# gRPC itself says CANCELLED to calls that arrive in the moment in which a server closes; nothing has come of them.
_ASK_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_GIVE_UP = 90.0


@dataclass
class History:
    """What clients were told. Written by their threads, each entry once."""

    results: dict[str, execution_pb2.ExecutionResult] = field(default_factory=dict)
    """Results by execution, with the output where the call gave it."""
    unary: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    """Output of streams that came to their end."""
    announced: set[str] = field(default_factory=set)
    """Executions that a stream named before its first piece."""
    begun: set[str] = field(default_factory=set)
    """All that were ever asked for."""
    sources: dict[str, script_pb2.ScriptSource] = field(default_factory=dict)
    """Scripts that CompileScript said it stored."""
    names: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """What no client should ever see."""


@dataclass
class Place:
    """Where the server is now: it moves with every start."""

    address: str

    def connect(self) -> tuple[str, grpc.Channel]:
        """A channel to where it is."""
        address = self.address
        options = [("grpc.enable_retries", 0), ("grpc.max_receive_message_length", -1)]
        return address, grpc.insecure_channel(address, options)


class CarefulClient(threading.Thread):
    """Calls one thing after the other until it is told to stop, and finishes what it has begun."""

    def __init__(self, place: Place, history: History, script_id: str, seed: int) -> None:
        super().__init__(name=f"client-{seed}")
        self._place = place
        self._history = history
        self._script_id = script_id
        self._chance = random.Random(seed)
        self._number = 0
        self._seed = seed
        self._address, self._channel = place.connect()
        self._stub = ScriptServiceStub(self._channel)
        self.stopping = threading.Event()

    def run(self) -> None:
        """Until `stopping` is set."""
        steps = [self._unary, self._unary, self._stream, self._stream, self._detached, self._inline, self._compile]
        try:
            while not self.stopping.is_set():
                self._number += 1
                self._chance.choice(steps)()
        except Exception as error:
            self._history.faults.append(f"{self.name}: {type(error).__name__}: {error}")
        finally:
            self._channel.close()

    # -- what it does

    def _context(self, **fields: Any) -> execution_pb2.ExecutionContext:
        context = execution_pb2.ExecutionContext(execution_id=uuid.uuid4().hex, **fields)
        if context.WhichOneof("script") is None:
            context.script_id = self._script_id
        context.arguments["me"].int_value = self._seed * 1_000_000 + self._number
        context.arguments["lines"].int_value = LONG_OUTPUT if self._chance.random() < 0.1 else self._chance.randrange(9)
        self._history.begun.add(context.execution_id)
        return context

    def _unary(self, context: execution_pb2.ExecutionContext | None = None) -> None:
        request = api.ExecuteScriptRequest(context=context or self._context())
        answer = self._until_answered(lambda: self._stub.ExecuteScript(request, timeout=PATIENCE))
        self._history.unary.add(request.context.execution_id)
        self._history.results[request.context.execution_id] = answer.result

    def _inline(self) -> None:
        source = script_pb2.ScriptSource(source=f"// {self._seed} {self._number}\n{TALKER}")
        self._unary(self._context(source=source))

    def _stream(self) -> None:
        context = self._context()
        self._until_answered(lambda: self._read(context.execution_id, self._begin(context), 0, []))

    def _detached(self) -> None:
        """Begins by a call that it loses on purpose, then follows from where it was."""
        context = self._context(detached=True)
        seen: list[execution_pb2.ExecutionChunk] = []

        def begin() -> None:
            call = self._begin(context)
            for response in call:
                seen.append(response.chunk)
                break
            call.cancel()

        self._until_answered(begin)
        del seen[1:]
        if seen and seen[0].WhichOneof("chunk") != "stdout":
            seen.clear()

        def follow() -> None:
            request = api.WaitExecutionRequest(execution_id=context.execution_id, after_sequence=len(seen))
            self._read(context.execution_id, self._stub.WaitExecution(request, timeout=PATIENCE), len(seen), seen)

        self._until_answered(follow)

    def _compile(self) -> None:
        source = script_pb2.ScriptSource(source=f"// {self._seed} {self._number}\npub fn main() {{ {self._number} }}")
        request = api.CompileScriptRequest(source=source)
        request.context.name = f"client-{self._seed}"
        answer = self._until_answered(lambda: self._stub.CompileScript(request, timeout=PATIENCE))
        if not answer.success:
            self._history.faults.append(f"a good source does not compile: {answer.rendered_diagnostics}")
        self._history.sources[answer.script.script_id] = source
        self._history.names[request.context.name] = answer.script.script_id

    # -- how it calls

    def _begin(self, context: execution_pb2.ExecutionContext) -> Any:
        call = self._stub.ExecuteScriptStream(api.ExecuteScriptStreamRequest(context=context), timeout=PATIENCE)
        named = dict(call.initial_metadata() or ()).get("crucible-execution-id")
        if named is not None:
            if named != context.execution_id:
                self._history.faults.append(f"asked for {context.execution_id}, announced {named!r}")
            self._history.announced.add(context.execution_id)
        return call

    def _read(self, execution_id: str, call: Any, after: int, earlier: list[execution_pb2.ExecutionChunk]) -> None:
        history = self._history
        pieces = [chunk.stdout for chunk in earlier]
        for expected, chunk in enumerate(_chunks(call), after + 1):
            kind = chunk.WhichOneof("chunk")
            if kind == "stdout":
                if chunk.sequence != expected:
                    history.faults.append(f"{execution_id}: expected piece {expected}, got {chunk.sequence}")
                pieces.append(chunk.stdout)
                continue
            history.results[execution_id] = chunk.complete if kind == "complete" else chunk.error
            history.texts[execution_id] = "".join(pieces)

    def _until_answered(self, call: Callable[[], T]) -> T:
        """Asks until there is an answer; only a server that is not there, or goes away, is asked again."""
        until = time.monotonic() + _GIVE_UP
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                code: grpc.StatusCode = error.code()
                if code not in _ASK_AGAIN or time.monotonic() > until:
                    raise
            time.sleep(_PAUSE)
            if self._address != self._place.address:
                self._channel.close()
                self._address, self._channel = self._place.connect()
                self._stub = ScriptServiceStub(self._channel)


def _chunks(call: Any) -> Iterator[execution_pb2.ExecutionChunk]:
    for response in call:
        yield response.chunk


class CarefulClients:
    """Several of them. A context manager that waits until all have finished what they had begun."""

    def __init__(self, place: Place, script_id: str, number: int, seed: int) -> None:
        self.history = History()
        self._clients = [CarefulClient(place, self.history, script_id, seed + index) for index in range(number)]

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.stopping.set()
        for client in self._clients:
            client.join(_GIVE_UP + PATIENCE)
        assert not any(client.is_alive() for client in self._clients), "a call never came back"
