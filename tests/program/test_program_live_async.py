"""Coinbase says yes first and acts later: orders are PENDING and cancellations queued, each for half a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from live_rig import (
    COINS,
    D,
    Event,
    Exchanges,
    LiveBot,
    assert_books_equal_exchanges,
    command,
    events,
    live_bot,
    noon_exchanges,
    orders_sent,
    run_live,
)
from program_rig import SECONDS_MAX, pause

LATER = timedelta(seconds=0.5)
COINBASE_ONLY = {"KRAKEN_MASTER_API_KEY": "", "KRAKEN_MASTER_API_SECRET": "", "STRATEGY": "breakout"}
BTC = D("0.00210021")
"""0.00210021 x 59994 = 126 = 12.6 % of $1000."""
KEPT, SOLD = D("0.00140715"), D("0.00069306")
"""A third is 0.33 x 210021 = 69306 lots."""

ENTRY_AND_STOP = [
    Event("placed", "buy limit", BTC, D("59994")),
    Event("filled", "buy limit", BTC, D("59994")),
    Event("placed", "sell stop", BTC, D("57712.41")),  # two ATR of 19 per mille
]
# R = 59994 - 57712.41 = 2281.59; the first target is 59994 + 1.8 R = 64100.86.
# Break-even: 59994 x (1 + 0.0005) / (1 - 0.001) = 60084.09, up to the cent.
FIRST_TARGET = [
    Event("canceled", "sell stop", BTC, D("57712.41")),
    Event("placed", "sell stop", KEPT, D("60084.09")),
    Event("placed", "sell ioc", SOLD, D("63203.72")),  # 2 % below the bid of 64493.6
    Event("filled", "sell ioc", SOLD, D("63203.72")),
]
FLATTENED = [
    Event("canceled", "sell stop", KEPT, D("60084.09")),
    Event("placed", "sell ioc", KEPT, D("63203.72")),
    Event("filled", "sell ioc", KEPT, D("63203.72")),
]


def make_slow(site: Exchanges) -> None:
    site.coinbase.maker_frac, site.coinbase.taker_frac = D("0.0005"), D("0.001")  # at which it trades at all
    site.coinbase.open_delay = site.coinbase.cancel_delay = LATER


def wait_until(bot: LiveBot, is_so: Callable[[], bool], site: Exchanges) -> None:
    """Let it run until the venue has come so far, and for three cycles more: what is too much would come then."""
    ends = time.monotonic() + SECONDS_MAX
    while True:
        with site.coinbase_server.locked():
            if is_so():
                break
            seen = events(site.coinbase, "BTC-USD")
        assert bot.process.poll() is None, bot.err
        assert time.monotonic() < ends, f"{seen}\n{bot.err}"
        pause(0.02)
    bot.wait_cycles(3)


def btc(site: Exchanges) -> list[Event]:
    return events(site.coinbase, "BTC-USD")


def test_live_target_is_taken_once_and_all_is_sold_though_each_order_and_cancellation_comes_later(
    tmp_path: Path,
) -> None:
    with noon_exchanges(coinbase_usd="1000", kraken_usd="0") as site:
        make_slow(site)
        with live_bot(tmp_path, site, "--interval", "0.2", **COINBASE_ONLY) as bot:
            bot.wait_cycles(1)
            pause(LATER.total_seconds())  # until the entries are in the book
            for coin in COINS:
                site.dip_and_return(coin)
            wait_until(bot, lambda: len(btc(site)) >= 3, site)
            assert btc(site) == ENTRY_AND_STOP
            site.put("BTC", 64_500.0)
            wait_until(bot, lambda: len(btc(site)) >= 7, site)
            assert btc(site) == ENTRY_AND_STOP + FIRST_TARGET
            # One stop under each position, of its full size.
            assert min((order.asked.symbol, order.remaining) for order in site.live_orders()) == ("BTC-USD", KEPT)
            assert len(site.live_orders()) == len(COINS)
            assert command(tmp_path, site, "flatten", "--yes", **COINBASE_ONLY).returncode == 0
            wait_until(bot, lambda: not site.coinbase.live_orders() and not site.coinbase.holding("SOL").total, site)
            assert btc(site) == ENTRY_AND_STOP + FIRST_TARGET + FLATTENED
            assert bot.stop() == 0
        assert_books_equal_exchanges(tmp_path, site)
        assert all(not site.coinbase.holding(coin).total for coin in COINS)
        assert orders_sent(tmp_path) == {"entry filled": 3, "stop canceled": 4, "exit filled": 4}


def test_live_single_cycle_replaces_a_stop_whose_cancellation_comes_later(tmp_path: Path) -> None:
    with noon_exchanges(coinbase_usd="1000", kraken_usd="0") as site:
        make_slow(site)
        assert run_live(tmp_path, site, "--once", **COINBASE_ONLY).returncode == 0
        pause(LATER.total_seconds())
        for coin in COINS:
            site.dip_and_return(coin)
        assert run_live(tmp_path, site, "--once", **COINBASE_ONLY).returncode == 0
        site.pass_time(minutes=1)
        site.put("BTC", 64_500.0)
        assert run_live(tmp_path, site, "--once", **COINBASE_ONLY).returncode == 0
        site.pass_time(seconds=1)
        site.refresh()
        assert btc(site) == ENTRY_AND_STOP + FIRST_TARGET
        assert len(site.live_orders()) == len(COINS)
        assert run_live(tmp_path, site, "--once", **COINBASE_ONLY).returncode == 0
        assert_books_equal_exchanges(tmp_path, site)
