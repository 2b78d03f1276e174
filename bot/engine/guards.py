"""The guards: each limit read, what it means for the mode, and its events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from bot.decide.risk import Limit, activation_limit, lower_limit, upper_limit
from bot.domain.modes import EngineMode
from bot.domain.refusal import GuardReading, RefusalCode
from bot.engine.config import EngineConfig
from bot.engine.state import EngineState, parse_time

LOSS_STREAK_PAUSE = timedelta(hours=24)
"""The later of 24 hours and the next daily close, which is never more than 24 hours away."""


class Guards:
    """Reads the limits once a cycle and says what may be done. Everything it latches is in the state."""

    def __init__(self, config: EngineConfig, state: EngineState) -> None:
        self._config = config
        self._state = state
        self.readings: list[GuardReading] = []
        self.mode = EngineMode.HALTED
        self.reason = "starting: no venue has been asked yet"

    def evaluate(
        self,
        *,
        now: datetime,
        equity: float,
        drawdown: float,
        daily_loss: float,
        losses_in_a_row: int,
        cash_frac: float,
        positions: int,
        max_positions: int,
        waiting_for: str,
        frozen: bool,
    ) -> None:
        """Read every limit and derive the mode.

        ``drawdown``, ``daily_loss`` and ``cash_frac`` are fractions; ``waiting_for`` names the
        accounts that have not answered since the start; ``frozen`` (a transfer is pending, or something
        that is held has no price) keeps the latches as they are.
        """
        config, state = self._config, self._state
        day = upper_limit(daily_loss, config.daily_loss_frac)
        drop = upper_limit(drawdown, config.drawdown_frac)
        if not frozen:
            self._latch(now, equity, day, drop, losses_in_a_row)
        blocked_until = parse_time(state.streak_blocked_until)
        day_active = state.daily_loss_day == _utc_day(now)
        activation = activation_limit(equity, int(state.activated), config.min_equity_usd, config.drawdown_frac)
        cash = lower_limit(cash_frac, config.cash_buffer_frac)
        self.readings = [
            _reading(
                "daily_loss", day, "pct", factor=100.0, active=day_active, action="no entries until the next UTC day"
            ),
            _reading(
                "drawdown",
                drop,
                "pct",
                factor=100.0,
                active=state.halted_by == "drawdown",
                action="halted until `resume --reset-drawdown`",
            ),
            GuardReading(
                name="loss_streak",
                used=float(losses_in_a_row),
                limit=float(config.max_losses),
                unit="count",
                active=blocked_until is not None and now < blocked_until,
                action="no entries for a day, then one at half size",
            ),
            _reading(
                "cash_buffer",
                cash,
                "pct",
                factor=100.0,
                active=bool(cash.active),
                action="no entries until cash is back above it",
            ),
            GuardReading(
                name="positions",
                used=float(positions),
                limit=float(max_positions),
                unit="count",
                active=0 < max_positions <= positions,
                action="no new coin until one is sold",
            ),
            _reading(
                "activation",
                activation,
                "usd",
                factor=1.0,
                active=bool(activation.active),
                action="positions are only closed",
            ),
        ]
        self.mode, self.reason = self._mode(now, waiting_for, day_active, bool(activation.active))

    def _latch(self, now: datetime, equity: float, day: Limit, drop: Limit, losses: int) -> None:
        state = self._state
        if equity >= self._config.min_equity_usd:
            state.activated = True
        if day.active:
            state.daily_loss_day = _utc_day(now)
        if drop.active and state.halted_by == "":
            state.halted_by = "drawdown"
        if losses >= self._config.max_losses:
            state.streak_blocked_until = (now + LOSS_STREAK_PAUSE).isoformat()
            # Just after now: a loss of this very moment is forgiven too, or it would begin the pause anew.
            state.streak_counts_from = (now + timedelta(microseconds=1)).isoformat()
            state.half_size_next = True

    def _mode(self, now: datetime, waiting_for: str, day_active: bool, inactive: bool) -> tuple[EngineMode, str]:
        state = self._state
        if waiting_for:
            return EngineMode.HALTED, f"waiting for {waiting_for} to answer for the first time"
        if state.halted_by == "drawdown":
            return EngineMode.HALTED, "the drawdown limit was reached; `resume --reset-drawdown` ends the halt"
        if state.halted_by == "fault":
            return EngineMode.HALTED, "halted by an error inside the program; see the log, then `resume`"
        if state.halted_by:
            return EngineMode.HALTED, "halted by the user; `resume` ends the halt"
        if state.flatten:
            return EngineMode.REDUCE_ONLY, "flatten: everything is being sold"
        if state.paused:
            return EngineMode.REDUCE_ONLY, "paused by the user; `resume` ends the pause"
        if day_active:
            return EngineMode.REDUCE_ONLY, "the daily loss limit was reached; entries again on the next UTC day"
        if inactive:
            return EngineMode.REDUCE_ONLY, "equity is below the minimum for trading; positions are only closed"
        last_possible = parse_time(state.last_possible_order_at)
        # Without a reason the last decision found an order possible, however long ago (halts, a bot that was off).
        stalled_after = timedelta(days=self._config.stall_days)
        if state.stall_reason and last_possible is not None and now - last_possible >= stalled_after:
            return EngineMode.STALLED, state.stall_reason
        return EngineMode.ACTIVE, ""

    def entry_block(self, now: datetime) -> tuple[RefusalCode, float, float, str] | None:
        """Why nothing may be entered now on any account: (code, limit, actual, unit), or None."""
        by_name = {reading.name: reading for reading in self.readings}
        state = self._state
        blocked_until = parse_time(state.streak_blocked_until)
        pending_until = parse_time(state.transfer_pending_until)
        if state.halted_by == "drawdown":
            return _block(RefusalCode.DRAWDOWN, by_name["drawdown"])
        if state.halted_by or state.paused or state.flatten or self.mode is EngineMode.HALTED:
            return RefusalCode.PAUSED_BY_USER, 0.0, 0.0, "count"
        if by_name["daily_loss"].active:
            return _block(RefusalCode.DAILY_LOSS, by_name["daily_loss"])
        if by_name["activation"].active:
            return _block(RefusalCode.BELOW_ACTIVATION, by_name["activation"])
        if blocked_until is not None and now < blocked_until:
            hours = (blocked_until - now).total_seconds() / 3600
            return RefusalCode.LOSS_STREAK, 0.0, hours, "hours"
        if pending_until is not None and now < pending_until:
            hours = (pending_until - now).total_seconds() / 3600
            return RefusalCode.TRANSFER_PENDING, 0.0, hours, "hours"
        return None

    def changed(self, known_active: list[str]) -> Mapping[str, GuardReading]:
        """Guards whose activity differs from ``known_active``, by name."""
        return {r.name: r for r in self.readings if r.active != (r.name in known_active)}


def _reading(name: str, limit: Limit, unit: str, *, factor: float, active: bool, action: str) -> GuardReading:
    return GuardReading(
        name=name, used=limit.used * factor, limit=limit.limit * factor, unit=unit, active=active, action=action
    )


def _block(code: RefusalCode, reading: GuardReading) -> tuple[RefusalCode, float, float, str]:
    return code, reading.limit, reading.used, reading.unit


def _utc_day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()
