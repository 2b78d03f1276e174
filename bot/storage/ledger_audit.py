"""The whole ledger as `ledger verify` looks at it: every row of every table, in one consistent view of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from bot.domain.errors import LedgerError
from bot.domain.orders import Order, OrderState
from bot.ports import DecisionRecord, EquityPoint
from bot.storage.ledger_chain import CHAIN_KEY, ChainState, broken_links
from bot.storage.ledger_check import LedgerCheck
from bot.storage.ledger_rows import (
    DECIMAL,
    DECISIONS,
    EQUITY,
    GUARD_EVENTS,
    ORDERS,
    PLAIN,
    REFUSALS,
    STATE,
    TIME,
    Row,
    Table,
    decode,
    decode_json,
    exact,
    moment,
)
from bot.storage.ledger_schema import CHAIN_SINCE_VERSION, SELECT_CHAINED, SELECT_META, SELECT_ORDERS

PROBLEMS_MAX = 10

_EVENTS = "SELECT seq, client_order_id, from_state, to_state, filled_quantity, note, at FROM order_events ORDER BY seq"
_LIVE_MARKS = "SELECT client_order_id, live FROM orders"
_BROKEN_REFERENCES = (
    "SELECT 'intents', client_order_id, 'an order' FROM intents"
    " WHERE client_order_id NOT IN (SELECT client_order_id FROM orders)"
    " UNION ALL SELECT 'orders', client_order_id, 'an intent' FROM orders"
    " WHERE client_order_id NOT IN (SELECT client_order_id FROM intents)"
    " UNION ALL SELECT 'order_events', seq, 'an order' FROM order_events"
    " WHERE client_order_id NOT IN (SELECT client_order_id FROM orders) LIMIT ?"
)
# What decisions are made from: some venues tell no volume, or a wild one.
_UNUSABLE_BARS = (
    "SELECT source, symbol, timeframe, open_ms FROM bars"
    " WHERE NOT (min(high, low, close) > 0 AND max(high, low, close) < 1e300) LIMIT ?"
)
_DECISIONS = (
    "SELECT seq, symbol, account, bar_ms, first_bar_ms, bars, action, score, details, at FROM decisions ORDER BY seq"
)
_REFUSALS = (
    "SELECT seq, code, limit_value, actual, unit, symbol, account, bar_ms, notional_usd, at FROM refusals ORDER BY seq"
)
_GUARD_EVENTS = "SELECT seq, name, active, used, limit_value, unit, at FROM guard_events ORDER BY seq"
_EQUITY = "SELECT at, equity, cash, performance_index, high_water_mark, exposure_frac, fresh FROM equity ORDER BY at"
_NEWEST = "SELECT max(at) FROM (SELECT at FROM equity UNION ALL SELECT at FROM order_events)"
_VALUES = "SELECT key, value FROM engine_values"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """One journalled transition of an order."""

    client_order_id: str
    from_state: OrderState
    to_state: OrderState
    filled_quantity: Decimal
    note: str
    at: datetime


def _event(row: Row) -> OrderEvent:
    return OrderEvent(
        client_order_id=row[1],
        from_state=OrderState(row[2]),
        to_state=OrderState(row[3]),
        filled_quantity=exact(row[4]),
        note=row[5],
        at=moment(row[6]),
    )


_ORDER_EVENTS = Table(
    "order_events",
    _event,
    {
        "seq": PLAIN,
        "client_order_id": PLAIN,
        "from_state": STATE,
        "to_state": STATE,
        "filled_quantity": DECIMAL,
        "note": PLAIN,
        "at": TIME,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLife:
    """An order as it is stored, and the transitions that led there, oldest first."""

    order: Order
    marked_live: bool
    events: list[OrderEvent]


class LedgerAudit(LedgerCheck):
    """A reader of everything; what a bot writes meanwhile is not seen.

    Raises LedgerError like ``LedgerReader``; besides, each method does where its rows cannot be read.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._alone = not self._wal.exists()
        # The first SELECT fixes what this connection sees until it is closed.
        self._rows("BEGIN")

    @property
    def _wal(self) -> Path:
        return Path(f"{self.path.resolve()}-wal")

    @property
    def disturbed(self) -> bool:
        """Whether a bot has begun to write while the file was read as one that nobody writes: look again."""
        return self._alone and self._wal.exists()

    def copy_to(self, write: Callable[[sqlite3.Connection], None]) -> None:
        """Let ``write`` copy this view of the file."""
        write(self._connection)

    def all_damage(self) -> list[str]:
        """What SQLite finds wrong in pages and indexes; the first ones."""
        found: list[str] = []
        try:
            found += [str(row[0]) for row in self._rows(f"PRAGMA integrity_check({PROBLEMS_MAX:d})") if row[0] != "ok"]
        except LedgerError as e:
            found.append(str(e))  # some damage ends the search for it
        return found

    def read_the_rest(self) -> int:
        """Read every row of the tables that have no check of their own; return how many."""
        values = self._rows(_VALUES)
        for key, stored in values:
            decode_json(self.path, "engine_values", key, stored)
        count = len(values)
        count += len(decode(self.path, REFUSALS, self._rows(_REFUSALS)))
        return count + len(decode(self.path, GUARD_EVENTS, self._rows(_GUARD_EVENTS)))

    def equity_points(self) -> list[EquityPoint]:
        """Every equity point, oldest first."""
        return decode(self.path, EQUITY, self._rows(_EQUITY))

    def newest_at(self) -> datetime | None:
        """The newest time of a cycle or of an order's transition."""
        newest = self._rows(_NEWEST)[0][0]
        return None if newest is None else moment(newest)

    def unusable_bars(self) -> list[str]:
        """Bars with a number that no market has, in words; the first ones."""
        return [
            f"table bars, {source} {symbol} {timeframe}, open_ms {open_ms}: a price is 0, negative or no number"
            for source, symbol, timeframe, open_ms in self._rows(_UNUSABLE_BARS, (PROBLEMS_MAX,))
        ]

    def order_lives(self) -> list[OrderLife]:
        """Every order with its transitions, oldest intent first."""
        events: dict[str, list[OrderEvent]] = {}
        for event in decode(self.path, _ORDER_EVENTS, self._rows(_EVENTS)):
            events.setdefault(event.client_order_id, []).append(event)
        live: dict[str, int] = dict(self._rows(_LIVE_MARKS))
        return [
            OrderLife(
                order=order,
                marked_live=bool(live[order.client_order_id]),
                events=events.pop(order.client_order_id, []),
            )
            for order in decode(self.path, ORDERS, self._rows(SELECT_ORDERS))
        ]

    def broken_references(self) -> list[str]:
        """Intents, orders and transitions that stand alone, in words: they are written together. The first ones."""
        return [
            f"table {table}, row {row}: {other} that belongs to it is missing"
            for table, row, other in self._rows(_BROKEN_REFERENCES, (PROBLEMS_MAX,))
        ]

    def numbered_decisions(self) -> list[tuple[int, DecisionRecord]]:
        """Every decision with its number, oldest first."""
        rows = self._rows(_DECISIONS)
        return list(zip((row[0] for row in rows), decode(self.path, DECISIONS, rows), strict=True))

    def chain(self) -> ChainState | None:
        """The two ends of the decisions' chain; None in a ledger that has none yet."""
        if self._version < CHAIN_SINCE_VERSION:
            return None
        rows = self._rows(SELECT_META, (CHAIN_KEY,))
        return ChainState.from_text(self.path, rows[0][0] if rows else None)

    def broken_chain(self, state: ChainState) -> list[str]:
        """Where decisions do not follow from each other or do not reach from end to end, in words."""
        return list(broken_links(state, self._rows(SELECT_CHAINED)))

    def told_version(self) -> str:
        """Version of the tables as the bot noted it when it made them; '' where that is missing."""
        rows = self._rows(SELECT_META, ("schema_version",))
        return str(rows[0][0]) if rows else ""

    def epoch(self) -> UUID | None:
        """Identity of this ledger; None where it cannot be read."""
        rows = self._rows(SELECT_META, ("epoch",))
        try:
            return UUID(rows[0][0])
        except (IndexError, ValueError):
            return None
