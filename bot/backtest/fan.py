"""What the next year might look like if its days were days of the run: quantiles of many invented histories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.backtest.bootstrap import WORD, draw, seeded
from bot.backtest.metrics import quantile
from bot.backtest.montecarlo import Chance, share_of

FAN_DAYS = 365
FAN_PATHS = 1_000
SHARES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fan:
    """Growth factors after each day, the start before them."""

    paths: int
    days: int
    block_days: float
    bands: dict[float, list[float]]
    """By share of the paths that lie below."""
    fell: Chance
    """By the drawdown limit from a peak."""
    lost: Chance
    """Paths that end below where they began."""


def fan_of(
    returns: Sequence[float],
    *,
    block: float,
    drawdown_limit: float,
    seed: int,
    paths: int = FAN_PATHS,
    days: int = FAN_DAYS,
) -> Fan:
    """Draw the paths by the stationary bootstrap, as ``bootstrap.resample`` does: the same seed draws the same days."""
    assert returns, "days to draw from"
    state, ends, drawn = seeded(seed), int(WORD / block), [0.0] * days
    table: list[list[float]] = [[] for _ in range(days)]
    fell = 0
    for _ in range(paths):
        state = draw(returns, len(returns), days, ends, state, drawn)
        growth, peak, deepest = 1.0, 1.0, 0.0
        for day, change in enumerate(drawn):
            growth *= 1.0 + change
            if growth > peak:
                peak = growth
            elif 1.0 - growth / peak > deepest:
                deepest = 1.0 - growth / peak
            table[day].append(growth)
        fell += deepest >= drawdown_limit
    lost = sum(growth < 1.0 for growth in table[-1])
    for of_day in table:
        of_day.sort()
    return Fan(
        paths=paths,
        days=days,
        block_days=block,
        bands={share: [1.0, *(quantile(of_day, share) for of_day in table)] for share in SHARES},
        fell=share_of(fell, paths),
        lost=share_of(lost, paths),
    )
