"""Text for people: tables, sheets of facts, sizes and times."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

from crucible_server.cli.terminal import emit, visible

_GAP = "  "
_CUT = "\N{HORIZONTAL ELLIPSIS}"
_LEAST = 8
"""Characters that are left of a column that is cut."""
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def emit_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, shrink: Sequence[str] = ()) -> None:
    """Prints rows in aligned columns, with bold headings on a terminal.

    On a terminal that is too narrow the columns named in `shrink` are cut, in this order; elsewhere nothing ever is.
    """
    # Rich's own tables take 0.7 ms for a row, and lists may have a hundred thousand.
    from rich.cells import cell_len, set_cell_size

    is_terminal = sys.stdout.isatty()
    cells = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - shutil.get_terminal_size().columns
    for heading in shrink if is_terminal else ():
        column = headings.index(heading)
        cut = max(0, min(excess, widths[column] - max(_LEAST, cell_len(heading))))
        widths[column] -= cut
        excess -= cut

    def line(row: Sequence[str]) -> str:
        return _GAP.join(
            set_cell_size(cell, width) if cell_len(cell) <= width else set_cell_size(cell, width - 1) + _CUT
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()

    heading = f"\x1b[1m{line(headings)}\x1b[0m" if is_terminal and "NO_COLOR" not in os.environ else line(headings)
    emit(sys.stdout, "".join(f"{text}\n" for text in (heading, *map(line, cells))), is_ours=True)


def emit_sheet(facts: Iterable[tuple[str, str]], *, indent: int = 0) -> None:
    """Prints facts one below the other; those without a value are left out."""
    known = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in known), default=0)
    lines = []
    for name, value in known:
        first, *more = value.splitlines()
        lines.append(f"{' ' * indent}{name:<{width}}  {first}")
        lines += [f"{' ' * (indent + width)}  {line}" for line in more]
    emit(sys.stdout, "".join(f"{line}\n" for line in lines))


def size(count: int) -> str:
    """Bytes for people: `1.2 MiB`."""
    number = float(count)
    for unit in _SIZES:
        if number < 1024 or unit == _SIZES[-1]:
            return f"{count} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError(count)


def span(seconds: float) -> str:
    """A time for people: `310 us`, `4.5 ms`, `2.10 s`, `3 min 20 s`, `2 h 5 min`, `7 d`."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    days, hours = divmod(hours, 24)
    return f"{days} d" + (f" {hours} h" if hours else "")
