"""An order and its life as an explicit state machine.

Every transition is written to the ledger before its effect, so that a crash at any line leaves a
state from which the venue can be asked what happened.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from bot.domain.errors import InvariantError


class Side(StrEnum):
    """Direction of an order or fill."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """How an order is executed."""

    LIMIT = "limit"
    MARKET = "market"
    IOC = "ioc"
    """A limit order of which what cannot be executed at once is cancelled: a market order with a bound."""
    STOP = "stop"
    """Rests until the price touches ``stop_price``, then executes at the market."""


class Purpose(StrEnum):
    """Why an order exists."""

    ENTRY = "entry"
    STOP = "stop"
    EXIT = "exit"


class OrderState(StrEnum):
    """The life of an order; UNKNOWN stays unknown until the venue has answered."""

    INTENT = "intent"
    IN_FLIGHT = "in_flight"
    OPEN = "open"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCEL_IN_FLIGHT = "cancel_in_flight"
    CANCELED = "canceled"
    REJECTED = "rejected"
    REFUSED = "refused"
    UNKNOWN = "unknown"


POST_ONLY_FOR = timedelta(minutes=25)
"""An entry must not outlive the bot for long: what it buys then has no stop. A bot that runs gives up sooner."""

_S = OrderState
TRANSITIONS: MappingProxyType[OrderState, frozenset[OrderState]] = MappingProxyType(
    {
        _S.INTENT: frozenset({_S.IN_FLIGHT, _S.REFUSED}),
        _S.IN_FLIGHT: frozenset({_S.OPEN, _S.PARTLY_FILLED, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.UNKNOWN}),
        _S.OPEN: frozenset({_S.PARTLY_FILLED, _S.FILLED, _S.CANCEL_IN_FLIGHT, _S.CANCELED, _S.UNKNOWN}),
        _S.PARTLY_FILLED: frozenset({_S.PARTLY_FILLED, _S.FILLED, _S.CANCEL_IN_FLIGHT, _S.CANCELED, _S.UNKNOWN}),
        _S.CANCEL_IN_FLIGHT: frozenset({_S.OPEN, _S.PARTLY_FILLED, _S.FILLED, _S.CANCELED, _S.UNKNOWN}),
        # In flight again: sent once more under the same id, where the venue does not have it.
        _S.UNKNOWN: frozenset({_S.IN_FLIGHT, _S.OPEN, _S.PARTLY_FILLED, _S.FILLED, _S.CANCELED, _S.REJECTED}),
        _S.FILLED: frozenset(),
        _S.CANCELED: frozenset(),
        _S.REJECTED: frozenset(),
        _S.REFUSED: frozenset(),
    }
)
"""Which states may follow which. PARTLY_FILLED may follow itself: another part was filled."""

FINAL_STATES = frozenset(state for state, following in TRANSITIONS.items() if not following)
"""States after which nothing more is expected from the venue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order as the bot knows it; quantities in base units, prices in quote units."""

    client_order_id: str
    account: str
    symbol: str
    intent_number: int
    purpose: Purpose
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    post_only: bool = False
    reason: str
    state: OrderState = OrderState.INTENT
    venue_order_id: str | None = None
    filled_quantity: Decimal = Decimal(0)
    created_at: datetime
    updated_at: datetime

    def __post_init__(self) -> None:
        assert self.created_at.tzinfo is not None, "order times must be tz-aware"
        assert self.quantity > 0, f"order quantity must be positive, was {self.quantity}"
        assert 0 <= self.filled_quantity <= self.quantity, f"filled {self.filled_quantity} of {self.quantity}"
        priced = self.type in (OrderType.LIMIT, OrderType.IOC)
        assert (self.price is not None) == priced, "a limit order, immediate or not, and only it, has a price"
        assert (self.stop_price is not None) == (self.type is OrderType.STOP), "a stop, and only it, has a stop price"
        assert not self.post_only or self.type is OrderType.LIMIT, "only a limit order can be post-only"

    @property
    def is_live(self) -> bool:
        """Whether the venue may still execute it."""
        return self.state not in FINAL_STATES

    @property
    def expires_at(self) -> datetime | None:
        """When its venue ends it by itself, whether or not the bot is there to do so; None: never."""
        return self.created_at + POST_ONLY_FOR if self.post_only else None

    @property
    def remaining(self) -> Decimal:
        """Quantity that is not filled yet."""
        return self.quantity - self.filled_quantity

    def moved_to(
        self,
        state: OrderState,
        *,
        at: datetime,
        venue_order_id: str | None = None,
        filled_quantity: Decimal | None = None,
    ) -> Order:
        """Return the order in its next state.

        Raises InvariantError where the state machine has no such transition, and where the filled
        quantity would fall.
        """
        if state not in TRANSITIONS[self.state]:
            raise InvariantError(f"order {self.client_order_id}: no transition from {self.state} to {state}")
        filled = self.filled_quantity if filled_quantity is None else filled_quantity
        if filled < self.filled_quantity:
            raise InvariantError(
                f"order {self.client_order_id}: filled quantity fell from {self.filled_quantity} to {filled}"
            )
        return replace(
            self,
            state=state,
            updated_at=at,
            venue_order_id=venue_order_id or self.venue_order_id,
            filled_quantity=filled,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What a venue says about one order: its state is OPEN, PARTLY_FILLED or a final one."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    state: OrderState
    filled_quantity: Decimal
    side: Side | None = None
    """This and the next three: None where the venue does not say."""
    quantity: Decimal | None = None
    price: Decimal | None = None
    """Limit, in quote units; of a stop that becomes a limit order too."""
    stop_price: Decimal | None = None


def client_order_id(epoch: uuid.UUID, account: str, symbol: str, intent_number: int) -> str:
    """Derive the id under which a venue can be asked for this intent.

    UUIDv5 of the ledger's random epoch, so that a deleted ledger can never repeat an old id.
    """
    assert intent_number > 0, f"intent numbers start at 1, was {intent_number}"
    return str(uuid.uuid5(epoch, f"{account}|{symbol}|{intent_number}"))
