"""Two kinds of dollars: markets in USDC beside those in USD, what a USDC is worth, and what is bought with it.

A market in USDC shows the price of the coin's market in USD, so that $18 are bought as in the other tests.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from engine_rig import (
    BTC,
    BTC_USDC,
    ETH,
    QUANTITY,
    Rig,
    assert_books_equal_venues,
    assert_orders_equal_venues,
    assert_protected,
    make_rig,
)

from bot.domain.orders import Purpose

D = Decimal
NONE_IN_USD = {"coinbase": "0"}


def usdc_rig(folder: Path, amount: str = "100") -> Rig:
    """An account on coinbase that holds USDC alone."""
    return make_rig(folder, cash=NONE_IN_USD, usdc={"coinbase": amount})


def wanted(rig: Rig) -> list[tuple[str, str]]:
    return [(o.account, o.symbol) for o in rig.orders(Purpose.ENTRY)]


# -- what is bought with it


def test_coin_is_bought_in_the_market_of_the_money(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path).entered()
    assert wanted(rig) == [("coinbase", BTC_USDC)]
    assert rig.engine.book.positions["coinbase", BTC_USDC].quantity == QUANTITY
    assert rig.decisions() == [(BTC, "enter")]
    # 100 - 17.999999498 - .108
    assert rig.engine.book.cash["coinbase", "USDC"] == D("81.892000502")
    assert [(o.symbol, o.stop_price) for o in rig.stops()] == [(BTC_USDC, D("90.54"))]
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_position_is_sold_in_the_market_in_which_it_was_bought(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path).entered()
    rig.venue.core.deposit("USD", D(1000))  # now the USD market is the one to buy in
    rig.cycle()
    rig.cycle()
    rig.control.put("flatten")
    rig.cycle()
    assert [(o.symbol, o.filled_quantity) for o in rig.orders(Purpose.EXIT)] == [(BTC_USDC, QUANTITY)]
    assert rig.engine.book.positions == {}
    assert [t.symbol for t in rig.engine.book.trades] == [BTC_USDC]
    assert_books_equal_venues(rig)
    assert_orders_equal_venues(rig)


def test_books_in_usdc_are_the_same_after_a_restart(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path).entered()
    before, equity = rig.engine.book, rig.cycle().equity
    rig.restart()
    assert rig.engine.book == before
    assert rig.cycle().equity == equity
    assert len(rig.orders()) == 2  # neither entered nor stopped again


def test_coin_held_in_usdc_counts_as_held_at_the_next_decision(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path).entered()
    rig.next_decision(BTC=101.0)
    assert rig.decisions()[-1] == (BTC, "hold")
    assert wanted(rig) == [("coinbase", BTC_USDC)]


def test_two_markets_of_an_account_share_its_coins_with_nobody(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "60"}, usdc={"coinbase": "40"}).entered()
    assert wanted(rig) == [("coinbase", BTC)]
    rig.venue.core.deposit("USDC", D(150))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=100.0)
    assert rig.decisions()[-1] == (BTC, "add")
    rig.cycle(BTC=99.9)
    assert wanted(rig) == [("coinbase", BTC), ("coinbase", BTC_USDC)]
    result = rig.cycle()
    assert sorted(rig.engine.book.positions) == [("coinbase", BTC), ("coinbase", BTC_USDC)]
    assert_protected(rig)
    assert result.snapshot is not None
    assert result.snapshot["venues"][0]["foreign_assets"] == {}
    # 18 % of nearly $250 in both together
    held = sum(float(p.quantity) * 99.9 for p in rig.engine.book.positions.values())
    assert 0.175 < held / rig.engine._last_equity <= 0.18
    rig.control.put("flatten")
    rig.cycle()
    assert {o.symbol for o in rig.orders(Purpose.EXIT)} == {BTC, BTC_USDC}
    assert rig.engine.book.positions == {}
    assert_books_equal_venues(rig)


def test_each_order_is_paid_from_the_cash_of_its_own_quote(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "20"}, usdc={"coinbase": "19"})
    rig.first_cycle()
    # 18 % of 39 are 7.02. BTC leaves 20 - 7.02 * 1.012 = 12.90 USD, which is less than 19 USDC.
    assert wanted(rig) == [("coinbase", BTC), ("coinbase", "ETH/USDC")]
    assert [float(o.quantity) * 99.95 for o in rig.entries()] == [pytest.approx(7.02, abs=1e-5)] * 2


def test_order_is_no_larger_than_the_cash_of_its_quote(tmp_path: Path) -> None:
    cash, usdc = {"coinbase": "6", "kraken": "100"}, {"coinbase": "5.9"}
    rig = make_rig(tmp_path, cash=cash, usdc=usdc, venue_minimum_usd={"kraken": 1000.0})
    rig.first_cycle()
    # 18 % of 111.9 are 20.14, and 11.9 are there; but only 6 USD, less 1 % and the fee of .6 %: 5.9046.
    (entry,) = rig.entries()
    assert (entry.account, entry.symbol) == ("coinbase", BTC)
    assert float(entry.quantity) * 99.95 == pytest.approx(6 * 0.99 / 1.006, abs=1e-5)


def test_entry_that_follows_stays_in_its_market(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "40"}, usdc={"coinbase": "60"})
    rig.first_cycle()
    rig.venue.core.deposit("USD", D(500))
    rig.cycle(after_s=300.0, BTC=100.5)
    assert wanted(rig) == [("coinbase", BTC_USDC)] * 2


# -- what it is worth


def test_equity_counts_usdc_at_its_bid(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path)
    rig.first_cycle()
    rig.venue.usdc_bid = D("0.998")
    assert rig.cycle().equity == pytest.approx(99.8)
    rig.venue.usdc_bid = D("1.002")
    # .18009004 BTC at a bid of 99.85 (99.9 * .9995 = 99.85005) and 81.892000502 USDC, each times 1.002
    assert rig.cycle(BTC=99.9).equity == pytest.approx((0.18009004 * 99.85 + 81.892000502) * 1.002)


def test_position_in_usdc_counts_at_both_bids(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path).entered()
    rig.venue.usdc_bid = D("0.99")
    cash = rig.engine.book.cash["coinbase", "USDC"]
    value = (cash + QUANTITY * D("119.94")) * D("0.99")  # 120 * .9995
    assert rig.cycle(BTC=120.0).equity == pytest.approx(float(value))


def test_lowest_bid_that_any_account_knows_counts(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "0", "kraken": "0"}, usdc={"coinbase": "100", "kraken": "60"})
    rig.venues["coinbase"].usdc_bid, rig.venues["kraken"].usdc_bid = D("0.999"), D("0.997")
    assert rig.first_cycle().equity == pytest.approx(160 * 0.997)


def test_usdc_without_any_price_counts_as_a_dollar(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path)
    assert rig.first_cycle().equity == 100.0


# -- the peg


@pytest.mark.parametrize(
    ("bid", "limit"), [("0.9949", 0.995), ("0.995", None), ("1.005", None), ("1.0051", 1.005), ("0.96", 0.995)]
)
def test_entry_in_usdc_needs_it_to_be_worth_a_dollar(tmp_path: Path, bid: str, limit: float | None) -> None:
    rig = usdc_rig(tmp_path)
    rig.venue.usdc_bid = D(bid)
    rig.first_cycle()
    if limit is None:
        assert wanted(rig) == [("coinbase", BTC_USDC)]
        return
    assert rig.orders() == []
    assert rig.refusals() == [("quote_off_peg", BTC)]
    assert rig.refusal("quote_off_peg") == (limit, float(bid), "usd", "coinbase")


def test_peg_that_another_account_knows_counts(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "0", "kraken": "0"}, usdc={"coinbase": "100"})
    rig.venues["kraken"].usdc_bid = D("0.99")
    rig.first_cycle()
    assert rig.refusal("quote_off_peg") == (0.995, 0.99, "usd", "coinbase")


def test_lost_peg_leaves_entries_in_dollars(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "0"}, usdc={"kraken": "500"})
    rig.venues["kraken"].usdc_bid = D("0.99")
    rig.first_cycle()
    assert wanted(rig) == [("coinbase", BTC)]  # though kraken would be cheaper
    assert rig.refusals() == []


def test_lost_peg_ends_an_entry_that_would_follow(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path)
    rig.first_cycle()
    rig.venue.usdc_bid = D("0.99")
    rig.cycle(after_s=300.0, BTC=100.5)
    assert [o.state.value for o in rig.orders()] == ["canceled"]
    assert rig.refusals() == [("quote_off_peg", BTC)]


def test_lost_peg_keeps_nothing_from_being_protected_and_sold(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path)
    rig.first_cycle()
    rig.venue.usdc_bid = D("0.98")
    rig.cycle(BTC=99.9)
    assert_protected(rig)
    rig.control.put("flatten")
    rig.cycle()
    assert rig.engine.book.positions == {}


# -- accounts


def test_account_of_usdc_is_routed_by_its_cost(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "0"}, usdc={"kraken": "500"})
    rig.first_cycle()
    assert wanted(rig) == [("kraken", BTC_USDC)]


@pytest.mark.parametrize(("amount", "account"), [("49", "coinbase"), ("51", "kraken")])
def test_usdc_counts_for_the_minimum_of_an_account(tmp_path: Path, amount: str, account: str) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "0"}, usdc={"kraken": amount})
    rig.first_cycle()
    assert [name for name, _ in wanted(rig)] == [account]


def test_price_in_usdc_is_compared_with_that_in_usd(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "0"}, usdc={"kraken": "500"})
    rig.give_own_prices("kraken").prices[BTC_USDC] = 103.0
    rig.first_cycle()
    assert rig.orders() == []
    assert rig.refusal("price_disagrees") == (2.0, pytest.approx(3.0), "pct", "coinbase")


def test_deposit_of_usdc_is_a_flow(tmp_path: Path) -> None:
    rig = usdc_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.deposit("USDC", D(50))
    rig.cycle()
    rig.cycle()
    flows = [(flow.asset, flow.amount, flow.note) for flow in rig.ledger.flows()]
    assert flows == [("USDC", D(100), "opening balance"), ("USDC", D(50), "deposit")]
    assert float(rig.engine.performance.index) == pytest.approx(1.0)


def test_dollars_changed_into_usdc_are_no_outflow(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "100"}, usdc={"coinbase": "0"}, min_score=1.01)
    rig.first_cycle()
    rig.venue.core.withdraw("USD", D(60))
    rig.venue.core.deposit("USDC", D(60))
    rig.cycle()
    result = rig.cycle()
    assert rig.engine.book.cash == {("coinbase", "USD"): D(40), ("coinbase", "USDC"): D(60)}
    assert not rig.engine.flows.transfer_pending(rig.now)
    assert result.equity == 100.0
    assert float(rig.engine.performance.index) == pytest.approx(1.0)


def test_account_without_markets_in_usdc_shows_it_as_foreign(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.core.deposit("USDC", D(30))
    result = rig.first_cycle()
    assert result.equity == 100.0
    assert result.snapshot is not None
    assert result.snapshot["venues"][0]["foreign_assets"] == {"USDC": "30"}


# -- markets that take no orders


def test_market_that_takes_no_orders_at_present_is_not_entered(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"))
    rig.venue.closed_markets = {BTC}
    rig.first_cycle()
    assert wanted(rig) == [("coinbase", ETH)]
    assert rig.refusal("no_market") == (0.0, 0.0, "count", "coinbase")


def test_market_that_takes_no_orders_leaves_the_coin_to_the_other_account(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "500"})
    rig.venues["kraken"].closed_markets = {BTC}
    rig.first_cycle()
    assert wanted(rig) == [("coinbase", BTC)]
    assert rig.refusals() == []
