"""What the log of a server shows."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULT = """
import structlog
from crucible_server.cli.logs import configure_logs

def run(arguments):
    raise RuntimeError("a fault")

configure_logs(%r, "info")
try:
    run({"token": "kept" + "-to-ourselves"})
except RuntimeError:
    structlog.get_logger().exception("execution_failed")
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_tracebacks_name_lines_and_show_no_values(log_format: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULT % log_format], capture_output=True, text=True, timeout=60, check=True
    )
    assert "execution_failed" in done.stderr
    assert "RuntimeError: a fault" in done.stderr
    assert "in run" in done.stderr
    assert "kept-to-ourselves" not in done.stderr
