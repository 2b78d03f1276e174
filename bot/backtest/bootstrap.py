"""The stationary bootstrap: other histories, made of blocks of the one that was (Politis and Romano 1994).

Written so that it compiles. The random numbers are a 32-bit xorshift (Marsaglia 2003), the same in both forms.
"""

import math
from collections.abc import MutableSequence, Sequence

WORD = 0xFFFFFFFF
GOLDEN = 2_654_435_769


def seeded(seed: int) -> int:
    """Return a first state of the generator; never 0."""
    state = (seed * GOLDEN + 1) & WORD
    for _ in range(8):
        state = following(state | 1)
    return state


def following(state: int) -> int:
    """Return the next state."""
    state ^= (state << 13) & WORD
    state ^= state >> 17
    state ^= (state << 5) & WORD
    return state


def draw(returns: Sequence[float], n: int, days: int, ends: int, state: int, into: MutableSequence[float]) -> int:
    """Write one history of ``days`` into ``into``, made of blocks of ``returns`` (``n`` of them); returns the state.

    A block ends where the generator is below ``ends``.
    """
    place = 0
    for day in range(days):
        state = following(state)
        if day == 0 or state < ends:
            state = following(state)
            place = state % n
        else:
            place = place + 1 if place + 1 < n else 0
        into[day] = returns[place]
    return state


def resample(
    returns: Sequence[float],
    n: int,
    days: int,
    block: float,
    seed: int,
    growth: MutableSequence[float],
    drawdown: MutableSequence[float],
    mean: MutableSequence[float],
    loss: MutableSequence[float],
    tail: MutableSequence[float],
    scratch: list[float],
) -> None:
    """Write growth factor, deepest fall, mean, root mean square loss and mean of the worst 5 % of each history.

    Each is ``days`` long and made of blocks of ``returns`` (``n`` of them) of random length, ``block`` on average;
    there are as many as ``growth`` has places. ``scratch`` has ``days``.
    """
    state = seeded(seed)
    ends = int(WORD / block)
    worst_days = max(1, int(0.05 * (days - 1)) + 1)
    for path in range(len(growth)):
        equity, peak, fallen, total, squares = 1.0, 1.0, 0.0, 0.0, 0.0
        state = draw(returns, n, days, ends, state, scratch)
        for day in range(days):
            change = scratch[day]
            equity *= 1.0 + change
            peak = max(peak, equity)
            fallen = max(fallen, 1.0 - equity / peak)
            total += change
            if change < 0.0:
                squares += change * change
        scratch.sort()
        worst = 0.0
        for i in range(worst_days):
            worst += scratch[i]
        growth[path] = equity
        drawdown[path] = fallen
        mean[path] = total / days
        loss[path] = math.sqrt(squares / days)
        tail[path] = worst / worst_days
