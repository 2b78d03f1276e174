"""The trade filter: how likely an account's trades gain after costs, and whether they keep to what was expected.

Both abstain until the account has closed enough trades of its own: evidence from old prices alone would hold
back for ever what it cannot judge (quant, correction 4). The newest 40 results count in full while new ones come;
without a new one their number halves in 180 days (``measured``), so that nothing is held back for ever.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bot.decide.kelly import chance_above_zero
from bot.decide.measured import COUNTED_TRADES, NEEDED_TRADES, trades_that_count

EVIDENCE_WEIGHT = 0.25
"""Of a trade that was simulated on old prices (quant 2.7)."""

BELOW_TRADES = 20
"""Trades in a row below the expected band after which entries pause."""
BELOW_CHANCE = 0.25
BAND_Z = 1.6448536269514722
"""Of a range of 90 %."""


class Evidence(NamedTuple):
    """Simulated trades in R: how many, their sum, and the sum of their squares."""

    trades: float
    total: float
    squares: float


class Confidence(NamedTuple):
    """What own results and evidence say together."""

    chance: float
    """Probability that the mean net result of a trade is above zero."""
    own: float
    """Own trades that count, at most 40; their number halves in 180 days without a new one."""
    evidence: float
    """Simulated trades at their weight."""


class Band(NamedTuple):
    """Own trades against what the evidence lets expect."""

    mean: float
    """Own mean in R; NaN without a trade."""
    low: float
    high: float
    """Range of 90 % in which the mean of so many trades lies if they are as expected; NaN without evidence."""
    below: int
    """Newest trades in a row after each of which the mean lay below the range."""
    chance: float
    """Probability that the mean of these own trades is above zero, without any evidence."""


def confidence_of(results: Sequence[float], idle_days: float, evidence: Evidence) -> Confidence:
    """Read own results (R, oldest first) together with evidence at a quarter of its weight.

    The posterior is that of the Kelly leg (quant, correction 5): 20 imagined trades without an edge are in it.
    ``idle_days`` have gone by since the newest result.
    """
    own = 0.0
    first = EVIDENCE_WEIGHT * evidence.total
    second = EVIDENCE_WEIGHT * evidence.squares
    for i in range(max(0, len(results) - COUNTED_TRADES), len(results)):
        own += 1.0
        first += results[i]
        second += results[i] * results[i]
    counted = EVIDENCE_WEIGHT * evidence.trades
    chance = chance_above_zero(own + counted, first, second)
    return Confidence(chance, trades_that_count(len(results), idle_days), counted)


def is_armed(confidence: Confidence) -> bool:
    """Whether there are enough own trades to hold back by."""
    return confidence.own >= NEEDED_TRADES


def holds_back(confidence: Confidence, least: float) -> bool:
    """Whether an entry is refused for want of confidence."""
    return is_armed(confidence) and not confidence.chance >= least


def band_of(results: Sequence[float], evidence: Evidence) -> Band:
    """Hold own results, oldest first, against the band of as many trades drawn from the evidence.

    mean +- 1.645 sd sqrt(1 / n + 1 / m): the range of a mean of n trades when m have told mean and deviation. No
    band from fewer than two.
    """
    none = math.nan
    if evidence.trades < 2.0 or len(results) == 0:
        return Band(none, none, none, 0, none)
    expected = evidence.total / evidence.trades
    variance = max(0.0, evidence.squares / evidence.trades - expected * expected)
    deviation = math.sqrt(variance * evidence.trades / (evidence.trades - 1.0))
    total = 0.0
    squares = 0.0
    below = 0
    width = 0.0
    for i in range(len(results)):
        total += results[i]
        squares += results[i] * results[i]
        count = float(i + 1)
        width = BAND_Z * deviation * math.sqrt(1.0 / count + 1.0 / evidence.trades)
        below = below + 1 if total / count < expected - width else 0
    trades = float(len(results))
    chance = chance_above_zero(trades, total, squares)
    return Band(total / trades, expected - width, expected + width, below, chance)


def falls_short(band: Band) -> bool:
    """Whether results are below what was expected for so long that entries pause (quant 7)."""
    return band.below >= BELOW_TRADES and band.chance < BELOW_CHANCE
