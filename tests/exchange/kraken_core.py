"""Kraken spot as unmodified ccxt meets it: a pure core over the shared account (docs/wire.md, sections 2, 3, 6).

Every refusal is HTTP 200 with ``{"error": [...]}``. Not there: margin (refused as for an account without it), trailing
stops, attached closing orders and the batch and amend calls; what is asked of them is refused, never ignored. A form
field that the venue does not know is ignored, as there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from account_state import AccountState
from account_types import ExchangeFill, ExchangeOrder, RefusalCode, RefusedError
from kraken_catalog import Pair, asset_decimals, asset_rows, by_any_name, full_size_pairs, pair_rows
from kraken_forms import Fields, KrakenError, decimal_field, moment_field, new_order, request_fields, truth_field
from kraken_keys import ApiKey, admit
from kraken_rows import (
    candle_row,
    depth_row,
    number_text,
    order_row,
    order_txid,
    sentence,
    ticker_row,
    trade_row,
    trade_txid,
)
from wire import Reply, Request, json_reply

CANDLE_CAP = 720
PAGE = 50
LOG_LENGTH = 20_000
DEADLINE_AT_MOST = timedelta(seconds=60)

_TIMEFRAMES = {"1": "1m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "240": "4h", "1440": "1d"}

_WORDING = {
    RefusalCode.UNKNOWN_MARKET: "EQuery:Unknown asset pair",
    RefusalCode.NO_PRICE: "EService:Unavailable",
    RefusalCode.BAD_QUANTITY: "EGeneral:Invalid arguments:volume",
    RefusalCode.BAD_PRICE: "EOrder:Tick size check failed",
    RefusalCode.BELOW_MIN_AMOUNT: "EGeneral:Invalid arguments:volume minimum not met",
    RefusalCode.BELOW_MIN_COST: "EOrder:Cost minimum not met",
    RefusalCode.POST_ONLY_WOULD_TAKE: "EOrder:Post only order",
    RefusalCode.INSUFFICIENT_FUNDS: "EOrder:Insufficient funds",
    RefusalCode.UNKNOWN_ORDER: "EOrder:Unknown order",
    RefusalCode.NOT_LIVE: "EOrder:Unknown order",
}


class ClientIdRule(StrEnum):
    """Which repeat of a cl_ord_id is refused."""

    WHILE_OPEN = "while open"
    """The venue's documentation: after a fill the same id buys again."""
    EVER = "ever"
    NEVER = "never"


class SystemStatus(StrEnum):
    """What SystemStatus says; only ONLINE takes every order."""

    ONLINE = "online"
    CANCEL_ONLY = "cancel_only"
    POST_ONLY = "post_only"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request that was answered: ``query`` and ``body`` as they came, ``key`` '' for public calls."""

    at: datetime
    method: str
    path: str
    query: str
    body: str
    fields: Fields
    key: str
    errors: tuple[str, ...]


class KrakenCore:
    """One Kraken with one account. A test may change the public attributes at any time:

    * ``account``: prices, books, candles, deposits, fees, delays.
    * ``status``; ``fees_listed``: whether AssetPairs shows fees (in September 2026 it did not).
    * ``answers_by_wsname``: Ticker and OHLC answer under ``XBT/USD``, where ccxt does not look.
    * ``client_id_rule``, ``duplicate_text`` (known from a third party only).
    * ``order_latency``: how late an order reaches the matching engine; its ``deadline`` is held against that.
    * ``unknown_order_is_error``: QueryOrders answers an unknown id with an error, else with an empty result.
    """

    def __init__(
        self,
        *,
        keys: Iterable[ApiKey],
        pairs: Sequence[Pair] | None = None,
        maker_frac: Decimal = Decimal("0.0025"),
        taker_frac: Decimal = Decimal("0.0040"),
        seed: int = 1,
    ) -> None:
        self.pairs = full_size_pairs() if pairs is None else tuple(pairs)
        self.keys = {key.key: key for key in keys}
        self.account = AccountState(
            markets=[pair.market() for pair in self.pairs],
            maker_frac=maker_frac,
            taker_frac=taker_frac,
            order_ids=order_txid,
            fill_ids=trade_txid,
            fee_step=Decimal("0.00001"),
            seed=seed,
        )
        self.status = SystemStatus.ONLINE
        self.fees_listed = True
        self.answers_by_wsname = False
        self.client_id_rule = ClientIdRule.WHILE_OPEN
        self.duplicate_text = "EOrder:Duplicate cl_ord_id"
        self.order_latency = timedelta(0)
        self.unknown_order_is_error = True
        self.log: deque[LoggedRequest] = deque(maxlen=LOG_LENGTH)
        self._by_name = by_any_name(self.pairs)

    def handle(self, request: Request, now: datetime) -> Reply:
        """Answer one request; see wire.Core."""
        self.account.advance(now)
        fields: Fields = {}
        answer: dict[str, object]
        try:
            fields = request_fields(request)
            answer = {"error": [], "result": self._result(request, fields, now)}
        except KrakenError as error:
            answer = {"error": [str(error)]}
        except RefusedError as refused:
            answer = {"error": [_WORDING[refused.code]]}
        errors = answer["error"]
        assert isinstance(errors, list)
        self.log.append(
            LoggedRequest(
                at=now,
                method=request.method,
                path=request.path,
                query=request.query,
                body=request.body.decode(errors="replace"),
                fields=fields,
                key=request.headers.get("api-key", ""),
                errors=tuple(errors),
            )
        )
        return json_reply(answer)

    def _result(self, request: Request, fields: Fields, now: datetime) -> object:
        section, _, call = request.path.removeprefix("/0/").partition("/")
        if section == "public" and call in self._public:
            return self._public[call](self, fields, now)
        if section != "private" or call not in self._private:
            raise KrakenError("EGeneral:Unknown method")
        key = admit(request, fields, self.keys)
        if self.status is SystemStatus.MAINTENANCE:
            raise KrakenError("EService:Unavailable")
        answer, rights = self._private[call]
        if rights and not rights & key.rights:
            raise KrakenError("EGeneral:Permission denied")
        return answer(self, fields, now, key)

    def _pair(self, name: str) -> Pair:
        if name not in self._by_name:
            raise KrakenError("EQuery:Unknown asset pair")
        return self._by_name[name]

    def _reply_name(self, pair: Pair) -> str:
        return pair.wsname if self.answers_by_wsname else pair.id

    # ---- public calls

    def _assets(self, fields: Fields, now: datetime) -> object:
        return asset_rows(self.pairs)

    def _asset_pairs(self, fields: Fields, now: datetime) -> object:
        fees = (self.account.taker_frac * 100, self.account.maker_frac * 100) if self.fees_listed else (None, None)
        return pair_rows(self.pairs, *fees)

    def _time(self, fields: Fields, now: datetime) -> object:
        return {"unixtime": int(now.timestamp()), "rfc1123": now.strftime("%a, %d %b %y %H:%M:%S +0000")}

    def _system_status(self, fields: Fields, now: datetime) -> object:
        return {"status": str(self.status), "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _ticker(self, fields: Fields, now: datetime) -> object:
        if "pair" in fields:
            asked = [self._pair(name) for name in fields["pair"].split(",")]
        else:
            asked = [pair for pair in self.pairs if self.account.book(pair.id) is not None]
        rows = {}
        for pair in asked:
            book = self.account.book(pair.id)
            if book is None:
                raise KrakenError("EService:Unavailable")
            days = self.account.candles(pair.id, "1d", now=now, cap=1)
            rows[self._reply_name(pair)] = ticker_row(book, days[-1] if days else None)
        return rows

    def _depth(self, fields: Fields, now: datetime) -> object:
        pair = self._pair(fields.get("pair", ""))
        book = self.account.book(pair.id)
        if book is None:
            raise KrakenError("EService:Unavailable")
        return {pair.id: depth_row(book, int(decimal_field({"count": "100", **fields}, "count")))}

    def _ohlc(self, fields: Fields, now: datetime) -> object:
        """The newest 720 bars, of those the ones after ``since``; the last is still forming."""
        pair = self._pair(fields.get("pair", ""))
        timeframe = _TIMEFRAMES.get(fields.get("interval", "1"))
        if timeframe is None:
            raise KrakenError("EGeneral:Invalid arguments:interval")
        start_ms = int(decimal_field(fields, "since") * 1000) + 1 if "since" in fields else None
        bars = self.account.candles(pair.id, timeframe, now=now, start_ms=start_ms, cap=CANDLE_CAP)
        last = bars[-2].open_ms // 1000 if len(bars) > 1 else 0
        return {self._reply_name(pair): [candle_row(bar) for bar in bars], "last": last}

    # ---- money and rights

    def _balance_ex(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        return {
            asset: {
                "balance": number_text(holding.total, asset_decimals(asset)),
                "hold_trade": number_text(holding.hold, asset_decimals(asset)),
            }
            for asset, holding in self.account.holdings().items()
        }

    def _trade_volume(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        asked = [self._pair(name) for name in fields.get("pair", "").split(",") if name]

        def rates(frac: Decimal) -> dict[str, dict[str, str]]:
            percent = number_text(frac * 100, 4)
            rate = {"fee": percent, "minfee": "0.0000", "maxfee": percent, "nextfee": percent}
            return {pair.id: rate | {"tiervolume": "0.0000", "nextvolume": "10000.0000"} for pair in asked}

        fees = {"fees": rates(self.account.taker_frac), "fees_maker": rates(self.account.maker_frac)}
        return {"currency": "ZUSD", "volume": "0.0000", **fees}

    def _trade_balance(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        """Equity in ``ZUSD`` at the bids; no margin is in use."""
        equity = Decimal(0)
        for asset, holding in self.account.holdings().items():
            quoted = [pair for pair in self.pairs if pair.base == asset and pair.quote == "ZUSD"]
            book = self.account.book(quoted[0].id) if quoted else None
            price = Decimal(1) if asset == "ZUSD" else Decimal(0) if book is None else book.bid
            equity += holding.total * price
        text = number_text(equity, 4)
        return {"eb": text, "tb": text, "e": text, "mf": text} | dict.fromkeys(("m", "n", "c", "v", "uv"), "0.0000")

    def _api_key_info(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        return key.info(now)

    def _websockets_token(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        return {"token": f"token-{key.last_nonce}", "expires": 900}

    def _nothing(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        return []

    # ---- orders

    def _add_order(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        pair = self._pair(fields.get("pair", ""))
        self._check_deadline(fields, now)
        asked = new_order({**fields, "pair": pair.id}, now)
        if self.status is SystemStatus.CANCEL_ONLY or (self.status is SystemStatus.POST_ONLY and not asked.post_only):
            raise KrakenError(f"EService:Market in {self.status} mode")
        self._check_client_id(asked.client_id)
        answer: dict[str, object] = {"descr": {"order": sentence(asked, pair)}}
        if truth_field(fields, "validate"):
            self.account.check(asked)
            return answer
        answer["txid"] = [self.account.place(asked, now).order_id]
        if asked.client_id:
            answer["cl_ord_id"] = asked.client_id
        return answer

    def _check_deadline(self, fields: Fields, now: datetime) -> None:
        if "deadline" not in fields:
            return
        try:
            deadline = datetime.fromisoformat(fields["deadline"])
        except ValueError:
            raise KrakenError("EGeneral:Invalid arguments:deadline") from None
        if deadline.tzinfo is None or deadline > now + DEADLINE_AT_MOST:
            raise KrakenError("EGeneral:Invalid arguments:deadline")
        if deadline < now + self.order_latency:
            raise KrakenError("EService:Deadline elapsed")

    def _check_client_id(self, client_id: str) -> None:
        if not client_id or self.client_id_rule is ClientIdRule.NEVER:
            return
        same = self.account.with_client_id(client_id)
        if any(order.is_live or self.client_id_rule is ClientIdRule.EVER for order in same):
            raise KrakenError(self.duplicate_text)

    def _cancel_order(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        """By id, by client id, or all that carry a userref."""
        live = self.account.live_orders()
        if "cl_ord_id" in fields:
            chosen = [order for order in live if order.asked.client_id == fields["cl_ord_id"]]
        else:
            name = fields.get("txid", "")
            chosen = [order for order in live if name and name in {order.order_id, order.asked.tags["userref"]}]
        if not chosen:
            raise KrakenError("EOrder:Unknown order")
        for order in chosen:
            self.account.cancel(order.order_id, now)
        return {"count": len(chosen)}

    def _cancel_all(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        live = self.account.live_orders()
        for order in live:
            self.account.cancel(order.order_id, now)
        return {"count": len(live)}

    def _query_orders(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        found = [self.account.order(txid) for txid in fields.get("txid", "").split(",")]
        known = self._order_rows(fields, [order for order in found if order is not None])
        if not known and self.unknown_order_is_error:
            raise KrakenError("EOrder:Unknown order")
        return known

    def _open_orders(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        return {"open": self._order_rows(fields, self.account.live_orders())}

    def _closed_orders(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        """50 a page, newest first, by the moment of their end: after ``start``, up to and with ``end``."""
        start, end = moment_field(fields, "start"), moment_field(fields, "end")
        ended = [order for order in self.account.orders() if _within(order.ended_at, start, end)]
        ended.sort(key=lambda order: order.ended_at or order.created_at, reverse=True)
        rows = self._order_rows(fields, ended)
        return {"closed": _page(rows, fields), "count": len(rows)}

    def _order_rows(self, fields: Fields, orders: Iterable[ExchangeOrder]) -> dict[str, object]:
        return {
            order.order_id: order_row(order, self._by_name[order.asked.symbol])
            for order in orders
            if fields.get("cl_ord_id", order.asked.client_id) == order.asked.client_id
            and fields.get("userref", order.asked.tags["userref"]) == order.asked.tags["userref"]
        }

    def _trades_history(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        start, end = moment_field(fields, "start"), moment_field(fields, "end")
        newest_first = [fill for fill in reversed(self.account.fills()) if _within(fill.at, start, end)]
        rows = self._trade_rows(newest_first)
        return {"trades": _page(rows, fields), "count": len(rows)}

    def _query_trades(self, fields: Fields, now: datetime, key: ApiKey) -> object:
        asked = fields.get("txid", "").split(",")
        return self._trade_rows(fill for fill in self.account.fills() if fill.fill_id in asked)

    def _trade_rows(self, fills: Iterable[ExchangeFill]) -> dict[str, object]:
        rows: dict[str, object] = {}
        for fill in fills:
            order = self.account.order(fill.order_id)
            assert order is not None, fill
            rows[fill.fill_id] = trade_row(fill, order)
        return rows

    _public: Mapping[str, Callable[[KrakenCore, Fields, datetime], object]] = {
        "Assets": _assets,
        "AssetPairs": _asset_pairs,
        "Time": _time,
        "SystemStatus": _system_status,
        "Ticker": _ticker,
        "Depth": _depth,
        "OHLC": _ohlc,
    }
    # One of the rights suffices; no rights named: every key may.
    _private: Mapping[str, tuple[Callable[[KrakenCore, Fields, datetime, ApiKey], object], frozenset[str]]] = {
        "BalanceEx": (_balance_ex, frozenset({"query-funds"})),
        "TradeVolume": (_trade_volume, frozenset({"query-funds"})),
        "TradeBalance": (_trade_balance, frozenset({"query-funds"})),
        "AddOrder": (_add_order, frozenset({"modify-trades"})),
        "CancelOrder": (_cancel_order, frozenset({"close-trades", "modify-trades"})),
        "CancelAll": (_cancel_all, frozenset({"close-trades", "modify-trades"})),
        "QueryOrders": (_query_orders, frozenset({"query-open-trades", "query-closed-trades"})),
        "OpenOrders": (_open_orders, frozenset({"query-open-trades"})),
        "ClosedOrders": (_closed_orders, frozenset({"query-closed-trades"})),
        "TradesHistory": (_trades_history, frozenset({"query-closed-trades"})),
        "QueryTrades": (_query_trades, frozenset({"query-closed-trades"})),
        "OpenPositions": (_nothing, frozenset({"query-open-trades"})),
        "GetApiKeyInfo": (_api_key_info, frozenset()),
        "GetWebSocketsToken": (_websockets_token, frozenset({"create-ws-token"})),
        "WithdrawMethods": (_nothing, frozenset({"withdraw-funds"})),
    }


def _within(at: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    return at is not None and (start is None or at > start) and (end is None or at <= end)


def _page(rows: dict[str, object], fields: Fields) -> dict[str, object]:
    first = int(decimal_field({"ofs": "0", **fields}, "ofs"))
    return dict(list(rows.items())[first : first + PAGE])
