from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alerts_rig import AT, a_cycle, a_reading, a_rejected_order
from engine_rig import make_rig
from view_samples import a_guard, a_position, a_snapshot, an_order

from bot.alerts.events import ENTRY_ENDING_LIMITS, KEPT_MAX, AlertWatch, CycleFacts, Event, restart_alert
from bot.views.status_text import GUARD_WORDS

MINUTE = timedelta(minutes=1)


def told(watch: AlertWatch, facts: CycleFacts) -> list[tuple[Event, str]]:
    return [(alert.event, alert.title) for alert in watch.cycle_alerts(facts)]


def again(watch: AlertWatch) -> AlertWatch:
    """What a restart leaves: the memory as it comes back from the ledger."""
    return AlertWatch(json.loads(json.dumps(watch.memory())))


def test_quiet_cycle_tells_nothing() -> None:
    assert AlertWatch().cycle_alerts(a_cycle(a_snapshot())) == []


def test_tier_change_is_told_with_equity_and_what_is_allowed_now() -> None:
    facts = a_cycle(
        a_snapshot(equity_usd=250.4, max_positions=3, risk_per_trade_pct=4.0), tier_change="STARTER -> GROWTH"
    )
    [alert] = AlertWatch().cycle_alerts(facts)
    assert (alert.event, alert.title) == (Event.TIER_CHANGE, "LIVE: tier STARTER -> GROWTH")
    assert "Equity $250.40. Now at most 3 positions and 4.0 % of risk per trade." in alert.body
    assert alert.body.endswith("2026-03-02 14:01 UTC")


def test_limit_is_told_with_actual_value_limit_and_what_ends_it() -> None:
    guard = a_guard("daily_loss", 6.214, 6.0, active=True, action="no entries until the next UTC day")
    facts = a_cycle(
        a_snapshot(guards=[guard]),
        engine_mode="REDUCE_ONLY",
        reason="the daily loss limit was reached; entries again on the next UTC day",
    )
    [alert] = AlertWatch().cycle_alerts(facts)
    assert (alert.event, alert.title) == (Event.HALT, "LIVE: the daily loss limit is reached")
    assert alert.body.splitlines() == [
        "Now 6.21 %, the limit is 6.00 %: no entries until the next UTC day. Equity $98.35.",
        "REDUCE_ONLY: the daily loss limit was reached; entries again on the next UTC day",
        "2026-03-02 14:01 UTC",
    ]


def test_limit_is_told_once_per_activation_over_restarts() -> None:
    active = a_cycle(a_snapshot(guards=[a_guard("loss_streak", 3.0, 3.0, unit="count", active=True)]))
    over = a_cycle(a_snapshot(guards=[a_guard("loss_streak", 0.0, 3.0, unit="count")]))
    watch = AlertWatch()
    expected = [(Event.HALT, "LIVE: too many losses in a row")]
    assert told(watch, active) == expected
    watch = again(watch)
    assert told(watch, active) == []
    assert told(watch, over) == []
    assert told(again(watch), active) == expected


def test_limit_without_a_snapshot_is_told_from_its_activation_and_remembered() -> None:
    watch = AlertWatch()
    facts = a_cycle(None, guards_activated=[a_reading("daily_loss")])
    assert told(watch, facts) == [(Event.HALT, "LIVE: the daily loss limit is reached")]
    assert told(watch, a_cycle(None)) == []
    assert told(watch, a_cycle(a_snapshot(guards=[a_guard("daily_loss", 6.21, 6.0, active=True)]))) == []


@pytest.mark.parametrize("name", sorted(GUARD_WORDS.keys() - ENTRY_ENDING_LIMITS.keys()))
def test_guard_of_single_orders_is_no_halt(name: str) -> None:
    watch = AlertWatch()
    for minutes in (0, 60):
        facts = a_cycle(
            a_snapshot(guards=[a_guard(name, active=True)]),
            at=AT + minutes * MINUTE,
            guards_activated=[a_reading(name)],
        )
        assert told(watch, facts) == []


def test_entry_ending_limits_are_guards_that_exist() -> None:
    assert ENTRY_ENDING_LIMITS.keys() <= GUARD_WORDS.keys()


def test_silent_venue_is_told_once_it_lasts_a_quarter_of_an_hour() -> None:
    silent = a_snapshot(guards=[a_guard("unknown_venue", 1.0, 1.0, unit="count", active=True, about="kraken")])
    watch = AlertWatch()
    assert told(watch, a_cycle(silent)) == []
    assert told(watch, a_cycle(silent, at=AT + 14 * MINUTE)) == []
    watch = again(watch)
    [alert] = watch.cycle_alerts(a_cycle(silent, at=AT + 15 * MINUTE))
    assert alert.title == "LIVE: a venue does not answer"
    assert "(kraken)" in alert.body
    assert told(watch, a_cycle(silent, at=AT + 16 * MINUTE)) == []
    # It answers and falls silent again: the quarter of an hour begins anew.
    assert told(watch, a_cycle(a_snapshot(), at=AT + 17 * MINUTE)) == []
    assert told(watch, a_cycle(silent, at=AT + 18 * MINUTE)) == []


def test_limit_that_was_told_is_not_told_again_after_a_start_that_waits_for_a_venue() -> None:
    active = a_cycle(a_snapshot(guards=[a_guard("activation", 14.2, 15.0, unit="usd", active=True)]))
    waiting = a_cycle(
        a_snapshot(guards=[a_guard("activation", 0.0, 15.0, unit="usd", active=True)]),
        engine_mode="HALTED",
        reason="waiting for kraken to answer for the first time",
    )
    watch = AlertWatch()
    assert told(watch, active) == [(Event.HALT, "LIVE: equity is below the minimum for trading")]
    watch = again(watch)
    assert told(watch, waiting) == []
    assert told(watch, active) == []


def test_halt_by_the_user_is_told_once_and_anew_after_a_resume() -> None:
    halted = a_cycle(a_snapshot(), engine_mode="HALTED", reason="halted by the user; `resume` ends the halt")
    watch = AlertWatch()
    [alert] = watch.cycle_alerts(halted)
    assert (alert.event, alert.title) == (Event.HALT, "LIVE: halted")
    assert alert.body.startswith("Halted by the user; `resume` ends the halt. Nothing is entered. Equity $98.35.")
    assert told(again(watch), halted) == []
    assert told(watch, a_cycle(None)) == []
    assert told(watch, halted) == [(Event.HALT, "LIVE: halted")]


def test_halt_by_drawdown_is_told_as_the_limit_only() -> None:
    guard = a_guard("drawdown", 12.3, active=True)
    reason = "the drawdown limit was reached; `resume --reset-drawdown` ends the halt"
    halted = a_cycle(a_snapshot(guards=[guard]), engine_mode="HALTED", reason=reason)
    watch = AlertWatch()
    [alert] = watch.cycle_alerts(halted)
    assert alert.title == "LIVE: halted, the drawdown limit is reached"
    assert "Now 12.30 %, the limit is 12.00 %" in alert.body
    assert "`resume --reset-drawdown`" in alert.body
    assert told(watch, a_cycle(None, engine_mode="HALTED", reason=reason)) == []


def test_bot_that_ends_says_why_and_the_same_reason_once_an_hour() -> None:
    watch = AlertWatch()
    alert = watch.ended_alert("kraken: the key may also: withdraw-funds", mode="LIVE", at=AT)
    assert alert is not None
    assert (alert.event, alert.title) == (Event.HALT, "LIVE: the bot has ended")
    assert alert.body.splitlines() == [
        "The bot has ended: kraken: the key may also: withdraw-funds",
        "Stops that rest on a venue stay there; all else waits for its next start.",
        "2026-03-02 14:01 UTC",
    ]
    # systemd starts it again every 30 seconds
    for number in range(1, 60):
        watch = AlertWatch(json.loads(json.dumps(watch.memory())))
        again = watch.ended_alert("kraken: the key may also: withdraw-funds", mode="LIVE", at=AT + number * MINUTE)
        assert again is None
    assert watch.ended_alert("the ledger cannot be written", mode="LIVE", at=AT + 59 * MINUTE) is not None
    assert watch.ended_alert("kraken: the key may also: withdraw-funds", mode="LIVE", at=AT + 60 * MINUTE) is not None


def test_memory_of_endings_stays_bounded() -> None:
    watch = AlertWatch()
    for number in range(3 * KEPT_MAX):
        watch.ended_alert(f"{number} " + 5000 * "x", mode="LIVE", at=AT)
    assert len(json.dumps(watch.memory())) < 20_000
    assert watch.ended_alert(f"{3 * KEPT_MAX - 1} " + 5000 * "x", mode="LIVE", at=AT) is None


def test_rejected_order_that_is_sent_each_cycle_is_told_once_a_day() -> None:
    watch = AlertWatch()
    reason = "EOrder:Insufficient funds " + "x" * 1_000
    [alert] = watch.cycle_alerts(a_cycle(rejections=[(a_rejected_order(), reason)]))
    assert (alert.event, alert.title) == (Event.ORDER, "LIVE: kraken rejected an order for BTC/USD")
    assert "The stop order (sell 0.00020000 BTC/USD) was rejected: EOrder:Insufficient funds" in alert.body
    assert len(alert.body) < 450
    for number in range(2, 100):
        facts = a_cycle(at=AT + number * MINUTE, rejections=[(a_rejected_order(number), f"at {number}")])
        watch = again(watch)
        assert told(watch, facts) == []
    assert len(told(watch, a_cycle(rejections=[(a_rejected_order(100, "ETH/USD"), "another coin")]))) == 1
    assert len(told(watch, a_cycle(at=AT + timedelta(days=1), rejections=[(a_rejected_order(101), "")]))) == 1


def test_unknown_order_is_told_once_even_if_it_was_found_in_between() -> None:
    unknown = a_cycle(a_snapshot(orders=[an_order(state="unknown")]))
    watch = AlertWatch()
    [alert] = watch.cycle_alerts(unknown)
    assert (alert.event, alert.title) == (Event.ORDER, "LIVE: the outcome of an order for BTC/USD is unknown")
    assert told(watch, a_cycle(a_snapshot(orders=[an_order()]))) == []
    assert told(again(watch), unknown) == []


def holding(**changes: Any) -> CycleFacts:
    return a_cycle(a_snapshot(positions=[a_position(**changes)]))


def test_unprotected_position_is_told_after_the_second_cycle_and_when_it_is_protected_again() -> None:
    watch = AlertWatch()
    assert told(watch, holding(stop_resting=False)) == []
    watch = again(watch)
    [alert] = watch.cycle_alerts(holding(stop_resting=False))
    assert (alert.event, alert.title) == (Event.UNPROTECTED, "LIVE: BTC/USD is unprotected")
    assert "BTC/USD on coinbase (0.00020000, worth $20.00); it belongs at $90,000.00" in alert.body
    assert told(watch, holding(stop_resting=False)) == []
    watch = again(watch)
    [alert] = watch.cycle_alerts(holding())
    assert (alert.event, alert.title) == (Event.UNPROTECTED, "LIVE: BTC/USD is protected again")
    assert told(watch, holding()) == []


def test_stop_that_is_replaced_within_a_cycle_tells_nothing() -> None:
    watch = AlertWatch()
    assert [told(watch, holding(stop_resting=resting)) for resting in (True, False, True, False, True)] == [[]] * 5


def test_unprotected_position_without_a_stop_price_says_so() -> None:
    watch = AlertWatch()
    facts = holding(stop_resting=False, stop_price=None)
    watch.cycle_alerts(facts)
    [alert] = watch.cycle_alerts(facts)
    assert "it has no price yet" in alert.body


def test_watched_stop_is_told_once_as_watched() -> None:
    watch = AlertWatch()
    facts = holding(stop_resting=False, stop_watched=True)
    [alert] = watch.cycle_alerts(facts)
    assert (alert.event, alert.title) == (Event.UNPROTECTED, "LIVE: the stop of BTC/USD is watched by the bot only")
    assert "sells at $90,000.00. While the bot does not run, nothing protects it." in alert.body
    assert [told(again(watch), facts) for _ in range(3)] == [[]] * 3


def test_dust_and_a_position_that_is_gone_tell_nothing() -> None:
    watch = AlertWatch()
    assert [told(watch, holding(stop_resting=False, too_small=True)) for _ in range(3)] == [[]] * 3
    watch.cycle_alerts(holding(stop_resting=False))
    assert len(told(watch, holding(stop_resting=False))) == 1
    assert told(watch, a_cycle(a_snapshot())) == []
    assert told(watch, holding()) == []


def test_cycle_without_a_snapshot_forgets_no_position() -> None:
    watch = AlertWatch()
    watch.cycle_alerts(holding(stop_resting=False))
    watch.cycle_alerts(a_cycle(None))
    assert len(told(watch, holding(stop_resting=False))) == 1


@pytest.mark.parametrize(
    "memory",
    [
        None,
        {},
        {"conditions": [], "orders": "x", "rejected": 3, "digest_at": 5, "digest_profit_usd": "x"},
        {"conditions": {"limit daily_loss": {"since": "yesterday"}, "halt x": 4}, "rejected": {"a": "2026-01-01"}},
    ],
)
def test_memory_that_cannot_be_read_is_an_empty_one(memory: dict[str, object] | None) -> None:
    assert AlertWatch(memory).memory() == AlertWatch().memory()


def test_restart_is_told_with_equity_and_version() -> None:
    alert = restart_alert(mode="PAPER", at=AT, equity=98.354, version="0.1.0")
    assert (alert.event, alert.title) == (Event.RESTART, "PAPER: the bot has started")
    assert alert.body == "Equity $98.35. Version 0.1.0. 2026-03-02 14:01 UTC"
    unknown = restart_alert(mode="PAPER", at=AT, equity=None, version="0.1.0")
    assert unknown.body == "Version 0.1.0. 2026-03-02 14:01 UTC"


def test_venue_that_is_silent_from_the_start_of_a_real_engine_is_told_once_as_silent(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.silence()
    watch = AlertWatch()
    titles: list[str] = []
    for minute in range(20):
        result = rig.first_cycle() if minute == 0 else rig.cycle()
        assert result.mode == "HALTED"
        facts = CycleFacts(
            at=result.at,
            mode="PAPER",
            tier_change=result.tier_change,
            engine_mode=result.mode,
            reason=result.reason,
            guards_activated=result.guards_activated,
            rejections=result.rejections,
            snapshot=result.snapshot,
        )
        titles += [f"{minute}: {alert.title}" for alert in watch.cycle_alerts(facts)]
    # Equity is not known to be too low, only unknown.
    assert titles == ["5: PAPER: too many failed cycles in a row", "15: PAPER: a venue does not answer"]
