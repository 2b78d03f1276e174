"""Protection: every position has its stop, and wanted exits are carried out.

Works from what should be to what is, each cycle anew, so that a crash between two steps needs no
code of its own. A coin backs one resting order: before a sale the stop is taken back, and what is
left gets a stop again at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from bot.books.book import Book
from bot.domain.instrument import Instrument
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side
from bot.engine.account import Account, PositionKey, key_of, key_text
from bot.engine.desk import OrderDesk
from bot.engine.state import EngineState, ExitPlan, StopPlan


def settled_stop(
    state: EngineState, instrument: Instrument, name: str, average_price: Decimal, *, entering: bool
) -> StopPlan:
    """Where the stop of a position belongs. An addition moves it once it has ended, never down."""
    distance = state.entry_stop_frac.get(name)
    plan = state.stops.get(name)
    if plan is None or (distance is not None and not entering):
        assert distance is not None, f"position {name} has neither a stop nor a stop distance"
        price = instrument.price_down(average_price * (1 - Decimal(repr(distance))))
        if plan is not None:
            price = max(price, Decimal(plan.stop_price))
        plan = StopPlan(str(price), plan.first_stop_price if plan else str(price))
        state.stops[name] = plan
    if not entering:
        state.entry_stop_frac.pop(name, None)
    return plan


class Protector:
    """Keeps one protective stop of the full size under every position and sells what must go."""

    def __init__(self, *, accounts: Mapping[str, Account], book: Book, desk: OrderDesk, state: EngineState) -> None:
        self._accounts = accounts
        self._book = book
        self._desk = desk
        self._state = state

    def protect_all(self, now: datetime) -> None:
        """Look after every position, and after stops and plans whose position is gone."""
        keys = set(self._book.positions)
        keys.update((order.account, order.symbol) for order in self._desk.live(purpose=Purpose.STOP))
        names = (*self._state.stops, *self._state.exits, *self._state.targets_reached)
        keys.update(key_of(name) for name in names)
        for key in sorted(keys):
            self.protect(key, now)

    def protect(self, key: PositionKey, now: datetime) -> None:
        """Bring the orders of one position to what they should be."""
        account = self._accounts.get(key[0])
        if account is None or not account.fresh:
            return  # what rests on the venue rests; nothing can be done while it does not answer
        if any(o.state in (OrderState.UNKNOWN, OrderState.IN_FLIGHT) for o in self._desk.live(*key)):
            return  # first learn what became of it
        position = self._book.positions.get(key)
        if position is None:
            self._forget(account, key, now)
            return
        quantity = position.quantity
        instrument = account.instruments.get(key[1])
        ticker = account.tickers.get(key[1])
        if instrument is None or ticker is None:
            return  # not traded here at present: no order can be sent
        name = key_text(*key)
        if account.is_dust(key[1], quantity):
            # Too small to sell: it stays in the books. A plan must not wait and sell the next entry.
            self._state.exits.pop(name, None)
            self._state.targets_reached.pop(name, None)
            return
        entering = bool(self._desk.live(*key, purpose=Purpose.ENTRY))
        plan = settled_stop(self._state, instrument, name, position.average_price, entering=entering)
        wanted = Decimal(plan.stop_price)
        if wanted >= ticker.bid and not self._rests(key, quantity, wanted):
            # The price is there already: venues reject such a stop.
            self._state.exits[name] = ExitPlan("0", f"the price is at its stop of {wanted} or below")
        if name in self._state.exits:
            self._sell(account, key, quantity, ticker.bid, now)
            position = self._book.positions.get(key)
            if position is None:
                self._forget(account, key, now)
                return
            quantity = position.quantity
        if wanted < ticker.bid:
            self._hold_stop(account, key, quantity, wanted, entering=entering, now=now)

    def _sell(self, account: Account, key: PositionKey, quantity: Decimal, bid: Decimal, now: datetime) -> None:
        plan = self._state.exits[key_text(*key)]
        instrument = account.instruments[key[1]]
        sell = instrument.quantity_of(instrument.lots_in(quantity - Decimal(plan.keep)))
        if sell < instrument.minimum_quantity_at(bid):
            del self._state.exits[key_text(*key)]  # done, or too little for the venue
            return
        if not self._taken_back(account, key, now):
            return  # tried again next cycle
        still_held = self._book.positions.get(key)
        if still_held is None or still_held.quantity < quantity:
            return  # the stop was executed meanwhile; the next cycle looks again
        order = self._desk.place(
            account,
            instrument,
            purpose=Purpose.EXIT,
            side=Side.SELL,
            order_type=OrderType.MARKET,
            quantity=sell,
            reason=plan.reason,
            now=now,
        )
        if order.state is OrderState.FILLED:
            del self._state.exits[key_text(*key)]

    def _taken_back(self, account: Account, key: PositionKey, now: datetime) -> bool:
        for order in self._desk.live(*key):
            if order.side is Side.SELL:
                self._desk.cancel(account, order, now)
        return not any(order.side is Side.SELL for order in self._desk.live(*key))

    def _hold_stop(
        self, account: Account, key: PositionKey, quantity: Decimal, wanted: Decimal, *, entering: bool, now: datetime
    ) -> None:
        if self._rests(key, quantity, wanted):
            return
        instrument = account.instruments[key[1]]
        if quantity < instrument.minimum_quantity_at(wanted):
            if not entering:  # what no stop can protect is not kept; the rest of an entry may still make it larger
                self._state.exits[key_text(*key)] = ExitPlan("0", "too small for a stop")
            return
        if not self._taken_back(account, key, now):
            return
        position = self._book.positions.get(key)
        if position is None or position.quantity != quantity:
            return  # the old stop was executed while it was taken back
        self._desk.place(
            account,
            instrument,
            purpose=Purpose.STOP,
            side=Side.SELL,
            order_type=OrderType.STOP,
            quantity=quantity,
            stop_price=wanted,
            reason="protective stop",
            now=now,
        )

    def _rests(self, key: PositionKey, quantity: Decimal, wanted: Decimal) -> bool:
        """Whether the stop is there as it should be, and nothing else that sells."""
        resting = [order for order in self._desk.live(*key) if order.side is Side.SELL]
        return len(resting) == 1 and resting[0].remaining == quantity and resting[0].stop_price == wanted

    def _forget(self, account: Account, key: PositionKey, now: datetime) -> None:
        for order in self._desk.live(*key, purpose=Purpose.STOP):
            self._desk.cancel(account, order, now)
        name = key_text(*key)
        self._state.stops.pop(name, None)
        self._state.exits.pop(name, None)
        self._state.targets_reached.pop(name, None)

    def cancel_entries(self, now: datetime, *, older_than_s: float = 0.0) -> list[Order]:
        """Take back resting entries of at least this age; returns those that are gone unfilled."""
        gone = []
        for order in self._desk.live(purpose=Purpose.ENTRY):
            account = self._accounts.get(order.account)
            if account is None or not account.fresh or (now - order.created_at).total_seconds() < older_than_s:
                continue
            ended = self._desk.cancel(account, order, now)
            if ended.state is OrderState.CANCELED and ended.filled_quantity == 0:
                gone.append(ended)
        return gone
