"""What the trained model looks at: ten numbers that a daily history says of its newest bar.

All are free of a coin's price level, so that one model serves all coins. None looks further back than 386 bars
except through the averages that are handed in, so the 720 bars that a venue serves say what all history says.
"""

import math
from collections.abc import Sequence

from bot.decide.breakout import BREAKOUT_DAYS
from bot.decide.indicators import DAYS_PER_YEAR, highest, mean_of
from bot.decide.regime import MEAN_DAYS

FEATURE_NAMES = (
    "momentum_10",
    "momentum_28",
    "momentum_90",
    "distance_mean_200",
    "atr_to_price",
    "breakout_strength",
    "trend_score",
    "volatility_rank",
    "volume_ratio",
    "close_in_bar",
)

REALISED_DAYS = 20
RANK_DAYS = 365
"""A year: of the two that the venues serve, one and a bit is needed."""
VOLUME_DAYS = 5
VOLUME_BASE_DAYS = 50
NEEDED_BARS = 1 + REALISED_DAYS + RANK_DAYS


def features_at(
    highs: Sequence[float],
    lows: Sequence[float],
    closes: Sequence[float],
    volumes: Sequence[float],
    n_bars: int,
    atr: float,
    volatility: float,
    trend: float,
) -> tuple[float, float, float, float, float, float, float, float, float, float]:
    """Return the ten features after the newest of ``n_bars`` bars, in the order of ``FEATURE_NAMES``.

    ``atr`` is the average true range in quote units, ``volatility`` the annual one as a fraction, ``trend`` the trend
    score (0 to 1) after the same bar. All features are NaN with fewer than 386 bars or where one of these is NaN or 0
    (the score may be 0). Momentum and the distance from the mean of 200 days are logarithms in standard deviations of
    so many days; ``breakout_strength`` is the distance from the prior 20-day high in ATR; ``volatility_rank`` the share
    of the 365 days before with a calmer month of 20 days; ``volume_ratio`` the logarithm of the mean volume of 5 days
    over that of 50; ``close_in_bar`` is 0 at the bar's low and 1 at its high.
    """
    none = math.nan
    if n_bars < NEEDED_BARS or not atr > 0.0 or not volatility > 0.0 or math.isnan(trend):
        return none, none, none, none, none, none, none, none, none, none
    i = n_bars - 1
    close = closes[i]
    day = volatility / math.sqrt(DAYS_PER_YEAR)
    span = highs[i] - lows[i]
    return (
        math.log(close / closes[i - 10]) / (day * math.sqrt(10.0)),
        math.log(close / closes[i - 28]) / (day * math.sqrt(28.0)),
        math.log(close / closes[i - 90]) / (day * math.sqrt(90.0)),
        math.log(close / mean_of(closes, n_bars, MEAN_DAYS)) / (day * math.sqrt(float(MEAN_DAYS))),
        atr / close,
        (close - highest(highs, i - BREAKOUT_DAYS, i)) / atr,
        trend,
        volatility_rank(closes, n_bars),
        volume_ratio(volumes, n_bars),
        (close - lows[i]) / span if span > 0.0 else 0.5,
    )


def volatility_rank(closes: Sequence[float], n_bars: int) -> float:
    """Share of the 365 days before the newest bar on which the 20-day realised volatility was below that of now.

    Sums of squared returns are compared. What the first of them was makes no difference, so it counts as 0.
    """
    squares = 0.0
    earlier = [squares]
    for i in range(n_bars - RANK_DAYS, n_bars):
        squares += log_return(closes, i) ** 2 - log_return(closes, i - REALISED_DAYS) ** 2
        earlier.append(squares)
    below = 0
    for value in earlier:  # the newest is not below itself
        if value < squares:
            below += 1
    return below / RANK_DAYS


def log_return(closes: Sequence[float], i: int) -> float:
    """Logarithmic return of bar ``i``."""
    return math.log(closes[i] / closes[i - 1])


def volume_ratio(volumes: Sequence[float], n_bars: int) -> float:
    """Logarithm of the mean volume of 5 days over that of 50; NaN where nothing was traded."""
    newest = mean_of(volumes, n_bars, VOLUME_DAYS)
    if not newest > 0.0:
        return math.nan
    return math.log(newest / mean_of(volumes, n_bars, VOLUME_BASE_DAYS))
