"""The life of one live account in front of both local exchanges, chapter by chapter: `bot.py run --live`."""

from __future__ import annotations

import json
from pathlib import Path

from live_rig import (
    COINS,
    D,
    Event,
    Exchanges,
    LiveBot,
    assert_books_equal_exchanges,
    book_in,
    events,
    live_bot,
    live_snapshot,
    noon_exchanges,
    orders_sent,
)

BREAKOUT = {"STRATEGY": "breakout"}
BTC, ETH, SOL = D("0.00109210"), D("0.02184218"), D("0.43709139")
"""What is bought of each: 0.0010921 x 59994 = 65.52 = 12.6 % of $520 each, on Kraken, whose fees are lower."""

ENTRY_AND_STOP = [
    Event("placed", "buy limit", BTC, D("59994.0")),
    Event("filled", "buy limit", BTC, D("59994.0")),
    # Two ATR of 19 per mille of the price (2 % of prices up to two weeks old) below the entry.
    Event("placed", "sell stop", BTC, D("57712.4")),
]
# R = 59994 - 57712.4 = 2281.6: targets at 59994 + 1.8, 3 and 5 R = 64100.88, 66838.8 and 71402.
# A third is 0.33 x 109210 = 36039 lots; the stop for the other 73171 rests before they are sold.
# Break-even: 59994 x (1 + 0.0025) / (1 - 0.0040) = 60385.53, up to the tick of 0.1.
FIRST_TARGET = [
    Event("canceled", "sell stop", BTC, D("57712.4")),
    Event("placed", "sell stop", D("0.00073171"), D("60385.6")),
    Event("placed", "sell ioc", D("0.00036039"), D("63112.0")),  # 2 % below the bid of 64400
    Event("filled", "sell ioc", D("0.00036039"), D("63112.0")),
]
SECOND_TARGET = [
    Event("canceled", "sell stop", D("0.00073171"), D("60385.6")),
    Event("placed", "sell stop", D("0.00037132"), D("60385.6")),
    Event("placed", "sell ioc", D("0.00036039"), D("65660.0")),  # 2 % below 67000
    Event("filled", "sell ioc", D("0.00036039"), D("65660.0")),
]
LAST_TARGET = [
    Event("canceled", "sell stop", D("0.00037132"), D("60385.6")),
    Event("placed", "sell ioc", D("0.00037132"), D("70070.0")),  # 2 % below 71500
    Event("filled", "sell ioc", D("0.00037132"), D("70070.0")),
]


def put_bid(site: Exchanges, coin: str, bid: int) -> None:
    """Let a coin's best bid be this: 1 bp below the middle."""
    site.put(coin, round(bid / 0.9999, 1))
    book = site.kraken.book("XXBTZUSD")
    assert coin == "BTC"
    assert book is not None
    assert book.bid == bid, book


def tiers(folder: Path) -> list[str]:
    state = json.loads((folder / ".auto_scaling_state.json").read_text())
    return [f"{change['from_tier']} -> {change['to_tier']}" for change in state["upgrade_history"]]


def test_live_account_through_its_whole_life_equals_the_exchanges(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        with live_bot(tmp_path, site, **BREAKOUT) as bot:
            bot.wait_cycles(1)  # entries rest, $260 on each venue
            assert [order.asked.post_only for order in site.live_orders()] == [True, True, True]
            for coin in COINS:
                site.dip_and_return(coin)
            bot.wait_cycles(1)
            assert events(site.kraken, "XXBTZUSD") == ENTRY_AND_STOP
            put_bid(site, "BTC", 64_400)  # a rise above the first target
            bot.wait_cycles(1)
            assert events(site.kraken, "XXBTZUSD") == ENTRY_AND_STOP + FIRST_TARGET
            bot.kill()  # in the middle of it all
        assert_books_equal_exchanges(tmp_path, site)
        put_bid(site, "BTC", 67_000)  # above the second, while nobody looks
        with live_bot(tmp_path, site, **BREAKOUT) as bot:
            bot.wait_cycles(1)
            assert events(site.kraken, "XXBTZUSD") == ENTRY_AND_STOP + FIRST_TARGET + SECOND_TARGET
            site.put("ETH", 2_880.0)  # two ATR lower: its stop, on the venue
            bot.wait_cycles(1)
            assert events(site.kraken, "XETHZUSD")[-2:] == [
                Event("placed", "sell stop", ETH, D("2885.62")),
                Event("filled", "sell stop", ETH, D("2885.62")),
            ]
            put_bid(site, "BTC", 71_500)
            bot.wait_cycles(1)
            assert events(site.kraken, "XXBTZUSD") == ENTRY_AND_STOP + FIRST_TARGET + SECOND_TARGET + LAST_TARGET
            assert bot.stop() == 0
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {
            "entry filled": 3,
            "exit filled": 3,
            "stop canceled": 3,
            "stop filled": 1,
            "stop open": 1,
        }
        book = book_in(tmp_path)
        # BTC: sold for 0.00036039 x (64400 + 67000) + 0.00037132 x 71500 = 73.904626, bought for 65.5194474. ETH: sold
        # at the bid of 2879.7, bought at 2999.7: 0.02184218 x -120 = -2.6210616.
        assert [(trade.symbol, trade.gross_pnl) for trade in book.trades] == [
            ("ETH/USD", D("-2.62106160")),
            ("BTC/USD", D("8.38517860")),
        ]
        assert [(symbol, p.quantity) for (_, symbol), p in book.positions.items()] == [("SOL/USD", SOL)]


def seen_twice(bot: LiveBot) -> None:
    """Let the bot look at its balances, and again half a minute later."""
    bot.wait_cycles(1)
    bot.pass_time(seconds=31)
    bot.wait_cycles(1)


def test_live_account_with_transfers_moves_its_tier_and_equals_the_exchanges(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        with live_bot(tmp_path, site, **BREAKOUT) as bot:
            bot.wait_cycles(1)
            for coin in COINS:
                site.dip_and_return(coin)
            bot.wait_cycles(1)  # equity 520 - 3 x 65.52 x 0.0025 of fees = 519.51
            site.withdraw("coinbase", "25.50")  # 4.9 %: less than what is looked at as a transfer
            seen_twice(bot)
            site.withdraw("coinbase", "24")  # 4.9 % of 494; leaves 470, below 0.95 x 500
            seen_twice(bot)
            bot.wait_for("ADVANCED -> GROWTH")
            site.deposit("kraken", "40")
            seen_twice(bot)
            bot.wait_for("GROWTH -> ADVANCED")
            assert bot.stop() == 0
        assert_books_equal_exchanges(tmp_path, site)
        after = live_snapshot(tmp_path, site)
        # 520 - 25.50 - 24 + 40
        assert (after["tier"], after["deposits_usd"]) == ("ADVANCED", 510.5)
        assert tiers(tmp_path) == ["None -> ADVANCED", "ADVANCED -> GROWTH", "GROWTH -> ADVANCED"]
        with live_bot(tmp_path, site, **BREAKOUT) as bot:
            bot.wait_cycles(1)
            site.withdraw("coinbase", "200")  # 39 %: perhaps on its way to the other venue
            seen_twice(bot)
            bot.kill()
        assert_books_equal_exchanges(tmp_path, site)
        # The tier is frozen at $310: it waits for the other end of the transfer.
        assert (live_snapshot(tmp_path, site)["tier"], len(tiers(tmp_path))) == ("ADVANCED", 3)
        site.deposit("kraken", "199")  # arrives, less a fee of the network
        with live_bot(tmp_path, site, **BREAKOUT) as bot:
            seen_twice(bot)
            assert bot.stop() == 0
        assert_books_equal_exchanges(tmp_path, site)
        after = live_snapshot(tmp_path, site)
        assert (after["tier"], after["deposits_usd"]) == ("ADVANCED", 509.5)
        assert tiers(tmp_path)[3:] == []
        # Nothing of all this is profit or loss, but for the fees of 3 x 0.1638; and no order came of it.
        assert round(after["profit_usd"], 6) == -0.4914
        assert orders_sent(tmp_path) == {"entry filled": 3, "stop open": 3}


def test_live_entry_filled_in_two_parts_has_each_protected_at_once(tmp_path: Path) -> None:
    half = D("0.00054605")  # of 0.00109210
    with noon_exchanges() as site:
        with live_bot(tmp_path, site) as bot:
            bot.wait_cycles(1)
            site.kraken.fill_partly("XXBTZUSD", D("0.5"))
            site.dip_and_return("BTC")  # the dip fills a half, the return nothing
            bot.wait_cycles(1)
            # Allocation: four ATR.
            part = [Event("placed", "buy limit", BTC, D("59994.0")), Event("placed", "sell stop", half, D("55430.8"))]
            assert events(site.kraken, "XXBTZUSD") == part
            site.dip_and_return("BTC")
            bot.wait_cycles(1)
            assert events(site.kraken, "XXBTZUSD") == [
                *part,
                Event("filled", "buy limit", BTC, D("59994.0")),
                Event("canceled", "sell stop", half, D("55430.8")),
                Event("placed", "sell stop", BTC, D("55430.8")),
            ]
            assert bot.stop() == 0
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 1, "entry open": 2, "stop canceled": 1, "stop open": 1}
