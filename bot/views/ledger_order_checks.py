"""Whether orders, what became of them, and their fills fit together: two checks of `ledger verify`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from bot.domain.account import Fill, Liquidity
from bot.domain.finding import FindingCode
from bot.domain.orders import TRANSITIONS, Order, OrderState, OrderType, Purpose, Side, client_order_id
from bot.domain.snapshot import OrderView, Snapshot
from bot.storage.ledger_audit import LedgerAudit, OrderLife
from bot.views.ledger_checked import Checked, checked, counted, read_snapshot

CLOCKS_DIFFER_MAX = timedelta(hours=12)
"""Between a venue's time of a fill and the bot's of the order: no clock is wrong by more, time zones included."""
_CRUMB_FRAC = Decimal("0.01")
"""A venue may fill a crumb more than was asked for."""
_NUMBERS_AHEAD = 1000
"""Orders after the newest one that are looked for behind a fill without an order."""
_FOUND_AGAIN = "found at the venue"
"""Reason of an order that this ledger had lost: as much of it as the venue told; lost numbers are left out."""


# -- orders


def order_check(audit: LedgerAudit) -> Checked:
    """Look at each order alone, at their numbers, and at those that the last cycle took for live."""
    lives, epoch = audit.order_lives(), audit.epoch()
    problems = list(audit.broken_references())
    for life in lives:
        words = [*_broken_intent(life.order, epoch), *_broken_life(life)]
        problems += [f"order {life.order.client_order_id}: {word}" for word in words]
    problems += _missing_numbers([life.order for life in lives])
    snapshot = read_snapshot(audit)
    if snapshot is not None:
        problems += _against_last_cycle(lives, snapshot)
    events = sum(len(life.events) for life in lives)
    return checked("orders", f"{counted(len(lives), 'order')}, {counted(events, 'transition')}", problems)


def _broken_intent(order: Order, epoch: UUID | None) -> Iterator[str]:
    """Where an order is not the one that its id was made for, or none that this bot makes."""
    if epoch is not None:
        wanted = client_order_id(epoch, order.account, order.symbol, order.intent_number)
        if order.client_order_id != wanted:
            yield (
                f"its id was not made for number {order.intent_number} of {order.symbol} on {order.account} in this "
                "ledger: one of these was changed"
            )
    if (order.side is Side.BUY) is not (order.purpose is Purpose.ENTRY):
        yield f"its purpose is {order.purpose} and its side {order.side}"
    if (order.type is OrderType.STOP) is not (order.purpose is Purpose.STOP):
        yield f"its purpose is {order.purpose} and its type {order.type}"
    if order.state is OrderState.FILLED and order.filled_quantity != order.quantity:
        yield f"it is filled, with {order.filled_quantity} of {order.quantity}"
    if order.state is OrderState.OPEN and not order.venue_order_id:
        yield "it is open, and the venue's id of it is missing"


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
    if (life.events[-1].at if life.events else order.created_at) != order.updated_at:
        yield "it was changed at another time than its last transition"
    if life.marked_live is not order.is_live:
        yield f"it is {order.state}, and marked as {'live' if life.marked_live else 'ended'}"


def _missing_numbers(orders: Sequence[Order]) -> Iterator[str]:
    """Orders between others of their market that are not there: numbers are given one by one."""
    if any(order.reason.startswith(_FOUND_AGAIN) for order in orders):
        return
    markets: dict[tuple[str, str], list[int]] = {}
    for order in orders:
        markets.setdefault((order.account, order.symbol), []).append(order.intent_number)
    for (account, symbol), numbers in sorted(markets.items()):
        for before, after in pairwise([0, *sorted(numbers)]):
            if after > before + 1:
                which = f"order {before + 1} is" if after == before + 2 else f"orders {before + 1} to {after - 1} are"
                yield f"table intents: {which} missing of {symbol} on {account}"


def _against_last_cycle(lives: Sequence[OrderLife], snapshot: Snapshot) -> Iterator[str]:
    """Where orders cannot be those that were live when the last cycle ended.

    No times are compared: the clock may have been put back, and the program may have died within a newer cycle.
    """
    listed = {view["client_order_id"]: view for view in snapshot["orders"]}
    places = {life.order.client_order_id: place for place, life in enumerate(lives)}
    for name, view in listed.items():
        if name not in places:
            yield f"order {name}: the last cycle stored it as {view['state']}, and it is not in the ledger"
            continue
        life = lives[places[name]]
        yield from (f"order {name}: {words}" for words in _changed(life.order, view))
        if view["state"] not in {event.to_state.value for event in life.events}:
            yield f"order {name}: the last cycle stored it as {view['state']}, none of its transitions led there"
    # What has ended never lives again: an order that is older than a listed one was live then, if it is now.
    newest = max((places[name] for name in listed if name in places), default=0)
    for life in lives[:newest]:
        if life.order.is_live and life.order.client_order_id not in listed:
            yield f"order {life.order.client_order_id}: it is {life.order.state}, and the last cycle did not know it"


def _changed(order: Order, view: OrderView) -> Iterator[str]:
    """Differences in what never changes of an order."""
    price = order.price if order.price is not None else order.stop_price
    now = {
        "account": order.account,
        "symbol": order.symbol,
        "purpose": order.purpose.value,
        "side": order.side.value,
        "type": order.type.value,
        "quantity": f"{order.quantity:f}",
        "price": None if price is None else f"{price:f}",
    }
    for name, value in now.items():
        before = dict(view)[name]
        if value != before:
            yield f"its {name} is {value}, the last cycle stored {before}"


# -- fills


def fill_check(audit: LedgerAudit) -> Checked:
    """Look at each fill beside its order, and at their sums."""
    fills, snapshot = audit.fills(), read_snapshot(audit)
    lives = {life.order.client_order_id: life for life in audit.order_lives()}
    orders = {name: life.order for name, life in lives.items()}
    newest = audit.newest_at()
    problems: list[str] = []
    strangers: list[Fill] = []
    for fill in fills:
        words = list(_insane(fill, newest))
        life = lives.get(fill.client_order_id)
        if life is None:
            strangers.append(fill)
        else:
            words += [*_unlike(fill, life.order), *_untimely(fill, life)]
        problems += [f"fill {fill.fill_id} on {fill.account}: {word}" for word in words]
    problems += _without_their_order(strangers, orders.values(), audit.epoch())
    notes, wrong_sums = _sums(fills, orders, _waits_for_fills(snapshot))
    if strangers:
        notes.append(f"{len({fill.client_order_id for fill in strangers})} of orders that are not in this ledger")
    return checked("fills", ", ".join([counted(len(fills), "fill"), *notes]), [*problems, *wrong_sums])


def _insane(fill: Fill, newest: datetime | None) -> Iterator[str]:
    worth = fill.quantity * fill.price
    if abs(fill.fee) > worth:
        yield f"its fee {fill.fee} is more than it is worth ({worth:f})"
    if newest is not None and fill.at > newest + CLOCKS_DIFFER_MAX:
        yield f"it is of {fill.at:%Y-%m-%d %H:%M}, and nothing here is newer than {newest:%Y-%m-%d %H:%M}"


def _unlike(fill: Fill, order: Order) -> Iterator[str]:
    """Where a fill cannot be one of its order."""
    for name in ("account", "symbol", "side"):
        if getattr(fill, name) != getattr(order, name):
            yield f"its {name} is {getattr(fill, name)}, that of its order {getattr(order, name)}"
    if fill.liquidity is Liquidity.MAKER and order.type in (OrderType.IOC, OrderType.MARKET):
        yield f"it is marked as maker, and its order, {order.type}, never rested"


def _untimely(fill: Fill, life: OrderLife) -> Iterator[str]:
    """Where a fill lies outside of its order's life. The clock may have been put back within it."""
    times = [life.order.created_at, *(event.at for event in life.events)]
    made, ended = min(times), max(times)
    if fill.at < made - CLOCKS_DIFFER_MAX:
        yield f"it is of {fill.at:%Y-%m-%d %H:%M}, its order was made at {made:%Y-%m-%d %H:%M}"
    # What was canceled or taken for absent may be filled later: the venue was not told, or told too late.
    if life.order.state is OrderState.FILLED and fill.at > ended + CLOCKS_DIFFER_MAX:
        yield f"it is of {fill.at:%Y-%m-%d %H:%M}, its order was filled at {ended:%Y-%m-%d %H:%M}"


def _without_their_order(strangers: Sequence[Fill], orders: Iterable[Order], epoch: UUID | None) -> Iterator[str]:
    """Fills whose order this ledger must have made, and does not have."""
    if epoch is None:
        return
    top: dict[tuple[str, str], int] = {}
    for order in orders:
        key = (order.account, order.symbol)
        top[key] = max(top.get(key, 0), order.intent_number)
    ids: dict[tuple[str, str], set[str]] = {}
    for fill in strangers:
        key = (fill.account, fill.symbol)
        if key not in ids:
            numbers = range(1, top.get(key, 0) + _NUMBERS_AHEAD)
            ids[key] = {client_order_id(epoch, *key, number) for number in numbers}
        if fill.client_order_id in ids[key]:
            yield f"fill {fill.fill_id} on {fill.account}: its order {fill.client_order_id} was removed"


def _sums(fills: Sequence[Fill], orders: Mapping[str, Order], waiting: set[str]) -> tuple[list[str], list[str]]:
    """Compare what orders have filled with what their fills add up to: notes and problems."""
    sums: dict[str, Decimal] = {}
    for fill in fills:
        sums[fill.client_order_id] = sums.get(fill.client_order_id, Decimal(0)) + fill.quantity
    problems, late, listed = [], 0, 0
    for name, order in orders.items():
        got = sums.get(name, Decimal(0))
        crumbs = got <= order.quantity * (1 + _CRUMB_FRAC)
        if got == order.filled_quantity:
            continue
        # A venue may fill a crumb more than was asked for, or list a fill after the order has ended.
        if got > order.filled_quantity and crumbs and (not order.is_live or order.filled_quantity == order.quantity):
            late += 1
        elif got < order.filled_quantity and (name in waiting or order.symbol in waiting):
            listed += 1
        else:
            problems.append(f"order {name}: {order.filled_quantity} is stored as filled, its fills add up to {got}")
    notes = [f"{counted(late, 'order')} got more after the end"] if late else []
    notes += [f"{counted(listed, 'order')} without fills that the venue has not listed yet"] if listed else []
    return notes, problems


def _waits_for_fills(snapshot: Snapshot | None) -> set[str]:
    """Orders or coins whose fills the venue has not listed yet."""
    findings = snapshot["findings"] if snapshot is not None else []
    return {finding["about"] for finding in findings if finding["code"] == FindingCode.FILLS_LATE}
