"""The orders as the ledger knows them: which are live, what is in doubt, and every step from one state to the next.

An order that the venue remembers and this ledger has lost is taken in again here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.domain.finding import Finding, FindingCode
from bot.domain.market import coin_symbol
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side, client_order_id
from bot.engine.account import Account, key_text
from bot.engine.lost_orders import AHEAD, number_of
from bot.engine.state import FindingState, StateKeeper
from bot.ports import Ledger

BALANCE_BELIEVED_FOR = timedelta(hours=1)
"""So long does a balance that an absent order would explain keep it from being taken for absent."""
_IN_DOUBT = (OrderState.UNKNOWN, OrderState.IN_FLIGHT)


class OrderJournal:
    """All orders of all accounts; the only place that writes one into the ledger."""

    def __init__(self, *, ledger: Ledger, accounts: Mapping[str, Account], book: Book, keeper: StateKeeper) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._book = book
        self._keeper = keeper
        self._live = {order.client_order_id: order for order in ledger.live_orders()}
        self.absent: set[str] = set()
        """Client ids of unknown orders that their venue does not have, as two looks have shown: to be sent again under
        the same id, or given up."""
        self.ended_late: dict[str, Decimal] = {}
        """Client id of live orders that have ended at their venue: what they have filled and no fill tells yet."""
        self.changed: set[str] = set()
        """Client ids of live orders that somebody has changed at the venue."""
        self.new_canceled: list[tuple[Order, str]] = []
        """Orders that have ended without a whole fill since the engine last looked, each with the journal's note."""

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

    def held(self, account: str, base: str, *, with_dust: bool = False) -> Decimal:
        """What the books say of a coin on an account, in all its markets; ``with_dust``: what is written off, too."""
        bought = [(key, position.quantity) for key, position in self._book.positions.items()]
        if with_dust:
            bought += [(key, dust.quantity) for key, dust in self._book.dust.items()]
        ours = (quantity for (name, symbol), quantity in bought if (name, symbol.partition("/")[0]) == (account, base))
        return sum(ours, Decimal(0))

    def doubtful_usd(self, account: str, quote: str = "") -> float:
        """Cash, of one asset or of all, that entries of unknown outcome may have taken, fee included: it is spent."""
        return sum(
            self._accounts[account].taken_usd(order.symbol, float(order.remaining * (order.price or Decimal(0))))
            for order in self.live(account, purpose=Purpose.ENTRY)
            if order.state in _IN_DOUBT and order.symbol.endswith(f"/{quote}" if quote else "")
        )

    def balance_tells(self, account: Account, order: Order, now: datetime) -> bool:
        """Whether coins and cash of an account have changed as this order would have changed them."""
        instrument = account.instruments.get(order.symbol)
        if instrument is None or now - order.created_at > BALANCE_BELIEVED_FOR:
            return False
        base = instrument.base
        beyond = Decimal(self._keeper.state.beyond.get(key_text(account.name, base), "0"))
        coins = account.total(base) - self.held(account.name, base) - beyond
        cash = account.total(instrument.quote) - self._book.cash.get((account.name, instrument.quote), Decimal(0))
        if order.side is Side.SELL:
            coins, cash = -coins, -cash
        return coins >= instrument.lot_step and cash < 0

    def begin_cycle(self, now: datetime, *, stepped: bool) -> None:
        """Count the time since a first look from here: when it was made within its cycle nobody knows.

        ``stepped``: the clock was, and no time has passed since any look.
        """
        state = self._keeper.state
        for since in (state.missing_since, state.short_since, state.unexplained_at):
            since |= {name: now.isoformat() for name, at in since.items() if stepped or not at}

    # -- writing ---------------------------------------------------------------------------------

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
