"""What may become of an account: odds and times over many paths of its trades (quant section 6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.backtest import paths as of
from bot.backtest.market import Kit
from bot.backtest.metrics import quantile, share_estimate
from bot.domain.errors import ConfigError

BLOCK_TRADES = 5.0
"""Mean length of a block of own trades, so that streaks stay what they are."""
TWO_OUTCOMES = 10_000
"""Places of a list that holds wins and losses in their shares: a hundredth of a percent."""
WALKED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """How many of the paths came to something, with 90 % for the share, and after how many trades half of those had."""

    share: float
    low: float
    high: float
    median_trades: float
    """NaN where none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """What the paths came to; growth as factors."""

    paths: int
    trades: int
    doubled: Chance
    """Before halving."""
    halved: Chance
    """Before doubling."""
    fell: Chance
    """By the drawdown limit from a peak."""
    rose: Chance | None
    """To the next tier before the floor; None where there is none above."""
    sank: Chance
    """Below the floor, before the next tier."""
    growth: tuple[float, float, float]
    """At the end: the tenth worst of a hundred, the median, the tenth best."""
    lost: Chance
    """Paths that end below where they began; it has no time."""


def two_outcomes(win_rate: float, win: float, loss: float) -> list[float]:
    """Make changes of wins and losses (shares of equity) in the proportion of the win rate."""
    wins = round(win_rate * TWO_OUTCOMES)
    return [win] * wins + [-loss] * (TWO_OUTCOMES - wins)


def odds_of(
    changes: Sequence[float],
    *,
    block: float,
    trades: int,
    paths: int,
    equity: float,
    next_tier: float,
    floor: float,
    drawdown_limit: float,
    seed: int,
    kit: Kit,
    walk: Callable[..., None],
) -> Odds:
    """Walk the paths and count; ``walk`` is ``walk_paths`` or ``walk_paths_at_once``.

    Raises ConfigError where a trade could cost everything: then there is no path on.
    """
    if not changes or min(changes) <= -1.0:
        raise ConfigError(
            "a trade that costs all of the equity leaves nothing to go on with; lower the risk or the loss"
        )
    row, when, final = kit.float_row(changes), kit.int_table(of.EVENTS, paths), kit.floats(paths)
    for first in range(0, paths, WALKED_AT_ONCE):
        count = min(WALKED_AT_ONCE, paths - first)
        walk(row, len(row), block, trades, equity, next_tier, floor, drawdown_limit, seed, first, count, when, final)
    growth = sorted(float(value) for value in final)
    below = sum(value < 1.0 for value in growth)
    return Odds(
        paths=paths,
        trades=trades,
        doubled=_chance(when[of.DOUBLED]),
        halved=_chance(when[of.HALVED]),
        fell=_chance(when[of.FELL]),
        rose=_chance(when[of.ROSE]) if math.isfinite(next_tier) else None,
        sank=_chance(when[of.SANK]),
        growth=(quantile(growth, 0.1), quantile(growth, 0.5), quantile(growth, 0.9)),
        lost=share_of(below, paths),
    )


def _chance(row: Sequence[int]) -> Chance:
    came = sorted(int(value) for value in row if value)
    return share_of(len(came), len(row), quantile([float(value) for value in came], 0.5))


def share_of(count: int, of_all: int, median_trades: float = math.nan) -> Chance:
    """A share with its interval."""
    share = share_estimate(count, of_all)
    return Chance(share=share.value, low=share.low, high=share.high, median_trades=median_trades)
