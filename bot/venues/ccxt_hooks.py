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
    def _use_drift(self, drift_s: float) -> None:
        """Let the client sign by the venue's clock, which is so many seconds behind this machine's."""

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

    @property
    @abstractmethod
    def timeframes(self) -> tuple[str, ...]:
        """Timeframes of which candles are served, shortest first."""

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


SMALLEST, LARGEST = Decimal("1e-18"), Decimal("1e18")
"""Of a number that a venue can mean; one further out would be 0 or infinite as a float."""


def decimal_of(value: object) -> Decimal:
    """A number of a venue or of ccxt, exactly as its text says. Raises VenueError where it is none."""
    try:
        number = Decimal(str(value))
    except InvalidOperation as e:
        raise VenueError(f"a number was expected, was {str(value)[:40]!r}") from e
    if not number.is_finite() or not (number == 0 or SMALLEST <= abs(number) <= LARGEST):
        raise VenueError(f"a number was expected, was {str(value)[:40]!r}")
    return number


def id_of(value: object) -> str:
    """An id of a venue. Raises VenueError for anything but a text: another form would be another order."""
    if not isinstance(value, str) or not value:
        raise VenueError(f"an id was expected, was {str(value)[:40]!r}")
    return value


def candle_of(open_ms: int, row: Sequence[object]) -> Candle:
    """One bar from open, high, low, close and volume. Raises VenueError where they cannot be those of a bar."""
    bar = Candle(open_ms, *(float(decimal_of(value)) for value in row))
    if not 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high or bar.volume < 0:
        raise VenueError(f"a bar was expected, was {bar!r}"[:200])
    return bar


def instrument_of(market: Mapping[str, Any]) -> Instrument:
    """One market of ccxt's structure. Raises VenueError where something is missing or cannot be true."""
    try:
        limits, precision = market["limits"], market["precision"]
        names = [market[name] for name in ("symbol", "id", "base", "quote", "type")]
        if not all(isinstance(name, str) and name for name in names):
            raise VenueError("a market without a name")
        if market["symbol"] != f"{market['base']}/{market['quote']}":
            raise VenueError(f"a market {market['symbol']} of {market['base']} and {market['quote']}")
        return Instrument(
            symbol=market["symbol"],
            base=market["base"],
            quote=market["quote"],
            lot_step=decimal_of(precision["amount"]),
            tick_size=decimal_of(precision["price"]),
            min_amount=decimal_of(limits["amount"]["min"] or 0),
            min_cost=decimal_of(limits["cost"]["min"] or 0),
            is_open=market["active"] is not False,
        )
    except (AssertionError, KeyError, TypeError) as e:
        raise VenueError(f"a market was expected: {type(e).__name__}: {e}") from e
