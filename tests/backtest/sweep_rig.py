"""An account on invented daily candles, small enough to be searched over and over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backtest_cases import LOW_FEES
from backtest_rig import D, walk

from bot.backtest.optimized import Optimization
from bot.backtest.search import Dimension
from bot.bootstrap_optimize import optimise
from bot.bootstrap_sweep import Bench
from bot.domain.market import MS_PER_DAY, Candle
from bot.settings import load_settings
from bot.settings_schema import Settings
from bot.storage.candle_files import CoinData, SourceData
from bot.storage.candle_reader import CandleSeries

DAYS = 240
SPACE = (
    Dimension(name="STRATEGY", choices=("allocation", "breakout")),
    Dimension(name="MAX_POSITION_PCT", low=4.0, high=18.0),
    Dimension(name="KELLY_WEIGHT", low=0.0, high=1.0),
)


def settings_with(changes: Mapping[str, str]) -> Settings:
    return load_settings(env_file=None, environ=LOW_FEES, overrides=changes)


def bench(seed: int = 36, *, days: int = DAYS, equity: int = 1_000) -> Bench:
    data = walk(seed, timeframe="1d", days=days, drift=0.008)
    return Bench(settings=settings_with({}), settings_with=settings_with, data=data, account="kraken", equity=D(equity))


def with_another_end(of: Bench, from_ms: int) -> Bench:
    """The same candles up to a moment; from there on prices that have nothing to do with the others."""
    coins = {name: _changed(coin, from_ms) for name, coin in of.data.coins.items()}
    return replace(of, data=replace(of.data, coins=coins))


def _changed(coin: CoinData, from_ms: int) -> CoinData:
    return replace(coin, execution=_with_end(coin.execution, from_ms), daily=_with_end(coin.daily, from_ms))


def _with_end(series: CandleSeries, from_ms: int) -> CandleSeries:
    changed = CandleSeries("1d")
    for i, bar in enumerate(series.between(0, len(series))):
        factor = 1.0 if bar.open_ms < from_ms else 1.5 + 0.004 * (i % 50)
        first, high, low, close = (round(price * factor, 2) for price in (bar.open, bar.high, bar.low, bar.close))
        changed.append(Candle(bar.open_ms, first, high, low, close, bar.volume))
    return changed


def split_ms(data: SourceData, holdout: float = 0.25) -> int:
    length = data.to_ms - data.from_ms
    return int(data.to_ms - length * holdout) // MS_PER_DAY * MS_PER_DAY


def searched(of: Bench, **other: Any) -> Optimization:
    asked: dict[str, Any] = {
        "holdout": 0.25,
        "trials": 20,
        "workers": 1,
        "cluster": None,
        "study_file": None,
        "seed": 1,
        "compiled": False,
        "clock": Clock(),
    }
    space = other.pop("space", SPACE)
    return optimise(of, space, **asked | other)


class Clock:
    """Each look is a second later."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 1.0
        return self._now
