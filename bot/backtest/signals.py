"""What each daily bar and all before it say of a coin: the fold of ``engine/history``, over a whole history at once."""

import math
from collections.abc import MutableSequence, Sequence

from bot.decide import regime
from bot.decide.breakout import bars_since_breakout
from bot.decide.ensemble import breakout_strength, ensemble_score, momentum_share, regime_member, volume_share
from bot.decide.indicators import (
    ATR_PERIOD,
    EWMA_LAMBDA,
    annual_volatility,
    atr_step,
    ewma_variance_step,
    true_range,
)
from bot.decide.regime import is_crash, regime_of, volatility_rank
from bot.decide.trend import advance_flags, trend_score


def fold_signals(
    highs: Sequence[float],
    lows: Sequence[float],
    closes: Sequence[float],
    volumes: Sequence[float],
    weights: Sequence[float],
    uses_regime: int,
    flags: MutableSequence[int],
    score: MutableSequence[float],
    volatility: MutableSequence[float],
    atr: MutableSequence[float],
    since_breakout: MutableSequence[float],
    mode: MutableSequence[float],
    trend: MutableSequence[float],
    rank: MutableSequence[float],
    scale: MutableSequence[float],
    n_bars: int,
) -> None:
    """Write the signals after each of ``n_bars`` daily bars; NaN while the history is too short.

    ``weights`` are those of the ensemble's members; ``flags`` holds NOT_READY for each lookback of the trend.
    Without ``uses_regime`` its columns say nothing, as ``History.regime_inputs`` does.
    """
    range_mean = 0.0
    variance = 0.0
    ordered = [0.0 for _ in range(0)]
    members = [0.0, math.nan, math.nan, math.nan, math.nan]
    asks_members = weights[1] + weights[2] + weights[3] + weights[4] > 0.0
    for i in range(n_bars):
        if i > 0:
            before = closes[i - 1]
            range_mean = atr_step(range_mean, i - 1, true_range(highs[i], lows[i], before), ATR_PERIOD)
            variance = ewma_variance_step(variance, i - 1, closes[i] / before - 1.0, EWMA_LAMBDA)
        advance_flags(flags, highs, lows, closes, i)
        ready = i >= ATR_PERIOD
        volatility[i] = annual_volatility(variance) if ready else math.nan
        atr[i] = range_mean if ready else math.nan
        since_breakout[i] = bars_since_breakout(highs, closes, i + 1)
        share = trend_score(flags)
        mode[i], trend[i], rank[i], scale[i] = float(regime.UNKNOWN), math.nan, math.nan, 1.0
        if uses_regime == 1:
            place = volatility_rank(ordered, volatility, i, ATR_PERIOD) if ready else math.nan
            state = regime_of(share, place, is_crash(place, closes, i + 1))
            mode[i], trend[i], rank[i], scale[i] = float(state.mode), share, state.rank, state.scale
            members[4] = regime_member(state.mode, state.scale)
        members[0] = share
        if asks_members:
            members[1] = momentum_share(closes, i + 1)
            members[2] = breakout_strength(highs, lows, closes, i + 1)
            members[3] = volume_share(closes, volumes, i + 1)
        score[i] = ensemble_score(members, weights)
