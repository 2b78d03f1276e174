"""The account's tier in the running bot: read from its state file, moved on fresh totals only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.domain.tier import UNRANKED, ScalingTier
from bot.ports import StateFile
from bot.scaling.ladder import tier_named
from bot.scaling.state import TierState, apply

EQUITY_SAVED_EVERY = timedelta(days=1)
"""A changed tier is saved at once; the last equity is a convenience and is saved this often."""


class TierKeeper:
    """Holds the tier state and saves it when it changes."""

    def __init__(self, state_file: StateFile, tiers: Sequence[ScalingTier]) -> None:
        self._file = state_file
        self._tiers = tiers
        self.state = TierState.from_json(state_file.load())
        self._saved = self.state
        self._saved_at: datetime | None = None
        self._changed = False
        self._checked_at: datetime | None = None

    @property
    def current(self) -> ScalingTier | None:
        """Tier that applies, None before the first usable check."""
        return tier_named(self.state.current_tier, self._tiers)

    @property
    def current_name(self) -> str:
        """Name of the tier, UNRANKED before the first usable check."""
        return self.state.current_tier or UNRANKED.name

    def check(self, equity: float, now: datetime) -> str:
        """Move the tier to where the equity (USD, fresh) belongs; returns ``A -> B`` or ''."""
        before = self.current_name
        _, self.state = apply(self.state, equity, self._tiers, now)
        self._checked_at = now
        changed = self.current_name != before
        self._changed = self._changed or changed
        return f"{before} -> {self.current_name}" if changed else ""

    def save(self, *, force: bool = False) -> None:
        """Write the file where the tier changed, where the equity is a day old, or on ``force``."""
        if self.state == self._saved:
            return
        last, newest = self._saved_at, self._checked_at
        due = last is None or newest is None or newest - last >= EQUITY_SAVED_EVERY
        if force or self._changed or due:
            self._file.save(self.state.to_json())
            self._saved = self.state
            self._saved_at = self._checked_at
            self._changed = False
