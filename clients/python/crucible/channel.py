"""How the clients connect: message sizes, keepalive and retries that the server agrees with."""

from __future__ import annotations

from importlib import resources

SERVICE_CONFIG = resources.files(__package__).joinpath("service_config.json").read_text("utf-8")
"""The gRPC service config for any client: only UNAVAILABLE is retried, a few times, with growing pauses.

Every call bears it. Reads and lists change nothing; executions and emitted events have the same id in every try of one
call; naming, deleting, redacting, registering and unregistering have the same effect twice as once. Only the answer can
differ: when the try that removed something lost its connection before the answer came, the next one finds nothing and
says NOT_FOUND.
"""

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The largest answer a client takes; the server has a limit of its own on requests."""

CALL_TIMEOUT = 30.0
"""Seconds that calls may take which run no script."""

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.enable_retries", 1),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A server that comes back is found within this, however long it was away: by default within two minutes.
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Finds a dead server while a silent script is awaited. The server permits a ping every five seconds.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # As many pings as it takes: by default two without data in between are the last.
    ("grpc.http2.max_pings_without_data", 0),
)
