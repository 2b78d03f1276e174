"""Both real adapters over their local exchanges in one process, with a history, and every answer open to change."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "soak"))
sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))

import direct_line
from account_state import AccountState, ExchangeFill
from coinbase_core import CoinbaseCore
from coinbase_rig import new_core, new_key
from json_mutants import STATUSES, mutated_body
from kraken_catalog import TRADED_PAIRS
from kraken_core import KrakenCore
from kraken_keys import ApiKey
from soak_site import KRAKEN_KEY, KRAKEN_SECRET
from wire import Core, Reply, Request

from bot.domain.account import FeeSchedule
from bot.domain.market import MS_PER_DAY, Candle
from bot.domain.orders import Order, OrderType, Purpose, Side
from bot.ports import Accepted
from bot.venues.ccxt_calls import Caller
from bot.venues.ccxt_hooks import MarketCopy
from bot.venues.ccxt_loader import load_exchange_classes
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.coinbase_venue import CoinbaseVenue, coinbase_client, definitely_not_placed, plain_words
from bot.venues.kraken_venue import KrakenVenue, definite, kraken_client

D = Decimal
NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
AFTER_HISTORY = NOW + timedelta(minutes=5)
"""Where each question begins: within an hour of the fills, so long as a new adapter looks back."""
URL = "http://127.0.0.1:1"
BTC = "BTC/USD"
WORST_FEES = FeeSchedule(maker_frac=D("0.006"), taker_frac=D("0.012"), origin="worst published", is_fallback=True)
NAMES = {"coinbase": ("BTC-USD", "USD"), "kraken": ("XXBTZUSD", "ZUSD")}
"""The venue's words for the market and the dollar."""


def put_prices(account: AccountState, now: datetime) -> None:
    """Let every market trade at 100."""
    for symbol in account.markets:
        account.set_price(symbol, bid=D("99.9"), ask=D("100.1"), last=D(100), now=now)


class NoCopy:
    """Nothing is kept: every question meets the venue's own answer."""

    def save(self, markets: Sequence[Mapping[str, Any]], now: datetime) -> None:
        pass

    def load(self) -> tuple[list[dict[str, Any]], str]:
        return [], ""


@dataclass
class Broken:
    """Changes answers while it is on; ``seen`` tells how, for whoever has to find out what happened."""

    chance: random.Random
    lies: bool = True
    odds: float = 0.6
    is_on: bool = False
    is_silent: bool = False
    """The venue does not answer at all."""
    seen: list[str] = field(default_factory=list)
    told: list[bytes] = field(default_factory=list)
    """Answers as they were changed."""

    def begin(self, seed: str) -> None:
        """Change answers from now on, the same ones for the same seed."""
        self.chance = random.Random(seed)
        self.seen.clear()
        self.told.clear()
        self.is_on = True

    def has_said(self, text: str) -> bool:
        """Whether a changed answer holds this text, as a text: then nobody can know that it is none of the venue's."""
        return any(json.dumps(text).encode() in body for body in self.told)

    def __call__(self, request: Request, reply: Reply) -> Reply:
        if self.is_silent:
            return Reply(503, b"Service Unavailable", "text/plain")
        if not self.is_on or self.chance.random() > self.odds:
            return reply
        if self.chance.random() < 0.05:
            changed = Reply(self.chance.choice(STATUSES), reply.body, reply.content_type)
        else:
            changed = Reply(reply.status, mutated_body(reply.body, self.chance, lies=self.lies), reply.content_type)
        self.told.append(changed.body)
        self.seen.append(f"{request.method} {request.path}: {reply.body[:2000]!r} became {changed}"[:6000])
        return changed


class FuzzBench:
    """1,000 USD and a BTC at a price of 100; a resting purchase, a resting stop, three fills. The key is known."""

    def __init__(self, account: str) -> None:
        self.name = account
        self.broken = Broken(random.Random(0))
        self.moment = NOW
        self.core, self.client, self._secrets = self._built()
        self.line = direct_line.DirectLine(self.core, lambda: self.moment, self.broken)
        direct_line.connect(self.client, self.line)
        self.copy: MarketCopy = NoCopy()
        self.venue = self.new_venue()
        self.resting, self.stop = self._history()
        self.orders_made = 10

    def _built(self) -> tuple[Core, Any, tuple[str, str]]:
        classes = load_exchange_classes()
        core: CoinbaseCore | KrakenCore
        if self.name == "coinbase":
            key = new_key()
            core, secrets = new_core(key, size=8), (key.name, key.pem)
            client = coinbase_client(classes, url=URL, key=secrets[0], secret=secrets[1], rate_limited=False)
        else:
            secrets = (KRAKEN_KEY, KRAKEN_SECRET)
            core = KrakenCore(keys=[ApiKey(key=KRAKEN_KEY, secret=KRAKEN_SECRET)], pairs=TRADED_PAIRS)
            client = kraken_client(classes, url=URL, key=secrets[0], secret=secrets[1], rate_limited=False)
        market, cash = NAMES[self.name]
        core.account.deposit(cash, D(1000))
        put_prices(core.account, self.moment)
        days = [NOW_MS // MS_PER_DAY * MS_PER_DAY - back * MS_PER_DAY for back in range(30, 0, -1)]
        core.account.set_candles(market, "1d", [Candle(day, 99.0, 101.0, 98.0, 100.0, 5.0) for day in days])
        return core, client, secrets

    def refresh(self) -> None:
        """Let every market trade where it is: its price is of now."""
        put_prices(self.account, self.moment)

    @property
    def account(self) -> AccountState:
        """The account as it is."""
        return self.core.account  # type: ignore[attr-defined,no-any-return]  # both cores have one

    def new_venue(self) -> CcxtVenue:
        """An adapter that remembers nothing."""
        classes = load_exchange_classes()
        caller = Caller(
            account=self.name,
            client=self.client,
            errors=classes.errors,
            secrets=self._secrets,
            definite=definitely_not_placed if self.name == "coinbase" else definite,
            tell=plain_words if self.name == "coinbase" else str,
            pause=lambda _seconds: None,
        )
        kinds: Mapping[str, type[CcxtVenue]] = {"coinbase": CoinbaseVenue, "kraken": KrakenVenue}
        return kinds[self.name](
            account=self.name,
            caller=caller,
            coins=("BTC", "ETH", "SOL"),
            own_fees=None,
            fallback_fees=WORST_FEES,
            copy=self.copy,
            now=lambda: self.moment,
            has_key=True,
        )

    def ready(self) -> CcxtVenue:
        """An adapter that knows markets, key and prices from whole answers."""
        self.broken.is_on = self.broken.is_silent = False
        self.moment = AFTER_HISTORY
        self.refresh()
        venue = self.new_venue()
        venue.balances()
        venue.tickers()
        return venue

    def order(self, kind: str, quantity: str, *, price: str | None = None, number: int = 0) -> Order:
        order_type, side = kind.split()
        is_stop = order_type == "stop"
        return Order(
            client_order_id=f"{number:08x}-1111-4111-8111-111111111111",
            account=self.name,
            symbol=BTC,
            intent_number=1 + number,
            purpose=Purpose.ENTRY if side == "buy" else Purpose.STOP,
            side=Side(side),
            type=OrderType(order_type),
            quantity=D(quantity),
            price=None if is_stop or price is None else D(price),
            stop_price=D(price) if is_stop and price is not None else None,
            reason="fuzz",
            created_at=self.moment,
            updated_at=self.moment,
        )

    def _history(self) -> tuple[Order, Order]:
        venue = self.new_venue()
        venue.balances()
        for number, kind in enumerate(("ioc buy", "ioc buy", "ioc sell")):
            limit = {"buy": "100.1", "sell": "99.9"}[kind.split()[1]]
            self.moment += timedelta(seconds=20)
            assert isinstance(venue.submit(self.order(kind, "0.5", price=limit, number=number)), Accepted)
        resting = self.order("limit buy", "0.5", price="90", number=3)
        stop = self.order("stop sell", "0.4", price="80", number=4)
        self.moment += timedelta(seconds=20)
        for order in (resting, stop):
            assert isinstance(venue.submit(order), Accepted)
        assert len(self.account.fills()) == 3
        assert len(self.account.live_orders()) == 2
        return resting, stop

    def true_fills(self) -> dict[str, ExchangeFill]:
        """The exchange's own fills by the ids under which it tells them."""
        return {fill.fill_id if self.name == "kraken" else f"e{fill.number}": fill for fill in self.account.fills()}
