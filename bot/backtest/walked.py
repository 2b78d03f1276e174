"""What `walkforward` found: what choosing winners would have brought, window by window and in all."""

from __future__ import annotations

from dataclasses import dataclass

from bot.backtest.compare import Window
from bot.backtest.metrics import Estimate
from bot.backtest.search import Changes
from bot.backtest.sweep import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One window: what was chosen on its train stretch, and what became of it."""

    window: Window
    chosen: Changes
    train: Score
    test: Score
    present: Score
    """The settings as they are, on the test stretch."""
    median_sharpe: float
    """Of the whole grid, on the test stretch."""
    below_median: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stitched:
    """Test stretches one after the other."""

    equities: tuple[float, ...]
    statistics: dict[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """What choosing winners would have brought."""

    tested: tuple[Tested, ...]
    grid: tuple[Changes, ...]
    anchored: bool
    chosen: Stitched
    present: Stitched
    hold: Stitched
    ahead: Estimate
    """By how much choosing was ahead of the settings as they are, a fraction a year."""
    ahead_of_holding: Estimate
    overfit: Estimate
    """Share of windows in which the chosen set was below the median of the grid out of sample."""
    looks: int
    left_over_days: int
    """At the end, in no window."""
    source: str
    timeframe: str
    account: str
    coins: tuple[str, ...]
    runs: int
    candles: int
    """Of all runs."""
    decisions: int
    seconds: float
    compiled: bool
