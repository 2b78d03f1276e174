"""Exits of breakout trades: targets, parts, stops, time, and what a plan is worth net."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import exits
from bot.decide.costs import Rules, break_even_price
from bot.decide.exits import LADDER, RUNNER, TRAIL, TRAIL_TIGHT
from bot.domain.modes import ExitRule

NAN = math.nan
SLIPPAGE = 0.001
COINBASE = Rules(1e-8, 1e-8, 1.0, 0.006, 0.012)
KRAKEN = Rules(1e-8, 0.00005, 0.5, 0.0025, 0.004)


def test_codes_are_the_places_of_the_exit_rules() -> None:
    assert list(ExitRule) == [ExitRule.LADDER, ExitRule.RUNNER, ExitRule.TRAIL, ExitRule.TRAIL_TIGHT]
    assert [LADDER, RUNNER, TRAIL, TRAIL_TIGHT] == [0, 1, 2, 3]


# -- stop distance


def test_stop_distance_is_a_multiple_of_the_atr() -> None:
    assert exits.stop_distance(1_250.0, 50_000.0, 4.0) == 0.1  # 4 x 1250 / 50000
    assert exits.stop_distance(1_250.0, 50_000.0, 2.0) == 0.05
    assert exits.stop_distance(25.0, 100.0, 4.0) == 0.9  # four times would be the whole price
    assert math.isnan(exits.stop_distance(NAN, 50_000.0, 2.0))


# -- parts


@pytest.mark.parametrize(
    ("rules", "price", "least"),
    # quant 1b, row 2, before fees: $3.03 on Coinbase, $9.56 and $15.15 on Kraken. With the entry fee
    # taken in coins: 1 / .33 / .994, 3.15 / .33 / .9975, 5 / .33 / .9975.
    [(COINBASE, 63_000.0, 3.0486), (KRAKEN, 63_000.0, 9.5694), (KRAKEN, 100_000.0, 15.1895)],
)
def test_parts_are_three_where_each_is_above_the_minimum(rules: Rules, price: float, least: float) -> None:
    lot_usd = rules.lot_step * price
    assert exits.exit_parts(int((least + 0.01) / lot_usd), price, 0.06, rules) == 3
    assert exits.exit_parts(int((least - 0.01) / lot_usd), price, 0.06, rules) == 1


def test_parts_are_none_where_not_even_all_can_be_sold_at_the_stop() -> None:
    # Lots of 0.1, at least $10, price 10, stop at 9: 11 lots are $9.90 there, 12 are $10.80.
    rules = Rules(0.1, 0.0, 10.0, 0.0, 0.0)
    assert exits.exit_parts(11, 10.0, 0.1, rules) == 0
    assert exits.exit_parts(12, 10.0, 0.1, rules) == 1


def test_can_sell_needs_amount_cost_and_a_lot() -> None:
    rules = Rules(0.5, 1.0, 10.0, 0.0, 0.0)
    assert exits.can_sell(2, 10.0, rules)
    assert not exits.can_sell(1, 100.0, rules)
    assert not exits.can_sell(2, 9.9, rules)
    assert not exits.can_sell(0, 10.0, Rules(0.5, 0.0, 0.0, 0.0, 0.0))


# -- targets

ENTRY, FIRST_STOP = 100.0, 90.0
"""R is 10: 1.8, 3 and 5 R are 118, 130 and 150."""


def test_targets_by_rule_and_parts() -> None:
    def multiples(rule: int, parts: int) -> list[float]:
        return [exits.target_multiple(rule, parts, i) for i in range(exits.target_count(rule, parts))]

    assert multiples(LADDER, 3) == [1.8, 3.0, 5.0]
    assert multiples(RUNNER, 3) == [1.8, 3.0]
    assert multiples(LADDER, 1) == multiples(RUNNER, 1) == [3.0]
    for parts in (1, 3):
        assert multiples(TRAIL, parts) == multiples(TRAIL_TIGHT, parts) == []


def test_target_that_the_rule_does_not_have_is_an_error() -> None:
    with pytest.raises(AssertionError, match=r"^the rule has no such target$"):
        exits.target_multiple(RUNNER, 3, 2)


def test_target_price_is_so_many_r_above_the_entry() -> None:
    assert exits.target_price(ENTRY, FIRST_STOP, 1.8) == 118.0
    assert exits.target_price(ENTRY, FIRST_STOP, 5.0) == 150.0


@pytest.mark.parametrize(
    ("rule", "parts", "price", "reached"),
    [
        (LADDER, 3, 117.99, 0),
        (LADDER, 3, 118.0, 1),
        (LADDER, 3, 129.99, 1),
        (LADDER, 3, 130.0, 2),
        (LADDER, 3, 150.0, 3),
        (LADDER, 3, 1000.0, 3),
        (RUNNER, 3, 1000.0, 2),
        (LADDER, 1, 129.99, 0),
        (LADDER, 1, 130.0, 1),
        (RUNNER, 1, 130.0, 1),
        (TRAIL, 3, 1000.0, 0),
        (TRAIL_TIGHT, 1, 1000.0, 0),
    ],
)
def test_targets_reached_at_a_price(rule: int, parts: int, price: float, reached: int) -> None:
    assert exits.targets_reached(rule, parts, ENTRY, FIRST_STOP, price) == reached


def test_target_is_reached_at_its_very_tick() -> None:
    # 99.9 + 3 x (99.9 - 95.2) = 114.0, in floats 114.00000000000001.
    assert exits.targets_reached(LADDER, 3, 99.9, 95.2, 114.0) == 2
    assert exits.targets_reached(LADDER, 3, 99.9, 95.2, 113.9999) == 1
    # R is 1, the second target 3 R = 5: a price is at it up to 5e-12 below, that one included.
    assert exits.targets_reached(LADDER, 3, 2.0, 1.0, 5.0 * (1.0 - 1e-12)) == 2
    assert exits.targets_reached(LADDER, 3, 2.0, 1.0, 5.0 * (1.0 - 2e-12)) == 1


@pytest.mark.parametrize("first_stop", [100.0, 101.0])
def test_no_target_is_reached_without_an_r(first_stop: float) -> None:
    assert exits.targets_reached(LADDER, 3, ENTRY, first_stop, 1000.0) == 0


@pytest.mark.parametrize(
    ("rule", "parts", "kept"),
    # A third of 100 is 33 lots; of 5 it is int(1.65) = 1.
    [
        (LADDER, 3, [100, 67, 34, 0]),
        (RUNNER, 3, [100, 67, 34, 34]),
        (LADDER, 1, [100, 0, 0, 0]),
        (RUNNER, 1, [100, 0, 0, 0]),
        (TRAIL, 3, [100, 100, 100, 100]),
        (TRAIL_TIGHT, 1, [100, 100, 100, 100]),
    ],
)
def test_lots_to_keep_after_each_target(rule: int, parts: int, kept: list[int]) -> None:
    assert [exits.lots_to_keep(rule, parts, 100, reached) for reached in range(4)] == kept


def test_lots_that_do_not_divide_go_with_the_last_target() -> None:
    assert [exits.lots_to_keep(LADDER, 3, 5, reached) for reached in range(4)] == [5, 4, 3, 0]
    assert [exits.lots_to_keep(LADDER, 3, 2, reached) for reached in range(4)] == [2, 2, 2, 0]


def test_lots_to_keep_of_less_than_nothing_is_an_error() -> None:
    assert exits.lots_to_keep(LADDER, 3, 0, 0) == 0
    with pytest.raises(AssertionError, match=r"^lots cannot be negative$"):
        exits.lots_to_keep(LADDER, 3, -1, 0)


RULE = st.sampled_from([LADDER, RUNNER, TRAIL, TRAIL_TIGHT])
PARTS = st.sampled_from([1, 3])
LOTS = st.integers(0, 10**15)
PRICE = st.floats(1e-6, 1e6)


@given(RULE, PARTS, LOTS, st.integers(0, 5))
def test_lots_to_keep_never_rise_and_are_never_negative(rule: int, parts: int, bought: int, reached: int) -> None:
    now = exits.lots_to_keep(rule, parts, bought, reached)
    later = exits.lots_to_keep(rule, parts, bought, reached + 1)
    assert 0 <= later <= now <= bought


@given(st.sampled_from([LADDER, RUNNER]), LOTS)
def test_no_part_is_smaller_than_the_one_that_the_parts_were_counted_for(rule: int, bought: int) -> None:
    # What the venue takes for one part it takes for every part; the rest is never smaller than a part.
    leg = int(bought * exits.LEG_SHARE)
    kept = [exits.lots_to_keep(rule, 3, bought, reached) for reached in range(4)]
    assert kept[0] - kept[1] == leg
    assert kept[1] - kept[2] == leg
    assert kept[2] >= leg


@given(rule=RULE, parts=PARTS, entry=PRICE, distance=st.floats(0.001, 0.9), price=PRICE, other=PRICE)
def test_targets_reached_never_fall_as_the_price_rises(
    *, rule: int, parts: int, entry: float, distance: float, price: float, other: float
) -> None:
    first_stop = entry * (1.0 - distance)
    low, high = min(price, other), max(price, other)
    below = exits.targets_reached(rule, parts, entry, first_stop, low)
    above = exits.targets_reached(rule, parts, entry, first_stop, high)
    assert 0 <= below <= above <= exits.target_count(rule, parts)
    if high <= entry:
        assert above == 0


# -- the stop


class TestMovedStop:
    """Entry 100, first stop 90, break-even 101.82, highest price 140, ATR 5."""

    @staticmethod
    def moved(rule: int, reached: int, *, stop: float = 90.0, parts: int = 3, price: float = 139.0) -> float:
        return exits.moved_stop(rule, parts, reached, stop, 101.82, 140.0, 5.0, price)

    def test_ladder_stays_until_the_first_target_and_is_at_break_even_from_then_on(self) -> None:
        assert [self.moved(LADDER, reached) for reached in range(4)] == [90.0, 101.82, 101.82, 101.82]

    def test_runner_trails_by_three_atr_from_its_last_target_on(self) -> None:
        assert [self.moved(RUNNER, reached) for reached in range(3)] == [90.0, 101.82, 125.0]  # 140 - 3 x 5

    def test_runner_that_is_sold_at_once_does_not_trail(self) -> None:
        assert self.moved(RUNNER, 0, parts=1) == 90.0
        assert self.moved(RUNNER, 1, parts=1) == 101.82

    def test_trail_follows_by_three_atr_and_the_tight_one_by_two(self) -> None:
        assert self.moved(TRAIL, 0) == 125.0
        assert self.moved(TRAIL_TIGHT, 0) == 130.0

    def test_stop_that_is_higher_already_stays(self) -> None:
        assert self.moved(LADDER, 1, stop=110.0) == 110.0
        assert self.moved(TRAIL, 0, stop=126.0) == 126.0

    def test_stop_that_would_rise_to_the_price_or_above_has_been_reached(self) -> None:
        assert self.moved(TRAIL, 0, price=125.01) == 125.0
        assert math.isnan(self.moved(TRAIL, 0, price=125.0))
        assert math.isnan(self.moved(LADDER, 1, price=101.82))
        assert math.isnan(self.moved(LADDER, 1, price=80.0))

    def test_stop_that_does_not_rise_stays_whatever_the_price(self) -> None:
        # It rests already, and the venue sees to it.
        assert self.moved(LADDER, 0, price=80.0) == 90.0
        assert self.moved(LADDER, 1, stop=101.82, price=101.8) == 101.82

    def test_nothing_trails_without_an_atr(self) -> None:
        assert exits.moved_stop(TRAIL, 3, 0, 90.0, 101.82, 140.0, NAN, 139.0) == 90.0


REACHED = st.integers(0, 3)
ATR = st.floats(0.0, 1e6)


@given(
    rule=RULE, parts=PARTS, reached=REACHED, stop=PRICE, even=PRICE, highest=PRICE, atr=ATR | st.just(NAN), price=PRICE
)
def test_stop_never_falls_and_never_rises_to_the_price(
    *, rule: int, parts: int, reached: int, stop: float, even: float, highest: float, atr: float, price: float
) -> None:
    moved = exits.moved_stop(rule, parts, reached, stop, even, highest, atr, price)
    if math.isnan(moved):
        return
    assert moved >= stop
    assert moved == stop or moved < price
    again = exits.moved_stop(rule, parts, reached, moved, even, highest, atr, price)
    assert again == moved


@given(rule=RULE, parts=PARTS, reached=REACHED, stop=PRICE, even=PRICE, highest=PRICE, atr=ATR, more=REACHED)
def test_stop_never_falls_as_more_targets_are_reached(
    *, rule: int, parts: int, reached: int, stop: float, even: float, highest: float, atr: float, more: int
) -> None:
    now = exits.moved_stop(rule, parts, reached, stop, even, highest, atr, math.inf)
    later = exits.moved_stop(rule, parts, reached + more, stop, even, highest, atr, math.inf)
    assert later >= now


@given(st.floats(1.0, 1e6), st.floats(0.0, 0.05), st.floats(0.0, 0.05))
def test_sale_at_break_even_pays_both_fees(entry: float, fee_in: float, fee_out: float) -> None:
    price = break_even_price(entry, fee_in, fee_out)
    assert price * (1.0 - fee_out) == pytest.approx(entry * (1.0 + fee_in), rel=1e-12)


# -- the highest price since the entry

DAY = 10
OPENS = [0, 10, 20, 30]
HIGHS = [500.0, 400.0, 120.0, 130.0]
CLOSES = [300.0, 115.0, 110.0, 112.0]


@pytest.mark.parametrize(
    ("entry_ms", "highest"),
    [
        (10, 400.0),  # with the bar's opening: all of that bar counts
        (11, 130.0),  # within it: only its close of 115 does
        (19, 130.0),
        (25, 130.0),
        (35, 112.0),  # within the newest bar: its close
        (40, 100.0),  # after it
        (99, 100.0),
    ],
)
def test_highest_price_is_of_bars_since_the_entry(entry_ms: int, highest: float) -> None:
    assert exits.highest_since(OPENS, HIGHS, CLOSES, 4, DAY, entry_ms, 100.0) == highest


def test_highest_price_is_at_least_the_entry_price() -> None:
    assert exits.highest_since(OPENS, HIGHS, CLOSES, 4, DAY, 20, 200.0) == 200.0
    assert exits.highest_since([], [], [], 0, DAY, 20, 200.0) == 200.0


def test_highest_price_is_of_the_given_number_of_bars() -> None:
    assert exits.highest_since(OPENS, HIGHS, CLOSES, 3, DAY, 20, 100.0) == 120.0


# -- time


def test_time_is_over_after_twenty_days() -> None:
    assert not exits.time_is_over(19.999)
    assert exits.time_is_over(20.0)


# -- what a plan is worth


def test_reward_of_correction_two() -> None:
    # Coinbase maker in, taker out, stop 6.6 %. Loss: .066 + .006 + .012 x .934 + .001 = .084208.
    # 1.8 R: .1188 - .006 - .012 x 1.1188 - .001 = .0983744; 3 R: .198 - ... = .176624; mean 3.284 R: .195143072.
    market = (0.066, 0.006, 0.012, SLIPPAGE)
    assert round(exits.reward_at(1.8, *market), 2) == 1.17
    assert round(exits.net_reward(LADDER, 1, *market), 2) == 2.10
    assert round(exits.net_reward(LADDER, 3, *market), 2) == 2.32
    assert exits.net_reward(LADDER, 3, *market) == pytest.approx(0.195143072 / 0.084208, rel=1e-9)


def test_reward_of_the_runner_counts_its_rest_at_the_last_target() -> None:
    # .33 x 1.8 + .67 x 3 = 2.604 R: .171864 - .006 - .012 x 1.171864 - .001 = .150801632
    assert exits.net_reward(RUNNER, 3, 0.066, 0.006, 0.012, SLIPPAGE) == pytest.approx(0.150801632 / 0.084208, rel=1e-9)
    assert round(exits.net_reward(RUNNER, 1, 0.066, 0.006, 0.012, SLIPPAGE), 2) == 2.10


def test_reward_of_rules_without_targets_is_unknown() -> None:
    for rule in (TRAIL, TRAIL_TIGHT):
        for parts in (1, 3):
            assert math.isnan(exits.net_reward(rule, parts, 0.066, 0.006, 0.012, SLIPPAGE))


FEES = [(0.012, 0.012), (0.006, 0.012), (0.006, 0.006), (0.004, 0.004), (0.0025, 0.004), (0.0025, 0.0025)]
"""Coinbase taker/taker, maker/taker, maker/maker; Kraken likewise."""

TABLE_3B = {
    0.01: (-0.21, -0.04, 0.21, 0.47, 0.60, 0.75),
    0.02: (0.24, 0.43, 0.69, 0.93, 1.03, 1.15),
    0.03: (0.52, 0.71, 0.95, 1.15, 1.24, 1.33),
    0.05: (0.86, 1.02, 1.22, 1.37, 1.43, 1.50),
    0.08: (1.13, 1.26, 1.41, 1.52, 1.56, 1.60),
    0.12: (1.31, 1.41, 1.52, 1.60, 1.63, 1.67),
}


@pytest.mark.parametrize("distance", TABLE_3B)
@pytest.mark.parametrize("column", range(6))
def test_reward_of_table_3b(distance: float, column: int) -> None:
    fee_in, fee_out = FEES[column]
    assert exits.reward_at(1.8, distance, fee_in, fee_out, SLIPPAGE) == pytest.approx(
        TABLE_3B[distance][column], abs=0.005
    )


FEE = st.floats(0.0, 0.02)


@given(
    rule=st.sampled_from([LADDER, RUNNER]),
    parts=PARTS,
    distance=st.floats(0.01, 0.5),
    fee_in=FEE,
    fee_out=FEE,
    more=st.floats(1e-6, 0.02),
)
def test_reward_falls_with_every_cost_and_rises_with_the_stop_distance(
    *, rule: int, parts: int, distance: float, fee_in: float, fee_out: float, more: float
) -> None:
    reward = exits.net_reward(rule, parts, distance, fee_in, fee_out, SLIPPAGE)
    assert exits.net_reward(rule, parts, distance, fee_in + more, fee_out, SLIPPAGE) < reward
    assert exits.net_reward(rule, parts, distance, fee_in, fee_out + more, SLIPPAGE) < reward
    assert exits.net_reward(rule, parts, distance, fee_in, fee_out, SLIPPAGE + more) < reward
    assert exits.net_reward(rule, parts, distance + more, fee_in, fee_out, SLIPPAGE) > reward


@given(rule=st.sampled_from([LADDER, RUNNER]), parts=PARTS, distance=st.floats(0.01, 0.5), fee_in=FEE, fee_out=FEE)
def test_reward_net_is_below_gross(*, rule: int, parts: int, distance: float, fee_in: float, fee_out: float) -> None:
    # In parts 3.284 R (ladder) and 2.604 R (runner), at once 3 R.
    gross = 3.0 if parts == 1 else 2.604 if rule == RUNNER else 3.284
    assert exits.net_reward(rule, parts, distance, fee_in, fee_out, SLIPPAGE) < gross
