"""What is on the page of metrics, checked as promtool does."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families as prometheus

from tests.servers import RunningServer
from tests.telemetry.settings import read_page

NAME = re.compile(r"[a-z][a-z0-9_]*")
# What `promtool check metrics` asks of names: base units, and no unit where a counter or a histogram has its own.
UNITS = ("_milliseconds", "_minutes", "_hours", "_kilobytes", "_megabytes", "_percent")


def check(families: Iterable[Metric]) -> dict[str, Metric]:
    """What promtool checks: names, help, types, units, and that no series comes twice."""
    found: dict[str, Metric] = {}
    for family in families:
        assert family.name not in found, f"{family.name} comes twice"
        found[family.name] = family
        assert NAME.fullmatch(family.name), family.name
        assert family.documentation, f"{family.name} has no help"
        assert family.type in ("counter", "gauge", "histogram", "info"), family
        assert not family.name.endswith(UNITS), family.name
        series = Counter((sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples)
        assert max(series.values(), default=1) == 1, series.most_common(1)
        for sample in family.samples:
            assert all(NAME.fullmatch(label) for label in sample.labels), sample
        if family.type == "histogram":
            check_histogram(family)
    return found


def check_histogram(family: Metric) -> None:
    """Buckets grow, and the last holds what is counted."""
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        rest = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            buckets.setdefault(rest, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[rest] = sample.value
    assert buckets.keys() == counts.keys()
    for rest, entries in buckets.items():
        assert entries == sorted(entries)
        assert [count for _, count in entries] == sorted(count for _, count in entries)
        assert entries[-1] == (float("inf"), counts[rest])


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    """The sum of the samples of this name with these labels."""
    return sum(
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def wait_for(server: RunningServer, number: float, name: str, **labels: str) -> None:
    """Waits until the page counts so many: a caller has its answer a moment before it is counted."""
    end = time.monotonic() + 30
    while (counted := value(check(prometheus(read_page(server))), name, **labels)) != number:
        assert time.monotonic() < end, f"{name} {labels} is {counted}, not {number}"
        time.sleep(0.05)
