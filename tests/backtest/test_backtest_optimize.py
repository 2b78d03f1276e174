"""A search counts every trial, sees nothing of the held-out part, and comes to the same each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sweep_rig import SPACE, bench, searched, split_ms, with_another_end

from bot.backtest import metrics
from bot.backtest.result import LOOKS
from bot.backtest.search import Dimension, search
from bot.domain.errors import ConfigError


def test_same_seed_same_search() -> None:
    first, again, other = (searched(bench(), seed=seed) for seed in (1, 1, 2))
    assert repr(again) == repr(first)
    assert other.found.ratings != first.found.ratings


def test_two_workers_find_what_one_finds() -> None:
    assert repr(searched(bench(), workers=2)) == repr(searched(bench()))


def test_winner_has_the_highest_rating_of_all_trials() -> None:
    of = searched(bench())
    assert of.searched.winner.score.sharpe == max(of.found.ratings)
    assert of.searched.present.score.sharpe != of.searched.winner.score.sharpe
    assert of.winner.keys() == {"STRATEGY", "MAX_POSITION_PCT", "KELLY_WEIGHT", "VOLATILITY_WEIGHT", "EQUITY_WEIGHT"}
    assert sum(float(of.winner[name]) for name in of.winner if "WEIGHT" in name) == pytest.approx(1.0)
    assert of.present["MAX_POSITION_PCT"] == "18.0"


def test_held_out_part_is_not_searched() -> None:
    """Everything from the split on is different: the same trials, the same winner, another end."""
    of = bench()
    first = searched(of)
    changed = searched(with_another_end(of, split_ms(of.data)))
    assert changed.found == first.found
    assert repr(changed.searched) == repr(first.searched)
    assert changed.deflated == first.deflated
    assert changed.held_out.winner.score.equities != first.held_out.winner.score.equities
    assert changed.held_out.hold.score.equities != first.held_out.hold.score.equities


def test_searched_part_decides() -> None:
    """A week earlier it is the search that sees something else."""
    of = bench()
    changed = searched(with_another_end(of, split_ms(of.data) - 7 * 86_400_000))
    assert changed.found.ratings != searched(of).found.ratings


def test_every_trial_is_a_look() -> None:
    """Also those that cannot be rated: with the cash that is left nothing can be bought."""
    cash = Dimension(name="FORCE_CASH_BUFFER", choices=("15", "99"))
    of = searched(bench(), space=(cash, SPACE[1]), trials=24)
    assert 0 < of.found.failed < 24
    assert (of.found.trials, len(of.found.ratings)) == (24, 24 - of.found.failed)
    assert of.looks == LOOKS + 24
    assert "FORCE_CASH_BUFFER=99" in of.first_failure
    moments = metrics.moments(metrics.daily_returns(of.searched.winner.score.equities))
    spread = (365 / (moments.n - 1)) ** 0.5  # so short a time spreads worthless ratios wider than 0.39
    assert of.deflated == pytest.approx(metrics.deflated_sharpe(moments, 439, spread))
    assert of.deflated < metrics.deflated_sharpe(moments, 415, spread)


def test_trials_of_a_resumed_study_count(tmp_path: Path) -> None:
    file = tmp_path / "study.log"
    first = searched(bench(), study_file=file, trials=8)
    again = searched(bench(), study_file=file, trials=5)
    assert (first.found.trials, first.found.resumed, first.found.viewed) == (8, 0, 0)
    assert (again.found.trials, again.found.resumed, again.found.viewed) == (13, 8, 1)
    assert again.looks == LOOKS + 13
    assert again.found.ratings[: len(first.found.ratings)] == first.found.ratings
    assert len(set(again.found.ratings)) > len(set(first.found.ratings))  # it does not ask the same again


def test_interrupted_trials_count(tmp_path: Path) -> None:
    file = tmp_path / "study.log"

    def interrupted(_sets: object) -> list[float | None]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, trials=6, seed=1, study_file=file, about="x", rate=interrupted)
    found = search(SPACE, trials=2, seed=1, study_file=file, about="x", rate=lambda sets: [1.0] * len(sets))
    assert (found.trials, found.failed, found.resumed, found.ratings) == (8, 6, 6, (1.0, 1.0))


def test_study_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "study.log"
    searched(bench(), study_file=file, trials=1)
    for other, options in (
        (bench(9), {}),
        (bench(equity=2_000), {}),
        (bench(), {"holdout": 0.3}),
        (bench(), {"space": SPACE[:2]}),
    ):
        with pytest.raises(ConfigError, match="its trials were made on something else"):
            searched(other, study_file=file, trials=1, **options)
    (tmp_path / "text.log").write_text("this is no study\n")
    with pytest.raises(ConfigError, match=re.escape("text.log: this is no study that can be continued")):
        searched(bench(), study_file=tmp_path / "text.log", trials=1)
    with pytest.raises(ConfigError, match="nowhere does not exist"):
        searched(bench(), study_file=tmp_path / "nowhere" / "study.log", trials=1)
    (tmp_path / "folder.log").mkdir()
    with pytest.raises(ConfigError, match=re.escape("folder.log: cannot be opened (Is a directory)")):
        searched(bench(), study_file=tmp_path / "folder.log", trials=1)


def test_settings_that_win_are_kept() -> None:
    """Where only the present settings are tried, nothing is ahead of them."""
    of = searched(bench(), space=(Dimension(name="MAX_POSITION_PCT", choices=("18",)),), trials=2)
    assert of.held_out.winner.score == of.held_out.present.score
    assert (of.ahead.value, of.beats) == (0.0, False)


def test_parts_are_long_enough_or_it_is_said() -> None:
    with pytest.raises(ConfigError, match="leaves 67 days to search on and 33 to test on; each needs 40"):
        searched(bench(days=100), holdout=0.33)
    with pytest.raises(ConfigError, match="leaves 100 days to search on and 0 to test on; each needs 40"):
        searched(bench(days=100), holdout=4_070_908_800_000)  # in 2099
    of = bench(days=100)
    from_ms = of.data.from_ms + 55 * 86_400_000 + 5_000
    dated = searched(of, holdout=from_ms, trials=4)
    assert (dated.held_out.start_ms, dated.searched.end_ms) == (from_ms - 5_000, from_ms - 86_400_000 - 5_000)
    assert dated.held_out.winner.score.days == 45


def test_search_without_any_trade_is_said() -> None:
    with pytest.raises(ConfigError, match="none of 3 trials sent 10 orders in the searched part"):
        searched(bench(equity=10), trials=3)
