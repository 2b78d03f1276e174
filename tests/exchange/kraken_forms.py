"""Kraken's form fields (or their JSON form) read as values and orders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TypeAlias
from urllib.parse import parse_qsl

from account_types import Kind, NewOrder, TimeInForce
from wire import Request

from bot.domain.orders import Side

Fields: TypeAlias = Mapping[str, str]

_KINDS = {
    "market": Kind.MARKET,
    "limit": Kind.LIMIT,
    "stop-loss": Kind.STOP_MARKET,
    "stop-loss-limit": Kind.STOP_LIMIT,
    "take-profit": Kind.STOP_MARKET,
    "take-profit-limit": Kind.STOP_LIMIT,
}
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,18}|[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""Free text up to 18 characters, or a UUID without or with hyphens."""


class KrakenError(Exception):
    """One text of the ``error`` list."""


def request_fields(request: Request) -> dict[str, str]:
    """Query and body as one flat mapping; a nested JSON object is written like the form's ``close[price]``.

    Raises KrakenError where the body is neither.
    """
    fields = dict(parse_qsl(request.query, keep_blank_values=True))
    try:
        text = request.body.decode()
        if not request.headers.get("content-type", "").startswith("application/json"):
            return fields | dict(parse_qsl(text, keep_blank_values=True))
        content = json.loads(text)
    except ValueError:
        raise KrakenError("EAPI:Bad request") from None
    if not isinstance(content, dict):
        raise KrakenError("EAPI:Bad request")
    for name, value in content.items():
        parts = {f"{name}[{part}]": text for part, text in value.items()} if isinstance(value, dict) else {name: value}
        fields |= {field: str(text) for field, text in parts.items()}
    return fields


def decimal_field(fields: Fields, name: str) -> Decimal:
    """A finite number. Raises KrakenError naming the field, also where it is missing."""
    try:
        value = Decimal(fields[name])
    except (KeyError, InvalidOperation):
        value = Decimal("nan")
    if not value.is_finite():
        raise KrakenError(f"EGeneral:Invalid arguments:{name}")
    return value


def moment_field(fields: Fields, name: str) -> datetime | None:
    """A time in unix seconds; None where there is no such field."""
    return datetime.fromtimestamp(float(decimal_field(fields, name)), UTC) if name in fields else None


def truth_field(fields: Fields, name: str) -> bool:
    """Also the ``True`` that ccxt writes; whether the real venue takes that is not known."""
    return fields.get(name, "").lower() in {"true", "1"}


def new_order(fields: Fields, now: datetime) -> NewOrder:
    """The order that AddOrder asks for; ``fields['pair']`` is the pair's id. Raises KrakenError."""
    kind = _KINDS.get(fields.get("ordertype", ""))
    if kind is None:
        raise KrakenError("EGeneral:Invalid arguments:ordertype")
    side = Side(fields["type"]) if fields.get("type") in {"buy", "sell"} else None
    if side is None:
        raise KrakenError("EGeneral:Invalid arguments:type")
    if fields.get("leverage", "none") not in {"none", "1"} or truth_field(fields, "reduce_only"):
        raise KrakenError("EOrder:Margin allowance exceeded")
    if any(name.startswith("close[") for name in fields):
        raise KrakenError("EGeneral:Invalid arguments:close")
    flags = _flags(fields, kind, side)
    volume = decimal_field(fields, "volume")
    is_stop = kind in {Kind.STOP_MARKET, Kind.STOP_LIMIT}
    limit_field = {Kind.LIMIT: "price", Kind.STOP_LIMIT: "price2"}.get(kind)
    time_in_force, expires_at = _lifetime(fields, now)
    return NewOrder(
        symbol=fields["pair"],
        side=side,
        kind=kind,
        client_id=_client_id(fields),
        quantity=None if "viqc" in flags else volume,
        quote_size=volume if "viqc" in flags else None,
        quote_includes_fee=False,
        limit_price=None if limit_field is None else decimal_field(fields, limit_field),
        stop_price=decimal_field(fields, "price") if is_stop else None,
        stop_up=(side is Side.BUY) is fields["ordertype"].startswith("stop-loss"),
        post_only="post" in flags,
        time_in_force=time_in_force,
        expires_at=expires_at,
        tags={"ordertype": fields["ordertype"], "oflags": ",".join(flags), "userref": fields.get("userref", "")},
    )


def _flags(fields: Fields, kind: Kind, side: Side) -> list[str]:
    """The flags as the venue shows them: the fee in quote (fciq) is its default, and the only one there is here."""
    flags = {flag for flag in fields.get("oflags", "").split(",") if flag} | {"fciq"}
    if not flags <= {"fciq", "post", "viqc", "nompp"} or ("post" in flags and kind is not Kind.LIMIT):
        raise KrakenError("EGeneral:Invalid arguments:oflags")
    if "viqc" in flags and (kind, side) != (Kind.MARKET, Side.BUY):
        raise KrakenError("EGeneral:Invalid arguments:viqc")
    return [flag for flag in ("post", "fciq", "viqc", "nompp") if flag in flags]


def _client_id(fields: Fields) -> str:
    """The cl_ord_id, '' for none; it and a userref are alternatives."""
    if "userref" in fields and (not fields["userref"].lstrip("-").isdigit() or "cl_ord_id" in fields):
        raise KrakenError("EGeneral:Invalid arguments:userref")
    client_id = fields.get("cl_ord_id", "")
    if "cl_ord_id" in fields and _CLIENT_ID.fullmatch(client_id) is None:
        raise KrakenError("EGeneral:Invalid arguments:cl_ord_id")
    return client_id


def _lifetime(fields: Fields, now: datetime) -> tuple[TimeInForce, datetime | None]:
    """``expiretm`` in unix seconds, or ``+`` and seconds from now, makes a GTD order."""
    name = fields.get("timeinforce", "GTC").lower()
    if name not in set(TimeInForce):
        raise KrakenError("EGeneral:Invalid arguments:timeinforce")
    time_in_force = TimeInForce(name)
    if time_in_force is not TimeInForce.GTD:
        return time_in_force, None
    seconds = fields.get("expiretm", "")
    after = timedelta(seconds=float(decimal_field(fields, "expiretm"))) if seconds.startswith("+") else None
    return time_in_force, moment_field(fields, "expiretm") if after is None else now + after
