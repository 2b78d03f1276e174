"""The course of a run, day by day: equity, drawdown, exposure, fees, limits, and the same coins held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bot.backtest import layout as at
from bot.backtest.layout import Book, Market, Terms
from bot.backtest.result import coins_at_start, matched_hold_days
from bot.backtest.run import Fill, fills_of

GUARDS = {at.DAILY_LOSS_GUARD: "daily_loss", at.DRAWDOWN_GUARD: "drawdown", at.STREAK_GUARD: "loss_streak"}
FEE_MONEY = at.MONEY_UNITS // at.FEE_UNITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Numbers of the same length each: of the start, then of the last cycle of every UTC day; USD, fractions."""

    at_ms: list[int]
    equity: list[float]
    drawdown: list[float]
    """From the highest of the days before; within a day it may have been deeper."""
    exposure: list[float]
    fees_usd: list[float]
    """Paid until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Growth factors of the same length each: at the first bar, then after every 24 hours of it, and at the end."""

    at_ms: list[int]
    all_of_it: list[float]
    """Equal parts of all coins, bought as a taker, less what selling them would cost; 1 before the first price."""
    matched: list[float]
    """With the mean exposure of the run, set anew every day, without costs."""


def course_of(market: Market, terms: Terms, book: Book) -> Course:
    """Rebuild the days of a run from its fills and from the equity that it noted of each day."""
    fills = fills_of(book)
    moments, equities = [market.start_ms], [terms.equity_usd]
    exposures, fees = [0.0], [0.0]
    cash, paid, done = round(terms.equity_usd * 100) * (at.MONEY_UNITS // 100), 0, 0
    peak, drawdowns = terms.equity_usd, [0.0]
    for number in range(int(book.total[at.DAYS_SEEN])):
        equity, moment = float(book.day_equity[number]), last_cycle_ms(market, number)
        if math.isnan(equity):
            continue
        while done < len(fills) and fills[done].at_ms <= moment:
            cash += money_of(fills[done])
            paid += fills[done].fee
            done += 1
        peak = max(peak, equity)
        moments.append(moment)
        equities.append(equity)
        drawdowns.append(1.0 - equity / peak)
        exposures.append(max(0.0, 1.0 - cash / at.MONEY_UNITS / equity) if equity > 0.0 else 0.0)
        fees.append(paid / at.FEE_UNITS)
    assert done == len(fills), "every fill belongs to a day"
    assert cash == int(book.total[at.CASH]), "the fills tell where the cash has gone"
    return Course(at_ms=moments, equity=equities, drawdown=drawdowns, exposure=exposures, fees_usd=fees)


def last_cycle_ms(market: Market, number: int) -> int:
    """Time of the last cycle in a day of the run; a cycle at midnight belongs to the day before."""
    ends_ms = (market.start_ms // at.MS_PER_DAY + number + 1) * at.MS_PER_DAY
    if market.end_ms <= ends_ms:
        return market.end_ms
    step = (ends_ms - market.start_ms - market.offset_ms) // market.bar_ms
    return market.start_ms + step * market.bar_ms + market.offset_ms


def money_of(fill: Fill) -> int:
    """What a fill adds to the cash, in units of money."""
    money = fill.cents * fill.lots
    return (-money if fill.buys else money) - fill.fee * FEE_MONEY


def held_of(market: Market, terms: Terms, exposure: float) -> Held:
    """Say what holding the coins would have been worth day by day; it ends as ``hold_return`` and ``matched_hold``."""
    matched = [1.0, *matched_hold_days(market, exposure)]
    a_day = max(1, at.MS_PER_DAY // market.bar_ms)
    lasts = [min(first + a_day, market.steps) for first in range(0, market.steps, a_day)]
    coins = [_held_days(market, terms, c, lasts) for c in coins_at_start(market)]
    means = [sum(of_day) / len(of_day) for of_day in zip(*coins, strict=True)] if coins else [1.0] * len(lasts)
    return Held(
        at_ms=[market.start_ms, *(market.start_ms + last * market.bar_ms for last in lasts)],
        all_of_it=[1.0, *means],
        matched=matched,
    )


def _held_days(market: Market, terms: Terms, c: int, lasts: Sequence[int]) -> list[float]:
    """Growth factor of one coin at the end of each day."""
    base, half = c * (market.steps + 1), terms.half_spread / at.SPREAD_UNITS
    bought, price, found, step = 0.0, 0, [], 0
    for last in lasts:
        while step < last:
            opened = int(market.opens[base + step])
            if opened:
                bought = bought or opened * (1 + half) * (1 + terms.taker)
                price = int(market.closes[base + step])
            step += 1
        found.append(price * (1 - half) * (1 - terms.taker) / bought if bought else 1.0)
    return found


def guards_reached(book: Book) -> dict[str, list[int]]:
    """Say when each limit was reached, in ms: the first of them, for the book keeps a bounded number."""
    total = book.total
    count = int(total[at.LOSS_DAYS]) + int(total[at.DRAWDOWNS]) + int(total[at.STREAKS])
    found: dict[str, list[int]] = {}
    for row, _ in zip(book.guard, range(count), strict=False):
        found.setdefault(GUARDS[int(row[1])], []).append(int(row[0]))
    return found
