"""What is recorded is read back; what contradicts is refused."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
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

from bot.domain.errors import InvariantError, LedgerError
from bot.domain.market import Candle
from bot.domain.orders import OrderState, OrderType
from bot.domain.refusal import RefusalCode
from bot.ports import Ledger
from bot.storage.ledger import SqliteLedger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    with SqliteLedger(path, durable=False) as opened:
        yield opened


def _raw(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_ledger_class_is_the_port(ledger: SqliteLedger) -> None:
    as_port: Ledger = ledger
    assert as_port.live_orders() == []


def test_order_intent_recorded_is_live_and_equal(ledger: SqliteLedger) -> None:
    order = an_order()
    ledger.record_intent(order)
    assert ledger.order(order.client_order_id) == order
    assert ledger.live_orders() == [order]


def test_order_market_and_stop_keep_absent_prices(ledger: SqliteLedger) -> None:
    market = replace(an_order(1), type=OrderType.MARKET, price=None, post_only=False)
    stop = replace(an_order(2), type=OrderType.STOP, price=None, post_only=False, stop_price=Decimal("57000.10"))
    ledger.record_intent(market)
    ledger.record_intent(stop)
    assert ledger.live_orders() == [market, stop]


def test_order_unknown_id_is_none(ledger: SqliteLedger) -> None:
    assert ledger.order("nobody") is None


def test_order_final_state_is_no_longer_live(ledger: SqliteLedger) -> None:
    first, second = an_order(1), an_order(2)
    ledger.record_intent(first)
    ledger.record_intent(second)
    refused = first.moved_to(OrderState.REFUSED, at=T0 + timedelta(seconds=1))
    ledger.record_transition(refused, OrderState.INTENT, "below the minimum")
    assert ledger.live_orders() == [second]
    assert ledger.order(first.client_order_id) == refused


def test_order_transitions_are_journalled_with_note(ledger: SqliteLedger, path: Path) -> None:
    order = an_order()
    ledger.record_intent(order)
    sent = order.moved_to(OrderState.IN_FLIGHT, at=T0)
    ledger.record_transition(sent, OrderState.INTENT)
    part = sent.moved_to(
        OrderState.PARTLY_FILLED, at=T0 + timedelta(seconds=2), venue_order_id="v7", filled_quantity=Decimal("0.0004")
    )
    ledger.record_transition(part, OrderState.IN_FLIGHT, "0.4 of it")
    more = part.moved_to(OrderState.PARTLY_FILLED, at=T0 + timedelta(seconds=3), filled_quantity=Decimal("0.0009"))
    ledger.record_transition(more, OrderState.PARTLY_FILLED)
    assert ledger.order(order.client_order_id) == more
    assert _raw(path, "SELECT from_state, to_state, filled_quantity, note, at FROM order_events ORDER BY seq") == [
        # 2024-03-01 12:30:15.123456 UTC is 1 709 296 215 s and 123 456 us after 1970
        ("intent", "in_flight", "0", "", 1_709_296_215_123_456),
        ("in_flight", "partly_filled", "0.0004", "0.4 of it", 1_709_296_217_123_456),
        ("partly_filled", "partly_filled", "0.0009", "", 1_709_296_218_123_456),
    ]


def test_intent_in_later_state_raises(ledger: SqliteLedger) -> None:
    with pytest.raises(InvariantError, match="in_flight"):
        ledger.record_intent(an_order().moved_to(OrderState.IN_FLIGHT, at=T0))


@pytest.mark.parametrize("change", [{"intent_number": 2}, {"client_order_id": "other"}])
def test_intent_with_used_number_or_id_raises_and_stores_nothing(
    ledger: SqliteLedger, change: dict[str, object]
) -> None:
    ledger.record_intent(an_order(1))
    with pytest.raises(LedgerError, match="UNIQUE"):
        ledger.record_intent(replace(an_order(1), **change))  # type: ignore[arg-type]
    assert ledger.live_orders() == [an_order(1)]


def test_transition_from_other_state_raises_and_stores_nothing(ledger: SqliteLedger, path: Path) -> None:
    order = an_order()
    ledger.record_intent(order)
    opened = order.moved_to(OrderState.IN_FLIGHT, at=T0).moved_to(OrderState.OPEN, at=T0)
    with pytest.raises(InvariantError, match="has it intent, not in_flight"):
        ledger.record_transition(opened, OrderState.IN_FLIGHT)
    assert ledger.order(order.client_order_id) == order
    assert _raw(path, "SELECT count(*) FROM order_events") == [(0,)]


def test_transition_illegal_move_raises(ledger: SqliteLedger) -> None:
    order = an_order()
    ledger.record_intent(order)
    with pytest.raises(InvariantError, match="no transition from intent to filled"):
        ledger.record_transition(replace(order, state=OrderState.FILLED), OrderState.INTENT)


def test_transition_without_intent_raises(ledger: SqliteLedger) -> None:
    with pytest.raises(InvariantError, match="without a journalled intent"):
        ledger.record_transition(an_order().moved_to(OrderState.IN_FLIGHT, at=T0), OrderState.INTENT)


def test_transition_with_falling_quantity_raises(ledger: SqliteLedger) -> None:
    sent = an_order().moved_to(OrderState.IN_FLIGHT, at=T0)
    ledger.record_intent(an_order())
    ledger.record_transition(sent, OrderState.INTENT)
    part = sent.moved_to(OrderState.PARTLY_FILLED, at=T0, filled_quantity=Decimal("0.0005"))
    ledger.record_transition(part, OrderState.IN_FLIGHT)
    with pytest.raises(InvariantError, match=r"fell from 0\.0005 to 0\.0004"):
        ledger.record_transition(replace(part, filled_quantity=Decimal("0.0004")), OrderState.PARTLY_FILLED)


def test_next_intent_number_counts_per_account_and_symbol(ledger: SqliteLedger) -> None:
    assert ledger.next_intent_number("coinbase", "BTC/USD") == 1
    ledger.record_intent(an_order(1))
    ledger.record_intent(an_order(2))
    assert ledger.next_intent_number("coinbase", "BTC/USD") == 3
    assert ledger.next_intent_number("coinbase", "ETH/USD") == 1
    assert ledger.next_intent_number("kraken", "BTC/USD") == 1


def test_fill_twice_is_stored_once(ledger: SqliteLedger) -> None:
    assert ledger.record_fill(a_fill("f1")) is True
    assert ledger.record_fill(a_fill("f1")) is False
    assert ledger.record_fill(a_fill("f1", account="kraken")) is True
    assert ledger.fills() == [a_fill("f1"), a_fill("f1", account="kraken")]


def test_fill_amounts_are_text_to_the_last_digit(ledger: SqliteLedger, path: Path) -> None:
    ledger.record_fill(replace(a_fill(), quantity=Decimal("0.123456789012345678901234567890"), fee=Decimal("-0.010")))
    assert _raw(path, "SELECT quantity, fee FROM fills") == [("0.123456789012345678901234567890", "-0.010")]
    assert ledger.fills()[0].quantity == Decimal("0.123456789012345678901234567890")


def test_fill_with_infinite_fee_is_no_book_entry(ledger: SqliteLedger) -> None:
    with pytest.raises(AssertionError, match="finite"):
        ledger.record_fill(a_fill(fee="Infinity"))


def test_times_of_other_zones_are_the_same_moment(ledger: SqliteLedger) -> None:
    ledger.record_fill(a_fill(at=datetime(2024, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))))
    assert ledger.fills()[0].at == datetime(2024, 2, 29, 23, 0, tzinfo=UTC)
    assert ledger.fills()[0].at.tzinfo is UTC


def test_book_events_keep_the_recorded_order(ledger: SqliteLedger) -> None:
    # at runs backwards: only the order of recording counts
    events = [
        a_flow("100", at=T0),
        a_fill("f1", at=T0 - timedelta(hours=1)),
        a_flow("-5", at=T0 - timedelta(hours=2)),
        a_fill("f2", at=T0 - timedelta(hours=3)),
        a_write_off(at=T0 - timedelta(hours=5)),
        a_fill("f3", at=T0 - timedelta(hours=4)),
        a_write_off("ETH/USD", at=T0 - timedelta(hours=6)),
        a_flow("1", at=T0 - timedelta(hours=7)),
    ]
    ledger.record_flow(a_flow("100", at=T0))
    ledger.record_fill(a_fill("f1", at=T0 - timedelta(hours=1)))
    ledger.record_flow(a_flow("-5", at=T0 - timedelta(hours=2)))
    ledger.record_fill(a_fill("f2", at=T0 - timedelta(hours=3)))
    ledger.record_fill(a_fill("f1"))
    ledger.record_dust(a_write_off(at=T0 - timedelta(hours=5)))
    ledger.record_fill(a_fill("f3", at=T0 - timedelta(hours=4)))
    ledger.record_dust(a_write_off("ETH/USD", at=T0 - timedelta(hours=6)))
    ledger.record_flow(a_flow("1", at=T0 - timedelta(hours=7)))
    assert ledger.book_events() == events
    assert ledger.flows() == [events[0], events[2], events[7]]


def test_write_off_in_a_transaction_that_fails_is_not_stored(ledger: SqliteLedger) -> None:
    def fail_inside() -> None:
        with ledger.transaction():
            ledger.record_dust(a_write_off())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_inside()
    assert ledger.book_events() == []


def test_bars_stored_once_keep_their_first_values(ledger: SqliteLedger) -> None:
    first = Candle(BAR_MS, 1.0, 3.0, 0.5, 2.0, 10.0)
    second = Candle(BAR_MS + 86_400_000, 2.0, 4.0, 1.5, 3.0, 11.0)
    ledger.record_bars("kraken", "BTC/USD", "1d", [second])
    ledger.record_bars("kraken", "BTC/USD", "1d", [first, second._replace(close=9.0)])
    assert ledger.bars("kraken", "BTC/USD", "1d") == [first, second]
    assert ledger.bars("coinbase", "BTC/USD", "1d") == []
    assert ledger.bars("kraken", "BTC/USD", "1h") == []


def test_bars_with_a_broken_one_are_stored_not_at_all(ledger: SqliteLedger) -> None:
    good, broken = Candle(BAR_MS, 1.0, 3.0, 0.5, 2.0, 10.0), Candle(BAR_MS + 1, 1.0, 3.0, 0.5, math.nan, 10.0)
    with pytest.raises(LedgerError, match="NOT NULL"):
        ledger.record_bars("kraken", "BTC/USD", "1d", [good, broken])
    assert ledger.bars("kraken", "BTC/USD", "1d") == []


def test_refusal_of_one_bar_coin_and_code_is_stored_once(ledger: SqliteLedger, path: Path) -> None:
    assert ledger.record_refusal(a_refusal()) is True
    assert ledger.record_refusal(replace(a_refusal(), actual=3.0, at=T0 + timedelta(minutes=1))) is False
    assert ledger.record_refusal(a_refusal(symbol="ETH/USD")) is True
    assert ledger.record_refusal(a_refusal(bar_ms=BAR_MS + 86_400_000)) is True
    assert ledger.record_refusal(a_refusal(RefusalCode.DRAWDOWN)) is True
    assert _raw(path, "SELECT count(*), min(actual) FROM refusals") == [(4, 12.5)]


def test_decision_with_nan_details_stores_null(ledger: SqliteLedger, path: Path) -> None:
    ledger.record_decision(replace(a_decision(), details={"stop": math.nan, "far": math.inf, "score": 0.5}))
    assert _raw(path, "SELECT details FROM decisions") == [('{"stop": null, "far": null, "score": 0.5}',)]


def test_guard_event_is_stored(ledger: SqliteLedger, path: Path) -> None:
    ledger.record_guard_event(a_guard_event())
    assert _raw(path, "SELECT name, active, used, limit_value, unit FROM guard_events") == [
        ("drawdown", 1, 12.1, 12.0, "pct")
    ]


def test_value_set_twice_is_the_last_one(ledger: SqliteLedger) -> None:
    assert ledger.value("mode") is None
    assert ledger.value("mode", "HALTED") == "HALTED"
    ledger.set_value("mode", {"name": "ACTIVE", "stops": [1, 2.5, None]})
    ledger.set_value("mode", {"name": "HALTED"})
    assert ledger.value("mode", "unused") == {"name": "HALTED"}


@pytest.mark.parametrize("value", [math.nan, Decimal(1), {"a": {1, 2}}])
def test_value_without_json_form_raises_and_names_the_key(ledger: SqliteLedger, value: object) -> None:
    with pytest.raises(LedgerError, match="'cursor'"):
        ledger.set_value("cursor", value)


def test_transaction_that_fails_leaves_nothing(ledger: SqliteLedger) -> None:
    def fail_inside() -> None:
        with ledger.transaction():
            ledger.record_fill(a_fill("inside"))
            ledger.record_intent(an_order())
            raise KeyboardInterrupt

    ledger.record_fill(a_fill("before"))
    with pytest.raises(KeyboardInterrupt):
        fail_inside()
    assert ledger.fills() == [a_fill("before")]
    assert ledger.live_orders() == []
    ledger.record_fill(a_fill("after"))
    assert ledger.fills() == [a_fill("before"), a_fill("after")]


def test_transaction_in_a_transaction_raises(ledger: SqliteLedger) -> None:
    with pytest.raises(InvariantError, match="nest"), ledger.transaction(), ledger.transaction():
        pass
    ledger.record_fill(a_fill())
    assert ledger.fills() == [a_fill()]


def test_transaction_with_swallowed_error_commits_nothing(ledger: SqliteLedger) -> None:
    def swallow_inside() -> None:
        with ledger.transaction():
            ledger.record_intent(an_order())
            with suppress(LedgerError):
                ledger.record_intent(an_order())

    with pytest.raises(LedgerError, match="UNIQUE"):
        swallow_inside()
    assert ledger.live_orders() == []


def test_equity_of_the_same_moment_is_replaced(ledger: SqliteLedger, path: Path) -> None:
    ledger.record_equity(an_equity_point(T0, 260.0))
    ledger.record_equity(an_equity_point(T0, 261.5))
    assert _raw(path, "SELECT equity, fresh FROM equity") == [(261.5, 1)]


def test_equity_nan_raises(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerError, match=r"equity\.equity"):
        ledger.record_equity(an_equity_point(T0, math.nan))


def test_prune_keeps_days_hours_and_the_last_two_days_whole(ledger: SqliteLedger, path: Path) -> None:
    now = datetime(2024, 3, 31, 15, 0, tzinfo=UTC)
    # limits at midnight: whole from March 29, by the hour from March 1, by the day before that
    moments = {
        datetime(2024, 2, 28, 1, 10, tzinfo=UTC): False,
        datetime(2024, 2, 28, 23, 59, tzinfo=UTC): True,
        datetime(2024, 2, 29, 5, 0, tzinfo=UTC): False,
        datetime(2024, 2, 29, 6, 0, tzinfo=UTC): True,
        datetime(2024, 3, 1, 0, 0, tzinfo=UTC): False,
        datetime(2024, 3, 1, 0, 59, 59, tzinfo=UTC): True,
        datetime(2024, 3, 1, 1, 0, tzinfo=UTC): True,
        datetime(2024, 3, 28, 23, 10, tzinfo=UTC): False,
        datetime(2024, 3, 28, 23, 50, tzinfo=UTC): True,
        datetime(2024, 3, 29, 0, 0, tzinfo=UTC): True,
        datetime(2024, 3, 29, 0, 1, tzinfo=UTC): True,
        datetime(2024, 3, 31, 14, 59, tzinfo=UTC): True,
    }
    for at in moments:
        ledger.record_equity(an_equity_point(at))
    assert ledger.prune(now) == 4
    kept = [
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(str(us)))
        for (us,) in _raw(path, "SELECT at FROM equity ORDER BY at")
    ]
    assert kept == [at for at, stays in moments.items() if stays]
    assert ledger.prune(now) == 0


def test_closed_ledger_raises_ledger_error(path: Path) -> None:
    ledger = SqliteLedger(path, durable=False)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.fills()
