"""What an account can reach: the order that it could send at full score, and the equity from which it can.

Both for an account that holds nothing but cash, all of it on one venue, as far below its peak as it is.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bot.decide import codes
from bot.decide.costs import SLIPPAGE, Rules
from bot.decide.exits import net_reward
from bot.decide.guards import risk_reward
from bot.decide.kelly import Edge
from bot.decide.sizer import Candidate, Holdings, Limits, Order, refused, size_position

LARGEST_EQUITY = 1_000_000.0
STEPS = 40
"""Halvings of a range of equities: more than a million dollars have cents."""

CENTS = 100.0


class Rung(NamedTuple):
    """One tier of the ladder, lowered to the ceilings that the user has set."""

    from_equity: float
    risk_per_trade: float
    """Fraction of equity."""
    max_positions: int


class Plan(NamedTuple):
    """What the strategy and the account's own results add to the sizer's limits."""

    share: float
    """Largest share of equity that the strategy asks for in one coin; infinite where it leaves that to the legs."""
    rule: int
    """Exit rule with price targets, or -1."""
    reward: float
    """Measured net risk:reward for a plan without targets; NaN where nothing has measured it yet."""
    min_reward: float
    trades: int
    """Trades ever closed."""
    drawdown: float
    """Of the account now, a fraction, as is the next."""
    day_loss: float


def rung_of(equity: float, rungs: Sequence[Rung]) -> Rung:
    """Return the highest rung that the equity reaches, the lowest where it reaches none."""
    found = rungs[0]
    for rung in rungs:
        if equity >= rung.from_equity:
            found = rung
    return found


def limits_on(rung: Rung, limits: Limits) -> Limits:
    """Give the limits as they are on another rung."""
    return Limits(
        limits.position_cap,
        rung.risk_per_trade,
        limits.cash_buffer,
        limits.daily_loss,
        limits.max_drawdown,
        limits.fee_budget,
        limits.min_trade,
        rung.max_positions,
        limits.kelly_weight,
        limits.volatility_weight,
        limits.equity_weight,
        limits.floor_allowed,
        limits.correlation,
        limits.volatility_target,
        limits.volatility_ceiling,
    )


def empty_account(equity: float, plan: Plan) -> Holdings:
    """Describe an account of nothing but cash."""
    return Holdings(equity, equity, equity, equity, plan.drawdown, plan.day_loss, 0.0, 0.0, 0.0, 0.0, plan.trades)


def sized_order(equity: float, candidate: Candidate, rules: Rules, limits: Limits, edge: Edge, plan: Plan) -> Order:
    """Size an order at full score; whether it is worth its risk is not asked yet."""
    wish = Candidate(
        candidate.volatility,
        candidate.stop_distance,
        candidate.price,
        candidate.gap,
        0.0,
        plan.share * equity if equity > 0.0 else 0.0,
        candidate.scale,
    )
    _, _, order = size_position(wish, rules, empty_account(equity, plan), limits, edge)
    return order


def full_order(equity: float, candidate: Candidate, rules: Rules, limits: Limits, edge: Edge, plan: Plan) -> Order:
    """Size an order at full score; none where its net risk:reward is too low."""
    order = sized_order(equity, candidate, rules, limits, edge, plan)
    if order.lots == 0:
        return order
    reward = plan.reward
    if plan.rule >= 0:
        reward = net_reward(plan.rule, order.exits, candidate.stop_distance, rules.fee_in, rules.fee_out, SLIPPAGE)
    gate = risk_reward(reward, plan.min_reward)
    if gate.active:
        return refused(order.notional, order.binding, codes.RISK_REWARD, gate.limit, gate.used)
    return order


def smallest_equity(
    from_equity: float,
    rungs: Sequence[Rung],
    candidate: Candidate,
    rules: Rules,
    limits: Limits,
    edge: Edge,
    plan: Plan,
) -> float:
    """Smallest equity of at least ``from_equity`` at which there is an order, to the cent; NaN where there is none.

    From rung to rung the share of a coin may fall, so every rung is looked at. On one rung a larger
    account can buy at least as much, and sell it in at least as many parts; but the risk:reward of one
    part and of three are two numbers, of which either may be too low.
    """
    for k in range(len(rungs)):
        low = cents_from(max(from_equity, rungs[k].from_equity))
        high = cents_from(rungs[k + 1].from_equity if k + 1 < len(rungs) else LARGEST_EQUITY)
        on_rung = limits_on(rungs[k], limits)
        for parts in (1, 3):
            found = first_in_parts(parts, low, high, candidate, rules, on_rung, edge, plan)
            if found < high and full_order(found / CENTS, candidate, rules, on_rung, edge, plan).lots > 0:
                return found / CENTS
    return math.nan


def cents_from(usd: float) -> int:
    """Whole cents of at least so many dollars."""
    return math.ceil(round(usd * CENTS, 6))


def first_in_parts(
    parts: int, low: int, high: int, candidate: Candidate, rules: Rules, limits: Limits, edge: Edge, plan: Plan
) -> int:
    """First equity in [low, high), in cents, whose order can be sold in so many parts; ``high`` where none can."""
    if low >= high or sized_order((high - 1) / CENTS, candidate, rules, limits, edge, plan).exits < parts:
        return high
    below = low - 1
    reached = high - 1
    for _ in range(STEPS):
        if reached - below <= 1:
            break
        middle = (below + reached) // 2
        if sized_order(middle / CENTS, candidate, rules, limits, edge, plan).exits >= parts:
            reached = middle
        else:
            below = middle
    return reached
