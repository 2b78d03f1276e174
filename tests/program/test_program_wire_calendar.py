"""Midnight and the end of a month while nobody runs; a machine's clock that is wrong by hours in one run of several."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from live_rig import (
    COINS,
    Exchanges,
    assert_all_is_well,
    exchanges,
    live_snapshot,
    machine_time,
    noon_exchanges,
    orders_sent,
    run_live,
)

FAST = {"TESTS_WAIT_MAX_S": "0.5", "STRATEGY": "allocation"}


def decisions(folder: Path) -> dict[str, int]:
    """Decisions by day of their bar."""
    with sqlite3.connect(folder / "ledger.sqlite3") as connection:
        rows = connection.execute(
            "SELECT date(bar_ms / 1000, 'unixepoch'), count(*) FROM decisions GROUP BY 1 ORDER BY 1"
        ).fetchall()
    connection.close()
    return dict(rows)


def once(folder: Path, site: Exchanges, **more: str) -> str:
    site.refresh()
    done = run_live(folder, site, "--once", **FAST, **more)
    assert done.returncode in (0, 4), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def orders_at(site: Exchanges) -> list[str]:
    return [order.order_id for account in (site.coinbase, site.kraken) for order in account.orders()]


def test_month_that_ends_while_nobody_runs_is_decided_once_and_starts_a_new_day(tmp_path: Path) -> None:
    now = machine_time()
    first = (now.replace(day=1, hour=12, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)
    last = first - timedelta(days=1)
    if last < now:
        last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    with exchanges(coinbase_usd="0", ahead=last - now) as site:
        once(tmp_path, site)
        for coin in COINS:
            site.dip_and_return(coin)
        once(tmp_path, site)
        before = live_snapshot(tmp_path, site)
        assert before["today_pnl_usd"] < 0  # the fees of three purchases
        yesterday = last - timedelta(days=1)
        assert decisions(tmp_path) == {f"{yesterday:%Y-%m-%d}": 3}
        site.next_day()
        for _ in range(2):
            once(tmp_path, site)
            assert decisions(tmp_path) == {f"{yesterday:%Y-%m-%d}": 3, f"{last:%Y-%m-%d}": 3}
        after = live_snapshot(tmp_path, site)
        assert (after["today_pnl_usd"], after["profit_usd"]) == (0.0, before["profit_usd"])
        site.next_day()
        site.next_day()  # a whole day that nobody saw: only the newest bar is decided
        once(tmp_path, site)
        newest = last + timedelta(days=2)
        assert decisions(tmp_path) == {
            f"{yesterday:%Y-%m-%d}": 3,
            f"{last:%Y-%m-%d}": 3,
            f"{newest:%Y-%m-%d}": 3,
        }
        assert_all_is_well(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 3, "stop open": 3}


def cash_at(venue: str) -> dict[str, str]:
    return {"coinbase_usd": "0", "kraken_usd": "0", f"{venue}_usd": "260"}


def run_with_wrong_clock(folder: Path, site: Exchanges, hours: int) -> None:
    """Three positions with their stops, and then a run whose clock is wrong: it decides nothing and sends nothing."""
    once(folder, site)
    for coin in COINS:
        site.dip_and_return(coin)
    once(folder, site)
    decided, sent = decisions(folder), orders_at(site)
    assert (sum(decided.values()), len(sent)) == (3, 6)
    wrong = site.ahead + timedelta(hours=hours)
    once(folder, site, TESTS_CLOCK_AHEAD_S=str(wrong.total_seconds()))
    site.pass_time(minutes=1)
    once(folder, site)
    assert (decisions(folder), orders_at(site)) == (decided, sent)
    assert_all_is_well(folder, site)


@pytest.mark.parametrize(("venue", "hours"), [("coinbase", 13), ("kraken", -3)])
def test_clock_that_is_wrong_in_one_run_decides_and_sends_nothing_twice(tmp_path: Path, venue: str, hours: int) -> None:
    with noon_exchanges(**cash_at(venue)) as site:
        site.takes_any_call = True
        run_with_wrong_clock(tmp_path, site, hours)
        site.next_day()
        for _ in range(2):
            once(tmp_path, site)
            assert sum(decisions(tmp_path).values()) == 6
        assert live_snapshot(tmp_path, site)["fresh"]
        assert_all_is_well(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 3, "stop open": 3}


def test_clock_that_was_ahead_and_is_right_again_has_every_venue_answer(tmp_path: Path) -> None:
    with noon_exchanges(**cash_at("kraken")) as site:
        site.takes_any_call = True
        run_with_wrong_clock(tmp_path, site, 3)
        assert live_snapshot(tmp_path, site)["fresh"]
