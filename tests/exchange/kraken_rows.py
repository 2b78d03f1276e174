"""Orders, trades and prices as Kraken words them in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random

from account_types import Book, ExchangeFill, ExchangeOrder, NewOrder, Status
from kraken_catalog import COST_DECIMALS, LOT_DECIMALS, Pair

from bot.domain.account import Liquidity
from bot.domain.market import Candle

_STATUS = {
    Status.PENDING: "pending",
    Status.OPEN: "open",
    Status.FILLED: "closed",
    Status.CANCELED: "canceled",
    Status.EXPIRED: "expired",
}
_TXID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def _txid(first: str, chance: Random) -> str:
    characters = "".join(chance.choices(_TXID_CHARACTERS, k=16))
    return f"{first}{characters[:5]}-{characters[5:10]}-{characters[10:]}"


def order_txid(chance: Random) -> str:
    """An order's id, in the form OXXXXX-XXXXX-XXXXXX."""
    return _txid("O", chance)


def trade_txid(chance: Random) -> str:
    """A trade's id, in the form TXXXXX-XXXXX-XXXXXX."""
    return _txid("T", chance)


def number_text(value: Decimal, decimals: int) -> str:
    """At least that many decimals, and never a digit cut off: the books of a client can be compared exactly."""
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), value
    return f"{value:.{max(decimals, -exponent)}f}"


def sentence(asked: NewOrder, pair: Pair) -> str:
    """The description from which ccxt reads an order just placed; a size in quote stands there like one in base."""
    size = asked.quantity if asked.quantity is not None else asked.quote_size
    assert size is not None
    ordertype = asked.tags["ordertype"].removesuffix("-limit").replace("-", " ")
    words = f"{asked.side} {number_text(size, LOT_DECIMALS)} {pair.altname} @ {ordertype}"
    if asked.stop_price is not None:
        words += f" {number_text(asked.stop_price, pair.price_decimals)}"
    if asked.limit_price is not None:
        words += " -> limit" if asked.stop_price is not None else ""
        words += f" {number_text(asked.limit_price, pair.price_decimals)}"
    return words


def order_row(order: ExchangeOrder, pair: Pair) -> dict[str, object]:
    """One order as OpenOrders, ClosedOrders and QueryOrders show it.

    ``vol`` of an order sized in quote (viqc) stays in quote while ``vol_exec`` is in base: so say captures of
    closed viqc orders in public repositories; the documentation says base for both.
    """
    asked = order.asked
    size = asked.quantity if asked.quantity is not None else asked.quote_size
    assert size is not None
    price = asked.stop_price if asked.stop_price is not None else asked.limit_price
    price2 = asked.limit_price if asked.stop_price is not None else None
    average = round(order.average_price or Decimal(0), 10)
    row: dict[str, object] = {
        "refid": None,
        "userref": int(asked.tags["userref"]) if asked.tags["userref"] else None,
        "status": _STATUS[order.status],
        "opentm": order.created_at.timestamp(),
        "starttm": 0,
        "expiretm": 0 if asked.expires_at is None else asked.expires_at.timestamp(),
        "descr": {
            "pair": pair.altname,
            "type": str(asked.side),
            "ordertype": asked.tags["ordertype"],
            "price": "0" if price is None else number_text(price, pair.price_decimals),
            "price2": "0" if price2 is None else number_text(price2, pair.price_decimals),
            "leverage": "none",
            "order": sentence(asked, pair),
            "close": "",
        },
        "vol": number_text(size, LOT_DECIMALS),
        "vol_exec": number_text(order.filled, LOT_DECIMALS),
        "cost": number_text(order.cost, COST_DECIMALS),
        "fee": number_text(order.fee, COST_DECIMALS),
        "price": number_text(average, pair.price_decimals),
        "stopprice": number_text(asked.stop_price or Decimal(0), COST_DECIMALS),
        "limitprice": "0.00000",
        "misc": "",
        "oflags": asked.tags["oflags"],
    }
    if asked.client_id:
        row["cl_ord_id"] = asked.client_id
    if order.fill_ids:
        row["trades"] = list(order.fill_ids)
    if not order.is_live:
        assert order.ended_at is not None
        row["closetm"] = order.ended_at.timestamp()
        row["reason"] = order.why_ended or ("User requested" if order.status is Status.CANCELED else None)
    return row


def trade_row(fill: ExchangeFill, order: ExchangeOrder) -> dict[str, object]:
    """One execution as TradesHistory and QueryTrades show it."""
    return {
        "ordertxid": fill.order_id,
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": fill.symbol,
        "time": fill.at.timestamp(),
        "type": str(fill.side),
        "ordertype": order.asked.tags["ordertype"],
        "price": number_text(fill.price, COST_DECIMALS),
        "cost": number_text(fill.price * fill.quantity, COST_DECIMALS),
        "fee": number_text(fill.fee, COST_DECIMALS),
        "vol": number_text(fill.quantity, LOT_DECIMALS),
        "margin": "0.00000",
        "leverage": "0",
        "misc": "",
        "trade_id": fill.number,
        "maker": fill.liquidity is Liquidity.MAKER,
    }


def ticker_row(book: Book, day: Candle | None) -> dict[str, object]:
    """Best prices, and the figures of ``day`` (None: those of a day without a trade) for today and for 24 hours."""
    last = number_text(book.last, 5)
    opened, high, low = (last, last, last) if day is None else (f"{day.open}", f"{day.high}", f"{day.low}")
    volume = "0.00000000" if day is None else f"{day.volume}"
    (bid, bid_size), (ask, ask_size) = book.bids[0], book.asks[0]
    return {
        "a": [number_text(ask, 5), f"{ask_size:.0f}", number_text(ask_size, 3)],
        "b": [number_text(bid, 5), f"{bid_size:.0f}", number_text(bid_size, 3)],
        "c": [last, "0.00010000"],
        "v": [volume, volume],
        "p": [last, last],
        "t": [0, 0],
        "l": [low, low],
        "h": [high, high],
        "o": opened,
    }


def depth_row(book: Book, count: int) -> dict[str, object]:
    """The best ``count`` levels of both sides."""

    def levels(side: Sequence[tuple[Decimal, Decimal]]) -> list[list[object]]:
        return [[number_text(price, 5), number_text(size, 3), int(book.at.timestamp())] for price, size in side[:count]]

    return {"asks": levels(book.asks), "bids": levels(book.bids)}


def candle_row(candle: Candle) -> list[object]:
    """time (s), open, high, low, close, volume-weighted price (here the typical price), volume, count of trades."""
    typical = (candle.high + candle.low + candle.close) / 3
    prices = (candle.open, candle.high, candle.low, candle.close, typical, candle.volume)
    return [candle.open_ms // 1000, *(f"{value:.8f}" for value in prices), 1]
