"""Both exchanges in the process, on invented prices that move from minute to minute, and the live bot on them."""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

from direct_line import DirectLine, connect

from bot import bootstrap_live
from bot.bootstrap import Session, session_of
from bot.clock import StopSignal, VirtualClock
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle
from bot.settings import load_settings
from bot.storage.ledger import SqliteLedger
from bot.venues.builtin_market import HISTORY_DAYS, BuiltinMarket

# direct_line has put the folder of the exchanges on the path.
from account_state import AccountState  # isort: skip
from coinbase_core import CoinbaseCore  # isort: skip
from coinbase_rig import new_core, new_key  # isort: skip
from kraken_catalog import TRADED_PAIRS  # isort: skip
from kraken_core import KrakenCore  # isort: skip
from kraken_keys import ApiKey  # isort: skip

D = Decimal
BEGIN = datetime(2026, 11, 21, tzinfo=UTC)
SEED = 15
PRODUCTS = 12
"""Of Coinbase's list: its length shows in the time of a reload, which is once a day."""
HOUR_MS = TIMEFRAME_MS["1h"]
COINBASE_URL, KRAKEN_URL = "http://127.0.0.1:1", "http://127.0.0.1:2"
"""Nothing listens there, and nothing is sent: loopback addresses turn the client's limiter off."""
KRAKEN_KEY, KRAKEN_SECRET = "local-kraken-key", base64.b64encode(bytes(range(64))).decode()
TICKS = {"BTC": D("0.1"), "ETH": D("0.01"), "SOL": D("0.01")}
COINBASE_MARKETS = {coin: (f"{coin}-USD", f"{coin}-USDC") for coin in TICKS}
KRAKEN_MARKETS = {"BTC": ("XXBTZUSD", "XBTUSDC"), "ETH": ("XETHZUSD", "ETHUSDC"), "SOL": ("SOLUSD", "SOLUSDC")}
WIRE_NAMES: Mapping[str, Mapping[str, str]] = {
    "coinbase": {name: name for name in ("USD", "USDC", *TICKS)},
    "kraken": {"USD": "ZUSD", "USDC": "USDC", "BTC": "XXBT", "ETH": "XETH", "SOL": "SOL"},
}


WAVE_DAYS, WAVE_LOG, DRIFT_LOG_PER_DAY = 40, 0.2, 0.005
"""Length and height of the waves that the prices ride on, and how they rise beyond them."""
DIP_EVERY_DAYS, DIP_FRAC = 6, 0.2
"""So often each coin falls by so much within two hours and is back at the end of its day: what is held is stopped out,
and the trend goes on."""


class Paths:
    """Prices of every minute out of hourly bars that are invented beforehand: open, one extreme, the other, close."""

    def __init__(self, days: int, *, begin: datetime = BEGIN, seed: int = SEED) -> None:
        market = BuiltinMarket(seed=seed, start=begin)
        self._begin = begin
        self._first_ms = int(begin.timestamp() * 1000)
        last_ms = self._first_ms + (days + 2) * MS_PER_DAY
        self._turns: dict[str, array[float]] = {}
        """Four prices an hour."""
        for coin in TICKS:
            self._turns[coin] = array("d")
        for day_ms in range(self._first_ms, last_ms, MS_PER_DAY):
            for coin, turns in self._turns.items():
                for bar in market.bars(f"{coin}/USD", day_ms, day_ms + MS_PER_DAY):
                    first, second = (bar.low, bar.high) if bar.close > bar.open else (bar.high, bar.low)
                    turns.extend((bar.open, first, second, bar.close))
        since_ms = self._first_ms - HISTORY_DAYS * MS_PER_DAY
        self.days = {
            coin: [self._as_seen(coin, bar) for bar in market.closed_candles(f"{coin}/USD", "1d", since_ms, last_ms)]
            for coin in TICKS
        }

    def _wave(self, coin: str, ms: int) -> float:
        """What the invented price is multiplied by, so that trends begin and end within weeks."""
        days = (ms - self._first_ms) / MS_PER_DAY
        turn = 2 * math.pi * (days / WAVE_DAYS + list(TICKS).index(coin) / 6)
        return math.exp(WAVE_LOG * math.sin(turn) + DRIFT_LOG_PER_DAY * days)

    def _dips(self, coin: str, day: int) -> bool:
        return day >= 0 and (day + 2 * list(TICKS).index(coin)) % DIP_EVERY_DAYS == 2

    def _as_seen(self, coin: str, bar: Candle) -> Candle:
        begin, end = self._wave(coin, bar.open_ms), self._wave(coin, bar.open_ms + MS_PER_DAY)
        dip = DIP_FRAC if self._dips(coin, (bar.open_ms - self._first_ms) // MS_PER_DAY) else 0.0
        high, low = bar.high * max(begin, end), bar.low * min(begin, end) * (1 - dip)
        return Candle(bar.open_ms, bar.open * begin, high, low, bar.close * end, bar.volume)

    def price(self, coin: str, now: datetime) -> float:
        """The price of a moment: on straight lines between the turns of its hour, less the dip of its day."""
        since = now - self._begin
        hours = since.seconds / 3600
        dip = DIP_FRAC * max(0.0, min(1.0, (hours - 4) / 2, (20 - hours) / 6)) if self._dips(coin, since.days) else 0.0
        ms = int(now.timestamp() * 1000)
        return self._invented(coin, ms) * self._wave(coin, ms) * (1 - dip)

    def _invented(self, coin: str, ms: int) -> float:
        hour, in_hour_ms = divmod(ms - self._first_ms, HOUR_MS)
        leg, in_leg_ms = divmod(in_hour_ms * 3, HOUR_MS)
        before, after = self._turns[coin][4 * hour + leg : 4 * hour + leg + 2]
        return before + (after - before) * in_leg_ms / HOUR_MS


@dataclass
class Site(VirtualClock):
    """Both exchanges and the only clock: where it waits, time jumps, and the prices with it."""

    paths: Paths
    coinbase_core: CoinbaseCore
    kraken_core: KrakenCore
    environment: Mapping[str, str]
    begin: datetime = BEGIN
    lines: dict[str, DirectLine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        VirtualClock.__init__(self, self.begin)
        self.lines["coinbase"] = DirectLine(self.coinbase_core, self.now)
        self.lines["kraken"] = DirectLine(self.kraken_core, self.now)
        self.kraken_core.account.set_price("USDCUSD", bid=D("0.9999"), ask=D(1), last=D("0.9999"), now=self.now())
        self.move()

    @property
    def accounts(self) -> dict[str, AccountState]:
        """Both accounts by name."""
        return {"coinbase": self.coinbase_core.account, "kraken": self.kraken_core.account}

    def wait_until(self, moment: datetime) -> None:
        """Be at ``moment``, with its prices."""
        super().wait_until(moment)
        self.move()

    def move(self) -> None:
        """Put the prices of now, 2 bp between bid and ask; forget what was asked, which is kept for tests that look."""
        now = self.now()
        for coin, tick in TICKS.items():
            middle = D(str(self.paths.price(coin, now))) // tick * tick
            half = max(middle * D("0.0001") // tick * tick, tick)
            for account, markets in (
                (self.coinbase_core.account, COINBASE_MARKETS),
                (self.kraken_core.account, KRAKEN_MARKETS),
            ):
                for symbol in markets[coin]:
                    account.set_price(symbol, bid=middle - half, ask=middle + half, last=middle, now=now)
        self.coinbase_core.log.clear()
        self.kraken_core.log.clear()


def new_site(days: int, *, usd: str = "2500", begin: datetime = BEGIN) -> Site:
    """Both exchanges with so much cash on each, and prices for so many days."""
    key = new_key()
    paths = Paths(days, begin=begin)
    kraken = KrakenCore(keys=[ApiKey(key=KRAKEN_KEY, secret=KRAKEN_SECRET)], pairs=TRADED_PAIRS)
    kraken.fees_listed = False
    coinbase = new_core(key, size=PRODUCTS)
    coinbase.account.deposit("USD", D(usd))
    kraken.account.deposit("ZUSD", D(usd))
    for coin, bars in paths.days.items():
        coinbase.account.set_candles(COINBASE_MARKETS[coin][0], "1d", bars)
        kraken.account.set_candles(KRAKEN_MARKETS[coin][0], "1d", bars)
    environment = {
        "LIVE_TRADING": "True",
        "COINBASE_API_URL": COINBASE_URL,
        "KRAKEN_API_URL": KRAKEN_URL,
        "COINBASE_API_KEY": key.name,
        "COINBASE_API_SECRET": key.pem,
        "KRAKEN_MASTER_API_KEY": KRAKEN_KEY,
        "KRAKEN_MASTER_API_SECRET": KRAKEN_SECRET,
    }
    return Site(paths=paths, coinbase_core=coinbase, kraken_core=kraken, environment=environment, begin=begin)


@contextmanager
def live_session(site: Site, folder: Path, **more: str) -> Iterator[Session]:
    """What ``run --live`` builds, on the site's clock and lines; files are left to the operating system to write."""
    settings = load_settings(env_file=None, environ={**site.environment, "STATE_DIR": str(folder), **more})
    build = bootstrap_live._client

    def client_of(account: str, *args: Any, **kwargs: Any) -> Any:
        client = build(account, *args, **kwargs)
        connect(client, site.lines[account])
        return client

    def caller_of(*args: Any, **kwargs: Any) -> Any:
        caller = make_caller(*args, **kwargs)
        caller.pause = lambda _seconds: None
        return caller

    make_caller = bootstrap_live._caller
    stop = StopSignal()
    try:
        with mock.patch.multiple(
            bootstrap_live,
            WallClock=lambda _stop: site,
            SqliteLedger=lambda path: SqliteLedger(path, durable=False),
            session_of=lambda *args, **kwargs: session_of(*args, **(kwargs | {"durable": False})),
            _client=client_of,
            _caller=caller_of,
        ):
            session = bootstrap_live.open_live(settings, stop=stop, now=site.now(), interval_s=None, command="soak")
        try:
            yield session
        finally:
            session.close()
    finally:
        stop.close()


def assert_books_equal_exchanges(site: Site, session: Session) -> None:
    """Cash, coins, fills and resting orders of the books are the exchanges' own, to the last digit."""
    book, ledger = session.engine.book, session.ledger
    fills, live = ledger.fills(), ledger.live_orders()
    for name, account in site.accounts.items():
        for asset, wire in WIRE_NAMES[name].items():
            held = sum((p.quantity for (a, s), p in book.positions.items() if (a, s[:4]) == (name, f"{asset}/")), D(0))
            dust = sum((d.quantity for (a, s), d in book.dust.items() if (a, s[:4]) == (name, f"{asset}/")), D(0))
            booked = held + dust + book.cash.get((name, asset), D(0))
            assert booked == account.holding(wire).total, (name, asset, booked, account.holding(wire))
        ours = sorted((f.quantity, f.price, f.fee, f.side, f.liquidity) for f in fills if f.account == name)
        assert ours == sorted((f.quantity, f.price, f.fee, f.side, f.liquidity) for f in account.fills()), name
        assert sorted((o.client_order_id, o.filled_quantity) for o in live if o.account == name) == sorted(
            (o.asked.client_id, o.filled) for o in account.live_orders()
        ), name


__all__ = ["BEGIN", "D", "Site", "assert_books_equal_exchanges", "live_session", "new_site", "timedelta"]
