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
from bot.domain.finding import Finding, FindingCode
from bot.domain.instrument import Instrument
from bot.domain.market import coin_symbol
from bot.domain.orders import (
    FINAL_STATES,
    Order,
    OrderReport,
    OrderState,
    OrderType,
    Purpose,
    Side,
    client_order_id,
)
from bot.engine.account import Account, key_text
from bot.engine.lost_orders import AHEAD, number_of, order_of_fill, order_of_report
from bot.engine.state import FindingState, StateKeeper, parse_time
from bot.ports import Accepted, Ledger, Outcome, Rejected, Unknown

ON_ITS_WAY_MAX = timedelta(seconds=30)
"""A request that timed out may still arrive: an order is absent when two looks so far apart have not found it."""
STRAYS_LOOKED_FOR = timedelta(days=1)
"""After an order was taken for absent: a venue may have been wrong."""
BALANCE_BELIEVED_FOR = timedelta(hours=1)
"""So long does a balance that an absent order would explain keep it from being taken for absent."""
RULES_DOUBTED_AFTER = timedelta(minutes=10)
"""Market rules younger than this are not asked for again because a sale was rejected."""
_IN_DOUBT = (OrderState.UNKNOWN, OrderState.IN_FLIGHT)


class OrderDesk:
    """All orders of all accounts; the only place that sends or cancels one."""

    def __init__(self, *, ledger: Ledger, accounts: Mapping[str, Account], book: Book, keeper: StateKeeper) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._book = book
        self._keeper = keeper
        self._live = {order.client_order_id: order for order in ledger.live_orders()}
        self._swept: set[str] = set()
        """Accounts whose resting orders have been looked through since the start, or since something was odd."""
        self.unasked: set[str] = set()
        """Accounts on which an order came to rest that nobody has asked about since."""
        self.absent: set[str] = set()
        """Client ids of unknown orders that their venue does not have, as two looks have shown: to be sent again under
        the same id, or given up."""
        self.ended_late: dict[str, Decimal] = {}
        """Client id of live orders that have ended at their venue: what they have filled and no fill tells yet."""
        self.changed: set[str] = set()
        """Client ids of live orders that somebody has changed at the venue."""
        self.came_back: list[CoinsOut] = []
        """Coins that were sold although they had been taken for gone; the engine empties the list."""
        self.new_placed: list[Order] = []
        """Orders sent since the engine last looked, as they were sent; it empties this and the next lists."""
        self.new_canceled: list[tuple[Order, str]] = []
        """Orders that have ended without a whole fill, each with the journal's note."""
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
        late = self._keeper.state.fills_late
        return [
            order
            for order in self.live()
            if coin_symbol(order.symbol) == coin and (order.state in doubtful or order.client_order_id in late)
        ]

    def in_doubt(self, account: str, base: str = "") -> list[Order]:
        """Orders of an account of which nobody knows what they have moved, of all coins or of one."""
        state = self._keeper.state
        return [
            order
            for order in self.live(account)
            if (
                order.state in _IN_DOUBT
                or order.client_order_id in state.fills_late
                or order.client_order_id in state.missing_since
            )
            and (not base or order.symbol.partition("/")[0] == base)
        ]

    def next_number(self, account: str, symbol: str) -> int:
        """Number of the next intent: one that no lost part of this ledger can have used."""
        floor = self._keeper.state.numbers_from.get(key_text(account, symbol), 1)
        return max(self._ledger.next_intent_number(account, symbol), floor)

    def knows(self, client_id: str) -> bool:
        """Whether an order is one of this ledger."""
        return bool(client_id) and (client_id in self._live or self._ledger.order(client_id) is not None)

    def held(self, account: str, base: str) -> Decimal:
        """What the books say of a coin on an account, in all its markets, dust that is written off included."""
        bought = [(key, position.quantity) for key, position in self._book.positions.items()]
        bought += [(key, dust.quantity) for key, dust in self._book.dust.items()]
        ours = (quantity for (name, symbol), quantity in bought if (name, symbol.partition("/")[0]) == (account, base))
        return sum(ours, Decimal(0))

    def doubtful_usd(self, account: str, quote: str = "") -> float:
        """Cash, of one asset or of all, that entries of unknown outcome may have taken: it counts as spent."""
        return sum(
            float(order.remaining * (order.price or Decimal(0)))
            for order in self.live(account, purpose=Purpose.ENTRY)
            if order.state in (OrderState.UNKNOWN, OrderState.IN_FLIGHT)
            and order.symbol.endswith(f"/{quote}" if quote else "")
        )

    def begin_cycle(self, now: datetime, *, stepped: bool) -> None:
        """Count the time since a first look from here: when it was made within its cycle nobody knows.

        ``stepped``: the clock was, and no time has passed since any look.
        """
        state = self._keeper.state
        for since in (state.missing_since, state.short_since, state.unexplained_at):
            since |= {name: now.isoformat() for name, at in since.items() if stepped or not at}

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

    def _intent(
        self,
        account: str,
        symbol: str,
        *,
        purpose: Purpose,
        side: Side,
        order_type: OrderType,
        quantity: Decimal,
        price: Decimal | None,
        stop_price: Decimal | None,
        post_only: bool,
        reason: str,
        now: datetime,
    ) -> Order:
        number = self.next_number(account, symbol)
        return Order(
            client_order_id=client_order_id(self._ledger.epoch, account, symbol, number),
            account=account,
            symbol=symbol,
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
            if state is OrderState.CANCELED:
                self.new_canceled.append((moved, note))
            self.absent.discard(moved.client_order_id)
            self.changed.discard(moved.client_order_id)
            self.ended_late.pop(moved.client_order_id, None)
            memory = self._keeper.state
            for noted in (memory.missing_since, memory.sent_again, memory.fills_late):
                noted.pop(moved.client_order_id, None)
        return moved

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

    # -- orders that an older ledger does not know -----------------------------------------------

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

    def _lost_number(self, account: Account, client_id: str, symbol: str) -> int | None:
        if self.knows(client_id) or symbol not in account.instruments:
            return None
        next_number = self.next_number(account.name, symbol)
        return number_of(
            client_id, epoch=self._ledger.epoch, account=account.name, symbol=symbol, next_number=next_number
        )

    def _adopt(self, account: Account, order: Order, now: datetime) -> None:
        """Take an order into the ledger that it had lost; what became of it is learnt like that of any unknown one.

        What comes to light after everything has been compared once was not lost: a copy of this ledger is at work.
        """
        state = self._keeper.state
        if account.reconciled_at is not None:
            second = Finding(
                code=FindingCode.SECOND_BOT,
                account=account.name,
                about="ledger",
                detail="orders that only this ledger can have sent, and has not: a copy of its folder runs somewhere",
                since=now,
            )
            state.findings.setdefault(second.name, FindingState.of(second))
            return
        finding = Finding(
            code=FindingCode.LEDGER_TOO_OLD,
            account=account.name,
            about="ledger",
            detail="orders that this ledger has sent were missing in it, as where an old backup was put back; they are "
            "taken into it again, and what they have filled",
            since=now,
        )
        with self._ledger.transaction():
            if finding.name not in state.findings:  # numbers that the lost part may have used are left out
                state.findings[finding.name] = FindingState.of(finding)
                for other in self._accounts.values():
                    for symbol in other.instruments:
                        state.numbers_from[key_text(other.name, symbol)] = self.next_number(other.name, symbol) + AHEAD
            self._ledger.record_intent(order)
            sent = self._moved(order, OrderState.IN_FLIGHT, now)
            self._moved(sent, OrderState.UNKNOWN, now, note="found at the venue and lost in this ledger")
            self._keeper.save()

    # -- what became of an order -----------------------------------------------------------------

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

    def balance_tells(self, account: Account, order: Order, now: datetime) -> bool:
        """Whether coins and cash of an account have changed as this order would have changed them."""
        instrument = account.instruments.get(order.symbol)
        if instrument is None or now - order.created_at > BALANCE_BELIEVED_FOR:
            return False
        base = instrument.base
        name, state = key_text(account.name, base), self._keeper.state
        expected = self.held(account.name, base) + Decimal(state.foreign.get(name, "0"))
        missing = (Decimal(amount) for key, amount in state.missing.items() if key.startswith(f"{name}/"))
        coins = account.total(base) - expected + sum(missing, Decimal(0))
        cash = account.total(instrument.quote) - self._book.cash.get((account.name, instrument.quote), Decimal(0))
        if order.side is Side.SELL:
            coins, cash = -coins, -cash
        return coins >= instrument.lot_step and cash < 0


def _was_seen(order: Order) -> bool:
    """Whether the venue has ever had it: such an order is never sent again, whatever a list says."""
    return order.state is not OrderState.UNKNOWN or order.venue_order_id is not None or order.filled_quantity > 0
