"""The limits of a simulation's entries, computed from the exchanges at the moment at which one is sent."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from bot.domain.orders import Order, OrderType, Purpose, Side
from bot.engine.engine import CycleResult
from bot.scaling.ladder import SCALING_TIERS

if TYPE_CHECKING:
    from sim_checks import Checker
    from sim_venue import SimVenue

D = Decimal
NEAR = 1e-6
"""Floats of the sizer may differ by so much, relative to equity."""
UNSEEN = 0.006
"""Share of equity by which what the bot could not see yet (a fill not listed, its fee, a price that moved while a call
lasted) may shift a limit: 18 % of equity times a fee of 1.2 % and a move of 2 %."""
SURE = 0.01
"""Beyond a loss limit by so much the bot must have seen it at its own look in the same cycle: the orders that follow
that look cost fees of at most 1.2 % of 36 % of equity."""


class Limits:
    """Equity, drawdown and loss by the exchanges; what an entry may be by them."""

    def __init__(self, checker: Checker) -> None:
        self.checker = checker
        self.world = checker.world
        self.fills_checked: Counter[str] = Counter()
        self.index = self.peak = 1.0
        self._equity = 0.0
        self._user_cash = 0.0
        self._day = ""
        self._day_start: float | None = None
        self._clean_before = False
        self.loss_day = ""
        self.in_drawdown = False
        self.tainted = True
        self._first_sent: dict[str, float] = {}
        self.sized_on: list[float] = []
        """Equity before each order of this step: a size that was decided before a sale does not know its fee."""

    def taint(self) -> None:
        """A clock was set: what belongs to which day is not clear until the next one."""
        self.tainted = True

    def reset_drawdown(self) -> None:
        self.in_drawdown = False
        self.peak = 0.0

    def note_send(self, order: Order) -> None:
        """Note on which equity an order was sized; one that is sent again keeps its size."""
        first = self._first_sent.setdefault(order.client_order_id, self.equity())
        self.sized_on += [first, self.equity()]

    # -- money

    def bid(self, name: str, symbol: str) -> float:
        """As the bot was told it last."""
        told = self.world.venues[name].told_bids.get(symbol)
        return float(told if told is not None else self.world.exchanges[name].price(symbol)[0])

    def equity(self) -> float:
        """Cash of all venues and the bot's own coins, at the prices that the bot was told."""
        total = 0.0
        for name, exchange in self.world.exchanges.items():
            total += float(exchange.total("USD"))
            for symbol, net in exchange.net.items():
                if net > 0:
                    total += float(self.checker.owned((name, symbol))) * self.bid(name, symbol)
        return total

    def user_cash(self) -> float:
        """What the user has brought and taken, by the exchanges."""
        return float(sum((e.total("USD") - e.bot_cash for e in self.world.exchanges.values()), D(0)))

    def after_step(self, result: CycleResult | None) -> None:
        """Measure performance, and latch what must end entries."""
        world, engine = self.world, self.world.engine
        equity, user_cash = self.equity(), self.user_cash()
        if self._equity > 1:
            self.index *= max(0.01, (equity - (user_cash - self._user_cash)) / self._equity)
        self._equity, self._user_cash = equity, user_cash
        clean = (
            result is not None
            and not any(self.checker._in_doubt(name) for name in world.exchanges)
            and not engine.state.transfer_pending_until  # everything stands still meanwhile
        )
        today = world.now().date().isoformat()
        if today != self._day:
            # Measured only from a day end that the bot has certainly seen.
            self._day_start = self.index if self._clean_before and not self.tainted else None
            self._day, self.tainted = today, False
        elif self.tainted:
            self._day_start = None
        if self.checker.is_short():
            # Coins gone by hand are money taken out, whose worth only the bot's own booking names.
            self.peak, self._day_start = self.index, None
        if clean:
            self.peak = max(self.peak, self.index)
            config = world.config
            if 1 - self.index / self.peak >= config.drawdown_frac + SURE:
                self.in_drawdown = True
            if self._day_start is not None and 1 - self.index / self._day_start >= config.daily_loss_frac + SURE:
                self.loss_day = today
        self._clean_before = clean

    # -- an entry

    def check_entry(self, venue: SimVenue, order: Order) -> None:
        """Hold an entry against every limit, before it is sent."""
        key = (order.account, order.symbol)
        if self.in_drawdown:
            self.checker.found("drawdown", f"{key}: index {self.index:.4f}, peak {self.peak:.4f}")
        if self.loss_day == self.world.now().date().isoformat():
            self.checker.found("daily loss", f"{key}: index {self.index:.4f}, the day began at {self._day_start}")
        if all(self.checker.knows_cash(name) for name in self.world.exchanges):
            self._check_amounts(order)
        self._check_count(order)

    def _others(self, order: Order) -> list[tuple[str, str, float]]:
        """(account, symbol, USD) of every other entry that may still take money, whatever has been told of it."""
        found = []
        for name, exchange in self.world.exchanges.items():
            may_buy = {cid: q for symbol in exchange.instruments for cid, q in exchange.may_buy(symbol)}
            for claimed in self.world.engine.desk.live(name, purpose=Purpose.ENTRY):
                if not exchange.by_client.get(claimed.client_order_id):
                    may_buy[claimed.client_order_id] = claimed.remaining  # unknown: it counts as spent
            for client_id, quantity in may_buy.items():
                asked = exchange.sent.get(client_id)
                if asked is not None and client_id != order.client_order_id:
                    found.append((name, asked.symbol, float(quantity * (asked.price or D(0)))))
        return found

    def _check_amounts(self, order: Order) -> None:
        config, price = self.world.config, order.price
        assert price is not None
        assert order.side is Side.BUY
        equity, cost = max(self.sized_on), float(order.quantity * price)
        others = self._others(order)
        fees = self.world.exchanges[order.account].fees
        fee = float(fees.taker_frac if order.type is OrderType.IOC else fees.maker_frac)
        spent = cost * (1 + fee)
        for name, _, usd in others:
            spent += usd * (1 + float(self.world.exchanges[name].fees.maker_frac))
        cash = float(sum((exchange.total("USD") for exchange in self.world.exchanges.values()), D(0)))
        near = (UNSEEN if self.checker.lost - {order.client_order_id} or self.world.chaos.in_step else NEAR) * equity
        if cash - spent < config.cash_buffer_frac * min(self.sized_on) - near:
            self.checker.found("cash buffer", f"{order.symbol}: {cash} less {spent} of {min(self.sized_on)}")
        coin = order.symbol
        there = cost + sum(usd for _, symbol, usd in others if symbol == coin)
        lowest = min(self.bid(name, coin) for name in self.world.exchanges)
        for name, exchange in self.world.exchanges.items():
            net = self.checker.owned((name, coin))
            if net >= exchange.instruments[coin].minimum_quantity_at(exchange.price(coin)[0]):
                there += float(net) * lowest
        allowed = config.position_cap_frac * equity
        if config.floor_allowed and there <= cost * 1.01:
            step = float(self.world.exchanges[order.account].instruments[coin].lot_step)
            minimum = float(self.world.exchanges[order.account].instruments[coin].minimum_quantity_at(price) * price)
            allowed = max(allowed, (config.min_trade_usd + step * float(price)) * 1.001, minimum * 1.001)
        if there > allowed + near:
            self.checker.found("position cap", f"{coin}: {there} of {allowed}, equity {equity}")

    def _check_count(self, order: Order) -> None:
        """No more positions than the tier allows; what is held already may grow."""
        places = {(name, symbol) for name, symbol, _ in self._others(order)}
        for name, exchange in self.world.exchanges.items():
            for symbol, instrument in exchange.instruments.items():
                # At the edge of what the venue takes the price of the moment decides.
                smallest = instrument.minimum_quantity_at(exchange.price(symbol)[0]) * D("1.05")
                if self.checker.owned((name, symbol)) >= smallest:
                    places.add((name, symbol))
        key = (order.account, order.symbol)
        tier = next((t for t in SCALING_TIERS if t.name == self.world.engine._tiers.current_name), None)
        most = tier.max_positions if tier is not None else 0
        ceiling = self.world.config.max_positions_ceiling
        most = most if ceiling is None else min(most, ceiling)
        if key not in places and len(places) >= most:
            self.checker.found("positions", f"{key}: one more than {sorted(places)}, {most} allowed")
