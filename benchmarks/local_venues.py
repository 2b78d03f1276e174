"""Coinbase and Kraken of the tests, with as many markets as the real ones, for a bot in another process."""

# ruff: noqa: E402 - the imports of the local exchanges have to wait for the path

from __future__ import annotations

import base64
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path

from measure import PYTHON, ROOT, Process

sys.path[:0] = [str(ROOT), str(ROOT / "tests/exchange")]

import certifi
from account_state import AccountState
from coinbase_catalog import FULL_SIZE
from coinbase_rig import new_core, new_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from http_shell import ExchangeClock, ExchangeServer
from kraken_core import KrakenCore
from kraken_keys import ApiKey
from wire import Core, Reply, Request

from bot.domain.market import TIMEFRAME_MS, Candle

AS_REAL = """
import sys
root, authorities = sys.argv[1:3]
del sys.argv[1:3]
sys.path.insert(0, root)
import requests.adapters
requests.adapters.DEFAULT_CA_BUNDLE_PATH = authorities
import bot.bootstrap_live
bot.bootstrap_live.LOOPBACK_HOSTS = frozenset()
from bot.cli.main import main
main()
"""
"""The command line with two constants changed: no address is this machine's, and one more authority is known."""

CASH_USD = Decimal(260)
DAYS = 420
PRICES = {"BTC": Decimal(60_000), "ETH": Decimal(3_000), "SOL": Decimal(150)}
PRODUCTS = {
    "coinbase": {coin: (f"{coin}-USD", f"{coin}-USDC") for coin in PRICES},
    "kraken": {"BTC": ("XXBTZUSD", "XBTUSDC"), "ETH": ("XETHZUSD", "ETHUSDC"), "SOL": ("SOLUSD", "SOLUSDC")},
}
"""In dollars and in USDC."""
DIP = Decimal("0.995")
STABLE_PAIR = "USDCUSD"
"""At Kraken, whose cash in USDC is worth what this pair says."""


class RealWay:
    """TLS to exchanges that take a while to answer, and the client's rate limiter on."""

    def __init__(self, folder: Path, *, answer_s: float) -> None:
        self._answer_s = answer_s
        self._pem = folder / "exchange.pem"
        self.authorities = folder / "authorities.pem"
        certificate, key = _certificate()
        self._pem.write_bytes(certificate + key)
        self.authorities.write_text(certifi.contents() + certificate.decode(), encoding="ascii")

    def lay(self, server: ExchangeServer) -> str:
        """Move an exchange to the far end; gives its new address."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._pem)
        server.core = _FarCore(server.core, self._answer_s)
        # The shell speaks plain HTTP only; its listening socket keeps its number.
        server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
        return server.url.replace("http://", "https://")


class _FarCore:
    """An exchange each of whose answers takes so long."""

    def __init__(self, core: Core, seconds: float) -> None:
        self._core = core
        self._seconds = seconds

    def handle(self, request: Request, now: datetime) -> Reply:
        time.sleep(self._seconds)  # noqa: TID251  stands for the network, in a thread of the exchange
        return self._core.handle(request, now)


def _certificate() -> tuple[bytes, bytes]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "local exchange")])
    now = datetime.now(tz=UTC)  # noqa: TID251  the client checks it against the machine's time
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(encoding), private


@dataclass(frozen=True, slots=True)
class Venues:
    """Both exchanges, and an empty folder for a bot that trades on them."""

    servers: dict[str, ExchangeServer]
    accounts: dict[str, AccountState]
    settings: dict[str, str]
    way: RealWay | None
    folder: Path

    def bot(self, *arguments: str, **settings: str) -> Process:
        """Start `run --live` with prices of now; nothing of this machine's environment goes with it."""
        self.trade()
        way = [str(ROOT / "bot.py")] if self.way is None else ["-c", AS_REAL, str(ROOT), str(self.way.authorities)]
        environ = {"PATH": os.defpath, "HOME": os.devnull, "LANG": "C.UTF-8", "LIVE_TRADING": "True"}
        return Process(
            [PYTHON, *way, "run", "--live", *arguments],
            cwd=self.folder,
            environ={**environ, **self.settings, **settings},
        )

    def trade(self) -> None:
        """Let every coin dip and come back: what rests at the best bid is filled, and the prices are of now."""
        for venue, server in self.servers.items():
            account = self.accounts[venue]
            with server.locked():
                now = server.clock.now()
                if venue == "kraken":
                    account.set_price(STABLE_PAIR, bid=Decimal("0.9999"), ask=Decimal(1), now=now)
                for coin, price in PRICES.items():
                    for middle in (price * DIP, price):
                        for product in PRODUCTS[venue][coin]:
                            half = Decimal("0.1")
                            account.set_price(product, bid=middle - half, ask=middle + half, last=middle, now=now)

    def requests(self) -> dict[str, int]:
        """How many each exchange has had."""
        return {venue: len(server.log) for venue, server in self.servers.items()}

    def resting(self) -> int:
        """Orders that rest at the exchanges."""
        return sum(len(account.live_orders()) for account in self.accounts.values())


@contextmanager
def full_size_venues(way: RealWay | None) -> Iterator[Venues]:
    """Both with all their markets, $260 and every coin in a rising trend; ``way`` None: at hand, by plain HTTP."""
    key, secret = new_key(), base64.b64encode(bytes(64)).decode()
    coinbase, kraken = new_core(key, size=FULL_SIZE), KrakenCore(keys=[ApiKey(key="local", secret=secret)])
    coinbase.account.deposit("USD", CASH_USD)
    kraken.account.deposit("ZUSD", CASH_USD)
    accounts = {"coinbase": coinbase.account, "kraken": kraken.account}
    clock = ExchangeClock.running()
    for venue, account in accounts.items():
        for coin, price in PRICES.items():
            account.set_candles(PRODUCTS[venue][coin][0], "1d", _rising_days(float(price), clock.now()))
    with ExitStack() as stack:
        servers = {
            "coinbase": stack.enter_context(ExchangeServer(coinbase, clock)),
            "kraken": stack.enter_context(ExchangeServer(kraken, clock)),
        }
        urls = {venue: server.url if way is None else way.lay(server) for venue, server in servers.items()}
        settings = {
            "COINBASE_API_URL": urls["coinbase"],
            "COINBASE_API_KEY": key.name,
            "COINBASE_API_SECRET": key.pem,
            "KRAKEN_API_URL": urls["kraken"],
            "KRAKEN_MASTER_API_KEY": "local",
            "KRAKEN_MASTER_API_SECRET": secret,
        }
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        yield Venues(servers, accounts, settings, way, Path(folder))


def _rising_days(price: float, now: datetime) -> list[Candle]:
    """Daily bars up to yesterday's, rising by 0.4 % a day to ``price`` and 2 % wide."""
    day_ms = TIMEFRAME_MS["1d"]
    today_ms = int(now.timestamp() * 1000) // day_ms * day_ms
    bars = []
    for back in range(DAYS, 0, -1):
        close = price / 1.004 ** (back - 1)
        bars.append(Candle(today_ms - back * day_ms, close / 1.004, close * 1.001, close * 0.981, close, 1000.0))
    return bars
