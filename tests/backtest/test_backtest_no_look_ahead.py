"""Nothing looks ahead: what a prefix of the history says is the prefix of what the whole history says."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from backtest_cases import CASES
from backtest_rig import DATA, by_backtest, walk

from bot.backtest.layout import Signals
from bot.backtest.market import Kit, signals_of
from bot.decide.ensemble import ENSEMBLE
from bot.domain.market import MS_PER_DAY
from bot.engine.history import History, SignalRules
from bot.storage.candle_files import SourceData
from bot.storage.candle_reader import CandleSeries, read_candle_file

KIT = Kit(compiled=False)
NAMES = ("score", "volatility", "atr", "since_breakout", "mode", "trend", "rank", "scale")
EVERYTHING = SignalRules(weights=ENSEMBLE, regime=True)
SERVED_BY_KRAKEN = 720
"""Daily bars: the live bot's history begins there."""


def part(series: CandleSeries, first: int, last: int) -> CandleSeries:
    cut = CandleSeries(series.timeframe)
    for place in range(first, last):
        cut.append(series[place])
    return cut


def last_row(series: CandleSeries) -> list[float]:
    return row_of(signals_in(series), len(series) - 1)


def signals_in(series: CandleSeries) -> Signals:
    return signals_of({"X": series}, kit=KIT, weights=EVERYTHING.weights, regime=EVERYTHING.regime)


def row_of(signals: Signals, bar: int) -> list[float]:
    return [getattr(signals, name)[0][bar] for name in NAMES]


def same(one: list[float], other: list[float], rel: float = 0.0) -> bool:
    return all(
        (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=rel) for a, b in zip(one, other, strict=True)
    )


def wild_days(seed: int) -> CandleSeries:
    return walk(seed, timeframe="1d", days=900, wild=1.5, coins=1).coins["BTC"].daily


@pytest.mark.parametrize("seed", [1, 2])
def test_signals_of_a_prefix_are_the_prefix_of_the_signals(seed: int) -> None:
    series, chance = wild_days(seed), random.Random(seed)
    whole = signals_in(series)
    for length in [1, 14, 15, 20, 21, 91, *(chance.randrange(2, len(series)) for _ in range(25)), len(series)]:
        assert same(last_row(part(series, 0, length)), row_of(whole, length - 1)), length


@pytest.mark.parametrize("seed", [3, 4])
def test_signals_are_those_of_the_live_history(seed: int) -> None:
    series, history = wild_days(seed), History(EVERYTHING)
    whole = signals_in(series)
    for place in range(len(series)):
        history.extend([series[place]])
        live = [history.score(), history.volatility(), history.atr(), history.since_breakout()]
        live += [float(value) for value in history.regime_inputs()]
        assert same(live, row_of(whole, place)), place


def assert_window_is_enough(series: CandleSeries, step: int) -> None:
    whole = signals_in(series)
    looks = range(SERVED_BY_KRAKEN, len(series), step)
    assert looks
    for end in looks:
        window = last_row(part(series, end - SERVED_BY_KRAKEN, end))
        assert same(window, row_of(whole, end - 1), rel=1e-9), end


@pytest.mark.parametrize("seed", [5, 6])
def test_live_window_says_what_the_whole_history_says(seed: int) -> None:
    assert_window_is_enough(wild_days(seed), 31)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real candles: {DATA.name} is not beside the project")
@pytest.mark.parametrize("name", ["binance_BTC-USDT", "binance_ETH-USDT", "binance_SOL-USDT", "kraken_BTC-USD"])
def test_live_window_of_real_candles_says_what_the_whole_history_says(name: str) -> None:
    assert_window_is_enough(read_candle_file(DATA / f"{name}_1d.csv.gz", "1d").series, 29)


@pytest.mark.parametrize("name", ["allocation, large", "ladder", "runner", "stops that rise", "bad days"])
def test_trades_of_a_shorter_run_are_the_first_ones_of_the_longer(tmp_path: Path, name: str) -> None:
    """Also where everything after the shorter run is other than it was."""
    case = CASES[name]
    settings, data = case.found(tmp_path), case.data()
    config = case.config(settings, data)
    whole = by_backtest(settings, config, data, account=case.account, equity=case.equity)
    days = (data.to_ms - data.from_ms) // MS_PER_DAY
    compared = []
    for kept in (days // 3, days // 2, days - 5):
        end_ms = data.from_ms + kept * MS_PER_DAY
        other = by_backtest(settings, config, shaken(case.data(), end_ms), account=case.account, equity=case.equity)
        first = [fill for fill in whole.fills if fill[1] < end_ms]
        assert [fill for fill in other.fills if fill[1] < end_ms] == first
        compared.append(len(first))
    assert 0 < compared[0] < len(whole.fills)


def shaken(data: SourceData, end_ms: int) -> SourceData:
    """The same candles up to ``end_ms``, and after it prices three times as high."""
    for of in data.coins.values():
        for series in (of.execution, of.daily):
            for place, moment in enumerate(series.times):
                if moment >= end_ms and series.columns[3][place] > 0:
                    for column in series.columns[:4]:
                        column[place] *= 3.0
    return data
