"""How a drawdown shrinks sizes, and the limits as plain comparisons.

Each limit is one function that gives ``Limit(active, used, limit)``; what it does while active is
the engine's business. A limit that cannot be computed (NaN) is active: it refuses.
"""

from typing import NamedTuple

DRAWDOWN_SCALE_FLOOR = 0.25


class Limit(NamedTuple):
    """A limit as it stands; ``active`` is 1 or 0, the two values share one unit."""

    active: int
    used: float
    limit: float


def drawdown_scale(drawdown: float, max_drawdown: float) -> float:
    """Scale of all sizes, 0 to 1, after a drawdown (both fractions).

    Grossman and Zhou (1993): proportional to the surplus over the floor of wealth,
    ((1 - D) - (1 - M)) / (M (1 - D)), with a floor of 0.25 while D < M: together with minimum order
    sizes the pure rule is a state that an account cannot leave (quant, correction 7). 0 from M on.
    """
    if not drawdown < max_drawdown:  # a NaN in either too
        return 0.0
    if drawdown <= 0.0:
        return 1.0
    surplus = (max_drawdown - drawdown) / (max_drawdown * (1.0 - drawdown))
    return max(DRAWDOWN_SCALE_FLOOR, surplus)


def upper_limit(used: float, limit: float) -> Limit:
    """A limit that is broken from ``limit`` on: daily loss, drawdown, losses in a row."""
    return Limit(0 if used < limit else 1, used, limit)


def lower_limit(used: float, limit: float) -> Limit:
    """A limit that is broken below ``limit``: cash buffer, minimum balance."""
    return Limit(0 if used >= limit else 1, used, limit)


def activation_limit(equity: float, activated: int, min_equity: float, max_drawdown: float) -> Limit:
    """Equity (USD) that trading needs: ``min_equity`` to begin, (1 - max_drawdown) of it afterwards.

    With $15 and 12 % the floor is $13.20: otherwise the first fee would stop a $15 account for ever
    (quant 1b, row 4).
    """
    floor = min_equity * (1.0 - max_drawdown) if activated else min_equity
    return lower_limit(equity, floor)
