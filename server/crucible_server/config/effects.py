"""When a change of a key takes effect, and who may make it."""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    """What has to happen for another value of a key to be in force."""

    LIVE = "live"
    """Nothing: it holds for whatever begins after the change. What runs keeps what it started with."""
    RESTART = "restart"
    """The server has to be started again."""
    LOCAL = "local"
    """The same; and it can be set beside the server only, by file, environment or flag, not by a call."""


# Keys, or sections with all that is in them; the longest that fits counts. A key that nobody has thought about here is
# LOCAL: not changed under a running server, and not by somebody who merely reached its port.
_EFFECTS = {
    "spare_children": Effect.LIVE,
    "max_spare_children": Effect.LIVE,
    "max_concurrent_executions": Effect.LIVE,
    "max_queued_executions": Effect.LIVE,
    "max_executions_memory": Effect.LIVE,
    "max_crashes_per_minute": Effect.LIVE,
    "grace_period": Effect.LIVE,
    "max_request_bytes": Effect.RESTART,
    "execution_retention": Effect.LIVE,
    "max_stored_executions": Effect.LIVE,
    "script_retention": Effect.LIVE,
    "max_stored_scripts": Effect.LIVE,
    "log_format": Effect.RESTART,
    "log_level": Effect.LIVE,
    "engine.max_cache_size": Effect.LIVE,
    "engine.max_cache_bytes": Effect.LIVE,
    "engine.default_execution_timeout": Effect.LIVE,
    "engine.max_source_size": Effect.LIVE,
    "engine.enable_caching": Effect.LIVE,
    "engine.security_level": Effect.LIVE,
    "engine.resource_limits": Effect.LIVE,
    "engine.http": Effect.LIVE,
    # A file of this machine, named from elsewhere.
    "engine.http.ca_file": Effect.LOCAL,
    "engine.discovery": Effect.RESTART,
    "engine.health_check": Effect.LIVE,
    "events": Effect.RESTART,
}


def effect_of(path: str) -> Effect:
    """The effect of a key, such as `engine.http.allow`."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        effect = _EFFECTS.get(".".join(parts[:length]))
        if effect is not None:
            return effect
    return Effect.LOCAL


def declared() -> frozenset[str]:
    """The keys and sections of the table."""
    return frozenset(_EFFECTS)
