"""Findings that end all entries are told once when they appear and once when they are settled."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alerts_rig import AT, a_cycle
from engine_rig import make_rig
from view_samples import a_finding, a_snapshot

from bot.alerts.digest import digest_text
from bot.alerts.events import AlertWatch, Event
from bot.domain.finding import BLOCKING, FindingCode
from bot.engine.engine import CycleResult
from bot.views.findings import WORDS


def with_findings(*codes: str, **changes: Any) -> Any:
    return a_cycle(a_snapshot(findings=[a_finding(code, **changes) for code in codes]))


def again(watch: AlertWatch) -> AlertWatch:
    """What a restart leaves: the memory as it comes back from the ledger."""
    return AlertWatch(json.loads(json.dumps(watch.memory())))


def test_missing_coins_are_told_once_over_restarts_and_when_they_are_settled() -> None:
    watch = AlertWatch()
    [alert] = watch.cycle_alerts(with_findings("coins_missing"))
    assert (alert.event, alert.title) == (Event.HALT, "LIVE: coins of the bot are missing")
    assert alert.body.splitlines() == [
        "Coins of the bot are missing on coinbase (BTC/USD), since 2026-03-02 13:42 UTC. "
        "The books hold 0.0002, the venue 0.0001: 0.0001 worth $10.00 are missing.",
        "They do not count any more, nothing is bought anywhere; what is there stays protected.",
        f"Do: {WORDS[FindingCode.COINS_MISSING].cure}",
        "2026-03-02 14:01 UTC",
    ]
    watch = again(watch)
    assert watch.cycle_alerts(with_findings("coins_missing")) == []
    assert watch.cycle_alerts(a_cycle(None, at=AT)) == []  # a cycle without a snapshot tells nothing about it
    [settled] = again(watch).cycle_alerts(with_findings())
    assert (settled.event, settled.title) == (Event.HALT, "LIVE: settled: coins missing")
    assert settled.body.startswith("coinbase (BTC/USD): coins missing no longer stands. It ends entries no more.")


def test_settled_finding_beside_another_says_that_entries_stay_ended() -> None:
    watch = AlertWatch()
    assert len(watch.cycle_alerts(with_findings("coins_missing", "ledger_too_old"))) == 2
    [settled] = watch.cycle_alerts(with_findings("ledger_too_old"))
    assert "Another one still ends all entries." in settled.body
    assert watch.cycle_alerts(with_findings("ledger_too_old")) == []


@pytest.mark.parametrize("code", sorted(set(FindingCode) - BLOCKING))
def test_finding_that_ends_no_entries_is_no_alert(code: str) -> None:
    watch = AlertWatch()
    assert watch.cycle_alerts(with_findings(code)) == []
    assert watch.cycle_alerts(with_findings()) == []


def test_two_findings_of_a_kind_are_told_apart() -> None:
    watch = AlertWatch()
    assert len(watch.cycle_alerts(with_findings("coins_missing", about="BTC/USD"))) == 1
    assert [alert.title for alert in watch.cycle_alerts(with_findings("coins_missing", about="ETH/USD"))] == [
        "LIVE: settled: coins missing",
        "LIVE: coins of the bot are missing",
    ]


def test_digest_names_the_findings() -> None:
    text = digest_text(a_snapshot(findings=[a_finding("foreign_order", about="id-1", detail="it holds $20.00")]))
    assert (
        "An order that the bot did not send on coinbase (id-1), since 2026-03-02 13:42 UTC. It holds $20.00."
        in text.splitlines()
    )


def test_coins_that_leave_a_real_engine_are_told_and_settled_by_resume(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.rests = False  # without a stop nothing holds them
    rig.entered()
    rig.cycle()
    rig.venue.core.withdraw("BTC", Decimal("0.1"))
    watch = AlertWatch()
    told: list[str] = []

    def watched(result: CycleResult) -> list[str]:
        facts = a_cycle(result.snapshot, at=result.at, engine_mode=result.mode.value, reason=result.reason)
        return [alert.title.removeprefix("LIVE: ") for alert in watch.cycle_alerts(facts)]

    for _ in range(3):
        told += watched(rig.cycle())
    assert told == ["the stop of BTC/USD is watched by the bot only", "coins of the bot are missing"]
    rig.control.put("resume", book_out=True)
    told = watched(rig.cycle()) + watched(rig.cycle(after_s=600.0))
    assert told == ["settled: coins missing"]
