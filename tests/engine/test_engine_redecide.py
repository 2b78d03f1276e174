"""Decisions made again from the stored bars: the same numbers, or the difference is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from engine_rig import BTC, HYBRID, Rig, make_rig

from bot.decide.ensemble import ENSEMBLE, MEMBERS
from bot.domain.market import Candle
from bot.domain.modes import ExitRule, Strategy
from bot.engine.history import SignalRules
from bot.engine.redecide import Depth, Redecided, Redecider
from bot.ports import DecisionRecord
from bot.storage.ledger_reader import LedgerReader

RESULTS = (
    *("volatility", "stop_distance", "bar_close", "target_usd", "gap_usd"),
    *("lots", "notional_usd", "risk_usd", "parts", "leg_loss", "leg_share", "cap_blend_usd", "cap_venue_usd"),
)
"""What is computed, and stored as a number."""
INPUTS = ("price", "wish_equity", "wish_position_cap", "candidate_price", "candidate_stop_distance", "rules_fee_out")
"""What an entry of this size depends on."""


def recorded(rig: Rig) -> list[DecisionRecord]:
    """Stored decisions, oldest first."""
    with LedgerReader(rig.folder / "ledger.sqlite3") as reader:
        return reader.decisions()[::-1]


def redecider(rig: Rig) -> Redecider:
    def bars_of(source: str, symbol: str) -> Sequence[Candle]:
        with LedgerReader(rig.folder / "ledger.sqlite3") as reader:
            return reader.bars(source, symbol, "1d")

    return Redecider(bars_of)


def again(rig: Rig) -> list[Redecided]:
    maker = redecider(rig)
    return [maker.again(record) for record in recorded(rig)]


def changed(record: DecisionRecord, **details: float | str | None) -> DecisionRecord:
    return replace(record, details={**record.details, **details})


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """One decision to enter."""
    rig = make_rig(tmp_path)
    rig.first_cycle()
    return rig


class Entry(NamedTuple):
    record: DecisionRecord
    maker: Redecider


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Entry:
    """One decision to enter, of which nothing in the ledger is changed."""
    rig = make_rig(tmp_path_factory.mktemp("entry"))
    rig.first_cycle()
    [record] = recorded(rig)
    return Entry(record, redecider(rig))


def test_decisions_of_a_position_over_a_restart_are_made_again(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), leg_weights=HYBRID).entered()
    for close in (101.0, 103.0, 96.0):
        rig.next_decision(BTC=close, ETH=close)
    rig.restart()
    for close in (80.0, 60.0, 40.0):
        rig.next_decision(BTC=close, ETH=close)
    assert {record.action for record in recorded(rig)} >= {"enter", "hold", "refuse"}
    assert again(rig) == [Redecided(Depth.WHOLE)] * 14


def test_decisions_on_all_signals_show_them_and_are_made_again(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, signals=SignalRules(weights=ENSEMBLE, regime=True), leg_weights=HYBRID)
    rig.first_cycle()
    rig.next_decision(BTC=101.0)
    rig.next_decision(BTC=40.0)
    assert again(rig) == [Redecided(Depth.WHOLE)] * 3
    first = recorded(rig)[0]
    members = ("member_trend", "member_momentum", "member_breakout", "member_volume", "member_regime")
    values = [first.details[name] for name in members]
    assert all(isinstance(value, float) and 0.0 <= value <= 1.0 for value in values)
    assert first.score == pytest.approx(sum(w * v for w, v in zip(ENSEMBLE, values, strict=True)))  # type: ignore[operator,misc]
    assert [first.details[f"weight_{name}"] for name in MEMBERS] == list(ENSEMBLE)
    assert (first.details["regime"], first.details["regime_used"]) == ("long", 1.0)
    [difference] = redecider(rig).again(changed(first, regime="crash")).differences
    assert difference == "regime is stored as 'crash' and would be 'long'"
    fallen = recorded(rig)[2]
    assert redecider(rig).again(changed(fallen, weight_volume=0.5)).differences
    assert redecider(rig).again(changed(fallen, weight_trend=None)).differences


@pytest.mark.parametrize("rule", list(ExitRule))
def test_breakout_decisions_are_made_again(tmp_path: Path, rule: ExitRule) -> None:
    rig = make_rig(tmp_path, strategy=Strategy.BREAKOUT, exit_rule=rule, leg_weights=HYBRID).entered()
    rig.next_decision(BTC=101.0)
    rig.next_decision(BTC=90.0)
    assert again(rig) == [Redecided(Depth.WHOLE)] * 3


def test_refused_entry_is_made_again_with_its_reason(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, min_trade_usd=50.0, floor_allowed=False)
    rig.first_cycle()
    [record] = recorded(rig)
    assert (record.action, record.details["code"]) == ("refuse", "below_min_trade")
    assert again(rig) == [Redecided(Depth.WHOLE)]
    found = redecider(rig).again(changed(record, code="heat"))
    assert found.differences == ("its reason would be 'below_min_trade' and not 'heat'",)


@pytest.mark.parametrize("name", RESULTS + INPUTS)
def test_any_changed_number_of_an_entry_is_found(entry: Entry, name: str) -> None:
    record, maker = entry
    value = record.details[name]
    assert isinstance(value, float), name
    assert maker.again(changed(record, **{name: value * (1 - 1e-7)})).differences


@pytest.mark.parametrize(
    ("name", "value"), [("wanted", "add"), ("binding", "heat"), ("code", "heat"), ("strategy", "breakout")]
)
def test_any_changed_word_of_an_entry_is_found(entry: Entry, name: str, value: str) -> None:
    record, maker = entry
    assert maker.again(changed(record, **{name: value})).differences


@pytest.mark.parametrize("action", ["refuse", "hold", "exit", "reduce", "add"])
def test_changed_action_is_found(entry: Entry, action: str) -> None:
    record, maker = entry
    assert maker.again(replace(record, action=action)).differences


def test_changed_score_is_found_and_named(entry: Entry) -> None:
    record, maker = entry
    found = maker.again(replace(record, score=0.9))
    assert found == Redecided(Depth.WHOLE, differences=("score is stored as 0.9 and would be 1.0",))


@pytest.mark.parametrize("value", ["x", None])
def test_unusable_details_are_told_not_raised(entry: Entry, value: str | None) -> None:
    record, maker = entry
    for name in record.details:
        if name != "bar_source":
            maker.again(changed(record, **{name: value}))
    details = {name: kept for name, kept in record.details.items() if name != "rules_fee_in"}
    found = maker.again(replace(record, details=details))
    assert found.differences == ("what is stored with it cannot be used: 'rules_fee_in' is missing",)


@pytest.mark.parametrize("column", ["high", "low", "close"])
def test_changed_bar_is_found(rig: Rig, column: str) -> None:
    [record] = recorded(rig)
    statement = f"UPDATE bars SET {column} = {column} * 1.001 WHERE open_ms = ?"
    rig.ledger._connection.execute(statement, (record.bar_ms,))
    assert again(rig)[0].differences


def test_bars_that_are_gone_are_told(rig: Rig) -> None:
    [record] = recorded(rig)
    rig.ledger._connection.execute("DELETE FROM bars WHERE open_ms = ?", (record.first_bar_ms + 86_400_000,))
    assert again(rig) == [Redecided(Depth.NOTHING, "their bars are gone")]


def test_bars_that_came_later_or_stood_before_change_nothing(rig: Rig) -> None:
    [record] = recorded(rig)
    for open_ms in (record.first_bar_ms - 86_400_000, record.bar_ms + 86_400_000):
        rig.ledger._connection.execute(
            "INSERT INTO bars VALUES ('test', ?, '1d', ?, 1, 999, 1, 999, 1)", (BTC, open_ms)
        )
    assert again(rig) == [Redecided(Depth.WHOLE)]


def test_decision_of_an_older_version_has_its_signals_checked(entry: Entry) -> None:
    record, maker = entry
    old = {name: value for name, value in record.details.items() if not name.startswith("wish_")}
    found = maker.again(replace(record, details=old))
    assert found == Redecided(Depth.SIGNALS, "an older version stored the signals alone")
    found = maker.again(replace(record, details={**old, "volatility": 0.1}))
    assert found.depth is Depth.SIGNALS
    assert len(found.differences) == 1


def test_decision_without_its_source_cannot_be_made_again(entry: Entry) -> None:
    record, maker = entry
    assert maker.again(replace(record, details={})).depth is Depth.NOTHING


def test_order_in_which_decisions_are_made_again_does_not_matter(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    for close in (101.0, 99.0, 102.0):
        rig.next_decision(BTC=close)
    maker = redecider(rig)
    assert [maker.again(record) for record in reversed(recorded(rig))] == [Redecided(Depth.WHOLE)] * 4
