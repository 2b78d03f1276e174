"""What a ledger says of itself, whoever wrote it last: its books, and what was open when it was last written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bot.books.book import Book
from bot.domain.account import Fill
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path


def recorded_book(reader: LedgerReader) -> Book:
    """Fold the books from the recorded events; each step asserts that they balance (InvariantError)."""
    purposes = {order.client_order_id: order.purpose.value for order in reader.orders()}
    book = Book()
    for event in reader.book_events():
        book.apply(event, purposes.get(event.client_order_id, "") if isinstance(event, Fill) else "")
    return book


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOpen:
    """What a ledger has open, as (account, symbol)."""

    positions: tuple[tuple[str, str], ...]
    orders: tuple[tuple[str, str], ...]

    def of(self, accounts: set[str]) -> LeftOpen:
        """What of it lies on these accounts."""
        return LeftOpen(
            positions=tuple(key for key in self.positions if key[0] in accounts),
            orders=tuple(key for key in self.orders if key[0] in accounts),
        )

    @property
    def accounts(self) -> set[str]:
        """Where something is open."""
        return {account for account, _ in (*self.positions, *self.orders)}


def left_open(folder: Path) -> LeftOpen:
    """Read it from the books and orders of a mode folder, by whatever version; raises LedgerError."""
    if not ledger_path(folder).is_file():
        return LeftOpen(positions=(), orders=())
    with LedgerReader(ledger_path(folder)) as reader:
        return LeftOpen(
            positions=tuple(recorded_book(reader).positions),
            orders=tuple((order.account, order.symbol) for order in reader.orders() if order.is_live),
        )
