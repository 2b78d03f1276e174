"""One episode of a simulation: a seed decides everything, and everything is checked after every step.

The engine, its ledger and its state file are the real ones. The process is ended at any of its steps and started again
over the same files; what it had sent stays where it was.
"""

from __future__ import annotations

import hashlib
import math
import random
import shutil
import traceback
import uuid
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sim_checks import Checker, Violation
from sim_exchange import COINBASE, KRAKEN, SimExchange
from sim_faults import Cell, Chaos, Fault, ProcessDiedError, Step
from sim_market import START, SimMarket
from sim_store import SimControl, SimLedger, SimStateFile, open_ledger
from sim_user import User
from sim_venue import SimVenue

from bot.decide.confidence import Evidence
from bot.decide.ensemble import ENSEMBLE
from bot.domain.account import Balance, FeeSchedule
from bot.domain.errors import BotError, InvariantError
from bot.domain.modes import ExitRule, Strategy, TradingMode
from bot.domain.orders import Order
from bot.engine.config import EngineConfig
from bot.engine.engine import CycleResult, Engine
from bot.engine.history import SignalRules
from bot.engine.tiers import TierKeeper
from bot.scaling.ladder import SCALING_TIERS
from bot.storage.ledger import SqliteLedger
from bot.venues.rules import paper_instruments

D = Decimal
FEES = (("0.006", "0.012"), ("0.0025", "0.004"), ("0.0010", "0.002"), ("0.0004", "0.0008"))
"""Maker and taker; at the first few trades are worth their costs."""
MINIMUMS = {COINBASE: 10.0, KRAKEN: 50.0}
HALF_SPREAD = 0.0004
PARTS = 0.15
"""Chance that the next execution of a symbol is one of a part, at each price."""
QUIET_EVERY, QUIET_CYCLES = 50, 9


@dataclass(slots=True)
class Report:
    """What episodes brought to light."""

    episodes: int = 0
    cycles: int = 0
    faulty: int = 0
    """Cycles in which something went wrong."""
    faults: int = 0
    deaths: int = 0
    entries: int = 0
    stops: int = 0
    exits: int = 0
    fills: int = 0
    quiet: int = 0
    """Quiet points at which everything was compared."""
    digest: str = ""
    """Of everything that the last episode's ledger holds of orders and fills: the same seed gives the same."""
    coverage: Counter[Cell] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Count in what another process has found."""
        for name in ("episodes", "cycles", "faulty", "faults", "deaths", "entries", "stops", "exits", "fills", "quiet"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.coverage.update(other.coverage)
        self.violations += other.violations


SIGNALS_FROM = 100_000
"""Seeds from here on draw all signals, the trade filter and evidence too; those below stay what they were."""


class World:
    """One episode."""

    def __init__(self, folder: Path, seed: int, report: Report, *, intensity: float = 1.0) -> None:
        self.seed = seed
        self.folder = folder / f"seed{seed}"
        self.folder.mkdir(parents=True)
        self.report = report
        self.chance = random.Random(f"{seed} world")
        self.chaos = Chaos(
            random.Random(f"{seed} faults"),
            report.coverage,
            intensity * self.chance.choice((0.3, 0.6, 1.0, 1.0, 1.6, 2.5)),
        )
        self.chaos.quiet = True
        self.true = START
        self.offset = timedelta(0)
        """The bot's clock less the true one."""
        self.cycle = 0
        coins = self.chance.choice((("BTC",), ("BTC", "ETH"), ("BTC", "ETH"), ("BTC", "ETH", "SOL")))
        names = self.chance.choice(((COINBASE,), (KRAKEN,), (COINBASE, KRAKEN), (KRAKEN, COINBASE)))
        self.symbols = tuple(f"{coin}/USD" for coin in coins)
        self.market = SimMarket(random.Random(f"{seed} market"), self.symbols)
        cash = self._cash(names)
        self.exchanges = {
            name: SimExchange(
                name=name,
                instruments=paper_instruments(name, coins),
                cash=cash[name],
                fees=self._fees(),
                chance=random.Random(f"{seed} {name}"),
                clock=lambda: self.true,
                rests=self.chance.random() < 0.9,
            )
            for name in names
        }
        for exchange in self.exchanges.values():
            exchange.on_late_fill = lambda name: self.chaos.note(Fault.LATE_LISTING, Step.FILLS, self.live_states(name))
            self.put_prices(exchange)
        self.past: dict[str, deque[dict[str, Balance]]] = {name: deque(maxlen=4) for name in names}
        self.config = self._config(coins, names)
        self.control = SimControl(self)
        self.checker = Checker(self)
        self.user = User(self, random.Random(f"{seed} user"))
        self.epochs = 0
        self.venues: dict[str, SimVenue] = {}
        self.ledger: SqliteLedger
        self.engine: Engine
        self._start()

    def _cash(self, names: Sequence[str]) -> dict[str, Decimal]:
        total = math.exp(self.chance.uniform(math.log(60.0), math.log(3000.0)))
        share = self.chance.choice((0.3, 0.5, 0.7)) if len(names) == 2 else 1.0
        amounts = [total * share, total * (1 - share)][: len(names)]
        return {name: D(f"{amount:.2f}") for name, amount in zip(names, amounts, strict=True)}

    def _fees(self) -> FeeSchedule:
        maker, taker = self.chance.choice(FEES)
        return FeeSchedule(maker_frac=D(maker), taker_frac=D(taker), origin="simulation")

    def _config(self, coins: Sequence[str], names: Sequence[str]) -> EngineConfig:
        one_of = self.chance.choice
        draws = self.seed >= SIGNALS_FROM
        apart = random.Random(f"{self.seed} signals")  # so that the rest of an episode is what it is without them
        return EngineConfig(
            signals=SignalRules(weights=ENSEMBLE, regime=True) if draws and apart.random() < 0.5 else SignalRules(),
            trade_filter=draws and apart.random() < 0.5,
            evidence=Evidence(60.0, 30.0, 60.0) if draws and apart.random() < 0.5 else None,
            trading_mode=TradingMode.SIMULATED,
            strategy=one_of((Strategy.ALLOCATION, Strategy.ALLOCATION, Strategy.BREAKOUT)),
            exit_rule=one_of(list(ExitRule)),
            leg_weights=one_of(((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (0.3, 0.4, 0.3), (0.0, 1.0, 0.0))),
            size_on_equity=self.chance.random() < 0.8,
            floor_allowed=self.chance.random() < 0.7,
            follows_master=False,
            shuts_off_on_errors=self.chance.random() < 0.8,
            coins=tuple(coins),
            symbols=self.symbols,
            primary_account=names[0],
            bar_source="simulation",
            poll_s=60.0,
            position_cap_frac=0.18,
            cash_buffer_frac=one_of((0.15, 0.15, 0.15, 0.7, 0.75)),
            daily_loss_frac=one_of((0.06, 0.06, 0.03)),
            drawdown_frac=one_of((0.12, 0.12, 0.06)),
            max_losses=one_of((3, 3, 50)),
            min_score=one_of((0.5, 0.75)),
            min_confidence=0.70,
            min_reward=1.8,
            routes_by_cost=self.chance.random() < 0.7,
            min_trade_usd=5.0,
            min_equity_usd=15.0,
            venue_minimum_usd={name: MINIMUMS[name] for name in names},
            max_positions_ceiling=one_of((None, None, 1)),
            risk_ceiling_pct=None,
            halt_flattens=self.chance.random() < 0.15,
            stale_after_s=900.0,
            crossing_accounts=frozenset(one_of(((), (KRAKEN,), (COINBASE, KRAKEN)))),
            busy_poll_s=20.0,
            fee_budget_frac=0.5,  # else the many days of an episode would buy little
            snapshot_every_cycles=5,
        )

    # -- the process

    def _start(self) -> None:
        """Open the files and build the engine; a fault on the way ends the attempt, and the next one follows."""
        self.due_at: datetime | None = None
        self.ledger = open_ledger(
            self.folder / "ledger.sqlite3", uuid.UUID(int=random.Random(f"{self.seed} {self.epochs}").getrandbits(128))
        )
        self.venues = {name: SimVenue(self, exchange) for name, exchange in self.exchanges.items()}
        ledger: Any = SimLedger(self.ledger, self)
        self.engine = Engine(
            config=self.config,
            venues=list(self.venues.values()),
            ledger=ledger,
            tiers=TierKeeper(SimStateFile(self.folder / "state.json", self), SCALING_TIERS),
            control=self.control,
        )

    def end_and_start(self, down_s: float) -> None:
        """End without a farewell, stay away for so long, and start over the same files."""
        self.ledger.close()
        self.control.give_again()
        self.spend(down_s)
        self._start()

    def step(self, *, is_last_quiet: bool = False) -> None:
        """One cycle, however it ends, and everything that is checked after it."""
        for name, exchange in self.exchanges.items():
            self.past[name].append(exchange.balances())
        self.checker.before_step()
        result: CycleResult | None = None
        began = self.true
        planned_s = 5.0
        try:
            result = self.engine.cycle(self.now(), due_at=self.due_at)
        except ProcessDiedError:
            self.end_and_start(self._downtime_s())
        except InvariantError as e:
            self._raised(e)
        except BotError:
            self.end_and_start(self._downtime_s())  # the program ends, and is started again
        except Exception as e:  # noqa: BLE001  whatever the engine raises is a finding
            self._raised(e)
        else:
            self.control.taken = []
            planned_s = (result.next_cycle_at - result.at).total_seconds()
            self.due_at = max(result.next_cycle_at, self.now())
        self.report.cycles += 1
        self.report.faulty += bool(self.chaos.in_step)
        self.checker.after_step(result)
        if is_last_quiet:
            self.checker.at_quiet_point()
            self.report.quiet += 1
        # As the wall clock waits: by the monotonic one where the other was put back.
        to_wait = min(planned_s - (self.true - began).total_seconds(), planned_s) if result is not None else 0.0
        if result is not None:
            to_wait = min(to_wait, (result.next_cycle_at - self.now()).total_seconds())
        self.spend(max(0.0, to_wait))

    def _raised(self, error: BaseException) -> None:
        where = "".join(traceback.format_tb(error.__traceback__)[-3:])
        self.checker.found("engine raised", f"{type(error).__name__}: {error}\n{where}")

    def _downtime_s(self) -> float:
        return self.chaos.chance.choice((3.0, 3.0, 5.0, 10.0, 40.0, 40.0, 300.0, 3000.0))

    # -- time

    def now(self) -> datetime:
        """The bot's clock."""
        return self.true + self.offset

    def pass_time(self, seconds: float) -> None:
        """Time goes by while a call lasts."""
        self.true += timedelta(seconds=seconds)
        if seconds >= 5:
            self.market.walk(seconds / 60)
            self._show()
        for exchange in self.exchanges.values():
            exchange.tick()

    def spend(self, seconds: float) -> None:
        """Time between two steps; a long one in parts, each with its own prices."""
        parts = 1 if seconds <= 120 else 3
        for _ in range(parts):
            self.true += timedelta(seconds=seconds / parts)
            self.market.walk(max(0.05, seconds / parts / 60))
            self.market.maybe_shock()
            self._show()

    def _show(self) -> None:
        self.market.close_days(self.true)
        for exchange in self.exchanges.values():
            exchange.tick()
            if not self.chaos.quiet and self.chance.random() < PARTS:
                part = D(repr(round(self.chance.uniform(0.05, 0.95), 2)))
                exchange.fill_partly(self.chance.choice(self.symbols), part)
            self.put_prices(exchange)

    def put_prices(self, exchange: SimExchange) -> None:
        for symbol in self.symbols:
            skew = 1.0 if exchange.name == COINBASE else 1.0004
            exchange.set_price(symbol, self.market.price[symbol] * skew, HALF_SPREAD)

    def step_clock(self) -> None:
        """Somebody sets the bot's clock."""
        sizes = (1.0, -1.0, 5.0, -5.0, 45.0, -45.0, 90.0, -90.0, 600.0, -600.0, 7200.0, -7200.0)
        step = self.chaos.chance.choice(sizes)
        if self.chaos.chance.random() < 0.4 or abs((self.offset + timedelta(seconds=step)).total_seconds()) > 9000:
            self.offset = timedelta(0)  # put right
        else:
            self.offset += timedelta(seconds=step)
        self.checker.clock_stepped()

    # -- what others ask

    def live_states(self, account: str = "") -> list[str]:
        """States of the live orders, as the program has them."""
        return [order.state for order in self.engine.desk.live(account)] if hasattr(self, "engine") else []

    def balances_before(self, name: str) -> dict[str, Balance]:
        """What the account held some cycles ago."""
        past = self.past[name]
        return past[self.chaos.chance.randrange(len(past))] if past else self.exchanges[name].balances()

    def orders_of_ledger(self) -> dict[str, Order]:
        """Every order that the ledger knows."""
        rows = self.ledger._rows("SELECT client_order_id FROM intents")
        found = [self.ledger.order(row[0]) for row in rows]
        return {order.client_order_id: order for order in found if order is not None}

    # -- the episode

    def run(self, cycles: int) -> None:
        """Live through it; stops at the first step that breaks something."""
        next_jump = self.chance.randint(3, 8)
        for self.cycle in range(cycles):
            in_round = self.cycle % QUIET_EVERY
            quiet_from = min(QUIET_EVERY, cycles) - QUIET_CYCLES
            if self.cycle == 2 or (in_round == 0 and self.cycle > 2):
                self._quiet(False)
            if in_round == quiet_from or self.cycle == cycles - QUIET_CYCLES:
                self._quiet(True)
            quiet = self.chaos.quiet and self.cycle > 2
            if not quiet:
                self.user.maybe_act()
                next_jump -= 1
                if next_jump <= 0:
                    next_jump = self.chance.randint(4, 11)
                    self._jump_to_close()
            self.step(is_last_quiet=quiet and (in_round == QUIET_EVERY - 1 or self.cycle == cycles - 1))
            if self.checker.violations:
                break
        self._finish()

    def _quiet(self, quiet: bool) -> None:
        self.chaos.quiet = quiet
        for exchange in self.exchanges.values():
            exchange.fills_come_late = 0.0 if quiet else 0.04
            if exchange.name == COINBASE:
                slow = not quiet and self.chance.random() < 0.5
                exchange.core.open_delay = timedelta(seconds=self.chance.choice((0.5, 3.0)) if slow else 0)
                exchange.core.cancel_delay = timedelta(seconds=self.chance.choice((0.5, 1.5, 8.0)) if slow else 0)
            if quiet:
                exchange.show_within(30)
        if quiet:
            self.user.settle_down()
            self.spend(960)  # longer than from one reconciliation to the next

    def _jump_to_close(self) -> None:
        """To the next daily close, at which there is something to decide; the machine slept, or the bot was off."""
        self.spend(max(0.0, self.market.till_close(self.true).total_seconds() - 120))
        self.spend(max(0.0, self.market.till_close(self.true).total_seconds()) + 61)
        if self.chance.random() < 0.3:
            self.end_and_start(1.0)

    def _finish(self) -> None:
        report = self.report
        report.episodes += 1
        report.faults += self.chaos.struck
        report.deaths += self.chaos.deaths
        report.fills += sum(len(exchange.bot_fills) for exchange in self.exchanges.values())
        report.entries += self.checker.sent["entry"]
        report.stops += self.checker.sent["stop"]
        report.exits += self.checker.sent["exit"]
        report.violations += self.checker.violations
        rows = [self.ledger._rows(f"SELECT * FROM {table}") for table in ("order_events", "fills", "flows")]
        report.digest = hashlib.sha256(repr(rows).encode()).hexdigest()
        self.ledger.close()
        shutil.rmtree(self.folder)


def simulate(folder: Path, seed: int, report: Report, cycles: int, intensity: float = 1.0) -> None:
    """Live through one seed; faults are drawn so many times as often."""
    World(folder, seed, report, intensity=intensity).run(cycles)
