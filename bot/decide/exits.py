"""Exits: where the stop belongs, what is sold at which price, and when a trade has had its time (quant 4d, 7).

R is the distance from the entry price to the first stop. Targets are watched and taken as taker, since a
coin backs one resting order and that is the stop (quant, correction 3).
"""

import math
from collections.abc import Sequence

from bot.decide.costs import Rules, gain_per_unit, loss_per_unit

LADDER = 0
RUNNER = 1
TRAIL = 2
TRAIL_TIGHT = 3
"""Exit rules, in the order of ``bot.domain.modes.ExitRule``."""

TARGETS = (1.8, 3.0, 5.0)
"""Of the ladder, in R; the runner has the first two."""

SINGLE_TARGET = 3.0
"""In R, where the position is sold at once (quant 1b, row 2)."""

LEG_SHARE = 0.33
"""Part of what was bought that a target sells; the last target sells all that is left."""

AT_TARGET = 1.0 - 1e-12
"""A price on its tick may miss the very target by the last digit of a float."""

TRAIL_ATR = 3.0
TRAIL_TIGHT_ATR = 2.0

MAX_DAYS = 20.0
"""A breakout trade that has ended by nothing else frees its money after so many days (quant 4d)."""

MAX_STOP = 0.9
"""In the wildest market four ATR exceed the price itself; a stop needs a price above zero."""


def stop_distance(atr: float, price: float, multiple: float) -> float:
    """Distance of the first stop as a fraction of the price, at most 0.9; NaN without an ATR."""
    distance = multiple * atr / price
    if distance > MAX_STOP:
        return MAX_STOP
    return distance


# -- parts


def can_sell(lots: int, price: float, rules: Rules) -> bool:
    """Whether the venue takes an order for so many lots at this price."""
    amount = lots * rules.lot_step
    return lots > 0 and amount >= rules.min_amount and amount * price >= rules.min_cost


def exit_parts(lots: int, price: float, distance: float, rules: Rules) -> int:
    """Parts in which a position can be sold: 3, 1, or 0 where it could not be sold at its stop.

    Parts are sold above the entry price, the whole perhaps at its stop. The entry fee is taken off
    first, as if the venue took it in coins. A part below the venue's minimum means one exit for all
    (quant 1b, row 2).
    """
    owned = int(lots * (1.0 - rules.fee_in))
    if not can_sell(owned, price * (1.0 - distance), rules):
        return 0
    return 3 if can_sell(int(owned * LEG_SHARE), price, rules) else 1


# -- targets


def target_count(rule: int, parts: int) -> int:
    """Number of price targets; 0 for rules that only trail."""
    if rule in (TRAIL, TRAIL_TIGHT):
        return 0
    if parts < len(TARGETS):
        return 1
    return 2 if rule == RUNNER else len(TARGETS)


def target_multiple(rule: int, parts: int, index: int) -> float:
    """Return a target in R; ``index`` counts from 0."""
    assert 0 <= index < target_count(rule, parts), "the rule has no such target"
    return TARGETS[index] if parts == len(TARGETS) else SINGLE_TARGET


def target_price(entry: float, first_stop: float, multiple: float) -> float:
    """Price at which a trade is so many R ahead (quant 4d)."""
    return entry + multiple * (entry - first_stop)


def targets_reached(rule: int, parts: int, entry: float, first_stop: float, price: float) -> int:
    """Count the targets at or below a price; none where the first stop is not below the entry, so that R is not."""
    reached = 0
    if first_stop < entry:
        for i in range(target_count(rule, parts)):
            if price >= AT_TARGET * target_price(entry, first_stop, target_multiple(rule, parts, i)):
                reached += 1
    return reached


def lots_to_keep(rule: int, parts: int, bought: int, reached: int) -> int:
    """Lots that are still held after so many targets, of all that were bought.

    A target sells a third, rounded down; the last one all that is left, except the runner's, whose
    rest goes on behind its stop.
    """
    assert bought >= 0, "lots cannot be negative"
    count = target_count(rule, parts)
    taken = min(reached, count)
    if taken <= 0:
        return bought
    if taken == count and not (rule == RUNNER and parts == len(TARGETS)):
        return 0
    return bought - taken * int(bought * LEG_SHARE)


# -- stop and time


def trail_multiple(rule: int, parts: int, reached: int) -> float:
    """How many ATR below the highest price the stop trails now; 0 where it does not."""
    if rule == TRAIL:
        return TRAIL_ATR
    if rule == TRAIL_TIGHT:
        return TRAIL_TIGHT_ATR
    if rule == RUNNER and parts == len(TARGETS) and reached >= target_count(rule, parts):
        return TRAIL_ATR
    return 0.0


def moved_stop(
    rule: int,
    parts: int,
    reached: int,
    stop: float,
    break_even: float,
    highest: float,
    atr: float,
    price: float,
) -> float:
    """Where the stop belongs that is at ``stop`` now: it only ever rises.

    At ``break_even`` (fees included) from the first target on; trailing rules ``atr`` times their multiple
    below ``highest``, the highest price since the entry (a NaN moves nothing). NaN where it would rise
    to the present price or above: such a stop cannot rest, it has been reached, the rest is sold now.
    """
    wanted = stop
    if reached > 0 and break_even > wanted:
        wanted = break_even
    multiple = trail_multiple(rule, parts, reached)
    if multiple > 0.0 and highest - multiple * atr > wanted:
        wanted = highest - multiple * atr
    if wanted > stop and wanted >= price:
        return math.nan
    return wanted


def highest_since(
    open_ms: Sequence[int],
    highs: Sequence[float],
    closes: Sequence[float],
    n_bars: int,
    bar_ms: int,
    entry_ms: int,
    entry: float,
) -> float:
    """Highest price since an entry that closed bars tell of, at least the entry price itself.

    Of the bar within which the entry fell only the close counts: its high may have been before.
    """
    top = entry
    for back in range(n_bars):
        i = n_bars - 1 - back
        if open_ms[i] + bar_ms <= entry_ms:
            break
        seen = highs[i] if open_ms[i] >= entry_ms else closes[i]
        if seen > top:  # noqa: PLR1730  max() would take a NaN
            top = seen
    return top


def time_is_over(days_held: float) -> bool:
    """Whether a trade has had its time."""
    return days_held >= MAX_DAYS


# -- what a plan is worth


def reward_at(multiple: float, distance: float, fee_in: float, fee_out: float, slippage: float) -> float:
    """Net risk:reward of one target in R: gain there over the loss at the stop (quant 3b)."""
    gain = gain_per_unit(multiple * distance, fee_in, fee_out, slippage)
    return gain / loss_per_unit(distance, fee_in, fee_out, slippage)


def net_reward(rule: int, parts: int, distance: float, fee_in: float, fee_out: float, slippage: float) -> float:
    """Net risk:reward of an exit rule, at its leg-weighted mean target (quant, correction 2).

    ``fee_out`` is the taker's, for targets as for the stop. NaN for rules without targets. The runner's
    rest, which has no target, counts at the last one: what it may bring beyond is hoped for, not planned.
    """
    count = target_count(rule, parts)
    if count == 0:
        return math.nan
    multiple = SINGLE_TARGET
    if parts == len(TARGETS):
        multiple = LEG_SHARE * (TARGETS[0] + TARGETS[1]) + (1.0 - 2.0 * LEG_SHARE) * TARGETS[count - 1]
    return reward_at(multiple, distance, fee_in, fee_out, slippage)
