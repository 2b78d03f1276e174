from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from book_events import T0, D, fill

from bot.books.holding import YEAR
from bot.books.receipt import (
    Decided,
    Luck,
    Slipped,
    Stopping,
    luck_of,
    server_usd,
    slippage_of,
    stopping_of,
    together,
)
from bot.domain.orders import Order, OrderType, Purpose, Side

HOUR = timedelta(hours=1)


def an_order(
    name: str, purpose: Purpose, *, hours: float = 0, stop: str | None = None, symbol: str = "BTC/USD"
) -> Order:
    return Order(
        client_order_id=name,
        account="coinbase",
        symbol=symbol,
        intent_number=1,
        purpose=purpose,
        side=Side.BUY if purpose is Purpose.ENTRY else Side.SELL,
        type=OrderType.STOP if stop is not None else OrderType.MARKET,
        quantity=D(1),
        stop_price=None if stop is None else D(stop),
        reason="a test",
        created_at=T0 + hours * HOUR,
        updated_at=T0 + hours * HOUR,
    )


def filled(name: str, side: Side, quantity: str, price: str, *, symbol: str = "BTC/USD") -> Any:
    from dataclasses import replace

    return replace(fill(side, quantity, price, symbol=symbol), client_order_id=name, fill_id=name)


def decided(side: Side, price: str, *, hours: float = 0, symbol: str = "BTC/USD") -> Decided:
    return Decided(symbol, T0 + hours * HOUR, side, D(price))


def test_slippage_by_purpose_is_a_cost_above_zero() -> None:
    orders = [
        an_order("in", Purpose.ENTRY, hours=0.3, symbol="BTC/USDC"),
        an_order("out", Purpose.EXIT, hours=30),
        an_order("stop", Purpose.STOP, hours=1, stop="90"),
    ]
    fills = [
        filled("in", Side.BUY, "2", "100.5", symbol="BTC/USDC"),
        filled("in", Side.BUY, "1", "99", symbol="BTC/USDC"),
        filled("out", Side.SELL, "1", "119.25"),
        filled("stop", Side.SELL, "2", "89.9"),
        filled("lost", Side.SELL, "2", "89.9"),
    ]
    decisions = [decided(Side.BUY, "100"), decided(Side.SELL, "120", hours=29), decided(Side.BUY, "77", hours=29.5)]
    found = slippage_of(fills, orders, decisions)
    assert found == {
        Purpose.ENTRY: Slipped(D("0.0"), D("300"), 2, 2),  # 2 x 0.50 - 1 x 1
        Purpose.EXIT: Slipped(D("0.75"), D("120"), 1, 1),
        Purpose.STOP: Slipped(D("0.2"), D("180"), 1, 1),
        None: Slipped(D(0), D(0), 0, 1),
    }
    assert together(found.values()) == Slipped(D("0.95"), D("600"), 4, 5)


@pytest.mark.parametrize(
    ("decision", "fills"),
    [
        (decided(Side.BUY, "100", hours=-24), 1),
        (decided(Side.BUY, "100", hours=-24.1), 0),  # of another day
        (decided(Side.BUY, "100", hours=0.1), 0),  # later than the order
        (decided(Side.SELL, "100"), 0),
        (decided(Side.BUY, "100", symbol="ETH/USD"), 0),
    ],
)
def test_slippage_takes_the_decision_of_the_same_coin_side_and_day(decision: Decided, fills: int) -> None:
    found = slippage_of([filled("in", Side.BUY, "1", "101")], [an_order("in", Purpose.ENTRY)], [decision])
    assert found[Purpose.ENTRY].fills == fills
    assert found[Purpose.ENTRY].of == 1


def test_slippage_takes_the_last_decision_before_the_order() -> None:
    decisions = [decided(Side.BUY, "90", hours=-20), decided(Side.BUY, "100", hours=-1)]
    found = slippage_of([filled("in", Side.BUY, "1", "101")], [an_order("in", Purpose.ENTRY)], decisions)
    assert found[Purpose.ENTRY].usd == D(1)


def test_luck_needs_trades_by_mean_and_spread() -> None:
    # mean 0.05, deviation sqrt(4 x 0.15^2 / 3) = 0.173205
    found = luck_of([0.2, 0.2, -0.1, -0.1])
    assert found.trades == 4
    assert found.mean_pct == pytest.approx(5.0, abs=1e-12)
    # (1.959964 x 0.173205 / 0.05)^2 = 46.098
    assert found.needed == 47
    assert math.isnan(found.low_pct)
    assert not found.is_told


def test_luck_of_forty_trades_has_an_interval() -> None:
    found = luck_of([0.2, -0.1] * 20)
    # mean 0.05, deviation 0.15 sqrt(40 / 39) = 0.151911; (1.959964 x 0.151911 / 0.05)^2 = 35.46
    assert found.needed == 36
    assert found.is_told
    # 1.959964 x 0.151911 / sqrt(40) = 0.047077
    assert found.low_pct == pytest.approx(0.2923, abs=1e-4)
    assert found.high_pct == pytest.approx(9.7077, abs=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_luck_is_told_exactly_where_the_interval_leaves_out_zero(sign: int) -> None:
    for n in range(30, 60):
        found = luck_of([sign * result for result in ([0.25, -0.1] * n)[:n]])
        assert found.is_told == (found.low_pct > 0 or found.high_pct < 0)


@pytest.mark.parametrize(("results", "needed"), [([], 30), ([0.5], 30), ([0.1, 0.1], 30), ([0.1, -0.1], math.inf)])
def test_luck_of_few_trades_needs_thirty_at_least(results: list[float], needed: float) -> None:
    found = luck_of(results)
    assert found.needed == needed
    assert not found.is_told


def luck(trades: int = 4, low: float = math.nan, high: float = math.nan, needed: float = 50) -> Luck:
    return Luck(trades=trades, mean_pct=1.0, low_pct=low, high_pct=high, needed=needed)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Stopping.TOO_EARLY),
        ({"days": 365}, Stopping.NO_REASON),  # it is ahead of cash
        ({"days": 365, "after_costs": -1.0, "holding": 0.0}, Stopping.BEHIND),
        ({"days": 364, "after_costs": -1.0, "holding": 0.0}, Stopping.TOO_EARLY),
        ({"days": 365, "after_costs": -1.0, "holding": -2.0}, Stopping.NO_REASON),  # the coins fell further
        ({"days": 365, "after_costs": -1.0, "holding": math.nan}, Stopping.BEHIND),
        ({"server_usd_year": 9.01, "after_costs": -0.01}, Stopping.SERVER),  # 9 % of 100
        ({"server_usd_year": 60.0, "after_costs": -0.01, "days": 30}, Stopping.SERVER),
        ({"server_usd_year": 60.0, "after_costs": -0.01, "days": 29.9}, Stopping.TOO_EARLY),
        ({"server_usd_year": 9.0, "after_costs": -0.01}, Stopping.TOO_EARLY),
        ({"server_usd_year": 60.0, "after_costs": 0.01}, Stopping.TOO_EARLY),
        ({"luck": luck(60, -2.0, -0.1)}, Stopping.LOSING),
        ({"luck": luck(60, 0.1, 2.0)}, Stopping.NO_REASON),
        ({"worth": 0.009}, Stopping.EMPTY),
    ],
)
def test_stopping_follows_the_rule(changes: dict[str, Any], verdict: Stopping) -> None:
    case: dict[str, Any] = {
        "worth": 100.0,
        "after_costs": 1.0,
        "cash": 0.0,
        "holding": 3.0,
        "server_usd_year": 0.0,
        "days": 100.0,
        "luck": luck(),
    }
    assert stopping_of(**(case | changes)) is verdict


def test_server_costs_twelve_months_a_year() -> None:
    assert server_usd(5.0, YEAR) == pytest.approx(60.0, abs=1e-12)
    assert server_usd(5.0, YEAR / 12) == pytest.approx(5.0, abs=1e-12)
