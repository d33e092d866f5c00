"""Events of a restored store move to numbers that were never given: who resumes after an old one is told, not misled.

A store that took up the numbers where its backup ended would give those again that the store before it had given since:
a subscriber that had seen them would miss the events that have them now.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

# Numbers for each millisecond since 1970: more than any server gives, and few enough for the 53 bits of a double.
_PER_MILLISECOND_BITS = 10


def renumber(path: Path) -> None:
    """Moves all events of a store that nobody uses beyond every number given so far, in their order and without a gap.

    Raises sqlite3.Error.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute("SELECT last_sequence FROM event_positions WHERE position_id = 1").fetchone()
        if row is not None:
            (deleted,) = row
            (last,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()
            base = max(time.time_ns() // 1_000_000 << _PER_MILLISECOND_BITS, last + 1, deleted + 1)
            # Further than all of them reach, so that none comes upon another on its way.
            connection.execute("UPDATE events SET sequence = sequence + ?", (base - deleted,))
            connection.execute("UPDATE event_positions SET last_sequence = ?", (base,))
        connection.execute("COMMIT")
