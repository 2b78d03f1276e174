"""What a strategy sees of a coin, and what it wants to do with it, before any account is looked at."""

import math
from typing import NamedTuple

from bot.decide import codes

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
    """Give the intent to buy, unless the signal is too weak or the price has run away since the daily close."""
    none = math.nan
    if coin.score < min_score:
        return Intent(codes.REFUSE, 0.0, target_usd, codes.SIGNAL_TOO_WEAK, min_score, coin.score)
    moved = abs(coin.price / coin.bar_close - 1.0)
    if not moved <= MAX_MOVE * coin.stop_distance:
        return Intent(codes.REFUSE, gap_usd, target_usd, codes.PRICE_MOVED, MAX_MOVE * coin.stop_distance, moved)
    return Intent(action, gap_usd, target_usd, codes.OK, none, none)
