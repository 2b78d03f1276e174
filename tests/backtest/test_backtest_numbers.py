"""Whole numbers of the backtest against the exact ones: prices on ticks, fees, tiers, the performance index."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.backtest import layout as at
from bot.backtest.guard import measure, tier_after
from bot.backtest.orders import cents_down, cents_up, fee_of, price_above, price_below
from bot.books import performance
from bot.domain.instrument import Instrument
from bot.scaling.ladder import SCALING_TIERS, activation_equity, tier_named
from bot.scaling.transitions import check

D = Decimal
PRICES = st.integers(1, 10**15)
TICKS = st.sampled_from([1, 10, 100])


def market(tick_cents: int) -> Instrument:
    return Instrument(
        symbol="BTC/USD",
        base="BTC",
        quote="USD",
        lot_step=D("0.00000001"),
        tick_size=D(tick_cents) / 100,
        min_amount=D(0),
        min_cost=D(0),
    )


def test_bid_and_ask_by_hand() -> None:
    price = 2_000_000_000_000  # $20,000.00; half a spread of 5 bp is $10.00
    assert price_below(price, 50, 1) == 1_999_000
    assert price_above(price, 50, 1) == 2_001_000
    assert price_below(price - 1, 50, 1) == 1_998_999
    assert price_above(price + 1, 50, 1) == 2_001_001
    assert price_below(price - 1, 50, 10) == 1_998_990
    assert price_below(1, 50, 10) == 10  # never nothing


@given(price=PRICES, half_spread=st.integers(0, 5_000), tick=TICKS)
def test_bid_and_ask_are_the_exact_ones(price: int, half_spread: int, tick: int) -> None:
    exact, frac, of = D(price) / at.PRICE_UNITS, D(half_spread) / at.SPREAD_UNITS, market(tick)
    bid = max(of.price_down(exact * (1 - frac)), of.tick_size)
    assert (price_below(price, half_spread, tick), price_above(price, half_spread, tick)) == (
        bid * 100,
        of.price_up(exact * (1 + frac)) * 100,
    )


@given(price=st.floats(0.01, 1e6), tick=TICKS)
def test_prices_on_ticks_are_the_exact_ones(price: float, tick: int) -> None:
    exact, of = D(repr(price)), market(tick)
    assert cents_down(price, tick) == of.price_down(exact) * 100
    assert cents_up(price, tick) == of.price_up(exact) * 100


def test_fee_by_hand() -> None:
    assert fee_of(100 * at.MONEY_UNITS, 250_000) == 25_000_000  # 0.25 % of $100
    assert fee_of(1, 250_000) == 1  # rounded up


@given(money=st.integers(0, 10**17), rate=st.integers(0, 5_000_000))
def test_fee_is_the_exact_one_rounded_up(money: int, rate: int) -> None:
    exact = D(money) / at.MONEY_UNITS * D(rate) / 100_000_000
    assert D(fee_of(money, rate)) / at.FEE_UNITS == exact.quantize(D("0.00000001"), rounding=ROUND_CEILING)
    assert (money // at.MONEY_UNITS) * rate < 2**63
    assert (at.MONEY_UNITS - 1) * rate < 2**63


@given(current=st.integers(-1, 3), equity=st.floats(0, 2_000))
def test_tier_follows_the_ladder(current: int, equity: float) -> None:
    starts = [tier.min_equity for tier in SCALING_TIERS]
    after = tier_after(starts, activation_equity(SCALING_TIERS), current, equity)
    wanted = check(SCALING_TIERS[current].name if current >= 0 else None, equity, SCALING_TIERS).new
    assert (None if after < 0 else SCALING_TIERS[after]) == (wanted and tier_named(wanted.name, SCALING_TIERS))


@pytest.mark.parametrize("minutes", [5, 60, 240, 1440])
@given(moves=st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=120))
def test_index_drawdown_and_day_loss_are_those_of_the_books(minutes: int, moves: list[float]) -> None:
    now = datetime(2024, 6, 1, 22, 1, tzinfo=UTC)
    book = performance.with_flow(performance.Performance(), D(100), D(0))
    total, rate = [0] * at.TOTAL_PLACES, [0.0] * at.RATE_PLACES
    total[at.DAY] = -1
    rate[at.INDEX] = rate[at.PEAK] = rate[at.DAY_START] = 1.0
    mark_ms, mark = [0] * at.MARKS_KEPT, [0.0] * at.MARKS_KEPT
    for money in accumulate(moves, lambda money, move: money * (1 + move), initial=100.0):
        equity = D(repr(round(money, 8)))
        book = performance.marked(book, equity, now)
        measure(total, rate, mark_ms, mark, float(equity) / 100.0, round(now.timestamp() * 1000))
        assert rate[at.INDEX] == pytest.approx(float(book.index), rel=1e-15)
        assert rate[at.DRAWDOWN] == pytest.approx(performance.drawdown_pct(book) / 100, abs=1e-15)
        assert rate[at.DAY_LOSS] == pytest.approx(performance.daily_loss_pct(book) / 100, abs=1e-15)
        now += timedelta(minutes=minutes)
    assert not math.isnan(rate[at.WORST_DRAWDOWN])
