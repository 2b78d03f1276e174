"""What the engine expects of every venue, as functions that take a bench: paper, Coinbase and Kraken pass the same.

A module of tests gives a bench per venue and runs them all:

    @pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
    def test_some_venue_keeps(promise: Promise, bench: VenueBench) -> None:
        promise(bench)

Only what holds at a real exchange stands here. What one adapter promises beyond it is in its own tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import NAMESPACE_OID, uuid5

from venue_helpers import BTC, HOUR, D, make_order

from bot.domain.account import Fill, Liquidity
from bot.domain.orders import FINAL_STATES, Order, OrderState, Side
from bot.ports import Accepted, Rejected, Venue


class VenueBench(Protocol):
    """An account with 1,000 USD and nothing else, never used before, and the strings that a test may pull.

    BTC/USD trades at 100, bid and ask at most 0.2 % away from it, deep enough for 1,000 USD. Steps and minimums are
    those of the real market (0.01 BTC is fine, 0.10 USD is too little), fees the account's own (both above 0, below
    2 %). The key may trade, stops can rest. The venue is ready to be asked: whatever an adapter wants to be called
    first has been.
    """

    @property
    def venue(self) -> Venue:
        """The adapter under test."""
        ...

    def now(self) -> datetime:
        """Present time of venue and adapter."""
        ...

    def trade_at(self, price: str) -> None:
        """Let BTC/USD move to ``price`` in one step and trade there, and let so much time pass that the venue knows."""
        ...

    def hours_at(self, *prices: str) -> None:
        """Let the running hour end, then one full hour per price in which BTC/USD trades at that price only.

        Stands in the hour after the last then, so that one bar is still forming.
        """
        ...

    def restarted(self) -> Venue:
        """The same account through a new adapter that remembers nothing but what the program stores."""
        ...


Promise = Callable[[VenueBench], None]


def new_order(
    bench: VenueBench,
    kind: str,
    quantity: str,
    *,
    price: str | None = None,
    stop: str | None = None,
    post_only: bool = False,
    name: str = "a",
) -> Order:
    """``kind`` is ``ioc buy``, ``limit sell`` and so on; the client's id is a UUID made from ``name``."""
    return make_order(
        kind,
        quantity,
        price=price,
        stop=stop,
        post_only=post_only,
        client_id=str(uuid5(NAMESPACE_OID, name)),
        account=bench.venue.account,
        created_at=bench.now(),
    )


def sent(bench: VenueBench, order: Order) -> Order:
    """Send an order that has to be accepted; returned with the venue's id, as the engine keeps it."""
    outcome = bench.venue.submit(order)
    assert isinstance(outcome, Accepted), f"{order.type} {order.side} {order.quantity}: {outcome}"
    assert outcome.venue_order_id
    return replace(order, venue_order_id=outcome.venue_order_id)


def bought(bench: VenueBench, quantity: str = "1") -> tuple[Order, Fill]:
    """Buy at the ask, as an immediate order that may pay up to 2 % more; the order and its one fill."""
    order = sent(bench, new_order(bench, "ioc buy", quantity, price="102", name="entry"))
    (fill,) = fills_of(bench.venue, order)
    return order, fill


def fills_of(venue: Venue, order: Order) -> list[Fill]:
    return [fill for fill in venue.fills_since("")[0] if fill.client_order_id == order.client_order_id]


def money(venue: Venue, asset: str = "USD") -> tuple[Decimal, Decimal]:
    """(free, used); zeros where the venue does not list the asset."""
    balance = venue.balances().get(asset)
    return (D(0), D(0)) if balance is None else (balance.free, balance.used)


def state_of(venue: Venue, order: Order) -> tuple[OrderState, Decimal]:
    """(state, filled quantity) of an order that the venue has to know."""
    report = venue.find_order(order)
    assert report is not None, f"order {order.client_order_id} is not found"
    assert (report.client_order_id, report.symbol) == (order.client_order_id, order.symbol)
    return report.state, report.filled_quantity


def resting_ids(venue: Venue) -> list[str]:
    return [report.client_order_id for report in venue.open_orders()]


# ---- what can be asked


def venue_names_itself_its_markets_and_its_fees(bench: VenueBench) -> None:
    venue = bench.venue
    assert venue.account in ("coinbase", "kraken")
    market = venue.instruments()[BTC]
    assert (market.symbol, market.base, market.quote) == (BTC, "BTC", "USD")
    assert 0 < market.min_cost < 100
    fees = venue.fees()
    assert 0 < fees.maker_frac <= fees.taker_frac < D("0.02")
    assert fees.origin


def new_account_holds_what_was_paid_in(bench: VenueBench) -> None:
    found = {asset: balance.total for asset, balance in bench.venue.balances().items() if balance.total}
    assert found == {"USD": D(1000)}
    assert money(bench.venue) == (D(1000), D(0))
    assert list(bench.venue.open_orders()) == []
    assert list(bench.venue.fills_since("")[0]) == []


def ticker_lies_around_the_last_price_and_is_not_from_the_future(bench: VenueBench) -> None:
    ticker = bench.venue.tickers()[BTC]
    assert ticker.bid <= ticker.last <= ticker.ask
    assert D("99.8") <= ticker.bid <= 100 <= ticker.ask <= D("100.2")
    assert ticker.at <= bench.now()
    bench.trade_at("95")
    moved = bench.venue.tickers()[BTC]
    assert D("94.8") <= moved.bid <= 95 <= moved.ask <= D("95.2")
    assert ticker.at <= moved.at <= bench.now()


def candles_are_closed_ascending_and_from_the_asked_time_on(bench: VenueBench) -> None:
    now_ms = int(bench.now().timestamp() * 1000)
    first_ms = -(-now_ms // HOUR) * HOUR
    bench.hours_at("101", "102")
    candles = bench.venue.candles(BTC, "1h", first_ms)
    assert [(candle.open_ms, candle.close) for candle in candles] == [(first_ms, 101.0), (first_ms + HOUR, 102.0)]
    assert all(candle.low == candle.open == candle.close == candle.high for candle in candles)
    later = bench.venue.candles(BTC, "1h", first_ms + 1)
    assert [candle.open_ms for candle in later] == [first_ms + HOUR]


# ---- orders that execute at once


def immediate_order_is_filled_and_paid(bench: VenueBench) -> None:
    venue = bench.venue
    ask = venue.tickers()[BTC].ask
    order, fill = bought(bench)
    assert (fill.quantity, fill.price, fill.side, fill.liquidity) == (D(1), ask, Side.BUY, Liquidity.TAKER)
    assert (fill.account, fill.symbol) == (venue.account, BTC)
    assert fill.fee == fill.price * venue.fees().taker_frac  # in USD, and nothing to round at these prices
    assert fill.at <= bench.now()
    assert money(venue) == (1000 - fill.price - fill.fee, D(0))
    assert money(venue, "BTC") == (D(1), D(0))
    assert state_of(venue, order) == (OrderState.FILLED, D(1))


def immediate_sale_brings_its_price_less_the_fee(bench: VenueBench) -> None:
    venue = bench.venue
    bought(bench)
    cash, _ = money(venue)
    bid = venue.tickers()[BTC].bid
    order = sent(bench, new_order(bench, "ioc sell", "0.5", price="98", name="exit"))
    (fill,) = fills_of(venue, order)
    assert (fill.quantity, fill.price, fill.side) == (D("0.5"), bid, Side.SELL)
    assert money(venue) == (cash + D("0.5") * bid - fill.fee, D(0))
    assert money(venue, "BTC") == (D("0.5"), D(0))


def immediate_order_beyond_the_market_does_nothing_and_rests_nowhere(bench: VenueBench) -> None:
    venue, order = bench.venue, new_order(bench, "ioc buy", "1", price="90")
    outcome = venue.submit(order)
    assert isinstance(outcome, Accepted | Rejected)
    assert resting_ids(venue) == []
    assert fills_of(venue, order) == []
    assert money(venue) == (D(1000), D(0))
    if isinstance(outcome, Accepted):
        state, filled = state_of(venue, replace(order, venue_order_id=outcome.venue_order_id))
        assert state in FINAL_STATES
        assert filled == 0


# ---- orders that rest


def resting_order_is_listed_holds_money_and_is_found(bench: VenueBench) -> None:
    venue = bench.venue
    order = sent(bench, new_order(bench, "limit buy", "1", price="90", post_only=True))
    (report,) = venue.open_orders()
    assert (report.client_order_id, report.venue_order_id) == (order.client_order_id, order.venue_order_id)
    assert (report.symbol, report.state, report.filled_quantity) == (BTC, OrderState.OPEN, 0)
    assert venue.find_order(order) == report
    free, used = money(venue)
    assert free + used == 1000
    assert used >= 90


def order_is_found_by_the_clients_id_alone(bench: VenueBench) -> None:
    """After a lost reply the engine knows no venue_order_id."""
    venue, order = bench.venue, new_order(bench, "limit buy", "1", price="90")
    known = sent(bench, order)
    assert venue.find_order(order) == venue.find_order(known)
    venue.cancel(known)
    assert state_of(venue, order) == (OrderState.CANCELED, D(0))
    filled = new_order(bench, "ioc buy", "1", price="102", name="b")
    sent(bench, filled)
    assert state_of(venue, filled) == (OrderState.FILLED, D(1))


def resting_order_traded_through_is_filled_as_maker_at_its_limit_or_better(bench: VenueBench) -> None:
    venue = bench.venue
    order = sent(bench, new_order(bench, "limit buy", "1", price="90", post_only=True))
    bench.trade_at("89")
    (fill,) = fills_of(venue, order)
    assert fill.price <= 90
    assert fill.liquidity is Liquidity.MAKER
    assert fill.fee == fill.price * venue.fees().maker_frac
    assert money(venue) == (1000 - fill.price - fill.fee, D(0))
    assert state_of(venue, order) == (OrderState.FILLED, D(1))
    assert resting_ids(venue) == []


def post_only_order_that_would_execute_at_once_executes_nothing(bench: VenueBench) -> None:
    venue, order = bench.venue, new_order(bench, "limit buy", "1", price="101", post_only=True)
    assert isinstance(venue.submit(order), Rejected)
    assert fills_of(venue, order) == []
    assert resting_ids(venue) == []
    assert money(venue) == (D(1000), D(0))


def stop_rests_holds_the_coins_and_sells_when_its_price_is_reached(bench: VenueBench) -> None:
    venue = bench.venue
    assert venue.stops_rest()
    bought(bench)
    stop = sent(bench, new_order(bench, "stop sell", "1", stop="90", name="stop"))
    assert resting_ids(venue) == [stop.client_order_id]
    assert state_of(venue, stop) == (OrderState.OPEN, D(0))
    assert money(venue, "BTC") == (D(0), D(1))
    bench.trade_at("91")
    assert resting_ids(venue) == [stop.client_order_id]
    bench.trade_at("89")
    (fill,) = fills_of(venue, stop)
    assert fill.side is Side.SELL
    assert D("85.5") <= fill.price <= 90  # a stop-limit may sell down to 5 % below its trigger
    assert state_of(venue, stop) == (OrderState.FILLED, D(1))
    assert money(venue, "BTC") == (D(0), D(0))


def stop_canceled_gives_its_coins_back(bench: VenueBench) -> None:
    venue = bench.venue
    bought(bench)
    stop = sent(bench, new_order(bench, "stop sell", "1", stop="90", name="stop"))
    assert isinstance(venue.cancel(stop), Accepted)
    assert money(venue, "BTC") == (D(1), D(0))
    bench.trade_at("89")
    assert fills_of(venue, stop) == []


def canceled_order_rests_no_more_and_frees_its_money(bench: VenueBench) -> None:
    venue = bench.venue
    order = sent(bench, new_order(bench, "limit buy", "1", price="90"))
    assert isinstance(venue.cancel(order), Accepted)
    assert resting_ids(venue) == []
    assert money(venue) == (D(1000), D(0))
    assert isinstance(venue.cancel(order), Rejected)
    assert state_of(venue, order) == (OrderState.CANCELED, D(0))


def cancellation_of_a_filled_order_says_that_it_does_not_rest(bench: VenueBench) -> None:
    order, _ = bought(bench)
    assert isinstance(bench.venue.cancel(order), Rejected)
    assert state_of(bench.venue, order) == (OrderState.FILLED, D(1))


# ---- what the venue does not take


def order_never_sent_is_not_found(bench: VenueBench) -> None:
    sent(bench, new_order(bench, "limit buy", "1", price="90"))
    assert bench.venue.find_order(new_order(bench, "limit buy", "1", price="90", name="never")) is None


def order_without_the_money_is_an_outcome_not_an_exception(bench: VenueBench) -> None:
    venue, order = bench.venue, new_order(bench, "ioc buy", "100", price="102")
    outcome = venue.submit(order)
    assert isinstance(outcome, Rejected)
    assert outcome.reason
    assert venue.find_order(order) is None
    assert money(venue) == (D(1000), D(0))


def order_below_the_minimum_is_an_outcome_not_an_exception(bench: VenueBench) -> None:
    order = new_order(bench, "limit buy", "0.001", price="90")  # 0.09 USD
    outcome = bench.venue.submit(order)
    assert isinstance(outcome, Rejected)
    assert outcome.reason
    assert resting_ids(bench.venue) == []


def sale_of_coins_that_are_not_there_is_an_outcome_not_an_exception(bench: VenueBench) -> None:
    outcome = bench.venue.submit(new_order(bench, "stop sell", "1", stop="90"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason


def same_client_order_id_sent_twice_rests_once(bench: VenueBench) -> None:
    """``Rejected`` would say that no such order rests."""
    venue, order = bench.venue, new_order(bench, "limit buy", "1", price="90")
    first = sent(bench, order)
    second = venue.submit(order)
    assert not isinstance(second, Rejected)
    assert not isinstance(second, Accepted) or second.venue_order_id == first.venue_order_id
    assert resting_ids(venue) == [order.client_order_id]


# ---- fills and restarts


def fills_cursor_misses_none_and_tells_the_same_one_under_the_same_id(bench: VenueBench) -> None:
    """A fill may be told twice, the ledger knows it by its id; one that is skipped would be lost."""
    venue = bench.venue
    _, cursor = venue.fills_since("")
    bought(bench)
    first, cursor = venue.fills_since(cursor)
    assert len(first) == 1
    nothing_new, cursor = venue.fills_since(cursor)
    assert {fill.fill_id for fill in nothing_new} <= {first[0].fill_id}
    order = sent(bench, new_order(bench, "limit sell", "0.5", price="110", name="target"))
    bench.trade_at("111")
    second, _ = venue.fills_since(cursor)
    assert [fill.client_order_id for fill in second][-1] == order.client_order_id
    everything, _ = venue.fills_since("")
    assert [fill.side for fill in everything] == [Side.BUY, Side.SELL]
    assert len({fill.fill_id for fill in everything}) == 2
    assert {fill.fill_id for fill in [*first, *second]} == {fill.fill_id for fill in everything}


def restarted_adapter_finds_orders_fills_and_money(bench: VenueBench) -> None:
    old = bench.venue
    entry, fill = bought(bench)
    _, cursor = old.fills_since("")
    stop = sent(bench, new_order(bench, "stop sell", "0.5", stop="90", name="stop"))
    gone = sent(bench, new_order(bench, "limit buy", "1", price="80", name="gone"))
    old.cancel(gone)
    new = bench.restarted()
    assert new is not old
    assert resting_ids(new) == [stop.client_order_id]
    assert fills_of(new, entry) == [fill]
    assert state_of(new, entry) == (OrderState.FILLED, D(1))
    assert state_of(new, gone) == (OrderState.CANCELED, D(0))
    assert money(new) == money(old)
    assert money(new, "BTC") == (D("0.5"), D("0.5"))
    bench.trade_at("89")
    assert [found.client_order_id for found in new.fills_since(cursor)[0]][-1] == stop.client_order_id
    assert isinstance(new.cancel(stop), Rejected)


CONTRACT: Sequence[Promise] = (
    venue_names_itself_its_markets_and_its_fees,
    new_account_holds_what_was_paid_in,
    ticker_lies_around_the_last_price_and_is_not_from_the_future,
    candles_are_closed_ascending_and_from_the_asked_time_on,
    immediate_order_is_filled_and_paid,
    immediate_sale_brings_its_price_less_the_fee,
    immediate_order_beyond_the_market_does_nothing_and_rests_nowhere,
    resting_order_is_listed_holds_money_and_is_found,
    order_is_found_by_the_clients_id_alone,
    resting_order_traded_through_is_filled_as_maker_at_its_limit_or_better,
    post_only_order_that_would_execute_at_once_executes_nothing,
    stop_rests_holds_the_coins_and_sells_when_its_price_is_reached,
    stop_canceled_gives_its_coins_back,
    canceled_order_rests_no_more_and_frees_its_money,
    cancellation_of_a_filled_order_says_that_it_does_not_rest,
    order_never_sent_is_not_found,
    order_without_the_money_is_an_outcome_not_an_exception,
    order_below_the_minimum_is_an_outcome_not_an_exception,
    sale_of_coins_that_are_not_there_is_an_outcome_not_an_exception,
    same_client_order_id_sent_twice_rests_once,
    fills_cursor_misses_none_and_tells_the_same_one_under_the_same_id,
    restarted_adapter_finds_orders_fills_and_money,
)
