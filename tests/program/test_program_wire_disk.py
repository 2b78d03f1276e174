"""A disk that is full, a ledger that is locked or damaged, a state file that is garbage: said, and nothing is lost."""

from __future__ import annotations

import os
import resource
import sqlite3
from pathlib import Path

import pytest
from live_rig import (
    Exchanges,
    LiveBot,
    assert_all_is_well,
    live_bot,
    noon_exchanges,
    orders_sent,
    run_live,
)
from program_rig import SECONDS_MAX, assert_fails

FAST = {"TESTS_WAIT_MAX_S": "0.5", "STRATEGY": "allocation"}


def orders_at(site: Exchanges) -> list[str]:
    return [order.order_id for account in (site.coinbase, site.kraken) for order in account.orders()]


def assert_ends_with(bot: LiveBot, *words: str) -> None:
    assert bot.process.wait(SECONDS_MAX) == 1, bot.err
    assert [word for word in words if word not in bot.err.splitlines()[-1]] == [], bot.err
    assert "Traceback" not in bot.err


def goes_on(folder: Path, site: Exchanges) -> None:
    """The next start protects what was bought meanwhile, and its books are the exchange's."""
    site.refresh()
    with live_bot(folder, site, "--interval", "0.02", **FAST) as bot:
        bot.wait_cycles(2)
        bot.pass_time(seconds=35)
        site.refresh()
        bot.wait_cycles(2)
        assert bot.stop() == 0
    assert_all_is_well(folder, site)
    assert orders_sent(folder) == {"entry filled": 3, "stop open": 3}


def test_disk_that_fills_up_ends_the_bot_before_it_sends_anything(tmp_path: Path) -> None:
    with noon_exchanges(coinbase_usd="0") as site:
        with live_bot(tmp_path, site, "--interval", "0.02", **FAST) as bot:
            bot.wait_cycles(1)
            before = orders_at(site)
            assert len(before) == 3
            # No file may grow beyond a page from now on: the next write of the ledger fails.
            resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
            for coin in site.prices:
                site.dip_and_return(coin)
            assert_ends_with(bot, "ledger ledger.sqlite3")
            assert orders_at(site) == before
        goes_on(tmp_path, site)


def test_ledger_locked_by_another_program_ends_the_bot_before_it_sends_anything(tmp_path: Path) -> None:
    with noon_exchanges(coinbase_usd="0") as site:
        with live_bot(tmp_path, site, "--interval", "0.02", **FAST) as bot:
            bot.wait_cycles(1)
            other = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
            other.execute("PRAGMA busy_timeout = 5000")
            other.execute("BEGIN IMMEDIATE")
            before = orders_at(site)
            for coin in site.prices:
                site.dip_and_return(coin)
            assert_ends_with(bot, "ledger ledger.sqlite3", "locked")
            other.execute("ROLLBACK")
            other.close()
            assert orders_at(site) == before
        goes_on(tmp_path, site)


def test_damaged_ledger_is_refused_and_its_copy_goes_on(tmp_path: Path) -> None:
    with noon_exchanges(coinbase_usd="0") as site:
        with live_bot(tmp_path, site, "--interval", "0.02", **FAST) as bot:
            bot.wait_cycles(1)
            assert bot.stop() == 0
        ledger, before = tmp_path / "ledger.sqlite3", orders_at(site)
        whole = ledger.read_bytes()
        for coin in site.prices:
            site.dip_and_return(coin)
        for place in (0, 4096, len(whole) // 2 // 4096 * 4096):  # the head, the root of the schema, a table
            ledger.write_bytes(whole[:place] + b"\xff" * 512 + whole[place + 512 :])
            damaged = ledger.read_bytes()
            assert_fails(run_live(tmp_path, site, "--once", **FAST), 1, "ledger ledger.sqlite3")
            assert ledger.read_bytes() == damaged  # for whoever looks into it
            assert orders_at(site) == before
        ledger.write_bytes(whole)
        goes_on(tmp_path, site)


@pytest.mark.parametrize("text", ["", '{"current_tier": "EMPEROR"}', "\x00" * 64])
def test_unreadable_state_file_is_set_aside_and_rebuilt(tmp_path: Path, text: str) -> None:
    with noon_exchanges(coinbase_usd="0") as site:
        path = tmp_path / ".auto_scaling_state.json"
        path.write_text(text, encoding="utf-8")
        done = run_live(tmp_path, site, "--once", **FAST)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert '"current_tier": "GROWTH"' in path.read_text(encoding="utf-8")
        assert len(orders_at(site)) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with noon_exchanges(coinbase_usd="0") as site:
        folder = tmp_path / "fixed"
        folder.mkdir(mode=0o500)
        assert_fails(run_live(tmp_path, site, "--once", STATE_DIR=str(folder), **FAST), 1, "STATE_DIR")
        assert orders_at(site) == []
