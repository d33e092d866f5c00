"""Environment variables for servers whose telemetry is on."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

from tests.servers import RunningServer


def telemetry(**keys: Any) -> dict[str, str]:
    """Keys of `[telemetry]` as environment variables."""
    return {
        f"CRUCIBLE_TELEMETRY__{key.upper()}": value if isinstance(value, str) else json.dumps(value)
        for key, value in keys.items()
    }


def page_address(server: RunningServer) -> str:
    """Where the page of metrics is, from the log."""
    found = re.search(r"page=(\S+)", "".join(server.log))
    assert found, server.log
    return found[1]


def read_page(server: RunningServer, accept: str = "text/plain") -> str:
    """The page of metrics."""
    request = urllib.request.Request(f"http://{page_address(server)}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())
