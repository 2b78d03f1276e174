"""The nouns of the local exchanges' account: markets, books, orders and fills, as AccountState hands them out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from bot.domain.account import Liquidity
from bot.domain.orders import Side

_ZERO = Decimal(0)


class Kind(StrEnum):
    """What an order does."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_MARKET = "stop-market"
    STOP_LIMIT = "stop-limit"


class TimeInForce(StrEnum):
    """How long the rest of a limit order stays."""

    GTC = "gtc"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"


class Status(StrEnum):
    """PENDING (accepted, not in the book yet) and OPEN are live; the others are final."""

    PENDING = "pending"
    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"


class RefusalCode(StrEnum):
    """Why an order or a cancellation is refused; each core words it as its venue does."""

    UNKNOWN_MARKET = "unknown market"
    NO_PRICE = "no price"
    BAD_QUANTITY = "bad quantity"
    """Not positive, or not a multiple of the lot step (of the tick size where it is in quote)."""
    BAD_PRICE = "bad price"
    """Missing, not positive, or not a multiple of the tick size."""
    BELOW_MIN_AMOUNT = "below minimum amount"
    BELOW_MIN_COST = "below minimum cost"
    POST_ONLY_WOULD_TAKE = "post-only would take"
    STOP_WOULD_TRIGGER = "stop would trigger at once"
    INSUFFICIENT_FUNDS = "insufficient funds"
    UNKNOWN_ORDER = "unknown order"
    NOT_LIVE = "order is not live"


class RefusedError(Exception):
    """The exchange does not do it; nothing has changed. ``code`` for the core, the text for the reader."""

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One market: ``lot_step`` and ``min_amount`` in base, ``tick_size`` and ``min_cost`` in quote units."""

    symbol: str
    base: str
    quote: str
    lot_step: Decimal
    tick_size: Decimal
    min_amount: Decimal
    min_cost: Decimal


class Level(NamedTuple):
    """One level of the book: a price in quote, a size in base units."""

    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Best levels first; ``last`` is the price of the last trade, ``at`` when it was put."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    last: Decimal
    at: datetime

    @property
    def bid(self) -> Decimal:
        """Best bid; a scripted book always has one."""
        return self.bids[0].price

    @property
    def ask(self) -> Decimal:
        """Best ask; a scripted book always has one."""
        return self.asks[0].price


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One asset: ``available`` to be used and on ``hold`` for live orders."""

    available: Decimal
    hold: Decimal

    @property
    def total(self) -> Decimal:
        """Available and on hold together."""
        return self.available + self.hold


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """What a client asks for.

    Exactly one of ``quantity`` (base) and ``quote_size`` (quote; market buys only) is given. ``quote_size`` with
    ``quote_includes_fee`` is all that is spent (Coinbase), without it the cost before the fee (Kraken's viqc).
    ``limit_price`` for LIMIT and STOP_LIMIT, ``stop_price`` for the stops; ``stop_up`` triggers upwards.
    ``expires_at`` for GTD. ``tags`` are the core's own notes on the order, never read here.
    """

    symbol: str
    side: Side
    kind: Kind
    client_id: str = ""
    quantity: Decimal | None = None
    quote_size: Decimal | None = None
    quote_includes_fee: bool = True
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_up: bool = False
    post_only: bool = False
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class ExchangeOrder:
    """One accepted order; only AccountState changes it. ``filled`` in base; ``cost`` and ``fee`` in quote units.

    ``triggered`` is True from the start for orders that are no stops. ``fill_ids`` oldest first.
    ``why_ended``: the exchange's reason where it ended the order by itself, else ''.
    """

    order_id: str
    asked: NewOrder
    created_at: datetime
    status: Status
    triggered: bool
    hold_price: Decimal
    """Price that the hold of a buy counts with: the limit, else the stop, else the ask when it was placed."""
    maker_frac: Decimal
    taker_frac: Decimal
    """The fees at the time when it was placed hold for all its fills."""
    filled: Decimal = _ZERO
    cost: Decimal = _ZERO
    fee: Decimal = _ZERO
    fee_unrounded: Decimal = _ZERO
    fill_ids: list[str] = field(default_factory=list)
    ended_at: datetime | None = None
    why_ended: str = ""
    cancel_asked_at: datetime | None = None
    """Since when a cancellation is queued; until it is carried out the order is live, and may fill."""

    @property
    def is_live(self) -> bool:
        """Whether it may still fill."""
        return self.status in {Status.PENDING, Status.OPEN}

    @property
    def is_resting_kind(self) -> bool:
        """Whether what is left may wait in the book; a market order's rest may not."""
        return self.asked.kind in {Kind.LIMIT, Kind.STOP_LIMIT}

    @property
    def remaining(self) -> Decimal:
        """Base units left to fill of an order sized in base; 0 for one sized in quote."""
        return _ZERO if self.asked.quantity is None else self.asked.quantity - self.filled

    @property
    def average_price(self) -> Decimal | None:
        """Cost per base unit over all fills, not rounded; None before the first."""
        return self.cost / self.filled if self.filled else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeFill:
    """One execution; ``quantity`` in base, ``price`` and ``fee`` in quote units. ``number`` counts from 1."""

    fill_id: str
    number: int
    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    liquidity: Liquidity
    at: datetime
