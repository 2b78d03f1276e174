"""What a ledger says of itself, whoever wrote it last: its books, and what was open when it was last written."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bot.books.book import Book
from bot.domain.account import FeeSchedule, Fill
from bot.domain.modes import TradingMode
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path, mode_folder


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAccount:
    """What a bot has recorded of an account last."""

    equity_usd: float
    """Of all accounts together."""
    fees: FeeSchedule | None


def own_account(state_dir: Path, account: str) -> OwnAccount | None:
    """Read it of the live bot, else of one on paper; None where neither has run. Invented prices tell nothing.

    Raises LedgerError.
    """
    for mode in (TradingMode.LIVE, TradingMode.PAPER):
        path = ledger_path(mode_folder(state_dir, mode))
        if not path.is_file() or path.stat().st_size == 0:
            continue
        with LedgerReader(path) as reader:
            snapshot = reader.snapshot()
        if snapshot is None:
            continue
        views = [view for view in snapshot["venues"] if view["account"] == account and view["fee_origin"]]
        fees = [
            FeeSchedule(
                maker_frac=Decimal(repr(round(view["maker_pct"], 6))) / 100,
                taker_frac=Decimal(repr(round(view["taker_pct"], 6))) / 100,
                origin=view["fee_origin"],
            )
            for view in views
        ]
        return OwnAccount(equity_usd=snapshot["equity_usd"], fees=fees[0] if fees else None)
    return None


def left_open(folder: Path) -> LeftOpen:
    """Read it from the books and orders of a mode folder, by whatever version; raises LedgerError."""
    if not ledger_path(folder).is_file():
        return LeftOpen(positions=(), orders=())
    with LedgerReader(ledger_path(folder)) as reader:
        return LeftOpen(
            positions=tuple(recorded_book(reader).positions),
            orders=tuple((order.account, order.symbol) for order in reader.orders() if order.is_live),
        )
