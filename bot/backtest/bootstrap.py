"""The stationary bootstrap: other histories, made of blocks of the one that was (Politis and Romano 1994).

Written so that it compiles. The random numbers are a 32-bit xorshift (Marsaglia 2003), the same in both forms.
"""

import math
from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

WORD = 0xFFFFFFFF
GOLDEN = 2_654_435_769


class Histories(NamedTuple):
    """What histories amount to, one place for each."""

    growth: MutableSequence[float]
    """Factor."""
    drawdown: MutableSequence[float]
    """Deepest fall, a fraction."""
    under_water: MutableSequence[float]
    """Longest stretch below an earlier peak, days."""
    mean: MutableSequence[float]
    loss: MutableSequence[float]
    """Root of the mean square of losses."""
    tail: MutableSequence[float]
    """Mean of the worst 5 % of days."""


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
    found: Histories,
    scratch: list[float],
) -> None:
    """Draw as many histories as ``found`` has places, and write what each amounts to.

    Each is ``days`` long and made of blocks of ``returns`` (``n`` of them) of random length, ``block`` on average.
    ``scratch`` has ``days``.
    """
    state = seeded(seed)
    ends = int(WORD / block)
    worst_days = max(1, int(0.05 * (days - 1)) + 1)
    for path in range(len(found.growth)):
        equity, peak, fallen, total, squares = 1.0, 1.0, 0.0, 0.0, 0.0
        peak_day, under_water = -1, 0
        state = draw(returns, n, days, ends, state, scratch)
        for day in range(days):
            change = scratch[day]
            equity *= 1.0 + change
            if equity >= peak:
                peak, peak_day = equity, day
            else:
                fallen = max(fallen, 1.0 - equity / peak)
                under_water = max(under_water, day - peak_day)
            total += change
            if change < 0.0:
                squares += change * change
        scratch.sort()
        worst = 0.0
        for i in range(worst_days):
            worst += scratch[i]
        found.growth[path] = equity
        found.drawdown[path] = fallen
        found.under_water[path] = float(under_water)
        found.mean[path] = total / days
        found.loss[path] = math.sqrt(squares / days)
        found.tail[path] = worst / worst_days
