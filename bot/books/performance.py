"""Unitised performance, as a fund counts it: flows buy and redeem units, only trading moves the index.

Drawdown, daily loss and high-water mark are measured on the index = equity / units. It is for
decisions and is rounded to 34 significant digits (relative, so that a nearly empty account keeps its
index too); the cash books are exact. While a transfer is pending the caller does not mark: then all
of this stands still.

Edges: the index never falls below ``INDEX_FLOOR``. Equity of zero or less is priced there, a
drawdown of 100 %, and a deposit afterwards buys units at that price, so that fresh money never looks
like a recovery. A withdrawal of everything leaves no units; the index waits, and the next deposit
continues at it, drawdown included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Context, Decimal, DivisionByZero, FloatOperation, InvalidOperation, Overflow, localcontext

from bot.domain.errors import LedgerError

INDEX_START = Decimal(1)
INDEX_FLOOR = Decimal("1e-9")
HOURLY_MARKS_MAX = 48
ROLLING_WINDOW = timedelta(hours=24)

_ROUNDING = Context(prec=34, traps=[InvalidOperation, DivisionByZero, Overflow, FloatOperation])


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The index at one moment."""

    at: datetime
    index: Decimal

    def __post_init__(self) -> None:
        assert self.at.tzinfo is not None, "mark time must be tz-aware"
        assert self.index >= INDEX_FLOOR, f"index must be at least {INDEX_FLOOR}, was {self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Units and index of one account group; ``Performance()`` is the state before the first deposit."""

    units: Decimal = Decimal(0)
    index: Decimal = INDEX_START
    """As last marked."""
    high_water_mark: Decimal = INDEX_START
    marked_at: datetime | None = None
    day_start_index: Decimal = INDEX_START
    """At the start of the UTC day of ``marked_at``: the newest mark at or before it."""
    hourly: tuple[Mark, ...] = ()
    """First mark of each hour, oldest first, at most ``HOURLY_MARKS_MAX``."""

    def __post_init__(self) -> None:
        assert self.units >= 0, f"units must not be negative, were {self.units}"
        assert self.index >= INDEX_FLOOR, f"index must be at least {INDEX_FLOOR}, was {self.index}"
        assert self.high_water_mark >= self.index, f"high-water mark {self.high_water_mark} below {self.index}"
        assert self.marked_at is None or self.marked_at.tzinfo is not None, "mark time must be tz-aware"
        assert (self.marked_at is None) == (not self.hourly), "hourly marks begin with the first mark"
        assert len(self.hourly) <= HOURLY_MARKS_MAX, f"{len(self.hourly)} hourly marks"


def with_flow(p: Performance, amount: Decimal, equity_before: Decimal) -> Performance:
    """Buy (amount > 0) or redeem (< 0) units at the index that ``equity_before`` gives; USD.

    ``equity_before`` is the equity just before the flow; where the balance shows it already, that
    is the equity now less ``amount``. The marked index and the high-water mark stay as they are.
    """
    with localcontext(_ROUNDING):
        if equity_before + amount <= 0:
            return replace(p, units=Decimal(0))
        units = _owned_units(p, equity_before)
        return replace(p, units=units + amount / _index(p, units, equity_before))


def marked(p: Performance, equity: Decimal, now: datetime) -> Performance:
    """Measure the index at ``equity`` (USD) and carry high-water mark, day start and hourly marks on.

    Value that appears while there are no units (a withdrawal was counted larger than the equity) is
    given units at the waiting index: neither profit nor loss.
    """
    assert now.tzinfo is not None, "mark time must be tz-aware"
    with localcontext(_ROUNDING):
        units = _owned_units(p, equity)
        index = _index(p, units, equity)
    return replace(
        p,
        units=units,
        index=index,
        high_water_mark=max(p.high_water_mark, index),
        marked_at=now,
        day_start_index=_day_start_index(p, index, now),
        hourly=_hourly(p, index, now),
    )


def drawdown_pct(p: Performance) -> float:
    """How far the index is below its high-water mark, 0 to 100."""
    return _fall_pct(p.high_water_mark, p.index)


def daily_loss_pct(p: Performance) -> float:
    """Fall of the index since the UTC day began or since 24 hours ago, the worse one; 0 to 100.

    "24 hours ago" is the newest hourly mark at least that old, else the oldest: 24 to 25 hours while
    the bot runs, longer after it was away.
    """
    if p.marked_at is None:
        return 0.0
    day_ago = p.marked_at - ROLLING_WINDOW
    rolling = next((mark for mark in reversed(p.hourly) if mark.at <= day_ago), p.hourly[0])
    return max(_fall_pct(p.day_start_index, p.index), _fall_pct(rolling.index, p.index))


def reset_high_water(p: Performance) -> Performance:
    """Forget the drawdown: only for the operator's explicit, recorded command."""
    return replace(p, high_water_mark=p.index)


def to_json(p: Performance) -> dict[str, object]:
    """Plain JSON values; numbers as decimal text, so that ``from_json`` gives back the same."""
    return {
        "units": str(p.units),
        "index": str(p.index),
        "high_water_mark": str(p.high_water_mark),
        "marked_at": None if p.marked_at is None else p.marked_at.isoformat(),
        "day_start_index": str(p.day_start_index),
        "hourly": [[mark.at.isoformat(), str(mark.index)] for mark in p.hourly],
    }


def from_json(value: object) -> Performance:
    """Read back what ``to_json`` gave. Raises LedgerError where it does not fit."""
    if not isinstance(value, dict):
        raise LedgerError(f"the performance record in the ledger is {type(value).__name__}, not an object")
    try:
        marked_at = value["marked_at"]
        return Performance(
            units=Decimal(value["units"]),
            index=Decimal(value["index"]),
            high_water_mark=Decimal(value["high_water_mark"]),
            marked_at=None if marked_at is None else datetime.fromisoformat(marked_at),
            day_start_index=Decimal(value["day_start_index"]),
            hourly=tuple(Mark(at=datetime.fromisoformat(at), index=Decimal(index)) for at, index in value["hourly"]),
        )
    except (AssertionError, ArithmeticError, KeyError, TypeError, ValueError) as e:
        raise LedgerError(f"the performance record in the ledger cannot be read: {type(e).__name__}: {e}") from e


def _owned_units(p: Performance, equity: Decimal) -> Decimal:
    return p.units if p.units > 0 else max(Decimal(0), equity) / p.index


def _index(p: Performance, units: Decimal, equity: Decimal) -> Decimal:
    return max(INDEX_FLOOR, equity / units) if units > 0 else p.index


def _day_start_index(p: Performance, index: Decimal, now: datetime) -> Decimal:
    today = now.astimezone(UTC).date()
    if p.marked_at is not None and p.marked_at.astimezone(UTC).date() == today:
        return p.day_start_index
    is_midnight = now == datetime.combine(today, time.min, tzinfo=UTC)
    return index if is_midnight else p.index


def _hourly(p: Performance, index: Decimal, now: datetime) -> tuple[Mark, ...]:
    # "Differs", not "is later": after a clock that ran ahead is set back, marking must go on.
    if p.hourly and _hour(p.hourly[-1].at) == _hour(now):
        return p.hourly
    return (*p.hourly, Mark(at=now, index=index))[-HOURLY_MARKS_MAX:]


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _fall_pct(start: Decimal, end: Decimal) -> float:
    return max(0.0, 100.0 * (1.0 - float(end) / float(start)))
