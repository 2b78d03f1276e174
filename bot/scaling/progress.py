"""How far it is to the next tier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from bot.domain.tier import ScalingTier
from bot.scaling.ladder import activation_equity, tier_for, tier_named
from bot.scaling.state import TierState


class Progress(TypedDict):
    """Way to the next tier; equities in USD, ``next_tier`` as ``ScalingTier.to_dict`` gives it."""

    current_equity: float
    next_tier: dict[str, object]
    equity_needed: float
    progress_pct: float


def next_tier(state: TierState, tiers: Sequence[ScalingTier]) -> ScalingTier | None:
    """Rung above the current one; for an account without a (known) tier the one it would enter; None at the top."""
    current = tier_named(state.current_tier, tiers)
    if current is None:
        return tier_for(max(state.last_equity or 0.0, activation_equity(tiers)), tiers)
    above = (tier for tier in tiers if tier.min_equity > current.min_equity)
    return min(above, key=lambda tier: tier.min_equity, default=None)


def progress_to_next(state: TierState, tiers: Sequence[ScalingTier]) -> Progress | None:
    """Progress as equity / next threshold, 0 to 100 % (the guide: 75 % at $750 of $1000); None at the top."""
    following = next_tier(state, tiers)
    if following is None:
        return None
    equity = state.last_equity or 0.0
    threshold = following.min_equity
    reached = 1.0 if equity >= threshold else equity / threshold
    return Progress(
        current_equity=equity,
        next_tier=following.to_dict(),
        equity_needed=max(0.0, threshold - equity),
        progress_pct=100.0 * reached,
    )
