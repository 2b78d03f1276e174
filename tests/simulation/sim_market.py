"""The prices of a simulation: a bounded walk by the minute with gaps, and the daily bars that follow from it."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

from bot.domain.market import MS_PER_DAY, Candle

START = datetime(2024, 6, 1, 0, 1, 30, tzinfo=UTC)
START_DAY_MS = 1_717_200_000_000
WARM_UP_DAYS = 100
PRICES = {"BTC/USD": 60_000.0, "ETH/USD": 3_000.0, "SOL/USD": 150.0}
LOWEST, HIGHEST = 0.25, 4.0
"""The walk stays within these multiples of where it began."""
MINUTE_SIGMA = 0.0009
SHOCKS = (-0.16, -0.12, -0.08, -0.05, -0.05, -0.03, 0.03, 0.05, 0.08)


class SimMarket:
    """One middle price per symbol; every venue shows it a little differently."""

    def __init__(self, chance: random.Random, symbols: tuple[str, ...]) -> None:
        self.chance = chance
        self.price = {symbol: PRICES[symbol] for symbol in symbols}
        self.days: dict[str, list[Candle]] = {}
        self.day_drift = chance.choice((0.015, 0.010, 0.004, -0.004))
        self.shocks = chance.choice((0.002, 0.006, 0.015))
        """Chance of a gap, per cycle."""
        self._next_day_ms = START_DAY_MS + MS_PER_DAY
        self._today: dict[str, list[float]] = {}
        rise = chance.choice((0.014, 0.012, 0.008, 0.004))
        for symbol, last in self.price.items():
            closes = [last]
            for _ in range(WARM_UP_DAYS):
                closes.append(closes[-1] * math.exp(-rise + chance.gauss(0.0, 0.010)))
            closes.reverse()
            self.days[symbol] = [
                Candle(
                    START_DAY_MS - (WARM_UP_DAYS - i) * MS_PER_DAY,
                    closes[i],
                    max(closes[i], closes[i + 1]) * 1.008,
                    min(closes[i], closes[i + 1]) * 0.992,
                    closes[i + 1],
                    1.0,
                )
                for i in range(WARM_UP_DAYS)
            ]
            self._today[symbol] = [last, last, last, last]

    def walk(self, minutes: float) -> None:
        """Let all prices move for so long."""
        scale = MINUTE_SIGMA * math.sqrt(minutes)
        drift = self.day_drift * minutes / 1440
        common = self.chance.gauss(0.0, 0.7)
        for symbol in self.price:
            self._move(symbol, math.exp(drift + scale * (common + self.chance.gauss(0.0, 0.7))))

    def maybe_shock(self) -> None:
        """Now and then a gap, of one coin or of all."""
        if self.chance.random() >= self.shocks:
            return
        size = self.chance.choice(SHOCKS)
        symbols = list(self.price) if self.chance.random() < 0.5 else [self.chance.choice(list(self.price))]
        for symbol in symbols:
            self._move(symbol, 1 + size * self.chance.uniform(0.6, 1.0))

    def dip(self, symbol: str, frac: float) -> None:
        self._move(symbol, 1 + frac)

    def _move(self, symbol: str, factor: float) -> None:
        first = PRICES[symbol]
        price = self.price[symbol] = min(max(self.price[symbol] * factor, LOWEST * first), HIGHEST * first)
        today = self._today[symbol]
        today[1], today[2], today[3] = max(today[1], price), min(today[2], price), price

    def close_days(self, now: datetime) -> None:
        """Make a bar of each day that has ended."""
        now_ms = int(now.timestamp() * 1000)
        while self._next_day_ms <= now_ms:
            for symbol, (first, high, low, last) in self._today.items():
                self.days[symbol].append(Candle(self._next_day_ms - MS_PER_DAY, first, high, low, last, 1.0))
                self._today[symbol] = [last, last, last, last]
            self._next_day_ms += MS_PER_DAY

    def till_close(self, now: datetime) -> timedelta:
        """How long it is to the end of the day."""
        return timedelta(milliseconds=self._next_day_ms - now.timestamp() * 1000)
