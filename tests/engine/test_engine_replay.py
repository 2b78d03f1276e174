"""A season of random prices through the whole engine, with checkers beside it after every cycle."""

from __future__ import annotations

import json
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import FEES, HYBRID, START, TODAY_MS, Rig, make_rig

from bot.books import performance
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle
from bot.domain.modes import ExitRule, Strategy
from bot.domain.orders import Order, Purpose
from bot.venues.paper import PaperVenue

D = Decimal
BAR_MS = TIMEFRAME_MS["4h"]
DAYS = 120
WARM_UP = 130
COINS = ("BTC", "ETH", "SOL")
GAPS = {"BTC/USD": 0.02, "ETH/USD": 0.02, "SOL/USD": 0.04}
"""Loss beyond the stop to reckon with (quant, correction 6)."""


class WalkFeed:
    """Four-hour bars of three correlated random walks with changing drifts, and their daily bars."""

    bar_ms = BAR_MS

    def __init__(self, seed: int, wild: float) -> None:
        chance = random.Random(seed)
        self.hours: dict[str, list[Candle]] = {f"{coin}/USD": [] for coin in COINS}
        self.days: dict[str, list[Candle]] = {symbol: [] for symbol in self.hours}
        prices = dict(zip(self.hours, (60_000.0, 3_000.0, 150.0), strict=True))
        drift = 0.0
        for i in range((WARM_UP + DAYS + 1) * 6):
            if i % 90 == 0:
                drift = chance.choice((0.004, 0.002, -0.003))
            common = chance.gauss(0.0, 0.010)
            crash = -0.1 * wild if chance.random() < 0.002 * wild else 0.0
            for symbol, price in prices.items():
                own = chance.gauss(0.0, 0.006)
                prices[symbol] = self._add(chance, symbol, price, drift + (common + own) * wild + crash, i)

    def _add(self, chance: random.Random, symbol: str, price: float, move: float, i: int) -> float:
        open_ms = TODAY_MS - WARM_UP * MS_PER_DAY + i * BAR_MS
        opening = round(price * math.exp(chance.gauss(0.0, 0.001)), 2)  # a small gap between two bars
        close = round(price * math.exp(move), 2)
        high = round(max(opening, close) * (1 + abs(chance.gauss(0.0, 0.004))), 2)
        low = round(min(opening, close) * (1 - abs(chance.gauss(0.0, 0.004))), 2)
        self.hours[symbol].append(Candle(open_ms, opening, high, low, close, 1.0))
        if i % 6 == 5:
            day = self.hours[symbol][-6:]
            highs, lows = [bar.high for bar in day], [bar.low for bar in day]
            self.days[symbol].append(Candle(day[0].open_ms, day[0].open, max(highs), min(lows), close, 6.0))
        return close

    def bars(self, symbol: str, after_ms: int, now_ms: int) -> list[Candle]:
        bars = self.hours[symbol]
        first = bisect_right(bars, after_ms - BAR_MS, key=lambda bar: bar.open_ms)
        return bars[first : bisect_right(bars, now_ms - BAR_MS, key=lambda bar: bar.open_ms)]

    def opening(self, symbol: str, now_ms: int) -> tuple[float, int] | None:
        bars = self.hours[symbol]
        bar = bars[bisect_right(bars, now_ms, key=lambda bar: bar.open_ms) - 1]
        return bar.open, bar.open_ms

    def closed_candles(self, symbol: str, timeframe: str, since_ms: int, now_ms: int) -> Sequence[Candle]:
        assert timeframe == "1d"
        days = self.days[symbol]
        first = bisect_left(days, since_ms, key=lambda day: day.open_ms)
        return days[first : bisect_right(days, now_ms - MS_PER_DAY, key=lambda day: day.open_ms)]


def walking_rig(folder: Path, seed: int, cash: dict[str, str], *, wild: float = 1.0, **changes: Any) -> Rig:
    habits = {"poll_s": BAR_MS / 1000, "snapshot_every_cycles": 25, "stale_after_s": 7200.0}
    rig = make_rig(folder, cash=cash, coins=COINS, **(habits | changes))
    feed = WalkFeed(seed, wild)
    for venue in rig.venues.values():
        venue.inner = PaperVenue(core=venue.core, feed=feed, clock=rig.clock)  # type: ignore[arg-type]
        venue.before["submit"] = lambda order, rig=rig: check_entry(rig, order)  # type: ignore[misc]
    return rig


def check_entry(rig: Rig, order: Order) -> None:
    """No limit is broken BY an entry: looked at from the venues' side when it is about to be sent."""
    if order.purpose is not Purpose.ENTRY:
        return
    engine, config = rig.engine, rig.config
    equity = venues_equity(rig)
    pending = [o for o in engine.desk.live(purpose=Purpose.ENTRY) if o.client_order_id != order.client_order_id]
    pending.append(order)
    assert order.price is not None
    assert order.quantity * order.price >= D("4.99")  # the minimum trade, less the way from last price to bid

    cash = sum((b["USD"].total for v in rig.venues.values() if "USD" in (b := v.core.balances())), D(0))
    cost = sum(o.remaining * (o.price or D(0)) * (1 + FEES[o.account].maker_frac) for o in pending)
    assert cash - cost >= D(repr(config.cash_buffer_frac)) * equity, f"cash {cash} less {cost} of {equity}"

    held = sum(p.quantity * price(rig, k) for k, p in engine.book.positions.items() if k[1] == order.symbol)
    wanted = sum(o.remaining * (o.price or D(0)) for o in pending if o.symbol == order.symbol)
    assert held + wanted <= D(repr(config.position_cap_frac)) * equity * D("1.0001")
    check_stakes(rig, pending, float(equity))

    places = {k for k, p in engine.book.positions.items() if not engine.accounts[k[0]].is_dust(k[1], p.quantity)}
    places |= {(o.account, o.symbol) for o in pending}
    tier = engine._tiers.current
    assert tier is not None
    assert len(places) <= tier.max_positions
    assert engine.guards.mode in ("ACTIVE", "STALLED")
    assert rig.now.hour == 0  # decisions are made once a day


def check_stakes(rig: Rig, pending: list[Order], equity: float) -> None:
    """All stops together, the fees of 30 days and the risk of one trade, computed afresh from their definitions."""
    engine, config = rig.engine, rig.config
    heat = fees = 0.0
    for key, position in engine.book.positions.items():
        bid, taker = float(price(rig, key)), float(FEES[key[0]].taker_frac)
        plan = engine.state.stops.get(f"{key[0]}|{key[1]}")
        distance = max(0.0, 1.0 - float(plan.stop_price) / bid) if plan else 1.0
        worth = float(position.quantity) * bid
        heat += worth * (distance + taker * (1.0 - distance) + GAPS[key[1]])
        fees += worth * taker
    for order in pending:
        assert order.price is not None
        worth, schedule = float(order.remaining * order.price), FEES[order.account]
        maker, taker = float(schedule.maker_frac), float(schedule.taker_frac)
        distance = engine.state.entry_stop_frac[f"{order.account}|{order.symbol}"]
        loss = distance + maker + taker * (1.0 - distance) + 0.001
        heat += worth * (loss + GAPS[order.symbol])
        fees += worth * (maker + taker)
        tier = engine._tiers.current
        assert tier is not None
        assert worth * loss <= tier.risk_per_trade / 100 * equity * 1.0001
    day_loss = performance.daily_loss_pct(engine._measured) / 100
    drawdown = performance.drawdown_pct(engine._measured) / 100
    allowed = min(config.daily_loss_frac - max(0.0, day_loss), config.drawdown_frac - max(0.0, drawdown))
    assert heat <= allowed * equity * 1.0001, f"{rig.now}: ${heat} at stake of ${allowed * equity}"
    first = rig.now.date() - timedelta(days=29)
    fees += sum(float(fill.fee) for fill in rig.ledger.fills() if fill.at.date() >= first)
    assert fees <= config.fee_budget_frac * equity * 1.0001, f"{rig.now}: fees of ${fees}"


def price(rig: Rig, key: tuple[str, str]) -> Decimal:
    ticker = rig.venues[key[0]].core.ticker(key[1])
    assert ticker is not None
    return ticker.bid


def venues_equity(rig: Rig) -> Decimal:
    """What the venues say that they hold, at their bids."""
    total = D(0)
    for name, venue in rig.venues.items():
        for asset, balance in venue.core.balances().items():
            total += balance.total * (D(1) if asset == "USD" else price(rig, (name, f"{asset}/USD")))
    return total


def check_cycle(rig: Rig) -> None:
    engine = rig.engine
    assert engine.wealth.equity() == venues_equity(rig)
    for name, venue in rig.venues.items():
        balances = venue.core.balances()
        assert engine.book.cash.get((name, "USD"), D(0)) == (balances["USD"].total if "USD" in balances else D(0))
        resting = {report.client_order_id: report for report in venue.core.open_orders()}
        assert set(resting) == {order.client_order_id for order in engine.desk.live(name)}
    for (name, symbol), position in engine.book.positions.items():
        if engine.accounts[name].is_dust(symbol, position.quantity):
            continue
        stops = [o.remaining for o in engine.desk.live(name, symbol) if o.purpose is Purpose.STOP]
        entering = engine.desk.live(name, symbol, Purpose.ENTRY)
        leaving = engine.state.exits.get(f"{name}|{symbol}")
        assert stops == [position.quantity] or entering or leaving, f"{rig.now}: {name} {symbol} {stops}"
    assert engine.performance.high_water_mark >= engine.performance.index


HUNDRED, SMALL_BOTH, LARGE_BOTH = (
    {"coinbase": "100"},
    {"coinbase": "90", "kraken": "60"},
    {"coinbase": "300", "kraken": "300"},
)
ONE_RICH, ONE_POOR = {"coinbase": "200", "kraken": "2000"}, {"coinbase": "60", "kraken": "200"}
ONE_LEG: dict[str, Any] = {}
ALL_LEGS: dict[str, Any] = {"leg_weights": HYBRID}
BREAKOUT: dict[str, Any] = {"leg_weights": HYBRID, "strategy": Strategy.BREAKOUT}


@pytest.mark.parametrize(
    ("seed", "cash", "wild", "changes"),
    [
        (2, HUNDRED, 1.0, ONE_LEG),
        (1, SMALL_BOTH, 1.5, ONE_LEG),
        (3, LARGE_BOTH, 1.0, ONE_LEG),
        (2, LARGE_BOTH, 2.5, ONE_LEG),
        (7, ONE_RICH, 1.0, ONE_LEG),
        (1, ONE_POOR, 1.0, ONE_LEG),
        (2, LARGE_BOTH, 2.5, ALL_LEGS),
        (5, ONE_POOR, 1.0, ALL_LEGS),
        (2, HUNDRED, 1.0, BREAKOUT),
        (1, SMALL_BOTH, 1.5, BREAKOUT),
        (2, LARGE_BOTH, 2.5, BREAKOUT),
        (7, ONE_RICH, 1.0, BREAKOUT),
        (3, LARGE_BOTH, 1.0, BREAKOUT | {"exit_rule": ExitRule.RUNNER}),
        (7, ONE_RICH, 1.0, BREAKOUT | {"exit_rule": ExitRule.TRAIL}),
        (2, LARGE_BOTH, 2.5, BREAKOUT | {"exit_rule": ExitRule.TRAIL_TIGHT, "size_on_equity": False}),
        (2, HUNDRED, 1.0, BREAKOUT | {"leg_weights": (0.0, 1.0, 0.0), "floor_allowed": False}),
    ],
)
def test_season_of_random_prices_breaks_no_limit_and_loses_no_cent(
    tmp_path: Path, seed: int, cash: dict[str, str], wild: float, changes: dict[str, Any]
) -> None:
    rig = walking_rig(tmp_path, seed, cash, wild=wild, **changes)
    for _ in range(DAYS * 6):
        result = rig.engine.cycle(rig.clock.now())
        check_cycle(rig)
        if result.snapshot is not None:
            json.dumps(result.snapshot, allow_nan=False)
        rig.clock.moment += timedelta(milliseconds=BAR_MS)
    orders = rig.orders()
    assert len({order.created_at.date() for order in orders}) > 5
    assert rig.engine.book.trades
    per_day = {(o.symbol, o.account, o.created_at.date()) for o in orders if o.purpose is Purpose.ENTRY}
    assert len(per_day) == sum(o.purpose is Purpose.ENTRY for o in orders)
    assert [o for o in orders if o.state == "rejected"] == []
    assert rig.now > START + timedelta(days=DAYS - 1)
    book = rig.engine.book
    rig.restart()
    assert rig.engine.book == book


@pytest.mark.parametrize("changes", [ONE_LEG, ALL_LEGS, BREAKOUT])
def test_season_with_restarts_trades_the_same_as_one_without(tmp_path: Path, changes: dict[str, Any]) -> None:
    runs = []
    for every in (0, 7):
        rig = walking_rig(tmp_path / f"{every}", 2, LARGE_BOTH, **changes)
        for i in range(60 * 6):
            rig.engine.cycle(rig.clock.now())
            if every and i % every == 0:
                rig.restart()
            rig.clock.moment += timedelta(milliseconds=BAR_MS)
        runs.append([(f.account, f.symbol, f.side, f.quantity, f.price, f.fee, f.at) for f in rig.ledger.fills()])
    assert len(runs[0]) > 10
    assert runs[0] == runs[1]
