"""A row that somebody has edited by hand: told by table, row and column, whoever reads it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_samples import (
    T0,
    a_decision,
    a_fill,
    a_flow,
    a_guard_event,
    a_refusal,
    a_removal,
    a_write_off,
    an_equity_point,
    an_order,
)

from bot.domain.errors import LedgerError
from bot.domain.orders import OrderState
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_audit import LedgerAudit
from bot.storage.ledger_reader import LedgerReader

TOO_LATE = 2**62  # microseconds: the year 148,000

Edit = tuple[str, str, object, str, Callable[[LedgerAudit], Any]]
"""Table, column, value, name of the row, how it is read."""

EDITS: list[Edit] = [
    ("fills", "quantity", "abc", "2", LedgerAudit.fills),
    ("fills", "quantity", "", "2", LedgerAudit.book_events),
    ("fills", "price", "NaN", "2", LedgerAudit.book_events),
    ("fills", "fee", "Infinity", "2", LedgerAudit.fills),
    ("fills", "fee", "1,5", "2", LedgerAudit.fees_total),
    ("fills", "side", "bought", "2", LedgerAudit.fills),
    ("fills", "liquidity", "", "2", LedgerAudit.fills),
    ("fills", "at", TOO_LATE, "2", LedgerAudit.fills),
    ("flows", "amount", "1e", "1", LedgerAudit.flows),
    ("dust", "at", TOO_LATE, "3", LedgerAudit.book_events),
    ("coins_out", "quantity", "half", "4", LedgerAudit.book_events),
    ("coins_out", "price", "sNaN", "4", LedgerAudit.book_events),
    ("orders", "state", "lost", "id-BTC/USD-1", LedgerAudit.orders),
    ("orders", "filled_quantity", "all", "id-BTC/USD-1", LedgerAudit.order_lives),
    ("order_events", "to_state", "gone", "1", LedgerAudit.order_lives),
    ("order_events", "filled_quantity", "--", "1", LedgerAudit.order_lives),
    ("decisions", "details", "{", "1", LedgerAudit.decisions),
    ("decisions", "details", "[]", "1", LedgerAudit.numbered_decisions),
    ("refusals", "code", "no_idea", "1", LedgerAudit.refusals),
    ("guard_events", "at", TOO_LATE, "1", LedgerAudit.read_the_rest),
    ("equity", "at", TOO_LATE, str(TOO_LATE), LedgerAudit.last_equity),
    ("engine_values", "value", "{'mode'", "mode", LedgerAudit.read_the_rest),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite3"
    with SqliteLedger(path, durable=False) as ledger:
        ledger.record_intent(an_order())
        ledger.record_transition(an_order().moved_to(OrderState.IN_FLIGHT, at=T0), OrderState.INTENT)
        ledger.record_flow(a_flow())
        ledger.record_fill(a_fill())
        ledger.record_dust(a_write_off())
        ledger.record_coins_out(a_removal())
        ledger.record_decision(a_decision())
        ledger.record_refusal(a_refusal())
        ledger.record_guard_event(a_guard_event())
        ledger.record_equity(an_equity_point(T0 + timedelta(days=1)))
        ledger.set_value("mode", "ACTIVE")
    return path


def edit(path: Path, table: str, column: str, value: object) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        assert connection.execute(f"UPDATE {table} SET {column} = ?", (value,)).rowcount == 1
    finally:
        connection.close()


@pytest.mark.parametrize("case", EDITS, ids=lambda case: f"{case[0]}.{case[1]}={case[2]}")
def test_edited_cell_is_told_by_table_row_and_column(path: Path, case: Edit) -> None:
    table, column, value, key, read = case
    edit(path, table, column, value)
    with LedgerAudit(path) as audit, pytest.raises(LedgerError) as caught:
        read(audit)
    words = str(caught.value)
    assert str(path) in words
    assert f"table {table}, row {key}, column {column}: found " in words
    assert "the file was edited" in words


def test_writer_tells_the_same(path: Path) -> None:
    edit(path, "fills", "quantity", "abc")
    edit(path, "engine_values", "value", "ACTIVE")
    edit(path, "orders", "venue_order_id", "v1")
    with SqliteLedger(path) as ledger:
        with pytest.raises(LedgerError, match="table fills, row 2, column quantity: found 'abc' where a decimal"):
            ledger.book_events()
        with pytest.raises(LedgerError, match="table engine_values, row mode, column value: found 'ACTIVE' where JSON"):
            ledger.value("mode")
        assert [order.venue_order_id for order in ledger.live_orders()] == ["v1"]


def test_values_that_do_not_fit_together_are_told_by_table_and_row(path: Path) -> None:
    edit(path, "orders", "filled_quantity", "5")  # of 0.001
    with LedgerReader(path) as reader, pytest.raises(LedgerError) as caught:
        reader.orders()
    words = "table orders, row id-BTC/USD-1: its values do not fit together (filled 5 of 0.00100000)"
    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["", "no uuid"])
def test_ledger_without_an_identity_is_refused(path: Path, value: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (value,))
    connection.close()
    with pytest.raises(LedgerError, match=r"table meta, row epoch: found .* where the identity of this ledger belongs"):
        SqliteLedger(path)


def test_removed_identity_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM meta WHERE key = 'epoch'")
    connection.close()
    with pytest.raises(LedgerError, match="table meta, row epoch"):
        SqliteLedger(path)
