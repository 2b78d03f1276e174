"""The account of the local exchanges: money, matching and bars, each number computed by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from account_state import (
    AccountState,
    ExchangeOrder,
    Kind,
    Market,
    NewOrder,
    RefusalCode,
    RefusedError,
    Status,
    TimeInForce,
    uuid_id,
)
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.account import Liquidity
from bot.domain.market import TIMEFRAME_MS, Candle
from bot.domain.orders import Side

D = Decimal
NOW = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
BTC = Market(
    symbol="BTC-USD",
    base="BTC",
    quote="USD",
    lot_step=D("0.00000001"),
    tick_size=D("0.01"),
    min_amount=D("0.00001"),
    min_cost=D(1),
)
HOUR = TIMEFRAME_MS["1h"]
NOON_MS = 1_767_614_400_000
"""2026-01-05 12:00 UTC: the hour that forms at NOW."""


def account(*, refuse_triggered_stops: bool = False) -> AccountState:
    """$1000 and 2 BTC, maker 0.6 %, taker 1.2 %, bid 99.9, ask 100.1, last 100."""
    state = AccountState(
        markets=[BTC], maker_frac=D("0.006"), taker_frac=D("0.012"), refuse_triggered_stops=refuse_triggered_stops
    )
    state.deposit("USD", D(1000))
    state.deposit("BTC", D(2))
    price(state, "99.9", "100.1", "100")
    return state


def coarse() -> AccountState:
    """An empty account whose fees are whole cents; bid 99, ask 100."""
    state = AccountState(markets=[BTC], maker_frac=D("0.006"), taker_frac=D("0.012"), fee_step=D("0.01"))
    price(state, "99", "100")
    return state


def price(state: AccountState, bid: str, ask: str, last: str | None = None, now: datetime = NOW) -> None:
    state.set_price("BTC-USD", bid=D(bid), ask=D(ask), last=None if last is None else D(last), now=now)


def limit(side: Side, quantity: str, at: str, **more: object) -> NewOrder:
    return NewOrder(
        symbol="BTC-USD",
        side=side,
        kind=Kind.LIMIT,
        quantity=D(quantity),
        limit_price=D(at),
        **more,  # type: ignore[arg-type]
    )


def market(side: Side, quantity: str) -> NewOrder:
    return NewOrder(symbol="BTC-USD", side=side, kind=Kind.MARKET, quantity=D(quantity))


def stop(quantity: str, at: str, below: str | None = None, *, up: bool = False, side: Side = Side.SELL) -> NewOrder:
    return NewOrder(
        symbol="BTC-USD",
        side=side,
        kind=Kind.STOP_MARKET if below is None else Kind.STOP_LIMIT,
        quantity=D(quantity),
        stop_price=D(at),
        limit_price=None if below is None else D(below),
        stop_up=up,
    )


def spend(amount: str, *, includes_fee: bool = True) -> NewOrder:
    return NewOrder(
        symbol="BTC-USD",
        side=Side.BUY,
        kind=Kind.MARKET,
        quote_size=D(amount),
        quote_includes_fee=includes_fee,
    )


def money(state: AccountState) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """USD available and held, BTC available and held."""
    usd, btc = state.holding("USD"), state.holding("BTC")
    return usd.available, usd.hold, btc.available, btc.hold


def refusal(state: AccountState, new: NewOrder) -> RefusalCode:
    before = state.holdings(), len(state.orders())
    with pytest.raises(RefusedError) as caught:
        state.place(new, NOW)
    assert (state.holdings(), len(state.orders())) == before
    return caught.value.code


# ---- taking


def test_market_buy_by_quantity_costs_the_ask_and_the_taker_fee() -> None:
    state = account()
    order = state.place(market(Side.BUY, "1"), NOW)
    # 1 * 100.1 = 100.1; fee 100.1 * 0.012 = 1.2012; 1000 - 101.3012 = 898.6988
    assert (order.status, order.cost, order.fee, order.average_price) == (
        Status.FILLED,
        D("100.1"),
        D("1.2012"),
        D("100.1"),
    )
    assert money(state) == (D("898.6988"), 0, 3, 0)
    assert [fill.fill_id for fill in state.fills()] == order.fill_ids


def test_market_sell_pays_out_the_bid_less_the_fee() -> None:
    state = account()
    state.place(market(Side.SELL, "0.5"), NOW)
    # 0.5 * 99.9 = 49.95; fee 0.5994; 1000 + 49.3506
    assert money(state) == (D("1049.3506"), 0, D("1.5"), 0)


def test_quote_sized_buy_with_fee_inside_spends_exactly_the_amount() -> None:
    state = account()
    order = state.place(spend("101.30"), NOW)
    # 101.30 / 1.012 / 100.1 = 0.99998815...: 0.99998815 * 100.1 = 100.098813815, fee 1.20118576578 -> 1.20118577
    assert (order.filled, order.cost, order.fee) == (D("0.99998815"), D("100.098813815"), D("1.20118577"))
    assert order.status is Status.FILLED
    assert order.cost + order.fee <= D("101.30")


def test_quote_sized_buy_that_divides_evenly_leaves_nothing() -> None:
    state = account()
    price(state, "99.9", "100")
    order = state.place(spend("101.20"), NOW)  # 101.20 = 1 * 100 * 1.012
    assert (order.filled, order.fee, state.holding("USD").available) == (1, D("1.2"), D("898.8"))


def test_quote_sized_buy_with_fee_on_top_costs_more_than_its_size() -> None:
    state = account()
    price(state, "99.9", "100")
    order = state.place(spend("50", includes_fee=False), NOW)
    assert (order.filled, order.cost, order.fee) == (D("0.5"), 50, D("0.6"))


def test_taker_eats_the_levels_of_a_thin_book_with_a_fill_each() -> None:
    state = account()
    state.set_book("BTC-USD", bids=[(D(99), D(1))], asks=[(D(100), D("0.5")), (D(101), D(2)), (D(102), D(2))], now=NOW)
    order = state.place(market(Side.BUY, "1"), NOW)
    assert [(fill.price, fill.quantity) for fill in state.fills()] == [(100, D("0.5")), (101, D("0.5"))]
    assert order.average_price == D("100.5")
    book = state.book("BTC-USD")
    assert book is not None
    assert [tuple(level) for level in book.asks] == [(101, D("1.5")), (102, 2)]


def test_market_sell_into_an_exhausted_book_cancels_its_rest_and_leaves_no_price() -> None:
    state = account()
    state.set_book("BTC-USD", bids=[(D(99), D("0.5"))], asks=[(D(100), D(1))], now=NOW)
    order = state.place(market(Side.SELL, "2"), NOW)
    assert (order.status, order.filled, order.why_ended) == (Status.CANCELED, D("0.5"), "no more to take")
    assert state.book("BTC-USD") is None
    assert state.holding("BTC").hold == 0


def test_fees_of_one_order_are_rounded_up_together() -> None:
    state = account()
    state.fill_partly("BTC-USD", D("0.5"), D(1))
    order = state.place(limit(Side.BUY, "0.02", "95.03"), NOW)
    price(state, "95", "95.02")  # first half
    price(state, "95", "95.02")  # second
    # 0.01 * 95.03 * 0.006 = 0.0057018 each; 0.0114036 in all; with a fee step of 1e-8 nothing rounds
    assert (order.fee, order.status) == (D("0.0114036"), Status.FILLED)
    state = AccountState(markets=[BTC], maker_frac=D("0.006"), taker_frac=D("0.012"), fee_step=D("0.001"))
    state.deposit("USD", D(10))
    price(state, "99.9", "100.1")
    state.fill_partly("BTC-USD", D("0.5"), D(1))
    state.place(limit(Side.BUY, "0.02", "95.03"), NOW)
    price(state, "95", "95.02")
    price(state, "95", "95.02")
    # up to 0.006 for the first; 0.0114036 up to 0.012 for both, so 0.006 for the second
    assert [fill.fee for fill in state.fills()] == [D("0.006"), D("0.006")]


def test_quote_sized_buy_leaves_room_for_a_fee_that_is_rounded_up() -> None:
    state = coarse()
    state.deposit("USD", D(5))
    order = state.place(spend("5"), NOW)
    # 5 / 1.012 / 100 = 0.04940711: 4.940711 and a fee of 0.06 are above 5; so 4.99 / 1.012 / 100 = 0.0493083
    assert (order.filled, order.cost, order.fee) == (D("0.0493083"), D("4.93083"), D("0.06"))


def test_sale_too_small_for_its_rounded_fee_never_costs_more_than_it_brings() -> None:
    state = coarse()
    state.deposit("BTC", D(1))
    state.fill_partly("BTC-USD", D("0.00000001"))
    order = state.place(limit(Side.SELL, "1", "99"), NOW)
    # one lot: 0.00000001 * 99 = 0.00000099, less than the cent that its fee would be
    assert (order.filled, order.fee, state.holding("USD").total) == (D("0.00000001"), D("0.00000099"), 0)
    price(state, "99", "100")
    # all of it: 99 * 0.006 = 0.594 and the first lot's taker fee: up to 0.60
    assert (order.status, order.fee, state.holding("USD").total) == (Status.FILLED, D("0.6"), D("98.4"))


# ---- resting


def test_resting_buy_holds_cost_and_taker_fee_until_canceled() -> None:
    state = account()
    order = state.place(limit(Side.BUY, "2", "95"), NOW)
    assert money(state) == (D("807.72"), D("192.28"), 2, 0)  # 190 * 1.012
    state.cancel(order.order_id, NOW)
    assert (order.status, order.ended_at) == (Status.CANCELED, NOW)
    assert money(state) == (1000, 0, 2, 0)
    with pytest.raises(RefusedError, match="not live"):
        state.cancel(order.order_id, NOW)
    with pytest.raises(RefusedError, match="unknown order"):
        state.cancel("nobody", NOW)


@pytest.mark.parametrize(
    ("bid", "ask", "last", "fills"),
    [
        ("95.01", "95.2", "95", False),  # a touch of last
        ("94.9", "95.1", "94.99", True),  # traded through
        ("94.9", "95", "95", True),  # the ask came down to it
    ],
)
def test_resting_buy_fills_as_maker_only_when_the_market_goes_through(
    bid: str, ask: str, last: str, fills: bool
) -> None:
    state = account()
    order = state.place(limit(Side.BUY, "2", "95"), NOW)
    price(state, bid, ask, last)
    assert order.is_live is not fills
    if fills:
        # 190 * 0.006 = 1.14
        assert (state.fills()[0].liquidity, order.fee, order.average_price) == (Liquidity.MAKER, D("1.14"), 95)
        assert money(state) == (D("808.86"), 0, 4, 0)


@pytest.mark.parametrize(
    ("bid", "ask", "last", "fills"),
    [
        ("109.8", "109.99", "110", False),  # a touch of last
        ("109.9", "110.1", "110.01", True),  # traded through
        ("110", "110.1", "110", True),  # the bid came up to it
    ],
)
def test_resting_sale_fills_as_maker_only_when_the_market_goes_through(
    bid: str, ask: str, last: str, fills: bool
) -> None:
    state = account()
    order = state.place(limit(Side.SELL, "1", "110"), NOW)
    price(state, bid, ask, last)
    assert order.is_live is not fills


def test_resting_sale_holds_coins_and_fills_at_its_price() -> None:
    state = account()
    order = state.place(limit(Side.SELL, "0.5", "110"), NOW)
    assert money(state) == (1000, 0, D("1.5"), D("0.5"))
    price(state, "110", "110.2")
    assert (order.status, order.cost, order.fee) == (Status.FILLED, 55, D("0.33"))
    assert money(state) == (D("1054.67"), 0, D("1.5"), 0)


def test_marketable_limit_takes_within_its_limit_and_rests_with_the_rest() -> None:
    state = account()
    state.set_book("BTC-USD", bids=[(D(99), D(1))], asks=[(D(100), D("0.4")), (D(103), D(5))], now=NOW)
    order = state.place(limit(Side.BUY, "1", "101"), NOW)
    assert (order.status, order.filled, order.remaining) == (Status.OPEN, D("0.4"), D("0.6"))
    assert state.fills()[0].liquidity is Liquidity.TAKER


def test_ioc_cancels_its_rest_and_fok_takes_all_or_nothing() -> None:
    state = account()
    state.set_book("BTC-USD", bids=[(D(99), D(1))], asks=[(D(100), D("0.4")), (D(103), D(5))], now=NOW)
    fok = state.place(limit(Side.BUY, "1", "101", time_in_force=TimeInForce.FOK), NOW)
    assert (fok.status, fok.filled, fok.why_ended) == (Status.CANCELED, 0, "cannot be filled whole")
    ioc = state.place(limit(Side.BUY, "1", "101", time_in_force=TimeInForce.IOC), NOW)
    assert (ioc.status, ioc.filled) == (Status.CANCELED, D("0.4"))
    state.fill_partly("BTC-USD", D("0.5"))  # not for a fill-or-kill order
    fok = state.place(limit(Side.BUY, "1", "103", time_in_force=TimeInForce.FOK), NOW)
    assert (fok.status, fok.average_price) == (Status.FILLED, 103)


def test_scripted_fraction_fills_a_part_and_the_next_move_the_rest() -> None:
    state = account()
    state.fill_partly("BTC-USD", D("0.25"))
    order = state.place(limit(Side.BUY, "2", "95"), NOW)
    price(state, "94", "94.5")
    assert (order.status, order.filled) == (Status.OPEN, D("0.5"))
    # 1.5 left: 142.5 + 142.5 * 0.012 = 144.21; the first part's fee of 0.285 is paid
    assert state.holding("USD").hold == D("144.21")
    price(state, "94", "94.5")
    assert (order.status, order.filled, len(order.fill_ids)) == (Status.FILLED, 2, 2)


# ---- stops


def test_stop_market_rests_with_its_coins_held_and_sells_at_the_bid_once_touched() -> None:
    state = account()
    order = state.place(stop("1", "95"), NOW)
    assert (order.triggered, money(state)) == (False, (1000, 0, 1, 1))
    price(state, "94.9", "95.2", "95.01")
    assert order.is_live
    price(state, "94", "95.2", "95")
    assert (order.status, order.average_price, order.fee) == (Status.FILLED, 94, D("1.128"))
    assert order.triggered


def test_stop_limit_gapped_over_rests_at_its_limit_and_is_maker_when_the_price_returns() -> None:
    state = account()
    order = state.place(stop("1", "95", "94.5"), NOW)
    price(state, "90", "90.2")
    assert (order.status, order.triggered, order.filled) == (Status.OPEN, True, 0)
    price(state, "94.5", "94.6")
    assert (order.status, order.average_price, state.fills()[0].liquidity) == (
        Status.FILLED,
        D("94.5"),
        Liquidity.MAKER,
    )


def test_stop_limit_within_its_limit_takes_at_the_bid() -> None:
    state = account()
    order = state.place(stop("1", "95", "94.5"), NOW)
    price(state, "94.7", "95.2", "94.9")
    assert (order.status, order.average_price, state.fills()[0].liquidity) == (
        Status.FILLED,
        D("94.7"),
        Liquidity.TAKER,
    )


def test_stop_upwards_triggers_on_the_rise_only() -> None:
    state = account()
    order = state.place(stop("1", "105", "104", up=True), NOW)
    price(state, "90", "90.2")
    assert not order.triggered
    price(state, "105", "105.2", "105")
    assert (order.status, order.average_price) == (Status.FILLED, 105)


def test_stop_that_is_reached_already_is_refused_or_executes_at_once() -> None:
    assert refusal(account(refuse_triggered_stops=True), stop("1", "100", "99")) is RefusalCode.STOP_WOULD_TRIGGER
    assert account().place(stop("1", "100"), NOW).status is Status.FILLED


def test_stop_market_buy_that_gaps_beyond_the_cash_is_canceled_and_costs_nothing() -> None:
    state = account()
    order = state.place(stop("9", "105", up=True, side=Side.BUY), NOW)  # holds 945 * 1.012 = 956.34
    assert state.holding("USD").hold == D("956.34")
    price(state, "119", "120")  # 9 * 120 = 1080
    assert (order.status, order.why_ended) == (Status.CANCELED, "insufficient funds")
    assert money(state) == (1000, 0, 2, 0)


# ---- refusals


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (limit(Side.BUY, "0.000000001", "95"), RefusalCode.BAD_QUANTITY),
        (limit(Side.BUY, "-1", "95"), RefusalCode.BAD_QUANTITY),
        (limit(Side.BUY, "NaN", "95"), RefusalCode.BAD_QUANTITY),
        (spend("5.001"), RefusalCode.BAD_QUANTITY),
        (limit(Side.BUY, "1", "95.001"), RefusalCode.BAD_PRICE),
        (limit(Side.BUY, "1", "0"), RefusalCode.BAD_PRICE),
        (limit(Side.BUY, "0.00000999", "95"), RefusalCode.BELOW_MIN_AMOUNT),
        (limit(Side.BUY, "0.01", "95"), RefusalCode.BELOW_MIN_COST),
        (spend("0.99"), RefusalCode.BELOW_MIN_COST),
        (limit(Side.BUY, "1", "100.1", post_only=True), RefusalCode.POST_ONLY_WOULD_TAKE),
        (limit(Side.SELL, "1", "99.9", post_only=True), RefusalCode.POST_ONLY_WOULD_TAKE),
        (limit(Side.BUY, "10.4", "95.02"), RefusalCode.INSUFFICIENT_FUNDS),  # 988.208 * 1.012 = 1000.066496
        (limit(Side.SELL, "2.00000001", "110"), RefusalCode.INSUFFICIENT_FUNDS),
        (spend("1000.01"), RefusalCode.INSUFFICIENT_FUNDS),
        (spend("990", includes_fee=False), RefusalCode.INSUFFICIENT_FUNDS),
    ],
)
def test_order_that_breaks_a_rule_is_refused_and_changes_nothing(new: NewOrder, code: RefusalCode) -> None:
    assert refusal(account(), new) is code


def test_order_without_market_or_price_is_refused() -> None:
    state = account()
    ghost = NewOrder(symbol="XRP-USD", side=Side.BUY, kind=Kind.MARKET, quantity=D(1))
    assert refusal(state, ghost) is RefusalCode.UNKNOWN_MARKET
    bare = AccountState(markets=[BTC], maker_frac=D(0), taker_frac=D(0))
    assert refusal(bare, market(Side.BUY, "1")) is RefusalCode.NO_PRICE


def test_check_judges_without_placing() -> None:
    state = account()
    state.check(limit(Side.BUY, "2", "95"))
    with pytest.raises(RefusedError):
        state.check(limit(Side.BUY, "20", "95"))
    assert (state.orders(), money(state)) == ([], (1000, 0, 2, 0))


def test_held_money_cannot_be_withdrawn_or_spent_twice() -> None:
    state = account()
    state.place(limit(Side.BUY, "9", "95"), NOW)  # holds 855 * 1.012 = 865.26
    with pytest.raises(RefusedError, match=r"134\.740* available"):
        state.withdraw("USD", D("134.75"))
    assert refusal(state, spend("134.75")) is RefusalCode.INSUFFICIENT_FUNDS
    state.withdraw("USD", D("134.74"))
    assert state.holding("USD").available == 0


# ---- time


def test_pending_order_holds_its_funds_and_reaches_the_book_after_the_delay() -> None:
    state = account()
    state.open_delay = timedelta(seconds=2)
    order = state.place(spend("101.30"), NOW)
    assert (order.status, money(state)) == (Status.PENDING, (D("898.7"), D("101.3"), 2, 0))
    price(state, "79.9", "80")
    state.advance(NOW + timedelta(seconds=1))
    assert order.status is Status.PENDING
    state.advance(NOW + timedelta(seconds=2))
    assert (order.status, order.average_price) == (Status.FILLED, 80)


def test_pending_post_only_order_that_would_take_by_then_is_canceled() -> None:
    state = account()
    state.open_delay = timedelta(seconds=2)
    order = state.place(limit(Side.BUY, "1", "95", post_only=True), NOW)
    price(state, "93", "94")
    state.advance(NOW + timedelta(seconds=2))
    assert (order.status, order.filled, order.why_ended) == (Status.CANCELED, 0, "post-only would take")


def test_order_with_an_end_expires_then_and_keeps_its_partial_fill() -> None:
    state = account()
    state.fill_partly("BTC-USD", D("0.5"))
    end = NOW + timedelta(minutes=1)
    order = state.place(limit(Side.BUY, "1", "95", time_in_force=TimeInForce.GTD, expires_at=end), NOW)
    price(state, "94", "94.5")
    state.advance(end - timedelta(seconds=1))
    assert order.is_live
    state.advance(end)
    assert (order.status, order.filled, order.ended_at) == (Status.EXPIRED, D("0.5"), end)
    assert state.holding("USD").hold == 0


def test_order_whose_end_has_passed_is_not_filled_by_a_later_price() -> None:
    state = account()
    end = NOW + timedelta(minutes=1)
    order = state.place(limit(Side.BUY, "1", "95", time_in_force=TimeInForce.GTD, expires_at=end), NOW)
    state.set_price("BTC-USD", bid=D("93.9"), ask=D(94), now=end)
    assert (order.status, order.filled) == (Status.EXPIRED, 0)


def test_queued_cancellation_leaves_the_order_live_with_its_hold_until_its_delay_is_over() -> None:
    state = account()
    state.cancel_delay = timedelta(seconds=2)
    order = state.place(limit(Side.BUY, "1", "95"), NOW)
    state.cancel(order.order_id, NOW)
    state.cancel(order.order_id, NOW + timedelta(seconds=1))  # which does not begin anew
    state.advance(NOW + timedelta(seconds=1))
    assert (order.status, order.ended_at) == (Status.OPEN, None)
    assert state.holding("USD").hold > 0
    state.advance(NOW + timedelta(seconds=2))
    assert (order.status, order.ended_at) == (Status.CANCELED, NOW + timedelta(seconds=2))
    assert state.holding("USD").hold == 0


def test_queued_cancellation_of_an_order_that_fills_meanwhile_comes_too_late() -> None:
    state = account()
    state.cancel_delay = timedelta(seconds=2)
    order = state.place(limit(Side.BUY, "1", "95"), NOW)
    state.cancel(order.order_id, NOW)
    state.set_price("BTC-USD", bid=D("93.9"), ask=D(94), now=NOW + timedelta(seconds=1))
    state.advance(NOW + timedelta(seconds=2))
    assert (order.status, order.filled) == (Status.FILLED, 1)


def test_fees_changed_by_a_test_count_for_later_orders_only() -> None:
    state = account()
    before = state.place(limit(Side.BUY, "1", "95"), NOW)
    state.maker_frac, state.taker_frac = D("0.02"), D("0.03")
    after = state.place(limit(Side.BUY, "1", "95"), NOW)
    price(state, "94", "94.5")
    assert (before.fee, after.fee) == (D("0.57"), D("1.9"))  # 95 * 0.006, 95 * 0.02


def test_client_id_given_twice_makes_two_orders_that_are_both_found() -> None:
    state = account()
    first = state.place(limit(Side.BUY, "1", "95", client_id="mine"), NOW)
    state.cancel(first.order_id, NOW)
    second = state.place(limit(Side.BUY, "1", "94", client_id="mine"), NOW)
    assert state.with_client_id("mine") == [first, second]
    assert state.live_orders() == [second]
    assert first.order_id != second.order_id


def test_same_seed_gives_the_same_ids() -> None:
    def ids(seed: int) -> list[str]:
        state = AccountState(markets=[BTC], maker_frac=D(0), taker_frac=D(0), order_ids=uuid_id, seed=seed)
        state.deposit("USD", D(1000))
        price(state, "99.9", "100.1")
        return [state.place(market(Side.BUY, "1"), NOW).order_id for _ in range(2)]

    assert ids(7) == ids(7)
    assert len({*ids(7), *ids(8)}) == 4


# ---- candles


def bars(count: int) -> list[Candle]:
    """Hourly bars up to and with the one that forms at NOW, the closes 1, 2, 3..."""
    return [Candle(NOON_MS - (count - 1 - i) * HOUR, i + 0.5, i + 2.0, i + 0.25, i + 1.0, 3.0) for i in range(count)]


def test_forming_bar_runs_from_the_last_close_to_the_price_and_hides_the_scripted_future() -> None:
    state = account()
    state.set_candles("BTC-USD", "1h", bars(3))
    served = state.candles("BTC-USD", "1h", now=NOW)
    assert served == [*bars(3)[:2], Candle(NOON_MS, 2.0, 100.0, 2.0, 100.0, 1.0)]
    later = state.candles("BTC-USD", "1h", now=NOW + timedelta(minutes=30))
    assert later[:3] == bars(3)
    assert later[3].open_ms == NOON_MS + HOUR


def test_cap_comes_before_the_start_so_that_old_bars_are_gone() -> None:
    state = account()
    state.set_candles("BTC-USD", "1h", bars(10))
    first = bars(10)[0].open_ms
    served = state.candles("BTC-USD", "1h", now=NOW, start_ms=first, cap=4)
    assert [bar.open_ms for bar in served] == [NOON_MS - 3 * HOUR, NOON_MS - 2 * HOUR, NOON_MS - HOUR, NOON_MS]
    served = state.candles("BTC-USD", "1h", now=NOW, start_ms=first + HOUR, end_ms=first + 3 * HOUR)
    assert served == bars(10)[1:4]


def test_gap_stays_a_gap_and_a_bar_out_of_order_is_the_tests_mistake() -> None:
    state = account()
    state.set_candles("BTC-USD", "1h", [bars(5)[0], bars(5)[2]])
    assert [bar.open_ms for bar in state.candles("BTC-USD", "1h", now=NOW)] == [
        bars(5)[0].open_ms,
        bars(5)[2].open_ms,
        NOON_MS,
    ]
    with pytest.raises(AssertionError, match="not the newest"):
        state.add_candle("BTC-USD", "1h", bars(5)[1])


# ---- any sequence

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "limit buy", "limit sell", "stop", "spend", "move", "part", "cancel"]),
        st.integers(1, 400),
        st.integers(80, 120),
    ),
    max_size=30,
)


def step(state: AccountState, name: str, size: int, at: int) -> None:
    quantity = str((D(size) / 137).quantize(BTC.lot_step))
    orders: dict[str, NewOrder] = {
        "buy": market(Side.BUY, quantity),
        "sell": market(Side.SELL, quantity),
        "limit buy": limit(Side.BUY, quantity, str(at)),
        "limit sell": limit(Side.SELL, quantity, str(at)),
        "stop": stop(quantity, str(at), str(at - 1)),
        "spend": spend(str(size)),
    }
    if name == "move":
        price(state, str(at), str(at + D("0.07")))
    elif name == "part":
        state.fill_partly("BTC-USD", D(size) / 400)
    elif name == "cancel" and state.live_orders():
        live: ExchangeOrder = state.live_orders()[size % len(state.live_orders())]
        state.cancel(live.order_id, NOW)
    elif name in orders:
        try:
            state.place(orders[name], NOW)
        except RefusedError as refused:
            if refused.code not in {RefusalCode.INSUFFICIENT_FUNDS, RefusalCode.BELOW_MIN_COST}:
                raise


@given(STEPS)
def test_money_is_conserved_whatever_the_client_does(steps: list[tuple[str, int, int]]) -> None:
    state = account()
    for name, size, at in steps:
        step(state, name, size, at)
    fills = state.fills()
    signed = [(fill, 1 if fill.side is Side.BUY else -1) for fill in fills]
    assert state.holding("BTC").total == 2 + sum(sign * fill.quantity for fill, sign in signed)
    assert state.holding("USD").total == 1000 - sum(
        sign * fill.quantity * fill.price + fill.fee for fill, sign in signed
    )
    for order in state.orders():
        own = [fill for fill in fills if fill.order_id == order.order_id]
        assert (order.filled, order.fee) == (sum(f.quantity for f in own), sum(f.fee for f in own))
        new = order.asked
        if new.quantity is not None:
            assert order.filled <= new.quantity
            assert (order.filled == new.quantity) == (order.status is Status.FILLED)
        elif new.quote_size is not None:
            assert order.cost + order.fee <= new.quote_size
