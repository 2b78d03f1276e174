"""What Coinbase Advanced answers to questions about money and markets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

from account_state import AccountState
from coinbase_catalog import Product, catalog, plain, product_json
from coinbase_orders import told_time
from wire import json_reply

from bot.domain.market import TIMEFRAME_MS

FIATS = frozenset({"USD", "EUR", "GBP"})
CANDLE_CAP = 350
GRANULARITIES = {
    "ONE_MINUTE": "1m",
    "FIVE_MINUTE": "5m",
    "FIFTEEN_MINUTE": "15m",
    "THIRTY_MINUTE": "30m",
    "ONE_HOUR": "1h",
    "TWO_HOUR": "2h",
    "SIX_HOUR": "6h",
    "ONE_DAY": "1d",
}
Row = TypeVar("Row")


class Repeats(StrEnum):
    """What a repeated client order id brings; the venue's documents say the one, its list of errors the other."""

    RETURN_ORIGINAL = "return original"
    REJECT = "reject"


@dataclass(slots=True, kw_only=True)
class Switches:
    """How the venue behaves; a test may turn them at any time."""

    can_view: bool = True
    can_trade: bool = True
    can_transfer: bool = False
    repeats: Repeats = Repeats.RETURN_ORIGINAL
    page_cap: int = 250
    """Rows of a page at most, whatever the client asks for."""
    reads_product_id: bool = True
    """Whether the order history heeds `product_id`; current documents know only `product_ids`."""
    names_preview_reason: bool = True
    """Whether a rejection carries preview_failure_reason, the only reason that the client can read."""
    takes_stop_limits: bool = True
    has_futures: bool = True
    """Whether the key may see futures: else 403."""


class FailedError(Exception):
    """An answer other than HTTP 200."""

    def __init__(self, status: int, error: str, detail: str) -> None:
        super().__init__(detail)
        self.reply = json_reply({"error": error, "error_details": detail, "message": detail}, status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request taken apart: `tail` is the part of the path that names an order or a product."""

    query: dict[str, list[str]]
    body: dict[str, Any]
    tail: str
    now: datetime

    def one(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def many(self, name: str) -> list[str]:
        return self.query.get(name, [])

    def whole(self, name: str, default: int) -> int:
        text = self.one(name, str(default))
        if not text.isdecimal():
            raise FailedError(400, "INVALID_ARGUMENT", f"{name} {text!r} is not a whole number")
        return int(text)


@dataclass(slots=True, kw_only=True)
class CoinbaseReads:
    """The account, the products and the switches, and every answer that changes none of them."""

    account: AccountState
    products: dict[str, Product] = field(default_factory=catalog)
    switches: Switches = field(default_factory=Switches)

    # ---- time and money

    def v2_time(self, asked: Asked) -> dict[str, Any]:
        return {"data": {"epoch": int(asked.now.timestamp()), "iso": asked.now.strftime("%Y-%m-%dT%H:%M:%SZ")}}

    def v3_time(self, asked: Asked) -> dict[str, Any]:
        millis = int(asked.now.timestamp() * 1000)
        iso = asked.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"iso": iso, "epochSeconds": str(millis // 1000), "epochMillis": str(millis)}

    def fiats(self, asked: Asked) -> dict[str, Any]:
        return {"data": [{"id": name, "name": name, "min_size": "0.01"} for name in sorted(FIATS)]}

    def coins(self, asked: Asked) -> dict[str, Any]:
        bases = sorted({product.base for product in self.products.values()})
        shared = {"color": "#F7931A", "exponent": 8, "type": "crypto", "address_regex": ""}
        return {
            "data": [
                {"asset_id": _uuid(base), "code": base, "name": base, "sort_index": number} | shared
                for number, base in enumerate(bases)
            ]
        }

    def exchange_rates(self, asked: Asked) -> dict[str, Any]:
        # Coins for one dollar; nothing reads the numbers, the client only wants them to be there.
        dollars = [product for product in self.products.values() if product.quote == "USD"]
        rates = {"USD": "1"} | {product.base: plain(round(1 / product.price, 8)) for product in dollars}
        return {"data": {"currency": "USD", "rates": rates}}

    def v2_accounts(self, asked: Asked) -> dict[str, Any]:
        """The old list: a first page without a hold, so held money is missing from it."""
        rows = [
            {
                "id": _uuid(name),
                "name": f"{name} Wallet",
                "primary": False,
                "type": "fiat" if name in FIATS else "wallet",
                "currency": {"code": name},
                "balance": {"amount": plain(holding.available), "currency": name},
                "resource": "account",
            }
            for name, holding in self.account.holdings().items()
        ]
        page, after = self.page(rows, asked, limit=asked.whole("limit", 25))
        empty = ("ending_before", "starting_after", "previous_ending_before", "previous_uri")
        pagination = dict.fromkeys(empty, None) | {
            "next_starting_after": page[-1]["id"] if after else None,
            "next_uri": f"/v2/accounts?starting_after={page[-1]['id']}" if after else None,
            "limit": len(page),
            "order": "desc",
        }
        return {"pagination": pagination, "data": page}

    def v3_accounts(self, asked: Asked) -> dict[str, Any]:
        rows = [
            {
                "uuid": _uuid(name),
                "name": f"{name} Wallet",
                "currency": name,
                "available_balance": {"value": plain(holding.available), "currency": name},
                "default": True,
                "active": True,
                "created_at": "2023-01-04T06:20:06.456Z",
                "updated_at": "2023-01-04T06:20:07.181Z",
                "deleted_at": None,
                "type": "ACCOUNT_TYPE_FIAT" if name in FIATS else "ACCOUNT_TYPE_CRYPTO",
                "ready": True,
                "hold": {"value": plain(holding.hold), "currency": name},
            }
            for name, holding in self.account.holdings().items()
        ]
        page, after = self.page(rows, asked, limit=asked.whole("limit", 49))
        return {"accounts": page, "has_next": bool(after), "cursor": after, "size": len(page)}

    def transaction_summary(self, asked: Asked) -> dict[str, Any]:
        return {
            "total_volume": 0,
            "total_fees": 0,
            "fee_tier": {
                "pricing_tier": "Intro 1",
                "usd_from": "0",
                "usd_to": "10000",
                "taker_fee_rate": plain(self.account.taker_frac),
                "maker_fee_rate": plain(self.account.maker_frac),
                "aop_from": "",
                "aop_to": "",
            },
            "margin_rate": None,
            "goods_and_services_tax": None,
            "advanced_trade_only_volume": 0,
            "advanced_trade_only_fees": 0,
            "coinbase_pro_volume": 0,
            "coinbase_pro_fees": 0,
        }

    def key_permissions(self, asked: Asked) -> dict[str, Any]:
        rights = {name: getattr(self.switches, name) for name in ("can_view", "can_trade", "can_transfer")}
        return rights | {"portfolio_uuid": "p-1", "portfolio_type": "DEFAULT"}

    def page(self, rows: Sequence[Row], asked: Asked, *, limit: int) -> tuple[list[Row], str]:
        """One page and the cursor of the next, '' for none."""
        start = asked.whole("cursor", 0)
        end = start + max(1, min(limit, self.switches.page_cap))
        return list(rows[start:end]), str(end) if end < len(rows) else ""

    # ---- markets

    def _known_product(self, name: str) -> Product:
        product = self.products.get(name)
        if product is None:
            raise FailedError(400, "INVALID_ARGUMENT", "valid product_id is required")
        return product

    def product(self, asked: Asked) -> dict[str, Any]:
        product = self._known_product(asked.tail)
        book = self.account.book(product.product_id)
        return product_json(product, None if book is None else book.last)

    def product_list(self, asked: Asked) -> dict[str, Any]:
        wanted = asked.many("product_ids")
        if asked.one("product_type", "SPOT") != "SPOT":
            if not self.switches.has_futures:
                raise FailedError(403, "PERMISSION_DENIED", "Missing required scopes")
            return {"products": [], "num_products": 0}
        names = [name for name in self.products if not wanted or name in wanted]
        rows = []
        for name in names:
            book = self.account.book(name)
            rows.append(product_json(self.products[name], None if book is None else book.last))
        return {"products": rows, "num_products": len(rows)}

    def ticker(self, asked: Asked) -> dict[str, Any]:
        name = self._known_product(asked.tail).product_id
        book = self.account.book(name)
        if book is None:
            return {"trades": [], "best_bid": "", "best_ask": ""}
        trade = {
            "trade_id": "518078013",
            "product_id": name,
            "price": plain(book.last),
            "size": "0.00659179",
            "time": told_time(book.at),
            "side": "BUY",
            "bid": "",
            "ask": "",
        }
        return {"trades": [trade], "best_bid": plain(book.bid), "best_ask": plain(book.ask)}

    def _pricebook(self, name: str, *, depth: int, now: datetime) -> dict[str, Any]:
        book = self.account.book(self._known_product(name).product_id)
        sides = {"bids": (), "asks": ()} if book is None else {"bids": book.bids, "asks": book.asks}
        levels = {
            side: [{"price": plain(level.price), "size": plain(level.size)} for level in rows[:depth]]
            for side, rows in sides.items()
        }
        return {"product_id": name, **levels, "time": told_time(now if book is None else book.at)}

    def product_book(self, asked: Asked) -> dict[str, Any]:
        depth = asked.whole("limit", 100)
        return {"pricebook": self._pricebook(asked.one("product_id"), depth=depth, now=asked.now)}

    def best_bid_ask(self, asked: Asked) -> dict[str, Any]:
        names = asked.many("product_ids")
        return {"pricebooks": [self._pricebook(name, depth=1, now=asked.now) for name in names]}

    def candles(self, asked: Asked) -> dict[str, Any]:
        name = self._known_product(asked.tail).product_id
        timeframe = GRANULARITIES.get(asked.one("granularity"))
        if timeframe is None:
            raise FailedError(400, "INVALID_ARGUMENT", "granularity is not supported")
        start_ms, end_ms = asked.whole("start", 0) * 1000, asked.whole("end", 0) * 1000
        if end_ms - start_ms > CANDLE_CAP * TIMEFRAME_MS[timeframe]:
            raise FailedError(400, "INVALID_ARGUMENT", f"number of candles requested should be less than {CANDLE_CAP}")
        bars = self.account.candles(name, timeframe, now=asked.now, start_ms=start_ms, end_ms=end_ms)
        rows = [
            {
                "start": str(bar.open_ms // 1000),
                "low": str(bar.low),
                "high": str(bar.high),
                "open": str(bar.open),
                "close": str(bar.close),
                "volume": str(bar.volume),
            }
            for bar in reversed(bars)
        ]
        return {"candles": rows}


def _uuid(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"coinbase {name}"))
