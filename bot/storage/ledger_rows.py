"""Rows of the ledger's tables to nouns, and what is said where a row is none that this program writes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar

from bot.domain.account import BookEvent, CoinsOut, DustEvent, Fill, Flow, Liquidity
from bot.domain.errors import LedgerError
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side
from bot.domain.refusal import Refusal, RefusalCode
from bot.ports import DecisionRecord, EquityPoint, GuardEvent

Row = tuple[Any, ...]
Kind = tuple[Callable[[Any], object], str]
"""What reads a stored value (and raises where it cannot), and what such a value is in words."""

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNREADABLE = (ValueError, ArithmeticError, AssertionError, TypeError, KeyError)
_WHY = (
    "another version of this program wrote it, or the file was edited or is damaged. `ledger verify` says what else is "
    "wrong; put a backup in its place"
)
_DIGITS_MAX = 30
"""Before or behind the decimal point: no amount of money or coins has more, and arithmetic with it stays cheap."""


def micros(at: datetime) -> int:
    """Microseconds since 1970 UTC of a tz-aware time."""
    return (at - _ORIGIN) // _MICROSECOND


def moment(us: int) -> datetime:
    """Time, tz-aware UTC, of microseconds since 1970."""
    return _ORIGIN + timedelta(microseconds=us)


def text(value: Decimal) -> str:
    """Exact TEXT form of a finite decimal."""
    assert value.is_finite(), f"only finite amounts have books, was {value}"
    return str(value)


def exact(stored: str) -> Decimal:
    """Decimal of a TEXT column. Raises ValueError or InvalidOperation where it is no finite number."""
    value = Decimal(stored)
    if not value.is_finite():
        raise ValueError(f"{stored!r} is not finite")
    if value and abs(value.adjusted()) > _DIGITS_MAX:
        raise ValueError(f"{stored!r} is no amount that there can be")
    return value


def number(value: float | None) -> float:
    """Float of a REAL column, in which NULL stands for NaN."""
    return math.nan if value is None else value


def json_of(details: Mapping[str, float | str | None]) -> str:
    """JSON of a decision's details; NaN and infinities, the core's "none", become null."""
    return json.dumps(
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in details.items()}, allow_nan=False
    )


def _object(stored: str) -> dict[str, Any]:
    value = json.loads(stored)
    if not isinstance(value, dict):
        raise TypeError(f"{stored!r} is no JSON object")
    return value


def _order(row: Row) -> Order:
    return Order(
        client_order_id=row[0],
        account=row[1],
        symbol=row[2],
        intent_number=row[3],
        purpose=Purpose(row[4]),
        side=Side(row[5]),
        type=OrderType(row[6]),
        quantity=exact(row[7]),
        price=None if row[8] is None else exact(row[8]),
        stop_price=None if row[9] is None else exact(row[9]),
        post_only=bool(row[10]),
        reason=row[11],
        state=OrderState(row[12]),
        venue_order_id=row[13],
        filled_quantity=exact(row[14]),
        created_at=moment(row[15]),
        updated_at=moment(row[16]),
    )


def _fill(row: Row) -> Fill:
    return Fill(
        fill_id=row[1],
        account=row[2],
        symbol=row[3],
        client_order_id=row[4],
        side=Side(row[5]),
        quantity=exact(row[6]),
        price=exact(row[7]),
        fee=exact(row[8]),
        liquidity=Liquidity(row[9]),
        at=moment(row[10]),
    )


def _flow(row: Row) -> Flow:
    return Flow(account=row[1], asset=row[2], amount=exact(row[3]), at=moment(row[4]), note=row[5])


def _dust(row: Row) -> DustEvent:
    return DustEvent(account=row[1], symbol=row[2], at=moment(row[3]))


def _coins_out(row: Row) -> CoinsOut:
    return CoinsOut(account=row[1], symbol=row[2], quantity=exact(row[3]), price=exact(row[4]), at=moment(row[5]))


def _decision(row: Row) -> DecisionRecord:
    return DecisionRecord(
        symbol=row[1],
        account=row[2],
        bar_ms=row[3],
        first_bar_ms=row[4],
        bars=row[5],
        action=row[6],
        score=number(row[7]),
        details=_object(row[8]),
        at=moment(row[9]),
    )


def _refusal(row: Row) -> Refusal:
    return Refusal(
        code=RefusalCode(row[1]),
        limit=number(row[2]),
        actual=number(row[3]),
        unit=row[4],
        symbol=row[5],
        account=row[6],
        bar_ms=row[7],
        notional_usd=number(row[8]),
        at=moment(row[9]),
    )


def _guard_event(row: Row) -> GuardEvent:
    return GuardEvent(
        name=row[1],
        active=bool(row[2]),
        used=number(row[3]),
        limit=number(row[4]),
        unit=row[5],
        at=moment(row[6]),
    )


def _equity(row: Row) -> EquityPoint:
    return EquityPoint(
        at=moment(row[0]),
        equity=row[1],
        cash=row[2],
        performance_index=row[3],
        high_water_mark=row[4],
        exposure_frac=row[5],
        fresh=bool(row[6]),
    )


# -- what a row of each table looks like


def _plain(value: Any) -> object:
    return value


def _optional(stored: str | None) -> Decimal | None:
    return None if stored is None else exact(stored)


PLAIN: Kind = (_plain, "any")
DECIMAL: Kind = (exact, "a decimal number")
_PRICE: Kind = (_optional, "a decimal number or nothing")
TIME: Kind = (moment, "a time in microseconds since 1970")
_SIDE: Kind = (Side, f"one of {', '.join(Side)}")
STATE: Kind = (OrderState, f"one of {', '.join(OrderState)}")


@dataclass(frozen=True, slots=True)
class Table(Generic[_T_co]):
    """One table (or query) as it is read: its columns in order, the first of which names the row."""

    name: str
    convert: Callable[[Row], _T_co]
    columns: Mapping[str, Kind]


ORDERS = Table(
    "orders",
    _order,
    {
        **dict.fromkeys(("client_order_id", "account", "symbol", "number"), PLAIN),
        "purpose": (Purpose, f"one of {', '.join(Purpose)}"),
        "side": _SIDE,
        "type": (OrderType, f"one of {', '.join(OrderType)}"),
        "quantity": DECIMAL,
        "price": _PRICE,
        "stop_price": _PRICE,
        "post_only": PLAIN,
        "reason": PLAIN,
        "state": STATE,
        "venue_order_id": PLAIN,
        "filled_quantity": DECIMAL,
        "at": TIME,
        "updated_at": TIME,
    },
)
FILLS = Table(
    "fills",
    _fill,
    {
        **dict.fromkeys(("seq", "fill_id", "account", "symbol", "client_order_id"), PLAIN),
        "side": _SIDE,
        "quantity": DECIMAL,
        "price": DECIMAL,
        "fee": DECIMAL,
        "liquidity": (Liquidity, f"one of {', '.join(Liquidity)}"),
        "at": TIME,
    },
)
FLOWS = Table(
    "flows",
    _flow,
    {**dict.fromkeys(("seq", "account", "asset"), PLAIN), "amount": DECIMAL, "at": TIME, "note": PLAIN},
)
DUST = Table("dust", _dust, {**dict.fromkeys(("seq", "account", "symbol"), PLAIN), "at": TIME})
COINS_OUT = Table(
    "coins_out",
    _coins_out,
    {**dict.fromkeys(("seq", "account", "symbol"), PLAIN), "quantity": DECIMAL, "price": DECIMAL, "at": TIME},
)
DECISIONS = Table(
    "decisions",
    _decision,
    {
        **dict.fromkeys(("seq", "symbol", "account", "bar_ms", "first_bar_ms", "bars", "action", "score"), PLAIN),
        "details": (_object, "a JSON object"),
        "at": TIME,
    },
)
REFUSALS = Table(
    "refusals",
    _refusal,
    {
        "seq": PLAIN,
        "code": (RefusalCode, "a code that this version knows"),
        **dict.fromkeys(("limit_value", "actual", "unit", "symbol", "account", "bar_ms", "notional_usd"), PLAIN),
        "at": TIME,
    },
)
GUARD_EVENTS = Table(
    "guard_events",
    _guard_event,
    {**dict.fromkeys(("seq", "name", "active", "used", "limit_value", "unit"), PLAIN), "at": TIME},
)
EQUITY = Table("equity", _equity, {"at": TIME})


def decode(path: Path, table: Table[_T], rows: Sequence[Row]) -> list[_T]:
    """Convert rows. Raises LedgerError naming table, row and column of a value that this program does not write."""
    found = []
    for row in rows:
        try:
            found.append(table.convert(row))
        except _UNREADABLE as e:
            raise _unreadable(path, table, row, e) from e
    return found


def _unreadable(path: Path, table: Table[_T], row: Row, error: Exception) -> LedgerError:
    where = f"ledger {path}: table {table.name}, row {row[0]}"
    for (column, (read, wanted)), value in zip(table.columns.items(), row, strict=False):
        try:
            read(value)
        except _UNREADABLE:
            return LedgerError(f"{where}, column {column}: found {value!r} where {wanted} belongs; {_WHY}")
    return LedgerError(f"{where}: its values do not fit together ({error}); {_WHY}")


def decode_json(path: Path, table: str, key: str, stored: str) -> Any:
    """Read a JSON text. Raises LedgerError naming table and row where it is none."""
    try:
        return json.loads(stored)
    except (ValueError, RecursionError) as e:
        raise LedgerError(
            f"ledger {path}: table {table}, row {key}, column value: found {stored[:60]!r} where JSON belongs; {_WHY}"
        ) from e


def merge_books(
    path: Path, *, fills: Sequence[Row], flows: Sequence[Row], dust: Sequence[Row], coins_out: Sequence[Row]
) -> list[BookEvent]:
    """Rows of the four tables of the books as one list in the order in which they were recorded."""
    numbered: list[tuple[int, BookEvent]] = []
    numbered += zip(_firsts(fills), decode(path, FILLS, fills), strict=True)
    numbered += zip(_firsts(flows), decode(path, FLOWS, flows), strict=True)
    numbered += zip(_firsts(dust), decode(path, DUST, dust), strict=True)
    numbered += zip(_firsts(coins_out), decode(path, COINS_OUT, coins_out), strict=True)
    return [event for _, event in sorted(numbered, key=lambda pair: pair[0])]


def _firsts(rows: Sequence[Row]) -> list[int]:
    return [row[0] for row in rows]
