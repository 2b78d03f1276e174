"""The same money in other hands: in the coins, as much of it as the bot's or all, or in cash. USD as floats, no costs.

Money that came or went counts in each of them from the nearest quote on, so that a deposit helps none of
them. Who takes out more than there is owes the rest: a worth below zero, on which nothing is earned.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

YEAR = timedelta(days=365.25)


class Moved(NamedTuple):
    """Money that came (above 0) or went; USD."""

    at: datetime
    usd: float


class Quote(NamedTuple):
    """What the coins cost at one moment; a coin without a price is left out."""

    at: datetime
    prices: Mapping[str, float]


class Day(NamedTuple):
    """The bot at the end of a UTC day."""

    day: date
    equity: float
    exposure_frac: float
    performance: float
    """As an index: what came or went does not move it."""


class Held(NamedTuple):
    """What became of the money; USD."""

    worth: float
    worst_fall: float
    """Deepest fall of the performance from an earlier peak, at the quotes, a fraction."""


def mean_exposure(days: Sequence[Day]) -> float:
    """Share of all money-days that was in coins, a fraction; a day without a record is like the one before.

    Weighted by equity, so that the days after everything was taken out do not count. NaN without any equity.
    """
    invested = total = 0.0
    for i, day in enumerate(days):
        length = (days[i + 1].day - day.day).days if i + 1 < len(days) else 1
        money = max(0.0, day.equity) * length
        total += money
        invested += money * day.exposure_frac
    return invested / total if total > 0.0 else math.nan


def worst_fall(indexes: Sequence[float]) -> float:
    """Deepest fall from an earlier peak, a fraction."""
    peak = worst = 0.0
    for index in indexes:
        peak = max(peak, index)
        if peak > 0.0:
            worst = max(worst, 1.0 - index / peak)
    return worst


def share_held(moves: Sequence[Moved], quotes: Sequence[Quote], share: float) -> Held:
    """Keep a share of the money in equal parts of the coins that have a price, set anew at each quote."""
    worth, indexes, before = 0.0, [1.0], dict[str, float]()
    for moved, quote in zip(_by_quote(moves, quotes), quotes, strict=True):
        changes = [price / before[coin] - 1.0 for coin, price in quote.prices.items() if coin in before]
        if changes:
            change = share * sum(changes) / len(changes)
            if worth > 0.0:
                indexes.append(indexes[-1] * (1.0 + change))
            worth += max(0.0, worth) * change
        before.update(quote.prices)
        worth += moved
    return Held(worth, worst_fall(indexes))


def all_held(moves: Sequence[Moved], quotes: Sequence[Quote]) -> Held:
    """Buy equal parts of the coins that have a price with whatever comes, sell of each alike for whatever goes."""
    units, cash, indexes, before = dict[str, float](), 0.0, [1.0], dict[str, float]()
    for moved, quote in zip(_by_quote(moves, quotes), quotes, strict=True):
        prices = before | dict(quote.prices)
        was = sum(quantity * before[coin] for coin, quantity in units.items())
        held = sum(quantity * prices[coin] for coin, quantity in units.items())
        if was > 0.0:
            indexes.append(indexes[-1] * held / was)
        before, cash = prices, cash + moved
        if cash > 0.0 and prices:
            for coin, price in prices.items():
                units[coin] = units.get(coin, 0.0) + cash / len(prices) / price
            cash = 0.0
        elif cash < 0.0 and held > 0.0:
            sold = min(1.0, -cash / held)
            units = {coin: quantity * (1.0 - sold) for coin, quantity in units.items()}
            cash += sold * held
    return Held(cash + sum(quantity * before[coin] for coin, quantity in units.items()), worst_fall(indexes))


def in_cash(moves: Sequence[Moved], end: datetime, yield_frac: float) -> float:
    """Worth of the money at a yearly yield, compounded; USD."""
    return sum(moved.usd * math.pow(1.0 + yield_frac, max(timedelta(0), end - moved.at) / YEAR) for moved in moves)


def _by_quote(moves: Sequence[Moved], quotes: Sequence[Quote]) -> list[float]:
    """Sum up what moved nearest to each quote; at half the way the earlier one counts."""
    times, sums = [quote.at for quote in quotes], [0.0] * len(quotes)
    for moved in moves:
        place = bisect_left(times, moved.at)
        if place == len(times) or (place > 0 and moved.at - times[place - 1] <= times[place] - moved.at):
            place -= 1
        sums[place] += moved.usd
    return sums
