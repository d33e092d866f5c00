"""`crucible services`: listing, registering, watching, unregistering."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import uuid
from typing import Any

from tests.cli.conftest import TIMEOUT, Crucible, command, environment


def services(crucible: Crucible, server: str, *words: str) -> list[dict[str, Any]]:
    """What a list holds."""
    listed = crucible("services", "list", *words, "--json", "--server", server)
    assert listed.returncode == 0, listed.stderr
    found: list[dict[str, Any]] = json.loads(listed.stdout)["services"]
    return found


def ids(crucible: Crucible, server: str, *words: str) -> list[str]:
    """The ids of what a list holds."""
    return [service["info"]["service_id"] for service in services(crucible, server, *words)]


def test_the_server_itself_is_listed(crucible: Crucible, server: str) -> None:
    listed = crucible("services", "list", "--type", "ScriptEngine", "--healthy", "--server", server)
    heading, row = listed.stdout.splitlines()
    assert heading.split() == ["SERVICE", "TYPE", "STATUS", "ENDPOINT", "VERSION", "UNTIL"]
    assert row.split()[1:4] == ["ScriptEngine", "healthy", server]


def test_a_service_is_registered_watched_and_taken_back(crucible: Crucible, server: str) -> None:
    name = uuid.uuid4().hex
    words = ("services", "register", name, name, "10.0.0.5:80", "--metadata", "zone=a", "--lease", "10m")
    registered = crucible(*words, "--json", "--server", server)
    assert registered.returncode == 0, registered.stderr
    service = json.loads(registered.stdout)
    assert (service["status"], service["lease"], service["info"]["metadata"]) == ("healthy", 600, {"zone": "a"})
    assert "replaced" in crucible(*words, "--server", server).stdout
    assert ids(crucible, server, "--metadata", "zone=a", "--type", name) == [name]
    assert ids(crucible, server, "--metadata", "zone=b", "--type", name) == []
    watched = crucible("services", "watch", "--type", name, "--count", "1", "--server", server)
    assert watched.stdout == f"{name}: healthy at 10.0.0.5:80\n"
    gone = crucible("services", "unregister", name, "absent", "--server", server)
    assert gone.returncode == 3
    assert gone.stdout == f"{name}: unregistered\n"
    assert ids(crucible, server, "--type", name) == []


def test_what_is_kept_lives_as_long_as_the_command(crucible: Crucible, server: str) -> None:
    name = uuid.uuid4().hex
    words = ("services", "register", name, name, "10.0.0.5:80", "--lease", "6s", "--keep", "--server", server)
    until: set[str] = set()
    with subprocess.Popen(command(words), env=environment(), stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert name.encode() in keeper.stdout.readline()
        deadline = time.monotonic() + TIMEOUT
        while len(until) < 3 and time.monotonic() < deadline:
            until |= {service["lease_expire_time"] for service in services(crucible, server, "--type", name)}
        keeper.send_signal(signal.SIGINT)
        assert keeper.wait(TIMEOUT) == 130
    assert len(until) >= 3, f"the lease was not extended: {until}"
    assert ids(crucible, server, "--type", name) == []


def test_what_does_not_fit_is_refused(crucible: Crucible, server: str) -> None:
    for words, said in (
        (("web", "Web", "10.0.0.5"), "HOST:PORT"),
        (("web", "Web", "10.0.0.5:80", "--lease", "100ms"), "lease"),
        (("web", "Web", "10.0.0.5:80", "--health-url", "http://10.0.0.5/"), "engine.health_check.allow"),
        (("web", "We b", "10.0.0.5:80"), "service_type"),
    ):
        done = crucible("services", "register", *words, "--server", server)
        assert done.returncode == 3
        assert said in done.stderr
    done = crucible("services", "register", "web", "Web", "10.0.0.5:80", "--metadata", "zone", "--server", server)
    assert done.returncode == 2
    assert "NAME=VALUE" in done.stderr
    assert crucible("services", "register", "web", "Web", "h:1", "--lease", "0", "--server", server).returncode == 2
