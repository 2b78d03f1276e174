from __future__ import annotations

import math

import pytest
from decide_samples import flags_by_bar, random_bars
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import trend
from bot.domain.market import MS_PER_DAY, Candle
from bot.engine.history import History


def candles(seed: int, n: int) -> list[Candle]:
    bars = random_bars(seed, n)
    return [Candle(i * MS_PER_DAY, bars.closes[i], bars.highs[i], bars.lows[i], bars.closes[i], 1.0) for i in range(n)]


def folded(*chunks: list[Candle]) -> History:
    history = History()
    for chunk in chunks:
        history.extend(chunk)
    return history


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 420),
    cuts=st.lists(st.integers(0, 420), max_size=6),
    overlap=st.integers(0, 10),
)
def test_history_in_any_chunks_equals_all_at_once(seed: int, n: int, cuts: list[int], overlap: int) -> None:
    bars = candles(seed, n)
    edges = [0, *sorted(cuts), n]
    chunks = [bars[max(0, edges[k] - overlap) : edges[k + 1]] for k in range(len(edges) - 1)]
    assert vars(folded(*chunks)) == vars(folded(bars))


def test_history_bar_by_bar_equals_all_at_once() -> None:
    bars = candles(7, 400)
    assert vars(folded(*([bar] for bar in bars))) == vars(folded(bars))


def test_history_returns_only_the_bars_that_were_new() -> None:
    bars = candles(1, 5)
    history = History()
    assert history.extend(bars[:3]) == bars[:3]
    assert history.extend(bars) == bars[3:]
    assert history.extend(bars) == []
    assert len(history) == 5
    assert history.last_open_ms == 4 * MS_PER_DAY
    assert history.last_close_ms == 5 * MS_PER_DAY


def test_history_keeps_the_first_version_of_a_bar() -> None:
    bars = candles(1, 30)
    history = folded(bars)
    before = dict(vars(history), closes=list(history.closes), flags=list(history.flags))
    revised = bars[-1]._replace(close=bars[-1].close * 3.0, high=bars[-1].high * 3.0)
    assert history.extend([revised]) == []
    assert vars(history) == before


def test_history_flags_are_those_of_the_fold() -> None:
    bars = random_bars(11, 400)
    assert folded(candles(11, 400)).flags == flags_by_bar(bars)[-1]


def test_history_without_bars_knows_nothing() -> None:
    history = History()
    assert (len(history), history.last_open_ms, history.last_close_ms) == (0, None, None)
    for value in (history.score(), history.atr(), history.volatility(), history.since_breakout()):
        assert math.isnan(value)
    assert math.isnan(history.trigger_close(0.75))


@pytest.mark.parametrize(("n", "known"), [(14, False), (15, True)])
def test_history_needs_fifteen_bars_for_fourteen_ranges(n: int, known: bool) -> None:
    history = folded(candles(2, n))
    assert math.isfinite(history.atr()) == known
    assert math.isfinite(history.volatility()) == known


@pytest.mark.parametrize(("n", "known"), [(90, False), (91, True)])
def test_history_needs_ninety_one_bars_for_a_score(n: int, known: bool) -> None:
    assert math.isfinite(folded(candles(2, n)).score()) == known


def test_history_of_steady_days_has_their_range_and_return() -> None:
    # Each close is 1 % above the last, high = close, low = previous close: the true range is 1 % of the previous close.
    closes = [100.0 * 1.01**i for i in range(16)]
    bars = [Candle(i * MS_PER_DAY, c, c, c / 1.01, c, 1.0) for i, c in enumerate(closes)]
    history = folded(bars)
    # Annual volatility: all squared returns are 1e-4, so sqrt(365 x 1e-4) = 0.191050
    assert history.volatility() == pytest.approx(0.191050, abs=5e-7)
    # Mean of the first 14 ranges: (1.01^14 - 1) / 0.01 / 14 = 1.067673; then (1.067673 x 13 + 1.149474) / 14
    assert history.atr() == pytest.approx(1.073516, abs=1e-6)


def test_history_weighs_the_newest_return_with_six_percent() -> None:
    closes = [100.0] * 14 + [110.0]
    history = folded([Candle(i * MS_PER_DAY, c, c, c, c, 1.0) for i, c in enumerate(closes)])
    # Thirteen returns of 0, then 0.10: variance 0.06 x 0.01 = 6e-4, sqrt(365 x 6e-4) = 0.467974
    assert history.volatility() == pytest.approx(0.467974, abs=5e-7)
    # Mean of thirteen ranges of 0 and one of 10: 10 / 14
    assert history.atr() == pytest.approx(10 / 14)


def test_history_trigger_is_the_level_of_the_core() -> None:
    highs = [float(1_000 - i) for i in range(400)]
    bars = [Candle(i * MS_PER_DAY, h - 2.0, h, h - 3.0, h - 2.0, 1.0) for i, h in enumerate(highs)]
    history = folded(bars)
    assert history.flags == [trend.FLAT] * 9
    assert history.score() == 0.0
    # Seven of nine must be long: the seventh lowest top is that of the last 150 days, highs[250] = 750.
    assert history.trigger_close(0.75) == 750.0
    history.extend([Candle(400 * MS_PER_DAY, 700.0, 751.0, 700.0, 750.5, 1.0)])
    assert history.score() == pytest.approx(7 / 9)


def test_history_counts_the_bars_since_a_breakout() -> None:
    history = History()
    found = []
    for i in range(26):
        close = 103.0 if i == 21 else 100.0  # above the highs of 101 of bars 1 to 20
        history.extend([Candle(i * MS_PER_DAY, 100.0, close + 1.0, 99.0, close, 1.0)])
        found.append(history.since_breakout())
    assert found[21:24] == [0.0, 1.0, 2.0]
    assert all(math.isnan(value) for value in found[:21] + found[24:])
