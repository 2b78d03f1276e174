"""How well probabilities foretold what happened: ranking (AUC) and squared error (Brier)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bot.backtest.bootstrap import following, seeded
from bot.backtest.metrics import TAIL, quantile

RESAMPLES = 500


def auc(labels: Sequence[int], probabilities: Sequence[float]) -> float:
    """Share of pairs of a won and a lost event in which the won one had the higher probability; ties count half.

    Area under the receiver operating characteristic, from the ranks (Mann and Whitney 1947). 0.5 is no skill; NaN
    where all events ended alike.
    """
    won = sum(labels)
    lost = len(labels) - won
    if not won or not lost:
        return math.nan
    order = sorted(range(len(labels)), key=probabilities.__getitem__)
    ranks, first = 0.0, 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and probabilities[order[last + 1]] == probabilities[order[first]]:
            last += 1
        of_tie = (first + last) / 2 + 1
        ranks += of_tie * sum(labels[order[place]] for place in range(first, last + 1))
        first = last + 1
    return (ranks - won * (won + 1) / 2) / (won * lost)


def brier(labels: Sequence[int], probabilities: Sequence[float]) -> float:
    """Mean squared error of the probabilities (Brier 1950); 0 is perfect, lower is better; NaN without events."""
    if not labels:
        return math.nan
    return sum((p - label) ** 2 for label, p in zip(labels, probabilities, strict=True)) / len(labels)


def auc_range(
    labels: Sequence[int],
    probabilities: Sequence[float],
    groups: Sequence[int],
    *,
    resamples: int = RESAMPLES,
    seed: int = 1,
) -> tuple[float, float]:
    """90 % around the AUC, by drawing whole groups with replacement.

    Events of one ``group`` (a month) are drawn together: coins fall and rise as one, and count as little more than
    one. NaN where all events ended alike.
    """
    members: dict[int, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    parts, state, found = list(members.values()), seeded(seed), []
    for _ in range(resamples):
        drawn: list[int] = []
        for _ in parts:
            state = following(state)
            drawn += parts[state % len(parts)]
        value = auc([labels[place] for place in drawn], [probabilities[place] for place in drawn])
        if not math.isnan(value):
            found.append(value)
    found.sort()
    return quantile(found, TAIL), quantile(found, 1.0 - TAIL)
