"""`crucible version`."""

from __future__ import annotations

import platform

from crucible_server import __version__


def version() -> None:
    """Print the version."""
    machine = f"{platform.system()} {platform.machine()}"
    print(f"crucible {__version__} (Python {platform.python_version()}, {machine})")
