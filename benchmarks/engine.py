"""Fork to result without gRPC and without a store: the interpreter alone."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Self

from crucible.v1 import script_pb2
from crucible.vm.v1 import child_pb2, zygote_pb2
from crucible_server.engine.child import Child
from crucible_server.engine.interpreter import Interpreter
from crucible_server.engine.isolation import Isolation
from crucible_server.engine.job import Job
from crucible_server.engine.spares import SpareTarget

WARM_UP_SECONDS = 0.001
HEAP = 128 * 1024 * 1024
LIMITS = zygote_pb2.ChildLimits(wall_time_ms=10_000, heap_bytes=HEAP)
SMALL = "pub fn main(n) { n + 1 }"
WAITING = "pub fn main() { let n = 0; loop { n += 1; } }"


def bare_fork(source: Path, build: Path, rounds: int) -> list[float]:
    """Milliseconds of fork and wait in C."""
    build.mkdir(parents=True, exist_ok=True)
    program = build / "fork_wait"
    subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    done = subprocess.run([program, str(rounds)], check=True, capture_output=True, text=True)
    return [int(line) / 1e6 for line in done.stdout.split()]


class EngineBench:
    """One interpreter and a compiled script."""

    def __init__(self, vm_path: Path, spares: int, isolation: Isolation | None = None) -> None:
        self.interpreter = Interpreter(
            vm_path, SpareTarget(spares, spares), zygote_pb2.ChildLimits(heap_bytes=HEAP), isolation=isolation
        )
        self.unit = b""

    async def __aenter__(self) -> Self:
        await self.interpreter.start()
        self.unit = await self.compile(SMALL)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.interpreter.stop()

    def start_frame(self) -> child_pb2.Start:
        """A Start without its job."""
        limits = child_pb2.JobLimits(memory_bytes=50 << 20, output_bytes=1 << 20, return_bytes=1 << 20)
        return child_pb2.Start(
            protocol_version=1,
            seed=bytes(32),
            limits=limits,
            modules=["crucible::basic"],
            output_credit_bytes=1 << 20,
        )

    async def compile(self, source: str) -> bytes:
        """Byte code of a source."""
        start = self.start_frame()
        start.compile.source.CopyFrom(script_pb2.ScriptSource(source=source))
        job = Job(start, None, None)
        await job.run(await self.interpreter.take(LIMITS), LIMITS)
        if not isinstance(job.result, child_pb2.CompileResult) or not job.result.unit:
            raise RuntimeError(f"the benchmark's script does not compile: {job.result or job.failure}")
        return job.result.unit

    async def execute(self) -> float:
        """Milliseconds from asking for a child to its final result."""
        start = self.start_frame()
        start.execute.unit, start.execute.function = self.unit, "main"
        start.execute.arguments.add().int_value = 41
        began = time.perf_counter()
        job = Job(start, None, None)
        await job.run(await self.interpreter.take(LIMITS), LIMITS)
        elapsed = time.perf_counter() - began
        if not isinstance(job.result, child_pb2.ExecuteResult) or job.result.value.int_value != 42:
            raise RuntimeError(f"the benchmark's script failed: {job.result or job.failure}")
        return elapsed * 1000

    async def settled(self) -> None:
        """Waits, awake as for a cold child, until the spares are there again and have run their warm-up."""
        while not self.interpreter.spares_ready:
            await asyncio.sleep(0)
        warmed = time.perf_counter() + WARM_UP_SECONDS
        while time.perf_counter() < warmed:
            await asyncio.sleep(0)

    async def private_memory(self) -> float:
        """Private memory of a small child in the middle of its run, in MiB."""
        unit = await self.compile(WAITING)
        start = self.start_frame()
        start.execute.unit, start.execute.function = unit, "main"
        child: Child = await self.interpreter.take(LIMITS)
        job = Job(start, None, None)
        task = asyncio.create_task(job.run(child, LIMITS))
        await asyncio.sleep(0.1)
        text = _mappings(child.pid)
        child.kill()
        await task
        kilobytes = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))
        return kilobytes / 1024


async def measure(vm_path: Path, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds cold and with a spare, and private memory in MiB."""
    async with EngineBench(vm_path, spares=0) as bench:
        for _ in range(20):
            await bench.execute()
        cold = [await bench.execute() for _ in range(rounds)]
        memory = [await bench.private_memory() for _ in range(5)]
    warm: list[float] = []
    async with EngineBench(vm_path, spares=2) as bench:
        for _ in range(rounds):
            await bench.settled()
            warm.append(await bench.execute())
    return cold, warm, memory


def _mappings(pid: int) -> str:
    return Path(f"/proc/{pid}/smaps_rollup").read_text()
