"""Trend allocation: hold each coin in proportion to its score and against its volatility.

Per coin: target = score x min(cap, (vol target / annual volatility) / coins) x drawdown scale; trade
when the gap to what is held exceeds a band relative to the target and the minimum trade; a disaster
stop four daily ATR below (quant, corrections 8 and 14).
"""

import math
from typing import NamedTuple

from bot.decide import codes
from bot.decide.costs import break_even_move, loss_per_unit

VOLATILITY_TARGET = 0.25
BAND = 0.30
"""Relative no-trade band; correction 14 gives 25 to 40 % of target, correction 7 demands a relative one."""

STOP_ATR = 4.0
MAX_STOP = 0.9
"""In the wildest market four ATR exceed the price itself; a stop needs a price above zero."""

MIN_STOP_TO_COST = 3.0
"""A stop nearer than three round-trip costs is a trade for the venue, not for the account (quant 7)."""

FEE_RESERVE = 0.01
"""Share of a venue's free cash that stays for fees."""

SLIPPAGE = 0.001
"""Slippage of one round trip as a fraction of notional (5 basis points a side, as in the evidence)."""


class Coin(NamedTuple):
    """One coin at its decision; USD, fractions, NaN for "none"."""

    score: float
    volatility: float
    stop_distance: float
    """Distance of the stop as a fraction of the price."""
    price: float
    bar_close: float
    held_usd: float
    """Over all accounts, pending entries included."""


class Rules(NamedTuple):
    """The market of one account: steps, minimums, fees as fractions per side."""

    lot_step: float
    min_amount: float
    min_cost: float
    fee_in: float
    fee_out: float


class Budget(NamedTuple):
    """What the account as a whole allows; USD and fractions of equity."""

    equity: float
    free_cash: float
    """Over all accounts."""
    venue_free_cash: float
    position_cap: float
    risk_per_trade: float
    cash_buffer: float
    min_trade: float


class Intent(NamedTuple):
    """What to do with a coin: an action code, the gap in USD, and for REFUSE the reason."""

    action: int
    gap_usd: float
    target_usd: float
    code: int
    limit: float
    actual: float


class Size(NamedTuple):
    """Whole lots to buy, or 0 with the reason; ``binding`` is the cap that decided the size."""

    lots: int
    notional: float
    code: int
    limit: float
    actual: float
    binding: int


def stop_distance(atr: float, price: float) -> float:
    """Distance of the disaster stop as a fraction of the price, at most 0.9; NaN without an ATR."""
    distance = STOP_ATR * atr / price
    if distance > MAX_STOP:
        return MAX_STOP
    return distance


def target_fraction(score: float, volatility: float, position_cap: float, coins: int, scale: float) -> float:
    """Share of equity to hold in one coin (correction 14); 0 for a coin without a volatility."""
    if not volatility > 0.0:
        return 0.0
    return score * min(position_cap, VOLATILITY_TARGET / volatility / coins) * scale


def intend(
    coin: Coin, equity: float, position_cap: float, coins: int, scale: float, min_score: float, min_trade: float
) -> Intent:
    """Say what the target asks for, before any account is looked at.

    A position is changed when its gap exceeds both the relative band and ``min_trade`` (USD); it is
    given up as a whole whatever its size.
    """
    none = math.nan
    if math.isnan(coin.score) or math.isnan(coin.volatility) or math.isnan(coin.stop_distance):
        return Intent(codes.REFUSE, 0.0, none, codes.HISTORY_TOO_SHORT, none, none)
    target = target_fraction(coin.score, coin.volatility, position_cap, coins, scale) * equity
    gap = target - coin.held_usd
    if coin.held_usd > 0.0:
        if target <= 0.0:
            return Intent(codes.EXIT, gap, target, codes.OK, none, none)
        band = max(BAND * target, min_trade)
        if abs(gap) <= band:
            return Intent(codes.HOLD, gap, target, codes.WITHIN_BAND, band, abs(gap))
        if gap < 0.0:
            return Intent(codes.REDUCE, gap, target, codes.OK, none, none)
    # From here on something would be bought, be it the first part of a coin or more of it.
    if coin.score < min_score:
        return Intent(codes.REFUSE, 0.0, target, codes.SIGNAL_TOO_WEAK, min_score, coin.score)
    moved = abs(coin.price / coin.bar_close - 1.0)
    if moved > 0.5 * coin.stop_distance:
        return Intent(codes.REFUSE, gap, target, codes.PRICE_MOVED, 0.5 * coin.stop_distance, moved)
    return Intent(codes.ADD if coin.held_usd > 0.0 else codes.ENTER, gap, target, codes.OK, none, none)


def size_entry(gap_usd: float, coin: Coin, rules: Rules, budget: Budget) -> Size:
    """Turn a gap in USD into whole lots on one account, under every cap, or say why not.

    The caps: position cap, risk per trade at the stop, cash buffer on the total after the entry
    fee, free cash of the venue less its fee reserve. The result never exceeds one of them, and is
    either 0 or above the minimum trade and the venue's own minimums, in and out.
    """
    none = math.nan
    round_trip = break_even_move(rules.fee_in, rules.fee_out)
    if coin.stop_distance < MIN_STOP_TO_COST * round_trip:
        return Size(0, gap_usd, codes.COSTS_TOO_HIGH, coin.stop_distance / MIN_STOP_TO_COST, round_trip, codes.OK)

    loss = loss_per_unit(coin.stop_distance, rules.fee_in, rules.fee_out, SLIPPAGE)
    room = gap_usd
    binding = codes.OK
    by_cap = budget.position_cap * budget.equity - coin.held_usd
    if by_cap < room:
        room = by_cap
        binding = codes.POSITION_CAP
    by_risk = budget.risk_per_trade * budget.equity / loss - coin.held_usd
    if by_risk < room:
        room = by_risk
        binding = codes.RISK_PER_TRADE
    by_buffer = (budget.free_cash - budget.cash_buffer * budget.equity) / (1.0 + rules.fee_in)
    if by_buffer < room:
        room = by_buffer
        binding = codes.CASH_BUFFER
    by_venue = budget.venue_free_cash * (1.0 - FEE_RESERVE) / (1.0 + rules.fee_in)
    if by_venue < room:
        room = by_venue
        binding = codes.VENUE_CASH
    # A NaN would slip past every comparison above and lift the cap that it stands for.
    assert not math.isnan(gap_usd + by_cap + by_risk + by_buffer + by_venue), "a cap cannot be computed"
    room = max(room, 0.0)

    if room < budget.min_trade:
        code = codes.BELOW_MIN_TRADE if binding == codes.OK else binding
        return Size(0, room, code, budget.min_trade, room, binding)

    lot_usd = rules.lot_step * coin.price
    lots = int(room / lot_usd)
    if lots * lot_usd > room:  # the quotient was rounded up: one lot fewer
        lots -= 1
    notional = lots * lot_usd
    minimum = max(budget.min_trade, rules.min_amount * coin.price, rules.min_cost)
    if notional < minimum:  # rounding down to lots can take it below the minimum trade too
        code = codes.BELOW_MIN_TRADE if minimum == budget.min_trade else codes.BELOW_VENUE_MINIMUM
        return Size(0, notional, code, minimum, notional, binding)
    # What is held may lie on another account or be pending: the new lots must be sellable by themselves.
    stop_price = coin.price * (1.0 - coin.stop_distance)
    needed = max(rules.min_amount * stop_price, rules.min_cost)
    at_stop = lots * rules.lot_step * stop_price
    if at_stop < needed:
        return Size(0, notional, codes.UNSELLABLE, needed, at_stop, binding)
    return Size(lots, notional, codes.OK, none, none, binding)


def lots_to_sell(gap_usd: float, price: float, stop_distance: float, held_lots: int, rules: Rules) -> int:
    """Whole lots that bring a position down by ``-gap_usd``; all of them where a rest could not be protected.

    What stays must be sellable at its stop, ``stop_distance`` below the price. 0 where the reduction
    itself is below the venue's minimum. The minimum TRADE size is an entry rule and does not hold
    back an exit (quant 1b, row 3).
    """
    lot_usd = rules.lot_step * price
    lots = int(-gap_usd / lot_usd)
    if lots >= held_lots:
        return held_lots
    stop_price = price * (1.0 - stop_distance)
    if (held_lots - lots) * rules.lot_step * stop_price < max(rules.min_amount * stop_price, rules.min_cost):
        return held_lots
    if lots * lot_usd < max(rules.min_amount * price, rules.min_cost):
        return 0
    return lots
