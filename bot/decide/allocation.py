"""Trend allocation: hold each coin in proportion to its score and against its volatility.

Per coin: target = score x min(cap, (vol target / annual volatility) / coins) x drawdown scale; trade when
the gap to what is held exceeds a band relative to the target and the minimum trade; a disaster stop
four daily ATR below (quant, corrections 8 and 14). What is bought is besides no more than the sizer's
legs ask for; they are no reason to sell.
"""

import math

from bot.decide import codes
from bot.decide.costs import Rules
from bot.decide.intents import Coin, Intent, entry_or_refusal

VOLATILITY_TARGET = 0.25
BAND = 0.30
"""Relative no-trade band; correction 14 gives 25 to 40 % of target, correction 7 demands a relative one."""

STOP_ATR = 4.0


def target_share(score: float, volatility: float, cap: float, coins: int, scale: float) -> float:
    """Share of equity to hold in one coin (correction 14); 0 for a coin without a volatility."""
    if not volatility > 0.0:
        return 0.0
    return score * min(cap, VOLATILITY_TARGET / volatility / coins) * scale


def intend(
    coin: Coin,
    equity: float,
    position_cap: float,
    entry_base: float,
    entry_cap: float,
    coins: int,
    scale: float,
    min_score: float,
    min_trade: float,
) -> Intent:
    """Say what the target asks for, before any account is looked at.

    Above the target (a share of ``equity``) a part is sold. Bought is up to the lower of the target and of
    ``entry_cap``, the share of ``entry_base`` that the sizer's legs allow. Both only when the gap exceeds
    the relative band and ``min_trade`` (USD); at a target of 0 all is given up whatever its size.
    """
    none = math.nan
    if math.isnan(coin.score) or math.isnan(coin.volatility) or math.isnan(coin.stop_distance):
        return Intent(codes.REFUSE, 0.0, none, codes.HISTORY_TOO_SHORT, none, none)
    target = target_share(coin.score, coin.volatility, position_cap, coins, scale) * equity
    wanted = target_share(coin.score, coin.volatility, min(position_cap, entry_cap), coins, scale) * entry_base
    wanted = min(target, wanted)
    if coin.held_usd > 0.0:
        if target <= 0.0:
            return Intent(codes.EXIT, -coin.held_usd, target, codes.OK, none, none)
        goal = min(max(coin.held_usd, wanted), target)  # between the two there is nothing to do
        gap = goal - coin.held_usd
        band = max(BAND * goal, min_trade)
        if abs(gap) <= band:
            return Intent(codes.HOLD, gap, goal, codes.WITHIN_BAND, band, abs(gap))
        if gap < 0.0:
            return Intent(codes.REDUCE, gap, target, codes.OK, none, none)
        return entry_or_refusal(codes.ADD, gap, wanted, coin, min_score)
    return entry_or_refusal(codes.ENTER, wanted, wanted, coin, min_score)


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
