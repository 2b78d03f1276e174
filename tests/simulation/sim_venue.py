"""The Venue port over an exchange of a simulation: what the real adapters tell the engine, and how they fail.

One object lives as long as the bot's process: which fills it looks for and what it knows of the clock ends with it.
Meanings follow bot/venues/ccxt_venue.py and its two venues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from account_types import ExchangeFill, ExchangeOrder, RefusalCode, Status
from sim_exchange import ARRIVES_WITHIN_S, COINBASE, DELAYS_MOST_S, KRAKEN, LOCKED_OUT_FOR, Late, SimExchange
from sim_faults import Fault, Step

from bot.domain.account import Balance, FeeSchedule, Fill
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import MS_PER_DAY, Candle, Ticker
from bot.domain.orders import Order, OrderReport, OrderState
from bot.ports import Accepted, Outcome, Rejected, Unknown
from bot.venues.ccxt_venue import FILLS_LOOKED_FOR
from bot.venues.fills_cursor import FILLS_OVERLAP, new_cursor, read_cursor

if TYPE_CHECKING:
    from sim_world import World

T = TypeVar("T")
LOOKED_FOR_BEFORE = timedelta(seconds=60)
DEADLINE_AFTER = timedelta(seconds=15)
DEADLINE_AT_MOST = timedelta(seconds=60)
CANCEL_WAITED_FOR_S = 2.0
STALE_MOST_S = 150.0


class SimVenue:
    """One account."""

    def __init__(self, world: World, exchange: SimExchange) -> None:
        self.world = world
        self.exchange = exchange
        self.chaos = world.chaos
        self.told_bids: dict[str, Decimal] = {}
        self.failures = 0
        """Calls that were not answered since the step began, or were answered wrongly."""
        self._look_until: datetime | None = None
        self._looked = False
        self._balances: dict[str, Balance] = {}
        self._drift: timedelta | None = timedelta(0)

    @property
    def account(self) -> str:
        return self.exchange.name

    # -- reads

    def instruments(self) -> Mapping[str, Instrument]:
        told = self._ask(Step.RULES, lambda _: self._instruments())
        self._drift = self.world.offset  # measured with the markets, once a day
        return told

    def _instruments(self) -> dict[str, Instrument]:
        now, closed = self.exchange.clock(), self.exchange.cancel_only_until
        return {s: replace(i, is_open=closed.get(s, now) <= now) for s, i in self.exchange.instruments.items()}

    def fees(self) -> FeeSchedule:
        return self._ask(Step.RULES, lambda _: self.exchange.fees)

    def balances(self) -> Mapping[str, Balance]:
        def answer(fault: Fault | None) -> Mapping[str, Balance]:
            exchange = self.exchange
            now = exchange.clock()
            if exchange.stale is not None and exchange.stale[0] <= now:
                exchange.stale = None
            if fault is Fault.STALE and exchange.stale is None:
                lasts = timedelta(seconds=self.chaos.chance.uniform(1, STALE_MOST_S))
                exchange.stale = now + lasts, self.world.balances_before(exchange.name)
            return exchange.balances() if exchange.stale is None else dict(exchange.stale[1])

        told = self._ask(Step.BALANCES, answer)
        if told != self._balances:
            self._look()  # something has been executed
        self._balances = dict(told)
        return told

    def tickers(self) -> Mapping[str, Ticker]:
        def answer(_: Fault | None) -> dict[str, Ticker]:
            found = {}
            for symbol in self.exchange.instruments:
                bid, ask, last = self.exchange.price(symbol)
                found[symbol] = Ticker(symbol=symbol, bid=bid, ask=ask, last=last, at=self.world.now())
            return found

        told = self._ask(Step.TICKERS, answer)
        self.told_bids = {symbol: ticker.bid for symbol, ticker in told.items()}
        return told

    def candles(self, symbol: str, timeframe: str, since_ms: int) -> Sequence[Candle]:
        assert timeframe == "1d"
        now_ms = int(self.exchange.clock().timestamp() * 1000)
        return self._ask(
            Step.CANDLES,
            lambda _: [
                bar
                for bar in self.world.market.days[symbol]
                if bar.open_ms >= since_ms and bar.open_ms + MS_PER_DAY <= now_ms
            ],
        )

    def stops_rest(self) -> bool:
        return self.exchange.rests

    def open_orders(self) -> Sequence[OrderReport]:
        def answer(fault: Fault | None) -> list[OrderReport]:
            exchange = self.exchange
            resting = [o for o in exchange.core.live_orders() if exchange.is_listed(o.order_id)]
            if exchange.name == COINBASE:
                resting = [order for order in resting if order.status is Status.OPEN]
            if fault is Fault.LATE_LISTING and resting:
                newest = resting[-1]
                self._hide(newest)
                resting = [order for order in resting if exchange.is_listed(order.order_id)]
            return [self._report(order) for order in resting]

        return self._ask(Step.OPEN_ORDERS, answer)

    def _hide(self, order: ExchangeOrder) -> None:
        """A list that lags behind: only what came a moment ago can be missing."""
        until = order.created_at + timedelta(seconds=DELAYS_MOST_S)
        if until > self.exchange.clock():
            self.exchange.order_listed[order.order_id] = until

    def find_order(self, order: Order) -> OrderReport | None:
        self._look()

        def answer(fault: Fault | None) -> OrderReport | None:
            exchange = self.exchange
            found: ExchangeOrder | None = None
            if order.venue_order_id is not None:
                found = exchange.core.order(order.venue_order_id)
            else:
                since = self._venue_time(order.created_at) - LOOKED_FOR_BEFORE
                orders = [o for o in exchange.by_client.get(order.client_order_id, []) if self._is_found(o, since)]
                live = [o for o in orders if o.is_live]
                found = next(iter([*live, *orders[::-1]]), None)
            if found is not None and fault is Fault.LATE_LISTING:
                self._hide(found)
            return self._report(found) if found is not None and exchange.is_listed(found.order_id) else None

        return self._ask(Step.FIND_ORDER, answer, order=order)

    def _is_found(self, order: ExchangeOrder, since: datetime) -> bool:
        """Kraken's list of open orders is asked without a time, the lists of ended ones with it."""
        return (order.is_live and self.account == KRAKEN) or order.created_at >= since

    def fills_since(self, cursor: str, *, deep: bool = False) -> tuple[Sequence[Fill], str]:
        def answer(fault: Fault | None) -> tuple[Sequence[Fill], str]:
            if fault is Fault.LATE_LISTING:
                newest = self.exchange.bot_fills[-1:]
                for fill in newest:
                    if self.exchange.clock() - fill.at < timedelta(seconds=60):
                        self.exchange.fill_listed[fill.fill_id] = fill.at + timedelta(
                            seconds=self.chaos.chance.uniform(61, 300)
                        )
            return self._fills(cursor, deep=deep)

        return self._ask(Step.FILLS, answer)

    def _fills(self, cursor: str, *, deep: bool) -> tuple[Sequence[Fill], str]:
        now = self.world.now()
        if not self._looked:
            self._look()
        if cursor and not deep and (self._look_until is None or now >= self._look_until):
            return [], cursor
        venue_now = self._venue_time(now)
        since_ms, known = read_cursor(self.account, cursor, venue_now, deep=deep)
        told = [self._fill(f) for f in self.exchange.listed_fills() if int(f.at.timestamp() * 1000) >= since_ms]
        self._looked = True
        fresh = [self._with_client_id(fill) for fill in told if fill.fill_id not in known]
        return fresh, new_cursor(cursor, told, fresh, known, venue_now)

    def _with_client_id(self, fill: Fill) -> Fill:
        if not self.exchange.is_listed(self._order_of(fill)) and self.world.now() - fill.at < FILLS_OVERLAP:
            raise VenueError(f"{self.account}: order of a fill: not listed yet")
        return fill

    # -- orders

    def submit(self, order: Order) -> Outcome:
        self._look()
        exchange, chaos, now = self.exchange, self.chaos, self.exchange.clock()
        exchange.sent.setdefault(order.client_order_id, order)
        self.world.checker.on_send(self, order)
        fault = chaos.draw(Step.SEND, lambda: [order.state])
        if exchange.locked_until > now:
            self.failures += 1
            return Rejected(reason="EOrder:Rate limit exceeded")
        outcome = self._sent(order, fault)
        if fault is Fault.DEATH_AFTER:
            chaos.die(Step.SEND, fault)
        if not isinstance(outcome, Accepted):
            self.failures += 1
        self.world.checker.on_outcome(order, outcome)
        return outcome

    def _sent(self, order: Order, fault: Fault | None) -> Outcome:
        """Send it, or lose it on the way."""
        exchange, chance = self.exchange, self.chaos.chance
        match fault:
            case Fault.DROP_BEFORE:
                return self._lost()
            case Fault.RATE_LIMIT:
                exchange.locked_until = exchange.clock() + LOCKED_OUT_FOR
                return Rejected(reason="EOrder:Rate limit exceeded")
            case Fault.REJECT:
                return self._rejected(order)
            case Fault.LATE_ARRIVAL:
                at = exchange.clock() + timedelta(seconds=chance.uniform(0.5, ARRIVES_WITHIN_S[self.account]))
                exchange.late.append(Late(at, order, deadline=self._deadline()))
                self.world.pass_time(chance.choice((0.2, 10.0)))
                return self._lost()
            case Fault.DELAY:
                self.world.pass_time(chance.choice((0.0, chance.uniform(1, 60))))
                outcome = self._arrived(order)
                self.world.pass_time(chance.uniform(1, 10))
                return outcome
        return self._arrived_and_told(order, fault)

    def _arrived_and_told(self, order: Order, fault: Fault | None) -> Outcome:
        """The order reaches the venue; its answer may not come back."""
        exchange, chance = self.exchange, self.chaos.chance
        if fault is Fault.CLOCK:
            self.world.step_clock()
        elif fault is Fault.PARTIAL:
            exchange.fill_partly(order.symbol, Decimal(repr(round(chance.uniform(0.05, 0.95), 2))))
        elif fault is Fault.SERVER_ERROR and chance.random() < 0.5:
            return self._lost()  # without an effect
        outcome = self._arrived(order)
        if fault is Fault.DUPLICATE and self.account == COINBASE:
            outcome = self._arrived(order)  # Kraken takes a number only once
        if fault is Fault.LATE_LISTING and isinstance(outcome, Accepted):
            until = exchange.clock() + timedelta(seconds=chance.uniform(1, DELAYS_MOST_S))
            exchange.order_listed[outcome.venue_order_id] = until
            return outcome if chance.random() < 0.5 else self._lost()
        return self._lost() if fault in (Fault.DROP_AFTER, Fault.GARBAGE, Fault.SERVER_ERROR) else outcome

    def _lost(self) -> Outcome:
        """Nobody tells what became of it; some adapters say so by an error."""
        if self.chaos.chance.random() < 0.2:
            raise VenueError(f"{self.account}: no answer")
        return Unknown(reason="no whole answer")

    def _rejected(self, order: Order) -> Outcome:
        exchange, chance = self.exchange, self.chaos.chance
        match chance.randrange(4):
            case 0:
                lasts = timedelta(seconds=chance.uniform(30, 600))
                exchange.cancel_only_until[order.symbol] = exchange.clock() + lasts
                return Rejected(reason="market is in cancel_only mode")
            case 1 if order.post_only:
                return Rejected(reason="Post only order would take")
            case 2:
                return Rejected(reason="Order minimum not met")
            case _:
                return Rejected(reason="Insufficient funds")

    def _deadline(self) -> datetime | None:
        """By the true clock; an adapter that knows its own clock's error states it in the venue's time."""
        if self.account != KRAKEN or self._drift is None:
            return None
        return self.world.now() - self._drift + DEADLINE_AFTER

    def _arrived(self, order: Order) -> Outcome:
        deadline, now = self._deadline(), self.exchange.clock()
        if deadline is not None and not now <= deadline <= now + DEADLINE_AT_MOST:
            self._drift = None  # until it is measured again, orders go without
            return Rejected(reason="EService:Deadline elapsed")
        placed = self.exchange.arrive(order)
        if isinstance(placed, ExchangeOrder):
            return Accepted(venue_order_id=placed.order_id)
        if "uplicate" in placed or "DUPLICATE" in placed:
            return Unknown(reason=placed)
        return Rejected(reason=placed)

    def cancel(self, order: Order) -> Outcome:
        self._look()
        exchange, chaos = self.exchange, self.chaos
        venue_order_id = order.venue_order_id
        if venue_order_id is None:
            found = self.find_order(order)
            if found is None:
                return Unknown(reason="the venue does not list it; it may still be on its way")
            venue_order_id = found.venue_order_id
        self.world.checker.on_cancel(self, venue_order_id)
        fault = chaos.draw(Step.CANCEL, lambda: [order.state])
        if exchange.locked_until > exchange.clock():
            self.failures += 1
            return Unknown(reason="rate limit exceeded")
        if fault in (Fault.DROP_BEFORE, Fault.LATE_ARRIVAL, Fault.RATE_LIMIT):
            return self._cancel_lost(order, venue_order_id, fault)
        code = self._cancel_arrived(order, venue_order_id, fault)
        if fault is Fault.DEATH_AFTER:
            chaos.die(Step.CANCEL, fault)
        if fault in (Fault.DROP_AFTER, Fault.GARBAGE, Fault.SERVER_ERROR):
            self.failures += 1
            return self._lost()
        if code is not None:
            assert code in (RefusalCode.UNKNOWN_ORDER, RefusalCode.NOT_LIVE), code
            return Rejected(reason="it is not resting")
        placed = exchange.core.order(venue_order_id)
        if placed is not None and placed.is_live:
            self.world.pass_time(CANCEL_WAITED_FOR_S)
        return Accepted(venue_order_id=venue_order_id)

    def _cancel_lost(self, order: Order, venue_order_id: str, fault: Fault | None) -> Outcome:
        """It does not reach the venue, or later than anybody waits."""
        exchange = self.exchange
        self.failures += 1
        if fault is Fault.RATE_LIMIT:
            exchange.locked_until = exchange.clock() + LOCKED_OUT_FOR
        if fault is Fault.LATE_ARRIVAL:
            at = exchange.clock() + timedelta(seconds=self.chaos.chance.uniform(0.5, 15))
            exchange.late.append(Late(at, order, cancels=venue_order_id))
        return self._lost()

    def _cancel_arrived(self, order: Order, venue_order_id: str, fault: Fault | None) -> RefusalCode | None:
        """It reaches the venue; the reason why that cannot do it, or None."""
        chance = self.chaos.chance
        if fault is Fault.DELAY:
            self.world.pass_time(chance.uniform(1, 60))
        elif fault is Fault.CLOCK:
            self.world.step_clock()
        elif fault is Fault.PARTIAL:
            self._fill_now(order.symbol)
        has_no_effect = fault is Fault.SERVER_ERROR and chance.random() < 0.5
        code = None if has_no_effect else self.exchange.cancel(venue_order_id)
        if fault is Fault.DUPLICATE:
            code = self.exchange.cancel(venue_order_id)
        self.exchange.note_fills()
        return code

    # -- inside

    def _ask(self, step: Step, answer: Callable[[Fault | None], T], *, order: Order | None = None) -> T:
        states = (lambda: [order.state]) if order is not None else (lambda: self.world.live_states(self.account))
        fault = self.chaos.draw(step, states)
        if self.exchange.locked_until > self.exchange.clock():
            self.failures += 1
            raise VenueError(f"{self.account}: {step}: too many calls")
        match fault:
            case Fault.DELAY:
                self.world.pass_time(self.chaos.chance.uniform(1, 60))
            case Fault.CLOCK:
                self.world.step_clock()
            case Fault.PARTIAL:
                for symbol in self.exchange.instruments:
                    self._fill_now(symbol)
            case Fault.RATE_LIMIT:
                self.exchange.locked_until = self.exchange.clock() + LOCKED_OUT_FOR
                self.failures += 1
                raise VenueError(f"{self.account}: {step}: too many calls")
            case Fault.DROP_BEFORE | Fault.SERVER_ERROR | Fault.GARBAGE:
                self.failures += 1
                raise VenueError(f"{self.account}: {step}: {fault}")
            case Fault.STALE | Fault.LATE_LISTING:
                self.failures += 1
        self.exchange.tick()
        told = answer(fault)
        if fault is Fault.DEATH_AFTER:
            self.chaos.die(step, fault)
        return told

    def _fill_now(self, symbol: str) -> None:
        """The market touches the bot's resting orders and takes a part of the first."""
        exchange, chance = self.exchange, self.chaos.chance
        exchange.fill_partly(symbol, Decimal(repr(round(chance.uniform(0.05, 0.95), 2))))
        self.world.market.dip(symbol, chance.choice((-0.002, -0.01, 0.002)))
        self.world.put_prices(exchange)

    def _look(self) -> None:
        self._look_until = self.world.now() + FILLS_LOOKED_FOR

    def _venue_time(self, moment: datetime) -> datetime:
        return moment - (self._drift or timedelta(0))

    def _order_of(self, fill: Fill) -> str:
        return next(f.order_id for f in self.exchange.core.fills() if f.fill_id == fill.fill_id)

    def _fill(self, fill: ExchangeFill) -> Fill:
        return Fill(
            fill_id=fill.fill_id,
            account=self.account,
            symbol=fill.symbol,
            client_order_id=self.exchange.client_id(fill),
            side=fill.side,
            quantity=fill.quantity,
            price=fill.price,
            fee=fill.fee,
            liquidity=fill.liquidity,
            at=fill.at,
        )

    def _report(self, order: ExchangeOrder) -> OrderReport:
        asked = order.asked
        assert asked.quantity is not None
        if order.is_live:
            state = OrderState.PARTLY_FILLED if order.filled else OrderState.OPEN
        else:
            state = OrderState.FILLED if order.filled >= asked.quantity else OrderState.CANCELED
        return OrderReport(
            client_order_id=asked.client_id,
            venue_order_id=order.order_id,
            symbol=asked.symbol,
            state=state,
            filled_quantity=order.filled,
            side=asked.side,
            quantity=asked.quantity,
            price=asked.limit_price,
            stop_price=asked.stop_price,
        )
