"""How deep children are isolated, beyond what is never optional."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from .quantities import Count, Seconds

LAYERS = (
    "seccomp",
    "no_new_privs",
    "rlimits",
    "close_range",
    "unprivileged_uid",
    "parent_death_signal",
    "native_stack",
    "user_namespace",
    "pid_namespace",
    "net_namespace",
    "ipc_namespace",
    "mount_namespace",
    "uts_namespace",
    "landlock",
    "capabilities",
    "cgroup",
    "zygote_renewal",
)
"""The names of all layers around children."""
FILE_LAYERS = ("file_broker", "file_broker_landlock", "file_broker_uid")
"""And of those around the file broker, which there is where scripts have files."""


class IsolationConfig(BaseModel):
    """What adds depth to the jail. `true` takes what the machine gives and says what it lacks, `false` does not try."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    namespaces: bool = True
    """Of users, processes, network, message queues, mounts and host name."""
    landlock: bool = True
    cgroup: bool = True
    """A control group that bounds the zygote with all its children in memory and number."""
    zygote_renewal_crashes: Count = 100
    """Crashes of children after which another zygote takes over: children of one zygote share an address layout, which
    crashes tell something about."""
    zygote_renewal_interval: Seconds = 3600.0
    """And the time after which one does."""


def check_layers(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names themselves. Raises ValueError for one that is no layer."""
    known = (*LAYERS, *FILE_LAYERS)
    for name in names:
        if name not in known:
            raise ValueError(f"expected names of layers, which are {', '.join(known)}; {name!r} is none")
    return names
