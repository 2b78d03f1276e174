"""What the engine expects of every venue; a new adapter is added to ``bench`` and has to pass the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from venue_helpers import BTC, HOUR, T0_MS, D, HandClock, ListedFeed, bar, make_order, new_core

from bot.domain.market import Candle
from bot.domain.orders import Order, OrderState
from bot.ports import Accepted, Rejected, Venue
from bot.venues.paper import PaperVenue


@dataclass
class VenueBench:
    """A venue with 1,000 USD and BTC at 100, and the strings that a test may pull."""

    venue: Venue
    clock: HandClock
    feed: ListedFeed
    hour: int = 0

    def trade_at(self, price: float) -> None:
        """Let an hour pass after which BTC has traded at ``price`` and nowhere else."""
        self.hour += 1
        self.feed.of[BTC].append(bar(price, price, price, price, hour=self.hour))
        self.clock.moment += timedelta(hours=1)

    def order(self, kind: str, quantity: str, *, price: str | None = None, stop: str | None = None) -> Order:
        return make_order(kind, quantity, price=price, stop=stop, account=self.venue.account)


@pytest.fixture(params=["coinbase", "kraken"])
def bench(request: pytest.FixtureRequest) -> VenueBench:
    clock, feed = HandClock(), ListedFeed(BTC=[bar(100, 100, 100, 100)], ETH=[], SOL=[])
    core = new_core("1000", price=None, account=request.param)
    return VenueBench(PaperVenue(core=core, feed=feed, clock=clock), clock, feed)


def money(venue: Venue, asset: str = "USD") -> tuple[Decimal, Decimal]:
    balance = venue.balances()[asset]
    return balance.free, balance.used


def test_venue_asked_names_itself_its_markets_and_its_fees(bench: VenueBench) -> None:
    venue = bench.venue
    assert venue.account in ("coinbase", "kraken")
    assert venue.instruments()[BTC].quote == "USD"
    assert 0 <= venue.fees().maker_frac <= venue.fees().taker_frac < 1


def test_balances_of_a_new_account_hold_what_was_paid_in(bench: VenueBench) -> None:
    assert {asset: balance.total for asset, balance in bench.venue.balances().items()} == {"USD": D(1000)}


def test_ticker_lies_around_the_last_price_and_is_not_from_the_future(bench: VenueBench) -> None:
    ticker = bench.venue.tickers()[BTC]
    assert ticker.bid <= ticker.last <= ticker.ask
    assert ticker.at <= bench.clock.now()


def test_market_order_accepted_is_filled_and_paid(bench: VenueBench) -> None:
    venue = bench.venue
    ask = venue.tickers()[BTC].ask
    outcome = venue.submit(bench.order("market buy", "1"))
    assert isinstance(outcome, Accepted)
    (fill,), _ = venue.fills_since("")
    assert (fill.quantity, fill.price, fill.account, fill.client_order_id) == (D(1), ask, venue.account, "a")
    assert fill.at <= bench.clock.now()
    assert money(venue) == (1000 - fill.price - fill.fee, D(0))
    assert money(venue, "BTC") == (D(1), D(0))


def test_resting_order_is_listed_holds_money_and_is_found(bench: VenueBench) -> None:
    venue = bench.venue
    outcome = venue.submit(bench.order("limit buy", "1", price="90"))
    assert isinstance(outcome, Accepted)
    (report,) = venue.open_orders()
    assert (report.client_order_id, report.venue_order_id) == ("a", outcome.venue_order_id)
    assert report.state is OrderState.OPEN
    assert venue.find_order("a", BTC) == report
    free, used = money(venue)
    assert free + used == 1000
    assert used >= 90


def test_resting_order_traded_through_is_filled_at_its_limit_or_better(bench: VenueBench) -> None:
    venue = bench.venue
    venue.submit(bench.order("limit buy", "1", price="90"))
    bench.trade_at(89.0)
    (fill,), _ = venue.fills_since("")
    assert fill.price <= 90
    report = venue.find_order("a", BTC)
    assert report is not None
    assert (report.state, report.filled_quantity) == (OrderState.FILLED, D(1))
    assert venue.open_orders() == []


def test_stop_price_reached_sells(bench: VenueBench) -> None:
    venue = bench.venue
    venue.submit(bench.order("market buy", "1"))
    stop = replace(bench.order("stop sell", "1", stop="90"), client_order_id="s")
    assert isinstance(venue.submit(stop), Accepted)
    assert money(venue, "BTC") == (D(0), D(1))
    bench.trade_at(89.0)
    assert venue.fills_since("")[0][-1].client_order_id == "s"
    assert "BTC" not in venue.balances()


def test_canceled_order_rests_no_more_and_frees_its_money(bench: VenueBench) -> None:
    venue, order = bench.venue, bench.order("limit buy", "1", price="90")
    venue.submit(order)
    assert isinstance(venue.cancel(order), Accepted)
    assert venue.open_orders() == []
    assert money(venue) == (D(1000), D(0))
    assert isinstance(venue.cancel(order), Rejected)
    report = venue.find_order("a", BTC)
    assert report is not None
    assert report.state is OrderState.CANCELED


def test_order_never_sent_is_not_found_and_cannot_be_canceled(bench: VenueBench) -> None:
    assert bench.venue.find_order("never", BTC) is None
    assert isinstance(bench.venue.cancel(bench.order("limit buy", "1", price="90")), Rejected)


def test_same_client_order_id_sent_twice_trades_once(bench: VenueBench) -> None:
    venue, order = bench.venue, bench.order("market buy", "1")
    assert venue.submit(order) == venue.submit(order)
    assert len(venue.fills_since("")[0]) == 1


def test_order_without_the_money_is_an_outcome_not_an_exception(bench: VenueBench) -> None:
    venue = bench.venue
    outcome = venue.submit(bench.order("market buy", "100"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason
    assert (venue.find_order("a", BTC), money(venue)) == (None, (D(1000), D(0)))


def test_fills_cursor_returns_each_fill_once(bench: VenueBench) -> None:
    venue = bench.venue
    _, cursor = venue.fills_since("")
    venue.submit(bench.order("market buy", "1"))
    new, cursor = venue.fills_since(cursor)
    assert len(new) == 1
    assert venue.fills_since(cursor) == ([], cursor)


def test_candles_are_closed_ascending_and_from_the_asked_time_on(bench: VenueBench) -> None:
    bench.trade_at(101.0)
    bench.trade_at(102.0)
    candles = bench.venue.candles(BTC, "1h", T0_MS + HOUR)
    assert list(candles) == [Candle(T0_MS + HOUR, 101.0, 101.0, 101.0, 101.0, 1.0)]
