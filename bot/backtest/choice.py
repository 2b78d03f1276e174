"""Which strategy is the default: a rule that was written down before anything was computed by it.

Candidates, in the order in which they are preferred: trend allocation with all signals of the guide, trend
allocation on the trend alone, breakout with all signals, breakout on the trend alone. They run without a break
over daily candles from 2018-09-01 to 2024-12-31 (the year before is warm-up), with $250 at Kraken's fees, and
over every window of twelve months in that time. The rule:

1. A candidate qualifies where the median window gains after fees and no fall of the whole run exceeds the limit
   of 12 %.
2. The first that qualifies is taken. One further down takes its place only where its daily returns were higher
   by more than chance: the 90 % range of the mean difference, day by day, over resampled blocks, lies above 0.
3. Where none qualifies the first candidate stays, and it is said that none did.

Every candidate counts as a look, beside the 170 of quant 4g and the 245 of its correction 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.backtest import metrics
from bot.backtest.bootstrap import Histories, resample
from bot.backtest.result import BLOCK_DAYS

FIRST_DAY = "2018-09-01"
LAST_DAY = "2024-12-31"
EQUITY_USD = 250
ACCOUNT = "kraken"
ALL_SIGNALS = {"SIGNAL_ENSEMBLE": "True", "MARKET_REGIME_ENGINE": "True", "AI_TRADE_FILTER": "True"}
TREND_ALONE = {"SIGNAL_ENSEMBLE": "False", "MARKET_REGIME_ENGINE": "False", "AI_TRADE_FILTER": "False"}
CANDIDATES = {
    "allocation, all signals": {"STRATEGY": "allocation", **ALL_SIGNALS},
    "allocation, trend alone": {"STRATEGY": "allocation", **TREND_ALONE},
    "breakout, all signals": {"STRATEGY": "breakout", **ALL_SIGNALS},
    "breakout, trend alone": {"STRATEGY": "breakout", **TREND_ALONE},
}
"""Settings of each, in the order in which they are preferred."""

MAX_DRAWDOWN = 0.12
HISTORIES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a candidate did."""

    name: str
    returns: tuple[float, ...]
    """By day, of the run without a break; of the same days for all candidates."""
    drawdown: float
    median: float
    """Return of the median window of twelve months."""

    @property
    def qualifies(self) -> bool:
        """Whether the median window gains and no fall exceeds the limit."""
        return self.median > 0.0 and self.drawdown <= MAX_DRAWDOWN


def difference(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """90 % range of the mean by which ``one`` exceeds ``other`` a day (stationary bootstrap of paired days)."""
    assert len(one) == len(other), "the same days"
    days = len(one)
    changes = [a - b for a, b in zip(one, other, strict=True)]
    found = Histories(*([0.0] * HISTORIES for _ in Histories._fields))
    resample(changes, days, days, BLOCK_DAYS, 1, found, [0.0] * days)
    mean = sorted(found.mean)
    return metrics.quantile(mean, 0.05), metrics.quantile(mean, 0.95)


def choose(tried: Sequence[Tried]) -> tuple[Tried, bool]:
    """Return the default by the rule above, and whether it qualifies; ``tried`` is in the order of preference."""
    chosen: Tried | None = None
    for candidate in tried:
        if not candidate.qualifies:
            continue
        if chosen is None or difference(candidate.returns, chosen.returns)[0] > 0.0:
            chosen = candidate
    return (tried[0], False) if chosen is None else (chosen, True)
