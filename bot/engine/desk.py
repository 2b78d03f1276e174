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
from bot.domain.account import CoinsOut, Fill
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.orders import FINAL_STATES, Order, OrderReport, OrderState, OrderType, Purpose, Side
from bot.engine.account import Account
from bot.engine.journal import OrderJournal
from bot.engine.lost_orders import order_of_fill, order_of_report
from bot.engine.state import StateKeeper, parse_time
from bot.ports import Accepted, Ledger, Outcome, Rejected, Unknown

ON_ITS_WAY_MAX = timedelta(seconds=30)
"""A request that timed out may still arrive: an order is absent when two looks so far apart have not found it."""
STRAYS_LOOKED_FOR = timedelta(days=1)
"""After an order was taken for absent: a venue may have been wrong."""
RULES_DOUBTED_AFTER = timedelta(minutes=10)
"""Market rules younger than this are not asked for again because a sale was rejected."""


class OrderDesk(OrderJournal):
    """The only place that sends or cancels an order."""

    def __init__(self, *, ledger: Ledger, accounts: Mapping[str, Account], book: Book, keeper: StateKeeper) -> None:
        super().__init__(ledger=ledger, accounts=accounts, book=book, keeper=keeper)
        self._swept: set[str] = set()
        """Accounts whose resting orders have been looked through since the start, or since something was odd."""
        self.unasked: set[str] = set()
        """Accounts on which an order came to rest that nobody has asked about since."""
        self.came_back: list[CoinsOut] = []
        """Coins that were sold although they had been taken for gone; the engine empties this and the next lists."""
        self.new_placed: list[Order] = []
        """Orders sent since the engine last looked, as they were sent."""
        self.new_fills: list[Fill] = []
        """Fills since then."""
        self.new_rejections: list[tuple[Order, str]] = []
        """Rejected orders with the venue's reason, likewise."""

    # -- sending ---------------------------------------------------------------------------------

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
        intent = self._intent(
            account.name,
            instrument.symbol,
            purpose=purpose,
            side=side,
            order_type=order_type,
            quantity=quantity,
            price=price,
            stop_price=stop_price,
            post_only=post_only,
            reason=reason,
            now=now,
        )
        with self._ledger.transaction():
            self._ledger.record_intent(intent)
            sent = self._moved(intent, OrderState.IN_FLIGHT, now)
        self.new_placed.append(sent)
        return self._send(account, sent, now)

    def cancel(self, account: Account, order: Order, now: datetime) -> Order:
        """Journal the wish, ask the venue, and learn what became of the order."""
        order = self._current(order)  # a look at another one may have ended it
        if order.state in (OrderState.OPEN, OrderState.PARTLY_FILLED):
            order = self._moved(order, OrderState.CANCEL_IN_FLIGHT, now)
        if order.state is not OrderState.CANCEL_IN_FLIGHT:
            return order
        outcome = self._ask(account, order, cancel=True)
        if isinstance(outcome, Unknown):
            self._moved(order, OrderState.UNKNOWN, now, note=outcome.reason)
        self.settle(account, now)
        return self._current(order)

    def exchange(
        self,
        account: Account,
        order: Order,
        *,
        quantity: Decimal,
        stop_price: Decimal,
        reason: str,
        now: datetime,
    ) -> Order | None:
        """Cancel a stop and send the next one at once: what it protects is bare for one request.

        Both are journalled before: a disk that is full leaves the old one where it is. What became of the old one is
        learnt afterwards. Where it was executed meanwhile the venue rejects the new one.
        """
        order = self._current(order)
        if order.state not in (OrderState.OPEN, OrderState.PARTLY_FILLED):
            return None  # a look at another one has ended it
        intent = self._intent(
            account.name,
            order.symbol,
            purpose=Purpose.STOP,
            side=Side.SELL,
            order_type=OrderType.STOP,
            quantity=quantity,
            price=None,
            stop_price=stop_price,
            post_only=False,
            reason=reason,
            now=now,
        )
        with self._ledger.transaction():
            self._ledger.record_intent(intent)
            sent = self._moved(intent, OrderState.IN_FLIGHT, now)
            order = self._moved(order, OrderState.CANCEL_IN_FLIGHT, now)
        outcome = self._ask(account, order, cancel=True)
        if isinstance(outcome, Accepted):
            self.new_placed.append(sent)
            sent = self._send(account, sent, now)
        else:
            sent = self._moved(sent, OrderState.REJECTED, now, note="not sent: the old stop could not be taken back")
            if isinstance(outcome, Unknown):
                self._moved(order, OrderState.UNKNOWN, now, note=outcome.reason)
        self.settle(account, now)
        return self._current(sent)

    def send_again(self, account: Account, order: Order, now: datetime) -> Order:
        """Send an absent order once more, under the same id: should the first arrive after all, the venue knows it."""
        self.absent.remove(order.client_order_id)
        state = self._keeper.state
        with self._ledger.transaction():
            state.sent_again[order.client_order_id] = state.absent_at[account.name] = now.isoformat()
            state.missing_since.pop(order.client_order_id, None)
            sent = self._moved(order, OrderState.IN_FLIGHT, now, note="sent again: the venue does not have it")
            self._keeper.save()
        return self._send(account, sent, now)

    def give_up(self, order: Order, now: datetime) -> None:
        """End an absent order that is not wanted any more."""
        self.absent.remove(order.client_order_id)
        self._end_absent(order, now)

    def _send(self, account: Account, sent: Order, now: datetime) -> Order:
        outcome = self._ask(account, sent, cancel=False)
        match outcome:
            case Accepted(venue_order_id=venue_order_id):
                resting = self._moved(sent, OrderState.OPEN, now, venue_order_id=venue_order_id)
                if sent.post_only or sent.type is OrderType.STOP:
                    # To ask takes 4.5 s at Kraken: the next position would be without its stop for as long.
                    self.unasked.add(account.name)
                    return resting
            case Rejected(reason=note) if sent.client_order_id in self._keeper.state.sent_again:
                self._moved(sent, OrderState.UNKNOWN, now, note=note)  # it may be the first that leaves no room for it
            case Rejected(reason=note):
                self.new_rejections.append((self._moved(sent, OrderState.REJECTED, now, note=note), note))
                if sent.side is Side.SELL:  # an order of ours that was taken for ended may hold the coins
                    self._swept.discard(account.name)
                    if account.fees_at is not None and now - account.fees_at >= RULES_DOUBTED_AFTER:
                        account.fees_at = None  # or its market takes no sale: rules and fees are asked for anew
            case Unknown(reason=note):
                self._moved(sent, OrderState.UNKNOWN, now, note=note)
        self.settle(account, now)
        return self._current(sent)

    def _ask(self, account: Account, order: Order, *, cancel: bool) -> Outcome:
        try:
            return account.venue.cancel(order) if cancel else account.venue.submit(order)
        except VenueError as e:
            return Unknown(reason=str(e))

    # -- learning --------------------------------------------------------------------------------

    def adopt_after_restart(self, now: datetime) -> None:
        """Give orders that a crash left half-sent their honest state.

        An INTENT never left the machine. What was IN_FLIGHT may have arrived: UNKNOWN.
        """
        for order in self.live():
            if order.state is OrderState.INTENT:
                self._moved(order, OrderState.REFUSED, now, note="the program ended before it was sent")
            elif order.state is OrderState.IN_FLIGHT:
                self._moved(order, OrderState.UNKNOWN, now, note="the program ended while it was being sent")

    def settle(self, account: Account, now: datetime, *, deep: bool = False) -> None:
        """Fetch new fills into the books and learn which orders have ended.

        ``deep``: compare everything with the ledger, also fills that were listed late and what others have placed.
        """
        self.unasked.discard(account.name)
        cursor = self._keeper.state.cursors.get(account.name, "")
        try:
            fills, next_cursor = account.venue.fills_since(cursor, deep=deep)
            if fills or next_cursor != cursor:
                self._book_fills(account, list(fills), next_cursor, now)
            if deep or self._may_have_strays(account.name, now) or self.live(account.name):
                self._learn_ended(account, now)
        except VenueError as e:
            account.fresh = False
            account.error = str(e)
            return
        account.settled_once = True
        if deep:
            account.reconciled_at = now

    def _may_have_strays(self, account: str, now: datetime) -> bool:
        """Whether an order that has ended here may rest there after all."""
        absent_at = parse_time(self._keeper.state.absent_at.get(account, ""))
        return account not in self._swept or (absent_at is not None and now - absent_at < STRAYS_LOOKED_FOR)

    def _book_fills(self, account: Account, fills: list[Fill], next_cursor: str, now: datetime) -> None:
        for fill in fills:
            self._adopt_fill(account, fill, now)
        booked: list[tuple[Fill | CoinsOut, str]] = []
        held = {key: position.quantity for key, position in self._book.positions.items()}
        with self._ledger.transaction():
            for fill in fills:
                order = self._live.get(fill.client_order_id) or self._ledger.order(fill.client_order_id)
                if order is None:
                    continue  # somebody else's order: shown as a foreign balance, never booked
                key = (fill.account, fill.symbol)
                left = held.get(key, Decimal(0)) + (fill.quantity if fill.side is Side.BUY else -fill.quantity)
                if left < 0 and self._is_new(fill):  # taken for gone, and sold after all
                    back = CoinsOut(account=fill.account, symbol=fill.symbol, quantity=left, price=fill.price, at=now)
                    self._ledger.record_coins_out(back)
                    booked.append((back, ""))
                if not self._ledger.record_fill(fill):
                    continue  # told twice
                held[key] = max(Decimal(0), left)
                booked.append((fill, order.purpose))
                if order.is_live:
                    self._count_fill(order, fill, now)
            self._keeper.state.cursors[account.name] = next_cursor
            self._keeper.save()
        for event, purpose in booked:
            if isinstance(event, CoinsOut):
                self._book.apply_coins_out(event)
                self.came_back.append(event)
            else:
                self._book.apply_fill(event, purpose)
                self.new_fills.append(event)

    def _is_new(self, fill: Fill) -> bool:
        return all((fill.account, fill.fill_id) != (known.account, known.fill_id) for known in self._ledger.fills())

    def _adopt_fill(self, account: Account, fill: Fill, now: datetime) -> None:
        number = self._lost_number(account, fill.client_order_id, fill.symbol)
        if number is None:
            return
        order = order_of_fill(fill, number=number)
        report = account.venue.find_order(order)
        known = order_of_report(report, account=account.name, number=number, now=fill.at) if report else None
        self._adopt(account, order if known is None or known.quantity < fill.quantity else known, now)

    def _adopt_report(self, account: Account, report: OrderReport, now: datetime) -> None:
        number = self._lost_number(account, report.client_order_id, report.symbol)
        order = None if number is None else order_of_report(report, account=account.name, number=number, now=now)
        if order is not None:
            self._adopt(account, order, now)

    def _count_fill(self, order: Order, fill: Fill, now: datetime) -> None:
        # A venue that fills a crumb more than was asked for has filled it: the books count what it says.
        filled = min(order.filled_quantity + fill.quantity, order.quantity)
        state = OrderState.FILLED if filled == order.quantity else OrderState.PARTLY_FILLED
        if order.state is OrderState.IN_FLIGHT:  # the fill arrived before the acceptance was understood
            order = self._moved(order, OrderState.OPEN, now)
        self._moved(order, state, now, filled_quantity=filled)

    def _learn_ended(self, account: Account, now: datetime) -> None:
        account.resting = account.venue.open_orders()
        self._swept.add(account.name)
        resting = {report.client_order_id: report for report in account.resting}
        for report in account.resting:
            self._adopt_report(account, report, now)
            self._end_stray(account, report)
        for order in self.live(account.name):
            found = resting.get(order.client_order_id)
            if found is None:
                self._learn_from(account, order, account.venue.find_order(order), now)
                continue
            self._keeper.state.missing_since.pop(order.client_order_id, None)
            self.absent.discard(order.client_order_id)
            self._note_late(order, found, now)
            if found.quantity not in (None, order.quantity) or found.stop_price not in (None, 0, order.stop_price):
                self.changed.add(order.client_order_id)
            asked_ago = now - order.updated_at  # below 0: the clock was put back
            forgotten = order.state is OrderState.CANCEL_IN_FLIGHT and not timedelta(0) <= asked_ago < ON_ITS_WAY_MAX
            if order.state is OrderState.UNKNOWN or forgotten:
                self._moved(order, OrderState.OPEN, now, venue_order_id=found.venue_order_id, note="found resting")

    def _end_stray(self, account: Account, report: OrderReport) -> None:
        """Cancel an order of ours that rests although it has ended here: a wrong answer had ended it."""
        if not report.client_order_id or report.client_order_id in self._live:
            return
        ended = self._ledger.order(report.client_order_id)
        if ended is not None and ended.account == account.name:
            account.venue.cancel(replace(ended, venue_order_id=report.venue_order_id))
            self._swept.discard(account.name)  # until it is gone

    def _learn_from(self, account: Account, order: Order, report: OrderReport | None, now: datetime) -> None:
        missing, name = self._keeper.state.missing_since, order.client_order_id
        if report is None:
            first_look = parse_time(missing.setdefault(name, ""))
            if first_look is None:
                return
            if now < first_look:  # the clock was put back
                missing[name] = now.isoformat()
            elif now - first_look >= ON_ITS_WAY_MAX and not self.balance_tells(account, order, now):
                if not _was_seen(order) and name not in self._keeper.state.sent_again:
                    self.absent.add(name)
                else:
                    self._end_absent(order, now)
            return
        missing.pop(name, None)
        self.absent.discard(name)
        self._note_late(order, report, now)
        if report.filled_quantity != order.filled_quantity:
            return  # its fills have not arrived yet; they decide
        if report.state in (OrderState.CANCELED, OrderState.REJECTED):
            state = OrderState.CANCELED if order.state is not OrderState.UNKNOWN else report.state
            self._moved(order, state, now, venue_order_id=report.venue_order_id)
        elif order.state is OrderState.UNKNOWN:  # a cancellation that is queued there is asked for again
            self._moved(order, OrderState.OPEN, now, venue_order_id=report.venue_order_id)

    def _end_absent(self, order: Order, now: datetime) -> None:
        state = OrderState.CANCELED if _was_seen(order) else OrderState.REJECTED
        self._moved(order, state, now, note="the venue was asked twice and does not have it")
        self._keeper.state.absent_at[order.account] = now.isoformat()

    def _note_late(self, order: Order, report: OrderReport, now: datetime) -> None:
        late, name = self._keeper.state.fills_late, order.client_order_id
        self.ended_late.pop(name, None)
        if report.filled_quantity != order.filled_quantity:
            late.setdefault(name, now.isoformat())
            if report.state in FINAL_STATES:
                self.ended_late[name] = report.filled_quantity - order.filled_quantity
        else:
            late.pop(name, None)


def _was_seen(order: Order) -> bool:
    """Whether the venue has ever had it: such an order is never sent again, whatever a list says."""
    return order.state is not OrderState.UNKNOWN or order.venue_order_id is not None or order.filled_quantity > 0
