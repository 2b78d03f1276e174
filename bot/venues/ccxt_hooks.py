"""What a venue does in its own way behind ``CcxtVenue``, and what passes between the two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from bot.domain.account import Fill
from bot.domain.errors import ConfigError, VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import Candle, Ticker
from bot.domain.orders import Order
from bot.ports import Outcome


class KeyRefusedError(ConfigError):
    """A key may do more than trade, or nobody can tell what it may do."""


class MarketCopy(Protocol):
    """Where the last good market rules are kept."""

    def save(self, markets: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """Replace the copy."""
        ...

    def load(self) -> tuple[list[dict[str, Any]], str]:
        """The markets and the time of the copy; ([], '') where there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRights:
    """What a key may do, in the venue's words; ``forbidden`` is the part that no bot needs."""

    allowed: tuple[str, ...]
    forbidden: tuple[str, ...]
    missing: tuple[str, ...]
    """What trading needs and the key lacks."""


class CcxtHooks(ABC):
    """Questions and orders in one venue's words. Any error may be raised: VenueError for half an answer."""

    @abstractmethod
    def _fetch_markets(self) -> list[dict[str, Any]]:
        """Market structures of ccxt, as many as the venue tells."""

    @abstractmethod
    def _ask_fees(self) -> tuple[Decimal, Decimal]:
        """Maker and taker fee fractions of the account."""

    @abstractmethod
    def _ask_rights(self) -> KeyRights | None:
        """What the key may do; None where the venue's answer does not tell."""

    @abstractmethod
    def _fetch_balance(self) -> Mapping[str, Any]:
        """Structure (ccxt's) of all balances; VenueError where the answer is not whole: nothing is not zero."""

    @abstractmethod
    def _fetch_open_orders(self) -> Sequence[Mapping[str, Any]]:
        """Structures (ccxt's) of all resting orders, every page; VenueError where the answer is not whole."""

    @abstractmethod
    def _fetch_tickers(self, symbols: Sequence[str]) -> dict[str, Ticker]:
        """Best prices of these markets."""

    @abstractmethod
    def _fetch_candles(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> list[Candle]:
        """One page of candles that open at or after ``since_ms``, the unfinished one perhaps among them."""

    @abstractmethod
    def _create(self, order: Order) -> Mapping[str, Any]:
        """Send an order; ccxt's order structure."""

    @abstractmethod
    def _cancel(self, venue_order_id: str) -> Outcome:
        """Ask to cancel; Rejected only where the venue says that the order does not rest. Any error means Unknown.

        Where the venue cancels later, Accepted comes when it has, or after about two seconds.
        """

    @abstractmethod
    def _find_by_client_id(self, order: Order) -> Mapping[str, Any] | None:
        """Structure (ccxt's) of an order whose venue id is not known; None: the venue does not list it."""

    @abstractmethod
    def _fetch_order(self, venue_order_id: str, symbol: str) -> Mapping[str, Any] | None:
        """Structure (ccxt's) of an order; None: the venue does not know this id."""

    @abstractmethod
    def _fetch_fills(self, since_ms: int) -> list[tuple[str, Fill]]:
        """The account's fills since a moment, oldest first, with the venue's order id of each; every page of them."""

    @abstractmethod
    def _probe_stop(self, instrument: Instrument, price: Decimal) -> tuple[bool, str]:
        """Whether the venue would let a protective stop rest, asked without placing one, and its words."""


def decimal_of(value: object) -> Decimal:
    """A number of a venue or of ccxt, exactly as its text says. Raises VenueError where it is none."""
    try:
        number = Decimal(str(value))
    except InvalidOperation as e:
        raise VenueError(f"a number was expected, was {str(value)[:40]!r}") from e
    if not number.is_finite():
        raise VenueError(f"a number was expected, was {str(value)[:40]!r}")
    return number
