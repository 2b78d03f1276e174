from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.decide.measured import COUNTED_TRADES, NEEDED_TRADES, measured_reward, trades_that_count

FEW = [1.5, -1.0] * 9 + [1.5]
"""Nineteen results."""


def test_limits_are_those_that_the_status_tells() -> None:
    assert (NEEDED_TRADES, COUNTED_TRADES) == (20.0, 40)


@pytest.mark.parametrize(
    ("trades", "idle_days", "expected"),
    [
        (0, 0.0, 0.0),
        (19, 0.0, 19.0),
        (20, 180.0, 10.0),
        (40, 0.0, 40.0),
        (500, 0.0, 40.0),  # older ones are not looked at
        (40, 90.0, 28.284271),  # 40 / sqrt(2)
        (500, 360.0, 10.0),
        (20, -1.0, 20.0),  # a clock that was put back makes nothing of more weight
    ],
)
def test_trades_that_count_halve_in_180_idle_days(trades: int, idle_days: float, expected: float) -> None:
    assert trades_that_count(trades, idle_days) == pytest.approx(expected, abs=1e-6)


def test_measured_reward_is_mean_win_over_mean_loss() -> None:
    # 8 wins of 2.0 and 2 of 3.0: mean 2.2. 5 losses of 1.0 and 5 of 1.2: mean 1.1.
    results = [2.0] * 8 + [3.0] * 2 + [-1.0] * 5 + [-1.2] * 5
    assert measured_reward(results, 0.0) == pytest.approx(2.0)


def test_measured_reward_does_not_depend_on_how_often_is_won() -> None:
    rarely = [1.8] * 2 + [-0.9] * 18
    mostly = [1.8] * 18 + [-0.9] * 2
    assert measured_reward(rarely, 0.0) == pytest.approx(2.0)
    assert measured_reward(mostly, 0.0) == pytest.approx(2.0)


def test_measured_reward_counts_a_trade_that_brought_nothing_as_a_loss_of_nothing() -> None:
    # Losses: ten of 1.0 and ten of 0.0: mean 0.5.
    assert measured_reward([1.0] * 10 + [-1.0] * 10 + [0.0] * 10, 0.0) == pytest.approx(2.0)


@pytest.mark.parametrize("results", [[], FEW])
def test_measured_reward_of_too_few_trades_abstains(results: list[float]) -> None:
    assert math.isnan(measured_reward(results, 0.0))


def test_measured_reward_of_twenty_trades_speaks_until_it_fades() -> None:
    results = [*FEW, -1.0]
    assert measured_reward(results, 0.0) == pytest.approx(1.5)
    assert math.isnan(measured_reward(results, 0.01))  # 20 * .99996
    # 40 trades count for 20 until 180 days have passed.
    assert measured_reward(results * 2, 180.0) == pytest.approx(1.5)
    assert math.isnan(measured_reward(results * 2, 180.01))
    assert measured_reward(results * 25, 180.0) == pytest.approx(1.5)
    assert math.isnan(measured_reward(results * 25, 180.01))


def test_measured_reward_of_a_single_small_loss_counts_it() -> None:
    assert measured_reward([1.0] * 19 + [-0.5], 0.0) == 2.0  # 1.0 / 0.5


def test_measured_reward_looks_at_the_newest_forty() -> None:
    old = [9.0, -1.0] * 50
    new = [1.5, -1.0] * 20
    assert measured_reward(old + new, 0.0) == pytest.approx(1.5)
    assert measured_reward([*old, *new[2:]], 0.0) == pytest.approx((9.0 + 19 * 1.5) / 20)  # one old pair is among them
    assert measured_reward([*new, 9.0], 0.0) == pytest.approx((19 * 1.5 + 9.0) / 20)  # the first win fell out


def test_measured_reward_without_a_win_is_nothing_and_without_a_loss_everything() -> None:
    assert measured_reward([-1.0] * 20, 0.0) == 0.0
    assert measured_reward([0.0] * 20, 0.0) == 0.0
    assert measured_reward([0.5] * 20, 0.0) == math.inf
    assert measured_reward([0.5] * 19 + [0.0], 0.0) == math.inf  # nothing was lost


@given(
    results=st.lists(st.integers(-500, 1_000).map(lambda hundredths: hundredths / 100), max_size=90),
    idle_days=st.floats(0.0, 1_000.0),
    unit=st.sampled_from([0.5, 2.0, 4.0]),
)
def test_measured_reward_has_no_unit_and_is_never_negative(results: list[float], idle_days: float, unit: float) -> None:
    reward = measured_reward(results, idle_days)
    assert math.isnan(reward) == (trades_that_count(len(results), idle_days) < 20.0)
    assert math.isnan(reward) or reward >= 0.0
    scaled = measured_reward([unit * result for result in results], idle_days)
    assert scaled == pytest.approx(reward, rel=1e-9, nan_ok=True)
