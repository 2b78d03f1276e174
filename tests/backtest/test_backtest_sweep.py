"""Sets of settings: which there are, that wrong ones are named, and that they come to the same everywhere."""

from __future__ import annotations

import math
import re

import pytest
from backtest_rig import D
from sweep_rig import SPACE, bench, settings_with

from bot.backtest.search import Dimension
from bot.backtest.sweep import Job, data_digest, score_of, scores_by
from bot.bootstrap_backtest import prepared
from bot.bootstrap_sweep import VARIED, WEIGHTS, balanced, grid_of, parse_space
from bot.domain.errors import ConfigError

OTHER = {
    "STRATEGY": "breakout",
    "EXIT_RULE": "trail",
    "POSITION_SIZER": "KELLY",
    "KELLY_WEIGHT": "0.9",
    "VOLATILITY_WEIGHT": "0.9",
    "EQUITY_WEIGHT": "0.9",
    "MIN_SIGNAL_SCORE": "0.8",
    "MIN_RISK_REWARD": "2.5",
    "MIN_TRADE_SIZE": "12",
    "MAX_POSITION_PCT": "9",
    "MAX_POSITIONS": "2",
    "RISK_PER_TRADE": "1",
    "FORCE_CASH_BUFFER": "30",
    "DAILY_MAX_LOSS": "2",
    "MAX_DRAWDOWN": "5",
    "MAX_CONSECUTIVE_LOSSES": "2",
    "MICRO_CAPITAL_MODE": "False",
    "PRO_MODE": "False",
    "HALT_FLATTENS": "True",
}


@pytest.mark.parametrize("name", VARIED)
def test_each_setting_that_may_be_varied_changes_the_terms(name: str) -> None:
    of = bench(days=41)
    other, present = of.terms({name: OTHER[name]}), of.terms({})
    assert repr(other) != repr(present)
    # What the candles were put on their grid with: one grid serves all sets.
    assert (other.tick_cents, other.half_spread) == (present.tick_cents, present.half_spread)


def test_ranges_and_choices_by_hand() -> None:
    given = ["max_position_pct=6..18", "MAX_POSITIONS=1..5", "EXIT_RULE=ladder, trail"]
    assert parse_space(given, settings_with) == (
        Dimension(name="MAX_POSITION_PCT", low=6.0, high=18.0),
        Dimension(name="MAX_POSITIONS", low=1.0, high=5.0, whole=True),
        Dimension(name="EXIT_RULE", choices=("ladder", "trail")),
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["MAX_POSITION_PCT"], "'MAX_POSITION_PCT': must be NAME=LOW..HIGH or NAME=A,B,C"),
        (["MAX_POSITION_PCT="], "must be NAME=LOW..HIGH"),
        (["MAX_POSITION=6..18"], "MAX_POSITION: it cannot be varied, there is no such setting; there are STRATEGY, "),
        (["KRAKEN_MAKER_FEE_PCT=0..1"], "KRAKEN_MAKER_FEE_PCT: it cannot be varied, its fees"),
        (["MAX_POSITION_PCT=6..30"], "MAX_POSITION_PCT (command line): must be a percent from 1 to 18, was '30'"),
        (["MIN_SIGNAL_SCORE=0.5,0.8"], "was '0.5'; this limit can be tightened, not loosened"),
        (["MAX_POSITIONS=1.5..3"], "MAX_POSITIONS (command line): must be a whole number from 1 to 20"),
        (["KELLY_WEIGHT=0..2"], "KELLY_WEIGHT: must be a fraction from 0 to 1, was '2'"),
        (["MAX_POSITION_PCT=18..6"], "MAX_POSITION_PCT=18..6: 18 must be below 6"),
        (["EXIT_RULE=0..1"], "a range needs numbers; write EXIT_RULE=ladder,runner,trail,trail_tight"),
        (["PRO_MODE=0..1"], "a range needs numbers; write PRO_MODE=True,False"),
        (["STRATEGY=hold"], "STRATEGY (command line): must be one of allocation, breakout, was 'hold'"),
        (["STRATEGY=breakout", "strategy=allocation"], "STRATEGY is given twice"),
        (["MAX_POSITIONS=" + ",".join(map(str, range(1, 60)))], "at most 50 values, were 59"),
    ],
)
def test_wrong_variations_are_named(given: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as raised:
        parse_space(given, settings_with)
    assert "--vary" in str(raised.value)


def test_grid_is_all_combinations() -> None:
    space = parse_space(["STRATEGY=allocation,breakout", "MAX_POSITION_PCT=6,18"], settings_with)
    assert grid_of(space) == [
        {"STRATEGY": "allocation", "MAX_POSITION_PCT": "6"},
        {"STRATEGY": "allocation", "MAX_POSITION_PCT": "18"},
        {"STRATEGY": "breakout", "MAX_POSITION_PCT": "6"},
        {"STRATEGY": "breakout", "MAX_POSITION_PCT": "18"},
    ]
    with pytest.raises(ConfigError, match=re.escape("a grid needs single values, such as MAX_POSITION_PCT=6,18")):
        grid_of(parse_space(["MAX_POSITION_PCT=6..18"], settings_with))
    many = [f"{name}={','.join(f'{i / 10:g}' for i in range(1, 9))}" for name in WEIGHTS]
    with pytest.raises(ConfigError, match="512 combinations; at most 500"):
        grid_of(parse_space(many, settings_with))


def test_weights_are_proportions() -> None:
    """0.9 : 0.4 : 0.3, as the other two stand, is 9/16, 4/16, 3/16."""
    assert balanced({"KELLY_WEIGHT": "0.9"}, settings_with({})) == {
        "KELLY_WEIGHT": "0.562500",
        "VOLATILITY_WEIGHT": "0.250000",
        "EQUITY_WEIGHT": "0.187500",
    }
    assert balanced({"MAX_POSITION_PCT": "6"}, settings_with({})) == {"MAX_POSITION_PCT": "6"}
    with pytest.raises(ConfigError, match=r"KELLY_WEIGHT=0, VOLATILITY_WEIGHT=0.*must be above 0"):
        balanced(dict.fromkeys(WEIGHTS, "0"), settings_with({}))


def test_impossible_set_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^MAX_POSITION_PCT=6, MAX_DRAWDOWN=40: MAX_DRAWDOWN"):
        bench(days=41).terms({"MAX_POSITION_PCT": "6", "MAX_DRAWDOWN": "40"})


def test_score_is_that_of_a_backtest() -> None:
    of = bench()
    data = of.sweep_data([(of.data.from_ms, of.data.to_ms)], compiled=False)
    score = score_of(data, Job(0, of.terms({"MAX_POSITION_PCT": "9"})))
    settings = settings_with({"MAX_POSITION_PCT": "9"})
    alone = prepared(settings, data=of.data, account="kraken", equity=D(1_000), compiled=False).run()
    assert score.days == 240
    assert score.equities[-1] == float(alone.day_equity[239])
    assert score.orders > 10
    assert not math.isnan(score.sharpe)


def test_two_processes_score_as_one() -> None:
    of = bench()
    middle = of.data.from_ms + 100 * 86_400_000
    data = of.sweep_data([(of.data.from_ms, middle), (middle, of.data.to_ms)], compiled=False)
    sets = grid_of((SPACE[0], Dimension(name="MAX_POSITION_PCT", choices=("5", "10", "18"))))
    jobs = [Job(part, of.terms(changes)) for changes in sets for part in (0, 1)]
    with scores_by(data) as scores:
        alone = scores(jobs)
    with scores_by(data, workers=2) as scores:
        assert repr(scores(jobs)) == repr(alone)
        assert repr(scores(jobs[:2])) == repr(alone[:2])
    assert len({score.equities[-1] for score in alone}) > 6


def test_digest_tells_candles_apart() -> None:
    digests = set()
    for seed, days in ((36, 50), (36, 51), (9, 50)):
        of = bench(seed, days=days)
        digests.add(data_digest(of.sweep_data([(of.data.from_ms, of.data.to_ms)], compiled=False), 0))
    assert len(digests) == 3
