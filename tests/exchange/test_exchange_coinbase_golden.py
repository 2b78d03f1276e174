"""The local Coinbase against what was measured: requests that the client sent, replies that it understood."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from coinbase_core import CoinbaseCore
from coinbase_rig import Site, running_site

from bot.domain.market import Candle

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as site:
        yield site


def _fixture(name: str) -> Any:
    path = FIXTURES / name
    if not path.exists():
        pytest.skip(f"the measured replies and requests are not in this tree: {name}")
    return json.loads(path.read_text())


def _requests(call: str) -> list[str]:
    rows = {row["call"]: row for row in _fixture("requests/coinbase_wire.json")}
    return [f"{one['method']} {one['path']} {one.get('body', '')}".strip() for one in rows[call]["requests"]]


def _logged(core: CoinbaseCore) -> list[str]:
    lines = []
    for entry in core.log:
        body = re.sub(r'"ccxt-[0-9a-f-]{36}"', '"ccxt-<uuid4>"', entry.body.decode())
        lines.append(f"{entry.method} {entry.path}{'?' if entry.query else ''}{entry.query} {body}".strip())
    return lines


def _keys(value: Any) -> Any:
    """The names in an answer, at every depth; of a list, those of its first row. Assets and forms are no names."""
    if isinstance(value, dict):
        return {
            name: _keys(inner) if name not in {"order_configuration", "rates"} else None
            for name, inner in value.items()
        }
    return [_keys(value[0])] if isinstance(value, list) and value else None


CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "cb load_markets": ("load_markets", (True,)),
    "cb fetch_balance v3 option": ("fetch_balance", ()),
    "cb market buy cost": ("create_market_buy_order_with_cost", ("BTC/USD", 5.129, {})),
    "cb market sell": ("create_order", ("BTC/USD", "market", "sell", 0.00012345)),
    "cb limit": ("create_order", ("BTC/USD", "limit", "buy", 0.001, 50000.123)),
    "cb limit FOK": ("create_order", ("BTC/USD", "limit", "buy", 0.001, 50000, {"timeInForce": "FOK"})),
    "cb stopLossPrice sell": ("create_order", ("BTC/USD", "limit", "sell", 0.001, 48900, {"stopLossPrice": 49000})),
    "cb takeProfit sell": ("create_order", ("BTC/USD", "limit", "sell", 0.001, 61000, {"takeProfitPrice": 61000})),
    "cb client_order_id": ("create_order", ("BTC/USD", "limit", "buy", 0.001, 50000, {"client_order_id": "raw-cid"})),
    "cb preview": ("create_order", ("BTC/USD", "limit", "buy", 0.001, 50000, {"preview": True})),
    "cb fetch_ticker": ("fetch_ticker", ("BTC/USD",)),
    "cb fetch_tickers": ("fetch_tickers", (["BTC/USD", "ETH/USD"],)),
    "cb fetch_bids_asks": ("fetch_bids_asks", (["BTC/USD"],)),
    "cb fetch_order_book": ("fetch_order_book", ("BTC/USD", 5)),
    "cb limit IOC": ("create_order", ("BTC/USD", "limit", "buy", 0.001, 50000, {"timeInForce": "IOC"})),
    "cb fetch_trading_fee": ("fetch_trading_fee", ("BTC/USD",)),
    "cb fetch_open_orders": ("fetch_open_orders", ("BTC/USD",)),
    "cb key_permissions": ("v3PrivateGetBrokerageKeyPermissions", ()),
}


@pytest.mark.parametrize("call", CALLS)
def test_logged_requests_are_the_measured_ones(site: Site, call: str) -> None:
    measured = [line.replace("&cursor=p2", "&cursor=1") for line in _requests(call)]
    site.fund(USD="1000", BTC="1")
    site.core.switches.page_cap = 1 if "balance" in call else 250
    name, arguments = CALLS[call]

    getattr(site.client, name)(*arguments)

    assert _logged(site.core) == measured


WITHOUT_QUERY: dict[str, dict[str, Any]] = {
    "product_book": {"product_id": "BTC-USD"},
    "best_bid_ask": {"product_ids": "BTC-USD"},
    "preview": {
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": {"market_market_ioc": {"quote_size": "5"}},
    },
}


def _asked(row: dict[str, Any], own: dict[str, str]) -> tuple[str, list[str], str, dict[str, Any]]:
    """A measured request, with this venue's order ids, cursors and times in it, as the client's `request` takes it."""
    version, _, path = row["path"].removeprefix("/api").removeprefix("/").partition("/")
    for theirs, ours in own.items():
        path = path.replace(theirs, ours)
    params: dict[str, Any] = parse_qs(row["query"]) or WITHOUT_QUERY.get(path.rpartition("/")[2], {})
    if "granularity" in params:
        params |= {"start": "1795255200", "end": "1795262400"}
    if "cursor" in params:
        params["cursor"] = "1"
    if "order_ids" in (sent := json.loads(row.get("request_body", "{}"))):
        sent["order_ids"] = list(own.values())[-1:]
    return path, [version, "private"], row["method"], params | sent


def test_replies_have_the_names_of_the_measured_ones(site: Site) -> None:
    measured = _fixture("verified/coinbase_responses.json")
    site.fund(USD="1000", BTC="1", ETH="1")
    site.core.account.set_candles("BTC-USD", "1h", [Candle(1_795_258_800_000, 1.0, 4.0, 0.5, 3.0, 5.0)])
    site.client.create_order("BTC/USD", "market", "sell", 0.001)
    ended = site.client.create_market_buy_order_with_cost("BTC/USD", 6.36, {})["id"]
    resting = site.client.create_order("BTC/USD", "limit", "buy", 0.001, 49000)["id"]
    own = {"mkt-1": ended, "9bc1eb3b-5b46-4b71-9628-ae2ed0cca75b": resting}
    # A cancellation comes last, so that an open order is there to be listed.
    rows = sorted(measured, key=lambda row: row["path"].endswith("batch_cancel"))
    assert len(rows) == 26

    for row in rows:
        told = site.client.request(*_asked(row, own))

        assert _keys(told) == _keys(row["response"]), row["path"]
