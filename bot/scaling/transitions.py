"""When an account changes its tier: up at the threshold, down below 95 % of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.tier import ScalingTier
from bot.scaling.ladder import activation_equity, tier_for, tier_named

DOWNGRADE_FRAC = 0.95
"""A tier is kept down to this share of its threshold, so that it does not flap."""

FLOOR_FRAC = 1 - 0.12
"""Share of the activation equity at which an active account becomes close-only (12 % is MAX_DRAWDOWN).

Without it the first fee on $15 would end trading for ever.
"""


class Direction(StrEnum):
    """Which way a tier changed."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """Result of one check.

    ``scaled``: an upgrade, or a forced check; it is what gets announced. ``direction`` is None where
    the tier stays. ``close_only``: this equity allows no entry, whatever the tier (inactive, below the
    floor, or not a usable number). ``old`` is None before the first check, and for a tier that is no
    longer in the ladder.
    """

    scaled: bool
    old: ScalingTier | None
    new: ScalingTier | None
    direction: Direction | None
    close_only: bool
    reason: str


def floor_equity(tiers: Sequence[ScalingTier]) -> float:
    """USD below which an active account is close-only: 88 % of the activation equity, $13.20."""
    return activation_equity(tiers) * FLOOR_FRAC


def check(current: str | None, equity: float, tiers: Sequence[ScalingTier], *, force: bool = False) -> Transition:
    """Decide which tier follows the one named ``current`` (None: not active yet) at ``equity`` USD.

    An unusable equity (NaN, infinite, negative) changes nothing. An active account never leaves the
    ladder downwards: below its start it stays on the lowest rung, and below the floor it is close-only
    besides. A downgrade goes straight to the rung that the equity reaches. ``force`` applies that rung
    at once, also within the 5 % band; it activates nothing below the activation equity. A ``current``
    that is no longer in the ladder is left without announcement, as a downgrade: that it were an
    upgrade cannot be known.
    """
    old = tier_named(current, tiers)
    refusal = _why_no_tier(current, equity, tiers)
    if refusal:
        return Transition(scaled=False, old=old, new=old, direction=None, close_only=True, reason=refusal)
    new = tier_for(max(equity, activation_equity(tiers)), tiers)
    assert new is not None, "the activation equity reaches the lowest rung"

    scaled = force
    direction: Direction | None = None
    if new.name == current:
        reason = f"${equity:.2f} stays in {new.name}"
    elif current is None or (old is not None and new.min_equity >= old.min_equity):
        scaled, direction = True, Direction.UP
        reason = f"${equity:.2f} reaches {new.name} at ${new.min_equity:.2f}"
    elif old is None:
        direction = Direction.DOWN
        reason = f"tier {current} is no longer in the ladder; ${equity:.2f} is in {new.name}"
    elif equity >= DOWNGRADE_FRAC * old.min_equity and not force:
        new = old
        reason = f"${equity:.2f} keeps {old.name}, which is left below ${DOWNGRADE_FRAC * old.min_equity:.2f}"
    else:
        direction = Direction.DOWN
        reason = f"${equity:.2f} is too little for {old.name} at ${old.min_equity:.2f}; now {new.name}"

    floor = floor_equity(tiers)
    close_only = current is not None and equity < floor
    if close_only:
        reason += f"; below the floor of ${floor:.2f} nothing is opened"
    return Transition(scaled=scaled, old=old, new=new, direction=direction, close_only=close_only, reason=reason)


def _why_no_tier(current: str | None, equity: float, tiers: Sequence[ScalingTier]) -> str:
    start = activation_equity(tiers)
    if not math.isfinite(equity):
        return f"No tier found for equity {equity}: it is not a finite number; nothing changes"
    if equity < 0:
        return f"No tier found for equity ${equity:.2f}: it must not be negative; nothing changes"
    if not tiers:
        return f"No tier found for equity ${equity:.2f}: the ladder has no tiers"
    if current is None and equity < start:
        return f"No tier found for equity ${equity:.2f}: an account becomes active at ${start:.2f}"
    return ""
