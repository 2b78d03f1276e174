"""An order inside the simulated exchange, and the JSON form of what an account has to remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from bot.domain.account import Fill, Liquidity
from bot.domain.orders import OrderReport, OrderState, OrderType, Side

_ZERO = Decimal(0)
_BEFORE_ALL = "1970-01-01T00:00:00+00:00"
"""Orders that were stored without their time: they met every bar."""

Json = dict[str, str | None]


@dataclass(slots=True)
class WorkingOrder:
    """What was asked, what is done, what the fees came to; quantities in base, fees in quote units."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    placed_at: datetime
    expires_at: datetime | None = None
    filled: Decimal = _ZERO
    fee_due: Decimal = _ZERO
    """Exact fees of all fills."""
    fee_paid: Decimal = _ZERO
    """Fees taken so far, in whole steps of 1e-8."""

    @property
    def remaining(self) -> Decimal:
        """Quantity that is not filled yet."""
        return self.quantity - self.filled

    def report(self, ended: OrderState | None = None) -> OrderReport:
        """What the venue says about it: ``ended``, or that it rests."""
        resting = OrderState.PARTLY_FILLED if self.filled else OrderState.OPEN
        return OrderReport(
            client_order_id=self.client_order_id,
            venue_order_id=self.venue_order_id,
            symbol=self.symbol,
            state=ended or resting,
            filled_quantity=self.filled,
            side=self.side,
            quantity=self.quantity,
            price=self.price,
            stop_price=self.stop_price,
        )


def order_to_json(order: WorkingOrder) -> Json:
    """All fields, Decimals as exact strings."""
    return {
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.type.value,
        "quantity": str(order.quantity),
        "price": None if order.price is None else str(order.price),
        "stop_price": None if order.stop_price is None else str(order.stop_price),
        "placed_at": order.placed_at.isoformat(),
        "expires_at": None if order.expires_at is None else order.expires_at.isoformat(),
        "filled": str(order.filled),
        "fee_due": str(order.fee_due),
        "fee_paid": str(order.fee_paid),
    }


def order_from_json(data: Mapping[str, str]) -> WorkingOrder:
    """Inverse of ``order_to_json``. Raises KeyError, ValueError or ArithmeticError on anything else."""
    expires_at = data.get("expires_at")
    return WorkingOrder(
        client_order_id=_text(data["client_order_id"]),
        venue_order_id=_text(data["venue_order_id"]),
        symbol=_text(data["symbol"]),
        side=Side(data["side"]),
        type=OrderType(data["type"]),
        quantity=_number(data["quantity"]),
        price=None if data["price"] is None else _number(data["price"]),
        stop_price=None if data["stop_price"] is None else _number(data["stop_price"]),
        placed_at=datetime.fromisoformat(data.get("placed_at", _BEFORE_ALL)),
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        filled=_number(data["filled"]),
        fee_due=_number(data["fee_due"]),
        fee_paid=_number(data["fee_paid"]),
    )


def _text(value: object) -> str:
    """A text. Raises TypeError for anything else: it would be another id."""
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, was {value!r}")
    return value


def _number(text: str) -> Decimal:
    """A number that can be compared. Raises ValueError for NaN and infinity, ArithmeticError for no number."""
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(f"a number was expected, was {text!r}")
    return number


def report_to_json(report: OrderReport) -> Json:
    """All fields of an ended order."""
    return {
        "client_order_id": report.client_order_id,
        "venue_order_id": report.venue_order_id,
        "symbol": report.symbol,
        "state": report.state.value,
        "filled_quantity": str(report.filled_quantity),
    }


def report_from_json(data: Mapping[str, str]) -> OrderReport:
    """Inverse of ``report_to_json``. Raises KeyError, ValueError or ArithmeticError on anything else."""
    return OrderReport(
        client_order_id=_text(data["client_order_id"]),
        venue_order_id=_text(data["venue_order_id"]),
        symbol=_text(data["symbol"]),
        state=OrderState(data["state"]),
        filled_quantity=_number(data["filled_quantity"]),
    )


def fill_to_json(fill: Fill) -> Json:
    """All fields but the account, Decimals as exact strings."""
    return {
        "fill_id": fill.fill_id,
        "symbol": fill.symbol,
        "client_order_id": fill.client_order_id,
        "side": fill.side.value,
        "quantity": str(fill.quantity),
        "price": str(fill.price),
        "fee": str(fill.fee),
        "liquidity": fill.liquidity.value,
        "at": fill.at.isoformat(),
    }


def fill_from_json(account: str, data: Mapping[str, str]) -> Fill:
    """Inverse of ``fill_to_json``. Raises KeyError, ValueError or ArithmeticError on anything else."""
    return Fill(
        fill_id=_text(data["fill_id"]),
        account=account,
        symbol=_text(data["symbol"]),
        client_order_id=_text(data["client_order_id"]),
        side=Side(data["side"]),
        quantity=_number(data["quantity"]),
        price=_number(data["price"]),
        fee=_number(data["fee"]),
        liquidity=Liquidity(data["liquidity"]),
        at=datetime.fromisoformat(data["at"]),
    )
