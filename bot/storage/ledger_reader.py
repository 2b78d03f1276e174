"""What views read from the ledger: read-only, beside a writing bot or after its death."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from bot.domain.account import BookEvent, Fill, Flow
from bot.domain.errors import LedgerError
from bot.domain.market import Candle
from bot.domain.orders import Order
from bot.domain.refusal import Refusal, RefusalCode
from bot.domain.snapshot import SNAPSHOT_KEY, SNAPSHOT_SCHEMA_VERSION, Snapshot
from bot.ports import DecisionRecord, EquityPoint, GuardEvent
from bot.storage.ledger_rows import (
    DECIMAL,
    DECISIONS,
    EQUITY,
    FILLS,
    FLOWS,
    GUARD_EVENTS,
    ORDERS,
    REFUSALS,
    Row,
    Table,
    decode,
    decode_json,
    exact,
    merge_books,
    micros,
    moment,
)
from bot.storage.ledger_schema import (
    COINS_OUT_SINCE_VERSION,
    DUST_SINCE_VERSION,
    SELECT_BARS,
    SELECT_COINS_OUT,
    SELECT_DUST,
    SELECT_FILLS,
    SELECT_FLOWS,
    SELECT_VALUE,
    SQLITE_FAULTS,
    US_PER_DAY,
    check_version,
    ledger_error,
)

_BUSY_TIMEOUT_S = 2.0

_LAST_FILLS = (
    "SELECT seq, fill_id, account, symbol, client_order_id, side, quantity, price, fee, liquidity, at FROM fills"
    " ORDER BY seq DESC LIMIT ?"
)
_ORDERS = "SELECT * FROM orders_now ORDER BY seq DESC LIMIT ?"
_REFUSALS = (
    "SELECT seq, code, limit_value, actual, unit, symbol, account, bar_ms, notional_usd, at FROM refusals"
    " WHERE (:code IS NULL OR code = :code) AND (:since IS NULL OR at >= :since) ORDER BY seq DESC LIMIT :limit"
)
_REFUSAL_COUNTS = "SELECT code, count(*) FROM refusals GROUP BY code ORDER BY count(*) DESC, code"
_DECISIONS = (
    "SELECT seq, symbol, account, bar_ms, first_bar_ms, bars, action, score, details, at FROM decisions"
    " ORDER BY seq DESC LIMIT ?"
)
_GUARD_EVENTS = "SELECT seq, name, active, used, limit_value, unit, at FROM guard_events ORDER BY seq DESC LIMIT ?"
_GUARD_ACTIVATIONS = "SELECT name, count(*) FROM guard_events WHERE active = 1 GROUP BY name ORDER BY name"
_LAST_EQUITY = (
    "SELECT at, equity, cash, performance_index, high_water_mark, exposure_frac, fresh FROM equity"
    " ORDER BY at DESC LIMIT 1"
)
_EQUITY_SPAN = "SELECT min(at), max(at) FROM equity WHERE at >= ?"
# SQLite takes the other columns of a max() row from that row.
_EQUITY = (
    "SELECT max(at), equity, cash, performance_index, high_water_mark, exposure_frac, fresh FROM equity"
    " WHERE at >= :first GROUP BY (at - :first) / :width ORDER BY 1"
)
_DAY_ENDS = "SELECT max(at), equity, performance_index FROM equity GROUP BY at / ? ORDER BY 1 DESC LIMIT ?"
_FIRST_EQUITY = "SELECT at, equity, performance_index FROM equity ORDER BY at LIMIT 1"
_EVERY_DAY_END = (
    "SELECT max(at), equity, cash, performance_index, high_water_mark, exposure_frac, fresh FROM equity"
    " GROUP BY at / ? ORDER BY 1"
)
_ACTED = (
    "SELECT seq, symbol, account, bar_ms, first_bar_ms, bars, action, score, details, at FROM decisions"
    " WHERE action IN ('enter', 'add', 'reduce', 'exit') ORDER BY seq"
)
# Of several sources the one that is still told; SQLite takes the other columns of a max() row from that row.
_CLOSES = (
    "SELECT bars.symbol, open_ms, close FROM bars JOIN"
    " (SELECT symbol, source, max(last) FROM (SELECT symbol, source, max(open_ms) AS last FROM bars"
    " WHERE timeframe = :timeframe GROUP BY symbol, source) GROUP BY symbol) AS told"
    " ON bars.symbol = told.symbol AND bars.source = told.source"
    " WHERE timeframe = :timeframe AND open_ms >= :since ORDER BY open_ms"
)
_FEES = "SELECT seq, at, fee FROM fills WHERE at >= ?"
_FEE = Table("fills", lambda row: (row[1], exact(row[2])), {"seq": (int, ""), "at": (moment, "a time"), "fee": DECIMAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class DayResult:
    """One UTC day, from the last equity point of the recorded day before it to its own last one.

    The first recorded day is measured from its own first point. ``change_pct`` is that of the
    performance index, so deposits and withdrawals do not move it; ``pnl_usd`` is the change of equity
    less the flows recorded in between (every quote asset at par).
    """

    day: date
    equity: float
    performance_index: float
    change_pct: float
    pnl_usd: float
    fees_usd: Decimal


class LedgerReader(AbstractContextManager["LedgerReader"]):
    """One look into a ledger; views make a new one for every refresh and close it.

    Reads while the bot writes, and the WAL that a killed bot has left. Makes no file (but the index
    ``-shm`` where somebody has deleted it beside a ``-wal``). Raises LedgerError where there is no ledger
    yet, where it cannot be read, and where a newer version wrote it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file() or self.path.stat().st_size == 0:
            raise LedgerError(f"no ledger yet at {self.path}: it is made at the bot's first start in this mode")
        real = self.path.resolve()
        # Without a -wal nobody writes, and SQLite would make one even for a read-only connection; a file
        # promised immutable is read as it is. That promise is why a reader is one short look.
        mode = "mode=ro" if Path(f"{real}-wal").exists() else "mode=ro&immutable=1"
        try:
            self._connection = sqlite3.connect(
                f"{real.as_uri()}?{mode}", uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None
            )
        except sqlite3.Error as e:
            raise ledger_error(self.path, e) from e
        try:
            self._check()
        except BaseException:
            self._connection.close()
            raise

    def _check(self) -> None:
        self._version: int = self._rows("PRAGMA user_version")[0][0]
        check_version(self.path, self._version)
        if self._version == 0:
            raise LedgerError(
                f"ledger {self.path}: it has no tables of this program: "
                "the bot is making them just now, or this is another program's database"
            )

    def _rows(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except SQLITE_FAULTS as e:
            raise ledger_error(self.path, e) from e

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what the engine says about itself

    def value(self, key: str, default: object = None) -> object:
        """Value that the engine has stored under ``key``."""
        rows = self._rows(SELECT_VALUE, (key,))
        return decode_json(self.path, "engine_values", key, rows[0][0]) if rows else default

    def snapshot(self) -> Snapshot | None:
        """Account at the end of the last cycle; None before the first, or where another version wrote it."""
        found = self.value(SNAPSHOT_KEY)
        if not isinstance(found, dict) or found.get("schema_version") != SNAPSHOT_SCHEMA_VERSION:
            return None
        return cast("Snapshot", found)

    # -- orders and books

    def orders(self, limit: int | None = None) -> list[Order]:
        """Orders as they stand, newest intent first."""
        return decode(self.path, ORDERS, self._rows(_ORDERS, (_limit(limit),)))

    def fills(self, limit: int | None = None) -> list[Fill]:
        """Fills in the order in which they were recorded; with ``limit`` only the last ones."""
        return decode(self.path, FILLS, self._rows(_LAST_FILLS, (_limit(limit),))[::-1])

    def flows(self) -> list[Flow]:
        """Flows in the order in which they were recorded."""
        return decode(self.path, FLOWS, self._rows(SELECT_FLOWS))

    def book_events(self) -> list[BookEvent]:
        """Fills, flows, write-offs and removals in the recorded order: books are folded from them."""
        # A ledger of an older version is read as it is: only the bot, when it starts, brings it up to date.
        return merge_books(
            self.path,
            fills=self._rows(SELECT_FILLS),
            flows=self._rows(SELECT_FLOWS),
            dust=self._rows(SELECT_DUST) if self._version >= DUST_SINCE_VERSION else [],
            coins_out=self._rows(SELECT_COINS_OUT) if self._version >= COINS_OUT_SINCE_VERSION else [],
        )

    def fees_total(self) -> Decimal:
        """Sum of all fees in quote units."""
        return sum(self._fees_by_day(0).values(), Decimal(0))

    def _fees_by_day(self, since_us: int) -> dict[int, Decimal]:
        fees: dict[int, Decimal] = {}
        for at, fee in decode(self.path, _FEE, self._rows(_FEES, (since_us,))):
            fees[at // US_PER_DAY] = fees.get(at // US_PER_DAY, Decimal(0)) + fee
        return fees

    def bars(self, source: str, symbol: str, timeframe: str) -> list[Candle]:
        """Stored bars, ascending."""
        return [Candle(*row) for row in self._rows(SELECT_BARS, (source, symbol, timeframe))]

    def closes(self, timeframe: str, since_ms: int) -> list[tuple[str, int, float]]:
        """(Symbol, opening time, close) of the stored bars that open at ``since_ms`` or later, ascending.

        Of each coin from the source that was told of last.
        """
        return self._rows(_CLOSES, {"timeframe": timeframe, "since": since_ms})

    # -- decisions, refusals, guards

    def decisions(self, limit: int | None = None) -> list[DecisionRecord]:
        """Decisions, newest first."""
        return decode(self.path, DECISIONS, self._rows(_DECISIONS, (_limit(limit),)))

    def acted(self) -> list[DecisionRecord]:
        """Decisions to buy or to sell, oldest first."""
        return decode(self.path, DECISIONS, self._rows(_ACTED))

    def refusals(
        self, limit: int | None = None, *, code: RefusalCode | None = None, since: datetime | None = None
    ) -> list[Refusal]:
        """Refusals, newest first; of one code, or recorded at or after ``since``, where these are given."""
        values = {
            "code": None if code is None else code.value,
            "since": None if since is None else micros(since),
            "limit": _limit(limit),
        }
        return decode(self.path, REFUSALS, self._rows(_REFUSALS, values))

    def refusal_counts(self) -> dict[str, int]:
        """Number of refusals by code, most frequent first."""
        return dict(self._rows(_REFUSAL_COUNTS))

    def guard_events(self, limit: int | None = None) -> list[GuardEvent]:
        """Guard events, newest first."""
        return decode(self.path, GUARD_EVENTS, self._rows(_GUARD_EVENTS, (_limit(limit),)))

    def guard_activations(self) -> dict[str, int]:
        """How often each guard became active, by name."""
        return dict(self._rows(_GUARD_ACTIVATIONS))

    # -- equity

    def last_equity(self) -> EquityPoint | None:
        """Last equity point."""
        found = decode(self.path, EQUITY, self._rows(_LAST_EQUITY))
        return found[0] if found else None

    def equity(self, *, since: datetime | None = None, max_points: int = 500) -> list[EquityPoint]:
        """Equity points from ``since``, ascending: of ``max_points`` equal stretches of time, the last point each."""
        assert max_points > 0, f"max_points must be positive, was {max_points}"
        first, last = self._rows(_EQUITY_SPAN, (0 if since is None else micros(since),))[0]
        if first is None:
            return []
        width = (last - first) // max_points + 1
        return decode(self.path, EQUITY, self._rows(_EQUITY, {"first": first, "width": width}))

    def day_ends(self) -> list[EquityPoint]:
        """Last equity point of each recorded UTC day, ascending."""
        return decode(self.path, EQUITY, self._rows(_EVERY_DAY_END, (US_PER_DAY,)))

    def pnl_by_day(self, limit_days: int = 30) -> list[DayResult]:
        """Results of the last ``limit_days`` recorded UTC days, newest first."""
        assert limit_days > 0, f"limit_days must be positive, was {limit_days}"
        ends = self._rows(_DAY_ENDS, (US_PER_DAY, limit_days + 1))
        if len(ends) <= limit_days:
            ends += self._rows(_FIRST_EQUITY)
        if not ends:
            return []
        fees = self._fees_by_day(ends[-1][0] // US_PER_DAY * US_PER_DAY)
        flows = [(micros(flow.at), float(flow.amount)) for flow in self.flows()]
        return [
            DayResult(
                day=moment(at).date(),
                equity=equity,
                performance_index=index,
                change_pct=(index / base_index - 1) * 100 if base_index > 0 else 0.0,
                pnl_usd=equity - base_equity - sum(amount for flow_at, amount in flows if base_at < flow_at <= at),
                fees_usd=fees.get(at // US_PER_DAY, Decimal(0)),
            )
            for (at, equity, index), (base_at, base_equity, base_index) in pairwise(ends)
        ]


def _limit(limit: int | None) -> int:
    """LIMIT of SQLite, where a negative one means none."""
    assert limit is None or limit >= 0, f"limit must not be negative, was {limit}"
    return -1 if limit is None else limit
