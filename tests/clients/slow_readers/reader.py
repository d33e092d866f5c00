"""Follows an execution as a slow reader: `reader.py MODE ADDRESS EXECUTION PAUSE`, MODE being sync or async."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

import crucible


def tell(what: str) -> None:
    """Prints how much memory this process has had at most, in kB."""
    print(what, re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0], flush=True)


def read(address: str, execution_id: str, pause: float) -> int:
    """The synchronous client; the bytes read."""
    total = 0
    with crucible.Client(address) as client:
        client.health()
        tell("before")
        for piece in client.wait(execution_id):
            if not total:
                time.sleep(pause)
                tell("paused")
            total += len(piece.text)
    return total


async def read_async(address: str, execution_id: str, pause: float) -> int:
    """The same for asyncio."""
    total = 0
    async with crucible.AsyncClient(address) as client:
        await client.health()
        tell("before")
        async for piece in client.wait(execution_id):
            if not total:
                await asyncio.sleep(pause)
                tell("paused")
            total += len(piece.text)
    return total


if __name__ == "__main__":
    mode, server, execution, seconds = sys.argv[1:]
    if mode == "sync":
        count = read(server, execution, float(seconds))
    else:
        count = asyncio.run(read_async(server, execution, float(seconds)))
    tell("end")
    print("bytes", count)
