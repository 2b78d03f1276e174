"""kill -9 at random moments of a live account's life, some with faults on the wire: exact books in the end.

A death comes by the clock, at a write of the ledger or of the state file, or while an exchange holds a request of
the bot: before it has done what it was asked, or after. The seed replays the plan, not the scheduling of the machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from live_rig import (
    COINS,
    HTML_OK,
    LOST_REPLY,
    Exchanges,
    Execution,
    Fault,
    FaultKind,
    LiveBot,
    Reply,
    assert_all_is_well,
    book_in,
    live_bot,
    live_snapshot,
    noon_exchanges,
)
from program_rig import BOT, SECONDS_MAX, environment, pause
from wire import Core, Request

FAST = {"TESTS_WAIT_MAX_S": "0.25", "STRATEGY": "allocation"}
LIVES = 3
"""At each venue."""
FILLS, SALES = 3, 5
"""At these kills what rests has been filled, and the day of sales begins."""
KILLS = 8
"""In each life."""
ORDERS = ("*/brokerage/orders", "*/batch_cancel", "*/AddOrder", "*/CancelOrder")
READS = ("*/accounts", "*/fills", "*/historical/batch", "*/BalanceEx", "*/TradesHistory", "*/OpenOrders", "*/Ticker*")
FAULTS = (
    LOST_REPLY,
    HTML_OK,
    Fault(FaultKind.RESET),
    Fault(FaultKind.HANG, execution=Execution.FIRST),
    Fault(FaultKind.HANG, execution=Execution.LATE),
    Fault(FaultKind.SHORT_BODY, execution=Execution.FIRST),
    Fault(FaultKind.REPLY, Reply(502, b"Bad Gateway", "text/plain"), Execution.FIRST),
    Fault(FaultKind.REPLY, Reply(200, b"{}"), Execution.FIRST),
)


class DeadlyCore:
    """An exchange in whose hands the bot dies: at the request whose turn it is, before or after it is done."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.left = 0
        self.orders_only = False
        self.does_it = False
        self.pid = 0

    def arm(self, pid: int, requests: int, *, orders_only: bool, does_it: bool) -> None:
        self.pid, self.left, self.orders_only, self.does_it = pid, requests, orders_only, does_it

    def handle(self, request: Request, now: object) -> Reply:
        changes = request.method == "POST" and request.path.endswith(
            ("/orders", "/batch_cancel", "/AddOrder", "/CancelOrder")
        )
        if self.left and (changes or not self.orders_only):
            self.left -= 1
            if not self.left:
                with suppress(ProcessLookupError):  # it has ended by itself a moment ago
                    os.kill(self.pid, signal.SIGKILL)
                if not self.does_it:
                    return Reply(503, b"nobody is there to read this", "text/plain")
        return self._core.handle(request, now)  # type: ignore[arg-type]


def change_the_world(site: Exchanges, stage: int) -> None:
    """Let time pass as a life wants it: entries, fills and stops, sales of a whole position and of a part, new ones."""
    if stage == SALES:
        site.next_day(BTC=20_000.0, ETH=2_500.0)
    else:
        site.pass_time(seconds=31)
    site.refresh()
    if stage == FILLS:
        dip_all(site)


def dip_all(site: Exchanges) -> None:
    for coin in COINS:
        site.dip_and_return(coin)


def die(bot: LiveBot, site: Exchanges, way: str, chance: Random) -> None:
    """Wait for the death that was planned: what rests is filled after a cycle or two. End a bot that outlives it."""
    ends = time.monotonic() + (chance.uniform(0.05, 0.6) if way == "start" else SECONDS_MAX)
    while bot.process.poll() is None and bot.cycles < 2 and time.monotonic() < ends:
        pause(0.005)
    if way != "start":
        dip_all(site)
        ends = time.monotonic() + chance.uniform(0.0, 0.25)
        while bot.process.poll() is None and time.monotonic() < ends:
            pause(0.005)
    bot.kill()
    assert bot.process.returncode == -signal.SIGKILL, f"ended with {bot.process.returncode}:\n{bot.err}"


def recover(folder: Path, site: Exchanges) -> None:
    """Nothing fails any more: two doubts' time, and everything is settled."""
    for server in (site.coinbase_server, site.kraken_server):
        server.clear_faults()
    site.refresh()
    with live_bot(folder, site, "--interval", "0.02", **FAST) as bot:
        for _ in range(4):
            bot.wait_cycles(1)
            bot.pass_time(seconds=35)
            site.refresh()
        bot.wait_cycles(1)
        assert bot.stop() == 0, bot.err
    assert_all_is_well(folder, site)


@pytest.mark.parametrize("venue", ["coinbase", "kraken"])
def test_live_bot_killed_at_random_moments_keeps_exact_books(tmp_path: Path, venue: str) -> None:
    deaths: Counter[str] = Counter()
    executed = 0
    for life in range(LIVES):
        seed = 20260 + 10 * life + len(venue)
        print(f"life {life} has seed {seed}")  # shown where it fails
        folder = tmp_path / str(life)
        folder.mkdir()
        cash = {"coinbase_usd": "0", "kraken_usd": "0", f"{venue}_usd": "520"}
        with noon_exchanges(**cash) as site:
            site.takes_any_call = True
            executed += one_life(folder, site, venue, Random(seed), deaths)
    print(deaths, executed)
    assert executed > LIVES
    assert sum(deaths.values()) == LIVES * KILLS
    assert min(deaths[way] for way in ("start", "clock", "write", "order")) > 0


def one_life(folder: Path, site: Exchanges, venue: str, chance: Random, deaths: Counter[str]) -> int:
    """Kill by kill to its end; returns how many orders were executed."""
    server = site.server(venue)
    core = server.core = DeadlyCore(server.core)
    for stage in range(KILLS):
        change_the_world(site, stage)
        if chance.random() < 0.4:
            server.inject(chance.choice(ORDERS), chance.choice(FAULTS), skip=chance.randrange(2))
            server.inject(chance.choice(READS), chance.choice(FAULTS), skip=chance.randrange(4))
        way = chance.choice(("start", "clock", "write", "write", "request", "order", "order", "order"))
        more = {"TESTS_DIES_AT_WRITE": str(chance.randint(1, 80))} if way == "write" else {}
        core.left = 0
        with live_bot(folder, site, "--interval", "0.02", **FAST, **more) as bot:
            if way in ("request", "order"):
                core.arm(
                    bot.process.pid,
                    chance.randint(1, 3 if way == "order" else 60),
                    orders_only=way == "order",
                    does_it=chance.random() < 0.5,
                )
            die(bot, site, way, chance)
            deaths[way if core.left == 0 else "clock"] += 1
    recover(folder, site)
    return sum(bool(order.filled) for order in site.account(venue).orders())


@pytest.mark.parametrize("venue", ["coinbase", "kraken"])
def test_live_bot_killed_at_each_order_of_a_flatten_sells_everything_once(tmp_path: Path, venue: str) -> None:
    cash = {"coinbase_usd": "0", "kraken_usd": "0", f"{venue}_usd": "520"}
    with noon_exchanges(**cash) as site:
        server = site.server(venue)
        core = server.core = DeadlyCore(server.core)
        with live_bot(tmp_path, site, "--interval", "0.02", **FAST) as bot:
            bot.wait_cycles(1)
            dip_all(site)
            bot.wait_cycles(1)
            core.arm(bot.process.pid, 1, orders_only=True, does_it=True)
            asked = subprocess.Popen(
                [*BOT, "flatten", "--yes"],
                cwd=tmp_path,
                env=environment(**site.settings()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            assert bot.process.wait(SECONDS_MAX) == -signal.SIGKILL
            asked.kill()
            asked.wait()
        deaths = 1
        for does_it in (True, False, True, True, False, True):
            with live_bot(tmp_path, site, "--interval", "0.02", **FAST) as bot:
                core.arm(bot.process.pid, 1, orders_only=True, does_it=does_it)
                ends = time.monotonic() + SECONDS_MAX
                while bot.process.poll() is None and bot.cycles < 3 and time.monotonic() < ends:
                    pause(0.01)
                deaths += bot.process.poll() == -signal.SIGKILL
                bot.kill()
            core.left = 0
            site.pass_time(seconds=31)
            site.refresh()
        recover(tmp_path, site)
        assert deaths >= 4
        assert book_in(tmp_path).positions == {}
        assert site.account(venue).live_orders() == []
        assert [order.filled for order in site.account(venue).orders() if order.asked.side == "buy"] != []
        assert live_snapshot(tmp_path, site)["engine_mode"] == "HALTED"
