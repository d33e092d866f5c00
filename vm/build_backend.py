"""PEP 517 build backend: maturin, after the patched Rune crates have been prepared.

Named in pyproject.toml as `build-backend = "build_backend"` with `backend-path = ["vm"]`. The hooks
take and return what PEP 517 and PEP 660 say and raise what maturin raises, or PrepareError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import maturin

from prepare_rune import prepare

_Config = Mapping[str, Any] | None


def _prepared(hook: Callable[..., Any], *arguments: Any) -> Any:
    # Even the metadata hooks have cargo read vm/Cargo.toml, which names the patched crates by path.
    prepare()
    return hook(*arguments)


def get_requires_for_build_wheel(config_settings: _Config = None) -> list[str]:
    """Requirements of build_wheel."""
    return list(_prepared(maturin.get_requires_for_build_wheel, config_settings))


def get_requires_for_build_editable(config_settings: _Config = None) -> list[str]:
    """Requirements of build_editable."""
    return list(_prepared(maturin.get_requires_for_build_editable, config_settings))


def get_requires_for_build_sdist(config_settings: _Config = None) -> list[str]:
    """Requirements of build_sdist."""
    return list(_prepared(maturin.get_requires_for_build_sdist, config_settings))


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: _Config = None) -> str:
    """Write the metadata of the wheel and return the name of its folder."""
    return str(_prepared(maturin.prepare_metadata_for_build_wheel, metadata_directory, config_settings))


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: _Config = None) -> str:
    """Write the metadata of the editable wheel and return the name of its folder."""
    return str(_prepared(maturin.prepare_metadata_for_build_editable, metadata_directory, config_settings))


def build_wheel(wheel_directory: str, config_settings: _Config = None, metadata_directory: str | None = None) -> str:
    """Build the wheel and return its file name."""
    return str(_prepared(maturin.build_wheel, wheel_directory, config_settings, metadata_directory))


def build_editable(wheel_directory: str, config_settings: _Config = None, metadata_directory: str | None = None) -> str:
    """Build the editable wheel and return its file name."""
    return str(_prepared(maturin.build_editable, wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: _Config = None) -> str:
    """Build the source distribution and return its file name."""
    return str(_prepared(maturin.build_sdist, sdist_directory, config_settings))
