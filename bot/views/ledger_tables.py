"""The ledger as tables for other programs: exact decimal texts, times ISO 8601 UTC, nothing rounded."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from bot.domain.account import CoinsOut, Flow
from bot.domain.errors import InvariantError, LedgerError
from bot.domain.modes import TradingMode
from bot.storage.ledger_audit import LedgerAudit
from bot.views.ledger_lots import LOTS_NOTE, tax_lots
from bot.views.recorded import recorded_book

Cell = str | int | float | bool | None
Table = list[dict[str, Cell]]


class What(StrEnum):
    """What can be exported."""

    TRADES = "trades"
    FILLS = "fills"
    FLOWS = "flows"
    ORDERS = "orders"
    DECISIONS = "decisions"
    LOTS = "lots"


def read_tables(audit: LedgerAudit, wanted: Iterable[What]) -> dict[What, Table]:
    """Read tables of one ledger, all in one view of it. Raises LedgerError."""
    try:
        return {what: _READERS[what](audit) for what in wanted}
    except (InvariantError, AssertionError, ArithmeticError) as e:
        raise LedgerError(
            f"ledger {audit.path}: its books do not hold: {e}; `python bot.py ledger verify` tells more"
        ) from e


def csv_text(what: What, table: Table) -> str:
    """The table with a header row (RFC 4180); nothing is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS[what])
    writer.writerows([row[column] for column in COLUMNS[what]] for row in table)
    return out.getvalue()


def json_tables(mode: TradingMode, tables: Mapping[What, Table]) -> str:
    """One JSON object with every table as a list of objects."""
    notes = {"note": LOTS_NOTE} if What.LOTS in tables else {}
    document = {"mode": mode.value, **notes, **{what.value: table for what, table in tables.items()}}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _trades(audit: LedgerAudit) -> Table:
    return [
        _row(
            What.TRADES,
            trade.account,
            trade.symbol,
            trade.opened_at,
            trade.closed_at,
            trade.bought_quantity,
            trade.bought_cost,
            trade.sold_quantity,
            trade.sold_proceeds,
            trade.fees,
            trade.gross_pnl,
            trade.net_pnl,
            trade.fills,
            trade.last_purpose,
        )
        for trade in recorded_book(audit).trades
    ]


def _fills(audit: LedgerAudit) -> Table:
    return [
        _row(
            What.FILLS,
            fill.at,
            fill.account,
            fill.symbol,
            fill.side.value,
            fill.quantity,
            fill.price,
            fill.fee,
            fill.liquidity.value,
            fill.client_order_id,
            fill.fill_id,
        )
        for fill in audit.fills()
    ]


def _flows(audit: LedgerAudit) -> Table:
    rows = []
    for event in audit.book_events():
        if isinstance(event, Flow):
            rows.append(_row(What.FLOWS, event.at, event.account, event.asset, event.amount, None, event.note))
        elif isinstance(event, CoinsOut):
            asset = event.symbol.partition("/")[0]
            note = "coins moved out by hand" if event.quantity > 0 else "coins came back by hand"
            rows.append(_row(What.FLOWS, event.at, event.account, asset, -event.quantity, event.price, note))
    return rows


def _orders(audit: LedgerAudit) -> Table:
    return [
        _row(
            What.ORDERS,
            order.created_at,
            order.updated_at,
            order.account,
            order.symbol,
            order.intent_number,
            order.purpose.value,
            order.side.value,
            order.type.value,
            order.quantity,
            order.price,
            order.stop_price,
            order.post_only,
            order.state.value,
            order.filled_quantity,
            order.client_order_id,
            order.venue_order_id,
            order.reason,
        )
        for order in reversed(audit.orders())
    ]


def _decisions(audit: LedgerAudit) -> Table:
    return [
        _row(
            What.DECISIONS,
            number,
            record.at,
            record.symbol,
            record.account,
            datetime.fromtimestamp(record.bar_ms / 1000, tz=UTC),
            datetime.fromtimestamp(record.first_bar_ms / 1000, tz=UTC),
            record.bars,
            record.action,
            None if math.isnan(record.score) else record.score,
            json.dumps(dict(record.details)),
        )
        for number, record in audit.numbered_decisions()
    ]


def _lots(audit: LedgerAudit) -> Table:
    return [
        _row(
            What.LOTS,
            lot.account,
            lot.asset,
            lot.quantity,
            lot.acquired_at,
            lot.acquired_by.value,
            lot.disposed_at,
            lot.disposed_by.value,
            lot.cost,
            lot.proceeds,
            lot.gain,
            lot.holding_days,
        )
        for lot in tax_lots(audit.book_events())
    ]


_READERS: Mapping[What, Callable[[LedgerAudit], Table]] = MappingProxyType(
    {
        What.TRADES: _trades,
        What.FILLS: _fills,
        What.FLOWS: _flows,
        What.ORDERS: _orders,
        What.DECISIONS: _decisions,
        What.LOTS: _lots,
    }
)
_NAMES: Mapping[What, str] = MappingProxyType(
    {
        What.TRADES: "account symbol opened_at closed_at bought_quantity bought_cost sold_quantity sold_proceeds fees"
        " gross_pnl net_pnl fills closed_by",
        What.FILLS: "at account symbol side quantity price fee liquidity client_order_id fill_id",
        What.FLOWS: "at account asset amount price note",
        What.ORDERS: "created_at updated_at account symbol number purpose side type quantity price stop_price"
        " post_only state filled_quantity client_order_id venue_order_id reason",
        What.DECISIONS: "seq at symbol account bar_at first_bar_at bars action score details",
        What.LOTS: "account asset quantity acquired_at acquired_by disposed_at disposed_by cost_basis proceeds gain"
        " holding_days",
    }
)
COLUMNS: Mapping[What, Sequence[str]] = MappingProxyType({what: names.split() for what, names in _NAMES.items()})
"""By table, in their order; they stay as they are: other programs read them."""


def _row(what: What, *values: Any) -> dict[str, Cell]:
    return dict(zip(COLUMNS[what], map(_cell, values), strict=True))


def _cell(value: Any) -> Cell:
    """Decimals without an exponent, times as ISO 8601 UTC, everything else as it is."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    assert value is None or isinstance(value, str | int | float), f"no form for {value!r}"
    return value
