"""What each venue lets the live bot do: money in USDC, too little of it, stops that cannot rest or did not sell."""

from __future__ import annotations

from pathlib import Path

from live_rig import (
    COINS,
    D,
    Event,
    Exchanges,
    assert_books_equal_exchanges,
    command,
    events,
    live_bot,
    live_snapshot,
    noon_exchanges,
    orders_sent,
    run_live,
)

BTC = D("0.00054605")
"""0.00054605 x 59994 = 32.76 = 12.6 % of $260."""

ENTRY_AND_STOP = [
    Event("placed", "buy limit", BTC, D("59994")),
    Event("filled", "buy limit", BTC, D("59994")),
    Event("placed", "sell stop", BTC, D("55430.82")),  # four ATR of 19 per mille lower
]


def refusals(folder: Path, site: Exchanges) -> dict[str, str]:
    return {coin["symbol"]: coin["refusal"] for coin in live_snapshot(folder, site)["coins"]}


def test_live_money_in_usdc_at_coinbase_buys_there_and_comes_back_as_usdc(tmp_path: Path) -> None:
    with noon_exchanges(coinbase_usd="0", kraken_usd="0") as site:
        site.deposit("coinbase", "260", "USDC")
        site.put_usdc("1.0000")
        with live_bot(tmp_path, site) as bot:
            bot.wait_cycles(1)
            site.dip_and_return("BTC")
            bot.wait_cycles(1)
            assert events(site.coinbase, "BTC-USDC") == ENTRY_AND_STOP
            assert events(site.coinbase, "BTC-USD") == events(site.kraken, "XBTUSDC") == []
            site.put("BTC", 55_000.0)
            bot.wait_cycles(1)
            assert bot.stop() == 0
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 1, "entry open": 2, "stop filled": 1}
        venues = {venue["account"]: venue["cash_by_asset"] for venue in live_snapshot(tmp_path, site)["venues"]}
        assert set(venues["coinbase"]) == {"USDC"}


def test_live_money_in_usdc_off_its_peg_at_kraken_is_not_spent(tmp_path: Path) -> None:
    with noon_exchanges(coinbase_usd="0", kraken_usd="0") as site:
        site.deposit("kraken", "260", "USDC")
        site.put_usdc("0.9900")
        done = run_live(tmp_path, site, "--once", PRIMARY_BROKER="KRAKEN", SECONDARY_BROKER="COINBASE")
        assert done.returncode == 0, done.stderr
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {}
        assert refusals(tmp_path, site) == dict.fromkeys(("BTC/USD", "ETH/USD", "SOL/USD"), "quote_off_peg")
        assert live_snapshot(tmp_path, site)["equity_usd"] == 257.4  # 260 x 0.99


def test_live_kraken_below_its_minimum_is_counted_and_takes_no_entry(tmp_path: Path) -> None:
    with noon_exchanges(kraken_usd="20") as site:
        with live_bot(tmp_path, site) as bot:
            bot.wait_cycles(1)
            for coin in COINS:
                site.dip_and_return(coin)
            bot.wait_cycles(1)
            assert bot.stop() == 0
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 3, "stop open": 3}
        assert site.kraken.orders() == []
        found = live_snapshot(tmp_path, site)
        assert [(venue["account"], venue["dormant"]) for venue in found["venues"]] == [
            ("coinbase", False),
            ("kraken", True),
        ]
        assert (found["tier"], found["deposits_usd"]) == ("GROWTH", 280.0)


def test_live_fall_through_the_room_of_a_stop_limit_is_sold_by_the_bot(tmp_path: Path) -> None:
    with noon_exchanges(kraken_usd="0") as site:
        with live_bot(tmp_path, site) as bot:
            bot.wait_cycles(1)
            site.dip_and_return("BTC")
            bot.wait_cycles(1)
            site.put("BTC", 52_000.0)  # in one step below the trigger of 55430.8 and the limit 5 % below it
            bot.wait_cycles(2)
            assert events(site.coinbase, "BTC-USD") == ENTRY_AND_STOP
            bot.kill()
        assert_books_equal_exchanges(tmp_path, site)
        site.pass_time(seconds=40)  # longer than a reached stop may rest
        with live_bot(tmp_path, site) as bot:
            bot.wait_cycles(1)
            assert bot.stop() == 0
        assert_books_equal_exchanges(tmp_path, site)
        # At most 2 % below the bid of 52000 x 0.9999 = 51994.8.
        assert events(site.coinbase, "BTC-USD")[3:] == [
            Event("canceled", "sell stop", BTC, D("55430.82")),
            Event("placed", "sell ioc", BTC, D("50954.90")),
            Event("filled", "sell ioc", BTC, D("50954.90")),
        ]
        assert orders_sent(tmp_path) == {"entry filled": 1, "entry open": 2, "stop canceled": 1, "exit filled": 1}


def test_live_stop_that_cannot_rest_is_watched_and_shown_as_such(tmp_path: Path) -> None:
    with noon_exchanges(kraken_usd="0") as site:
        site.coinbase_core.switches.takes_stop_limits = False
        with live_bot(tmp_path, site) as bot:
            bot.wait_cycles(1)
            site.dip_and_return("BTC")
            bot.wait_cycles(1)
            watched = command(tmp_path, site, "status").stdout
            assert bot.stop() == 0
        assert "watched by the bot only, not resting" in watched
        assert_books_equal_exchanges(tmp_path, site)
        [position] = live_snapshot(tmp_path, site)["positions"]
        assert (position["stop_watched"], position["stop_resting"]) == (True, False)
        assert "NOT on the venue, and no bot runs: nothing protects it" in command(tmp_path, site, "status").stdout
        site.put("BTC", 55_000.0)
        with live_bot(tmp_path, site) as bot:
            bot.wait_cycles(1)
            assert bot.stop() == 0
        assert events(site.coinbase, "BTC-USD") == [
            *ENTRY_AND_STOP[:2],
            Event("placed", "sell ioc", BTC, D("53894.61")),  # 2 % below the bid of 55000 x 0.9999 = 54994.5
            Event("filled", "sell ioc", BTC, D("53894.61")),
        ]
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 1, "entry open": 2, "exit filled": 1}
