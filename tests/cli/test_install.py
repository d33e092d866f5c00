"""What an installation needs of the source tree."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_is_a_script_that_installers_take() -> None:
    # Installers keep the mode of the file, and put their interpreter in place of this exact line.
    script = ROOT / "server" / "crucible_server.data" / "scripts" / "crucible"
    assert os.access(script, os.X_OK)
    assert script.read_text("ascii").startswith("#!python\n")
