"""Coinbase's way to write orders: the bodies it takes, the reasons it gives, and the rows it answers with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from account_state import (
    ExchangeFill,
    ExchangeOrder,
    Kind,
    NewOrder,
    RefusalCode,
    Status,
    TimeInForce,
)
from coinbase_catalog import plain

from bot.domain.account import Liquidity
from bot.domain.orders import Side

STATUS_NAMES = {
    Status.PENDING: "PENDING",
    Status.OPEN: "OPEN",
    Status.FILLED: "FILLED",
    Status.CANCELED: "CANCELLED",
    Status.EXPIRED: "EXPIRED",
}
CANCEL_QUEUED = "CANCEL_QUEUED"
TIME_IN_FORCE_NAMES = {
    TimeInForce.GTC: "GOOD_UNTIL_CANCELLED",
    TimeInForce.GTD: "GOOD_UNTIL_DATE_TIME",
    TimeInForce.IOC: "IMMEDIATE_OR_CANCEL",
    TimeInForce.FOK: "FILL_OR_KILL",
}
REASONS = {
    RefusalCode.UNKNOWN_MARKET: "INVALID_PRODUCT_ID",
    RefusalCode.NO_PRICE: "UNKNOWN_FAILURE_REASON",
    RefusalCode.BAD_QUANTITY: "PREVIEW_INVALID_SIZE_PRECISION",
    RefusalCode.BAD_PRICE: "PREVIEW_INVALID_PRICE_PRECISION",
    RefusalCode.BELOW_MIN_AMOUNT: "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL",
    RefusalCode.BELOW_MIN_COST: "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL",
    RefusalCode.POST_ONLY_WOULD_TAKE: "INVALID_LIMIT_PRICE_POST_ONLY",
    RefusalCode.INSUFFICIENT_FUNDS: "PREVIEW_INSUFFICIENT_FUND",
}
FORMS: dict[str, tuple[Kind, TimeInForce]] = {
    "market_market_ioc": (Kind.MARKET, TimeInForce.IOC),
    "limit_limit_gtc": (Kind.LIMIT, TimeInForce.GTC),
    "limit_limit_gtd": (Kind.LIMIT, TimeInForce.GTD),
    "limit_limit_fok": (Kind.LIMIT, TimeInForce.FOK),
    "sor_limit_ioc": (Kind.LIMIT, TimeInForce.IOC),
    "stop_limit_stop_limit_gtc": (Kind.STOP_LIMIT, TimeInForce.GTC),
    "stop_limit_stop_limit_gtd": (Kind.STOP_LIMIT, TimeInForce.GTD),
}
ORDER_TYPE_NAMES = {Kind.MARKET: "MARKET", Kind.LIMIT: "LIMIT", Kind.STOP_LIMIT: "STOP_LIMIT"}


class BadBodyError(Exception):
    """The body is not one this venue takes: HTTP 400."""


def order_form(body: Mapping[str, Any]) -> str:
    """The name of the one order configuration of a body. Raises BadBodyError."""
    configuration = body.get("order_configuration")
    if not isinstance(configuration, dict) or len(configuration) != 1:
        raise BadBodyError("order_configuration must hold one configuration")
    return str(next(iter(configuration)))


def new_order(body: Mapping[str, Any]) -> NewOrder:
    """What the body asks for; its form must be one of FORMS. Raises BadBodyError."""
    form = order_form(body)
    kind, time_in_force = FORMS[form]
    fields = body["order_configuration"][form]
    if body.get("side") not in {"BUY", "SELL"}:
        raise BadBodyError(f"side {body.get('side')!r}")
    base, quote = _number(fields, "base_size"), _number(fields, "quote_size")
    side = Side(body["side"].lower())
    if (base is None) == (quote is None) or (quote is not None and (kind is not Kind.MARKET or side is Side.SELL)):
        raise BadBodyError("one of base_size and, for market buys, quote_size")
    return NewOrder(
        symbol=str(body.get("product_id", "")),
        side=side,
        kind=kind,
        client_id=str(body.get("client_order_id", "")),
        quantity=base,
        quote_size=quote,
        quote_includes_fee=True,
        limit_price=_number(fields, "limit_price"),
        stop_price=_number(fields, "stop_price"),
        stop_up=_stop_up(kind, fields),
        post_only=fields.get("post_only") is True,
        time_in_force=time_in_force,
        expires_at=None if time_in_force is not TimeInForce.GTD else parsed_time(str(fields.get("end_time"))),
        tags={"configuration": json.dumps(body["order_configuration"])},
    )


def _stop_up(kind: Kind, fields: Mapping[str, Any]) -> bool:
    if kind is not Kind.STOP_LIMIT:
        return False
    direction = fields.get("stop_direction")
    if direction not in {"STOP_DIRECTION_STOP_UP", "STOP_DIRECTION_STOP_DOWN"}:
        raise BadBodyError(f"stop_direction {direction!r}")
    return bool(direction == "STOP_DIRECTION_STOP_UP")


def _number(fields: Mapping[str, Any], name: str) -> Decimal | None:
    """Numbers travel as strings; the venue takes no JSON numbers."""
    text = fields.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise BadBodyError(f"{name} must be a string, not {text!r}")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise BadBodyError(f"{name} {text!r} is not a number") from None


def parsed_time(text: str) -> datetime:
    """A time of a body or query, with its offset. Raises BadBodyError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadBodyError(f"{text!r} is not a time") from None
    if at.tzinfo is None:
        raise BadBodyError(f"{text!r} has no offset")
    return at


def told_time(at: datetime) -> str:
    """A time as the venue writes it: microseconds and Z."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def refusal_reason(code: RefusalCode, *, stop_up: bool) -> str:
    """The venue's word for why an order is refused."""
    if code is RefusalCode.STOP_WOULD_TRIGGER:
        return f"PREVIEW_STOP_PRICE_{'BELOW' if stop_up else 'ABOVE'}_LAST_TRADE_PRICE"
    return REASONS[code]


def accepted_json(order: ExchangeOrder) -> dict[str, Any]:
    """The answer to an order that was placed, or that is repeated."""
    asked = order.asked
    return {
        "success": True,
        "failure_reason": "UNKNOWN_FAILURE_REASON",
        "order_id": order.order_id,
        "success_response": {
            "order_id": order.order_id,
            "product_id": asked.symbol,
            "side": asked.side.upper(),
            "client_order_id": asked.client_id,
        },
        "order_configuration": configuration_json(asked),
    }


def refused_json(reason: str, detail: str, body: Mapping[str, Any], *, names_preview_reason: bool) -> dict[str, Any]:
    """The answer, with HTTP 200, to an order that was not placed."""
    word = reason.removeprefix("PREVIEW_")
    error = {"error": word, "message": detail, "error_details": ""}
    if word == reason or not names_preview_reason:
        error["new_order_failure_reason"] = word
    else:
        error["preview_failure_reason"] = reason
    return {
        "success": False,
        "failure_reason": "UNKNOWN_FAILURE_REASON",
        "order_id": "",
        "error_response": error,
        "order_configuration": body["order_configuration"],
    }


def configuration_json(asked: NewOrder) -> Any:
    """The order configuration as it came."""
    return json.loads(asked.tags["configuration"])


def status_name(order: ExchangeOrder) -> str:
    """The venue's word for where an order stands."""
    return CANCEL_QUEUED if order.is_live and order.cancel_asked_at is not None else STATUS_NAMES[order.status]


def order_json(order: ExchangeOrder) -> dict[str, Any]:
    """An order as the history shows it."""
    asked = order.asked
    in_quote = asked.quote_size is not None
    after_fees = order.cost + order.fee if asked.side is Side.BUY else order.cost - order.fee
    return {
        "order_id": order.order_id,
        "product_id": asked.symbol,
        "user_id": "u",
        "order_configuration": configuration_json(asked),
        "side": asked.side.upper(),
        "client_order_id": asked.client_id,
        "status": status_name(order),
        "time_in_force": TIME_IN_FORCE_NAMES[asked.time_in_force],
        "created_time": told_time(order.created_at),
        "completion_percentage": plain(_completion(order)),
        "filled_size": plain(order.filled),
        "average_filled_price": plain(order.average_price or Decimal(0)),
        "fee": "",
        "number_of_fills": str(len(order.fill_ids)),
        "filled_value": plain(order.cost),
        "pending_cancel": status_name(order) == CANCEL_QUEUED,
        "size_in_quote": in_quote,
        "total_fees": plain(order.fee),
        "size_inclusive_of_fees": in_quote,
        "total_value_after_fees": plain(after_fees),
        "trigger_status": _trigger_status(order),
        "order_type": ORDER_TYPE_NAMES[asked.kind],
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": order.status is Status.FILLED,
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": order.why_ended,
    }


def _completion(order: ExchangeOrder) -> Decimal:
    if order.status is Status.FILLED:
        return Decimal(100)
    if not order.asked.quantity:
        return Decimal(0)
    return (100 * order.filled / order.asked.quantity).quantize(Decimal("0.01"))


def _trigger_status(order: ExchangeOrder) -> str:
    if order.asked.kind is not Kind.STOP_LIMIT:
        return "INVALID_ORDER_TYPE"
    return "STOP_TRIGGERED" if order.triggered else "STOP_PENDING"


def fill_json(fill: ExchangeFill, *, in_quote: bool) -> dict[str, Any]:
    """A fill as the history shows it: of an order sized in quote, the size is what was paid without the fee."""
    return {
        "entry_id": f"e{fill.number}",
        "trade_id": fill.fill_id,
        "order_id": fill.order_id,
        "trade_time": told_time(fill.at),
        "trade_type": "FILL",
        "price": plain(fill.price),
        "size": plain(fill.quantity * fill.price if in_quote else fill.quantity),
        "commission": plain(fill.fee),
        "product_id": fill.symbol,
        "sequence_timestamp": told_time(fill.at),
        "liquidity_indicator": "MAKER" if fill.liquidity is Liquidity.MAKER else "TAKER",
        "size_in_quote": in_quote,
        "user_id": "u",
        "side": fill.side.upper(),
    }
