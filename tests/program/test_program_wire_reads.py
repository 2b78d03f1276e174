"""Every question of the bot meets every fault on the wire: nothing is sent because of it, nothing is booked wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_rig import (
    COINS,
    HTML_OK,
    D,
    Exchanges,
    Execution,
    Fault,
    FaultKind,
    Reply,
    assert_all_is_well,
    flows_in,
    live_bot,
    live_snapshot,
    noon_exchanges,
    orders_sent,
)

FAST = {"TESTS_WAIT_MAX_S": "0.25", "STRATEGY": "allocation"}
READS = {
    "coinbase": ("*/accounts", "*/historical/batch", "*/historical/fills", "*/BTC-USD/ticker"),
    "kraken": ("*/BalanceEx", "*/OpenOrders", "*/TradesHistory", "*/public/Ticker"),
}
"""Balances, orders, fills, prices."""
BALANCES, ORDERS, FILLS = 0, 1, 2
ATTEMPTS = 3
"""Of a question, before it is given up for this cycle."""


def told(status: int, body: str) -> Fault:
    return Fault(FaultKind.REPLY, Reply(status, body.encode()))


TRIED_AGAIN = (
    *(told(status, "down") for status in (502, 503)),
    Fault(FaultKind.RESET),
    Fault(FaultKind.CLOSE),
    Fault(FaultKind.SHORT_BODY, execution=Execution.FIRST),
)
FAULTS = (
    *TRIED_AGAIN,
    *(told(status, "down") for status in (429, 500, 504, 524)),
    Fault(FaultKind.HANG),
    Fault(FaultKind.DUPLICATE),
    HTML_OK,
    told(200, ""),
    told(200, "{}"),
    told(200, "[]"),
    told(200, "null"),
    told(200, '{"error":[],"result":null}'),
    told(200, '{"status":"ok","data":[1,2,3]}'),
)
ROUNDS_MAX = 12
"""Cycles in which each question must have been asked."""


def cash_at(venue: str) -> dict[str, str]:
    return {"coinbase_usd": "0", "kraken_usd": "0", f"{venue}_usd": "260"}


def orders_at(site: Exchanges) -> list[str]:
    return [order.order_id for account in (site.coinbase, site.kraken) for order in account.orders()]


@pytest.mark.parametrize("venue", ["coinbase", "kraken"])
def test_question_that_meets_a_fault_changes_nothing(tmp_path: Path, venue: str) -> None:
    with noon_exchanges(**cash_at(venue)) as site:
        site.takes_any_call = True
        server = site.server(venue)
        with live_bot(tmp_path, site, "--interval", "0.01", **FAST) as bot:
            bot.wait_cycles(1)
            for coin in COINS:
                site.dip_and_return(coin)
            bot.wait_cycles(1)
            before = orders_at(site)
            assert len(before) == 6  # three positions with their stops
            for fault in FAULTS:
                for path in READS[venue]:
                    server.inject(path, fault, count=ATTEMPTS if fault in TRIED_AGAIN else 1)
                bot.pass_time(minutes=16)  # everything is compared with the ledger again
                for _ in range(ROUNDS_MAX):
                    site.refresh()
                    bot.wait_cycles(1)
                    if not server.faults_left():
                        break
                    bot.pass_time(seconds=16)  # as long as Kraken wants to be left alone after a 429
                assert server.faults_left() == 0, fault
            bot.pass_time(minutes=16)
            site.refresh()
            bot.wait_cycles(1)
            assert orders_at(site) == before
            assert bot.stop() == 0
        assert orders_sent(tmp_path) == {"entry filled": 3, "stop open": 3}
        after = live_snapshot(tmp_path, site)
        assert (after["fresh"], after["deposits_usd"], after["findings"]) == (True, 260.0, [])
        assert flows_in(tmp_path) == [D(260)]
        assert_all_is_well(tmp_path, site)


def last_reply(site: Exchanges, venue: str, path: str) -> Fault:
    """What the venue answered last on a path, to be told again."""
    server = site.server(venue)
    with server.locked():
        found = next(e.reply for e in reversed(server.log) if e.request.path.endswith(path.lstrip("*")) and e.reply)
    return Fault(FaultKind.REPLY, found)


@pytest.mark.parametrize("what", [BALANCES, ORDERS, FILLS], ids=["balances", "orders", "fills"])
@pytest.mark.parametrize("venue", ["coinbase", "kraken"])
def test_answer_from_before_a_fill_books_nothing_wrong(tmp_path: Path, venue: str, what: int) -> None:
    path = READS[venue][what]
    with noon_exchanges(**cash_at(venue)) as site, live_bot(tmp_path, site, "--interval", "0.02", **FAST) as bot:
        bot.wait_cycles(2)
        server, old = site.server(venue), last_reply(site, venue, path)
        with server.locked():
            server.inject(path, old, count=1 if what == BALANCES else 4)
            site.dip_and_return("BTC")
        server.wait_for_faults()
        for _ in range(3):
            bot.wait_cycles(1)
            bot.pass_time(seconds=35)
            site.refresh()
        bot.wait_cycles(2)
        assert bot.stop() == 0
        assert_all_is_well(tmp_path, site)
        # Bought once, protected, and no money has come or gone.
        assert flows_in(tmp_path) == [D(260)]
        assert orders_sent(tmp_path) == {"entry filled": 1, "entry open": 2, "stop open": 1}
