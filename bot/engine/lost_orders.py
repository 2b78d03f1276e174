"""Orders that this ledger must have sent and does not know: it is older than what the venue remembers.

An id follows from the ledger's epoch and a number, so that it can be recognised without having been stored.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from bot.domain.account import Fill
from bot.domain.orders import Order, OrderReport, OrderType, Purpose, Side, client_order_id

LOST_REASON = "found at the venue: this ledger had lost it"
AHEAD = 1000
"""Intents of one market that may be lost at most; so far numbers are compared, and left out afterwards."""


def is_of_a_bot(client_id: str) -> bool:
    """Whether an order's id has the form of this program's: a UUID made from a name (version 5)."""
    try:
        return UUID(client_id).version == 5
    except ValueError:
        return False


def number_of(client_id: str, *, epoch: UUID, account: str, symbol: str, next_number: int) -> int | None:
    """The intent number behind an id; None where this ledger cannot have made it."""
    if not is_of_a_bot(client_id):
        return None
    numbers = range(max(1, next_number - AHEAD), next_number + AHEAD)
    return next((n for n in numbers if client_order_id(epoch, account, symbol, n) == client_id), None)


def order_of_report(report: OrderReport, *, account: str, number: int, now: datetime) -> Order | None:
    """The intent behind an order that rests; None where the venue does not say enough."""
    if report.side is None or report.quantity is None:
        return None
    return _order(
        report.client_order_id,
        account=account,
        symbol=report.symbol,
        number=number,
        side=report.side,
        quantity=report.quantity,
        price=report.price,
        stop_price=report.stop_price,
        created_at=now,
    )


def order_of_fill(fill: Fill, *, number: int) -> Order:
    """The intent behind a fill, as far as the fill tells it."""
    return _order(
        fill.client_order_id,
        account=fill.account,
        symbol=fill.symbol,
        number=number,
        side=fill.side,
        quantity=fill.quantity,
        price=fill.price,
        stop_price=None,
        created_at=fill.at,
    )


def _order(
    client_id: str,
    *,
    account: str,
    symbol: str,
    number: int,
    side: Side,
    quantity: Decimal,
    price: Decimal | None,
    stop_price: Decimal | None,
    created_at: datetime,
) -> Order:
    entry = side is Side.BUY
    kind = OrderType.LIMIT if entry else OrderType.IOC
    if stop_price is not None:
        kind, price = OrderType.STOP, None
    elif price is None:
        kind = OrderType.MARKET
    return Order(
        client_order_id=client_id,
        account=account,
        symbol=symbol,
        intent_number=number,
        purpose=Purpose.ENTRY if entry else Purpose.STOP if kind is OrderType.STOP else Purpose.EXIT,
        side=side,
        type=kind,
        quantity=quantity,
        price=price,
        stop_price=stop_price,
        post_only=kind is OrderType.LIMIT,
        reason=LOST_REASON,
        created_at=created_at,
        updated_at=created_at,
    )
