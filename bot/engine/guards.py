"""The guards: each limit read, what it means for the mode, and its events."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations

from bot.decide import confidence, guards
from bot.decide.guards import Limit
from bot.domain.modes import EngineMode
from bot.domain.refusal import GuardReading, Reason, RefusalCode
from bot.engine.config import EngineConfig
from bot.engine.facts import GuardFacts, QuoteFacts
from bot.engine.flows import TRANSFER_WINDOW
from bot.engine.state import EngineState, parse_time

LOSS_STREAK_PAUSE = timedelta(hours=24)
"""The later of 24 hours and the next daily close, which is never more than 24 hours away."""

REWARD_SHOWN_MAX = 99.0
"""Without a loss the measured reward is infinite, for which JSON has no word."""

_FACTORS = {"pct": 100.0, "hours": 1 / 3600}
"""From the core's fractions and seconds to the unit of a reading."""


class Guards:
    """Reads the limits once a cycle and says what may be done. Everything it latches is in the state."""

    def __init__(self, config: EngineConfig, state: EngineState) -> None:
        self._config = config
        self._state = state
        self._readers: tuple[Callable[[GuardFacts], GuardReading], ...] = (
            self._daily_loss,
            self._drawdown,
            self._loss_streak,
            self._cash_buffer,
            self._positions,
            self._heat,
            self._fee_budget,
            self._venue_minimum,
            self._activation,
            self._risk_reward,
            self._confidence,
            self._expectation,
            self._spread,
            self._price_sanity,
            self._stale_data,
            self._unknown_venue,
            self._errors,
            self._stalled,
        )
        self._by_name: dict[str, GuardReading] = {}
        self.mode = EngineMode.HALTED
        self.reason = "starting: no venue has been asked yet"

    @property
    def readings(self) -> list[GuardReading]:
        """Every limit as it was read last, always in the same order."""
        return list(self._by_name.values())

    def evaluate(self, facts: GuardFacts) -> None:
        """Read every limit and derive the mode."""
        if not facts.frozen:
            self._latch(facts)
        self._by_name = {reading.name: reading for reading in (read(facts) for read in self._readers)}
        self.mode, self.reason = self._mode(facts)

    def _latch(self, facts: GuardFacts) -> None:
        config, state, now = self._config, self._state, facts.now
        if facts.equity >= config.min_equity_usd:
            state.activated = True
        if guards.daily_loss(facts.daily_loss, config.daily_loss_frac).active:
            state.daily_loss_day = _utc_day(now)
        if guards.drawdown(facts.drawdown, config.drawdown_frac).active and state.halted_by == "":
            state.halted_by = "drawdown"
        if facts.falls_short:
            state.below_expectation = True
        if guards.loss_streak(facts.losses_in_a_row, config.max_losses).active:
            state.streak_blocked_until = (now + LOSS_STREAK_PAUSE).isoformat()
            # Just after now: a loss of this very moment is forgiven too, or it would begin the pause anew.
            state.streak_counts_from = (now + timedelta(microseconds=1)).isoformat()
            state.half_size_next = True

    def count_cycle(self, *, failed: bool) -> None:
        """Count a cycle that has ended: too many failed ones in a row end entries, as many good ones allow them.

        Good cycles are counted only while that matters, so that the state of a quiet account stays as it is.
        """
        config, state = self._config, self._state
        if failed:
            state.failed_cycles += 1
            state.good_cycles = 0
            if (
                config.shuts_off_on_errors
                and guards.error_shutoff(state.failed_cycles, config.max_failed_cycles).active
            ):
                state.errors_latched = True
            return
        state.failed_cycles = 0
        if state.errors_latched:
            state.good_cycles += 1
        if state.good_cycles >= config.max_failed_cycles:
            self.forget_errors()

    def forget_errors(self) -> None:
        """Allow entries again after failed cycles, and count from zero."""
        state = self._state
        state.errors_latched = False
        state.failed_cycles = state.good_cycles = 0

    # -- what follows from the limits ------------------------------------------------------------

    def _mode(self, facts: GuardFacts) -> tuple[EngineMode, str]:
        state = self._state
        if facts.waiting_for:
            return EngineMode.HALTED, f"waiting for {facts.waiting_for} to answer for the first time"
        if state.halted_by == "drawdown":
            return EngineMode.HALTED, "the drawdown limit was reached; `resume --reset-drawdown` ends the halt"
        if state.halted_by == "fault":
            return EngineMode.HALTED, "halted by an error inside the program; see the log, then `resume`"
        if state.flatten:
            return EngineMode.HALTED, "flatten: everything is being sold; `halt` stops the selling, `resume` goes on"
        if state.halted_by:
            return EngineMode.HALTED, "halted by the user; `resume` ends the halt"
        reason = self._why_reduce_only()
        if reason:
            return EngineMode.REDUCE_ONLY, reason
        if self._by_name["stalled"].active:
            return EngineMode.STALLED, state.stall_reason
        return EngineMode.ACTIVE, ""

    def _why_reduce_only(self) -> str:
        state = self._state
        if state.paused:
            return "paused by the user; `resume` ends the pause"
        if state.findings:
            return "what a venue holds and the ledger do not agree; `status` says what, and what ends it"
        if self._config.follows_master:
            return "follows a master: this version has no connection to one, so nothing is entered"
        if self._by_name["daily_loss"].active:
            return "the daily loss limit was reached; entries again on the next UTC day"
        if self._by_name["expectation"].active:
            return "results are below what the evidence lets expect; `resume --accept-results` goes on"
        if self._by_name["activation"].active:
            return "equity is below the minimum for trading; positions are only closed"
        if self._by_name["errors"].active:
            most = self._config.max_failed_cycles
            return f"{most} cycles in a row failed; entries again after {most} good ones, or `resume`"
        return ""

    def entry_block(self, now: datetime) -> Reason | None:
        """Why nothing may be entered now on any account: (code, limit, actual, unit), or None."""
        block = self.resting_block(now)
        if block is None and self._state.short_since:  # coins seem to be missing: the second look tells
            return RefusalCode.UNRECONCILED, 0.0, float(len(self._state.short_since)), "count"
        return block

    def resting_block(self, now: datetime) -> Reason | None:
        """Why entries may not even rest; coins that were missed in one look only take nothing back."""
        by_name, state = self._by_name, self._state
        if state.halted_by == "drawdown":
            return _block(RefusalCode.DRAWDOWN, by_name["drawdown"])
        if state.halted_by or state.paused or state.flatten or self.mode is EngineMode.HALTED:
            return RefusalCode.PAUSED_BY_USER, 0.0, 0.0, "count"
        if state.findings:
            return RefusalCode.UNRECONCILED, 0.0, float(len(state.findings)), "count"
        if self._config.follows_master:
            return RefusalCode.FOLLOWS_MASTER, 0.0, 0.0, "count"
        if by_name["daily_loss"].active:
            return _block(RefusalCode.DAILY_LOSS, by_name["daily_loss"])
        if by_name["expectation"].active:
            return _block(RefusalCode.BELOW_EXPECTATION, by_name["expectation"])
        if by_name["activation"].active:
            return _block(RefusalCode.BELOW_ACTIVATION, by_name["activation"])
        if by_name["errors"].active:
            # In good cycles: those are what ends it.
            return RefusalCode.ERROR_SHUTOFF, float(self._config.max_failed_cycles), float(state.good_cycles), "count"
        return self._waiting_block(now)

    def _waiting_block(self, now: datetime) -> Reason | None:
        """What ends with time, or with the next look."""
        state = self._state
        blocked_until = parse_time(state.streak_blocked_until)
        if blocked_until is not None and now < blocked_until:
            hours = (blocked_until - now).total_seconds() / 3600
            return RefusalCode.LOSS_STREAK, 0.0, hours, "hours"
        pending_until = parse_time(state.transfer_pending_until)
        if pending_until is not None and now < pending_until:
            hours = (pending_until - now).total_seconds() / 3600
            return RefusalCode.TRANSFER_PENDING, 0.0, hours, "hours"
        if any(amount.startswith("-") for amount in state.unexplained.values()):
            # Cash is missing, and whether it was withdrawn shows at the second look: sizes on the equity before it
            # would be too large for what is left.
            return RefusalCode.TRANSFER_PENDING, 0.0, TRANSFER_WINDOW / timedelta(hours=1), "hours"
        return None

    def changed(self, known_active: list[str]) -> Mapping[str, GuardReading]:
        """Guards whose activity differs from ``known_active``, by name."""
        return {name: r for name, r in self._by_name.items() if r.active != (name in known_active)}

    # -- the limits, one by one ------------------------------------------------------------------

    def _daily_loss(self, facts: GuardFacts) -> GuardReading:
        limit = guards.daily_loss(facts.daily_loss, self._config.daily_loss_frac)
        latched = self._state.daily_loss_day == _utc_day(facts.now)
        return _reading("daily_loss", limit, "pct", "no entries until the next UTC day", active=latched)

    def _drawdown(self, facts: GuardFacts) -> GuardReading:
        limit = guards.drawdown(facts.drawdown, self._config.drawdown_frac)
        latched = self._state.halted_by == "drawdown"
        return _reading("drawdown", limit, "pct", "halted until `resume --reset-drawdown`", active=latched)

    def _loss_streak(self, facts: GuardFacts) -> GuardReading:
        limit = guards.loss_streak(facts.losses_in_a_row, self._config.max_losses)
        until = parse_time(self._state.streak_blocked_until)
        latched = until is not None and facts.now < until
        return _reading("loss_streak", limit, "count", "no entries for a day, then one at half size", active=latched)

    def _cash_buffer(self, facts: GuardFacts) -> GuardReading:
        limit = guards.cash_buffer(facts.cash_frac, self._config.cash_buffer_frac)
        return _reading("cash_buffer", limit, "pct", "no entries until cash is back above it")

    def _positions(self, facts: GuardFacts) -> GuardReading:
        limit = guards.positions(facts.positions, facts.max_positions)
        return _reading("positions", limit, "count", "no new coin until one is sold")

    def _heat(self, facts: GuardFacts) -> GuardReading:
        config = self._config
        limit = guards.heat(
            facts.heat_usd,
            facts.equity,
            config.daily_loss_frac,
            facts.daily_loss,
            config.drawdown_frac,
            facts.drawdown,
        )
        return _reading("heat", limit, "pct", "no entries: all stops together may cost no more")

    def _fee_budget(self, facts: GuardFacts) -> GuardReading:
        limit = guards.fee_budget(facts.fees_usd, facts.equity, self._config.fee_budget_frac)
        return _reading("fee_budget", limit, "usd", "no entries until the fees are older than 30 days")

    def _venue_minimum(self, facts: GuardFacts) -> GuardReading:
        venues = [venue for venue in facts.venues if venue.minimum_usd > 0.0]
        if not venues:
            return _abstains("venue_minimum", 0.0, "usd", "no account has a minimum")
        limits = [guards.venue_minimum(venue.worth_usd, venue.minimum_usd) for venue in venues]
        worst = max(limits, key=lambda limit: (limit.active, -limit.used / limit.limit))
        about = venues[limits.index(worst)].name
        return _reading("venue_minimum", worst, "usd", "counted, no entries there", about=about)

    def _activation(self, facts: GuardFacts) -> GuardReading:
        config = self._config
        activated = int(self._state.activated)
        limit = guards.activation(facts.equity, activated, config.min_equity_usd, config.drawdown_frac)
        return _reading("activation", limit, "usd", "positions are only closed")

    def _risk_reward(self, facts: GuardFacts) -> GuardReading:
        limit = guards.risk_reward(min(facts.reward, REWARD_SHOWN_MAX), self._config.min_reward)
        return _reading("risk_reward", limit, "ratio", "no entry that promises less", about=facts.reward_about)

    def _confidence(self, facts: GuardFacts) -> GuardReading:
        about, least = facts.confidence_about, self._config.min_confidence
        if not self._config.trade_filter or not confidence.is_armed(facts.confidence):
            return _abstains("confidence", least, "score", about)
        return GuardReading(
            name="confidence",
            used=facts.confidence.chance,
            limit=least,
            unit="score",
            active=confidence.holds_back(facts.confidence, least),
            action="no entries until results are better or have faded",
            about=about,
        )

    def _expectation(self, facts: GuardFacts) -> GuardReading:
        limit = float(confidence.BELOW_TRADES)
        if math.isnan(facts.band.mean) and not self._state.below_expectation:
            return _abstains("expectation", limit, "count", facts.band_about)
        return GuardReading(
            name="expectation",
            used=float(facts.band.below),
            limit=limit,
            unit="count",
            active=self._state.below_expectation,
            action="no entries until `resume --accept-results`",
            about=facts.band_about,
        )

    def _spread(self, facts: GuardFacts) -> GuardReading:
        most = self._config.max_spread_frac
        if not facts.quotes:
            return _abstains("spread", most, "pct", "no price is known")
        limits = [guards.spread(quote.bid, quote.ask, most) for quote in facts.quotes]
        worst = max(limits)  # the active ones first, of those the largest value
        about = _where(facts.quotes[limits.index(worst)])
        return _reading("spread", worst, "pct", "no entry there until it is narrower", about=about)

    def _price_sanity(self, facts: GuardFacts) -> GuardReading:
        most, oldest_s = self._config.max_disagreement_frac, self._config.stale_after_s
        quotes = [quote for quote in facts.quotes if quote.age_s <= oldest_s]  # an old price contradicts nothing
        pairs = [(one, other) for one, other in combinations(quotes, 2) if one.symbol == other.symbol]
        if not pairs:
            return _abstains("price_sanity", most, "pct", "no two venues to compare")
        limits = [guards.price_sanity(_middle(one), _middle(other), most) for one, other in pairs]
        worst = max(limits)
        one, other = pairs[limits.index(worst)]
        about = f"{_where(one)} and {other.account}"
        return _reading("price_sanity", worst, "pct", "no entry in the coin until the venues agree", about=about)

    def _stale_data(self, facts: GuardFacts) -> GuardReading:
        most = self._config.stale_after_s
        if not facts.quotes:
            return _abstains("stale_data", most, "hours", "no price is known")
        limits = [guards.stale_data(quote.age_s, most) for quote in facts.quotes]
        worst = max(limits)
        about = _where(facts.quotes[limits.index(worst)])
        return _reading("stale_data", worst, "hours", "no entry there until a fresh price", about=about)

    def _unknown_venue(self, facts: GuardFacts) -> GuardReading:
        silent = [venue for venue in facts.venues if not venue.fresh]
        limit = guards.unknown_venue(len(silent))
        about = "; ".join(venue.problem or venue.name for venue in silent)
        return _reading("unknown_venue", limit, "count", "no entries there until it answers", about=about)

    def _errors(self, _: GuardFacts) -> GuardReading:
        config, state = self._config, self._state
        limit = guards.error_shutoff(state.failed_cycles, config.max_failed_cycles)
        latched = config.shuts_off_on_errors and state.errors_latched
        about = "" if config.shuts_off_on_errors else "AUTO_SHUTOFF_ON_ERRORS is off: only counted"
        if latched:
            about = f"{state.good_cycles} good ones since"
        action = f"no entries until {config.max_failed_cycles} good cycles in a row"
        return _reading("errors", limit, "count", action, active=latched, about=about)

    def _stalled(self, facts: GuardFacts) -> GuardReading:
        last_possible = parse_time(self._state.last_possible_order_at)
        days = 0.0
        # Without a reason the last decision found an order possible, however long ago (halts, a bot that was off).
        if self._state.stall_reason and last_possible is not None:
            days = (facts.now - last_possible) / timedelta(days=1)
        limit = guards.stalled(days, self._config.stall_days)
        action = "nothing can be entered; the reason names the ways out"
        return _reading("stalled", limit, "days", action, about="counted while nothing is held")


def _reading(
    name: str, limit: Limit, unit: str, action: str, *, active: bool | None = None, about: str = ""
) -> GuardReading:
    """Make a reading; ``active`` where a latch decides and not the value of the moment."""
    factor = _FACTORS.get(unit, 1.0)
    return GuardReading(
        name=name,
        used=limit.used * factor,
        limit=limit.limit * factor,
        unit=unit,
        active=bool(limit.active) if active is None else active,
        action=action,
        about=about,
    )


def _abstains(name: str, limit: float, unit: str, about: str) -> GuardReading:
    return _reading(name, Limit(0, math.nan, limit), unit, "it lets pass", about=about)


def _middle(quote: QuoteFacts) -> float:
    return 0.5 * (quote.bid + quote.ask)


def _where(quote: QuoteFacts) -> str:
    return f"{quote.symbol} on {quote.account}"


def _block(code: RefusalCode, reading: GuardReading) -> Reason:
    return code, reading.limit, reading.used, reading.unit


def _utc_day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()
