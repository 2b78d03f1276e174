"""SIGTERM while an exchange keeps the bot waiting: it ends, says so, and loses nothing."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from live_rig import (
    Exchanges,
    Fault,
    FaultKind,
    assert_all_is_well,
    live_bot,
    noon_exchanges,
    orders_sent,
)
from program_rig import pause

BALANCES = {"coinbase": "*/accounts", "kraken": "*/BalanceEx"}
SILENT = Fault(FaultKind.HANG)


def cash_at(venue: str) -> dict[str, str]:
    return {"coinbase_usd": "0", "kraken_usd": "0", f"{venue}_usd": "260"}


def finish(folder: Path, site: Exchanges) -> None:
    """Start again and let what is in doubt be settled."""
    with live_bot(folder, site, "--interval", "0.02", TESTS_WAIT_MAX_S="0.25") as bot:
        for _ in range(3):
            bot.wait_cycles(1)
            bot.pass_time(seconds=35)
            site.refresh()
        bot.wait_cycles(1)
        assert bot.stop() == 0
    assert_all_is_well(folder, site)


def test_sigterm_during_a_timeout_of_ten_seconds_ends_after_it_and_loses_nothing(tmp_path: Path) -> None:
    with noon_exchanges(**cash_at("kraken")) as site:
        site.kraken_server.inject("*/AddOrder", SILENT, body=("XXBTZUSD", "type=buy"))
        with live_bot(tmp_path, site) as bot:
            site.kraken_server.wait_for_faults()  # it has been sent, and no answer comes
            began = time.monotonic()
            bot.process.send_signal(signal.SIGTERM)
            assert bot.process.wait(60) == 0
            assert time.monotonic() - began < 12
            assert "UNKNOWN: the outcome of the entry order for BTC/USD on kraken" in bot.err
            assert bot.err.splitlines()[-1].startswith("Ended cleanly; the account is kept in ")
        finish(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry open": 3}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("venue", ["coinbase", "kraken"])
def test_sigterm_while_no_question_is_answered_ends_after_few_requests(tmp_path: Path, venue: str, times: int) -> None:
    with noon_exchanges(**cash_at(venue)) as site:
        server = site.server(venue)
        with live_bot(tmp_path, site, "--interval", "0.02", TESTS_WAIT_MAX_S="0.3") as bot:
            bot.wait_cycles(1)
            server.inject("*", SILENT, count=1000)
            asked = len(server.log)
            while len(server.log) == asked:
                pause(0.01)
            for _ in range(times):
                bot.process.send_signal(signal.SIGTERM)
            assert bot.process.wait(60) == 0
            assert len(server.log) - asked <= 4, [entry.request.path for entry in list(server.log)[asked:]]
            assert "Traceback" not in bot.err
            assert "Ended cleanly" in bot.err
        server.clear_faults()
        finish(tmp_path, site)


def test_second_ctrl_c_while_no_question_is_answered_ends_at_once(tmp_path: Path) -> None:
    with noon_exchanges(**cash_at("kraken")) as site:
        with live_bot(tmp_path, site, "--interval", "0.02") as bot:
            bot.wait_cycles(1)
            site.kraken_server.inject(BALANCES["kraken"], SILENT)
            site.kraken_server.wait_for_faults()
            began = time.monotonic()
            bot.process.send_signal(signal.SIGINT)
            pause(0.1)  # two signals that come together are one
            bot.process.send_signal(signal.SIGINT)
            assert bot.process.wait(60) == 130
            assert time.monotonic() - began < 3
            assert "Traceback" not in bot.err
        finish(tmp_path, site)
