"""The snapshot: valid JSON in every mode, and it says what is."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import BTC, QUANTITY, Rig, make_rig, rising_days

from bot.domain.snapshot import SNAPSHOT_KEY, Snapshot

D = Decimal


def strict(snapshot: Snapshot | None) -> dict[str, Any]:
    """Through JSON and back; raises on NaN and infinities."""
    assert snapshot is not None
    found = json.loads(json.dumps(snapshot, allow_nan=False))
    assert isinstance(found, dict)
    return found


def active(rig: Rig) -> None:
    rig.entered()


def reduce_only(rig: Rig) -> None:
    rig.entered()
    rig.control.put("pause")


def halted(rig: Rig) -> None:
    rig.entered()
    rig.control.put("halt")


def stalled(rig: Rig) -> None:
    """$16: one smallest trade of $5 would lose 5 * 0.106 = $0.53 at its stop, and 3 % of $16 is $0.48."""
    rig.venue.core.withdraw("USD", D(84))
    for i in range(16):
        rig.next_decision(BTC=101.0 + 2 * i)


def silent_from_the_start(rig: Rig) -> None:
    rig.venue.silence()


def silent_with_a_position(rig: Rig) -> None:
    rig.entered()
    rig.venue.silence()


def without_prices(rig: Rig) -> None:
    rig.venue.hidden_tickers = {BTC}


def without_bars(rig: Rig) -> None:
    rig.board.days[BTC] = []


def with_a_short_history(rig: Rig) -> None:
    rig.board.days[BTC] = rising_days(5)


def without_money(rig: Rig) -> None:
    rig.venue.core.withdraw("USD", D(100))


def with_an_old_price(rig: Rig) -> None:
    rig.board.price_age_ms = 10_000_000


@pytest.mark.parametrize(
    ("prepare", "mode"),
    [
        (active, "ACTIVE"),
        (reduce_only, "REDUCE_ONLY"),
        (halted, "HALTED"),
        (stalled, "STALLED"),
        (silent_from_the_start, "HALTED"),
        (silent_with_a_position, "ACTIVE"),
        (without_prices, "ACTIVE"),
        (without_bars, "ACTIVE"),
        (with_a_short_history, "ACTIVE"),
        (without_money, "REDUCE_ONLY"),
        (with_an_old_price, "ACTIVE"),
    ],
)
def test_snapshot_is_strict_json_in_every_mode_and_is_stored(
    tmp_path: Path, prepare: Callable[[Rig], None], mode: str
) -> None:
    rig = make_rig(tmp_path)
    prepare(rig)
    found = strict(rig.cycle().snapshot)
    assert found["engine_mode"] == mode
    assert rig.ledger.value(SNAPSHOT_KEY) == found
    rig.restart()
    strict(rig.cycle().snapshot)


def test_snapshot_before_the_first_cycle_is_strict_json(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    assert strict(rig.engine.snapshot(rig.now, rig.now))["engine_mode"] == "HALTED"


def test_snapshot_of_a_position_adds_up(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    found = strict(rig.cycle(BTC=105.0).snapshot)
    (position,) = found["positions"]
    # bought at 99.95; the bid is 104.9475 -> 104.94; the stop is at 90.54
    quantity = float(QUANTITY)
    assert position["quantity"] == f"{QUANTITY}"
    assert position["value_usd"] == pytest.approx(quantity * 104.94)
    assert position["unrealized_usd"] == pytest.approx(quantity * (104.94 - 99.95))
    assert position["stop_price"] == 90.54
    assert position["stop_resting"] is True
    assert position["r_multiple"] == pytest.approx((104.94 - 99.95) / (99.95 - 90.54))
    assert found["cash_usd"] == pytest.approx(100 - 18 - 0.108)
    assert found["equity_usd"] == pytest.approx(found["cash_usd"] + position["value_usd"])
    assert found["exposure_pct"] == pytest.approx(100 * position["value_usd"] / found["equity_usd"])
    assert found["profit_usd"] == pytest.approx(found["equity_usd"] - 100)
    assert found["effective_risk_pct"] == pytest.approx(100 * quantity * (104.94 - 90.54) / found["equity_usd"])


def test_snapshot_does_not_call_a_stop_resting_that_is_not_known_to_rest(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.before["submit"] = lambda order: rig.venue.down.update({"open_orders", "find_order", "fills_since"})
    rig.venue.mute.add("submit")
    found = strict(rig.cycle(BTC=99.9).snapshot)
    assert found["positions"][0]["stop_resting"] is False


def test_snapshot_says_what_a_coin_waits_for(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH", "SOL"))
    found = strict(rig.first_cycle().snapshot)
    coins = {coin["symbol"]: coin for coin in found["coins"]}
    assert coins[BTC]["action"] == "enter"
    assert coins[BTC]["refusal"] == ""
    assert coins[BTC]["decided_bar_at"] == "2024-05-31T00:00:00+00:00"
    assert coins["SOL/USD"]["refusal"] == "max_positions"
    assert (coins["SOL/USD"]["refusal_limit"], coins["SOL/USD"]["refusal_actual"]) == (2.0, 2.0)
    assert found["next_decision_at"] == "2024-06-02T00:01:00+00:00"
    assert found["next_cycle_at"] == "2024-06-01T00:02:00+00:00"


def test_snapshot_after_a_restart_still_says_why_nothing_happened(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.control.put("pause")
    before = strict(rig.first_cycle().snapshot)["coins"]
    rig.restart()
    after = strict(rig.cycle().snapshot)["coins"]
    assert after == before
    assert after[0]["refusal"] == "paused_by_user"


def test_snapshot_is_made_as_often_as_the_settings_say_even_where_a_decision_falls_between(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, snapshot_every_cycles=3)
    first = rig.first_cycle()
    assert first.decided == (BTC,)
    made = [first.snapshot is not None]
    made += [rig.cycle().snapshot is not None for _ in range(5)]
    assert made == [False, False, True, False, False, True]


def test_snapshot_of_the_last_cycle_is_stored_at_the_end_of_the_run(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, snapshot_every_cycles=1_000)
    rig.entered()
    assert rig.ledger.value(SNAPSHOT_KEY) is None
    rig.engine.finish()
    stored = rig.ledger.value(SNAPSHOT_KEY)
    assert isinstance(stored, dict)
    assert (stored["at"], stored["cycle"]) == ("2024-06-01T00:02:00+00:00", 2)
    assert [position["symbol"] for position in stored["positions"]] == [BTC]


# -- today's dollars


def today(rig: Rig) -> float:
    return float(rig.engine.snapshot(rig.now, rig.now)["today_pnl_usd"])


def test_today_is_what_the_day_has_brought_whatever_was_paid_in(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "1000"}).entered()
    rig.cycle(BTC=95.0)
    lost = today(rig)
    assert lost == pytest.approx(float(rig.engine.wealth.equity()) - 1000.0, abs=1e-6)
    rig.venue.core.deposit("USD", D(5000))
    rig.cycle()
    rig.cycle()
    assert rig.engine.book.deposits_usd == 6000
    assert today(rig) == pytest.approx(lost, abs=1e-6)  # a deposit makes no loss larger
    rig.restart()
    rig.cycle()
    assert today(rig) == pytest.approx(lost, abs=1e-6)


def test_today_begins_anew_at_midnight(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "1000"}).entered()
    before = rig.cycle(after_s=22 * 3600, BTC=95.0).equity
    after = rig.cycle(after_s=4 * 3600, BTC=97.0)
    assert today(rig) == pytest.approx(after.equity - before, abs=1e-6)


def test_snapshot_of_another_version_is_forgotten_at_the_start(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    old = {"schema_version": 1, "coins": [{"symbol": BTC, "refusal": "signal_too_weak"}]}
    rig.ledger.set_value(SNAPSHOT_KEY, old)
    rig.restart()
    assert rig.cycle().snapshot is not None


def test_resume_lifts_the_reason_that_only_a_resume_could_lift(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.control.put("pause")
    assert strict(rig.first_cycle().snapshot)["coins"][0]["refusal"] == "paused_by_user"
    rig.restart()
    rig.control.put("resume")
    assert strict(rig.cycle().snapshot)["coins"][0]["refusal"] == ""
    assert ("paused_by_user", BTC) in rig.refusals()
