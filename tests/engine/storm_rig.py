"""Storms: whole engines over mutated prices, bad venues and a restless user, with checkers beside them.

An episode is a seed. It draws settings, money, a market (an invented walk, or a stretch of recorded
candles) and then, cycle by cycle, what goes wrong: gaps, stuck prices, venues that disagree or are
silent, missing days, wide spreads, rejected sales, deposits, withdrawals, other fees, restarts, commands.
"""

from __future__ import annotations

import math
import random
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine_rig import ALL_METHODS, HYBRID, MINIMUMS, START, TODAY_MS, make_rig
from storm_checks import Checker
from storm_market import PRICES, Market, StormFeed, recorded
from storm_venue import StormVenue, Violation

from bot.domain.account import FeeSchedule
from bot.domain.market import MS_PER_DAY
from bot.domain.modes import ExitRule, Strategy
from bot.domain.orders import Side
from bot.venues.paper import PaperVenue

D = Decimal
HOUR_MS = 3_600_000
COINS = ("BTC", "ETH", "SOL")

THEMES = (
    *("crash", "mixed", "full", "prices", "poor", "crash", "poor", "outage", "full"),
    *("flows", "crash", "fees", "full", "churn", "crash", "calm", "poor", "crash"),
    "pegs",
)
"""What an episode has more of than the others."""

CODES = {
    "daily_loss": "daily_loss",
    "drawdown": "drawdown",
    "loss_streak": "loss_streak",
    "cash_buffer": "cash_buffer",
    "positions": "max_positions",
    "heat": "heat",
    "fee_budget": "fee_budget",
    "venue_minimum": "venue_dormant",
    "activation": "below_activation",
    "risk_reward": "risk_reward",
    "spread": "spread",
    "price_sanity": "price_disagrees",
    "stale_data": "stale_data",
    "unknown_venue": "venue_unknown",
    "errors": "error_shutoff",
    "stalled": "",
}
"""Refusal code of each guard; STALLED refuses nothing, it tells. ``confidence`` and ``expectation`` are not here: they
abstain without 20 own trades and without evidence, which episodes are too short for."""


# -- one episode


PER_DAY = {
    "gap": 0.06,
    "stuck": 0.10,
    "disagree": 0.10,
    "missing": 0.06,
    "spread": 0.10,
    "silence": 0.15,
    "deaf": 0.03,
    "rejects": 0.05,
    "mute": 0.05,
    "flow": 0.12,
    "fees": 0.05,
    "restart": 0.25,
    "command": 0.06,
}
"""How often each calamity begins, per day."""

MORE: dict[str, dict[str, float]] = {
    "mixed": {},
    "crash": dict.fromkeys(PER_DAY, 0.02) | {"gap": 0.05, "restart": 0.2, "flow": 0.04},
    "full": dict.fromkeys(PER_DAY, 0.02) | {"restart": 0.2},
    "prices": {"stuck": 0.7, "disagree": 0.7, "spread": 0.7, "missing": 0.2},
    "outage": {"silence": 0.5, "deaf": 0.8, "rejects": 0.3, "mute": 0.3, "restart": 0.6},
    "flows": {"flow": 0.6, "gap": 0.1},
    "poor": {"flow": 0.1, "silence": 0.02, "gap": 0.02},
    "fees": {"gap": 0.01, "flow": 0.02},
    "churn": {"gap": 0.0, "flow": 0.0, "fees": 0.0, "silence": 0.02, "deaf": 0.0, "disagree": 0.0},
    "calm": dict.fromkeys(PER_DAY, 0.01),
    "pegs": dict.fromkeys(PER_DAY, 0.03),
}


ORDERS_PER_DAY = {"thin": 0.15, "would_take": 0.15, "depeg": 0.03}
"""Calamities of the life of an order, drawn from a stream of their own."""
MINUTES = (2, 4, 6, 8, 11, 14, 16, 18, 21)
"""When a patient bot looks after its decision."""


@dataclass(slots=True)
class Report:
    """What episodes brought to light."""

    episodes: int = 0
    cycles: int = 0
    entries: int = 0
    stops: int = 0
    exits: int = 0
    active: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def activations(self) -> dict[str, int]:
        """How often each guard has become active or has refused an entry."""
        return {name: self.active[name] + self.refused[code] for name, code in CODES.items()}

    def table(self) -> str:
        """Give guard, activations, refusals as lines of text."""
        lines = [f"{'guard':<16}{'became active':>15}{'refused':>10}{'together':>10}"]
        for name, code in CODES.items():
            events, refusals = self.active[name], self.refused[code]
            lines.append(f"{name:<16}{events:>15,}{refusals:>10,}{events + refusals:>10,}")
        lines.append(f"{'confidence':<16}{'abstains: too few trades of its own':>35}")
        others = {code: n for code, n in sorted(self.refused.items()) if code not in CODES.values()}
        lines.append("other refusals: " + ", ".join(f"{code} {n:,}" for code, n in others.items()))
        lines.append(
            f"{self.episodes:,} episodes, {self.cycles:,} cycles; checked: {self.entries:,} entries, "
            f"{self.stops:,} stops, {self.exits:,} exits; violations: {len(self.violations):,}"
        )
        return "\n".join(lines)


class Episode:
    """One storm; ``run`` adds what it saw to a report."""

    def __init__(self, folder: Path, seed: int, *, theme: str = "", real: bool = False, **changes: Any) -> None:
        self.seed = seed
        self.chance = chance = random.Random(seed)
        self.other = random.Random(f"{seed} orders")
        self.theme = theme or THEMES[seed % len(THEMES)]
        self.orders_rates = ORDERS_PER_DAY | ({"depeg": 0.5} if self.theme == "pegs" else {})
        self.folder = folder / f"storm{seed}"
        wild = 0.6 if self.theme in ("crash", "full") else chance.choice((0.6, 1.0, 1.0, 1.6))
        falling = self.theme == "poor" and chance.random() < 0.7
        self.market = Market(chance, real=real and not falling and bool(recorded()), wild=wild, falling=falling)
        self.slots = self._slots()
        longest = {"crash": 30, "full": 30, "outage": 35}.get(self.theme, 60)
        self.days_long = chance.randint(50 if self.theme == "poor" else 20, longest)
        config = self._config() | changes
        cash = self._cash()
        usdc = {n: usd for n, usd in cash.items() if self.theme == "pegs" or self.other.random() < 0.2}
        cash |= dict.fromkeys(usdc, "0")
        self.rig = make_rig(self.folder, cash=cash, usdc=usdc, coins=COINS, days=self.market.days, **config)
        self.feeds: dict[str, StormFeed] = {}
        for name, old in list(self.rig.venues.items()):
            feed = self.feeds[name] = StormFeed(self.market)
            paper = PaperVenue(core=old.core, feed=feed, clock=self.rig.clock)
            venue = self.rig.venues[name] = StormVenue(paper, old.core, old.fuse)
            venue.rests = self.other.random() >= 0.2
            if name in usdc:  # of two kinds of dollars an account of the storms has one
                venue.hidden_markets = venue.hidden_tickers = set(PRICES)
                venue.usdc_bid = D(1)
        fees = {"churn": ("0", "0.0001"), "crash": ("0", "0.0002"), "fees": ("0.006", "0.012")}
        if self.theme in fees:
            self._set_fees(*fees[self.theme])
        self.rig.restart()
        self.checker = Checker(self.rig, f"seed {seed} {self.theme}")
        self.until: list[tuple[int, Callable[[], None]]] = []
        self.tick = 0
        self.richer = False
        self.turns_at = int(self.rig.config.stall_days) + 1
        self.once = self.theme == "poor" and chance.random() < 0.3
        """Started anew for each cycle, as a timer does it."""

    def _slots(self) -> int:
        if self.theme in ("poor", "churn", "full"):
            return 4
        if self.theme == "crash":
            return 6
        return 24 if self.theme == "outage" else self.chance.choice((4, 4, 6, 6, 8, 12, 24))

    def _cash(self) -> dict[str, str]:
        chance = self.chance
        if self.theme == "poor":
            return {"coinbase": f"{chance.uniform(14.0, 26.0):.2f}"}
        total = math.exp(chance.uniform(math.log(14.0), math.log(5000.0)))
        if self.theme in ("crash", "churn", "calm", "full"):
            total = chance.uniform(260.0, 5000.0)
        if self.theme == "full":
            total = chance.uniform(260.0, 470.0)
        if self.theme == "fees":
            total = chance.uniform(60.0, 200.0)
        names = chance.choice((["coinbase"], ["kraken"], ["coinbase", "kraken"], ["kraken", "coinbase"]))
        if self.theme == "prices":
            names = ["coinbase", "kraken"]
        if len(names) == 1:
            return {names[0]: f"{total:.2f}"}
        first = total * chance.choice((0.2, 0.5, 0.8))
        return {names[0]: f"{first:.2f}", names[1]: f"{total - first:.2f}"}

    def _config(self) -> dict[str, Any]:
        chance = self.chance
        one_of = chance.choice
        config: dict[str, Any] = {
            "strategy": one_of(list(Strategy)),
            "exit_rule": one_of(list(ExitRule)),
            "leg_weights": one_of((HYBRID, HYBRID, (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))),
            "size_on_equity": chance.random() < 0.7,
            "floor_allowed": chance.random() < 0.7,
            "follows_master": chance.random() < 0.02,
            "shuts_off_on_errors": chance.random() < 0.9,
            "daily_loss_frac": one_of((0.06, 0.06, 0.06, 0.04)),
            "drawdown_frac": one_of((0.12, 0.12, 0.12, 0.08)),
            "cash_buffer_frac": one_of((0.15, 0.15, 0.15, 0.4, 0.65)),
            "position_cap_frac": one_of((0.18, 0.18, 0.18, 0.1)),
            "min_score": one_of((0.75, 0.75, 0.5)),
            "min_reward": one_of((1.8, 1.8, 2.15, 2.5)),
            "max_losses": one_of((3, 3, 2)),
            "max_positions_ceiling": one_of((None, None, None, 1, 3)),
            "risk_ceiling_pct": one_of((None, None, None, 1.0)),
            "halt_flattens": chance.random() < 0.15,
            "stall_days": one_of((14.0, 7.0, 3.0)),
            "snapshot_every_cycles": 50,
            "crossing_accounts": frozenset(self.other.choice((["kraken"], ["kraken"], ["coinbase", "kraken"], []))),
        }
        if self.theme == "poor":
            config |= {"floor_allowed": False, "stall_days": 3.0, "min_score": 1.0}
            config |= {"follows_master": False}
        if self.theme == "full":
            config |= {"leg_weights": (0.0, 1.0, 0.0), "cash_buffer_frac": one_of((0.7, 0.8)), "follows_master": False}
            config |= {"strategy": Strategy.ALLOCATION, "max_positions_ceiling": None, "min_score": 0.5}
            config |= {"position_cap_frac": 0.18, "risk_ceiling_pct": None, "size_on_equity": True}
        if self.theme in ("crash", "churn", "fees"):
            config |= {"leg_weights": (0.0, 0.0, 1.0), "position_cap_frac": 0.18, "risk_ceiling_pct": None}
            config |= {"cash_buffer_frac": 0.15, "max_positions_ceiling": None, "follows_master": False}
        if self.theme == "flows":
            config |= {"cash_buffer_frac": one_of((0.15, 0.65)), "leg_weights": (0.0, 0.0, 1.0)}
        if self.theme == "calm":
            config |= {
                "min_reward": 2.5,
                "strategy": Strategy.BREAKOUT,
                "exit_rule": one_of((ExitRule.LADDER, ExitRule.RUNNER)),
            }
        if self.theme in ("crash", "fees"):
            config |= {
                "strategy": one_of((Strategy.ALLOCATION, Strategy.ALLOCATION, Strategy.BREAKOUT)),
                "min_reward": 1.8,
            }
        if self.theme == "churn":
            config |= {"exit_rule": one_of((ExitRule.TRAIL, ExitRule.TRAIL_TIGHT)), "max_losses": 50}
        return config

    # -- the loop

    def run(self, report: Report) -> None:
        """Live through it; stops at the first cycle that breaks something."""
        rates = PER_DAY | MORE[self.theme]
        try:
            for day in range(self.days_long):
                self._day(day, rates)
                if self.checker.violations:
                    break
        except Exception as e:  # noqa: BLE001  whatever the engine raises is a finding
            where = "".join(traceback.format_tb(e.__traceback__)[-2:])
            self.checker.found("engine raised", f"{type(e).__name__}: {e}\n{where}")
        checker = self.checker
        report.episodes += 1
        report.cycles += checker.cycles
        report.entries += checker.entries
        report.stops += checker.stops
        report.exits += checker.exits
        report.violations += checker.violations
        rows = self.rig.ledger._rows("SELECT name, COUNT(*) FROM guard_events WHERE active = 1 GROUP BY name")
        report.active.update({row[0]: row[1] for row in rows})
        rows = self.rig.ledger._rows("SELECT code, COUNT(*) FROM refusals GROUP BY code")
        report.refused.update({row[0]: row[1] for row in rows})
        self.rig.ledger.close()
        shutil.rmtree(self.folder)

    def _day(self, day: int, rates: dict[str, float]) -> None:
        midnight = (START + timedelta(days=day)).replace(minute=0)
        if day:
            self.market.close_day(TODAY_MS + (day - 1) * MS_PER_DAY)
        hours = 24 / self.slots
        for slot in range(self.slots):
            moment = midnight + timedelta(hours=slot * hours, minutes=1)
            self.rig.clock.moment = moment
            self.tick += 1
            for end, undo in [entry for entry in self.until if entry[0] <= self.tick]:
                self.until.remove((end, undo))
                undo()
            self.market.move(int(moment.timestamp() * 1000), hours)
            for name, rate in rates.items():
                if self.chance.random() < rate / self.slots:
                    getattr(self, f"_{name}")()
            for name, rate in self.orders_rates.items():
                if self.other.random() < rate / self.slots:
                    getattr(self, f"_{name}")()
            self._routine(day, slot)
            if self.once:
                self._restart()
            self.checker.cycle()
            if slot == 0:
                self._afterwards(moment)

    def _afterwards(self, moment: datetime) -> None:
        """Look after what was decided: once, often, or not at all."""
        minutes: Sequence[int] = (10,) if self.chance.random() < 0.8 else ()
        patient = self.other.random() < 0.12
        for minute in MINUTES if patient else minutes:
            self.rig.clock.moment = moment + timedelta(minutes=minute)
            self.market.jitter(*((-0.0015, 0.002) if patient else (-0.008, 0.004)))
            self.checker.cycle()

    def _routine(self, day: int, slot: int) -> None:
        """What a theme does besides calamities; a halt for a drawdown is ended by the user after days."""
        rig = self.rig
        if rig.engine.state.halted_by == "drawdown" and self.chance.random() < 0.35 / self.slots:
            self.checker.command("resume", reset_drawdown=True)
        if self.theme in ("churn", "fees") and day % 2 == 1 and slot == self.slots - 1:
            self.checker.command("flatten")
            self._later(1, lambda: self.checker.command("resume"))
        if self.theme == "crash" and slot == 1 and rig.engine.state.halted_by == "" and self.chance.random() < 0.2:
            self.checker.command("resume", reset_drawdown=True)
        if self.theme == "crash" and self.chance.random() < 0.15 and len(rig.engine.book.positions) > 1:
            self._gap()
        if self.theme == "poor" and slot == 1 and day >= self.turns_at:
            # Now enough for a trade, now not, now below the minimum for any.
            name = "coinbase"
            self.turns_at = day + (int(rig.config.stall_days) + 2 if self.richer else 1)
            if self.richer:
                free = self.checker.free(name)
                self._withdraw(name, free - D(self.chance.choice(("11", "12.5", "20", "22"))))
            else:
                self._deposit(name, D("60"))
            self.richer = not self.richer

    def _later(self, ticks: int, undo: Callable[[], None]) -> None:
        self.until.append((self.tick + ticks, undo))

    def _some(self) -> str:
        return self.chance.choice(list(self.feeds))

    def _span(self, days: float = 1.0) -> int:
        return self.chance.randint(1, max(1, round(days * self.slots)))

    # -- calamities

    def _gap(self) -> None:
        frac = self.chance.choice((0.7, 0.7, 0.7, 0.82, 0.9, 1.4))
        one = self.chance.random() < 0.3
        coins = [self.chance.choice(list(PRICES))] if one else list(PRICES)
        self._multiply(coins, frac)
        if self.theme == "crash" or self.chance.random() < 0.6:  # a flash: the trend may go on after it
            self._later(self.chance.randint(1, max(1, self.slots // 3)), lambda: self._multiply(coins, 1 / frac))
        if self.chance.random() < 0.3:
            self._flow()

    def _multiply(self, coins: list[str], frac: float) -> None:
        for symbol in coins:
            self.market.factors[symbol] *= frac
            self.market.prices[symbol] = max(0.5, round(self.market.prices[symbol] * frac, 2))

    def _stuck(self) -> None:
        feed = self.feeds[self._some()]
        now_ms = int(self.rig.now.timestamp() * 1000)
        if self.chance.random() < 0.7:
            for symbol in self.chance.sample(list(PRICES), self.chance.randint(1, 3)):
                price, _ = feed.opening(symbol, now_ms) or (0.0, 0)
                feed.stuck[symbol] = (price, now_ms)
            self._later(self._span(2), feed.stuck.clear)
        else:
            feed.repeats |= self.market.prices
            self._later(self._span(2), feed.repeats.clear)

    def _disagree(self) -> None:
        feed = self.feeds[self._some()]
        feed.offset = 1 + self.chance.choice((-1, 1)) * self.chance.uniform(0.005, 0.10)
        self._later(self._span(), lambda: setattr(feed, "offset", 1.0))

    def _missing(self) -> None:
        today = TODAY_MS + ((self.tick - 1) // self.slots) * MS_PER_DAY
        late_ms = self.chance.choice((HOUR_MS * 7, MS_PER_DAY * 3, MS_PER_DAY * 1000))
        for symbol in self.chance.sample(list(PRICES), self.chance.randint(1, 3)):
            self.market.hidden[symbol][today] = today + MS_PER_DAY + late_ms

    def _spread(self) -> None:
        core = self.rig.venues[self._some()].core
        core._half_spread = D(str(round(self.chance.uniform(0.0015, 0.012), 5)))
        self._later(self._span(), lambda: setattr(core, "_half_spread", D("0.0005")))

    def _silence(self) -> None:
        venue = self.rig.venues[self._some()]
        few = self.chance.sample(list(ALL_METHODS), 2)
        venue.down = set(ALL_METHODS) if self.chance.random() < 0.6 else set(few)
        self._later(self.chance.randint(1, 3), venue.speak)

    def _deaf(self) -> None:
        """Silent for as long as it takes to end entries."""
        venue = self.rig.venues[self._some()]
        venue.silence()
        self._later(self.chance.randint(5, 7), venue.speak)

    def _rejects(self) -> None:
        venue = self.rig.venues[self._some()]
        assert isinstance(venue, StormVenue)
        rejects = venue.rejects
        rejects.update(self.chance.choice(([Side.SELL], [Side.SELL, Side.BUY], [Side.BUY])))
        self._later(self.chance.randint(1, 7), rejects.clear)

    def _mute(self) -> None:
        venue = self.rig.venues[self._some()]
        venue.mute = set(self.chance.choice((["submit"], ["cancel"], ["submit", "cancel"])))
        self._later(1, venue.mute.clear)

    def _flow(self) -> None:
        name = self._some()
        free = self.checker.free(name)
        if self.chance.random() < 0.5:
            self._deposit(name, D(str(round(self.chance.choice((0.3, 5.0, 20.0, 90.0, 400.0)), 2))))
        elif self.chance.random() < 0.3:
            self._withdraw(name, free - D(str(MINIMUMS[name])) + D("1.5"))
        else:
            self._withdraw(name, free * D(str(self.chance.choice((0.04, 0.3, 0.6, 0.95)))))

    def _deposit(self, name: str, amount: Decimal) -> None:
        self.checker.flow(name, amount)

    def _withdraw(self, name: str, amount: Decimal) -> None:
        amount = amount.quantize(D("0.01"))
        if D("0.05") < amount <= self.checker.free(name):
            self.checker.flow(name, -amount)

    def _thin(self) -> None:
        """The next execution finds a part of what it wants."""
        self.rig.venues[self._some_other()].core.next_fill_fraction = D(str(round(self.other.uniform(0.05, 0.95), 2)))

    def _would_take(self) -> None:
        venue = self.rig.venues[self._some_other()]
        assert isinstance(venue, StormVenue)
        venue.would_take = self.other.choice((1, 1, 2, 3, 4, 6))

    def _depeg(self) -> None:
        worth = D(self.other.choice(("0.99", "0.994", "1.006", "1.01")))
        told = [venue for venue in self.rig.venues.values() if venue.usdc_bid is not None]
        for venue in told:
            venue.usdc_bid = worth if self.other.random() < 0.7 else D(1)
        self._later(self.other.randint(1, 2 * self.slots), self._repeg)

    def _repeg(self) -> None:
        for venue in self.rig.venues.values():
            venue.usdc_bid = None if venue.usdc_bid is None else D(1)

    def _some_other(self) -> str:
        return self.other.choice(list(self.feeds))

    def _fees(self) -> None:
        maker, taker = self.chance.choice(
            (("0.0025", "0.004"), ("0.006", "0.012"), ("0.0016", "0.0026"), ("0", "0.001"))
        )
        self._set_fees(maker, taker)

    def _set_fees(self, maker: str, taker: str) -> None:
        fees = FeeSchedule(maker_frac=D(maker), taker_frac=D(taker), origin="storm")
        for venue in self.rig.venues.values():
            if not any(order.side is Side.BUY for order in venue.core._working.values()):
                venue.core.fees = fees

    def _restart(self) -> None:
        self.rig.restart()
        self.checker.wrap()

    def _command(self) -> None:
        name = self.chance.choice(("halt", "pause", "pause", "flatten"))
        self.checker.command(name)
        self._later(self._span(1.5), lambda: self.checker.command("resume"))


def storms(folder: Path, seeds: Sequence[int], *, real: bool = False, **options: Any) -> Report:
    """Run the episodes of these seeds one after the other."""
    report = Report()
    for seed in seeds:
        Episode(folder, seed, real=real and seed % 2 == 1, **options).run(report)
    return report
