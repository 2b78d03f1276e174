"""What a backtest found, in numbers: growth, risk, luck, trades, and the same coins simply held."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bot.backtest import layout as at
from bot.backtest import metrics
from bot.backtest.bootstrap import Histories
from bot.backtest.layout import Book, Market, Terms
from bot.backtest.market import Kit
from bot.backtest.metrics import ENOUGH_TRADES, Estimate
from bot.backtest.words import refusal_names
from bot.domain.account import FeeSchedule

LOOKS = 170 + 245
"""Rules and settings that were looked at before this one was chosen (quant 4g and its correction 14)."""
LOOKS_DEVIATION = 0.39
"""Standard deviation of the yearly Sharpe ratios of those looks, over seven years (quant 4g)."""
HISTORIES = 400
BLOCK_DAYS = 20.0
ENOUGH_DAYS = 40
"""Two blocks; fewer days say nothing."""
BELOW_MINIMUM = ("below_min_trade", "below_venue_minimum", "unsellable")

Resample = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run in numbers; fractions, USD."""

    start_equity: float
    end_equity: float
    days: int
    drawdown: float
    """Over all cycles, not only at the ends of days."""
    exposure: float
    orders: int
    fees_usd: float
    trades: int
    wins: int
    decisions: int
    refusals: dict[str, int]
    guards: dict[str, int]
    tier_changes: list[tuple[int, int, int, float]]
    """ms, rung before (-1: none), rung after, equity."""
    longest_idle_days: float
    equities: list[float]
    """At the end of each UTC day, the start before them."""
    hold: float
    """Return of holding all of it in equal parts of the coins, fees of both ends included."""
    matched_hold: float
    """The same with the bot's mean exposure, set anew every day, without costs."""
    statistics: dict[str, Estimate]
    """By name; NaN for what cannot be said."""

    @property
    def skipped_below_minimum(self) -> int:
        """Refusals of orders that would have been too small."""
        return sum(self.refusals.get(name, 0) for name in BELOW_MINIMUM)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRun:
    """A backtest, and what it took."""

    result: Result
    source: str
    timeframe: str
    coins: tuple[str, ...]
    account: str
    fees: FeeSchedule
    start_ms: int
    end_ms: int
    candles: int
    seconds: float
    kernel_seconds: float
    compiled: bool
    market: Market
    terms: Terms
    book: Book
    """What the account noted while it ran."""


def result_of(market: Market, terms: Terms, book: Book, *, kit: Kit, resample: Resample, looks: int = LOOKS) -> Result:
    """Sum up a run."""
    total, rate = book.total, book.rate
    equities = daily_equities(terms, book)
    nets = [int(money) / at.MONEY_UNITS for money in book.net[: int(total[at.CLOSED])]]
    results = [float(value) for value in book.result[: int(total[at.RESULTS])]]
    counted = {
        "daily_loss": int(total[at.LOSS_DAYS]),
        "drawdown": int(total[at.DRAWDOWNS]),
        "loss_streak": int(total[at.STREAKS]),
    }
    statistics = statistics_of(equities, nets, results, kit=kit, resample=resample, looks=looks)
    worst = float(rate[at.WORST_DRAWDOWN])
    statistics["drawdown"] = statistics["drawdown"]._replace(value=worst)  # within the days too
    changes = [book.tier_change[i] for i in range(min(int(total[at.TIER_CHANGES]), len(book.tier_change)))]
    return Result(
        start_equity=terms.equity_usd,
        end_equity=float(rate[at.EQUITY]),
        days=len(equities) - 1,
        drawdown=worst,
        exposure=float(rate[at.EXPOSURE_SUM] / rate[at.CYCLES]),
        orders=int(total[at.ORDERS]),
        fees_usd=int(total[at.FEES_PAID]) / at.FEE_UNITS,
        trades=int(total[at.CLOSED]),
        wins=int(total[at.WINS]),
        decisions=int(total[at.DECISIONS]),
        refusals=refusals_of(book),
        guards={name: count for name, count in counted.items() if count},
        tier_changes=[(int(r[0]), int(r[1]), int(r[2]), int(r[3]) / at.MONEY_UNITS) for r in changes],
        longest_idle_days=_longest_idle_days(market, book),
        equities=equities,
        hold=hold_return(market, terms),
        matched_hold=matched_hold(market, float(rate[at.EXPOSURE_SUM] / rate[at.CYCLES])),
        statistics=statistics,
    )


def refusals_of(book: Book) -> dict[str, int]:
    """Name what was refused, and how often."""
    names = refusal_names()
    return {names[code]: int(count) for code, count in enumerate(book.refused) if count}


def daily_equities(terms: Terms, book: Book) -> list[float]:
    """Equity at the end of each UTC day that had a cycle, the start before them."""
    days = book.day_equity[: int(book.total[at.DAYS_SEEN])]
    return [terms.equity_usd, *(float(value) for value in days if not math.isnan(value))]


def statistics_of(
    equities: Sequence[float],
    nets: Sequence[float],
    results: Sequence[float],
    *,
    kit: Kit,
    resample: Resample,
    looks: int,
) -> dict[str, Estimate]:
    """Estimate everything that daily equities (USD), net results (USD) and results in R say, with intervals."""
    returns = metrics.daily_returns(equities)
    days = len(returns)
    of = metrics.moments(returns if days >= ENOUGH_DAYS else [])._replace(n=days)
    growth = equities[-1] / equities[0]
    yearly = metrics.cagr(growth, days) if days >= ENOUGH_DAYS else math.nan
    drawdown = metrics.max_drawdown(equities)
    spread = _histories(returns, kit=kit, resample=resample) if of.deviation > 0.0 else {}
    by_chance = math.sqrt(metrics.DAYS_PER_YEAR / max(1, days - 1))  # how far worthless rules spread in so many days
    luck = max(LOOKS_DEVIATION, by_chance)

    def with_interval(name: str, value: float) -> Estimate:
        ordered = sorted(v for v in spread.get(name, []) if not math.isnan(v))
        if math.isnan(value) or not ordered:
            return Estimate(value, days, math.nan, math.nan)
        return Estimate(value, days, metrics.quantile(ordered, 0.05), metrics.quantile(ordered, 0.95))

    low, high = metrics.sharpe_interval(of)
    return {
        "cagr": with_interval("cagr", yearly),
        "sharpe": Estimate(metrics.sharpe(of), days, low, high),
        "sortino": with_interval("sortino", metrics.sortino(returns) if days >= ENOUGH_DAYS else math.nan),
        "calmar": with_interval("calmar", metrics.calmar(yearly, drawdown)),
        "cvar95": with_interval("cvar95", metrics.cvar(returns) if days >= ENOUGH_DAYS else math.nan),
        "psr": Estimate(metrics.probabilistic_sharpe(of, 0.0), days, math.nan, math.nan),
        "dsr": Estimate(metrics.deflated_sharpe(of, looks, luck), days, math.nan, math.nan),
        "drawdown": with_interval("drawdown", drawdown),
        "time_under_water_days": with_interval("time_under_water_days", float(metrics.days_under_water(equities))),
        "profit_factor": _if_enough(_factor(nets)),
        "expectancy_r": _if_enough(metrics.mean_estimate(results)),
    }


def hold_return(market: Market, terms: Terms) -> float:
    """Return of equal parts of the coins there are, bought at the first ask and sold at the last bid as a taker."""
    width = market.steps + 1
    returns = []
    for c, first in coins_at_start(market).items():
        at_first = c * width + first
        last = next(i for i in range(market.steps - 1, first - 1, -1) if market.opens[c * width + i])
        half = terms.half_spread / at.SPREAD_UNITS
        bought = int(market.opens[at_first]) * (1 + half) * (1 + terms.taker)
        returns.append(int(market.closes[c * width + last]) * (1 - half) * (1 - terms.taker) / bought - 1)
    return sum(returns) / len(returns) if returns else math.nan


def coins_at_start(market: Market) -> dict[int, int]:
    """Coins with a price within a day of the first of any, and its step: who buys and holds buys what there is."""
    width, a_day = market.steps + 1, max(1, at.MS_PER_DAY // market.bar_ms)
    found: dict[int, int] = {}
    for c in range(market.coins):
        first = next((i for i in range(market.steps) if market.opens[c * width + i]), None)
        if first is not None:
            found[c] = first
    return {c: first for c, first in found.items() if first < min(found.values()) + a_day}


def matched_hold(market: Market, exposure: float) -> float:
    """Return of a share of equity in equal parts of the coins that have a price, set anew each day, without costs."""
    return matched_hold_days(market, exposure)[-1] - 1.0


def matched_hold_days(market: Market, exposure: float) -> list[float]:
    """Growth factor of the same after each day, counted from the first bar; the last may be a part of one."""
    width, a_day = market.steps + 1, max(1, at.MS_PER_DAY // market.bar_ms)
    growth, found = 1.0, []
    before = [int(market.opens[c * width]) for c in range(market.coins)]
    for first in range(0, market.steps, a_day):
        last = min(first + a_day, market.steps) - 1
        changes = []
        for c in range(market.coins):
            price = int(market.closes[c * width + last])
            if price and before[c]:
                changes.append(price / before[c] - 1.0)
            before[c] = price or before[c]
        if changes:
            growth *= 1.0 + exposure * sum(changes) / len(changes)
        found.append(growth)
    return found


def _histories(returns: Sequence[float], *, kit: Kit, resample: Resample) -> dict[str, list[float]]:
    """Make other histories of the same days, and what each would have shown."""
    days = len(returns)
    found = Histories(*(kit.floats(HISTORIES) for _ in Histories._fields))
    resample(kit.float_row(returns), days, days, BLOCK_DAYS, 1, found, kit.floats(days))
    yearly = [metrics.cagr(float(value), days) for value in found.growth]
    root = math.sqrt(metrics.DAYS_PER_YEAR)
    return {
        "cagr": yearly,
        "sortino": [float(m / s) * root if s > 0.0 else math.nan for m, s in zip(found.mean, found.loss, strict=True)],
        "calmar": [metrics.calmar(y, float(d)) for y, d in zip(yearly, found.drawdown, strict=True)],
        "cvar95": [float(value) for value in found.tail],
        "drawdown": [float(value) for value in found.drawdown],
        "time_under_water_days": [float(value) for value in found.under_water],
    }


def _factor(nets: Sequence[float]) -> Estimate:
    """Profit factor, with an interval from wins and losses as they vary."""
    value = metrics.profit_factor(nets)
    wins, losses = [net for net in nets if net > 0.0], [-net for net in nets if net < 0.0]
    if len(wins) < 2 or len(losses) < 2:
        return Estimate(value, len(nets), math.nan, math.nan)
    # Of a ratio of sums the logarithm is nearly normal (delta method), with the counts as they are.
    spread = math.sqrt(
        sum((metrics.moments(side).deviation / metrics.moments(side).mean) ** 2 / len(side) for side in (wins, losses))
        + 1.0 / len(wins)
        + 1.0 / len(losses)
    )
    width = math.exp(metrics.Z_90 * spread)
    return Estimate(value, len(nets), value / width, value * width)


def _if_enough(estimate: Estimate) -> Estimate:
    """Say nothing about fewer than 30 trades but their number."""
    if estimate.n >= ENOUGH_TRADES:
        return estimate
    return Estimate(math.nan, estimate.n, math.nan, math.nan)


def _longest_idle_days(market: Market, book: Book) -> float:
    moments = [int(book.fill[i][1]) for i in range(min(int(book.total[at.FILLS]), len(book.fill)))]
    edges = [market.start_ms + market.offset_ms, *sorted(moments), market.end_ms]
    return max(later - earlier for earlier, later in pairwise(edges)) / at.MS_PER_DAY


def rounded(value: float, digits: int = 4) -> Any:
    """A number for JSON, rounded; None where there is none."""
    return None if not math.isfinite(value) else round(value, digits)
