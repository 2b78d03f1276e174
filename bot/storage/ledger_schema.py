"""The ledger's tables, what is said to them, and its error texts, shared by writer and reader.

Money, prices and quantities are TEXT decimals: exact to the last digit. Times are INTEGER
microseconds since 1970 UTC: exact for ``datetime``, sorted and bucketed by plain integer arithmetic
(days, hours), and a third of the size of ISO text. Floats are REAL, and NULL stands for NaN.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bot.domain.errors import LedgerError

US_PER_HOUR = 3_600_000_000
US_PER_DAY = 86_400_000_000

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
    (
        # A negative quantity came back.
        """CREATE TABLE coins_out (
            seq INTEGER PRIMARY KEY,
            account TEXT NOT NULL,
            symbol TEXT NOT NULL,
            quantity TEXT NOT NULL,
            price TEXT NOT NULL,
            at INTEGER NOT NULL
        ) STRICT""",
        "DROP VIEW next_book_seq",
        """CREATE VIEW next_book_seq AS SELECT 1 + max(
            (SELECT ifnull(max(seq), 0) FROM fills),
            (SELECT ifnull(max(seq), 0) FROM flows),
            (SELECT ifnull(max(seq), 0) FROM dust),
            (SELECT ifnull(max(seq), 0) FROM coins_out)
        ) AS seq""",
        # Filled in for the rows that are there by the writer: SQLite knows no SHA-256.
        "ALTER TABLE decisions ADD COLUMN chain TEXT NOT NULL DEFAULT ''",
    ),
)
"""Statements from version 1 to 2, from 2 to 3, and so on; a new ledger takes all steps at once."""

SCHEMA_VERSION = 1 + len(MIGRATIONS)
DUST_SINCE_VERSION = 2
COINS_OUT_SINCE_VERSION = 3
CHAIN_SINCE_VERSION = 3

SELECT_FILLS = (
    "SELECT seq, fill_id, account, symbol, client_order_id, side, quantity, price, fee, liquidity, at FROM fills"
    " ORDER BY seq"
)
SELECT_FLOWS = "SELECT seq, account, asset, amount, at, note FROM flows ORDER BY seq"
SELECT_DUST = "SELECT seq, account, symbol, at FROM dust ORDER BY seq"
SELECT_COINS_OUT = "SELECT seq, account, symbol, quantity, price, at FROM coins_out ORDER BY seq"
SELECT_CHAINED = (
    "SELECT seq, symbol, account, bar_ms, first_bar_ms, bars, action, score, details, at, chain FROM decisions"
    " ORDER BY seq"
)
"""All columns: what the hash of a row covers, and the hash."""
SELECT_META = "SELECT value FROM meta WHERE key = ?"
SET_META = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
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
INSERT_COINS_OUT = (
    "INSERT INTO coins_out (seq, account, symbol, quantity, price, at)"
    " VALUES ((SELECT seq FROM next_book_seq), ?, ?, ?, ?, ?)"
)
INSERT_BAR = (
    "INSERT INTO bars (source, symbol, timeframe, open_ms, open, high, low, close, volume)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
INSERT_DECISION = (
    "INSERT INTO decisions (seq, symbol, account, bar_ms, first_bar_ms, bars, action, score, details, at, chain)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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
SELECT_ORDERS = "SELECT * FROM orders_now ORDER BY seq"
SELECT_ORDER = "SELECT * FROM orders_now WHERE client_order_id = ?"
SELECT_BARS = (
    "SELECT open_ms, open, high, low, close, volume FROM bars"
    " WHERE source = ? AND symbol = ? AND timeframe = ? ORDER BY open_ms"
)
# Rows stand in the order of time, so that each looks at the old ones and at one more.
FIRST_KEPT_DECISION = "SELECT seq FROM decisions WHERE at >= ? ORDER BY seq LIMIT 1"
LAST_OLD_DECISION = "SELECT seq, chain FROM decisions WHERE seq < ? ORDER BY seq DESC LIMIT 1"
DELETE_DECISIONS = "DELETE FROM decisions WHERE seq <= ?"
DELETE_REFUSALS = "DELETE FROM refusals WHERE seq < (SELECT seq FROM refusals WHERE at >= ? ORDER BY seq LIMIT 1)"
DELETE_GUARD_EVENTS = (
    "DELETE FROM guard_events WHERE seq < (SELECT seq FROM guard_events WHERE at >= ? ORDER BY seq LIMIT 1)"
)
# The signals are folded over all bars of a coin, so that each decision needs every bar up to its own: a coin's
# bars stay while it is decided, and while one of its decisions is kept. They go together, or not at all.
DELETE_BARS = (
    "DELETE FROM bars WHERE EXISTS (SELECT 1 FROM decisions) AND symbol NOT IN (SELECT symbol FROM decisions)"
    " AND (source, symbol, timeframe) IN"
    " (SELECT source, symbol, timeframe FROM bars GROUP BY 1, 2, 3 HAVING max(open_ms) < ?)"
)
THIN_EQUITY = (
    "DELETE FROM equity WHERE at >= :from AND at < :to AND at NOT IN"
    " (SELECT max(at) FROM equity WHERE at >= :from AND at < :to GROUP BY at / :bucket)"
)


def check_version(path: Path, found: int) -> None:
    """Raise LedgerError where a ledger's schema is newer than this program."""
    if found > SCHEMA_VERSION:
        raise LedgerError(
            f"ledger {path}: it was written by a newer version of this program (schema {found}, this version knows "
            f"up to {SCHEMA_VERSION}); update the program, or point STATE_DIR to another folder"
        )


_START_ANEW = (
    "nothing was deleted. Put a backup in its place. Only where there is none, move it (with its -wal and -shm files) "
    "away: the bot then begins with empty books. On a live account that has a price: coins it holds count as somebody "
    "else's and are never sold, its orders and stops stay at the venue with nobody to look after them, halts and "
    "limits are forgotten; so first sell and cancel at the venue by hand"
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


SQLITE_FAULTS = (sqlite3.Error, UnicodeDecodeError)
"""What asking SQLite may raise: its own words quote the file, and broken bytes in them cannot be read."""


def damaged(problem: str) -> sqlite3.DatabaseError:
    """Make the error that SQLite has no code for: the file is broken."""
    error = sqlite3.DatabaseError(problem)
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


def ledger_error(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> LedgerError:
    """Put an error of SQLite into words: the file, the reason and what to do."""
    if isinstance(error, UnicodeDecodeError):
        error = damaged("what SQLite says of it quotes bytes that are no text")
    name = getattr(error, "sqlite_errorname", None) or ""
    for prefix, advice in _ADVICE:
        if name.startswith(prefix):
            return LedgerError(f"ledger {path}: {error}; {advice}")
    return LedgerError(f"ledger {path}: {error}")


def is_damage(error: LedgerError) -> bool:
    """Whether an error says that the file itself is broken: no other program or permission stands in the way."""
    name = getattr(error.__cause__, "sqlite_errorname", None) or ""
    return name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) or isinstance(error.__cause__, UnicodeDecodeError)
