"""The indicators against maintained libraries: TA-Lib for ranges and channels, arch for the variance."""

from __future__ import annotations

import math
import random
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "decide"))

from decide_samples import Bars, random_bars, real_bars

from bot.decide import breakout, indicators
from bot.decide.trend import LOOKBACKS, exit_lookback

LONG = 900


def wild_bars(seed: int, n: int) -> Bars:
    """A walk with gaps: opens far from the close before, which is what a true range is for."""
    chance, bars, close = random.Random(seed), Bars([], [], []), 100.0
    for _ in range(n):
        opened = close * math.exp(chance.gauss(0.0, 0.08))
        close = opened * math.exp(chance.gauss(0.0, 0.05))
        bars.highs.append(max(opened, close) * (1.0 + chance.random() * 0.02))
        bars.lows.append(min(opened, close) * (1.0 - chance.random() * 0.02))
        bars.closes.append(close)
    return bars


def atr_by_bar(bars: Bars) -> list[float]:
    """Of each bar; NaN before fourteen true ranges are there."""
    found, atr = [math.nan], 0.0
    for i in range(1, len(bars.closes)):
        new = indicators.true_range(bars.highs[i], bars.lows[i], bars.closes[i - 1])
        atr = indicators.atr_step(atr, i - 1, new, indicators.ATR_PERIOD)
        found.append(atr if i >= indicators.ATR_PERIOD else math.nan)
    return found


@pytest.fixture(scope="module")
def talib() -> Any:
    return import_module("talib")


def arrays(bars: Bars) -> tuple[Any, Any, Any]:
    np = import_module("numpy")
    return np.asarray(bars.highs), np.asarray(bars.lows), np.asarray(bars.closes)


def check_atr(talib: Any, bars: Bars) -> None:
    wanted = talib.ATR(*arrays(bars), timeperiod=indicators.ATR_PERIOD)
    assert atr_by_bar(bars) == pytest.approx(list(wanted), rel=1e-9, nan_ok=True)


def check_channels(talib: Any, bars: Bars) -> None:
    """TA-Lib's windows end with their bar; ours end before the bar that may break out of them."""
    highs, lows, _ = arrays(bars)
    for lookback in LOOKBACKS:
        tops = talib.MAX(highs, timeperiod=lookback)
        bottoms = talib.MIN(lows, timeperiod=exit_lookback(lookback))
        for i in range(lookback, len(bars.closes), 7):
            assert indicators.highest(bars.highs, i - lookback, i) == tops[i - 1]
            assert indicators.lowest(bars.lows, i - exit_lookback(lookback), i) == bottoms[i - 1]


@pytest.mark.parametrize("seed", [1, 2])
def test_average_true_range_is_that_of_talib(talib: Any, seed: int) -> None:
    check_atr(talib, wild_bars(seed, LONG))
    check_atr(talib, random_bars(seed, LONG))


@pytest.mark.parametrize("n", [1, 2, 13, 14, 15])
def test_average_true_range_of_a_short_history_is_as_unknown_as_talib_s(talib: Any, n: int) -> None:
    bars = wild_bars(3, n)
    check_atr(talib, bars)
    assert math.isfinite(atr_by_bar(bars)[-1]) == (n == 15)


@pytest.mark.parametrize("seed", [1, 2])
def test_channels_are_those_of_talib(talib: Any, seed: int) -> None:
    check_channels(talib, wild_bars(seed, LONG))
    check_channels(talib, random_bars(seed, LONG))


def test_breakouts_are_closes_above_talib_s_channel(talib: Any) -> None:
    bars = random_bars(5, LONG)
    tops = talib.MAX(arrays(bars)[0], timeperiod=breakout.BREAKOUT_DAYS)
    found = 0
    for i in range(breakout.BREAKOUT_DAYS, LONG):
        fresh = breakout.bars_since_breakout(bars.highs, bars.closes, i + 1) == 0.0
        assert fresh == (bars.closes[i] > tops[i - 1])
        found += fresh
    assert found > 20


def check_variance(bars: Bars) -> None:
    """Arch gives the variance that is expected of a bar, ours is that after it: the same one bar earlier."""
    np, volatility_of = import_module("numpy"), import_module("arch.univariate").EWMAVariance
    returns = [bars.closes[i] / bars.closes[i - 1] - 1.0 for i in range(1, len(bars.closes))]
    resids, wanted = np.asarray([*returns, 0.0]), np.empty(len(returns) + 1)
    bounds = np.tile([0.0, 1e9], (len(returns) + 1, 1))
    volatility_of(lam=indicators.EWMA_LAMBDA).compute_variance(np.empty(0), resids, wanted, returns[0] ** 2, bounds)
    variance, found = 0.0, []
    for seen, value in enumerate(returns):
        variance = indicators.ewma_variance_step(variance, seen, value, indicators.EWMA_LAMBDA)
        found.append(variance)
    assert found == pytest.approx(list(wanted[1:]), rel=1e-9)
    assert indicators.annual_volatility(variance) == pytest.approx(math.sqrt(365.0 * wanted[-1]))


@pytest.mark.parametrize("seed", [1, 2])
def test_variance_is_that_of_arch(seed: int) -> None:
    check_variance(wild_bars(seed, LONG))
    check_variance(random_bars(seed, LONG))


def test_indicators_of_real_candles_are_those_of_the_libraries(talib: Any) -> None:
    bars = real_bars()
    check_atr(talib, bars)
    check_channels(talib, bars)
    check_variance(bars)
