"""Breakout: buy a coin in a trend when it makes a new 20-day high; the exits end the trade (quant 7)."""

import math
from collections.abc import Sequence

from bot.decide import codes
from bot.decide.indicators import is_above_all
from bot.decide.intents import Coin, Intent, entry_or_refusal

BREAKOUT_DAYS = 20
FRESH_BARS = 3
"""A breakout is followed for so many daily bars, its own included."""

STOP_ATR = 2.0


def bars_since_breakout(highs: Sequence[float], closes: Sequence[float], n_bars: int) -> float:
    """Bars since the newest close above the highest high of the 20 bars before it; 0 for the newest bar.

    Looked for in the newest three bars; NaN where there is none, or the history is too short.
    """
    for back in range(FRESH_BARS):
        i = n_bars - 1 - back
        if i < BREAKOUT_DAYS:
            break
        if is_above_all(closes[i], highs, i - BREAKOUT_DAYS, i):
            return float(back)
    return math.nan


def intend(coin: Coin, since_breakout: float, min_score: float) -> Intent:
    """Say whether to buy: flat, score reached, a breakout within three bars. What is held is left to its exits.

    ``since_breakout`` is that of ``bars_since_breakout``.
    """
    none = math.nan
    if math.isnan(coin.score) or math.isnan(coin.volatility) or math.isnan(coin.stop_distance):
        return Intent(codes.REFUSE, 0.0, none, codes.HISTORY_TOO_SHORT, none, none)
    if coin.held_usd > 0.0:
        return Intent(codes.HOLD, 0.0, none, codes.OK, none, none)
    entry = entry_or_refusal(codes.ENTER, math.inf, math.inf, coin, min_score)
    if entry.action == codes.ENTER and math.isnan(since_breakout):
        return Intent(codes.REFUSE, 0.0, none, codes.NO_BREAKOUT, float(FRESH_BARS), none)
    return entry
