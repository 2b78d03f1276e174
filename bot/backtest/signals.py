"""What each daily bar and all before it say of a coin: the fold of ``engine/history``, over a whole history at once."""

import math
from collections.abc import MutableSequence, Sequence

from bot.decide.breakout import bars_since_breakout
from bot.decide.ensemble import WEIGHTS, ensemble_score
from bot.decide.indicators import (
    ATR_PERIOD,
    EWMA_LAMBDA,
    annual_volatility,
    atr_step,
    ewma_variance_step,
    true_range,
)
from bot.decide.trend import advance_flags, trend_score


def fold_signals(
    highs: Sequence[float],
    lows: Sequence[float],
    closes: Sequence[float],
    flags: MutableSequence[int],
    score: MutableSequence[float],
    volatility: MutableSequence[float],
    atr: MutableSequence[float],
    since_breakout: MutableSequence[float],
    n_bars: int,
) -> None:
    """Write the signals after each of ``n_bars`` daily bars; NaN while the history is too short.

    ``flags`` holds NOT_READY for each lookback of the trend ensemble.
    """
    range_mean = 0.0
    variance = 0.0
    members = [0.0]
    for i in range(n_bars):
        if i > 0:
            before = closes[i - 1]
            range_mean = atr_step(range_mean, i - 1, true_range(highs[i], lows[i], before), ATR_PERIOD)
            variance = ewma_variance_step(variance, i - 1, closes[i] / before - 1.0, EWMA_LAMBDA)
        advance_flags(flags, highs, lows, closes, i)
        members[0] = trend_score(flags)
        score[i] = ensemble_score(members, WEIGHTS)
        ready = i >= ATR_PERIOD
        volatility[i] = annual_volatility(variance) if ready else math.nan
        atr[i] = range_mean if ready else math.nan
        since_breakout[i] = bars_since_breakout(highs, closes, i + 1)
