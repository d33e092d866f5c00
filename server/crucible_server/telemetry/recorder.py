"""What is counted and measured where it happens. This one does neither: nothing is configured."""

from __future__ import annotations

from crucible.v1 import execution_pb2, security_pb2


class Recorder:
    """Takes figures of calls and executions. All times in seconds."""

    def rpc(self, method: str, code: str, failure: str, seconds: float) -> None:
        """A call of `package.Service/Method` has ended with this code; `failure` is set when the server failed."""

    def compiled(self, seconds: float, *, success: bool) -> None:
        """A compiler has run."""

    def queued(self, seconds: float) -> None:
        """An execution has waited for its turn."""

    def forked(self, seconds: float, *, is_spare: bool) -> None:
        """An execution was given its child."""

    def executed(self, result: execution_pb2.ExecutionResult, level: security_pb2.SecurityLevel) -> None:
        """An execution has ended."""

    def stored(self, seconds: float) -> None:
        """The store has made a transaction of writes."""

    def host_call(self, name: str, seconds: float, *, success: bool) -> None:
        """A host call was answered. The name is one of those registered, or `_OTHER`."""


NOTHING_RECORDED = Recorder()
