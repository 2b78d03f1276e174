"""Metrics by hand, against the published literals, and against maintained libraries."""

from __future__ import annotations

import math
import random
import statistics
from importlib import import_module
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.backtest import metrics
from bot.backtest.bootstrap import WORD, Histories, draw, following, resample, seeded
from bot.backtest.market import Kit
from bot.backtest.metrics import Moments
from bot.backtest.result import statistics_of

RETURNS = [0.01, -0.02, 0.03, -0.01, 0.02]


def drawn(seed: int, count: int = 800) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(0.001, 0.02) + (-0.08 if chance.random() < 0.01 else 0.0) for _ in range(count)]


def equities_of(returns: list[float]) -> list[float]:
    values = [100.0]
    for change in returns:
        values.append(values[-1] * (1 + change))
    return values


def test_small_series_by_hand() -> None:
    of = metrics.moments(RETURNS)
    assert (of.n, of.mean) == (5, pytest.approx(0.006))
    assert of.deviation == pytest.approx(0.0207364414)  # sqrt(0.00172 / 4)
    assert metrics.sharpe(of) == pytest.approx(0.006 / 0.0207364414 * 19.1049731745)
    assert metrics.sortino(RETURNS) == pytest.approx(0.006 / math.sqrt(0.0001) * 19.1049731745)  # (.0004 + .0001) / 5
    assert metrics.cvar(RETURNS) == -0.02
    assert metrics.max_drawdown([100, 110, 99, 120, 90]) == pytest.approx(0.25)
    assert metrics.days_under_water([100, 110, 99, 105, 111, 110, 112]) == 2
    assert metrics.days_under_water([100, 90, 80]) == 2
    assert metrics.cagr(1.21, 730) == pytest.approx(0.1)
    assert metrics.calmar(0.1, 0.25) == pytest.approx(0.4)
    assert metrics.profit_factor([3.0, -1.0, -1.0]) == 1.5
    assert metrics.daily_returns([100.0, 110.0, 99.0]) == [pytest.approx(0.1), pytest.approx(-0.1)]
    assert metrics.quantile([1.0, 2.0, 4.0], 0.75) == 3.0


def test_what_cannot_be_said_is_not_a_number() -> None:
    flat = metrics.moments([0.0] * 10)
    values = [
        metrics.sharpe(flat),
        metrics.sortino([0.01, 0.02]),
        metrics.sortino([]),
        metrics.calmar(0.1, 0.0),
        metrics.cvar([]),
        metrics.profit_factor([]),
        metrics.probabilistic_sharpe(flat, 0.0),
        metrics.quantile([], 0.5),
        *metrics.sharpe_interval(flat),
    ]
    assert all(math.isnan(value) for value in values)
    assert metrics.profit_factor([1.0]) == math.inf
    assert metrics.cagr(0.0, 10.0) == -1.0


def yearly(ratio: float, n: int, *, skew: float = 0.0, kurtosis: float = 3.0) -> Moments:
    """Daily moments with this yearly Sharpe ratio."""
    return Moments(n, ratio / math.sqrt(365.0), 1.0, skew, kurtosis)


def test_probabilistic_and_deflated_sharpe_of_the_literals() -> None:
    """Skew -0.5, kurtosis 6, 730 days, a Sharpe ratio of 1 (quant 4g)."""
    of = yearly(1.0, 730, skew=-0.5, kurtosis=6.0)
    assert metrics.probabilistic_sharpe(of, 0.0) == pytest.approx(0.9182, abs=5e-5)
    for trials, wanted in ((10, 0.7045), (54, 0.5558), (160, 0.4724)):
        assert metrics.deflated_sharpe(of, trials, 0.39) == pytest.approx(wanted, abs=5e-5)
    assert metrics.best_of_luck(27, 0.39) == pytest.approx(0.80, abs=0.01)
    assert metrics.best_of_luck(1, 0.39) == 0.0


@pytest.mark.parametrize(("ratio", "days"), [(0.8, 1580), (1.0, 1018), (1.5, 461)])
def test_least_length_of_a_record(ratio: float, days: int) -> None:
    """So many days prove a Sharpe ratio above 0 with 95 % (quant 4g)."""
    sure = [metrics.probabilistic_sharpe(yearly(ratio, n, skew=-0.5, kurtosis=6.0), 0.0) for n in (days - 5, days + 5)]
    assert sure[0] < 0.95 < sure[1]


@given(st.floats(1e-9, 1 - 1e-9))
def test_normal_quantile_is_that_of_the_standard_library(share: float) -> None:
    assert metrics.normal_quantile(share) == pytest.approx(statistics.NormalDist().inv_cdf(share), abs=1e-9)


@pytest.fixture(scope="module")
def libraries() -> tuple[Any, Any, Any]:
    empyrical, numpy, stats = (import_module(name) for name in ("empyrical", "numpy", "scipy.stats"))
    return empyrical, numpy, stats


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_metrics_are_those_of_the_libraries(libraries: tuple[Any, Any, Any], seed: int) -> None:
    empyrical, np, stats = libraries
    returns = drawn(seed)
    array, equities = np.asarray(returns), equities_of(returns)
    of = metrics.moments(returns)
    assert of.skew == pytest.approx(stats.skew(array))
    assert of.kurtosis == pytest.approx(stats.kurtosis(array, fisher=False))
    assert metrics.sharpe(of) == pytest.approx(empyrical.sharpe_ratio(array, annualization=365))
    assert metrics.sortino(returns) == pytest.approx(empyrical.sortino_ratio(array, annualization=365))
    drawdown = metrics.max_drawdown(equities)
    assert drawdown == pytest.approx(-empyrical.max_drawdown(array))
    growth = metrics.cagr(equities[-1] / equities[0], len(returns))
    assert growth == pytest.approx(empyrical.annual_return(array, annualization=365))
    assert metrics.calmar(growth, drawdown) == pytest.approx(empyrical.calmar_ratio(array, annualization=365))
    assert metrics.cvar(returns) == pytest.approx(empyrical.conditional_value_at_risk(array, cutoff=0.05))
    assert metrics.normal_cdf(1.3) == pytest.approx(stats.norm.cdf(1.3))


@pytest.mark.parametrize(("days", "said"), [(39, False), (40, True)])
def test_few_days_say_nothing(days: int, said: bool) -> None:
    found = statistics_of(equities_of(drawn(5, days)), [], [], kit=Kit(compiled=False), resample=resample, looks=245)
    for name in ("cagr", "sharpe", "sortino", "calmar", "cvar95", "psr", "dsr"):
        assert math.isnan(found[name].value) is not said, name
        assert found[name].n == days


def test_short_record_is_deflated_by_what_chance_alone_shows() -> None:
    """61 days vary a yearly Sharpe ratio by 2.5: the best of 245 worthless rules shows some 7."""
    equities = equities_of([0.004 + change for change in drawn(6, 61)])
    found = statistics_of(equities, [], [], kit=Kit(compiled=False), resample=resample, looks=245)
    assert found["psr"].value > 0.95
    assert found["dsr"].value < 0.5


# -- other histories


def test_random_numbers_are_those_of_a_xorshift() -> None:
    assert following(1) == 270369  # 1 ^ 1 << 13 = 8193; 8193 ^ 0; 8193 ^ 8193 << 5 = 270369
    states, state = set(), seeded(7)
    for _ in range(10_000):
        state = following(state)
        assert 0 < state < 2**32
        states.add(state)
    assert len(states) == 10_000


def histories(returns: list[float], count: int, block: float) -> Histories:
    n = len(returns)
    found = Histories(*([0.0] * count for _ in Histories._fields))
    resample(returns, n, n, block, 3, found, [0.0] * n)
    return found


def test_history_of_one_block_is_the_same_days() -> None:
    growth, drawdown, under_water, mean, loss, tail = histories(RETURNS, 5, 1e12)
    whole = math.prod(1 + r for r in RETURNS)
    assert growth == [pytest.approx(whole)] * 5  # begun anywhere, gone round once
    assert mean == [pytest.approx(0.006)] * 5
    assert loss == [pytest.approx(0.01)] * 5
    assert tail == [-0.02] * 5
    assert under_water == [1.0] * 5
    assert all(0.02 <= fallen < 0.04 for fallen in drawdown)


def test_histories_fall_as_their_days_say() -> None:
    returns, days = [0.1, -0.2, 0.01, 0.01, 0.3], 12
    found = Histories(*([0.0] * 30 for _ in Histories._fields))
    resample(returns, 5, days, 4.0, 3, found, [0.0] * days)
    state, into = seeded(3), [0.0] * days
    for path in range(30):
        state = draw(returns, 5, days, int(WORD / 4.0), state, into)
        equities = list(accumulate(into, lambda equity, change: equity * (1.0 + change), initial=1.0))
        assert found.growth[path] == equities[-1]
        assert found.drawdown[path] == metrics.max_drawdown(equities)
        assert found.under_water[path] == metrics.days_under_water(equities)
    assert len(set(found.under_water)) > 5


def test_histories_vary_as_theory_says() -> None:
    returns = drawn(4, 400)
    of = metrics.moments(returns)
    means = histories(returns, 2_000, 1.0).mean
    assert statistics.fmean(means) == pytest.approx(of.mean, abs=4 * of.deviation / math.sqrt(400 * 2_000))
    assert statistics.stdev(means) == pytest.approx(of.deviation / math.sqrt(400), rel=0.06)


def test_blocks_keep_what_follows_what() -> None:
    """Up and down in turn: days drawn one by one vary much, whole blocks hardly."""
    returns = [0.02, -0.02] * 100
    single, blocks = (statistics.stdev(histories(returns, 500, block).mean) for block in (1.0, 50.0))
    assert blocks < single / 3
