"""An account at Kraken, through ccxt's own client.

Most calls go to ccxt's raw methods: signing, throttling and error classes are ccxt's, but its parsers look for a reply
under one name of a pair only, turn an answer that is not whole into an empty one, and make floats of the numbers.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.domain.account import Fill, Liquidity
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import TIMEFRAME_MS, Candle, Ticker
from bot.domain.orders import Order, OrderType, Side
from bot.ports import Accepted, Outcome, Rejected
from bot.venues.ccxt_calls import locked_class
from bot.venues.ccxt_hooks import KeyRefusedError, KeyRights, candle_of, decimal_of, id_of
from bot.venues.ccxt_loader import ExchangeClasses
from bot.venues.ccxt_venue import HISTORY_BARS, CcxtVenue

RATE_LIMIT_MS = 500
"""Per unit of ccxt's costs, instead of its 1000: a private call costs 3 there, so one each 1.5 s, history 6, so 3 s.

The venue's counter rises by 1 with a call (2 with history), falls by 0.33 a second and may reach 15 (starter tier):
without any pause it rises by 1 / 1.5 - 0.33 = 0.33 a second, so 45 s of calls one after the other, 30 of them, are
free. A cycle makes about 10 a minute, while 20 fall off. Orders and cancellations are counted elsewhere.
"""
PUBLIC_COST = 2.4
"""Of prices and candles, in units of 500 ms: 1.2 s, what ccxt found that the venue bears."""
LOCKED_OUT_FOR = timedelta(seconds=15)
"""A venue that complains about the rate is left alone this long; each call meanwhile would prolong it."""
DEADLINE_AFTER = timedelta(seconds=15)
"""An order that comes later than this is refused there. The client gives up after 10 s, so that one that is looked
for afterwards is either there or soon cannot come any more; the venue takes 2 to 60 s."""
PAGES_MAX = 100
"""Of 50 rows; more than that is no answer."""
TIMEOUT_MS = 10_000

OHLC_FIELDS = 8
"""Of a bar: time, open, high, low, close, average price, volume, count."""
STABLE_PAIR = "USDC/USD"
NEEDED_RIGHTS = ("query-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades")
FORBIDDEN_RIGHTS = ("withdraw", "earn")
"""Parts of the names of rights that move funds: withdraw-funds, add- and update-withdraw-address, earn-funds."""

_ORDER_TYPES = {
    OrderType.LIMIT: "limit",
    OrderType.IOC: "limit",
    OrderType.MARKET: "market",
    OrderType.STOP: "stop-loss",
}
_COMPLAINT = re.compile(r'"([EW][A-Za-z]+:[^"]*)"')
_DEFINITE = (
    "EOrder:",
    "ETrade:",
    "EAPI:",
    "EAccount:",
    "EQuery:",
    "EGeneral:Invalid arguments",
    "EGeneral:Unknown method",
    "EService:Deadline elapsed",
    "EService:Market in",
)


def definite(text: str) -> bool:
    """Whether an error's text says that an order was certainly not placed; a repeated client id says the opposite."""
    complaints = _COMPLAINT.findall(text)
    return bool(complaints) and all(
        complaint.startswith(_DEFINITE)
        and "duplicate" not in complaint.lower()
        and not ("cl_ord_id" in complaint and complaint.startswith("EOrder:"))
        for complaint in complaints
    )


def kraken_client(classes: ExchangeClasses, *, url: str, key: str, secret: str, rate_limited: bool) -> Any:
    """Make ccxt's client, with one lock around signing and sending; ``url`` '' is the exchange's own address.

    Raises KeyRefusedError for a secret with which nothing can be signed.
    """
    try:
        base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raise KeyRefusedError(
            "KRAKEN_MASTER_API_SECRET: this is no base64 text as Kraken shows it once (88 letters, digits, + and /, "
            "with == at the end); copy the private key again, whole"
        ) from None  # the chain would show the secret
    config: dict[str, Any] = {
        "apiKey": key,
        "secret": secret,
        "timeout": TIMEOUT_MS,
        "enableRateLimit": rate_limited,
        "rateLimit": RATE_LIMIT_MS,
    }
    if url:
        address = url.rstrip("/")
        config["urls"] = {"api": {"public": address, "private": address}}
    return locked_class(classes.kraken)(config)


class KrakenVenue(CcxtVenue):
    """One account at Kraken."""

    candles_per_page = candles_served = HISTORY_BARS  # whatever is asked, the newest 720 are served

    _names: Mapping[str, str] = {}
    """Symbol by every name under which a pair may be answered."""
    _told_assets: dict[str, str] | None = None
    _locked_out: tuple[datetime, type[Exception]] | None = None

    # ---- calls

    def _private(self, call: str, form: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Result of a private call; at once an error like the last one while the venue wants to be left alone."""
        now = self._now()
        if self._locked_out is not None:
            since, error = self._locked_out
            # A clock that was put back meanwhile must not keep the account shut.
            if timedelta(0) <= now - since < LOCKED_OUT_FOR:
                until = f"{since + LOCKED_OUT_FOR:%H:%M:%S}"
                raise error(f"{call} was not sent: the venue complained about too many calls, none before {until}")
        try:
            told = getattr(self._client, f"privatePost{call}")(dict(form or {}))
        except Exception as e:
            if self._caller.is_a(e, "DDoSProtection") or self._caller.is_a(e, "RateLimitExceeded"):
                self._locked_out = (now, type(e))
            raise
        return self._result(call, told)

    def _public(self, call: str, query: Mapping[str, Any]) -> dict[str, Any]:
        told = self._client.request(call, ["public"], "GET", dict(query), {"cost": PUBLIC_COST})
        return self._result(call, told)

    def _result(self, call: str, told: object) -> dict[str, Any]:
        """Take the result out of its envelope. Raises VenueError for anything but a whole answer."""
        if isinstance(told, dict) and told.get("error") == [] and isinstance(told.get("result"), dict):
            result: dict[str, Any] = told["result"]
            return result
        raise VenueError(f"{self._account}: {call}: the answer is not whole")

    def _rows(self, call: str, result: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
        rows = result.get(key)
        if not isinstance(rows, dict):
            raise VenueError(f"{self._account}: {call}: the answer is not whole: it has no {key!r}")
        return rows

    def _pages(self, call: str, key: str, form: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Rows of all pages by their id, newest first. A row that comes in between is told twice, never left out."""
        seen = 0
        for _ in range(PAGES_MAX):
            result = self._private(call, {**form, "ofs": seen})
            rows = self._rows(call, result, key)
            yield from rows.items()
            seen += len(rows)
            if not rows or seen >= int(result["count"]):
                return
        raise VenueError(f"{self._account}: {call}: more than {seen} rows")

    def _use_drift(self, drift_s: float) -> None:
        # Each nonce must be above the last: one from a clock that is ahead would shut the key out once it is right.
        self._client.options["timeDifference"] = int(drift_s * 1000)

    # ---- markets and prices

    def _fetch_markets(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = self._client.fetch_markets()
        self._client.options["marketsByAltname"] = {}  # all of them; the wanted ones come back in _use_markets
        for market in told:
            # ccxt reads the step of prices from their decimals; an explicit step may be wider.
            step = market["info"].get("tick_size")
            if step is not None and decimal_of(step) > decimal_of(market["precision"]["price"]):
                market["precision"]["price"] = float(step)
        return told

    def _is_wanted(self, market: Mapping[str, Any]) -> bool:
        # Synthetic pairs and dark pools have the coin and the quote of the true market.
        is_plain = market.get("symbol") == f"{market.get('base')}/{market.get('quote')}" and "." not in market["id"]
        return is_plain and (market["symbol"] == STABLE_PAIR or super()._is_wanted(market))

    def _use_markets(self, wanted: Sequence[dict[str, Any]]) -> None:
        super()._use_markets(wanted)
        self._instruments.pop(STABLE_PAIR, None)  # asked for its price, not traded
        markets = self._client.markets
        self._names = {
            name: symbol
            for symbol, market in markets.items()
            for name in (market["id"], market.get("altname"), market.get("wsId"), symbol)
            if name
        }

    def _fetch_tickers(self, symbols: Sequence[str]) -> dict[str, Ticker]:
        """Raises VenueError where the answer lacks one of them; a pair without a bid or an ask has no price.

        The price of USDC may be lacking: an account that holds none needs none.
        """
        markets = self._client.markets
        has_stable = STABLE_PAIR in markets and STABLE_PAIR not in self._unlisted
        asked = dict.fromkeys((*symbols, *((STABLE_PAIR,) if has_stable else ())))
        at = self._now()  # all there is: the answer holds no time at all, so that an old one cannot be told here
        told = self._public("Ticker", {"pair": ",".join(markets[symbol]["id"] for symbol in asked)})
        rows = {self._names[name]: row for name, row in told.items() if name in self._names}
        if missing := [symbol for symbol in symbols if symbol not in rows]:
            raise VenueError(f"{self._account}: Ticker: the answer has no {', '.join(missing)}")
        found = {}
        for symbol in rows:
            bid, ask, last = (decimal_of(rows[symbol][side][0]) for side in ("b", "a", "c"))
            if bid > 0 and ask > 0:
                found[symbol] = Ticker(symbol=symbol, bid=bid, ask=ask, last=last if last > 0 else bid, at=at)
        return found

    def _fetch_candles(
        self,
        symbol: str,
        timeframe: str,
        since_ms: int,
        limit: int,  # noqa: ARG002 - the venue takes none
    ) -> list[Candle]:
        """The newest bars from ``since_ms`` on: 720 with the one that is still forming, whatever was asked."""
        minutes = self._client.timeframes.get(timeframe)
        if minutes is None:
            raise VenueError(
                f"{self._account}: candles of {timeframe} are not served, only {', '.join(self.timeframes)}"
            )
        # `since` is without its own moment there.
        since_s = (since_ms - TIMEFRAME_MS[timeframe]) // 1000
        query = {"pair": self._client.markets[symbol]["id"], "interval": minutes, "since": since_s}
        told = self._public("OHLC", query)
        rows = next((rows for name, rows in told.items() if self._names.get(name) == symbol), None)
        if not rows:  # the bar that is forming is there at any time
            raise VenueError(f"{self._account}: OHLC: the answer has no {symbol}")
        if any(len(row) != OHLC_FIELDS for row in rows):
            raise VenueError(f"{self._account}: OHLC: a row is not whole")
        return [candle_of(int(row[0]) * 1000, [row[place] for place in (1, 2, 3, 4, 6)]) for row in rows]

    @property
    def timeframes(self) -> tuple[str, ...]:
        """Those that the venue and this program know."""
        return tuple(name for name in TIMEFRAME_MS if name in self._client.timeframes)

    # ---- money and rights

    def _fetch_balance(self) -> Mapping[str, Any]:
        told = self._private("BalanceEx")
        names = {asset: self._client.safe_currency_code(asset) for asset in told}
        total = {names[asset]: decimal_of(row["balance"]) for asset, row in told.items()}
        free = {names[asset]: total[names[asset]] - decimal_of(row["hold_trade"]) for asset, row in told.items()}
        self._told_assets = {name: f"{amount:f}" for name, amount in total.items() if amount}
        return {"total": total, "free": free}

    def _assets_told(self) -> dict[str, str] | None:
        return self._told_assets

    def _ask_fees(self) -> tuple[Decimal, Decimal]:
        """The highest of the traded pairs, asked of the account: the list of pairs carries none, or old ones."""
        symbols = [symbol for symbol in self._instruments if symbol not in self._unlisted]
        pairs = ",".join(self._client.markets[symbol]["id"] for symbol in symbols)
        told = self._private("TradeVolume", {"pair": pairs})
        highest = []
        for key in ("fees_maker", "fees"):
            rows = self._rows("TradeVolume", told, key)
            fees = {
                self._names[name]: decimal_of(row["fee"]) / 100 for name, row in rows.items() if name in self._names
            }
            if missing := [symbol for symbol in symbols if symbol not in fees]:
                raise VenueError(f"{self._account}: TradeVolume: {key!r} has no {', '.join(missing)}")
            highest.append(max(fees.values()))
        maker, taker = highest
        return maker, taker

    def _ask_rights(self) -> KeyRights | None:
        try:
            told = self._private("GetApiKeyInfo")
        except Exception as e:
            if self._caller.is_a(e, "PermissionDenied") or "EGeneral:Unknown method" in str(e):
                return None
            raise
        rights = told.get("permissions")
        if not isinstance(rights, list):
            return None
        names = tuple(str(right) for right in rights)
        return KeyRights(
            allowed=names,
            forbidden=tuple(name for name in names if any(part in name for part in FORBIDDEN_RIGHTS)),
            missing=tuple(name for name in NEEDED_RIGHTS if name not in names),
        )

    # ---- orders

    def _create(self, order: Order) -> Mapping[str, Any]:
        form = {
            "pair": self._client.markets[order.symbol]["id"],
            "type": order.side.value,
            "ordertype": _ORDER_TYPES[order.type],
            "volume": f"{order.quantity:f}",
            "cl_ord_id": order.client_order_id,
            # The fee in quote, from which the books count; without the flag the side of the order decides.
            "oflags": "post,fciq" if order.post_only else "fciq",
        }
        price = order.stop_price if order.type is OrderType.STOP else order.price
        if price is not None:
            form["price"] = f"{price:f}"
        if order.type is OrderType.IOC:
            form["timeinforce"] = "IOC"
        if order.expires_at is not None:
            form |= {"timeinforce": "GTD", "expiretm": str(_seconds(self._venue_time(order.expires_at)))}
        if self._drift_s is None:
            with suppress(VenueError):  # without the venue's time no deadline can be named
                self.measure_drift()
        if self._drift_s is not None:
            form["deadline"] = f"{self._venue_time(self._now()) + DEADLINE_AFTER:%Y-%m-%dT%H:%M:%SZ}"
        try:
            told = self._private("AddOrder", form)
        except Exception as e:
            if "deadline" in str(e).lower():
                self._drift_s = None  # a clock may have been put right: the venue's is asked before the next order
            raise
        placed = told.get("txid")
        return {"id": placed[0] if isinstance(placed, list) and placed else None}

    def _cancel(self, venue_order_id: str) -> Outcome:
        try:
            told = self._private("CancelOrder", {"txid": venue_order_id})
        except Exception as e:
            if "EOrder:Unknown order" in str(e):
                return Rejected(reason=self._caller.words(e))
            raise
        if int(told["count"]) == 0:
            return Rejected(reason="the venue found nothing to cancel")
        return Accepted(venue_order_id=venue_order_id)

    def _is_unsupported(self, reason: str) -> bool:
        return "Invalid arguments:ordertype" in reason

    def _fetch_open_orders(self) -> Sequence[Mapping[str, Any]]:
        rows = self._rows("OpenOrders", self._private("OpenOrders"), "open")
        return [self._order(txid, row) for txid, row in rows.items()]

    def _find_by_client_id(self, order: Order) -> Mapping[str, Any] | None:
        """First among the open ones, then among the ended ones: in this order none slips through in between."""
        form: dict[str, Any] = {"cl_ord_id": order.client_order_id}
        open_rows = self._rows("OpenOrders", self._private("OpenOrders", form), "open")
        since = self._looked_for_from(order)
        for rows in (open_rows.items(), self._pages("ClosedOrders", "closed", form | {"start": _seconds(since)})):
            for txid, row in rows:
                if row.get("cl_ord_id") == order.client_order_id:
                    return self._order(txid, row)
        return None

    def _fetch_order(self, venue_order_id: str, symbol: str) -> Mapping[str, Any] | None:  # noqa: ARG002 - Coinbase's
        try:
            told = self._private("QueryOrders", {"txid": venue_order_id})
        except Exception as e:
            if "EOrder:Unknown order" in str(e):
                return None
            raise
        row = told.get(venue_order_id)
        if row is None:  # it says so in words where it does not know an id, and this one it has given itself
            raise VenueError(f"{self._account}: QueryOrders: the answer is not whole: it has no {venue_order_id}")
        return self._order(venue_order_id, row)

    def _order(self, txid: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """What the shared half reads of ccxt's order structure; a foreign pair keeps the venue's name."""
        asked = row["descr"]
        pair, price = asked["pair"], decimal_of(asked.get("price") or 0)
        is_stop = str(asked.get("ordertype")).startswith("stop")
        return {
            "id": txid,
            "clientOrderId": row.get("cl_ord_id") or "",
            "symbol": self._names.get(pair, pair),
            "status": row["status"],
            "amount": row["vol"],
            "filled": row["vol_exec"],
            "side": asked.get("type"),
            "stop_price" if is_stop else "price": price,
        }

    def _fetch_fills(self, since_ms: int) -> list[tuple[str, Fill]]:
        """Of the traded pairs; what else the account trades is not the bot's."""
        told = dict(self._pages("TradesHistory", "trades", {"start": since_ms // 1000}))
        return [
            (id_of(row["ordertxid"]), self._fill(txid, symbol, row))
            for txid, row in told.items()
            if (symbol := self._names.get(row["pair"], "")) in self._instruments
        ]

    def _fill(self, txid: str, symbol: str, row: Mapping[str, Any]) -> Fill:
        return Fill(
            fill_id=txid,
            account=self._account,
            symbol=symbol,
            client_order_id="",
            side=Side(row["type"]),
            quantity=decimal_of(row["vol"]),
            price=decimal_of(row["price"]),
            fee=decimal_of(row["fee"]),
            liquidity=Liquidity.MAKER if row.get("maker") is True else Liquidity.TAKER,
            at=datetime.fromtimestamp(float(row["time"]), UTC),
        )

    def _probe_stop(self, instrument: Instrument, price: Decimal) -> tuple[bool, str]:
        """Let the venue judge a stop far below the price; it does so without placing it."""
        stop = instrument.price_down(price / 2)
        form = {
            "pair": self._client.markets[instrument.symbol]["id"],
            "type": Side.SELL.value,
            "ordertype": _ORDER_TYPES[OrderType.STOP],
            "volume": f"{instrument.minimum_quantity_at(stop):f}",
            "price": f"{stop:f}",
            "validate": "true",  # ccxt would write True
        }
        try:
            told = self._private("AddOrder", form)
        except Exception as e:
            if self._caller.is_a(e, "InsufficientFunds"):
                return True, "the venue understood a stop-loss order"
            if self._is_unsupported(str(e)):
                return False, self._caller.words(e)
            raise
        if "descr" not in told:
            raise VenueError(f"{self._account}: AddOrder: the answer has no description")
        return True, "the venue checked a stop-loss order and took it"


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
