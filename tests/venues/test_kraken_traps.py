"""Kraken's traps, looked at on the wire: what is sent, what a broken or foreign answer becomes, what is never sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from kraken_venue_rig import (
    EMPTY_OBJECT,
    HTML_OK,
    LOST_REPLY,
    NOW,
    SECRET,
    ClientIdRule,
    Execution,
    Fault,
    FaultKind,
    KrakenBench,
    SystemStatus,
    answer,
    complaint,
    kraken_bench,
)
from venue_contract import new_order, sent
from venue_helpers import BTC, HOUR, D
from wire import Reply

from bot.domain.errors import VenueError
from bot.domain.orders import Order, OrderState
from bot.ports import Accepted, Rejected, Unknown
from bot.venues.kraken_venue import KrakenVenue, definite

HOUR_S = HOUR // 1000
TRUNCATED = Fault(FaultKind.REPLY, Reply(200, b'{"error":[],"result":{"open":{"OAA'))
NO_RESULT = Fault(FaultKind.REPLY, Reply(200, b'{"error":[]}'))
NO_ERRORS = Fault(FaultKind.REPLY, Reply(200, b'{"result":{}}'))
EMPTY_BODY = Fault(FaultKind.REPLY, Reply(200, b""))
NOT_WHOLE = [EMPTY_OBJECT, HTML_OK, TRUNCATED, NO_RESULT, NO_ERRORS, EMPTY_BODY]
NOT_WHOLE_NAMES = ["empty object", "html", "truncated", "no result", "no errors", "empty body"]


@pytest.fixture
def bench() -> Iterator[KrakenBench]:
    with kraken_bench() as bench:
        bench.ready()
        yield bench


def buy(bench: KrakenBench, name: str = "a") -> Order:
    return new_order(bench, "limit buy", "1", price="90", name=name)


# ---- what is sent


@pytest.mark.parametrize(
    ("kind", "quantity", "prices", "form"),
    [
        ("limit buy", "0.10", {"price": "90.0"}, "type=buy&ordertype=limit&volume=0.10&{id}&oflags=fciq&price=90.0"),
        (
            "limit buy",
            "1.23456789",
            {"price": "90.1", "post_only": True},
            # NOW is 12:00:30; 25 minutes later is its end.
            "type=buy&ordertype=limit&volume=1.23456789&{id}&oflags=post%2Cfciq&price=90.1"
            f"&timeinforce=GTD&expiretm={int(NOW.timestamp()) + 1500}",
        ),
        (
            "ioc buy",
            "0.1",
            {"price": "102.3"},
            "type=buy&ordertype=limit&volume=0.1&{id}&oflags=fciq&price=102.3&timeinforce=IOC",
        ),
        ("market sell", "0.00700001", {}, "type=sell&ordertype=market&volume=0.00700001&{id}&oflags=fciq"),
        (
            "stop sell",
            "0.01",
            {"stop": "91.7"},
            "type=sell&ordertype=stop-loss&volume=0.01&{id}&oflags=fciq&price=91.7",
        ),
    ],
)
def test_order_reaches_the_wire_as_it_is(
    bench: KrakenBench, kind: str, quantity: str, prices: dict[str, str], form: str
) -> None:
    bench.account.deposit("XXBT", D(1))
    order = new_order(bench, kind, quantity, **prices)  # type: ignore[arg-type]  # post_only is no text
    sent(bench, order)
    expected = form.replace("{id}", f"cl_ord_id={order.client_order_id}")
    # NOW is 12:00:30.
    assert bench.forms("AddOrder") == [f"pair=XXBTZUSD&{expected}&deadline=2026-11-21T12%3A00%3A45Z"]


def test_order_of_tiny_steps_has_no_exponent_on_the_wire(bench: KrakenBench) -> None:
    order = replace(buy(bench), quantity=D("1E-8") * 5_000_000, price=D("9E+1"))
    sent(bench, order)
    assert "&volume=0.05000000&" in bench.forms("AddOrder")[0]
    assert "&price=90&" in bench.forms("AddOrder")[0]


def test_stop_is_held_by_the_venue_as_a_stop_and_no_plain_order(bench: KrakenBench) -> None:
    bench.account.deposit("XXBT", D(1))
    sent(bench, new_order(bench, "stop sell", "1", stop="90"))
    (resting,) = bench.account.live_orders()
    assert (resting.asked.tags["ordertype"], resting.asked.stop_price, resting.triggered) == ("stop-loss", D(90), False)


def test_entry_ends_at_the_venue_by_itself_at_its_time_by_the_venues_clock() -> None:
    with kraken_bench() as bench:
        bench.ahead = timedelta(minutes=5)
        bench.ready()
        order = sent(bench, new_order(bench, "limit buy", "1", price="90", post_only=True))
        (resting,) = bench.account.live_orders()
        assert resting.asked.expires_at == NOW + timedelta(minutes=25)
        bench.clock.advance(timedelta(minutes=24, seconds=59))
        assert bench.venue.open_orders()
        bench.clock.advance(timedelta(seconds=1))
        assert bench.venue.open_orders() == []
        report = bench.venue.find_order(order)
        assert report is not None
        assert report.state is OrderState.CANCELED


# ---- the deadline


def test_deadline_follows_the_venues_clock_not_this_machines() -> None:
    with kraken_bench() as bench:
        bench.ahead = timedelta(minutes=5)
        bench.ready()
        sent(bench, buy(bench))
        assert "deadline=2026-11-21T12%3A00%3A45Z" in bench.forms("AddOrder")[0]
        assert bench.venue.report(ask=False).clock_drift_s == 300.0


def test_deadline_venues_clock_is_not_known_is_not_sent() -> None:
    with kraken_bench() as bench:
        bench.server.inject("*/Time", complaint("EService:Unavailable"), count=9)
        bench.ready()  # asked with the markets and with the key, three times each
        sent(bench, buy(bench))  # and once more before the order
        assert "deadline" not in bench.forms("AddOrder")[0]
        sent(bench, buy(bench, "b"))
        assert "deadline" in bench.forms("AddOrder")[1]


def test_deadline_elapsed_is_rejected_and_the_next_order_has_one_by_the_venues_clock(bench: KrakenBench) -> None:
    bench.core.order_latency = timedelta(seconds=16)
    outcome = bench.venue.submit(buy(bench))
    assert isinstance(outcome, Rejected)
    assert "EService:Deadline elapsed" in outcome.reason
    assert bench.account.orders() == []
    bench.core.order_latency = timedelta(0)
    bench.core.log.clear()
    sent(bench, buy(bench, "b"))
    assert [logged.path.rpartition("/")[2] for logged in bench.core.log] == ["Time", "AddOrder"]
    assert "deadline" in bench.forms("AddOrder")[0]


def test_deadline_this_machines_clock_was_put_back_costs_one_rejection(bench: KrakenBench) -> None:
    bench.ahead = -timedelta(minutes=2)
    assert isinstance(bench.venue.submit(buy(bench)), Rejected)
    sent(bench, buy(bench))


# ---- an answer to an order that is none


PLACED_UNSEEN = [
    LOST_REPLY,
    Fault(FaultKind.RESET, execution=Execution.FIRST),
    Fault(FaultKind.SHORT_BODY, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, HTML_OK.reply, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, EMPTY_OBJECT.reply, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, EMPTY_BODY.reply, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, TRUNCATED.reply, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, NO_RESULT.reply, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, answer({"descr": {"order": "buy"}}).reply, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, answer({"txid": []}).reply, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, complaint("EService:Timeout").reply, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, Reply(504, b"", "text/html"), execution=Execution.FIRST),
    Fault(FaultKind.REPLY, Reply(524, b"<html>", "text/html"), execution=Execution.FIRST),
    Fault(FaultKind.REPLY, Reply(500, b"oops", "text/html"), execution=Execution.FIRST),
]


@pytest.mark.parametrize("fault", PLACED_UNSEEN, ids=lambda fault: f"{fault.kind} {fault.reply.body.decode()[:30]}")
def test_order_placed_but_unseen_is_unknown_sent_once_and_found(bench: KrakenBench, fault: Fault) -> None:
    order = buy(bench)
    bench.server.inject("*/AddOrder", fault)
    assert isinstance(bench.venue.submit(order), Unknown)
    assert bench.sent_to("AddOrder") == 1
    assert bench.pauses == []
    report = bench.venue.find_order(order)
    assert report is not None
    assert (report.state, report.client_order_id) == (OrderState.OPEN, order.client_order_id)
    (placed,) = bench.account.live_orders()
    assert report.venue_order_id == placed.order_id


def test_order_timed_out_is_unknown_and_looked_for_not_sent_again(bench: KrakenBench) -> None:
    bench.client.timeout = 150
    bench.server.inject("*/AddOrder", Fault(FaultKind.HANG, execution=Execution.FIRST))
    order = buy(bench)
    outcome = bench.venue.submit(order)
    assert isinstance(outcome, Unknown)
    assert "RequestTimeout" in outcome.reason
    assert bench.venue.find_order(order) is not None
    assert bench.sent_to("AddOrder") == 1


@pytest.mark.parametrize(
    "text",
    [
        "EOrder:Insufficient funds",
        "EOrder:Order minimum not met",
        "EGeneral:Invalid arguments:volume minimum not met",
        "EGeneral:Invalid arguments:price",
        "EGeneral:Invalid arguments",
        "EOrder:Invalid order",
        "EOrder:Cost minimum not met",
        "EOrder:Invalid price",
        "EOrder:Tick size check failed",
        "EOrder:Post only order",
        "EOrder:Orders limit exceeded",
        "EOrder:Trading agreement required",
        "EOrder:Cannot open position",
        "EOrder:Rate limit exceeded",
        "EAccount:Invalid permissions:BTC trading restricted",
        "EQuery:Unknown asset pair",
        "EService:Market in limit_only mode",
        "EService:Market in cancel_only mode",
        "EService:Market in post_only mode",
        "EService:Deadline elapsed",
        "EAPI:Invalid signature",
        "EAPI:Invalid key",
        "EAPI:Invalid nonce",
        "EAPI:Rate limit exceeded",
        "EAPI:Bad request",
        "EGeneral:Permission denied",
        "EGeneral:Temporary lockout",
        "ETrade:User Locked",
    ],
)
def test_order_refused_in_plain_words_is_rejected_once(bench: KrakenBench, text: str) -> None:
    bench.server.inject("*/AddOrder", complaint(text))
    outcome = bench.venue.submit(buy(bench))
    assert isinstance(outcome, Rejected)
    assert text in outcome.reason
    assert bench.sent_to("AddOrder") == 1


@pytest.mark.parametrize(
    "texts",
    [
        ["EService:Timeout"],
        ["EService:Unavailable"],
        ["EService:Busy"],
        ["EGeneral:Internal error"],
        ["EDatabase:Internal error"],
        ["EGeneral:Something new"],
        ["EOrder:Duplicate cl_ord_id"],
        ["EOrder:Duplicate order"],
        ["EOrder:cl_ord_id is used already"],
        ["EOrder:Post only order", "EService:Timeout"],
        ["WSomething:A warning"],
    ],
)
def test_order_refused_in_words_that_leave_a_doubt_is_unknown_and_sent_once(
    bench: KrakenBench, texts: list[str]
) -> None:
    bench.server.inject("*/AddOrder", complaint(*texts))
    outcome = bench.venue.submit(buy(bench))
    assert isinstance(outcome, Unknown)
    assert texts[0] in outcome.reason
    assert bench.sent_to("AddOrder") == 1


def test_definite_text_without_any_complaint_is_not() -> None:
    assert not definite("kraken POST http://127.0.0.1/0/private/AddOrder 524 ")
    assert not definite("")
    assert definite('kraken {"error":["EOrder:Cost minimum not met"]}')
    assert not definite('kraken {"error":["EOrder:Cost minimum not met","EService:Timeout"]}')


def test_same_client_id_after_the_fill_would_buy_twice_and_so_is_found_first(bench: KrakenBench) -> None:
    """Kraken compares client ids among open orders only."""
    order = new_order(bench, "ioc buy", "1", price="102")
    bench.server.inject("*/AddOrder", LOST_REPLY)
    assert isinstance(bench.venue.submit(order), Unknown)
    report = bench.venue.find_order(order)
    assert report is not None
    assert (report.state, report.filled_quantity) == (OrderState.FILLED, D(1))
    assert len(bench.account.orders()) == 1


def test_same_client_id_ever_refused_is_unknown(bench: KrakenBench) -> None:
    bench.core.client_id_rule = ClientIdRule.EVER
    order = new_order(bench, "ioc buy", "1", price="102")
    sent(bench, order)
    assert isinstance(bench.venue.submit(order), Unknown)


def test_order_maintenance_is_unknown_and_post_only_market_takes_its_kind(bench: KrakenBench) -> None:
    bench.core.status = SystemStatus.POST_ONLY
    assert isinstance(bench.venue.submit(buy(bench)), Rejected)
    sent(bench, replace(buy(bench), post_only=True))
    bench.core.status = SystemStatus.MAINTENANCE
    assert isinstance(bench.venue.submit(buy(bench, "b")), Unknown)


def test_order_of_a_market_that_is_not_traded_is_rejected_unsent(bench: KrakenBench) -> None:
    for symbol in ("USDC/USD", "DOGE/USD"):
        assert isinstance(bench.venue.submit(replace(buy(bench), symbol=symbol)), Rejected)
    assert bench.sent_to("AddOrder") == 0


def test_stop_whose_kind_is_not_known_is_rejected_and_stops_rest_no_more(bench: KrakenBench) -> None:
    bench.account.deposit("XXBT", D(1))
    assert bench.venue.stops_rest()
    bench.server.inject("*/AddOrder", complaint("EGeneral:Invalid arguments:ordertype"))
    assert isinstance(bench.venue.submit(new_order(bench, "stop sell", "1", stop="90")), Rejected)
    assert not bench.venue.stops_rest()


# ---- cancellations


def test_cancel_names_the_order_by_the_venues_id(bench: KrakenBench) -> None:
    order = sent(bench, buy(bench))
    assert bench.venue.cancel(order) == Accepted(venue_order_id=order.venue_order_id or "")
    assert bench.forms("CancelOrder") == [f"txid={order.venue_order_id}"]


@pytest.mark.parametrize("fault", [answer({"count": 0}), answer({"count": "0"}), complaint("EOrder:Unknown order")])
def test_cancel_venue_finds_nothing_is_rejected(bench: KrakenBench, fault: Fault) -> None:
    order = sent(bench, buy(bench))
    bench.server.inject("*/CancelOrder", fault)
    assert isinstance(bench.venue.cancel(order), Rejected)


@pytest.mark.parametrize(
    "fault",
    [
        *NOT_WHOLE,
        LOST_REPLY,
        answer({}),
        complaint("EService:Timeout"),
        complaint("EService:Unavailable"),
        complaint("EAPI:Invalid nonce"),
        complaint("EAPI:Invalid key"),
        complaint("EGeneral:Permission denied"),
        complaint("EGeneral:Invalid arguments"),
        Fault(FaultKind.REPLY, Reply(502, b"bad gateway", "text/plain")),
    ],
)
def test_cancel_anything_else_is_unknown_and_sent_once(bench: KrakenBench, fault: Fault) -> None:
    order = sent(bench, buy(bench))
    bench.server.inject("*/CancelOrder", fault)
    assert isinstance(bench.venue.cancel(order), Unknown)
    assert bench.sent_to("CancelOrder") == 1


def test_cancel_pending_is_accepted(bench: KrakenBench) -> None:
    order = sent(bench, buy(bench))
    bench.server.inject("*/CancelOrder", answer({"count": 1, "pending": True}))
    assert isinstance(bench.venue.cancel(order), Accepted)


# ---- an answer that is not whole is no answer


def _known_order(bench: KrakenBench) -> Order:
    return replace(buy(bench), venue_order_id="OAAAAA-AAAAA-AAAAAA")


READS: dict[str, Callable[[KrakenBench, KrakenVenue], object]] = {
    "BalanceEx": lambda _, venue: venue.balances(),
    "OpenOrders": lambda _, venue: venue.open_orders(),
    "QueryOrders": lambda bench, venue: venue.find_order(_known_order(bench)),
    "ClosedOrders": lambda bench, venue: venue.find_order(buy(bench)),
    "TradesHistory": lambda _, venue: venue.fills_since(""),
    "Ticker": lambda _, venue: venue.tickers(),
    "OHLC": lambda _, venue: venue.candles(BTC, "1h", int(NOW.timestamp() * 1000) - 3 * HOUR),
    "Time": lambda _, venue: venue.measure_drift(),
}


@pytest.mark.parametrize("fault", NOT_WHOLE, ids=NOT_WHOLE_NAMES)
@pytest.mark.parametrize("call", READS)
def test_read_answer_is_not_whole_is_a_venue_error(bench: KrakenBench, call: str, fault: Fault) -> None:
    bench.server.inject(f"*/{call}", fault)
    with pytest.raises(VenueError, match="kraken: time: " if call == "Time" else f"{call}: the answer is not whole"):
        READS[call](bench, bench.venue)
    assert bench.server.faults_left() == 0


@pytest.mark.parametrize("call", ["OpenOrders", "ClosedOrders", "TradesHistory", "Ticker", "OHLC"])
@pytest.mark.parametrize("result", [{}, {"open": None, "closed": None, "trades": None, "count": 0}, []])
def test_read_result_lacks_what_was_asked_is_a_venue_error(bench: KrakenBench, call: str, result: object) -> None:
    bench.server.inject(f"*/{call}", answer(result))
    with pytest.raises(VenueError):
        READS[call](bench, bench.venue)


@pytest.mark.parametrize("call", ["BalanceEx", "OpenOrders", "QueryOrders", "ClosedOrders", "TradesHistory", "Ticker"])
def test_read_connection_breaks_is_asked_three_times_then_a_venue_error(bench: KrakenBench, call: str) -> None:
    bench.server.inject(f"*/{call}", Fault(FaultKind.SHORT_BODY, execution=Execution.FIRST), count=3)
    with pytest.raises(VenueError):
        READS[call](bench, bench.venue)
    assert len(bench.pauses) == 2
    assert bench.server.faults_left() == 0


@pytest.mark.parametrize(
    "row",
    [{}, {"balance": "1"}, {"balance": None, "hold_trade": "0"}, {"balance": "NaN", "hold_trade": "0"}],
)
def test_balances_row_is_not_whole_is_a_venue_error_and_not_zero(bench: KrakenBench, row: dict[str, str]) -> None:
    bench.server.inject("*/BalanceEx", answer({"ZUSD": row}))
    with pytest.raises(VenueError):
        bench.venue.balances()


def test_balances_without_any_row_after_some_are_no_answer(bench: KrakenBench) -> None:
    before = bench.venue.balances()
    bench.server.inject("*/BalanceEx", answer({}))
    with pytest.raises(VenueError, match="the list is empty, and was not before"):
        bench.venue.balances()
    assert bench.venue.balances() == before


def test_order_unknown_to_the_venue_in_its_own_words_is_none(bench: KrakenBench) -> None:
    assert bench.venue.find_order(_known_order(bench)) is None


def test_order_with_an_id_of_the_venues_that_is_not_in_its_answer_is_a_venue_error(bench: KrakenBench) -> None:
    bench.core.unknown_order_is_error = False  # it answers with nothing
    with pytest.raises(VenueError, match="QueryOrders: the answer is not whole: it has no OAAAAA-AAAAA-AAAAAA"):
        bench.venue.find_order(_known_order(bench))


def test_order_answer_is_about_another_one_is_a_venue_error(bench: KrakenBench) -> None:
    order = sent(bench, buy(bench))
    row = bench.client.privatePostQueryOrders({"txid": order.venue_order_id})["result"][order.venue_order_id]
    bench.server.inject("*/QueryOrders", answer({"OBBBBB-BBBBB-BBBBBB": row}))
    with pytest.raises(VenueError, match="has no OAAAAA-AAAAA-AAAAAA"):
        bench.venue.find_order(_known_order(bench))


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("pending", "0", OrderState.OPEN),
        ("open", "0", OrderState.OPEN),
        ("open", "0.4", OrderState.PARTLY_FILLED),
        ("a new one", "0", OrderState.OPEN),
        ("closed", "1.00000000", OrderState.FILLED),
        ("canceled", "0.4", OrderState.CANCELED),
        ("expired", "0", OrderState.CANCELED),
    ],
)
def test_order_status_only_known_ends_are_ends(bench: KrakenBench, status: str, filled: str, state: OrderState) -> None:
    order = sent(bench, buy(bench))
    row = bench.client.privatePostQueryOrders({"txid": order.venue_order_id})["result"][order.venue_order_id]
    told = {order.venue_order_id: row | {"status": status, "vol_exec": filled}}
    bench.server.inject("*/QueryOrders", answer(told))
    report = bench.venue.find_order(order)
    assert report is not None
    assert (report.state, report.filled_quantity) == (state, D(filled))


# ---- found by the client's id


def test_find_asks_open_then_closed_orders_from_a_day_before_the_birth(bench: KrakenBench) -> None:
    order = replace(buy(bench), created_at=NOW)
    assert bench.venue.find_order(order) is None
    assert [logged.path.rpartition("/")[2] for logged in bench.core.log] == ["OpenOrders", "ClosedOrders"]
    assert bench.forms("OpenOrders") == [f"cl_ord_id={order.client_order_id}"]
    start = int(NOW.timestamp()) - 86_400
    assert bench.forms("ClosedOrders") == [f"cl_ord_id={order.client_order_id}&start={start}&ofs=0"]


def _without_filter(bench: KrakenBench, call: str) -> None:
    """Let the next answer be that of a venue that ignores the filter on client ids."""
    whole = bench.client.request(call, ["private"], "POST", {})["result"]
    bench.server.inject(f"*/{call}", answer(whole))


def test_find_venue_ignores_the_filter_takes_no_foreign_order(bench: KrakenBench) -> None:
    sent(bench, buy(bench, "somebody else's"))
    bench.venue.cancel(sent(bench, buy(bench, "ended")))
    order = buy(bench)
    for call in ("OpenOrders", "ClosedOrders"):
        _without_filter(bench, call)
    assert bench.venue.find_order(order) is None
    assert bench.server.faults_left() == 0


def test_find_venue_ignores_the_filter_is_found_on_the_second_page(bench: KrakenBench) -> None:
    order = buy(bench)
    bench.venue.cancel(sent(bench, order))
    bench.clock.advance(timedelta(seconds=1))  # the newest come first
    for number in range(50):
        bench.venue.cancel(sent(bench, buy(bench, str(number))))
    pages = [bench.client.privatePostClosedOrders({"ofs": ofs})["result"] for ofs in (0, 50)]
    for page in pages:
        bench.server.inject("*/ClosedOrders", answer(page))
    report = bench.venue.find_order(order)
    assert report is not None
    assert (report.client_order_id, report.state) == (order.client_order_id, OrderState.CANCELED)
    assert bench.server.faults_left() == 0


def test_find_pages_without_end_are_no_answer(bench: KrakenBench) -> None:
    page = {"closed": {"OAAAAA-AAAAA-AAAAAA": {"cl_ord_id": "another"}}, "count": 1_000_000}
    bench.server.inject("*/ClosedOrders", answer(page), count=100)
    with pytest.raises(VenueError, match="more than 100 rows"):
        bench.venue.find_order(buy(bench))
    assert bench.server.faults_left() == 0


def test_open_orders_of_others_and_of_foreign_pairs_keep_the_venues_name(bench: KrakenBench) -> None:
    form = {"pair": "USDTZUSD", "type": "buy", "ordertype": "limit", "volume": "10", "price": "0.5", "userref": "7"}
    bench.client.privatePostAddOrder(form)
    (report,) = bench.venue.open_orders()
    assert (report.symbol, report.client_order_id) == ("USDTUSD", "")


# ---- replies under another name of the pair


def _renamed(bench: KrakenBench, call: str, query: dict[str, object], name: Callable[[str, str], str]) -> None:
    """Inject the answer as it would be under other names; ``name`` gets (wsname, altname)."""
    pairs = {pair.id: pair for pair in bench.core.pairs}
    kind = ("private", "POST") if call == "TradeVolume" else ("public", "GET")
    result = bench.client.request(call, [kind[0]], kind[1], query)["result"]

    def rename(rows: dict[str, object]) -> dict[str, object]:
        return {name(pairs[id_].wsname, pairs[id_].altname) if id_ in pairs else id_: row for id_, row in rows.items()}

    renamed = rename(result)
    for key in ("fees", "fees_maker"):
        if key in renamed:
            rows = renamed[key]
            assert isinstance(rows, dict)
            renamed[key] = rename(rows)
    assert json.dumps(renamed) != json.dumps(result)
    bench.server.inject(f"*/{call}", answer(renamed))


NAMES: list[Callable[[str, str], str]] = [
    lambda wsname, _: wsname,
    lambda _, altname: altname,
    lambda wsname, _: wsname.replace("XBT", "BTC"),
]
KEPT_IDS = "XXBTZUSD,XETHZUSD,SOLUSD,XBTUSDC,ETHUSDC,SOLUSDC,USDCUSD"


@pytest.mark.parametrize("name", NAMES, ids=["wsname", "altname", "symbol"])
def test_prices_under_another_name_are_prices(bench: KrakenBench, name: Callable[[str, str], str]) -> None:
    usual = bench.venue.tickers()
    _renamed(bench, "Ticker", {"pair": KEPT_IDS}, name)
    assert bench.venue.tickers() == usual
    assert bench.server.faults_left() == 0


@pytest.mark.parametrize("name", NAMES, ids=["wsname", "altname", "symbol"])
def test_candles_under_another_name_are_candles(bench: KrakenBench, name: Callable[[str, str], str]) -> None:
    bench.hours_at("101", "102")
    since_ms = int(bench.now().timestamp() * 1000) // HOUR * HOUR - 2 * HOUR
    usual = bench.venue.candles(BTC, "1h", since_ms)
    assert [candle.close for candle in usual] == [101.0, 102.0]
    _renamed(bench, "OHLC", {"pair": "XXBTZUSD", "interval": 60}, name)
    assert bench.venue.candles(BTC, "1h", since_ms) == usual
    assert bench.server.faults_left() == 0


@pytest.mark.parametrize("name", NAMES, ids=["wsname", "altname", "symbol"])
def test_fees_under_another_name_are_the_accounts(bench: KrakenBench, name: Callable[[str, str], str]) -> None:
    _renamed(bench, "TradeVolume", {"pair": KEPT_IDS}, name)
    assert not bench.venue.fees().is_fallback
    assert bench.server.faults_left() == 0


def test_answers_by_wsname_venue_as_a_whole_works(bench: KrakenBench) -> None:
    bench.core.answers_by_wsname = True
    bench.hours_at("101")
    assert bench.venue.tickers()[BTC].last == 101
    since_ms = int(bench.now().timestamp() * 1000) - 2 * HOUR
    assert [candle.close for candle in bench.venue.candles(BTC, "1h", since_ms)] == [101.0]


def test_answer_about_a_foreign_pair_is_a_venue_error(bench: KrakenBench) -> None:
    row = {"a": ["1", "1", "1"], "b": ["1", "1", "1"], "c": ["1", "1"]}
    bench.server.inject("*/Ticker", answer({"DOGEUSD": row}))
    with pytest.raises(VenueError, match="the answer has no BTC/USD"):
        bench.venue.tickers()
    hour = int(NOW.timestamp()) // HOUR_S * HOUR_S
    for name in ("DOGEUSD", "XETHZUSD"):
        rows = {name: [[hour, "1", "1", "1", "1", "1", "1", 1]], "last": hour}
        bench.server.inject("*/OHLC", answer(rows))
        with pytest.raises(VenueError, match="the answer has no BTC/USD"):
            bench.venue.candles(BTC, "1h", (hour - HOUR_S) * 1000)


def test_answer_with_an_empty_list_of_candles_is_a_venue_error(bench: KrakenBench) -> None:
    bench.server.inject("*/OHLC", answer({"XXBTZUSD": [], "last": 0}))
    with pytest.raises(VenueError, match="the answer has no BTC/USD"):
        bench.venue.candles(BTC, "1h", int(NOW.timestamp() * 1000) - 3 * HOUR)


# ---- secrets


@pytest.mark.parametrize("fault", [LOST_REPLY, HTML_OK, complaint("EAPI:Invalid signature")])
def test_no_text_about_a_failure_holds_the_secret(bench: KrakenBench, fault: Fault) -> None:
    bench.server.inject("*/AddOrder", fault)
    outcome = bench.venue.submit(buy(bench))
    assert isinstance(outcome, Unknown | Rejected)
    echo = Fault(FaultKind.REPLY, Reply(200, json.dumps({"error": [f"EAPI:{SECRET} test-key"]}).encode()))
    bench.server.inject("*/BalanceEx", echo)
    with pytest.raises(VenueError, match="hidden") as caught:
        bench.venue.balances()
    for text in (outcome.reason, str(caught.value)):
        assert SECRET not in text
        assert "test-key" not in text
    assert caught.value.__suppress_context__
