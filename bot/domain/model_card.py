"""A trained model with everything that must be known before it is believed, and the rule that arms it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

MIN_AUC = 0.55
"""Must be exceeded (quant 2.7)."""
MIN_EVENTS = 200


class Condition(NamedTuple):
    """One condition of arming: ``value`` against ``limit``."""

    name: str
    value: float
    limit: float
    met: bool


def arming(auc: float, brier: float, base_brier: float, events: int) -> tuple[Condition, Condition, Condition]:
    """Hold figures from out of sample against the three conditions; the model is armed where all are met.

    The AUC above 0.55, the Brier score below that of the base rate, and 200 events (quant 2.7). NaN meets nothing.
    """
    return (
        Condition("auc", auc, MIN_AUC, auc > MIN_AUC),
        Condition("brier", brier, base_brier, brier < base_brier),
        Condition("events", events, MIN_EVENTS, events >= MIN_EVENTS),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the model said of events that came after all it was trained on, and what happened."""

    from_at: datetime
    to_at: datetime
    """First and last tested entry."""
    signals: int
    """Tested events; those of one coin may overlap."""
    events: int
    """Those of them that one account could have traded: each begins after the one before it has ended."""
    wins: int
    """Of the signals."""
    auc: float
    auc_low: float
    auc_high: float
    """90 %, by drawing whole months."""
    brier: float
    base_brier: float
    """Of always saying the share of wins in what was trained on."""
    confident: int
    """Signals with a probability of at least 0.70."""
    confident_wins: int
    shuffled_auc: float
    """What cross-validation that shuffles events says of the same model: too good, and no evidence."""
    in_sample_auc: float
    """Of the final model on what it was trained on: no evidence either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A logistic model, where it comes from and what it is worth."""

    predicts: str
    trained_at: datetime
    features: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    source: str
    coins: tuple[str, ...]
    from_at: datetime
    to_at: datetime
    """Of the daily candles."""
    files: tuple[tuple[str, str], ...]
    """Name and SHA-256 of each candle file."""
    fee_in_frac: float
    fee_out_frac: float
    slippage_frac: float
    """Of a round trip."""
    signals: int
    """That the final model was trained on."""
    wins: int
    evaluation: Evaluation
    limits: tuple[str, ...]
    """What it cannot know, in plain words."""

    @property
    def conditions(self) -> tuple[Condition, Condition, Condition]:
        """The conditions of arming with this model's figures."""
        of = self.evaluation
        return arming(of.auc, of.brier, of.base_brier, of.events)

    @property
    def armed(self) -> bool:
        """Whether it may be listened to; else it abstains."""
        return all(condition.met for condition in self.conditions)
