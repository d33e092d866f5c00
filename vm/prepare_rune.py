#!/usr/bin/env python3
"""Prepare the patched Rune crates that crucible-vm is built against.

Copies the crates `rune`, `rune-core` and `rune-alloc` as published, at RUNE_VERSION, and applies every file of
`patches/` to the copy. No source of Rune is kept in this repository. Nothing is written when the
result is up to date, so that cargo rebuilds Rune only after a patch or the version has changed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RUNE_VERSION = "0.14.2"
CRATES = ("rune", "rune-core", "rune-alloc")

HERE = Path(__file__).resolve().parent
PATCHES = HERE / "patches"
DEFAULT_OUT = HERE / "target" / "patched"
STAMP = ".stamp"

MANIFEST = """\
[package]
name = "locate-rune"
version = "0.0.0"
edition = "2021"

[lib]
path = "lib.rs"

[dependencies]
rune = {{ version = "={version}", default-features = false, features = ["std"] }}

[workspace]
"""


class PrepareError(Exception):
    """Says what was expected, what came, and what to do."""


def prepare(out: Path = DEFAULT_OUT, version: str = RUNE_VERSION, patches: Path = PATCHES) -> Path:
    """Bring the folders of CRATES in `out` up to date and return `out`, absolute.

    Safe to call from several processes at once; needs no network once the crates are fetched.
    Raises PrepareError when cargo or a patch tool is missing or a patch does not apply.
    """
    out = Path(os.path.abspath(out))
    files = sorted(patches.glob("*.patch"))
    if not files:
        raise PrepareError(f"expected patch files in {patches}, found none: is the source tree complete?")
    stamp = _stamp(version, files)
    if _is_current(out, stamp):
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out.parent / f".{out.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current(out, stamp):
            _build(out, version, files, stamp)
    return out


def _stamp(version: str, files: list[Path]) -> str:
    digest = hashlib.sha256(version.encode())
    for path in [Path(__file__), *files]:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def _is_current(out: Path, stamp: str) -> bool:
    try:
        return (out / STAMP).read_text() == stamp
    except FileNotFoundError:
        return False


def _build(out: Path, version: str, files: list[Path], stamp: str) -> None:
    sources = _locate(version)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        for crate in CRATES:
            # The time of the copy, not of the original: cargo decides by it what to rebuild, and a
            # file that a withdrawn patch no longer touches has to look changed as well.
            shutil.copytree(
                sources[crate],
                new / crate,
                copy_function=shutil.copy,
                ignore=shutil.ignore_patterns(".cargo-ok", ".cargo-checksum.json", "Cargo.lock", "target"),
            )
        for file in files:
            _apply(file, new)
        (new / STAMP).write_text(stamp)
        # mkdtemp made the scratch private; the result is a build input like any other.
        new.chmod(0o755)
        if out.exists():
            out.rename(old)
        new.rename(out)


def _locate(version: str) -> dict[str, Path]:
    """The folders in which cargo keeps the crates as published."""
    cargo = os.environ.get("CARGO") or shutil.which("cargo")
    if cargo is None:
        raise PrepareError("expected `cargo` on PATH, found none: install Rust from https://rustup.rs")
    with tempfile.TemporaryDirectory() as scratch:
        manifest = Path(scratch, "Cargo.toml")
        manifest.write_text(MANIFEST.format(version=version))
        Path(scratch, "lib.rs").touch()
        command = [cargo, "metadata", "--format-version=1", f"--manifest-path={manifest}"]
        # Run from here, so that a cargo configuration beside the sources (a vendored registry) counts.
        done = subprocess.run([*command, "--offline"], cwd=HERE, capture_output=True, text=True)
        if done.returncode != 0:
            done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    if done.returncode != 0:
        raise PrepareError(f"cargo could not fetch rune {version}; it said:\n{done.stderr.strip()}")
    found = {
        package["name"]: Path(package["manifest_path"]).parent
        for package in json.loads(done.stdout)["packages"]
        if package["name"] in CRATES and package["version"] == version and package["source"] is not None
    }
    missing = [crate for crate in CRATES if crate not in found]
    if missing:
        raise PrepareError(
            f"expected {', '.join(missing)} {version} as published among the packages of cargo, found "
            f"{found or 'none'}: does a cargo configuration already patch Rune?"
        )
    return found


def _apply(file: Path, tree: Path) -> None:
    if shutil.which("patch"):
        command = ["patch", "-p1", "--forward", "--batch", "--fuzz=0", "--no-backup-if-mismatch", "-i", str(file)]
    elif shutil.which("git"):
        command = ["git", "apply", "-p1", "--whitespace=nowarn", str(file)]
    else:
        raise PrepareError("expected `patch` or `git` on PATH to patch Rune, found neither: install one")
    # git would look for a repository around the tree and take the paths relative to that.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise PrepareError(
            f"{file.name} does not apply to the crates as published plus the patches before it; "
            f"`{command[0]}` said:\n{(done.stdout + done.stderr).strip()}"
        )


def main() -> int:
    """Command line entry: prints the folder that was prepared."""
    parser = argparse.ArgumentParser(description="Prepare the patched Rune crates.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder to prepare (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        print(prepare(arguments.out))
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
