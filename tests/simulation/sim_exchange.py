"""An exchange of a simulation: the local exchange's account, with what a network and a busy venue make of it.

It outlives the bot's process. Its clock is the true time; the bot's own may be wrong. What the bot has sent is told
apart by its client order ids; whatever else happens on the account is the user's.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))

from account_state import AccountState
from account_types import ExchangeFill, ExchangeOrder, Kind, Market, NewOrder, RefusalCode, RefusedError, TimeInForce

from bot.domain.account import Balance, FeeSchedule
from bot.domain.instrument import Instrument
from bot.domain.orders import Order, OrderType, Purpose, Side

D = Decimal
COINBASE, KRAKEN = "coinbase", "kraken"
LOCKED_OUT_FOR = timedelta(seconds=20)
STOP_ROOM = {"SOL": D("0.08")}
STOP_ROOM_ELSE = D("0.05")
"""How far below its trigger a stop-limit of Coinbase may sell, as the real adapter asks for it."""
DELAYS_MOST_S = 28.0
"""An order that was given up is there and listed so long after it was sent, or never: what the two looks count on."""
ARRIVES_WITHIN_S = {COINBASE: 18.0, KRAKEN: 14.0}
"""Of these so long after the sending at the latest; Kraken refuses an order that comes after its deadline of 15 s."""
FILL_LATE_MOST_S = 480.0
"""The cursor of the real adapter asks again for the last ten minutes."""
FILL_VERY_LATE_S = 2400.0
"""Only a deep question finds it."""


@dataclass(slots=True)
class Late:
    """A request under way that its sender has given up."""

    at: datetime
    order: Order
    cancels: str = ""
    """Venue's id of the order that it cancels; '' where it places one."""
    deadline: datetime | None = None


class SimAccount(AccountState):
    """The local exchange's account; that every order is covered is asserted only where something has changed."""

    _asserted: tuple[int, int, int] = (0, 0, 0)

    def _assert_covered(self) -> None:
        state = (len(self._fills), len(self._orders), len(self._live))
        if state != self._asserted:
            super()._assert_covered()
            self._asserted = state


class SimExchange:
    """One account at one venue."""

    def __init__(
        self,
        *,
        name: str,
        instruments: dict[str, Instrument],
        cash: Decimal,
        fees: FeeSchedule,
        chance: random.Random,
        clock: Callable[[], datetime],
        rests: bool,
    ) -> None:
        self.name = name
        self.instruments = instruments
        self.fees = fees
        self.chance = chance
        self.clock = clock
        self.rests = rests
        self.core = SimAccount(
            markets=[
                Market(
                    symbol=i.symbol,
                    base=i.base,
                    quote=i.quote,
                    lot_step=i.lot_step,
                    tick_size=i.tick_size,
                    min_amount=i.min_amount,
                    min_cost=i.min_cost,
                )
                for i in instruments.values()
            ],
            maker_frac=fees.maker_frac,
            taker_frac=fees.taker_frac,
            refuse_triggered_stops=name == COINBASE,
            seed=chance.getrandbits(32),
        )
        self.core.deposit("USD", cash)
        self.repeats_are_told = chance.random() < 0.5
        """Coinbase: a repeated client id gives the order that has it; else it is refused as a duplicate."""
        self.sent: dict[str, Order] = {}
        """What the bot has asked for, by client order id."""
        self.by_client: dict[str, list[ExchangeOrder]] = {}
        self.bot_orders: set[str] = set()
        """Venue's ids of the bot's orders."""
        self.bot_fills: list[ExchangeFill] = []
        self.net: dict[str, Decimal] = dict.fromkeys(instruments, D(0))
        """What the bot's own fills have left, by symbol: base units."""
        self.bot_cash = D(0)
        """What the bot's own fills have brought (or cost, below 0), fees included."""
        self.bot_fees = D(0)
        self.order_listed: dict[str, datetime] = {}
        self.fill_listed: dict[str, datetime] = {}
        self.late: list[Late] = []
        self.locked_until = clock()
        self.cancel_only_until: dict[str, datetime] = {}
        self.stale: tuple[datetime, dict[str, Balance]] | None = None
        self.fills_come_late = 0.0
        """Chance that the next fill is listed late; set by the episode, 0 when quiet."""
        self.on_late_fill: Callable[[str], None] = lambda _: None
        self.on_arrival: Callable[[Order, ExchangeOrder], None] = lambda *_: None
        self._seen_fills = 0

    # -- time

    def tick(self) -> None:
        """Let what is due happen."""
        now = self.clock()
        for late in [late for late in self.late if late.at <= now]:
            self.late.remove(late)
            if late.cancels:
                self.cancel(late.cancels)
            elif late.deadline is None or now <= late.deadline:
                self.arrive(late.order)
        self.core.advance(now)
        self.note_fills()

    def set_price(self, symbol: str, middle: float, half_spread: float) -> None:
        """Put a book around a price and match."""
        tick = self.instruments[symbol].tick_size
        bid = max(tick, D(repr(round(middle * (1 - half_spread), 6))) // tick * tick)
        ask = bid + max(tick, D(repr(round(middle * 2 * half_spread, 6))) // tick * tick)
        self.core.set_price(symbol, bid=bid, ask=ask, now=self.clock())
        self.note_fills()

    def fill_partly(self, symbol: str, fraction: Decimal) -> None:
        """Let the next execution of a symbol be one of a part; one such wish waits at a time."""
        if not self.core._fractions.get(symbol):
            self.core.fill_partly(symbol, fraction)

    def price(self, symbol: str) -> tuple[Decimal, Decimal, Decimal]:
        """Bid, ask, last."""
        book = self.core.book(symbol)
        assert book is not None, f"{self.name} has no price of {symbol}"
        return book.bid, book.ask, book.last

    # -- orders

    def arrive(self, order: Order) -> ExchangeOrder | str:
        """An order of the bot reaches the exchange: it is placed, or the reason why not."""
        now = self.clock()
        known = self.by_client.setdefault(order.client_order_id, [])
        if self.name == COINBASE and known:
            return known[0] if self.repeats_are_told else "DUPLICATE_CLIENT_ORDER_ID"
        if self.name == KRAKEN and any(other.is_live for other in known):
            return "EOrder:Duplicate cl_ord_id"
        if self.cancel_only_until.get(order.symbol, now) > now:
            return "market is in cancel_only mode"
        try:
            placed = self.core.place(self._new_order(order), now)
        except RefusedError as e:
            words = str(e)
            return words if e.code is not RefusalCode.POST_ONLY_WOULD_TAKE else f"Post only order: {words}"
        known.append(placed)
        self.bot_orders.add(placed.order_id)
        self.note_fills()
        self.on_arrival(order, placed)
        return placed

    def _new_order(self, order: Order) -> NewOrder:
        kind, limit, expires_at = Kind.LIMIT, order.price, None
        tif = TimeInForce.GTC
        if order.type is OrderType.STOP:
            assert order.stop_price is not None
            kind, limit = Kind.STOP_MARKET, None
            if self.name == COINBASE:
                instrument = self.instruments[order.symbol]
                room = STOP_ROOM.get(instrument.base, STOP_ROOM_ELSE)
                kind = Kind.STOP_LIMIT
                limit = max(instrument.price_down(order.stop_price * (1 - room)), instrument.tick_size)
        elif order.type is OrderType.IOC:
            tif = TimeInForce.IOC
        elif order.expires_at is not None:
            tif, expires_at = TimeInForce.GTD, self.clock() + (order.expires_at - order.created_at)
        return NewOrder(
            symbol=order.symbol,
            side=order.side,
            kind=kind,
            client_id=order.client_order_id,
            quantity=order.quantity,
            limit_price=limit,
            stop_price=order.stop_price,
            post_only=order.post_only,
            time_in_force=tif,
            expires_at=expires_at,
        )

    def cancel(self, venue_order_id: str) -> RefusalCode | None:
        """Cancel as the venue does; the reason why it cannot, or None."""
        try:
            self.core.cancel(venue_order_id, self.clock())
        except RefusedError as e:
            return e.code
        return None

    def may_buy(self, symbol: str) -> Iterable[tuple[str, Decimal]]:
        """Client id and quantity of the bot's entries that may still be executed here, those under way included."""
        for placed in self.core.live_orders():
            if placed.order_id in self.bot_orders and placed.asked.side is Side.BUY and placed.asked.symbol == symbol:
                yield placed.asked.client_id, placed.remaining
        for late in self.late:
            if not late.cancels and late.order.purpose is Purpose.ENTRY and late.order.symbol == symbol:
                yield late.order.client_order_id, late.order.quantity

    # -- what is listed

    def is_listed(self, order_id: str) -> bool:
        return self.order_listed.get(order_id, self.clock()) <= self.clock()

    def listed_fills(self) -> list[ExchangeFill]:
        now = self.clock()
        fills = self.core.fills()
        if not self.fill_listed:
            return fills
        return [fill for fill in fills if self.fill_listed.get(fill.fill_id, now) <= now]

    def hides(self) -> bool:
        """Whether something has happened that is not listed yet, or is under way."""
        now = self.clock()
        for listed in (self.order_listed, self.fill_listed):
            for name in [name for name, at in listed.items() if at <= now]:
                del listed[name]
        if self.stale is not None and self.stale[0] <= now:
            self.stale = None
        return bool(self.order_listed or self.fill_listed or self.late or self.stale is not None)

    def show_within(self, seconds: float) -> None:
        """End what is hidden soon."""
        latest = self.clock() + timedelta(seconds=seconds)
        for listed in (self.order_listed, self.fill_listed):
            for name, at in listed.items():
                listed[name] = min(at, latest)
        self.locked_until = min(self.locked_until, latest)
        if self.stale is not None:
            self.stale = min(self.stale[0], latest), self.stale[1]
        for symbol in self.cancel_only_until:
            self.cancel_only_until[symbol] = min(self.cancel_only_until[symbol], latest)

    def balances(self) -> dict[str, Balance]:
        return {
            asset: Balance(asset=asset, free=held.available, used=held.hold)
            for asset, held in self.core.holdings().items()
            if held.total
        }

    def total(self, asset: str) -> Decimal:
        return self.core.holding(asset).total

    def within_reach(self, symbol: str) -> Decimal:
        """Coins of a symbol that no sale of the user's holds: an order of his that was filled in part rests on."""
        held = (
            order.remaining
            for order in self.core.live_orders()
            if order.asked.symbol == symbol and order.asked.side is Side.SELL and order.order_id not in self.bot_orders
        )
        return self.total(symbol.partition("/")[0]) - sum(held, D(0))

    def note_fills(self) -> None:
        """Count the bot's own fills, and draw when each is listed."""
        fills = self.core.fills()
        if len(fills) == self._seen_fills:
            return
        for fill in fills[self._seen_fills :]:
            if fill.order_id not in self.bot_orders and not self._is_ours(fill):
                continue
            self.bot_fills.append(fill)
            sign = 1 if fill.side is Side.BUY else -1
            self.net[fill.symbol] += sign * fill.quantity
            self.bot_cash -= sign * fill.quantity * fill.price + fill.fee
            self.bot_fees += fill.fee
            if self.fills_come_late and self.chance.random() < self.fills_come_late:
                most = FILL_VERY_LATE_S if self.chance.random() < 0.1 else FILL_LATE_MOST_S
                self.fill_listed[fill.fill_id] = fill.at + timedelta(seconds=self.chance.uniform(1, most))
                self.on_late_fill(self.name)
        self._seen_fills = len(fills)

    def _is_ours(self, fill: ExchangeFill) -> bool:
        """An order that fills while it is being placed has no place in ``bot_orders`` yet."""
        if self.client_id(fill) not in self.sent:
            return False
        self.bot_orders.add(fill.order_id)
        return True

    def client_id(self, fill: ExchangeFill) -> str:
        placed = self.core.order(fill.order_id)
        assert placed is not None
        return placed.asked.client_id
