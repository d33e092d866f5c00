"""Why a change of the configuration is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from crucible_server.config import ConfigError, Effect, ServerConfig, all_keys
from crucible_server.config.problems import nearest_key
from crucible_server.errors import ErrorKind, FieldViolation, ServiceError
from crucible_server.store.configurations import KEPT_REVISIONS


def check_keys(names: Sequence[str], *, is_set: Collection[str] = (), reads: bool = False) -> None:
    """Raises ServiceError unless all are keys that calls may set; with `reads`, unless all are keys or sections.

    One that is set already may always be taken back: `is_set`.
    """
    keys = {key.path: key for key in all_keys(ServerConfig)}
    unknown = [name for name in names if name not in keys and name not in is_set]
    if reads:
        unknown = [name for name in unknown if not any(path.startswith(f"{name}.") for path in keys)]
    if unknown:
        raise _refused(
            [
                FieldViolation(name, f"there is no such key{nearest_key(ServerConfig, name.split('.'))[0]}")
                for name in unknown
            ]
        )
    if reads:
        return
    local = [name for name in names if name in keys and keys[name].effect is Effect.LOCAL]
    if local:
        raise ServiceError(
            ErrorKind.ERROR_KIND_SECURITY_VIOLATION,
            f"{', '.join(local)}: set beside the server only, in its file, its environment or by a flag; not by a call",
        )
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise _refused([FieldViolation(name, "expected a key once, got it twice") for name in twice])


def not_valid(error: ConfigError, values: Mapping[str, Any]) -> ServiceError:
    """A change after which the whole would not be valid."""
    violations = []
    for problem in error.found:
        said = f"{problem.message}; got {problem.got}" if problem.got else problem.message
        # Another key may be at fault, as one that goes with what was set.
        if problem.origin and problem.key not in values:
            said += f" ({problem.origin})"
        violations.append(FieldViolation(problem.key, said))
    return _refused(violations)


def behind(latest: int, in_force: int, error: ConfigError) -> ServiceError:
    """A change at a server that cannot have what another one has set, and would undo it."""
    return ServiceError(
        ErrorKind.ERROR_KIND_CONFIGURATION_ERROR,
        f"version {latest} of the configuration, set at another server of this database, is not in force here, where "
        f"version {in_force} is: together with this change it does not fit this server ({'; '.join(error.problems)}). "
        "Mend that server's file, environment or flags, make the change where the version is in force, or take back "
        "what does not fit",
        metadata={"latest_version": str(latest), "current_version": str(in_force)},
    )


def stale(expected: int, current: int) -> ServiceError:
    """A change of something that somebody else has changed meanwhile."""
    return ServiceError(
        ErrorKind.ERROR_KIND_VERSION_CONFLICT,
        f"expected version {expected} of the configuration, but version {current} is in force: read it again, and "
        "decide anew",
        metadata={"expected_version": str(expected), "current_version": str(current)},
    )


def unknown_revision(version: int, current: int) -> ServiceError:
    """A version that never was, or is kept no longer."""
    return ServiceError(
        ErrorKind.ERROR_KIND_REVISION_NOT_FOUND,
        f"there is no version {version} of the configuration; the latest is {current}, the newest {KEPT_REVISIONS:,} "
        "are kept, and 0 stands for nothing set",
    )


def _refused(violations: Sequence[FieldViolation]) -> ServiceError:
    return ServiceError(
        ErrorKind.ERROR_KIND_VALIDATION_ERROR,
        "; ".join(f"{each.field}: {each.description}" for each in violations),
        violations=tuple(violations),
    )
