"""What the live bot does as time passes: entries that follow the price, the next day's decision, runs from cron."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from live_rig import (
    COINS,
    D,
    Event,
    Exchanges,
    assert_books_equal_exchanges,
    events,
    live_snapshot,
    noon_exchanges,
    orders_sent,
    run_live,
)

BTC = D("0.00054605")
"""0.00054605 x 59994 = 32.76 = 12.6 % of $260."""


def decision(site: Exchanges) -> str:
    return f"{site.now.date() + timedelta(days=1)} 00:01 UTC."


def nothing(site: Exchanges) -> str:
    return f"Nothing is open. May sleep until the next daily decision: {decision(site)}"


def all_protected(site: Exchanges) -> str:
    return f"Every position has its stop on its venue. May sleep until the next daily decision: {decision(site)}"


def once(folder: Path, site: Exchanges, **more: str) -> list[str]:
    """The lines that a run from cron says at its end: what is open, and how long it may sleep."""
    done = run_live(folder, site, "--once", **more)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("| cycle ") == 1
    return [line.removeprefix("LIVE ") for line in done.stderr.splitlines() if line.startswith("LIVE ")]


# ---- entries


def test_live_entry_left_behind_follows_the_price_after_five_minutes(tmp_path: Path) -> None:
    with noon_exchanges(kraken_usd="0") as site:
        once(tmp_path, site)
        first = Event("placed", "buy limit", BTC, D("59994"))
        site.put("BTC", 60_300.0)
        site.pass_time(minutes=4, seconds=50)
        once(tmp_path, site)
        assert events(site.coinbase, "BTC-USD") == [first]
        site.pass_time(seconds=15)
        once(tmp_path, site)
        # The same $32.76 at the best bid of 60300 x 0.9999: 32.76 / 60294 = 0.000543337.
        moved = [Event("canceled", *first[1:]), Event("placed", "buy limit", D("0.00054333"), D("60294"))]
        assert events(site.coinbase, "BTC-USD") == [first, *moved]
        site.dip_and_return("BTC")
        once(tmp_path, site)
        assert [event.what for event in events(site.coinbase, "BTC-USD")[3:]] == ["filled", "placed"]
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry canceled": 1, "entry filled": 1, "entry open": 2, "stop open": 1}


def test_live_entry_at_coinbase_is_given_up_after_twenty_minutes(tmp_path: Path) -> None:
    with noon_exchanges(kraken_usd="0") as site:
        once(tmp_path, site)
        site.pass_time(minutes=21)
        assert once(tmp_path, site) == [nothing(site)]
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry canceled": 3}
        assert {coin["refusal"] for coin in live_snapshot(tmp_path, site)["coins"]} == {"entry_not_filled"}


def test_live_entry_at_kraken_crosses_once_after_twenty_minutes(tmp_path: Path) -> None:
    with noon_exchanges(coinbase_usd="0") as site:
        once(tmp_path, site)
        site.pass_time(minutes=21)
        assert once(tmp_path, site) == [all_protected(site)]
        # The same $32.76 at the best ask: 32.76 / 60006 = 0.000545945. Its stop at once.
        assert events(site.kraken, "XXBTZUSD")[1:] == [
            Event("canceled", "buy limit", BTC, D("59994.0")),
            Event("placed", "buy ioc", D("0.00054594"), D("60006.0")),
            Event("filled", "buy ioc", D("0.00054594"), D("60006.0")),
            Event("placed", "sell stop", D("0.00054594"), D("55441.9")),
        ]
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry canceled": 3, "entry filled": 3, "stop open": 3}


# ---- the next day


def test_live_next_days_decision_sells_what_has_lost_its_trend_and_reduces_what_has_lost_some(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "SIGNAL_ENSEMBLE=False\n", encoding="utf-8"
    )  # so that scores are counts of lookbacks
    (tmp_path / ".env").chmod(0o600)
    with noon_exchanges() as site:
        once(tmp_path, site)
        for coin in COINS:
            site.dip_and_return(coin)
        once(tmp_path, site)
        # BTC closes below every channel, ETH below five of nine, SOL where it was; all trade where they were since.
        site.next_day(BTC=20_000.0, ETH=2_500.0)
        assert once(tmp_path, site) == [all_protected(site)]
        btc, eth = D("0.00109210"), D("0.02184218")
        assert events(site.kraken, "XXBTZUSD")[3:] == [
            Event("canceled", "sell stop", btc, D("55430.8")),
            Event("placed", "sell ioc", btc, D("58794.1")),  # 2 % below the bid of 59994
            Event("filled", "sell ioc", btc, D("58794.1")),
        ]
        # 4/9 of a share that the day's fall has shrunk: $24.39 of 0.02184218 x 3000 = $65.53, so 41.138 / 3000 goes.
        assert events(site.kraken, "XETHZUSD")[3:] == [
            Event("canceled", "sell stop", eth, D("2771.54")),
            Event("placed", "sell stop", D("0.00812949"), D("2771.54")),
            Event("placed", "sell ioc", D("0.01371269"), D("2939.70")),  # 2 % below 2999.7
            Event("filled", "sell ioc", D("0.01371269"), D("2939.70")),
        ]
        assert [(coin["symbol"], coin["action"]) for coin in live_snapshot(tmp_path, site)["coins"]] == [
            ("BTC/USD", "exit"),
            ("ETH/USD", "reduce"),
            ("SOL/USD", "hold"),
        ]
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 3, "exit filled": 2, "stop canceled": 2, "stop open": 2}


# ---- from cron


def test_live_runs_from_cron_say_what_is_open_and_how_long_they_may_sleep(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        resting = [
            *(
                f"AN ENTRY RESTS: {coin}/USD on kraken, $65.52 at {price}, until {site.now:%Y-%m-%d} 12:25 UTC. "
                "What it buys by then has no stop before the next run."
                for coin, price in (("BTC", "$59,994.00"), ("ETH", "$2,999.70"), ("SOL", "$149.90"))
            ),
            "Run again soon: where an entry fills, each minute until then is one without a stop. "
            f"The next daily decision: {decision(site)}",
        ]
        assert once(tmp_path, site) == resting
        site.pass_time(minutes=4)
        assert once(tmp_path, site) == resting
        for coin in COINS:
            site.dip_and_return(coin)
        site.pass_time(minutes=4)
        assert once(tmp_path, site) == [all_protected(site)]
        assert_books_equal_exchanges(tmp_path, site)
        for coin, price in COINS.items():  # the stops, while the bot sleeps
            site.put(coin, price * 0.92)
        site.pass_time(hours=5)
        assert once(tmp_path, site) == [nothing(site)]
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 3, "stop filled": 3}


def test_live_run_from_cron_names_what_is_unprotected(tmp_path: Path) -> None:
    with noon_exchanges(kraken_usd="0") as site:
        site.coinbase_core.switches.takes_stop_limits = False
        once(tmp_path, site)
        site.dip_and_return("BTC")
        assert once(tmp_path, site) == [
            "UNPROTECTED: BTC/USD on coinbase, $32.76: its stop at $55,430.82 does not rest on the venue; the bot "
            "watches it, and only while it runs.",
            *(
                f"AN ENTRY RESTS: {coin}/USD on coinbase, $32.76 at {price}, until {site.now:%Y-%m-%d} 12:25 UTC. "
                "What it buys by then has no stop before the next run."
                for coin, price in (("ETH", "$2,999.70"), ("SOL", "$149.90"))
            ),
            "Run again at once, or keep the bot running: what is named above has nothing under it.",
        ]
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 1, "entry open": 2}
