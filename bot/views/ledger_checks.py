"""Whether everything that a ledger has stored fits together: the checks of `ledger verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.domain.account import BookEvent, CoinsOut, Fill, Flow
from bot.domain.errors import BotError
from bot.domain.finding import FindingCode
from bot.domain.orders import TRANSITIONS, OrderState
from bot.domain.snapshot import Snapshot
from bot.storage.ledger_audit import PROBLEMS_MAX, LedgerAudit, OrderLife
from bot.views.text import money

NEWER_MAX = timedelta(days=1)
"""Book events since the last finished cycle: venues list fills late, but not by more."""
CASH_TOLERANCE = 1e-9
"""Relative: the snapshot has floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One check and its outcome."""

    name: str
    ok: bool
    found: str
    """What was looked at; where it is not ok, what is wrong in one line."""
    problems: Sequence[str] = ()
    """The first ones."""
    hash: str = ""
    """Of the newest decision; whoever notes it can tell later whether this ledger is still the same one."""


def checked(name: str, found: str, problems: Sequence[str], newest_hash: str = "") -> Checked:
    """Outcome of a check that found these problems, or none."""
    if not problems:
        return Checked(name=name, ok=True, found=found, hash=newest_hash)
    many = f"{len(problems):,} problem{'s' if len(problems) > 1 else ''}; looked at {found}"
    return Checked(name=name, ok=False, found=many, problems=list(problems)[:PROBLEMS_MAX])


def stored_checks(audit: LedgerAudit) -> Iterator[Checked]:
    """Everything that the file alone can tell; rows that cannot be read fail the check that needs them."""
    yield attempt("file", lambda: _file(audit))
    yield attempt("orders", lambda: _orders(audit))
    yield attempt("fills", lambda: _fills(audit))
    yield attempt("books", lambda: _books(audit))
    yield attempt("chain", lambda: _chain(audit))


def attempt(name: str, check: Callable[[], Checked]) -> Checked:
    """Make a check; what keeps it from being made is its outcome."""
    try:
        return check()
    except (BotError, AssertionError) as e:
        return Checked(name=name, ok=False, found="this cannot be checked", problems=[str(e) or repr(e)])
    except (ArithmeticError, KeyError, TypeError, ValueError) as e:  # a stored JSON of another shape, say
        return Checked(
            name=name, ok=False, found="this cannot be checked", problems=[f"what is stored cannot be used ({e!r})"]
        )


def _file(audit: LedgerAudit) -> Checked:
    problems = audit.all_damage()
    if audit.epoch() is None:
        problems.append("table meta: the identity (epoch) of this ledger is missing or no UUID")
    rows = audit.read_the_rest() if not problems else 0
    return checked("file", f"pages, indexes, references; {rows:,} rows without a check of their own", problems)


# -- orders and their fills


def _orders(audit: LedgerAudit) -> Checked:
    lives = audit.order_lives()
    problems = [f"intent {name}: has no order" for name in audit.bare_intents()]
    for life in lives:
        problems.extend(f"order {life.order.client_order_id}: {words}" for words in _broken_life(life))
    events = sum(len(life.events) for life in lives)
    return checked("orders", f"{len(lives):,} orders, {events:,} transitions", problems)


def _broken_life(life: OrderLife) -> Iterator[str]:
    """Where the transitions of an order do not obey the state machine, or do not end in what is stored."""
    state, filled, order = OrderState.INTENT, Decimal(0), life.order
    for event in life.events:
        if event.from_state is not state:
            yield f"a transition begins in {event.from_state} where the one before ended in {state}"
        if event.to_state not in TRANSITIONS[event.from_state]:
            yield f"it cannot go from {event.from_state} to {event.to_state}"
        if event.filled_quantity < filled:
            yield f"its filled quantity falls from {filled} to {event.filled_quantity}"
        state, filled = event.to_state, event.filled_quantity
    if state is not order.state:
        yield f"it is stored as {order.state}, its transitions end in {state}"
    if filled != order.filled_quantity:
        yield f"{order.filled_quantity} is stored as filled, its transitions end with {filled}"
    if life.events and life.events[-1].at != order.updated_at:
        yield "it was changed at another time than its last transition"
    if life.marked_live is not order.is_live:
        yield f"it is {order.state}, and marked as {'live' if life.marked_live else 'ended'}"


def _fills(audit: LedgerAudit) -> Checked:
    sums: dict[str, Decimal] = {}
    fills = audit.fills()
    for fill in fills:
        sums[fill.client_order_id] = sums.get(fill.client_order_id, Decimal(0)) + fill.quantity
    waiting = _waits_for_fills(audit.snapshot())
    problems, late, listed = [], 0, 0
    for life in audit.order_lives():
        order = life.order
        got = sums.pop(order.client_order_id, Decimal(0))
        if got == order.filled_quantity:
            continue
        # A venue may fill a crumb more than was asked for, or list a fill after the order has ended.
        if got > order.filled_quantity and (not order.is_live or order.filled_quantity == order.quantity):
            late += 1
        elif got < order.filled_quantity and (order.client_order_id in waiting or order.symbol in waiting):
            listed += 1
        else:
            problems.append(
                f"order {order.client_order_id}: {order.filled_quantity} is stored as filled, its fills add up to {got}"
            )
    notes = [f"{len(fills):,} fills"]
    notes += [f"{late} orders got more after their end"] if late else []
    notes += [f"{listed} orders wait for fills that their venue has not listed"] if listed else []
    notes += [f"{len(sums)} orders of fills are not in this ledger"] if sums else []
    return checked("fills", ", ".join(notes), problems)


def _waits_for_fills(snapshot: Snapshot | None) -> set[str]:
    """Orders or coins whose fills the venue has not listed yet."""
    findings = snapshot.get("findings", []) if snapshot is not None else []
    return {finding["about"] for finding in findings if finding["code"] == FindingCode.FILLS_LATE}


# -- books


def _books(audit: LedgerAudit) -> Checked:
    events, snapshot = audit.book_events(), audit.snapshot()
    book, agreed = Book(), None
    if snapshot is not None and not _differences(book, snapshot):
        agreed = 0
    for count, event in enumerate(events, start=1):
        _apply(book, event)  # asserts that cash, flows, profit, fees and costs balance
        if snapshot is not None and not _differences(book, snapshot):
            agreed = count
    found = (
        f"{len(events):,} events balance to the last digit: open positions {len(book.positions)}, "
        f"cash {money(float(book.cash_usd))}, fees {money(float(book.fees_usd))}"
    )
    if snapshot is None:
        return checked("books", f"{found}; no cycle of this version is stored to compare them with", [])
    at = datetime.fromisoformat(snapshot["at"])
    newer = events[agreed:]
    if agreed is None or any(event.at < at - NEWER_MAX for event in newer):
        return checked("books", found, _differences(book, snapshot))
    which = f"all but the newest {len(newer)}" if newer else "they"
    return checked("books", f"{found}; {which} equal what the last cycle stored", [])


def _apply(book: Book, event: BookEvent) -> None:
    match event:
        case Flow():
            book.apply_flow(event)
        case Fill():
            book.apply_fill(event)
        case CoinsOut():
            book.apply_coins_out(event)
        case _:
            book.book_dust(event.account, event.symbol)


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
    epoch = str(audit.epoch())
    begun = "from the first one on" if state.anchor == epoch else "older ones were removed after two years"
    return checked("chain", f"{state.count:,} decisions, {begun}; the newest hash is", problems, state.head)
