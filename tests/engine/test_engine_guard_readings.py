"""What the guards read from the facts of a cycle, and what follows for the mode, without an engine around them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_rig import make_rig

from bot.decide.confidence import Band, Confidence
from bot.domain.modes import EngineMode
from bot.domain.refusal import GuardReading, RefusalCode
from bot.engine.config import EngineConfig
from bot.engine.facts import GuardFacts, QuoteFacts, VenueFacts
from bot.engine.guards import Guards
from bot.engine.state import EngineState

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)
NAN = math.nan


def a_venue(name: str = "coinbase", worth: float = 100.0, minimum: float = 10.0, *, fresh: bool = True) -> VenueFacts:
    return VenueFacts(name=name, fresh=fresh, problem="", worth_usd=worth, minimum_usd=minimum)


def a_quote(bid: float = 99.95, ask: float = 100.05, **changes: Any) -> QuoteFacts:
    quote = QuoteFacts(account="coinbase", symbol="BTC/USD", bid=bid, ask=ask, age_s=8.0)
    return replace(quote, **changes)


FACTS = GuardFacts(
    now=NOW,
    equity=100.0,
    drawdown=0.0,
    daily_loss=0.0,
    losses_in_a_row=0,
    cash_frac=1.0,
    positions=0,
    max_positions=2,
    heat_usd=0.0,
    fees_usd=0.0,
    venues=[a_venue()],
    quotes=[a_quote()],
    reward=NAN,
    reward_about="3 of 20 trades",
    confidence=Confidence(0.5, 0.0, 0.0),
    confidence_about="not armed",
    band=Band(NAN, NAN, NAN, 0, NAN),
    band_about="no evidence",
    falls_short=False,
    waiting_for="",
    frozen=False,
)


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return make_rig(tmp_path).config


def guards_of(config: EngineConfig, state: EngineState | None = None, **changes: Any) -> Guards:
    guards = Guards(config, EngineState() if state is None else state)
    guards.evaluate(replace(FACTS, **changes))
    return guards


def reading_of(guards: Guards, name: str) -> GuardReading:
    (found,) = [reading for reading in guards.readings if reading.name == name]
    return found


# -- values ----------------------------------------------------------------------------------------


def test_readings_stand_in_a_fixed_order_and_are_calm_in_a_calm_account(config: EngineConfig) -> None:
    guards = guards_of(config)
    assert [reading.name for reading in guards.readings] == [
        "daily_loss",
        "drawdown",
        "loss_streak",
        "cash_buffer",
        "positions",
        "heat",
        "fee_budget",
        "venue_minimum",
        "activation",
        "risk_reward",
        "confidence",
        "expectation",
        "spread",
        "price_sanity",
        "stale_data",
        "unknown_venue",
        "errors",
        "stalled",
    ]
    assert not any(reading.active for reading in guards.readings)
    assert (guards.mode, guards.reason) == (EngineMode.ACTIVE, "")
    assert guards.entry_block(NOW) is None


KRAKEN = a_venue("kraken", 50.0, 50.0)


@pytest.mark.parametrize(
    ("name", "facts", "used", "limit", "active"),
    [
        ("daily_loss", {"daily_loss": 0.0599}, 5.99, 6.0, False),
        ("daily_loss", {"daily_loss": 0.06}, 6.0, 6.0, True),
        ("daily_loss", {"daily_loss": 0.061}, 6.1, 6.0, True),
        ("drawdown", {"drawdown": 0.1199}, 11.99, 12.0, False),
        ("drawdown", {"drawdown": 0.12}, 12.0, 12.0, True),
        ("drawdown", {"drawdown": 0.121}, 12.1, 12.0, True),
        ("loss_streak", {"losses_in_a_row": 2}, 2.0, 3.0, False),
        ("loss_streak", {"losses_in_a_row": 3}, 3.0, 3.0, True),
        ("loss_streak", {"losses_in_a_row": 4}, 4.0, 3.0, True),
        ("cash_buffer", {"cash_frac": 0.151}, 15.1, 15.0, False),
        ("cash_buffer", {"cash_frac": 0.15}, 15.0, 15.0, False),
        ("cash_buffer", {"cash_frac": 0.149}, 14.9, 15.0, True),
        ("cash_buffer", {"cash_frac": NAN}, NAN, 15.0, True),
        ("positions", {"positions": 1}, 1.0, 2.0, False),
        ("positions", {"positions": 2}, 2.0, 2.0, True),
        ("positions", {"positions": 3}, 3.0, 2.0, True),
        ("positions", {"positions": 0, "max_positions": 0}, 0.0, 0.0, False),
        ("heat", {"heat_usd": 5.99}, 5.99, 6.0, False),
        ("heat", {"heat_usd": 6.0}, 6.0, 6.0, True),
        ("heat", {"heat_usd": 6.01}, 6.01, 6.0, True),
        ("heat", {"heat_usd": 4.01, "daily_loss": 0.02}, 4.01, 4.0, True),  # 6 - 2
        ("heat", {"heat_usd": 1.9, "drawdown": 0.1}, 1.9, 2.0, False),  # 12 - 10
        ("heat", {"heat_usd": NAN}, NAN, 6.0, True),
        ("fee_budget", {"fees_usd": 0.99}, 0.99, 1.0, False),
        ("fee_budget", {"fees_usd": 1.0}, 1.0, 1.0, True),
        ("fee_budget", {"fees_usd": 1.01}, 1.01, 1.0, True),
        ("fee_budget", {"fees_usd": NAN}, NAN, 1.0, True),
        ("venue_minimum", {"venues": [a_venue(worth=10.0)]}, 10.0, 10.0, False),
        ("venue_minimum", {"venues": [a_venue(worth=9.99)]}, 9.99, 10.0, True),
        ("venue_minimum", {"venues": [a_venue(), replace(KRAKEN, worth_usd=49.0)]}, 49.0, 50.0, True),
        ("venue_minimum", {"venues": [a_venue(worth=1e3), KRAKEN]}, 50.0, 50.0, False),
        ("venue_minimum", {"venues": [a_venue(worth=0.0)]}, 0.0, 10.0, True),
        ("venue_minimum", {"venues": [a_venue(worth=NAN)]}, NAN, 10.0, True),
        ("activation", {"equity": 15.0}, 15.0, 13.2, False),  # reached: from now on 15 * 0.88
        ("activation", {"equity": 14.99}, 14.99, 15.0, True),
        ("activation", {"equity": NAN}, NAN, 15.0, True),
        ("risk_reward", {"reward": 1.81}, 1.81, 1.8, False),
        ("risk_reward", {"reward": 1.8}, 1.8, 1.8, False),
        ("risk_reward", {"reward": 1.79}, 1.79, 1.8, True),
        ("risk_reward", {"reward": NAN}, NAN, 1.8, False),  # abstains
        ("risk_reward", {"reward": math.inf}, 99.0, 1.8, False),
        ("confidence", {}, NAN, 0.7, False),  # abstains
        ("spread", {"quotes": [a_quote(99.8, 100.2)]}, 0.4, 0.5, False),
        ("spread", {"quotes": [a_quote(99.75, 100.25)]}, 0.5, 0.5, False),
        ("spread", {"quotes": [a_quote(99.7, 100.3)]}, 0.6, 0.5, True),
        ("spread", {"quotes": [a_quote(), a_quote(NAN, 100.0)]}, NAN, 0.5, True),
        ("spread", {"quotes": []}, NAN, 0.5, False),  # abstains
        ("price_sanity", {"quotes": [a_quote(), a_quote(account="kraken")]}, 0.0, 2.0, False),
        ("price_sanity", {"quotes": [a_quote(100, 100), a_quote(102, 102, account="kraken")]}, 2.0, 2.0, False),
        ("price_sanity", {"quotes": [a_quote(100, 100), a_quote(103, 103, account="kraken")]}, 3.0, 2.0, True),
        ("price_sanity", {"quotes": [a_quote(103, 103), a_quote(100, 100, account="kraken")]}, 3.0, 2.0, True),
        ("price_sanity", {"quotes": [a_quote(), a_quote(NAN, NAN, account="kraken")]}, NAN, 2.0, True),
        ("price_sanity", {"quotes": [a_quote(), a_quote(50, 50, symbol="ETH/USD")]}, NAN, 2.0, False),  # abstains
        # an old price contradicts nothing
        ("price_sanity", {"quotes": [a_quote(), a_quote(50, 50, account="kraken", age_s=901.0)]}, NAN, 2.0, False),
        ("stale_data", {"quotes": [a_quote(age_s=900.0)]}, 0.25, 0.25, False),
        ("stale_data", {"quotes": [a_quote(age_s=1800.0), a_quote()]}, 0.5, 0.25, True),
        ("stale_data", {"quotes": []}, NAN, 0.25, False),  # abstains
        ("unknown_venue", {"venues": [a_venue(), KRAKEN]}, 0.0, 1.0, False),
        ("unknown_venue", {"venues": [a_venue(), replace(KRAKEN, fresh=False)]}, 1.0, 1.0, True),
    ],
)
def test_reading_shows_used_and_limit_in_its_unit(
    config: EngineConfig, name: str, facts: dict[str, Any], *, used: float, limit: float, active: bool
) -> None:
    reading = reading_of(guards_of(config, **facts), name)
    assert reading.used == pytest.approx(used, rel=1e-9, abs=1e-9, nan_ok=True)
    assert reading.limit == pytest.approx(limit, rel=1e-9)
    assert reading.active is active


def test_reading_of_several_names_the_worst(config: EngineConfig) -> None:
    quotes = [
        a_quote(99.9, 100.1, symbol="ETH/USD"),
        a_quote(99.6, 100.4, symbol="SOL/USD", account="kraken", age_s=60.0),
        a_quote(102.0, 102.1, symbol="ETH/USD", account="kraken"),
        a_quote(100.0, 100.1, symbol="SOL/USD"),
    ]
    venues = [a_venue(worth=20.0), a_venue("kraken", worth=75.0, minimum=50.0, fresh=False)]
    guards = guards_of(config, quotes=quotes, venues=venues)
    assert reading_of(guards, "spread").about == "SOL/USD on kraken"
    assert reading_of(guards, "price_sanity").about == "ETH/USD on coinbase and kraken"
    assert reading_of(guards, "stale_data").about == "SOL/USD on kraken"
    assert reading_of(guards, "venue_minimum").about == "kraken"  # 75 of 50 is nearer than 20 of 10
    assert reading_of(guards, "unknown_venue").about == "kraken"
    assert reading_of(guards, "risk_reward").about == "3 of 20 trades"
    assert reading_of(guards, "confidence").about == "not armed"


def test_reading_that_abstains_says_why(config: EngineConfig) -> None:
    guards = guards_of(config, quotes=[], venues=[a_venue(minimum=0.0)])
    assert reading_of(guards, "spread").about == "no price is known"
    assert reading_of(guards, "stale_data").about == "no price is known"
    assert reading_of(guards, "price_sanity").about == "no two venues to compare"
    assert reading_of(guards, "venue_minimum").about == "no account has a minimum"


def test_dormant_venue_is_told_as_counted(config: EngineConfig) -> None:
    guards = guards_of(config, venues=[a_venue(), a_venue("kraken", worth=0.0, minimum=50.0)])
    reading = reading_of(guards, "venue_minimum")
    assert (reading.active, reading.action, reading.about) == (True, "counted, no entries there", "kraken")
    assert guards.mode is EngineMode.ACTIVE
    assert guards.entry_block(NOW) is None


# -- what is remembered ----------------------------------------------------------------------------


def test_frozen_facts_are_read_and_not_latched(config: EngineConfig) -> None:
    state = EngineState()
    guards = guards_of(config, state, daily_loss=0.07, drawdown=0.13, losses_in_a_row=3, frozen=True)
    assert state == EngineState()
    assert reading_of(guards, "drawdown").used == pytest.approx(13.0)
    assert not reading_of(guards, "drawdown").active


@pytest.mark.parametrize(
    ("facts", "code", "limit", "actual", "unit"),
    [
        ({"drawdown": 0.13}, RefusalCode.DRAWDOWN, 12.0, 13.0, "pct"),
        ({"daily_loss": 0.07}, RefusalCode.DAILY_LOSS, 6.0, 7.0, "pct"),
        ({"losses_in_a_row": 3}, RefusalCode.LOSS_STREAK, 0.0, 24.0, "hours"),
        ({"equity": 12.0}, RefusalCode.BELOW_ACTIVATION, 15.0, 12.0, "usd"),
    ],
)
def test_account_wide_guard_blocks_entries_also_after_a_restart(
    config: EngineConfig, facts: dict[str, Any], *, code: RefusalCode, limit: float, actual: float, unit: str
) -> None:
    state = EngineState()
    block = guards_of(config, state, **facts).entry_block(NOW)
    assert block is not None
    assert (block[0], block[3]) == (code, unit)
    assert block[1:3] == pytest.approx((limit, actual))
    again = EngineState.from_json(state.to_json())
    later = guards_of(config, again, now=NOW + timedelta(hours=1), **({"equity": 12.0} if "equity" in facts else {}))
    after = later.entry_block(NOW + timedelta(hours=1))
    assert after is not None
    assert after[0] is code


@pytest.mark.parametrize(
    "facts",
    [
        {"heat_usd": 50.0},
        {"fees_usd": 50.0},
        {"cash_frac": 0.0},
        {"positions": 9},
        {"reward": 0.5},
        {"quotes": [a_quote(90.0, 110.0, age_s=9000.0), a_quote(50.0, 50.0, account="kraken")]},
        {"venues": [a_venue(worth=1.0, fresh=False)]},
    ],
)
def test_guard_of_one_order_venue_or_coin_leaves_the_mode_alone(config: EngineConfig, facts: dict[str, Any]) -> None:
    guards = guards_of(config, **facts)
    assert any(reading.active for reading in guards.readings)
    assert guards.mode is EngineMode.ACTIVE
    assert guards.entry_block(NOW) is None


# -- failed cycles ---------------------------------------------------------------------------------


def count(guards: Guards, *, failed: int = 0, good: int = 0) -> None:
    for _ in range(failed):
        guards.count_cycle(failed=True)
    for _ in range(good):
        guards.count_cycle(failed=False)
    guards.evaluate(FACTS)


def test_four_failed_cycles_change_nothing(config: EngineConfig) -> None:
    guards = guards_of(config)
    count(guards, failed=4)
    reading = reading_of(guards, "errors")
    assert (reading.used, reading.limit, reading.active, reading.unit) == (4.0, 5.0, False, "count")
    assert guards.mode is EngineMode.ACTIVE


def test_good_cycle_in_between_begins_the_count_anew(config: EngineConfig) -> None:
    guards = guards_of(config)
    count(guards, failed=4, good=1)
    count(guards, failed=4)
    assert reading_of(guards, "errors").used == 4.0
    assert guards.mode is EngineMode.ACTIVE


def test_five_failed_cycles_in_a_row_end_entries(config: EngineConfig) -> None:
    guards = guards_of(config)
    count(guards, failed=5)
    assert reading_of(guards, "errors").active
    assert guards.mode is EngineMode.REDUCE_ONLY
    assert guards.reason == "5 cycles in a row failed; entries again after 5 good ones, or `resume`"
    assert guards.entry_block(NOW) == (RefusalCode.ERROR_SHUTOFF, 5.0, 0.0, "count")


def test_five_good_cycles_in_a_row_allow_entries_again(config: EngineConfig) -> None:
    guards = guards_of(config)
    count(guards, failed=5, good=4)
    assert guards.entry_block(NOW) == (RefusalCode.ERROR_SHUTOFF, 5.0, 4.0, "count")
    reading = reading_of(guards, "errors")
    assert (reading.used, reading.active, reading.about) == (0.0, True, "4 good ones since")
    count(guards, failed=1, good=4)  # the fifth has failed: from the beginning
    assert guards.mode is EngineMode.REDUCE_ONLY
    count(guards, good=1)
    assert guards.mode is EngineMode.ACTIVE
    assert guards.entry_block(NOW) is None
    assert reading_of(guards, "errors").about == ""


def test_good_cycles_of_a_quiet_account_leave_no_trace(config: EngineConfig) -> None:
    state = EngineState()
    guards = guards_of(config, state)
    before = state.to_json()
    count(guards, good=3)
    assert state.to_json() == before


def test_failed_cycles_are_only_counted_where_the_switch_is_off(config: EngineConfig) -> None:
    state = EngineState()
    guards = guards_of(replace(config, shuts_off_on_errors=False), state)
    count(guards, failed=7)
    reading = reading_of(guards, "errors")
    assert (reading.used, reading.active) == (7.0, False)
    assert reading.about == "AUTO_SHUTOFF_ON_ERRORS is off: only counted"
    assert guards.mode is EngineMode.ACTIVE
    assert guards.entry_block(NOW) is None
    # Turned on again, the next failed cycle is one too many.
    again = guards_of(config, state)
    assert again.mode is EngineMode.ACTIVE
    count(again, failed=1)
    assert again.mode is EngineMode.REDUCE_ONLY


# -- mode ------------------------------------------------------------------------------------------


def test_follower_of_a_master_enters_nothing(config: EngineConfig) -> None:
    guards = guards_of(replace(config, follows_master=True))
    assert guards.mode is EngineMode.REDUCE_ONLY
    assert guards.reason == "follows a master: this version has no connection to one, so nothing is entered"
    assert guards.entry_block(NOW) == (RefusalCode.FOLLOWS_MASTER, 0.0, 0.0, "count")


def test_pause_of_a_follower_is_told_as_a_pause(config: EngineConfig) -> None:
    guards = guards_of(replace(config, follows_master=True), EngineState(paused=True))
    assert guards.reason == "paused by the user; `resume` ends the pause"
    assert guards.entry_block(NOW) == (RefusalCode.PAUSED_BY_USER, 0.0, 0.0, "count")


@pytest.mark.parametrize(
    ("days", "reason", "used", "mode"),
    [
        (13.9, "too small", 13.9, EngineMode.ACTIVE),
        (14.0, "too small", 14.0, EngineMode.STALLED),
        (20.0, "too small", 20.0, EngineMode.STALLED),
        (20.0, "", 0.0, EngineMode.ACTIVE),  # an order was possible then, and nothing has been decided since
    ],
)
def test_stalled_reading_counts_the_days_without_a_possible_order(
    config: EngineConfig, days: float, reason: str, *, used: float, mode: EngineMode
) -> None:
    state = EngineState(last_possible_order_at=(NOW - timedelta(days=days)).isoformat(), stall_reason=reason)
    guards = guards_of(config, state)
    reading = reading_of(guards, "stalled")
    assert (reading.used, reading.limit) == (pytest.approx(used), 14.0)
    assert reading.active == (mode is EngineMode.STALLED)
    assert (guards.mode, guards.reason) == (mode, reason if mode is EngineMode.STALLED else "")


def test_worst_reason_is_told_first(config: EngineConfig) -> None:
    everything = {"drawdown": 0.2, "daily_loss": 0.2, "equity": 1.0}
    stalled_since = (NOW - timedelta(days=30)).isoformat()
    state = EngineState(last_possible_order_at=stalled_since, stall_reason="too small", errors_latched=True)
    assert guards_of(config, state, **everything, waiting_for="kraken").reason.startswith("waiting for kraken")
    assert guards_of(config, state, **everything).reason.startswith("the drawdown limit")
    state.halted_by = ""
    assert guards_of(config, state, daily_loss=0.2, equity=1.0).reason.startswith("the daily loss limit")
    state.daily_loss_day = ""
    assert guards_of(config, state, equity=1.0).reason.startswith("equity is below")
    assert guards_of(config, state).reason.startswith("5 cycles in a row failed")
    state.errors_latched = False
    assert guards_of(config, state).mode is EngineMode.STALLED


def test_changed_tells_what_began_and_what_ended(config: EngineConfig) -> None:
    guards = guards_of(config, cash_frac=0.1)
    changed = guards.changed(["positions"])
    assert {name: reading.active for name, reading in changed.items()} == {"cash_buffer": True, "positions": False}
