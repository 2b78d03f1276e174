"""The trade filter and the pause for results below what was expected, in the whole engine."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_rig import BTC, START, Rig, make_rig

from bot.decide.confidence import Evidence
from bot.domain.modes import EngineMode

FILTER: dict[str, Any] = {"trade_filter": True, "max_losses": 1_000}
MIDDLING = [1.0] * 10 + [-1.0] * 11
"""21 trades, sum -1: mean -1 / 41, second moment (36 + 21) / 41; P(edge > 0) = 44.7 %."""
GOOD_EVIDENCE = Evidence(60.0, 30.0, 60.0)
"""Mean .5, deviation .873: after 24 trades the band begins at .153."""


def guard(rig: Rig, name: str) -> Any:
    return next(reading for reading in rig.engine.guards.readings if reading.name == name)


def test_filter_refuses_entries_of_little_confidence(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, **FILTER)
    rig.close_trades(MIDDLING)
    rig.first_cycle()
    assert rig.orders() == []
    limit, actual, unit, _ = rig.refusal("low_confidence")
    assert (limit, unit) == (70.0, "pct")
    # sd of the mean: sqrt((57 / 41 - (1 / 41)^2) / 42) = .181925; Phi(-.024390 / .181925) = Phi(-.134067)
    assert actual == pytest.approx(44.667, abs=2e-3)
    reading = guard(rig, "confidence")
    assert (reading.active, round(reading.used, 5), reading.limit) == (True, 0.44667, 0.7)


def test_filter_lets_pass_without_enough_own_trades_and_says_so(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, evidence=Evidence(400.0, -200.0, 400.0), evidence_about="400 bad ones", **FILTER)
    rig.close_trades(MIDDLING[:19])
    rig.first_cycle()
    assert rig.orders()
    reading = guard(rig, "confidence")
    assert not reading.active
    assert "not armed, needs 20 own trades and lets pass" in reading.about
    assert "19.0 own trades, of 40 at most and 400 bad ones" in reading.about


def test_filter_that_is_off_refuses_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, trade_filter=False, max_losses=1_000, min_reward=0.1)
    rig.close_trades(MIDDLING)
    rig.first_cycle()
    assert rig.orders()
    assert guard(rig, "confidence").about == "off (AI_TRADE_FILTER=False)"


def test_filter_lets_pass_again_when_own_trades_have_faded(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, **FILTER)
    rig.close_trades(MIDDLING, at=START - timedelta(days=13))  # 21 x .5^(13/180) = 19.97
    rig.first_cycle()
    assert rig.orders()


POOR = [-1.0] * 24
"""Below the band from the second trade on; P(edge > 0) far below 25 %."""
EXPECTING: dict[str, Any] = {
    "max_losses": 1_000,
    "evidence": GOOD_EVIDENCE,
    "evidence_about": "60 simulated trades",
}


def test_results_below_the_band_pause_entries_until_the_user_goes_on(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, **EXPECTING)
    rig.close_trades(POOR)
    rig.first_cycle()
    assert rig.orders() == []
    assert rig.engine.guards.mode is EngineMode.REDUCE_ONLY
    assert "--accept-results" in rig.engine.guards.reason
    limit, actual, unit, _ = rig.refusal("below_expectation")
    assert (limit, unit) == (20.0, "count")
    assert actual >= 20.0
    assert ("expectation", True) in rig.guard_events()
    assert guard(rig, "expectation").about == "own mean -1.00 R, expected +0.15 to +0.85 R (90 %)"


def test_pause_outlasts_restarts_and_a_plain_resume(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, **EXPECTING)
    rig.close_trades(POOR)
    rig.first_cycle()
    rig.restart()  # its trades, which are in no ledger, are gone: only the latch is left
    rig.control.put("resume", reset_drawdown=False)
    rig.cycle()
    assert rig.engine.guards.mode is EngineMode.REDUCE_ONLY
    rig.control.put("resume", accept_results=True)
    rig.cycle()
    assert rig.engine.guards.mode is EngineMode.ACTIVE
    assert ("command_resume_accept_results", False) in rig.guard_events()
    rig.next_decision(BTC=101.0)
    assert rig.orders()


def test_accepted_results_are_not_compared_again(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, **EXPECTING)
    rig.close_trades(POOR)
    rig.first_cycle()
    rig.control.put("resume", accept_results=True)
    rig.cycle()
    assert rig.engine.guards.mode is not EngineMode.HALTED
    assert not guard(rig, "expectation").active
    assert guard(rig, "expectation").about == "no own trade yet to compare with 60 simulated trades"


@pytest.mark.parametrize("count", [19, 20])
def test_nineteen_trades_below_are_not_enough(tmp_path: Path, count: int) -> None:
    # The first loss of 1 R lies below the band: it begins at -.95 for a single trade.
    rig = make_rig(tmp_path, **EXPECTING)
    rig.close_trades([-1.0] * count)
    rig.first_cycle()
    assert guard(rig, "expectation").used == count
    assert guard(rig, "expectation").active == (count == 20)
    assert bool(rig.refusals().count(("below_expectation", BTC))) == (count == 20)


def test_without_evidence_nothing_is_expected(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, max_losses=1_000)
    rig.close_trades(POOR)
    rig.first_cycle()
    assert not guard(rig, "expectation").active
    assert guard(rig, "expectation").about == "no evidence to compare with"
