"""The SQLite ledger: journal of intents, orders, fills, flows and everything that was decided."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bot.domain.account import BookEvent, CoinsOut, DustEvent, Fill, Flow
from bot.domain.errors import InvariantError, LedgerError
from bot.domain.market import Candle
from bot.domain.orders import TRANSITIONS, Order, OrderState
from bot.domain.refusal import Refusal
from bot.ports import DecisionRecord, EquityPoint, GuardEvent
from bot.storage import ledger_schema as sql
from bot.storage.ledger_chain import CHAIN_KEY, ChainState
from bot.storage.ledger_copy import copy_beside
from bot.storage.ledger_rows import (
    FILLS,
    FLOWS,
    ORDERS,
    Row,
    decode,
    decode_json,
    json_of,
    merge_books,
    micros,
    text,
)
from bot.storage.ledger_schema import SQLITE_FAULTS, US_PER_DAY, US_PER_HOUR, check_version, damaged, ledger_error

_BUSY_TIMEOUT_S = 5.0
_FULL_EQUITY = timedelta(days=2)
_HOURLY_EQUITY = timedelta(days=30)
KEPT_FOR = timedelta(days=730)
"""Decisions, refusals and guard events: two years, so that a tax year can be looked into until after its return.

What taxes and books rest on (orders, fills, flows, dust, coins that left) stays for ever.
"""
_WAL_LIMIT_BYTES = 4 * 1024 * 1024
"""The -wal is cut back to this much when SQLite begins it anew: one large transaction must not hold disk for ever."""


class SqliteLedger:
    """The ledger in one SQLite file (the ``Ledger`` port); one thread, one writing process.

    ``durable``: every commit is on the disk when the call returns (WAL, synchronous=FULL); False, for
    simulations, leaves that to the operating system: then a power cut may lose or damage the file.

    Size, measured: 63 bytes per equity point, so 26,000 points of a replay are 1.6 MB; ``prune`` keeps about
    4,000 points of a first year and 365 of each later one. The file never shrinks: pages that ``prune`` frees
    are used again. With three coins and 60 orders a year it has 1.6 MB after a year, 2.7 MB after two, and from
    then on 0.15 MB more a year; 5.4 and 10.2 MB if each day sized an order for each coin.

    A ledger of an older version is brought up to date; a copy of it stays beside (``ledger.sqlite3.v2.bak``).

    Raises LedgerError where the file cannot be opened, read or written, is damaged, is not a ledger,
    or was written by a newer version; the file is never deleted or replaced.
    """

    def __init__(self, path: Path | str, *, durable: bool = True) -> None:
        self.path = Path(path)
        self._in_block = False
        self._broken: LedgerError | None = None
        self._make_file()
        try:
            # autocommit: BEGIN and COMMIT are written here, never implied
            self._connection = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        except sqlite3.Error as e:
            raise ledger_error(self.path, e) from e
        try:
            self._open(durable=durable)
        except BaseException:
            self._connection.close()
            raise

    def _make_file(self) -> None:
        """Create the missing file so that only its owner reads it (SQLite's -wal and -shm follow it)."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # only a missing file: closing a descriptor of an open database would drop SQLite's locks on it
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as e:
            raise LedgerError(f"ledger {self.path}: the file cannot be made ({e.strerror}); check STATE_DIR") from e

    def _open(self, *, durable: bool) -> None:
        """Check the file before the first change to it, make the tables of a new one, read the epoch."""
        version = self._rows("PRAGMA user_version")[0][0]
        check_version(self.path, version)
        if version == 0 and self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
            raise LedgerError(f"ledger {self.path}: it is a database of another program; point STATE_DIR elsewhere")
        problem = self._rows("PRAGMA quick_check(1)")[0][0]
        if problem != "ok":
            raise ledger_error(self.path, damaged(problem))
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = OFF")
        self._run("PRAGMA foreign_keys = ON")
        self._run(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES:d}")
        if version < sql.SCHEMA_VERSION:
            if version > 0:
                copy_beside(self._connection, self.path, suffix=f".v{version}.bak")
            self._make_tables()
        self._epoch = self._read_epoch()

    def _read_epoch(self) -> uuid.UUID:
        rows = self._rows(sql.SELECT_META, ("epoch",))
        try:
            return uuid.UUID(rows[0][0])
        except (IndexError, ValueError) as e:
            raise LedgerError(
                f"ledger {self.path}: table meta, row epoch: found {rows!r} where the identity of this ledger belongs; "
                "the file was edited. Put a backup in its place"
            ) from e

    def _make_tables(self) -> None:
        """Make what is missing: everything in a new file, the later steps in an older one."""
        with self.transaction():
            # asked again inside: another process may have made them since
            version: int = self._rows("PRAGMA user_version")[0][0]
            if version == 0:
                for statement in sql.SCHEMA:
                    self._run(statement)
                self._run(
                    "INSERT INTO meta (key, value) VALUES ('epoch', ?), ('schema_version', '1')", (str(uuid.uuid4()),)
                )
                version = 1
            for step in sql.MIGRATIONS[version - 1 :]:
                for statement in step:
                    self._run(statement)
            if version < sql.CHAIN_SINCE_VERSION:
                self._chain_all()
            self._run("UPDATE meta SET value = ? WHERE key = 'schema_version'", (str(sql.SCHEMA_VERSION),))
            self._run(f"PRAGMA user_version = {sql.SCHEMA_VERSION:d}")

    def _chain_all(self) -> None:
        """Begin the chain of the decisions, over those that an older version has stored too."""
        state = ChainState.begun(self._read_epoch())
        for *columns, _ in self._rows(sql.SELECT_CHAINED):
            state = state.with_row(tuple(columns))
            self._run("UPDATE decisions SET chain = ? WHERE seq = ?", (state.head, state.last_seq))
        self._run(sql.SET_META, (CHAIN_KEY, state.to_text()))

    def _chain(self) -> ChainState:
        rows = self._rows(sql.SELECT_META, (CHAIN_KEY,))
        return ChainState.from_text(self.path, rows[0][0] if rows else None)

    # -- the way to SQLite

    def _run(self, sql: str, values: Sequence[object] | dict[str, object] = ()) -> sqlite3.Cursor:
        if self._broken is not None:
            raise self._broken
        try:
            return self._connection.execute(sql, values)
        except SQLITE_FAULTS as e:
            raise self._failed(e) from e

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        cursor = self._run(sql, values)
        try:
            return cursor.fetchall()
        except SQLITE_FAULTS as e:
            raise self._failed(e) from e

    def _failed(self, error: sqlite3.Error | UnicodeDecodeError) -> LedgerError:
        failure = ledger_error(self.path, error)
        if self._in_block:
            # SQLite may have rolled the transaction back by itself (disk full); what comes after it in
            # the block would then be committed alone. Nothing more is written in this block.
            self._broken = failure
        return failure

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group writes: all of them or none. Raises InvariantError where blocks nest."""
        if self._in_block:
            raise InvariantError("ledger transactions do not nest")
        self._in_block = True
        try:
            self._run("BEGIN IMMEDIATE")
            yield
            self._run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # the first error says what is wrong; closing rolls back as well
                self._connection.rollback()
            raise
        finally:
            self._in_block = False
            self._broken = None

    def _together(self) -> AbstractContextManager[None]:
        """Give writes of several statements their own transaction where none is open."""
        return nullcontext() if self._in_block else self.transaction()

    def close(self) -> None:
        """Close the file; an open transaction is rolled back."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def epoch(self) -> uuid.UUID:
        """Random identity of this ledger, made with it."""
        return self._epoch

    # -- writing

    def record_intent(self, order: Order) -> None:
        """Journal an order in state INTENT, before anything is sent. Raises InvariantError in another state."""
        if order.state is not OrderState.INTENT:
            raise InvariantError(f"order {order.client_order_id}: journalled as an intent in state {order.state}")
        intent = (
            order.account,
            order.symbol,
            order.intent_number,
            order.client_order_id,
            order.purpose.value,
            order.side.value,
            order.type.value,
            text(order.quantity),
            None if order.price is None else text(order.price),
            None if order.stop_price is None else text(order.stop_price),
            int(order.post_only),
            order.reason,
            micros(order.created_at),
        )
        with self._together():
            self._run(sql.INSERT_INTENT, intent)
            self._run(sql.INSERT_ORDER, (order.client_order_id, *_state_of(order)))

    def record_transition(self, order: Order, previous: OrderState, note: str = "") -> None:
        """Journal that ``order`` has left ``previous`` for its present state.

        Raises InvariantError where the ledger knows the order in another state or not at all, where the
        state machine has no such move, and where the filled quantity would fall.
        """
        name = f"order {order.client_order_id}"
        if order.state not in TRANSITIONS[previous]:
            raise InvariantError(f"{name}: no transition from {previous} to {order.state}")
        with self._together():
            stored = self._rows(sql.SELECT_STATE, (order.client_order_id,))
            if not stored:
                raise InvariantError(f"{name}: moved to {order.state} without a journalled intent")
            state, filled = stored[0]
            if state != previous.value:
                raise InvariantError(f"{name}: the ledger has it {state}, not {previous}; cannot move to {order.state}")
            if Decimal(filled) > order.filled_quantity:
                raise InvariantError(f"{name}: filled quantity fell from {filled} to {order.filled_quantity}")
            self._run(sql.UPDATE_ORDER, (*_state_of(order), order.client_order_id))
            self._run(
                sql.INSERT_EVENT,
                (
                    order.client_order_id,
                    previous.value,
                    order.state.value,
                    text(order.filled_quantity),
                    note,
                    micros(order.updated_at),
                ),
            )

    def record_fill(self, fill: Fill) -> bool:
        """Store a fill; False where (account, fill_id) is known already."""
        values = (
            fill.account,
            fill.fill_id,
            fill.symbol,
            fill.client_order_id,
            fill.side.value,
            text(fill.quantity),
            text(fill.price),
            text(fill.fee),
            fill.liquidity.value,
            micros(fill.at),
        )
        return self._run(sql.INSERT_FILL, values).rowcount == 1

    def record_flow(self, flow: Flow) -> None:
        """Store cash that came or went from outside."""
        self._run(sql.INSERT_FLOW, (flow.account, flow.asset, text(flow.amount), micros(flow.at), flow.note))

    def record_dust(self, event: DustEvent) -> None:
        """Store that what is left of a position is written off."""
        self._run(sql.INSERT_DUST, (event.account, event.symbol, micros(event.at)))

    def record_coins_out(self, event: CoinsOut) -> None:
        """Store that coins of a position left the account without an order of the bot, or came back."""
        values = (event.account, event.symbol, text(event.quantity), text(event.price), micros(event.at))
        self._run(sql.INSERT_COINS_OUT, values)

    def record_bars(self, source: str, symbol: str, timeframe: str, bars: Sequence[Candle]) -> None:
        """Store closed bars; one that is stored already is left as it was."""
        with self._together():
            for bar in bars:
                self._run(sql.INSERT_BAR, (source, symbol, timeframe, *bar))

    def record_decision(self, decision: DecisionRecord) -> None:
        """Store a decision and chain it to the one before; NaN and infinities in its details are stored as null."""
        with self._together():
            chain = self._chain()
            chained = chain.with_row((chain.last_seq + 1, *_columns_of(decision)))
            self._run(sql.INSERT_DECISION, (chained.last_seq, *_columns_of(decision), chained.head))
            self._run(sql.SET_META, (CHAIN_KEY, chained.to_text()))

    def record_refusal(self, refusal: Refusal) -> bool:
        """Store a refusal once per (bar, coin, code); False where it is stored already."""
        values = (
            refusal.code.value,
            refusal.limit,
            refusal.actual,
            refusal.unit,
            refusal.symbol,
            refusal.account,
            refusal.bar_ms,
            refusal.notional_usd,
            micros(refusal.at),
        )
        return self._run(sql.INSERT_REFUSAL, values).rowcount == 1

    def record_guard_event(self, event: GuardEvent) -> None:
        """Store that a guard became active or inactive."""
        values = (event.name, int(event.active), event.used, event.limit, event.unit, micros(event.at))
        self._run(sql.INSERT_GUARD_EVENT, values)

    def record_equity(self, point: EquityPoint) -> None:
        """Store the account at the end of a cycle; a second point of the same microsecond replaces the first."""
        values = (
            micros(point.at),
            point.equity,
            point.cash,
            point.performance_index,
            point.high_water_mark,
            point.exposure_frac,
            int(point.fresh),
        )
        self._run(sql.INSERT_EQUITY, values)

    def set_value(self, key: str, value: object) -> None:
        """Store a small JSON value of the engine; raises LedgerError where JSON has no form for it (NaN, Decimal)."""
        try:
            encoded = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as e:
            raise LedgerError(f"ledger {self.path}: the value {key!r} cannot be stored as JSON: {e}") from e
        self._run(sql.SET_VALUE, (key, encoded))

    def prune(self, now: datetime, *, journal: bool = True) -> int:
        """Thin old equity points, remove old journal rows, and give the -wal's disk space back; return rows gone.

        Of equity stay: all of the last 2 days, then the last of each hour up to 30 days, then the last of each
        UTC day for ever. Limits lie on UTC midnights, so that hours and days are thinned whole. Decisions,
        refusals and guard events go after two years, and bars that no decision needs any more; not with
        ``journal=False`` (a replay, which is counted at its end). To be called daily, outside a transaction.
        """
        full_from = _day_start(now - _FULL_EQUITY)
        hourly_from = _day_start(now - _HOURLY_EQUITY)
        with self.transaction():
            gone = self._run(sql.THIN_EQUITY, {"from": hourly_from, "to": full_from, "bucket": US_PER_HOUR}).rowcount
            gone += self._run(sql.THIN_EQUITY, {"from": 0, "to": hourly_from, "bucket": US_PER_DAY}).rowcount
            if journal:
                gone += self._retire(_day_start(now - KEPT_FOR))
        self._truncate_wal()
        return gone

    def _truncate_wal(self) -> None:
        """Give the disk space of the -wal back; not while a view reads: nobody waits for that, the next day does it."""
        self._rows("PRAGMA busy_timeout = 0")
        try:
            self._rows("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._rows(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_S * 1000:.0f}")

    def _retire(self, before_us: int) -> int:
        """Remove journal rows of before a moment: an unbroken run of the oldest ones, whatever the clock did since."""
        gone = self._run(sql.DELETE_REFUSALS, (before_us,)).rowcount
        gone += self._run(sql.DELETE_GUARD_EVENTS, (before_us,)).rowcount
        kept = self._rows(sql.FIRST_KEPT_DECISION, (before_us,))
        last_old = self._rows(sql.LAST_OLD_DECISION, kept[0]) if kept else []
        if last_old:
            seq, anchor = last_old[0]
            removed = self._run(sql.DELETE_DECISIONS, (seq,)).rowcount
            chain = self._chain()
            self._run(sql.SET_META, (CHAIN_KEY, replace(chain, anchor=anchor, count=chain.count - removed).to_text()))
            gone += removed
        return gone + self._run(sql.DELETE_BARS, (before_us // 1000,)).rowcount

    # -- reading

    def next_intent_number(self, account: str, symbol: str) -> int:
        """The number that the next intent for this (account, symbol) gets, starting at 1."""
        number: int = self._rows(sql.NEXT_NUMBER, (account, symbol))[0][0]
        return number

    def value(self, key: str, default: object = None) -> object:
        """Read a value stored with ``set_value``."""
        rows = self._rows(sql.SELECT_VALUE, (key,))
        return decode_json(self.path, "engine_values", key, rows[0][0]) if rows else default

    def live_orders(self) -> list[Order]:
        """Orders that are not in a final state, oldest first."""
        return decode(self.path, ORDERS, self._rows(sql.SELECT_LIVE))

    def order(self, client_order_id: str) -> Order | None:
        """One order."""
        found = decode(self.path, ORDERS, self._rows(sql.SELECT_ORDER, (client_order_id,)))
        return found[0] if found else None

    def fills(self) -> list[Fill]:
        """All fills in the order in which they were recorded."""
        return decode(self.path, FILLS, self._rows(sql.SELECT_FILLS))

    def flows(self) -> list[Flow]:
        """All flows in the order in which they were recorded."""
        return decode(self.path, FLOWS, self._rows(sql.SELECT_FLOWS))

    def book_events(self) -> list[BookEvent]:
        """Fills, flows, write-offs and removals together in the order in which they were recorded."""
        return merge_books(
            self.path,
            fills=self._rows(sql.SELECT_FILLS),
            flows=self._rows(sql.SELECT_FLOWS),
            dust=self._rows(sql.SELECT_DUST),
            coins_out=self._rows(sql.SELECT_COINS_OUT),
        )

    def bars(self, source: str, symbol: str, timeframe: str) -> list[Candle]:
        """Stored bars, ascending."""
        return [Candle(*row) for row in self._rows(sql.SELECT_BARS, (source, symbol, timeframe))]


def _state_of(order: Order) -> tuple[Any, ...]:
    """Mutable columns of ``orders``, in their order."""
    return (
        order.state.value,
        int(order.is_live),
        order.venue_order_id,
        text(order.filled_quantity),
        micros(order.updated_at),
    )


def _columns_of(decision: DecisionRecord) -> Row:
    """Columns of ``decisions`` between number and hash, as SQLite gives them back."""
    return (
        decision.symbol,
        decision.account,
        decision.bar_ms,
        decision.first_bar_ms,
        decision.bars,
        decision.action,
        None if math.isnan(decision.score) else float(decision.score) + 0.0,  # SQLite takes the sign from a zero
        json_of(decision.details),
        micros(decision.at),
    )


def _day_start(at: datetime) -> int:
    return micros(at) // US_PER_DAY * US_PER_DAY
