"""The limits, the tier and what is noted of each cycle: ``books/performance``, ``engine/guards`` and ``engine/tiers``.

These functions take rows, not the whole book: they run at every bar, and what a call is handed costs time.
"""

import math
from collections.abc import MutableSequence, Sequence

from bot.backtest.layout import (
    ACTIVATED,
    ALLOCATION,
    BELOW,
    CASH,
    CLOSED,
    CYCLES,
    DAILY_LOSS_GUARD,
    DAY,
    DAY_LOSS,
    DAY_START,
    DAYS_SEEN,
    DRAWDOWN,
    DRAWDOWN_GUARD,
    DRAWDOWNS,
    EQUITY,
    EXPOSURE_SUM,
    FIRST_DAY,
    HALF_NEXT,
    HALTED,
    INDEX,
    LOSS_DAY,
    LOSS_DAYS,
    MARKS,
    MARKS_KEPT,
    MONEY_UNITS,
    MS_PER_DAY,
    MS_PER_HOUR,
    PEAK,
    RECORD_CLOSED,
    RECORD_DAY,
    RECORD_MS,
    RECORD_READ,
    ROLLING,
    STREAK,
    STREAK_FROM_MS,
    STREAK_GUARD,
    STREAK_UNTIL_MS,
    STREAKS,
    TIER,
    TIER_CHANGES,
    TIER_HIGH,
    TIER_LOW,
    WORST_DRAWDOWN,
    IntTable,
    Terms,
)
from bot.decide.exits import TRAIL, TRAIL_TIGHT
from bot.scaling.transitions import DOWNGRADE_FRAC

STREAK_PAUSE_MS = MS_PER_DAY
NEAR = 1e-9
"""Of an index, which begins at 1: more than rounding, less than a cent of what these accounts hold."""


def guard(
    terms: Terms,
    total: MutableSequence[int],
    rate: MutableSequence[float],
    mark_ms: MutableSequence[int],
    mark: MutableSequence[float],
    reached: IntTable,
    money: int,
    now_ms: int,
) -> None:
    """Measure the account and remember the limits that were reached."""
    rate[EQUITY] = money / MONEY_UNITS
    measure(total, rate, mark_ms, mark, rate[EQUITY] / terms.equity_usd, now_ms)
    if terms.strategy == ALLOCATION or terms.exit_rule in (TRAIL, TRAIL_TIGHT):
        note_record(total, now_ms)
    latch(
        terms.min_equity,
        terms.daily_loss,
        terms.max_drawdown,
        terms.max_losses,
        total,
        rate,
        reached,
        now_ms,
    )


def measure(
    total: MutableSequence[int],
    rate: MutableSequence[float],
    mark_ms: MutableSequence[int],
    mark: MutableSequence[float],
    index: float,
    now_ms: int,
) -> None:
    """Mark the index: drawdown, and the loss of the day or of 24 hours, as ``books/performance`` does."""
    day = now_ms // MS_PER_DAY
    if total[DAY] != day:
        rate[DAY_START] = rate[INDEX]
        total[DAY] = day
    rate[INDEX] = index
    rate[PEAK] = max(rate[PEAK], index)
    marks = total[MARKS]
    newest = (marks - 1) % MARKS_KEPT
    if marks == 0 or mark_ms[newest] // MS_PER_HOUR != now_ms // MS_PER_HOUR:
        mark_ms[marks % MARKS_KEPT] = now_ms
        mark[marks % MARKS_KEPT] = index
        marks += 1
        total[MARKS] = marks
        rolling = max(total[ROLLING], marks - MARKS_KEPT)
        total[ROLLING] = rolling
    rolling = total[ROLLING]
    while rolling + 1 < marks and mark_ms[(rolling + 1) % MARKS_KEPT] <= now_ms - MS_PER_DAY:
        rolling += 1
        total[ROLLING] = rolling
    fallen = fall(rate[PEAK], index)
    rate[DRAWDOWN] = fallen
    rate[WORST_DRAWDOWN] = max(rate[WORST_DRAWDOWN], fallen)
    rate[DAY_LOSS] = max(fall(rate[DAY_START], index), fall(mark[rolling % MARKS_KEPT], index))


def fall(start: float, end: float) -> float:
    """How far an index has fallen, a fraction; in percent in between, as the books say it."""
    return max(0.0, 100.0 * (1.0 - end / start)) / 100.0


def note_record(total: MutableSequence[int], now_ms: int) -> None:
    """Note when the closed trades would be read: once a day and once per trade, as they age by days."""
    day = now_ms // MS_PER_DAY
    if total[RECORD_CLOSED] != total[CLOSED] or total[RECORD_DAY] != day:
        total[RECORD_CLOSED] = total[CLOSED]
        total[RECORD_DAY] = day
        total[RECORD_MS] = now_ms
        total[RECORD_READ] = 0


def latch(
    min_equity: float,
    daily_loss: float,
    max_drawdown: float,
    max_losses: int,
    total: MutableSequence[int],
    rate: MutableSequence[float],
    reached: IntTable,
    now_ms: int,
) -> None:
    """Remember the limits that were reached."""
    if rate[EQUITY] >= min_equity:
        total[ACTIVATED] = 1
    if not rate[DAY_LOSS] < daily_loss and total[LOSS_DAY] != total[DAY]:
        total[LOSS_DAY] = total[DAY]
        note_guard(total, reached, DAILY_LOSS_GUARD, now_ms)
        total[LOSS_DAYS] += 1
    if not rate[DRAWDOWN] < max_drawdown and total[HALTED] == 0:
        total[HALTED] = 1
        note_guard(total, reached, DRAWDOWN_GUARD, now_ms)
        total[DRAWDOWNS] += 1
    if total[STREAK] >= max_losses:
        total[STREAK_UNTIL_MS] = now_ms + STREAK_PAUSE_MS
        total[STREAK_FROM_MS] = now_ms + 1  # a loss of this very moment is forgiven too
        total[STREAK] = 0
        total[HALF_NEXT] = 1
        note_guard(total, reached, STREAK_GUARD, now_ms)
        total[STREAKS] += 1
    total[BELOW] = 0 if rate[EQUITY] >= floor_of(min_equity, max_drawdown, total[ACTIVATED]) else 1


def floor_of(min_equity: float, max_drawdown: float, activated: int) -> float:
    """Equity below which nothing is bought."""
    return min_equity * (1.0 - max_drawdown) if activated else min_equity


# -- cycles that change nothing but the equity


def calm_until(total: MutableSequence[int], mark_ms: MutableSequence[int], now_ms: int) -> int:
    """Return the moment from which a cycle has another mark of the hour or of 24 hours ago than that of ``now_ms``."""
    hour_ends = (now_ms // MS_PER_HOUR + 1) * MS_PER_HOUR
    following = total[ROLLING] + 1
    if following < total[MARKS]:
        return min(hour_ends, mark_ms[following % MARKS_KEPT] + MS_PER_DAY)
    return hour_ends


def calm_between(
    min_equity: float,
    daily_loss: float,
    max_drawdown: float,
    paid_in: float,
    total: MutableSequence[int],
    rate: MutableSequence[float],
    mark: MutableSequence[float],
) -> tuple[float, float]:
    """Return between which indices ``measure``, ``latch`` and ``check_tier`` note nothing new until ``calm_until``.

    A new peak is at neither limit; the others are drawn in a little, as near a limit the whole cycle shall judge.
    """
    low, high = rate[TIER_LOW] / paid_in, rate[TIER_HIGH] / paid_in
    floor = floor_of(min_equity, max_drawdown, total[ACTIVATED]) / paid_in
    if total[BELOW] == 1:
        high = min(high, floor)
    else:
        low = max(low, floor)
    if total[LOSS_DAY] != total[DAY]:
        low = max(low, max(rate[DAY_START], mark[total[ROLLING] % MARKS_KEPT]) * (1.0 - daily_loss))
    if total[HALTED] == 0:
        low = max(low, rate[PEAK] * (1.0 - max_drawdown))
    return low + NEAR, min(high - NEAR, rate[PEAK])


def note_guard(total: MutableSequence[int], reached: IntTable, which: int, now_ms: int) -> None:
    """Keep when a limit was reached; called before it is counted."""
    place = total[LOSS_DAYS] + total[DRAWDOWNS] + total[STREAKS]
    if place < len(reached):
        row = reached[place]
        row[0] = now_ms
        row[1] = which


def check_tier(
    terms: Terms,
    total: MutableSequence[int],
    rate: MutableSequence[float],
    changes: IntTable,
    equity: float,
    money: int,
    now_ms: int,
) -> None:
    """Move the account to the rung where its equity belongs, as ``scaling/transitions`` does.

    Notes between which equities it stays there.
    """
    tier = tier_after(terms.tier_start, terms.activation, total[TIER], equity)
    if tier != total[TIER]:
        place = total[TIER_CHANGES]
        if place < len(changes):
            row = changes[place]
            row[0] = now_ms
            row[1] = total[TIER]
            row[2] = tier
            row[3] = money
        total[TIER] = tier
        total[TIER_CHANGES] = place + 1
    starts = terms.tier_start
    rate[TIER_LOW] = DOWNGRADE_FRAC * starts[tier] if tier > 0 else -math.inf
    rate[TIER_HIGH] = starts[tier + 1] if tier + 1 < len(starts) else math.inf
    if tier < 0:
        rate[TIER_HIGH] = terms.activation


def tier_after(starts: Sequence[float], activation: float, tier: int, equity: float) -> int:
    """Return the rung that follows rung ``tier`` (-1: none yet) at ``equity``; ``starts`` ascend."""
    if tier < 0 and equity < activation:
        return tier
    reached = 0
    for rung in range(len(starts)):
        if starts[rung] <= max(equity, activation):
            reached = rung
    if reached < tier and equity >= DOWNGRADE_FRAC * starts[tier]:
        return tier
    return reached


def note_cycle(
    total: MutableSequence[int],
    rate: MutableSequence[float],
    day_equity: MutableSequence[float],
    money: int,
    now_ms: int,
) -> None:
    """Keep what a cycle leaves: the equity of the day, and the exposure."""
    rate[EXPOSURE_SUM] += exposure_of(total[CASH], money)
    rate[CYCLES] += 1.0
    note_equity(total, rate, day_equity, now_ms)


def note_equity(
    total: MutableSequence[int], rate: MutableSequence[float], day_equity: MutableSequence[float], now_ms: int
) -> None:
    """Keep the equity as that of its day."""
    day = (now_ms - 1) // MS_PER_DAY - total[FIRST_DAY]  # at midnight a day ends
    if day >= total[DAYS_SEEN]:
        total[DAYS_SEEN] = day + 1
    day_equity[day] = rate[EQUITY]


def exposure_of(cash: int, money: int) -> float:
    """Share of the account that is in coins."""
    return 1.0 - cash / money if money > 0 else 0.0
