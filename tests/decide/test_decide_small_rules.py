from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import codes
from bot.decide.costs import break_even_move, break_even_price, gain_per_unit, loss_per_unit
from bot.decide.risk import drawdown_scale
from bot.domain.refusal import RefusalCode

NAN = math.nan


# -- costs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fee_in", "fee_out", "expected"),
    [
        (0.012, 0.012, 0.0243),  # Coinbase taker/taker: 1.012 / 0.988 - 1 = 0.024291
        (0.006, 0.012, 0.0182),  # maker/taker: 1.006 / 0.988 - 1 = 0.018219
        (0.006, 0.006, 0.0121),
        (0.004, 0.004, 0.0080),  # Kraken taker/taker: 1.004 / 0.996 - 1 = 0.008032
        (0.0025, 0.004, 0.0065),  # 1.0025 / 0.996 - 1 = 0.006526
        (0.0025, 0.0025, 0.0050),
        (0.0, 0.0, 0.0),
    ],
)
def test_break_even_move_matches_the_table(fee_in: float, fee_out: float, expected: float) -> None:
    assert break_even_move(fee_in, fee_out) == pytest.approx(expected, abs=5e-5)


@given(fee_in=st.floats(0.0, 0.05), fee_out=st.floats(0.0, 0.05))
def test_break_even_move_pays_both_fees_exactly(fee_in: float, fee_out: float) -> None:
    # $1 costs 1 + fee_in; sold at 1 + move it brings (1 + move)(1 - fee_out).
    assert (1.0 + break_even_move(fee_in, fee_out)) * (1.0 - fee_out) == pytest.approx(1.0 + fee_in, rel=1e-12)


@pytest.mark.parametrize(
    ("stop_distance", "fee_in", "fee_out", "slippage", "expected"),
    [
        (0.06, 0.006, 0.012, 0.001, 0.07828),  # 0.06 + 0.006 + 0.012 x 0.94 + 0.001
        (0.06, 0.0025, 0.004, 0.001, 0.06726),  # 0.06 + 0.0025 + 0.004 x 0.94 + 0.001
        (0.10, 0.0, 0.0, 0.0, 0.10),
        (1.0, 0.006, 0.012, 0.0, 1.006),  # everything is lost: no exit fee is left to pay
    ],
)
def test_loss_per_unit_adds_fees_and_slippage(
    stop_distance: float, fee_in: float, fee_out: float, slippage: float, expected: float
) -> None:
    assert loss_per_unit(stop_distance, fee_in, fee_out, slippage) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("target", "fee_in", "fee_out", "slippage", "expected"),
    [
        (0.14, 0.006, 0.012, 0.001, 0.11932),  # 0.14 - 0.006 - 0.012 x 1.14 - 0.001
        (0.14, 0.0025, 0.004, 0.001, 0.13194),  # 0.14 - 0.0025 - 0.004 x 1.14 - 0.001
        (0.10, 0.0, 0.0, 0.0, 0.10),
        (0.0, 0.006, 0.012, 0.001, -0.019),  # a target at the entry price costs both fees and the slippage
    ],
)
def test_gain_per_unit_takes_off_fees_and_slippage(
    target: float, fee_in: float, fee_out: float, slippage: float, expected: float
) -> None:
    assert gain_per_unit(target, fee_in, fee_out, slippage) == pytest.approx(expected, rel=1e-12)


def test_break_even_price_brings_back_both_fees() -> None:
    # Bought at 100 for 100.60; sold at 101.8219 it brings 101.8219 x .988 = 100.60.
    assert break_even_price(100.0, 0.006, 0.012) == pytest.approx(101.8219, abs=5e-5)
    assert break_even_price(100.0, 0.0, 0.0) == 100.0


# -- drawdown -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drawdown", "expected"),
    [
        (-0.01, 1.0),
        (0.0, 1.0),
        (0.0005, 0.996331),  # 0.1195 / (0.12 x 0.9995)
        (0.03, 0.773196),  # 0.09 / (0.12 x 0.97)
        (0.06, 0.531915),  # 0.06 / (0.12 x 0.94)
        (0.09, 0.274725),  # 0.03 / (0.12 x 0.91)
        (0.10, 0.25),  # the pure rule says 0.02 / (0.12 x 0.90) = 0.185: the floor holds
        (math.nextafter(0.12, 0.0), 0.25),
        (0.12, 0.0),
        (0.50, 0.0),
        (NAN, 0.0),
        (math.inf, 0.0),
    ],
)
def test_drawdown_scale_follows_grossman_and_zhou_with_a_floor(drawdown: float, expected: float) -> None:
    assert drawdown_scale(drawdown, 0.12) == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(
    ("drawdown", "max_drawdown"), [(0.0, 0.0), (-0.05, 0.0), (0.05, NAN), (-0.05, NAN), (NAN, NAN)]
)
def test_drawdown_scale_without_a_usable_limit_is_zero(drawdown: float, max_drawdown: float) -> None:
    assert drawdown_scale(drawdown, max_drawdown) == 0.0


@given(
    first=st.floats(-0.5, 1.0), second=st.floats(-0.5, 1.0), max_drawdown=st.sampled_from([0.01, 0.05, 0.12, 0.3, 1.0])
)
def test_drawdown_scale_never_rises_with_the_drawdown(first: float, second: float, max_drawdown: float) -> None:
    small, large = sorted((first, second))
    at_small, at_large = drawdown_scale(small, max_drawdown), drawdown_scale(large, max_drawdown)
    assert 0.0 <= at_large <= at_small <= 1.0
    assert (at_small == 0.0) == (small >= max_drawdown)
    assert at_small == 0.0 or at_small >= 0.25


# -- codes ----------------------------------------------------------------------------------------


def test_codes_carry_their_own_names() -> None:
    numbers = {name: value for name, value in vars(codes).items() if isinstance(value, int)}
    actions = {name: value for name, value in numbers.items() if name.lower() in codes.ACTION_NAMES}
    refusals = {name: value for name, value in numbers.items() if name not in actions and name != "OK"}
    assert sorted(actions.values()) == list(range(6))
    assert sorted(refusals.values()) == list(range(1, len(codes.REFUSAL_NAMES))) == list(range(1, 25))
    assert all(codes.ACTION_NAMES[value] == name.lower() for name, value in actions.items())
    assert all(codes.REFUSAL_NAMES[value] == name.lower() for name, value in refusals.items())


def test_codes_are_known_to_the_domain() -> None:
    assert codes.OK == 0
    assert codes.REFUSAL_NAMES[codes.OK] == ""
    # WITHIN_BAND says why a position is held, MINIMUM_TRADE what decided a size; they refuse nothing.
    refusals = set(codes.REFUSAL_NAMES[1:]) - {"within_band", "minimum_trade"}
    assert {RefusalCode(name).value for name in refusals} == refusals
