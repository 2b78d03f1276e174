"""What a real adapter may make of an answer that is not as it should be, one question each."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from fuzz_venues import BTC, D, FuzzBench

from bot.domain.account import Fill
from bot.domain.errors import VenueError
from bot.domain.market import MS_PER_DAY
from bot.domain.orders import FINAL_STATES, OrderReport
from bot.ports import Accepted, Rejected, Unknown
from bot.venues.ccxt_hooks import KeyRefusedError
from bot.venues.ccxt_venue import CcxtVenue

NO_ANSWER = (VenueError, KeyRefusedError)
Question = Callable[[FuzzBench, CcxtVenue], None]


def _positive(*numbers: Decimal) -> None:
    # As floats, which decisions are made of, they must be numbers above 0 too.
    assert all(number.is_finite() and 0 < float(number) < math.inf for number in numbers), numbers


def _not_negative(*numbers: Decimal) -> None:
    assert all(number.is_finite() and number >= 0 and float(number) < math.inf for number in numbers), numbers


def instruments_are_tradable(bench: FuzzBench, venue: CcxtVenue) -> None:
    for symbol, one in venue.instruments().items():
        assert symbol == one.symbol == f"{one.base}/{one.quote}"
        _positive(one.lot_step, one.tick_size)
        _not_negative(one.min_amount, one.min_cost)
    bench.broken.is_on = False
    venue.candles(BTC, "1d", 0)  # in the venue's time, of which it has just been told
    venue.submit(bench.order("limit buy", "5000", price="95", number=0))


def fees_are_fractions(bench: FuzzBench, venue: CcxtVenue) -> None:
    fees = venue.fees()
    _not_negative(fees.maker_frac, fees.taker_frac)
    assert fees.maker_frac <= fees.taker_frac < 1


def balances_are_not_negative(bench: FuzzBench, venue: CcxtVenue) -> None:
    for asset, balance in venue.balances().items():
        assert asset == balance.asset
        assert asset
        _not_negative(balance.free, balance.used)


def tickers_are_prices(bench: FuzzBench, venue: CcxtVenue) -> None:
    for symbol, ticker in venue.tickers().items():
        assert symbol == ticker.symbol
        _positive(ticker.bid, ticker.ask, ticker.last)
        assert ticker.at <= bench.moment, ticker


def candles_are_closed_bars(bench: FuzzBench, venue: CcxtVenue) -> None:
    now_ms = int(bench.moment.timestamp() * 1000)
    bars = venue.candles(BTC, "1d", 0)
    assert [bar.open_ms for bar in bars] == sorted({bar.open_ms for bar in bars})
    for bar in bars:
        assert all(map(math.isfinite, bar)), bar
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high, bar
        assert bar.volume >= 0, bar
        assert bar.open_ms % MS_PER_DAY == 0, bar
        assert bar.open_ms + MS_PER_DAY <= now_ms, bar


def _is_sound(report: OrderReport) -> None:
    _not_negative(report.filled_quantity)
    for text in (report.client_order_id, report.venue_order_id, report.symbol):
        assert isinstance(text, str), report
    assert report.venue_order_id


def open_orders_are_sound(bench: FuzzBench, venue: CcxtVenue) -> None:
    for report in venue.open_orders():
        _is_sound(report)


def order_of_known_id_is_itself(bench: FuzzBench, venue: CcxtVenue) -> None:
    number = bench.orders_made % 2
    order = (bench.resting, bench.stop)[number]
    live = next(one for one in bench.account.live_orders() if one.asked.client_id == order.client_order_id)
    report = venue.find_order(replace(order, venue_order_id=live.order_id))
    if report is None:
        # An answer must say so: the exchange has it. Only the venue's own word for it may have been put there.
        assert any("NOT_FOUND" in seen or "Unknown order" in seen for seen in bench.broken.seen), (
            "a live order vanished"
        )
        return
    _is_sound(report)
    assert report.venue_order_id == live.order_id, report


def order_of_client_id_is_itself(bench: FuzzBench, venue: CcxtVenue) -> None:
    report = venue.find_order(bench.resting)
    if report is not None:
        _is_sound(report)
        assert report.client_order_id == bench.resting.client_order_id


def fills_are_the_exchanges_own(bench: FuzzBench, venue: CcxtVenue) -> None:
    """Numbers may be wrong where an answer lies; an id that nobody gave would be booked beside the true one."""
    told, cursor = _fills(venue, "")
    true = bench.true_fills()
    for fill in told:
        _positive(fill.quantity, fill.price)
        assert fill.fee.is_finite()
        assert fill.fill_id in true or bench.broken.has_said(fill.fill_id), f"an invented id: {fill}"
        assert fill.at <= bench.moment + timedelta(minutes=5), f"a fill of the future: {fill}"
    bench.broken.is_on = False
    bench.moment += timedelta(seconds=60)
    later, _ = _fills(venue, cursor)
    found = {fill.fill_id for fill in (*told, *later)}
    # A row that a whole page lacks is one that is listed late: it comes within ten minutes, or never does.
    assert found >= set(true), f"lost: {set(true) - found}; told {told}, then {later} after {cursor}"


def _fills(venue: CcxtVenue, cursor: str) -> tuple[list[Fill], str]:
    deep = {"deep": True} if "deep" in inspect.signature(venue.fills_since).parameters else {}
    fills, cursor = venue.fills_since(cursor, **deep)
    return list(fills), cursor


def _submit(bench: FuzzBench, venue: CcxtVenue, kind: str, quantity: str, price: str) -> None:
    bench.orders_made += 1
    order = bench.order(kind, quantity, price=price, number=bench.orders_made)
    outcome = venue.submit(order)
    placed = bench.account.with_client_id(order.client_order_id)
    for one in placed:
        if one.is_live:
            bench.account.cancel(one.order_id, bench.moment)
    match outcome:
        case Rejected():
            assert not placed, f"placed, and called rejected: {outcome}"
        case Accepted():
            assert placed, f"not placed, and called accepted: {outcome}"
            assert isinstance(outcome.venue_order_id, str)
            its_own = outcome.venue_order_id == placed[0].order_id
            assert its_own or bench.broken.has_said(outcome.venue_order_id), f"an invented id: {outcome}"
        case Unknown():
            pass


def order_that_is_taken(bench: FuzzBench, venue: CcxtVenue) -> None:
    _submit(bench, venue, "limit buy", "0.05", "95")


def stop_that_is_taken(bench: FuzzBench, venue: CcxtVenue) -> None:
    _submit(bench, venue, "stop sell", "0.05", "85")


def order_that_is_refused(bench: FuzzBench, venue: CcxtVenue) -> None:
    _submit(bench, venue, "limit buy", "5000", "95")


def cancellation_of_a_live_order(bench: FuzzBench, venue: CcxtVenue) -> None:
    bench.orders_made += 1
    bench.broken.is_on = False
    order = bench.order("limit buy", "0.05", price="95", number=bench.orders_made)
    outcome = venue.submit(order)
    assert isinstance(outcome, Accepted)
    bench.broken.is_on = True
    knows = bench.orders_made % 2
    try:
        told = venue.cancel(replace(order, venue_order_id=outcome.venue_order_id) if knows else order)
    finally:
        one = bench.account.order(outcome.venue_order_id)
        assert one is not None
        is_live = one.is_live
        if is_live:
            bench.account.cancel(one.order_id, bench.moment)
    assert not (is_live and isinstance(told, Accepted | Rejected)), f"it rests, and was called ended: {told}"


def stops_rest_is_answered(bench: FuzzBench, venue: CcxtVenue) -> None:
    assert venue.stops_rest() in (True, False)


def report_is_written(bench: FuzzBench, venue: CcxtVenue) -> None:
    drift_s = venue.report().clock_drift_s
    assert drift_s is None or math.isfinite(drift_s)


def key_of_a_new_adapter_is_judged(bench: FuzzBench, _venue: CcxtVenue) -> None:
    venue = bench.new_venue()
    venue.check_key()


QUESTIONS: tuple[Question, ...] = (
    instruments_are_tradable,
    fees_are_fractions,
    balances_are_not_negative,
    tickers_are_prices,
    candles_are_closed_bars,
    open_orders_are_sound,
    order_of_known_id_is_itself,
    order_of_client_id_is_itself,
    fills_are_the_exchanges_own,
    order_that_is_taken,
    stop_that_is_taken,
    order_that_is_refused,
    cancellation_of_a_live_order,
    stops_rest_is_answered,
    report_is_written,
    key_of_a_new_adapter_is_judged,
)


def all_is_well(bench: FuzzBench, venue: CcxtVenue) -> None:
    """With whole answers the same adapter is right again, whatever it was told before."""
    bench.broken.is_on = False
    bench.moment += timedelta(seconds=20)  # a lock-out for too many calls has passed
    bench.refresh()
    holdings = {wire: bench.account.holding(wire) for wire in ("USD", "BTC", "ZUSD", "XXBT")}
    venue.instruments()
    balances = venue.balances()
    cash, coin = ("ZUSD", "XXBT") if bench.name == "kraken" else ("USD", "BTC")
    for asset, wire in (("USD", cash), ("BTC", coin)):
        assert (balances[asset].free, balances[asset].used) == (holdings[wire].available, holdings[wire].hold)
    assert set(balances) == {"USD", "BTC"}
    ticker = venue.tickers()[BTC]
    assert (ticker.bid, ticker.ask) == (D("99.9"), D("100.1"))
    assert len(venue.candles(BTC, "1d", 0)) == 30
    assert sorted(report.venue_order_id for report in venue.open_orders()) == sorted(
        order.order_id for order in bench.account.live_orders()
    )
    for order in (bench.resting, bench.stop):
        found = venue.find_order(order)
        assert found is not None
        assert found.state not in FINAL_STATES
    fills, _ = _fills(venue, "")
    own = {fill_id: (fill.quantity, fill.price, fill.fee) for fill_id, fill in bench.true_fills().items()}
    assert {fill.fill_id: (fill.quantity, fill.price, fill.fee) for fill in fills} == own
