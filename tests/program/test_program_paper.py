"""`run --paper`: play money on what the exchanges tell everybody, without a key and without a private request."""

from __future__ import annotations

import signal
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from live_rig import COINBASE_MARKETS, KRAKEN_MARKETS, KRAKEN_SECRET, exchanges, machine_time, noon_exchanges
from paper_rig import (
    EQUITY,
    cycle,
    paper_cash,
    paper_session,
    private_requests,
    public,
    requests_made,
    snapshot_in,
    wait_for,
)
from program_rig import HOUR_MS, NOWHERE, assert_fails, bot, running
from terminal_rig import terminal

from http_shell import Fault, FaultKind  # isort: skip  tests/exchange is on the path since live_rig

from bot.domain.market import Candle
from bot.domain.snapshot import Snapshot

D = Decimal
FAST = ("run", "--paper", "--interval", "0.1")
DEAD = Fault(FaultKind.CLOSE)
ALWAYS = 1_000_000

# The hybrid sizer without results: 30 % x 0 + 40 % x 18 % + 30 % x 18 % = 12.6 % of $520 = $65.52 a coin, at Kraken,
# which is cheaper. At the bid of 59,994: 65.52 / 59,994 = 0.00109210.
BTC_BOUGHT = D("0.00109210")
# 0.00109210 x 59,994 = 65.51944740, and 0.40 % of it 0.26207779: 260 - both
CASH_AFTER_BUYING = D("194.21847481")
# At 48,000 the bid is 47,995.2: 0.00109210 x 47,995.2 = 52.41555792, less 0.80 % = 0.41932447 of fee
CASH_AFTER_STOP = D("246.21470826")


def holds_btc(snapshot: Snapshot) -> bool:
    held = [(p["account"], p["symbol"], p["quantity"]) for p in snapshot["positions"] if p["stop_resting"]]
    return held == [("kraken", "BTC/USD", f"{BTC_BOUGHT:f}")]


def has_three_entries(snapshot: Snapshot) -> bool:
    return [order["purpose"] for order in snapshot["orders"]] == ["entry"] * 3


def is_flat_after_trading(snapshot: Snapshot) -> bool:
    return not snapshot["positions"] and snapshot["fees_usd"] > 0


def test_paper_buys_on_a_dip_restarts_and_is_stopped_out_without_a_private_request(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        # Keys are there, and --paper does not touch them.
        with running(tmp_path, *FAST, **site.settings(PAPER_EQUITY=EQUITY)) as program:
            wait_for(tmp_path, program, has_three_entries)
            site.put("BTC", 59_700)
            bought = wait_for(tmp_path, program, holds_btc)
            assert bought["trading_mode"] == "PAPER"
            assert paper_cash(tmp_path) == {"coinbase": D(260), "kraken": CASH_AFTER_BUYING}
            program.signal(signal.SIGTERM)
            assert program.wait() == 0
            lines = program.err.splitlines()
        assert lines[:2] == [
            "PAPER, no real orders: --paper.",
            "PAPER: live prices of coinbase, kraken, play money, nothing is sent anywhere.",
        ]
        assert [line for line in lines[2:-1] if "PAPER" not in line] == []
        assert lines[-1] == f"Ended cleanly; the account is kept in {tmp_path.resolve() / 'paper'}."
        # Another start goes on with the account, whatever PAPER_EQUITY says now.
        with running(tmp_path, *FAST, **public(site, PAPER_EQUITY="9000")) as program:
            program.wait_for_cycles(2)
            again = snapshot_in(tmp_path)
            assert again is not None
            assert again["at"] > bought["at"], (again["at"], bought["at"])
            assert holds_btc(again)
            assert paper_cash(tmp_path)["kraken"] == CASH_AFTER_BUYING
            site.put("BTC", 48_000)
            wait_for(tmp_path, program, is_flat_after_trading)
        assert paper_cash(tmp_path) == {"coinbase": D(260), "kraken": CASH_AFTER_STOP}
        assert private_requests(site) == []
        assert requests_made(site) > 10
        # the exchanges' own accounts have seen nothing
        assert (site.coinbase.orders(), site.kraken.orders()) == ([], [])
    trades = bot(tmp_path, "trades", "--mode", "paper")
    assert "PAPER" in trades.stdout
    assert "BTC/USD" in trades.stdout
    # nothing of play touches the place of money
    assert {path.name for path in tmp_path.iterdir()} == {"paper", "markets", "stderr.txt", "stdout.txt"}
    secrets = (KRAKEN_SECRET.encode(), b"PRIVATE KEY")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files for secret in secrets if secret in path.read_bytes()] == []


def test_paper_once_from_a_clock_goes_on_and_says_how_long_it_may_sleep(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        first = bot(tmp_path, "run", "--paper", "--once", **public(site))
        assert (first.returncode, first.stdout) == (0, "")
        assert first.stderr.count("| cycle mode=PAPER ") == 1
        said = [line for line in first.stderr.splitlines() if line.startswith("PAPER AN ENTRY RESTS: ")]
        # 0.02184218 x 2,999.70 = 65.52 and 0.43709139 x 149.90 = 65.52
        until = f"{site.now.date()} 12:25 UTC"  # made at noon and some seconds
        assert said == [
            f"PAPER AN ENTRY RESTS: {what}, until {until}. What it buys by then has no stop before the next run."
            for what in (
                "BTC/USD on kraken, $65.52 at $59,994.00",
                "ETH/USD on kraken, $65.52 at $2,999.70",
                "SOL/USD on kraken, $65.52 at $149.90",
            )
        ]
        assert (
            "PAPER Run again soon: where an entry fills, each minute until then is one without a stop. " in first.stderr
        )
        site.put("BTC", 59_700)
        second = bot(tmp_path, "run", "--paper", "--once", **public(site))
        assert "PAPER bought 0.00109210 BTC/USD at 59994.0 on kraken (maker, fee $0.2621)" in second.stderr
        assert private_requests(site) == []
    found = snapshot_in(tmp_path)
    assert found is not None
    assert holds_btc(found)


def test_paper_after_a_pause_of_days_is_caught_up_with_what_happened_meanwhile(tmp_path: Path) -> None:
    # Nothing ran for three days, in which one hour fell through the stop and came back.
    with exchanges() as site:
        now = machine_time()
        began = now - timedelta(days=3)
        with paper_session(tmp_path, site, now=began) as (session, clock):
            assert cycle(session, clock).orders_placed == 3
            site.put("BTC", 59_700)
            assert [fill.quantity for fill in cycle(session, clock).fills] == [BTC_BOUGHT]
            site.put("BTC", 60_000)
            cycle(session, clock)
            assert session.engine.book.positions.keys() == {("kraken", "BTC/USD")}
            (stop,) = [order for order in session.engine.desk.live() if order.purpose == "stop"]
        assert stop.stop_price is not None
        first_ms = int(began.timestamp() * 1000) // HOUR_MS * HOUR_MS
        for coin, price in (("BTC", 60_000.0), ("ETH", 3_000.0), ("SOL", 150.0)):
            for account, markets in ((site.coinbase, COINBASE_MARKETS), (site.kraken, KRAKEN_MARKETS)):
                lows = [price * (0.9 if coin == "BTC" and hour == 30 else 1.0) for hour in range(72)]
                hours = [
                    Candle(first_ms + hour * HOUR_MS, price, price, low, price, 1.0) for hour, low in enumerate(lows)
                ]
                account.set_candles(markets[coin], "1h", hours)
        with paper_session(tmp_path, site, now=now) as (session, clock):
            result = cycle(session, clock)
            assert session.engine.book.positions == {}
        (sold,) = result.fills
        assert (sold.account, sold.symbol, sold.side, sold.quantity) == ("kraken", "BTC/USD", "sell", BTC_BOUGHT)
        # half of the newest spread below the stop: 6 / 60,000 = 1 bp, down to the tick of 0.1
        assert sold.price == (stop.stop_price * (1 - D("0.0001"))).quantize(D("0.1"), rounding="ROUND_DOWN")
        # in the hour in which it happened, not when the bot came back
        assert sold.at == began.replace(minute=0, second=0, microsecond=0) + timedelta(hours=31)


def test_paper_with_one_exchange_gone_goes_on_trading_on_the_other(tmp_path: Path) -> None:
    with noon_exchanges() as site, running(tmp_path, *FAST, **public(site)) as program:
        wait_for(tmp_path, program, has_three_entries)
        site.coinbase_server.inject("*", DEAD, count=ALWAYS)
        site.put("BTC", 59_700)
        found = wait_for(tmp_path, program, holds_btc)
        found = wait_for(tmp_path, program, lambda s: not all(venue["fresh"] for venue in s["venues"]))
        assert {venue["account"]: venue["fresh"] for venue in found["venues"]} == {"coinbase": False, "kraken": True}
        assert holds_btc(found)
        assert found["engine_mode"] == "ACTIVE"
        # the silent account keeps its last figures: 520 at the beginning, of which coinbase has 260
        assert {venue["account"]: venue["cash_usd"] for venue in found["venues"]}["coinbase"] == 260.0
        program.wait_for_cycles(program.cycles + 1)  # a cycle is recorded before it is logged
        (warned,) = [line for line in program.err.splitlines() if "limit unknown_venue" in line]
        assert "PAPER limit unknown_venue (coinbase: prices: NetworkError: " in warned
        assert warned.endswith(") is active: no entries there until it answers")
        site.coinbase_server.clear_faults()
        wait_for(tmp_path, program, lambda s: all(venue["fresh"] for venue in s["venues"]))


def test_paper_with_both_exchanges_gone_while_it_runs_stays_paper_and_waits(tmp_path: Path) -> None:
    with noon_exchanges() as site, running(tmp_path, *FAST, **public(site)) as program:
        before = wait_for(tmp_path, program, has_three_entries)
        for server in (site.coinbase_server, site.kraken_server):
            server.inject("*", DEAD, count=ALWAYS)
        silent = wait_for(tmp_path, program, lambda s: not any(venue["fresh"] for venue in s["venues"]))
        assert (silent["trading_mode"], silent["equity_usd"]) == ("PAPER", before["equity_usd"])
        for server in (site.coinbase_server, site.kraken_server):
            server.clear_faults()
        wait_for(tmp_path, program, lambda s: all(venue["fresh"] for venue in s["venues"]))
        assert not (tmp_path / "simulated").exists()


def test_paper_with_one_exchange_silent_from_the_start_waits_for_it_and_says_so(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        site.coinbase_server.inject("*", DEAD, count=ALWAYS)
        with running(tmp_path, *FAST, **public(site)) as program:
            waiting = wait_for(tmp_path, program, lambda _: True)
            assert waiting["engine_mode_reason"] == "waiting for coinbase to answer for the first time"
            assert waiting["orders"] == []
            site.coinbase_server.clear_faults()
            assert wait_for(tmp_path, program, has_three_entries)["engine_mode"] == "ACTIVE"


def test_paper_without_any_exchange_is_the_built_in_market_and_says_so(tmp_path: Path) -> None:
    done = bot(tmp_path, "run", "--paper", "--once")
    assert done.returncode == 0
    assert done.stderr.splitlines()[:5] == [
        "PAPER, no real orders: --paper.",
        f"No answer from coinbase: NetworkError: coinbase GET {NOWHERE}/api/v3/brokerage/time",
        f"No answer from kraken: NetworkError: kraken GET {NOWHERE}/0/public/Time",
        "No exchange can be reached, so --paper has no live prices; the built-in market is used.",
        "SIMULATED: prices are invented, an hour passes each second, money is play money, nothing is sent anywhere.",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["simulated"]


def test_start_without_any_exchange_on_a_terminal_offers_the_built_in_market(tmp_path: Path) -> None:
    question = "No exchange can be reached. Trade play money on the built-in market with invented prices? [Y/n]"
    with terminal(tmp_path, "run", "--cycles", "2", "--interval", "0") as on:
        on.read_until(lambda text: question in text)
        on.press(b"n\n")
        assert on.end() == 1
    assert "Error: no exchange can be reached; see your network, or COINBASE_API_URL, KRAKEN_API_URL" in on.text
    assert list(tmp_path.iterdir()) == []
    with terminal(tmp_path, "run", "--cycles", "2", "--interval", "0") as on:
        on.read_until(lambda text: question in text)
        on.press(b"\n")
        assert on.end() == 0
    assert "SIMULATED: prices are invented" in on.text
    assert (tmp_path / "simulated" / "ledger.sqlite3").exists()


def test_question_about_the_built_in_market_left_with_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    with terminal(tmp_path, "run") as on:
        on.interrupt("[Y/n]: ")
        assert on.end() == 130
    assert on.text.rstrip().endswith("Interrupted.")
    assert "Traceback" not in on.text
    assert list(tmp_path.iterdir()) == []


NOT_THIS_MACHINE = "https://127.0.0.2:1"
"""Answers nobody, at once, and is none of the names of this machine."""


@pytest.mark.parametrize("interval", ["0", "1", "4.99"])
def test_paper_faster_than_five_seconds_on_a_real_exchange_is_wrong_usage(tmp_path: Path, interval: str) -> None:
    with noon_exchanges() as site:
        urls = public(site, COINBASE_API_URL=NOT_THIS_MACHINE)
        done = bot(tmp_path, "run", "--paper", "--once", "--interval", interval, **urls)
    assert_fails(done, 2, f"at least 5 seconds on live prices, was {interval}", "--interval")
    assert list(tmp_path.iterdir()) == []


def test_paper_that_is_too_fast_is_refused_before_any_exchange_is_asked(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        urls = public(site, COINBASE_API_URL=NOT_THIS_MACHINE)
        for words in (("run", "--paper"), ("run",)):
            assert_fails(bot(tmp_path, *words, "--interval", "1", **urls), 2, "at least 5 seconds on live prices")
        assert requests_made(site) == 0


def test_live_faster_than_five_seconds_on_a_real_exchange_is_wrong_usage(tmp_path: Path) -> None:
    keys = {"KRAKEN_MASTER_API_KEY": "k", "KRAKEN_MASTER_API_SECRET": KRAKEN_SECRET}
    urls = {"COINBASE_API_URL": NOT_THIS_MACHINE}
    done = bot(tmp_path, "run", "--live", "--interval", "4.9", **keys, **urls)
    assert_fails(done, 2, "at least 5 seconds on live prices, was 4.9")
    assert list(tmp_path.iterdir()) == []


def test_paper_with_a_seed_is_wrong_usage(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        done = bot(tmp_path, "run", "--paper", "--once", "--seed", "3", **public(site))
    assert_fails(done, 2, "--seed: not for paper prices")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("gone", ["ledger.sqlite3", "paper_accounts.json"])
def test_paper_with_half_an_account_says_which_half_is_missing(tmp_path: Path, gone: str) -> None:
    with noon_exchanges() as site:
        assert bot(tmp_path, "run", "--paper", "--once", **public(site)).returncode == 0
        (tmp_path / "paper" / gone).unlink()
        done = bot(tmp_path, "run", "--paper", "--once", **public(site))
    assert_fails(done, 78, f"paper: {gone} is missing or empty while its counterpart is there; put a backup")
