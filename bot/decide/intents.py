"""What a strategy sees of a coin, and what it wants to do with it, before any account is looked at."""

import math
from typing import NamedTuple

from bot.decide import codes, regime

MAX_MOVE = 0.5
"""Largest move since the daily close that an entry still follows, in stop distances."""


class Coin(NamedTuple):
    """One coin at its decision; USD, fractions, NaN for "none"."""

    score: float
    volatility: float
    stop_distance: float
    """Distance of the stop as a fraction of the price."""
    price: float
    bar_close: float
    held_usd: float
    """Over all accounts, pending entries included."""
    mode: int
    """Of its regime; UNKNOWN where MARKET_REGIME_ENGINE is off."""
    trend: float
    """Share of the trend ensemble's lookbacks that are long."""
    rank: float
    """Of its volatility within a year."""
    scale: float
    """Factor of the regime on an entry."""


class Intent(NamedTuple):
    """What to do with a coin: an action code, the gap in USD, and for REFUSE the reason.

    Gap and target of an ENTER are infinite where the strategy leaves the size to the sizer's legs.
    """

    action: int
    gap_usd: float
    target_usd: float
    code: int
    limit: float
    actual: float


def entry_or_refusal(action: int, gap_usd: float, target_usd: float, coin: Coin, min_score: float) -> Intent:
    """Give the intent to buy, unless signal or regime speak against it or the price has run away since the close."""
    none = math.nan
    if coin.score < min_score:
        return Intent(codes.REFUSE, 0.0, target_usd, codes.SIGNAL_TOO_WEAK, min_score, coin.score)
    if coin.mode == regime.CRASH:
        return Intent(codes.REFUSE, gap_usd, target_usd, codes.MARKET_CRASH, regime.CRASH_RANK, coin.rank)
    if coin.mode == regime.FLAT:
        return Intent(codes.REFUSE, gap_usd, target_usd, codes.MARKET_FLAT, regime.LONG_SHARE, coin.trend)
    moved = abs(coin.price / coin.bar_close - 1.0)
    if not moved <= MAX_MOVE * coin.stop_distance:
        return Intent(codes.REFUSE, gap_usd, target_usd, codes.PRICE_MOVED, MAX_MOVE * coin.stop_distance, moved)
    return Intent(action, gap_usd, target_usd, codes.OK, none, none)
