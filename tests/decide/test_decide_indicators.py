from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import indicators

# Six bars of the worked example.
HIGHS = (104.0, 103.0, 104.0, 107.0, 108.0, 107.0)
LOWS = (98.0, 100.0, 100.0, 102.0, 103.0, 102.0)
CLOSES = (102.0, 101.0, 103.0, 106.0, 104.0, 106.0)


def fold_atr(ranges: list[float], period: int, atr: float = 0.0, seen: int = 0) -> float:
    for value in ranges:
        atr = indicators.atr_step(atr, seen, value, period)
        seen += 1
    return atr


def fold_variance(returns: list[float], variance: float = 0.0, seen: int = 0) -> float:
    for value in returns:
        variance = indicators.ewma_variance_step(variance, seen, value, 0.94)
        seen += 1
    return variance


@pytest.mark.parametrize(
    ("start", "stop", "top", "bottom"),
    [(0, 4, 9.0, 1.0), (0, 2, 5.0, 3.0), (1, 3, 9.0, 5.0), (3, 4, 1.0, 1.0)],
)
def test_highest_lowest_take_a_half_open_range(start: int, stop: int, top: float, bottom: float) -> None:
    values = (3.0, 5.0, 9.0, 1.0)
    assert indicators.highest(values, start, stop) == top
    assert indicators.lowest(values, start, stop) == bottom


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (2, 2), (3, 1)])
def test_highest_lowest_of_an_empty_range_are_nan(start: int, stop: int) -> None:
    assert math.isnan(indicators.highest((3.0, 5.0, 9.0), start, stop))
    assert math.isnan(indicators.lowest((3.0, 5.0, 9.0), start, stop))


@pytest.mark.parametrize(
    ("high", "low", "previous_close", "expected"),
    [
        (10.0, 9.0, 9.5, 1.0),  # previous close inside the bar: its own range
        (10.0, 9.0, 6.0, 4.0),  # gap up: high - previous close
        (10.0, 9.0, 14.0, 5.0),  # gap down: previous close - low
        (10.0, 10.0, 10.0, 0.0),
    ],
)
def test_true_range_includes_the_gap(high: float, low: float, previous_close: float, expected: float) -> None:
    assert indicators.true_range(high, low, previous_close) == expected


def test_true_range_of_the_example_bars() -> None:
    ranges = [indicators.true_range(HIGHS[i], LOWS[i], CLOSES[i - 1]) for i in range(1, 6)]
    # max(3, |103-102|, |100-102|), max(4, 3, 1), max(5, 4, 1), max(5, 2, 3), max(5, 3, 2)
    assert ranges == [3.0, 4.0, 5.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, 3.0),
        (2, 3.5),  # (3 + 4) / 2
        (3, 4.0),  # (3 + 4 + 5) / 3
        (4, 13 / 3),  # (4 x 2 + 5) / 3
        (5, 4.555556),  # (13/3 x 2 + 5) / 3 = 41/9
    ],
)
def test_atr_step_averages_then_smooths(count: int, expected: float) -> None:
    assert fold_atr([3.0, 4.0, 5.0, 5.0, 5.0][:count], 3) == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, 1.0e-4),  # 0.01^2
        (2, 1.18e-4),  # 0.94 x 1e-4 + 0.06 x 4e-4
        (3, 1.6492e-4),  # 0.94 x 1.18e-4 + 0.06 x 9e-4
        (4, 1.610248e-4),  # 0.94 x 1.6492e-4 + 0.06 x 1e-4
        (5, 1.75363312e-4),  # 0.94 x 1.610248e-4 + 0.06 x 4e-4
    ],
)
def test_ewma_variance_step_by_step(count: int, expected: float) -> None:
    assert fold_variance([0.01, -0.02, 0.03, -0.01, 0.02][:count]) == pytest.approx(expected, rel=1e-12)


def test_annual_volatility_of_the_example() -> None:
    variance = fold_variance([0.01, -0.02, 0.03, -0.01, 0.02])
    assert math.sqrt(variance) == pytest.approx(0.01324248, abs=5e-9)
    # sqrt(365 x 1.75363312e-4) = sqrt(0.0640076)
    assert indicators.annual_volatility(variance) == pytest.approx(0.252997, abs=5e-7)


def test_annual_volatility_of_nothing_is_zero_and_of_nan_is_nan() -> None:
    assert indicators.annual_volatility(0.0) == 0.0
    assert math.isnan(indicators.annual_volatility(math.nan))


@given(
    values=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=60),
    cut=st.integers(0, 60),
    period=st.integers(1, 20),
)
def test_folds_continued_from_a_prefix_equal_the_whole(values: list[float], cut: int, period: int) -> None:
    head, tail = values[:cut], values[cut:]
    assert fold_atr(tail, period, fold_atr(head, period), len(head)) == fold_atr(values, period)
    returns = [value / 1e6 - 0.5 for value in values]
    head, tail = returns[:cut], returns[cut:]
    assert fold_variance(tail, fold_variance(head), len(head)) == fold_variance(returns)


@given(values=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=60), period=st.integers(1, 20))
def test_atr_lies_between_the_smallest_and_the_largest_range(values: list[float], period: int) -> None:
    atr = fold_atr(values, period)
    assert min(values) * (1 - 1e-9) <= atr <= max(values) * (1 + 1e-9)
