"""Accounts that might be: the same trades in other orders, many times over.

Written so that it compiles. Trades are drawn in blocks, as the stationary bootstrap draws days: a streak stays one.
"""

from collections.abc import MutableSequence, Sequence

from bot.backtest.bootstrap import WORD, following, seeded

DOUBLED = 0
HALVED = 1
FELL = 2
"""By the drawdown limit from a peak."""
ROSE = 3
"""To the next tier, before the floor."""
SANK = 4
"""To the floor, before the next tier."""
EVENTS = 5
NEVER = 0


def walk_paths(
    changes: Sequence[float],
    n: int,
    block: float,
    trades: int,
    equity: float,
    next_tier: float,
    floor: float,
    drawdown_limit: float,
    seed: int,
    first_path: int,
    paths: int,
    when: Sequence[MutableSequence[int]],
    final: MutableSequence[float],
) -> None:
    """Write for each path after how many trades each event came (0: never), and the factor of growth at its end.

    ``changes`` are results as shares of equity, ``n`` of them. ``when`` has a row per event; rows and ``final`` have a
    place per path, counted from ``first_path``. A path's numbers depend on ``seed`` and its own number alone.
    """
    ends = int(WORD / block)
    for path in range(paths):
        state = seeded(seed + 7919 * (first_path + path))
        growth, peak, place = 1.0, 1.0, 0
        fell, first_end, tier_end = NEVER, 0, 0
        for trade in range(1, trades + 1):
            state = following(state)
            if trade == 1 or state < ends:
                state = following(state)
                place = state % n
            else:
                place = place + 1 if place + 1 < n else 0
            growth *= 1.0 + changes[place]
            peak = max(peak, growth)
            if fell == NEVER and growth <= peak * (1.0 - drawdown_limit):
                fell = trade
            if first_end == 0:
                first_end = trade * crossed(growth, 2.0, 0.5)
            if tier_end == 0:
                tier_end = trade * crossed(equity * growth, next_tier, floor)
        at = first_path + path
        when[DOUBLED][at] = max(first_end, NEVER)
        when[HALVED][at] = max(-first_end, NEVER)
        when[FELL][at] = fell
        when[ROSE][at] = max(tier_end, NEVER)
        when[SANK][at] = max(-tier_end, NEVER)
        final[at] = growth


def crossed(value: float, up: float, down: float) -> int:
    """1 where a value has come up to the one bound, -1 where it has come down to the other, else 0."""
    if value >= up:
        return 1
    return -1 if value <= down else 0
