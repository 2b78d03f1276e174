"""The trend ensemble: the share of nine Donchian breakout systems that are long.

Each lookback n is long after a close above the prior n-day high until a close below the prior
n/2-day low (at least 5 days). The set of lookbacks is that of Zarattini, Pagani and Barbon (2025,
SSRN 5209907). The state depends on the path, so it is folded over all history that is there.
"""

import math
from collections.abc import MutableSequence, Sequence

from bot.decide.indicators import highest, is_above_all, is_below_all, lowest

LOOKBACKS = (5, 10, 20, 30, 60, 90, 150, 250, 360)
"""Days; a lookback that the history cannot fill is left out of the score."""

MIN_LOOKBACKS = 6
MIN_EXIT_LOOKBACK = 5

NOT_READY = -1
FLAT = 0
LONG = 1


def exit_lookback(lookback: int) -> int:
    """Days of the low that ends a long state: half the entry lookback, at least five."""
    return max(MIN_EXIT_LOOKBACK, lookback // 2)


def donchian_step(
    flag: int, highs: Sequence[float], lows: Sequence[float], closes: Sequence[float], i: int, lookback: int
) -> int:
    """State of one lookback after the bar at index ``i``: NOT_READY, FLAT or LONG.

    The channels end before bar ``i``, so that a close can lie outside them.
    """
    if i < lookback:
        return NOT_READY
    close = closes[i]
    if flag == LONG:
        if is_below_all(close, lows, i - exit_lookback(lookback), i):
            return FLAT
        return LONG
    if is_above_all(close, highs, i - lookback, i):
        return LONG
    return FLAT


def advance_flags(
    flags: MutableSequence[int], highs: Sequence[float], lows: Sequence[float], closes: Sequence[float], i: int
) -> None:
    """Fold bar ``i`` into the nine states, in place. ``flags`` is as long as LOOKBACKS."""
    for k in range(len(LOOKBACKS)):
        flags[k] = donchian_step(flags[k], highs, lows, closes, i, LOOKBACKS[k])


def trend_score(flags: Sequence[int]) -> float:
    """Share of the ready lookbacks that are long, 0 to 1; NaN with fewer than six ready."""
    ready = 0
    long = 0
    for flag in flags:
        if flag != NOT_READY:
            ready += 1
        if flag == LONG:
            long += 1
    if ready < MIN_LOOKBACKS:
        return math.nan
    return long / ready


def close_that_reaches(flags: Sequence[int], highs: Sequence[float], n_bars: int, min_score: float) -> float:
    """Return the level that the NEXT close must exceed to lift the trend score to ``min_score``.

    ``highs`` holds ``n_bars`` bars. NaN where the next score is there without a new high, where the
    history is too short for one, or where ``min_score`` is above 1. Lookbacks that become ready with
    the next bar count. A close above any of the tops ends no long state, because a top is at least
    the newest high, so the needed number of lowest channel tops decides.
    """
    ready = 0
    long = 0
    tops = [0.0 for _ in range(0)]  # an empty list whose type a compiler can infer
    for k in range(len(LOOKBACKS)):
        if n_bars >= LOOKBACKS[k]:
            ready += 1
            if flags[k] == LONG:
                long += 1
            else:
                tops.append(highest(highs, n_bars - LOOKBACKS[k], n_bars))
    needed = math.ceil(min_score * ready - 1e-9) - long  # 0.75 * 8 must ask for 6, not for 7
    if ready < MIN_LOOKBACKS or needed <= 0 or needed > len(tops):
        return math.nan
    tops.sort()
    return tops[needed - 1]


def close_that_lowers(flags: Sequence[int], lows: Sequence[float], n_bars: int) -> float:
    """Return the level below which the NEXT close ends at least one long state; NaN where none is long.

    ``lows`` holds ``n_bars`` bars. It is the highest of the channel lows that end the long states.
    """
    level = math.nan
    for k in range(len(LOOKBACKS)):
        if flags[k] == LONG:
            bottom = lowest(lows, n_bars - exit_lookback(LOOKBACKS[k]), n_bars)
            if math.isnan(level) or bottom > level:
                level = bottom
    return level
