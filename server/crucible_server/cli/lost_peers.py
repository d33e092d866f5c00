"""What gRPC logs of callers that are gone."""

from __future__ import annotations

import logging

import structlog

LOGGER = "grpc._cython.cygrpc"
# A batch that was begun fails when its call has ended meanwhile. One that could not be begun is a fault, and says so.
_ENDED = 'Failed "execute_batch"'

log = structlog.get_logger()


class LostPeers(logging.Filter):
    """Makes a line for debugging of what is an error with a traceback to gRPC: a caller left while it was sent to.

    Subscribers and readers of output come and go.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be logged as it is."""
        error = record.exc_info[1] if record.exc_info else None
        if type(error).__name__ != "ExecuteBatchError" or not str(error).startswith(_ENDED):
            return True
        log.debug("caller_left", reason=record.getMessage())
        return False


LOST_PEERS = LostPeers()
