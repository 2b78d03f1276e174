"""The local Coinbase in front of the unmodified client, over HTTP: orders from their placing to their history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from coinbase_reads import Repeats
from coinbase_rig import NOW, Site, running_site
from http_shell import Execution, Fault, FaultKind

from bot.venues.ccxt_loader import load_exchange_classes

ERRORS = load_exchange_classes().errors


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as site:
        yield site


# ---- orders


def test_market_buy_by_cost_spends_the_cost_with_the_fee_in_it(site: Site) -> None:
    site.fund(USD="10")

    placed = site.client.create_market_buy_order_with_cost("BTC/USD", 5.06, {})

    # 5.06 = x + 1.2 % of x, so x = 5 dollars: 0.0001 BTC at 50000, and a fee of 0.06.
    assert placed["status"] is None
    order = site.client.fetch_order(placed["id"], "BTC/USD")  # without the symbol, the fee has no currency
    assert (order["status"], order["filled"], order["average"], order["cost"]) == ("closed", 0.0001, 50000.0, 5.0)
    assert float(order["fee"]["cost"]) == 0.06
    assert order["fee"]["currency"] == "USD"
    assert (site.available("USD"), site.available("BTC")) == (Decimal("4.94"), Decimal("0.0001"))


def test_fill_of_an_order_sized_in_quote_is_sized_in_quote(site: Site) -> None:
    site.fund(USD="10")
    site.client.create_market_buy_order_with_cost("BTC/USD", 5.06, {})

    (trade,) = site.client.fetch_my_trades("BTC/USD")

    assert (trade["info"]["size_in_quote"], trade["info"]["size"]) == (True, "5")
    assert (trade["amount"], trade["price"], trade["takerOrMaker"]) == (0.0001, 50000.0, "taker")
    assert trade["fee"] == {"cost": 0.06, "currency": "USD"}


def test_market_sell_brings_the_proceeds_less_the_fee(site: Site) -> None:
    site.fund(BTC="0.001")

    order = site.client.fetch_order(site.client.create_order("BTC/USD", "market", "sell", 0.0002)["id"])

    # 0.0002 x 49999 = 9.9998; 1.2 % of it = 0.1199976; 9.9998 - 0.1199976 = 9.8798024
    assert (order["status"], order["filled"]) == ("closed", 0.0002)
    assert order["info"]["total_value_after_fees"] == "9.8798024"
    assert site.available("USD") == Decimal("9.8798024")


def test_post_only_limit_rests_is_found_and_canceled(site: Site) -> None:
    site.fund(USD="100")

    order_id = site.client.create_order(
        "BTC/USD", "limit", "buy", 0.001, 49000, {"postOnly": True, "client_order_id": "mine-1"}
    )["id"]

    assert site.last_configuration() == {
        "limit_limit_gtc": {"base_size": "0.001", "limit_price": "49000", "post_only": True}
    }
    (found,) = site.client.fetch_open_orders("BTC/USD")
    assert (found["id"], found["clientOrderId"], found["postOnly"], found["status"]) == (
        order_id,
        "mine-1",
        True,
        "open",
    )
    # Held: 0.001 x 49000 = 49 with the taker's 1.2 % = 49.588
    assert site.available("USD") == Decimal("50.412")
    site.client.cancel_order(order_id)
    assert site.client.fetch_order(order_id)["status"] == "canceled"
    assert site.client.fetch_open_orders("BTC/USD") == []
    assert site.available("USD") == Decimal(100)


def test_resting_limit_fills_as_maker_when_the_market_goes_through_it(site: Site) -> None:
    site.fund(USD="100")
    order_id = site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000)["id"]

    site.wait(minutes=1)
    site.put("48990", "48995")

    (trade,) = site.client.fetch_my_trades("BTC/USD", params={"order_id": order_id})
    # 0.6 % of 49 dollars
    assert (trade["price"], trade["amount"], trade["takerOrMaker"]) == (49000.0, 0.001, "maker")
    assert trade["fee"]["cost"] == 0.294
    assert site.client.fetch_closed_orders("BTC/USD")[0]["id"] == order_id


def test_limit_filled_in_part_and_canceled_is_not_among_the_filled_ones(site: Site) -> None:
    site.fund(USD="100")
    site.core.account.fill_partly("BTC-USD", Decimal("0.25"))
    order_id = site.client.create_order("BTC/USD", "limit", "buy", 0.001, 50000)["id"]

    part = site.client.fetch_order(order_id)
    site.client.cancel_order(order_id)

    assert (part["status"], part["filled"], part["remaining"]) == ("open", 0.00025, 0.00075)
    assert part["info"]["completion_percentage"] == "25"
    assert site.client.fetch_closed_orders("BTC/USD") == []
    (ended,) = site.client.fetch_orders("BTC/USD")
    assert (ended["status"], ended["filled"]) == ("canceled", 0.00025)


def test_stop_limit_sale_waits_then_triggers_and_fills(site: Site) -> None:
    site.fund(BTC="0.001")

    order_id = site.client.create_order("BTC/USD", "limit", "sell", 0.001, 48900, {"stopLossPrice": 49000})["id"]

    assert site.last_configuration() == {
        "stop_limit_stop_limit_gtc": {
            "base_size": "0.001",
            "limit_price": "48900",
            "stop_price": "49000",
            "stop_direction": "STOP_DIRECTION_STOP_DOWN",
        }
    }
    waiting = site.client.fetch_order(order_id)
    assert (waiting["status"], waiting["triggerPrice"], waiting["price"]) == ("open", 49000.0, 48900.0)
    assert (waiting["info"]["trigger_status"], waiting["info"]["order_type"]) == ("STOP_PENDING", "STOP_LIMIT")
    site.wait(minutes=1)
    site.put("48950", "48951", "48950")
    filled = site.client.fetch_order(order_id)
    assert (filled["status"], filled["average"]) == ("closed", 48950.0)
    assert filled["info"]["trigger_status"] == "STOP_TRIGGERED"


def test_stop_on_the_wrong_side_of_the_last_price_is_an_invalid_order(site: Site) -> None:
    site.fund(BTC="0.001")

    with pytest.raises(ERRORS.InvalidOrder, match="PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"):
        site.client.create_order("BTC/USD", "limit", "sell", 0.001, 50900, {"stopLossPrice": 51000})
    # The unified triggerPrice of a sale goes upwards: wrong for a stop below the market, and rejected for it.
    with pytest.raises(ERRORS.ExchangeError, match="PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE"):
        site.client.create_order("BTC/USD", "limit", "sell", 0.001, 48900, {"triggerPrice": 49000})


def test_stop_limit_where_the_venue_takes_none_is_rejected(site: Site) -> None:
    site.fund(BTC="0.001")
    site.core.switches.takes_stop_limits = False

    with pytest.raises(ERRORS.ExchangeError, match="UNSUPPORTED_ORDER_CONFIGURATION"):
        site.client.create_order("BTC/USD", "limit", "sell", 0.001, 48900, {"stopLossPrice": 49000})
    assert site.core.account.orders() == []


def test_pending_order_is_not_open_until_its_delay_is_over(site: Site) -> None:
    site.fund(USD="100")
    site.core.account.open_delay = timedelta(seconds=2)

    order_id = site.client.create_order("BTC/USD", "limit", "buy", 0.001, 50000)["id"]

    assert site.client.fetch_order(order_id)["status"] == "PENDING"
    assert site.client.fetch_open_orders("BTC/USD") == []
    site.wait(seconds=2)
    assert site.client.fetch_order(order_id)["status"] == "closed"


def test_canceled_order_is_queued_and_not_among_the_open_ones_until_its_delay_is_over(site: Site) -> None:
    site.fund(USD="100")
    site.core.account.cancel_delay = timedelta(seconds=2)
    order_id = site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000)["id"]

    site.client.cancel_order(order_id)

    queued = site.client.fetch_order(order_id)
    assert (queued["status"], queued["info"]["pending_cancel"]) == ("CANCEL_QUEUED", True)
    assert site.client.fetch_open_orders("BTC/USD") == []
    assert site.available("USD") < 100
    site.wait(seconds=2)
    ended = site.client.fetch_order(order_id)
    assert (ended["status"], ended["info"]["pending_cancel"]) == ("canceled", False)
    assert site.available("USD") == Decimal(100)


def test_immediate_fill_or_kill_and_dated_limits_end_as_they_say(site: Site) -> None:
    site.fund(USD="100")
    params: list[dict[str, Any]] = [
        {"timeInForce": "IOC"},
        {"timeInForce": "FOK"},
        {"timeInForce": "GTD", "end_time": "2026-11-21T12:01:00Z"},
    ]

    for extra in params:
        site.client.create_order("BTC/USD", "limit", "buy", 0.0005, 49000, extra)

    site.wait(minutes=1)
    rows = [row["info"] for row in site.client.fetch_orders("BTC/USD")]
    assert [(row["time_in_force"], row["status"]) for row in sorted(rows, key=lambda row: row["time_in_force"])] == [
        ("FILL_OR_KILL", "CANCELLED"),
        ("GOOD_UNTIL_DATE_TIME", "EXPIRED"),
        ("IMMEDIATE_OR_CANCEL", "CANCELLED"),
    ]


# ---- rejections


def test_order_without_funds_is_rejected_with_the_reason_the_client_reads(site: Site) -> None:
    site.fund(USD="10")

    with pytest.raises(ERRORS.InsufficientFunds):
        site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000)
    assert site.core.log[-1].status == 200


def test_order_without_funds_and_without_preview_reason_is_only_an_exchange_error(site: Site) -> None:
    site.core.switches.names_preview_reason = False

    with pytest.raises(ERRORS.ExchangeError, match="INSUFFICIENT_FUND") as raised:
        site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000)
    assert type(raised.value) is ERRORS.ExchangeError


@pytest.mark.parametrize(
    ("amount", "price", "params", "reason"),
    [
        (0.001, 50000, {"postOnly": True}, "INVALID_LIMIT_PRICE_POST_ONLY"),
        (0.00001, 49000, {}, "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),  # 0.49 dollars, the minimum is 1
    ],
)
def test_order_against_the_rules_is_rejected(
    site: Site, amount: float, price: float, params: dict[str, Any], reason: str
) -> None:
    site.fund(USD="1000")

    with pytest.raises(ERRORS.ExchangeError, match=reason):
        site.client.create_order("BTC/USD", "limit", "buy", amount, price, params)
    assert site.core.account.orders() == []


@pytest.mark.parametrize(
    ("flag", "taken"),
    [("", ["market", "limit", "post-only"]), ("limit_only", ["limit", "post-only"]), ("post_only", ["post-only"])]
    + [(flag, []) for flag in ("cancel_only", "view_only", "trading_disabled")],
)
def test_product_in_a_special_state_takes_only_its_kinds(site: Site, flag: str, taken: list[str]) -> None:
    site.fund(BTC="1")
    site.core.products["BTC-USD"] = replace(site.core.products["BTC-USD"], flag=flag)
    orders: dict[str, tuple[Any, ...]] = {
        "market": ("market", "sell", 0.001),
        "limit": ("limit", "sell", 0.001, 60000),
        "post-only": ("limit", "sell", 0.001, 60000, {"postOnly": True}),
    }

    found = []
    for name, order in orders.items():
        try:
            site.client.create_order("BTC/USD", *order)
        except ERRORS.ExchangeError as error:
            assert "ORDER_ENTRY_DISABLED" in str(error)  # noqa: PT017 - which of them raise is the matter here
        else:
            found.append(name)

    assert found == taken


def test_cancellation_of_an_unknown_or_ended_order_is_a_bad_request(site: Site) -> None:
    site.fund(BTC="1")
    ended = site.client.create_order("BTC/USD", "market", "sell", 0.001)["id"]

    for order_id in ("no-such-order", ended):
        with pytest.raises(ERRORS.BadRequest):
            site.client.cancel_order(order_id)
        assert json.loads(site.client.last_http_response)["results"][0]["failure_reason"] == "UNKNOWN_CANCEL_ORDER"


def test_unknown_order_is_not_found(site: Site) -> None:
    with pytest.raises(ERRORS.ExchangeError, match="order with this orderID was not found"):
        site.client.fetch_order("no-such-order")
    assert site.core.log[-1].status == 404


# ---- repeats


def test_repeated_client_id_brings_the_first_order_and_no_second_one(site: Site) -> None:
    site.fund(USD="100")

    first, second = (
        site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000, {"client_order_id": "mine-1"})["id"]
        for _ in range(2)
    )

    assert first == second
    assert len(site.core.account.orders()) == 1


def test_repeated_client_id_where_the_venue_rejects_it_is_an_exchange_error(site: Site) -> None:
    site.fund(USD="100")
    site.core.switches.repeats = Repeats.REJECT
    site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000, {"client_order_id": "mine-1"})

    with pytest.raises(ERRORS.ExchangeError, match="DUPLICATE_CLIENT_ORDER_ID"):
        site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000, {"client_order_id": "mine-1"})
    assert len(site.core.account.orders()) == 1


def test_order_whose_answer_is_lost_is_found_again_by_its_client_id(site: Site) -> None:
    site.fund(USD="100")
    order = ("BTC/USD", "limit", "buy", 0.001, 49000)
    site.server.inject("*/orders", Fault(FaultKind.CLOSE, execution=Execution.FIRST))

    with pytest.raises(ERRORS.NetworkError):
        site.client.create_order(*order, {"client_order_id": "mine-1"})

    (found,) = site.client.fetch_orders("BTC/USD")
    assert (found["clientOrderId"], found["status"]) == ("mine-1", "open")
    assert site.client.create_order(*order, {"client_order_id": "mine-1"})["id"] == found["id"]


# ---- history


def test_order_history_follows_the_cursor_and_starts_at_since(site: Site) -> None:
    site.fund(USD="1000")
    site.core.switches.page_cap = 2
    ids = []
    for _ in range(5):
        ids.append(site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000)["id"])
        site.wait(seconds=1)

    since = int(NOW.timestamp() * 1000) + 1000

    assert [row["id"] for row in site.client.fetch_orders("BTC/USD")] == ids[3:]
    assert sorted(row["id"] for row in site.client.fetch_orders("BTC/USD", params={"paginate": True})) == sorted(ids)
    assert [row["id"] for row in site.client.fetch_orders("BTC/USD", since)] == ids[3:]
    assert "start_date=2026-11-21T12%3A00%3A31.000Z" in site.last_query()
    site.core.switches.page_cap = 250
    assert [row["id"] for row in site.client.fetch_orders("BTC/USD", since)] == ids[1:]


def test_fill_history_has_pages_and_filters(site: Site) -> None:
    site.fund(BTC="1")
    first = site.client.create_order("BTC/USD", "market", "sell", 0.001)["id"]
    site.wait(seconds=1)
    second = site.client.create_order("BTC/USD", "market", "sell", 0.002)["id"]

    raw = site.client.v3PrivateGetBrokerageOrdersHistoricalFills({"limit": 1})
    rest = site.client.v3PrivateGetBrokerageOrdersHistoricalFills({"limit": 1, "cursor": raw["cursor"]})
    late = site.client.fetch_my_trades("BTC/USD", since=int(NOW.timestamp() * 1000) + 1000)

    assert [row["order_id"] for row in raw["fills"] + rest["fills"]] == [second, first]
    assert rest["cursor"] == ""
    assert [trade["order"] for trade in late] == [second]


def test_order_history_that_does_not_heed_the_product_brings_all_products(site: Site) -> None:
    site.fund(USD="100", ETH="1")
    site.put("2500", "2501", symbol="ETH-USD")
    site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000)
    site.client.create_order("ETH/USD", "limit", "sell", 0.01, 3000)
    asked = {"product_id": "BTC-USD"}

    heeded = site.client.v3PrivateGetBrokerageOrdersHistoricalBatch(dict(asked))["orders"]
    site.core.switches.reads_product_id = False
    ignored = site.client.v3PrivateGetBrokerageOrdersHistoricalBatch(dict(asked))["orders"]

    assert [row["product_id"] for row in heeded] == ["BTC-USD"]
    assert sorted(row["product_id"] for row in ignored) == ["BTC-USD", "ETH-USD"]


def test_product_in_usdc_takes_from_the_usdc_wallet(site: Site) -> None:
    site.fund(USD="100", USDC="100")
    site.put("49999", "50000", symbol="BTC-USDC")

    site.client.create_market_buy_order_with_cost("BTC/USDC", 5.06, {})

    assert (site.available("USD"), site.available("USDC")) == (Decimal(100), Decimal("94.94"))


def test_preview_judges_an_order_and_places_none(site: Site) -> None:
    site.fund(USD="10")
    body = {
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": {"limit_limit_gtc": {"base_size": "0.001", "limit_price": "49000", "post_only": False}},
    }

    preview = site.client.v3PrivatePostBrokerageOrdersPreview(body)

    # 0.001 x 49000 = 49, and 1.2 % of it
    assert preview["errs"] == ["PREVIEW_INSUFFICIENT_FUND"]
    assert (preview["commission_total"], preview["order_total"]) == ("0.588", "49.588")
    assert site.core.account.orders() == []
