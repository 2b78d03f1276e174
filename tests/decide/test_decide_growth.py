"""The growth curve (quant 2.5): BTC at 100,000, lots of $1, stop 6 %, target 14 %."""

from __future__ import annotations

import math

import pytest

from bot.decide import growth

CB_LOSS, CB_GAIN = 0.07828, 0.11932
KR_LOSS, KR_GAIN = 0.06726, 0.13194


@pytest.mark.parametrize(
    "row",  # win rate, gain and loss per unit, equity, most lots, best lots, their growth
    [
        (0.50, CB_GAIN, CB_LOSS, 15, 12, 12, 0.01324996),
        (0.45, KR_GAIN, KR_LOSS, 15, 12, 12, 0.01473477),
        (0.36, KR_GAIN, KR_LOSS, 1000, 180, 180, 0.00065413),
        (0.45, KR_GAIN, KR_LOSS, 1000, 180, 180, 0.00386283),
    ],
)
def test_best_lots_of_the_table(row: tuple[float, float, float, int, int, int, float]) -> None:
    win_rate, gain, loss, equity, max_lots, lots, value = row
    assert growth.best_lots(win_rate, gain, loss, 1 / equity, 5, max_lots) == lots
    assert growth.growth(lots / equity, win_rate, gain, loss) == pytest.approx(value, abs=5e-9)


def test_best_lots_above_break_even_and_below_the_minimum_are_none() -> None:
    # p = .40 is above p_be = .07828 / .1976 = .396154, but at $5 of $15 the variance costs more than the edge brings.
    break_even = CB_LOSS / (CB_LOSS + CB_GAIN), KR_LOSS / (KR_LOSS + KR_GAIN)
    assert break_even == pytest.approx((0.396154, 0.337651), abs=5e-7)
    assert growth.growth(5 / 15, 0.40, CB_GAIN, CB_LOSS) < 0.0
    assert growth.best_lots(0.40, CB_GAIN, CB_LOSS, 1 / 15, 5, 12) == 0
    assert growth.best_lots(0.40, CB_GAIN, CB_LOSS, 1 / 15, 1, 12) == 1


def test_best_lots_inside_the_range_equals_the_best_of_all() -> None:
    for win_rate in (0.30, 0.41, 0.42, 0.45, 0.50):
        values = {lots: growth.growth(lots / 400, win_rate, 1.5, 1.0) for lots in range(1, 400)}
        best = max(values, key=lambda lots: values[lots])
        expected = best if values[best] > 0 else 0
        assert growth.best_lots(win_rate, 1.5, 1.0, 1 / 400, 1, 399) == expected


def test_best_lots_of_a_single_size_is_that_size() -> None:
    # The peak is at .6 / .5 - .4 / 1 = .8 of equity, eight lots.
    assert growth.best_lots(0.6, 1.0, 0.5, 0.1, 3, 3) == 3


def test_best_lots_that_neither_grow_nor_shrink_are_none() -> None:
    # .5 ln(1 + 1) + .5 ln(1 - .5) = .5 ln 2 - .5 ln 2 = 0
    assert growth.growth(1.0, 0.5, 1.0, 0.5) == 0.0
    assert growth.best_lots(0.5, 1.0, 0.5, 1.0, 1, 1) == 0


def test_growth_with_the_prior_alone_is_negative_at_any_size() -> None:
    # Correction 1: p0 = 1 / 2.8 with a gain of 1.8 losses is no edge, and variance costs.
    assert all(growth.growth(n / 100, 1 / 2.8, 1.8 * 0.07, 0.07) < 0.0 for n in range(1, 100))
    assert growth.growth(0.0, 0.5, 1.0, 1.0) == 0.0
    assert growth.growth(1.0, 0.5, 1.0, 1.0) == -math.inf
    assert growth.best_lots(0.5, 1.0, 1.0, 0.1, 5, 4) == 0
