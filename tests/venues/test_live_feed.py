"""Paper on live prices: what is asked of an exchange and when, and that a pause hides nothing and invents nothing."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_helpers import (
    BTC,
    FEES,
    HALF_SPREAD,
    HOUR,
    T0,
    T0_MS,
    D,
    FakePrices,
    HandClock,
    later,
    make_order,
    new_core,
)

from bot.domain.errors import VenueError
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle, Ticker
from bot.domain.orders import OrderState
from bot.ports import Accepted
from bot.venues.feeds import TimedBar
from bot.venues.live_feed import BARS_AT_ONCE, LiveFeed, parts
from bot.venues.paper import PaperVenue
from bot.venues.rules import paper_instruments

ETH = "ETH/USD"
MINUTE = TIMEFRAME_MS["1m"]
SECOND = 1000


def after(**span: float) -> datetime:
    return T0 + timedelta(**span)


def minute(number: int, open_: float = 100, high: float = 100, low: float = 100, close: float = 100) -> Candle:
    """The bar of a minute, counted from T0."""
    return Candle(T0_MS + number * MINUTE, open_, high, low, close, 1.0)


class Bench:
    """A paper account with 1,000 USD and 1 BTC; BTC stands at 99.90 / 100.10 whenever it is looked at."""

    def __init__(self, prices: FakePrices | None = None) -> None:
        self.clock = HandClock()
        self.prices = prices or FakePrices()
        self.stored: dict[str, Any] = {}
        core = new_core("1000", price=None)
        core.deposit("BTC", D(1))
        self.feed = LiveFeed(self.prices)
        self.venue = PaperVenue(core=core, feed=self.feed, clock=self.clock, store=self.keep)

    def keep(self, state: dict[str, object]) -> None:
        self.stored = json.loads(json.dumps(state))

    def at(self, bid: str = "99.90", ask: str = "100.10", **span: float) -> PaperVenue:
        self.clock.moment = after(**span)
        self.prices.quote(BTC, bid, ask, bid, self.clock.moment)
        return self.venue

    def restarted(self, *, coins: tuple[str, ...] = ("BTC", "ETH", "SOL")) -> PaperVenue:
        """The venue of the next process."""
        self.feed = LiveFeed(self.prices)
        self.venue = PaperVenue.from_state(
            self.stored,
            account="coinbase",
            instruments=paper_instruments("coinbase", coins),
            fees=FEES,
            half_spread_frac=HALF_SPREAD,
            feed=self.feed,
            clock=self.clock,
            store=self.keep,
        )
        return self.venue

    def fills(self) -> list[tuple[str, datetime]]:
        return [(fill.client_order_id, fill.at) for fill in self.venue.fills_since("")[0]]


STOP = make_order("stop sell", "1", stop="90", client_id="stop")


# ---- quotes


def test_quotes_of_all_symbols_come_from_one_question() -> None:
    prices = FakePrices()
    prices.quote(BTC, "99.90", "100.10", "100.05", T0)
    prices.quote(ETH, "9.99", "10.01", "9.99", T0)
    feed = LiveFeed(prices)
    assert feed.opening(BTC, T0_MS) == Ticker(symbol=BTC, bid=D("99.90"), ask=D("100.10"), last=D(100), at=T0)
    told = feed.opening(ETH, T0_MS)
    assert told is not None
    assert told.bid == D("9.99")
    assert feed.opening("SOL/USD", T0_MS) is None
    assert prices.tickers_asked == 1


@pytest.mark.parametrize(("later_ms", "asked"), [(1_999, 1), (2_000, 2), (-1, 2)])
def test_quotes_are_kept_for_two_seconds(later_ms: int, asked: int) -> None:
    prices = FakePrices()
    feed = LiveFeed(prices)
    feed.opening(BTC, T0_MS)
    feed.opening(BTC, T0_MS + later_ms)
    assert prices.tickers_asked == asked


def test_quote_younger_than_the_question_is_dated_back_to_it_and_an_old_one_keeps_its_time() -> None:
    prices = FakePrices()
    prices.quote(BTC, "99", "101", "100", after(seconds=3))
    prices.quote(ETH, "9", "11", "10", after(hours=-2))
    told = [LiveFeed(prices).opening(symbol, T0_MS) for symbol in (BTC, ETH)]
    assert [quote.at for quote in told if quote is not None] == [T0, after(hours=-2)]


def test_exchange_that_did_not_answer_is_asked_again_at_once() -> None:
    prices = FakePrices()
    feed = LiveFeed(prices)
    prices.broken = True
    with pytest.raises(VenueError, match="no answer"):
        feed.opening(BTC, T0_MS)
    prices.broken = False
    feed.opening(BTC, T0_MS)
    assert prices.tickers_asked == 2


def test_paper_account_shows_and_pays_the_real_bid_and_ask() -> None:
    venue = Bench().at("98.01", "103.57", hours=1)
    ticker = venue.tickers()[BTC]
    assert (ticker.bid, ticker.ask, ticker.last, ticker.at) == (D("98.01"), D("103.57"), D("100.79"), later(1))
    venue.submit(make_order("ioc buy", "1", price="104", client_id="b"))
    venue.submit(make_order("ioc sell", "1", price="98", client_id="s"))
    assert [fill.price for fill in venue.fills_since("")[0]] == [D("103.57"), D("98.01")]


# ---- bars


def test_bars_are_asked_for_only_when_a_minute_is_complete() -> None:
    prices = FakePrices()
    prices.add(BTC, "1m", minute(0), minute(1), minute(2))
    feed = LiveFeed(prices)
    assert feed.bars(BTC, T0_MS, T0_MS + 59 * SECOND) == []
    assert feed.bars(BTC, T0_MS + 61 * SECOND, T0_MS + 119 * SECOND) == []
    assert prices.candles_asked == []
    assert feed.bars(BTC, T0_MS, T0_MS + 125 * SECOND) == [
        TimedBar(minute(0), T0_MS + MINUTE),
        TimedBar(minute(1), T0_MS + 2 * MINUTE),
    ]
    assert prices.candles_asked == [(BTC, "1m", T0_MS)]


@pytest.mark.parametrize(("later_s", "asked"), [(19, 1), (20, 2)])
def test_minute_without_a_trade_is_asked_for_again_only_after_a_while(later_s: int, asked: int) -> None:
    prices = FakePrices()
    feed = LiveFeed(prices)
    assert feed.bars(BTC, T0_MS, T0_MS + 60 * SECOND) == []
    feed.bars(BTC, T0_MS, T0_MS + (60 + later_s) * SECOND)
    assert len(prices.candles_asked) == asked


def test_candles_for_decisions_are_passed_through_up_to_now() -> None:
    prices = FakePrices()
    days = [Candle(T0_MS + day * MS_PER_DAY, 1, 2, 0.5, 1.5, 9) for day in range(3)]
    prices.add(BTC, "1d", *days)
    feed = LiveFeed(prices)
    assert feed.closed_candles(BTC, "1d", T0_MS, T0_MS + 2 * MS_PER_DAY) == days[:2]
    assert prices.candles_asked == [(BTC, "1d", T0_MS)]


@pytest.mark.parametrize(
    ("after_ms", "now_ms", "expected"),
    [
        # minutes from the one that the time lies in
        (90 * SECOND, 200 * SECOND, [("1m", MINUTE, 200 * SECOND)]),
        # 5 hours are 300 minutes
        (0, 5 * HOUR, [("1m", 0, 5 * HOUR)]),
        # one minute more: minutes reach back to 00:01, and begin at the full hour after it
        (0, 5 * HOUR + MINUTE, [("1h", 0, HOUR), ("1m", HOUR, 5 * HOUR + MINUTE)]),
        # 20 days from 00:30: minutes from 480 h - 5 h; 300 hours before it are 175 h, the day after it begins at 192 h
        (
            HOUR // 2,
            480 * HOUR,
            [("1d", 0, 192 * HOUR), ("1h", 192 * HOUR, 475 * HOUR), ("1m", 475 * HOUR, 480 * HOUR)],
        ),
    ],
)
def test_older_part_of_a_pause_is_told_in_coarser_bars(
    after_ms: int, now_ms: int, expected: list[tuple[str, int, int]]
) -> None:
    assert list(parts(after_ms, now_ms)) == expected


@given(st.integers(0, 400 * MS_PER_DAY), st.integers(1, 1_500 * MS_PER_DAY))
def test_parts_of_a_pause_touch_each_other_and_are_bounded(after_ms: int, length_ms: int) -> None:
    now_ms = after_ms + length_ms
    told = parts(after_ms, now_ms)
    assert told[0][1] <= after_ms < told[0][1] + TIMEFRAME_MS[told[0][0]]
    assert told[-1][2] == now_ms
    assert [until for _, _, until in told[:-1]] == [first for _, first, _ in told[1:]]
    for timeframe, first_ms, until_ms in told:
        assert first_ms % TIMEFRAME_MS[timeframe] == 0
        assert until_ms == now_ms or until_ms % TIMEFRAME_MS[timeframe] == 0
        assert timeframe == "1d" or until_ms - first_ms <= BARS_AT_ONCE * TIMEFRAME_MS[timeframe]


# ---- orders between two looks


def test_stop_meets_the_range_of_a_minute_between_two_looks() -> None:
    bench = Bench()
    bench.at(seconds=30).submit(STOP)
    bench.prices.add(BTC, "1m", minute(0), minute(1, 100, 101, 85, 99), minute(2))
    (fill,), _ = bench.at(seconds=125).fills_since("")
    # half a spread is (100.10 - 99.90) / 200 = 0.1 %: 90 * 0.999
    assert (fill.client_order_id, fill.price, fill.at) == ("stop", D("89.91"), after(minutes=2))


def test_order_does_not_meet_the_minute_in_which_it_was_placed_but_an_older_one_does() -> None:
    bench = Bench()
    bench.at(seconds=10).submit(make_order("limit buy", "1", price="90", client_id="old"))
    bench.at(seconds=90).submit(make_order("limit buy", "1", price="90", client_id="young"))
    bench.prices.add(BTC, "1m", minute(0, low=50), minute(1, low=80))
    bench.at(seconds=125)
    assert bench.fills() == [("old", after(minutes=2))]
    bench.prices.add(BTC, "1m", minute(2, low=80))
    bench.at(seconds=185)
    assert bench.fills() == [("old", after(minutes=2)), ("young", after(minutes=3))]


def test_price_found_at_a_look_executes_now() -> None:
    bench = Bench()
    bench.at(seconds=30).submit(STOP)
    (fill,), _ = bench.at("79.50", "80.50", seconds=45).fills_since("")
    assert (fill.price, fill.at) == (D("79.50"), after(seconds=45))


def test_without_resting_orders_no_bars_are_asked_for() -> None:
    bench = Bench()
    for symbol in (ETH, "SOL/USD"):
        bench.prices.quote(symbol, "9.99", "10.01", "10", T0)
    bench.at(seconds=30).balances()
    bench.at(days=3).tickers()
    assert bench.prices.candles_asked == []


def test_symbol_without_a_quote_shows_its_last_close_with_its_old_time() -> None:
    bench = Bench()
    bench.prices.add(BTC, "1m", minute(0, close=97))
    bench.clock.moment = after(minutes=3)
    ticker = bench.venue.tickers()[BTC]
    assert (ticker.last, ticker.at) == (D("97.0"), after(minutes=1))


@pytest.mark.parametrize("broken", ["quotes", "bars of the last symbol"])
def test_exchange_that_is_silent_makes_the_account_silent_and_nothing_is_lost(broken: str) -> None:
    bench = Bench()
    bench.prices.quote(ETH, "9.99", "10.01", "10", T0)
    bench.at(seconds=30).submit(STOP)
    bench.venue.submit(make_order("limit buy", "1", price="9", client_id="eth", symbol=ETH))
    before = bench.venue.to_state()
    bench.prices.add(BTC, "1m", minute(0), minute(1, low=85))
    bench.prices.add(ETH, "1m", Candle(T0_MS + MINUTE, 10, 10, 8, 10, 1.0))
    bench.at(minutes=2, seconds=5)
    bench.prices.broken = broken == "quotes"
    bench.prices.candles_broken = {ETH}
    for ask in (bench.venue.balances, bench.venue.tickers, bench.venue.open_orders, lambda: bench.venue.submit(STOP)):
        with pytest.raises(VenueError, match=r"no answer|no candles of ETH/USD"):
            ask()
    assert bench.venue.to_state() == before
    bench.prices.broken, bench.prices.candles_broken = False, set()
    bench.at(minutes=2, seconds=8)
    assert sorted(bench.fills()) == [("eth", after(minutes=2)), ("stop", after(minutes=2))]


def test_market_that_vanished_during_a_pause_has_canceled_orders_and_no_price() -> None:
    bench = Bench()
    bench.at(seconds=30).submit(STOP)
    bench.at(hours=30)
    venue = bench.restarted(coins=("ETH",))
    report = venue.find_order(STOP)
    assert report is not None
    assert report.state is OrderState.CANCELED
    assert (venue.open_orders(), BTC in venue.tickers(), venue.balances()["BTC"].free) == ([], False, D(1))
    # the market comes back: the coins can be sold again
    venue = bench.restarted()
    assert isinstance(venue.submit(make_order("ioc sell", "1", price="99", client_id="s")), Accepted)
    assert bench.fills() == [("s", after(hours=30))]


# ---- long pauses


class DippingPrices(FakePrices):
    """BTC at 100 all the time, but for one minute in which it dips to 80; candles capped as the real ones are."""

    def __init__(self, *, dip_ms: int, clock: HandClock, newest_only: bool) -> None:
        super().__init__()
        self.dip_ms = dip_ms
        self.clock = clock
        self.newest_only = newest_only

    def candles(self, symbol: str, timeframe: str, since_ms: int) -> list[Candle]:
        length = TIMEFRAME_MS[timeframe]
        now_ms = int(self.clock.moment.timestamp() * 1000)
        first, last = -(-since_ms // length), now_ms // length  # in bars; the last is not closed
        # Kraken tells the newest 720, the forming one among them; Coinbase the 300 that come first.
        if self.newest_only:
            first = max(first, last - 719)
        else:
            last = min(last, first + 300)
        dip = self.dip_ms // length
        return [Candle(n * length, 100, 100, 80 if n == dip else 100, 100, 1.0) for n in range(first, last)]


def stopped_out_at(*, placed: timedelta, dip: timedelta, back: timedelta, newest_only: bool) -> datetime | None:
    """When a stop at 90 was filled that rests since ``placed`` while the bot is away until ``back``; None: it rests."""
    clock = HandClock()
    bench = Bench(DippingPrices(dip_ms=T0_MS + dip // timedelta(milliseconds=1), clock=clock, newest_only=newest_only))
    bench.clock = clock
    bench.venue = PaperVenue.from_state(
        json.loads(json.dumps(bench.venue.to_state())),
        account="coinbase",
        instruments=paper_instruments("coinbase", ["BTC"]),
        fees=FEES,
        half_spread_frac=HALF_SPREAD,
        feed=bench.feed,
        clock=clock,
        store=bench.keep,
    )
    bench.at(seconds=placed.total_seconds()).submit(STOP)
    bench.at(seconds=back.total_seconds())
    bench.restarted(coins=("BTC",))
    fills = bench.fills()
    assert len(fills) <= 1
    return fills[0][1] if fills else None


@pytest.mark.parametrize("newest_only", [False, True], ids=["coinbase", "kraken"])
@pytest.mark.parametrize(
    ("dip", "back", "filled"),
    [
        # 4 hours: minutes
        (timedelta(hours=2), timedelta(hours=4), timedelta(hours=2, minutes=1)),
        # 75 hours: all but the last 5 of them are told in hours
        (timedelta(hours=30, minutes=20), timedelta(hours=75), timedelta(hours=31)),
        (timedelta(hours=74), timedelta(hours=75), timedelta(hours=74, minutes=1)),
        # 100 days: a day bar, an hour bar, a minute bar
        (timedelta(days=40, hours=5), timedelta(days=100), timedelta(days=41)),
        (timedelta(days=95, hours=5), timedelta(days=100), timedelta(days=95, hours=6)),
        (timedelta(days=99, hours=23), timedelta(days=100), timedelta(days=99, hours=23, minutes=1)),
    ],
)
def test_dip_during_a_pause_is_found_however_long_the_pause(
    newest_only: bool, dip: timedelta, back: timedelta, filled: timedelta
) -> None:
    placed = timedelta(minutes=10, seconds=30)
    assert stopped_out_at(placed=placed, dip=dip, back=back, newest_only=newest_only) == T0 + filled


minutes_away = st.one_of(st.integers(2, 900), st.integers(900, 30_000), st.integers(30_000, 300_000))


@given(st.integers(0, 3_000), minutes_away, st.floats(0, 1), st.booleans())
def test_dip_while_the_stop_rested_is_found_and_one_before_it_never(
    placed: int, away: int, when: float, newest_only: bool
) -> None:
    """Only in the one bar that the order was placed in may something be missed: a minute, an hour, a day."""
    dip = int(when * (placed + away - 1))
    at = stopped_out_at(
        placed=timedelta(minutes=placed, seconds=30),
        dip=timedelta(minutes=dip),
        back=timedelta(minutes=placed + away),
        newest_only=newest_only,
    )
    told = parts(T0_MS + placed * MINUTE + 30 * SECOND, T0_MS + (placed + away) * MINUTE)
    timeframe, first_ms, _ = told[0]
    unseen_until_ms = first_ms + TIMEFRAME_MS[timeframe]
    dip_ms = T0_MS + dip * MINUTE
    if dip_ms >= unseen_until_ms:
        assert at is not None
        assert at > T0 + timedelta(minutes=dip)
    else:
        assert at is None
