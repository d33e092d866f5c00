"""Lists: every combination of filters and pages against a model, and at a cost that does not grow."""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from crucible_server.store import (
    ExecutionQuery,
    ExecutionRecord,
    ScriptQuery,
    ScriptSummary,
    Store,
    execution_statements,
    lists,
    script_statements,
)
from crucible_server.store.execution_statements import Walk
from crucible_server.store.sql import Statement
from tests.store.records import FAILED, INTERRUPTED, NOW, QUEUED, RUNNING, SUCCEEDED, end, execution, script

T = TypeVar("T")


def listed(record: ExecutionRecord) -> ExecutionRecord:
    """A record as lists have it."""
    return replace(record, request=b"", return_value=None)


async def executions(store: Store, count: int = 300) -> list[ExecutionRecord]:
    """Executions of all kinds, newest first; times are shared by some."""
    chance = random.Random(4)
    records = []
    for number in range(count):
        record = execution(
            f"e{chance.getrandbits(32):08x}",
            script_id=chance.choice(("hot", "hot", "cold")),
            principal=chance.choice(("anna", "anna", "anna", "bert")),
            state=chance.choice((QUEUED, RUNNING)),
            create_time=NOW + number // 3,
        )
        await store.begin_execution(record)
        await store.begin_execution(replace(record, tenant="other"))
        state = chance.choice((SUCCEEDED, SUCCEEDED, SUCCEEDED, FAILED, INTERRUPTED, None))
        if state is not None:
            await store.finish_execution(end(record.execution_id, state=state, output=None))
            found = await store.get_execution("local", record.execution_id)
            assert found is not None
            record = found
        records.append(listed(record))
    return sorted(records, key=lambda record: (record.create_time, record.execution_id), reverse=True)


async def pages_of_executions(store: Store, query: ExecutionQuery) -> list[ExecutionRecord]:
    found: list[ExecutionRecord] = []
    while page := await store.list_executions(query):
        assert len(page) <= query.limit
        found += page
        query = replace(query, before=(page[-1].create_time, page[-1].execution_id))
    return found


@pytest.mark.parametrize("few", [1000, 10])
async def test_executions_by_every_combination_of_filters(
    store: Store, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(lists, "_FEW", few)
    records = await executions(store)
    states: list[tuple[int, ...]] = [(), (SUCCEEDED,), (FAILED, INTERRUPTED, FAILED), (QUEUED, RUNNING), (5,)]
    times = [(None, None), (NOW + 20, None), (None, NOW + 50), (NOW + 20, NOW + 50), (NOW + 50, NOW + 20)]
    for wanted, script_id, principal, (after, before), limit in itertools.product(
        states, ("", "hot", "nobody's"), ("", "bert"), times, (7, 1000)
    ):
        query = ExecutionQuery("local", limit, None, wanted, script_id, principal, after, before)
        expected = [
            record
            for record in records
            if (not wanted or record.state in wanted)
            and script_id in ("", record.script_id)
            and principal in ("", record.principal)
            and (after is None or record.create_time >= after)
            and (before is None or record.create_time < before)
        ]
        assert await pages_of_executions(store, query) == expected, query


async def test_pages_do_not_shift_when_executions_come_in_between(store: Store) -> None:
    records = await executions(store, 60)
    first = await store.list_executions(ExecutionQuery("local", 20))
    await store.begin_execution(execution("newer", create_time=NOW + 10_000))
    second = await store.list_executions(
        ExecutionQuery("local", 20, before=(first[-1].create_time, first[-1].execution_id))
    )
    assert first + second == records[:40]


async def test_an_execution_that_changes_its_state_is_listed_once(store: Store) -> None:
    await asyncio.gather(*(store.begin_execution(execution(f"e{number}")) for number in range(200)))
    query = ExecutionQuery("local", 1000, states=(QUEUED, RUNNING, SUCCEEDED, FAILED, INTERRUPTED))

    async def finish() -> None:
        for number in range(200):
            await store.finish_execution(end(f"e{number}", output=None))

    finishing = asyncio.create_task(finish())
    while not finishing.done():
        ids = [record.execution_id for record in await store.list_executions(query)]
        assert len(ids) == len(set(ids)) == 200
    await finishing


async def scripts(store: Store) -> dict[str, tuple[ScriptSummary, set[str]]]:
    """Scripts with their summaries and who has stored them."""
    chance = random.Random(5)
    names = ["tools/a", "tools/b", "Tools/c", "too", "x/tools/d", "tools0"]
    expected: dict[str, tuple[ScriptSummary, set[str]]] = {}
    for number in range(120):
        script_id = f"s{chance.getrandbits(32):08x}"
        owners = chance.choice((["anna"], ["bert"], ["anna", "bert"]))
        mine = tuple(f"{name}{number}" for name in sorted(chance.sample(names, chance.choice((0, 1, 3)))))
        for owner in owners:
            record = script(script_id, principal=owner, create_time=NOW + number // 2)
            await store.put_script(record, None, None)
            await store.put_script(replace(record, tenant="other"), None, f"tools/{number}")
        for name in mine:
            assert await store.name_script("local", name, script_id, NOW)
        summary = ScriptSummary(
            "local", script_id, owners[0], NOW + number // 2, NOW, 6, b"functions", tuple(sorted(mine))
        )
        expected[script_id] = (summary, set(owners))
    return expected


@pytest.mark.parametrize("few", [1000, 3])
async def test_scripts_by_every_combination_of_filters(store: Store, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(lists, "_FEW", few)
    stored = await scripts(store)
    order = sorted(stored, key=lambda script_id: (stored[script_id][0].create_time, script_id), reverse=True)
    times = [(None, None), (NOW + 10, None), (None, NOW + 40), (NOW + 10, NOW + 40)]
    prefixes = ("", "tools/", "tools", "Tools", "t", "tools/a1", "x", "nothing", "%", "\U0010ffff")
    for prefix, principal, (after, before), limit in itertools.product(
        prefixes, ("", "anna", "bert", "carl"), times, (7, 1000)
    ):
        query = ScriptQuery("local", limit, None, prefix, principal, after, before)
        expected = [
            summary
            for summary, owners in (stored[script_id] for script_id in order)
            if (not prefix or any(name.startswith(prefix) for name in summary.names))
            and (not principal or principal in owners)
            and (after is None or summary.create_time >= after)
            and (before is None or summary.create_time < before)
        ]
        found: list[ScriptSummary] = []
        while page := await store.list_scripts(query):
            assert len(page) <= limit
            found += page
            query = replace(query, before=(page[-1].create_time, page[-1].script_id))
        assert found == expected, query


def statements() -> dict[str, Statement]:
    """All there are, those of lists in every combination."""
    found = {
        name: value
        for module in (execution_statements, script_statements)
        for name, value in vars(module).items()
        if isinstance(value, Statement)
    }
    found |= {f"REMOVE_SCRIPT {number}": value for number, value in enumerate(script_statements.REMOVE_SCRIPT)}
    for walk, of_script, of_principal, state in itertools.product(
        Walk, (False, True), (False, True), (None, SUCCEEDED)
    ):
        if (walk is Walk.SCRIPT and not of_script) or (walk is Walk.PRINCIPAL and not of_principal):
            continue
        if walk is Walk.STATE and state is None:
            continue
        key = f"{walk} {of_script} {of_principal} {state}"
        found[f"page {key}"] = execution_statements.page_of_executions(
            walk, of_script=of_script, of_principal=of_principal, state=state
        )
        found[f"length {key}"] = execution_statements.length_of_walk(walk, state)
    for of_principal, is_named in itertools.product((False, True), repeat=2):
        found[f"scripts {of_principal} {is_named}"] = script_statements.page_of_scripts(
            of_principal=of_principal, is_named=is_named
        )
    return found


# Their cost grows with the store: counting once, and looking for unused scripts in a thread beside.
WHOLE = {"COUNT_EXECUTIONS", "COUNT_SCRIPTS", "SELECT_UNNAMED"}
# What a scan may be of: rows that the statement brings along, or the first few of an index.
BOUNDED_SCANS = (
    "SCAN anon_1",
    "SCAN CONSTANT ROW",
    "SCAN other USING COVERING INDEX sqlite_autoindex_units_1",
    "SCAN servers",
)


@pytest.mark.parametrize("name", sorted(statements()))
async def test_no_statement_reads_a_whole_table_or_sorts(store: Store, path: Path, name: str) -> None:
    statement = statements()[name]
    with sqlite3.connect(path) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", (1,) * len(statement.names)).fetchall()
    connection.close()
    plan = [str(row[3]) for row in rows]
    scans = [step for step in plan if step.startswith("SCAN") and step not in BOUNDED_SCANS]
    assert (scans != []) == (name in WHOLE), plan
    if name not in WHOLE:
        assert not any("TEMP B-TREE" in step for step in plan), plan
        # A search by tenant alone reads all that the tenant has.
        assert not any(step.endswith("(tenant=?)") for step in plan), plan


async def test_pages_are_read_along_their_index(store: Store, path: Path) -> None:
    for walk in Walk:
        of_script, of_principal, state = walk is Walk.SCRIPT, walk is Walk.PRINCIPAL, FAILED
        statement = execution_statements.page_of_executions(
            walk, of_script=of_script, of_principal=of_principal, state=state if walk is Walk.STATE else None
        )
        with sqlite3.connect(path) as connection:
            ((*_, plan),) = connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", (1,) * len(statement.names))
        connection.close()
        assert f"USING INDEX {walk.value}" in plan
        # Both ends of the page bound what is read.
        assert "create_time>? AND (create_time,execution_id)<(?,?)" in plan
