"""The books from the ledger, and the one thing about them that no ledger event tells: R.

R, the planned loss of a position at its first stop, is kept in the engine's state, so that losses
are measured alike before and after a restart.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from bot.books.book import Book
from bot.books.positions import Position
from bot.domain.account import Fill
from bot.engine.account import key_text
from bot.engine.desk import OrderDesk
from bot.engine.protect import is_entering
from bot.engine.state import EngineState, parse_time
from bot.ports import Ledger

RISKS_KEPT = 50


def rebuilt_book(ledger: Ledger, state: EngineState) -> Book:
    """Apply every fill, flow and write-off of the ledger, and the remembered R of each position."""
    book = Book()
    for event in ledger.book_events():
        if not isinstance(event, Fill):
            book.apply(event)
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
    """Tell the books what a new position risks: quantity x distance to its first stop.

    While its first entry is under way R grows with it: a position that is stopped out before is a result too.
    """
    for (account, symbol), position in book.positions.items():
        plan_of_entry = state.entry_plans.get(key_text(account, symbol))
        started_at = parse_time(plan_of_entry.started_at) if plan_of_entry is not None else None
        if plan_of_entry is not None and started_at is not None and position.opened_at >= started_at:
            _note(book, state, position, float(position.cost) * plan_of_entry.stop_frac)
            continue
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
            _note(book, state, position, risk)
    while len(state.initial_risks) > RISKS_KEPT:
        del state.initial_risks[next(iter(state.initial_risks))]


def _note(book: Book, state: EngineState, position: Position, risk: float) -> None:
    book.set_initial_risk(position.account, position.symbol, Decimal(repr(risk)))
    state.initial_risks[_risk_name(position.account, position.symbol, position.opened_at)] = risk


def _risk_name(account: str, symbol: str, opened_at: datetime) -> str:
    return f"{key_text(account, symbol)}|{opened_at.isoformat()}"
