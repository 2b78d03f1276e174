"""The local Coinbase in front of the unmodified client, over HTTP: markets, money and the key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from coinbase_catalog import FULL_SIZE, catalog
from coinbase_core import V3
from coinbase_rig import NOW, Site, new_client, new_key, running_site
from wire import Request

from bot.domain.market import Candle
from bot.venues.ccxt_loader import load_exchange_classes

HOUR_MS = 3_600_000
ERRORS = load_exchange_classes().errors


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site(size=FULL_SIZE) as site:
        yield site


# ---- markets


def test_load_markets_brings_the_full_list_with_steps_and_fees(site: Site) -> None:
    market = site.client.market("BTC/USD")

    assert len(site.client.markets) == 708
    assert (market["precision"], market["limits"]["cost"]["min"]) == ({"amount": 1e-8, "price": 0.01}, 1.0)
    assert (market["taker"], market["maker"]) == (0.012, 0.006)
    assert {"ETH/USD", "SOL/USD", "BTC/USDC", "USDT/USD"} <= set(site.client.markets)


def test_load_markets_without_sight_of_futures_brings_the_spot_markets(site: Site) -> None:
    site.core.switches.has_futures = False

    assert len(site.client.load_markets(True)) == 708
    assert site.core.log[-1].status == 403


def test_catalog_holds_products_in_every_closed_state() -> None:
    flags = {product.flag for product in catalog().values()}

    assert {"", "trading_disabled", "view_only", "cancel_only", "limit_only", "post_only"} <= flags


def test_fetch_time_both_ways_gives_the_time_of_the_venue(site: Site) -> None:
    assert site.client.fetch_time() == 1_795_262_430_000  # 2026-11-21 12:00:30 UTC
    assert site.client.fetch_time({"method": "v3PublicGetBrokerageTime"}) == 1_795_262_430_000


def test_fetch_ticker_gives_bid_ask_and_last_of_the_scripted_book(site: Site) -> None:
    ticker = site.client.fetch_ticker("BTC/USD")

    assert (ticker["bid"], ticker["ask"], ticker["last"]) == (49999.0, 50000.0, 50000.0)
    assert ticker["timestamp"] == 1_795_262_430_000


def test_fetch_tickers_bids_asks_and_book_agree_with_the_scripted_book(site: Site) -> None:
    assert site.client.fetch_tickers(["BTC/USD", "ETH/USD"])["BTC/USD"]["last"] == 50000.0
    assert site.client.fetch_bids_asks(["BTC/USD"])["BTC/USD"]["bid"] == 49999.0
    assert site.client.fetch_order_book("BTC/USD", 5)["asks"][0][0] == 50000.0


def test_ticker_of_an_unknown_product_is_a_bad_request(site: Site) -> None:
    with pytest.raises(ERRORS.BadRequest, match="valid product_id is required"):
        site.client.v3PublicGetBrokerageMarketProductsProductIdTicker({"product_id": "NO-SUCH"})


def test_candles_come_ascending_and_the_last_one_is_still_forming(site: Site) -> None:
    # 12:00:30, so the bar of 12:00 has run for 30 seconds and the bars of 10:00 and 11:00 are whole.
    noon = 1_795_262_400_000
    bars = [Candle(noon - hours * HOUR_MS, 1.0, 4.0, 0.5, 3.0, 5.0) for hours in (2, 1)]
    site.core.account.set_candles("BTC-USD", "1h", bars)

    rows = site.client.fetch_ohlcv("BTC/USD", "1h", limit=3)

    assert [row[0] for row in rows] == [noon - 2 * HOUR_MS, noon - HOUR_MS, noon]
    assert rows[0] == [noon - 2 * HOUR_MS, 1.0, 4.0, 0.5, 3.0, 5.0]
    assert rows[-1][4] == 50000.0


def test_candles_beyond_the_cap_or_of_an_unknown_length_are_bad_requests(site: Site) -> None:
    # 1,260,001 s are more than 350 hours.
    with pytest.raises(ERRORS.BadRequest, match="less than 350"):
        site.client.fetch_ohlcv("BTC/USD", "1h", since=0, params={"until": 1_260_001_000})
    with pytest.raises(ERRORS.BadRequest, match="granularity"):
        site.client.fetch_ohlcv("BTC/USD", "4h", limit=3)


def test_signed_twins_of_the_public_calls_answer_alike(site: Site) -> None:
    site.client.options["usePrivate"] = True

    assert site.client.fetch_ticker("BTC/USD")["bid"] == 49999.0
    assert site.core.log[-1].path == f"{V3}/products/BTC-USD/ticker"
    assert site.core.log[-1].claims is not None


# ---- money


def test_fetch_balance_over_several_pages_gives_free_used_and_total(site: Site) -> None:
    site.core.switches.page_cap = 1
    site.fund(USD="100", BTC="0.5", ETH="2")
    site.client.create_order("BTC/USD", "limit", "sell", 0.2, 60000)

    balance = site.client.fetch_balance()

    assert [balance["BTC"][part] for part in ("free", "used", "total")] == [0.3, 0.2, 0.5]
    assert (balance["USD"]["total"], balance["ETH"]["total"]) == (100.0, 2.0)
    assert site.last_query() == "limit=250&cursor=2"


def test_fetch_balance_of_the_old_kind_misses_what_is_on_hold(site: Site) -> None:
    site.fund(BTC="0.5")
    site.client.create_order("BTC/USD", "limit", "sell", 0.2, 60000)
    site.client.options["fetchBalance"] = "v2PrivateGetAccounts"

    assert site.client.fetch_balance()["BTC"]["total"] == 0.3


def test_fetch_trading_fees_gives_the_rates_of_the_account(site: Site) -> None:
    site.core.account.taker_frac, site.core.account.maker_frac = Decimal("0.008"), Decimal("0.004")

    fee = site.client.fetch_trading_fee("BTC/USD")

    assert (fee["taker"], fee["maker"]) == (0.008, 0.004)


def test_key_permissions_tell_what_the_key_may_do(site: Site) -> None:
    site.core.switches.can_transfer = True

    rights = site.client.v3PrivateGetBrokerageKeyPermissions()

    assert (rights["can_view"], rights["can_trade"], rights["can_transfer"]) == (True, True, True)


# ---- the key


def test_token_is_verified_and_its_claims_are_logged(site: Site) -> None:
    site.client.fetch_balance()

    claims = site.core.log[-1].claims
    assert claims is not None
    assert claims["sub"] == site.key.name
    assert claims["uri"].endswith(f"{V3}/accounts")


def test_token_with_a_short_nonce_is_taken(site: Site) -> None:
    site.client.random_bytes = lambda size: "1f"

    site.client.fetch_balance()

    assert site.core.log[-1].status == 200


def test_token_of_another_key_is_unauthorized(site: Site) -> None:
    stranger = new_client(site.server.url, new_key(), site.clock.now)
    stranger.set_markets(site.client.markets)

    with pytest.raises(ERRORS.AuthenticationError, match="401"):
        stranger.fetch_balance()
    assert site.core.log[-1].refusal == "the signature is not of this key"
    stranger.session.close()


@pytest.mark.parametrize("seconds", [-121, 121])
def test_token_of_a_wrong_clock_is_unauthorized(site: Site, seconds: int) -> None:
    site.client.seconds = lambda: int(site.clock.now().timestamp()) + seconds

    with pytest.raises(ERRORS.AuthenticationError, match="401"):
        site.client.fetch_balance()
    assert site.core.log[-1].refusal.startswith("valid from")


def test_token_for_another_path_or_none_is_unauthorized(site: Site) -> None:
    site.client.fetch_balance()
    token = site.client.last_request_headers["Authorization"]
    host = site.server.url.removeprefix("http://")

    for headers in ({}, {"authorization": "Bearer a.b"}, {"authorization": token, "host": host}):
        reply = site.core.handle(Request("GET", f"{V3}/key_permissions", "", headers, b""), NOW)
        assert (reply.status, reply.body) == (401, b"Unauthorized")
    good = site.core.handle(Request("GET", f"{V3}/accounts", "", {"authorization": token, "host": host}, b""), NOW)
    assert good.status == 200


def test_key_without_the_right_to_trade_is_denied_orders_but_not_sight(site: Site) -> None:
    site.fund(USD="100")
    site.core.switches.can_trade = False

    with pytest.raises(ERRORS.PermissionDenied):
        site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000)
    assert site.client.fetch_balance()["USD"]["total"] == 100.0
    assert site.client.v3PrivateGetBrokerageKeyPermissions()["can_trade"] is False


def test_unknown_path_is_not_found(site: Site) -> None:
    reply = site.core.handle(Request("GET", f"{V3}/nothing", "", {}, b""), NOW)

    assert reply.status == 404
    assert json.loads(reply.body) == {"errors": [{"id": "not_found", "message": "Not found"}]}


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"client_order_id":"a","order_configuration":{}}'])
def test_body_that_is_no_order_is_an_invalid_argument(site: Site, body: bytes) -> None:
    signed = site.client.sign("brokerage/orders", ["v3", "private"], "POST", {})["headers"]
    headers = {"authorization": signed["Authorization"], "host": site.server.url.removeprefix("http://")}

    reply = site.core.handle(Request("POST", f"{V3}/orders", "", headers, body), NOW)

    assert (reply.status, json.loads(reply.body)["error"]) == (400, "INVALID_ARGUMENT")
