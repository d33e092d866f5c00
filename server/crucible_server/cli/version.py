"""`crucible version`."""

from __future__ import annotations

import platform

from crucible_server import __version__


def version() -> None:
    """Print the version."""
    print(
        f"crucible {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})"
    )
