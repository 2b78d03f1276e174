"""Which account an entry goes to, and why it goes to none."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from engine_rig import BTC, ETH, Rig, assert_books_equal_venues, assert_protected, make_rig

from bot.domain.orders import Purpose

D = Decimal


def test_account_with_the_lower_fees_gets_the_entry(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    rig.first_cycle()
    assert [o.account for o in rig.entries()] == ["kraken"]
    assert rig.config.primary_account == "coinbase"


def test_dormant_account_gets_no_entry_and_counts_for_the_tier(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "240", "kraken": "20"})
    result = rig.first_cycle()
    assert result.tier == "GROWTH"
    assert [o.account for o in rig.entries()] == ["coinbase"]
    assert result.snapshot is not None
    assert [v["dormant"] for v in result.snapshot["venues"]] == [False, True]


def test_accounts_that_are_all_dormant_refuse_with_the_minimum(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "9.5", "kraken": "49"})
    rig.first_cycle()
    assert rig.refusal("venue_dormant") == (10.0, 9.5, "usd", "coinbase")


def test_dormant_account_still_protects_and_sells(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"kraken": "60"}).entered(BTC=99.8)
    assert rig.engine.book.positions
    rig.venue.core.withdraw("USD", D(20))
    for _ in range(3):
        rig.cycle()
    assert rig.engine.decider.account_equity(rig.engine.accounts["kraken"]) < 50
    rig.control.put("flatten")
    rig.cycle()
    assert rig.engine.book.positions == {}
    assert len(rig.orders(Purpose.EXIT)) == 1


def test_account_without_enough_cash_passes_the_entry_on(tmp_path: Path) -> None:
    # Kraken is cheaper, but its cash is worth less than the minimum trade.
    rig = make_rig(tmp_path, cash={"coinbase": "100", "kraken": "4"}, venue_minimum_usd={})
    rig.first_cycle()
    assert [o.account for o in rig.entries()] == ["coinbase"]
    assert rig.refusals() == []


def test_cash_on_the_wrong_side_is_said(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "4.9", "kraken": "100"}, venue_minimum_usd={})
    rig.venues["kraken"].hidden_markets = {BTC}
    rig.first_cycle()
    # 4.9 less 1 % for fees, over 1 + 0.6 %
    assert rig.refusal("venue_cash") == (5.0, pytest.approx(4.9 * 0.99 / 1.006), "usd", "coinbase")


def test_coin_that_no_account_trades_is_refused(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"))
    rig.venue.hidden_markets = {BTC}
    rig.first_cycle()
    assert rig.refusal("no_market") == (0.0, 0.0, "count", "coinbase")


def test_coin_without_a_price_is_refused_and_the_engine_goes_on(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"))
    rig.venue.hidden_tickers = {BTC}
    result = rig.first_cycle()
    assert rig.refusals() == [("no_market", BTC)]
    assert [o.symbol for o in rig.entries()] == [ETH]
    assert result.snapshot is not None
    assert result.snapshot["coins"][0]["price"] is None


def test_price_of_a_venue_that_answers_is_preferred_over_a_stale_one(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    rig.venue.hidden_candles.add(BTC)
    rig.first_cycle()
    rig.venue.hidden_candles.clear()
    rig.venue.down = {"balances"}  # candles still come, prices do not
    rig.cycle(after_s=600.0, BTC=103.0)
    (entry,) = rig.entries()
    # $180 at kraken's bid of 102.9, not at the 100 that coinbase said ten minutes ago
    assert 179.99 < float(entry.quantity) * 102.9 <= 180.0


def held_on_both(folder: Path) -> Rig:
    """BTC worth $360 on coinbase, bought while kraken was silent, and an addition on kraken."""
    rig = make_rig(folder, cash={"coinbase": "1000", "kraken": "1000"})
    rig.venue.hidden_candles.add(BTC)
    rig.first_cycle()
    rig.venue.hidden_candles.clear()
    rig.venues["kraken"].silence()
    rig.cycle(after_s=600.0)
    rig.cycle(BTC=99.8)
    rig.venues["kraken"].speak()
    rig.venue.core.deposit("USD", D(1500))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=100.0)
    rig.cycle(BTC=99.8)
    assert sorted(rig.engine.book.positions) == [("coinbase", BTC), ("kraken", BTC)]
    assert_protected(rig)
    return rig


def test_addition_counts_what_is_held_on_both_accounts(tmp_path: Path) -> None:
    rig = held_on_both(tmp_path)
    held = sum(float(p.quantity) * 99.8 for p in rig.engine.book.positions.values())
    assert 0.16 < held / rig.engine._last_equity <= 0.18
    rig.next_decision(BTC=100.0)
    assert rig.decisions()[-1] == (BTC, "hold")


def test_reduction_sells_on_the_dearest_account_first(tmp_path: Path) -> None:
    rig = held_on_both(tmp_path)
    rig.venue.core.withdraw("USD", D(1000))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=100.0)
    assert rig.decisions()[-1] == (BTC, "reduce")
    assert {o.account for o in rig.orders(Purpose.EXIT)} == {"coinbase"}
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_exit_sells_on_every_account(tmp_path: Path) -> None:
    rig = held_on_both(tmp_path)
    rig.control.put("flatten")
    rig.cycle()
    assert {o.account for o in rig.orders(Purpose.EXIT)} == {"coinbase", "kraken"}
    assert rig.engine.book.positions == {}
