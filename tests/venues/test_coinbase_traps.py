"""Where ccxt or Coinbase lay traps: each test looks at what went over the wire, or at what came back over it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from coinbase_venue_rig import WORST_FEES, CoinbaseBench, coinbase_bench
from venue_helpers import BTC, HOUR, D, make_order

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))

from account_state import Kind, NewOrder
from coinbase_catalog import product_json
from coinbase_core import V3
from coinbase_reads import Repeats
from http_shell import EMPTY_OBJECT, HTML_OK, LOST_REPLY, TIMEOUT_PLACED, Execution, Fault, FaultKind
from wire import Reply, json_reply

from bot.domain.account import Balance, Liquidity
from bot.domain.errors import VenueError
from bot.domain.market import Candle
from bot.domain.orders import Order, OrderState, Side
from bot.ports import Accepted, Rejected, Unknown
from bot.venues.ccxt_hooks import KeyRefusedError
from bot.venues.ccxt_loader import load_exchange_classes
from bot.venues.coinbase_venue import coinbase_client, definitely_not_placed, plain_words

CLIENT_ID = "5f8f1c3a-7f0e-5b0a-9d3f-2f6f1f1f1f1f"
ORDERS = f"{V3}/orders"
LIMIT_BUY = make_order("limit buy", "0.5", price="90", client_id=CLIENT_ID)
NO_JSON = {
    "html": HTML_OK,
    "nothing in it": EMPTY_OBJECT,
    "half": Fault(FaultKind.SHORT_BODY, execution=Execution.FIRST),
    "a list": Fault(FaultKind.REPLY, Reply(200, b"[]")),
    "empty": Fault(FaultKind.REPLY, Reply(200, b"")),
}


@pytest.fixture
def bench() -> Iterator[CoinbaseBench]:
    with coinbase_bench() as bench:
        yield bench


def answer(data: object, status: int = 200) -> Fault:
    return Fault(FaultKind.REPLY, json_reply(data, status))


def known(order: Order, outcome: object) -> Order:
    assert isinstance(outcome, Accepted), outcome
    return replace(order, venue_order_id=outcome.venue_order_id)


def limit(bench: CoinbaseBench, price: str, quantity: str, client_id: str) -> Order:
    order = make_order("limit buy", quantity, price=price, client_id=client_id)
    return known(order, bench.venue.submit(order))


# ---- the client


def test_client_of_the_venue_itself_is_the_unmodified_class_with_its_own_address() -> None:
    classes = load_exchange_classes()
    client = coinbase_client(classes, url="", key="", secret="", rate_limited=True)
    assert isinstance(client, classes.coinbase)
    assert client.urls["api"]["rest"] == "https://api.coinbase.com"
    assert (client.timeout, client.enableRateLimit) == (10_000, True)
    assert "maxRetriesOnFailure" not in json.dumps(client.options)


def test_client_sends_one_request_at_a_time(bench: CoinbaseBench) -> None:
    client = bench.open_clients[-1]
    entered: list[bool] = []

    def send(*_: Any) -> dict[str, Any]:
        other = threading.Thread(target=lambda: entered.append(client.one_at_a_time.acquire(blocking=False)))
        other.start()
        other.join()
        return {"accounts": [], "has_next": False}

    client.fetch = send
    assert bench.venue.balances() == {}
    assert entered == [False]


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        (
            "organizations/a/apiKeys/b",
            "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEnotakeyatall\n-----END EC PRIVATE KEY-----",
        ),
        ("organizations/a/apiKeys/b", "MHcCAQEEnotakeyatall"),
        ("anykey", "MHcCAQEEnotakeyatall="),
    ],
    ids=["broken PEM", "PEM without its lines", "not base64"],
)
def test_secret_that_cannot_be_read_is_refused_in_clear_words_without_it(key: str, secret: str) -> None:
    with pytest.raises(KeyRefusedError, match="COINBASE_API_SECRET cannot be read") as caught:
        coinbase_client(load_exchange_classes(), url="", key=key, secret=secret, rate_limited=False)
    assert "notakeyatall" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_ordinary_cycle_asks_version_3_only_and_never_the_same_thing_twice(bench: CoinbaseBench) -> None:
    venue = bench.new_venue()
    venue.balances()
    venue.open_orders()
    venue.tickers()
    venue.fees()
    venue.fills_since("")
    paths = [entry.path.removeprefix(V3) for entry in bench.core.log]
    assert sorted(paths) == [
        "/accounts",
        "/key_permissions",
        "/market/products",
        "/market/products/BTC-USD/ticker",
        "/market/products/ETH-USD/ticker",
        "/market/products/SOL-USD/ticker",
        "/orders/historical/batch",
        "/orders/historical/fills",
        "/time",
        "/transaction_summary",
    ]


# ---- markets and prices


def test_full_list_of_products_is_asked_once_and_only_the_traded_coins_are_kept() -> None:
    with coinbase_bench(size=708) as bench:
        venue = bench.new_venue(has_key=False)
        wanted = {"BTC/USD", "BTC/USDC", "ETH/USD", "ETH/USDC", "SOL/USD", "SOL/USDC"}
        assert set(venue.instruments()) == wanted
        client = bench.open_clients[-1]
        assert set(client.markets) == set(client.symbols) == wanted
        assert client.last_http_response is None
        assert {market["symbol"] for market in bench.copy.markets} == wanted
        assert [entry.path for entry in bench.core.log] == [f"{V3}/market/products", f"{V3}/time"]


@pytest.mark.parametrize("flag", ["trading_disabled", "is_disabled", "view_only", "cancel_only", "post_only"])
def test_product_that_takes_no_orders_is_closed(bench: CoinbaseBench, flag: str) -> None:
    bench.core.products["BTC-USD"] = replace(bench.core.products["BTC-USD"], flag=flag)
    instruments = bench.venue.instruments()
    assert not instruments["BTC/USD"].is_open
    assert instruments["BTC/USDC"].is_open


def test_product_that_is_not_online_is_closed(bench: CoinbaseBench) -> None:
    rows = [product_json(product) for product in bench.core.products.values()]
    rows = [row | {"status": "delisted"} if row["product_id"] == "BTC-USD" else row for row in rows]
    bench.server.inject("*/market/products", answer({"products": rows}))
    assert [symbol for symbol, market in bench.venue.instruments().items() if not market.is_open] == [BTC]


@pytest.mark.parametrize("fault", NO_JSON.values(), ids=NO_JSON.keys())
def test_markets_that_are_not_told_are_those_of_the_copy(bench: CoinbaseBench, fault: Fault) -> None:
    bench.server.inject("*/market/products", fault, count=3)
    assert BTC in bench.venue.instruments()
    assert bench.venue.report(ask=False).markets_origin.startswith("the copy of 2026")


def test_price_of_a_book_with_two_names_is_asked_once_and_holds_for_both(bench: CoinbaseBench) -> None:
    tickers = bench.venue.tickers()
    assert {symbol: (told.bid, told.ask, told.last) for symbol, told in tickers.items()} == {
        "BTC/USD": (D("99.95"), D("100.05"), D(100)),
        "BTC/USDC": (D("99.95"), D("100.05"), D(100)),
    }  # ETH and SOL have no price yet: they are left out, not zero
    assert len(bench.asked("market/products/BTC-USD/ticker")) == 1
    assert bench.asked("market/products/BTC-USDC/ticker") == []


@pytest.mark.parametrize("fault", NO_JSON.values(), ids=NO_JSON.keys())
def test_price_that_is_not_told_is_a_venue_error(bench: CoinbaseBench, fault: Fault) -> None:
    bench.server.inject("*/BTC-USD/ticker", fault, count=3)
    with pytest.raises(VenueError, match="coinbase: prices"):
        bench.venue.tickers()


def test_book_that_is_crossed_has_no_price(bench: CoinbaseBench) -> None:
    bench.put("2000", "ETH-USD")
    bench.server.inject("*/BTC-USD/ticker", answer({"trades": [], "best_bid": "101", "best_ask": "100"}))
    assert set(bench.venue.tickers()) == {"ETH/USD", "ETH/USDC"}


def traded(bench: CoinbaseBench, *times: str) -> Fault:
    trades = [{"price": "100", "time": time} for time in times]
    return answer({"trades": trades, "best_bid": "99.95", "best_ask": "100.05"})


@pytest.mark.parametrize(
    ("times", "at"),
    [
        (["2026-11-21T08:00:00.123456Z"], "2026-11-21T08:00:00.123456+00:00"),
        (["2026-11-21T12:00:31Z"], "2026-11-21T12:00:30+00:00"),  # after NOW: the clocks differ
        ([], "2026-11-21T12:00:30+00:00"),
    ],
    ids=["of this morning", "a second ahead", "none told"],
)
def test_price_is_as_old_as_the_last_trade_in_its_book(bench: CoinbaseBench, times: list[str], at: str) -> None:
    bench.server.inject("*/BTC-USD/ticker", traded(bench, *times))
    assert {told.at.isoformat() for told in bench.venue.tickers().values()} == {at}


def test_price_is_as_old_as_the_last_trade_by_this_machines_clock(bench: CoinbaseBench) -> None:
    bench.server.inject("*/time", answer({"epochSeconds": str(int(bench.now().timestamp()) - 90)}))
    bench.venue.measure_drift()
    bench.server.inject("*/BTC-USD/ticker", traded(bench, "2026-11-21T08:00:00Z"))
    assert bench.venue.tickers()[BTC].at.isoformat() == "2026-11-21T08:01:30+00:00"


def test_price_of_a_second_book_is_as_old_as_the_coins_book_in_dollars(bench: CoinbaseBench) -> None:
    rows = [product_json(bench.core.products[name]) | {"alias": ""} for name in ("SOL-USD", "SOL-USDC")]
    venue = bench.new_venue(coins=["SOL"])
    bench.server.inject("*/market/products", answer({"products": rows}))
    venue.instruments()
    bench.server.inject("*/SOL-USD/ticker", traded(bench, "2026-11-21T12:00:29Z"))
    bench.server.inject("*/SOL-USDC/ticker", traded(bench, "2026-11-20T12:00:00Z"))
    assert {name: told.at.isoformat() for name, told in venue.tickers().items()} == {
        "SOL/USD": "2026-11-21T12:00:29+00:00",
        "SOL/USDC": "2026-11-21T12:00:29+00:00",
    }


def test_candles_are_asked_in_pages_of_300_and_gaps_stay_gaps(bench: CoinbaseBench) -> None:
    bench.wait(hours=400)
    now_ms = int(bench.now().timestamp() * 1000)
    first_ms = now_ms // HOUR * HOUR - 350 * HOUR
    bars = [Candle(first_ms + n * HOUR, 1.0, 2.0, 0.5, 1.5, float(n)) for n in range(350) if n not in (7, 300)]
    bench.account.set_candles("BTC-USD", "1h", bars)
    assert bench.venue.candles(BTC, "1h", first_ms) == bars  # the one that is forming is not among them
    asked = [parse_qs(entry.query) for entry in bench.asked("market/products/BTC-USD/candles")]
    spans = [(int(query["start"][0]), int(query["end"][0])) for query in asked]
    assert [(end - start) // 3600 + 1 for start, end in spans] == [300, 300]
    assert [start for start, _ in spans] == [first_ms // 1000, first_ms // 1000 + 300 * 3600]


def test_page_of_candles_is_of_any_age_and_holds_what_has_closed_by_the_venues_clock(bench: CoinbaseBench) -> None:
    bench.wait(hours=900)
    this_hour = int(bench.now().timestamp() * 1000) // HOUR * HOUR
    bars = [Candle(this_hour - n * HOUR, 1.0, 2.0, 0.5, 1.5, float(n)) for n in range(900, 0, -1)]
    bench.account.set_candles("BTC-USD", "1h", bars)
    assert bench.venue.candle_page(BTC, "1h", this_hour - 900 * HOUR, 300) == bars[:300]
    assert bench.venue.candle_page(BTC, "1h", this_hour - 600 * HOUR, 2) == bars[300:302]
    assert bench.venue.candle_page(BTC, "1h", this_hour - HOUR, 300) == bars[-1:]  # the forming one is told, not taken
    assert bench.venue.candle_page(BTC, "1h", this_hour - 2000 * HOUR, 300) == []
    assert bench.venue.served_from_ms("1h") == 0
    assert bench.venue.timeframes == ("1m", "5m", "15m", "30m", "1h", "2h", "6h", "1d")


def test_page_of_older_candles_than_were_asked_for_is_no_answer(bench: CoinbaseBench) -> None:
    this_hour = int(bench.now().timestamp() * 1000) // HOUR * HOUR
    row = {"low": "1", "high": "1", "open": "1", "close": "1", "volume": "1"}
    rows = [row | {"start": str((this_hour - n * HOUR) // 1000)} for n in (8, 9)]
    bench.server.inject("*/candles", answer({"candles": rows}))
    with pytest.raises(VenueError, match="candles of BTC/USD: the answer has older ones than were asked for"):
        bench.venue.candle_page(BTC, "1h", this_hour - 7 * HOUR, 5)
    bench.server.inject("*/candles", answer({"candles": rows}))
    assert len(bench.venue.candle_page(BTC, "1h", this_hour - 8 * HOUR, 5)) == 1


def test_candles_of_an_unknown_length_are_not_asked_for(bench: CoinbaseBench) -> None:
    with pytest.raises(VenueError, match="no candles of 4h"):
        bench.venue.candles(BTC, "4h", int(bench.now().timestamp() * 1000) - 10 * HOUR)
    assert bench.asked("market/products/BTC-USD/candles") == []


@pytest.mark.parametrize("fault", NO_JSON.values(), ids=NO_JSON.keys())
def test_candles_that_are_not_told_are_a_venue_error(bench: CoinbaseBench, fault: Fault) -> None:
    bench.server.inject("*/candles", fault, count=3)
    with pytest.raises(VenueError, match="candles of BTC/USD"):
        bench.venue.candles(BTC, "1h", int(bench.now().timestamp() * 1000) - 10 * HOUR)


# ---- fees, balances, rights


def test_fees_are_those_of_the_account_not_of_the_market(bench: CoinbaseBench) -> None:
    bench.account.maker_frac, bench.account.taker_frac = D("0.0035"), D("0.0075")
    fees = bench.venue.fees()
    assert (fees.maker_frac, fees.taker_frac, fees.is_fallback) == (D("0.0035"), D("0.0075"), False)
    assert bench.asked("transaction_summary")[0].query == "product_type=SPOT"


@pytest.mark.parametrize("tier", [None, {}, {"maker_fee_rate": "", "taker_fee_rate": ""}])
def test_fees_that_are_not_told_are_the_worst_published(bench: CoinbaseBench, tier: Any) -> None:
    bench.server.inject("*/transaction_summary", answer({"fee_tier": tier}))
    assert bench.venue.fees() is WORST_FEES


def test_balances_show_what_orders_hold_on_all_pages(bench: CoinbaseBench) -> None:
    bench.deposit(ETH="2", BTC="0.3", DOGE="5", USDC="7")
    bench.core.switches.page_cap = 2
    limit(bench, "90", "1", "a")
    balances = bench.venue.balances()
    # 1 at 90 and the taker's 1.2 % of it are held: 91.08
    assert balances["USD"] == Balance(asset="USD", free=D("908.92"), used=D("91.08"))
    assert {name: balance.total for name, balance in balances.items()} == {
        "USD": D(1000),
        "ETH": D(2),
        "BTC": D("0.3"),
        "DOGE": D(5),
        "USDC": D(7),
    }
    assert [parse_qs(entry.query).get("cursor") for entry in bench.asked("accounts")] == [None, ["2"], ["4"]]


def test_balances_of_wallets_that_cannot_pay_an_order_are_not_counted(bench: CoinbaseBench) -> None:
    rows = [
        {
            "type": kind,
            "currency": "USD",
            "available_balance": {"value": value, "currency": "USD"},
            "hold": {"value": "0", "currency": "USD"},
        }
        for kind, value in [("ACCOUNT_TYPE_FIAT", "3"), ("ACCOUNT_TYPE_VAULT", "100"), ("ACCOUNT_TYPE_FIAT", "4")]
    ]
    bench.server.inject("*/accounts", answer({"accounts": rows, "has_next": False, "cursor": ""}))
    assert bench.venue.balances() == {"USD": Balance(asset="USD", free=D(7), used=D(0))}


def test_balances_without_any_row_after_some_are_no_answer(bench: CoinbaseBench) -> None:
    before = bench.venue.balances()
    bench.server.inject("*/accounts", answer({"accounts": [], "has_next": False, "cursor": ""}))
    with pytest.raises(VenueError, match="the list is empty, and was not before"):
        bench.venue.balances()
    assert bench.venue.balances() == before


@pytest.mark.parametrize("cursor", ["", "2"])
def test_balances_whose_pages_do_not_end_are_a_venue_error(bench: CoinbaseBench, cursor: str) -> None:
    endless = answer({"accounts": [], "has_next": True, "cursor": cursor})
    bench.server.inject("*/accounts", endless, count=2)
    with pytest.raises(VenueError, match="does not end"):
        bench.venue.balances()


@pytest.mark.parametrize("fault", NO_JSON.values(), ids=NO_JSON.keys())
def test_failed_query_is_never_an_empty_account(bench: CoinbaseBench, fault: Fault) -> None:
    venue, order = bench.venue, limit(bench, "90", "1", "a")
    for pattern, ask in (
        ("*/accounts", venue.balances),
        ("*/historical/batch", venue.open_orders),
        ("*/historical/batch", lambda: venue.find_order(replace(order, venue_order_id=None))),
        ("*/historical/*", lambda: venue.find_order(order)),
        ("*/historical/fills", lambda: venue.fills_since("")),
    ):
        bench.server.inject(pattern, fault, count=3)
        with pytest.raises(VenueError):
            ask()
        bench.server.clear_faults()


def test_order_without_contents_is_no_order(bench: CoinbaseBench) -> None:
    order = limit(bench, "90", "1", "a")
    bench.server.inject("*/historical/*", answer({"order": {}}))
    with pytest.raises(VenueError, match="without id or status"):
        bench.venue.find_order(order)


def test_key_that_may_move_funds_is_refused(bench: CoinbaseBench) -> None:
    bench.core.switches.can_transfer = True
    with pytest.raises(KeyRefusedError, match="can_transfer"):
        bench.new_venue().balances()


def test_key_that_may_only_look_is_refused(bench: CoinbaseBench) -> None:
    bench.core.switches.can_trade = False
    with pytest.raises(KeyRefusedError, match="lacks: can_trade"):
        bench.new_venue().check_key()


@pytest.mark.parametrize(
    "fault",
    [
        EMPTY_OBJECT,
        answer({"can_view": True, "can_trade": True}),
        answer({"can_view": True, "can_trade": True, "can_transfer": "no"}),
        answer({"error": "PERMISSION_DENIED", "message": "Missing required scopes"}, 403),
        answer({"errors": [{"id": "not_found", "message": "Not found"}]}, 404),
    ],
    ids=["empty", "a field less", "no truth value", "forbidden", "no such question"],
)
def test_key_whose_rights_cannot_be_learnt_is_unknown(bench: CoinbaseBench, fault: Fault) -> None:
    bench.server.inject("*/key_permissions", fault)
    with pytest.raises(KeyRefusedError, match="does not say what the key may do"):
        bench.new_venue().check_key()


@pytest.mark.parametrize("fault", [HTML_OK, Fault(FaultKind.RESET), Fault(FaultKind.REPLY)])
def test_key_whose_venue_does_not_answer_is_asked_about_later(bench: CoinbaseBench, fault: Fault) -> None:
    bench.server.inject("*/key_permissions", fault, count=3)
    venue = bench.new_venue()
    with pytest.raises(VenueError):
        venue.check_key()
    bench.server.clear_faults()
    venue.check_key()


# ---- orders on the wire


def test_clients_id_reaches_the_wire_as_it_is_and_comes_back(bench: CoinbaseBench) -> None:
    order = known(LIMIT_BUY, bench.venue.submit(LIMIT_BUY))
    assert bench.bodies() == [
        {
            "client_order_id": CLIENT_ID,
            "product_id": "BTC-USD",
            "side": "BUY",
            "order_configuration": {"limit_limit_gtc": {"base_size": "0.5", "limit_price": "90", "post_only": False}},
        }
    ]
    assert [report.client_order_id for report in bench.venue.open_orders()] == [CLIENT_ID]
    report = bench.venue.find_order(order)
    assert report is not None
    assert report.client_order_id == CLIENT_ID


def test_each_kind_of_order_is_sent_as_the_venue_writes_it(bench: CoinbaseBench) -> None:
    bench.deposit(BTC="10")
    for kind, options in {
        "limit buy": {"price": "90"},
        "ioc buy": {"price": "102"},
        "ioc sell": {"price": "98"},
        "market sell": {},
        "stop sell": {"stop": "90.01"},
    }.items():
        assert isinstance(bench.venue.submit(make_order(kind, "0.1", client_id=kind, **options)), Accepted)  # type: ignore[arg-type]
    assert [(body["side"], body["order_configuration"]) for body in bench.bodies()] == [
        ("BUY", {"limit_limit_gtc": {"base_size": "0.1", "limit_price": "90", "post_only": False}}),
        ("BUY", {"sor_limit_ioc": {"base_size": "0.1", "limit_price": "102"}}),
        ("SELL", {"sor_limit_ioc": {"base_size": "0.1", "limit_price": "98"}}),
        ("SELL", {"market_market_ioc": {"base_size": "0.1"}}),
        # 90.01 x 0.95 = 85.5095, down to the cent
        ("SELL", {"stop_limit_stop_limit_gtc": stop_fields("0.1", "90.01", "85.50")}),
    ]


def test_entry_ends_at_the_venue_by_itself_at_its_time_by_the_venues_clock(bench: CoinbaseBench) -> None:
    bench.server.inject("*/time", answer({"epochSeconds": str(int(bench.now().timestamp()) - 90)}))
    bench.venue.measure_drift()
    order = make_order("limit buy", "0.1", price="90", post_only=True, created_at=bench.now())
    order = known(order, bench.venue.submit(order))
    # NOW is 12:00:30, 11:59:00 there, and 25 minutes later is its end.
    end = "2026-11-21T12:24:00.000000Z"
    fields = {"base_size": "0.1", "limit_price": "90", "post_only": True, "end_time": end}
    assert bench.bodies()[0]["order_configuration"] == {"limit_limit_gtd": fields}
    bench.wait(minutes=23, seconds=29)
    assert bench.venue.open_orders()
    bench.wait(seconds=1)
    assert bench.venue.open_orders() == []
    report = bench.venue.find_order(order)
    assert report is not None
    assert report.state is OrderState.CANCELED


def stop_fields(size: str, stop: str, limit_price: str) -> dict[str, str]:
    return {
        "base_size": size,
        "limit_price": limit_price,
        "stop_price": stop,
        "stop_direction": "STOP_DIRECTION_STOP_DOWN",
    }


def test_stop_of_sol_may_sell_eight_percent_below_its_trigger(bench: CoinbaseBench) -> None:
    bench.put("150", "SOL-USD")
    bench.deposit(SOL="3")
    order = make_order("stop sell", "3", stop="120", symbol="SOL/USD")
    assert isinstance(bench.venue.submit(order), Accepted)
    # 120 x 0.92
    assert bench.bodies()[0]["order_configuration"] == {"stop_limit_stop_limit_gtc": stop_fields("3", "120", "110.40")}


@pytest.mark.parametrize(
    ("quantity", "price", "size", "limit_price"),
    [
        (Decimal("1E-8") * 30_000_000, Decimal("0.01") * 9_000, "0.30000000", "90.00"),
        (Decimal("0.1") + Decimal("0.2"), Decimal("90.10"), "0.3", "90.10"),
        (Decimal("1.23456789"), Decimal("1E+1"), "1.23456789", "10"),
    ],
)
def test_numbers_reach_the_wire_as_our_decimals(
    bench: CoinbaseBench, quantity: Decimal, price: Decimal, size: str, limit_price: str
) -> None:
    order = replace(LIMIT_BUY, quantity=quantity, price=price)
    assert isinstance(bench.venue.submit(order), Accepted)
    assert bench.bodies()[0]["order_configuration"]["limit_limit_gtc"] == {
        "base_size": size,
        "limit_price": limit_price,
        "post_only": False,
    }


# ---- outcomes

AMBIGUOUS = {
    **NO_JSON,
    "reset": Fault(FaultKind.RESET),
    "closed": Fault(FaultKind.CLOSE),
    "placed, reply lost": LOST_REPLY,
    "502": Fault(FaultKind.REPLY, Reply(502, b"Bad Gateway", "text/plain")),
    "504": Fault(FaultKind.REPLY, Reply(504, b"Gateway Time-out", "text/plain")),
    "524": Fault(FaultKind.REPLY, Reply(524, b"<html>", "text/html")),
    "500 in json": answer({"error": "INTERNAL", "message": "internal"}, 500),
    "403 of a wall": Fault(FaultKind.REPLY, Reply(403, b"<html>", "text/html")),
    "no reason": answer({"success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": ""}),
    "unknown reason": answer({"success": False, "error_response": {"error": "UNKNOWN_FAILURE_REASON", "message": ""}}),
    "no id": answer({"success": True, "success_response": {}}),
}


@pytest.mark.parametrize("fault", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_order_whose_answer_does_not_decide_is_unknown_and_sent_once(bench: CoinbaseBench, fault: Fault) -> None:
    bench.server.inject(ORDERS, fault)
    assert isinstance(bench.venue.submit(LIMIT_BUY), Unknown)
    sent = [one for one in bench.server.log if one.request.path == ORDERS]
    assert len(sent) == 1
    assert bench.pauses == []


def test_order_whose_reply_times_out_is_unknown_sent_once_and_found_by_the_clients_id(bench: CoinbaseBench) -> None:
    bench.open_clients[-1].timeout = 200
    bench.server.inject(ORDERS, TIMEOUT_PLACED)
    assert isinstance(bench.venue.submit(LIMIT_BUY), Unknown)
    assert len(bench.bodies()) == 1
    report = bench.venue.find_order(LIMIT_BUY)
    assert report is not None
    assert (report.state, report.client_order_id) == (OrderState.OPEN, CLIENT_ID)


@pytest.mark.parametrize("names_preview_reason", [True, False])
def test_order_without_the_money_is_rejected_however_the_venue_words_it(
    bench: CoinbaseBench, names_preview_reason: bool
) -> None:
    bench.core.switches.names_preview_reason = names_preview_reason
    outcome = bench.venue.submit(make_order("limit buy", "100", price="90"))
    assert isinstance(outcome, Rejected)
    assert "INSUFFICIENT_FUND" in outcome.reason
    assert "{" not in outcome.reason


@pytest.mark.parametrize(
    "fault",
    [
        answer({"error": "INVALID_ARGUMENT", "message": "base_size"}, 400),
        Fault(FaultKind.REPLY, Reply(401, b"Unauthorized", "text/plain")),
        answer({"error": "PERMISSION_DENIED", "message": "Missing required scopes"}, 403),
        Fault(FaultKind.REPLY, Reply(429, b"Too Many Requests", "text/plain")),
        answer({"error": "RESOURCE_EXHAUSTED", "message": "slow down"}, 429),
        answer({"success": False, "error_response": {"error": "INVALID_PRODUCT_ID", "message": "no"}}),
    ],
    ids=["400", "401", "403", "429", "exhausted", "reason"],
)
def test_order_that_the_venue_refused_is_rejected(bench: CoinbaseBench, fault: Fault) -> None:
    bench.server.inject(ORDERS, fault)
    assert isinstance(bench.venue.submit(LIMIT_BUY), Rejected)


@pytest.mark.parametrize("repeats", Repeats)
def test_order_sent_twice_is_never_rejected_for_the_first_one_rests(bench: CoinbaseBench, repeats: Repeats) -> None:
    bench.core.switches.repeats = repeats
    first = bench.venue.submit(LIMIT_BUY)
    second = bench.venue.submit(LIMIT_BUY)
    assert second == first if repeats is Repeats.RETURN_ORIGINAL else isinstance(second, Unknown)
    assert len(bench.account.live_orders()) == 1


@pytest.mark.parametrize(
    ("text", "definite"),
    [
        ('coinbase {"success":false,"error_response":{"error":"INVALID_LIMIT_PRICE_POST_ONLY"}}', True),
        ('coinbase {"success":false,"error_response":{"error":"UNKNOWN_FAILURE_REASON"}}', False),
        (
            'coinbase {"success":false,"error_response":{"error":"UNKNOWN_FAILURE_REASON",'
            '"preview_failure_reason":"PREVIEW_INVALID_PRICE_PRECISION"}}',
            True,
        ),
        ('coinbase {"success":false,"error_response":{"new_order_failure_reason":"DUPLICATE_CLIENT_ORDER_ID"}}', False),
        ('coinbase {"success":false}', False),
        ('coinbase {"error":"INTERNAL"}', False),
        ('coinbase {"error":"RESOURCE_EXHAUSTED"}', True),
        ('coinbase {"success":false,"error_response":{"error":"INVALID_PROD', False),
        ("coinbase POST https://x 524", False),
    ],
)
def test_text_says_that_nothing_was_placed_only_where_it_gives_a_reason(text: str, definite: bool) -> None:
    assert definitely_not_placed(text) is definite


def test_words_for_people_are_the_reason_and_the_message() -> None:
    refusal = {"error": "INSUFFICIENT_FUND", "message": "too little", "preview_failure_reason": "PREVIEW_X"}
    text = "coinbase " + json.dumps({"success": False, "error_response": refusal})
    assert plain_words(text) == "PREVIEW_X: INSUFFICIENT_FUND: too little"
    assert plain_words('coinbase {"error":"NOT_FOUND","message":"gone"}') == "NOT_FOUND: gone"
    assert plain_words("timed out") == "timed out"


# ---- looking orders up


def test_order_that_is_pending_is_live(bench: CoinbaseBench) -> None:
    bench.account.open_delay = timedelta(seconds=5)
    order = known(LIMIT_BUY, bench.venue.submit(LIMIT_BUY))
    for asked in (order, LIMIT_BUY):
        report = bench.venue.find_order(asked)
        assert report is not None
        assert report.state is OrderState.OPEN


@pytest.mark.parametrize("status", ["QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED", "UNKNOWN_ORDER_STATUS"])
def test_order_of_a_status_that_is_no_end_is_live(bench: CoinbaseBench, status: str) -> None:
    order = known(LIMIT_BUY, bench.venue.submit(LIMIT_BUY))
    row = {
        "order_id": order.venue_order_id,
        "client_order_id": CLIENT_ID,
        "product_id": "BTC-USD",
        "status": status,
        "filled_size": "0",
        "order_configuration": None,
    }
    bench.server.inject("*/historical/*", answer({"order": row}))
    report = bench.venue.find_order(order)
    assert report is not None
    assert report.state is OrderState.OPEN


def test_order_is_found_by_the_clients_id_on_a_later_page_from_a_day_before_it_was_made(
    bench: CoinbaseBench,
) -> None:
    bench.core.switches.page_cap = 2
    mine = replace(LIMIT_BUY, created_at=bench.now())
    bench.venue.submit(mine)
    bench.wait(seconds=1)
    for number in range(4):
        limit(bench, "80", "0.1", f"other-{number}")
    bench.core.log.clear()
    report = bench.venue.find_order(mine)
    assert report is not None
    assert report.client_order_id == CLIENT_ID
    asked = [parse_qs(entry.query) for entry in bench.asked("orders/historical/batch")]
    assert [query.get("cursor") for query in asked] == [None, ["2"], ["4"]]  # newest first: it is the fifth
    # No filter of product or status: the venue may list it under the other name of its book, or as ended.
    assert {key for query in asked for key in query} == {"start_date", "limit", "cursor"}
    assert {query["start_date"][0] for query in asked} == {"2026-11-20T12:00:30.000000Z"}


def test_order_is_looked_for_by_the_venues_clock_where_this_one_is_ahead(bench: CoinbaseBench) -> None:
    bench.server.inject("*/time", answer({"epochSeconds": str(int(bench.now().timestamp()) - 90)}))
    bench.venue.measure_drift()
    bench.venue.find_order(replace(LIMIT_BUY, created_at=bench.now()))
    # 12:00:30 here is 11:59:00 there, and from a day before that it is asked
    assert "start_date=2026-11-20T11%3A59%3A00" in bench.asked("orders/historical/batch")[0].query


def test_order_that_the_venue_does_not_know_is_not_found(bench: CoinbaseBench) -> None:
    assert bench.venue.find_order(replace(LIMIT_BUY, venue_order_id="0000")) is None


@pytest.mark.parametrize(
    "fault",
    [answer({"errors": [{"id": "not_found"}]}, 404), Fault(FaultKind.REPLY, Reply(404, b"<html>", "text/html"))],
)
def test_page_that_is_not_there_is_not_an_order_that_is_not_there(bench: CoinbaseBench, fault: Fault) -> None:
    order = limit(bench, "90", "1", "a")
    bench.server.inject("*/historical/*", fault, count=3)
    with pytest.raises(VenueError):
        bench.venue.find_order(order)


def test_filled_quantity_is_the_venues_own_text(bench: CoinbaseBench) -> None:
    order = known(LIMIT_BUY, bench.venue.submit(LIMIT_BUY))
    row = {
        "order_id": order.venue_order_id,
        "client_order_id": CLIENT_ID,
        "status": "OPEN",
        "filled_size": "0.123456789012345678",  # more digits than a float holds
        "order_configuration": {"limit_limit_gtc": {"base_size": "0.5"}},
    }
    bench.server.inject("*/historical/*", answer({"order": row}))
    report = bench.venue.find_order(order)
    assert report is not None
    assert (report.state, report.filled_quantity) == (OrderState.PARTLY_FILLED, D("0.123456789012345678"))


def test_open_orders_come_from_all_pages_and_name_foreign_products(bench: CoinbaseBench) -> None:
    bench.core.switches.page_cap = 2
    for number in range(3):
        limit(bench, "80", "0.1", f"n{number}")
    bench.account.set_price("USDT-USD", bid=D("0.999"), ask=D(1), now=bench.now())
    foreign = NewOrder(
        symbol="USDT-USD", side=Side.BUY, kind=Kind.LIMIT, client_id="by hand", quantity=D(5), limit_price=D("0.9"),
        tags={"configuration": "null"},
    )  # fmt: skip
    with bench.server.locked():
        bench.account.place(foreign, bench.now())
    reports = bench.venue.open_orders()
    assert [(report.client_order_id, report.symbol) for report in reports] == [
        ("by hand", "USDT/USD"),
        ("n2", BTC),
        ("n1", BTC),
        ("n0", BTC),
    ]
    assert {parse_qs(entry.query)["order_status"][0] for entry in bench.asked("orders/historical/batch")} == {"OPEN"}


# ---- fills


def test_fills_are_read_from_the_raw_rows_on_all_pages(bench: CoinbaseBench) -> None:
    bench.core.switches.page_cap = 2
    for number in range(3):
        order = make_order("ioc buy", "0.00012345", price="10000", client_id=f"n{number}")
        bench.put("9000")
        assert isinstance(bench.venue.submit(order), Accepted)
    fills, _ = bench.venue.fills_since("")
    assert [fill.client_order_id for fill in fills] == ["n0", "n1", "n2"]
    assert [fill.fill_id for fill in fills] == ["e1", "e2", "e3"]  # entry_id: a correction shares its trade_id
    first = fills[0]
    assert (first.quantity, first.price) == (D("0.00012345"), D("9004.5"))
    # 0.00012345 x 9004.5 = 1.111605525; 1.2 % of it = 0.0133392663, up to the eighth place
    assert first.fee == D("0.01333927")
    assert (first.symbol, first.side, first.liquidity) == (BTC, Side.BUY, Liquidity.TAKER)
    assert first.at == bench.now()
    asked = [parse_qs(entry.query) for entry in bench.asked("orders/historical/fills")]
    assert [query.get("cursor") for query in asked] == [None, ["2"]]
    assert asked[0]["start_sequence_timestamp"] == ["2026-11-21T11:00:30.000000Z"]


def test_fill_of_a_foreign_product_is_left_out_whatever_it_looks_like(bench: CoinbaseBench) -> None:
    row = {
        "entry_id": "x1",
        "trade_id": "t",
        "order_id": "nobody's",
        "trade_time": "2026-11-21T12:00:29Z",
        "trade_type": "FILL",
        "price": "61000",
        "size": "1",
        "commission": "",
        "product_id": "BIT-26DEC26-CDE",
        "side": "BUY",
    }
    ours = make_order("ioc buy", "0.1", price="102", client_id="ours")
    assert isinstance(bench.venue.submit(ours), Accepted)
    told = bench.venue._client.v3PrivateGetBrokerageOrdersHistoricalFills({})
    bench.server.inject("*/historical/fills", answer({"fills": [row, *told["fills"]], "cursor": ""}))
    fills, _ = bench.venue.fills_since("")
    assert [fill.client_order_id for fill in fills] == ["ours"]
    assert bench.asked("orders/historical/nobody's") == []


def test_fills_end_with_an_empty_page_whatever_its_cursor_says(bench: CoinbaseBench) -> None:
    bench.server.inject("*/historical/fills", answer({"fills": [], "cursor": "7"}))
    assert list(bench.venue.fills_since("")[0]) == []
    assert len([one for one in bench.server.log if one.request.path.endswith("fills")]) == 1


def test_fill_sized_in_quote_is_counted_in_coins(bench: CoinbaseBench) -> None:
    by_hand = NewOrder(
        symbol="BTC-USD", side=Side.BUY, kind=Kind.MARKET, client_id="by hand", quote_size=D("101.25"),
        tags={"configuration": "null"},
    )  # fmt: skip
    with bench.server.locked():
        (filled,) = bench.account.place(by_hand, bench.now()).fill_ids
    (expected,) = (fill for fill in bench.account.fills() if fill.fill_id == filled)
    (fill,), _ = bench.venue.fills_since("")
    assert round(fill.quantity, 8) == expected.quantity
    assert (fill.price, fill.fee, fill.client_order_id) == (D("100.05"), expected.fee, "by hand")


def test_fill_of_unknown_liquidity_counts_as_the_dearer_kind_and_corrections_as_none(bench: CoinbaseBench) -> None:
    order = limit(bench, "90", "1", "a")
    row = {
        "entry_id": "x1",
        "trade_id": "t",
        "order_id": order.venue_order_id,
        "trade_time": "2026-11-21T12:00:29.091377090Z",  # nanoseconds
        "trade_type": "FILL",
        "price": "90",
        "size": "1",
        "commission": "0.54",
        "product_id": "BTC-USD",
        "liquidity_indicator": "UNKNOWN_LIQUIDITY_INDICATOR",
        "size_in_quote": False,
        "side": "BUY",
    }
    corrected = row | {"entry_id": "x2", "trade_type": "CORRECTION"}
    bench.server.inject("*/historical/fills", answer({"fills": [corrected, row], "cursor": ""}))
    (fill,), _ = bench.venue.fills_since("")
    assert (fill.fill_id, fill.liquidity, fill.client_order_id) == ("x1", Liquidity.TAKER, "a")
    assert fill.at.microsecond == 91377


# ---- stops


def test_stop_is_probed_by_a_preview_far_below_the_price_and_nothing_is_placed(bench: CoinbaseBench) -> None:
    assert bench.venue.stops_rest()  # the account has no coins: the complaint shows that it was understood
    (body,) = bench.bodies("orders/preview")
    # 99.95 x 0.8 = 79.96; x 0.95 = 75.962. Twice the least that costs a dollar: 2 x 0.01250626
    assert body == {
        "product_id": "BTC-USD",
        "side": "SELL",
        "order_configuration": {"stop_limit_stop_limit_gtc": stop_fields("0.02501252", "79.96", "75.96")},
    }
    assert bench.bodies() == []
    assert bench.account.orders() == []


def test_stop_that_the_venue_does_not_know_is_learnt_by_the_probe(bench: CoinbaseBench) -> None:
    bench.core.switches.takes_stop_limits = False
    assert not bench.venue.stops_rest()
    report = bench.venue.report(ask=False)
    assert (report.stops_rest, report.stops_about) == (False, "PREVIEW_UNSUPPORTED_ORDER_CONFIGURATION")


def test_stop_refused_when_it_is_sent_is_learnt_too(bench: CoinbaseBench) -> None:
    bench.deposit(BTC="1")
    assert bench.venue.stops_rest()
    bench.core.switches.takes_stop_limits = False
    assert isinstance(bench.venue.submit(make_order("stop sell", "1", stop="90")), Rejected)
    assert not bench.venue.stops_rest()


@pytest.mark.parametrize(
    "fault", [EMPTY_OBJECT, HTML_OK, answer({"errs": ["PREVIEW_INVALID_PRODUCT_STATE"]}), answer({"errs": None})]
)
def test_stop_whose_preview_is_unclear_is_probed_again_later(bench: CoinbaseBench, fault: Fault) -> None:
    bench.server.inject("*/preview", fault)
    assert not bench.venue.stops_rest()
    assert bench.venue.report(ask=False).stops_rest is None
    bench.wait(minutes=10)
    assert bench.venue.stops_rest()


def test_stop_above_the_price_is_rejected(bench: CoinbaseBench) -> None:
    bench.deposit(BTC="1")
    outcome = bench.venue.submit(make_order("stop sell", "1", stop="110"))
    assert isinstance(outcome, Rejected)
    assert "STOP_PRICE_ABOVE_LAST_TRADE_PRICE" in outcome.reason


# ---- cancellations


def test_cancellation_names_the_order(bench: CoinbaseBench) -> None:
    order = limit(bench, "90", "1", "a")
    assert bench.venue.cancel(order) == Accepted(venue_order_id=str(order.venue_order_id))
    assert bench.bodies("orders/batch_cancel") == [{"order_ids": [order.venue_order_id]}]


def test_cancellation_carried_out_later_is_accepted_when_nothing_rests_any_more(bench: CoinbaseBench) -> None:
    order = limit(bench, "90", "1", "a")
    bench.account.cancel_delay = timedelta(seconds=0.5)
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        bench.wait(seconds=seconds)

    bench.caller.pause = pause
    assert bench.venue.cancel(order) == Accepted(venue_order_id=str(order.venue_order_id))
    assert bench.account.live_orders() == []
    assert waited == [0.0, 0.1, 0.2, 0.4]  # after 0.3 s it is queued still
    report = bench.venue.find_order(order)
    assert report is not None
    assert report.state is OrderState.CANCELED


def test_cancellation_still_queued_after_two_seconds_is_accepted_and_the_order_live(bench: CoinbaseBench) -> None:
    order = limit(bench, "90", "1", "a")
    bench.account.cancel_delay = timedelta(minutes=1)
    assert isinstance(bench.venue.cancel(order), Accepted)
    assert sum(bench.pauses) == pytest.approx(2.0)
    assert bench.venue.open_orders() == []  # as the venue lists them
    report = bench.venue.find_order(order)
    assert report is not None
    assert report.state is OrderState.OPEN


@pytest.mark.parametrize("fault", NO_JSON.values(), ids=NO_JSON.keys())
def test_cancellation_accepted_is_so_whatever_a_look_at_the_order_brings(bench: CoinbaseBench, fault: Fault) -> None:
    order = limit(bench, "90", "1", "a")
    bench.server.inject("*/historical/*", fault)
    assert isinstance(bench.venue.cancel(order), Accepted)
    assert bench.server.faults_left() == 0
    assert bench.pauses == [0.0]  # a venue that does not answer is not waited for


def result(success: bool, reason: str) -> Fault:
    return answer({"results": [{"success": success, "failure_reason": reason, "order_id": "o-1"}]})


@pytest.mark.parametrize("reason", ["UNKNOWN_CANCEL_ORDER", "ORDER_IS_FULLY_FILLED"])
def test_cancellation_of_what_does_not_rest_is_rejected_with_the_venues_reason(
    bench: CoinbaseBench, reason: str
) -> None:
    bench.server.inject("*/batch_cancel", result(success=False, reason=reason))
    assert bench.venue.cancel(replace(LIMIT_BUY, venue_order_id="o-1")) == Rejected(reason=reason)


@pytest.mark.parametrize(
    "fault",
    [
        *NO_JSON.values(),
        LOST_REPLY,
        answer({"results": []}),
        answer({"results": [{"success": True, "failure_reason": "", "order_id": "o-2"}]}),
        result(success=False, reason="COMMANDER_REJECTED_CANCEL_ORDER"),
        result(success=False, reason="UNKNOWN_CANCEL_FAILURE_REASON"),
        Fault(FaultKind.REPLY, Reply(401, b"Unauthorized", "text/plain")),
        Fault(FaultKind.REPLY, Reply(429, b"Too Many Requests", "text/plain")),
        answer({"error": "INVALID_ARGUMENT", "message": "order_ids"}, 400),
        answer({"error": "NOT_FOUND", "message": "not found"}, 404),
    ],
)
def test_cancellation_whose_answer_does_not_decide_is_unknown_and_sent_once(bench: CoinbaseBench, fault: Fault) -> None:
    bench.server.inject("*/batch_cancel", fault)
    assert isinstance(bench.venue.cancel(replace(LIMIT_BUY, venue_order_id="o-1")), Unknown)
    assert len([one for one in bench.server.log if one.request.path.endswith("batch_cancel")]) == 1


# ---- secrets


def test_wall_that_echoes_the_request_shows_no_secret(bench: CoinbaseBench) -> None:
    line = bench.key.pem.splitlines()[1]
    echo = Fault(
        FaultKind.REPLY, json_reply({"error": "INTERNAL", "message": f"{bench.key.pem} {bench.key.name}"}, 500)
    )
    bench.server.inject("*/accounts", echo, count=3)
    bench.server.inject(ORDERS, echo)
    with pytest.raises(VenueError) as caught:
        bench.venue.balances()
    outcome = bench.venue.submit(LIMIT_BUY)
    for text in (str(caught.value), str(outcome)):
        assert "(hidden)" in text
        assert line not in text
        assert bench.key.name not in text
