"""What is remembered of an account's tier between checks and between runs.

The only form in which it is stored is the JSON of ``TierState.to_json``; its keys are a contract.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bot.domain.tier import ScalingTier
from bot.scaling.transitions import Direction, Transition, check

STATE_SCHEMA_VERSION = 1
HISTORY_LENGTH_MAX = 200
"""Entries kept; older ones are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierChange:
    """One entry of the upgrade history; ``from_tier`` is None for the first; ``equity`` in USD."""

    timestamp: datetime
    from_tier: str | None
    to_tier: str
    equity: float
    direction: Direction

    def to_dict(self) -> dict[str, object]:
        """All fields as JSON values; the timestamp is ISO 8601 in UTC."""
        return {
            "timestamp": self.timestamp.astimezone(UTC).isoformat(),
            "from_tier": self.from_tier,
            "to_tier": self.to_tier,
            "equity": self.equity,
            "direction": self.direction.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TierState:
    """The tier by name, the last usable equity in USD, and how the account came here."""

    current_tier: str | None = None
    last_equity: float | None = None
    last_upgrade_time: datetime | None = None
    upgrade_history: tuple[TierChange, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Contents of the state file."""
        return {
            "schema_version": STATE_SCHEMA_VERSION,
            "current_tier": self.current_tier,
            "last_equity": self.last_equity,
            "last_upgrade_time": self.last_upgrade_time and self.last_upgrade_time.astimezone(UTC).isoformat(),
            "upgrade_history": [change.to_dict() for change in self.upgrade_history],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> TierState:
        """Read what ``to_json`` wrote; {} is the state before the first check.

        Raises ValueError naming the key whose value cannot be used.
        """
        return cls(
            current_tier=_optional_name(document, "current_tier"),
            last_equity=None if document.get("last_equity") is None else _equity(document, "last_equity"),
            last_upgrade_time=None
            if document.get("last_upgrade_time") is None
            else _timestamp(document, "last_upgrade_time"),
            upgrade_history=_history(document),
        )


def apply(
    state: TierState, equity: float, tiers: Sequence[ScalingTier], now: datetime, *, force: bool = False
) -> tuple[Transition, TierState]:
    """Check ``equity`` (USD) and give the transition together with the state to save.

    An unusable equity leaves the state as it is. ``last_upgrade_time`` moves with upgrades only; the
    history holds downgrades too.
    """
    assert now.tzinfo is not None, "now must be tz-aware"
    transition = check(state.current_tier, equity, tiers, force=force)
    if not (math.isfinite(equity) and equity >= 0):
        return transition, state
    state = replace(state, last_equity=equity)
    if transition.new is None or transition.direction is None:
        return transition, state
    change = TierChange(
        timestamp=now,
        from_tier=state.current_tier,
        to_tier=transition.new.name,
        equity=equity,
        direction=transition.direction,
    )
    return transition, replace(
        state,
        current_tier=change.to_tier,
        last_upgrade_time=now if change.direction is Direction.UP else state.last_upgrade_time,
        upgrade_history=(*state.upgrade_history, change)[-HISTORY_LENGTH_MAX:],
    )


def _history(document: Mapping[str, object]) -> tuple[TierChange, ...]:
    value = document.get("upgrade_history", [])
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return tuple(_tier_change(entry) for entry in value[-HISTORY_LENGTH_MAX:])
    raise ValueError("upgrade_history: must be a list of objects")


def _tier_change(entry: Mapping[str, object]) -> TierChange:
    to_tier = _optional_name(entry, "to_tier")
    if to_tier is None:
        raise ValueError("to_tier: must be the name of a tier, was missing")
    direction = entry.get("direction")
    if not isinstance(direction, str) or direction not in {member.value for member in Direction}:
        raise ValueError(f"direction: must be up or down, was {direction!r}")
    return TierChange(
        timestamp=_timestamp(entry, "timestamp"),
        from_tier=_optional_name(entry, "from_tier"),
        to_tier=to_tier,
        equity=_equity(entry, "equity"),
        direction=Direction(direction),
    )


def _optional_name(document: Mapping[str, object], key: str) -> str | None:
    value = document.get(key)
    if value is None or (isinstance(value, str) and value):
        return value
    raise ValueError(f"{key}: must be the name of a tier or null, was {value!r}")


def _equity(document: Mapping[str, object], key: str) -> float:
    value = document.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max:
        return float(value)
    raise ValueError(f"{key}: must be USD >= 0, was {value!r}")


def _timestamp(document: Mapping[str, object], key: str) -> datetime:
    value = document.get(key)
    try:
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{key}: must be an ISO 8601 time with its time zone, was {value!r}")
