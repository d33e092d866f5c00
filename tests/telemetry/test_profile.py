"""A profile of one execution, read by `go tool pprof` and by its own format."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible.vm.v1 import child_pb2
from crucible_server.engine import profiles
from tests.cli.conftest import TIMEOUT, command, environment
from tests.servers import RunningServer
from tests.telemetry.profiles import pprof, read, total

SOURCE = """fn slow(n) {
    let t = 0;
    for i in 0..n { t += i; }
    t
}
fn quick() { 1 }
pub fn main() {
    slow(20000) + quick()
}
"""


def test_instructions_and_time_add_up(client: crucible.Client) -> None:
    result = client.run(SOURCE, profile=True)
    plain = client.run(SOURCE)
    assert plain.profile == b""
    assert (result.value, result.usage.operations) == (plain.value, plain.usage.operations)
    found = read(result.profile)
    kinds = [(found.string_table[kind.type], found.string_table[kind.unit]) for kind in found.sample_type]
    assert kinds == [("instructions", "count"), ("time", "nanoseconds")]
    assert total(found, 0) == result.usage.operations
    assert 0 < total(found, 1) <= found.duration_nanos
    assert found.string_table[0] == ""
    assert found.time_nanos > 1_500_000_000 * 10**9
    assert len(result.profile) < 4096


@pytest.mark.timeout(600)
def test_pprof_opens_it(client: crucible.Client, tmp_path: Path) -> None:
    file = tmp_path / "script.pb.gz"
    file.write_bytes(client.run(SOURCE, profile=True).profile)
    top = pprof(file, "-top", "-sample_index=instructions")
    first = next(line for line in top.splitlines() if line.endswith(("slow", "main", "quick")))
    assert first.endswith(" slow")
    assert re.search(r"100%.* main$", top, re.MULTILINE), top
    # With no share of time too small to be shown: a child may stand still on any line.
    lines = pprof(file, "-top", "-lines", "-nodefraction=0", "-sample_index=time")
    assert re.search(r" slow .*main\.rn:3$", lines, re.MULTILINE), lines
    assert "instructions" in pprof(file, "-raw")


def test_time_of_waiting_belongs_to_the_line_that_waits(client: crucible.Client) -> None:
    source = "pub async fn main() {\n    let a = 1;\n    crucible::basic::sleep(0.2).await;\n    a\n}"
    found = read(client.run(source, profile=True).profile)
    lines = {location.id: location.line[0].line for location in found.location}
    time_ns: dict[int, int] = {}
    for sample in found.sample:
        line = lines[sample.location_id[0]]
        time_ns[line] = time_ns.get(line, 0) + sample.value[1]
    # To no other line besides: a child may stand still on any, but all of them together take no longer than they took.
    assert time_ns[3] > 150_000_000
    assert sum(time_ns.values()) <= found.duration_nanos


def test_a_failed_execution_has_one_too(client: crucible.Client) -> None:
    source = "pub fn main() { let n = 0; while true { n += 1; } }"
    result = client.run(source, profile=True, limits={"max_operations": 10_000}, check=False)
    assert result.error is not None
    assert result.error.kind == "OPERATIONS_EXCEEDED"
    assert total(read(result.profile), 0) == result.usage.operations == 10_000


def test_it_is_kept_with_the_record_until_that_is_erased(client: crucible.Client) -> None:
    done = client.run(SOURCE, profile=True)
    kept = client.get_execution(done.execution_id).result
    assert kept is not None
    assert kept.profile == done.profile
    waiting = client.wait(done.execution_id)
    assert list(waiting) == []
    assert waiting.result is not None
    assert waiting.result.profile == done.profile
    listed = client.stub.ListExecutions(api.ListExecutionsRequest(page_size=100)).executions
    assert all(not execution.result.profile for execution in listed)
    client.redact_execution(done.execution_id)
    erased = client.get_execution(done.execution_id).result
    assert erased is None or erased.profile == b""


def test_a_large_script_has_a_small_one(client: crucible.Client) -> None:
    functions = "".join(f"fn f{n}() {{\n    {n}\n}}\n" for n in range(4000))
    calls = "".join(f"    f{n}();\n" for n in range(4000))
    result = client.run(f"{functions}pub fn main() {{\n{calls}}}\n", profile=True)
    found = read(result.profile)
    assert len(found.sample) <= 2000
    assert total(found, 0) == result.usage.operations
    assert len(result.profile) < 128 * 1024


def run_command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """`crucible run` with these words."""
    return subprocess.run(
        command(("run", *words)), env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def test_the_command_writes_a_file(server: RunningServer, tmp_path: Path) -> None:
    script, file = tmp_path / "slow.rn", tmp_path / "slow.pb.gz"
    script.write_text(SOURCE)
    words = (script, "--server", server.address, "--profile")
    done = run_command(*words, file, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["success"] is True
    found = read(file.read_bytes())
    assert {"main", "slow", "quick"} <= set(found.string_table)
    nowhere = run_command(*words, tmp_path / "no" / "x")
    assert nowhere.returncode == 2
    assert "the profile cannot be written" in nowhere.stderr
    detached = run_command(*words, file, "--detach")
    assert detached.returncode == 2
    assert "--profile needs the end" in detached.stderr


PLACE = child_pb2.ProfilePlace(line=1)
SAMPLE = child_pb2.ProfileSample(places=[0], instructions=5, time_ns=7)


def told(
    names: Sequence[str] = ("main",),
    places: Sequence[child_pb2.ProfilePlace] = (PLACE,),
    samples: Sequence[child_pb2.ProfileSample] = (SAMPLE,),
) -> child_pb2.Profile:
    """What a child might say."""
    return child_pb2.Profile(names=names, places=places, samples=samples)


@pytest.mark.parametrize(
    ("profile", "operations"),
    [
        (told(), 6),
        (told(names=()), 5),
        (told(places=()), 5),
        (told(places=[child_pb2.ProfilePlace(file=1)]), 5),
        (told(places=[child_pb2.ProfilePlace(line=2**32 - 1)]), 5),
        (told(samples=[child_pb2.ProfileSample(instructions=5)]), 5),
        (told(samples=[child_pb2.ProfileSample(places=[0] * 34, instructions=5)]), 5),
        (told(samples=[child_pb2.ProfileSample(places=[0], instructions=5, time_ns=2**64 - 1)]), 5),
        (told(samples=[child_pb2.ProfileSample(places=[0], instructions=2**64 - 1)]), 2**64 - 1),
        (told(samples=[SAMPLE] * 2001), 2001 * 5),
        (told(names=["x" * 600_000]), 5),
    ],
)
def test_what_a_child_says_is_checked(profile: child_pb2.Profile, operations: int) -> None:
    profiles.check(told(), 5)
    with pytest.raises(profiles.InvalidProfileError):
        profiles.check(profile, operations)
