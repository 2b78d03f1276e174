"""Checkers of a simulation: after every step, what the exchange knows is held against what the bot believes.

Nothing here asks the guards, the sizer or the desk what they think; limits are computed afresh from the exchanges, the
settings and the prices that the bot was told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from sim_limits import Limits

from bot.domain.account import Fill
from bot.domain.orders import FINAL_STATES, Order, OrderState, Purpose, Side
from bot.engine.engine import CycleResult
from bot.engine.state import parse_time
from bot.ports import Accepted, Outcome
from bot.scaling.ladder import SCALING_TIERS
from bot.scaling.state import TierState

if TYPE_CHECKING:
    from sim_venue import SimVenue
    from sim_world import World

D = Decimal
Key = tuple[str, str]
BARE_MOST = 2
"""Cycles in which the venue answered and nothing else hindered, until a position must be protected."""
SHORT_BELIEVED_CYCLES = 6
STALE_FELT_CYCLES = 12
SENT_AGAIN_SETTLES = timedelta(seconds=90)
DOUBTFUL = (OrderState.UNKNOWN, OrderState.IN_FLIGHT)


class Violation(NamedTuple):
    """Something that must not be."""

    seed: int
    cycle: int
    rule: str
    text: str


class Checker:
    """Watches one episode."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[Violation] = []
        self.sent: Counter[str] = Counter()
        self.limits = Limits(self)
        self.halted = self.paused = False
        self.blocked_by: frozenset[str] = frozenset()
        """Findings that block entries, of the last two snapshots."""
        self.decided: dict[str, tuple[int, Decimal]] = {}
        """account|symbol: first intent number of the newest entry plan, and the most that it has wanted."""
        self.bare: Counter[Key] = Counter()
        self.lost: set[str] = set()
        """Client ids of orders whose outcome nobody has told the bot."""
        self._fills_seen = 0
        self._flows_seen = self._outs_seen = 0
        self._booked_flows: dict[str, Decimal] = {}
        self._user_cash = {name: [exchange.total("USD")] for name, exchange in world.exchanges.items()}
        """What the user has brought in all, at each moment, by account."""
        self._stale_at: dict[str, int] = {}
        self._outs: dict[Key, Decimal] = {}
        self._outs_before = D(0)
        self._short: dict[Key, tuple[Decimal, int]] = {}
        """What there is of a position of which coins are missing, and since which cycle."""
        self._booked: dict[str, set[str]] = {name: set() for name in world.exchanges}
        self._rejected: set[Key] = set()
        self._tier_text = ""

    def found(self, rule: str, text: str) -> None:
        self.violations.append(Violation(self.world.seed, self.world.cycle, rule, text))

    # -- what happens

    def clock_stepped(self) -> None:
        self.limits.taint()

    def on_command(self, command: Mapping[str, object]) -> None:
        match command["command"]:
            case "pause":
                self.paused = True
            case "halt" | "flatten":
                self.halted = True
            case "resume":
                self.halted = self.paused = False
                self.blocked_by = frozenset()
                if command.get("reset_drawdown"):
                    self.limits.reset_drawdown()

    def needs_resume(self) -> bool:
        """Whether only the user can let the bot trade again."""
        return bool(self.world.engine.state.halted_by) or bool(self.blocked_by)

    def before_step(self) -> None:
        self.world.chaos.in_step.clear()
        self._rejected.clear()
        self.limits.sized_on.clear()
        for venue in self.world.venues.values():
            venue.failures = 0

    def on_cancel(self, venue: SimVenue, venue_order_id: str) -> None:
        if venue_order_id not in venue.exchange.bot_orders:
            self.found("foreign order", f"{venue.account}: the bot cancels {venue_order_id}, which it never placed")

    def on_outcome(self, order: Order, outcome: Outcome) -> None:
        if isinstance(outcome, Accepted):
            self.lost.discard(order.client_order_id)
        elif order.side is Side.SELL:
            self._rejected.add((order.account, order.symbol))

    def on_send(self, venue: SimVenue, order: Order) -> None:
        """An order leaves the bot: what must be true at this moment."""
        self.sent[order.purpose.value] += 1
        self.limits.note_send(order)
        self.lost.add(order.client_order_id)  # until its outcome is told
        instrument = venue.exchange.instruments[order.symbol]
        if order.quantity % instrument.lot_step or order.quantity < instrument.min_amount:
            self.found("lots", f"{order.quantity} of {order.symbol}")
        journalled = self.world.ledger._rows(
            "SELECT state FROM orders WHERE client_order_id = ?", (order.client_order_id,)
        )
        if [row[0] for row in journalled] != ["in_flight"]:
            self.found("send before journal", f"{order.purpose} {order.client_order_id}: the ledger has {journalled}")
        if order.purpose is Purpose.ENTRY:
            self._on_entry(venue, order)

    def _on_entry(self, venue: SimVenue, order: Order) -> None:
        key = (order.account, order.symbol)
        for client_id, quantity in venue.exchange.may_buy(order.symbol):
            if client_id != order.client_order_id:
                self.found("two entries", f"{key}: {quantity} of {client_id} may still be bought")
        if self.halted or self.paused:
            self.found("entry in a halt", f"{key}: halted {self.halted}, paused {self.paused}")
        standing = self.blocked_by & set(self.world.engine.state.findings)  # one may have ended in this cycle
        if standing:
            self.found("entry with a finding", f"{key}: {sorted(standing)}")
        self._check_doubts(order)
        self._note_plan(order)
        self.limits.check_entry(venue, order)

    def _check_doubts(self, order: Order) -> None:
        """No entry while nobody knows what became of an order of the same coin."""
        coin = order.symbol.partition("/")[0]
        for client_id in self.lost - {order.client_order_id}:
            for exchange in self.world.exchanges.values():
                other = exchange.sent.get(client_id)
                if other is not None and other.symbol.partition("/")[0] == coin and self._state(client_id) in DOUBTFUL:
                    self.found("entry in doubt", f"{order.symbol}: {other.purpose} {client_id} is unresolved")

    def _state(self, client_id: str) -> OrderState | None:
        rows = self.world.ledger._rows("SELECT state FROM orders WHERE client_order_id = ?", (client_id,))
        return OrderState(rows[0][0]) if rows else None

    def _note_plan(self, order: Order) -> None:
        name = f"{order.account}|{order.symbol}"
        plan = self.world.engine.state.entry_plans.get(name)
        if plan is None:
            self.found("entry without a plan", f"{name}: {order.quantity}")
            return
        first, most = self.decided.get(name, (plan.first_number, D(0)))
        most = D(plan.quantity) if first != plan.first_number else max(most, D(plan.quantity))
        self.decided[name] = plan.first_number, most

    # -- after a step

    def after_step(self, result: CycleResult | None) -> None:
        """Everything that holds at any time."""
        self._check_fills()
        self._check_executions()
        self._check_flows()
        self._check_nothing_negative()
        self._check_tier_file()
        self._check_ended()
        if result is not None:
            self._check_protection()
            self._note_findings()
        self.limits.after_step(result)
        if self.world.chaos.quiet is False and self.world.cycle % 10 == 0:
            self._check_books(at_quiet=False)

    def _check_fills(self) -> None:
        """What is booked is exactly what the exchange executed, once, and the bot's own."""
        rows = self.world.ledger._rows("SELECT COUNT(*) FROM fills")
        if rows[0][0] == self._fills_seen:
            return
        fills = self.world.ledger.fills()
        for fill in fills[self._fills_seen :]:
            self._check_fill(fill)
        self._fills_seen = len(fills)

    def _check_fill(self, fill: Fill) -> None:
        exchange = self.world.exchanges[fill.account]
        true = next((f for f in exchange.bot_fills if f.fill_id == fill.fill_id), None)
        if true is None:
            self.found("booked fill", f"{fill.account} {fill.fill_id} of {fill.symbol} is no fill of the bot's")
            return
        ours = (fill.symbol, fill.side, fill.quantity, fill.price, fill.fee, fill.client_order_id)
        theirs = (true.symbol, true.side, true.quantity, true.price, true.fee, exchange.client_id(true))
        if ours != theirs:
            self.found("booked fill", f"{ours} in the ledger, {theirs} at {fill.account}")
        if fill.fill_id in self._booked[fill.account]:
            self.found("booked twice", f"{fill.account} {fill.fill_id}")
        self._booked[fill.account].add(fill.fill_id)

    def _check_executions(self) -> None:
        """One order is executed per intent, a plan never buys more than it decided, nothing of others is sold."""
        for name, exchange in self.world.exchanges.items():
            if len(exchange.bot_fills) == self.limits.fills_checked[name]:
                continue
            self.limits.fills_checked[name] = len(exchange.bot_fills)
            for client_id, placed in exchange.by_client.items():
                if sum(1 for order in placed if order.filled) > 1:
                    asked = exchange.sent[client_id]
                    self.found("executed twice", f"{name} {asked.purpose} {asked.symbol}: {client_id}")
            for symbol, net in exchange.net.items():
                if net < 0:
                    self.found("sold too much", f"{name} {symbol}: {-net} more than was bought")
                self._check_bought(name, symbol)

    def _check_bought(self, name: str, symbol: str) -> None:
        """What the orders of the newest entry plan have bought, by the exchange."""
        exchange = self.world.exchanges[name]
        first, most = self.decided.get(f"{name}|{symbol}", (0, D(0)))
        bought = D(0)
        for client_id, placed in exchange.by_client.items():
            asked = exchange.sent[client_id]
            if asked.symbol == symbol and asked.purpose is Purpose.ENTRY and asked.intent_number >= first:
                bought += sum((order.filled for order in placed), D(0))
        if first and bought > most:
            self.found("bought too much", f"{name} {symbol}: {bought} of {most} decided")

    def _check_flows(self) -> None:
        """What is booked as brought or taken by the user is what the user has brought or taken."""
        for name, exchange in self.world.exchanges.items():
            seen = self._user_cash[name]
            user_cash = exchange.total("USD") - exchange.bot_cash
            if user_cash != seen[-1]:
                seen.append(user_cash)
            if exchange.stale is not None:
                self._stale_at[name] = self.world.cycle
        query = "SELECT seq, account, amount, note FROM flows WHERE seq > ? ORDER BY seq"
        for seq, name, amount, note in self.world.ledger._rows(query, (self._flows_seen,)):
            self._flows_seen = seq
            self._booked_flows[name] = self._booked_flows.get(name, D(0)) + D(amount)
            # A venue that tells an old balance for long enough is believed, and then again.
            is_misled = self.world.cycle - self._stale_at.get(name, -STALE_FELT_CYCLES) < STALE_FELT_CYCLES
            if self._booked_flows[name] not in self._user_cash[name] and not is_misled:
                self.found(
                    "flow",
                    f"{name}: {note} of {amount}: {self._booked_flows[name]} in all, the user's were "
                    f"{[str(cash) for cash in self._user_cash[name][-4:]]}",
                )

    def _check_nothing_negative(self) -> None:
        book = self.world.engine.book
        for key, position in book.positions.items():
            if position.quantity <= 0 or position.cost < 0:
                self.found("negative", f"{key}: {position.quantity} at a cost of {position.cost}")
        for key, cash in book.cash.items():
            if cash < 0 and not self._is_disturbed(key[0]):
                self.found("negative", f"{key}: cash {cash}")

    def _check_tier_file(self) -> None:
        """The file is whole and agrees with itself."""
        path = self.world.folder / "state.json"
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        if text == self._tier_text:
            return
        self._tier_text = text
        try:
            state = TierState.from_json(json.loads(text))
        except ValueError as e:
            self.found("tier file", f"{e}: {text[:200]}")
            return
        history = state.upgrade_history
        names = [tier.name for tier in SCALING_TIERS]
        if state.current_tier is not None and state.current_tier not in names:
            self.found("tier file", f"no tier {state.current_tier}")
        if history and history[-1].to_tier != state.current_tier:
            self.found("tier file", f"{state.current_tier}, but the last change led to {history[-1].to_tier}")
        for before, after in pairwise(history):
            if before.to_tier != after.from_tier:
                self.found("tier file", f"from {after.from_tier}, but the change before led to {before.to_tier}")

    def _check_ended(self) -> None:
        """An order that the ledger calls ended may not rest or be under way, whatever the looks have missed."""
        for name, exchange in self.world.exchanges.items():
            alive = [o.asked.client_id for o in exchange.core.live_orders() if o.order_id in exchange.bot_orders]
            alive += [late.order.client_order_id for late in exchange.late if not late.cancels]
            for client_id in alive:
                state = self._state(client_id)
                if state in FINAL_STATES:
                    asked = exchange.sent[client_id]
                    self.found("taken for ended", f"{name} {asked.purpose} {asked.symbol} {client_id}: {state}")
        for client_id in list(self.lost):
            if self._state(client_id) in FINAL_STATES:
                self.lost.discard(client_id)

    # -- protection

    def _check_protection(self) -> None:
        """Every position has one live sell of its full size at the exchange, or the bot says that it watches it."""
        engine = self.world.engine
        for name, exchange in self.world.exchanges.items():
            disturbed = self._is_disturbed(name) or not engine.accounts[name].fresh
            sells: dict[str, list[Any]] = {}
            for order in exchange.core.live_orders():
                if order.asked.side is Side.SELL and order.order_id in exchange.bot_orders:
                    sells.setdefault(order.asked.symbol, []).append(order)
            for symbol, net in exchange.net.items():
                key = (name, symbol)
                resting = sells.get(symbol, [])
                if sum((order.remaining for order in resting), D(0)) > net:
                    self.found("sells too much", f"{key}: {[o.remaining for o in resting]} rest, {net} are the bot's")
                if net <= 0 or disturbed or key in self._rejected or self._is_settled(key, resting):
                    if not disturbed:
                        del self.bare[key]
                    continue
                self.bare[key] += 1
                if self.bare[key] > BARE_MOST:
                    said = [p for p in self._snapshot()["positions"] if (p["account"], p["symbol"]) == key]
                    self.found("unprotected", f"{key} {net}: resting {resting}; the bot says {said}")

    def _is_settled(self, key: Key, resting: list[Any]) -> bool:
        """Whether a position is as it should be, or something is under way that the next cycle looks at."""
        engine, exchange = self.world.engine, self.world.exchanges[key[0]]
        held = self._there(key, self.owned(key))
        if self._is_newly_short(key):
            return True
        if len(resting) == 1 and resting[0].remaining == held:
            return True  # its stop, or the sale of all of it
        missed = engine.state.missing_since
        if any(
            o.state in (*DOUBTFUL, OrderState.CANCEL_IN_FLIGHT) or o.client_order_id in missed
            for o in engine.desk.live(*key)
        ):
            return True  # nobody knows; what it leads to is looked at when it is resolved
        instrument, bid = exchange.instruments[key[1]], exchange.price(key[1])[0]
        plan = engine.state.stops.get(f"{key[0]}|{key[1]}")
        stop = D(plan.stop_price) if plan is not None else bid
        if held < instrument.minimum_quantity_at(min(bid, stop)) * D("1.05"):
            return True  # too small for any order; at the edge the price of the moment decides
        if not exchange.rests or f"{key[0]}|{key[1]}" in engine.state.stop_refused:
            views = [p for p in self._snapshot()["positions"] if (p["account"], p["symbol"]) == key]
            return len(views) == 1 and views[0]["stop_watched"] and D(repr(views[0]["stop_price"] or 0.0)) < bid
        if exchange.cancel_only_until.get(key[1], self.world.true) > self.world.true:
            return True  # the venue takes no order there
        sale = engine.state.exits.get(f"{key[0]}|{key[1]}")
        if sale is not None and resting and sum((order.remaining for order in resting), D(0)) >= D(sale.keep):
            return True  # a part is being sold, what stays has its stop
        is_entering = any(exchange.may_buy(key[1])) or f"{key[0]}|{key[1]}" in engine.state.entry_plans
        # While an entry is under way the stop follows each fill: what was there before is protected.
        return is_entering and len(resting) == 1

    def _there(self, key: Key, ours: Decimal) -> Decimal:
        """What the books hold of a coin and is there; the rest has been moved or sold by hand, or is held to be."""
        total = self.world.exchanges[key[0]].within_reach(key[1])
        if total >= ours:
            self._short.pop(key, None)
            return ours
        if key not in self._short or self._short[key][0] != total:
            self._short[key] = total, self.world.cycle
        instrument = self.world.exchanges[key[0]].instruments[key[1]]
        return instrument.quantity_of(instrument.lots_in(total))

    def _is_newly_short(self, key: Key) -> bool:
        """Missing coins are believed at the second look only."""
        return key in self._short and self.world.cycle - self._short[key][1] < SHORT_BELIEVED_CYCLES

    def _snapshot(self) -> Any:
        now = self.world.now()
        return self.world.engine.snapshot(now, now)

    def _is_disturbed(self, name: str) -> bool:
        """Whether something went wrong at a venue in this step, or it hides something."""
        world = self.world
        if world.venues[name].failures or world.exchanges[name].hides():
            return True
        if world.exchanges[name].locked_until > world.true:
            return True
        return bool(world.chaos.in_step)

    def _note_findings(self) -> None:
        self.blocked_by = frozenset(self.world.engine.state.findings)

    # -- the books

    def coins_out(self, key: Key) -> Decimal:
        """What the ledger says has left a position without an order of the bot."""
        if self.world.user.by_hand:
            query = "SELECT seq, account, symbol, quantity FROM coins_out WHERE seq > ? ORDER BY seq"
            for seq, account, symbol, quantity in self.world.ledger._rows(query, (self._outs_seen,)):
                self._outs_seen = seq
                self._outs[account, symbol] = self._outs.get((account, symbol), D(0)) + D(quantity)
        return self._outs.get(key, D(0))

    def owned(self, key: Key) -> Decimal:
        """What of the bot's own fills is left and counts: neither written off nor gone by hand."""
        book = self.world.engine.book
        dust = book.dust[key].quantity if key in book.dust else D(0)
        return self.world.exchanges[key[0]].net[key[1]] - dust - self.coins_out(key)

    def is_short(self) -> bool:
        """Whether coins of the bot's are missing, or have just been booked out."""
        outs = sum(self._outs.values(), D(0))
        changed, self._outs_before = outs != self._outs_before, outs
        return changed or any(
            self.owned((name, symbol)) > exchange.within_reach(symbol)
            for name, exchange in self.world.exchanges.items()
            for symbol in exchange.net
        )

    def at_quiet_point(self) -> None:
        """Nothing has gone wrong for minutes: now everything must agree."""
        if not self._check_books(at_quiet=True):
            return
        self._check_orders()

    def _check_books(self, *, at_quiet: bool) -> bool:
        """Cash, coins and fees to the last digit; between the quiet points where nothing is hidden or in doubt."""
        engine = self.world.engine
        book = engine.book
        before = len(self.violations)
        for name, exchange in self.world.exchanges.items():
            if self._waits_rightly(name) or (not at_quiet and self._in_doubt(name)):
                continue
            fills = {fill.fill_id for fill in exchange.bot_fills}
            if fills != self._booked[name]:
                self.found("books", f"{name}: fills {fills ^ self._booked[name]} are not in both")
            cash, total = book.cash.get((name, "USD"), D(0)), exchange.total("USD")
            if cash != total:
                self.found("books", f"{name}: cash {cash}, at the venue {total}")
            fees = book.quote[name, "USD"].fees if (name, "USD") in book.quote else D(0)
            if fees != exchange.bot_fees:
                self.found("books", f"{name}: fees {fees}, at the venue {exchange.bot_fees}")
            for symbol, net in exchange.net.items():
                key = (name, symbol)
                ours = book.positions[key].quantity if key in book.positions else D(0)
                if at_quiet and ours > exchange.total(symbol.partition("/")[0]) and not engine.state.findings:
                    self.found("coins missing", f"{key}: {ours} in the books are not there, and no finding says so")
                if ours != self.owned(key):
                    self.found("books", f"{key}: {ours} in the books, {self.owned(key)} of {net} bought by the fills")
        return len(self.violations) == before

    def _waits_rightly(self, name: str) -> bool:
        """Whether the user has moved coins and cash as an order of unknown outcome would have: for an hour it waits.

        Then it is sent once more, and where the venue rejects that two looks have to miss it again.
        """
        engine, now = self.world.engine, self.world.now()
        account, desk = engine.accounts[name], engine.desk
        for order in desk.live(name):
            sent_again = parse_time(engine.state.sent_again.get(order.client_order_id, ""))
            since = now if sent_again is not None and now - sent_again < SENT_AGAIN_SETTLES else order.created_at
            if order.state is OrderState.UNKNOWN and desk.balance_tells(account, replace(order, created_at=since), now):
                return True
        return False

    def _in_doubt(self, name: str) -> bool:
        world = self.world
        if self._is_disturbed(name) or not world.engine.accounts[name].fresh or self.lost:
            return True
        exchange = world.exchanges[name]
        if not self.knows_cash(name) or len(exchange.bot_fills) != len(self._booked[name]):
            return True
        return any(order.state in DOUBTFUL for order in world.engine.desk.live(name))

    def knows_cash(self, name: str) -> bool:
        """Whether the bot has booked all that the user has brought and taken; no bot can know of it at once."""
        exchange = self.world.exchanges[name]
        return self._booked_flows.get(name) == exchange.total("USD") - exchange.bot_cash

    def _check_orders(self) -> None:
        """No orphan: what is live at the exchange is live in the ledger, and the other way round."""
        for name, exchange in self.world.exchanges.items():
            if self._waits_rightly(name):
                continue
            there = {
                order.asked.client_id: order.filled
                for order in exchange.core.live_orders()
                if order.order_id in exchange.bot_orders
            }
            ours = {order.client_order_id: order for order in self.world.ledger.live_orders() if order.account == name}
            filled = {client_id: order.filled_quantity for client_id, order in ours.items()}
            if filled != there:
                self.found("orphans", f"{name}: live in the ledger {filled}, at the venue {there}")
            doubtful = [order for order in ours.values() if order.state in (*DOUBTFUL, OrderState.CANCEL_IN_FLIGHT)]
            if doubtful:
                self.found("unresolved", f"{name}: {doubtful}")
