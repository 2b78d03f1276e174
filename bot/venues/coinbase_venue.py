"""Coinbase Advanced Trade behind the Venue port.

Signing, transport and the classes of errors are ccxt's; the requests are the venue's own, because ccxt's unified
methods drop the client's order id, turn quantities into floats, and take an answer without contents for success.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.domain.account import Fill, Liquidity
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import MS_PER_SECOND, TIMEFRAME_MS, Candle, Ticker, coin_symbol
from bot.domain.orders import Order, OrderType, Side
from bot.ports import Accepted, Outcome, Rejected, Unknown
from bot.venues.ccxt_calls import locked_class
from bot.venues.ccxt_hooks import KeyRefusedError, KeyRights, candle_of, decimal_of, id_of
from bot.venues.ccxt_loader import ExchangeClasses
from bot.venues.ccxt_venue import CASH, CcxtVenue

TIMEOUT_MS = 10_000
PAGES_MAX = 100
"""Of one list; an account that needs more is answered with an error, not with a part."""
PAGE_ROWS = 250
GRANULARITIES = {
    "1m": "ONE_MINUTE",
    "5m": "FIVE_MINUTE",
    "15m": "FIFTEEN_MINUTE",
    "30m": "THIRTY_MINUTE",
    "1h": "ONE_HOUR",
    "2h": "TWO_HOUR",
    "6h": "SIX_HOUR",
    "1d": "ONE_DAY",
}
STOP_ROOM_FRAC = Decimal("0.05")
STOP_ROOM_FRAC_BY_BASE = {"SOL": Decimal("0.08")}
"""How far below its trigger a stop may sell: the venue has stop-limits only (quant, correction 9)."""
PROBE_STOP_FRAC = Decimal("0.8")
"""Trigger of the stop that is only previewed, as a part of the price: far enough not to be reached meanwhile."""
CLOSED_FLAGS = ("trading_disabled", "is_disabled", "view_only", "cancel_only", "post_only", "auction_mode")
"""A product with one of these takes no entry, or could not be sold again at once."""
STATUSES = {"FILLED": "closed", "CANCELLED": "canceled", "EXPIRED": "canceled", "FAILED": "canceled"}
"""Every other one (PENDING, QUEUED, CANCEL_QUEUED ...) is of a live order."""
NOT_RESTING = frozenset({"UNKNOWN_CANCEL_ORDER", "ORDER_IS_FULLY_FILLED"})
"""Reasons of a failed cancellation after which nothing is left to cancel."""
CANCEL_PAUSES_S = (0.0, 0.1, 0.2, 0.4, 0.6, 0.7)
"""Before each look whether a cancellation has been carried out: two seconds in all."""


def coinbase_client(classes: ExchangeClasses, *, url: str, key: str, secret: str, rate_limited: bool) -> Any:
    """Make ccxt's client with one request at a time; ``url`` '' is the venue's own address, ``key`` '' its public half.

    Raises KeyRefusedError where the secret is no key that can sign.
    """
    config: dict[str, Any] = {
        "apiKey": key,
        "secret": secret,
        "timeout": TIMEOUT_MS,
        "enableRateLimit": rate_limited,
        "options": {"fetchTime": "v3PublicGetBrokerageTime"},
    }
    if url:
        config["urls"] = {"api": {"rest": url.rstrip("/")}}
    client = locked_class(classes.coinbase)(config)
    client.enableLastHttpResponse = False  # it would keep the list of all products in memory
    if key:
        _sign_once(client)
    return client


def _sign_once(client: Any) -> None:
    try:
        client.sign("brokerage/key_permissions", ["v3", "private"], "GET", {})
    except Exception:  # noqa: BLE001 - a broken key raises anything, and its text may hold a part of the key
        raise KeyRefusedError(
            "coinbase: COINBASE_API_SECRET cannot be read as a private key; it is the whole key as the venue gave it, "
            "from -----BEGIN EC PRIVATE KEY----- to -----END EC PRIVATE KEY-----, its line ends real or written as \\n"
        ) from None


def definitely_not_placed(text: str) -> bool:
    """Whether an error that ccxt left unclassified says that no order was placed. ``text`` holds the venue's JSON."""
    body = _json_in(text)
    if body.get("success") is False:
        # A duplicate was placed, by an earlier request. "Unknown" is no reason: it may have gone wrong anywhere.
        named = [reason for reason in _reasons(body) if "UNKNOWN" not in reason]
        return bool(named) and not any("DUPLICATE" in reason for reason in named)
    return body.get("error") == "RESOURCE_EXHAUSTED"


def plain_words(text: str) -> str:
    """What the venue says in an error's JSON, in one line; the text as it is where there is none."""
    body = _json_in(text)
    refusal = body.get("error_response")
    words = refusal if isinstance(refusal, dict) else body
    told = [*_reasons(body), *(str(words[name]) for name in ("error", "message") if words.get(name))]
    return ": ".join(dict.fromkeys(told)) or text


def _reasons(body: Mapping[str, Any]) -> list[str]:
    refusal = body.get("error_response")
    names = ("preview_failure_reason", "new_order_failure_reason", "error")
    return [str(refusal[name]) for name in names if refusal.get(name)] if isinstance(refusal, dict) else []


class CoinbaseVenue(CcxtVenue):
    """One account at Coinbase Advanced Trade."""

    def _use_drift(self, drift_s: float) -> None:
        # A signature is good for two minutes from the time that it names.
        self._client.seconds = lambda: int(self._client.milliseconds() / 1000 - drift_s)

    # ---- markets and prices

    def _fetch_markets(self) -> list[dict[str, Any]]:
        told = _body(self._client.v3PublicGetBrokerageMarketProducts({}))
        markets = []
        for row in _list_in(told, "products"):
            if row.get("base_currency_id") in self._coins and row.get("quote_currency_id") in CASH:
                market = self._client.parse_spot_market(row, {})
                market["active"] = row.get("status") == "online" and not any(row.get(flag) for flag in CLOSED_FLAGS)
                markets.append(market)
        return markets

    def _ask_fees(self) -> tuple[Decimal, Decimal]:
        told = _body(self._client.v3PrivateGetBrokerageTransactionSummary({"product_type": "SPOT"}))
        tier = _dict_in(told, "fee_tier")
        return decimal_of(tier.get("maker_fee_rate")), decimal_of(tier.get("taker_fee_rate"))

    def _fetch_tickers(self, symbols: Sequence[str]) -> dict[str, Ticker]:
        books: dict[str, list[str]] = {}
        for symbol in symbols:
            market = self._client.market(symbol)
            # The products of a coin in USD and USDC are two names of one book: it is asked once.
            alias = market["info"].get("alias")
            books.setdefault(alias if alias in self._client.markets_by_id else market["id"], []).append(symbol)
        tickers: dict[str, Ticker] = {}
        for product_id, names in books.items():
            told = _body(
                self._client.v3PublicGetBrokerageMarketProductsProductIdTicker({"product_id": product_id, "limit": 1})
            )
            trades = _list_in(told, "trades")
            if "best_bid" not in told or "best_ask" not in told:
                raise VenueError(f"the price of {product_id} is not in the answer")
            bid, ask = decimal_of(told["best_bid"] or 0), decimal_of(told["best_ask"] or 0)
            if not 0 < bid <= ask:
                continue  # an empty or crossed book has no price
            last = decimal_of(trades[0].get("price")) if trades else bid
            last = last if last > 0 else bid
            at = self._now()
            if trades:  # the book has no time of its own; one without a trade for long may be an old answer
                traded_at = datetime.fromisoformat(str(trades[0]["time"])) + timedelta(seconds=self._drift_s or 0.0)
                at = min(at, traded_at)
            tickers |= {name: Ticker(symbol=name, bid=bid, ask=ask, last=last, at=at) for name in names}
        # In USDC a coin may trade rarely, where its books are two: how old an answer is shows in the one in dollars.
        primary = {name: tickers.get(coin_symbol(name), ticker) for name, ticker in tickers.items()}
        return {name: replace(ticker, at=primary[name].at) for name, ticker in tickers.items()}

    @property
    def timeframes(self) -> tuple[str, ...]:
        """Those that the venue has a word for."""
        return tuple(GRANULARITIES)

    def _fetch_candles(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> list[Candle]:
        granularity = GRANULARITIES.get(timeframe)
        if granularity is None:
            raise VenueError(f"no candles of {timeframe}; there are {', '.join(self.timeframes)}")
        request = {
            "product_id": self._client.market_id(symbol),
            "granularity": granularity,
            "start": str(since_ms // MS_PER_SECOND),
            # Both ends are included.
            "end": str((since_ms + (limit - 1) * TIMEFRAME_MS[timeframe]) // MS_PER_SECOND),
        }
        told = _body(self._client.v3PublicGetBrokerageMarketProductsProductIdCandles(request))
        return [
            candle_of(
                int(row["start"]) * MS_PER_SECOND,
                [row[name] for name in ("open", "high", "low", "close", "volume")],
            )
            for row in _list_in(told, "candles")
        ]

    # ---- money and the key

    def _fetch_balance(self) -> Mapping[str, Any]:
        free: dict[str, Decimal] = {}
        total: dict[str, Decimal] = {}
        for row in self._pages(self._client.v3PrivateGetBrokerageAccounts, "accounts", {}):
            if row.get("type") not in ("ACCOUNT_TYPE_CRYPTO", "ACCOUNT_TYPE_FIAT"):
                continue  # vaults and futures wallets cannot pay an order
            available = decimal_of(_dict_in(row, "available_balance").get("value"))
            hold = decimal_of(_dict_in(row, "hold").get("value"))
            asset = str(row["currency"])
            free[asset] = free.get(asset, Decimal(0)) + available
            total[asset] = total.get(asset, Decimal(0)) + available + hold
        return {"free": free, "total": total}

    def _ask_rights(self) -> KeyRights | None:
        try:
            told = _body(self._client.v3PrivateGetBrokerageKeyPermissions({}))
        except Exception as e:
            if self._caller.is_a(e, "PermissionDenied") or "not_found" in str(e).lower():
                return None
            raise
        needed, feared = ("can_view", "can_trade"), ("can_transfer",)
        if not all(isinstance(told.get(name), bool) for name in (*needed, *feared)):
            return None
        return KeyRights(
            allowed=tuple(name for name in (*needed, *feared) if told[name]),
            forbidden=tuple(name for name in feared if told[name]),
            missing=tuple(name for name in needed if not told[name]),
        )

    # ---- orders

    def _create(self, order: Order) -> Mapping[str, Any]:
        request = {
            "client_order_id": order.client_order_id,
            "product_id": self._client.market_id(order.symbol),
            "side": order.side.upper(),
            "order_configuration": self._configuration(order),
        }
        told = _body(self._client.v3PrivatePostBrokerageOrders(request))
        return {"id": _dict_in(told, "success_response").get("order_id")}

    def _configuration(self, order: Order) -> dict[str, Any]:
        size = f"{order.quantity:f}"
        match order.type:
            case OrderType.LIMIT:
                limit = {"base_size": size, "limit_price": f"{order.price:f}", "post_only": order.post_only}
                if order.expires_at is None:
                    return {"limit_limit_gtc": limit}
                return {"limit_limit_gtd": limit | {"end_time": _iso(self._venue_time(order.expires_at))}}
            case OrderType.IOC:
                return {"sor_limit_ioc": {"base_size": size, "limit_price": f"{order.price:f}"}}
            case OrderType.MARKET:
                return {"market_market_ioc": {"base_size": size}}
            case OrderType.STOP:
                assert order.stop_price is not None
                assert order.side is Side.SELL, "a protective stop sells"
                instrument = self._instruments[order.symbol]
                return _stop_configuration(instrument, size=order.quantity, stop_price=order.stop_price)

    def _cancel(self, venue_order_id: str) -> Outcome:
        told = _body(self._client.v3PrivatePostBrokerageOrdersBatchCancel({"order_ids": [venue_order_id]}))
        for row in _list_in(told, "results"):
            if row.get("order_id") != venue_order_id:
                continue
            if row.get("success") is True:
                self._await_end(venue_order_id)
                return Accepted(venue_order_id=venue_order_id)
            reason = str(row.get("failure_reason"))
            return Rejected(reason=reason) if reason in NOT_RESTING else Unknown(reason=reason)
        return Unknown(reason="the answer does not name the order")

    def _await_end(self, venue_order_id: str) -> None:
        """Wait while a cancellation is queued: what it holds cannot be sold by the next order before.

        Whatever a look brings, the cancellation has been accepted.
        """
        with suppress(Exception):
            for pause_s in CANCEL_PAUSES_S:
                self._caller.pause(pause_s)
                told = self._fetch_order(venue_order_id, "")
                if told is None or told["status"] != "open":
                    return

    def _fetch_open_orders(self) -> Sequence[Mapping[str, Any]]:
        # PENDING and QUEUED ones are not among them and cannot be asked for together with these; an order that is
        # missed here is asked for by its id, and is live then.
        request = {"order_status": ["OPEN"]}
        rows = self._pages(self._client.v3PrivateGetBrokerageOrdersHistoricalBatch, "orders", request)
        return [self._structure(row, self._symbol_of(str(row.get("product_id")))) for row in rows]

    def _fetch_order(self, venue_order_id: str, symbol: str) -> Mapping[str, Any] | None:
        try:
            told = _body(self._client.v3PrivateGetBrokerageOrdersHistoricalOrderId({"order_id": venue_order_id}))
        except Exception as e:
            if _is_not_found(e):
                return None
            raise
        row = _dict_in(told, "order")
        if row.get("order_id") not in (None, venue_order_id):
            raise VenueError(f"the answer is about another order than {venue_order_id}")
        return self._structure(row, symbol)

    def _find_by_client_id(self, order: Order) -> Mapping[str, Any] | None:
        # All products: a filter might miss an order that is listed under the other name of its book.
        since = self._looked_for_from(order)
        request = {"start_date": _iso(since)}
        for row in self._pages(self._client.v3PrivateGetBrokerageOrdersHistoricalBatch, "orders", request):
            if row.get("client_order_id") == order.client_order_id:
                return self._structure(row, order.symbol)
        return None

    def _structure(self, row: Mapping[str, Any], symbol: str) -> dict[str, Any]:
        """Give what the base class reads under ccxt's names, with the venue's own number texts."""
        if not row.get("order_id") or not row.get("status"):
            raise VenueError("an order without id or status")
        configurations = (row.get("order_configuration") or {}).values()
        asked = next((told for told in configurations if isinstance(told, dict)), {})
        return {
            "id": row["order_id"],
            "clientOrderId": row.get("client_order_id"),
            "symbol": symbol,
            "status": STATUSES.get(str(row["status"]), "open"),
            "filled": row["filled_size"],
            "amount": asked.get("base_size") or None,
            "side": str(row.get("side")).lower(),
            "price": asked.get("limit_price"),
            "stop_price": asked.get("stop_price"),
        }

    def _fetch_fills(self, since_ms: int) -> list[tuple[str, Fill]]:
        """Of the traded products; what else the account trades is not the bot's, and may look different."""
        request = {"start_sequence_timestamp": _iso(datetime.fromtimestamp(since_ms / MS_PER_SECOND, UTC))}
        rows = self._pages(self._client.v3PrivateGetBrokerageOrdersHistoricalFills, "fills", request)
        ours = (row for row in rows if row.get("product_id") in self._client.markets_by_id)
        # Corrections are no trades; what they move shows in the balances.
        fills = [(id_of(row["order_id"]), self._fill(row)) for row in ours if row.get("trade_type", "FILL") == "FILL"]
        return fills[::-1]  # told newest first

    def _fill(self, row: Mapping[str, Any]) -> Fill:
        size, price = decimal_of(row["size"]), decimal_of(row["price"])
        return Fill(
            fill_id=id_of(row["entry_id"]),  # trade_id is shared by a trade and its corrections
            account=self._account,
            symbol=self._symbol_of(str(row["product_id"])),
            client_order_id="",
            side=Side(str(row["side"]).lower()),
            quantity=size / price if row.get("size_in_quote") else size,
            price=price,
            fee=decimal_of(row["commission"]),
            # Where the venue does not say, the dearer one.
            liquidity=Liquidity.MAKER if row.get("liquidity_indicator") == "MAKER" else Liquidity.TAKER,
            at=datetime.fromisoformat(str(row["trade_time"])),
        )

    def _probe_stop(self, instrument: Instrument, price: Decimal) -> tuple[bool, str]:
        stop_price = instrument.price_down(price * PROBE_STOP_FRAC)
        # Twice the minimum, which is counted at the limit below the trigger.
        size = 2 * instrument.minimum_quantity_at(stop_price)
        request = {
            "product_id": self._client.market_id(instrument.symbol),
            "side": "SELL",
            "order_configuration": _stop_configuration(instrument, size=size, stop_price=stop_price),
        }
        told = _body(self._client.v3PrivatePostBrokerageOrdersPreview(request))
        errors = told.get("errs")
        if not isinstance(errors, list):
            raise VenueError("the preview of a stop was not answered")
        words = ", ".join(map(str, errors))
        if any("UNSUPPORTED" in str(error) for error in errors):
            return False, words
        if all("INSUFFICIENT_FUND" in str(error) for error in errors):  # none at all included
            return True, "a stop-limit was previewed and understood"
        raise VenueError(f"the preview of a stop brought {words}")

    # ---- inside

    def _pages(self, ask: Any, name: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Rows of every page. Raises VenueError where the list does not come to its end."""
        cursor, seen = "", {""}
        for _ in range(PAGES_MAX):
            page = {"cursor": cursor} if cursor else {}
            told = _body(ask({**request, "limit": PAGE_ROWS, **page}))
            rows = _list_in(told, name)
            cursor = str(told.get("cursor") or "")
            more = told.get("has_next", bool(cursor and rows))  # the list of fills has a cursor only
            yield from rows
            if not more:
                return
            if cursor in seen:
                break
            seen.add(cursor)
        raise VenueError(f"the list of {name} does not end")

    def _symbol_of(self, product_id: str) -> str:
        found = self._client.markets_by_id.get(product_id)
        return str(found[0]["symbol"]) if found else product_id.replace("-", "/")


def _stop_configuration(instrument: Instrument, *, size: Decimal, stop_price: Decimal) -> dict[str, Any]:
    room = STOP_ROOM_FRAC_BY_BASE.get(instrument.base, STOP_ROOM_FRAC)
    limit = max(instrument.price_down(stop_price * (1 - room)), instrument.tick_size)
    return {
        "stop_limit_stop_limit_gtc": {
            "base_size": f"{size:f}",
            "limit_price": f"{limit:f}",
            "stop_price": f"{stop_price:f}",
            "stop_direction": "STOP_DIRECTION_STOP_DOWN",
        }
    }


def _body(told: object) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise VenueError(f"the answer is no JSON object: {str(told)[:40]!r}")
    return told


def _list_in(told: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = told.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise VenueError(f"the answer has no list of {name}")
    return rows


def _dict_in(told: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name)
    if not isinstance(value, dict):
        raise VenueError(f"the answer has no {name}")
    return value


def _json_in(text: str) -> dict[str, Any]:
    """The JSON object in an error's text, {} where there is none."""
    _, brace, rest = text.partition("{")
    try:
        told = json.loads(brace + rest)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _is_not_found(error: Exception) -> bool:
    body = _json_in(str(error))
    return body.get("error") == "NOT_FOUND" or "was not found" in str(body.get("message"))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
