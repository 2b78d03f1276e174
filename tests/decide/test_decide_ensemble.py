"""The members of the signal score, each by hand, and how they are mixed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import regime
from bot.decide.ensemble import (
    ENSEMBLE,
    MEMBERS,
    TREND_ONLY,
    breakout_strength,
    ensemble_score,
    momentum_share,
    regime_member,
    volume_share,
)

NAN = math.nan


@pytest.mark.parametrize(
    ("scores", "weights", "expected"),
    [
        ((0.75,), (1.0,), 0.75),
        ((0.0,), (1.0,), 0.0),
        ((0.5, 1.0), (1.0, 3.0), 0.875),  # (0.5 + 3) / 4
        ((0.5, NAN, 1.0), (1.0, 1.0, 3.0), 0.875),  # (0.5 + 3) / 4: the other weights are scaled up
        ((0.25, NAN), (2.0, 6.0), 0.25),
        ((0.25, 0.75), (1.0, 0.0), 0.25),
        ((1.0, 0.75, 0.6, 0.5, 0.9), ENSEMBLE, 0.81),  # 0.4 + 0.15 + 0.12 + 0.05 + 0.09
        ((1.0, 0.75, 0.6, 0.5, NAN), ENSEMBLE, 0.8),  # 0.72 / 0.9
        ((0.5, 1.0, 1.0, 1.0, 1.0), TREND_ONLY, 0.5),
    ],
)
def test_ensemble_score_is_the_weighted_mean_of_the_numbers(
    scores: tuple[float, ...], weights: tuple[float, ...], expected: float
) -> None:
    assert ensemble_score(scores, weights) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(("scores", "weights"), [((NAN,), (1.0,)), ((NAN, NAN), (1.0, 2.0)), ((NAN, 1.0), (1.0, 1.0))])
def test_ensemble_score_without_a_trend_is_nan(scores: tuple[float, ...], weights: tuple[float, ...]) -> None:
    assert math.isnan(ensemble_score(scores, weights))


def test_ensemble_weights_are_declared_for_every_member() -> None:
    assert MEMBERS == ("trend", "momentum", "breakout", "volume", "regime")
    assert ENSEMBLE == (0.40, 0.20, 0.20, 0.10, 0.10)
    assert math.fsum(ENSEMBLE) == pytest.approx(1.0, rel=1e-15)
    assert TREND_ONLY == (1.0, 0.0, 0.0, 0.0, 0.0)


def test_momentum_counts_the_lookbacks_that_rose() -> None:
    closes = [100.0] * 91
    closes[90] = 105.0  # the newest
    closes[90 - 14], closes[90 - 28], closes[90 - 56], closes[0] = 104.0, 105.0, 106.0, 90.0
    assert momentum_share(closes, 91) == 0.5  # higher than 104 and 90, not than 105 and 106
    assert math.isnan(momentum_share(closes, 90))


@pytest.mark.parametrize(
    ("close", "expected"), [(90.0, 0.0), (85.0, 0.0), (95.0, 0.25), (100.0, 0.5), (110.0, 1.0), (120.0, 1.0)]
)
def test_breakout_strength_is_the_place_in_the_channel_before(close: float, expected: float) -> None:
    highs, lows, closes = [105.0] * 21, [95.0] * 21, [100.0] * 21
    highs[0], lows[3] = 110.0, 90.0
    highs[20], lows[20], closes[20] = 200.0, 10.0, close  # its own bar is no part of the channel
    assert breakout_strength(highs, lows, closes, 21) == expected
    assert math.isnan(breakout_strength(highs, lows, closes, 20))
    assert math.isnan(breakout_strength([1.0] * 21, [1.0] * 21, [1.0] * 21, 21))


def test_volume_share_is_what_was_traded_on_rising_days() -> None:
    closes, volumes = [100.0] * 21, [0.0] * 21
    closes[5], volumes[5] = 101.0, 3.0  # up; the next one is down, as 100 < 101
    volumes[6] = 5.0
    volumes[7] = 4.0  # unchanged is not up
    assert volume_share(closes, volumes, 21) == 0.25
    assert math.isnan(volume_share(closes, volumes, 20))
    assert math.isnan(volume_share(closes, [0.0] * 21, 21))


def test_regime_member_is_the_scale_of_its_entries() -> None:
    assert math.isnan(regime_member(regime.UNKNOWN, 1.0))
    assert [regime_member(mode, scale) for mode, scale in ((regime.LONG, 0.75), (regime.CRASH, 0.0))] == [0.75, 0.0]


PRICES = st.lists(st.floats(1.0, 1e6), min_size=91, max_size=130)


@given(PRICES, st.lists(st.floats(0.0, 1e9), min_size=130, max_size=130))
def test_members_lie_between_0_and_1(closes: list[float], volumes: list[float]) -> None:
    highs, lows, n = [close * 1.01 for close in closes], [close * 0.99 for close in closes], len(closes)
    members = (momentum_share(closes, n), breakout_strength(highs, lows, closes, n), volume_share(closes, volumes, n))
    assert all(math.isnan(value) or 0.0 <= value <= 1.0 + 1e-12 for value in members)
    score = ensemble_score((0.5, *members, NAN), ENSEMBLE)
    assert 0.0 <= score <= 1.0 + 1e-12
