"""Every later change of a stored decision shows; what the bot itself removes does not count as one."""

from __future__ import annotations

import math
import sqlite3
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_samples import T0, a_decision

from bot.domain.errors import LedgerError
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_audit import LedgerAudit
from bot.storage.ledger_chain import ChainState, broken_links, link
from bot.storage.ledger_rows import Row

EPOCH = UUID("3f2b8c1e-0d7a-4c55-9b1e-6a7d2f4c8e90")
COLUMNS = ("seq", "symbol", "account", "bar_ms", "first_bar_ms", "bars", "action", "score", "details", "at", "chain")
SCORES = (0.71, math.nan, 0.0, -0.0, 1e-17)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Five decisions, with every kind of score."""
    path = tmp_path / "ledger.sqlite3"
    with SqliteLedger(path, durable=False) as ledger:
        for number, score in enumerate(SCORES):
            ledger.record_decision(a_decision(symbol=f"C{number}/USD", score=score, at=T0 + timedelta(days=number)))
    return path


def change(path: Path, statement: str, values: tuple[object, ...] = ()) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        assert connection.execute(statement, values).rowcount > 0, f"nothing was changed by {statement}"
    finally:
        connection.close()


def problems(path: Path) -> list[str]:
    with LedgerAudit(path) as audit:
        state = audit.chain()
        assert state is not None
        return audit.broken_chain(state)


def cells(path: Path) -> list[Row]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"SELECT {', '.join(COLUMNS)} FROM decisions ORDER BY seq").fetchall()
    finally:
        connection.close()


def test_chain_of_untouched_decisions_holds(path: Path) -> None:
    assert problems(path) == []


def test_first_decision_follows_from_the_epoch(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        epoch = ledger.epoch
    *columns, chain = cells(path)[0]
    assert chain == link(str(epoch), tuple(columns))
    assert len(chain) == 64


def test_hash_is_that_of_the_previous_one_and_the_row_as_json() -> None:
    # sha256 of ["p",1,"BTC/USD",null,0.5], computed with sha256sum
    assert link("p", (1, "BTC/USD", None, 0.5)) == "1f811713eac1a846513543587e09ac73647b9a36bd2eaaac36d48327c81d3c00"


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("row", range(len(SCORES)))
def test_any_changed_cell_is_found(path: Path, column: str, row: int) -> None:
    before = cells(path)[row]
    old = before[COLUMNS.index(column)]
    changed: object
    match old:
        case None:
            changed = 0.71
        case float():
            changed = math.nextafter(old, 1.0)  # the last bit is enough
        case int():
            changed = old + 100
        case _:
            changed = old.replace("5", "6") if column == "details" else f"{old} "
    change(path, f"UPDATE decisions SET {column} = ? WHERE seq = ?", (changed, before[0]))
    assert before not in cells(path)
    assert problems(path) != []


@pytest.mark.parametrize("seq", range(1, 6))
def test_removed_decision_is_found_wherever_it_stood(path: Path, seq: int) -> None:
    change(path, "DELETE FROM decisions WHERE seq = ?", (seq,))
    assert problems(path) != []


def test_all_decisions_removed_is_found(path: Path) -> None:
    change(path, "DELETE FROM decisions")
    assert problems(path) == ["the newest decision should be 5 of 5 stored ones; found none of 0"]


def test_inserted_decision_is_found(path: Path) -> None:
    copied = ", ".join(COLUMNS[1:])
    change(path, f"INSERT INTO decisions (seq, {copied}) SELECT 6, {copied} FROM decisions WHERE seq = 5")
    found = problems(path)
    assert found[0].startswith("decision 6 (C4/USD) does not follow from the one before it")
    assert found[1] == "the newest decision should be 5 of 5 stored ones; found 6 of 6"


def test_two_decisions_that_change_places_are_found(path: Path) -> None:
    change(path, "UPDATE decisions SET seq = -seq WHERE seq IN (2, 3)")
    change(path, "UPDATE decisions SET seq = 5 + seq WHERE seq IN (-2, -3)")
    assert [row[0] for row in cells(path)] == [1, 2, 3, 4, 5]
    assert [problem.split()[1] for problem in problems(path)] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("old", "new"), [('"count": 5', '"count": 4'), ('"last_seq": 5', '"last_seq": 6'), ('"head": "', '"head": "0')]
)
def test_changed_end_of_the_chain_is_found(path: Path, old: str, new: str) -> None:
    change(path, "UPDATE meta SET value = replace(value, ?, ?) WHERE key = 'decision_chain'", (old, new))
    assert problems(path) != []


@pytest.mark.parametrize("value", ["", "{}", "[1]", "null", '{"anchor": "a", "head": "b", "count": "x"}'])
def test_end_of_the_chain_that_is_unreadable_is_told(path: Path, value: str) -> None:
    change(path, "UPDATE meta SET value = ? WHERE key = 'decision_chain'", (value,))
    with LedgerAudit(path) as audit, pytest.raises(LedgerError, match="table meta, row decision_chain: found"):
        audit.chain()


def test_writer_goes_on_after_a_changed_row_and_the_change_stays_visible(path: Path) -> None:
    change(path, "UPDATE decisions SET action = 'exit' WHERE seq = 3")
    with SqliteLedger(path) as ledger:
        ledger.record_decision(a_decision())
    assert [problem.split()[1] for problem in problems(path)] == ["3"]


def test_decision_that_is_rolled_back_leaves_the_chain_as_it_was(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        with suppress(ZeroDivisionError), ledger.transaction():
            ledger.record_decision(a_decision())
            _ = 1 / 0
        ledger.record_decision(a_decision(symbol="LAST/USD"))
    assert problems(path) == []
    assert [row[1] for row in cells(path)][-2:] == ["C4/USD", "LAST/USD"]


CELL = st.none() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8)


@given(
    rows=st.lists(st.lists(CELL, min_size=10, max_size=10), min_size=1, max_size=4),
    data=st.data(),
)
def test_any_other_value_in_any_cell_breaks_a_link(rows: list[list[object]], data: st.DataObject) -> None:
    state = ChainState.begun(EPOCH)
    stored = []
    for number, row in enumerate(rows, start=1):
        state = state.with_row((number, *row[1:]))
        stored.append([number, *row[1:], state.head])
    assert list(broken_links(state, [tuple(row) for row in stored])) == []
    place, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 10))
    old = stored[place][column]
    new = data.draw(CELL.filter(lambda value: (type(value), value) != (type(old), old)))
    if old == 0 == new and isinstance(old, float):
        return  # the two zeros: SQLite keeps one of them, and so does the writer
    stored[place][column] = new
    assert list(broken_links(state, [tuple(row) for row in stored])) != []
