"""The signal score: a weighted mean of members, each 0 to 1 (quant 2.7).

The weights are declared, not fitted: picking what did best on the past did not help afterwards (quant 4c).
A member that has no value (NaN) is left out and the other weights are scaled up; without the trend, the
first of them, there is no score.
"""

import math
from collections.abc import Sequence

from bot.decide import regime
from bot.decide.indicators import highest, lowest

MEMBERS = ("trend", "momentum", "breakout", "volume", "regime")
ENSEMBLE = (0.40, 0.20, 0.20, 0.10, 0.10)
TREND_ONLY = (1.0, 0.0, 0.0, 0.0, 0.0)
"""SIGNAL_ENSEMBLE=False."""

MOMENTUM_DAYS = (14, 28, 56, 90)
CHANNEL_DAYS = 20
VOLUME_DAYS = 20


def ensemble_score(member_scores: Sequence[float], weights: Sequence[float]) -> float:
    """Weighted mean of the member scores that are numbers, 0 to 1; NaN where the first, the trend, is none."""
    if math.isnan(member_scores[0]):
        return math.nan
    total = 0.0
    weight_sum = 0.0
    for k in range(len(weights)):
        score = member_scores[k]
        if not math.isnan(score):
            total += weights[k] * score
            weight_sum += weights[k]
    return total / weight_sum


def momentum_share(closes: Sequence[float], n_bars: int) -> float:
    """Share of the lookbacks of 14, 28, 56 and 90 days after which the close is higher; NaN with too few bars."""
    if n_bars <= MOMENTUM_DAYS[-1]:
        return math.nan
    newest = closes[n_bars - 1]
    rose = 0
    for days in MOMENTUM_DAYS:
        if newest > closes[n_bars - 1 - days]:
            rose += 1
    return rose / len(MOMENTUM_DAYS)


def breakout_strength(highs: Sequence[float], lows: Sequence[float], closes: Sequence[float], n_bars: int) -> float:
    """Place of the newest close in the channel of the 20 bars before it, 0 at its low or below, 1 at its high or above.

    NaN with too few bars, and in a channel without a width.
    """
    last = n_bars - 1
    if last < CHANNEL_DAYS:
        return math.nan
    top = highest(highs, last - CHANNEL_DAYS, last)
    bottom = lowest(lows, last - CHANNEL_DAYS, last)
    if not top > bottom:
        return math.nan
    return min(1.0, max(0.0, (closes[last] - bottom) / (top - bottom)))


def volume_share(closes: Sequence[float], volumes: Sequence[float], n_bars: int) -> float:
    """Share of the newest 20 bars' volume that was traded on bars which closed higher than the one before.

    NaN with too few bars, and without any volume.
    """
    if n_bars <= VOLUME_DAYS:
        return math.nan
    up = 0.0
    total = 0.0
    for i in range(n_bars - VOLUME_DAYS, n_bars):
        total += volumes[i]
        if closes[i] > closes[i - 1]:
            up += volumes[i]
    return up / total if total > 0.0 else math.nan


def regime_member(mode: int, scale: float) -> float:
    """Return the regime as a member: the factor on its entries, 0 where it allows none, NaN while it is unknown."""
    return math.nan if mode == regime.UNKNOWN else scale
