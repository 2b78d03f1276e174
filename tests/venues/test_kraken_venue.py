"""The venue at Kraken keeps what every venue promises, over HTTP, and what is Kraken's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from kraken_venue_rig import (
    BOT_RIGHTS,
    KEY,
    NOW,
    SECRET,
    WORST_FEES,
    Fault,
    KrakenBench,
    answer,
    complaint,
    full_size_pairs,
    kraken_bench,
)
from venue_contract import CONTRACT, Promise, new_order, sent
from venue_helpers import BTC, HOUR, D

from bot.domain.account import Balance, Liquidity
from bot.domain.errors import VenueError
from bot.domain.market import Candle
from bot.domain.orders import Side
from bot.ports import Accepted, Rejected, Unknown
from bot.venues.ccxt_hooks import KeyRefusedError
from bot.venues.ccxt_loader import load_exchange_classes
from bot.venues.kraken_venue import kraken_client

TRADED = {"BTC/USD", "ETH/USD", "SOL/USD", "BTC/USDC", "ETH/USDC", "SOL/USDC"}


@pytest.fixture
def bench() -> Iterator[KrakenBench]:
    with kraken_bench() as bench:
        yield bench


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_kraken_venue_keeps(promise: Promise, bench: KrakenBench) -> None:
    bench.venue.balances()
    promise(bench)


# ---- markets


def test_instruments_full_size_list_keeps_the_traded_ones_only() -> None:
    with kraken_bench(pairs=full_size_pairs()) as bench:
        found = bench.venue.instruments()
        assert set(found) == TRADED
        bitcoin = found[BTC]
        assert (bitcoin.lot_step, bitcoin.tick_size) == (D("0.00000001"), D("0.1"))
        assert (bitcoin.min_amount, bitcoin.min_cost) == (D("0.00005"), D("0.5"))
        assert set(bench.client.markets) == {*TRADED, "USDC/USD"}
        assert bench.client.options["marketsByAltname"] == {}
        assert [logged.path for logged in bench.core.log] == ["/0/public/AssetPairs", "/0/public/Time"]


def test_instruments_no_traded_coin_is_listed_is_a_venue_error_though_usdc_is(bench: KrakenBench) -> None:
    with pytest.raises(VenueError, match="none of DOGE against USD or USDC"):
        bench.new_venue(coins=("DOGE",)).instruments()


def test_instruments_explicit_price_step_is_wider_than_the_decimals_holds(bench: KrakenBench) -> None:
    row = {
        "altname": "XBTUSD",
        "wsname": "XBT/USD",
        "base": "XXBT",
        "quote": "ZUSD",
        "pair_decimals": 1,
        "lot_decimals": 8,
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": "0.5",
        "status": "cancel_only",
    }
    # The last two are no markets of the coin: a dark pool, and a synthetic pair.
    rows = {"XXBTZUSD": row, "XXBTZUSD.d": row | {"tick_size": "5"}, "XBTUSD:BTNL": row | {"tick_size": "7"}}
    bench.server.inject("*/AssetPairs", answer(rows))
    found = bench.venue.instruments()
    assert set(found) == {BTC}
    assert found[BTC].tick_size == D("0.5")
    assert not found[BTC].is_open


def test_instruments_venue_is_silent_takes_the_copy_and_orders_keep_their_symbols(bench: KrakenBench) -> None:
    bench.ready()
    order = sent(bench, new_order(bench, "limit buy", "1", price="90"))
    bench.server.inject("*/AssetPairs", complaint("EService:Unavailable"), count=3)
    venue = bench.restarted()
    assert set(venue.instruments()) == TRADED
    assert venue.report(ask=False).markets_origin.startswith("the copy of 2026-11-21")
    assert len(bench.pauses) == 2
    (report,) = venue.open_orders()
    assert (report.symbol, report.client_order_id) == (BTC, order.client_order_id)


def without(bench: KrakenBench, *pairs: str) -> Fault:
    """The list of markets as the venue would tell it, were it not for these."""
    rows = bench.client.publicGetAssetPairs()["result"]
    return answer({pair: row for pair, row in rows.items() if pair not in pairs})


def test_instruments_pair_missing_from_the_list_stays_closed_with_its_price_and_orders(bench: KrakenBench) -> None:
    bench.ready()
    order = sent(bench, new_order(bench, "limit buy", "1", price="90"))
    bench.server.inject("*/AssetPairs", without(bench, "XXBTZUSD", "USDCUSD"))
    venue = bench.restarted()
    found = venue.instruments()
    assert {symbol for symbol, instrument in found.items() if not instrument.is_open} == {BTC}
    assert set(found) == TRADED
    assert set(venue.tickers()) == {*TRADED, "USDC/USD"}
    (report,) = venue.open_orders()
    assert (report.symbol, report.client_order_id) == (BTC, order.client_order_id)
    assert not venue.fees().is_fallback
    assert isinstance(venue.submit(new_order(bench, "limit buy", "1", price="80", name="b")), Accepted)


def test_instruments_pair_gone_for_good_leaves_the_others_their_prices_and_fees(bench: KrakenBench) -> None:
    bench.ready()
    gone = without(bench, "XXBTZUSD", "USDCUSD")
    for name in ("XXBTZUSD", "XBTUSD", "XBT/USD", "USDCUSD", "USDC/USD"):
        bench.core._by_name.pop(name, None)
    bench.server.inject("*/AssetPairs", gone)
    venue = bench.restarted()
    assert set(venue.tickers()) == TRADED - {BTC}
    assert not venue.fees().is_fallback


def test_public_half_without_a_key_knows_prices_and_nothing_of_an_account(bench: KrakenBench) -> None:
    venue = bench.new_venue(has_key=False)
    assert venue.tickers()[BTC].bid == D("99.9")
    assert venue.fees() == WORST_FEES
    with pytest.raises(VenueError, match="there is no key"):
        venue.balances()
    assert not [logged for logged in bench.core.log if "/private/" in logged.path]


# ---- prices


def test_tickers_come_in_one_call_with_the_price_of_usdc(bench: KrakenBench) -> None:
    venue = bench.ready()
    found = venue.tickers()
    assert set(found) == {*TRADED, "USDC/USD"}
    assert (found[BTC].bid, found[BTC].ask, found[BTC].last, found[BTC].at) == (D("99.9"), D("100.1"), D(100), NOW)
    assert "USDC/USD" not in venue.instruments()
    assert len(bench.asked("Ticker")) == 1


def test_tickers_pair_without_a_bid_has_no_price(bench: KrakenBench) -> None:
    venue = bench.new_venue(coins=("SOL",))
    venue.instruments()
    row = {"a": ["10.1", "1", "1"], "b": ["10.0", "1", "1"], "c": ["10.0", "1"]}
    empty = row | {"b": ["0.00000", "0", "0.000"]}
    bench.server.inject("*/Ticker", answer({"SOLUSD": row, "SOLUSDC": empty, "USDCUSD": row}))
    assert set(venue.tickers()) == {"SOL/USD", "USDC/USD"}


def test_candles_more_than_the_venue_serves_are_the_newest_closed_ones(bench: KrakenBench) -> None:
    this_hour = int(NOW.timestamp() * 1000) // HOUR * HOUR
    first = this_hour - 800 * HOUR
    bars = [Candle(first + n * HOUR, 1.0 + n, 3.0 + n, 0.5 + n, 2.0 + n, 10.0) for n in range(800)]
    bench.account.set_candles("XXBTZUSD", "1h", bars)
    found = bench.ready().candles(BTC, "1h", first)
    # 720 are served, of which the last is the forming one: 719 closed ones are left, from number 81 on.
    assert len(found) == 719
    assert found[0] == Candle(first + 81 * HOUR, 82.0, 84.0, 81.5, 83.0, 10.0)
    assert found[-1].open_ms == this_hour - HOUR
    assert len(bench.asked("OHLC")) == 1


def test_page_of_candles_begins_where_the_venue_still_serves_them(bench: KrakenBench) -> None:
    this_hour = int(NOW.timestamp() * 1000) // HOUR * HOUR
    bars = [Candle(this_hour - n * HOUR, 1.0, 3.0, 0.5, 2.0, float(n)) for n in range(800, 0, -1)]
    bench.account.set_candles("XXBTZUSD", "1h", bars)
    venue = bench.ready()
    assert venue.served_from_ms("1h") == bars[81].open_ms
    assert venue.candle_page(BTC, "1h", bars[81].open_ms, 719) == bars[81:]
    assert venue.candle_page(BTC, "1h", bars[85].open_ms, 3) == bars[85:88]
    assert venue.candle_page(BTC, "1h", bars[10].open_ms, 5) == []
    assert venue.timeframes == ("1m", "5m", "15m", "30m", "1h", "4h", "1d")


def test_candles_since_two_hours_asks_for_one_bar_more_and_gives_two(bench: KrakenBench) -> None:
    this_hour = int(NOW.timestamp() * 1000) // HOUR * HOUR
    bars = [Candle(this_hour - n * HOUR, 1.0, 3.0, 0.5, 2.0, 10.0) for n in (4, 3, 2, 1)]
    bench.account.set_candles("XXBTZUSD", "1h", bars)
    found = bench.ready().candles(BTC, "1h", this_hour - 2 * HOUR)
    assert [candle.open_ms for candle in found] == [this_hour - 2 * HOUR, this_hour - HOUR]
    since_s = this_hour // 1000 - 3 * 3600  # without its own moment
    assert bench.asked("OHLC")[0].query == f"pair=XXBTZUSD&interval=60&since={since_s}"


def test_candles_old_since_is_ignored_by_the_venue_gives_none_from_before(bench: KrakenBench) -> None:
    venue = bench.ready()
    this_hour = int(NOW.timestamp()) // 3600 * 3600
    rows = [[this_hour - n * 3600, "1", "3", "0.5", "2", "1.5", "10", 4] for n in (5, 4, 3, 2, 1, 0)]
    bench.server.inject("*/OHLC", answer({"XXBTZUSD": rows, "last": this_hour - 3600}))
    found = venue.candles(BTC, "1h", (this_hour - 2 * 3600) * 1000)
    assert found == [Candle((this_hour - n * 3600) * 1000, 1.0, 3.0, 0.5, 2.0, 10.0) for n in (2, 1)]


def test_candles_timeframe_is_not_served_is_a_venue_error(bench: KrakenBench) -> None:
    with pytest.raises(VenueError, match="candles of 2h are not served, only 1m, 5m, 15m, 30m, 1h, 4h, 1d"):
        bench.ready().candles(BTC, "2h", int(NOW.timestamp() * 1000) - 4 * HOUR)
    assert bench.asked("OHLC") == []


# ---- money, fees, rights


def test_balances_earning_cash_and_coins_are_held_and_told_apart(bench: KrakenBench) -> None:
    for asset, amount in (("USD.F", "12.5"), ("XBT.F", "0.3"), ("XXBT", "0.1"), ("USDC", "7")):
        bench.account.deposit(asset, D(amount))
    venue = bench.venue
    sent_order = bench.ready().submit(new_order(bench, "limit sell", "0.04", price="110"))
    assert isinstance(sent_order, Accepted)
    assert venue.balances() == {
        "USD": Balance(asset="USD", free=D(1000), used=D("12.5")),
        "BTC": Balance(asset="BTC", free=D("0.06"), used=D("0.34")),
        "USDC": Balance(asset="USDC", free=D(7), used=D(0)),
    }
    told = venue.report(ask=False).assets
    assert told is not None
    assert {asset: D(amount) for asset, amount in told.items()} == {
        "USD": D(1000),
        "USD.F": D("12.5"),
        "BTC": D("0.1"),
        "BTC.F": D("0.3"),
        "USDC": D(7),
    }


def test_balances_many_digits_come_exact(bench: KrakenBench) -> None:
    bench.account.deposit("XXBT", D("12345678.1234567891"))  # 18 digits: a float has 15 to 17
    assert bench.venue.balances()["BTC"].total == D("12345678.1234567891")


def test_balances_account_is_empty_are_none() -> None:
    with kraken_bench(usd="0") as bench:
        assert bench.venue.balances() == {}


def test_fees_account_is_asked_whatever_the_listing_says(bench: KrakenBench) -> None:
    bench.account.maker_frac, bench.account.taker_frac = D("0.0014"), D("0.0024")
    fees = bench.ready().fees()
    assert (fees.maker_frac, fees.taker_frac, fees.is_fallback) == (D("0.0014"), D("0.0024"), False)
    assert bench.client.market(BTC)["taker"] == 0.0026  # what ccxt would say
    (form,) = bench.forms("TradeVolume")
    assert set(form.removeprefix("pair=").split("%2C")) == {
        "XXBTZUSD",
        "XETHZUSD",
        "SOLUSD",
        "XBTUSDC",
        "ETHUSDC",
        "SOLUSDC",
    }


def test_fees_pairs_differ_the_highest_count(bench: KrakenBench) -> None:
    venue = bench.new_venue(coins=("SOL",))
    venue.balances()
    rows: dict[str, Any] = {
        "fees": {"SOLUSD": {"fee": "0.4000"}, "SOL/USDC": {"fee": "0.2"}},
        "fees_maker": {"SOLUSD": {"fee": "0.2500"}, "SOL/USDC": {"fee": "0.2600"}},
    }
    bench.server.inject("*/TradeVolume", answer(rows))
    fees = venue.fees()
    assert (fees.maker_frac, fees.taker_frac) == (D("0.0026"), D("0.004"))


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"currency": "ZUSD", "volume": "0.0000"},
        {"fees": {}, "fees_maker": {}},
        {"fees": None, "fees_maker": None},
        {"fees": {"SOLUSD": {}}, "fees_maker": {"SOLUSD": {}}},
        {"fees": {"SOLUSD": {"fee": "0.4"}}, "fees_maker": {"SOLUSD": {"fee": "0.2"}}},  # nothing of SOL/USDC
    ],
)
def test_fees_empty_answer_gives_the_worst_published(bench: KrakenBench, result: dict[str, Any]) -> None:
    venue = bench.new_venue(coins=("SOL",))
    venue.balances()
    bench.server.inject("*/TradeVolume", answer(result))
    assert venue.fees() == WORST_FEES


@pytest.mark.parametrize("right", ["withdraw-funds", "add-withdraw-address", "update-withdraw-address", "earn-funds"])
def test_key_that_may_move_funds_is_refused_before_anything_else(bench: KrakenBench, right: str) -> None:
    bench.core.keys[KEY].rights = BOT_RIGHTS | {right}
    with pytest.raises(KeyRefusedError, match=f"the key may also: {right}"):
        bench.venue.balances()
    assert {logged.path for logged in bench.core.log if "/private/" in logged.path} == {"/0/private/GetApiKeyInfo"}
    assert isinstance(bench.venue.submit(new_order(bench, "limit buy", "1", price="90")), Rejected)
    assert bench.asked("AddOrder") == []


@pytest.mark.parametrize("right", sorted(BOT_RIGHTS))
def test_key_that_lacks_a_right_is_refused_with_its_name(bench: KrakenBench, right: str) -> None:
    bench.core.keys[KEY].rights = BOT_RIGHTS - {right}
    with pytest.raises(KeyRefusedError, match=f"the key lacks: {right}"):
        bench.venue.check_key()


def test_key_with_harmless_rights_too_is_taken(bench: KrakenBench) -> None:
    bench.core.keys[KEY].rights = BOT_RIGHTS | {"query-ledger", "export-data", "create-ws-token"}
    bench.venue.check_key()
    assert set(bench.venue.report(ask=False).rights) == BOT_RIGHTS | {"query-ledger", "export-data", "create-ws-token"}


@pytest.mark.parametrize(
    "fault",
    [
        answer({"api_key_name": "bot"}),
        answer({"permissions": "all"}),
        complaint("EGeneral:Permission denied"),
        complaint("EGeneral:Unknown method"),
    ],
)
def test_key_whose_rights_cannot_be_learnt_needs_the_override(bench: KrakenBench, fault: Fault) -> None:
    bench.server.inject("*/GetApiKeyInfo", fault, count=2)
    with pytest.raises(KeyRefusedError, match="ALLOW_UNKNOWN_KEY_RIGHTS"):
        bench.venue.balances()
    assert bench.new_venue(allow_unknown_rights=True).balances()["USD"].total == 1000


def test_key_rights_question_fails_is_a_venue_error_and_asked_again(bench: KrakenBench) -> None:
    bench.server.inject("*/GetApiKeyInfo", complaint("EService:Unavailable"), count=3)
    with pytest.raises(VenueError, match="EService:Unavailable"):
        bench.venue.check_key()
    bench.venue.check_key()
    assert bench.venue.report(ask=False).rights


# ---- fills


def test_fills_two_pages_of_them_come_oldest_first_and_exact(bench: KrakenBench) -> None:
    venue = bench.ready()
    orders = []
    for number in range(52):
        bench.clock.advance(timedelta(seconds=1))
        order = new_order(bench, "ioc buy", "0.01234567", price="102", name=str(number))
        orders.append(sent(bench, order))
    bench.core.log.clear()
    fills = venue.fills_since("")[0]
    assert [fill.client_order_id for fill in fills] == [order.client_order_id for order in orders]
    first = fills[0]
    # 0.01234567 x 100.1 = 1.235801567; 0.4 % of it, up to five decimals, is 0.00495.
    assert (first.quantity, first.price, first.fee) == (D("0.01234567"), D("100.1"), D("0.00495"))
    assert (first.side, first.liquidity, first.at) == (Side.BUY, Liquidity.TAKER, NOW + timedelta(seconds=1))
    start = int((NOW + timedelta(seconds=52) - timedelta(hours=1)).timestamp())
    assert bench.forms("TradesHistory") == [f"start={start}&ofs=0", f"start={start}&ofs=50"]
    assert len({fill.fill_id for fill in fills}) == 52


def test_fills_count_is_more_than_there_are_ends_with_an_empty_page(bench: KrakenBench) -> None:
    venue = bench.ready()
    order = sent(bench, new_order(bench, "ioc buy", "1", price="102"))
    told = bench.client.privatePostTradesHistory()["result"]
    bench.server.inject("*/TradesHistory", answer(told | {"count": 5}))
    assert [fill.client_order_id for fill in venue.fills_since("")[0]] == [order.client_order_id]
    assert bench.forms("TradesHistory")[-1].endswith("&ofs=1")


def test_fills_of_other_markets_are_not_the_bots(bench: KrakenBench) -> None:
    venue = bench.ready()
    bench.client.privatePostAddOrder({"pair": "USDTZUSD", "type": "buy", "ordertype": "market", "volume": "10"})
    bench.client.privatePostAddOrder({"pair": "USDCUSD", "type": "buy", "ordertype": "market", "volume": "10"})
    order = sent(bench, new_order(bench, "ioc buy", "1", price="102"))
    assert [fill.client_order_id for fill in venue.fills_since("")[0]] == [order.client_order_id]


# ---- stops


def test_probe_of_stops_is_judged_by_the_venue_and_places_nothing(bench: KrakenBench) -> None:
    venue = bench.ready()
    assert venue.stops_rest()
    # Half of the bid is 49.95, down to the tick 49.9; the least of 0.5 USD there is 0.01002005 BTC (0.5 / 49.9).
    assert bench.forms("AddOrder") == [
        "pair=XXBTZUSD&type=sell&ordertype=stop-loss&volume=0.01002005&price=49.9&validate=true"
    ]
    assert bench.asked("AddOrder")[0].errors == ("EOrder:Insufficient funds",)
    assert bench.account.orders() == []
    venue.stops_rest()
    assert len(bench.asked("AddOrder")) == 1


def test_probe_of_stops_coins_are_there_is_taken_and_places_nothing(bench: KrakenBench) -> None:
    bench.account.deposit("XXBT", D(1))
    venue = bench.ready()
    assert venue.stops_rest()
    assert venue.report(ask=False).stops_about == "the venue checked a stop-loss order and took it"
    assert bench.account.orders() == []


def test_probe_of_stops_kind_is_not_known_says_no(bench: KrakenBench) -> None:
    venue = bench.ready()
    bench.server.inject("*/AddOrder", complaint("EGeneral:Invalid arguments:ordertype"))
    assert not venue.stops_rest()
    told = venue.report(ask=False)
    assert told.stops_rest is False
    assert "Invalid arguments:ordertype" in told.stops_about


@pytest.mark.parametrize(
    "fault",
    [complaint("EService:Market in cancel_only mode"), complaint("EOrder:Trading agreement required"), answer({})],
)
def test_probe_of_stops_unclear_answer_decides_nothing_and_is_asked_again(bench: KrakenBench, fault: Fault) -> None:
    venue = bench.ready()
    bench.server.inject("*/AddOrder", fault, count=1)
    if "mode" in str(fault):
        bench.server.inject("*/AddOrder", fault, count=2)  # of the kind of errors that are tried again
    assert not venue.stops_rest()
    assert venue.report(ask=False).stops_rest is None
    bench.server.clear_faults()
    bench.clock.advance(timedelta(minutes=10))
    assert venue.stops_rest()


# ---- one call at a time, and not too many


def test_private_calls_of_four_threads_never_overtake_each_other(bench: KrakenBench) -> None:
    venue = bench.ready()
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(10):
                venue.balances()
        except BaseException as e:  # noqa: BLE001 - looked at below
            failures.append(e)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(bench.asked("BalanceEx")) == 40  # not one was tried again
    assert all(logged.errors == () for logged in bench.core.log)
    assert bench.pauses == []


@pytest.mark.parametrize(
    "text",
    [
        "EAPI:Rate limit exceeded",
        "EGeneral:Temporary lockout",
        "EGeneral:Too many requests",
        "EService:Rate limit exceeded",  # of another class in ccxt
    ],
)
def test_private_call_venue_complains_about_the_rate_is_left_alone_for_15_seconds(
    bench: KrakenBench, text: str
) -> None:
    venue = bench.ready()
    order = sent(bench, new_order(bench, "limit buy", "1", price="90"))
    bench.server.inject("*/BalanceEx", complaint(text))
    with pytest.raises(VenueError, match=text):
        venue.balances()
    before = len(bench.core.log)
    bench.clock.advance(timedelta(seconds=14, milliseconds=999))
    with pytest.raises(VenueError, match="none before 12:00:45"):
        venue.open_orders()
    refused = venue.submit(new_order(bench, "limit buy", "1", price="80", name="b"))
    assert isinstance(refused, Rejected)  # it was not sent
    assert "was not sent" in refused.reason
    assert isinstance(venue.cancel(order), Unknown)
    assert len(bench.core.log) == before
    assert venue.tickers()[BTC].bid == D("99.9")  # prices need no key
    bench.clock.advance(timedelta(milliseconds=1))
    assert len(venue.open_orders()) == 1
    assert bench.pauses == []


def test_private_call_clock_is_put_back_after_a_complaint_is_sent(bench: KrakenBench) -> None:
    venue = bench.ready()
    bench.server.inject("*/BalanceEx", complaint("EAPI:Rate limit exceeded"))
    with pytest.raises(VenueError):
        venue.balances()
    bench.ahead = -timedelta(hours=1)
    assert venue.balances()["USD"].total == 1000


def test_calls_are_spaced_as_the_venues_counters_ask(bench: KrakenBench) -> None:
    venue = bench.ready()
    waits_s: list[float] = []
    bench.client.enableRateLimit = True
    bench.client.throttle = lambda cost: waits_s.append(cost * bench.client.rateLimit / 1000)
    venue.balances()
    venue.open_orders()
    venue.fills_since("")
    venue.tickers()
    venue.submit(new_order(bench, "limit buy", "1", price="90"))
    assert waits_s == [1.5, 1.5, 3.0, 1.2, 0.0]


def test_invalid_nonce_is_asked_again(bench: KrakenBench) -> None:
    venue = bench.ready()
    bench.server.inject("*/BalanceEx", complaint("EAPI:Invalid nonce"))
    assert venue.balances()["USD"].total == 1000
    assert bench.sent_to("BalanceEx") == 3  # of ready(), the refused one, and the one again


# ---- the client


def test_client_with_own_address_has_ccxts_defaults_and_half_its_pauses() -> None:
    classes = load_exchange_classes()
    client = kraken_client(classes, url="", key=KEY, secret=SECRET, rate_limited=True)
    plain = classes.kraken()
    assert isinstance(client, classes.kraken)
    assert client.urls["api"] == plain.urls["api"]
    assert (client.rateLimit, client.enableRateLimit, client.timeout) == (500, True, 10_000)
    assert client.options.get("maxRetriesOnFailure", 0) == 0
    other = kraken_client(classes, url="http://127.0.0.1:1/", key="", secret="", rate_limited=False)
    assert (other.urls["api"]["public"], other.urls["api"]["private"]) == ("http://127.0.0.1:1",) * 2
    assert not other.enableRateLimit
    for each in (client, plain, other):
        each.session.close()


@pytest.mark.parametrize("secret", ["not base64 at all!", "c2VjcmV0c2VjcmV0c2VjcmV", "geheimes-Wort-äöü", "abcd!efgh"])
def test_client_secret_nothing_can_be_signed_with_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(KeyRefusedError, match="KRAKEN_MASTER_API_SECRET: this is no base64 text") as caught:
        kraken_client(load_exchange_classes(), url="", key=KEY, secret=secret, rate_limited=True)
    assert secret not in str(caught.value)
    assert caught.value.__suppress_context__


def test_wrong_secret_or_key_is_a_venue_error_that_shows_neither(bench: KrakenBench) -> None:
    wrong = "d3JvbmcgYnV0IGJhc2U2NA=="
    with pytest.raises(VenueError, match="EAPI:Invalid signature") as caught:
        bench.new_venue(secret=wrong).balances()
    assert wrong not in str(caught.value)
    with pytest.raises(VenueError, match="EAPI:Invalid key") as caught:
        bench.new_venue(key="another-key-of-somebody").balances()
    assert "another-key-of-somebody" not in str(caught.value)
