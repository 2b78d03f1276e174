"""Helpers for tests that run the built-in market in this process, and for looking into what it left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bot.books.book import Book
from bot.bootstrap import Session, open_simulated
from bot.clock import StopSignal
from bot.domain.account import Fill
from bot.domain.orders import Order, OrderType, Purpose, Side
from bot.engine.engine import CycleResult
from bot.engine.runner import run_engine
from bot.settings import load_settings
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import PAPER_ACCOUNTS_NAME
from bot.venues.builtin_market import BuiltinMarket

NOW = datetime(2026, 2, 3, 13, 20, tzinfo=UTC)


@cache
def _market(seed: int, day: datetime) -> BuiltinMarket:
    return BuiltinMarket(seed=seed, start=day)


def _shared_market(*, seed: int, start: datetime) -> BuiltinMarket:
    """The market of that day, made once: its prices follow from seed and day, and making them takes the longest."""
    return _market(seed, start.replace(hour=0))


@contextmanager
def fast_markets() -> Iterator[None]:
    """Simulations in the block share their markets. Not for tests of what a market or a restart makes anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot.bootstrap.BuiltinMarket", _shared_market)
        yield


@contextmanager
def simulation(folder: Path, *, now: datetime = NOW, seed: int | None = None, **values: str) -> Iterator[Session]:
    """A session on the built-in market in ``folder``; closed at the end without ``finish``, like a death."""
    settings = load_settings(env_file=None, environ={"STATE_DIR": str(folder), **values})
    stop = StopSignal()
    try:
        session = open_simulated(settings, seed=seed, pace_s=0.0, stop=stop, now=now)
        try:
            yield session
        finally:
            session.close()
    finally:
        stop.close()


def simulate(
    folder: Path, cycles: int, *, now: datetime = NOW, seed: int | None = None, **values: str
) -> list[CycleResult]:
    """Run so many cycles as `run` does."""
    results: list[CycleResult] = []
    with simulation(folder, now=now, seed=seed, **values) as session:

        def on_cycle(result: CycleResult) -> None:
            session.after_cycle(result.at)
            results.append(result)

        run_engine(session.engine, session.clock, stopped=lambda: False, on_cycle=on_cycle, cycles=cycles)
    return results


def reader(folder: Path) -> LedgerReader:
    return LedgerReader(folder / "simulated" / "ledger.sqlite3")


def fills_in(folder: Path) -> list[tuple[object, ...]]:
    """Everything of the fills but the ids, which are another ledger's."""
    with reader(folder) as ledger:
        return [(f.account, f.symbol, f.side, f.quantity, f.price, f.fee, f.liquidity, f.at) for f in ledger.fills()]


def orders_in(folder: Path) -> list[tuple[object, ...]]:
    """Everything of the orders but the ids."""
    with reader(folder) as ledger:
        return [
            (
                *(o.account, o.symbol, o.intent_number, o.purpose, o.side, o.type, o.quantity, o.price, o.stop_price),
                *(o.state, o.filled_quantity, o.reason, o.venue_order_id, o.created_at, o.updated_at),
            )
            for o in ledger.orders()
        ]


def equity_in(folder: Path) -> list[tuple[object, ...]]:
    with reader(folder) as ledger:
        return [(p.at, p.equity, p.cash, p.performance_index) for p in ledger.equity(max_points=10_000)]


def paper_state(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "simulated" / PAPER_ACCOUNTS_NAME).read_text(encoding="utf-8"))
    return document


def assert_books_equal_the_accounts(folder: Path) -> Book:
    """Cash and coins by the ledger's fills and flows against what the simulated venues hold, to the last digit."""
    book = Book()
    with reader(folder) as ledger:
        purposes = {order.client_order_id: order.purpose for order in ledger.orders()}
        for event in ledger.book_events():
            book.apply(event, purposes[event.client_order_id] if isinstance(event, Fill) else "")
    by_books: dict[tuple[str, str], Decimal] = {key: cash for key, cash in book.cash.items() if cash}
    bought = [(key, position.quantity) for key, position in book.positions.items()]
    bought += [(key, dust.quantity) for key, dust in book.dust.items()]
    for (account, symbol), quantity in bought:
        coin = account, symbol.partition("/")[0]
        by_books[coin] = by_books.get(coin, Decimal(0)) + quantity
    by_venues = {
        (name, asset): Decimal(total)
        for name, account in paper_state(folder)["accounts"].items()
        for asset, total in account["core"]["totals"].items()
        if Decimal(total)
    }
    assert by_books == by_venues
    return book


def assert_orders_are_told_apart(folder: Path) -> None:
    """No client order id twice: in the ledger, at the venues, and one acceptance per order."""
    with reader(folder) as ledger:
        ours = Counter(order.client_order_id for order in ledger.orders())
        numbers = Counter((order.account, order.symbol, order.intent_number) for order in ledger.orders())
    cores = [account["core"] for account in paper_state(folder)["accounts"].values()]
    theirs = Counter(order["client_order_id"] for core in cores for order in (*core["working"], *core["ended"]))
    assert max(ours.values(), default=1) == max(numbers.values(), default=1) == max(theirs.values(), default=1) == 1
    assert theirs.keys() <= ours.keys()


def assert_positions_have_their_stops(folder: Path, book: Book) -> None:
    """Each position has one live stop of its full size in the ledger, and the same one at the venue."""
    with reader(folder) as ledger:
        live = [order for order in ledger.orders() if order.is_live]
    stops = [order for order in live if order.purpose is Purpose.STOP]
    assert [order for order in live if order.side is Side.SELL and order not in stops] == []
    held = {key: position.quantity for key, position in book.positions.items()}
    assert {(order.account, order.symbol): order.remaining for order in stops} == held
    assert len(stops) == len(held)
    assert {order.type for order in stops} <= {OrderType.STOP}
    assert {_key(order) for order in live} == {
        (name, order["client_order_id"], order["symbol"], Decimal(order["quantity"]))
        for name, account in paper_state(folder)["accounts"].items()
        for order in account["core"]["working"]
    }


def _key(order: Order) -> tuple[str, str, str, Decimal]:
    return order.account, order.client_order_id, order.symbol, order.quantity
