"""The guards: what stops entries, for how long, and that no restart forgets it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import BTC, ETH, QUANTITY, SOL, START, Rig, assert_protected, make_rig, rising_days

from bot.books import performance
from bot.domain.modes import EngineMode
from bot.domain.orders import OrderState, Purpose

D = Decimal
THREE = ("BTC", "ETH", "SOL")


def reading(rig: Rig, name: str) -> tuple[float, float, bool]:
    """(used, limit, active) of one guard."""
    (found,) = [r for r in rig.engine.guards.readings if r.name == name]
    return found.used, found.limit, found.active


# -- daily loss


def lose_a_day(folder: Path, **changes: Any) -> Rig:
    """BTC falls through its stop to 60 while an entry of ETH still rests.

    Bought at 99.95 for 18.0 + 0.108 fee, sold at 59.97 for 10.8 - 0.1296 fee: 7.4376 of 100 are lost, more
    than 6 % and less than 12 %.
    """
    rig = make_rig(folder, coins=("BTC", "ETH"), **changes).entered()
    assert len(rig.entries()) == 1
    rig.cycle(BTC=60.0)
    return rig


def test_daily_loss_of_six_percent_cancels_entries_and_only_reduces(tmp_path: Path) -> None:
    rig = lose_a_day(tmp_path)
    used, limit, active = reading(rig, "daily_loss")
    assert (limit, active) == (6.0, True)
    assert abs(used - 7.4376) < 1e-4
    assert rig.engine.guards.mode is EngineMode.REDUCE_ONLY
    assert "next UTC day" in rig.engine.guards.reason
    assert rig.entries() == []
    assert ("daily_loss", True) in rig.guard_events()


def test_daily_loss_lasts_to_the_end_of_the_day_even_after_a_recovery_and_a_restart(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "1000"}).entered()
    rig.restart(daily_loss_frac=0.01)  # only now: heat keeps an entry from costing more than a day may
    rig.cycle(BTC=92.0)  # 18 % of the equity, down by 8 %: open positions count
    assert rig.engine.guards.mode is EngineMode.REDUCE_ONLY
    rig.restart()
    rig.cycle(after_s=20 * 3600.0, BTC=120.0)
    assert rig.engine.guards.mode is EngineMode.REDUCE_ONLY
    assert reading(rig, "daily_loss")[2]
    assert [event for event in rig.guard_events() if event[0] == "daily_loss"] == [("daily_loss", True)]

    rig.clock.moment = datetime(2024, 6, 2, 0, 0, 30, tzinfo=UTC)
    rig.cycle(after_s=0.0)
    assert rig.engine.guards.mode is EngineMode.ACTIVE
    assert rig.guard_events()[-1] == ("daily_loss", False)


def test_daily_loss_refuses_the_entries_of_its_day(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "1000"})
    rig.venue.hidden_candles.add(ETH)  # ETH's bar comes late, after the loss
    rig.entered()
    rig.restart(daily_loss_frac=0.01)
    rig.cycle(BTC=92.0)
    rig.venue.hidden_candles.clear()
    rig.cycle(after_s=600.0)
    assert rig.refusals() == [("daily_loss", ETH)]
    limit, actual, unit, _ = rig.refusal("daily_loss")
    assert (limit, unit) == (1.0, "pct")
    assert actual > 1.0


def test_daily_loss_over_midnight_is_measured_over_twenty_four_hours(tmp_path: Path) -> None:
    # 5 % before midnight and 2 % after it: neither day reaches 6 %, the 24 hours do.
    rig = make_rig(tmp_path, cash={"coinbase": "1000"}, coins=THREE).entered(BTC=99.9, ETH=99.9, SOL=99.9)
    rig.cycle(after_s=12 * 3600.0)
    rig.cycle(after_s=11 * 3600.0, BTC=91.0, ETH=91.0, SOL=91.0)  # 54 % of the equity down by 9 %
    assert rig.engine.guards.mode is EngineMode.ACTIVE
    midnight = datetime(2024, 6, 2, 0, 0, 10, tzinfo=UTC)
    rig.clock.moment = midnight
    rig.cycle(after_s=0.0)
    rig.cycle(after_s=30.0, BTC=88.0, ETH=88.0, SOL=88.0)
    p = rig.engine.performance
    of_the_day = 100 * (1 - float(p.index / p.day_start_index))
    assert of_the_day < 6.0 < performance.daily_loss_pct(p)
    assert rig.engine.guards.mode is EngineMode.REDUCE_ONLY


# -- drawdown


def lose_a_lot(folder: Path) -> Rig:
    """Two of three positions fall by 60 %: (18 + 8.23) % * 60 % = 15.7 % of the equity, and fees.

    Heat has left 8.23 % for SOL.
    """
    rig = make_rig(folder, coins=THREE, cash={"coinbase": "1000"})
    rig.entered(BTC=99.9, ETH=99.9, SOL=99.9)
    rig.cycle(BTC=40.0, SOL=40.0)
    return rig


def test_drawdown_of_twelve_percent_halts_until_it_is_reset(tmp_path: Path) -> None:
    rig = lose_a_lot(tmp_path)
    assert rig.engine.guards.mode is EngineMode.HALTED
    assert "resume --reset-drawdown" in rig.engine.guards.reason
    used, limit, active = reading(rig, "drawdown")
    assert (limit, active) == (12.0, True)
    assert 15.7 < used < 16.5

    rig.cycle(after_s=30 * 86_400.0, ETH=200.0)  # neither time nor a gain ends it
    rig.restart()
    rig.cycle()
    assert rig.engine.guards.mode is EngineMode.HALTED
    rig.control.put("resume", reset_drawdown=False)
    rig.cycle()
    assert rig.engine.guards.mode is EngineMode.HALTED

    rig.control.put("resume", reset_drawdown=True)
    rig.cycle()
    assert rig.engine.guards.mode is EngineMode.ACTIVE
    assert reading(rig, "drawdown") == (0.0, 12.0, False)
    assert ("command_resume_reset_drawdown", False) in rig.guard_events()
    assert [event for event in rig.guard_events() if event[0] == "drawdown"] == [
        ("drawdown", True),
        ("drawdown", False),
    ]


def test_drawdown_refuses_entries(tmp_path: Path) -> None:
    rig = lose_a_lot(tmp_path)
    rig.engine.state.last_decided_bar.clear()
    rig.board.prices.update({BTC: 100.0, SOL: 100.0})
    rig.cycle()
    assert ("drawdown", BTC) in rig.refusals()
    limit, actual, unit, _ = rig.refusal("drawdown")
    assert (limit, unit) == (12.0, "pct")
    assert actual > 12.0


def test_drawdown_reached_under_a_users_halt_is_latched_when_the_user_resumes(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=THREE, cash={"coinbase": "1000"}).entered(BTC=99.9, ETH=99.9, SOL=99.9)
    rig.control.put("halt")
    rig.cycle(BTC=40.0, SOL=40.0)
    rig.control.put("resume", reset_drawdown=False)
    rig.cycle()
    assert rig.engine.state.halted_by == "drawdown"
    assert rig.engine.guards.mode is EngineMode.HALTED


# -- three losses


FAR_AWAY: dict[str, Any] = {"daily_loss_frac": 0.9, "drawdown_frac": 0.9, "fee_budget_frac": 0.9}


def lose_three(folder: Path, *, fall_to: float = 85.0, **changes: Any) -> Rig:
    """Three positions are stopped out at 00:03; the other limits are far away."""
    rig = make_rig(folder, coins=THREE, cash={"coinbase": "1000"}, **FAR_AWAY, **changes)
    rig.entered(BTC=99.9, ETH=99.9, SOL=99.9)
    rig.cycle(BTC=fall_to, ETH=fall_to, SOL=fall_to)
    assert len(rig.engine.book.trades) == 3
    return rig


def test_three_losses_pause_entries_for_twenty_four_hours(tmp_path: Path) -> None:
    rig = lose_three(tmp_path)
    # The next daily close is at midnight, 24 hours end at 00:03: the later counts.
    assert rig.engine.state.streak_blocked_until == "2024-06-02T00:03:00+00:00"
    assert reading(rig, "loss_streak")[1:] == (3.0, True)
    rig.next_decision(BTC=102.0, ETH=102.0, SOL=102.0)
    assert set(rig.refusals()) == {("loss_streak", BTC), ("loss_streak", ETH), ("loss_streak", SOL)}
    limit, actual, unit, _ = rig.refusal("loss_streak")
    assert (limit, unit) == (0.0, "hours")
    assert actual == pytest.approx(2 / 60)  # decided at 00:01, blocked until 00:03
    rig.cycle(after_s=120.0)
    assert not reading(rig, "loss_streak")[2]
    events = [event for event in rig.guard_events() if event[0] == "loss_streak"]
    assert events == [("loss_streak", True), ("loss_streak", False)]


def test_three_losses_are_remembered_over_a_restart(tmp_path: Path) -> None:
    rig = lose_three(tmp_path)
    rig.restart()
    rig.cycle()
    assert reading(rig, "loss_streak")[2]
    assert rig.engine.state.half_size_next
    assert [t.initial_risk_usd is not None for t in rig.engine.book.trades] == [True, True, True]


def test_first_entry_after_three_losses_has_half_the_size_and_the_next_the_whole(tmp_path: Path) -> None:
    rig = lose_three(tmp_path)
    rig.next_decision(BTC=102.0, ETH=90.0, SOL=90.0)
    rig.next_decision(BTC=104.0, ETH=90.0, SOL=90.0)
    entry = rig.entries()[0]
    assert entry.symbol == BTC
    decided = rig.ledger._rows(
        "SELECT json_extract(details, '$.gap_usd'), json_extract(details, '$.notional_usd') FROM decisions"
        " WHERE symbol = ? AND action = 'enter' ORDER BY seq DESC",
        (BTC,),
    )[0]
    assert decided[1] == pytest.approx(decided[0] / 2, rel=1e-6)

    rig.cycle(BTC=103.8)  # filled
    rig.cycle()
    assert not rig.engine.state.half_size_next


def test_half_size_is_kept_while_the_re_entry_is_not_filled(tmp_path: Path) -> None:
    rig = lose_three(tmp_path)
    rig.next_decision(BTC=102.0, ETH=90.0, SOL=90.0)
    rig.next_decision(BTC=104.0, ETH=90.0, SOL=90.0)
    rig.cycle(after_s=1200.0, BTC=105.0)
    assert rig.entries() == []
    assert rig.engine.state.half_size_next


def test_half_size_is_not_used_up_by_an_addition(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=THREE, cash={"coinbase": "1000"}, max_losses=2, **FAR_AWAY)
    rig.entered(BTC=99.9, ETH=99.9, SOL=99.9)
    rig.cycle(BTC=85.0, ETH=85.0)
    assert rig.engine.state.half_size_next
    rig.venue.core.deposit("USD", D(1000))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=85.0, ETH=85.0, SOL=102.0)
    rig.next_decision(BTC=85.0, ETH=85.0, SOL=104.0)
    assert (SOL, "add") in rig.decisions()
    rig.cycle(SOL=103.8)
    rig.cycle()
    assert rig.engine.state.half_size_next


def test_half_size_of_a_small_account_is_the_smallest_trade(tmp_path: Path) -> None:
    # 18 % of $49 are 8.8; half of that is below the minimum trade of 5, and would be for ever.
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "50"}, max_losses=2, **FAR_AWAY)
    rig.entered(BTC=99.9, ETH=99.9)
    rig.cycle(BTC=85.0, ETH=85.0)
    rig.next_decision(BTC=102.0, ETH=85.0)
    rig.next_decision(BTC=104.0, ETH=85.0)
    (entry,) = rig.entries()
    assert entry.price is not None
    assert D(5) <= entry.quantity * entry.price <= D("5.05")


def test_losses_smaller_than_a_quarter_of_r_do_not_count(tmp_path: Path) -> None:
    # R is 9.4 % of the cost. Sold at 99.9 less fees of 0.6 + 1.2 %: a loss of 1.9 %, a fifth of R.
    rig = make_rig(tmp_path, coins=THREE, cash={"coinbase": "1000"}).entered(BTC=99.9, ETH=99.9, SOL=99.9)
    rig.control.put("flatten")
    rig.cycle(BTC=100.0, ETH=100.0, SOL=100.0)
    rig.control.put("resume", reset_drawdown=False)
    rig.cycle()
    assert len(rig.engine.book.trades) == 3
    assert all(t.net_pnl < 0 for t in rig.engine.book.trades)
    assert reading(rig, "loss_streak") == (0.0, 3.0, False)


# -- activation


@pytest.mark.parametrize(("cash", "active"), [("15", True), ("14.99", False)])
def test_account_becomes_active_at_fifteen_dollars(tmp_path: Path, cash: str, active: bool) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": cash})
    result = rig.first_cycle()
    assert rig.engine.state.activated is active
    if active:
        assert (result.mode, result.tier) == (EngineMode.ACTIVE, "STARTER")
        # The smallest trade of $5 would lose more than 3 % of $15 at a stop 9.4 % away.
        assert rig.refusals() == [("risk_per_trade", BTC)]
    else:
        assert (result.mode, result.tier) == (EngineMode.REDUCE_ONLY, "UNRANKED")
        assert rig.refusal("below_activation") == (15.0, 14.99, "usd", "")


@pytest.mark.parametrize(("left", "mode"), [("13.20", EngineMode.ACTIVE), ("13.19", EngineMode.REDUCE_ONLY)])
def test_active_account_trades_down_to_its_floor(tmp_path: Path, left: str, mode: EngineMode) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "15"})
    rig.first_cycle()
    rig.venue.core.withdraw("USD", D(15) - D(left))
    for _ in range(3):
        result = rig.cycle()
    assert result.mode is mode
    assert result.tier == "STARTER"
    assert reading(rig, "activation") == (float(left), pytest.approx(13.2), mode is EngineMode.REDUCE_ONLY)


def test_activation_is_remembered_over_a_restart(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "15"})
    rig.first_cycle()
    rig.venue.core.withdraw("USD", D(1))
    for _ in range(3):
        rig.cycle()
    rig.restart()
    assert rig.cycle().mode is EngineMode.ACTIVE


# -- positions, cash


def test_third_position_of_a_starter_is_refused(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=THREE)
    rig.first_cycle()
    assert [o.symbol for o in rig.entries()] == [BTC, ETH]
    assert rig.refusal("max_positions") == (2.0, 2.0, "count", "coinbase")
    assert rig.refusals() == [("max_positions", SOL)]


def test_users_ceiling_of_positions_is_lower_than_the_tiers(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=THREE, max_positions_ceiling=1)
    rig.first_cycle()
    assert [o.symbol for o in rig.entries()] == [BTC]
    assert rig.refusal("max_positions") == (1.0, 1.0, "count", "coinbase")


def test_users_ceiling_above_the_tiers_changes_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=THREE, max_positions_ceiling=6, risk_ceiling_pct=6.0)
    rig.first_cycle()
    assert rig.refusal("max_positions")[0] == 2.0
    assert rig.engine._risk_pct() == 3.0


def test_users_ceiling_of_risk_makes_the_entry_smaller(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, risk_ceiling_pct=1.0)
    rig.first_cycle()
    # 1 % of $100 over a loss of d + 0.6 % + 1.2 % (1 - d) + 0.1 % per dollar at the distance d = 0.0941100
    # of the price of 100: 1 / 0.1120 = 8.9 dollars instead of 18.
    assert 8.5 < float(rig.entries()[0].quantity) * 100 < 9.1


def test_cash_buffer_bounds_the_entries(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash_buffer_frac=0.75)
    rig.first_cycle()
    # The equity leg leaves half of the 25 to each of two positions: 12.5 for BTC, and for ETH what is left
    # while the venue holds the worst fee of the first, (25 - 12.5 * 1.012) / 1.006 = 12.2763.
    btc, eth = rig.entries()
    assert float(btc.quantity) * 99.95 == pytest.approx(12.5, abs=1e-4)
    assert float(eth.quantity) * 99.95 == pytest.approx(12.2763, abs=1e-4)


# -- silence


def two_accounts(folder: Path) -> Rig:
    """Both accounts hold cash, kraken holds BTC."""
    rig = make_rig(folder, coins=("BTC", "ETH"), cash={"coinbase": "200", "kraken": "500"})
    rig.venue.hidden_candles.add(ETH)
    rig.entered(BTC=99.8)
    assert list(rig.engine.book.positions) == [("kraken", BTC)]
    return rig


def test_silent_venue_keeps_its_balance_and_its_position_at_the_lower_price(tmp_path: Path) -> None:
    rig = two_accounts(tmp_path)
    rig.cycle(BTC=100.0)
    quantity = rig.engine.book.positions["kraken", BTC].quantity
    cash = sum(rig.engine.book.cash.values(), D(0))
    rig.venues["kraken"].silence()

    result = rig.cycle(BTC=110.0)  # kraken's last bid of 99.95 is the lower one; its tick is 0.1: 99.9
    assert result.equity == pytest.approx(float(cash + quantity * D("99.9")), abs=1e-9)
    result = rig.cycle(BTC=95.0)  # coinbase's bid of 94.95 is the lower one
    assert result.equity == pytest.approx(float(cash + quantity * D("94.95")), abs=1e-9)
    assert result.snapshot is not None
    assert not result.snapshot["fresh"]
    assert [v["fresh"] for v in result.snapshot["venues"]] == [True, False]


def test_silent_venue_takes_no_entry_and_the_other_does(tmp_path: Path) -> None:
    rig = two_accounts(tmp_path)
    rig.venues["kraken"].silence()
    rig.venue.hidden_candles.clear()
    rig.cycle(after_s=600.0)
    assert [(o.account, o.symbol) for o in rig.entries()] == [("coinbase", ETH)]


def test_entry_on_the_only_venue_that_is_silent_is_refused(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.hidden_candles.add(BTC)
    rig.first_cycle()
    rig.venue.hidden_candles.clear()
    rig.venue.down = {"balances"}
    rig.cycle(after_s=600.0)
    assert rig.refusals() == [("venue_unknown", BTC)]


def test_tier_does_not_move_on_a_stale_total(tmp_path: Path) -> None:
    rig = two_accounts(tmp_path)
    assert rig.engine._tiers.current_name == "ADVANCED"  # $700
    rig.venues["kraken"].silence()
    rig.venue.core.deposit("USD", D(1000))
    for _ in range(3):
        result = rig.cycle()
    assert result.equity > 1600
    assert (result.tier, result.tier_change) == ("ADVANCED", "")
    rig.venues["kraken"].speak()
    result = rig.cycle()
    assert (result.tier, result.tier_change) == ("ELITE", "ADVANCED -> ELITE")


def test_silent_venue_does_not_blind_the_limits(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=THREE, cash={"coinbase": "1000", "kraken": "60"})
    rig.venues["kraken"].hidden_markets = {BTC, ETH}
    rig.entered(BTC=99.9, ETH=99.9, SOL=99.9)
    rig.venues["kraken"].silence()
    marked = rig.engine.performance
    rig.cycle(BTC=50.0, ETH=50.0)  # two positions of $150: 150 of 1060 are lost
    assert rig.engine.state.halted_by == "drawdown"
    assert rig.engine.guards.mode is EngineMode.HALTED
    assert reading(rig, "daily_loss")[2]
    assert rig.engine.performance == marked  # nothing is remembered of a stale total but the halt


def test_position_without_any_known_price_trips_no_limit(tmp_path: Path) -> None:
    # Restarted while its venue is silent, a position is carried at its cost: far below the last price.
    rig = make_rig(tmp_path, cash={"coinbase": "100"}, position_cap_frac=0.8).entered()
    rig.cycle(BTC=200.0)
    rig.venue.silence()
    rig.restart()
    rig.cycle()
    assert rig.engine.state.halted_by == ""
    assert rig.engine.state.daily_loss_day == ""


def test_first_start_with_a_silent_venue_trades_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    rig.venues["kraken"].silence()
    result = rig.first_cycle()
    assert result.mode is EngineMode.HALTED
    assert result.reason == "waiting for kraken to answer for the first time"
    assert rig.orders() == []
    assert rig.decisions() == []
    rig.venues["kraken"].speak()
    result = rig.cycle()
    assert result.mode is EngineMode.ACTIVE
    assert len(rig.orders()) == 1


def test_price_that_is_too_old_is_no_price_to_enter_at(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.board.price_age_ms = 901_000
    rig.first_cycle()
    assert rig.refusal("stale_data") == (0.25, pytest.approx(901 / 3600), "hours", "coinbase")
    assert rig.orders() == []


@pytest.mark.parametrize("method", ["balances", "tickers", "open_orders", "find_order", "fills_since", "candles"])
def test_venue_error_in_any_method_neither_stops_the_engine_nor_loses_protection(tmp_path: Path, method: str) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH")).entered()
    rig.venue.down = {method}
    for _ in range(3):
        rig.cycle(BTC=98.0)
    rig.next_decision(BTC=99.0, ETH=99.0)
    rig.venue.speak()
    rig.cycle(after_s=600.0)
    assert_protected(rig)


# -- stalled


def stalled(folder: Path) -> Rig:
    """$20 without the micro mode: 18 % of them are $3.60, less than the minimum trade of $5."""
    rig = make_rig(folder, cash={"coinbase": "20"}, floor_allowed=False)
    rig.first_cycle()
    for i in range(14):
        rig.next_decision(BTC=100.0 + 2 * i)
    return rig


def test_fourteen_days_without_a_possible_order_are_stalled_and_say_why(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "20"}, floor_allowed=False)
    rig.first_cycle()
    for i in range(13):
        rig.next_decision(BTC=100.0 + 2 * i)
    assert rig.engine.guards.mode is EngineMode.ACTIVE
    result = rig.next_decision(BTC=130.0)
    assert result.mode is EngineMode.STALLED
    assert "at most $3.60 of BTC/USD on coinbase" in result.reason
    assert "below_min_trade" in result.reason


def test_stall_survives_a_restart_and_ends_with_a_deposit(tmp_path: Path) -> None:
    rig = stalled(tmp_path)
    rig.restart()
    assert rig.cycle().mode is EngineMode.STALLED
    rig.venue.core.deposit("USD", D(80))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=140.0)
    assert len(rig.entries()) == 1
    assert rig.cycle().mode is EngineMode.ACTIVE
    assert rig.cycle().reason == ""


def test_long_halt_is_no_stall(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.control.put("halt")
    rig.cycle(after_s=20 * 86_400.0)
    rig.control.put("resume", reset_drawdown=False)
    result = rig.cycle()
    assert (result.mode, result.reason) == (EngineMode.ACTIVE, "")


def test_accounts_below_their_minimums_stall_and_say_so(tmp_path: Path) -> None:
    # $60 would allow a trade of $10.80, but neither account may take it: $9 of $10, $49 of $50.
    rig = make_rig(tmp_path, cash={"coinbase": "9", "kraken": "49"})
    rig.first_cycle()
    assert rig.refusals()[0][0] == "venue_dormant"
    for i in range(14):
        result = rig.next_decision(BTC=100.0 + 2 * i)
    assert result.mode is EngineMode.STALLED
    assert "coinbase is dormant: it holds $9.00 of at least $10.00" in result.reason


# -- the user


def test_pause_stops_entries_and_resume_allows_them(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.control.put("pause")
    result = rig.first_cycle()
    assert (result.mode, rig.refusals()) == (EngineMode.REDUCE_ONLY, [("paused_by_user", BTC)])
    rig.restart()
    assert rig.cycle().mode is EngineMode.REDUCE_ONLY
    rig.control.put("resume", reset_drawdown=False)
    assert rig.cycle().mode is EngineMode.ACTIVE
    rig.next_decision(BTC=102.0)
    assert len(rig.entries()) == 1


def test_pause_goes_on_reducing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "1000"}).entered()
    rig.control.put("pause")
    rig.venue.core.withdraw("USD", D(500))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=100.0)
    assert [o.state for o in rig.orders(Purpose.EXIT)] == [OrderState.FILLED]


def test_sale_that_failed_before_a_halt_is_not_made_in_it(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "1000"}).entered()
    rig.venue.core.withdraw("USD", D(500))
    rig.cycle()
    rig.cycle()
    rig.venue.down = {"submit"}
    rig.next_decision(BTC=100.0)
    assert rig.engine.state.exits  # the reduction is wanted, and nobody knows what became of it
    rig.venue.speak()
    rig.control.put("halt")
    for _ in range(3):
        rig.cycle()
    assert [o.state for o in rig.orders(Purpose.EXIT)] == [OrderState.REJECTED]
    assert_protected(rig)


def test_halt_survives_a_restart(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.control.put("halt")
    rig.first_cycle()
    rig.restart()
    result = rig.cycle()
    assert (result.mode, result.reason) == (EngineMode.HALTED, "halted by the user; `resume` ends the halt")
    assert rig.orders() == []


@pytest.mark.parametrize(
    ("command", "check"),
    [
        ("halt", lambda rig: rig.engine.state.halted_by == "user"),
        ("pause", lambda rig: rig.engine.state.paused),
        ("flatten", lambda rig: rig.engine.state.flatten),
    ],
)
def test_command_is_durable_as_soon_as_it_is_obeyed(tmp_path: Path, command: str, check: object) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.engine.obey(command, {}, rig.now)  # and the process ends before the cycle does
    rig.restart()
    assert callable(check)
    assert check(rig)


def test_reset_of_the_drawdown_is_durable_as_soon_as_it_is_obeyed(tmp_path: Path) -> None:
    rig = lose_a_lot(tmp_path)
    rig.engine.obey("resume", {"reset_drawdown": True}, rig.now)
    rig.restart()
    assert rig.engine.state.halted_by == ""
    assert performance.drawdown_pct(rig.engine.performance) == 0.0


def test_resume_ends_a_flatten_that_could_not_sell_yet(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.venue.silence()
    rig.control.put("flatten")
    rig.cycle()
    rig.control.put("resume", reset_drawdown=False)
    rig.cycle()
    rig.venue.speak()
    rig.cycle()
    assert rig.engine.book.positions["coinbase", BTC].quantity == QUANTITY
    assert_protected(rig)


def test_engine_is_halted_before_any_venue_was_asked(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    assert rig.engine.guards.mode is EngineMode.HALTED


def test_days_in_the_rig_are_what_the_tests_say() -> None:
    days = rising_days()
    assert days[-1].open_ms + 86_400_000 == int((START - timedelta(minutes=1)).timestamp()) * 1000
    assert days[-1].close == 100.0
    assert days[-1].close > max(day.high for day in days[:-1])
