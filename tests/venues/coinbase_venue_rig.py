"""A CoinbaseVenue in front of the local Coinbase over HTTP, and what the tests of it pull and look at."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))

from account_state import AccountState
from coinbase_core import V3, CoinbaseCore, LogEntry
from coinbase_rig import NOW, KeyFile, new_core, new_key
from http_shell import ExchangeClock, ExchangeServer
from venue_helpers import BTC, HOUR, D, KeptCopy

from bot.domain.account import FeeSchedule
from bot.domain.market import Candle
from bot.venues.ccxt_calls import Caller
from bot.venues.ccxt_loader import load_exchange_classes
from bot.venues.coinbase_venue import CoinbaseVenue, coinbase_client, definitely_not_placed, plain_words

WORST_FEES = FeeSchedule(maker_frac=D("0.006"), taker_frac=D("0.012"), origin="worst published", is_fallback=True)
HALF_SPREAD = D("0.0005")


@dataclass
class CoinbaseBench:
    """1,000 USD at a venue of eight products, BTC at 100 (bid 99.95, ask 100.05), and an adapter on it."""

    server: ExchangeServer
    clock: ExchangeClock
    core: CoinbaseCore
    key: KeyFile
    copy: KeptCopy
    pauses: list[float]
    open_clients: list[Any]
    venue: CoinbaseVenue = field(init=False)
    caller: Caller = field(init=False)

    def __post_init__(self) -> None:
        self.restarted()

    def now(self) -> datetime:
        return self.clock.now()

    def new_venue(
        self,
        *,
        has_key: bool = True,
        secret: str = "",
        own_fees: FeeSchedule | None = None,
        allow_unknown_rights: bool = False,
        coins: Sequence[str] = ("BTC", "ETH", "SOL"),
    ) -> CoinbaseVenue:
        key, pem = (self.key.name, secret or self.key.pem) if has_key else ("", "")
        classes = load_exchange_classes()
        client = coinbase_client(classes, url=self.server.url, key=key, secret=pem, rate_limited=False)
        client.seconds = lambda: int(self.now().timestamp())
        client.milliseconds = lambda: int(self.now().timestamp() * 1000)
        self.open_clients.append(client)
        self.caller = Caller(
            account="coinbase",
            client=client,
            errors=classes.errors,
            secrets=[key, pem],
            definite=definitely_not_placed,
            tell=plain_words,
            pause=self.pauses.append,
        )
        return CoinbaseVenue(
            account="coinbase",
            caller=self.caller,
            coins=coins,
            own_fees=own_fees,
            fallback_fees=WORST_FEES,
            copy=self.copy,
            now=self.now,
            has_key=has_key,
            allow_unknown_rights=allow_unknown_rights,
        )

    def restarted(self) -> CoinbaseVenue:
        """A new adapter that knows its markets and its key; the log is empty."""
        self.venue = self.new_venue()
        self.venue.instruments()
        self.venue.check_key()
        self.core.log.clear()
        return self.venue

    # ---- the market

    @property
    def account(self) -> AccountState:
        return self.core.account

    def put(self, price: str, product: str = "BTC-USD") -> None:
        """Bid and ask 5 bp around a price at which it has just traded."""
        middle = D(price)
        cent = D("0.01")
        bid = (middle * (1 - HALF_SPREAD)).quantize(cent)
        ask = (middle * (1 + HALF_SPREAD)).quantize(cent)
        self.account.set_price(product, bid=bid, ask=ask, last=middle, now=self.now())

    def trade_at(self, price: str) -> None:
        self.wait(minutes=1)
        self.put(price)

    def hours_at(self, *prices: str) -> None:
        now_ms = int(self.now().timestamp() * 1000)
        first_ms = -(-now_ms // HOUR) * HOUR
        for number, price in enumerate(prices):
            at = float(price)
            self.account.add_candle("BTC-USD", "1h", Candle(first_ms + number * HOUR, at, at, at, at, 1.0))
        self.clock.advance(timedelta(milliseconds=first_ms + len(prices) * HOUR - now_ms) + timedelta(seconds=30))
        self.put(prices[-1])

    def wait(self, **span: float) -> None:
        self.clock.advance(timedelta(**span))

    # ---- what went over the wire

    def asked(self, path: str) -> list[LogEntry]:
        """Requests to a path below the version, oldest first."""
        return [entry for entry in self.core.log if entry.path == f"{V3}/{path}"]

    def bodies(self, path: str = "orders") -> list[Any]:
        return [json.loads(entry.body) for entry in self.asked(path) if entry.method == "POST"]

    def deposit(self, **amounts: str) -> None:
        for asset, amount in amounts.items():
            self.account.deposit(asset, Decimal(amount))


@contextmanager
def coinbase_bench(*, usd: str = "1000", size: int = 8) -> Iterator[CoinbaseBench]:
    key, clock = new_key(), ExchangeClock(NOW)
    core = new_core(key, size=size)
    clients: list[Any] = []
    with ExchangeServer(core, clock) as server:
        try:
            bench = CoinbaseBench(server, clock, core, key, KeptCopy(), [], clients)
            if D(usd):
                bench.deposit(USD=usd)
            bench.put("100")
            yield bench
        finally:
            for client in clients:
                with closing(client.session):
                    pass


__all__ = ["BTC", "WORST_FEES", "CoinbaseBench", "KeptCopy", "coinbase_bench"]
