"""Views read what the bot wrote: beside it, after it, and without leaving a trace."""

from __future__ import annotations

import math
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from ledger_samples import (
    BAR_MS,
    T0,
    a_decision,
    a_fill,
    a_flow,
    a_guard_event,
    a_refusal,
    a_write_off,
    an_equity_point,
    an_order,
)

from bot.domain.errors import LedgerError
from bot.domain.orders import OrderState
from bot.domain.refusal import RefusalCode
from bot.domain.snapshot import SNAPSHOT_KEY, SNAPSHOT_SCHEMA_VERSION
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_reader import LedgerReader

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    with SqliteLedger(path, durable=False) as opened:
        yield opened


@pytest.fixture
def reader(ledger: SqliteLedger, path: Path) -> Iterator[LedgerReader]:
    with LedgerReader(path) as opened:
        yield opened


def test_reader_without_file_says_so_and_makes_none(path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger yet at"):
        LedgerReader(path)
    assert list(path.parent.iterdir()) == []


def test_reader_of_garbage_raises(path: Path) -> None:
    path.write_bytes(b"my shopping list, " * 100)
    with pytest.raises(LedgerError, match="not a ledger"):
        LedgerReader(path)


def test_reader_of_newer_version_raises(path: Path, ledger: SqliteLedger) -> None:
    ledger._connection.execute("PRAGMA user_version = 7")
    with pytest.raises(LedgerError, match=r"newer version.*schema 7"):
        LedgerReader(path)


def test_reader_of_other_database_raises(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE guests (name TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="no tables of this program"):
        LedgerReader(path)


def test_reader_cannot_write(reader: LedgerReader) -> None:
    with pytest.raises(LedgerError, match="read-only"):
        reader._rows("DELETE FROM fills")


def test_reader_of_closed_ledger_makes_no_files(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        ledger.record_fill(a_fill())
    with LedgerReader(path) as reader:
        assert reader.fills() == [a_fill()]
        assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite3"]
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite3"]


def test_reader_beside_open_transaction_sees_the_last_commit(ledger: SqliteLedger, reader: LedgerReader) -> None:
    ledger.record_fill(a_fill("f1"))
    with ledger.transaction():
        ledger.record_fill(a_fill("f2"))
        assert reader.fills() == [a_fill("f1")]
    assert reader.fills() == [a_fill("f1"), a_fill("f2")]


def test_reader_of_ledger_left_with_wal_sees_every_commit(path: Path, ledger: SqliteLedger, tmp_path: Path) -> None:
    ledger.record_fill(a_fill())
    # what a killed bot leaves: file, -wal and -shm as they are, nobody holding them
    left = tmp_path / "left"
    left.mkdir()
    for name in ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"):
        shutil.copy(path.parent / name, left / name)
    before = sorted(left.iterdir())
    with LedgerReader(left / "ledger.sqlite3") as reader:
        assert reader.fills() == [a_fill()]
    assert sorted(left.iterdir()) == before


def test_reader_of_path_with_special_characters_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=rw#b %20" / "ledger.sqlite3"
    SqliteLedger(path, durable=False).close()
    with LedgerReader(path) as reader:
        assert reader.fills() == []


def test_reader_of_empty_ledger_answers_with_nothing(reader: LedgerReader) -> None:
    assert reader.snapshot() is None
    assert reader.value("mode", "HALTED") == "HALTED"
    assert reader.orders() == []
    assert reader.refusals() == []
    assert reader.decisions() == []
    assert reader.guard_events() == []
    assert reader.guard_activations() == {}
    assert reader.refusal_counts() == {}
    assert reader.book_events() == []
    assert reader.last_equity() is None
    assert reader.equity() == []
    assert reader.pnl_by_day() == []
    assert reader.fees_total() == 0


def test_snapshot_of_this_schema_is_returned_and_of_another_not(ledger: SqliteLedger, reader: LedgerReader) -> None:
    ledger.set_value(SNAPSHOT_KEY, {"schema_version": SNAPSHOT_SCHEMA_VERSION, "equity_usd": 260.0})
    found = reader.snapshot()
    assert found is not None
    assert found["equity_usd"] == 260.0
    ledger.set_value(SNAPSHOT_KEY, {"schema_version": SNAPSHOT_SCHEMA_VERSION + 1, "equity_usd": 260.0})
    assert reader.snapshot() is None


def test_orders_come_newest_first_and_limited(ledger: SqliteLedger, reader: LedgerReader) -> None:
    for number in (1, 2, 3):
        ledger.record_intent(an_order(number))
    sent = an_order(3).moved_to(OrderState.IN_FLIGHT, at=T0)
    ledger.record_transition(sent, OrderState.INTENT)
    assert reader.orders() == [sent, an_order(2), an_order(1)]
    assert reader.orders(2) == [sent, an_order(2)]
    assert reader.orders(0) == []


def test_fills_limited_are_the_last_in_recorded_order(ledger: SqliteLedger, reader: LedgerReader) -> None:
    for name in ("f1", "f2", "f3"):
        ledger.record_fill(a_fill(name))
    assert [fill.fill_id for fill in reader.fills()] == ["f1", "f2", "f3"]
    assert [fill.fill_id for fill in reader.fills(2)] == ["f2", "f3"]


def test_book_events_and_flows_equal_the_ledgers(ledger: SqliteLedger, reader: LedgerReader) -> None:
    ledger.record_fill(a_fill("f1"))
    ledger.record_flow(a_flow())
    ledger.record_dust(a_write_off())
    ledger.record_fill(a_fill("f2"))
    assert reader.book_events() == [a_fill("f1"), a_flow(), a_write_off(), a_fill("f2")] == ledger.book_events()
    assert reader.flows() == [a_flow()]


def test_fees_total_is_exact(ledger: SqliteLedger, reader: LedgerReader) -> None:
    ledger.record_fill(a_fill("f1", fee="0.1"))
    ledger.record_fill(a_fill("f2", fee="0.2"))
    ledger.record_fill(a_fill("f3", fee="0.0000000001"))
    # 0.1 + 0.2 + 1e-10; floats would give 0.30000000010000004
    assert reader.fees_total() == Decimal("0.3000000001")


def test_refusals_are_filtered_and_newest_first(ledger: SqliteLedger, reader: LedgerReader) -> None:
    old = a_refusal(at=T0 - timedelta(days=2), bar_ms=BAR_MS - 172_800_000)
    middle = a_refusal(RefusalCode.DRAWDOWN, at=T0 - timedelta(days=1))
    new = a_refusal(at=T0)
    for refusal in (old, middle, new):
        ledger.record_refusal(refusal)
    assert reader.refusals() == [new, middle, old]
    assert reader.refusals(1) == [new]
    assert reader.refusals(code=RefusalCode.CASH_BUFFER) == [new, old]
    assert reader.refusals(since=T0 - timedelta(days=1)) == [new, middle]
    assert reader.refusals(code=RefusalCode.DRAWDOWN, since=T0) == []
    assert reader.refusal_counts() == {"cash_buffer": 2, "drawdown": 1}
    assert list(reader.refusal_counts()) == ["cash_buffer", "drawdown"]


def test_refusal_with_nan_is_read_as_nan(ledger: SqliteLedger, reader: LedgerReader) -> None:
    ledger.record_refusal(replace(a_refusal(), actual=math.nan))
    assert math.isnan(reader.refusals()[0].actual)


def test_stored_code_that_is_not_known_raises(ledger: SqliteLedger, reader: LedgerReader) -> None:
    ledger.record_refusal(a_refusal())
    ledger._connection.execute("UPDATE refusals SET code = 'bad_mood'")
    with pytest.raises(LedgerError, match="bad_mood"):
        reader.refusals()


def test_decisions_are_read_back_newest_first(ledger: SqliteLedger, reader: LedgerReader) -> None:
    ledger.record_decision(a_decision())
    ledger.record_decision(a_decision(symbol="ETH/USD"))
    assert reader.decisions() == [a_decision(symbol="ETH/USD"), a_decision()]
    assert reader.decisions(1) == [a_decision(symbol="ETH/USD")]


def test_decision_without_score_is_read_as_nan(ledger: SqliteLedger, reader: LedgerReader) -> None:
    ledger.record_decision(a_decision(score=math.nan))
    assert math.isnan(reader.decisions()[0].score)


def test_guard_activations_count_only_activations(ledger: SqliteLedger, reader: LedgerReader) -> None:
    events = [
        a_guard_event("drawdown"),
        a_guard_event("drawdown", active=False),
        a_guard_event("daily_loss", used=6.5),
        a_guard_event("drawdown", used=13.0),
    ]
    for event in events:
        ledger.record_guard_event(event)
    assert reader.guard_events() == events[::-1]
    assert reader.guard_events(1) == [events[3]]
    assert reader.guard_activations() == {"daily_loss": 1, "drawdown": 2}


def test_equity_series_is_thinned_to_the_last_point_of_each_stretch(ledger: SqliteLedger, reader: LedgerReader) -> None:
    points = [an_equity_point(T0 + timedelta(minutes=n), 260.0 + n) for n in range(10)]
    for point in points:
        ledger.record_equity(point)
    assert reader.equity() == points
    assert reader.equity(since=T0 + timedelta(minutes=8)) == points[8:]
    # 9 minutes in 3 stretches of 3 minutes and a third of a microsecond, rounded up: 0-3, 4-6, 7-9
    assert reader.equity(max_points=3) == [points[3], points[6], points[9]]
    assert reader.equity(max_points=1) == [points[9]]
    assert reader.last_equity() == points[9]


def test_pnl_by_day_measures_from_the_day_before_without_flows(ledger: SqliteLedger, reader: LedgerReader) -> None:
    def at(day: int, hour: int) -> datetime:
        return datetime(2024, 3, day, hour, tzinfo=UTC)

    ledger.record_flow(a_flow("250", at=at(1, 9)))
    ledger.record_equity(an_equity_point(at(1, 10), 250.0, 1.0))
    ledger.record_fill(a_fill("f1", at=at(1, 11), fee="0.60"))
    ledger.record_fill(a_fill("f2", at=at(1, 12), fee="0.05"))
    ledger.record_equity(an_equity_point(at(1, 23), 255.0, 1.02))
    # March 2: the bot was off. March 3: 100 came in, 5.1 of it were lost
    ledger.record_flow(a_flow("100", at=at(3, 8)))
    ledger.record_equity(an_equity_point(at(3, 9), 355.0, 1.02))
    ledger.record_equity(an_equity_point(at(3, 20), 349.9, 1.0047))
    third, first = reader.pnl_by_day()
    assert (first.day, first.equity, first.performance_index) == (date(2024, 3, 1), 255.0, 1.02)
    assert first.change_pct == pytest.approx(2.0)  # 1.02 / 1.00
    assert first.pnl_usd == 5.0  # 255 - 250; the deposit of 9:00 came before the first point
    assert first.fees_usd == Decimal("0.65")
    assert (third.day, third.equity, third.performance_index) == (date(2024, 3, 3), 349.9, 1.0047)
    assert third.change_pct == pytest.approx(-1.5)  # 1.0047 / 1.02 = 0.985
    assert third.pnl_usd == pytest.approx(-5.1)  # 349.9 - 255 - 100
    assert third.fees_usd == 0
    assert reader.pnl_by_day(1) == [third]


_LOOK = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from bot.storage.ledger_reader import LedgerReader
with LedgerReader({path!r}) as reader:
    reader.snapshot(), reader.equity(), reader.pnl_by_day(), reader.fills()
heavy = {{"ccxt", "numpy", "rich", "click", "loguru"}} & set(sys.modules)
assert not heavy, heavy
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_reader_stays_light(path: Path, ledger: SqliteLedger) -> None:
    ledger.record_equity(an_equity_point(T0))
    code = _LOOK.format(root=str(ROOT), path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # peak in kilobytes; `status` as a whole may take 25 MB
    assert int(done.stdout) < 22_000
