"""What the simulated exchange asks of an order before it takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import ROUND_CEILING, Decimal

from bot.domain.instrument import Instrument
from bot.domain.market import Ticker
from bot.domain.orders import Order, OrderType, Side

MONEY_STEP = Decimal("0.00000001")
"""Fees are rounded up to it; nothing smaller is paid in."""


def rounded_up(fee: Decimal) -> Decimal:
    """A fee in whole steps, in favour of the exchange."""
    return fee.quantize(MONEY_STEP, rounding=ROUND_CEILING)


def is_marketable(order: Order, quote: Ticker) -> bool:
    """Whether the order executes at once at bid or ask; a stop never counts as such."""
    if order.type in (OrderType.MARKET, OrderType.STOP):
        return order.type is OrderType.MARKET
    assert order.price is not None
    return order.price >= quote.ask if order.side is Side.BUY else order.price <= quote.bid


def order_faults(
    order: Order, instrument: Instrument, quote: Ticker, *, taker_frac: Decimal, free: Callable[[str], Decimal]
) -> Iterator[str]:
    """Yield every reason against the order; ``free`` tells how much of an asset is free."""
    reference = order.price or order.stop_price or (quote.ask if order.side is Side.BUY else quote.bid)
    cost = reference * order.quantity
    if not instrument.is_open:
        yield f"{order.symbol} takes no new orders at present"
    if order.type is OrderType.STOP and order.side is Side.BUY:
        yield "a stop that buys is not supported here"
    if order.quantity % instrument.lot_step:
        yield f"quantity {order.quantity} is not a multiple of {instrument.lot_step} {instrument.base}"
    if reference <= 0 or reference % instrument.tick_size:
        yield f"price {reference} is not a multiple of {instrument.tick_size} {instrument.quote}"
    if order.quantity < instrument.min_amount:
        yield f"quantity {order.quantity} is below the minimum of {instrument.min_amount} {instrument.base}"
    if cost < instrument.min_cost:
        yield f"cost {cost} is below the minimum of {instrument.min_cost} {instrument.quote}"
    if order.post_only and is_marketable(order, quote):
        yield f"post-only at {order.price} would execute at once: bid {quote.bid}, ask {quote.ask}"
    asset, needed = instrument.base, order.quantity
    if order.side is Side.BUY:
        asset, needed = instrument.quote, cost + rounded_up(cost * taker_frac)
    if needed > (there := free(asset)):
        yield f"insufficient funds: needs {needed} {asset}, free is {there}"
