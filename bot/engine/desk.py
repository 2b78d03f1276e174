"""The order desk: journal first, then send, then learn what became of it.

Nothing reaches a venue before its intent is durable. What a venue does not confirm is UNKNOWN and
stays so until the venue has been asked and has answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.domain.account import Fill
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import coin_symbol
from bot.domain.orders import Order, OrderReport, OrderState, OrderType, Purpose, Side, client_order_id
from bot.engine.account import Account
from bot.engine.state import StateKeeper, parse_time
from bot.ports import Accepted, Ledger, Outcome, Rejected, Unknown

ON_ITS_WAY_MAX = timedelta(seconds=30)
"""A request that timed out may still arrive: an order is absent when two looks so far apart have not found it."""
STRAYS_LOOKED_FOR = timedelta(days=1)
"""After an order was taken for absent: a venue may have been wrong."""


class OrderDesk:
    """All orders of all accounts; the only place that sends or cancels one."""

    def __init__(self, *, ledger: Ledger, accounts: Mapping[str, Account], book: Book, keeper: StateKeeper) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._book = book
        self._keeper = keeper
        self._live = {order.client_order_id: order for order in ledger.live_orders()}
        self.placed = 0
        self._swept: set[str] = set()
        """Accounts whose resting orders have been looked through since the start, or since something was odd."""
        self.unasked: set[str] = set()
        """Accounts on which an order came to rest that nobody has asked about since."""
        self.new_fills: list[Fill] = []
        """Fills since the engine last looked; it empties the list."""
        self.new_rejections: list[tuple[Order, str]] = []
        """Rejected orders with the venue's reason, likewise."""

    # -- looking ---------------------------------------------------------------------------------

    def live(self, account: str = "", symbol: str = "", purpose: Purpose | None = None) -> list[Order]:
        """Orders that may still be executed, oldest first."""
        if not self._live:
            return []
        return [
            order
            for order in self._live.values()
            if (not account or order.account == account)
            and (not symbol or order.symbol == symbol)
            and (purpose is None or order.purpose is purpose)
        ]

    def unresolved(self, coin: str) -> list[Order]:
        """Orders of a coin whose outcome nobody knows: no entry while there is one."""
        doubtful = (OrderState.UNKNOWN, OrderState.IN_FLIGHT, OrderState.INTENT, OrderState.CANCEL_IN_FLIGHT)
        return [order for order in self.live() if coin_symbol(order.symbol) == coin and order.state in doubtful]

    def doubtful_usd(self, account: str, quote: str = "") -> float:
        """Cash, of one asset or of all, that entries of unknown outcome may have taken: it counts as spent."""
        return sum(
            float(order.remaining * (order.price or Decimal(0)))
            for order in self.live(account, purpose=Purpose.ENTRY)
            if order.state in (OrderState.UNKNOWN, OrderState.IN_FLIGHT)
            and order.symbol.endswith(f"/{quote}" if quote else "")
        )

    # -- doing -----------------------------------------------------------------------------------

    def place(
        self,
        account: Account,
        instrument: Instrument,
        *,
        purpose: Purpose,
        side: Side,
        order_type: OrderType,
        quantity: Decimal,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
        post_only: bool = False,
        reason: str,
        now: datetime,
    ) -> Order:
        """Journal an order, send it, and learn its outcome; what has come to rest is asked about at the cycle's end."""
        number = self._ledger.next_intent_number(account.name, instrument.symbol)
        intent = Order(
            client_order_id=client_order_id(self._ledger.epoch, account.name, instrument.symbol, number),
            account=account.name,
            symbol=instrument.symbol,
            intent_number=number,
            purpose=purpose,
            side=side,
            type=order_type,
            quantity=quantity,
            price=price,
            stop_price=stop_price,
            post_only=post_only,
            reason=reason,
            created_at=now,
            updated_at=now,
        )
        with self._ledger.transaction():
            self._ledger.record_intent(intent)
            sent = self._moved(intent, OrderState.IN_FLIGHT, now)
        self.placed += 1
        outcome = self._ask(account, sent, cancel=False)
        match outcome:
            case Accepted(venue_order_id=venue_order_id):
                resting = self._moved(sent, OrderState.OPEN, now, venue_order_id=venue_order_id)
                if post_only or order_type is OrderType.STOP:
                    # To ask takes 4.5 s at Kraken: the next position would be without its stop for as long.
                    self.unasked.add(account.name)
                    return resting
            case Rejected(reason=note):
                self.new_rejections.append((self._moved(sent, OrderState.REJECTED, now, note=note), note))
                if side is Side.SELL:  # an order of ours that was taken for ended may hold the coins
                    self._swept.discard(account.name)
            case Unknown(reason=note):
                self._moved(sent, OrderState.UNKNOWN, now, note=note)
        self.settle(account, now)
        return self._current(sent)

    def cancel(self, account: Account, order: Order, now: datetime) -> Order:
        """Journal the wish, ask the venue, and learn what became of the order."""
        if order.state in (OrderState.OPEN, OrderState.PARTLY_FILLED):
            order = self._moved(order, OrderState.CANCEL_IN_FLIGHT, now)
        if order.state is not OrderState.CANCEL_IN_FLIGHT:
            return order
        outcome = self._ask(account, order, cancel=True)
        if isinstance(outcome, Unknown):
            self._moved(order, OrderState.UNKNOWN, now, note=outcome.reason)
        self.settle(account, now)
        return self._current(order)

    def adopt_after_restart(self, now: datetime) -> None:
        """Give orders that a crash left half-sent their honest state.

        An INTENT never left the machine. What was IN_FLIGHT may have arrived: UNKNOWN.
        """
        for order in self.live():
            if order.state is OrderState.INTENT:
                self._moved(order, OrderState.REFUSED, now, note="the program ended before it was sent")
            elif order.state is OrderState.IN_FLIGHT:
                self._moved(order, OrderState.UNKNOWN, now, note="the program ended while it was being sent")

    def settle(self, account: Account, now: datetime) -> None:
        """Fetch new fills into the books and learn which orders have ended."""
        self.unasked.discard(account.name)
        cursor = self._keeper.state.cursors.get(account.name, "")
        try:
            fills, next_cursor = account.venue.fills_since(cursor)
            if fills or next_cursor != cursor:
                self._book_fills(account, list(fills), next_cursor, now)
            if self._may_have_strays(account.name, now) or self.live(account.name):
                self._learn_ended(account, now)
        except VenueError as e:
            account.fresh = False
            account.error = str(e)
            return
        account.settled_once = True

    # -- inside ----------------------------------------------------------------------------------

    def _may_have_strays(self, account: str, now: datetime) -> bool:
        """Whether an order that has ended here may rest there after all."""
        absent_at = parse_time(self._keeper.state.absent_at.get(account, ""))
        return account not in self._swept or (absent_at is not None and now - absent_at < STRAYS_LOOKED_FOR)

    def _ask(self, account: Account, order: Order, *, cancel: bool) -> Outcome:
        try:
            return account.venue.cancel(order) if cancel else account.venue.submit(order)
        except VenueError as e:
            return Unknown(reason=str(e))

    def _current(self, order: Order) -> Order:
        live = self._live.get(order.client_order_id)
        if live is not None:
            return live
        stored = self._ledger.order(order.client_order_id)
        assert stored is not None, f"order {order.client_order_id} vanished from the ledger"
        return stored

    def _moved(
        self,
        order: Order,
        state: OrderState,
        now: datetime,
        *,
        venue_order_id: str | None = None,
        filled_quantity: Decimal | None = None,
        note: str = "",
    ) -> Order:
        moved = order.moved_to(state, at=now, venue_order_id=venue_order_id, filled_quantity=filled_quantity)
        self._ledger.record_transition(moved, order.state, note)
        if moved.is_live:
            self._live[moved.client_order_id] = moved
        else:
            self._live.pop(moved.client_order_id, None)
        return moved

    def _book_fills(self, account: Account, fills: list[Fill], next_cursor: str, now: datetime) -> None:
        booked = []
        with self._ledger.transaction():
            for fill in fills:
                order = self._live.get(fill.client_order_id) or self._ledger.order(fill.client_order_id)
                if order is None:
                    continue  # somebody else's order: shown as a foreign balance, never booked
                if not self._ledger.record_fill(fill):
                    continue  # told twice
                booked.append((fill, order.purpose))
                if order.is_live:
                    self._count_fill(order, fill, now)
            self._keeper.state.cursors[account.name] = next_cursor
            self._keeper.save()
        for fill, purpose in booked:
            self._book.apply_fill(fill, purpose)
            self.new_fills.append(fill)

    def _count_fill(self, order: Order, fill: Fill, now: datetime) -> None:
        # A venue that fills a crumb more than was asked for has filled it: the books count what it says.
        filled = min(order.filled_quantity + fill.quantity, order.quantity)
        state = OrderState.FILLED if filled == order.quantity else OrderState.PARTLY_FILLED
        if order.state is OrderState.IN_FLIGHT:  # the fill arrived before the acceptance was understood
            order = self._moved(order, OrderState.OPEN, now)
        self._moved(order, state, now, filled_quantity=filled)

    def _learn_ended(self, account: Account, now: datetime) -> None:
        resting = {report.client_order_id: report for report in account.venue.open_orders()}
        self._swept.add(account.name)
        for report in resting.values():
            self._end_stray(account, report)
        for order in self.live(account.name):
            found = resting.get(order.client_order_id)
            if found is None:
                self._learn_from(order, account.venue.find_order(order), now)
                continue
            self._keeper.state.missing_since.pop(order.client_order_id, None)
            if order.state is OrderState.UNKNOWN:
                self._moved(order, OrderState.OPEN, now, venue_order_id=found.venue_order_id, note="found resting")

    def _end_stray(self, account: Account, report: OrderReport) -> None:
        """Cancel an order of ours that rests although it has ended here: a wrong answer had ended it."""
        if not report.client_order_id or report.client_order_id in self._live:
            return
        ended = self._ledger.order(report.client_order_id)
        if ended is not None and ended.account == account.name:
            account.venue.cancel(replace(ended, venue_order_id=report.venue_order_id))
            self._swept.discard(account.name)  # until it is gone

    def _learn_from(self, order: Order, report: OrderReport | None, now: datetime) -> None:
        missing = self._keeper.state.missing_since
        if report is None:
            first_look = parse_time(missing.setdefault(order.client_order_id, now.isoformat()))
            assert first_look is not None
            if now - first_look >= ON_ITS_WAY_MAX:
                state = OrderState.REJECTED if order.state is OrderState.UNKNOWN else OrderState.CANCELED
                self._moved(order, state, now, note="the venue was asked twice and does not have it")
                del missing[order.client_order_id]
                self._keeper.state.absent_at[order.account] = now.isoformat()
            return
        missing.pop(order.client_order_id, None)
        if report.filled_quantity != order.filled_quantity:
            return  # its fills have not arrived yet; they decide
        if report.state in (OrderState.CANCELED, OrderState.REJECTED):
            state = OrderState.CANCELED if order.state is not OrderState.UNKNOWN else report.state
            self._moved(order, state, now, venue_order_id=report.venue_order_id)
        elif order.state is OrderState.UNKNOWN:  # a cancellation that is queued there is asked for again
            self._moved(order, OrderState.OPEN, now, venue_order_id=report.venue_order_id)
