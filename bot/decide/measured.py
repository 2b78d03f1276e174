"""Risk:reward as the account's own trades have shown it, for rules that have no price target.

A trend allocation sells when the trend weakens, not at a price, so its reward cannot be read off a
chart: it is what wins have brought against what losses have cost, in the place of targets and stop
(quant, correction 2). The numbers of trades and the fading are our own choice.
"""

import math
from collections.abc import Sequence

from bot.decide.kelly import result_weight

NEEDED_TRADES = 20.0
"""Fewer say too little: the gate abstains."""

COUNTED_TRADES = 40
"""The newest trades that are looked at."""


def trades_that_count(trades: int, idle_days: float) -> float:
    """Weight of a record in trades; it halves in 180 days without a new one.

    Without that fading a gate that refuses everything would never learn better: no entry, no result.
    """
    return min(trades, COUNTED_TRADES) * result_weight(idle_days)


def measured_reward(results: Sequence[float], idle_days: float) -> float:
    """Mean win over mean loss of results in R, oldest first; infinite without a loss, 0 without a win.

    NaN where fewer than 20 trades count.
    """
    if trades_that_count(len(results), idle_days) < NEEDED_TRADES:
        return math.nan
    wins = 0.0
    losses = 0.0
    winners = 0
    losers = 0
    for i in range(max(0, len(results) - COUNTED_TRADES), len(results)):
        if results[i] > 0.0:
            wins += results[i]
            winners += 1
        else:
            losses -= results[i]
            losers += 1
    if winners == 0:
        return 0.0
    if losses <= 0.0:
        return math.inf
    return (wins / winners) / (losses / losers)
