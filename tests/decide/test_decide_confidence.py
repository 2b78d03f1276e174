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


def test_nothing_known_is_one_half() -> None:
    assert confidence_of([], [], NONE) == Confidence(0.5, 0.0, 0.0)


def test_evidence_counts_a_quarter() -> None:
    # 40 trades, sum 8 R, squares 60: mean 2 / 30, variance (36 + 15) / 30 - mean^2, sd of the mean sqrt(var / 31)
    found = confidence_of([], [], Evidence(40.0, 8.0, 60.0))
    assert found.chance == pytest.approx(0.6122002326, rel=1e-9)
    assert (found.own, found.evidence) == (0.0, 10.0)


def test_own_results_count_by_their_age() -> None:
    # 2 R at weights 1, .5, .5 and -1 R at 1: mean 3 / 23, variance (36 + 9) / 23 - mean^2, sd sqrt(var / 24)
    found = confidence_of([2.0, 2.0, 2.0, -1.0], [1.0, 0.5, 0.5, 1.0], NONE)
    assert found.chance == pytest.approx(0.6768224022, rel=1e-9)
    assert found.own == 3.0


RESULTS = st.lists(st.floats(-3.0, 6.0), max_size=40)


@given(RESULTS)
def test_own_results_alone_say_what_the_kelly_leg_says(results: list[float]) -> None:
    weights = [1.0] * len(results)
    chance = edge_of_results(results, weights, 0.12).chance
    assert confidence_of(results, weights, NONE).chance == pytest.approx(chance, abs=1e-12)


@given(RESULTS, st.integers(0, 400), st.floats(-2.0, 2.0))
def test_chance_is_a_probability(results: list[float], trades: int, mean: float) -> None:
    evidence = Evidence(float(trades), trades * mean, trades * (mean * mean + 1.0))
    assert 0.0 <= confidence_of(results, [1.0] * len(results), evidence).chance <= 1.0


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
    assert band.low == pytest.approx(-0.3493987606, rel=1e-9)
    assert band.high == pytest.approx(1.3493987606, rel=1e-9)
    assert band.below == 0


def test_trades_below_the_band_are_counted_from_the_newest_back() -> None:
    # After one trade the band begins at -1.1988: -1 lies within, -1.2 below.
    assert band_of([-1.0], SIXTEEN).below == 0
    assert band_of([-1.2], SIXTEEN).below == 1
    # The lows: -1.1988, -.7012, -.4808, -.3494; means -1.2, -1.1, -1.0667, then -.3
    assert band_of([-1.2, -1.0, -1.0], SIXTEEN).below == 3
    assert band_of([-1.2, -1.0, -1.0, 2.0], SIXTEEN).below == 0


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
    assert falls_short(Band(-0.5, -0.2, 0.9, below), Confidence(chance, 25.0, 4.0)) == expected
