from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alerts_rig import AT  # it makes the samples of the views importable too
from view_samples import a_coin, a_position, a_snapshot, a_venue

from bot.alerts.digest import digest_text, is_due
from bot.alerts.events import AlertWatch, Event
from bot.settings_schema import DigestEvery


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "last", "now", "due"),
    [
        # 2026-03-02 is a Monday
        (DigestEvery.DAILY, "2026-03-02T00:05", "2026-03-02T23:59", False),
        (DigestEvery.DAILY, "2026-03-02T00:05", "2026-03-03T00:04", False),  # today's decision may be missing yet
        (DigestEvery.DAILY, "2026-03-02T00:05", "2026-03-03T00:05", True),
        (DigestEvery.DAILY, "2026-03-03T00:02", "2026-03-03T00:06", False),
        (DigestEvery.DAILY, "2026-03-02T00:05", "2026-04-30T12:00", True),  # the bot was off: one, not sixty
        (DigestEvery.DAILY, "2026-03-05T00:05", "2026-03-02T12:00", False),  # the clock was put back
        (DigestEvery.WEEKLY, "2026-03-02T00:05", "2026-03-08T23:59", False),
        (DigestEvery.WEEKLY, "2026-03-02T00:05", "2026-03-09T00:05", True),
        (DigestEvery.WEEKLY, "2026-12-28T00:05", "2027-01-03T12:00", False),  # the same week, another year
        (DigestEvery.OFF, "2026-03-02T00:05", "2026-04-30T12:00", False),
    ],
)
def test_digest_is_due_when_a_new_day_or_week_has_begun(every: DigestEvery, last: str, now: str, due: bool) -> None:
    assert is_due(at(last), every=every, now=at(now)) is due


def test_digest_comes_once_a_day_over_restarts_with_the_change_since_the_last() -> None:
    memory: Any = None
    titles: list[str | None] = []
    # +0.35, +1.10 and -0.20 of result: changes of +0.75 and -1.30
    for now, profit in [
        ("2026-03-02T14:00", 0.35),
        ("2026-03-02T23:00", 0.9),
        ("2026-03-03T00:05", 1.1),
        ("2026-03-03T00:06", 1.1),
        ("2026-03-04T08:00", -0.2),
    ]:
        watch = AlertWatch(memory)
        alert = watch.digest_alert(a_snapshot(profit_usd=profit), every=DigestEvery.DAILY, now=at(now))
        titles.append(alert.title if alert is not None else None)
        assert alert is None or alert.event is Event.DIGEST
        memory = json.loads(json.dumps(watch.memory()))
    assert titles == [
        None,
        None,
        "PAPER: $98.35, +$0.75 since the last summary",
        None,
        "PAPER: $98.35, -$1.30 since the last summary",
    ]


@pytest.mark.parametrize(("every", "asked"), [(DigestEvery.WEEKLY, 1), (DigestEvery.DAILY, 0)])
def test_receipt_is_asked_for_the_weekly_summary_only(every: DigestEvery, asked: int) -> None:
    calls: list[str] = []

    def receipt() -> list[str]:
        calls.append("asked")
        return ["Since 2026-01-01: the bot +$0.35."]

    watch, monday = AlertWatch(), at("2026-03-02T00:05")
    bodies = [
        watch.digest_alert(a_snapshot(), every=every, now=monday + timedelta(days=days), receipt=receipt)
        for days in (0, 7, 7)  # the first look, due, and told already
    ]
    assert [body is not None for body in bodies] == [False, True, False]
    assert bodies[1] is not None
    assert len(calls) == asked
    assert bodies[1].body.count("Since") == asked


def test_digest_without_a_snapshot_waits_for_one() -> None:
    watch = AlertWatch({"digest_at": "2026-03-02T00:05:00+00:00"})
    assert watch.digest_alert(None, every=DigestEvery.DAILY, now=at("2026-03-03T12:00")) is None
    alert = watch.digest_alert(a_snapshot(), every=DigestEvery.DAILY, now=at("2026-03-03T12:01"))
    assert alert is not None
    assert alert.title == "PAPER: $98.35"


def test_digest_says_what_there_is_in_dollars() -> None:
    positions = [
        a_position(),
        a_position(symbol="ETH/USD", stop_resting=False, stop_watched=True),
        a_position(symbol="SOL/USD", stop_resting=False),
        a_position(symbol="ADA/USD", stop_resting=False, stop_price=None),
        a_position(symbol="XRP/USD", too_small=True, stop_resting=False),
    ]
    coins = [a_coin(), a_coin(symbol="ETH/USD", refusal="", action="hold")]
    # result 0.35 of 98.00 put in: +0.357 %
    assert digest_text(a_snapshot(positions=positions, coins=coins)).splitlines() == [
        "Equity $98.35, of which in coins 20.3 %; today -$0.31.",
        "Put in $98.00; result since the start +$0.35 (+0.4 %) after $0.62 of fees.",
        "1.65 % below the peak (limit 12.00 %). Tier STARTER.",
        "BTC/USD on coinbase: $20.00 (+$1.00), stop $90,000.00 on the venue.",
        "ETH/USD on coinbase: $20.00 (+$1.00), stop $90,000.00 watched by the bot only.",
        "SOL/USD on coinbase: $20.00 (+$1.00), stop $90,000.00 NOT PLACED.",
        "ADA/USD on coinbase: $20.00 (+$1.00), WITHOUT A STOP.",
        "XRP/USD on coinbase: $20.00 (+$1.00), too small to sell or to protect.",
        "BTC/USD: The score is 0.33; an entry needs 0.75.",
        "ETH/USD: Held: near enough to its target.",
        "Next decision 2026-03-03 00:01 UTC. As of 2026-03-02 14:01 UTC.",
    ]


def test_digest_of_a_halted_account_begins_with_why_and_names_the_silent_venue() -> None:
    snapshot = a_snapshot(
        engine_mode="HALTED",
        engine_mode_reason="halted by the user; `resume` ends the halt",
        venues=[a_venue(), a_venue(account="kraken", fresh=False)],
    )
    lines = digest_text(snapshot).splitlines()
    assert lines[0] == "HALTED: halted by the user; `resume` ends the halt."
    assert lines[1] == "kraken does not answer: its figures are the last known ones."
    assert "No position is open." in lines


def test_digest_comes_again_after_a_clock_that_was_a_year_ahead() -> None:
    watch, snapshot, day = AlertWatch(), a_snapshot(), timedelta(days=1)
    assert watch.digest_alert(snapshot, every=DigestEvery.DAILY, now=AT + 365 * day) is None  # the first look
    assert watch.digest_alert(snapshot, every=DigestEvery.DAILY, now=AT) is None
    assert watch.digest_alert(snapshot, every=DigestEvery.DAILY, now=AT + timedelta(hours=1)) is None
    assert watch.digest_alert(snapshot, every=DigestEvery.DAILY, now=AT + day) is not None
