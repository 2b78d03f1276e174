"""A KrakenVenue in front of the local Kraken over HTTP, and what the tests of it pull and look at."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))

from account_state import AccountState
from http_shell import EMPTY_OBJECT, HTML_OK, LOST_REPLY, ExchangeClock, ExchangeServer, Execution, Fault, FaultKind
from kraken_catalog import TRADED_PAIRS, Pair, full_size_pairs
from kraken_core import ClientIdRule, KrakenCore, LoggedRequest, SystemStatus
from kraken_keys import BOT_RIGHTS, ApiKey
from venue_helpers import HOUR, D, KeptCopy
from wire import json_reply

from bot.domain.account import FeeSchedule
from bot.domain.market import Candle
from bot.venues.ccxt_calls import Caller
from bot.venues.ccxt_loader import load_exchange_classes
from bot.venues.kraken_venue import KrakenVenue, definite, kraken_client

NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
KEY = "test-key"
SECRET = base64.b64encode(bytes(range(64))).decode()
WORST_FEES = FeeSchedule(maker_frac=D("0.004"), taker_frac=D("0.008"), origin="worst published", is_fallback=True)
OTHER_PRICES = {
    "XETHZUSD": "50",
    "SOLUSD": "10",
    "XBTUSDC": "100",
    "ETHUSDC": "50",
    "SOLUSDC": "10",
    "USDCUSD": "1",
    "USDTZUSD": "1",
}


def answer(result: object) -> Fault:
    """A whole answer, written by the test."""
    return Fault(FaultKind.REPLY, json_reply({"error": [], "result": result}))


def complaint(*texts: str) -> Fault:
    """An answer of Kraken's that is an error; nothing was done."""
    return Fault(FaultKind.REPLY, json_reply({"error": list(texts)}))


@dataclass
class KrakenBench:
    """1,000 USD at a Kraken of eight pairs, BTC at 100 (bid 99.9, ask 100.1), and an adapter on it."""

    core: KrakenCore
    clock: ExchangeClock
    server: ExchangeServer
    copy: KeptCopy = field(default_factory=KeptCopy)
    pauses: list[float] = field(default_factory=list)
    clients: list[Any] = field(default_factory=list)
    ahead: timedelta = timedelta(0)
    """How far the adapter's clock is ahead of the venue's."""
    venue: KrakenVenue = field(init=False)

    def __post_init__(self) -> None:
        self.venue = self.new_venue()

    @property
    def account(self) -> AccountState:
        return self.core.account

    @property
    def client(self) -> Any:
        """The client of the newest adapter."""
        return self.clients[-1]

    def now(self) -> datetime:
        return self.clock.now() + self.ahead

    def new_venue(
        self,
        *,
        has_key: bool = True,
        key: str = KEY,
        secret: str = SECRET,
        coins: Sequence[str] = ("BTC", "ETH", "SOL"),
        allow_unknown_rights: bool = False,
    ) -> KrakenVenue:
        classes = load_exchange_classes()
        if not has_key:
            key = secret = ""
        client = kraken_client(classes, url=self.server.url, key=key, secret=secret, rate_limited=False)
        self.clients.append(client)
        caller = Caller(
            account="kraken",
            client=client,
            errors=classes.errors,
            secrets=(key, secret),
            definite=definite,
            pause=self.pauses.append,
        )
        return KrakenVenue(
            account="kraken",
            caller=caller,
            coins=coins,
            own_fees=None,
            fallback_fees=WORST_FEES,
            copy=self.copy,
            now=self.now,
            has_key=has_key,
            allow_unknown_rights=allow_unknown_rights,
        )

    def ready(self) -> KrakenVenue:
        """The venue after its first questions; the log is empty."""
        self.venue.balances()
        self.core.log.clear()
        return self.venue

    def restarted(self) -> KrakenVenue:
        self.venue = self.new_venue()
        return self.venue

    # ---- the market

    def put(self, price: str, pair: str = "XXBTZUSD") -> None:
        """One tick of BTC around a price at which it has just traded."""
        with self.server.locked():
            middle, step = D(price), D("0.1")
            self.account.set_price(pair, bid=middle - step, ask=middle + step, last=middle, now=self.clock.now())

    def trade_at(self, price: str) -> None:
        self.clock.advance(timedelta(minutes=1))
        self.put(price)

    def hours_at(self, *prices: str) -> None:
        now_ms = int(self.clock.now().timestamp() * 1000)
        first_ms = -(-now_ms // HOUR) * HOUR
        for number, price in enumerate(prices):
            flat = float(price)
            self.account.add_candle("XXBTZUSD", "1h", Candle(first_ms + number * HOUR, flat, flat, flat, flat, 1.0))
        self.clock.advance(timedelta(milliseconds=first_ms + len(prices) * HOUR - now_ms) + timedelta(seconds=30))
        self.put(prices[-1])

    # ---- what went over the wire

    def asked(self, call: str) -> list[LoggedRequest]:
        """Requests of one call that reached the core, oldest first."""
        return [logged for logged in self.core.log if logged.path.endswith(f"/{call}")]

    def forms(self, call: str) -> list[str]:
        """Bodies of a private call without the nonce."""
        return [logged.body.partition("&")[2] for logged in self.asked(call)]

    def sent_to(self, call: str) -> int:
        """Requests of one call that arrived at all, those that met a fault too."""
        return sum(exchanged.request.path.endswith(f"/{call}") for exchanged in self.server.log)


@contextmanager
def kraken_bench(*, usd: str = "1000", pairs: Sequence[Pair] = TRADED_PAIRS) -> Iterator[KrakenBench]:
    core = KrakenCore(keys=[ApiKey(key=KEY, secret=SECRET)], pairs=pairs)
    core.fees_listed = False
    if D(usd):
        core.account.deposit("ZUSD", D(usd))
    clock = ExchangeClock(NOW)
    with ExchangeServer(core, clock) as server:
        bench = KrakenBench(core, clock, server)
        try:
            bench.put("100")
            for pair, price in OTHER_PRICES.items():
                bench.put(price, pair)
            yield bench
        finally:
            for client in bench.clients:
                client.session.close()


__all__ = [
    "BOT_RIGHTS",
    "EMPTY_OBJECT",
    "HTML_OK",
    "KEY",
    "LOST_REPLY",
    "NOW",
    "SECRET",
    "WORST_FEES",
    "ClientIdRule",
    "Execution",
    "Fault",
    "FaultKind",
    "KeptCopy",
    "KrakenBench",
    "SystemStatus",
    "answer",
    "complaint",
    "full_size_pairs",
    "kraken_bench",
]
