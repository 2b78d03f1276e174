"""The guards as plain comparisons: what each watches, and against which limit.

Each is one function that gives ``Limit(active, used, limit)``; what an active guard does is the
engine's business. A value that is no number (NaN) makes its guard active: what cannot be computed
refuses. Only ``risk_reward`` lets pass what has no value yet. The sources are design.md ("Meanings fixed
once") and quant.md, as named.
"""

import math
from typing import NamedTuple

from bot.decide.sizer import heat_limit


class Limit(NamedTuple):
    """A guard as it stands; ``active`` is 1 or 0, the two values share one unit."""

    active: int
    used: float
    limit: float


def reached(used: float, limit: float) -> Limit:
    """Active from ``limit`` on."""
    return Limit(0 if used < limit else 1, used, limit)


def exceeded(used: float, limit: float) -> Limit:
    """Active above ``limit``."""
    return Limit(0 if used <= limit else 1, used, limit)


def undercut(used: float, limit: float) -> Limit:
    """Active below ``limit``."""
    return Limit(0 if used >= limit else 1, used, limit)


# -- the account -----------------------------------------------------------------------------------


def daily_loss(loss: float, limit: float) -> Limit:
    """Loss of the UTC day or of 24 hours, the worse; fractions of equity (design.md, Daily loss)."""
    return reached(loss, limit)


def drawdown(below_peak: float, limit: float) -> Limit:
    """Fall from the high-water mark; fractions (design.md, Drawdown)."""
    return reached(below_peak, limit)


def loss_streak(losses: int, limit: int) -> Limit:
    """Losing trades in a row (design.md, Three losses)."""
    return reached(losses, limit)


def cash_buffer(cash: float, buffer: float) -> Limit:
    """Cash as a share of equity, which must not be below the buffer (quant 1b, row 9)."""
    return undercut(cash, buffer)


def positions(open_positions: int, allowed: int) -> Limit:
    """Open positions of the tier's; none allowed is an account without a tier, which other guards stop."""
    return Limit(0 if allowed <= 0 or open_positions < allowed else 1, open_positions, allowed)


def heat(
    heat_usd: float, equity: float, daily_limit: float, day_loss: float, drawdown_limit: float, below_peak: float
) -> Limit:
    """What all stops together would cost, as a share of equity; the rest are fractions.

    The limit is the nearer of what daily loss and drawdown still leave (quant 1b, row 7). Where none is
    left, nothing at risk is too much already. Nothing at risk is no share of an empty account.
    """
    used = 0.0
    if heat_usd != 0.0:
        used = heat_usd / equity if equity > 0.0 else math.nan
    limit = heat_limit(daily_limit, day_loss, drawdown_limit, below_peak)
    for term in (daily_limit, day_loss, drawdown_limit, below_peak):
        if math.isnan(term):  # it would vanish in the limit's min and max
            limit = math.nan
    return reached(used, limit)


def fee_budget(fees_usd: float, equity: float, share: float) -> Limit:
    """Fees of 30 days, those due for what is open included, of ``share`` x equity; USD (quant 3c).

    Nothing spent is no spent budget, not even that of an empty account.
    """
    limit = share * equity
    if fees_usd == 0.0 and limit >= 0.0:
        return Limit(0, fees_usd, limit)
    return reached(fees_usd, limit)


def activation(equity: float, activated: int, min_equity: float, max_drawdown: float) -> Limit:
    """Equity (USD) that trading needs: ``min_equity`` to begin, (1 - max_drawdown) of it afterwards.

    With $15 and 12 % the floor is $13.20: otherwise the first fee would stop a $15 account for ever
    (quant 1b, row 4).
    """
    floor = min_equity * (1.0 - max_drawdown) if activated else min_equity
    return undercut(equity, floor)


def error_shutoff(failed_cycles: int, limit: int) -> Limit:
    """Failed cycles in a row (issue 3, Guards)."""
    return reached(failed_cycles, limit)


def stalled(days: float, limit: float) -> Limit:
    """Days in which the limits have left no order above the minimums (design.md, STALLED)."""
    return reached(days, limit)


# -- one venue, one coin, one entry ----------------------------------------------------------------


def venue_minimum(worth_usd: float, minimum_usd: float) -> Limit:
    """What an account on one venue is worth; below its minimum it is dormant (quant 1b, row 5)."""
    return undercut(worth_usd, minimum_usd)


def unknown_venue(unanswered: int) -> Limit:
    """Venues that have not answered; one is too many (design.md, One cycle)."""
    return reached(unanswered, 1)


def stale_data(age: float, limit: float) -> Limit:
    """Age of a price, in the unit of its limit."""
    return exceeded(age, limit)


def spread(bid: float, ask: float, limit: float) -> Limit:
    """Ask less bid as a fraction of the middle; a quote that is none (0, crossed) has no spread (own limit)."""
    if not 0.0 < bid <= ask:
        return Limit(1, math.nan, limit)
    return exceeded((ask - bid) / (0.5 * (bid + ask)), limit)


def price_sanity(price: float, other: float, limit: float) -> Limit:
    """Difference of two venues' prices of one coin as a fraction of the lower one (own limit)."""
    if not price > 0.0 or not other > 0.0:
        return Limit(1, math.nan, limit)
    return exceeded(abs(price - other) / min(price, other), limit)


def risk_reward(reward: float, minimum: float) -> Limit:
    """Net risk:reward of an entry, which must not be below the minimum (quant, correction 2).

    NaN is a reward that nothing has measured yet: the guard abstains.
    """
    if math.isnan(reward) and not math.isnan(minimum):
        return Limit(0, reward, minimum)
    return undercut(reward, minimum)
