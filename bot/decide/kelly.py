"""The Kelly leg: what share of equity a record of results allows to lose at the stop.

Results are in R, multiples of the net loss at the stop, so a plain loss is -1. Every record is read
together with 20 imagined trades that show no edge at all: few results prove little (quant 2.1, 2.2,
correction 5).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

PRIOR_TRADES = 20.0
PRIOR_PAYOFF = 1.8
"""Win in R of an imagined trade, and the payoff to which measured ones are shrunk."""

PAYOFF_PRIOR_WINS = 10.0
KELLY_FRACTION = 0.25
DRAWDOWN_CHANCE = 0.10
"""Accepted probability of ever falling by the drawdown limit."""

BISECTION_STEPS = 60
HALF_LIFE_DAYS = 180.0
"""After so many days a result counts half; without forgetting, a full brake would never be released."""

BRAKE_TRADES = 20
BRAKE_HALF = 0.50
BRAKE_FULL = 0.25
MAX_RELEASE_DAYS = 3650


class Edge(NamedTuple):
    """What a record of results says; shares of equity at risk are fractions, means are in R."""

    mean: float
    """Shrunken mean result of a trade."""
    deviation: float
    """Standard deviation of that mean."""
    full: float
    """Kelly's fraction without any caution."""
    shrink: float
    """Baker-McHale factor, 0 to 1."""
    used: float
    """A quarter of the shrunken fraction."""
    constrained: float
    """Largest fraction up to ``used`` that keeps the chance of the drawdown limit at 10 %."""
    chance: float
    """Probability that the edge is above zero."""
    win_rate: float
    """Shrunken share of wins; NaN for a record of many outcomes."""
    payoff: float
    """Win in R of the two-outcome form; NaN for a record of many outcomes."""


def full_kelly(win_rate: float, win: float, loss: float) -> float:
    """Share of equity to risk at full Kelly, p / L - (1 - p) / W with W, L in R (Kelly 1956; quant 2.1)."""
    return win_rate / loss - (1.0 - win_rate) / win


def shrunken_payoff(mean_win: float, wins: float) -> float:
    """Mean win in R, shrunk to 1.8 by ten imagined wins: (n W + 10 * 1.8) / (n + 10) (quant 2.1)."""
    return (wins * mean_win + PAYOFF_PRIOR_WINS * PRIOR_PAYOFF) / (wins + PAYOFF_PRIOR_WINS)


def result_weight(age_days: float) -> float:
    """Weight of a result by its age, 1 when new, half after 180 days (our own choice: quant 2.1 has no release)."""
    return math.pow(0.5, max(0.0, age_days) / HALF_LIFE_DAYS)


def baker_mchale(edge: float, deviation: float) -> float:
    """Shrink factor e^2 / (e^2 + sd^2) for an estimated edge and its standard deviation, 0 without an edge.

    Baker and McHale (2013), Optimal Betting Under Parameter Uncertainty, Decision Analysis 10(3), the
    closed approximation. Both numbers are in R: with a two-outcome bet sd is (W / L + 1) times the
    standard deviation of the win rate.
    """
    if not edge > 0.0:
        return 0.0
    return edge * edge / (edge * edge + deviation * deviation)


def edge_of_counts(wins: float, losses: float, payoff: float, max_drawdown: float) -> Edge:
    """Read a record of (weighted) wins of ``payoff`` R and losses of 1 R (quant 2.1).

    The prior is Beta(20 p0, 20 (1 - p0)) around the win rate without edge, p0 = 1 / (1 + W).
    """
    assert wins >= 0.0, "wins are counted from 0"
    assert losses >= 0.0, "losses are counted from 0"
    assert payoff > 0.0, "a win is above 0 R"
    zero_edge = 1.0 / (1.0 + payoff)
    alpha = PRIOR_TRADES * zero_edge + wins
    beta = PRIOR_TRADES * (1.0 - zero_edge) + losses
    total = alpha + beta
    win_rate = alpha / total
    deviation = (payoff + 1.0) * math.sqrt(win_rate * (1.0 - win_rate) / (total + 1.0))
    mean = (payoff + 1.0) * win_rate - 1.0
    if wins * payoff <= losses:  # exactly no edge, which the rounding of the mean could miss
        mean = min(0.0, mean)
    full = max(0.0, full_kelly(win_rate, payoff, 1.0)) if mean > 0.0 else 0.0
    shrink = baker_mchale(mean, deviation)
    return Edge(
        mean,
        deviation,
        full,
        shrink,
        KELLY_FRACTION * shrink * full,
        constrained_fraction(win_rate, payoff, max_drawdown) if mean > 0.0 else 0.0,
        1.0 - incomplete_beta(zero_edge, alpha, beta),
        win_rate,
        payoff,
    )


def edge_of_results(results: Sequence[float], weights: Sequence[float], max_drawdown: float) -> Edge:
    """Read a record of results in R with their weights, whatever their distribution (quant, correction 5).

    f = shrunken mean / second moment, the maximum of the second-order expansion of E ln(1 + f R)
    (Thorp 2006); the 20 imagined trades of 2.1 are in both. For wins of 1.8 R and losses of 1 R mean,
    deviation and shrink are those of ``edge_of_counts``, and f agrees to first order in the edge.
    The chance is that of a normal distribution of the mean.
    """
    total = PRIOR_TRADES
    first = 0.0
    second = prior_squares()
    for i in range(len(results)):
        assert weights[i] >= 0.0, "a weight is not negative"
        assert math.isfinite(results[i]), "a result is a number"
        total += weights[i]
        first += weights[i] * results[i]
        second += weights[i] * results[i] * results[i]
    mean = first / total
    moment = second / total
    deviation = math.sqrt(max(0.0, moment - mean * mean) / (total + 1.0))
    full = max(0.0, mean / moment)
    shrink = baker_mchale(mean, deviation)
    used = KELLY_FRACTION * shrink * full
    return Edge(
        mean,
        deviation,
        full,
        shrink,
        used,
        constrained_by_results(results, weights, max_drawdown, used) if mean > 0.0 else 0.0,
        0.5 * math.erfc(-mean / deviation / math.sqrt(2.0)),
        math.nan,
        math.nan,
    )


def prior_squares() -> float:
    """Sum of the squares of the 20 imagined trades in R; their sum is 0."""
    wins = PRIOR_TRADES / (1.0 + PRIOR_PAYOFF)
    return wins * PRIOR_PAYOFF * PRIOR_PAYOFF + (PRIOR_TRADES - wins)


def chance_above_zero(trades: float, total: float, squares: float) -> float:
    """Probability that the mean of trades in R is above zero, from their weight, sum and sum of squares.

    The imagined trades are in it; the mean is taken as normal, as in ``edge_of_results``.
    """
    weight = PRIOR_TRADES + trades
    mean = total / weight
    variance = (prior_squares() + squares) / weight - mean * mean
    if not variance > 0.0:  # sums that no trades can have
        return math.nan
    return 0.5 * math.erfc(-mean / math.sqrt(variance / (weight + 1.0)) / math.sqrt(2.0))


def drawdown_exponent(max_drawdown: float) -> float:
    """Exponent lambda = ln(beta) / ln(alpha) of the drawdown constraint; alpha = 1 - limit, beta = 10 % (quant 2.2)."""
    assert 0.005 <= max_drawdown < 1.0, "a drawdown limit is a fraction from 0.005"
    return math.log(DRAWDOWN_CHANCE) / math.log(1.0 - max_drawdown)


def constrained_fraction(win_rate: float, payoff: float, max_drawdown: float) -> float:
    """Largest share at risk whose chance of ever falling by the limit is at most 10 %; 0 without an edge.

    Solves p (1 + f W)^-lambda + (1 - p) (1 - f)^-lambda = 1 by bisection (Busseti, Ryu and Boyd 2016,
    Risk-Constrained Kelly Gambling, arXiv 1603.06183).
    """
    assert 0.0 <= win_rate < 1.0, "a win rate is a fraction below 1"
    power = -drawdown_exponent(max_drawdown)
    low = 0.0
    high = 1.0
    for _ in range(BISECTION_STEPS):
        middle = 0.5 * (low + high)
        if win_rate * (1.0 + middle * payoff) ** power + (1.0 - win_rate) * (1.0 - middle) ** power < 1.0:
            low = middle
        else:
            high = middle
    return low


def constrained_by_results(
    results: Sequence[float], weights: Sequence[float], max_drawdown: float, asked: float
) -> float:
    """Largest share at risk up to ``asked`` with E (1 + f R)^-lambda <= 1, over results and the imagined trades.

    As in ``constrained_fraction``; the mean is convex in f and 1 at 0: one look tells whether ``asked`` will do.
    """
    power = -drawdown_exponent(max_drawdown)
    total = PRIOR_TRADES
    worst = 1.0
    for i in range(len(results)):
        total += weights[i]
        worst = max(worst, -results[i])
    if asked * worst < 1.0 and wealth_moment(results, weights, asked, power) < total:
        return asked
    low = 0.0
    high = 1.0 / worst  # there the worst result costs everything
    for _ in range(BISECTION_STEPS):
        middle = 0.5 * (low + high)
        if wealth_moment(results, weights, middle, power) < total:
            low = middle
        else:
            high = middle
    return low


def wealth_moment(results: Sequence[float], weights: Sequence[float], share: float, power: float) -> float:
    """Weighted sum of (1 + f R)^power over results and the imagined trades, at the share ``f`` at risk."""
    prior_wins = PRIOR_TRADES / (1.0 + PRIOR_PAYOFF)
    total = prior_wins * math.pow(1.0 + share * PRIOR_PAYOFF, power)
    total += (PRIOR_TRADES - prior_wins) * math.pow(1.0 - share, power)
    for i in range(len(results)):
        total += weights[i] * math.pow(1.0 + share * results[i], power)
    return total


def edge_brake(trades: int, chance: float) -> float:
    """Factor on all sizes from 20 closed trades on: 0.5 where the chance of an edge is below 50 %, 0 below 25 %.

    Its release is ``result_weight``: ``trades`` counts every trade ever closed, while the chance is that
    of a record which forgets. At half size new results decide; at 0, where none come, the old ones
    fade until the chance is 25 % again (quant 2.1). A chance that cannot be computed brakes fully.
    """
    if math.isnan(chance):
        return 0.0
    if trades < BRAKE_TRADES or chance >= BRAKE_HALF:
        return 1.0
    return 0.5 if chance >= BRAKE_FULL else 0.0


def confidence(wins: float, losses: float, break_even: float) -> float:
    """Probability that the win rate is above ``break_even``, the one at which a trade pays its costs (quant 2.7).

    The prior is Beta(20 p, 20 (1 - p)) around that win rate, so that a record of nothing says about one half.
    """
    assert 0.0 < break_even < 1.0, "a win rate is a fraction"
    return 1.0 - incomplete_beta(
        break_even, PRIOR_TRADES * break_even + wins, PRIOR_TRADES * (1.0 - break_even) + losses
    )


def days_until_release(wins: float, losses: float, payoff: float) -> int:
    """Days without new results after which the record has faded enough for half size; 0 where it is allowed now.

    At most 3650.
    """
    zero_edge = 1.0 / (1.0 + payoff)
    for day in range(MAX_RELEASE_DAYS):
        weight = result_weight(float(day))
        alpha = PRIOR_TRADES * zero_edge + weight * wins
        beta = PRIOR_TRADES * (1.0 - zero_edge) + weight * losses
        if 1.0 - incomplete_beta(zero_edge, alpha, beta) >= BRAKE_FULL:
            return day
    return MAX_RELEASE_DAYS


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b): the probability that a Beta(a, b) value is below x.

    Continued fraction DLMF 8.17.22, evaluated by the modified Lentz method; I_x(a, b) = 1 - I_(1-x)(b, a)
    where that converges faster (Press et al., Numerical Recipes, section 6.4).
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(1.0 - x)
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * beta_fraction(x, a, b) / a
    return 1.0 - math.exp(log_front) * beta_fraction(1.0 - x, b, a) / b


def beta_fraction(x: float, a: float, b: float) -> float:
    """Evaluate the continued fraction of the incomplete beta function, for x below (a + 1) / (a + b + 2)."""
    tiny = 1e-300
    c = 1.0
    d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0), tiny)
    value = d
    for m in range(1, 1001):
        even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        d = 1.0 / away_from_zero(1.0 + even * d, tiny)
        c = away_from_zero(1.0 + even / c, tiny)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        d = 1.0 / away_from_zero(1.0 + odd * d, tiny)
        c = away_from_zero(1.0 + odd / c, tiny)
        value *= d * c
        if abs(d * c - 1.0) < 1e-14:
            break
    return value


def away_from_zero(value: float, tiny: float) -> float:
    """Return the value, or ``tiny`` where it is too near zero to divide by."""
    return tiny if abs(value) < tiny else value
