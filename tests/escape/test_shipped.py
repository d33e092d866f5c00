"""What is shipped has none of the variant that runs hostile code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import crucible
from crucible_server.config.models import ServerConfig

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "vm" / "src" / "escape"


def signs() -> list[bytes]:
    """Texts that only the variant holds."""
    marker = re.search(r'MARKER: &str =\s*"([^"]+)"', (SOURCES / "mod.rs").read_text())
    assert marker is not None
    return [marker[1].encode(), b"//! escape: ", b"open-proc-1-environ", b"there is no attempt"]


def test_the_variant_shows_the_signs(escape_vm: Path) -> None:
    """Else the next test could not fail."""
    program = escape_vm.read_bytes()
    assert [sign for sign in signs() if sign not in program] == []


def test_the_shipped_program_shows_none() -> None:
    program = ServerConfig().vm_path.read_bytes()
    assert b"crucible-vm zygote" in program
    assert [sign for sign in signs() if sign in program] == []


def test_nothing_that_is_built_for_use_names_the_feature() -> None:
    crate = tomllib.loads((ROOT / "vm" / "Cargo.toml").read_text())
    assert crate["features"] == {"escape": [], "fuzz": []}, "no feature turns it on, by default or otherwise"
    maturin = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["maturin"]
    assert not maturin.keys() & {"features", "all-features", "cargo-extra-args", "unstable-flags", "profile"}
    build = (ROOT / "vm" / "build_backend.py").read_text()
    assert "escape" not in build
    assert "fuzz" not in build


def test_a_shipped_server_runs_the_script_instead(client: crucible.Client) -> None:
    """Nothing in a source starts an attempt there."""
    for line in ("//! escape: open-passwd", "//! escape-compile: unit-of-another-script"):
        assert client.run(f"{line}\npub fn main() {{ 21 * 2 }}").value == 42
