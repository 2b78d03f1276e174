"""Accounts that might be: the same trades in other orders, many times over.

Trades are drawn in blocks, as the stationary bootstrap draws days: a streak stays one. Path by path in plain Python, or
all paths trade by trade in numpy: with the same random numbers, so that both come to the same.
"""

from collections.abc import MutableSequence, Sequence
from typing import Any

from bot.backtest.bootstrap import GOLDEN, WORD, following, seeded

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


# -- the same in numpy


def walk_paths_at_once(
    changes: Any,
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
    when: Any,
    final: Any,
) -> None:
    """Do what ``walk_paths`` does, a trade of all paths at a time; ``changes``, ``when``, ``final`` are arrays."""
    import numpy as np

    ends, factors = np.uint32(WORD / block), 1.0 + np.asarray(changes, dtype=np.float64)
    state = _seeded_at_once(seed + 7919 * (first_path + np.arange(paths, dtype=np.uint64)))
    place = np.zeros(paths, dtype=np.uint32)
    growth, peak = np.ones(paths), np.ones(paths)
    fell, first_end, tier_end = (np.zeros(paths, dtype=np.int64) for _ in range(3))
    with np.errstate(over="ignore", invalid="ignore"):  # beyond all numbers is infinite, as without numpy
        for trade in range(1, trades + 1):
            state = _following_at_once(state)
            drawn = _following_at_once(state)
            begins = state < ends if trade > 1 else np.ones(paths, dtype=bool)
            place = np.where(begins, drawn % np.uint32(n), (place + np.uint32(1)) % np.uint32(n))
            state = np.where(begins, drawn, state)
            growth *= factors[place]
            np.maximum(peak, growth, out=peak)
            fell[(fell == NEVER) & (growth <= peak * (1.0 - drawdown_limit))] = trade
            _note_end(first_end, growth, 2.0, 0.5, trade)
            _note_end(tier_end, equity * growth, next_tier, floor, trade)
    here = slice(first_path, first_path + paths)
    for event, found in ((DOUBLED, first_end), (HALVED, -first_end), (FELL, fell), (ROSE, tier_end), (SANK, -tier_end)):
        when[event][here] = np.maximum(found, NEVER)
    final[here] = growth


def _note_end(end: Any, value: Any, up: float, down: float, trade: int) -> None:
    """Note the trade where a bound is reached first: as it is for the upper, negative for the lower."""
    end[(end == 0) & (value >= up)] = trade
    end[(end == 0) & (value <= down)] = -trade


def _seeded_at_once(seeds: Any) -> Any:
    """First states, as ``seeded`` gives them."""
    import numpy as np

    state = ((seeds * np.uint64(GOLDEN) + np.uint64(1)) & np.uint64(WORD)).astype(np.uint32)
    for _ in range(8):
        state = _following_at_once(state | np.uint32(1))
    return state


def _following_at_once(state: Any) -> Any:
    """Next states, as ``following`` gives them; what leaves the 32 bits is dropped."""
    state = state ^ (state << 13)
    state = state ^ (state >> 17)
    return state ^ (state << 5)
