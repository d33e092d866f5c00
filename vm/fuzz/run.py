#!/usr/bin/env python3
"""Build the fuzz targets with an address sanitizer and run them, see docs/fuzzing.md.

Needs no nightly Rust and no cargo-fuzz. What a run learnt is kept in build/fuzz/corpus, where the next begins.
Returns 1 when something was found; the case is then in build/fuzz/findings.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from prepare_rune import PrepareError, prepare  # noqa: E402

OUT = HERE.parents[1] / "build" / "fuzz"

# Those of cargo-fuzz, without the tracing of comparisons: it costs a fifth of the speed, and the seeds know the words.
RUSTFLAGS = (
    "--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
    " -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
    " -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
)
# Leaks are not what this looks for: scripts may well build cycles. The rest bounds memory and saves time.
ASAN_OPTIONS = "detect_leaks=0:detect_stack_use_after_return=0:malloc_context_size=12:quarantine_size_mb=64"
# Without its entropic schedule and without shrinking what it keeps, libFuzzer takes half the time for itself.
OPTIONS = ("-entropic=0", "-reduce_inputs=0", "-print_funcs=0", "-timeout=30", "-rss_limit_mb=3072")
# A longer program takes longer, and seldom does what no short one does.
MAX_BYTES = {"frames": 1024, "values": 1024, "unit": 512, "compile": 320, "run": 320}
TARGETS = tuple(MAX_BYTES)
# A process is started anew after so many cases, since cycles of scripts are never freed.
CASES_PER_PROCESS = 100_000
# The frames of instrumented code are several times as large as those of the shipped one, which has 256 MB.
STACK_BYTES = 1 << 30
STATUS = re.compile(r"^#(\d+)\s+(\w+)\s+cov: (\d+)")
SHOW_EVERY = 10.0


@dataclass
class Progress:
    """What is known of a target's run."""

    target: str
    seconds: float = 0.0
    cases: int = 0
    edges: int = 0
    finding: Path | None = None
    # The last lines of a process.
    tail: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For people."""
        speed = self.cases / self.seconds if self.seconds else 0
        return (
            f"{self.target:8} {self.cases:>9,} cases  {self.seconds:>6.0f} s  {speed:>6.0f}/s  {self.edges:>6,} edges"
        )


def build() -> Path:
    """Build all targets; return the folder they are in."""
    prepare()
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = re.search(r"^host: (.+)$", version, re.MULTILINE)
    assert host is not None, "rustc -vV names its host"
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": RUSTFLAGS}
    # Naming the target keeps the sanitizer out of build scripts and procedural macros.
    command = ["cargo", "build", "--release", "--locked", f"--target={host.group(1)}"]
    command.append(f"--manifest-path={HERE / 'Cargo.toml'}")
    subprocess.run(command, env=environment, check=True)
    base = Path(os.environ.get("CARGO_TARGET_DIR") or HERE / "target").absolute()
    return base / host.group(1) / "release"


def fuzz(programs: Path, progress: Progress, seconds: float, runs: int) -> None:
    """Run a target for so long, or for so many cases, whichever ends first. Zero means without end."""
    corpus = OUT / "corpus" / progress.target
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [corpus, OUT / "seeds" / progress.target, HERE / "seeds" / progress.target]
    began = time.monotonic()
    done = 0
    while not progress.finding and (not runs or done < runs):
        left = seconds - (time.monotonic() - began) if seconds else 0.0
        if seconds and left < 1:
            break
        size = min(CASES_PER_PROCESS, runs - done) if runs else CASES_PER_PROCESS
        before = len(list(corpus.iterdir())) + sum(len(list(f.iterdir())) for f in folders[1:] if f.is_dir())
        arguments = [f"-runs={size + before}", f"-max_total_time={int(left)}"]
        done += _process(programs, progress, folders, arguments, began, done)


def _process(
    programs: Path, progress: Progress, folders: list[Path], arguments: list[str], began: float, done: int
) -> int:
    """Run one process of a target; return how many new cases it tried."""
    findings = OUT / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    known = set(findings.iterdir())
    prefix = f"-artifact_prefix={findings}/{progress.target}-"
    length = f"-max_len={MAX_BYTES[progress.target]}"
    command = [str(programs / progress.target), *OPTIONS, prefix, length, *arguments]
    process = subprocess.Popen(
        [*command, *(str(folder) for folder in folders if folder.is_dir())],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=with_stack,
    )
    assert process.stderr is not None
    learnt = tried = 0
    tail: list[str] = []
    for line in process.stderr:
        tail = [*tail[-200:], line]
        if status := STATUS.match(line):
            count = int(status.group(1))
            # What comes before are the cases that it begins with, which are not new.
            learnt = count if status.group(2) == "INITED" else learnt
            tried = count - learnt if learnt else 0
            progress.cases, progress.edges = done + tried, int(status.group(3))
            progress.seconds = time.monotonic() - began
    if process.wait() != 0:
        new = sorted(set(findings.iterdir()) - known)
        progress.finding = new[0] if new else findings
        progress.tail = tail
    return tried


def environment() -> dict[str, str]:
    """The sanitizer's options, unless the caller has others."""
    return {"ASAN_OPTIONS": ASAN_OPTIONS, **os.environ}


def with_stack() -> None:
    """As the zygote's: deep sources and values are allowed to use it."""
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    size = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (size, hard))


def report(progress: Progress) -> None:
    """Say what was found and how to see it again."""
    print(f"\n{''.join(progress.tail)[-6000:]}")
    print(f"FOUND by {progress.target}: {progress.finding}")
    print(f"see it again:  make fuzz TARGET={progress.target} CASE={progress.finding}")
    print(f"once mended:   keep the case as vm/fuzz/seeds/{progress.target}/NAME, and write a test")


def main() -> int:
    """Command line entry: returns 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=60, help="for each target, 0: no limit (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=0, help="new cases for each target, 0: no limit")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once (default: %(default)s)")
    parser.add_argument("--case", type=Path, help="only run this case of one target, and show what happens")
    parser.add_argument("--build", action="store_true", help="build and do no more")
    given = parser.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"expected targets among {', '.join(TARGETS)}, got {', '.join(sorted(unknown))}")
    if given.case and (len(given.targets) != 1 or not given.case.is_file()):
        parser.error(f"expected one target and a file, got {given.targets or 'all targets'} and {given.case}")
    if not given.seconds and not given.runs and not given.case and not given.build:
        parser.error("expected seconds or runs, got neither: it would never end")
    try:
        programs = build()
    except (PrepareError, subprocess.CalledProcessError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if given.build:
        return 0
    if given.case:
        command = [programs / given.targets[0], *OPTIONS, given.case]
        return subprocess.run(command, env=environment(), preexec_fn=with_stack).returncode
    subprocess.run([programs / "seeds", OUT / "seeds"], env=environment(), preexec_fn=with_stack, check=True)
    return run([Progress(target) for target in given.targets or TARGETS], programs, given)


def run(all_progress: list[Progress], programs: Path, given: argparse.Namespace) -> int:
    """Run the targets, show how far they are."""
    over = threading.Event()

    def show() -> None:
        while not over.wait(SHOW_EVERY):
            print(*(progress.line() for progress in all_progress if progress.seconds), sep="\n", end="\n\n", flush=True)

    watcher = threading.Thread(target=show, daemon=True)
    watcher.start()
    with ThreadPoolExecutor(given.jobs) as pool:
        jobs = [pool.submit(fuzz, programs, progress, given.seconds, given.runs) for progress in all_progress]
    over.set()
    watcher.join()
    for job in jobs:
        job.result()
    found = [progress for progress in all_progress if progress.finding]
    for progress in found:
        report(progress)
    print("\n".join(["", *(progress.line() for progress in all_progress)]))
    print(f"{len(found)} found something" if found else "nothing was found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
