"""The whole program in front of a local Coinbase and a local Kraken.

The clocks of both exchanges and of every bot that a test starts run together: with this machine's time, or so far
ahead of it as a test lets time pass between two starts of the bot. From noon on, no test meets midnight by chance.
"""

from __future__ import annotations

import base64
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, NamedTuple

from program_rig import BOT, DAY_MS, SECONDS_MAX, bot, environment, pause

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))

from account_state import AccountState, ExchangeOrder, Kind, TimeInForce
from coinbase_core import CoinbaseCore
from coinbase_rig import KeyFile, new_core, new_key
from http_shell import HTML_OK, LOST_REPLY, ExchangeClock, ExchangeServer, Execution, Fault, FaultKind
from kraken_core import KrakenCore
from kraken_keys import ApiKey
from wire import Reply

from bot.books.book import Book
from bot.domain.market import Candle
from bot.domain.orders import FINAL_STATES
from bot.storage.ledger import SqliteLedger

D = Decimal
COINS = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0}
COINBASE_MARKETS = {"BTC": "BTC-USD", "ETH": "ETH-USD", "SOL": "SOL-USD"}
KRAKEN_MARKETS = {"BTC": "XXBTZUSD", "ETH": "XETHZUSD", "SOL": "SOLUSD"}
KRAKEN_USDC_MARKETS = {"BTC": "XBTUSDC", "ETH": "ETHUSDC", "SOL": "SOLUSDC"}
KRAKEN_SECRET = base64.b64encode(bytes(range(64))).decode()
KRAKEN_KEY = "local-kraken-key"
DAYS = 420
CLOCK = Path(__file__).with_name("shifted_clock")


class Event(NamedTuple):
    """An order that reached an exchange's book, or left it: ``canceled``, ``filled``."""

    what: str
    kind: str
    """``buy limit``, ``buy ioc``, ``sell stop``, ``sell ioc``."""
    quantity: Decimal
    price: Decimal | None
    """The trigger of a stop, else the limit."""


def events(account: AccountState, symbol: str) -> list[Event]:
    """Everything that an exchange did with the orders of one market, in the order in which it did it."""
    found: list[tuple[datetime, int, Event]] = []
    for number, order in enumerate(account.orders()):
        if order.asked.symbol != symbol:
            continue
        asked = order.asked
        kind, price = f"{asked.side} {_kind(order)}", asked.stop_price or asked.limit_price
        assert asked.quantity is not None
        found.append((order.created_at, 2 * number, Event("placed", kind, asked.quantity, price)))
        if order.ended_at is not None:
            found.append((order.ended_at, 2 * number + 1, Event(order.status.value, kind, asked.quantity, price)))
    return [event for _, _, event in sorted(found, key=lambda row: row[:2])]


def _kind(order: ExchangeOrder) -> str:
    if order.asked.stop_price is not None:
        return "stop"
    assert order.asked.kind is Kind.LIMIT, "the bot sends no market orders"
    return "ioc" if order.asked.time_in_force is TimeInForce.IOC else "limit"


def rising_days(price: float, now: datetime, *, days: int = DAYS) -> list[Candle]:
    """Closed daily bars up to yesterday's, rising by 0.4 % a day to ``price``, 2 % wide: a trend with an ATR of 2 %."""
    today_ms = int(now.timestamp() * 1000) // DAY_MS * DAY_MS
    closes = [price / 1.004 ** (back - 1) for back in range(days, 0, -1)]
    return [day_bar(today_ms - (days - i) * DAY_MS, close / 1.004, close) for i, close in enumerate(closes)]


def day_bar(open_ms: int, before: float, close: float) -> Candle:
    """A day that went from ``before`` to ``close``, and 1.9 % below the lower of the two."""
    return Candle(open_ms, before, max(before, close) * 1.001, min(before * 1.004, close) * 0.981, close, 1000.0)


@dataclass
class Exchanges:
    """Two venues; ``coinbase`` and ``kraken`` are their accounts."""

    coinbase_server: ExchangeServer
    kraken_server: ExchangeServer
    coinbase_core: CoinbaseCore
    kraken_core: KrakenCore
    key: KeyFile
    ahead: timedelta
    """Of this machine's clock; the same for both exchanges and every bot."""
    prices: dict[str, float] = field(default_factory=lambda: dict(COINS))
    takes_any_call: bool = False
    """Whether calls with an old nonce or token may come: a box in between repeats one, or lets it out late."""

    @property
    def coinbase(self) -> AccountState:
        return self.coinbase_core.account

    @property
    def kraken(self) -> AccountState:
        return self.kraken_core.account

    def settings(self, **more: str) -> dict[str, str]:
        """Environment of a bot that trades on both."""
        return {
            "COINBASE_API_URL": self.coinbase_server.url,
            "KRAKEN_API_URL": self.kraken_server.url,
            "COINBASE_API_KEY": self.key.name,
            "COINBASE_API_SECRET": self.key.pem,
            "KRAKEN_MASTER_API_KEY": KRAKEN_KEY,
            "KRAKEN_MASTER_API_SECRET": KRAKEN_SECRET,
            **self._clock(),
            **more,
        }

    def _clock(self) -> dict[str, str]:
        if not self.ahead:
            return {}
        return {"PYTHONPATH": str(CLOCK), "TESTS_CLOCK_AHEAD_S": str(self.ahead.total_seconds())}

    def put(self, coin: str, price: float) -> None:
        """Let a coin trade at a price on both venues: 2 bp between bid and ask."""
        self.prices[coin] = price
        for server, account, markets in (
            (self.coinbase_server, self.coinbase, COINBASE_MARKETS),
            (self.kraken_server, self.kraken, KRAKEN_MARKETS),
        ):
            with server.locked():
                step = D("0.1")
                middle = D(str(price)).quantize(step, ROUND_HALF_EVEN)
                half = max(step, (middle * D("0.0001")).quantize(step, ROUND_HALF_EVEN))
                now = server.clock.now()
                account.set_price(markets[coin], bid=middle - half, ask=middle + half, last=middle, now=now)
                # At Coinbase one book under two names, at Kraken one of its own.
                other = f"{coin}-USDC" if account is self.coinbase else KRAKEN_USDC_MARKETS[coin]
                account.set_price(other, bid=middle - half, ask=middle + half, last=middle, now=now)

    def put_usdc(self, price: str) -> None:
        """Let Kraken trade USDC for dollars at a price."""
        with self.kraken_server.locked():
            bid, now = D(price), self.kraken_server.clock.now()
            self.kraken.set_price("USDCUSD", bid=bid, ask=bid + D("0.0001"), last=bid, now=now)

    def refresh(self) -> None:
        """Let every coin trade again where it is: its price is of now."""
        for coin, price in list(self.prices.items()):
            self.put(coin, price)

    @property
    def now(self) -> datetime:
        return self.coinbase_server.clock.now()

    def pass_time(self, **span: float) -> None:
        """Let time pass for both exchanges, and for every bot that starts from now on: none may run."""
        self.coinbase_server.clock.advance(timedelta(**span))
        self.ahead += timedelta(**span)

    def next_day(self, hour: int = 12, **closes: float) -> None:
        """Let today end with these closes (of BTC, ETH, SOL; else where the coin trades now); it is ``hour`` then."""
        today = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        for coin, price in self.prices.items():
            for server, account, markets in (
                (self.coinbase_server, self.coinbase, COINBASE_MARKETS),
                (self.kraken_server, self.kraken, KRAKEN_MARKETS),
            ):
                with server.locked():
                    before = account.candles(markets[coin], "1d", now=self.now)[-2].close
                    bar = day_bar(int(today.timestamp() * 1000), before, closes.get(coin, price))
                    account.add_candle(markets[coin], "1d", bar)
        self.pass_time(seconds=(today + timedelta(days=1, hours=hour) - self.now).total_seconds())

    def deposit(self, venue: str, amount: str, asset: str = "USD") -> None:
        with self.server(venue).locked():
            self.account(venue).deposit(self._wire(venue, asset), D(amount))

    def withdraw(self, venue: str, amount: str, asset: str = "USD") -> None:
        with self.server(venue).locked():
            self.account(venue).withdraw(self._wire(venue, asset), D(amount))

    def server(self, venue: str) -> ExchangeServer:
        return {"coinbase": self.coinbase_server, "kraken": self.kraken_server}[venue]

    def account(self, venue: str) -> AccountState:
        return {"coinbase": self.coinbase, "kraken": self.kraken}[venue]

    @staticmethod
    def _wire(venue: str, asset: str) -> str:
        return "ZUSD" if (venue, asset) == ("kraken", "USD") else asset

    def dip_and_return(self, coin: str) -> None:
        """Let the price fall half a percent and come back: what rests at the best bid is filled."""
        price = self.prices[coin]
        self.put(coin, price * 0.995)
        self.put(coin, price)

    def live_orders(self) -> list[ExchangeOrder]:
        found: list[ExchangeOrder] = []
        for server, account in ((self.coinbase_server, self.coinbase), (self.kraken_server, self.kraken)):
            with server.locked():
                found += account.live_orders()
        return found


@contextmanager
def exchanges(
    *, coinbase_usd: str = "260", kraken_usd: str = "260", size: int = 12, ahead: timedelta = timedelta(0)
) -> Iterator[Exchanges]:
    """Both venues, so far ahead of this machine's time, every coin in a rising trend, with so much cash."""
    key, clock = new_key(), ExchangeClock.running(ahead)
    coinbase = new_core(key, size=size)
    kraken = KrakenCore(keys=[ApiKey(key=KRAKEN_KEY, secret=KRAKEN_SECRET)])
    kraken.fees_listed = False
    if D(coinbase_usd):
        coinbase.account.deposit("USD", D(coinbase_usd))
    if D(kraken_usd):
        kraken.account.deposit("ZUSD", D(kraken_usd))
    with ExchangeServer(coinbase, clock) as one, ExchangeServer(kraken, clock) as other:
        site = Exchanges(one, other, coinbase, kraken, key, ahead)
        now = clock.now()
        for coin, price in COINS.items():
            bars = rising_days(price, now)
            coinbase.account.set_candles(COINBASE_MARKETS[coin], "1d", bars)
            kraken.account.set_candles(KRAKEN_MARKETS[coin], "1d", bars)
            site.put(coin, price)
        site.put_usdc("0.9999")
        yield site
    if site.takes_any_call:
        return
    # Whatever the clocks did: every token was of its time, every nonce above the one before.
    assert [entry.refusal for entry in coinbase.log if entry.refusal] == []
    assert [error for entry in kraken.log for error in entry.errors if error.startswith("EAPI:")] == []


def noon_exchanges(*, coinbase_usd: str = "260", kraken_usd: str = "260") -> AbstractContextManager[Exchanges]:
    """Both venues from noon of tomorrow on: the day's decision is due, and midnight is far."""
    now = machine_time()
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return exchanges(coinbase_usd=coinbase_usd, kraken_usd=kraken_usd, ahead=noon - now)


class LiveBot:
    """`bot.py run --live` in the background."""

    def __init__(self, folder: Path, site: Exchanges, *arguments: str, **more: str) -> None:
        self.folder = folder
        self._site = site
        self._clock_file = folder.with_name(f"{folder.name}.clock")
        self._log = folder / "stderr.txt"
        self._from = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as err:
            self.process = subprocess.Popen(
                [*BOT, "run", "--live", *arguments],
                cwd=folder,
                env=environment(**site.settings(TESTS_CLOCK_FILE=str(self._clock_file), **more)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )

    @property
    def err(self) -> str:
        """What this process has written so far."""
        return self._log.read_bytes()[self._from :].decode()

    @property
    def cycles(self) -> int:
        """Complete cycles so far, by the log."""
        return self.err.count("| cycle ")

    def pass_time(self, **span: float) -> None:
        """Let time pass for both exchanges and this bot, which has begun its first cycle: in one jump."""
        self._site.pass_time(**span)
        self.set_clock(self._site.ahead)

    def next_day(self, hour: int = 12, **closes: float) -> None:
        """Let today end for both exchanges and this bot."""
        self._site.next_day(hour, **closes)
        self.set_clock(self._site.ahead)

    def set_clock(self, ahead: timedelta) -> None:
        """Put this bot's clock alone."""
        self._clock_file.write_text(str(ahead.total_seconds()), encoding="ascii")
        self.process.send_signal(signal.SIGUSR1)

    def wait_cycles(self, count: int) -> None:
        """Let so many more cycles begin and end: the next one to end may have begun before the call."""
        target = self.cycles + count + 1
        ends = time.monotonic() + SECONDS_MAX
        while self.cycles < target:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.err}"
            assert time.monotonic() < ends, f"only {self.cycles} cycles:\n{self.err}"
            pause(0.02)

    def wait_for(self, words: str) -> None:
        """Let it run until it has written something, and until that cycle has ended."""
        ends = time.monotonic() + SECONDS_MAX
        while words not in self.err.rpartition("| cycle ")[0]:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.err}"
            assert time.monotonic() < ends, f"never wrote {words!r}:\n{self.err}"
            pause(0.02)

    def kill(self) -> None:
        """End it at any line of its program."""
        self.process.kill()
        self.process.wait(SECONDS_MAX)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS_MAX)


@contextmanager
def live_bot(folder: Path, site: Exchanges, *arguments: str, **more: str) -> Iterator[LiveBot]:
    """A bot on a fast clock (`--interval 0.1`) that is gone at the end of the block."""
    bot = LiveBot(folder, site, *(arguments or ("--interval", "0.1")), **more)
    try:
        yield bot
    finally:
        if bot.process.poll() is None:
            bot.process.kill()
        bot.process.wait(SECONDS_MAX)


def command(folder: Path, site: Exchanges, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Any command to its end, with the settings and in the time of a bot that trades here."""
    return bot(folder, *arguments, **site.settings(**more))


def run_live(folder: Path, site: Exchanges, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`bot.py run --live` to its end."""
    return command(folder, site, "run", "--live", *arguments, **more)


def live_snapshot(folder: Path, site: Exchanges) -> dict[str, Any]:
    """The account as `status --json` tells it."""
    done = command(folder, site, "status", "--mode", "live", "--json")
    assert done.returncode in (0, 4), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["snapshot"]
    return found


def book_in(folder: Path) -> Book:
    """The books as the ledger has them."""
    with _ledger(folder) as ledger:
        book = Book()
        for event in ledger.book_events():
            book.apply(event)
        return book


def flows_in(folder: Path) -> list[Decimal]:
    """Cash that came and went from outside, as the ledger has it."""
    with _ledger(folder) as ledger:
        return [flow.amount for flow in ledger.flows()]


def _ledger(folder: Path) -> SqliteLedger:
    return SqliteLedger(folder / "ledger.sqlite3", durable=False)


def assert_books_equal_exchanges(folder: Path, site: Exchanges) -> None:
    """Cash, coins, fills and resting orders of the books are the exchanges' own, to the last digit."""
    book = book_in(folder)
    with _ledger(folder) as ledger:
        fills, live = ledger.fills(), ledger.live_orders()
    assets = {
        "coinbase": (site.coinbase, {"USD": "USD", "USDC": "USDC"}, {coin: coin for coin in COINS}),
        "kraken": (site.kraken, {"USD": "ZUSD", "USDC": "USDC"}, {"BTC": "XXBT", "ETH": "XETH", "SOL": "SOL"}),
    }
    for name, (account, cash, coins) in assets.items():
        for asset, wire in cash.items():
            assert book.cash.get((name, asset), D(0)) == account.holding(wire).total, (name, asset)
        for coin, wire in coins.items():
            held = sum(
                (p.quantity for (a, s), p in book.positions.items() if a == name and s.startswith(f"{coin}/")), D(0)
            )
            assert held == account.holding(wire).total, (name, coin)
        ours = sorted((f.quantity, f.price, f.fee, f.side, f.liquidity) for f in fills if f.account == name)
        assert ours == sorted((f.quantity, f.price, f.fee, f.side, f.liquidity) for f in account.fills()), name
        assert sorted((o.client_order_id, o.filled_quantity) for o in live if o.account == name) == sorted(
            (o.asked.client_id, o.filled) for o in account.live_orders()
        ), name


def assert_no_order_is_lost_or_doubled(folder: Path, site: Exchanges) -> None:
    """Every order at a venue is one of the ledger, by its id; no id was executed twice; nobody doubts any."""
    with _ledger(folder) as ledger:
        for name, account in (("coinbase", site.coinbase), ("kraken", site.kraken)):
            executed: dict[str, int] = {}
            for order in account.orders():
                known = ledger.order(order.asked.client_id)
                assert known is not None, f"{name} has an order that the ledger lacks: {order}"
                assert (known.side, known.quantity) == (order.asked.side, order.asked.quantity), (known, order)
                executed[known.client_order_id] = executed.get(known.client_order_id, 0) + bool(order.filled)
                assert order.is_live <= known.is_live, f"an orphan rests on {name}: {order} is {known.state}"
            assert [one for one, times in executed.items() if times > 1] == [], name
        resting = {"open", "partly_filled"}
        assert [o for o in ledger.live_orders() if o.state not in FINAL_STATES and o.state not in resting] == []


def assert_positions_are_protected(folder: Path, site: Exchanges) -> None:
    """One live stop of the whole size for each position."""
    for (name, symbol), position in book_in(folder).positions.items():
        account, markets = {
            "coinbase": (site.coinbase, COINBASE_MARKETS),
            "kraken": (site.kraken, KRAKEN_MARKETS),
        }[name]
        market = markets[symbol.partition("/")[0]]
        sells = [
            (order.asked.stop_price is not None, order.remaining)
            for order in account.live_orders()
            if order.asked.symbol == market and order.asked.side == "sell"
        ]
        assert sells == [(True, position.quantity)], (name, symbol, sells)


def assert_all_is_well(folder: Path, site: Exchanges) -> None:
    """What must be true in the end, whatever happened on the way."""
    assert_books_equal_exchanges(folder, site)
    assert_no_order_is_lost_or_doubled(folder, site)
    assert_positions_are_protected(folder, site)
    log = folder / "stderr.txt"
    assert not log.exists() or "Traceback" not in log.read_text(encoding="utf-8")


def orders_sent(folder: Path) -> Mapping[str, int]:
    """Orders by purpose and final state, from the ledger file."""
    with sqlite3.connect(f"file:{folder / 'ledger.sqlite3'}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT purpose || ' ' || state, count(*) FROM orders_now GROUP BY 1").fetchall()
    connection.close()
    return dict(rows)


def machine_time() -> datetime:
    return datetime.now(tz=UTC)  # noqa: TID251  from which all clocks of these tests run ahead


__all__ = [
    "COINBASE_MARKETS",
    "COINS",
    "HTML_OK",
    "KRAKEN_KEY",
    "KRAKEN_MARKETS",
    "KRAKEN_SECRET",
    "LOST_REPLY",
    "D",
    "Event",
    "Exchanges",
    "Execution",
    "Fault",
    "FaultKind",
    "LiveBot",
    "Reply",
    "assert_all_is_well",
    "assert_books_equal_exchanges",
    "book_in",
    "command",
    "day_bar",
    "events",
    "exchanges",
    "flows_in",
    "live_bot",
    "live_snapshot",
    "machine_time",
    "noon_exchanges",
    "orders_sent",
    "rising_days",
    "run_live",
]
