"""Unmodified ccxt.kraken against the local Kraken, over HTTP on this machine."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import ccxt  # type: ignore[import-untyped]  # it has no stubs
import pytest
from http_shell import LOST_REPLY, ExchangeClock, ExchangeServer
from kraken_catalog import FULL_SIZE, TRADED_PAIRS, pair_rows
from kraken_core import ClientIdRule, KrakenCore, SystemStatus
from kraken_keys import BOT_RIGHTS, ApiKey
from wire import Request

from bot.domain.market import Candle

START = datetime(2026, 9, 1, 12, 30, tzinfo=UTC)
HOUR_MS = 3_600_000
KEY = "test-key"
SECRET = base64.b64encode(bytes(range(64))).decode()
CLIENT_ID = "6d1b345e-2821-40e2-ad83-4ecb18a06876"
FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures"


@dataclass(frozen=True, slots=True)
class Rig:
    """The exchange and a client of it. BTC/USD stands at 49,990.0 to 50,000.0; 100 USD and 0.002 BTC are there."""

    core: KrakenCore
    clock: ExchangeClock
    server: ExchangeServer
    client: Any

    def price(self, bid: str, ask: str, last: str, pair: str = "XXBTZUSD") -> None:
        with self.server.locked():
            self.core.account.set_price(
                pair, bid=Decimal(bid), ask=Decimal(ask), last=Decimal(last), now=self.clock.now()
            )

    def total(self, asset: str) -> Decimal:
        return self.core.account.holding(asset).total

    def bodies(self, call: str) -> list[str]:
        """Bodies of the requests of one private call, without the nonce."""
        return [logged.body.partition("&")[2] for logged in self.core.log if logged.path == f"/0/private/{call}"]


def client_of(server: ExchangeServer, secret: str = SECRET, key: str = KEY) -> Any:
    client = ccxt.kraken({"apiKey": key, "secret": secret, "enableRateLimit": False})
    client.urls["api"]["public"] = client.urls["api"]["private"] = server.url
    return client


@pytest.fixture
def rig() -> Iterator[Rig]:
    core = KrakenCore(keys=[ApiKey(key=KEY, secret=SECRET)], pairs=TRADED_PAIRS)
    core.account.deposit("ZUSD", Decimal(100))
    core.account.deposit("XXBT", Decimal("0.002"))
    clock = ExchangeClock(START)
    with ExchangeServer(core, clock) as server:
        client = client_of(server)
        rig = Rig(core, clock, server, client)
        rig.price("49990.0", "50000.0", "49995.0")
        client.load_markets()
        yield rig
        client.session.close()


def fixture(name: str) -> Any:
    path = FIXTURES / name
    if not path.exists():
        pytest.skip(f"no ../shared/fixtures/{name} beside the repository")
    return json.loads(path.read_text())


# ---- the listing


def test_load_markets_full_size_list_has_all_1455_markets() -> None:
    core = KrakenCore(keys=[])
    with ExchangeServer(core, ExchangeClock(START)) as server:
        client = client_of(server)
        markets = client.load_markets()
        client.session.close()
    assert FULL_SIZE == 1455
    assert len(markets) == 1455
    assert {"ETH/USD", "SOL/USD", "BTC/USDC", "ETH/USDC", "SOL/USDC", "USDC/USD", "USDT/USD"} < set(markets)
    bitcoin = markets["BTC/USD"]
    assert bitcoin["id"] == "XXBTZUSD"
    assert bitcoin["limits"]["amount"]["min"] == 0.00005
    assert bitcoin["limits"]["cost"]["min"] == 0.5
    assert bitcoin["precision"] == {"amount": 1e-8, "price": 0.1}
    assert (bitcoin["taker"], bitcoin["maker"]) == (0.004, 0.0025)
    assert [logged.path for logged in core.log] == ["/0/public/Assets", "/0/public/AssetPairs"]


def test_load_markets_fees_not_listed_falls_back_to_the_stale_ones_of_ccxt(rig: Rig) -> None:
    rig.core.fees_listed = False
    rig.client.load_markets(True)
    assert rig.client.market("BTC/USD")["taker"] == 0.0026
    assert rig.client.fetch_trading_fee("BTC/USD")["taker"] == 0.004


def test_fetch_time_and_status_standing_clock_says_its_time(rig: Rig) -> None:
    assert rig.client.fetch_time() == int(START.timestamp() * 1000)
    assert rig.client.fetch_status()["status"] == "ok"
    rig.core.status = SystemStatus.CANCEL_ONLY
    assert rig.client.fetch_status()["status"] == "maintenance"


# ---- prices


def test_fetch_ticker_scripted_price_is_read(rig: Rig) -> None:
    rig.price("150.00", "150.02", "150.01", "SOLUSD")
    ticker = rig.client.fetch_ticker("BTC/USD")
    assert (ticker["bid"], ticker["ask"], ticker["last"]) == (49990.0, 50000.0, 49995.0)
    both = rig.client.fetch_tickers(["BTC/USD", "SOL/USD"])
    assert (both["BTC/USD"]["bid"], both["SOL/USD"]["last"]) == (49990.0, 150.01)


def test_fetch_ticker_answer_under_another_name_is_all_none(rig: Rig) -> None:
    rig.core.answers_by_wsname = True
    ticker = rig.client.fetch_ticker("BTC/USD")
    assert (ticker["bid"], ticker["ask"], ticker["last"]) == (None, None, None)
    assert rig.client.fetch_ohlcv("BTC/USD", "1h") == []


def test_fetch_order_book_two_levels_gives_them_up_to_the_limit(rig: Rig) -> None:
    rig.core.account.set_book(
        "XXBTZUSD",
        bids=[(Decimal("49990.0"), Decimal("0.5")), (Decimal("49980.0"), Decimal(1))],
        asks=[(Decimal("50000.0"), Decimal("0.25"))],
        now=START,
    )
    book = rig.client.fetch_order_book("BTC/USD", 1)
    assert [level[:2] for level in book["bids"]] == [[49990.0, 0.5]]
    assert [level[:2] for level in book["asks"]] == [[50000.0, 0.25]]


def test_fetch_ohlcv_more_than_720_bars_serves_the_newest_with_the_forming_one_last(rig: Rig) -> None:
    this_hour = int(START.timestamp() * 1000) - 30 * 60_000
    first = this_hour - 800 * HOUR_MS
    bars = [Candle(first + n * HOUR_MS, 1.0 + n, 3.0 + n, 0.5 + n, 2.0 + n, 10.0) for n in range(800)]
    rig.core.account.set_candles("XXBTZUSD", "1h", bars)
    served = rig.client.fetch_ohlcv("BTC/USD", "1h", since=first, limit=1000)
    # 800 closed bars and the forming one are there: 81 fall off, so bar number 81 is the first.
    assert len(served) == 720
    assert served[0] == [first + 81 * HOUR_MS, 82.0, 84.0, 81.5, 83.0, 10.0]
    assert (served[-1][0], served[-1][4]) == (this_hour, 49995.0)
    # `since` cuts what is there: the last two closed bars and the forming one.
    late = rig.client.fetch_ohlcv("BTC/USD", "1h", since=this_hour - 2 * HOUR_MS)
    assert [row[0] for row in late] == [this_hour - 2 * HOUR_MS, this_hour - HOUR_MS, this_hour]
    # On the wire `since` is without its own moment (ccxt asks for one bar earlier); `last` is the last closed bar.
    closed_s = (this_hour - HOUR_MS) // 1000
    raw = rig.client.publicGetOHLC({"pair": "XXBTZUSD", "interval": 60, "since": closed_s - 3600})["result"]
    assert [int(row[0]) for row in raw["XXBTZUSD"]] == [closed_s, closed_s + 3600]
    assert int(raw["last"]) == closed_s


def test_fetch_ohlcv_timeframe_of_two_hours_is_refused(rig: Rig) -> None:
    with pytest.raises(ccxt.ExchangeError, match="Invalid arguments:interval"):
        rig.client.fetch_ohlcv("BTC/USD", "2h")


# ---- money and rights


def test_fetch_balance_limit_order_rests_shows_hold_and_rewarded_cash_apart(rig: Rig) -> None:
    rig.core.account.deposit("USD.F", Decimal(10))
    rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 40000)
    balance = rig.client.fetch_balance()
    # Held: 0.001 x 40,000 = 40, and the taker fee on it, 0.4 % = 0.16.
    assert balance["USD"] == {"free": 59.84, "used": 40.16, "total": 100.0}
    assert balance["USD.F"]["total"] == 10.0
    assert balance["BTC"]["total"] == 0.002


def test_fetch_trading_fee_account_rates_come_back_as_fractions(rig: Rig) -> None:
    rig.core.account.maker_frac, rig.core.account.taker_frac = Decimal("0.0014"), Decimal("0.0024")
    fee = rig.client.fetch_trading_fee("BTC/USD")
    assert (fee["maker"], fee["taker"]) == (0.0014, 0.0024)
    assert rig.bodies("TradeVolume") == ["pair=XXBTZUSD&fee-info=True"]


def test_key_rights_withdraw_capable_key_says_so(rig: Rig) -> None:
    assert set(rig.client.privatePostGetApiKeyInfo()["result"]["permissions"]) == BOT_RIGHTS
    rig.core.keys[KEY].rights = BOT_RIGHTS | {"withdraw-funds"}
    assert "withdraw-funds" in rig.client.privatePostGetApiKeyInfo()["result"]["permissions"]


def test_private_call_right_is_missing_is_denied(rig: Rig) -> None:
    rig.core.keys[KEY].rights = BOT_RIGHTS - {"modify-trades"}
    with pytest.raises(ccxt.PermissionDenied):
        rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 40000)
    assert rig.core.account.orders() == []


def test_private_call_wrong_secret_or_key_is_refused(rig: Rig) -> None:
    wrong_secret = client_of(rig.server, secret=base64.b64encode(b"another").decode())
    wrong_key = client_of(rig.server, key="another")
    with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):
        wrong_secret.fetch_balance()
    with pytest.raises(ccxt.AuthenticationError, match="EAPI:Invalid key"):
        wrong_key.fetch_balance()
    for client in (wrong_secret, wrong_key):
        client.session.close()


def test_private_call_nonce_not_above_the_last_is_refused(rig: Rig) -> None:
    rig.client.fetch_balance()
    used = rig.core.keys[KEY].last_nonce
    rig.client.incrementing_nonce = lambda: used
    with pytest.raises(ccxt.InvalidNonce):
        rig.client.fetch_balance()
    rig.client.incrementing_nonce = lambda: used + 1
    assert rig.client.fetch_balance()["USD"]["total"] == 100.0


def test_private_calls_second_overtakes_the_first_loses_the_first(rig: Rig) -> None:
    signed = [rig.client.sign("BalanceEx", ["private", "Post"], "POST", {}) for _ in range(2)]
    requests = [
        Request(
            "POST",
            "/0/private/BalanceEx",
            "",
            {name.lower(): value for name, value in call["headers"].items()},
            call["body"].encode(),
        )
        for call in signed
    ]
    errors = [json.loads(rig.core.handle(request, START).body)["error"] for request in reversed(requests)]
    assert errors == [[], ["EAPI:Invalid nonce"]]


def test_unknown_call_any_method_is_an_error_with_status_200(rig: Rig) -> None:
    reply = rig.core.handle(Request("GET", "/0/public/Nothing", "", {}, b""), START)
    assert (reply.status, json.loads(reply.body)) == (200, {"error": ["EGeneral:Unknown method"]})


def test_private_call_body_is_no_json_is_a_bad_request(rig: Rig) -> None:
    request = Request("POST", "/0/private/AddOrder", "", {"content-type": "application/json"}, b"[nonsense")
    assert json.loads(rig.core.handle(request, START).body) == {"error": ["EAPI:Bad request"]}


# ---- orders


def test_post_only_buy_rests_is_found_by_client_id_and_cancelled(rig: Rig) -> None:
    placed = rig.client.create_order(
        "BTC/USD", "limit", "buy", 0.001, 40000.04, {"postOnly": True, "clientOrderId": CLIENT_ID}
    )
    assert rig.bodies("AddOrder") == [
        f"pair=XXBTZUSD&type=buy&ordertype=limit&volume=0.001&cl_ord_id={CLIENT_ID}&price=40000&oflags=post"
    ]
    assert (placed["symbol"], placed["side"], placed["type"]) == ("BTC/USD", "buy", "limit")
    assert (placed["price"], placed["amount"], placed["clientOrderId"]) == (40000.0, 0.001, CLIENT_ID)
    assert (placed["status"], placed["filled"], placed["average"], placed["cost"]) == (None, None, None, None)
    (found,) = rig.client.fetch_open_orders(params={"clientOrderId": CLIENT_ID})
    assert (found["id"], found["status"], found["postOnly"]) == (placed["id"], "open", True)
    assert rig.client.fetch_open_orders(params={"clientOrderId": "another"}) == []

    cancelled = rig.client.cancel_order("", "BTC/USD", {"clientOrderId": CLIENT_ID})
    assert cancelled["info"]["result"]["count"] == 1
    (ended,) = rig.client.fetch_closed_orders(params={"clientOrderId": CLIENT_ID})
    assert (ended["id"], ended["status"], ended["filled"]) == (placed["id"], "canceled", 0.0)
    assert rig.client.fetch_balance()["USD"]["free"] == 100.0
    with pytest.raises(ccxt.OrderNotFound):
        rig.client.cancel_order(placed["id"])


def test_post_only_buy_would_take_is_refused(rig: Rig) -> None:
    with pytest.raises(ccxt.ExchangeError, match="EOrder:Post only order"):
        rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 50000, {"postOnly": True})
    assert rig.core.account.orders() == []


def test_post_only_buy_market_falls_through_it_fills_as_maker(rig: Rig) -> None:
    order_id = rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000, {"postOnly": True})["id"]
    rig.clock.advance(timedelta(minutes=5))
    rig.price("48980.0", "48990.0", "48985.0")
    order = rig.client.fetch_order(order_id)
    # 0.001 x 49,000 = 49; maker fee 0.25 % of it = 0.1225.
    assert (order["status"], order["filled"], order["average"], order["cost"]) == ("closed", 0.001, 49000.0, 49.0)
    assert (order["fee"]["currency"], order["fee"]["cost"]) == ("USD", "0.12250")  # a string; a float in the trade
    (trade,) = rig.client.fetch_my_trades("BTC/USD", since=int(START.timestamp() * 1000))
    assert (trade["order"], trade["takerOrMaker"]) == (order_id, "maker")
    assert (trade["price"], trade["amount"], trade["cost"]) == (49000.0, 0.001, 49.0)
    assert trade["fee"] == {"cost": 0.1225, "currency": "USD"}
    assert trade["timestamp"] == int(START.timestamp() * 1000) + 5 * 60_000
    assert [row["id"] for row in rig.client.fetch_order_trades(order_id, params={"trades": [trade["id"]]})] == [
        trade["id"]
    ]
    assert rig.total("ZUSD") == Decimal("50.8775")  # 100 - 49 - 0.1225
    assert rig.total("XXBT") == Decimal("0.003")


def test_limit_buy_fills_in_parts_shows_what_is_left(rig: Rig) -> None:
    rig.core.account.fill_partly("XXBTZUSD", Decimal("0.25"))
    order_id = rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 50000)["id"]
    order = rig.client.fetch_order(order_id)
    assert (order["status"], order["filled"], order["remaining"]) == ("open", 0.00025, 0.00075)
    rig.price("49980.0", "49990.0", "49985.0")
    order = rig.client.fetch_order(order_id)
    assert (order["status"], order["filled"], len(order["trades"])) == ("closed", 0.001, 2)
    # Taker 0.00025 x 50,000 x 0.4 % = 0.05, then maker 0.00075 x 50,000 x 0.25 % = 0.09375.
    assert order["fee"]["cost"] == "0.14375"
    assert rig.total("ZUSD") == Decimal("49.85625")  # 100 - 50 - 0.14375


def test_market_buy_by_cost_spends_the_cost_and_the_fee_on_top(rig: Rig) -> None:
    placed = rig.client.create_market_buy_order_with_cost("BTC/USD", 10.57, {"clientOrderId": CLIENT_ID})
    assert rig.bodies("AddOrder") == [
        f"pair=XXBTZUSD&type=buy&ordertype=market&volume=10.5&cl_ord_id={CLIENT_ID}&oflags=viqc"
    ]
    order = rig.client.fetch_order(placed["id"])
    # ccxt cuts 10.57 to the price step: 10.5 at 50,000.0 are 0.00021; fee 0.4 % of 10.5 = 0.042.
    assert (order["status"], order["filled"], order["average"]) == ("closed", 0.00021, 50000.0)
    assert order["fee"]["cost"] == "0.04200"
    # The trap: the size stays in quote, so ccxt's amount is 10.5 bitcoin.
    assert order["amount"] == 10.5
    assert rig.total("ZUSD") == Decimal("89.458")
    assert rig.total("XXBT") == Decimal("0.00221")


def test_market_sell_takes_the_bid_less_the_fee(rig: Rig) -> None:
    order_id = rig.client.create_order("BTC/USD", "market", "sell", 0.001)["id"]
    order = rig.client.fetch_order(order_id)
    # 0.001 x 49,990 = 49.99; 0.4 % of it = 0.19996.
    assert (order["status"], order["side"], order["cost"], order["fee"]["cost"]) == ("closed", "sell", 49.99, "0.19996")
    assert rig.total("ZUSD") == Decimal("149.79004")
    assert rig.client.privatePostBalanceEx()["result"]["ZUSD"]["balance"] == "149.79004"  # not cut to 4 decimals
    assert rig.total("XXBT") == Decimal("0.001")


def test_market_sell_by_cost_is_refused_as_the_venue_does(rig: Rig) -> None:
    with pytest.raises(ccxt.ExchangeError, match="Invalid arguments:viqc"):
        rig.client.create_market_order_with_cost("BTC/USD", "sell", 10)


def test_stop_loss_last_reaches_it_sells_at_the_bid(rig: Rig) -> None:
    placed = rig.client.create_order(
        "BTC/USD", "market", "sell", 0.001, None, {"stopLossPrice": 48000, "clientOrderId": CLIENT_ID}
    )
    assert rig.bodies("AddOrder")[0].startswith("pair=XXBTZUSD&type=sell&ordertype=stop-loss&volume=0.001&")
    assert (placed["stopLossPrice"], placed["type"]) == (48000.0, "market")
    (resting,) = rig.client.fetch_open_orders("BTC/USD")
    assert (resting["id"], resting["stopLossPrice"], resting["clientOrderId"]) == (placed["id"], 48000.0, CLIENT_ID)
    assert rig.client.fetch_balance()["BTC"] == {"free": 0.001, "used": 0.001, "total": 0.002}
    rig.price("47990.0", "48010.0", "48000.1")
    assert rig.client.fetch_order(placed["id"])["status"] == "open"
    rig.price("47980.0", "48000.0", "47990.0")
    order = rig.client.fetch_order(placed["id"])
    assert (order["status"], order["average"], order["filled"]) == ("closed", 47980.0, 0.001)


def test_stop_loss_limit_triggered_below_its_limit_rests_unfilled(rig: Rig) -> None:
    order_id = rig.client.create_order("BTC/USD", "limit", "sell", 0.001, 47900, {"stopLossPrice": 48000})["id"]
    assert rig.bodies("AddOrder") == [
        "pair=XXBTZUSD&type=sell&ordertype=stop-loss-limit&volume=0.001&price=48000&price2=47900"
    ]
    rig.price("47000.0", "47010.0", "47005.0")
    assert rig.client.fetch_order(order_id)["status"] == "open"
    rig.price("47900.0", "47910.0", "47905.0")
    order = rig.client.fetch_order(order_id)
    assert (order["status"], order["average"], order["price"]) == ("closed", 47900.0, 47900.0)


def test_take_profit_last_rises_to_it_sells(rig: Rig) -> None:
    order_id = rig.client.create_order("BTC/USD", "market", "sell", 0.001, None, {"takeProfitPrice": 51000})["id"]
    assert rig.client.fetch_order(order_id)["status"] == "open"
    rig.price("51000.0", "51010.0", "51005.0")
    assert rig.client.fetch_order(order_id)["average"] == 51000.0


def test_trigger_price_sent_by_ccxt_is_ignored_and_a_plain_limit_order_sells(rig: Rig) -> None:
    order_id = rig.client.create_order("BTC/USD", "limit", "sell", 0.001, 48900, {"triggerPrice": 49000})["id"]
    order = rig.client.fetch_order(order_id)
    assert (order["type"], order["status"], order["average"]) == ("limit", "closed", 49990.0)


def test_immediate_or_cancel_nothing_to_take_ends_at_once(rig: Rig) -> None:
    order_id = rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000, {"timeInForce": "IOC"})["id"]
    order = rig.client.fetch_order(order_id)
    assert (order["status"], order["filled"]) in {("canceled", 0.0), ("expired", 0.0)}


@pytest.mark.parametrize(
    ("amount", "price", "error", "text"),
    [
        (0.00004, 40000, ccxt.InvalidOrder, "volume minimum not met"),
        (0.0001, 4000, ccxt.ExchangeError, "EOrder:Cost minimum not met"),
        (0.01, 40000, ccxt.InsufficientFunds, "EOrder:Insufficient funds"),
    ],
)
def test_limit_buy_breaks_a_rule_is_refused(
    rig: Rig, amount: float, price: float, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        rig.client.create_order("BTC/USD", "limit", "buy", amount, price)
    assert rig.core.account.orders() == []


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"leverage": 2}, "EOrder:Margin allowance exceeded"),
        ({"close": {"ordertype": "stop-loss", "price": 39000}}, "Invalid arguments:close"),
        ({"trailingPercent": "2"}, "Invalid arguments:ordertype"),
        ({"oflags": "fcib"}, "Invalid arguments:oflags"),
        ({"oflags": "post", "stopLossPrice": 51000}, "Invalid arguments:oflags"),
        ({"reduceOnly": True}, "EOrder:Margin allowance exceeded"),
        ({"clientOrderId": "nineteen-characters"}, "Invalid arguments:cl_ord_id"),
        ({"userref": 4, "clientOrderId": CLIENT_ID}, "Invalid arguments:userref"),
        ({"timeInForce": "PO"}, "Invalid arguments:timeinforce"),
    ],
)
def test_limit_buy_asks_for_what_is_not_there_is_refused_and_not_ignored(
    rig: Rig, params: dict[str, object], text: str
) -> None:
    with pytest.raises(ccxt.ExchangeError, match=text):
        rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 40000, params)
    assert rig.core.account.orders() == []


def test_validate_order_is_judged_and_not_placed(rig: Rig) -> None:
    judged = rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 40000, {"validate": "true"})
    assert judged["id"] is None
    with pytest.raises(ccxt.InsufficientFunds):
        rig.client.create_order("BTC/USD", "limit", "buy", 1, 40000, {"validate": "true"})
    assert rig.core.account.orders() == []


def test_deadline_order_comes_too_late_is_refused(rig: Rig) -> None:
    def buy(deadline: datetime) -> None:
        params = {"deadline": deadline.strftime("%Y-%m-%dT%H:%M:%SZ")}
        rig.client.create_order("BTC/USD", "limit", "buy", 0.0001, 40000, params)

    buy(START + timedelta(seconds=10))
    rig.core.order_latency = timedelta(seconds=11)
    with pytest.raises(ccxt.ExchangeError, match="EService:Deadline elapsed"):
        buy(START + timedelta(seconds=10))
    with pytest.raises(ccxt.ExchangeError, match="Invalid arguments:deadline"):
        buy(START + timedelta(seconds=61))
    assert len(rig.core.account.orders()) == 1


@pytest.mark.parametrize(
    ("status", "params", "error"),
    [
        (SystemStatus.CANCEL_ONLY, {"postOnly": True}, ccxt.OnMaintenance),
        (SystemStatus.POST_ONLY, {}, ccxt.OnMaintenance),
        (SystemStatus.MAINTENANCE, {"postOnly": True}, ccxt.ExchangeNotAvailable),
    ],
)
def test_limit_buy_venue_is_limited_is_refused(
    rig: Rig, status: SystemStatus, params: dict[str, object], error: type[Exception]
) -> None:
    rig.core.status = status
    with pytest.raises(error):
        rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 40000, params)
    assert rig.core.account.orders() == []


def test_post_only_buy_venue_takes_only_those_is_placed(rig: Rig) -> None:
    rig.core.status = SystemStatus.POST_ONLY
    rig.client.create_order("BTC/USD", "limit", "buy", 0.001, 40000, {"postOnly": True})
    assert len(rig.core.account.live_orders()) == 1


# ---- the same id twice, and lost replies


def test_client_id_repeated_while_open_is_refused_and_after_the_fill_buys_again(rig: Rig) -> None:
    params = {"clientOrderId": CLIENT_ID}
    resting = rig.client.create_order("BTC/USD", "limit", "buy", 0.0001, 40000, dict(params))["id"]
    with pytest.raises(ccxt.ExchangeError, match="EOrder:Duplicate cl_ord_id"):
        rig.client.create_order("BTC/USD", "limit", "buy", 0.0001, 40000, dict(params))
    rig.client.cancel_order(resting)
    rig.client.create_order("BTC/USD", "market", "buy", 0.0001, None, dict(params))
    rig.client.create_order("BTC/USD", "market", "buy", 0.0001, None, dict(params))
    assert rig.total("XXBT") == Decimal("0.0022")  # bought twice
    rig.core.client_id_rule = ClientIdRule.EVER
    with pytest.raises(ccxt.ExchangeError, match="EOrder:Duplicate cl_ord_id"):
        rig.client.create_order("BTC/USD", "market", "buy", 0.0001, None, dict(params))


def test_client_id_rule_never_lets_two_open_orders_share_it(rig: Rig) -> None:
    rig.core.client_id_rule = ClientIdRule.NEVER
    for _ in range(2):
        rig.client.create_order("BTC/USD", "limit", "buy", 0.0001, 40000, {"clientOrderId": CLIENT_ID})
    assert len(rig.client.fetch_open_orders(params={"clientOrderId": CLIENT_ID})) == 2


def test_userref_cancel_takes_all_that_carry_it(rig: Rig) -> None:
    for _ in range(2):
        rig.client.create_order("BTC/USD", "limit", "buy", 0.0001, 40000, {"userref": 42})
    rig.client.create_order("BTC/USD", "limit", "buy", 0.0001, 40000)
    assert len(rig.client.fetch_open_orders(params={"userref": 42})) == 2
    assert rig.client.cancel_order("", None, {"userref": 42})["info"]["result"]["count"] == 2
    assert rig.client.cancel_all_orders()[0]["info"]["result"]["count"] == 1


def test_lost_reply_order_was_placed_is_found_among_the_closed_ones(rig: Rig) -> None:
    rig.server.inject("*/AddOrder", LOST_REPLY)
    with pytest.raises(ccxt.NetworkError):
        rig.client.create_order("BTC/USD", "market", "buy", 0.0001, None, {"clientOrderId": CLIENT_ID})
    minute_ago = int((START - timedelta(minutes=1)).timestamp() * 1000)
    assert rig.client.fetch_open_orders(params={"clientOrderId": CLIENT_ID}) == []
    (found,) = rig.client.fetch_closed_orders(since=minute_ago, params={"clientOrderId": CLIENT_ID})
    assert (found["status"], found["filled"], found["clientOrderId"]) == ("closed", 0.0001, CLIENT_ID)


def test_fetch_order_unknown_id_is_an_error_or_an_empty_result(rig: Rig) -> None:
    with pytest.raises(ccxt.InvalidOrder, match="EOrder:Unknown order"):
        rig.client.fetch_order("OAAAAA-AAAAA-AAAAAA")
    rig.core.unknown_order_is_error = False
    with pytest.raises(ccxt.OrderNotFound):
        rig.client.fetch_order("OAAAAA-AAAAA-AAAAAA")


def test_closed_orders_and_trades_more_than_a_page_come_50_at_a_time_newest_first(rig: Rig) -> None:
    rig.core.account.deposit("ZUSD", Decimal(1000))
    ids = []
    for _ in range(52):
        rig.clock.advance(timedelta(seconds=1))
        ids.append(rig.client.create_order("BTC/USD", "market", "buy", 0.00005)["id"])
    first = rig.client.privatePostClosedOrders()["result"]
    rest = rig.client.privatePostClosedOrders({"ofs": 50})["result"]
    assert int(first["count"]) == 52
    assert [*first["closed"], *rest["closed"]] == ids[::-1]
    trades = rig.client.privatePostTradesHistory()["result"]
    assert (len(trades["trades"]), int(trades["count"])) == (50, 52)
    # Without its own moment: START + 50 s leaves the last two.
    since = rig.client.fetch_my_trades(since=int((START + timedelta(seconds=50)).timestamp() * 1000))
    assert [trade["order"] for trade in since] == ids[-2:]
    # Up to and with its own moment.
    until = rig.client.privatePostClosedOrders({"end": int(START.timestamp()) + 2})["result"]["closed"]
    assert list(until) == [ids[1], ids[0]]


# ---- against the golden replies


def test_traded_pairs_recorded_listing_has_the_same_rules() -> None:
    recorded = fixture("live/kraken_spot_2026-09-25.json")["AssetPairs"]["result"]
    ours = pair_rows(TRADED_PAIRS, None, None)
    names = ("altname", "wsname", "base", "quote", "pair_decimals", "lot_decimals", "cost_decimals", "ordermin")
    for pair in ("XXBTZUSD", "SOLUSD"):
        row = recorded[pair]
        assert {name: ours[pair][name] for name in names} == {name: row[name] for name in names}
        assert Decimal(str(ours[pair]["costmin"])) == Decimal(row["costmin"])
        assert ours[pair]["fees"] == row["fees"] == []


def _shape(value: object, sample: object, where: str) -> list[str]:
    """Where ``value`` lacks a key of ``sample`` or has a value of another JSON type; None in a sample fits all."""
    if sample is None or value is None:
        return []
    if isinstance(sample, dict):
        if not isinstance(value, dict):
            return [f"{where}: {type(value).__name__} for an object"]
        missing = [f"{where}.{key} is missing" for key in sample if key not in value]
        return missing + [
            fault for key in sample if key in value for fault in _shape(value[key], sample[key], f"{where}.{key}")
        ]
    if isinstance(sample, list):
        if not isinstance(value, list):
            return [f"{where}: {type(value).__name__} for a list"]
        return [fault for mine, its in zip(value, sample, strict=False) for fault in _shape(mine, its, f"{where}[]")]
    numbers = (int, float)
    same = isinstance(value, numbers) and isinstance(sample, numbers) and not isinstance(sample, bool)
    return [] if same or type(value) is type(sample) else [f"{where}: {value!r} is not of the type of {sample!r}"]


def _rows_as_lists(result: Any) -> Any:
    """Objects keyed by order or trade ids, as lists of their rows: the ids differ."""
    if not isinstance(result, dict):
        return result
    if any(len(key) == 19 and key.count("-") == 2 for key in result):
        return list(result.values())
    return {key: _rows_as_lists(value) for key, value in result.items()}


def _golden_case(rig: Rig, call: str) -> Any:
    """The whole reply of one call in a state that resembles the golden one: a limit order, filled or open."""
    client = rig.client
    rig.price("3000.00", "3000.10", "3000.05", "XETHZUSD")
    filled = client.create_order("BTC/USD", "limit", "buy", 0.0001, 50000, {"clientOrderId": "kcid-1"})
    client.create_order("BTC/USD", "limit", "buy", 0.0001, 40000, {"clientOrderId": "kcid-2"})
    hours = int(START.timestamp()) // 3600 * HOUR_MS
    rig.core.account.set_candles("XXBTZUSD", "1h", [Candle(hours - HOUR_MS * n, 1, 3, 0.5, 2, 9) for n in (3, 2, 1)])
    asked: dict[str, dict[str, object]] = {
        "Ticker": {"pair": "XXBTZUSD,XETHZUSD"},
        "Depth": {"pair": "XXBTZUSD", "count": 5},
        "OHLC": {"pair": "XXBTZUSD", "interval": 60},
        "TradeVolume": {"pair": "XXBTZUSD"},
        "QueryOrders": {"txid": filled["id"]},
        "CancelOrder": {"cl_ord_id": "kcid-2"},
        "AddOrder": {
            "pair": "XXBTZUSD",
            "type": "buy",
            "ordertype": "limit",
            "volume": "0.0001",
            "price": "50000",
            "cl_ord_id": "kcid-1",
        },
    }
    section = "Get" if call in {"Assets", "AssetPairs", "Time", "SystemStatus", "Ticker", "Depth", "OHLC"} else "Post"
    name = f"{'public' if section == 'Get' else 'private'}{section}{call}"
    getattr(client, name)(asked.get(call, {}))
    return json.loads(client.last_http_response)


@pytest.mark.parametrize(
    "call",
    [
        "Assets",
        "AssetPairs",
        "Time",
        "SystemStatus",
        "Ticker",
        "Depth",
        "OHLC",
        "BalanceEx",
        "TradeVolume",
        "AddOrder",
        "CancelOrder",
        "QueryOrders",
        "OpenOrders",
        "ClosedOrders",
        "TradesHistory",
        "TradeBalance",
        "CancelAll",
        "GetApiKeyInfo",
        "GetWebSocketsToken",
        "WithdrawMethods",
    ],
)
def test_reply_golden_sample_has_the_same_shape(rig: Rig, call: str) -> None:
    samples = fixture("verified/kraken_responses.json")
    (sample,) = [row["response"] for row in samples if row["path"].endswith(f"/{call}")]
    if call == "TradeBalance":
        del sample["result"]["ml"]  # a level of margin; none is in use here
    rig.core.account.deposit("USD.F", Decimal(1))
    rig.core.account.deposit("XBT.F", Decimal(1))
    rig.core.keys[KEY].rights = BOT_RIGHTS | {"create-ws-token", "withdraw-funds"}
    reply = _golden_case(rig, call)
    assert _shape(_rows_as_lists(reply), _rows_as_lists(sample), call) == []


def _order_form(body: str) -> dict[str, Any]:
    """The parameters of a captured AddOrder, as ccxt takes them raw; without the nonce."""
    if body.startswith("{"):
        form = json.loads(body)
        del form["nonce"]
        return dict(form)
    form = dict(parse_qsl(body.partition("&")[2]))
    close = {name: form.pop(f"close[{name}]") for name in ("ordertype", "price") if f"close[{name}]" in form}
    return form | ({"close": close} if close else {})


def test_add_order_every_captured_form_is_placed_or_refused_for_a_named_reason(rig: Rig) -> None:
    rows = fixture("requests/kraken_wire.json")
    bodies = [
        request["body"] for row in rows for request in row["requests"] if request["path"] == "/0/private/AddOrder"
    ]
    rig.core.account.deposit("ZUSD", Decimal(10_000))
    rig.core.account.deposit("XXBT", Decimal(1))
    rig.price("50005.0", "50010.0", "50007.0")
    expected_refusals = {
        "type=sell&ordertype=market&volume=5.1&oflags=viqc": "EGeneral:Invalid arguments:viqc",
        "timeinforce=PO": "EGeneral:Invalid arguments:timeinforce",
        "leverage=2": "EOrder:Margin allowance exceeded",
        "close[ordertype]": "EGeneral:Invalid arguments:close",
        "trailing-stop": "EGeneral:Invalid arguments:ordertype",
        "deadline=2026-01-01": "EService:Deadline elapsed",
    }
    refused = 0
    for body in bodies:
        reasons = [reason for part, reason in expected_refusals.items() if part in body]
        with suppress(ccxt.ExchangeError):  # the log tells refused and placed apart
            rig.client.privatePostAddOrder(_order_form(body))
        logged = rig.core.log[-1]
        assert list(logged.errors) == reasons, body
        assert logged.body.replace(logged.fields["nonce"], "<ms>") == body
        refused += len(reasons)
    assert refused == 7  # margin twice, the others once
    assert len(rig.core.account.orders()) == sum("validate" not in body for body in bodies) - refused
