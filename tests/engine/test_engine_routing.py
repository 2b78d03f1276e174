"""Which account an entry goes to, and why it goes to none."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from engine_rig import (
    BTC,
    COINBASE_FEES,
    ETH,
    KRAKEN_FEES,
    Rig,
    assert_books_equal_venues,
    assert_protected,
    make_rig,
)

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
    assert rig.engine.decider.gates.account_equity(rig.engine.accounts["kraken"]) < 50
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
    # 4.9 less 1 % for fees, over 1 + 0.6 %; the smallest trade in whole lots is 5002502 * 1e-8 * 99.95 = 5.000000749
    needed, left = pytest.approx(5.000000749), pytest.approx(4.9 * 0.99 / 1.006)
    assert rig.refusal("venue_cash") == (needed, left, "usd", "coinbase")


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


# -- prices at which nothing is entered


def wide(rig: Rig, account: str, half_spread: str) -> None:
    rig.venues[account].core._half_spread = D(half_spread)


def test_spread_that_is_too_wide_on_both_accounts_is_refused(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    wide(rig, "coinbase", "0.003")
    wide(rig, "kraken", "0.004")
    rig.first_cycle()
    # Of the first account: 99.7 to 100.3 are 0.6 % of the middle; 0.5 % are allowed
    assert rig.refusals() == [("spread", BTC)]
    assert rig.refusal("spread") == (0.5, pytest.approx(0.6), "pct", "coinbase")
    assert rig.orders() == []


@pytest.mark.parametrize(("half_spread", "entered"), [("0.0025", True), ("0.0026", False)])
def test_spread_of_half_a_percent_is_just_allowed(tmp_path: Path, half_spread: str, entered: bool) -> None:
    rig = make_rig(tmp_path)
    wide(rig, "coinbase", half_spread)
    rig.first_cycle()
    assert bool(rig.entries()) is entered


def test_account_with_a_wide_spread_is_passed_over(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    wide(rig, "kraken", "0.004")  # the cheaper one
    rig.first_cycle()
    assert [o.account for o in rig.entries()] == ["coinbase"]
    assert rig.refusals() == []


def test_spread_does_not_keep_a_position_from_being_sold(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    wide(rig, "coinbase", "0.02")
    rig.control.put("flatten")
    rig.cycle()
    assert rig.engine.book.positions == {}


def test_prices_that_disagree_are_entered_at_neither(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    rig.give_own_prices("kraken").prices[BTC] = 103.0
    rig.first_cycle()
    # The middles are 100 and (102.9 + 103.1) / 2 = 103; 3 % of the lower one, 2 % are allowed.
    assert rig.orders() == []
    assert rig.refusals() == [("price_disagrees", BTC)]
    assert rig.refusal("price_disagrees") == (2.0, pytest.approx(3.0), "pct", "coinbase")


@pytest.mark.parametrize("price", [98.1, 101.9])
def test_prices_that_disagree_by_less_than_two_percent_do_not_matter(tmp_path: Path, price: float) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    rig.give_own_prices("kraken").prices[BTC] = price
    rig.first_cycle()
    (entry,) = rig.entries()
    assert entry.account == "kraken"
    assert entry.price is not None
    assert float(entry.price) == pytest.approx(price * 0.9995, abs=0.1)  # at the bid of where it is bought
    assert float(entry.quantity * entry.price) == pytest.approx(180.0, abs=1e-4)


def test_disagreement_about_one_coin_leaves_the_others(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "500", "kraken": "500"})
    rig.give_own_prices("kraken").prices[BTC] = 103.0
    rig.first_cycle()
    assert [o.symbol for o in rig.entries()] == [ETH]
    assert rig.refusals() == [("price_disagrees", BTC)]


def test_old_price_of_the_other_account_contradicts_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    board = rig.give_own_prices("kraken")
    board.prices[BTC], board.price_age_ms = 150.0, 901_000
    rig.first_cycle()
    assert [o.account for o in rig.entries()] == ["coinbase"]


def test_old_price_of_the_other_account_is_refused_there(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "0", "kraken": "500"})
    board = rig.give_own_prices("kraken")
    board.price_age_ms = 901_000
    rig.first_cycle()
    # Coinbase, the first, is dormant, which says least; Kraken, where the money is, has an old price.
    assert rig.refusal("stale_data") == (0.25, pytest.approx(901 / 3600), "hours", "kraken")
    assert rig.orders() == []
    board.price_age_ms = 900_000
    rig.next_decision(BTC=102.0)
    board.prices[BTC] = 102.0
    rig.cycle()
    assert [o.account for o in rig.orders()] == ["kraken"]


def test_silent_account_contradicts_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    rig.venue.hidden_candles.add(BTC)
    board = rig.give_own_prices("kraken")
    board.prices[BTC] = 150.0
    rig.first_cycle()
    rig.venue.hidden_candles.clear()
    rig.venues["kraken"].silence()
    rig.cycle(after_s=600.0)
    assert [o.account for o in rig.entries()] == ["coinbase"]


def test_account_without_the_market_leaves_the_coin_to_the_other(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    rig.venues["kraken"].hidden_markets = {BTC}
    rig.venues["kraken"].hidden_tickers = {BTC}
    rig.first_cycle()
    assert [o.account for o in rig.entries()] == ["coinbase"]
    assert rig.refusals() == []


def test_coin_without_a_market_anywhere_is_named_with_its_first_account(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "500", "kraken": "500"})
    for venue in rig.venues.values():
        venue.hidden_markets = {ETH}
    rig.first_cycle()
    assert rig.refusals() == [("no_market", ETH)]
    assert rig.refusal("no_market") == (0.0, 0.0, "count", "coinbase")
    assert [o.symbol for o in rig.entries()] == [BTC]


def test_coin_that_is_held_and_loses_its_market_is_held(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.venue.hidden_markets = {BTC}
    rig.next_decision(BTC=100.0)  # the rules of the account are read anew once a day
    rig.next_decision(BTC=101.0)
    rig.next_decision(BTC=96.0)
    assert [action for _, action in rig.decisions()[1:]] == ["hold"] * 3
    assert rig.orders(Purpose.EXIT) == []
    assert rig.engine.state.exits == {}


# -- cost, or the user's order


def same_fees(rig: Rig, *accounts: str) -> None:
    for account in accounts:
        rig.venues[account].core.fees = COINBASE_FEES


def test_spread_decides_between_accounts_with_the_same_fees(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("SOL",), cash={"coinbase": "500", "kraken": "500"})
    same_fees(rig, "kraken")
    wide(rig, "coinbase", "0.001")
    rig.first_cycle()
    assert [o.account for o in rig.entries()] == ["kraken"]


def test_spread_counts_half_against_the_fees(tmp_path: Path) -> None:
    # A sale crosses half the spread: kraken's .2 % a side and its fees of .65 % together against coinbase's
    # 1.8 % + .05 %; with fees of 1.7 % + .2 % it is the dearer one.
    for fees, account in ((KRAKEN_FEES, "kraken"), (replace(COINBASE_FEES, taker_frac=D("0.011")), "coinbase")):
        rig = make_rig(tmp_path / account, coins=("SOL",), cash={"coinbase": "500", "kraken": "500"})
        wide(rig, "kraken", "0.002")
        rig.venues["kraken"].core.fees = fees
        rig.first_cycle()
        assert [o.account for o in rig.entries()] == [account]


@pytest.mark.parametrize("names", [("coinbase", "kraken"), ("kraken", "coinbase")])
def test_users_order_decides_between_accounts_of_the_same_cost(tmp_path: Path, names: tuple[str, str]) -> None:
    rig = make_rig(tmp_path, coins=("SOL",), cash=dict.fromkeys(names, "500"))
    same_fees(rig, *names)
    rig.first_cycle()
    assert [o.account for o in rig.entries()] == [names[0]]


@pytest.mark.parametrize("names", [("coinbase", "kraken"), ("kraken", "coinbase")])
def test_without_routing_by_cost_the_users_order_decides(tmp_path: Path, names: tuple[str, str]) -> None:
    rig = make_rig(tmp_path, cash=dict.fromkeys(names, "500"), routes_by_cost=False)
    rig.first_cycle()
    assert [o.account for o in rig.entries()] == [names[0]]


def test_without_routing_by_cost_an_unfit_account_is_passed_over(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "9", "kraken": "500"}, routes_by_cost=False)
    rig.first_cycle()
    assert [o.account for o in rig.entries()] == ["kraken"]
    assert rig.refusals() == []


# -- fees


@pytest.mark.parametrize(("is_fallback", "asked"), [(False, 1), (True, 2)])
def test_fees_that_are_a_fallback_are_asked_again_after_an_hour(tmp_path: Path, is_fallback: bool, asked: int) -> None:
    rig = make_rig(tmp_path)
    rig.venue.core.fees = replace(COINBASE_FEES, is_fallback=is_fallback)
    rig.first_cycle()
    rig.cycle(after_s=3599.0)
    assert rig.venue.fees_asked == 1
    rig.cycle(after_s=1.0)
    assert rig.venue.fees_asked == asked


def test_fees_of_the_account_itself_end_the_asking(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.core.fees = replace(COINBASE_FEES, is_fallback=True)
    rig.first_cycle()
    rig.venue.core.fees = KRAKEN_FEES
    rig.cycle(after_s=3600.0)
    assert rig.engine.accounts["coinbase"].rules[BTC].fee_out == 0.004
    rig.cycle(after_s=3600.0)
    assert rig.venue.fees_asked == 2
