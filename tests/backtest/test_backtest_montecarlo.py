"""Odds by hand, against published and exact ones, and the same in both forms."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bot.backtest import paths as of
from bot.backtest.market import Kit
from bot.backtest.montecarlo import Odds, odds_of, two_outcomes
from bot.backtest.paths import walk_paths, walk_paths_at_once
from bot.domain.errors import ConfigError

KIT = Kit(compiled=False)


def odds(changes: list[float], **other: Any) -> Odds:
    asked: dict[str, Any] = {
        "block": 1.0,
        "trades": 50,
        "paths": 3_000,
        "equity": 100.0,
        "next_tier": 250.0,
        "floor": 13.2,
        "drawdown_limit": 0.12,
        "seed": 1,
        "kit": KIT,
        "walk": walk_paths,
    }
    return odds_of(changes, **asked | other)


def test_one_outcome_by_hand() -> None:
    """+10 % a trade: 1.1^8 = 2.14 doubles, 1.1^10 = 2.59 reaches $250 from $100; nothing falls."""
    found = odds([0.1], trades=12, paths=20)
    assert (found.doubled.share, found.doubled.median_trades) == (1.0, 8.0)
    assert found.rose is not None
    assert (found.rose.share, found.rose.median_trades) == (1.0, 10.0)
    assert (found.halved.share, found.fell.share, found.sank.share, found.lost.share) == (0.0, 0.0, 0.0, 0.0)
    assert found.growth == (pytest.approx(1.1**12),) * 3
    assert math.isnan(found.fell.median_trades)


def test_only_losses_by_hand() -> None:
    """-5 % a trade: 0.95^3 = 0.857 is 12 % below the start, 0.95^14 = 0.488 is half; $26 falls below $13.20 then."""
    found = odds([-0.05], trades=20, paths=20, equity=26.0)
    assert (found.fell.share, found.fell.median_trades) == (1.0, 3.0)
    assert (found.halved.share, found.halved.median_trades) == (1.0, 14.0)
    assert (found.sank.share, found.sank.median_trades) == (1.0, 14.0)
    assert (found.doubled.share, found.lost.share) == (0.0, 1.0)


def test_one_event_excludes_the_other() -> None:
    found = odds([0.9, -0.45], trades=200, paths=500, equity=100.0)
    assert found.doubled.share + found.halved.share == pytest.approx(1.0)
    assert found.rose is not None
    assert found.rose.share + found.sank.share == pytest.approx(1.0)


def test_top_tier_has_none_above() -> None:
    assert odds([0.1], paths=20, equity=2_000.0, next_tier=math.inf).rose is None


@pytest.mark.parametrize(("risk", "wanted"), [(0.01, 0.05), (0.015, 0.25), (0.02, 0.49), (0.03, 0.86), (0.05, 1.00)])
def test_drawdown_odds_are_the_published_ones(risk: float, wanted: float) -> None:
    """Of a fall by 12 % within 50 trades, 45 % wins of 1.8 R (quant section 6, within a point; three here)."""
    found = odds(two_outcomes(0.45, 1.8 * risk, risk), paths=4_000)
    assert found.fell.share == pytest.approx(wanted, abs=0.03)
    assert found.fell.low < found.fell.share + 1e-12
    assert found.fell.share < found.fell.high + 1e-12


def test_even_bets_double_as_often_as_the_martingale_says() -> None:
    """A fair game from 1 between 1/2 and 2 reaches 2 with probability 1/3, but for what it jumps beyond."""
    found = odds(two_outcomes(0.5, 0.02, 0.02), trades=20_000, paths=400)
    assert found.doubled.low - 0.02 < 1 / 3 < found.doubled.high + 0.02


def test_longer_blocks_keep_streaks_together() -> None:
    """Ten losses, then ten wins: drawn one by one they rarely come together."""
    changes = [-0.02] * 10 + [0.0205] * 10
    single, blocks = (odds(changes, block=block, trades=20, paths=2_000).fell.share for block in (1.0, 20.0))
    assert single < 0.5 * blocks


def test_paths_do_not_depend_on_how_they_are_chunked() -> None:
    when = [[0] * 30 for _ in range(of.EVENTS)]
    final = [0.0] * 30
    for first, count in ((0, 7), (7, 20), (27, 3)):
        walk_paths([0.1, -0.1], 2, 1.0, 40, 100.0, 250.0, 13.2, 0.12, 5, first, count, when, final)
    whole = [0.0] * 30
    walk_paths([0.1, -0.1], 2, 1.0, 40, 100.0, 250.0, 13.2, 0.12, 5, 0, 30, [[0] * 30 for _ in range(5)], whole)
    assert final == whole
    assert len(set(final)) > 10


@pytest.mark.parametrize("block", [1.0, 1.5, 5.0])
@pytest.mark.parametrize("seed", [0, 1, 999_999])
def test_numpy_walks_the_same_paths(block: float, seed: int) -> None:
    """To the last bit, with every event among them."""
    changes = [0.3, -0.25, 0.05, -0.1, 0.2, -0.2, 0.01]
    asked: dict[str, Any] = {"block": block, "seed": seed, "trades": 60, "paths": 700}
    plain = odds(changes, **asked)
    fast = odds(changes, **asked, kit=Kit(compiled=True), walk=walk_paths_at_once)
    assert repr(fast) == repr(plain)
    assert plain.rose is not None
    assert min(chance.share for chance in (plain.doubled, plain.halved, plain.fell, plain.rose, plain.sank)) > 0.0


def test_numpy_paths_do_not_depend_on_how_they_are_chunked() -> None:
    kit = Kit(compiled=True)
    changes, when, final = kit.float_row([0.1, -0.1]), kit.int_table(of.EVENTS, 30), kit.floats(30)
    for first, count in ((0, 7), (7, 20), (27, 3)):
        walk_paths_at_once(changes, 2, 1.0, 40, 100.0, 250.0, 13.2, 0.12, 5, first, count, when, final)
    whole = [0.0] * 30
    walk_paths([0.1, -0.1], 2, 1.0, 40, 100.0, 250.0, 13.2, 0.12, 5, 0, 30, [[0] * 30 for _ in range(5)], whole)
    assert list(final) == whole


def test_shares_are_those_that_were_asked_for() -> None:
    changes = two_outcomes(0.4517, 0.018, 0.01)
    assert len(changes) == 10_000
    assert changes.count(0.018) == 4517
    assert changes.count(-0.01) == 5483


@pytest.mark.parametrize("changes", [[], [0.1, -1.0], [-2.0]])
def test_trade_that_costs_everything_is_refused(changes: list[float]) -> None:
    with pytest.raises(ConfigError, match="costs all of the equity"):
        odds(changes)
