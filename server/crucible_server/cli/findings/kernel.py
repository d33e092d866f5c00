"""What the kernel can do, probed by calls that change nothing."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

from crucible_server.cli.findings.finding import Finding, Status, read

GROUP = "kernel"

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_PR_GET_NO_NEW_PRIVS = 39
# These two have one number on every architecture.
_SYS_CLOSE_RANGE = 436
_SYS_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_CREATE_RULESET_VERSION = 1
_CLONE_NEWUSER = 0x1000_0000
_NO_DESCRIPTOR = 0xFFFF_FFFF
_UNSHARE = (
    "import ctypes, sys\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    f"sys.exit(0 if libc.unshare({_CLONE_NEWUSER}) == 0 else ctypes.get_errno())\n"
)
_UNSHARE_SECONDS = 10.0


def look() -> Iterator[Finding]:
    """Findings on the kernel."""
    system = f"{platform.system()} {platform.release()} on {platform.machine()}"
    if sys.platform != "linux":
        yield Finding(
            GROUP, "version", Status.ERROR, system, "run Crucible on Linux: its jail is made of Linux's parts"
        )
        return
    yield Finding(GROUP, "version", Status.OK, system)
    yield _seccomp()
    yield _no_new_privs()
    yield _pidfd()
    yield _close_range()
    yield _landlock()
    yield _user_namespaces()
    yield _cgroup()


def _call(number: int, *arguments: int | None) -> tuple[int, int]:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_void_p(argument) for argument in arguments))
    return result, ctypes.get_errno()


def _prctl(*arguments: int | None) -> tuple[int, int]:
    libc = ctypes.CDLL(None, use_errno=True)
    padded = (*arguments, 0, 0, 0, 0)[:5]
    result = libc.prctl(*(ctypes.c_ulong(argument or 0) for argument in padded))
    return result, ctypes.get_errno()


def _seccomp() -> Finding:
    # A filter at no address: EFAULT from a kernel that would have read it, EINVAL from one that knows no filters.
    _, error = _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, 0)
    actions = read("/proc/sys/kernel/seccomp/actions_avail")
    if error == errno.EFAULT and (not actions or "kill_process" in actions.split()):
        return Finding(GROUP, "seccomp", Status.OK, "system calls can be filtered")
    detail = f"system calls cannot be filtered ({errno.errorcode.get(error, error)}; actions: {actions or 'unknown'})"
    return Finding(
        GROUP,
        "seccomp",
        Status.ERROR,
        detail,
        "take a kernel of 4.14 or newer with CONFIG_SECCOMP_FILTER; in a container, let its own profile permit "
        "seccomp and prctl",
    )


def _no_new_privs() -> Finding:
    value, error = _prctl(_PR_GET_NO_NEW_PRIVS)
    if value >= 0:
        return Finding(GROUP, "no_new_privs", Status.OK, "set for this process" if value else "can be set")
    return Finding(
        GROUP, "no_new_privs", Status.ERROR, f"missing ({os.strerror(error)})", "take a kernel of 4.14 or newer"
    )


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return Finding(
            GROUP,
            "pidfd",
            Status.ERROR,
            f"processes cannot be named by a descriptor ({error.strerror})",
            "take a kernel of 5.4 or newer; in a container, let its seccomp profile permit pidfd_open",
        )
    return Finding(GROUP, "pidfd", Status.OK, "processes are named by descriptors")


def _close_range() -> Finding:
    # No process has a descriptor of this number.
    result, error = _call(_SYS_CLOSE_RANGE, _NO_DESCRIPTOR, _NO_DESCRIPTOR, 0)
    if result == 0:
        return Finding(GROUP, "close_range", Status.OK, "descriptors can be closed all at once")
    return Finding(
        GROUP,
        "close_range",
        Status.ERROR,
        f"missing ({os.strerror(error)})",
        "take a kernel of 5.9 or newer; in a container, let its seccomp profile permit close_range",
    )


def _landlock() -> Finding:
    version, error = _call(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    if version > 0:
        return Finding(GROUP, "landlock", Status.OK, f"version {version} of its interface")
    return Finding(
        GROUP,
        "landlock",
        Status.WARNING,
        f"not available ({os.strerror(error)}); no server needs it",
        "for more depth, take a kernel of 5.13 or newer with landlock in its `lsm=` list",
    )


def _user_namespaces() -> Finding:
    name = "user_namespaces"
    settings = {
        "unprivileged_userns_clone": read("/proc/sys/kernel/unprivileged_userns_clone"),
        "max_user_namespaces": read("/proc/sys/user/max_user_namespaces"),
        "apparmor_restrict_unprivileged_userns": read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    }
    known = ", ".join(f"{key}={value}" for key, value in settings.items() if value)
    try:
        # In a process of its own, which the namespace goes with.
        code = subprocess.run(
            [sys.executable, "-I", "-c", _UNSHARE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_UNSHARE_SECONDS,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(
            GROUP,
            name,
            Status.WARNING,
            f"could not be tried: {error}",
            "nothing has to be done: only the level Development needs them",
        )
    if code == 0:
        return Finding(GROUP, name, Status.OK, f"can be made ({known})" if known else "can be made")
    advice = "only the level Development needs them; for it, and for more depth, "
    if settings["unprivileged_userns_clone"] == "0":
        advice += "run `sysctl kernel.unprivileged_userns_clone=1`"
    elif settings["max_user_namespaces"] == "0":
        advice += "run `sysctl user.max_user_namespaces=10000`"
    elif settings["apparmor_restrict_unprivileged_userns"] == "1":
        advice += "give crucible-vm an AppArmor profile with `userns,`"
    else:
        advice += "let the container's seccomp profile permit unshare"
    reason = os.strerror(code) if code > 0 else f"signal {-code}"
    return Finding(GROUP, name, Status.WARNING, f"cannot be made: {reason} ({known})", advice)


def _cgroup() -> Finding:
    from crucible_server.engine.cgroups import ControlGroups

    groups = ControlGroups.probe()
    if not groups.problem:
        return Finding(GROUP, "cgroup", Status.OK, groups.foreseen)
    return Finding(GROUP, "cgroup", Status.WARNING, groups.problem, "no server needs them; they would add depth")
