"""The trained model's word on an entry, where it has one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bot.decide.model import probability
from bot.domain.model_card import ModelCard


def model_verdict(card: ModelCard | None, features: Sequence[float]) -> tuple[float, bool]:
    """Probability that the entry ends above its costs, and whether the model is armed.

    NaN is an abstention: no model, one that is not armed, or a history too short for its features.
    """
    if card is None or not card.armed:
        return math.nan, False
    return probability(card.means, card.scales, card.weights, card.intercept, features), True
