"""What `optimize` found: a winner where it has searched, and what is left of it where it has not."""

from __future__ import annotations

from dataclasses import dataclass

from bot.backtest.metrics import Estimate
from bot.backtest.search import Changes, Dimension, Found
from bot.backtest.sweep import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One account over one stretch."""

    score: Score
    statistics: dict[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A stretch: the winner, the settings as they are, and holding."""

    start_ms: int
    end_ms: int
    winner: Part
    present: Part
    hold: Part
    """Equal parts of the coins, all of the equity; only its equities are meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimization:
    """What a search found, and what is left of it where it has not searched."""

    found: Found
    winner: Changes
    present: Changes
    """The same settings as they are."""
    space: tuple[Dimension, ...]
    searched: Compared
    held_out: Compared
    ahead: Estimate
    """By how much the winner was ahead on the held-out part, a fraction a year."""
    looks: int
    deflated: float
    """Probability that the winner's Sharpe ratio on the searched part is more than the luck of all looks."""
    first_failure: str
    source: str
    timeframe: str
    account: str
    coins: tuple[str, ...]
    candles: int
    decisions: int
    """Of all runs of the search."""
    seconds: float
    compiled: bool

    @property
    def beats(self) -> bool:
        """Whether the winner was ahead by more than noise."""
        return self.ahead.low > 0.0
