"""Confidence from own results and evidence, and the band of what was expected, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.decide.confidence import (
    Band,
    Confidence,
    Evidence,
    band_of,
    confidence_of,
    falls_short,
    holds_back,
    is_armed,
)
from bot.decide.kelly import edge_of_results

NONE = Evidence(0.0, 0.0, 0.0)
CHANCE = 0.7694052140
LOW = -0.4496566843


def test_nothing_known_is_one_half() -> None:
    assert confidence_of([], 0.0, NONE) == Confidence(0.5, 0.0, 0.0)


def test_evidence_counts_a_quarter() -> None:
    # 40 trades, sum 8 R, squares 60: mean 2 / 30, variance (36 + 15) / 30 - mean^2, sd of the mean sqrt(var / 31)
    found = confidence_of([], 0.0, Evidence(40.0, 8.0, 60.0))
    assert found.chance == pytest.approx(0.6122002326, rel=1e-9)
    assert (found.own, found.evidence) == (0.0, 10.0)


def test_own_results_count_in_full_and_their_number_fades() -> None:
    # 2, 2, 2 and -1 R: mean 5 / 24, variance (36 + 13) / 24 - mean^2, sd sqrt(var / 25)
    found = confidence_of([2.0, 2.0, 2.0, -1.0], 0.0, NONE)
    assert found.chance == pytest.approx(CHANCE, rel=1e-9)
    assert found.own == 4.0
    later = confidence_of([2.0, 2.0, 2.0, -1.0], 180.0, NONE)
    assert (later.chance, later.own) == (found.chance, 2.0)


def test_newest_forty_results_count() -> None:
    newest = [1.0, -1.0] * 20
    assert confidence_of([9.0] * 60 + newest, 0.0, NONE) == confidence_of(newest, 0.0, NONE)


RESULTS = st.lists(st.floats(-3.0, 6.0), max_size=40)


@given(RESULTS)
def test_own_results_alone_say_what_the_kelly_leg_says(results: list[float]) -> None:
    chance = edge_of_results(results, [1.0] * len(results), 0.12).chance
    assert confidence_of(results, 0.0, NONE).chance == pytest.approx(chance, abs=1e-12)


@given(RESULTS, st.integers(0, 400), st.floats(-2.0, 2.0))
def test_chance_is_a_probability(results: list[float], trades: int, mean: float) -> None:
    evidence = Evidence(float(trades), trades * mean, trades * (mean * mean + 1.0))
    assert 0.0 <= confidence_of(results, 0.0, evidence).chance <= 1.0


@pytest.mark.parametrize(
    ("chance", "own", "expected"),
    [(0.1, 19.9, False), (0.69, 20.0, True), (0.70, 20.0, False), (0.9, 30.0, False), (math.nan, 20.0, True)],
)
def test_filter_holds_back_with_enough_own_trades_only(chance: float, own: float, expected: bool) -> None:
    confidence = Confidence(chance, own, 100.0)
    assert is_armed(confidence) == (own >= 20.0)
    assert holds_back(confidence, 0.70) == expected


SIXTEEN = Evidence(16.0, 8.0, 20.0)
"""Mean .5, variance (20 / 16 - .25) 16 / 15, deviation 1.0327956."""


def test_band_is_that_of_a_mean_of_as_many_trades() -> None:
    band = band_of([0.5, -0.5, 0.5, 0.5], SIXTEEN)
    assert band.mean == 0.25
    assert band.low == pytest.approx(LOW, rel=1e-9)
    assert band.high == pytest.approx(1.0 - LOW, rel=1e-9)
    assert band.below == 0


def test_trades_below_the_band_are_counted_from_the_newest_back() -> None:
    # After one trade the band begins at -1.2511: -1.2 lies within, -1.3 below.
    assert band_of([-1.2], SIXTEEN).below == 0
    assert band_of([-1.3], SIXTEEN).below == 1
    # The lows: -1.2511, -.7741, -.5688, -.4497; means -1.3, -1.15, -1.1, then -.325
    assert band_of([-1.3, -1.0, -1.0], SIXTEEN).below == 3
    assert band_of([-1.3, -1.0, -1.0, 2.0], SIXTEEN).below == 0


def test_band_takes_the_chance_of_own_trades_alone() -> None:
    # 20 losses of 1 R and 20 imagined trades: mean -.5, variance (36 + 20) / 40 - .25 = 1.15, sd sqrt(1.15 / 41)
    assert band_of([-1.0] * 20, SIXTEEN).chance == pytest.approx(0.00142, abs=2e-5)


@pytest.mark.parametrize("evidence", [NONE, Evidence(1.0, 0.5, 0.25)])
def test_band_of_too_little_evidence_is_none(evidence: Evidence) -> None:
    band = band_of([-1.0] * 30, evidence)
    assert math.isnan(band.low)
    assert band.below == 0
    assert math.isnan(band_of([], SIXTEEN).mean)


@pytest.mark.parametrize(
    ("below", "chance", "expected"), [(19, 0.1, False), (20, 0.24, True), (20, 0.25, False), (40, 0.01, True)]
)
def test_results_fall_short_after_twenty_trades_below_without_an_edge(
    below: int, chance: float, expected: bool
) -> None:
    assert falls_short(Band(-0.5, -0.2, 0.9, below, chance)) == expected
