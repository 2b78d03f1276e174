"""`halt`, `resume` and `flatten` on a live account: told to the running bot, or done at the venues where none runs."""

from __future__ import annotations

from pathlib import Path

from live_rig import (
    D,
    Event,
    Fault,
    FaultKind,
    Reply,
    assert_books_equal_exchanges,
    command,
    events,
    live_bot,
    live_snapshot,
    noon_exchanges,
    orders_sent,
    run_live,
)
from program_rig import assert_fails

INVALID_KEY = Fault(FaultKind.REPLY, Reply(200, b'{"error":["EAPI:Invalid key"]}'))
BTC = D("0.00109210")
SOLD = [
    Event("canceled", "sell stop", BTC, D("55430.8")),
    Event("placed", "sell ioc", BTC, D("58794.1")),  # 2 % below the bid of 59994
    Event("filled", "sell ioc", BTC, D("58794.1")),
]


def test_live_running_bot_obeys_halt_resume_and_flatten(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        with live_bot(tmp_path, site) as bot:
            bot.wait_cycles(1)
            site.dip_and_return("BTC")
            bot.wait_cycles(1)
            told = command(tmp_path, site, "halt")
            assert (told.returncode, told.stderr) == (0, "")
            assert told.stdout.startswith("Told the running bot (LIVE).")
            bot.wait_cycles(1)
            # The entries are canceled, the stop stays.
            assert [(order.asked.symbol, order.asked.stop_price) for order in site.live_orders()] == [
                ("XXBTZUSD", D("55430.8"))
            ]
            assert command(tmp_path, site, "status").returncode == 4
            assert command(tmp_path, site, "resume").returncode == 0
            bot.wait_cycles(1)
            assert live_snapshot(tmp_path, site)["engine_mode"] == "ACTIVE"
            assert command(tmp_path, site, "flatten", "--yes").stdout.startswith("Told the running bot (LIVE).")
            bot.wait_cycles(1)
            assert events(site.kraken, "XXBTZUSD")[3:] == SOLD
            assert site.live_orders() == []
            assert bot.stop() == 0
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 1, "entry canceled": 2, "stop canceled": 1, "exit filled": 1}


def test_live_halt_and_flatten_without_a_bot_act_at_the_venues(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        assert run_live(tmp_path, site, "--once").returncode == 0
        site.dip_and_return("BTC")
        assert run_live(tmp_path, site, "--once").returncode == 0
        done = command(tmp_path, site, "halt")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("No bot was running; done here (LIVE).")
        assert [order.asked.stop_price for order in site.live_orders()] == [D("55430.8")]
        assert_books_equal_exchanges(tmp_path, site)
        assert_fails(command(tmp_path, site, "flatten"), 1, "nothing was sold", "--yes")
        done = command(tmp_path, site, "flatten", "--yes")
        assert done.returncode == 0, done.stderr
        assert events(site.kraken, "XXBTZUSD")[3:] == SOLD
        assert site.live_orders() == []
        assert_books_equal_exchanges(tmp_path, site)
        assert live_snapshot(tmp_path, site)["engine_mode"] == "HALTED"
        assert orders_sent(tmp_path) == {"entry filled": 1, "entry canceled": 2, "stop canceled": 1, "exit filled": 1}


def test_live_commands_without_keys_touch_nothing(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        assert run_live(tmp_path, site, "--once").returncode == 0
        none = dict.fromkeys(("COINBASE_API_KEY", "KRAKEN_MASTER_API_KEY"), "")
        assert_fails(command(tmp_path, site, "flatten", "--yes", **none), 78, "no venue has complete credentials")
        assert len(site.live_orders()) == 3
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry open": 3}


def test_live_halt_that_a_silent_venue_hinders_says_which_entries_may_still_buy(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        assert run_live(tmp_path, site, "--once").returncode == 0
        site.kraken_server.inject("*", Fault(FaultKind.REPLY), count=100_000)
        halted = command(tmp_path, site, "halt")
        assert halted.returncode == 1
        assert "could not be cancelled and may still buy: BTC/USD on kraken, ETH/USD on kraken" in halted.stderr
        site.kraken_server.clear_faults()
        assert command(tmp_path, site, "halt").returncode == 0
        assert site.live_orders() == []
        assert_books_equal_exchanges(tmp_path, site)


def test_play_money_beside_a_live_account_warns_and_is_not_steered_in_its_place(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        assert run_live(tmp_path, site, "--once").returncode == 0
        played = command(tmp_path, site, "run", "--simulated", "--once")
        assert "the LIVE account holds 0 positions and 3 orders, and nobody looks after them" in played.stderr
        unclear = command(tmp_path, site, "flatten", "--yes")
        assert (unclear.returncode, unclear.stdout) == (2, "")
        assert "--mode live" in unclear.stderr
        assert command(tmp_path, site, "flatten", "--yes", "--mode", "live").returncode == 0
        assert site.live_orders() == []


def test_running_live_bot_keeps_at_once_why_a_venue_refuses_it_for_doctor(tmp_path: Path) -> None:
    with noon_exchanges() as site, live_bot(tmp_path, site) as bot:
        bot.wait_cycles(1)
        site.kraken_server.inject("*/BalanceEx", INVALID_KEY, count=100_000)
        bot.wait_cycles(1)
        told = command(tmp_path, site, "doctor")
        assert (told.returncode, "Invalid key" in told.stdout) == (4, True)
        assert "copy KRAKEN's key and secret again" in " ".join(told.stdout.split())
        site.kraken_server.clear_faults()
        assert bot.stop() == 0
