"""Each rule of the matching core, with the arithmetic in a comment."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from venue_helpers import BTC, FEES, HALF_SPREAD, D, bar, later, make_order, new_core

from bot.domain.account import Liquidity
from bot.domain.errors import StateFileError, VenueError
from bot.domain.market import Ticker
from bot.domain.orders import OrderState
from bot.ports import Accepted, Rejected
from bot.venues.matching import HISTORY_KEPT, MatchingCore
from bot.venues.rules import paper_instruments


def held(core: MatchingCore, asset: str) -> tuple[Decimal, Decimal]:
    """(free, used) of an asset."""
    balance = core.balances().get(asset)
    return (D(0), D(0)) if balance is None else (balance.free, balance.used)


def with_coins(quantity: str = "2", *, usd: str = "1000", price: float = 100.0) -> MatchingCore:
    core = new_core(usd, price=price)
    core.deposit("BTC", D(quantity))
    return core


def reason_of(outcome: object) -> str:
    assert isinstance(outcome, Rejected)
    return outcome.reason


# ---- money at once


def test_market_buy_pays_ask_and_fee_on_top() -> None:
    core = new_core("1000")
    assert isinstance(core.submit(make_order("market buy", "1"), later(1)), Accepted)
    # ask = 100 * 1.0005 = 100.05; fee = 100.05 * 0.012 = 1.2006; 1000 - 100.05 - 1.2006 = 898.7494
    assert held(core, "USD") == (D("898.7494"), D(0))
    assert held(core, "BTC") == (D(1), D(0))
    (fill,), cursor = core.fills_since("")
    assert (fill.price, fill.fee, fill.quantity, fill.liquidity) == (D("100.05"), D("1.2006"), D(1), Liquidity.TAKER)
    assert (fill.at, fill.fill_id, cursor) == (later(1), "1-a", "1")
    report = core.find_order("a")
    assert report is not None
    assert (report.state, report.filled_quantity) == (OrderState.FILLED, D(1))


def test_market_sell_gets_bid_less_fee() -> None:
    core = with_coins("2", usd="0")
    core.submit(make_order("market sell", "1.5"), later(1))
    # bid = 100 * 0.9995 = 99.95; 1.5 * 99.95 = 149.925; fee 1.7991; proceeds 148.1259
    assert held(core, "USD") == (D("148.1259"), D(0))
    assert held(core, "BTC") == (D("0.5"), D(0))


def test_fee_with_more_than_eight_decimals_is_rounded_up() -> None:
    core = new_core("1000")
    core.submit(make_order("market buy", "0.12345678"), later(1))
    # 0.12345678 * 100.05 = 12.351850839; * 0.012 = 0.148222210068 -> 0.14822222
    assert core.fills_since("")[0][0].fee == D("0.14822222")
    assert held(core, "USD") == (D("1000") - D("12.351850839") - D("0.14822222"), D(0))


def test_quote_off_the_tick_is_rounded_against_the_taker() -> None:
    core = new_core(price=100.07, account="kraken")
    quote = core.ticker(BTC)
    assert quote is not None
    # tick 0.1: 100.07 * 0.9995 = 100.019965 -> 100.0; 100.07 * 1.0005 = 100.120035 -> 100.2
    assert (quote.bid, quote.ask, quote.last, quote.at) == (D("100.0"), D("100.2"), D("100.07"), later(0))


def test_quote_below_one_tick_bids_the_tick() -> None:
    core = new_core(price=0.004)
    quote = core.ticker(BTC)
    assert quote is not None
    assert (quote.bid, quote.ask) == (D("0.01"), D("0.01"))


def test_limit_buy_above_ask_executes_at_ask_as_taker() -> None:
    core = new_core("1000")
    core.submit(make_order("limit buy", "1", price="110"), later(1))
    fill = core.fills_since("")[0][0]
    assert (fill.price, fill.liquidity) == (D("100.05"), Liquidity.TAKER)
    assert core.open_orders() == []


def test_limit_sell_below_bid_executes_at_bid_as_taker() -> None:
    core = with_coins()
    core.submit(make_order("limit sell", "1", price="90"), later(1))
    fill = core.fills_since("")[0][0]
    assert (fill.price, fill.liquidity) == (D("99.95"), Liquidity.TAKER)


# ---- holds


def test_resting_buy_holds_cost_and_taker_fee() -> None:
    core = new_core("1000")
    core.submit(make_order("limit buy", "2", price="90"), later(1))
    # 2 * 90 = 180; taker fee 2.16, the worst case; 1000 - 182.16 = 817.84
    assert held(core, "USD") == (D("817.84"), D("182.16"))
    assert [o.state for o in core.open_orders()] == [OrderState.OPEN]


def test_resting_sell_and_stop_hold_coins() -> None:
    core = with_coins("2")
    core.submit(make_order("limit sell", "0.5", price="120", client_id="t"), later(1))
    core.submit(make_order("stop sell", "1", stop="90", client_id="s"), later(1))
    assert held(core, "BTC") == (D("0.5"), D("1.5"))


def test_coins_under_a_stop_cannot_be_sold_again() -> None:
    core = with_coins("1")
    core.submit(make_order("stop sell", "1", stop="90", client_id="s"), later(1))
    reason = reason_of(core.submit(make_order("market sell", "0.5", client_id="x"), later(1)))
    assert reason == "insufficient funds: needs 0.5 BTC, free is 0"


def test_cancel_frees_the_hold_and_keeps_the_report() -> None:
    core = new_core("1000")
    order = make_order("limit buy", "2", price="90")
    core.submit(order, later(1))
    assert core.cancel(order) == Accepted(venue_order_id="coinbase-1")
    assert held(core, "USD") == (D(1000), D(0))
    report = core.find_order("a")
    assert report is not None
    assert report.state is OrderState.CANCELED
    assert reason_of(core.cancel(order)) == "order a is not resting"


# ---- resting limits


def test_limit_buy_touched_is_not_filled_and_traded_through_is() -> None:
    core = new_core("1000")
    core.submit(make_order("limit buy", "2", price="90"), later(0))
    core.on_range(BTC, bar(100, 101, 90, 95), later(1))
    assert core.fills_since("")[0] == []
    core.on_range(BTC, bar(95, 96, 89.99, 91), later(2))
    fill = core.fills_since("")[0][0]
    # 2 * 90 = 180, maker fee 1.08; 1000 - 181.08 = 818.92: the rest of the hold is free again
    assert (fill.price, fill.fee, fill.liquidity, fill.at) == (D(90), D("1.08"), Liquidity.MAKER, later(2))
    assert held(core, "USD") == (D("818.92"), D(0))


def test_limit_sell_touched_is_not_filled_and_traded_through_is() -> None:
    core = with_coins("1", usd="0")
    core.submit(make_order("limit sell", "1", price="110"), later(0))
    core.on_range(BTC, bar(100, 110, 99, 105), later(1))
    assert core.fills_since("")[0] == []
    core.on_range(BTC, bar(105, 110.01, 104, 106), later(2))
    # 110 - 0.66 maker
    assert held(core, "USD") == (D("109.34"), D(0))


def test_limit_beyond_a_gapped_open_fills_at_its_own_price() -> None:
    core = new_core("1000")
    core.submit(make_order("limit buy", "2", price="90"), later(0))
    core.on_open(BTC, 80.0, later(1))
    assert core.fills_since("")[0][0].price == D(90)


def test_limit_inside_the_spread_is_not_filled_by_the_same_price_again() -> None:
    core = new_core("1000")
    core.submit(make_order("limit buy", "1", price="100.03"), later(0))
    core.on_open(BTC, 100.0, later(0))
    assert core.fills_since("")[0] == []
    core.on_open(BTC, 100.0, later(1))
    assert core.fills_since("")[0][0].price == D("100.03")


def test_post_only_that_would_cross_is_rejected_and_at_the_bid_rests() -> None:
    core = new_core("1000")
    crossing = core.submit(make_order("limit buy", "1", price="100.05", post_only=True), later(0))
    assert reason_of(crossing) == "post-only at 100.05 would execute at once: bid 99.95, ask 100.05"
    assert isinstance(core.submit(make_order("limit buy", "1", price="99.95", post_only=True), later(0)), Accepted)
    core.deposit("BTC", D(1))
    selling = core.submit(make_order("limit sell", "1", price="99.95", post_only=True, client_id="b"), later(0))
    assert reason_of(selling) == "post-only at 99.95 would execute at once: bid 99.95, ask 100.05"


# ---- stops


def test_stop_touched_in_the_bar_executes_half_a_spread_below_the_stop() -> None:
    core = with_coins("1", usd="0")
    core.submit(make_order("stop sell", "1", stop="90"), later(0))
    core.on_range(BTC, bar(100, 101, 90.01, 95), later(1))
    assert core.fills_since("")[0] == []
    core.on_range(BTC, bar(95, 96, 90, 94), later(2))
    fill = core.fills_since("")[0][0]
    # 90 * 0.9995 = 89.955 -> down to 89.95; fee 89.95 * 0.012 = 1.0794; 88.8706
    assert (fill.price, fill.fee, fill.liquidity) == (D("89.95"), D("1.0794"), Liquidity.TAKER)
    assert held(core, "USD") == (D("88.8706"), D(0))


@pytest.mark.parametrize("as_bar", [False, True])
def test_stop_gapped_over_executes_at_the_open(as_bar: bool) -> None:
    core = with_coins("1", usd="0")
    core.submit(make_order("stop sell", "1", stop="90"), later(0))
    if as_bar:
        core.on_range(BTC, bar(80, 99, 70, 95), later(1))
    else:
        core.on_open(BTC, 80.0, later(1))
    # 80 * 0.9995 = 79.96
    assert core.fills_since("")[0][0].price == D("79.96")


@pytest.mark.parametrize("stop", ["105", "100"])
def test_stop_at_or_above_the_price_executes_at_once(stop: str) -> None:
    core = with_coins("1", usd="0")
    assert isinstance(core.submit(make_order("stop sell", "1", stop=stop), later(0)), Accepted)
    assert core.fills_since("")[0][0].price == D("99.95")


def test_stop_that_buys_is_rejected() -> None:
    core = new_core()
    assert reason_of(core.submit(make_order("stop buy", "1", stop="105"), later(0))) == (
        "a stop that buys is not supported here"
    )


def test_bar_that_hits_stop_and_target_fills_the_stop_first() -> None:
    core = with_coins("2", usd="0")
    core.submit(make_order("limit sell", "1", price="110", client_id="target"), later(0))
    core.submit(make_order("stop sell", "1", stop="90", client_id="stop"), later(0))
    core.on_range(BTC, bar(100, 111, 89, 100), later(1))
    assert [fill.client_order_id for fill in core.fills_since("")[0]] == ["stop", "target"]


def test_bar_that_opens_above_the_target_fills_it_before_the_stop() -> None:
    core = with_coins("2", usd="0")
    core.submit(make_order("stop sell", "1", stop="90", client_id="stop"), later(0))
    core.submit(make_order("limit sell", "1", price="110", client_id="target"), later(0))
    core.on_range(BTC, bar(111, 112, 89, 100), later(1))
    assert [fill.client_order_id for fill in core.fills_since("")[0]] == ["target", "stop"]


def test_prices_of_one_symbol_leave_orders_of_another_alone() -> None:
    core = new_core("1000")
    core.submit(make_order("limit buy", "1", price="90"), later(0))
    core.on_open("ETH/USD", 1.0, later(1))
    assert core.fills_since("")[0] == []
    assert core.has_resting(BTC)
    assert not core.has_resting("ETH/USD")


def test_late_bar_does_not_turn_the_price_back() -> None:
    core = new_core("1000")
    core.on_open(BTC, 120.0, later(5))
    core.on_range(BTC, bar(100, 101, 99, 100), later(4))
    quote = core.ticker(BTC)
    assert quote is not None
    assert (quote.last, quote.at) == (D("120.0"), later(5))


# ---- what is refused


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (
            make_order("limit buy", "1", price="90", symbol="XRP/USD"),
            "no market XRP/USD on coinbase: there are BTC/USD, ETH/USD, SOL/USD",
        ),
        (make_order("limit buy", "1", price="90", symbol="ETH/USD"), "ETH/USD: there is no price yet"),
        (make_order("market buy", "0.000000015"), "quantity 1.5E-8 is not a multiple of 1E-8 BTC"),
        (make_order("limit buy", "1", price="90.005"), "price 90.005 is not a multiple of 0.01 USD"),
        (make_order("stop sell", "1", stop="90.005"), "price 90.005 is not a multiple of 0.01 USD"),
        (make_order("limit buy", "0.01", price="99"), "cost 0.99 is below the minimum of 1 USD"),
        # 9.9 * 100.05 = 990.495, fee 11.88594: 1002.38094 of 1000
        (make_order("market buy", "9.9"), "insufficient funds: needs 1002.38094000 USD, free is 1000"),
        (make_order("limit buy", "11", price="90"), "insufficient funds: needs 1001.88000000 USD, free is 1000"),
        (make_order("market sell", "1"), "insufficient funds: needs 1 BTC, free is 0"),
    ],
)
def test_order_against_the_rules_is_rejected_and_changes_nothing(order: object, reason: str) -> None:
    core = new_core("1000")
    before = core.to_state()
    assert reason_of(core.submit(order, later(0))) == reason  # type: ignore[arg-type]
    assert core.to_state() == before
    assert core.find_order("a") is None


def test_order_below_the_minimum_amount_is_rejected() -> None:
    core = new_core(price=60_000.0, account="kraken")
    order = make_order("market buy", "0.00004999", account="kraken")
    assert reason_of(core.submit(order, later(0))) == "quantity 0.00004999 is below the minimum of 0.00005 BTC"


def test_order_of_exactly_the_minimum_is_accepted() -> None:
    smallest = make_order("limit buy", "0.00005", price="20000", account="kraken")  # 0.00005 * 20000 = 1
    assert isinstance(new_core(price=60_000.0, account="kraken").submit(smallest, later(0)), Accepted)
    cheapest = make_order("limit buy", "0.02", price="50")  # 0.02 * 50 = 1
    assert isinstance(new_core().submit(cheapest, later(0)), Accepted)


def test_limit_buy_marketable_needs_funds_for_its_limit_price() -> None:
    core = new_core("105")
    # at the ask 100.05 + 1.2006 would do, but at the limit 104 + 1.248 = 105.248 would not
    assert "needs 105.248" in reason_of(core.submit(make_order("limit buy", "1", price="104"), later(0)))


# ---- one order once


@pytest.mark.parametrize("price", ["90", "110"], ids=["resting", "filled"])
def test_same_client_id_twice_is_one_order(price: str) -> None:
    core = new_core("1000")
    first = core.submit(make_order("limit buy", "1", price=price), later(0))
    before = core.to_state()
    again = core.submit(make_order("limit buy", "1", price=price), later(1))
    assert first == again == Accepted(venue_order_id="coinbase-1")
    assert core.to_state() == before


def test_rejected_client_id_may_be_tried_again() -> None:
    core = new_core("50")
    assert isinstance(core.submit(make_order("market buy", "1"), later(0)), Rejected)
    core.deposit("USD", D(100))
    assert core.submit(make_order("market buy", "1"), later(0)) == Accepted(venue_order_id="coinbase-1")


# ---- parts


def test_limit_filled_in_parts_rests_with_the_rest() -> None:
    core = new_core("1000")
    core.submit(make_order("limit buy", "2", price="90"), later(0))
    core.next_fill_fraction = D("0.25")
    core.on_open(BTC, 89.0, later(1))
    (report,) = core.open_orders()
    assert (report.state, report.filled_quantity) == (OrderState.PARTLY_FILLED, D("0.5"))
    # 0.5 * 90 = 45 and 0.27 maker are paid; 1.5 * 90 = 135 and 1.62 taker are held: 1000 - 45.27 - 136.62 = 818.11
    assert held(core, "USD") == (D("818.11"), D("136.62"))
    core.on_open(BTC, 88.0, later(2))
    assert held(core, "USD") == (D("818.92"), D(0))
    assert [fill.quantity for fill in core.fills_since("")[0]] == [D("0.5"), D("1.5")]


def test_limit_partly_filled_and_canceled_reports_what_was_filled() -> None:
    core = new_core("1000")
    order = make_order("limit buy", "2", price="90")
    core.submit(order, later(0))
    core.next_fill_fraction = D("0.25")
    core.on_open(BTC, 89.0, later(1))
    core.cancel(order)
    report = core.find_order("a")
    assert report is not None
    assert (report.state, report.filled_quantity) == (OrderState.CANCELED, D("0.5"))


@pytest.mark.parametrize("kind", ["market sell", "stop sell"])
def test_rest_of_a_partly_filled_market_or_stop_order_is_canceled(kind: str) -> None:
    core = with_coins("2")
    core.next_fill_fraction = D("0.5")
    core.submit(make_order(kind, "2", stop="105" if kind.startswith("stop") else None), later(0))
    report = core.find_order("a")
    assert report is not None
    assert (report.state, report.filled_quantity) == (OrderState.CANCELED, D(1))
    assert held(core, "BTC") == (D(1), D(0))


def test_fees_of_the_parts_add_up_to_the_fee_of_the_whole() -> None:
    core = new_core("1000")
    core.submit(make_order("limit buy", "0.12345678", price="90.01"), later(0))
    core.next_fill_fraction = D("0.33333333")
    core.on_open(BTC, 89.0, later(1))
    core.on_open(BTC, 88.0, later(2))
    # 0.12345678 * 90.01 = 11.1123447678; * 0.006 = 0.0666740686068 -> 0.06667407
    assert sum(fill.fee for fill in core.fills_since("")[0]) == D("0.06667407")


def test_part_worth_less_than_its_rounded_fee_pays_no_more_than_it_brings() -> None:
    core = with_coins("2", usd="0", price=0.6)
    core.submit(make_order("limit sell", "2", price="0.7"), later(0))
    core.next_fill_fraction = D("0.000000001")
    core.on_open(BTC, 0.8, later(1))
    # one lot: 1e-8 * 0.7 = 7e-9; its fee 4.2e-11 would round up to 1e-8
    assert core.fills_since("")[0][0].fee == D("7E-9")
    assert held(core, "USD") == (D(0), D(0))
    core.on_open(BTC, 0.9, later(2))
    # the whole: 2 * 0.7 = 1.4; * 0.006 = 0.0084
    assert held(core, "USD") == (D("1.3916"), D(0))


# ---- flows, history, state


def test_withdrawal_of_held_money_is_refused() -> None:
    core = new_core("1000")
    core.submit(make_order("limit buy", "2", price="90"), later(1))
    with pytest.raises(VenueError, match=r"cannot withdraw 900 USD, only 817\.84000000 is free"):
        core.withdraw("USD", D(900))
    core.withdraw("USD", D("817.84"))
    assert held(core, "USD") == (D(0), D("182.16"))


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "0.000000001"])
def test_amount_that_is_none_is_refused(amount: str) -> None:
    with pytest.raises(VenueError, match="above 0 with at most 8 decimals"):
        new_core().deposit("USD", D(amount))


def test_fills_cursor_tells_only_what_is_new() -> None:
    core = with_coins("2")
    core.submit(make_order("market sell", "1", client_id="a"), later(0))
    _, cursor = core.fills_since("")
    assert core.fills_since(cursor) == ([], "1")
    core.submit(make_order("market sell", "1", client_id="b"), later(0))
    new, cursor = core.fills_since(cursor)
    assert ([fill.client_order_id for fill in new], cursor) == (["b"], "2")
    # a cursor from an account that was lost: everything again
    assert len(core.fills_since("7")[0]) == 2
    with pytest.raises(VenueError, match="fills cursor must be '' or a whole number, was 'x'"):
        core.fills_since("x")


def test_history_is_bounded_to_the_newest() -> None:
    core = new_core("0")
    core.deposit("BTC", D(20_000))
    for number in range(HISTORY_KEPT + 5):
        core.submit(make_order("market sell", "1", client_id=str(number)), later(0))
    fills, cursor = core.fills_since("")
    assert (len(fills), fills[0].client_order_id, cursor) == (HISTORY_KEPT, "5", str(HISTORY_KEPT + 5))
    assert core.find_order("4") is None
    assert core.find_order("5") is not None


def reload(state: dict[str, object], **changes: object) -> MatchingCore:
    text = json.dumps({**state, **changes})
    return MatchingCore.from_state(
        json.loads(text),
        account="coinbase",
        instruments=paper_instruments("coinbase"),
        fees=FEES,
        half_spread_frac=HALF_SPREAD,
    )


def test_state_reloaded_goes_on_with_numbers_orders_and_money() -> None:
    core = with_coins("2")
    core.submit(make_order("market sell", "0.3", client_id="m"), later(0))
    core.submit(make_order("stop sell", "1", stop="90", client_id="s"), later(0))
    twin = reload(core.to_state())
    for each in (core, twin):
        each.on_open(BTC, 80.0, later(1))
        each.submit(make_order("market sell", "0.1", client_id="n"), later(1))
    assert [fill.fill_id for fill in twin.fills_since("1")[0]] == ["2-s", "3-n"]
    assert twin.to_state() == core.to_state()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "stored state is of version 2 and account 'coinbase', needed are 1 and 'coinbase'"),
        ({"account": "kraken"}, "version 1 and account 'kraken'"),
        ({"totals": {"USD": "many"}}, "stored state is broken"),
        ({"totals": {"USD": "-1"}}, "stored state is broken"),
        ({"totals": {}}, "stored state is broken"),
        ({"totals": None}, "stored state is broken"),
        ({"working": [{}]}, "stored state is broken: KeyError"),
    ],
)
def test_broken_state_is_a_state_file_error(changes: dict[str, object], message: str) -> None:
    core = with_coins("2")
    core.submit(make_order("stop sell", "1", stop="90", client_id="s"), later(0))
    with pytest.raises(StateFileError, match=message):
        reload(core.to_state(), **changes)


def test_order_on_a_market_that_is_gone_is_canceled_and_the_coins_stay() -> None:
    core = with_coins("2")
    core.submit(make_order("stop sell", "1", stop="90", client_id="s"), later(0))
    core.submit(make_order("limit buy", "1", price="90", client_id="b"), later(0))
    twin = MatchingCore.from_state(
        core.to_state(),
        account="coinbase",
        instruments=paper_instruments("coinbase", ["ETH"]),
        fees=FEES,
        half_spread_frac=HALF_SPREAD,
    )
    assert twin.open_orders() == []
    reports = [twin.find_order(client_id) for client_id in ("s", "b")]
    assert [report.state for report in reports if report is not None] == [OrderState.CANCELED] * 2
    assert (held(twin, "BTC"), held(twin, "USD")) == ((D(2), D(0)), (D(1000), D(0)))
    reason = reason_of(twin.submit(make_order("market sell", "1", client_id="m"), later(1)))
    assert reason == "no market BTC/USD on coinbase: there are ETH/USD"


def test_state_of_before_orders_had_a_time_is_read_and_met_by_every_bar() -> None:
    core = with_coins("2")
    core.submit(make_order("stop sell", "1", stop="90", client_id="s"), later(5))
    state = json.loads(json.dumps(core.to_state()))
    del state["working"][0]["placed_at"]
    twin = reload(state)
    twin.on_range(BTC, bar(100, 101, 85, 95, hour=0), later(1), began=later(0))
    assert [fill.client_order_id for fill in twin.fills_since("")[0]] == ["s"]


def test_market_that_takes_no_new_orders_refuses_them_and_executes_what_rests() -> None:
    core = with_coins("2")
    core.submit(make_order("stop sell", "1", stop="90", client_id="s"), later(0))
    core.instruments[BTC] = replace(core.instruments[BTC], is_open=False)
    reason = reason_of(core.submit(make_order("limit buy", "1", price="90", client_id="b"), later(0)))
    assert reason == "BTC/USD takes no new orders at present"
    core.on_open(BTC, 89.0, later(1))
    assert [fill.client_order_id for fill in core.fills_since("")[0]] == ["s"]


# ---- immediate orders


def test_immediate_buy_pays_ask_not_its_bound() -> None:
    core = new_core("1000")
    assert isinstance(core.submit(make_order("ioc buy", "1", price="102"), later(1)), Accepted)
    (fill,), _ = core.fills_since("")
    assert (fill.price, fill.liquidity) == (D("100.05"), Liquidity.TAKER)
    # 1000 - 100.05 - 100.05 * 0.012
    assert held(core, "USD") == (D("898.7494"), D(0))


def test_immediate_sale_beyond_the_bid_is_canceled_and_holds_nothing() -> None:
    core = with_coins("2")
    assert isinstance(core.submit(make_order("ioc sell", "1", price="99.96"), later(1)), Accepted)
    report = core.find_order("a")
    assert report is not None
    assert (report.state, report.filled_quantity) == (OrderState.CANCELED, D(0))
    assert (core.open_orders(), core.fills_made, held(core, "BTC")) == ([], 0, (D(2), D(0)))


def test_immediate_order_filled_in_part_does_not_rest_with_the_rest() -> None:
    core = new_core("1000")
    core.next_fill_fraction = D("0.25")
    core.submit(make_order("ioc buy", "1", price="102"), later(1))
    report = core.find_order("a")
    assert report is not None
    assert (report.state, report.filled_quantity) == (OrderState.CANCELED, D("0.25"))
    assert (core.open_orders(), held(core, "USD")[1]) == ([], D(0))


def test_immediate_buy_needs_the_money_for_its_bound() -> None:
    core = new_core("102")
    # 1 at 102 and 1.2 % of it: 103.224
    reason = reason_of(core.submit(make_order("ioc buy", "1", price="102"), later(1)))
    assert reason == "insufficient funds: needs 103.22400000 USD, free is 102"


# ---- real quotes


def quoted(bid: str, ask: str, last: str, hours: float = 0) -> Ticker:
    return Ticker(symbol=BTC, bid=D(bid), ask=D(ask), last=D(last), at=later(hours))


def test_real_quote_is_the_ticker_and_its_prices_are_paid() -> None:
    core = with_coins("1")
    core.on_quote(quoted("99.10", "101.30", "100", 1), later(1))
    assert core.ticker(BTC) == quoted("99.10", "101.30", "100", 1)
    core.submit(make_order("ioc buy", "1", price="105", client_id="b"), later(1))
    core.submit(make_order("market sell", "1", client_id="s"), later(1))
    assert [fill.price for fill in core.fills_since("")[0]] == [D("101.30"), D("99.10")]


@pytest.mark.parametrize(
    ("kind", "price", "bid", "ask", "fills"),
    [
        ("limit buy", "90", "89.90", "90.00", 0),  # the ask touches the limit
        ("limit buy", "90", "89.90", "89.99", 1),
        ("limit buy", "90", "80", "95", 0),  # the middle is below the limit, no seller is
        ("limit sell", "110", "110.00", "110.10", 0),
        ("limit sell", "110", "110.01", "110.10", 1),
        ("limit sell", "110", "105", "120", 0),
    ],
)
def test_real_quote_fills_a_limit_order_only_from_the_other_side(
    kind: str, price: str, bid: str, ask: str, fills: int
) -> None:
    core = with_coins("1")
    core.submit(make_order(kind, "1", price=price), later(0))
    core.on_quote(quoted(bid, ask, bid, 1), later(2))
    found = core.fills_since("")[0]
    assert [(fill.price, fill.liquidity, fill.at) for fill in found] == [(D(price), Liquidity.MAKER, later(2))] * fills


@pytest.mark.parametrize(("last", "fills"), [("90.01", 0), ("90.00", 1)])
def test_real_quote_triggers_a_stop_with_its_last_price_and_sells_at_the_bid(last: str, fills: int) -> None:
    core = with_coins("1")
    core.submit(make_order("stop sell", "1", stop="90"), later(0))
    core.on_quote(quoted("89.20", "90.80", last, 1), later(1))
    assert [fill.price for fill in core.fills_since("")[0]] == [D("89.20")] * fills


def test_bar_after_a_real_quote_has_its_spread() -> None:
    core = with_coins("1")
    core.submit(make_order("stop sell", "1", stop="90"), later(0))
    core.learn_spread(quoted("99", "101", "100"))
    core.on_range(BTC, bar(100, 100, 85, 95, hour=0), later(1))
    # half a spread is (101 - 99) / (101 + 99) = 1 %: 90 * 0.99
    assert core.fills_since("")[0][0].price == D("89.10")
    ticker = core.ticker(BTC)
    assert ticker is not None
    assert (ticker.bid, ticker.ask, ticker.at) == (D("94.05"), D("95.95"), later(1))  # 95 * 0.99 and 95 * 1.01


def resting_until_0025() -> MatchingCore:
    core = new_core("1000")
    core.submit(make_order("limit buy", "1", price="90", post_only=True), later(0))  # made at T0
    return core


def test_order_meets_the_bars_that_began_before_its_end_and_no_later_one() -> None:
    core = resting_until_0025()
    state = json.loads(json.dumps(core.to_state()))
    falling = bar(91, 91, 89, 89)
    core.on_range(BTC, falling, later(1), began=later(24 / 60))
    assert core.fills_made == 1
    restarted = reload(state)
    restarted.on_range(BTC, falling, later(1), began=later(25 / 60))
    assert restarted.fills_made == 0
    report = restarted.find_order("a")
    assert report is not None
    assert report.state is OrderState.CANCELED
    assert held(restarted, "USD") == (D(1000), D(0))


@pytest.mark.parametrize(("minutes", "fills"), [(24, 1), (25, 0)])
def test_order_meets_a_real_quote_only_before_its_end(minutes: int, fills: int) -> None:
    core = resting_until_0025()
    core.on_quote(
        Ticker(symbol=BTC, bid=D("88"), ask=D("89"), last=D("88.5"), at=later(minutes / 60)), later(minutes / 60)
    )
    assert core.fills_made == fills
    assert core.open_orders() == []


def test_bar_that_began_before_an_order_is_met_only_by_the_older_one() -> None:
    core = with_coins("2")
    core.submit(make_order("stop sell", "1", stop="90", client_id="old"), later(0))
    core.submit(make_order("stop sell", "1", stop="90", client_id="young"), later(0.5))
    core.on_range(BTC, bar(100, 100, 85, 95, hour=0), later(1), began=later(0))
    assert [fill.client_order_id for fill in core.fills_since("")[0]] == ["old"]
    core.on_range(BTC, bar(95, 95, 89, 95, hour=1), later(2), began=later(1))
    assert [fill.client_order_id for fill in core.fills_since("")[0]] == ["old", "young"]
