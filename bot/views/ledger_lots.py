"""Tax lots: every purchase followed to its disposal, first in, first out. Arithmetic, no tax advice.

Per account and coin, in the order in which the ledger has recorded it. Amounts are in the quote currency, a
USDC counts as one dollar. The sum over all lots equals the books to the last digit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from enum import StrEnum

from bot.books.positions import EXACT
from bot.domain.account import BookEvent, CoinsOut, DustEvent, Fill, Flow
from bot.domain.errors import InvariantError
from bot.domain.orders import Side

LOTS_NOTE = (
    "Lots are first in, first out per account and coin, a USDC counted as one dollar; coins that were moved away by "
    "hand have no proceeds. This is arithmetic, no tax advice."
)

_TWELVE_DECIMALS = Decimal("1e-12")
_SHARE = Context(prec=100, rounding=ROUND_DOWN)


class Came(StrEnum):
    """How coins were acquired."""

    BOUGHT = "bought"
    MOVED_IN = "moved in"
    """They came back by hand; counted at their price then, as what they had cost is not known here."""


class Went(StrEnum):
    """How coins were disposed of; '' for those that are still held."""

    HELD = ""
    SOLD = "sold"
    MOVED_OUT = "moved out"
    """By hand, without proceeds: what became of them is not known here."""
    WRITTEN_OFF = "written off"
    """Too small for any order: it still lies there, and the books count its cost as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Coins that were acquired together and disposed of together; base and quote units."""

    account: str
    asset: str
    quantity: Decimal
    acquired_at: datetime
    acquired_by: Came
    cost: Decimal
    """Paid, the fee included."""
    disposed_at: datetime | None = None
    disposed_by: Went = Went.HELD
    proceeds: Decimal | None = None
    """Received less the fee; None where nothing was: held, or moved out."""

    @property
    def gain(self) -> Decimal | None:
        """Proceeds less cost; None without proceeds."""
        return None if self.proceeds is None else EXACT.subtract(self.proceeds, self.cost)

    @property
    def holding_days(self) -> int | None:
        """Whole days from purchase to disposal; None while held."""
        return None if self.disposed_at is None else (self.disposed_at - self.acquired_at).days


def tax_lots(events: Iterable[BookEvent]) -> list[Lot]:
    """Disposed lots in the order of their disposal, then what is still held, oldest first.

    Raises InvariantError where more is disposed of than was acquired.
    """
    done: list[Lot] = []
    held: dict[tuple[str, str], deque[Lot]] = {}
    left: dict[tuple[str, str], Decimal] = {}
    with localcontext(EXACT):
        for event in events:
            if isinstance(event, Flow):
                continue
            key = (event.account, event.symbol.partition("/")[0])
            lots = held.setdefault(key, deque())
            position = (event.account, event.symbol)
            before = left.get(position, Decimal(0))
            if isinstance(event, DustEvent):
                done += _disposed(lots, before, Decimal(0), at=event.at, by=Went.WRITTEN_OFF)
                left[position] = Decimal(0)
                continue
            change = _change(event)
            left[position] = before + change
            if change > 0:
                lots.append(_acquired(event, key, change))
            elif isinstance(event, Fill):
                proceeds = event.quantity * event.price - event.fee
                done += _disposed(lots, -change, proceeds, at=event.at, by=Went.SOLD)
            else:
                done += _disposed(lots, -change, None, at=event.at, by=Went.MOVED_OUT)
    return done + [lot for lots in held.values() for lot in lots]


def _change(event: Fill | CoinsOut) -> Decimal:
    """What an event adds to the coins that are held."""
    if isinstance(event, CoinsOut):
        return -event.quantity
    return event.quantity if event.side is Side.BUY else -event.quantity


def _acquired(event: Fill | CoinsOut, key: tuple[str, str], quantity: Decimal) -> Lot:
    fee = event.fee if isinstance(event, Fill) else Decimal(0)
    return Lot(
        account=key[0],
        asset=key[1],
        quantity=quantity,
        acquired_at=event.at,
        acquired_by=Came.BOUGHT if isinstance(event, Fill) else Came.MOVED_IN,
        cost=quantity * event.price + fee,
    )


def _disposed(lots: deque[Lot], quantity: Decimal, proceeds: Decimal | None, *, at: datetime, by: Went) -> list[Lot]:
    """Take the oldest lots out, the last one in part; cost and proceeds are divided so that nothing is lost."""
    done = []
    while quantity > 0:
        if not lots:
            raise InvariantError(f"lots at {at.isoformat()}: {quantity} more {by} than was ever acquired")
        lot = lots.popleft()
        taken = min(quantity, lot.quantity)
        cost, received = lot.cost, proceeds
        if taken < lot.quantity:
            cost = _share(lot.cost, taken, lot.quantity)
            lots.appendleft(replace(lot, quantity=lot.quantity - taken, cost=lot.cost - cost))
        if proceeds is not None and taken < quantity:
            received = _share(proceeds, taken, quantity)
            proceeds -= received
        quantity -= taken
        done.append(replace(lot, quantity=taken, cost=cost, disposed_at=at, disposed_by=by, proceeds=received))
    return done


def _share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """A part of an amount, rounded to 12 decimals; the rest keeps what rounding leaves."""
    return _SHARE.divide(_SHARE.multiply(amount, part), whole).quantize(_TWELVE_DECIMALS, context=_SHARE)
