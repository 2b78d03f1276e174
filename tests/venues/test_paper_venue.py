"""The paper venue: when it catches up with the feed, what it stores, what a restart finds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from venue_helpers import (
    BTC,
    FEES,
    HALF_SPREAD,
    HOUR,
    T0_MS,
    D,
    HandClock,
    ListedFeed,
    bar,
    later,
    make_order,
    new_core,
)

from bot.domain.errors import StateFileError, VenueError
from bot.domain.market import Candle
from bot.ports import Accepted, Rejected
from bot.venues.paper import PaperVenue
from bot.venues.rules import paper_instruments

BTC_ONLY = paper_instruments("coinbase", ["BTC"])


class Bench:
    """A venue with 1,000 USD, its clock, its feed and the states that it stored."""

    def __init__(self, *candles: Candle, coins: tuple[str, ...] = ("BTC",)) -> None:
        self.clock = HandClock()
        self.feed = ListedFeed(BTC=list(candles))
        self.stored: list[str] = []
        core = new_core("1000", price=None, instruments=paper_instruments("coinbase", coins))
        self.venue = PaperVenue(core=core, feed=self.feed, clock=self.clock, store=self.keep)

    def keep(self, state: dict[str, object]) -> None:
        self.stored.append(json.dumps(state))

    def at(self, hours: float) -> PaperVenue:
        self.clock.moment = later(hours)
        return self.venue

    def restart(self) -> PaperVenue:
        """The venue of the next process, from what was stored last."""
        self.venue = PaperVenue.from_state(
            json.loads(self.stored[-1]),
            account="coinbase",
            instruments=BTC_ONLY,
            fees=FEES,
            half_spread_frac=HALF_SPREAD,
            feed=self.feed,
            clock=self.clock,
            store=self.keep,
        )
        return self.venue


def quote(venue: PaperVenue) -> tuple[object, ...]:
    ticker = venue.tickers()[BTC]
    return ticker.bid, ticker.ask, ticker.last, ticker.at


def test_ticker_inside_a_bar_shows_only_its_open() -> None:
    bench = Bench(bar(100, 150, 50, 140, hour=0))
    assert quote(bench.at(0.5)) == (D("99.95"), D("100.05"), D("100.0"), later(0))


def test_ticker_in_a_gap_keeps_the_last_close_with_its_old_time() -> None:
    bench = Bench(bar(100, 120, 90, 110, hour=0))
    # 110 * 0.9995 = 109.945 -> 109.94; 110 * 1.0005 = 110.055 -> 110.06
    assert quote(bench.at(3)) == (D("109.94"), D("110.06"), D("110.0"), later(1))


def test_symbol_without_any_price_has_no_ticker() -> None:
    bench = Bench(bar(100, 120, 90, 110, hour=0), coins=("BTC", "SOL"))
    assert list(bench.at(0).tickers()) == [BTC]


def test_resting_limit_meets_the_range_only_when_the_bar_is_complete() -> None:
    bench = Bench(bar(100, 101, 85, 95, hour=0), bar(95, 96, 94, 95, hour=1))
    venue = bench.at(0)
    venue.submit(make_order("limit buy", "1", price="90"))
    assert bench.at(0.99).fills_since("")[0] == []
    (fill,), cursor = bench.at(1).fills_since("")
    assert (fill.price, fill.at, cursor) == (D(90), later(1), "1")


def test_all_bars_of_a_long_sleep_are_matched_in_time_order() -> None:
    bench = Bench(bar(100, 101, 99, 100, hour=0), bar(100, 112, 99, 100, hour=1), bar(100, 101, 80, 81, hour=3))
    venue = bench.at(0)
    venue.deposit("BTC", D(2))
    venue.submit(make_order("stop sell", "1", stop="90", client_id="stop"))
    venue.submit(make_order("limit sell", "1", price="110", client_id="target"))
    fills, _ = bench.at(9).fills_since("")
    assert [(fill.client_order_id, fill.at) for fill in fills] == [("target", later(2)), ("stop", later(4))]
    # nothing is matched twice
    assert len(bench.at(10).fills_since("")[0]) == 2


def test_bars_of_several_symbols_are_matched_in_time_order() -> None:
    bench = Bench(*(bar(100, 101, 99, 100, hour=hour) for hour in (0, 1)), bar(100, 101, 80, 90, hour=2))
    bench.feed.of["ETH/USD"] = [bar(10, 11, 9, 10, hour=0), bar(10, 11, 5, 10, hour=1), bar(10, 11, 9, 10, hour=2)]
    bench.venue = PaperVenue(core=new_core("1000", price=None), feed=bench.feed, clock=bench.clock)
    bench.at(0).submit(make_order("limit buy", "1", price="90", client_id="btc"))
    bench.venue.submit(make_order("limit buy", "1", price="8", client_id="eth", symbol="ETH/USD"))
    fills, _ = bench.at(9).fills_since("")
    assert [(fill.client_order_id, fill.at) for fill in fills] == [("eth", later(2)), ("btc", later(3))]


def test_bar_matched_to_one_order_is_not_matched_to_a_later_one() -> None:
    bench = Bench(bar(100, 101, 85, 100, hour=0), bar(100, 101, 99, 100, hour=1), bar(100, 101, 99, 100, hour=2))
    bench.at(0).submit(make_order("limit buy", "1", price="80", client_id="early"))
    bench.at(1.5).submit(make_order("limit buy", "1", price="90", client_id="late"))
    assert bench.at(3).fills_since("")[0] == []


def test_bar_before_the_order_is_never_matched_to_it() -> None:
    bench = Bench(bar(100, 101, 50, 100, hour=0), bar(100, 101, 99, 100, hour=1), bar(100, 101, 99, 100, hour=2))
    bench.at(1.5).submit(make_order("limit buy", "1", price="90"))
    assert bench.at(3).fills_since("")[0] == []


def test_stop_gapped_over_at_an_opening_executes_there() -> None:
    bench = Bench(bar(100, 101, 99, 100, hour=0), bar(80, 81, 79, 80, hour=1))
    venue = bench.at(0)
    venue.deposit("BTC", D(1))
    venue.submit(make_order("stop sell", "1", stop="90"))
    (fill,), _ = bench.at(1.5).fills_since("")
    # 80 * 0.9995
    assert (fill.price, fill.at) == (D("79.96"), later(1))


def test_same_moment_asks_the_feed_once_and_an_earlier_one_not_at_all() -> None:
    bench = Bench(bar(100, 101, 99, 100, hour=0))
    bench.at(0.5).balances()
    asked = bench.feed.asked
    bench.venue.tickers()
    bench.at(0.25).open_orders()
    assert bench.feed.asked == asked


def test_without_resting_orders_bars_are_not_even_read() -> None:
    bench = Bench(bar(100, 101, 99, 100, hour=0), bar(100, 101, 99, 100, hour=1))
    bench.at(0).balances()
    bench.at(1).balances()
    assert bench.feed.asked == 2  # one opening each


def test_feed_that_fails_leaves_everything_to_the_next_question() -> None:
    bench = Bench(bar(100, 101, 85, 95, hour=0), bar(95, 96, 94, 95, hour=1))
    bench.at(0).submit(make_order("limit buy", "1", price="90"))
    bars, bench.feed.of = bench.feed.of, {}

    def fail(symbol: str, now_ms: int) -> None:
        raise VenueError(f"no answer for {symbol} at {now_ms}")

    working, bench.feed.opening = bench.feed.opening, fail  # type: ignore[method-assign]
    with pytest.raises(VenueError, match="no answer"):
        bench.at(1).balances()
    bench.feed.of, bench.feed.opening = bars, working  # type: ignore[method-assign]
    assert len(bench.venue.fills_since("")[0]) == 1


def test_every_change_is_stored_before_the_answer_and_nothing_else_is() -> None:
    bench = Bench(bar(100, 101, 85, 95, hour=0), bar(95, 96, 94, 95, hour=1))
    venue = bench.at(0)
    venue.tickers()
    assert bench.stored == []
    order = make_order("limit buy", "1", price="90")
    assert isinstance(venue.submit(order), Accepted)
    assert isinstance(venue.cancel(order), Accepted)
    venue.deposit("USD", D(5))
    venue.withdraw("USD", D(5))
    assert len(bench.stored) == 4
    assert isinstance(venue.cancel(order), Rejected)
    assert isinstance(venue.submit(make_order("limit buy", "1", price="0.5", client_id="b")), Rejected)
    assert len(bench.stored) == 4
    venue.submit(make_order("limit buy", "1", price="90", client_id="c"))
    bench.at(1).balances()  # the fill
    assert len(bench.stored) == 6
    assert json.loads(bench.stored[-1]) == json.loads(json.dumps(venue.to_state()))


def test_killed_account_matches_the_bars_that_it_missed() -> None:
    bench = Bench(bar(100, 101, 99, 100, hour=0), bar(100, 101, 99, 100, hour=1), bar(100, 101, 85, 95, hour=2))
    bench.at(0).deposit("BTC", D(1))
    bench.venue.submit(make_order("stop sell", "1", stop="90"))
    bench.at(1).balances()
    bench.clock.moment = later(30)
    fills, _ = bench.restart().fills_since("")
    assert [(fill.fill_id, fill.at) for fill in fills] == [("1-a", later(3))]
    assert bench.venue.submit(make_order("stop sell", "1", stop="90")) == Accepted(venue_order_id="coinbase-1")
    assert bench.venue.balances()["USD"].used == 0


def test_killed_before_the_result_was_stored_repeats_the_same_fill() -> None:
    bench = Bench(bar(100, 101, 85, 95, hour=0))
    bench.at(0).submit(make_order("limit buy", "1", price="90"))
    before = bench.stored[-1]
    first = bench.at(1).fills_since("")
    bench.stored.append(before)
    assert bench.restart().fills_since("") == first


@pytest.mark.parametrize("state", [{}, {"core": {}}, {"core": {}, "matched_ms": []}, {"core": {}, "matched_ms": {}}])
def test_unusable_state_is_a_state_file_error(state: dict[str, object]) -> None:
    with pytest.raises(StateFileError, match="paper account coinbase: stored state is"):
        PaperVenue.from_state(
            state,
            account="coinbase",
            instruments=BTC_ONLY,
            fees=FEES,
            half_spread_frac=HALF_SPREAD,
            feed=ListedFeed(),
            clock=HandClock(),
        )


def test_order_looked_up_under_another_symbol_is_not_found() -> None:
    bench = Bench(bar(100, 101, 99, 100, hour=0))
    order = make_order("limit buy", "1", price="90")
    bench.at(0).submit(order)
    assert bench.venue.find_order(order) is not None
    assert bench.venue.find_order(replace(order, symbol="ETH/USD")) is None


def test_candles_end_at_the_present_moment() -> None:
    bench = Bench(*(bar(100, 101, 99, 100, hour=hour) for hour in range(5)))
    candles = bench.at(3.5).candles(BTC, "1h", T0_MS + HOUR)
    assert [candle.open_ms for candle in candles] == [T0_MS + HOUR, T0_MS + 2 * HOUR]
