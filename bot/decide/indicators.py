"""Indicators as single steps of a fold: one closed bar in, the next value out.

A fold over all history gives the same last value whatever window is kept in memory, which is what
makes live, replay and a restart agree.
"""

import math
from collections.abc import Sequence

ATR_PERIOD = 14
EWMA_LAMBDA = 0.94
DAYS_PER_YEAR = 365.0


def highest(values: Sequence[float], start: int, stop: int) -> float:
    """Largest of ``values[start:stop]``; NaN where the range is empty."""
    if stop <= start:
        return math.nan
    top = values[start]
    for i in range(start + 1, stop):
        if values[i] > top:  # noqa: PLR1730  max() of a slice would copy, and does not compile
            top = values[i]
    return top


def lowest(values: Sequence[float], start: int, stop: int) -> float:
    """Smallest of ``values[start:stop]``; NaN where the range is empty."""
    if stop <= start:
        return math.nan
    bottom = values[start]
    for i in range(start + 1, stop):
        if values[i] < bottom:  # noqa: PLR1730  as in highest()
            bottom = values[i]
    return bottom


def is_above_all(value: float, values: Sequence[float], start: int, stop: int) -> bool:
    """Whether a value exceeds all of ``values[start:stop]``; False where the range is empty.

    Looks from the newest back: among prices a counterexample is mostly near.
    """
    for i in range(stop - 1, start - 1, -1):
        if not value > values[i]:
            return False
    return stop > start


def is_below_all(value: float, values: Sequence[float], start: int, stop: int) -> bool:
    """Whether a value is less than all of ``values[start:stop]``; False where the range is empty."""
    for i in range(stop - 1, start - 1, -1):
        if not value < values[i]:
            return False
    return stop > start


def mean_of(values: Sequence[float], n_bars: int, days: int) -> float:
    """Mean of the newest ``days`` of ``n_bars`` values."""
    total = 0.0
    for i in range(n_bars - days, n_bars):
        total += values[i]
    return total / days


def true_range(high: float, low: float, previous_close: float) -> float:
    """Wilder's true range in quote units (Wilder 1978, New Concepts in Technical Trading Systems)."""
    return max(high - low, abs(high - previous_close), abs(low - previous_close))


def atr_step(atr: float, ranges_seen: int, new_range: float, period: int) -> float:
    """Next value of Wilder's average true range.

    ``ranges_seen`` counts the true ranges before this one. The first ``period`` of them are
    averaged plainly; later ones are smoothed with weight 1/period (Wilder 1978). The value is
    meaningful from the ``period``-th range on.
    """
    if ranges_seen == 0:
        return new_range
    if ranges_seen < period:
        return (atr * ranges_seen + new_range) / (ranges_seen + 1)
    return (atr * (period - 1) + new_range) / period


def ewma_variance_step(variance: float, returns_seen: int, new_return: float, decay: float) -> float:
    """Next exponentially weighted variance of returns: v = decay v + (1 - decay) r^2, v0 = r0^2.

    RiskMetrics 1996, with decay 0.94 for daily returns.
    """
    if returns_seen == 0:
        return new_return * new_return
    return decay * variance + (1.0 - decay) * new_return * new_return


def annual_volatility(daily_variance: float) -> float:
    """Annualised standard deviation as a fraction; crypto trades on 365 days a year (quant 2.3)."""
    return math.sqrt(DAYS_PER_YEAR * daily_variance)
