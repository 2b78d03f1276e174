"""Whatever is done to the matching core in whatever order, its books balance to the last digit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from venue_helpers import BTC, FEES, HALF_SPREAD, D, later, make_order, new_core

from bot.domain.account import Fill, Liquidity
from bot.domain.errors import VenueError
from bot.domain.market import Candle, Ticker
from bot.domain.orders import Order, OrderState, OrderType, Side
from bot.ports import Accepted
from bot.venues.matching import MatchingCore

# Prices are whole cents around 1.00, so that many orders meet many bars.
cents = st.integers(80, 120)
lots = st.integers(1, 400_000_000)
sides = st.sampled_from(["buy", "sell"])
fractions = st.sampled_from([None, None, D("0.000000001"), D("0.3"), D("0.99")])
flow = st.tuples(st.sampled_from(["deposit", "withdraw"]), st.sampled_from(["USD", "BTC"]), lots)
new_order = st.tuples(
    st.just("submit"), st.sampled_from(["market", "limit", "post", "ioc", "stop"]), sides, lots, cents, fractions
)
again = st.tuples(st.sampled_from(["cancel", "repeat"]), st.integers(0, 20))
jump = st.tuples(st.just("open"), cents, fractions)
run = st.tuples(st.just("range"), st.lists(cents, min_size=4, max_size=4), fractions)
quote = st.tuples(st.just("quote"), st.lists(cents, min_size=2, max_size=2), fractions)
actions = st.lists(st.one_of(flow, new_order, new_order, again, jump, run, quote), max_size=30)


@dataclass
class World:
    """The core, and an independent account of everything that it was told and said."""

    core: MatchingCore = field(default_factory=lambda: new_core("10", price=1.0))
    orders: list[Order] = field(default_factory=list)
    flows: dict[str, Decimal] = field(default_factory=lambda: {"USD": D(10), "BTC": D(0)})
    steps: int = 0

    def do(self, action: tuple) -> None:  # type: ignore[type-arg]
        self.steps += 1
        seen = self.core.fills_made
        name, *args = action
        getattr(self, f"do_{name}")(*args)
        self.core.next_fill_fraction = None
        new, _ = self.core.fills_since(str(seen))
        for fill in new:
            self.check_price(fill, action)
        self.check_books()

    def do_deposit(self, asset: str, amount: int) -> None:
        self.core.deposit(asset, D(amount) / 10**8)
        self.flows[asset] += D(amount) / 10**8

    def do_withdraw(self, asset: str, amount: int) -> None:
        try:
            self.core.withdraw(asset, D(amount) / 10**8)
        except VenueError:
            return
        self.flows[asset] -= D(amount) / 10**8

    def do_submit(self, kind: str, side: str, size: int, price: int, fraction: Decimal | None) -> None:
        word = "limit" if kind == "post" else kind
        order = make_order(
            f"{word} {side}",
            str(D(size) / 10**8),
            price=str(D(price) / 100) if word in ("limit", "ioc") else None,
            stop=str(D(price) / 100) if word == "stop" else None,
            post_only=kind == "post",
            client_id=f"o{len(self.orders)}",
        )
        self.orders.append(order)
        self.core.next_fill_fraction = fraction
        self.core.submit(order, later(self.steps))

    def do_cancel(self, place: int) -> None:
        if self.orders:
            self.core.cancel(self.orders[place % len(self.orders)])

    def do_repeat(self, place: int) -> None:
        if self.orders:
            order = self.orders[place % len(self.orders)]
            known, fills = self.core.find_order(order.client_order_id), self.core.fills_made
            outcome = self.core.submit(order, later(self.steps))
            if known is not None:
                assert outcome == Accepted(venue_order_id=known.venue_order_id)
                assert self.core.fills_made == fills
                assert self.core.find_order(order.client_order_id) == known

    def do_open(self, price: int, fraction: Decimal | None) -> None:
        self.core.next_fill_fraction = fraction
        self.core.on_open(BTC, price / 100, later(self.steps))

    def do_range(self, prices: list[int], fraction: Decimal | None) -> None:
        self.core.next_fill_fraction = fraction
        candle = Candle(0, prices[0] / 100, max(prices) / 100, min(prices) / 100, prices[3] / 100, 1.0)
        self.core.on_range(BTC, candle, later(self.steps))

    def do_quote(self, prices: list[int], fraction: Decimal | None) -> None:
        self.core.next_fill_fraction = fraction
        bid, ask = (D(price) / 100 for price in sorted(prices))
        at = later(self.steps)
        self.core.on_quote(Ticker(symbol=BTC, bid=bid, ask=ask, last=(bid + ask) / 2, at=at), at)

    def check_price(self, fill: Fill, action: tuple) -> None:  # type: ignore[type-arg]
        order = next(order for order in self.orders if order.client_order_id == fill.client_order_id)
        if order.type in (OrderType.LIMIT, OrderType.IOC):
            assert order.price is not None
            assert fill.price <= order.price if order.side is Side.BUY else fill.price >= order.price
        if order.type is OrderType.STOP and action[0] != "submit":
            assert order.stop_price is not None
            assert fill.price < order.stop_price or (action[0] == "quote" and fill.price == D(min(action[1])) / 100)
        if fill.liquidity is Liquidity.MAKER:
            assert action[0] in ("open", "range", "quote"), "a resting order is filled by a price, by nothing else"
            reached = [action[1]] if action[0] == "open" else action[1]
            if action[0] == "quote":  # somebody sells below a buyer's limit, or buys above a seller's
                reached = [max(action[1])] if fill.side is Side.BUY else [min(action[1])]
            through = min(reached) < fill.price * 100 if fill.side is Side.BUY else max(reached) > fill.price * 100
            assert through

    def resting(self) -> list[Order]:
        ids = {report.client_order_id for report in self.core.open_orders()}
        return [order for order in self.orders if order.client_order_id in ids]

    def check_books(self) -> None:
        expected = dict(self.flows)
        filled: dict[str, Decimal] = {}
        fills, _ = self.core.fills_since("")
        assert len({fill.fill_id for fill in fills}) == len(fills)
        for fill in fills:
            sign = 1 if fill.side is Side.BUY else -1
            expected["BTC"] += sign * fill.quantity
            expected["USD"] -= sign * fill.quantity * fill.price + fill.fee
            filled[fill.client_order_id] = filled.get(fill.client_order_id, D(0)) + fill.quantity
            assert fill.fee >= 0
        balances = self.core.balances()
        for asset, amount in expected.items():
            balance = balances.get(asset)
            assert (balance.total if balance else D(0)) == amount
            assert balance is None or (balance.free >= 0 and balance.used >= 0)
        if not self.core.open_orders():
            assert all(balance.used == 0 for balance in balances.values())
        assert all(order.type in (OrderType.LIMIT, OrderType.STOP) for order in self.resting())
        for order in self.orders:
            report = self.core.find_order(order.client_order_id)
            assert (report.filled_quantity if report else D(0)) == filled.get(order.client_order_id, D(0))
            if report is not None and report.state is OrderState.FILLED:
                assert report.filled_quantity == order.quantity


@settings(max_examples=200, deadline=None)
@given(actions)
def test_any_sequence_balances_to_the_last_digit(sequence: list[tuple]) -> None:  # type: ignore[type-arg]
    world = World()
    for action in sequence:
        world.do(action)


@settings(max_examples=100, deadline=None)
@given(actions)
def test_account_reloaded_before_every_step_goes_on_the_same(sequence: list[tuple]) -> None:  # type: ignore[type-arg]
    steady, reloaded = World(), World()
    for action in sequence:
        reloaded.core = MatchingCore.from_state(
            json.loads(json.dumps(reloaded.core.to_state())),
            account="coinbase",
            instruments=steady.core.instruments,
            fees=FEES,
            half_spread_frac=HALF_SPREAD,
        )
        steady.do(action)
        reloaded.do(action)
        assert reloaded.core.to_state() == steady.core.to_state()
        assert reloaded.core.fills_since("") == steady.core.fills_since("")
        assert reloaded.core.balances() == steady.core.balances()
