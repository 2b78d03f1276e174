"""Dust: what is left of a position and too small for its venue is written off, once and for all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.books.book import Book
from bot.books.positions import Position
from bot.domain.account import DustEvent
from bot.engine.account import Account
from bot.engine.desk import OrderDesk
from bot.engine.state import StateKeeper
from bot.ports import Ledger

DUST_AFTER = timedelta(days=1)
"""How long what an entry bought and nothing has sold yet may wait to become more."""


def write_off_dust(
    *,
    accounts: Mapping[str, Account],
    book: Book,
    desk: OrderDesk,
    ledger: Ledger,
    keeper: StateKeeper,
    now: datetime,
) -> None:
    """Book the positions that no order can ever sell as the loss that they are.

    Journalled before the books know, so that a crash in between neither loses nor doubles it. To be called
    when the accounts have been settled; a silent account, and a coin with a live order, wait.
    """
    for key, position in list(book.positions.items()):
        account = accounts.get(key[0])
        if account is None or not account.fresh or desk.live(*key) or not _is_dust(account, position, now):
            continue
        with ledger.transaction():
            ledger.record_dust(DustEvent(account=position.account, symbol=position.symbol, at=now))
            keeper.save()  # with the R of this position: books rebuilt after a crash give it to the trade too
        book.book_dust(*key)


def _is_dust(account: Account, position: Position, now: datetime) -> bool:
    instrument, ticker = account.instruments.get(position.symbol), account.tickers.get(position.symbol)
    if instrument is None or ticker is None:
        return False
    # At its own price too: a price that dips makes less of it, and comes back.
    if any(position.quantity >= instrument.minimum_quantity_at(p) for p in (ticker.bid, position.average_price)):
        return False
    return position.sold_quantity > 0 or now - position.last_fill_at >= DUST_AFTER
