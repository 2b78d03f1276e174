"""The state of a coin's market: its own trend, how high its volatility stands, and whether it crashes.

The state sets mode and size of entries and nothing else: in every other role it was tested in, no
regime filter was better than chance (quant 4e). It is told with its own measured hit rate.
"""

import math
from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

from bot.decide.indicators import mean_of

UNKNOWN = 0
"""The history is too short: entries are neither held back nor made smaller."""
FLAT = 1
LONG = 2
CRASH = 3

MODE_NAMES = ("unknown", "flat", "long", "crash")

LONG_SHARE = 0.5
"""Share of the trend ensemble's lookbacks from which the own trend counts as long."""

VOLATILITY_DAYS = 365
MIN_VOLATILITY_DAYS = 100
CRASH_RANK = 0.95
MEAN_DAYS = 200
HIGH_RANK = 0.80
"""Volatility above this rank makes entries smaller (our own choice)."""
SMALLEST_SCALE = 0.5

HIT_DAYS = 20
"""Days after which a mode is judged."""


class Regime(NamedTuple):
    """The state after a daily bar."""

    mode: int
    rank: float
    """Share of the last year's days whose volatility was lower; NaN while there are too few."""
    scale: float
    """Factor on the volatility leg of an entry, 0 where none is made."""


class Hits(NamedTuple):
    """How often a coin then went where its mode pointed."""

    periods: int
    right: int
    rose: int
    """Periods that rose: what "always long" would have had right."""


def regime_of(trend_share: float, rank: float, crashed: bool) -> Regime:
    """Say the state from the trend ensemble's share, the volatility's rank, and whether it is a crash."""
    if math.isnan(trend_share) or math.isnan(rank):
        return Regime(UNKNOWN, rank, 1.0)
    if crashed:
        return Regime(CRASH, rank, 0.0)
    if trend_share < LONG_SHARE:
        return Regime(FLAT, rank, 0.0)
    return Regime(LONG, rank, scale_at(rank))


def is_crash(rank: float, closes: Sequence[float], n_bars: int) -> bool:
    """Whether volatility stands above its 95th percentile and the newest close below the 200-day mean (quant 4e)."""
    return rank > CRASH_RANK and closes[n_bars - 1] < mean_of_closes(closes, n_bars)


def scale_at(rank: float) -> float:
    """Factor on the volatility leg: 1 up to the 80th percentile, falling evenly to 0.5 at the highest."""
    above = max(0.0, rank - HIGH_RANK) / (1.0 - HIGH_RANK)
    return 1.0 - (1.0 - SMALLEST_SCALE) * above


def place_of(ordered: Sequence[float], value: float) -> int:
    """Count the values below ``value`` in an ascending sequence."""
    low = 0
    high = len(ordered)
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


def volatility_rank(ordered: MutableSequence[float], volatilities: Sequence[float], i: int, first: int) -> float:
    """Take the volatility of bar ``i`` into ``ordered``, the newest 365 in ascending order; returns its rank.

    ``first`` is the first bar that has a volatility. The rank is the share of the others that are lower;
    NaN with fewer than 100 of them.
    """
    if i - VOLATILITY_DAYS >= first:
        ordered.pop(place_of(ordered, volatilities[i - VOLATILITY_DAYS]))
    others = len(ordered)
    below = place_of(ordered, volatilities[i])
    ordered.insert(below, volatilities[i])
    return below / others if others >= MIN_VOLATILITY_DAYS else math.nan


def mean_of_closes(closes: Sequence[float], n_bars: int) -> float:
    """Mean of the newest 200 closes; NaN with fewer."""
    if n_bars < MEAN_DAYS:
        return math.nan
    return mean_of(closes, n_bars, MEAN_DAYS)


def hits_of(modes: Sequence[int], closes: Sequence[float], n_bars: int) -> Hits:
    """Judge the modes by the close 20 days later: LONG is right where it is higher, FLAT and CRASH where it is not.

    Every day is judged, because the share depends much on the day on which one begins; it is told as so many periods
    as do not overlap, which is what it rests on.
    """
    days = 0
    right = 0
    rose = 0
    for i in range(n_bars - HIT_DAYS):
        if modes[i] == UNKNOWN:
            continue
        up = closes[i + HIT_DAYS] > closes[i]
        days += 1
        if up:
            rose += 1
        if up == (modes[i] == LONG):
            right += 1
    if days < HIT_DAYS:
        return Hits(0, 0, 0)
    periods = days // HIT_DAYS
    return Hits(periods, round(periods * right / days), round(periods * rose / days))
