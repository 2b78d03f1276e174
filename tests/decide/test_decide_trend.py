from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from decide_samples import Bars, flags_by_bar, random_bars, real_bars
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import trend
from bot.decide.trend import FLAT, LONG, NOT_READY


@dataclass(frozen=True)
class Step:
    """One bar and the state after it."""

    high: float
    low: float
    close: float
    flag: int


# Lookback 5: the entry and the exit channel both have five days.
STEPS = (
    Step(10.0, 8.0, 9.0, NOT_READY),
    Step(11.0, 9.0, 10.0, NOT_READY),
    Step(12.0, 9.0, 11.0, NOT_READY),
    Step(11.0, 9.0, 10.0, NOT_READY),
    Step(10.0, 8.0, 9.0, NOT_READY),
    Step(12.0, 9.0, 12.0, FLAT),  # top of bars 0-4 is 12: equal is not above
    Step(13.0, 10.0, 12.5, LONG),  # top of bars 1-5 is 12; the own high of 13 does not count
    Step(12.0, 8.0, 8.0, LONG),  # bottom of bars 2-6 is 8: equal is not below
    Step(9.0, 7.0, 7.9, FLAT),  # bottom of bars 3-7 is 8
    Step(13.5, 8.0, 13.0, FLAT),  # top of bars 4-8 is 13
    Step(14.0, 12.0, 14.0, LONG),  # top of bars 5-9 is 13.5
    Step(14.0, 1.0, 12.0, LONG),  # the low of 1 is no close; bottom of bars 6-10 is 7
)


def test_donchian_step_follows_the_hand_made_series() -> None:
    highs, lows, closes = [s.high for s in STEPS], [s.low for s in STEPS], [s.close for s in STEPS]
    flag = NOT_READY
    for i, step in enumerate(STEPS):
        flag = trend.donchian_step(flag, highs, lows, closes, i, 5)
        assert flag == step.flag, f"bar {i}"


def test_donchian_step_can_be_long_on_its_first_ready_bar() -> None:
    highs, lows, closes = [10.0] * 5 + [11.0], [8.0] * 6, [9.0] * 5 + [10.5]
    assert trend.donchian_step(NOT_READY, highs, lows, closes, 4, 5) == NOT_READY
    assert trend.donchian_step(NOT_READY, highs, lows, closes, 5, 5) == LONG


@pytest.mark.parametrize(
    ("lookback", "expected"),
    [(5, 5), (10, 5), (20, 10), (30, 15), (60, 30), (90, 45), (150, 75), (250, 125), (360, 180)],
)
def test_exit_lookback_is_half_and_at_least_five(lookback: int, expected: int) -> None:
    assert trend.exit_lookback(lookback) == expected


def test_lookbacks_are_those_of_the_evidence() -> None:
    assert trend.LOOKBACKS == (5, 10, 20, 30, 60, 90, 150, 250, 360)
    assert trend.MIN_LOOKBACKS == 6


@pytest.mark.parametrize(("close", "expected"), [(95.0, LONG), (94.9, FLAT)])
def test_donchian_step_exits_below_the_low_of_half_the_lookback(close: float, expected: int) -> None:
    # Lookback 20: lows of bars 0-9 are 90, of bars 10-19 95. Bar 20 breaks out; bar 21 sees bars 11-20: 95.
    highs = [100.0] * 20 + [102.0, 100.0]
    lows = [90.0] * 10 + [95.0] * 10 + [97.0, 90.0]
    closes = [98.0] * 20 + [101.0, close]
    assert trend.donchian_step(FLAT, highs, lows, closes, 20, 20) == LONG
    assert trend.donchian_step(LONG, highs, lows, closes, 21, 20) == expected


def test_donchian_step_sees_the_low_at_the_old_end_of_the_exit_channel() -> None:
    # As above with the 95s one bar later: bar 10 has 90, and bar 21 sees bars 11-20, bar 20 sees 10-19.
    lows = [95.0] * 10 + [90.0] + [95.0] * 11
    highs, closes = [100.0] * 22, [98.0] * 20 + [94.0, 94.0]
    assert trend.donchian_step(LONG, highs, lows, closes, 20, 20) == LONG
    assert trend.donchian_step(LONG, highs, lows, closes, 21, 20) == FLAT


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([LONG] * 9, 1.0),
        ([FLAT] * 9, 0.0),
        ([LONG] * 7 + [FLAT] * 2, 7 / 9),
        ([LONG, FLAT, LONG, FLAT, FLAT, FLAT, NOT_READY, NOT_READY, NOT_READY], 2 / 6),
        ([LONG] * 6 + [FLAT] * 2 + [NOT_READY], 0.75),
    ],
)
def test_trend_score_is_the_share_of_ready_lookbacks(flags: list[int], expected: float) -> None:
    assert trend.trend_score(flags) == expected


@pytest.mark.parametrize("flags", [[NOT_READY] * 9, [LONG] * 5 + [NOT_READY] * 4])
def test_trend_score_with_fewer_than_six_ready_is_nan(flags: list[int]) -> None:
    assert math.isnan(trend.trend_score(flags))


@pytest.mark.parametrize(
    ("bars", "ready"),
    [(5, 0), (6, 1), (90, 5), (91, 6), (150, 6), (151, 7), (250, 7), (251, 8), (360, 8), (361, 9), (500, 9)],
)
def test_advance_flags_leaves_out_what_the_history_cannot_fill(bars: int, ready: int) -> None:
    rising = [float(i) for i in range(1, bars + 1)]  # each close is above every earlier high
    after = flags_by_bar(Bars(rising, rising, rising))[-1]
    assert after == [LONG] * ready + [NOT_READY] * (9 - ready)
    score = trend.trend_score(after)
    assert score == 1.0 if ready >= 6 else math.isnan(score)


def test_advance_flags_exits_the_short_lookbacks_first() -> None:
    # 400 rising closes 1..400, then 389: above the lows of bars 0-388, so only exits of 5 to 10 days see higher lows:
    # lookbacks 5 and 10 (exit 5: low of 396-400), 20 (exit 10: low of 391-400). Lookback 30 sees 386.
    closes = [float(i) for i in range(1, 401)] + [389.0]
    after = flags_by_bar(Bars(closes, closes, closes))[-1]
    assert after == [FLAT, FLAT, FLAT] + [LONG] * 6


# -- against an independent statement of the rule -------------------------------------------------


def states_from_the_rule(bars: Bars, lookback: int) -> list[int]:
    """Long from a close above the highest of n prior highs to one below the lowest of max(5, n // 2) prior lows."""
    states = [NOT_READY] * min(lookback, len(bars.closes))
    is_long = False
    for i in range(lookback, len(bars.closes)):
        if is_long:
            is_long = bars.closes[i] >= min(bars.lows[i - max(5, lookback // 2) : i])
        else:
            is_long = bars.closes[i] > max(bars.highs[i - lookback : i])
        states.append(LONG if is_long else FLAT)
    return states


@given(seed=st.integers(0, 10_000), n=st.integers(1, 450))
def test_advance_flags_agree_with_the_rule(seed: int, n: int) -> None:
    bars = random_bars(seed, n)
    after = flags_by_bar(bars)
    for k, lookback in enumerate(trend.LOOKBACKS):
        assert [flags[k] for flags in after] == states_from_the_rule(bars, lookback)


def test_advance_flags_agree_with_the_rule_on_real_bars() -> None:
    bars = real_bars()
    after = flags_by_bar(bars)
    assert after[-1].count(NOT_READY) == 0
    for k, lookback in enumerate(trend.LOOKBACKS):
        assert [flags[k] for flags in after] == states_from_the_rule(bars, lookback)


# -- no look ahead --------------------------------------------------------------------------------


def assert_prefixes_agree(bars: Bars, cuts: list[int]) -> None:
    whole = flags_by_bar(bars)
    for cut in cuts:
        assert flags_by_bar(bars.first(cut)) == whole[:cut]


def assert_steps_ignore_what_follows(bars: Bars) -> None:
    """Step with the future cut off at every single bar, and compare."""
    whole = flags_by_bar(bars)
    flags = [NOT_READY] * 9
    for i in range(len(bars.closes)):
        known = bars.first(i + 1)
        trend.advance_flags(flags, known.highs, known.lows, known.closes, i)
        assert flags == whole[i], f"bar {i}"


@given(seed=st.integers(0, 10_000), n=st.integers(1, 420), cut=st.integers(0, 420))
def test_flags_of_a_prefix_equal_the_prefix_of_the_flags(seed: int, n: int, cut: int) -> None:
    assert_prefixes_agree(random_bars(seed, n), [cut])


@given(seed=st.integers(0, 10_000), cut=st.integers(1, 419))
def test_flags_do_not_change_when_the_future_does(seed: int, cut: int) -> None:
    bars, other = random_bars(seed, 420), random_bars(seed + 1, 420)
    spliced = Bars(*(mine[:cut] + [9.0 * v for v in theirs[cut:]] for mine, theirs in zip(bars, other, strict=True)))
    assert flags_by_bar(bars)[:cut] == flags_by_bar(spliced)[:cut]


def test_flags_ignore_what_follows_at_every_bar() -> None:
    assert_steps_ignore_what_follows(random_bars(3, 450))


def test_flags_on_real_bars_ignore_what_follows() -> None:
    bars = real_bars()
    assert_prefixes_agree(bars, [1, 91, 361, 1000, len(bars.closes) - 1])
    assert_steps_ignore_what_follows(bars)


# -- the level that the next close must exceed ----------------------------------------------------


def score_after(bars: Bars, close: float) -> float:
    """Score after one more bar that closes at ``close``."""
    longer = Bars([*bars.highs, close], [*bars.lows, close], [*bars.closes, close])
    return trend.trend_score(flags_by_bar(longer)[-1])


def assert_level_is_exact(bars: Bars, min_score: float) -> bool:
    """Whether there was a level; it was checked from both sides."""
    level = trend.close_that_reaches(flags_by_bar(bars)[-1], bars.highs, len(bars.closes), min_score)
    if math.isnan(level):
        score = score_after(bars, bars.highs[-1])  # a close that ends no long state
        assert math.isnan(score) or score >= min_score
        return False
    assert score_after(bars, math.nextafter(level, math.inf)) >= min_score
    assert score_after(bars, level) < min_score
    return True


@given(
    seed=st.integers(0, 10_000),
    n=st.one_of(st.integers(85, 420), st.sampled_from([89, 90, 91, 149, 150, 151, 249, 250, 251, 359, 360, 361])),
    min_score=st.sampled_from([0.1, 0.25, 0.5, 2 / 3, 0.75, 7 / 9, 0.8, 0.9, 1.0]),
)
def test_close_that_reaches_is_exact_from_both_sides(seed: int, n: int, min_score: float) -> None:
    assert_level_is_exact(random_bars(seed, n), min_score)


@pytest.mark.parametrize("n", [90, 150, 250, 360])
def test_close_that_reaches_foresees_a_lookback_that_becomes_ready(n: int) -> None:
    # With the bar after n, the lookback n counts: the number that must be long can rise with it.
    levels = [assert_level_is_exact(random_bars(seed, n), 0.75) for seed in range(20)]
    assert sum(levels) >= 5


def test_close_that_reaches_on_real_bars_is_exact() -> None:
    bars = real_bars()
    levels = [assert_level_is_exact(bars.first(n), 0.75) for n in range(90, len(bars.closes), 311)]
    assert sum(levels) >= 3


def stairs(n: int) -> list[float]:
    """Highs that fall by one a day: the top of the last k of them is k."""
    return [float(n - i) for i in range(n)]


@pytest.mark.parametrize(
    ("flags", "min_score", "expected"),
    [
        ([FLAT] * 9, 0.75, 150.0),  # ceil(6.75) = 7 of the tops 5, 10, 20, 30, 60, 90, 150, 250, 360
        ([FLAT] * 9, 1.0, 360.0),
        ([FLAT] * 9, 0.1, 5.0),  # ceil(0.9) = 1
        ([FLAT] * 9, 7 / 9, 150.0),
        ([LONG] * 6 + [FLAT] * 3, 0.75, 150.0),  # 7 - 6 = 1 more
        ([FLAT, LONG, LONG, LONG, LONG, LONG, FLAT, FLAT, LONG], 0.75, 5.0),
    ],
)
def test_close_that_reaches_takes_the_lowest_tops(flags: list[int], min_score: float, expected: float) -> None:
    assert trend.close_that_reaches(flags, stairs(400), 400, min_score) == expected


def test_close_that_reaches_asks_for_six_of_eight_at_three_quarters() -> None:
    assert trend.close_that_reaches([FLAT] * 8 + [NOT_READY], stairs(300), 300, 0.75) == 90.0


@pytest.mark.parametrize(
    ("flags", "n_bars", "min_score"),
    [
        ([LONG] * 7 + [FLAT] * 2, 400, 0.75),  # there already
        ([FLAT] * 9, 400, 0.0),  # asks for nothing
        ([FLAT] * 9, 400, 1.2),  # cannot be reached
        ([FLAT] * 5 + [NOT_READY] * 4, 89, 0.75),  # five ready, and five with the next bar
        ([NOT_READY] * 9, 0, 0.75),
    ],
)
def test_close_that_reaches_is_nan_without_a_level(flags: list[int], n_bars: int, min_score: float) -> None:
    assert math.isnan(trend.close_that_reaches(flags, stairs(n_bars), n_bars, min_score))


# -- close_that_lowers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "n_bars", "expected"),
    [
        ([LONG] * 9, 400, 396.0),  # the lowest of the last five lows, 396 to 400
        ([LONG] * 9, 390, 386.0),  # later bars are not there yet
        ([NOT_READY] + [FLAT] * 4 + [LONG] * 4, 400, 356.0),  # 90 days: the lowest of the last 45
        ([FLAT, FLAT, LONG, FLAT, FLAT, FLAT, FLAT, FLAT, LONG], 400, 391.0),  # 20 days: of the last 10
        ([FLAT] * 8 + [LONG], 400, 221.0),  # 360 days: of the last 180
    ],
)
def test_close_that_lowers_is_the_highest_of_the_channel_lows(flags: list[int], n_bars: int, expected: float) -> None:
    lows = [float(i) for i in range(1, 401)]
    assert trend.close_that_lowers(flags, lows, n_bars) == expected


@pytest.mark.parametrize("flags", [[FLAT] * 9, [NOT_READY] * 9])
def test_close_that_lowers_with_nothing_long_is_nan(flags: list[int]) -> None:
    assert math.isnan(trend.close_that_lowers(flags, stairs(400), 400))


@given(st.integers(0, 10_000), st.integers(95, 400))
def test_close_that_lowers_is_where_the_score_begins_to_fall(seed: int, n_bars: int) -> None:
    bars = random_bars(seed, n_bars)
    flags = flags_by_bar(bars)[-1]
    level = trend.close_that_lowers(flags, bars.lows, n_bars)
    longs = [k for k, flag in enumerate(flags) if flag == LONG]
    assert math.isnan(level) == (not longs)
    if not longs:
        return
    for close, falls in ((level, False), (level * 0.999, True)):
        lows, highs, closes = [*bars.lows, close], [*bars.highs, close], [*bars.closes, close]
        after = [trend.donchian_step(flags[k], highs, lows, closes, n_bars, trend.LOOKBACKS[k]) for k in longs]
        assert (FLAT in after) == falls
