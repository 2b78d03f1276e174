"""The ports: what the engine needs from the outside, and nothing else.

Adapters live in ``venues/`` and ``storage/``; only ``bootstrap.py`` knows both sides. A port is a
Protocol, so that a hand-written fake needs no base class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bot.domain.account import Balance, BookEvent, CoinsOut, DustEvent, FeeSchedule, Fill, Flow
from bot.domain.instrument import Instrument
from bot.domain.market import Candle, Ticker
from bot.domain.orders import Order, OrderReport, OrderState
from bot.domain.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The venue took the order or the cancellation."""

    venue_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The venue certainly did not take it."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nobody knows whether the venue took it; it must be asked."""

    reason: str


Outcome = Accepted | Rejected | Unknown


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> datetime:
        """Current time, tz-aware UTC."""
        ...

    def wait_until(self, moment: datetime) -> None:
        """Return at ``moment``, or earlier when the program was asked to stop."""
        ...


class Venue(Protocol):
    """One account at one exchange. Every method may raise VenueError: then nothing is known.

    A method that answers answers completely: an empty mapping means "nothing", never "no idea".
    """

    @property
    def account(self) -> str:
        """Name of the account, such as ``coinbase``."""
        ...

    def instruments(self) -> Mapping[str, Instrument]:
        """Traded markets by symbol (``BTC/USD``)."""
        ...

    def fees(self) -> FeeSchedule:
        """Fees of this account."""
        ...

    def balances(self) -> Mapping[str, Balance]:
        """Every asset that the account holds."""
        ...

    def tickers(self) -> Mapping[str, Ticker]:
        """Best prices of every traded symbol that has a price; ``USDC/USD`` too where the venue knows it."""
        ...

    def candles(self, symbol: str, timeframe: str, since_ms: int) -> Sequence[Candle]:
        """CLOSED candles that open at or after ``since_ms``, ascending; gaps stay gaps."""
        ...

    def open_orders(self) -> Sequence[OrderReport]:
        """All resting orders of the account, whoever placed them."""
        ...

    def find_order(self, order: Order) -> OrderReport | None:
        """Look an order up, open or ended; None: the venue does not have it (one on its way may still arrive)."""
        ...

    def fills_since(self, cursor: str, *, deep: bool = False) -> tuple[Sequence[Fill], str]:
        """Fills after an opaque cursor ('' for all), oldest first, and the cursor to ask with next.

        ``deep`` asks in any case, and again for the day before the cursor: a venue may have listed a fill late.
        """
        ...

    def stops_rest(self) -> bool:
        """Whether a protective stop can rest here; where it cannot, the bot watches the price itself."""
        ...

    def submit(self, order: Order) -> Outcome:
        """Send an order. Never raises for a venue's answer: that is an Outcome."""
        ...

    def cancel(self, order: Order) -> Outcome:
        """Ask to cancel a resting order. ``Rejected`` means: it is not resting (any more)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityPoint:
    """The account at the end of one cycle; USD, and fractions for the last two."""

    at: datetime
    equity: float
    cash: float
    performance_index: float
    high_water_mark: float
    exposure_frac: float
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One coin's decision on one closed bar, with what it was computed from."""

    symbol: str
    account: str
    bar_ms: int
    first_bar_ms: int
    bars: int
    action: str
    """One of ``enter``, ``add``, ``reduce``, ``exit``, ``hold``, ``refuse``."""
    score: float
    details: Mapping[str, float | str | None]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEvent:
    """A guard that became active or inactive."""

    name: str
    active: bool
    used: float
    limit: float
    unit: str
    at: datetime


class Ledger(Protocol):
    """The journal, and the source from which the books are rebuilt.

    Every write is durable when the call returns, or, inside ``transaction()``, when the block ends.
    Raises LedgerError where the file cannot be read or written.
    """

    @property
    def epoch(self) -> UUID:
        """Random identity of this ledger, made with it."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Group writes: all of them or none. Blocks do not nest."""
        ...

    def next_intent_number(self, account: str, symbol: str) -> int:
        """The number that the next intent for this (account, symbol) gets, starting at 1."""
        ...

    def record_intent(self, order: Order) -> None:
        """Journal an order in state INTENT, before anything is sent."""
        ...

    def record_transition(self, order: Order, previous: OrderState, note: str = "") -> None:
        """Journal that ``order`` has left ``previous`` for its present state."""
        ...

    def record_fill(self, fill: Fill) -> bool:
        """Store a fill; False where (account, fill_id) is known already."""
        ...

    def record_flow(self, flow: Flow) -> None:
        """Store cash that came or went from outside."""
        ...

    def record_dust(self, event: DustEvent) -> None:
        """Store that what is left of a position is written off."""
        ...

    def record_coins_out(self, event: CoinsOut) -> None:
        """Store that coins of a position left the account without an order of the bot."""
        ...

    def record_bars(self, source: str, symbol: str, timeframe: str, bars: Sequence[Candle]) -> None:
        """Store closed bars; one that is stored already is left as it was."""
        ...

    def record_decision(self, decision: DecisionRecord) -> None:
        """Store a decision."""
        ...

    def record_refusal(self, refusal: Refusal) -> bool:
        """Store a refusal once per (bar, coin, code); False where it is stored already."""
        ...

    def record_guard_event(self, event: GuardEvent) -> None:
        """Store that a guard became active or inactive."""
        ...

    def record_equity(self, point: EquityPoint) -> None:
        """Store the account at the end of a cycle."""
        ...

    def set_value(self, key: str, value: object) -> None:
        """Store a small JSON value of the engine (mode, stops, cursors)."""
        ...

    def value(self, key: str, default: object = None) -> object:
        """Read a value stored with ``set_value``."""
        ...

    def live_orders(self) -> list[Order]:
        """Orders that are not in a final state, oldest first."""
        ...

    def order(self, client_order_id: str) -> Order | None:
        """One order."""
        ...

    def fills(self) -> list[Fill]:
        """All fills in the order in which they were recorded."""
        ...

    def flows(self) -> list[Flow]:
        """All flows in the order in which they were recorded."""
        ...

    def book_events(self) -> list[BookEvent]:
        """Fills, flows, write-offs and removals together in the order in which they were recorded."""
        ...

    def bars(self, source: str, symbol: str, timeframe: str) -> list[Candle]:
        """Stored bars, ascending."""
        ...


class StateFile(Protocol):
    """The JSON file that is the tier's only home."""

    def load(self) -> dict[str, object]:
        """Contents, or {} where there is no usable file (an unreadable one is set aside)."""
        ...

    def save(self, state: Mapping[str, object]) -> None:
        """Replace the contents atomically. Raises StateFileError."""
        ...


class ControlQueue(Protocol):
    """Commands from other processes to the running bot."""

    def take_all(self) -> list[Mapping[str, object]]:
        """Remove and return the waiting commands, oldest first."""
        ...
