"""Checkers beside a storm: what the limits allow, computed afresh from the venues, the settings and the prices.

Nothing here asks the guards or the sizer. Balances, resting orders, fills and prices are read from the
venues' cores; only of a venue that does not answer the bot's own books are all that can be known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from engine_rig import PEGGED, Rig
from storm_venue import StormVenue, Violation

from bot.domain.market import coin_symbol
from bot.domain.modes import ExitRule, Strategy
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side
from bot.scaling.ladder import SCALING_TIERS

D = Decimal
Key = tuple[str, str]
NEAR = 1e-6
"""Floats may differ by so much, relative to equity."""
GAPS = {"BTC/USD": 0.02, "ETH/USD": 0.02, "SOL/USD": 0.04}
CORRELATION = 0.8
SLIPPAGE = 0.001
VOLATILITY_CEILING = 0.25
PATIENCE = timedelta(minutes=20)
ORDERS_MOST = 4
"""Post-only orders of one decision: the first, and three that follow the bid."""
LOWEST_SALE = D("0.9")
"""Of the bid."""
PEG = (D("0.995"), D("1.005"))


@dataclass(slots=True)
class Life:
    """What one decision has sent on one account."""

    began: datetime
    quantity: Decimal
    orders: list[str] = field(default_factory=list)
    crossed: bool = False


class Track:
    """The unitised performance, by chaining: index times equity over the equity before, flows taken out."""

    def __init__(self) -> None:
        self.index = 1.0
        self.peak = 1.0
        self.equity = 0.0
        self.days: list[tuple[datetime, float]] = []
        """Last remembered index of each UTC day."""
        self.hours: list[tuple[datetime, float]] = []

    def at(self, equity: float, flow: float) -> float:
        return self.index * (equity - flow) / self.equity if self.equity > 0 else self.index

    def remember(self, now: datetime, index: float) -> None:
        self.peak = max(self.peak, index)
        if self.days and self.days[-1][0].date() == now.date():
            self.days[-1] = (now, index)
        else:
            self.days.append((now, index))
        hour = now.replace(minute=0)
        if not self.hours or self.hours[-1][0].replace(minute=0) != hour:
            self.hours = [*self.hours, (now, index)][-48:]

    def day_loss(self, now: datetime, index: float) -> float:
        before = [value for at, value in self.days if at.date() < now.date()]
        start = before[-1] if before else 1.0
        old = [value for at, value in self.hours if at <= now - timedelta(hours=24)]
        rolling = old[-1] if old else (self.hours[0][1] if self.hours else index)
        return max(0.0, 1 - index / start, 1 - index / rolling)

    def drawdown(self, index: float) -> float:
        return max(0.0, 1 - index / max(self.peak, index))


class Checker:
    """Watches one episode. ``violations`` is what it found."""

    def __init__(self, rig: Rig, where: str) -> None:
        self.rig = rig
        self.where = where
        self.venues: dict[str, StormVenue] = {}
        for name, venue in rig.venues.items():
            assert isinstance(venue, StormVenue)
            venue.checker = self
            self.venues[name] = venue
        self.violations: list[Violation] = []
        self.cycles = self.entries = self.stops = self.exits = 0
        self.quote: dict[str, str] = {}
        """In which kind of dollars each account trades."""
        for name, venue in self.venues.items():
            (self.quote[name],) = {i.quote for s, i in venue.core.instruments.items() if s not in venue.hidden_markets}
        self.at_first = 0.0
        self.lives: dict[Key, Life] = {}
        self.parts: set[Key] = set()
        """Positions of which a part is sold in this cycle, whose stop was made smaller for it."""
        self.flows: dict[str, Decimal] = dict.fromkeys(self.venues, D(0))
        for name in self.venues:
            self.flows[name] = self._cash(name)
        self.known_flows = D(0)
        self.track = Track()
        self.equity = 0.0
        """As it counted when the limits were read last."""
        self.day_loss = self.drawdown = 0.0
        self.answered: set[str] = set()
        self.late_flow = False
        self.activated = False
        self.halted = self.paused = self.flattened = self.dd_halt = False
        self.loss_day = ""
        self.streak_until = self.streak_from = datetime.min.replace(tzinfo=rig.now.tzinfo)
        self.transfer_until = self.streak_until
        self.transfer_usd = 0.0
        self.failed = self.good = 0
        self.shut_off = False
        self.tier: str | None = None
        self.bare: dict[Key, int] = {}
        self.stop_at: dict[Key, Decimal] = {}
        self.stopped: set[Key] = set()
        """Positions whose price has been at their stop: they are sold, in a halt too."""
        self.selling = 0
        self.wrap()

    def found(self, rule: str, text: str) -> None:
        self.violations.append(Violation(rule, self.rig.now, self.where, text))

    def wrap(self) -> None:
        """Be called at the moment at which the engine reads its limits; again after each restart."""
        for venue in self.venues.values():
            venue.told_bids = {}
        guards = self.rig.engine.guards
        evaluate = guards.evaluate

        def first_here(facts: Any) -> None:
            self.at_guard()
            evaluate(facts)

        guards.evaluate = first_here  # type: ignore[method-assign]

    # -- what the user does

    def flow(self, name: str, amount: Decimal) -> None:
        core = self.venues[name].core
        if amount > 0:
            core.deposit(self.quote[name], amount)
        else:
            core.withdraw(self.quote[name], -amount)
        self.flows[name] += amount

    def free(self, name: str) -> Decimal:
        balance = self.venues[name].core.balances().get(self.quote[name])
        return balance.free if balance is not None else D(0)

    def command(self, command: str, *, reset_drawdown: bool = False) -> None:
        self.rig.control.put(command, reset_drawdown=reset_drawdown)
        if command == "resume":
            self.paused = self.flattened = self.halted = self.shut_off = False
            self.failed = self.good = self.selling = 0
            if reset_drawdown:
                self.dd_halt = False
                self.track.peak = self.track.days[-1][1] if self.track.days else 1.0
        elif command == "pause":
            self.paused = True
        else:
            self.halted = True
            self.flattened = self.flattened or command == "flatten"

    # -- what is there

    def market(self, name: str, symbol: str) -> str:
        """The market of a coin on an account."""
        return f"{symbol.partition('/')[0]}/{self.quote[name]}"

    def dollar(self, name: str) -> Decimal:
        """What a dollar of this account is worth: of USDC the lowest bid that the bot has been told."""
        told = [venue.told_bids[PEGGED] for venue in self.venues.values() if PEGGED in venue.told_bids]
        return min(told, default=D(1)) if self.quote[name] == "USDC" else D(1)

    def _cash(self, name: str) -> Decimal:
        balance = self.venues[name].core.balances().get(self.quote[name])
        return balance.total if balance is not None else D(0)

    def _unknown_flow(self, name: str) -> Decimal:
        """What came or went and the bot has not recognised yet."""
        quote = self.rig.engine.book.quote.get((name, self.quote[name]))
        return self.flows[name] - (quote.flows if quote is not None else D(0))

    def cash(self, name: str) -> Decimal:
        if self.venues[name].silent:
            return self.rig.engine.book.cash.get((name, self.quote[name]), D(0))
        return self._cash(name)

    def held(self) -> dict[Key, Decimal]:
        """Coins that the bot bought and still holds; what it has written off as dust is not among them."""
        book = self.rig.engine.book
        found: dict[Key, Decimal] = {}
        for name, venue in self.venues.items():
            if venue.silent:
                found |= {key: p.quantity for key, p in book.positions.items() if key[0] == name}
                continue
            for asset, balance in venue.core.balances().items():
                key = (name, f"{asset}/{self.quote[name]}")
                dust = book.dust[key].quantity if key in book.dust else D(0)
                if asset not in ("USD", "USDC") and balance.total > dust:
                    found[key] = balance.total - dust
        return found

    def bid(self, key: Key) -> Decimal:
        """The venue's bid; of a silent one the lower of its last one and the others'."""
        venue = self.venues[key[0]]
        if not venue.silent:
            return self._core_bid(key)
        told = [v.told_bids[key[1]] for v in self.venues.values() if key[1] in v.told_bids]
        return min(told, default=self._core_bid(key))

    def _core_bid(self, key: Key) -> Decimal:
        ticker = self.venues[key[0]].core.ticker(key[1])
        assert ticker is not None
        return ticker.bid

    def priced(self) -> bool:
        """Whether the bot has been told a price of everything it holds since it was started."""
        return all(any(key[1] in venue.told_bids for venue in self.venues.values()) for key in self.held())

    def buys(self) -> list[tuple[Key, Decimal, Decimal]]:
        """(key, quantity, price) of entries that rest or may rest."""
        found = []
        for name, venue in self.venues.items():
            if venue.silent:
                live = self.rig.engine.desk.live(name, purpose=Purpose.ENTRY)
                found += [((name, o.symbol), o.remaining, o.price or D(0)) for o in live]
                continue
            for order in venue.core._working.values():
                if order.side is Side.BUY:
                    found.append(((name, order.symbol), order.remaining, order.price or D(0)))
        return found

    def resting_stops(self, key: Key) -> list[Any]:
        working = self.venues[key[0]].core._working.values()
        return [order for order in working if order.symbol == key[1] and order.side is Side.SELL]

    def fees_of(self, name: str) -> tuple[float, float]:
        told = self.venues[name].told_fees
        return float(told.maker_frac), float(told.taker_frac)

    def fee_in(self, order: Order) -> float:
        """What the entry pays: it makes, or it crosses."""
        maker, taker = self.fees_of(order.account)
        return taker if order.type is OrderType.IOC else maker

    def sellable(self, key: Key, quantity: Decimal, price: Decimal) -> bool:
        return quantity >= self.venues[key[0]].core.instruments[key[1]].minimum_quantity_at(price)

    # -- the moment at which limits are read

    def at_guard(self) -> None:
        rig, now = self.rig, self.rig.now
        known = sum((q.flows for q in rig.engine.book.quote.values()), D(0))
        flow, self.known_flows = float(known - self.known_flows), known
        if not rig.engine.book.quote or not self.priced():
            self.late_flow = self.late_flow or flow != 0
            return  # no limit is read on a total that nobody can know
        self.answered |= {name for name, venue in self.venues.items() if not venue.silent}
        if any(self.dollar(name) != 1 for name in self.venues):
            self.late_flow = self.late_flow or flow != 0  # how much of it counts depends on the moment
        before, cash = self.equity, D(0)
        for name, venue in self.venues.items():
            cash += (self.cash(name) - (D(0) if venue.silent else self._unknown_flow(name))) * self.dollar(name)
        self.equity = float(cash + self._worth(self.held()))
        fresh = not any(venue.silent for venue in self.venues.values())
        self._see_transfer(flow, before)
        pending = now < self.transfer_until
        index = self.track.at(self.equity, flow)
        if not fresh:
            self.late_flow = self.late_flow or flow != 0
            index = self._their_index() if self.late_flow else index
        else:
            engine = self._their_index()
            if self.late_flow or self.equity < 1 or before < 1:
                index = engine  # flows between unseen prices: no chain leads over them
            elif abs(index / engine - 1) > NEAR:
                self.found("index", f"{engine} by the bot, {index} by the venues")
            self.late_flow = False
            self.track.index, self.track.equity = index, self.equity
            if not pending:
                self.track.remember(now, index)
        if not pending:
            self.day_loss, self.drawdown = self.track.day_loss(now, index), self.track.drawdown(index)
            self._latch(now)
        if fresh and not pending:
            self._rank()

    def _worth(self, held: dict[Key, Decimal]) -> Decimal:
        return sum((q * self.bid(key) * self.dollar(key[0]) for key, q in held.items()), D(0))

    def _their_index(self) -> float:
        theirs = self.rig.engine.performance
        return self.equity / float(theirs.units) if theirs.units > 0 else float(theirs.index)

    def _see_transfer(self, flow: float, before: float) -> None:
        """A large outflow keeps everything waiting for a day; the opening balance is none."""
        if flow < 0 and -flow >= 0.0501 * before:
            self.transfer_until, self.transfer_usd = self.rig.now + timedelta(hours=24), -flow
        elif flow > 0 and abs(flow - self.transfer_usd) <= 0.0201 * self.transfer_usd:
            self.transfer_until, self.transfer_usd = self.streak_from, 0.0
        theirs = self._their_transfer()
        self.transfer_until = min(self.transfer_until, theirs or self.transfer_until)

    def _their_transfer(self) -> datetime | None:
        """Flows of one cycle on two venues are one sum here: then what the bot says is believed if it is later."""
        text = self.rig.engine.state.transfer_pending_until
        theirs = datetime.fromisoformat(text) if text else None
        if theirs is not None and theirs > self.transfer_until:
            self.transfer_until = theirs
        return theirs

    def _latch(self, now: datetime) -> None:
        config = self.rig.config
        self.activated = self.activated or self.equity >= config.min_equity_usd
        if self.day_loss >= config.daily_loss_frac + NEAR:
            self.loss_day = now.date().isoformat()
        if self.drawdown >= config.drawdown_frac + NEAR and not self.halted:
            self.dd_halt = True
        losses = 0
        for trade in reversed(self.rig.engine.book.trades):
            if trade.closed_at >= self.streak_from and trade.sold_quantity:  # a crumb that was written off is no result
                if trade.net_pnl >= 0:
                    break
                risk = trade.initial_risk_usd
                losses += risk is None or float(trade.net_pnl) <= -0.25 * float(risk)
        if losses >= config.max_losses:
            self.streak_until = now + timedelta(hours=24)
            self.streak_from = now + timedelta(microseconds=1)

    def _rank(self) -> None:
        reached = [tier for tier in SCALING_TIERS if tier.min_equity <= self.equity]
        rungs = [tier.name for tier in SCALING_TIERS]
        if self.tier is None:
            self.tier = reached[-1].name if reached else None
            return
        there = SCALING_TIERS[rungs.index(self.tier)]
        now_in = reached[-1] if reached else SCALING_TIERS[0]
        if now_in.min_equity > there.min_equity or self.equity < 0.95 * there.min_equity:
            self.tier = now_in.name

    def ranked(self) -> Any:
        """The tier; none is changed on a total that is stale, so when a venue falls silent midway the old one stays."""
        name = self.tier
        if any(venue.failures for venue in self.venues.values()):
            theirs = self.rig.engine._tiers.current
            name = theirs.name if theirs is not None else None
        return next((tier for tier in SCALING_TIERS if tier.name == name), None)

    # -- one order, at the moment at which it is sent

    def on_order(self, order: Order) -> None:
        instrument = self.venues[order.account].core.instruments[order.symbol]
        if order.quantity % instrument.lot_step or order.quantity < instrument.min_amount:
            self.found("lots", f"{order.quantity} of {order.symbol}")
        if order.purpose is Purpose.ENTRY:
            self.entries += 1
            self._check_entry(order)
        elif order.purpose is Purpose.STOP:
            self.stops += 1
            self._check_stop(order)
        else:
            self.exits += 1
            self._check_exit(order)

    def _check_stop(self, order: Order) -> None:
        key, stop = (order.account, order.symbol), order.stop_price
        assert stop is not None
        held = self.held().get(key, D(0))
        if not self.venues[key[0]].rests:
            self.found("stop that cannot rest", f"{key}")
        if order.quantity != held:
            # Smaller only for the rest, while a part is being sold.
            plan = self.rig.engine.state.exits.get(f"{key[0]}|{key[1]}")
            step = self.venues[key[0]].core.instruments[key[1]].lot_step
            if plan is None or order.quantity != held - (held - D(plan.keep)) // step * step:
                self.found("stop size", f"{order.quantity} of {held} {key}")
            self.parts.add(key)
        if order.type is not OrderType.STOP or stop >= self.bid(key):
            self.found("stop price", f"{stop} with a bid of {self.bid(key)}")
        if stop < self.stop_at.get(key, D(0)):
            self.found("stop lowered", f"{key} from {self.stop_at[key]} to {stop}")
        self.stop_at[key] = stop

    def _check_exit(self, order: Order) -> None:
        key, venue = (order.account, order.symbol), self.venues[order.account]
        plan = self.rig.engine.state.stops.get(f"{key[0]}|{key[1]}")  # an entry may fill below its stop
        stop, bid = max(self.stop_at.get(key, D(0)), D(plan.stop_price) if plan else D(0)), self.bid(key)
        if bid <= stop:
            self.stopped.add(key)
        stopped = key in self.stopped
        flattens = self.flattened or (self.dd_halt and self.rig.config.halt_flattens)
        if (self.halted or self.dd_halt) and not flattens and not stopped:
            self.found("sold in a halt", f"{key} {order.quantity}: {order.reason}")
        instrument = venue.core.instruments[key[1]]
        if order.type is not OrderType.IOC or order.price is None:
            self.found("sale without a bound", f"{key}: {order.type}")
        elif not instrument.price_down(bid * LOWEST_SALE) <= order.price <= bid:
            self.found("slippage", f"{key}: down to {order.price} with a bid of {bid}")
        rest = self.held().get(key, D(0)) - order.quantity
        well = not venue.rejected and not venue.failures  # else it was tried, and what is left is tried again
        if rest > 0 and well and venue.rests and stop < bid and self.sellable(key, rest, stop):
            resting = [resting.remaining for resting in self.resting_stops(key)]
            if resting != [rest]:
                self.found("part before its stop", f"{key}: {rest} stays, stops of {resting}")

    def _check_entry(self, order: Order) -> None:
        for rule, broken in self._blocks():
            if broken:
                self.found(rule, f"{order.account} {order.symbol} {order.quantity} at {order.price}")
        self._check_life(order)
        self._check_venue(order)
        self._check_amounts(order)
        self._check_risk(order)

    def _check_life(self, order: Order) -> None:
        """How old an entry is, how often it was sent, whether it may cross, and that it never buys twice."""
        key, now = (order.account, order.symbol), self.rig.now
        decided = self.rig.engine.decider.last.get(coin_symbol(order.symbol))
        life = self.lives.get(key)
        if decided is not None and decided.at == now and decided.action in ("enter", "add"):
            life = Life(now, order.quantity) if life is None or life.began != now else life
            self.lives[key] = life
        if life is None:
            self.found("undecided", f"{key} {order.quantity}")
            return
        earlier = [sent for name in life.orders if (sent := self.rig.ledger.order(name)) is not None]
        bought = sum((sent.filled_quantity for sent in earlier), D(0))
        instrument, price = self.venues[key[0]].core.instruments[key[1]], order.price or D(0)
        smallest = D(repr(self.rig.config.min_trade_usd)) + instrument.lot_step * price
        if order.quantity * price <= smallest:  # at a lower price the smallest trade is a few lots more
            life.quantity = max(life.quantity, bought + order.quantity)
        if bought + order.quantity > life.quantity:
            self.found("bought twice", f"{key}: {order.quantity} more of {life.quantity}")
        if any(sent.is_live for sent in earlier):
            self.found("two entries at a time", f"{key}")
        age, ticker = now - life.began, self.venues[order.account].core.ticker(order.symbol)
        assert ticker is not None
        if order.type is OrderType.IOC:
            may = order.account in self.rig.config.crossing_accounts
            if not may or age < PATIENCE or life.crossed or order.price != ticker.ask:
                self.found("crossing", f"{key} after {age} at {order.price}, ask {ticker.ask}")
            life.crossed = True
        else:
            if order.side is not Side.BUY or order.type is not OrderType.LIMIT or not order.post_only:
                self.found("post-only", f"{order.type} {order.side}")
            if len(earlier) >= ORDERS_MOST or (earlier and age >= PATIENCE) or order.price != ticker.bid:
                self.found("repriced", f"{key}: number {len(earlier) + 1} after {age} at {order.price} of {ticker.bid}")
        life.orders.append(order.client_order_id)

    def _blocks(self) -> list[tuple[str, bool]]:
        """What allows no entry at all."""
        config, now = self.rig.config, self.rig.now
        floor = config.min_equity_usd * (1 - config.drawdown_frac if self.activated else 1)
        return [
            ("user halt", self.halted),
            ("user pause", self.paused),
            ("drawdown halt", self.dd_halt),
            ("follows a master", config.follows_master),
            ("daily loss", self.loss_day == now.date().isoformat()),
            ("loss streak", now < self.streak_until),
            ("transfer pending", now < self.transfer_until),
            ("error shut-off", self.shut_off and config.shuts_off_on_errors),
            ("activation", self.equity < floor * (1 - NEAR)),
            ("a venue was never asked", self.answered != set(self.venues)),
        ]

    def _check_venue(self, order: Order) -> None:
        config, venue = self.rig.config, self.venues[order.account]
        key = (order.account, order.symbol)
        ticker = venue.core.ticker(order.symbol)
        assert ticker is not None
        if venue.silent:
            self.found("unknown venue", f"{key}: {venue.failures}")
        age = (self.rig.now - ticker.at).total_seconds()
        if age > config.stale_after_s:
            self.found("stale data", f"{key}: {age} s")
        middle = (ticker.bid + ticker.ask) / 2
        if (ticker.ask - ticker.bid) / middle > D(repr(config.max_spread_frac)) + D("1e-9"):
            self.found("spread", f"{key}: {ticker.bid} {ticker.ask}")
        if self.quote[order.account] == "USDC" and not PEG[0] <= self.dollar(order.account) <= PEG[1]:
            self.found("off peg", f"{key}: {self.dollar(order.account)}")
        for name, other in self.venues.items():
            quote = other.core.ticker(self.market(name, order.symbol))
            if other is venue or other.silent or quote is None:
                continue
            theirs = (quote.bid + quote.ask) / 2
            if (self.rig.now - quote.at).total_seconds() <= config.stale_after_s:
                apart = abs(middle - theirs) / min(middle, theirs)
                if apart > D(repr(config.max_disagreement_frac)) + D("1e-9"):
                    self.found("price sanity", f"{key}: {middle} and {theirs}")
        coins = sum((q * self.bid(k) for k, q in self.held().items() if k[0] == order.account), D(0))
        worth = float(self.cash(order.account) + coins)
        if worth < config.venue_minimum_usd[order.account] * (1 - NEAR):
            self.found("venue minimum", f"{order.account} is worth {worth}")

    def _check_amounts(self, order: Order) -> None:
        config, price = self.rig.config, order.price
        assert price is not None
        key, instrument = (order.account, order.symbol), self.venues[order.account].core.instruments[order.symbol]
        held, buys = self.held(), [*self.buys(), ((order.account, order.symbol), order.quantity, price)]
        equity = self.sized_on(held)
        cost = order.quantity * price
        if cost < D(repr(config.min_trade_usd)) * D("0.999999") or cost < instrument.min_cost:
            self.found("minimum trade", f"{key}: ${cost}")

        fees = [self.fees_of(k[0])[0] for k, _, _ in buys[:-1]] + [self.fee_in(order)]
        paid = sum(float(q * p) * (1 + fee) for (_, q, p), fee in zip(buys, fees, strict=True))
        cash = float(sum((self.cash(name) for name in self.venues), D(0)))
        if cash - paid < config.cash_buffer_frac * equity - NEAR * equity:
            self.found("cash buffer", f"{cash} less {paid} of {equity}")

        there = self._there(order, held, buys)
        allowed = config.position_cap_frac * equity
        if config.floor_allowed and there <= float(cost) * (1 + NEAR):
            allowed = max(allowed, config.min_trade_usd + float(instrument.lot_step * price))
        if there > allowed + NEAR * equity:
            self.found("position cap", f"{order.symbol}: {there} of {allowed}, equity {equity}")

        # After a downgrade more may be held than the tier allows; what is held may still grow.
        places = {k for k, q in held.items() if self.sellable(k, q, self.bid(k))} | {k for k, _, _ in buys[:-1]}
        is_new, places = key not in places, places | {key}
        tier = self.ranked()
        most = tier.max_positions if tier is not None else 0
        most = min(most, most if config.max_positions_ceiling is None else config.max_positions_ceiling)
        if is_new and len(places) > most:
            self.found("positions", f"{sorted(places)} of {most}")

    def _there(self, order: Order, held: dict[Key, Decimal], buys: list[tuple[Key, Decimal, Decimal]]) -> float:
        """USD of the order's coin on all accounts, the order included."""
        coin = coin_symbol(order.symbol)
        markets = [(name, self.market(name, coin)) for name in self.venues]
        # Venues may disagree a little about what is held already: the lower price counts.
        lowest = min(float(self.bid(key)) for key in markets if key[1] in self._shown(key[0]))
        of_coin = {k: q for k, q in held.items() if coin_symbol(k[1]) == coin}
        there = sum(float(q) * lowest for k, q in of_coin.items() if self.sellable(k, q, self.bid(k)))
        return there + sum(float(q * p) for k, q, p in buys if coin_symbol(k[1]) == coin)

    def _shown(self, name: str) -> dict[str, Decimal]:
        return self.venues[name].told_bids

    def true_equity(self, held: dict[Key, Decimal]) -> float:
        """What there is, flows that the bot has not recognised yet included."""
        cash = sum((self.cash(name) * self.dollar(name) for name in self.venues), D(0))
        return float(cash + self._worth(held))

    def sized_on(self, held: dict[Key, Decimal]) -> float:
        """The equity before the first entry of the cycle, as long as there is more of it than is left."""
        self.at_first = max(self.at_first, self.true_equity(held))
        return self.at_first

    # -- risk

    def bars(self, symbol: str) -> tuple[float, float]:
        """Wilder's ATR of 14 days in USD and the annual volatility, from the bars that the bot was told."""
        bars = self.rig.ledger.bars(self.rig.config.bar_source, symbol, "1d")
        atr = variance = 0.0
        for i in range(1, len(bars)):
            before, bar = bars[i - 1].close, bars[i]
            span = max(bar.high - bar.low, abs(bar.high - before), abs(bar.low - before))
            atr = (atr * (i - 1) + span) / i if i <= 14 else (atr * 13 + span) / 14
            change = (bar.close / before - 1) ** 2
            variance = change if i == 1 else 0.94 * variance + 0.06 * change
        return atr, math.sqrt(365 * variance)

    def _check_risk(self, order: Order) -> None:
        config, price = self.rig.config, order.price
        assert price is not None
        key = (order.account, order.symbol)
        fee_in, taker = self.fee_in(order), self.fees_of(order.account)[1]
        atr, _ = self.bars(coin_symbol(order.symbol))
        times = 4.0 if config.strategy is Strategy.ALLOCATION else 2.0
        stop = self.rig.engine.state.entry_stop_frac[f"{key[0]}|{key[1]}"]
        tickers = [v.core.ticker(self.market(name, order.symbol)) for name, v in self.venues.items()]
        lasts = [float(ticker.last) for ticker in tickers if ticker is not None]
        if all(abs(stop - min(0.9, times * atr / last)) > 1e-9 for last in lasts):
            self.found("stop distance", f"{key}: {stop}, {times} ATR of {atr} at {lasts}")
        if stop < 3 * ((1 + fee_in) / (1 - taker) - 1) * (1 - NEAR):
            self.found("stop within costs", f"{key}: {stop}")
        held, buys = self.held(), [*self.buys(), (key, order.quantity, price)]
        equity = self.sized_on(held)
        self._check_stakes(held, buys, equity, fee_in)

        loss = stop + fee_in + taker * (1 - stop) + SLIPPAGE
        there = self._there(order, held, buys)
        tier = self.ranked()
        most = tier.risk_per_trade if tier is not None else 0.0
        most = min(most, most if config.risk_ceiling_pct is None else config.risk_ceiling_pct) / 100
        if there * loss > most * equity + NEAR * equity:
            self.found("risk per trade", f"{key}: {there} at {loss} of {equity}, {most} allowed")
        self._check_reward(order, stop, fee_in, taker)

    def _check_stakes(
        self, held: dict[Key, Decimal], buys: list[tuple[Key, Decimal, Decimal]], equity: float, fee_in: float
    ) -> None:
        """Heat, fees of 30 days and the volatility of the book, the order included: the last, which pays ``fee_in``."""
        config, now = self.rig.config, self.rig.now
        heat = fees = 0.0
        stakes: list[tuple[str, float]] = []
        for key, quantity in held.items():
            bid, taker = float(self.bid(key)), self.fees_of(key[0])[1]
            resting = [order.stop_price for order in self.resting_stops(key) if order.stop_price is not None]
            stop = float(resting[0] if resting else self._watched(key) or self.stop_at.get(key, D(0)))
            distance, worth = max(0.0, 1 - stop / bid), float(quantity) * bid
            if not self.sellable(key, quantity, self.bid(key)):  # what no stop can protect waits to become more
                distance = min(distance, self.rig.engine.state.entry_stop_frac.get(f"{key[0]}|{key[1]}", 1.0))
            heat += worth * (distance + taker * (1 - distance) + GAPS[coin_symbol(key[1])])
            fees += worth * taker
            stakes.append((coin_symbol(key[1]), worth / equity))
        for i, (key, quantity, price) in enumerate(buys):
            maker, taker = self.fees_of(key[0])
            maker = fee_in if i == len(buys) - 1 else maker
            distance = self.rig.engine.state.entry_stop_frac[f"{key[0]}|{key[1]}"]
            worth = float(quantity * price)
            heat += worth * (distance + maker + taker * (1 - distance) + SLIPPAGE + GAPS[coin_symbol(key[1])])
            fees += worth * (maker + taker)
            stakes.append((coin_symbol(key[1]), worth / equity))
        allowed = min(config.daily_loss_frac - self.day_loss, config.drawdown_frac - self.drawdown)
        if heat > allowed * equity + 2 * NEAR * equity:
            self.found("heat", f"${heat} of ${allowed * equity}")
        first = now.date() - timedelta(days=29)
        fills = [fill for venue in self.venues.values() for fill in venue.core.fills_since("")[0]]
        fees += sum(float(fill.fee) for fill in fills if fill.at.date() >= first)
        if fees > config.fee_budget_frac * equity + NEAR * equity:
            self.found("fee budget", f"${fees} of {config.fee_budget_frac * equity}")
        volatility = {symbol: self.bars(symbol)[1] for symbol, _ in stakes}
        variance = 0.0
        for symbol, share in stakes:
            for other, theirs in stakes:
                rho = 1.0 if symbol == other else CORRELATION  # one coin on two venues is one bet
                variance += rho * share * volatility[symbol] * theirs * volatility[other]
        if math.sqrt(variance) > VOLATILITY_CEILING + NEAR:
            self.found("volatility", f"{math.sqrt(variance)}: {stakes}")

    def _watched(self, key: Key) -> Decimal:
        """Where the bot says that it sells, of an account that can hold no stop; else 0."""
        plan = self.rig.engine.state.stops.get(f"{key[0]}|{key[1]}")
        return D(0) if plan is None or self.venues[key[0]].rests else D(plan.stop_price)

    def _check_reward(self, order: Order, stop: float, fee_in: float, taker: float) -> None:
        config = self.rig.config
        if config.strategy is Strategy.BREAKOUT and config.exit_rule in (ExitRule.LADDER, ExitRule.RUNNER):
            instrument, price = self.venues[order.account].core.instruments[order.symbol], order.price
            assert price is not None
            owned = int(int(order.quantity / instrument.lot_step) * (1 - fee_in))
            leg = instrument.quantity_of(int(owned * 0.33))
            third = 0.34 * (5.0 if config.exit_rule is ExitRule.LADDER else 3.0)
            in_parts = leg >= instrument.min_amount and leg * price >= instrument.min_cost
            mean = 0.33 * 1.8 + 0.33 * 3.0 + third if in_parts else 3.0
            gain = mean * stop - fee_in - taker * (1 + mean * stop) - SLIPPAGE
            reward = gain / (stop + fee_in + taker * (1 - stop) + SLIPPAGE)
        else:
            # Crumbs that were never sold are no results.
            trades = [t for t in self.rig.engine.book.trades if t.initial_risk_usd and t.sold_quantity]
            results = [float(t.net_pnl / t.initial_risk_usd) for t in trades if t.initial_risk_usd][-40:]
            if len(results) < 21 or self.rig.now - trades[-1].closed_at > timedelta(days=10):
                return  # too few, or faded: nothing is measured
            wins, losses = [r for r in results if r > 0], [-r for r in results if r <= 0]
            if not losses or sum(losses) <= 0:
                return
            reward = (sum(wins) / len(wins)) / (sum(losses) / len(losses)) if wins else 0.0
        if reward < config.min_reward - NEAR:
            self.found("risk reward", f"{order.symbol}: {reward} of {config.min_reward}")

    # -- after a cycle

    def cycle(self) -> None:
        """Run one cycle of the engine and look at what it left behind."""
        rig = self.rig
        for venue in self.venues.values():
            venue.failures.clear()
            venue.rejected = 0
        self.parts.clear()
        self.at_first = 0.0
        rig.engine.cycle(rig.now)
        self.cycles += 1
        self._count_errors()
        self._check_books()
        self._check_protection()
        their_tier = rig.engine._tiers.current
        names = (self.tier, their_tier.name if their_tier else None)
        if names[0] != names[1]:
            if not any(venue.failures for venue in self.venues.values()):
                self.found("tier", f"{names[1]}, {names[0]} by the venues at {self.equity}")
            self.tier = names[1]  # a venue fell silent in the middle of the cycle

    def _count_errors(self) -> None:
        """Five failed cycles in a row end entries, five good ones allow them; what is unclear is taken over."""
        engine, config = self.rig.engine, self.rig.config
        doubtful = any(order.state is OrderState.UNKNOWN for order in engine.desk.live())
        rejected = any(venue.rejected for venue in self.venues.values())
        dead = [n for n, v in self.venues.items() if {"balances", "tickers"} & v.failures]
        if any(engine.book.cash.get((name, self.quote[name]), D(0)) > 1 for name in dead):
            self.failed, self.good = self.failed + 1, 0
            self.shut_off = self.shut_off or self.failed >= config.max_failed_cycles
        elif not doubtful and not rejected and not any(venue.failures for venue in self.venues.values()):
            self.failed, self.good = 0, self.good + 1
            if self.good >= config.max_failed_cycles:
                self.shut_off = False
        else:
            state = engine.state
            self.failed, self.good, self.shut_off = state.failed_cycles, state.good_cycles, state.errors_latched

    def _check_books(self) -> None:
        book, desk = self.rig.engine.book, self.rig.engine.desk
        for name, venue in self.venues.items():
            if venue.failures or name not in self.answered:
                continue
            cash = self._cash(name) - self._unknown_flow(name)
            if book.cash.get((name, self.quote[name]), D(0)) != cash:
                self.found("books", f"{name}: {book.cash}, venue {cash}")
            coins = {key: p.quantity for key, p in book.positions.items() if key[0] == name}
            held = {key: quantity for key, quantity in self.held().items() if key[0] == name}
            if coins != held:
                self.found("books", f"{name}: {coins}, venue {held}")
            resting = {report.client_order_id for report in venue.core.open_orders()}
            live = {order.client_order_id for order in desk.live(name)}
            if resting - live:
                self.found("forgotten order", f"{name}: {resting - live}")

    def _is_protected(self, key: Key, quantity: Decimal) -> bool:
        """Whether one stop of the full size rests; where none can, whether the price is above the watched one."""
        stops, bid = self.resting_stops(key), self.bid(key)
        if self.venues[key[0]].rests:
            return len(stops) == 1 and stops[0].stop_price is not None and stops[0].remaining == quantity
        watched = self._watched(key)
        if watched < self.stop_at.get(key, D(0)):
            self.found("stop lowered", f"{key} from {self.stop_at[key]} to {watched}")
        if watched:
            self.stop_at[key] = watched
        return not stops and D(0) < watched < bid

    def _check_protection(self) -> None:
        held = self.held()
        for key in [key for key in self.stop_at if key not in held]:
            del self.stop_at[key]
        self.stopped &= set(held)
        for key in [key for key in self.bare if key not in held]:
            del self.bare[key]
        troubled = {name for name, venue in self.venues.items() if venue.failures or venue.rejected}
        for key, quantity in held.items():
            stops, well = self.resting_stops(key), self._is_protected(key, quantity)
            doubtful = any(order.state is OrderState.UNKNOWN for order in self.rig.engine.desk.live(*key))
            entering = any(other == key for other, _, _ in self.buys())
            price = min(self.bid(key), self.stop_at.get(key, self.bid(key)))
            if well or key[0] in troubled or doubtful or entering or not self.sellable(key, quantity, price):
                self.bare.pop(key, None)
                continue
            if key in self.parts:
                self.found("stop size", f"{key}: {quantity} at the end of the cycle, stops {stops}")
            self.bare[key] = self.bare.get(key, 0) + 1
            if self.bare[key] > 2:
                self.found("unprotected", f"{key} {quantity}: {stops}")
        selling = self.flattened and not troubled and any(self.sellable(k, q, self.bid(k)) for k, q in held.items())
        self.selling = self.selling + 1 if selling else 0
        if self.selling > 2:
            self.found("flatten", f"not sold: {held}")
