"""Why a zygote could not fork, and what to do about it."""

from __future__ import annotations

import errno

from crucible.vm.v1 import zygote_pb2
from crucible_server.engine.resources import most_processes
from crucible_server.errors import ErrorKind, ServiceError

_RETRY_SECONDS = 1.0
# What there may be too few of: processes, memory, descriptors, namespaces.
_SHORT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC})


def not_forked(failed: zygote_pb2.SpawnFailed, zygote_pid: int) -> ServiceError:
    """RESOURCE_EXCEEDED when something has run out, which the message names with its bound; else INTERNAL_ERROR."""
    if failed.errno not in _SHORT:
        return ServiceError(
            ErrorKind.ERROR_KIND_INTERNAL_ERROR,
            f"no interpreter process could be started: {failed.message}; see the server's log",
        )
    bound, advice = "what the machine and its control group allow", "end what uses them up"
    if failed.errno == errno.EAGAIN and (most := most_processes(zygote_pid)) is not None:
        bound = (
            f"the {most} processes that interpreters of this level, with all that their scripts have started, may have "
            "together, or what the machine and its control group allow"
        )
        advice = "end executions or what they have started, or let the server's user have more (`ulimit -u`)"
    return ServiceError(
        ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
        f"no interpreter process could be started: expected room for one more within {bound}, got {failed.message}; "
        f"{advice}, and try again later",
        retry_after=_RETRY_SECONDS,
        quota="processes",
    )
