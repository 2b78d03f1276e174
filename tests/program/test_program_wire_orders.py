"""Every order of an account's life meets a fault on the wire: unmodified clients, both local exchanges, the bot whole.

Each coin of a life has a fault of its own for its entry, its stops, its cancellations and its sales. In the end the
books are the exchange's to the last digit, nothing rests there that the ledger does not know, nothing was bought
twice, and what is held has its stop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from live_rig import (
    COINBASE_MARKETS,
    COINS,
    HTML_OK,
    KRAKEN_MARKETS,
    LOST_REPLY,
    Exchanges,
    Execution,
    Fault,
    FaultKind,
    LiveBot,
    Reply,
    assert_all_is_well,
    live_bot,
    live_snapshot,
    noon_exchanges,
    orders_sent,
)

STRATEGY = {"coinbase": "allocation", "kraken": "breakout"}
FAST = {"TESTS_WAIT_MAX_S": "0.25"}
"""No pause and no timeout of the client is longer than a quarter of a second."""


def told(status: int, body: str, execution: Execution = Execution.SKIPPED) -> Fault:
    content_type = "application/json" if body.startswith("{") else "text/plain"
    return Fault(FaultKind.REPLY, Reply(status, body.encode(), content_type), execution)


def kraken_error(text: str, execution: Execution = Execution.SKIPPED) -> Fault:
    return told(200, json.dumps({"error": [text]}), execution)


DONE = Execution.FIRST
LOST = {
    "timeout before": Fault(FaultKind.HANG),
    "timeout after": Fault(FaultKind.HANG, execution=DONE),
    "timeout, then it arrives": Fault(FaultKind.HANG, execution=Execution.LATE),
    "reset before": Fault(FaultKind.RESET),
    "reset after": Fault(FaultKind.RESET, execution=DONE),
    "closed after": LOST_REPLY,
    "half an answer": Fault(FaultKind.SHORT_BODY, execution=DONE),
    "sent twice": Fault(FaultKind.DUPLICATE),
    **{f"{status} before": told(status, "down") for status in (500, 503, 524)},
    **{f"{status} after": told(status, "down", DONE) for status in (500, 502, 504)},
    "empty body after": told(200, "", DONE),
    "empty object after": told(200, "{}", DONE),
    "empty object before": told(200, "{}"),
    "web page before": HTML_OK,
    "web page after": Fault(FaultKind.REPLY, HTML_OK.reply, DONE),
    "truncated JSON after": told(200, '{"success": true, "success_response": {"order_id": "', DONE),
    "no order id after": told(200, '{"success":true,"success_response":{},"error":[],"result":{}}', DONE),
    "a foreign body after": told(200, '{"status":"ok","data":[1,2,3]}', DONE),
}
"""Faults after which nobody knows what became of the request."""
NOT_PLACED: Mapping[str, Mapping[str, Fault]] = {
    "coinbase": {"429": told(429, "Too Many Requests"), "429 as JSON": told(429, '{"error":"RESOURCE_EXHAUSTED"}')},
    "kraken": {
        "429": told(429, "Too Many Requests"),
        "rate limit of the key": kraken_error("EAPI:Rate limit exceeded"),
        "rate limit of the pair": kraken_error("EOrder:Rate limit exceeded"),
        "lockout": kraken_error("EGeneral:Temporary lockout"),
        "deadline": kraken_error("EService:Deadline elapsed"),
    },
}
"""Answers after which an order was certainly not placed; the venue may want to be left alone then."""
KRAKEN_ONLY = {
    "service busy": kraken_error("EService:Busy"),
    "service unavailable after": kraken_error("EService:Unavailable", DONE),
    "service timeout after": kraken_error("EService:Timeout", DONE),
    "internal error after": kraken_error("EGeneral:Internal error", DONE),
}


def faults_of(venue: str) -> dict[str, Fault]:
    return {**LOST, **NOT_PLACED[venue], **(KRAKEN_ONLY if venue == "kraken" else {})}


def lives_of(venue: str) -> list[tuple[str, ...]]:
    """Twelve names a life, three coins with four orders each, so that each fault meets each kind of order once."""
    names = list(faults_of(venue))
    third = -(-len(names) // 3)
    return [
        tuple(names[(life + third * coin + 5 * kind) % len(names)] for coin in range(3) for kind in range(4))
        for life in range(third)
    ]


CANCEL = {"coinbase": "*/orders/batch_cancel", "kraken": "*/CancelOrder"}
PLACE = {"coinbase": "*/brokerage/orders", "kraken": "*/AddOrder"}
MARKETS = {"coinbase": COINBASE_MARKETS, "kraken": KRAKEN_MARKETS}
KINDS = ("entry", "stop", "cancel", "exit")
MARKS = {
    "coinbase": {"entry": '"side":"BUY"', "stop": "stop_limit", "exit": "sor_limit_ioc"},
    "kraken": {"entry": "type=buy", "stop": "ordertype=stop-loss", "exit": "timeinforce=IOC"},
}


class Life:
    """One account at one venue, and the faults that its coins meet."""

    def __init__(self, site: Exchanges, venue: str, names: Sequence[str]) -> None:
        self.site, self.venue = site, venue
        self.server, self.account = site.server(venue), site.account(venue)
        self.faults = [faults_of(venue)[name] for name in names]
        self.names = names
        self.markets = MARKETS[venue]

    def inject(self, kind: str, coins: Sequence[str]) -> None:
        """Let the next order of a kind for each of these coins meet the coin's fault."""
        for coin in coins:
            fault = self.faults[4 * list(COINS).index(coin) + KINDS.index(kind)]
            if kind == "cancel":
                self.server.inject(CANCEL[self.venue], fault)
            else:
                self.server.inject(PLACE[self.venue], fault, body=(self.markets[coin], MARKS[self.venue][kind]))

    def resting(self) -> list[str]:
        """Coins with an entry that rests."""
        with self.server.locked():
            found = {order.asked.symbol for order in self.account.live_orders() if order.asked.side == "buy"}
        return [coin for coin in COINS if self.markets[coin] in found]

    def come_to_rest(self, bot: LiveBot) -> None:
        """Let time pass in steps that are as long as a doubt lasts; every fault must have been met by then."""
        for _ in range(3):
            bot.wait_cycles(1)
            bot.pass_time(seconds=31)
            self.site.refresh()
        bot.wait_cycles(1)
        assert self.server.faults_left() == 0, f"not each fault was met: {self.names}"

    def sell(self, bot: LiveBot) -> None:
        """Let each coin meet a reason to be sold: its first target, or the end of its trend."""
        if self.venue == "kraken":
            for coin, price in COINS.items():
                self.site.put(coin, price * 1.08)
        else:
            bot.next_day(BTC=20_000.0, ETH=2_500.0, SOL=75.0)
            self.site.refresh()


@pytest.mark.parametrize(
    ("venue", "names"),
    [
        pytest.param(venue, names, id=f"{venue}-{number}")
        for venue in ("coinbase", "kraken")
        for number, names in enumerate(lives_of(venue))
    ],
)
def test_life_in_which_each_order_meets_a_fault_ends_with_exact_books(
    tmp_path: Path, venue: str, names: tuple[str, ...]
) -> None:
    cash = {"coinbase_usd": "0", "kraken_usd": "0", f"{venue}_usd": "520"}
    with noon_exchanges(**cash) as site:
        site.takes_any_call = True
        life = Life(site, venue, names)
        with life.server.locked():
            life.inject("entry", list(COINS))
        with live_bot(tmp_path, site, "--interval", "0.02", **FAST, STRATEGY=STRATEGY[venue]) as bot:
            life.come_to_rest(bot)
            bought = life.resting()
            certainly_not = [*NOT_PLACED[venue], "sent twice"]
            # What was lost on the way is sent again; what was refused waits for the next decision.
            assert [coin for place, coin in enumerate(COINS) if names[4 * place] not in certainly_not] == [
                coin for coin in bought if names[4 * list(COINS).index(coin)] not in certainly_not
            ]
            life.inject("stop", bought)
            for coin in COINS:
                site.dip_and_return(coin)
            life.come_to_rest(bot)
            life.inject("cancel", bought)
            life.inject("exit", bought)
            life.sell(bot)
            life.come_to_rest(bot)
            assert bot.stop() == 0
        assert_all_is_well(tmp_path, site)


@pytest.mark.parametrize("venue", ["coinbase", "kraken"])
def test_order_that_was_lost_is_shown_until_it_is_settled(tmp_path: Path, venue: str) -> None:
    cash = {"coinbase_usd": "0", "kraken_usd": "0", f"{venue}_usd": "520"}
    with noon_exchanges(**cash) as site:
        life = Life(site, venue, ["reset before"] * 12)
        life.inject("entry", ["BTC"])
        with live_bot(tmp_path, site, "--interval", "0.02", **FAST) as bot:
            bot.wait_cycles(2)
            doubtful = live_snapshot(tmp_path, site)
            assert [(f["code"], f["account"], f["blocks"]) for f in doubtful["findings"]] == [
                ("outcome_unknown", venue, False)
            ]
            assert sorted(order["state"] for order in doubtful["orders"]) == ["open", "open", "unknown"]
            assert life.resting() == ["ETH", "SOL"]
            life.come_to_rest(bot)
            settled = live_snapshot(tmp_path, site)
            assert settled["findings"] == []
            assert life.resting() == ["BTC", "ETH", "SOL"]
            assert bot.stop() == 0
        assert_all_is_well(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry open": 3}
