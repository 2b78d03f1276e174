"""Deposits and withdrawals: neither profit nor loss, and what a transfer under way freezes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import BTC, ETH, Rig, assert_books_equal_venues, make_rig

from bot.books import performance
from bot.domain.modes import EngineMode

D = Decimal


def notes(rig: Rig) -> list[tuple[str, Decimal, str]]:
    return [(flow.account, flow.amount, flow.note) for flow in rig.ledger.flows()]


def test_opening_balances_count_at_once(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "60.01", "kraken": "40"})
    result = rig.first_cycle()
    assert notes(rig) == [("coinbase", D("60.01"), "opening balance"), ("kraken", D(40), "opening balance")]
    assert result.equity == pytest.approx(100.01)
    assert rig.engine.performance.index == 1
    assert result.tier == "STARTER"


def test_deposit_counts_when_it_was_seen_twice_and_is_no_profit(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    before = rig.engine.performance
    rig.venue.core.deposit("USD", D(50))
    assert rig.cycle().equity < 100
    assert len(notes(rig)) == 1
    result = rig.cycle()
    assert notes(rig)[1:] == [("coinbase", D(50), "deposit")]
    assert result.equity > 149
    after = rig.engine.performance
    assert abs(after.index - before.index) < D("1e-20")
    assert after.high_water_mark == before.high_water_mark
    assert_books_equal_venues(rig)


def test_withdrawal_is_no_loss(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    before = rig.engine.performance
    rig.venue.core.withdraw("USD", D(3))
    rig.cycle()
    rig.cycle()
    assert notes(rig)[1:] == [("coinbase", D(-3), "withdrawal")]
    after = rig.engine.performance
    assert abs(performance.drawdown_pct(after) - performance.drawdown_pct(before)) < 1e-9
    assert abs(performance.daily_loss_pct(after) - performance.daily_loss_pct(before)) < 1e-9
    assert rig.engine.guards.mode is EngineMode.ACTIVE
    assert_books_equal_venues(rig)


def test_withdrawal_of_half_the_account_trips_no_limit(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "1000"})
    rig.first_cycle()
    rig.venue.core.withdraw("USD", D(500))
    for _ in range(3):
        rig.cycle()
    rig.cycle(after_s=90_000.0)
    assert performance.drawdown_pct(rig.engine.performance) == 0.0
    assert performance.daily_loss_pct(rig.engine.performance) == 0.0
    assert rig.engine.guards.mode is EngineMode.ACTIVE


def test_difference_that_changes_from_cycle_to_cycle_is_no_flow_yet(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    for _ in range(4):
        rig.venue.core.deposit("USD", D(10))
        rig.cycle()
    assert len(notes(rig)) == 1
    rig.cycle()
    assert notes(rig)[1:] == [("coinbase", D(40), "deposit")]


def test_difference_of_less_than_a_cent_is_rounding(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.deposit("USD", D("0.009"))
    for _ in range(3):
        rig.cycle()
    assert len(notes(rig)) == 1


def test_bot_that_is_started_for_each_cycle_sees_a_flow_twice_too(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.deposit("USD", D(10))
    rig.restart()
    rig.cycle()
    assert len(notes(rig)) == 1
    rig.restart()
    rig.cycle()
    assert notes(rig)[1:] == [("coinbase", D(10), "deposit")]


def test_cash_that_is_missing_at_the_decision_lets_nothing_be_entered(tmp_path: Path) -> None:
    # Sized on $100 while $40 are left, one position would be 45 % of the account.
    rig = make_rig(tmp_path)
    rig.venue.hidden_candles.add(BTC)
    rig.first_cycle()
    rig.venue.hidden_candles.clear()
    rig.venue.core.withdraw("USD", D(60))
    rig.cycle(after_s=600.0)
    assert rig.orders() == []
    assert rig.refusal("transfer_pending") == (0.0, 24.0, "hours", "")


def test_resting_entry_is_taken_back_when_cash_is_missing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    assert len(rig.entries()) == 1
    rig.venue.core.withdraw("USD", D(40))
    rig.cycle()
    assert rig.entries() == []


def test_cash_that_is_not_booked_yet_is_not_spent(tmp_path: Path) -> None:
    # $100 with a buffer of 90 leave $10 for an entry and its fee; the $60 do not count as equity yet.
    rig = make_rig(tmp_path, cash_buffer_frac=0.9)
    rig.venue.hidden_candles.add(BTC)
    rig.first_cycle()
    rig.venue.hidden_candles.clear()
    rig.venue.core.deposit("USD", D(60))
    rig.cycle(after_s=600.0)
    (entry,) = rig.entries()
    assert entry.price is not None
    assert D("9.8") < entry.quantity * entry.price * D("1.006") <= 10


def test_cash_that_comes_holds_no_entry_back(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.hidden_candles.add(BTC)
    rig.first_cycle()
    rig.venue.hidden_candles.clear()
    rig.venue.core.deposit("USD", D(60))
    rig.cycle(after_s=600.0)
    assert len(rig.entries()) == 1


def test_account_that_is_added_later_brings_its_opening_balance(tmp_path: Path) -> None:
    both = make_rig(tmp_path, cash={"coinbase": "100", "kraken": "80"})
    kraken = both.venues.pop("kraken")
    both.restart()
    both.first_cycle()
    both.venues["kraken"] = kraken
    both.restart()
    result = both.cycle()
    assert notes(both)[1:] == [("kraken", D(80), "opening balance")]
    assert result.equity == pytest.approx(180.0)
    assert both.engine.performance.index == 1


@pytest.mark.parametrize("left_out", [True, False])
def test_cash_that_is_missing_on_an_account_left_out_blocks_nothing(tmp_path: Path, left_out: bool) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "100", "kraken": "80"})
    rig.venue.hidden_candles.add(BTC)  # nothing is decided yet
    rig.first_cycle()
    rig.venues["kraken"].core.withdraw("USD", D(1))
    rig.cycle()  # the first look
    if left_out:
        rig.venues.pop("kraken")
    rig.restart()
    rig.venue.hidden_candles.clear()
    rig.cycle(after_s=10.0)
    assert rig.refusals() == ([] if left_out else [("transfer_pending", BTC)])
    assert len(rig.entries()) == (1 if left_out else 0)


# -- transfers


def transfer_under_way(folder: Path) -> Rig:
    """$300 of $1,000 have left coinbase for kraken and have been booked."""
    rig = make_rig(folder, cash={"coinbase": "700", "kraken": "300"})
    rig.venue.hidden_candles.add(BTC)  # nothing is decided yet
    rig.first_cycle()
    assert rig.engine._tiers.current_name == "ELITE"
    rig.venue.core.withdraw("USD", D(300))
    rig.cycle()
    rig.cycle()
    return rig


def test_large_outflow_freezes_the_tier_and_entries(tmp_path: Path) -> None:
    rig = transfer_under_way(tmp_path)
    rig.venue.hidden_candles.clear()
    result = rig.cycle(after_s=600.0)
    assert result.tier == "ELITE"  # $700 alone would be ADVANCED
    assert rig.refusals() == [("transfer_pending", BTC)]
    limit, actual, unit, _ = rig.refusal("transfer_pending")
    assert (limit, unit) == (0.0, "hours")
    assert actual == pytest.approx(24 - 600 / 3600)
    assert performance.drawdown_pct(rig.engine.performance) == 0.0


def test_transfer_ends_with_its_inflow_less_a_network_fee(tmp_path: Path) -> None:
    rig = transfer_under_way(tmp_path)
    rig.restart()
    rig.venues["kraken"].core.deposit("USD", D(297))
    rig.cycle()
    rig.cycle()
    assert not rig.engine.flows.transfer_pending(rig.now)
    rig.venue.hidden_candles.clear()
    rig.cycle(after_s=600.0)
    assert len(rig.entries()) == 1


def test_transfer_is_not_ended_by_another_deposit(tmp_path: Path) -> None:
    rig = transfer_under_way(tmp_path)
    rig.venues["kraken"].core.deposit("USD", D(50))
    rig.cycle()
    rig.cycle()
    assert rig.engine.flows.transfer_pending(rig.now)


def test_transfer_that_never_arrives_was_a_withdrawal_after_a_day(tmp_path: Path) -> None:
    rig = transfer_under_way(tmp_path)
    result = rig.cycle(after_s=24 * 3600.0 - 61.0)
    assert result.tier == "ELITE"
    result = rig.cycle(after_s=62.0)
    assert result.tier_change == "ELITE -> ADVANCED"


def test_small_outflow_freezes_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "1000"})
    rig.first_cycle()
    rig.venue.core.withdraw("USD", D(49))
    rig.cycle()
    rig.cycle()
    assert not rig.engine.flows.transfer_pending(rig.now)


def test_small_outflow_freezes_nothing_where_the_bot_is_started_for_each_cycle(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "1000"})
    rig.first_cycle()
    rig.venue.core.withdraw("USD", D(49))
    for _ in range(2):
        rig.restart()
        rig.cycle()
    assert notes(rig)[1:] == [("coinbase", D(-49), "withdrawal")]
    assert not rig.engine.flows.transfer_pending(rig.now)


def test_account_without_money_waits_for_it(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "0"})
    result = rig.first_cycle()
    assert (result.tier, result.mode, result.equity) == ("UNRANKED", EngineMode.REDUCE_ONLY, 0.0)
    rig.venue.core.deposit("USD", D(100))
    rig.cycle()
    result = rig.cycle()
    assert (result.tier, result.mode) == ("STARTER", EngineMode.ACTIVE)
    assert rig.engine.performance.index == 1


def test_account_that_is_emptied_and_filled_again_keeps_its_index(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.control.put("pause")
    rig.cycle()
    rig.venue.core.withdraw("USD", D(100))
    for _ in range(3):
        rig.cycle()
    rig.venue.core.deposit("USD", D(100))
    for _ in range(3):
        rig.cycle()
    assert rig.engine.performance.index == 1
    assert performance.drawdown_pct(rig.engine.performance) == 0.0
    assert rig.engine.state.halted_by == ""


def test_sale_between_the_balances_and_the_fills_is_no_cash_that_is_missing(tmp_path: Path) -> None:
    """The books have its proceeds, the balances were read before it: entries that rest elsewhere go on resting."""
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "1000"}).entered(BTC=99.9)
    assert [order.symbol for order in rig.entries()] == [ETH]
    venue: Any = rig.venue
    real, told = venue.balances, venue.balances()
    venue.balances = lambda: told
    rig.cycle(BTC=70.0)  # through the stop
    venue.balances = real
    assert rig.engine.book.positions == {}
    assert rig.engine.state.unexplained == {}
    assert [order.symbol for order in rig.entries()] == [ETH]
    rig.cycle()
    assert_books_equal_venues(rig)
