"""The ledger's tables, the forms of its rows and its error texts, shared by writer and reader.

Money, prices and quantities are TEXT decimals: exact to the last digit. Times are INTEGER
microseconds since 1970 UTC: exact for ``datetime``, sorted and bucketed by plain integer arithmetic
(days, hours), and a third of the size of ISO text. Floats are REAL, and NULL stands for NaN.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from bot.domain.account import BookEvent, DustEvent, Fill, Flow, Liquidity
from bot.domain.errors import LedgerError
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side

US_PER_HOUR = 3_600_000_000
US_PER_DAY = 86_400_000_000

Row = tuple[Any, ...]
_T = TypeVar("_T")
_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SCHEMA: tuple[str, ...] = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE intents (
        seq INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        symbol TEXT NOT NULL,
        number INTEGER NOT NULL CHECK (number > 0),
        client_order_id TEXT NOT NULL UNIQUE,
        purpose TEXT NOT NULL,
        side TEXT NOT NULL,
        type TEXT NOT NULL,
        quantity TEXT NOT NULL,
        price TEXT,
        stop_price TEXT,
        post_only INTEGER NOT NULL CHECK (post_only IN (0, 1)),
        reason TEXT NOT NULL,
        at INTEGER NOT NULL,
        UNIQUE (account, symbol, number)
    ) STRICT""",
    """CREATE TABLE orders (
        client_order_id TEXT PRIMARY KEY REFERENCES intents (client_order_id),
        state TEXT NOT NULL,
        live INTEGER NOT NULL CHECK (live IN (0, 1)),
        venue_order_id TEXT,
        filled_quantity TEXT NOT NULL,
        updated_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    # Asked in every cycle: stays as small as the number of live orders.
    "CREATE INDEX orders_live ON orders (live) WHERE live = 1",
    """CREATE VIEW orders_now AS SELECT
        i.client_order_id, i.account, i.symbol, i.number, i.purpose, i.side, i.type, i.quantity, i.price,
        i.stop_price, i.post_only, i.reason, o.state, o.venue_order_id, o.filled_quantity, i.at, o.updated_at,
        o.live, i.seq
        FROM orders o JOIN intents i ON i.client_order_id = o.client_order_id""",
    """CREATE TABLE order_events (
        seq INTEGER PRIMARY KEY,
        client_order_id TEXT NOT NULL REFERENCES orders (client_order_id),
        from_state TEXT NOT NULL,
        to_state TEXT NOT NULL,
        filled_quantity TEXT NOT NULL,
        note TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX order_events_of ON order_events (client_order_id)",
    # seq runs through fills, flows and dust together. No reference to orders: a venue may report the fill
    # of an order that a deleted ledger had placed, and that fill is money all the same.
    """CREATE TABLE fills (
        seq INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        fill_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        client_order_id TEXT NOT NULL,
        side TEXT NOT NULL,
        quantity TEXT NOT NULL,
        price TEXT NOT NULL,
        fee TEXT NOT NULL,
        liquidity TEXT NOT NULL,
        at INTEGER NOT NULL,
        UNIQUE (account, fill_id)
    ) STRICT""",
    """CREATE TABLE flows (
        seq INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        asset TEXT NOT NULL,
        amount TEXT NOT NULL,
        at INTEGER NOT NULL,
        note TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE bars (
        source TEXT NOT NULL,
        symbol TEXT NOT NULL,
        timeframe TEXT NOT NULL,
        open_ms INTEGER NOT NULL,
        open REAL NOT NULL,
        high REAL NOT NULL,
        low REAL NOT NULL,
        close REAL NOT NULL,
        volume REAL NOT NULL,
        PRIMARY KEY (source, symbol, timeframe, open_ms)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE decisions (
        seq INTEGER PRIMARY KEY,
        symbol TEXT NOT NULL,
        account TEXT NOT NULL,
        bar_ms INTEGER NOT NULL,
        first_bar_ms INTEGER NOT NULL,
        bars INTEGER NOT NULL,
        action TEXT NOT NULL,
        score REAL,
        details TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE refusals (
        seq INTEGER PRIMARY KEY,
        code TEXT NOT NULL,
        limit_value REAL,
        actual REAL,
        unit TEXT NOT NULL,
        symbol TEXT NOT NULL,
        account TEXT NOT NULL,
        bar_ms INTEGER NOT NULL,
        notional_usd REAL,
        at INTEGER NOT NULL,
        UNIQUE (bar_ms, symbol, code)
    ) STRICT""",
    """CREATE TABLE guard_events (
        seq INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        active INTEGER NOT NULL CHECK (active IN (0, 1)),
        used REAL,
        limit_value REAL,
        unit TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE equity (
        at INTEGER PRIMARY KEY,
        equity REAL NOT NULL,
        cash REAL NOT NULL,
        performance_index REAL NOT NULL,
        high_water_mark REAL NOT NULL,
        exposure_frac REAL NOT NULL,
        fresh INTEGER NOT NULL CHECK (fresh IN (0, 1))
    ) STRICT""",
    "CREATE TABLE engine_values (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
"""Version 1, one statement each. It stays as it is: what came later is a step of ``MIGRATIONS``."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE dust (
            seq INTEGER PRIMARY KEY,
            account TEXT NOT NULL,
            symbol TEXT NOT NULL,
            at INTEGER NOT NULL
        ) STRICT""",
        # The next number of the sequence that fills, flows and dust share; each maximum is the end of a B-tree.
        """CREATE VIEW next_book_seq AS SELECT 1 + max(
            (SELECT ifnull(max(seq), 0) FROM fills),
            (SELECT ifnull(max(seq), 0) FROM flows),
            (SELECT ifnull(max(seq), 0) FROM dust)
        ) AS seq""",
    ),
)
"""Statements from version 1 to 2, from 2 to 3, and so on; a new ledger takes all steps at once."""

SCHEMA_VERSION = 1 + len(MIGRATIONS)
DUST_SINCE_VERSION = 2

SELECT_FILLS = (
    "SELECT seq, fill_id, account, symbol, client_order_id, side, quantity, price, fee, liquidity, at FROM fills"
    " ORDER BY seq"
)
SELECT_FLOWS = "SELECT seq, account, asset, amount, at, note FROM flows ORDER BY seq"
SELECT_DUST = "SELECT seq, account, symbol, at FROM dust ORDER BY seq"
SELECT_VALUE = "SELECT value FROM engine_values WHERE key = ?"

INSERT_INTENT = (
    "INSERT INTO intents (account, symbol, number, client_order_id, purpose, side, type, quantity, price, stop_price,"
    " post_only, reason, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_ORDER = (
    "INSERT INTO orders (client_order_id, state, live, venue_order_id, filled_quantity, updated_at)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
UPDATE_ORDER = (
    "UPDATE orders SET state = ?, live = ?, venue_order_id = ?, filled_quantity = ?, updated_at = ?"
    " WHERE client_order_id = ?"
)
INSERT_EVENT = (
    "INSERT INTO order_events (client_order_id, from_state, to_state, filled_quantity, note, at)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
INSERT_FILL = (
    "INSERT INTO fills (seq, account, fill_id, symbol, client_order_id, side, quantity, price, fee, liquidity, at)"
    " VALUES ((SELECT seq FROM next_book_seq), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, fill_id) DO NOTHING"
)
INSERT_FLOW = (
    "INSERT INTO flows (seq, account, asset, amount, at, note) VALUES ((SELECT seq FROM next_book_seq), ?, ?, ?, ?, ?)"
)
INSERT_DUST = "INSERT INTO dust (seq, account, symbol, at) VALUES ((SELECT seq FROM next_book_seq), ?, ?, ?)"
INSERT_BAR = (
    "INSERT INTO bars (source, symbol, timeframe, open_ms, open, high, low, close, volume)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
INSERT_DECISION = (
    "INSERT INTO decisions (symbol, account, bar_ms, first_bar_ms, bars, action, score, details, at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_REFUSAL = (
    "INSERT INTO refusals (code, limit_value, actual, unit, symbol, account, bar_ms, notional_usd, at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bar_ms, symbol, code) DO NOTHING"
)
INSERT_GUARD_EVENT = "INSERT INTO guard_events (name, active, used, limit_value, unit, at) VALUES (?, ?, ?, ?, ?, ?)"
INSERT_EQUITY = (
    "INSERT OR REPLACE INTO equity (at, equity, cash, performance_index, high_water_mark, exposure_frac, fresh)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
SET_VALUE = (
    "INSERT INTO engine_values (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
NEXT_NUMBER = "SELECT ifnull(max(number), 0) + 1 FROM intents WHERE account = ? AND symbol = ?"
SELECT_STATE = "SELECT state, filled_quantity FROM orders WHERE client_order_id = ?"
SELECT_LIVE = "SELECT * FROM orders_now WHERE live = 1 ORDER BY seq"
SELECT_ORDER = "SELECT * FROM orders_now WHERE client_order_id = ?"
SELECT_BARS = (
    "SELECT open_ms, open, high, low, close, volume FROM bars"
    " WHERE source = ? AND symbol = ? AND timeframe = ? ORDER BY open_ms"
)
THIN_EQUITY = (
    "DELETE FROM equity WHERE at >= :from AND at < :to AND at NOT IN"
    " (SELECT max(at) FROM equity WHERE at >= :from AND at < :to GROUP BY at / :bucket)"
)


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


def number(value: float | None) -> float:
    """Float of a REAL column, in which NULL stands for NaN."""
    return math.nan if value is None else value


def json_of(details: Mapping[str, float | str | None]) -> str:
    """JSON of a decision's details; NaN and infinities, the core's "none", become null."""
    return json.dumps(
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in details.items()}, allow_nan=False
    )


def order_of(row: Row) -> Order:
    """Order of a row of ``orders_now``."""
    return Order(
        client_order_id=row[0],
        account=row[1],
        symbol=row[2],
        intent_number=row[3],
        purpose=Purpose(row[4]),
        side=Side(row[5]),
        type=OrderType(row[6]),
        quantity=Decimal(row[7]),
        price=None if row[8] is None else Decimal(row[8]),
        stop_price=None if row[9] is None else Decimal(row[9]),
        post_only=bool(row[10]),
        reason=row[11],
        state=OrderState(row[12]),
        venue_order_id=row[13],
        filled_quantity=Decimal(row[14]),
        created_at=moment(row[15]),
        updated_at=moment(row[16]),
    )


def fill_of(row: Row) -> Fill:
    """Fill of a row of ``SELECT_FILLS``."""
    return Fill(
        fill_id=row[1],
        account=row[2],
        symbol=row[3],
        client_order_id=row[4],
        side=Side(row[5]),
        quantity=Decimal(row[6]),
        price=Decimal(row[7]),
        fee=Decimal(row[8]),
        liquidity=Liquidity(row[9]),
        at=moment(row[10]),
    )


def flow_of(row: Row) -> Flow:
    """Flow of a row of ``SELECT_FLOWS``."""
    return Flow(account=row[1], asset=row[2], amount=Decimal(row[3]), at=moment(row[4]), note=row[5])


def dust_of(row: Row) -> DustEvent:
    """Write-off of a row of ``SELECT_DUST``."""
    return DustEvent(account=row[1], symbol=row[2], at=moment(row[3]))


def decode(path: Path, convert: Callable[[Row], _T], rows: Sequence[Row]) -> list[_T]:
    """Convert rows; raises LedgerError where a stored value is none that this program knows."""
    try:
        return [convert(row) for row in rows]
    except (ValueError, ArithmeticError, AssertionError) as e:
        raise LedgerError(
            f"ledger {path}: a stored row cannot be understood ({e!r}); "
            "another version of this program wrote it, or the file was edited"
        ) from e


def merge_books(path: Path, fills: Sequence[Row], flows: Sequence[Row], dust: Sequence[Row]) -> list[BookEvent]:
    """Rows of ``SELECT_FILLS``, ``_FLOWS`` and ``_DUST`` as one list in the order in which they were recorded."""
    events: list[tuple[int, BookEvent]] = []
    events += decode(path, lambda row: (row[0], fill_of(row)), fills)
    events += decode(path, lambda row: (row[0], flow_of(row)), flows)
    events += decode(path, lambda row: (row[0], dust_of(row)), dust)
    return [event for _, event in sorted(events, key=lambda numbered: numbered[0])]


def check_version(path: Path, found: int) -> None:
    """Raise LedgerError where a ledger's schema is newer than this program."""
    if found > SCHEMA_VERSION:
        raise LedgerError(
            f"ledger {path}: it was written by a newer version of this program (schema {found}, this version knows "
            f"up to {SCHEMA_VERSION}); update the program, or point STATE_DIR to another folder"
        )


_START_ANEW = (
    "nothing was deleted. Put a backup in its place, or move it (with its -wal and -shm files) away: "
    "the bot then makes a new one with empty books"
)
_ADVICE = (
    ("SQLITE_NOTADB", f"this file is not a ledger; {_START_ANEW}"),
    ("SQLITE_CORRUPT", f"the file is damaged; {_START_ANEW}"),
    ("SQLITE_FULL", "the disk is full: free some space and start again"),
    ("SQLITE_READONLY", "the file or its folder is read-only: check owner and permissions"),
    ("SQLITE_PERM", "the file or its folder may not be used: check owner and permissions"),
    ("SQLITE_CANTOPEN", "the file cannot be opened: check the path, owner and permissions"),
    ("SQLITE_BUSY", "another process keeps it locked: close it (another bot, a database browser) and start again"),
    ("SQLITE_IOERR", "the disk did not read or write as asked: check it, then start again"),
)


def ledger_error(path: Path, error: sqlite3.Error) -> LedgerError:
    """Put an error of SQLite into words: the file, the reason and what to do."""
    name = getattr(error, "sqlite_errorname", None) or ""
    for prefix, advice in _ADVICE:
        if name.startswith(prefix):
            return LedgerError(f"ledger {path}: {error}; {advice}")
    return LedgerError(f"ledger {path}: {error}")
