"""The regime: mode, size and its own record, by hand."""

from __future__ import annotations

import math

import pytest
from decide_samples import COIN
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import codes, regime
from bot.decide.intents import entry_or_refusal
from bot.decide.regime import (
    CRASH,
    FLAT,
    LONG,
    UNKNOWN,
    Regime,
    hits_of,
    is_crash,
    mean_of_closes,
    place_of,
    regime_of,
    scale_at,
    volatility_rank,
)

NAN = math.nan


@pytest.mark.parametrize(
    ("share", "rank", "crashed", "expected"),
    [
        (0.5, 0.3, False, (LONG, 1.0)),
        (1.0, 0.8, False, (LONG, 1.0)),
        (1.0, 0.9, False, (LONG, 0.75)),  # half way from the 80th percentile to the highest
        (1.0, 1.0, False, (LONG, 0.5)),
        (0.49, 0.3, False, (FLAT, 0.0)),
        (1.0, 0.96, True, (CRASH, 0.0)),
        (1.0, 0.96, False, (LONG, 0.6)),
        (0.1, 0.96, True, (CRASH, 0.0)),
        (NAN, 0.96, True, (UNKNOWN, 1.0)),
        (NAN, 0.3, False, (UNKNOWN, 1.0)),
        (1.0, NAN, False, (UNKNOWN, 1.0)),
    ],
)
def test_regime_by_trend_volatility_and_crash(
    share: float, rank: float, crashed: bool, expected: tuple[int, float]
) -> None:
    state = regime_of(share, rank, crashed)
    assert state.mode == expected[0]
    assert state.scale == pytest.approx(expected[1], rel=1e-12)


@pytest.mark.parametrize(
    ("rank", "before", "close", "crashed"),
    [
        (0.96, 199, 80.0, True),
        (0.95, 199, 80.0, False),  # the 95th percentile itself is none
        (0.96, 199, 90.0, False),  # the mean itself is not below it
        (0.96, 199, 100.0, False),
        (0.96, 198, 80.0, False),  # no 200 days yet
        (NAN, 199, 80.0, False),
    ],
)
def test_crash_is_high_volatility_below_the_mean_of_200_days(
    rank: float, before: int, close: float, crashed: bool
) -> None:
    assert is_crash(rank, [90.0] * before + [close], before + 1) is crashed


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_scale_never_enlarges_and_never_rises_with_volatility(one: float, other: float) -> None:
    assert 0.5 - 1e-12 <= scale_at(max(one, other)) <= scale_at(min(one, other)) <= 1.0


@pytest.mark.parametrize(("value", "place"), [(0.0, 0), (1.0, 0), (1.5, 1), (2.0, 1), (2.5, 4), (9.0, 5)])
def test_place_counts_what_is_below(value: float, place: int) -> None:
    assert place_of([1.0, 2.0, 2.0, 2.0, 3.0], value) == place


def test_rank_needs_100_others_and_forgets_after_a_year() -> None:
    volatilities = [NAN] * 14 + [float(i % 400) for i in range(800)]
    ordered: list[float] = []
    ranks = [volatility_rank(ordered, volatilities, i, 14) for i in range(14, 814)]
    assert math.isnan(ranks[99])
    assert ranks[100] == 1.0  # the 101st is above all 100 others
    assert ranks[399] == 1.0
    assert ranks[400] == 0.0  # 0 again, below the 364 before it
    assert len(ordered) == 365
    for place in (500, 650, 799):
        others = volatilities[14 + place - 364 : 14 + place]
        assert ranks[place] == sum(other < volatilities[14 + place] for other in others) / 364


def test_mean_of_200_closes() -> None:
    closes = [1.0] * 100 + [3.0] * 100
    assert mean_of_closes(closes, 200) == 2.0
    assert mean_of_closes([50.0, *closes], 201) == 2.0
    assert math.isnan(mean_of_closes(closes, 199))


def test_hits_judge_every_day_and_count_periods_that_do_not_overlap() -> None:
    closes = [100.0] * 20 + [110.0] * 20 + [105.0] * 20 + [120.0] * 20
    modes = [LONG] * 20 + [LONG] * 20 + [CRASH] * 20 + [FLAT] * 20
    # 60 days can be judged: 20 rose under LONG (right), 20 fell under LONG (wrong), 20 rose under CRASH (wrong)
    assert hits_of(modes, closes, 80) == (3, 1, 2)
    assert hits_of([UNKNOWN] * 20 + modes[20:], closes, 80) == (2, 0, 1)
    assert hits_of(modes, closes, 39) == (0, 0, 0)
    assert hits_of(modes, closes, 40) == (1, 1, 1)


@pytest.mark.parametrize(
    ("state", "code", "limit", "actual"),
    [
        (Regime(CRASH, 0.97, 0.0), codes.MARKET_CRASH, 0.95, 0.97),
        (Regime(FLAT, 0.2, 0.0), codes.MARKET_FLAT, 0.5, 0.4),
    ],
)
def test_entry_in_a_bad_regime_is_refused_with_its_figures(
    state: Regime, code: int, limit: float, actual: float
) -> None:
    coin = COIN._replace(mode=state.mode, trend=0.4, rank=state.rank, scale=state.scale)
    intent = entry_or_refusal(codes.ENTER, 10.0, 10.0, coin, 0.75)
    assert (intent.action, intent.code, intent.limit, intent.actual) == (codes.REFUSE, code, limit, actual)
    assert entry_or_refusal(codes.ADD, 10.0, 10.0, coin, 0.75).action == codes.REFUSE
    weak = entry_or_refusal(codes.ENTER, 10.0, 10.0, coin._replace(score=0.5), 0.75)
    assert weak.code == codes.SIGNAL_TOO_WEAK


@pytest.mark.parametrize("mode", [regime.UNKNOWN, regime.LONG])
def test_entry_in_a_long_or_unknown_regime_is_not_held_back(mode: int) -> None:
    coin = COIN._replace(mode=mode, trend=0.8, rank=0.9, scale=0.75)
    assert entry_or_refusal(codes.ENTER, 10.0, 10.0, coin, 0.75).action == codes.ENTER
