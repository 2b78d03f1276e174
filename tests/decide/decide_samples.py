"""Series and markets that several tests of the decision core share."""

from __future__ import annotations

import csv
import gzip
import math
import random
from pathlib import Path
from typing import NamedTuple

import pytest

from bot.decide import regime, trend
from bot.decide.costs import Rules
from bot.decide.intents import Coin

# Market facts: lot step, minimum amount, minimum cost, maker in, taker out.
COINBASE_BTC = Rules(1e-8, 1e-8, 1.0, 0.006, 0.012)
KRAKEN_BTC = Rules(1e-8, 0.00005, 0.5, 0.0025, 0.004)
KRAKEN_ETH = Rules(1e-8, 0.001, 0.5, 0.0025, 0.004)
KRAKEN_SOL = Rules(1e-8, 0.06, 0.5, 0.0025, 0.004)

COIN = Coin(
    score=1.0,
    volatility=0.5,
    stop_distance=0.10,
    price=50_000.0,
    bar_close=50_000.0,
    held_usd=0.0,
    mode=regime.UNKNOWN,
    trend=math.nan,
    rank=math.nan,
    scale=1.0,
)


class Bars(NamedTuple):
    """A daily series, oldest first."""

    highs: list[float]
    lows: list[float]
    closes: list[float]

    def first(self, n: int) -> Bars:
        return Bars(self.highs[:n], self.lows[:n], self.closes[:n])


def random_bars(seed: int, n: int) -> Bars:
    """A random walk with phases of trend; prices in whole units where the seed is odd, so that ties happen."""
    rng = random.Random(seed)
    bars = Bars([], [], [])
    close = 500.0
    drift = 0.0
    for i in range(n):
        if i % 40 == 0:
            drift = rng.choice([-0.01, 0.0, 0.01])
        opened = close
        close *= math.exp(rng.gauss(drift, 0.03))
        high = max(opened, close) * (1.0 + abs(rng.gauss(0.0, 0.01)))
        low = min(opened, close) * (1.0 - abs(rng.gauss(0.0, 0.01)))
        if seed % 2:
            close, high, low = float(round(close)), float(math.ceil(high)), float(math.floor(low))
        bars.highs.append(high)
        bars.lows.append(low)
        bars.closes.append(close)
    return bars


def real_bars() -> Bars:
    """Daily BTC candles from beside the repository; skips where there are none."""
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "binance_BTC-USDT_1d.csv.gz"
    if not path.is_file():
        pytest.skip("no real candles in ../shared/data beside the repository")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Bars(
        [float(row["high"]) for row in rows], [float(row["low"]) for row in rows], [float(row["close"]) for row in rows]
    )


def flags_by_bar(bars: Bars) -> list[list[int]]:
    """The nine states after each bar."""
    flags = [trend.NOT_READY] * len(trend.LOOKBACKS)
    after = []
    for i in range(len(bars.closes)):
        trend.advance_flags(flags, bars.highs, bars.lows, bars.closes, i)
        after.append(list(flags))
    return after
