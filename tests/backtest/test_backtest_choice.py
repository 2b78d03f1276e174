"""The rule of the default strategy, on returns whose answer is known."""

from __future__ import annotations

import random

import pytest

from bot.backtest.choice import CANDIDATES, Tried, choose, difference


def tried(name: str, mean: float, *, seed: int = 1, drawdown: float = 0.1, median: float = 0.05) -> Tried:
    chance = random.Random(seed)
    returns = tuple(mean + chance.gauss(0.0, 0.005) for _ in range(400))
    return Tried(name=name, returns=returns, drawdown=drawdown, median=median)


def test_first_candidate_stays_where_the_next_is_better_by_chance_only() -> None:
    first, second = tried("first", 0.001), tried("second", 0.0011, seed=2)
    low, high = difference(second.returns, first.returns)
    assert low < 0.0 < high
    assert choose([first, second]) == (first, True)


def test_better_one_takes_its_place() -> None:
    first, second, third = tried("first", 0.001), tried("second", 0.003, seed=2), tried("third", 0.002, seed=3)
    assert difference(second.returns, first.returns)[0] > 0.0
    assert choose([first, second, third]) == (second, True)


@pytest.mark.parametrize("wrong", [{"drawdown": 0.121}, {"median": 0.0}, {"median": -0.01}])
def test_one_that_does_not_qualify_is_passed_over(wrong: dict[str, float]) -> None:
    first, second = tried("first", 0.003, **wrong), tried("second", 0.001, seed=2)  # type: ignore[arg-type]
    assert choose([first, second]) == (second, True)
    assert choose([first]) == (first, False)


def test_difference_of_the_same_is_nothing_and_of_a_constant_is_it() -> None:
    returns = tried("a", 0.001).returns
    assert difference(returns, returns) == (0.0, 0.0)
    low, high = difference([r + 0.002 for r in returns], returns)
    assert low == pytest.approx(0.002, rel=1e-9)
    assert high == pytest.approx(0.002, rel=1e-9)


def test_candidates_are_four_and_the_guides_come_first() -> None:
    assert next(iter(CANDIDATES)) == "allocation, all signals"
    assert len(CANDIDATES) == 4
