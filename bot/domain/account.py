"""What an account holds and what happened to it: balances, fees, fills, flows, dust."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.orders import Side


class Liquidity(StrEnum):
    """Whether a fill made or took liquidity; it decides the fee."""

    MAKER = "maker"
    TAKER = "taker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One asset of one account: ``total`` = ``free`` + ``used`` (held by open orders)."""

    asset: str
    free: Decimal
    used: Decimal

    @property
    def total(self) -> Decimal:
        """Everything of this asset, free or held."""
        return self.free + self.used


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSchedule:
    """Fee fractions per side (0.006 = 0.6 %) and where they are known from."""

    maker_frac: Decimal
    taker_frac: Decimal
    origin: str
    is_fallback: bool = False
    """Whether the account could not be asked: these are the worst published ones, and it is asked again soon."""

    def __post_init__(self) -> None:
        assert 0 <= self.maker_frac <= self.taker_frac < 1, f"fees must be 0 <= maker <= taker < 1, were {self}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution, exactly as the venue reports it; ``fee`` is in quote units."""

    fill_id: str
    account: str
    symbol: str
    client_order_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    liquidity: Liquidity
    at: datetime

    def __post_init__(self) -> None:
        assert self.at.tzinfo is not None, "fill time must be tz-aware"
        assert self.quantity > 0, f"fill {self.fill_id}: quantity must be positive, was {self.quantity}"
        assert self.price > 0, f"fill {self.fill_id}: price must be positive, was {self.price}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Quote cash that came (positive) or went (negative) from outside: not profit, not loss."""

    account: str
    asset: str
    amount: Decimal
    at: datetime
    note: str

    def __post_init__(self) -> None:
        assert self.at.tzinfo is not None, "flow time must be tz-aware"
        assert self.amount != 0, "a flow of nothing is no flow"


@dataclass(frozen=True, slots=True, kw_only=True)
class DustEvent:
    """What is left of a position is too small for the venue: it is written off, all of it, at its cost."""

    account: str
    symbol: str
    at: datetime

    def __post_init__(self) -> None:
        assert self.at.tzinfo is not None, "the time of a write-off must be tz-aware"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinsOut:
    """Coins of a position that left the account without an order of the bot: moved or sold by hand.

    ``price`` is the bid at which they are valued: they leave the books like a withdrawal of so much money.
    A negative quantity came back: a sale of coins that had been taken for gone.
    """

    account: str
    symbol: str
    quantity: Decimal
    price: Decimal
    at: datetime

    def __post_init__(self) -> None:
        assert self.at.tzinfo is not None, "the time of a removal must be tz-aware"
        assert self.quantity != 0, f"{self.symbol}: a removal of nothing is none"
        assert self.price > 0, f"{self.symbol}: coins that left need a price above 0, was {self.price}"


BookEvent = Fill | Flow | DustEvent | CoinsOut
"""What the books are folded from, in the order in which it was recorded."""
