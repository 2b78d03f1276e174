"""The prices of a storm: an invented walk or recorded candles, mutated, and how each venue shows them."""

from __future__ import annotations

import gzip
import math
import random
from bisect import bisect_right
from functools import cache
from pathlib import Path

from engine_rig import TODAY_MS

from bot.domain.market import MS_PER_DAY, Candle, coin_symbol

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WARM_UP = 121
PRICES = {"BTC/USD": 60_000.0, "ETH/USD": 3_000.0, "SOL/USD": 150.0}


@cache
def recorded() -> dict[str, tuple[list[Candle], list[int], list[float]]]:
    """Daily bars, and opening times and prices of hours, by symbol; empty where there are no files."""
    found = {}
    for symbol in PRICES:
        coin = symbol.partition("/")[0]
        files = [DATA / f"binance_{coin}-USDT_{timeframe}.csv.gz" for timeframe in ("1d", "4h", "1h")]
        if not all(file.is_file() for file in files):
            return {}
        days, four_hours, hours = (_read(file) for file in files)
        # Four-hour bars until the hours begin.
        finer = [bar for bar in four_hours if bar.open_ms < hours[0].open_ms] + hours
        found[symbol] = (days, [bar.open_ms for bar in finer], [bar.open for bar in finer])
    return found


def _read(file: Path) -> list[Candle]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        next(lines)
        rows = [line.split(",") for line in lines]
    return [Candle(int(row[0]), *(float(value) for value in row[1:6])) for row in rows]


class Market:
    """One price per coin and moment, mutated on the way, and the daily bars that follow from it."""

    def __init__(self, chance: random.Random, *, real: bool, wild: float, falling: bool) -> None:
        self._chance = chance
        self._wild = wild
        self._falling = falling
        self._drift = -0.004 if falling else 0.014
        self.factors = dict.fromkeys(PRICES, 1.0)
        self._walk = dict(PRICES)
        self._shift_ms = 0
        self._real = real
        self.days: dict[str, list[Candle]] = {}
        if real:
            self._load()
        else:
            self._invent()
        self.prices = {symbol: self.days[symbol][-1].close for symbol in PRICES}
        self._today: dict[str, list[float]] = {symbol: [] for symbol in PRICES}
        self.hidden: dict[str, dict[int, int]] = {symbol: {} for symbol in PRICES}
        """Opening times of bars that are missing, and until when."""

    def _load(self) -> None:
        data = recorded()
        first_ms = max(data[symbol][0][WARM_UP].open_ms for symbol in PRICES)
        last_ms = min(data[symbol][0][-1].open_ms for symbol in PRICES) - 70 * MS_PER_DAY
        day_ms = first_ms + self._chance.randrange((last_ms - first_ms) // MS_PER_DAY) * MS_PER_DAY
        self._shift_ms = day_ms - TODAY_MS
        for symbol in PRICES:
            bars = [bar for bar in data[symbol][0] if bar.open_ms < day_ms][-WARM_UP:]
            self.days[symbol] = [bar._replace(open_ms=bar.open_ms - self._shift_ms) for bar in bars]

    def _invent(self) -> None:
        chance = self._chance
        rise = -0.004 if self._falling else chance.choice((0.012, 0.008, 0.008, 0.003))
        for symbol, price in PRICES.items():
            closes = [price]
            for _ in range(WARM_UP):
                closes.append(closes[-1] * math.exp(-rise + chance.gauss(0.0, 0.016 * self._wild)))
            closes.reverse()
            self.days[symbol] = [
                Candle(
                    TODAY_MS - (WARM_UP - i) * MS_PER_DAY,
                    closes[i],
                    max(closes[i : i + 2]) * 1.01,
                    min(closes[i : i + 2]) * 0.99,
                    closes[i + 1],
                    1.0,
                )
                for i in range(WARM_UP)
            ]

    def move(self, now_ms: int, hours: float) -> None:
        """Go on to this moment."""
        chance = self._chance
        if chance.random() < hours / (24 * 12):
            self._drift = -0.004 if self._falling else chance.choice((0.02, 0.014, 0.008, -0.008))
        common = chance.gauss(0.0, 0.012)
        scale = self._wild * math.sqrt(hours / 24)
        for symbol in PRICES:
            if self._real:
                base = self._recorded(symbol, now_ms)
            else:
                own = chance.gauss(0.0, 0.010)
                self._walk[symbol] *= math.exp(self._drift * hours / 24 + scale * (common + own))
                base = self._walk[symbol]
            price = round(base * self.factors[symbol], 2)
            self.prices[symbol] = max(price, 0.5)
            self._today[symbol].append(self.prices[symbol])

    def _recorded(self, symbol: str, now_ms: int) -> float:
        _, times, prices = recorded()[symbol]
        return prices[bisect_right(times, now_ms + self._shift_ms) - 1]

    def jitter(self, low: float, high: float) -> None:
        """Move a little within the moment, so that resting entries fill or do not."""
        for symbol in PRICES:
            self.prices[symbol] = max(0.5, round(self.prices[symbol] * (1 + self._chance.uniform(low, high)), 2))
            self._today[symbol].append(self.prices[symbol])

    def close_day(self, open_ms: int) -> None:
        for symbol, seen in self._today.items():
            if seen:
                self.days[symbol].append(Candle(open_ms, seen[0], max(seen), min(seen), seen[-1], 1.0))
            self._today[symbol] = []


class StormFeed:
    """The market as one venue shows it."""

    bar_ms = 60_000

    def __init__(self, market: Market) -> None:
        self.market = market
        self.offset = 1.0
        self.stuck: dict[str, tuple[float, int]] = {}
        self.repeats: dict[str, float] = {}
        """Prices that stand still, though the venue calls them new."""

    def bars(self, symbol: str, after_ms: int, now_ms: int) -> list[Candle]:
        return []

    def opening(self, symbol: str, now_ms: int) -> tuple[float, int] | None:
        symbol = coin_symbol(symbol)  # a market in USDC shows the same prices
        if symbol in self.stuck:
            return self.stuck[symbol]
        price = self.repeats.get(symbol, self.market.prices[symbol])
        return round(price * self.offset, 2), now_ms

    def closed_candles(self, symbol: str, timeframe: str, since_ms: int, now_ms: int) -> list[Candle]:
        assert timeframe == "1d"
        symbol = coin_symbol(symbol)
        hidden = self.market.hidden[symbol]
        return [
            bar
            for bar in self.market.days[symbol]
            if bar.open_ms >= since_ms and bar.open_ms + MS_PER_DAY <= now_ms and hidden.get(bar.open_ms, 0) <= now_ms
        ]
