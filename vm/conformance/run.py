#!/usr/bin/env python3
"""Run the conformance tests of Rune.

Without options they run against the patched Rune and all of them have to pass. With --stock, the
tests of defects run against Rune as published and each of them has to fail: one that passes says
that its patch is no longer needed. With --sanitize, the soundness tests run against the patched
Rune under an address sanitizer.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from prepare_rune import CRATES, RUNE_VERSION, PrepareError, prepare  # noqa: E402

RESULT = re.compile(r"^test (\S+) \.\.\. (ok|FAILED|ignored)", re.MULTILINE)


def patched(arguments: list[str]) -> int:
    """Run every test against the patched crates."""
    return subprocess.run([*_cargo(HERE), *_patch(), *arguments], env=_environment("patched")).returncode


def sanitized() -> int:
    """Run the soundness tests with an address sanitizer in them."""
    host = re.search(r"^host: (.+)$", _output(["rustc", "-vV"]), re.MULTILINE)
    assert host is not None, "rustc -vV names its host"
    environment = _environment("sanitize")
    # Leaks are not what this looks for: scripts may well build cycles.
    environment |= {
        "RUSTC_BOOTSTRAP": "1",
        "RUSTFLAGS": "-Zsanitizer=address",
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    # Naming the target keeps the sanitizer out of build scripts and procedural macros.
    command = [*_cargo(HERE), *_patch(), f"--target={host.group(1)}"]
    tests = ["--test=soundness", "--test=operands", "--test=defects"]
    # The frames of instrumented code are several times larger than the native depth allows for.
    return subprocess.run([*command, *tests], env=environment | {"RUST_MIN_STACK": str(64 << 20)}).returncode


def stock(version: str) -> int:
    """Run the tests of defects against Rune as published; return 0 if each of them fails."""
    with tempfile.TemporaryDirectory() as scratch:
        crate = Path(scratch, "conformance")
        # With the time of the copy, or cargo takes what it built of an earlier copy to be up to date.
        ignored = shutil.ignore_patterns("target", "Cargo.lock")
        shutil.copytree(HERE, crate, copy_function=shutil.copy, ignore=ignored)
        manifest = crate / "Cargo.toml"
        manifest.write_text(manifest.read_text().replace(f'"={RUNE_VERSION}"', f'"={version}"'))
        command = [*_cargo(crate), "--no-default-features", "--test=defects"]
        built = subprocess.run([*command, "--no-run"], env=_environment("stock"))
        if built.returncode != 0:
            print(f"error: the tests do not build against rune {version}: port them, then look again")
            return 2
        done = subprocess.run(command, env=_environment("stock"), capture_output=True, text=True)
    results = dict(RESULT.findall(done.stdout))
    if not results:
        print(f"error: expected results of tests, got:\n{done.stdout}{done.stderr}")
        return 2
    for name, result in sorted(results.items()):
        verdict = "still there" if result == "FAILED" else "GONE: its patch is no longer needed"
        print(f"rune {version}: {name}: {verdict}")
    return 0 if all(result == "FAILED" for result in results.values()) else 1


def _cargo(crate: Path) -> list[str]:
    return ["cargo", "test", "--no-fail-fast", f"--manifest-path={crate / 'Cargo.toml'}"]


def _patch() -> list[str]:
    tree = prepare()
    return [f'--config=patch.crates-io.{crate}.path="{tree / crate}"' for crate in CRATES]


def _environment(kind: str) -> dict[str, str]:
    # A target folder for each kind: they differ in flags, and would rebuild Rune in turn.
    base = os.environ.get("CARGO_TARGET_DIR") or str(HERE / "target")
    return {**os.environ, "CARGO_TARGET_DIR": str(Path(base).absolute() / kind)}


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> int:
    """Command line entry: returns 0 if all is as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--stock", action="store_true", help="expect each test of a defect to fail on Rune as published")
    kind.add_argument("--sanitize", action="store_true", help="run the soundness tests under an address sanitizer")
    parser.add_argument("--stock-version", metavar="X", help="like --stock, with another version of Rune")
    parser.add_argument("rest", nargs="*", help="handed to cargo test, after --")
    arguments = parser.parse_args()
    try:
        if arguments.stock or arguments.stock_version:
            return stock(arguments.stock_version or RUNE_VERSION)
        return sanitized() if arguments.sanitize else patched(arguments.rest)
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
