"""Protection: every position has its stop, and wanted exits are carried out.

Works from what should be to what is, each cycle anew, so that a crash between two steps needs no
code of its own. A coin backs one resting order: before a part is sold the stop is replaced by one for the
rest. Where no stop can rest the price is watched, which ends when the program does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.books.positions import Position
from bot.domain.instrument import Instrument
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side
from bot.engine.account import Account, PositionKey, key_of, key_text
from bot.engine.desk import OrderDesk
from bot.engine.lost_orders import LOST_REASON
from bot.engine.state import EngineState, ExitPlan, RefusedStop, StopPlan, parse_time


def settled_stop(
    state: EngineState, instrument: Instrument, name: str, average_price: Decimal, *, entering: bool
) -> StopPlan:
    """Where the stop of a position belongs. An addition moves it once it has ended, never down."""
    distance = state.entry_stop_frac.get(name)
    plan = state.stops.get(name)
    if plan is None or (distance is not None and not entering):
        frac = FALLBACK_STOP_FRAC if distance is None else Decimal(repr(distance))
        price = instrument.price_down(average_price * (1 - frac))
        if plan is not None:
            price = max(price, Decimal(plan.stop_price))
        plan = StopPlan(str(price), plan.first_stop_price if plan else str(price))
        state.stops[name] = plan
    if not entering:
        state.entry_stop_frac.pop(name, None)
    return plan


STOP_REASON = "protective stop"
STOP_OVERDUE_AFTER = timedelta(seconds=30)
"""So long may a reached stop rest unsold: a stop-limit whose limit the price has jumped (quant, correction 9)."""
REFUSED_AGAIN_AFTER, REFUSED_AGAIN_MOST = timedelta(minutes=1), timedelta(minutes=15)
"""A stop that was rejected twice is asked for again after a minute, then after two, four ... at most fifteen."""
SALE_ENDS_WITHIN = timedelta(seconds=150)
"""So long may a sale be under way at its venue, or its fill not listed yet, before it is taken back."""
FALLBACK_STOP_FRAC = Decimal("0.10")
"""Of a position whose stop distance nobody remembers: bought by an order that had been taken for ended."""
SLIPPAGE_STEP, SLIPPAGE_MOST = Decimal("0.02"), Decimal("0.10")
"""A sale accepts 2 % below the best bid, each further try 2 % more, never more than 10 %."""


def lowest_price(instrument: Instrument, bid: Decimal, quantity: Decimal, tries: int) -> Decimal:
    """The price below which a sale is not made: no order of ours takes whatever it gets."""
    most = min(SLIPPAGE_STEP * (tries + 1), SLIPPAGE_MOST)
    # An order is measured at its limit: below this one the venue would call it too small.
    least = instrument.price_up(instrument.min_cost / quantity)
    return min(max(instrument.price_down(bid * (1 - most)), least), instrument.price_down(bid))


def is_entering(state: EngineState, desk: OrderDesk, key: PositionKey) -> bool:
    """Whether an entry may still make the position larger."""
    return key_text(*key) in state.entry_plans or bool(desk.live(*key, purpose=Purpose.ENTRY))


class Protector:
    """Keeps one protective stop of the full size under every position and sells what must go."""

    def __init__(self, *, accounts: Mapping[str, Account], book: Book, desk: OrderDesk, state: EngineState) -> None:
        self._accounts = accounts
        self._book = book
        self._desk = desk
        self._state = state

    def note_positions(self) -> None:
        """Forget what was planned for positions that are gone, also where another has taken their place meanwhile.

        An order that this ledger had lost tells where its stop belongs.
        """
        state = self._state
        held = {key_text(*key): position for key, position in self._book.positions.items()}
        for name, position in held.items():
            opened_at = position.opened_at.isoformat()
            if state.opened_at.setdefault(name, opened_at) != opened_at:
                state.opened_at[name] = opened_at
                for plans in (state.stops, state.exits, state.targets_reached, state.stop_reached_at):
                    plans.pop(name, None)
        for name in state.opened_at.keys() - held.keys():
            del state.opened_at[name]
        for order in self._desk.live(purpose=Purpose.STOP):
            name = key_text(order.account, order.symbol)
            if order.reason == LOST_REASON and order.stop_price is not None and name in held:
                plan = state.stops.get(name)
                if plan is None or Decimal(plan.stop_price) < order.stop_price:
                    price = str(order.stop_price)
                    state.stops[name] = StopPlan(price, plan.first_stop_price if plan is not None else price)

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
        self._resolve_absent(account, key, now)
        if any(o.state in (OrderState.UNKNOWN, OrderState.IN_FLIGHT) for o in self._desk.live(*key)):
            return  # first learn what became of it
        if self._is_selling(key, now):
            return  # neither it nor the stop of the rest is touched meanwhile
        position = self._book.positions.get(key)
        if position is None:
            self._forget(account, key, now)
            return
        if key[1] not in account.instruments or key[1] not in account.tickers:
            return  # not traded here at present: no order can be sent
        if not account.instruments[key[1]].is_open and self._selling(key):
            return  # it may take cancellations only: a stop that rests there must rest on
        quantity = self._there(account, key)
        if not quantity:
            self._taken_back(account, key, now)  # what nothing stands behind
        if not quantity or account.is_dust(key[1], quantity):
            # Too small to sell: it stays in the books. A plan must not wait and sell the next entry.
            self._state.exits.pop(key_text(*key), None)
            self._state.targets_reached.pop(key_text(*key), None)
            return
        self._protect_position(account, key, position, quantity, now)

    def rests(self, key: PositionKey) -> bool:
        """Whether a stop of the whole position rests at its venue; else the bot watches, and looks more often."""
        plan = self._state.stops.get(key_text(*key))
        account = self._accounts.get(key[0])
        if account is None or plan is None:
            return account is None
        quantity = self._there(account, key)
        if not quantity or account.is_dust(key[1], quantity):
            return True
        known = all(order.state is not OrderState.UNKNOWN for order in self._desk.live(*key))
        return known and self._rests(key, quantity, Decimal(plan.stop_price))

    def _there(self, account: Account, key: PositionKey) -> Decimal:
        """What of a position is at its venue, in whole steps; all of it where nothing is known to be missing."""
        position = self._book.positions.get(key)
        if position is None:
            return Decimal(0)
        sold = (self._desk.ended_late.get(o.client_order_id, 0) for o in self._desk.live(*key) if o.side is Side.SELL)
        gone = Decimal(self._state.missing.get(key_text(*key), "0")) + sum(sold, Decimal(0))
        if not gone:
            return position.quantity
        there, instrument = max(Decimal(0), position.quantity - gone), account.instruments.get(key[1])
        return there if instrument is None else instrument.quantity_of(instrument.lots_in(there))

    def _resolve_absent(self, account: Account, key: PositionKey, now: datetime) -> None:
        """Send sales that the venue does not have once more, where they are wanted and nothing holds the coins."""
        selling = self._selling(key)
        for order in selling:
            if order.client_order_id not in self._desk.absent:
                continue
            is_only = len(selling) == 1 and order.quantity <= self._there(account, key)
            if is_only and self._is_wanted(account, key, order):
                self._desk.send_again(account, order, now)
            else:
                self._desk.give_up(order, now)

    def _is_wanted(self, account: Account, key: PositionKey, order: Order) -> bool:
        ticker = account.tickers.get(key[1])
        if ticker is None:
            return False
        if order.stop_price is not None:  # one at the price already would be executed or rejected
            return order.stop_price < ticker.bid
        return key_text(*key) in self._state.exits

    def _protect_position(
        self, account: Account, key: PositionKey, position: Position, quantity: Decimal, now: datetime
    ) -> None:
        name, instrument, ticker = key_text(*key), account.instruments[key[1]], account.tickers[key[1]]
        entering = is_entering(self._state, self._desk, key)
        plan = settled_stop(self._state, instrument, name, position.average_price, entering=entering)
        wanted = Decimal(plan.stop_price)
        if wanted >= ticker.bid and not self._rests(key, quantity, wanted):
            # The price is there already: venues reject such a stop.
            self._plan_all(name, f"the price is at its stop of {wanted:.2f} or below")
        elif self._is_overdue(name, wanted, max(ticker.last, ticker.bid), now):
            self._plan_all(name, f"the stop of {wanted:.2f} was reached and did not sell")
        if name in self._state.exits:
            self._sell(account, key, quantity, bid=ticker.bid, stop=wanted, now=now)
            if key not in self._book.positions:
                self._forget(account, key, now)
                return
            if self._is_selling(key, now):
                return
            quantity = self._there(account, key)
        if wanted < ticker.bid:
            self._hold_stop(account, key, quantity, wanted, entering=entering, now=now)

    def _is_selling(self, key: PositionKey, now: datetime) -> bool:
        ages = (now - order.created_at for order in self._selling(key) if order.purpose is Purpose.EXIT)
        return any(timedelta(0) <= age < SALE_ENDS_WITHIN for age in ages)

    def _plan_all(self, name: str, reason: str) -> None:
        """Want everything sold; a plan for all of it goes on, with the lower prices that it has come to accept."""
        known = self._state.exits.get(name)
        if known is None or known.keep != "0":
            self._state.exits[name] = ExitPlan("0", reason, by_stop=True)
        else:
            known.by_stop = True

    def _is_overdue(self, name: str, stop: Decimal, price: Decimal, now: datetime) -> bool:
        """Whether the price has been at a resting stop for so long that it should have sold (quant, correction 9)."""
        if price > stop:
            self._state.stop_reached_at.pop(name, None)
            return False
        since = parse_time(self._state.stop_reached_at.setdefault(name, now.isoformat()))
        assert since is not None
        if now < since:  # the clock was put back
            self._state.stop_reached_at[name] = now.isoformat()
        return now - since >= STOP_OVERDUE_AFTER

    def _sell(
        self, account: Account, key: PositionKey, quantity: Decimal, *, bid: Decimal, stop: Decimal, now: datetime
    ) -> None:
        name, instrument = key_text(*key), account.instruments[key[1]]
        plan = self._state.exits[name]
        sell = instrument.quantity_of(instrument.lots_in(quantity - Decimal(plan.keep)))
        if sell < instrument.minimum_quantity_at(bid):
            del self._state.exits[name]  # done, or too little for the venue
            return
        if not self._made_free(account, key, rest=quantity - sell, stop=stop, bid=bid, now=now):
            return  # tried again next cycle
        if self._there(account, key) < quantity:
            return  # the stop was executed meanwhile; the next cycle looks again
        order = self._desk.place(
            account,
            instrument,
            purpose=Purpose.EXIT,
            side=Side.SELL,
            order_type=OrderType.IOC,
            quantity=sell,
            price=lowest_price(instrument, bid, sell, plan.tries),
            reason=plan.reason,
            now=now,
        )
        if order.state is OrderState.FILLED:
            del self._state.exits[name]
        elif order.state is OrderState.CANCELED:  # what was offered at this price is gone
            plan.tries += 1

    def _made_free(
        self, account: Account, key: PositionKey, *, rest: Decimal, stop: Decimal, bid: Decimal, now: datetime
    ) -> bool:
        """Free what is to be sold of its stop; the rest keeps one, placed before anything is sold."""
        minimum = account.instruments[key[1]].minimum_quantity_at(stop)
        if rest < minimum or stop >= bid or not account.stops_rest:
            return self._taken_back(account, key, now)
        if not self._rests(key, rest, stop):
            if not self._exchanged(account, key, rest, stop, now):
                if not self._taken_back(account, key, now):
                    return False
                if self._there(account, key) <= rest:
                    return False  # the old stop was executed while it was taken back
                self._place_stop(account, key, rest, stop, now)
            elif not self._rests(key, rest, stop):
                return False
        return True

    def _exchanged(self, account: Account, key: PositionKey, quantity: Decimal, stop: Decimal, now: datetime) -> bool:
        """Put a stop in the place of the one that rests, without a look in between; False where there is none.

        Not where the account holds coins of its owner: were the old stop executed meanwhile, the new one would sell
        those.
        """
        selling = self._selling(key)
        resting = (OrderState.OPEN, OrderState.PARTLY_FILLED)
        if len(selling) != 1 or selling[0].purpose is not Purpose.STOP or selling[0].state not in resting:
            return False
        if account.instruments[key[1]].base in account.foreign:
            return False
        self._desk.exchange(account, selling[0], quantity=quantity, stop_price=stop, reason=STOP_REASON, now=now)
        return True

    def _taken_back(self, account: Account, key: PositionKey, now: datetime) -> bool:
        for order in self._selling(key):
            self._desk.cancel(account, order, now)
        return not self._selling(key)

    def _selling(self, key: PositionKey) -> list[Order]:
        """Sales that may still be executed; one that has ended at its venue, and lacks its fills here, is none."""
        live = (order for order in self._desk.live(*key) if order.side is Side.SELL)
        return [order for order in live if order.client_order_id not in self._desk.ended_late]

    def _hold_stop(
        self, account: Account, key: PositionKey, quantity: Decimal, wanted: Decimal, *, entering: bool, now: datetime
    ) -> None:
        if self._rests(key, quantity, wanted) or not account.stops_rest:
            return
        instrument = account.instruments[key[1]]
        if quantity < instrument.minimum_quantity_at(wanted):
            if not entering:  # what no stop can protect is not kept; the rest of an entry may still make it larger
                self._state.exits[key_text(*key)] = ExitPlan("0", "too small for a stop")
            return
        if self._exchanged(account, key, quantity, wanted, now):
            if self._selling(key):
                return
        elif not self._taken_back(account, key, now):
            return
        quantity = self._there(account, key)
        if quantity and quantity >= instrument.minimum_quantity_at(wanted):  # else the old stop was executed meanwhile
            self._place_stop(account, key, quantity, wanted, now)

    def _place_stop(self, account: Account, key: PositionKey, quantity: Decimal, stop: Decimal, now: datetime) -> None:
        name = key_text(*key)
        refused = self._state.stop_refused.get(name)
        if refused is not None and refused.tries > 1:
            at, pause = parse_time(refused.at), REFUSED_AGAIN_AFTER * 2 ** min(refused.tries - 2, 4)
            assert at is not None, "a refusal without a time"
            if timedelta(0) <= now - at < min(pause, REFUSED_AGAIN_MOST):
                return  # the price is watched meanwhile
        order = self._desk.place(
            account,
            account.instruments[key[1]],
            purpose=Purpose.STOP,
            side=Side.SELL,
            order_type=OrderType.STOP,
            quantity=quantity,
            stop_price=stop,
            reason=STOP_REASON,
            now=now,
        )
        if order.state is OrderState.REJECTED:
            reason, tries = self._desk.new_rejections[-1][1], refused.tries + 1 if refused is not None else 1
            self._state.stop_refused[name] = RefusedStop(reason, now.isoformat(), tries)
        else:
            self._state.stop_refused.pop(name, None)

    def _rests(self, key: PositionKey, quantity: Decimal, wanted: Decimal) -> bool:
        """Whether the stop is there as it should be, and nothing else that sells."""
        resting = self._selling(key)
        if len(resting) != 1 or resting[0].client_order_id in self._desk.changed:
            return False
        return resting[0].remaining == quantity and resting[0].stop_price == wanted

    def _forget(self, account: Account, key: PositionKey, now: datetime) -> None:
        for order in self._desk.live(*key, purpose=Purpose.STOP):
            self._desk.cancel(account, order, now)
        name = key_text(*key)
        self._state.stops.pop(name, None)
        self._state.exits.pop(name, None)
        self._state.targets_reached.pop(name, None)
        self._state.stop_reached_at.pop(name, None)
        self._state.stop_refused.pop(name, None)
