"""Choosing winners window by window: what is chosen, what comes of it, and that the test has no say in the choice."""

from __future__ import annotations

from typing import Any

import pytest
from sweep_rig import Clock, bench, with_another_end

from bot.backtest.compare import stitched, windows_of
from bot.backtest.result import LOOKS
from bot.backtest.search import Changes
from bot.backtest.sweep import Job, score_of, sharpe_or_zero
from bot.backtest.walked import WalkForward
from bot.bootstrap_sweep import Bench
from bot.bootstrap_walkforward import GRID, walk_forward, windows_for
from bot.domain.errors import ConfigError

SMALL: tuple[Changes, ...] = (
    {"STRATEGY": "breakout"},
    {"STRATEGY": "breakout", "EXIT_RULE": "trail"},
    {"MAX_POSITION_PCT": "5"},
    {"MAX_POSITION_PCT": "18"},  # what is set already
)
DAY_MS = 86_400_000


def walked(of: Bench, grid: tuple[Changes, ...] = SMALL, **other: Any) -> WalkForward:
    windows = windows_for(of, train_months=3, test_months=2, anchored=other.get("anchored", False))
    asked: dict[str, Any] = {"anchored": False, "workers": 1, "cluster": None, "compiled": False, "clock": Clock()}
    return walk_forward(of, grid, windows, **asked | other)


def test_windows_are_chosen_and_tested_as_by_hand() -> None:
    of = bench()
    found = walked(of)
    assert len(found.tested) == 2
    assert found.grid == ({}, *SMALL[:3])
    for one in found.tested:
        ranges = [
            (one.window.train_from_ms, one.window.test_from_ms - DAY_MS),
            (one.window.test_from_ms, one.window.test_to_ms),
        ]
        data = of.sweep_data(ranges, compiled=False)
        train = [score_of(data, Job(0, of.terms(changes))) for changes in found.grid]
        best = max(range(4), key=lambda place: sharpe_or_zero(train[place]))
        assert one.chosen == found.grid[best]
        tests = [score_of(data, Job(1, of.terms(changes))) for changes in found.grid]
        assert (one.train.equities, one.test.equities) == (train[best].equities, tests[best].equities)
        assert one.present.equities == tests[0].equities
        ratings = sorted(sharpe_or_zero(score) for score in tests)
        assert one.median_sharpe == pytest.approx((ratings[1] + ratings[2]) / 2)
        assert one.below_median == (sharpe_or_zero(tests[best]) < one.median_sharpe)


def test_sums_are_those_of_the_windows() -> None:
    found = walked(bench())
    assert list(found.chosen.equities) == stitched([one.test.equities for one in found.tested])
    assert list(found.present.equities) == stitched([one.present.equities for one in found.tested])
    days = sum(one.test.days for one in found.tested)
    assert (len(found.hold.equities), found.ahead.n, found.ahead_of_holding.n) == (days + 1, days, days)
    assert found.overfit.n == 2
    assert found.overfit.value == sum(one.below_median for one in found.tested) / 2
    assert found.looks == LOOKS + 4
    assert found.runs == 2 * 2 * 4
    assert found.left_over_days == 240 - (30 + 31 + 31 + 30 + 31 + 30 + 31)


def test_what_is_tested_is_not_chosen_by() -> None:
    """Other prices from the last test on: the same choices, another end."""
    of = bench()
    first = walked(of)
    changed = walked(with_another_end(of, first.tested[-1].window.test_from_ms))
    assert [one.chosen for one in changed.tested] == [one.chosen for one in first.tested]
    assert [one.train.equities for one in changed.tested] == [one.train.equities for one in first.tested]
    assert changed.tested[0].test.equities == first.tested[0].test.equities
    assert changed.tested[1].present.equities != first.tested[1].present.equities


def test_two_workers_find_what_one_finds() -> None:
    assert repr(walked(bench(), workers=2)) == repr(walked(bench()))


def test_anchored_windows_choose_on_more() -> None:
    found = walked(bench(), anchored=True)
    assert found.tested[1].window.train_from_ms == found.tested[0].window.train_from_ms
    assert found.tested[1].train.days > 140


def test_settings_alone_are_not_ahead_of_themselves() -> None:
    found = walked(bench(), grid=())
    assert (found.ahead.value, found.overfit.value) == (0.0, 0.0)
    assert found.chosen == found.present


def test_declared_grid_is_possible() -> None:
    of = bench(days=41)
    assert len({repr(of.terms(changes)) for changes in GRID}) == len(GRID) == 11


def test_candles_for_no_window_are_said() -> None:
    assert windows_of(0, 100 * DAY_MS, train_months=3, test_months=2, anchored=False) == []
    with pytest.raises(ConfigError, match="--train 3 and --test 2 months need more than the 100 days"):
        walked(bench(days=100))
