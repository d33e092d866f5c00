"""Where the server's log goes when it is started from the command line: to standard error."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from crucible_server.cli import lost_peers
from crucible_server.telemetry import place

_LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "exception": 40, "critical": 50}
_least = 0


def configure_logs(log_format: str, log_level: str) -> None:
    """One line for each event: for people with `console`, one JSON object with `json`.

    Libraries that log by the standard library come out at the same place, from warnings on.
    """
    renderer: Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        # With the lines of a traceback only: local variables hold the arguments and results of scripts, and secrets.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    set_log_level(log_level)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        # First, as what is dropped needs nothing else. Loggers are kept where they are used: a level that they hold
        # themselves could not change.
        processors=[_drop_below, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(lost_peers.LOGGER).addFilter(lost_peers.LOST_PEERS)


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Which trace a line belongs to, wherever a call is at its beginning."""
    here = place.current()
    if here is not None:
        event["trace_id"] = here.trace_id
        if here.span_id:
            event["span_id"] = here.span_id
    return event


def set_log_level(log_level: str) -> None:
    """What is less important is dropped from now on."""
    global _least
    _least = _LEVELS[log_level]


def _drop_below(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if _LEVELS.get(method, _least) < _least:
        raise structlog.DropEvent
    return event
