"""Whether everything that a ledger has stored fits together: the checks of `ledger verify`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.domain.snapshot import Snapshot
from bot.storage.ledger_audit import LedgerAudit
from bot.views.ledger_checked import Checked, attempt, checked, counted, read_snapshot
from bot.views.ledger_order_checks import fill_check, order_check
from bot.views.text import money

NEWER_MAX = timedelta(days=1)
"""Book events since the last finished cycle: venues list fills late, but not by more."""
CASH_TOLERANCE = 1e-9
"""Relative: the snapshot has floats."""


def stored_checks(audit: LedgerAudit) -> Iterator[Checked]:
    """Everything that the file alone can tell; rows that cannot be read fail the check that needs them."""
    yield attempt("file", lambda: _file(audit))
    yield attempt("orders", lambda: order_check(audit))
    yield attempt("fills", lambda: fill_check(audit))
    yield attempt("books", lambda: _books(audit))
    yield attempt("chain", lambda: _chain(audit))


def _file(audit: LedgerAudit) -> Checked:
    problems = audit.all_damage()
    if audit.epoch() is None:
        problems.append("table meta: the identity (epoch) of this ledger is missing or no UUID")
    if audit.told_version() != str(audit.schema_version):
        problems.append(
            f"the file says that its tables are of version {audit.schema_version}, table meta, row schema_version, "
            f"says {audit.told_version() or 'nothing'}"
        )
    rows = audit.read_the_rest() if not problems else 0
    problems += audit.unusable_bars()
    looked_at = "pages, indexes, bars"
    holds = f"; {counted(rows, 'row')} without a check of their own can be read"
    return checked("file", looked_at, problems, holds=holds)


# -- books


def _books(audit: LedgerAudit) -> Checked:
    events, snapshot = audit.book_events(), read_snapshot(audit)
    book, agreed = Book(), None
    if snapshot is not None and not _differences(book, snapshot):
        agreed = 0
    for count, event in enumerate(events, start=1):
        book.apply(event)  # asserts that cash, flows, profit, fees and costs balance
        if snapshot is not None and not _differences(book, snapshot):
            agreed = count
    looked_at = counted(len(events), "event")
    balance = f"{'balances' if len(events) == 1 else 'balance'} to the last digit"
    holds = (
        f" {balance}: open positions {len(book.positions)}, "
        f"cash {money(float(book.cash_usd))}, fees {money(float(book.fees_usd))}"
    )
    if snapshot is None:
        return checked("books", looked_at, [], holds=f"{holds}; no cycle of this version is stored to compare with")
    at = datetime.fromisoformat(snapshot["at"])
    newer = events[agreed:]
    if agreed is None or any(event.at < at - NEWER_MAX for event in newer):
        return checked("books", looked_at, _differences(book, snapshot))
    which = f"all but the newest {len(newer)}" if newer else "they"
    return checked("books", looked_at, [], holds=f"{holds}; {which} equal what the last cycle stored")


def _differences(book: Book, snapshot: Snapshot) -> list[str]:
    """Where cash or quantities differ from those of the last cycle."""
    positions = {(view["account"], view["symbol"]): Decimal(view["quantity"]) for view in snapshot["positions"]}
    found = []
    for account, symbol in sorted(positions.keys() | book.positions.keys()):
        held = book.positions.get((account, symbol))
        quantity, stored = (held.quantity if held is not None else Decimal(0)), positions.get((account, symbol))
        if quantity != (stored or Decimal(0)):
            found.append(f"{symbol} on {account}: the books hold {quantity}, the last cycle stored {stored or 0}")
    for venue in snapshot["venues"]:
        found.extend(_cash_differences(book, venue["account"], venue["cash_by_asset"]))
    return found


def _cash_differences(book: Book, account: str, stored: Mapping[str, float]) -> Iterator[str]:
    for asset, amount in stored.items():
        cash = float(book.cash.get((account, asset), Decimal(0)))
        if abs(cash - amount) > CASH_TOLERANCE * max(1.0, abs(amount)):
            yield f"{asset} on {account}: the books say {cash!r}, the last cycle stored {amount!r}"


# -- decisions


def _chain(audit: LedgerAudit) -> Checked:
    state = audit.chain()
    if state is None:
        found = f"none in schema {audit.schema_version}: the bot chains its decisions at its next start"
        return checked("chain", found, [])
    problems = audit.broken_chain(state)
    begun = "from the first one on" if state.anchor == str(audit.epoch()) else "older ones were removed after two years"
    looked_at, holds = counted(state.count, "decision"), f", {begun}; the newest hash is"
    return checked("chain", looked_at, problems, holds=holds, newest_hash=state.head)
