"""Venues that carry out a sale or a cancellation a moment later, lose sight of an order, or show a broken book.

Kraken's rules as in the rig; the breakout trade of $1,000 has 1.80180180 BTC from 99.7, its stop at 95.0 and its first
target at 1.8 R.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    BTC,
    Rig,
    assert_books_equal_venues,
    assert_orders_equal_venues,
    assert_protected,
    look_again,
    make_rig,
)

from bot.domain.account import Fill, Liquidity
from bot.domain.market import Ticker
from bot.domain.modes import EngineMode, Strategy
from bot.domain.orders import Order, OrderReport, OrderState, Purpose, Side
from bot.engine.protect import FALLBACK_STOP_FRAC
from bot.ports import Accepted, Outcome, Unknown

D = Decimal
S = OrderState


def trade(folder: Path) -> Rig:
    return make_rig(folder, cash={"kraken": "1000"}, strategy=Strategy.BREAKOUT).entered(BTC=99.8)


class SlowSales:
    """The venue takes sales at once and executes them when told to."""

    def __init__(self, rig: Rig) -> None:
        self.waiting: list[Order] = []
        self.canceled: list[Order] = []
        self._venue = rig.venue
        self._submit, self._cancel, self._find = rig.venue.submit, rig.venue.cancel, rig.venue.find_order
        patched: Any = rig.venue
        patched.submit, patched.cancel, patched.find_order = self.submit, self.cancel, self.find_order

    def submit(self, order: Order) -> Outcome:
        if order.purpose is not Purpose.EXIT:
            return self._submit(order)
        self.waiting.append(order)
        return Accepted(venue_order_id="pending")

    def cancel(self, order: Order) -> Outcome:
        self.canceled.append(order)
        return self._cancel(order)

    def find_order(self, order: Order) -> OrderReport | None:
        if order.client_order_id not in {waiting.client_order_id for waiting in self.waiting}:
            return self._find(order)
        return OrderReport(
            client_order_id=order.client_order_id,
            venue_order_id="pending",
            symbol=order.symbol,
            state=S.OPEN,
            filled_quantity=D(0),
        )

    def execute(self) -> None:
        for order in self.waiting:
            self._submit(order)
        self.waiting.clear()


def test_sale_under_way_is_left_alone_with_the_stop_of_the_rest(tmp_path: Path) -> None:
    rig = trade(tmp_path)
    (full,) = rig.stops()
    slow = SlowSales(rig)
    rig.cycle(BTC=109.0)
    for _ in range(2):  # 0 and 60 s later, and 120 s
        (sale,) = slow.waiting
        (stop,) = rig.stops()
        assert stop.remaining + sale.quantity == full.quantity
        assert [order.purpose for order in slow.canceled] == [Purpose.STOP]  # the full one, for the rest's
        rig.cycle()
    slow.execute()
    rig.cycle()
    assert [o.state for o in rig.orders(Purpose.EXIT)] == [S.FILLED]
    assert rig.stops() == [stop]
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_flatten_under_way_is_not_taken_back(tmp_path: Path) -> None:
    rig = trade(tmp_path)
    slow = SlowSales(rig)
    rig.control.put("flatten")
    rig.cycle()
    rig.cycle()
    assert len(slow.waiting) == 1
    slow.execute()
    rig.cycle()
    assert rig.engine.book.positions == {}
    assert_books_equal_venues(rig)


def test_sale_that_never_comes_to_its_end_is_taken_back_after_150_seconds(tmp_path: Path) -> None:
    rig = trade(tmp_path)
    slow = SlowSales(rig)
    rig.control.put("flatten")
    rig.cycle()
    rig.cycle(after_s=149.0)
    assert len(slow.canceled) == 1  # the stop
    rig.cycle(after_s=1.0)
    assert slow.canceled[1].purpose is Purpose.EXIT


def test_queued_cancellation_is_waited_for_and_no_stop_is_called_resting(tmp_path: Path) -> None:
    rig = trade(tmp_path)
    queued: list[Order] = []
    real_cancel, real_open = rig.venue.inner.cancel, rig.venue.inner.open_orders

    def cancel(order: Order) -> Outcome:
        queued.append(order)
        return Accepted(venue_order_id=order.venue_order_id or "")

    patched: Any = rig.venue.inner
    patched.cancel = cancel
    patched.open_orders = lambda: [
        report for report in real_open() if report.client_order_id not in {order.client_order_id for order in queued}
    ]
    rig.cycle(BTC=109.0)
    assert [order.state for order in rig.stops()] == [S.CANCEL_IN_FLIGHT]
    snapshot = rig.engine.snapshot(rig.now, rig.now)
    assert snapshot["positions"][0]["stop_resting"] is False
    assert rig.orders(Purpose.EXIT) == []

    patched.cancel, patched.open_orders = real_cancel, real_open
    for order in queued:
        real_cancel(order)
    rig.cycle()
    assert [o.state for o in rig.orders(Purpose.EXIT)] == [S.FILLED]
    assert_protected(rig)


def test_own_order_that_rests_although_it_has_ended_here_is_canceled(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    real_open, real_find = rig.venue.inner.open_orders, rig.venue.inner.find_order
    patched: Any = rig.venue.inner
    patched.open_orders, patched.find_order = list, lambda order: None  # twice the wrong answer
    for _ in range(3):
        rig.cycle()
    assert next(o.state for o in rig.orders(Purpose.STOP)) is S.CANCELED
    patched.open_orders, patched.find_order = real_open, real_find
    for _ in range(3):  # found and canceled; then its coins are free for a stop
        rig.cycle()
    assert_protected(rig)
    assert_orders_equal_venues(rig)


def test_entry_listed_a_day_late_does_not_double_the_position(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    real_open, real_find = rig.venue.inner.open_orders, rig.venue.inner.find_order
    patched: Any = rig.venue.inner
    patched.open_orders, patched.find_order = list, lambda order: None
    rig.venue.mute.add("submit")
    rig.first_cycle()
    rig.venue.mute.clear()
    look_again(rig)
    look_again(rig)  # the second sending was answered with the first order, which is not listed either
    assert [o.state for o in rig.orders()] == [S.CANCELED]
    assert len(rig.venue.core.open_orders()) == 1
    patched.open_orders, patched.find_order = real_open, real_find
    rig.cycle()
    assert rig.venue.core.open_orders() == []


@pytest.mark.parametrize("halt_flattens", [False, True])
def test_broken_book_neither_halts_nor_sells(tmp_path: Path, halt_flattens: bool) -> None:
    rig = make_rig(tmp_path, halt_flattens=halt_flattens).entered()
    before = rig.cycle()
    held = dict(rig.engine.book.positions)
    real = rig.venue.tickers

    def broken() -> dict[str, Ticker]:
        return {symbol: replace(ticker, bid=D(5)) for symbol, ticker in real().items()}

    patched: Any = rig.venue
    patched.tickers = broken
    result = rig.cycle()
    assert (result.mode, result.drawdown_frac) == (EngineMode.ACTIVE, before.drawdown_frac)
    assert rig.engine.book.positions == held
    patched.tickers = real
    assert rig.cycle().equity == before.equity
    assert_protected(rig)


def test_position_whose_stop_distance_nobody_remembers_gets_a_stop_ten_percent_below(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    late: list[Order] = []
    real = rig.venue.inner.submit

    def lost(order: Order) -> Outcome:
        late.append(order)
        return Unknown(reason="timeout")

    patched: Any = rig.venue.inner
    patched.submit = lost
    rig.first_cycle()
    rig.cycle()
    look_again(rig)
    assert [o.state for o in rig.orders()] == [S.REJECTED]
    patched.submit = real
    rig.engine.state.entry_stop_frac.clear()
    real(late[0])
    rig.board.prices[BTC] = 99.0
    for _ in range(2):
        rig.cycle()
    ((_, position),) = rig.engine.book.positions.items()
    (stop,) = rig.stops()
    assert stop.stop_price == (position.average_price * (1 - FALLBACK_STOP_FRAC)).quantize(
        D("0.01"), rounding="ROUND_DOWN"
    )


def test_fill_of_a_crumb_more_than_was_asked_for_is_booked_as_the_venue_says(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    (entry,) = rig.orders()
    crumb = Fill(
        fill_id="more",
        account="coinbase",
        symbol=BTC,
        client_order_id=entry.client_order_id,
        side=Side.BUY,
        quantity=entry.quantity + D("0.00000001"),
        price=D("99.95"),
        fee=D(0),
        liquidity=Liquidity.MAKER,
        at=rig.now,
    )
    rig.venue.extra_fills = [crumb]
    rig.cycle()
    assert rig.orders(Purpose.ENTRY)[0].state is S.FILLED
    assert rig.engine.book.positions["coinbase", BTC].quantity == crumb.quantity


def test_position_stopped_out_while_its_entry_is_under_way_is_a_loss_of_one_r(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.next_fill_fraction = D("0.5")
    rig.cycle(BTC=99.9)  # half of it; the rest rests
    assert len(rig.entries()) == 1
    rig.cycle(BTC=90.0)  # through the rest and the stop of the half at once
    for _ in range(3):
        rig.cycle()
    trades = rig.engine.book.trades
    assert [trade.initial_risk_usd is not None for trade in trades] == [True] * len(trades) != []


def test_halt_ends_a_flatten_that_could_not_be_carried_out(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.control.put("flatten")
    rig.venue.silence()
    assert "everything is being sold" in rig.cycle().reason
    rig.control.put("halt")
    rig.cycle()
    rig.venue.speak()
    assert "halted by the user" in rig.cycle().reason
    assert rig.orders(Purpose.EXIT) == []
    assert_protected(rig)


def test_flatten_that_is_done_sells_no_later_position(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.control.put("flatten")
    rig.cycle()
    result = rig.cycle()
    assert rig.engine.state.flatten is False
    assert (result.mode, rig.engine.book.positions) == (EngineMode.HALTED, {})


def test_fill_of_this_cycle_is_not_taken_for_money_that_has_just_come_in(tmp_path: Path) -> None:
    # $18 of $100 rest at 99.95; 20 minutes later they are bought across the spread, in the middle of the cycle.
    rig = make_rig(tmp_path, cash={"kraken": "100"}, crossing_accounts=frozenset({"kraken"}))
    rig.first_cycle()
    rig.cycle(after_s=1200.0)
    (account,) = rig.engine.accounts.values()
    assert [o.state for o in rig.orders(Purpose.ENTRY)] == [S.CANCELED, S.FILLED]
    assert account.unbooked == {"USD": D(0)}
    free = rig.engine.decider.sizing._free_on(account, "USD")
    assert free == pytest.approx(100 - 18.0 * 1.004, abs=0.2)
