"""Entries from the decision to their end: post-only at the best bid, moved after it, crossed or given up.

A breakout does not wait, and a maker's fee is half a taker's: so an entry rests at the best bid, follows it every
five minutes, three times at most, twenty minutes in all (quant, correction 10). Then it crosses once where the
account's fees let it pay as a taker, or is given up. What a plan has bought is read from the ledger each time: a
crash anywhere repeats nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bot.decide.intents import MAX_MOVE
from bot.domain.market import coin_symbol
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side, client_order_id
from bot.domain.refusal import Reason, RefusalCode
from bot.engine.account import Account, PositionKey, key_of, key_text
from bot.engine.config import EngineConfig
from bot.engine.decision import Decider
from bot.engine.desk import OrderDesk
from bot.engine.exposure import Entry
from bot.engine.sizing import Standing
from bot.engine.state import EntryPlan, StateKeeper, parse_time
from bot.ports import Ledger

REPRICED_EVERY = timedelta(minutes=5)
REPRICED_AT_MOST = 3
_WOULD_TAKE = re.compile("post.?only", re.IGNORECASE)
_ENDED_AT_ONCE = timedelta(seconds=90)
"""An order that the venue ends so soon, unasked, was a post-only one that would have taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """What is left of a plan and is to be sent again in this cycle."""

    key: PositionKey
    plan: EntryPlan
    quantity: Decimal
    crosses: bool


class EntryKeeper:
    """Sends entries and looks after them until they are filled, crossed or given up."""

    def __init__(
        self,
        *,
        config: EngineConfig,
        ledger: Ledger,
        accounts: Mapping[str, Account],
        desk: OrderDesk,
        keeper: StateKeeper,
        decider: Decider,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._accounts = accounts
        self._desk = desk
        self._keeper = keeper
        self._state = keeper.state
        self._decider = decider
        self._again: list[_Again] = []

    # -- looking after what rests ----------------------------------------------------------------

    def close_finished(self) -> None:
        """Forget the plans that have bought what they wanted."""
        for name, plan in list(self._state.entry_plans.items()):
            key = key_of(name)
            if self._resting(key):
                continue
            if self._left(key, plan) < self._smallest(key):
                del self._state.entry_plans[name]

    def tend(self, now: datetime, block: Reason | None) -> None:
        """Take back what may not rest any longer; what is worth another try is sent again by ``send``."""
        self._again = []
        for order in self._desk.live(purpose=Purpose.ENTRY):
            if key_text(order.account, order.symbol) not in self._state.entry_plans:
                account = self._accounts.get(order.account)
                if account is not None and account.fresh:
                    if order.client_order_id in self._desk.absent:
                        self._desk.give_up(order, now)
                    else:
                        self._cancel(account, order, now)  # of a program that knew no plans, or of a lost ledger
        for name, plan in list(self._state.entry_plans.items()):
            key = key_of(name)
            account = self._accounts.get(key[0])
            resting = self._resting(key)
            age = now - _time(plan.started_at)
            over = block is not None or age >= timedelta(seconds=self._config.entry_patience_s)
            over = over or any(order.client_order_id in self._desk.changed for order in resting)  # no longer the plan's
            if account is None or not account.fresh:
                continue  # nothing can be done
            if any(order.state is OrderState.UNKNOWN for order in resting):
                self._resolve_absent(account, resting, wanted=not over, now=now)
                continue  # else nobody knows what there is to be done
            if resting and not over and not self._moved_on(account, key, plan, resting[0], now):
                continue
            ended = [self._cancel(account, order, now) for order in resting]
            if any(order.is_live for order in ended):
                continue  # asked again in the next cycle
            self._after_end(key, plan, block=block, over=over, asked=bool(resting), now=now)

    def _resolve_absent(self, account: Account, orders: Sequence[Order], *, wanted: bool, now: datetime) -> None:
        """Send what the venue does not have once more; what is not wanted any more has ended."""
        for order in orders:
            if order.client_order_id in self._desk.absent:
                if wanted and order.symbol in account.tickers:
                    self._desk.send_again(account, order, now)
                    account.spend(order.symbol, float(order.remaining * (order.price or 0)))
                else:
                    self._desk.give_up(order, now)

    def _moved_on(self, account: Account, key: PositionKey, plan: EntryPlan, order: Order, now: datetime) -> bool:
        """Whether the best bid has left the order behind long enough ago, and it may follow once more."""
        ticker = account.tickers.get(key[1])
        if ticker is None or order.price is None or plan.tries >= REPRICED_AT_MOST:
            return False
        if self._desk.unresolved(coin_symbol(key[1])):
            return False  # it rests on where it is until that is known
        return ticker.bid > order.price and now - order.created_at >= REPRICED_EVERY

    def _after_end(
        self, key: PositionKey, plan: EntryPlan, *, block: Reason | None, over: bool, asked: bool, now: datetime
    ) -> None:
        """Nothing of the plan rests any more: again, or the end of it."""
        name, left = key_text(*key), self._left(key, plan)
        if left < self._smallest(key):
            del self._state.entry_plans[name]
            return
        crosses = over and block is None and key[0] in self._config.crossing_accounts and not plan.crossed
        sent = self._orders_of(key, plan)
        # One that the venue has lost may come to light yet: nothing is sent on top of it.
        lost = bool(sent) and sent[-1].updated_at == parse_time(self._state.absent_at.get(key[0], ""))
        would_have_taken = bool(sent) and (
            plan.would_take or (sent[-1].state is OrderState.CANCELED and now - sent[-1].created_at <= _ENDED_AT_ONCE)
        )
        # The program may have ended before its first order was journalled, or between two of them.
        unsent = not sent or self._moved_on(self._accounts[key[0]], key, plan, sent[-1], now)
        if not lost and (
            crosses or (not over and (asked or would_have_taken or unsent) and plan.tries < REPRICED_AT_MOST)
        ):
            self._again.append(_Again(key=key, plan=plan, quantity=left, crosses=crosses))
            return
        waited_h = (now - _time(plan.started_at)) / timedelta(hours=1)
        unfilled: Reason = (RefusalCode.ENTRY_NOT_FILLED, self._config.entry_patience_s / 3600, waited_h, "hours")
        if lost or (sent and sent[-1].state is OrderState.REJECTED):
            unfilled = RefusalCode.ORDER_REJECTED, 0.0, 1.0, "count"
        self._give_up(key, plan, block or unfilled, now)

    def _give_up(self, key: PositionKey, plan: EntryPlan, reason: Reason, now: datetime) -> None:
        """End a plan; a refusal where it has bought nothing at all."""
        left = self._forget(key, plan)
        if left == Decimal(plan.quantity):
            code, limit, actual, unit = reason
            notional = float(left) * plan.decided_price
            self._refuse(key, code, limit=limit, actual=actual, unit=unit, notional_usd=notional, now=now)

    def _forget(self, key: PositionKey, plan: EntryPlan) -> Decimal:
        """Drop a plan; returns what it has not bought. Where that is all of it no stop moves for it."""
        name, left = key_text(*key), self._left(key, plan)
        self._state.entry_plans.pop(name, None)
        if left == Decimal(plan.quantity) and name in self._state.stops:  # else a late fill would need the distance
            self._state.entry_stop_frac.pop(name, None)
        return left

    # -- sending ---------------------------------------------------------------------------------

    def send(self, entries: Sequence[Entry], standing: Standing, now: datetime) -> Iterator[PositionKey]:
        """Send what was decided, and again what is left of earlier plans.

        Gives each position that it may have changed before it sends the next order.
        """
        self._end_older(now)
        for entry in entries:
            key = (entry.account.name, entry.symbol)
            instrument = entry.account.instruments[entry.symbol]
            plan = EntryPlan(
                quantity=str(instrument.quantity_of(entry.lots)),
                started_at=now.isoformat(),
                first_number=self._desk.next_number(*key),
                decided_price=float(entry.account.tickers[entry.symbol].bid),
                stop_frac=entry.stop_frac,
                reason=entry.reason,
            )
            self._state.entry_plans[key_text(*key)] = plan
            self._send(entry.account, key, plan, Decimal(plan.quantity), crosses=False, now=now)
            yield key
        again, self._again = self._again, []
        for rest in again:
            if self._send_again(rest, standing, now):
                yield rest.key

    def _end_older(self, now: datetime) -> None:
        """What is left of a plan ends with a newer decision about its coin, as where the bot runs once a day."""
        for again in list(self._again):
            decided = self._decider.last.get(coin_symbol(again.key[1]))
            if decided is not None and decided.at == now:
                self._forget(again.key, again.plan)
                self._again.remove(again)

    def _send_again(self, again: _Again, standing: Standing, now: datetime) -> bool:
        """Send what is left at today's price, if every limit still lets it."""
        key, plan, account = again.key, again.plan, self._accounts[again.key[0]]
        reason = standing.block or self._decider.gates.why_unfit(
            account, key[1], self._decider.taken(without=key), standing.max_positions, now
        )
        if len(self._decider.histories.get(coin_symbol(key[1]), ())) == 0:  # the settings have changed since
            reason = reason or (RefusalCode.NO_MARKET, 0.0, 0.0, "count")
        if reason is not None:
            self._give_up(key, plan, reason, now)
            return False
        price = float(account.tickers[key[1]].ask if again.crosses else account.tickers[key[1]].bid)
        moved, most = abs(price / plan.decided_price - 1.0), MAX_MOVE * plan.stop_frac
        if moved > most:
            self._give_up(key, plan, (RefusalCode.PRICE_MOVED, 100 * most, 100 * moved, "pct"), now)
            return False
        rules = account.rules[key[1]]
        coin = self._decider.coin_of(coin_symbol(key[1]))._replace(price=price)
        if math.isnan(coin.stop_distance):
            coin = coin._replace(stop_distance=plan.stop_frac)
        sized = self._decider.sizing.size(
            key[1],
            coin,
            account.instruments[key[1]].lots_in(again.quantity) * (rules.lot_step * price),
            account,
            standing=standing,
            entries=[],
            rules=rules._replace(fee_in=rules.fee_out) if again.crosses else rules,
        ).order
        if sized.lots == 0:
            refusal = self._decider.refuser.from_core(
                sized.code,
                symbol=key[1],
                now=now,
                account=account.name,
                limit=sized.limit,
                actual=sized.actual,
                notional_usd=sized.notional,
            )
            self._give_up(key, plan, (refusal.code, refusal.limit, refusal.actual, refusal.unit), now)
            return False
        quantity = account.instruments[key[1]].quantity_of(sized.lots)
        if quantity > again.quantity:  # the smallest trade, at a price that has fallen
            plan.quantity = str(Decimal(plan.quantity) + quantity - again.quantity)
        plan.tries += 1
        plan.crossed = again.crosses
        plan.would_take = False
        plan.stop_frac = coin.stop_distance
        account.spend(key[1], float(quantity) * price)
        self._send(account, key, plan, quantity, crosses=again.crosses, now=now)
        return True

    def _send(
        self, account: Account, key: PositionKey, plan: EntryPlan, quantity: Decimal, *, crosses: bool, now: datetime
    ) -> None:
        if not account.fresh:  # it has fallen silent since the decision, at an order before this one
            self._give_up(key, plan, (RefusalCode.VENUE_UNKNOWN, 0.0, 0.0, "count"), now)
            return
        unresolved = self._desk.unresolved(coin_symbol(key[1]))
        if unresolved:
            self._give_up(key, plan, (RefusalCode.ORDER_PENDING, 0.0, float(len(unresolved)), "count"), now)
            return
        instrument, ticker = account.instruments[key[1]], account.tickers[key[1]]
        self._state.entry_stop_frac[key_text(*key)] = plan.stop_frac
        self._keeper.save()  # the plan is durable before anything of it is sent
        order = self._desk.place(
            account,
            instrument,
            purpose=Purpose.ENTRY,
            side=Side.BUY,
            order_type=OrderType.IOC if crosses else OrderType.LIMIT,
            quantity=quantity,
            price=instrument.price_up(ticker.ask) if crosses else instrument.price_down(ticker.bid),
            post_only=not crosses,
            reason=plan.reason,
            now=now,
        )
        if order.state is not OrderState.REJECTED:
            return
        plan.would_take = not crosses and bool(_WOULD_TAKE.search(self._desk.new_rejections[-1][1]))
        if not plan.would_take:
            self._give_up(key, plan, (RefusalCode.ORDER_REJECTED, 0.0, 1.0, "count"), now)

    # -- inside ----------------------------------------------------------------------------------

    def _resting(self, key: PositionKey) -> list[Order]:
        return self._desk.live(*key, purpose=Purpose.ENTRY)

    def _cancel(self, account: Account, order: Order, now: datetime) -> Order:
        ended = self._desk.cancel(account, order, now)
        if not ended.is_live and order.price is not None:  # what it held is free again; the balances are from before
            account.spend(order.symbol, -float(ended.remaining * order.price))
        return ended

    def _orders_of(self, key: PositionKey, plan: EntryPlan) -> list[Order]:
        """Every entry order that this plan has sent, oldest first; other orders of the market lie between them."""
        numbers = range(plan.first_number, self._ledger.next_intent_number(*key))
        ids = [client_order_id(self._ledger.epoch, *key, number) for number in numbers]
        orders = [self._ledger.order(name) for name in ids]
        return [order for order in orders if order is not None and order.purpose is Purpose.ENTRY]

    def _left(self, key: PositionKey, plan: EntryPlan) -> Decimal:
        bought = sum((order.filled_quantity for order in self._orders_of(key, plan)), Decimal(0))
        return max(Decimal(0), Decimal(plan.quantity) - bought)

    def _smallest(self, key: PositionKey) -> Decimal:
        """What is less is no order; one step where nothing is known of the market at present."""
        account = self._accounts.get(key[0])
        instrument = account.instruments.get(key[1]) if account is not None else None
        ticker = account.tickers.get(key[1]) if account is not None else None
        if instrument is None:
            return Decimal("1e-18")
        return instrument.minimum_quantity_at(ticker.bid) if ticker is not None else instrument.lot_step

    def _refuse(
        self,
        key: PositionKey,
        code: RefusalCode,
        *,
        limit: float,
        actual: float,
        unit: str,
        notional_usd: float,
        now: datetime,
    ) -> None:
        refuser = self._decider.refuser
        refuser.record(
            refuser.build(
                code,
                symbol=key[1],
                now=now,
                account=key[0],
                limit=limit,
                actual=actual,
                unit=unit,
                notional_usd=notional_usd,
            )
        )


def _time(text: str) -> datetime:
    moment = parse_time(text)
    assert moment is not None, "a plan without a time"
    return moment
