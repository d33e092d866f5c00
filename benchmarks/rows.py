"""Rows of the benchmark: figures, and the ratios that are the targets."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` is what `must` and `goal` speak of; a target that is missed is reported as missed."""

    name: str
    p50: float
    p99: float
    unit: str
    ratio: float | None = None
    ratio_of: str = ""
    must: str = ""
    goal: str = ""

    @property
    def verdict(self) -> str:
        """Which targets the row meets."""
        if not self.must:
            return ""
        figure = self.ratio if self.ratio is not None else self.p50
        if not _meets(figure, self.must):
            return "MISSED"
        return "goal" if self.goal and _meets(figure, self.goal) else "must"


def _meets(figure: float, target: str) -> bool:
    comparison, _, bound = target.partition(" ")
    return figure <= float(bound) if comparison == "<=" else figure >= float(bound)


def percentile(sorted_samples: Sequence[float], share: float) -> float:
    """The sample below which `share` (0 to 1) of the samples lie."""
    return sorted_samples[min(len(sorted_samples) - 1, int(share * len(sorted_samples)))]


def row(
    name: str,
    samples: Sequence[float],
    unit: str,
    *,
    against: Row | None = None,
    must: str = "",
    goal: str = "",
) -> Row:
    """A row from samples; its ratio is its median by the other row's."""
    ordered = sorted(samples)
    p50, p99 = percentile(ordered, 0.5), percentile(ordered, 0.99)
    if against is None:
        return Row(name, p50, p99, unit, must=must, goal=goal)
    return Row(name, p50, p99, unit, p50 / against.p50, against.name, must, goal)


def machine() -> dict[str, object]:
    """The conditions that every measurement states."""
    return {"cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0]}


def report(rows: Sequence[Row], out: Path, conditions: Mapping[str, object]) -> bool:
    """Prints the table and writes the JSON; whether every must is met."""
    table = Table(title="Crucible, measured")
    for column, justify in (
        ("what", "left"),
        ("p50", "right"),
        ("p99", "right"),
        ("unit", "left"),
        ("ratio", "right"),
        ("of", "left"),
        ("must", "right"),
        ("goal", "right"),
        ("meets", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for each in rows:
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        table.add_row(
            each.name,
            f"{each.p50:.3f}",
            f"{each.p99:.3f}",
            each.unit,
            ratio,
            each.ratio_of,
            each.must,
            each.goal,
            each.verdict,
        )
    Console(width=160).print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    document = {"conditions": dict(conditions), "rows": [{**asdict(each), "meets": each.verdict} for each in rows]}
    out.write_text(json.dumps(document, indent=2) + "\n")
    return all(each.verdict != "MISSED" for each in rows)
