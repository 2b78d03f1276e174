"""The signal score: a weighted table of members, each 0 to 1. It has one row so far.

A member that has no value (NaN) is left out and the other weights are scaled up; with no value at
all the score is NaN.
"""

import math
from collections.abc import Sequence

MEMBERS = ("trend",)
WEIGHTS = (1.0,)


def ensemble_score(member_scores: Sequence[float], weights: Sequence[float]) -> float:
    """Weighted mean of the member scores that are numbers, 0 to 1 (quant 2.7)."""
    total = 0.0
    weight_sum = 0.0
    for k in range(len(weights)):
        score = member_scores[k]
        if not math.isnan(score):
            total += weights[k] * score
            weight_sum += weights[k]
    if weight_sum <= 0.0:
        return math.nan
    return total / weight_sum
