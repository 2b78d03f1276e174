"""What a position costs and what a round trip earned: exact values and their pure transitions.

All sums run in ``EXACT``, a decimal context that raises instead of rounding, because the ambient
one (28 digits) rounds silently. Only averages and the cost share of a partial sell are rounded, to
12 decimals; the remainder of a cost share stays in the position, so nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import (
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)

from bot.domain.account import Fill
from bot.domain.errors import InvariantError
from bot.domain.orders import Side

_FAULTS = [InvalidOperation, DivisionByZero, Overflow, FloatOperation]
_DIGITS = 100
_TWELVE_DECIMALS = Decimal("1e-12")

EXACT = Context(prec=_DIGITS, traps=[*_FAULTS, Inexact])
"""Context of the books: an operation whose result would lose a digit raises decimal.Inexact."""

_COST_SHARE = Context(prec=_DIGITS, rounding=ROUND_DOWN, traps=_FAULTS)
_AVERAGE = Context(prec=_DIGITS, rounding=ROUND_HALF_EVEN, traps=_FAULTS)


MOVED = "moved"
"""In place of the purpose of an order where coins left by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """An open round trip of one (account, symbol); quantities in base units, money in quote units."""

    account: str
    symbol: str
    opened_at: datetime
    last_fill_at: datetime
    quantity: Decimal
    """Held now."""
    cost: Decimal
    """Paid for what is held now, without fees."""
    fees: Decimal
    """Of all fills since the opening, sells included."""
    fills: int
    bought_quantity: Decimal
    bought_cost: Decimal
    sold_quantity: Decimal = Decimal(0)
    sold_proceeds: Decimal = Decimal(0)
    initial_risk_usd: Decimal | None = None
    """R: the planned loss at the first stop; None where nobody has told."""

    def __post_init__(self) -> None:
        assert self.quantity > 0, f"{self.account} {self.symbol}: an open position holds something"
        assert self.cost >= 0, f"{self.account} {self.symbol}: cost fell below zero, to {self.cost}"
        assert self.cost <= self.bought_cost, f"{self.account} {self.symbol}: cost above what was paid"

    @property
    def average_price(self) -> Decimal:
        """Cost of one base unit held, without fees, rounded to 12 decimals."""
        return _average(self.cost, self.quantity)

    @property
    def realized_pnl(self) -> Decimal:
        """What the parts that are sold already have brought, less all fees so far."""
        with localcontext(EXACT):
            return self.sold_proceeds - (self.bought_cost - self.cost) - self.fees


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A closed round trip, from flat to flat; quantities in base units, money in quote units."""

    account: str
    symbol: str
    opened_at: datetime
    closed_at: datetime
    """Time of the last fill, also where dust was left."""
    bought_quantity: Decimal
    bought_cost: Decimal
    sold_quantity: Decimal
    """Less than ``bought_quantity`` only where dust was left."""
    sold_proceeds: Decimal
    fees: Decimal
    fills: int
    last_purpose: str
    """Purpose of the order that closed it (``stop``, ``exit``), or ``dust``, or ``moved``."""
    initial_risk_usd: Decimal | None

    @property
    def is_result(self) -> bool:
        """Whether it says something about the trading: not where nothing was sold, nor where coins left by hand."""
        return bool(self.sold_quantity) and self.last_purpose != MOVED

    @property
    def average_entry(self) -> Decimal:
        """Mean price paid, rounded to 12 decimals."""
        return _average(self.bought_cost, self.bought_quantity)

    @property
    def average_exit(self) -> Decimal | None:
        """Mean price received, rounded to 12 decimals; None where all of it was dust."""
        return _average(self.sold_proceeds, self.sold_quantity) if self.sold_quantity else None

    @property
    def gross_pnl(self) -> Decimal:
        """Proceeds less what was paid, without fees; dust counts as worthless."""
        return EXACT.subtract(self.sold_proceeds, self.bought_cost)

    @property
    def net_pnl(self) -> Decimal:
        """``gross_pnl`` less all fees of the round trip."""
        return EXACT.subtract(self.gross_pnl, self.fees)


def bought(position: Position | None, fill: Fill) -> Position:
    """Add a buy to a position, or open one where the (account, symbol) was flat."""
    assert fill.side is Side.BUY, f"fill {fill.fill_id} is no buy"
    with localcontext(EXACT):
        paid = fill.quantity * fill.price
        if position is None:
            return Position(
                account=fill.account,
                symbol=fill.symbol,
                opened_at=fill.at,
                last_fill_at=fill.at,
                quantity=fill.quantity,
                cost=paid,
                fees=fill.fee,
                fills=1,
                bought_quantity=fill.quantity,
                bought_cost=paid,
            )
        return replace(
            position,
            last_fill_at=fill.at,
            quantity=position.quantity + fill.quantity,
            cost=position.cost + paid,
            fees=position.fees + fill.fee,
            fills=position.fills + 1,
            bought_quantity=position.bought_quantity + fill.quantity,
            bought_cost=position.bought_cost + paid,
        )


def sold(position: Position | None, fill: Fill, purpose: str) -> tuple[Position | Trade, Decimal]:
    """Take a sell out of a position: what is left (a Trade where nothing is), and the gross P&L.

    Raises InvariantError where more is sold than held: the bot never sells what it did not buy.
    """
    assert fill.side is Side.SELL, f"fill {fill.fill_id} is no sell"
    held = position.quantity if position is not None else Decimal(0)
    if position is None or fill.quantity > held:
        raise InvariantError(
            f"fill {fill.fill_id} on {fill.account} sells {fill.quantity} {fill.symbol}, "
            f"but the books hold {held}: at most that can be sold"
        )
    with localcontext(EXACT):
        proceeds = fill.quantity * fill.price
        all_sold = position.quantity == fill.quantity
        removed = position.cost if all_sold else _cost_share(position, fill.quantity)
        gross_pnl = proceeds - removed
        counted = replace(
            position,
            last_fill_at=fill.at,
            fees=position.fees + fill.fee,
            fills=position.fills + 1,
            sold_quantity=position.sold_quantity + fill.quantity,
            sold_proceeds=position.sold_proceeds + proceeds,
        )
        if all_sold:
            return closed(counted, purpose), gross_pnl
        left = replace(counted, quantity=position.quantity - fill.quantity, cost=position.cost - removed)
        return left, gross_pnl


def closed(position: Position, purpose: str) -> Trade:
    """Turn a position whose last fill has been counted into a closed trade."""
    return Trade(
        account=position.account,
        symbol=position.symbol,
        opened_at=position.opened_at,
        closed_at=position.last_fill_at,
        bought_quantity=position.bought_quantity,
        bought_cost=position.bought_cost,
        sold_quantity=position.sold_quantity,
        sold_proceeds=position.sold_proceeds,
        fees=position.fees,
        fills=position.fills,
        last_purpose=purpose,
        initial_risk_usd=position.initial_risk_usd,
    )


def quote_asset(symbol: str) -> str:
    """Asset in which a symbol is paid: what follows the slash. Raises InvariantError without one."""
    quote = symbol.partition("/")[2]
    if not quote:
        raise InvariantError(f"symbol {symbol!r} names no quote asset: it must look like BTC/USD")
    return quote


def _cost_share(position: Position, quantity: Decimal) -> Decimal:
    # Rounded down, so that the share can never exceed the cost, however small that is.
    share = _COST_SHARE.divide(_COST_SHARE.multiply(position.cost, quantity), position.quantity)
    return share.quantize(_TWELVE_DECIMALS, context=_COST_SHARE)


def _average(money: Decimal, quantity: Decimal) -> Decimal:
    return _AVERAGE.divide(money, quantity).quantize(_TWELVE_DECIMALS, context=_AVERAGE)
