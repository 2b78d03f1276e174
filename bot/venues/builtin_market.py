"""The built-in market: invented prices of three coins, for trying the bot without a network.

Nothing here predicts anything. Its statistics are those of the real coins: correlation about 0.8,
annual volatility 50 to 90 %, quiet and turbulent times, trends that last weeks.
"""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.errors import VenueError
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle

HOUR_MS = TIMEFRAME_MS["1h"]
HISTORY_DAYS = 420
"""Days of history before the start: a year of warm-up for the longest lookback, and some more."""
HOURS_KEPT = 60 * 24
"""Hourly bars that stay readable; older ones are dropped, daily bars are all kept."""

_HOURS_PER_YEAR = 24 * 365
# Volatility is turbulent for a fifth of the time, five days at a stretch. The two multipliers make
# the mean variance 1: 0.8 * 0.75^2 + 0.2 * 1.658^2 = 1.
_CALM, _TURBULENT = 0.75, 1.658
_TO_TURBULENT = 1 / (20 * 24)
_TO_CALM = 1 / (5 * 24)
# Trends: log drift per year of the market as a whole, changing every 40 days on average.
_DRIFTS = (1.4, 0.2, -1.2)
_TREND_ENDS = 1 / (40 * 24)
# Pull towards the first price, per year: years of running must not end at 0.01 or at 1e9.
_PULL = 0.5


@dataclass(slots=True)
class _Coin:
    """One coin: its constants, its present log price, its bars."""

    annual_vol: float
    loading: float
    """Correlation with the common factor; two coins correlate by the product of their loadings."""
    anchor: float
    hourly_volume: float
    price: float
    hours: list[Candle] = field(default_factory=list)
    days: list[Candle] = field(default_factory=list)
    day_ms: array[int] = field(default_factory=lambda: array("q"))


class BuiltinMarket:
    """A PriceFeed that invents hourly bars from (seed, start), the same ones every time.

    Bars are made when they are asked for. A question about hours older than ``HOURS_KEPT`` before the
    newest hour that was asked for gets the hours that are left.
    """

    def __init__(self, *, seed: int, start: datetime) -> None:
        assert start.tzinfo is not None, "start must be tz-aware"
        # S311: prices of a game need a repeatable generator, not a cryptographic one.
        self._random = random.Random(seed)  # noqa: S311
        start_ms = int(start.timestamp()) * 1000
        self._first_ms = start_ms - start_ms % MS_PER_DAY - HISTORY_DAYS * MS_PER_DAY
        self._next_ms = self._first_ms
        self._turbulent = False
        self._drift = _DRIFTS[1]
        self._coins = {
            "BTC/USD": _Coin(0.55, 0.92, 60_000.0, 400.0, 60_000.0),
            "ETH/USD": _Coin(0.70, 0.90, 3_000.0, 6_000.0, 3_000.0),
            "SOL/USD": _Coin(0.85, 0.87, 150.0, 60_000.0, 150.0),
        }

    @property
    def bar_ms(self) -> int:
        """One hour."""
        return HOUR_MS

    @property
    def symbols(self) -> tuple[str, ...]:
        """The three symbols."""
        return tuple(self._coins)

    def bars(self, symbol: str, after_ms: int, now_ms: int) -> list[Candle]:
        """Complete hourly bars that end in (``after_ms``, ``now_ms``]."""
        hours = self._coin(symbol, now_ms).hours
        if not hours:
            return []
        # Without gaps, places follow from times: no search is needed.
        first = (after_ms - hours[0].open_ms) // HOUR_MS
        last = (now_ms - hours[0].open_ms) // HOUR_MS
        return hours[max(first, 0) : max(last, 0)]

    def opening(self, symbol: str, now_ms: int) -> tuple[float, int] | None:
        """Open of the hour that contains ``now_ms``; None before the history begins or is kept."""
        hours = self._coin(symbol, now_ms).hours
        if not hours:
            return None
        place = (now_ms - hours[0].open_ms) // HOUR_MS
        return (hours[place].open, hours[place].open_ms) if place >= 0 else None

    def closed_candles(self, symbol: str, timeframe: str, since_ms: int, now_ms: int) -> list[Candle]:
        """Closed ``1d`` or ``1h`` candles that open at or after ``since_ms``."""
        if timeframe == "1h":
            return self.bars(symbol, since_ms + HOUR_MS - 1, now_ms)
        if timeframe != "1d":
            raise VenueError(f"{symbol}: no {timeframe} candles in the built-in market, only 1h and 1d")
        coin = self._coin(symbol, now_ms)
        first = bisect_right(coin.day_ms, since_ms - 1)
        last = bisect_right(coin.day_ms, now_ms - MS_PER_DAY)
        return coin.days[first:last]

    def _coin(self, symbol: str, now_ms: int) -> _Coin:
        coin = self._coins.get(symbol)
        if coin is None:
            raise VenueError(f"no {symbol} in the built-in market: there are {', '.join(self._coins)}")
        while self._next_ms <= now_ms:
            self._make_hour()
        return coin

    def _make_hour(self) -> None:
        """Invent the next hour of all coins."""
        chance = self._random.random
        if chance() < (_TO_CALM if self._turbulent else _TO_TURBULENT):
            self._turbulent = not self._turbulent
        if chance() < _TREND_ENDS:
            self._drift = self._random.choice(_DRIFTS)
        state = _TURBULENT if self._turbulent else _CALM
        common = self._random.gauss(0.0, 1.0)
        for coin in self._coins.values():
            sigma = coin.annual_vol * state / math.sqrt(_HOURS_PER_YEAR)
            own = math.sqrt(1 - coin.loading**2) * self._random.gauss(0.0, 1.0)
            pull = _PULL * math.log(coin.anchor / coin.price)
            drift = (self._drift + pull - coin.annual_vol**2 / 2) / _HOURS_PER_YEAR
            self._add_bar(coin, drift + sigma * (coin.loading * common + own), sigma)
        self._next_ms += HOUR_MS

    def _add_bar(self, coin: _Coin, move: float, sigma: float) -> None:
        """Append the bar of a log move; its extremes are those of a Brownian bridge between the ends.

        The maximum of a bridge from 0 to x is (x + sqrt(x^2 - 2 sigma^2 ln U)) / 2.
        """
        chance = self._random.random
        up = (move + math.sqrt(move**2 - 2 * sigma**2 * math.log(1 - chance()))) / 2
        down = (move - math.sqrt(move**2 - 2 * sigma**2 * math.log(1 - chance()))) / 2
        before = coin.price
        coin.price = before * math.exp(move)
        volume = coin.hourly_volume * (0.5 + chance()) * (1 + abs(move) / sigma)
        bar = Candle(
            self._next_ms,
            round(before, 2),
            round(before * math.exp(up), 2),
            round(before * math.exp(down), 2),
            round(coin.price, 2),
            round(volume, 4),
        )
        coin.hours.append(bar)
        if (self._next_ms + HOUR_MS) % MS_PER_DAY == 0:
            self._close_day(coin)
            if len(coin.hours) > 2 * HOURS_KEPT:
                del coin.hours[:-HOURS_KEPT]

    @staticmethod
    def _close_day(coin: _Coin) -> None:
        day = coin.hours[-24:]
        coin.day_ms.append(day[0].open_ms)
        coin.days.append(
            Candle(
                day[0].open_ms,
                day[0].open,
                max(bar.high for bar in day),
                min(bar.low for bar in day),
                day[-1].close,
                sum(bar.volume for bar in day),
            )
        )
