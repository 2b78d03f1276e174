"""What a run amounts to: growth, risk and luck of a series of daily equities, and of its closed trades.

Crypto trades on 365 days a year. Each number comes with the count that it rests on and with an interval of 90 %;
what fewer than 30 trades say is not said (quant section 6).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

DAYS_PER_YEAR = 365.0
ENOUGH_TRADES = 30
TAIL = 0.05
"""Share of the worst days that the conditional value at risk is the mean of."""
EULER = 0.5772156649015329
Z_90 = 1.6448536269514722
"""Of the standard normal distribution: 5 % lie above."""


class Estimate(NamedTuple):
    """A number with what it rests on; ``low`` and ``high`` enclose it with 90 %, NaN: no interval is known."""

    value: float
    n: int
    low: float
    high: float


class Moments(NamedTuple):
    """Of the returns of single days."""

    n: int
    mean: float
    deviation: float
    """With n - 1."""
    skew: float
    kurtosis: float
    """3 for a normal distribution."""


# -- series of days


def daily_returns(equities: Sequence[float]) -> list[float]:
    """Return of each day but the first, as fractions."""
    return [equities[i] / equities[i - 1] - 1.0 for i in range(1, len(equities))]


def moments(returns: Sequence[float]) -> Moments:
    """Count, mean, deviation, skew and kurtosis; NaN where there are too few to have them."""
    n = len(returns)
    if n < 2:
        return Moments(n, returns[0] if n else math.nan, math.nan, math.nan, math.nan)
    mean = sum(returns) / n
    second = sum((r - mean) ** 2 for r in returns) / n
    if second <= 0.0:
        return Moments(n, mean, 0.0, math.nan, math.nan)
    skew = sum((r - mean) ** 3 for r in returns) / n / second**1.5
    kurtosis = sum((r - mean) ** 4 for r in returns) / n / second**2
    return Moments(n, mean, math.sqrt(second * n / (n - 1)), skew, kurtosis)


def cagr(growth: float, days: float) -> float:
    """Yearly growth as a fraction, of a growth factor over so many days."""
    if growth <= 0.0:
        return -1.0
    return math.pow(growth, DAYS_PER_YEAR / days) - 1.0


def sharpe(of: Moments) -> float:
    """Mean over deviation of daily returns, times sqrt(365); NaN without a deviation."""
    if not of.deviation > 0.0:
        return math.nan
    return of.mean / of.deviation * math.sqrt(DAYS_PER_YEAR)


def sharpe_interval(of: Moments) -> tuple[float, float]:
    """90 % around the Sharpe ratio by its standard error (Mertens 2002), which skew and kurtosis widen."""
    if not of.deviation > 0.0 or of.n < 3:
        return math.nan, math.nan
    value = sharpe(of)
    width = Z_90 * math.sqrt(sharpe_variance(of)) * math.sqrt(DAYS_PER_YEAR)
    return value - width, value + width


def sharpe_variance(of: Moments) -> float:
    """Variance of the Sharpe ratio of one day: (1 - g3 SR + (g4 - 1) / 4 SR^2) / (n - 1)."""
    ratio = of.mean / of.deviation
    return max(0.0, 1.0 - of.skew * ratio + (of.kurtosis - 1.0) / 4.0 * ratio * ratio) / (of.n - 1)


def sortino(returns: Sequence[float]) -> float:
    """Mean over the root of the mean square of losses, times sqrt(365); NaN without a loss."""
    if not returns:
        return math.nan
    losses = sum(min(r, 0.0) ** 2 for r in returns) / len(returns)
    if losses <= 0.0:
        return math.nan
    return sum(returns) / len(returns) / math.sqrt(losses) * math.sqrt(DAYS_PER_YEAR)


def max_drawdown(equities: Sequence[float]) -> float:
    """Deepest fall from an earlier peak, a fraction above 0."""
    peak, worst = 0.0, 0.0
    for equity in equities:
        peak = max(peak, equity)
        if peak > 0.0:
            worst = max(worst, 1.0 - equity / peak)
    return worst


def calmar(yearly: float, drawdown: float) -> float:
    """Yearly growth over the deepest fall; NaN without one."""
    return yearly / drawdown if drawdown > 0.0 else math.nan


def cvar(returns: Sequence[float]) -> float:
    """Mean of the worst 5 % of days, a fraction, mostly below 0; NaN without returns."""
    if not returns:
        return math.nan
    ordered = sorted(returns)
    worst = ordered[: max(1, math.floor(TAIL * (len(ordered) - 1)) + 1)]
    return sum(worst) / len(worst)


def days_under_water(equities: Sequence[float]) -> int:
    """Longest stretch of days below an earlier peak."""
    peak, stretch, longest = -math.inf, 0, 0
    for equity in equities:
        if equity >= peak:
            peak, stretch = equity, 0
        else:
            stretch += 1
            longest = max(longest, stretch)
    return longest


# -- luck


def normal_cdf(x: float) -> float:
    """Share of the standard normal distribution below ``x``."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def normal_quantile(p: float) -> float:
    """Value below which a share ``p`` of the standard normal distribution lies, by bisection."""
    assert 0.0 < p < 1.0, "a quantile of a share between 0 and 1"
    if p > 0.5:  # near 1 a float cannot tell shares apart
        return -normal_quantile(1.0 - p)
    low, high = -40.0, 0.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if normal_cdf(middle) < p:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def probabilistic_sharpe(of: Moments, benchmark: float) -> float:
    """Probability that the true Sharpe ratio is above ``benchmark`` (both yearly); NaN without a deviation.

    Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)), with ratios of one day (Bailey and Lopez de Prado
    2012).
    """
    if not of.deviation > 0.0 or of.n < 3:
        return math.nan
    excess = of.mean / of.deviation - benchmark / math.sqrt(DAYS_PER_YEAR)
    variance = sharpe_variance(of)
    if variance <= 0.0:
        return 1.0 if excess > 0.0 else 0.0
    return normal_cdf(excess / math.sqrt(variance))


def best_of_luck(trials: int, deviation: float) -> float:
    """Yearly Sharpe ratio that the best of so many worthless trials is expected to show (Bailey, Lopez de Prado 2014).

    sd ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))) with Euler's constant g; ``deviation`` is that of the trials' ratios.
    """
    if trials < 2:
        return 0.0
    return deviation * (
        (1.0 - EULER) * normal_quantile(1.0 - 1.0 / trials) + EULER * normal_quantile(1.0 - 1.0 / (trials * math.e))
    )


def deflated_sharpe(of: Moments, trials: int, deviation: float) -> float:
    """Probability that the true Sharpe ratio is above what the best of ``trials`` owes to luck."""
    return probabilistic_sharpe(of, best_of_luck(trials, deviation))


# -- trades


def profit_factor(results: Sequence[float]) -> float:
    """What wins brought over what losses cost; infinite without a loss, NaN without trades."""
    wins = sum(r for r in results if r > 0.0)
    losses = -sum(r for r in results if r < 0.0)
    if losses <= 0.0:
        return math.inf if wins > 0.0 else math.nan
    return wins / losses


def mean_estimate(values: Sequence[float]) -> Estimate:
    """Mean with 90 % by its standard error."""
    of = moments(values)
    if of.n < 2:
        return Estimate(of.mean, of.n, math.nan, math.nan)
    width = Z_90 * of.deviation / math.sqrt(of.n)
    return Estimate(of.mean, of.n, of.mean - width, of.mean + width)


def share_estimate(count: int, of_all: int) -> Estimate:
    """A share with Wilson's interval, which holds near 0 and 1 too; NaN of nothing."""
    if of_all == 0:
        return Estimate(math.nan, 0, math.nan, math.nan)
    share, z2 = count / of_all, Z_90 * Z_90
    middle = (share + z2 / (2 * of_all)) / (1 + z2 / of_all)
    width = Z_90 * math.sqrt(share * (1 - share) / of_all + z2 / (4 * of_all * of_all)) / (1 + z2 / of_all)
    return Estimate(share, of_all, max(0.0, middle - width), min(1.0, middle + width))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Value at a share of ascending values, between two of them in proportion; NaN without values."""
    if not ordered:
        return math.nan
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
