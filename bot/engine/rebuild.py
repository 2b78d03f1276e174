"""The books from the ledger, and the one thing about them that no ledger event tells: R.

R, the planned loss of a position at its first stop, is kept in the engine's state, so that losses
are measured alike before and after a restart.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from bot.books.book import Book
from bot.domain.account import DustEvent, Flow
from bot.engine.account import key_text
from bot.engine.desk import OrderDesk
from bot.engine.protect import is_entering
from bot.engine.state import EngineState
from bot.ports import Ledger

RISKS_KEPT = 50


def rebuilt_book(ledger: Ledger, state: EngineState) -> Book:
    """Apply every fill, flow and write-off of the ledger, and the remembered R of each position."""
    book = Book()
    for event in ledger.book_events():
        if isinstance(event, Flow):
            book.apply_flow(event)
            continue
        if isinstance(event, DustEvent):
            book.book_dust(event.account, event.symbol)
            continue
        order = ledger.order(event.client_order_id)
        book.apply_fill(event, order.purpose if order is not None else "")
        position = book.positions.get((event.account, event.symbol))
        if position is not None:
            risk = state.initial_risks.get(_risk_name(event.account, event.symbol, position.opened_at))
            if risk is not None:
                book.set_initial_risk(event.account, event.symbol, Decimal(repr(risk)))
    return book


def note_risks(book: Book, desk: OrderDesk, state: EngineState) -> None:
    """Tell the books what a new position risks, once its entry has ended: quantity x distance to its first stop."""
    for (account, symbol), position in book.positions.items():
        if position.initial_risk_usd is not None or is_entering(state, desk, (account, symbol)):
            continue
        frac = state.entry_stop_frac.get(key_text(account, symbol))
        plan = state.stops.get(key_text(account, symbol))
        risk = 0.0
        if frac is not None:
            risk = float(position.cost) * frac
        elif plan is not None:  # filled while its entry was being taken back: the stop was placed at once
            risk = float(position.cost - position.quantity * Decimal(plan.first_stop_price))
        if risk > 0:
            book.set_initial_risk(account, symbol, Decimal(repr(risk)))
            state.initial_risks[_risk_name(account, symbol, position.opened_at)] = risk
    while len(state.initial_risks) > RISKS_KEPT:
        del state.initial_risks[next(iter(state.initial_risks))]


def _risk_name(account: str, symbol: str, opened_at: datetime) -> str:
    return f"{key_text(account, symbol)}|{opened_at.isoformat()}"
