"""What a test needs to put the unmodified client in front of the local Coinbase: key, account, client, server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from account_state import AccountState
from coinbase_catalog import FULL_SIZE, catalog
from coinbase_core import V3, CoinbaseCore, market_of
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from http_shell import ExchangeClock, ExchangeServer

from bot.venues.ccxt_loader import load_exchange_classes

NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
"""Where the clock of a site stands at first."""


class KeyFile(NamedTuple):
    """A key as the venue hands it out once: its name and the private half; the venue keeps the public half."""

    name: str
    pem: str
    public: ec.EllipticCurvePublicKey


def new_key() -> KeyFile:
    """A fresh key, worth nothing anywhere."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return KeyFile("organizations/test/apiKeys/test", pem.decode(), private.public_key())


def new_core(key: KeyFile, *, size: int = FULL_SIZE) -> CoinbaseCore:
    """A venue of so many products with an empty account, the fees of the lowest tier and no prices."""
    products = catalog(size)
    account = AccountState(
        markets=[market_of(product) for product in products.values()],
        maker_frac=Decimal("0.006"),
        taker_frac=Decimal("0.012"),
        refuse_triggered_stops=True,
    )
    return CoinbaseCore(account=account, products=products, key_name=key.name, public_key=key.public)


def new_client(base: str, key: KeyFile, now: Callable[[], datetime]) -> Any:
    """The client as it is, sent to another address; only its clock is the test's, and it does not wait."""
    client = load_exchange_classes().coinbase(
        {
            "apiKey": key.name,
            "secret": key.pem,
            "enableRateLimit": False,
            "urls": {"api": {"rest": base}},
            "options": {"fetchBalance": "v3PrivateGetBrokerageAccounts"},
        }
    )
    client.seconds = lambda: int(now().timestamp())
    client.milliseconds = lambda: int(now().timestamp() * 1000)
    return client


@dataclass(slots=True)
class Site:
    """A running venue and a client that has loaded its markets; BTC-USD is at 49999 / 50000, last 50000."""

    server: ExchangeServer
    clock: ExchangeClock
    core: CoinbaseCore
    client: Any
    key: KeyFile

    def put(self, bid: str, ask: str, last: str | None = None, symbol: str = "BTC-USD") -> None:
        self.core.account.set_price(
            symbol,
            bid=Decimal(bid),
            ask=Decimal(ask),
            last=None if last is None else Decimal(last),
            now=self.clock.now(),
        )

    def wait(self, **span: float) -> None:
        self.clock.advance(timedelta(**span))

    def fund(self, **amounts: str) -> None:
        for asset, amount in amounts.items():
            self.core.account.deposit(asset, Decimal(amount))

    def available(self, asset: str) -> Decimal:
        return self.core.account.holding(asset).available

    def last_query(self) -> str:
        return self.core.log[-1].query

    def last_configuration(self) -> Any:
        sent = [entry for entry in self.core.log if entry.method == "POST" and entry.path == f"{V3}/orders"]
        return json.loads(sent[-1].body)["order_configuration"]


@contextmanager
def running_site(*, size: int = 8) -> Iterator[Site]:
    """A venue at NOW with a new key, reached over HTTP by a client that has loaded its markets; its log is empty."""
    key, clock = new_key(), ExchangeClock(NOW)
    core = new_core(key, size=size)
    with ExchangeServer(core, clock) as server:
        client = new_client(server.url, key, clock.now)
        with closing(client.session):
            site = Site(server, clock, core, client, key)
            site.put("49999", "50000", "50000")
            client.load_markets()
            core.log.clear()
            yield site
