"""What goes after two years and what stays for ever; the -wal gives its disk space back daily."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest
from ledger_samples import (
    BAR_MS,
    T0,
    a_decision,
    a_fill,
    a_flow,
    a_guard_event,
    a_refusal,
    a_removal,
    a_write_off,
    an_order,
)

from bot.domain.market import MS_PER_DAY, Candle
from bot.domain.orders import OrderState
from bot.domain.refusal import RefusalCode
from bot.storage.ledger import KEPT_FOR, SqliteLedger
from bot.storage.ledger_audit import LedgerAudit
from bot.storage.ledger_reader import LedgerReader

SOURCE = "test"
YEARS_3 = timedelta(days=3 * 365)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def bar(at: datetime) -> Candle:
    return Candle(int(at.timestamp() * 1000) // MS_PER_DAY * MS_PER_DAY, 1.0, 2.0, 0.5, 1.5, 10.0)


def write_year(ledger: SqliteLedger, start: datetime, *, days: int, symbol: str = "BTC/USD") -> None:
    """A decision, a refusal, a guard event and a bar a day."""
    with ledger.transaction():
        for day in range(days):
            at = start + timedelta(days=day)
            ledger.record_bars(SOURCE, symbol, "1d", [bar(at)])
            ledger.record_decision(a_decision(symbol=symbol, at=at))
            ledger.record_refusal(a_refusal(bar_ms=BAR_MS + day * MS_PER_DAY, symbol=symbol, at=at))
            ledger.record_guard_event(replace(a_guard_event(), at=at))


def test_journal_of_three_years_keeps_the_last_two_and_its_chain_holds(path: Path) -> None:
    now = T0 + YEARS_3
    with SqliteLedger(path, durable=False) as ledger:
        write_year(ledger, T0, days=3 * 365)
        # 1095 days of which day 365 (T0 + 365 d, later on its day than midnight) is the first that stays
        assert ledger.prune(now) == 3 * 365
        assert ledger.prune(now) == 0
        ledger.record_decision(a_decision(at=now))
    with LedgerAudit(path) as audit:
        state = audit.chain()
        assert state is not None
        assert audit.broken_chain(state) == []
        assert (state.count, state.last_seq) == (731, 1096)
        decisions = audit.numbered_decisions()
        assert decisions[0][0] == 366
        assert decisions[0][1].at == now - KEPT_FOR
        assert len(audit.refusals()) == len(audit.guard_events()) == 730
        # each decision is folded over every bar before it: all of them stay
        assert len(audit.bars(SOURCE, "BTC/USD", "1d")) == 3 * 365


def test_chain_pruned_day_by_day_holds_and_a_removed_row_still_shows(path: Path) -> None:
    with SqliteLedger(path, durable=False) as ledger:
        write_year(ledger, T0, days=10)
        for day in range(735, 738):
            ledger.prune(T0 + timedelta(days=day))
            with LedgerAudit(path) as audit:
                state = audit.chain()
                assert state is not None
                assert audit.broken_chain(state) == []
                assert state.count == 10 - (day - 730)
        ledger._connection.execute("DELETE FROM decisions WHERE seq = (SELECT min(seq) FROM decisions)")
    with LedgerAudit(path) as audit:
        state = audit.chain()
        assert state is not None
        assert len(audit.broken_chain(state)) == 2  # the first that is left, and the count


def test_books_orders_and_their_events_stay_for_ever(path: Path) -> None:
    with SqliteLedger(path, durable=False) as ledger:
        ledger.record_intent(an_order())
        ledger.record_transition(an_order().moved_to(OrderState.REFUSED, at=T0), OrderState.INTENT)
        ledger.record_flow(a_flow())
        ledger.record_fill(a_fill())
        ledger.record_coins_out(a_removal())
        ledger.record_dust(a_write_off())
        write_year(ledger, T0 + timedelta(days=50 * 365), days=1)
        ledger.prune(T0 + timedelta(days=50 * 365))
        assert ledger.book_events() == [a_flow(), a_fill(), a_removal(), a_write_off()]
    with LedgerAudit(path) as audit:
        assert [len(life.events) for life in audit.order_lives()] == [1]


def test_bars_of_a_coin_go_with_its_last_decision_and_not_before(path: Path) -> None:
    with SqliteLedger(path, durable=False) as ledger:
        write_year(ledger, T0, days=3, symbol="OLD/USD")
        write_year(ledger, T0, days=3 * 365, symbol="BTC/USD")
        ledger.prune(T0 + timedelta(days=732))  # its last decision (day 2) is kept: it needs all three bars
        assert len(ledger.bars(SOURCE, "OLD/USD", "1d")) == 3
        ledger.prune(T0 + timedelta(days=733))
        assert ledger.bars(SOURCE, "OLD/USD", "1d") == []
        assert len(ledger.bars(SOURCE, "BTC/USD", "1d")) == 3 * 365


def test_bars_of_a_coin_that_is_not_decided_yet_stay(path: Path) -> None:
    with SqliteLedger(path, durable=False) as ledger:
        write_year(ledger, T0 + YEARS_3, days=1)
        long_ago = [bar(T0 + timedelta(days=day)) for day in range(3)]
        ledger.record_bars(SOURCE, "NEW/USD", "1d", [*long_ago, bar(T0 + YEARS_3)])
        ledger.prune(T0 + YEARS_3)
        assert len(ledger.bars(SOURCE, "NEW/USD", "1d")) == 4


def test_replay_keeps_its_whole_journal(path: Path) -> None:
    with SqliteLedger(path, durable=False) as ledger:
        write_year(ledger, T0, days=3 * 365)
        assert ledger.prune(T0 + YEARS_3, journal=False) == 0
    with LedgerReader(path) as reader:
        assert reader.refusal_counts() == {RefusalCode.CASH_BUFFER.value: 3 * 365}
        assert reader.guard_activations() == {"drawdown": 3 * 365}


def test_prune_gives_the_disk_space_of_the_wal_back(path: Path) -> None:
    wal = path.with_name("ledger.sqlite3-wal")
    with SqliteLedger(path, durable=False) as ledger:
        write_year(ledger, T0, days=365)
        assert wal.stat().st_size > 100_000
        ledger.prune(T0)
        assert wal.stat().st_size == 0
        with LedgerReader(path) as reader:  # an empty -wal is one: the reader waits for its writer
            assert len(reader.decisions()) == 365


def test_prune_beside_a_reader_succeeds_and_cuts_the_wal_the_next_time(path: Path) -> None:
    wal = path.with_name("ledger.sqlite3-wal")
    with SqliteLedger(path, durable=False) as ledger:
        write_year(ledger, T0, days=100)
        with LedgerAudit(path) as audit:
            assert len(audit.numbered_decisions()) == 100
            ledger.record_flow(a_flow())
            began = perf_counter()
            ledger.prune(T0)
            assert perf_counter() - began < 2.0  # less than the 5 s for which a lock is waited for otherwise
            assert wal.stat().st_size > 0
            assert audit.flows() == []
        assert ledger._rows("PRAGMA busy_timeout") == [(5000,)]
        ledger.prune(T0)
        assert wal.stat().st_size == 0
        assert ledger.flows() == [a_flow()]
