"""The trained model at run time: a logistic function of ten numbers, too little work for an array library.

It is trained elsewhere (``bot.backtest.train``) and stored as its coefficients.
"""

import math
from collections.abc import Sequence


def probability(
    means: Sequence[float],
    scales: Sequence[float],
    weights: Sequence[float],
    intercept: float,
    features: Sequence[float],
) -> float:
    """Probability that an entry ends above its costs: logistic of the standardised features; NaN abstains.

    1 / (1 + exp(-(b + sum of w (x - mean) / scale))). NaN where a feature is NaN.
    """
    assert len(features) == len(weights), "one feature for each weight"
    total = intercept
    for k in range(len(weights)):
        total += weights[k] * (features[k] - means[k]) / scales[k]
    if total >= 0.0:
        return 1.0 / (1.0 + math.exp(-total))
    power = math.exp(total)  # exp of a large number would overflow
    return power / (1.0 + power)
