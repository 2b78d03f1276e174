"""The ladder of tiers and the lookup of a rung; equities in USD."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bot.domain.tier import ScalingTier

ACTIVATION_EQUITY_USD = 15.0
"""An account becomes active here (the guide's MIN_BALANCE_TO_TRADE)."""

SCALING_TIERS: list[ScalingTier] = [
    ScalingTier(
        name="STARTER",
        min_equity=15.0,
        max_equity=250.0,
        max_positions=2,
        risk_per_trade=3.0,
        copy_trading=False,
        leverage_enabled=False,
        description="Starting point with two positions at a time",
    ),
    ScalingTier(
        name="GROWTH",
        min_equity=250.0,
        max_equity=500.0,
        max_positions=3,
        risk_per_trade=4.0,
        copy_trading=False,
        leverage_enabled=False,
        description="Growing account with a third position",
    ),
    ScalingTier(
        name="ADVANCED",
        min_equity=500.0,
        max_equity=1000.0,
        max_positions=4,
        risk_per_trade=4.0,
        copy_trading=True,
        leverage_enabled=False,
        description="Advanced features with copy trading enabled",
    ),
    ScalingTier(
        name="ELITE",
        min_equity=1000.0,
        max_equity=None,
        max_positions=6,
        risk_per_trade=5.0,
        copy_trading=True,
        leverage_enabled=True,
        description="All features with leverage enabled",
    ),
]
"""The guide's four tiers. A list, because users append their own rungs to it."""


def activation_equity(tiers: Sequence[ScalingTier]) -> float:
    """USD from which an account is ranked: $15, or the lowest rung where a user's ladder starts above it."""
    return max(ACTIVATION_EQUITY_USD, min((tier.min_equity for tier in tiers), default=ACTIVATION_EQUITY_USD))


def tier_for(equity: float, tiers: Sequence[ScalingTier]) -> ScalingTier | None:
    """Rung with the highest ``min_equity`` <= ``equity`` (of equals, the one appended last).

    None for NaN, infinities and anything below the activation equity.
    """
    if not activation_equity(tiers) <= equity < math.inf:
        return None
    reached = (tier for tier in reversed(tiers) if tier.min_equity <= equity)
    return max(reached, key=lambda tier: tier.min_equity, default=None)


def tier_named(name: str | None, tiers: Sequence[ScalingTier]) -> ScalingTier | None:
    """Rung of this name (of equals, the one appended last); None where there is none."""
    return next((tier for tier in reversed(tiers) if tier.name == name), None)
