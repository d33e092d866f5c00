"""Which security levels permit something else after a change of the configuration."""

from __future__ import annotations

from collections.abc import Iterable

from crucible_server.configuration.changes import KeyChange

_JAILED = ("safe", "production")
_ALL = (*_JAILED, "development")
_DEFAULT_LEVEL = "engine.security_level"
# Keys, or sections with all that is in them, and the levels that they bound; the longest that fits counts.
_CONCERNED = {
    "engine.resource_limits": _ALL,
    "engine.max_source_size": _ALL,
    "engine.default_execution_timeout": _ALL,
    "engine.http": ("production", "development"),
    # Outside the jail any address may be dialled, and files are the system's own.
    "engine.http.allow": ("production",),
    "engine.files": ("production",),
    "max_crashes_per_minute": _ALL,
    "allow_development": ("development",),
    "isolation": _JAILED,
    "require_isolation": _JAILED,
}


def policy_changes(changes: Iterable[KeyChange]) -> list[tuple[str, str]]:
    """Level and what became of it, without doubles.

    `updated`: it permits something else from now on; `pending`: from the next start on; `activated` and `deactivated`:
    it is the level of requests that name none, or no longer.
    """
    found: dict[tuple[str, str], None] = {}
    for change in changes:
        if change.key.path == _DEFAULT_LEVEL:
            found[str(change.old), "deactivated"] = found[str(change.new), "activated"] = None
        for level in _levels(change.key.parts):
            found[level, "pending" if change.needs_restart else "updated"] = None
    return list(found)


def _levels(parts: tuple[str, ...]) -> tuple[str, ...]:
    for length in range(len(parts), 0, -1):
        if (levels := _CONCERNED.get(".".join(parts[:length]))) is not None:
            return levels
    return ()


def concerned() -> frozenset[str]:
    """The keys and sections that bound levels."""
    return frozenset(_CONCERNED) | {_DEFAULT_LEVEL}
