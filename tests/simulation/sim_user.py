"""The user of a simulation: commands, deposits, withdrawals, orders and coins of their own, and a restless hand."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING

from account_types import Kind, NewOrder, RefusedError
from sim_exchange import SimExchange

from bot.domain.orders import Side

if TYPE_CHECKING:
    from sim_world import World

D = Decimal
CENT = D("0.01")
ACTS_PER_CYCLE = 0.02


class User:
    """Acts now and then; everything is noted for the checker."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.acts = ["pause", "halt", "flatten", "deposit", "withdraw", "coins in", "own order"]
        self.by_hand = chance.random() < 0.3
        if self.by_hand:
            self.acts += ["cancel", "coins out", "sell coins"]
        self._resumes_in = 0
        self.own_orders: set[str] = set()

    def maybe_act(self) -> None:
        """What the user does before the next cycle."""
        if self._resumes_in > 0:
            self._resumes_in -= 1
            if self._resumes_in == 0:
                reset = self.chance.random() < 0.5
                self.world.control.put("resume", reset_drawdown=reset, book_out=self.by_hand)
        elif self.world.checker.needs_resume() and self.chance.random() < 0.15:
            self.world.control.put("resume", reset_drawdown=True, book_out=self.by_hand)
        if self.chance.random() >= ACTS_PER_CYCLE:
            return
        act = self.chance.choice(self.acts)
        exchange = self.chance.choice(list(self.world.exchanges.values()))
        if act in ("pause", "halt", "flatten"):
            self.world.control.put(act)
            self._resumes_in = self.chance.randint(2, 15)
            return
        try:
            self._act(act, exchange)
        except RefusedError:
            return  # the venue does not let them

    def _act(self, act: str, exchange: SimExchange) -> None:
        symbol = self.chance.choice(self.world.symbols)
        base = symbol.partition("/")[0]
        price = exchange.price(symbol)[0]
        if act == "deposit":
            amount = D(self.chance.choice(("5.00", "37.11", "120.50")))
            exchange.core.deposit("USD", amount)
        elif act == "withdraw":
            free = exchange.core.holding("USD").available
            amount = (free * D(self.chance.choice(("0.03", "0.2", "0.6")))).quantize(CENT)
            if amount > 1:
                exchange.core.withdraw("USD", amount)
        elif act == "coins in":
            exchange.core.deposit(base, self._units(exchange, symbol, 40))
        elif act == "own order":
            self._own_order(exchange, symbol, price)
        elif act == "cancel":
            live = [o for o in exchange.core.live_orders() if o.order_id in exchange.bot_orders]
            if live:
                exchange.core.cancel(self.chance.choice(live).order_id, self.world.true)
        else:
            self._take_coins(exchange, symbol, sells=act == "sell coins")

    def _units(self, exchange: SimExchange, symbol: str, usd: float) -> Decimal:
        instrument = exchange.instruments[symbol]
        quantity = D(repr(usd * self.chance.uniform(0.5, 1.5))) / exchange.price(symbol)[0]
        return instrument.quantity_of(instrument.lots_in(quantity))

    def _own_order(self, exchange: SimExchange, symbol: str, price: Decimal) -> None:
        """A buy far below the market; it may stay for ever."""
        instrument = exchange.instruments[symbol]
        limit = instrument.price_down(price * D(self.chance.choice(("0.5", "0.97"))))
        self._place(exchange, symbol, Side.BUY, self._units(exchange, symbol, 12), limit)

    def _take_coins(self, exchange: SimExchange, symbol: str, *, sells: bool) -> None:
        """Move or sell coins, also those that the bot has bought: first what rests on them is cancelled by hand."""
        base = symbol.partition("/")[0]
        for order in exchange.core.live_orders():
            if order.asked.symbol == symbol and order.asked.side is Side.SELL:
                exchange.core.cancel(order.order_id, self.world.true)
        available = exchange.core.holding(base).available
        part = available * D(self.chance.choice(("0.3", "1")))
        instrument = exchange.instruments[symbol]
        quantity = instrument.quantity_of(instrument.lots_in(part))
        if quantity <= 0:
            return
        if sells:
            bid = exchange.price(symbol)[0]
            self._place(exchange, symbol, Side.SELL, quantity, instrument.price_down(bid * D("0.98")))
        else:
            exchange.core.withdraw(base, quantity)

    def _place(self, exchange: SimExchange, symbol: str, side: Side, quantity: Decimal, limit: Decimal) -> None:
        order = exchange.core.place(
            NewOrder(
                symbol=symbol,
                side=side,
                kind=Kind.LIMIT,
                client_id=f"by-hand-{self.chance.getrandbits(40):x}",
                quantity=quantity,
                limit_price=limit,
            ),
            self.world.true,
        )
        self.own_orders.add(order.order_id)
        exchange.note_fills()

    def settle_down(self) -> None:
        """Before a quiet time: take back what may fill at any moment, and end every pause."""
        for exchange in self.world.exchanges.values():
            for order in exchange.core.live_orders():
                is_near = order.asked.limit_price is not None and order.asked.limit_price > exchange.price(
                    order.asked.symbol
                )[0] * D("0.8")
                if order.order_id in self.own_orders and is_near:
                    exchange.core.cancel(order.order_id, self.world.true)
