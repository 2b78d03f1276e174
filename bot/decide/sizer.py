"""The hybrid sizer: three legs, each clipped before they are blended, one scale, and every cap.

In this order (quant 2.5): Kelly, volatility and equity leg; the blend times drawdown scale and edge
brake; the smallest of all caps; the floor of one minimum trade; whole lots, rounded down; the check
that they can be sold again. Shares are fractions of equity.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bot.decide import codes
from bot.decide.costs import FEE_RESERVE, MIN_STOP_TO_COST, SLIPPAGE, Rules, break_even_move, loss_per_unit
from bot.decide.exits import exit_parts
from bot.decide.kelly import BRAKE_FULL, Edge, edge_brake
from bot.decide.risk import drawdown_scale

VOLATILITY_TARGET = 0.10
"""Annual volatility that the volatility leg aims at; at 20 % a 12 % drawdown within a year is the rule (quant 2.3)."""

VOLATILITY_CEILING = 0.25
"""Annual volatility that the book as a whole may reach (the larger of the two examples in quant 2.6)."""

CORRELATION = 0.80
"""Between any two coins, as measured over a year (quant 2.3)."""

GAP_MAJOR = 0.02
GAP_OTHER = 0.04
"""Loss beyond the stop to reckon with, as a share of notional: BTC and ETH; the others (quant, correction 6)."""

FEE_BUDGET = 0.01
"""Share of equity that may go into fees within 30 days (quant 3c)."""


class Candidate(NamedTuple):
    """The coin to be bought."""

    volatility: float
    """Annual, as a fraction."""
    stop_distance: float
    """As a fraction of the price."""
    price: float
    gap: float
    """Allowance for a fall through the stop, a fraction of notional."""
    held_usd: float
    """Of this coin over all accounts, pending entries included."""
    wish_usd: float
    """What the strategy asks for; infinite where it leaves the size to the legs."""
    scale: float
    """Factor of the regime on the volatility leg, 1 where it says nothing."""


class Holdings(NamedTuple):
    """The account as a whole and what it already carries."""

    equity: float
    base_usd: float
    """What the blend is a share of: equity, or free cash and what is held of the coin (PRO_MODE off)."""
    free_cash: float
    """Over all accounts."""
    venue_free_cash: float
    drawdown: float
    day_loss: float
    """Today's loss as a fraction, 0 on a day of gain."""
    heat_usd: float
    """What all open positions lose at their stops, see ``mark_heat``."""
    variance: float
    """Of the open book, see ``book_variance``."""
    covariance: float
    """Of the candidate with the open book, see ``book_covariance``."""
    fees_usd: float
    """Paid in the last 30 days, and due when open positions and pending entries are sold."""
    trades: int
    """Trades ever closed."""


class Limits(NamedTuple):
    """What settings and tier allow; fractions of equity, USD."""

    position_cap: float
    risk_per_trade: float
    cash_buffer: float
    daily_loss: float
    max_drawdown: float
    fee_budget: float
    """Share of equity that 30 days of fees may take."""
    min_trade: float
    max_positions: int
    kelly_weight: float
    volatility_weight: float
    equity_weight: float
    floor_allowed: int
    """1 where one minimum trade may exceed the position cap (MICRO_CAPITAL_MODE)."""
    correlation: float
    volatility_target: float
    volatility_ceiling: float


class Blend(NamedTuple):
    """The legs as fractions of equity, each clipped; ``share`` is what they ask for in the end."""

    loss: float
    """Loss at the stop per unit of notional."""
    kelly: float
    volatility: float
    equity: float
    mixed: float
    """The weighted legs."""
    scale: float
    brake: float
    share: float


class Caps(NamedTuple):
    """Largest purchase in USD by each cap."""

    blend: float
    """What legs and strategy ask for."""
    position: float
    room: float
    risk: float
    heat: float
    fees: float
    buffer: float
    venue: float


class Order(NamedTuple):
    """Whole lots to buy, or 0 with code, limit and actual value of the reason.

    The values are fractions for COSTS_TOO_HIGH, EDGE_BRAKE and DRAWDOWN, R for NO_EDGE, else USD.
    """

    lots: int
    notional: float
    """USD; of a refused order what was left of it."""
    risk_usd: float
    """Loss at the stop, costs included."""
    exits: int
    """Parts in which it can be sold: 3, or 1 where a part would be below the venue's minimum."""
    binding: int
    """Code of the cap that decided; OK where it was the blend, MINIMUM_TRADE where the floor lifted it."""
    code: int
    limit: float
    actual: float


def kelly_leg(edge: Edge, risk_per_trade: float, loss: float, cap: float) -> float:
    """Share of equity: min(f_used, f_RCK, risk per trade) over the loss per unit, at most the cap (quant 2.2)."""
    assert not math.isnan(edge.used), "an edge is not a number"
    assert not math.isnan(edge.constrained), "an edge is not a number"
    return min(min(edge.used, edge.constrained, risk_per_trade) / loss, cap)


def volatility_leg(volatility: float, positions: int, correlation: float, target: float, cap: float) -> float:
    """Share of equity with which ``positions`` equal ones reach the target volatility (quant 2.3).

    sigma_T / sqrt(N (1 + (N - 1) rho)) / sigma_i, at most the cap; 0 for a coin without a volatility.
    """
    assert positions >= 1, "at least one position"
    if not volatility > 0.0:
        return 0.0
    return min(target / math.sqrt(positions * (1.0 + (positions - 1) * correlation)) / volatility, cap)


def equity_leg(risk_per_trade: float, loss: float, cash_buffer: float, positions: int, cap: float) -> float:
    """Share of equity that loses the risk per trade at the stop and leaves room for the others (quant 2.4)."""
    assert positions >= 1, "at least one position"
    return min(risk_per_trade / loss, (1.0 - cash_buffer) / positions, cap)


def portfolio_room(volatility: float, variance: float, covariance: float, ceiling: float) -> float:
    """Largest share x with sqrt(a x^2 + 2 b x + c) <= T; 0 for a coin without a volatility (quant 2.6).

    a = sigma_i^2, b = ``covariance``, c = ``variance`` of the book, T = ``ceiling``.
    """
    free = ceiling * ceiling - variance
    if not volatility > 0.0 or not free > 0.0:
        return 0.0
    root = math.sqrt(covariance * covariance + volatility * volatility * free)
    # The same as (root - b) / a, without its cancellation; and 1 is more than any cap allows.
    return min(1.0, free / (root + covariance))


def book_variance(shares: Sequence[float], volatilities: Sequence[float], correlation: float) -> float:
    """Variance of positions (shares of equity) under one correlation between any two of them (quant 2.6, c)."""
    variance = 0.0
    for i in range(len(shares)):
        own = shares[i] * volatilities[i]
        variance += own * own
        for j in range(i):
            variance += 2.0 * correlation * own * shares[j] * volatilities[j]
    return variance


def book_covariance(
    volatility: float, shares: Sequence[float], volatilities: Sequence[float], correlations: Sequence[float]
) -> float:
    """Covariance of a new coin with positions: sigma_i sum n_j sigma_j rho_ij, rho 1 for itself (quant 2.6)."""
    total = 0.0
    for j in range(len(shares)):
        total += shares[j] * volatilities[j] * correlations[j]
    return volatility * total


def mark_heat(notional: float, stop_distance: float, fee_out: float, gap: float) -> float:
    """Loss in USD of an open position from its present price to its stop, exit fee and gap included.

    ``stop_distance`` is measured from the present price (profit given back is loss against the start
    of the day), 0 where the price is already below the stop (quant, correction 6).
    """
    distance = max(0.0, stop_distance)
    return notional * (distance + fee_out * (1.0 - distance) + gap)


def heat_limit(daily_loss: float, day_loss: float, max_drawdown: float, drawdown: float) -> float:
    """Share of equity that all stops together may cost: min(6 % - today's loss, 12 % - drawdown) (quant 1b, row 7)."""
    return max(0.0, min(daily_loss - max(0.0, day_loss), max_drawdown - max(0.0, drawdown)))


def blend_of(candidate: Candidate, rules: Rules, holdings: Holdings, limits: Limits, edge: Edge) -> Blend:
    """Compute the legs, clip each, blend and scale them (quant 2.5)."""
    loss = loss_per_unit(candidate.stop_distance, rules.fee_in, rules.fee_out, SLIPPAGE)
    cap, positions = limits.position_cap, limits.max_positions
    kelly = kelly_leg(edge, limits.risk_per_trade, loss, cap)
    volatility = volatility_leg(candidate.volatility, positions, limits.correlation, limits.volatility_target, cap)
    volatility *= candidate.scale
    equity = equity_leg(limits.risk_per_trade, loss, limits.cash_buffer, positions, cap)
    scale = drawdown_scale(holdings.drawdown, limits.max_drawdown)
    brake = edge_brake(holdings.trades, edge.chance)
    mixed = limits.kelly_weight * kelly + limits.volatility_weight * volatility + limits.equity_weight * equity
    return Blend(loss, kelly, volatility, equity, mixed, scale, brake, mixed * scale * brake)


def caps_of(candidate: Candidate, rules: Rules, holdings: Holdings, limits: Limits, blend: Blend) -> Caps:
    """Compute the largest purchase in USD by each cap; never below 0."""
    equity, held = holdings.equity, candidate.held_usd
    heat = heat_limit(limits.daily_loss, holdings.day_loss, limits.max_drawdown, holdings.drawdown)
    room = portfolio_room(candidate.volatility, holdings.variance, holdings.covariance, limits.volatility_ceiling)
    paid = 1.0 + rules.fee_in
    caps = Caps(
        max(0.0, min(candidate.wish_usd, blend.share * holdings.base_usd - held)),
        max(0.0, limits.position_cap * equity - held),
        room * equity,
        max(0.0, limits.risk_per_trade * equity / blend.loss - held),
        max(0.0, heat * equity - holdings.heat_usd) / (blend.loss + candidate.gap),
        max(0.0, limits.fee_budget * equity - holdings.fees_usd) / (rules.fee_in + rules.fee_out)
        if rules.fee_in + rules.fee_out > 0.0
        else math.inf,
        max(0.0, holdings.free_cash - limits.cash_buffer * equity) / paid,
        max(0.0, holdings.venue_free_cash) * (1.0 - FEE_RESERVE) / paid,
    )
    assert_numbers(candidate, holdings, limits)
    for value in caps:
        assert not math.isnan(value), "a cap cannot be computed"
    assert not math.isnan(blend.share), "a cap cannot be computed"
    return caps


def assert_numbers(candidate: Candidate, holdings: Holdings, limits: Limits) -> None:
    """Stop at a NaN, which would slip past every comparison and lift the cap that it stands for."""
    assert 0.0 <= candidate.scale <= 1.0, "a regime makes no entry larger"
    for balance in (
        holdings.equity,
        holdings.base_usd,
        holdings.free_cash,
        holdings.venue_free_cash,
        holdings.day_loss,
        holdings.heat_usd,
        candidate.held_usd,
    ):
        assert not math.isnan(balance), "a balance is not a number"
    for term in (holdings.variance, holdings.covariance):
        assert not math.isnan(term), "the volatility of the book is not a number"
    for amount in (holdings.fees_usd, candidate.wish_usd):
        assert not math.isnan(amount), "fees or a wish are not a number"
    for limit in (
        limits.position_cap,
        limits.risk_per_trade,
        limits.cash_buffer,
        limits.daily_loss,
        limits.max_drawdown,
        limits.fee_budget,
        limits.volatility_ceiling,
        limits.min_trade,
    ):
        assert not math.isnan(limit), "a limit is not a number"


def hard_cap(caps: Caps) -> tuple[float, int]:
    """Return the smallest of the caps that hold for the floor too, in USD, and its code."""
    room, code = caps.room, codes.VOLATILITY_ROOM
    if caps.risk < room:
        room, code = caps.risk, codes.RISK_PER_TRADE
    if caps.heat < room:
        room, code = caps.heat, codes.HEAT
    if caps.fees < room:
        room, code = caps.fees, codes.FEE_BUDGET
    if caps.buffer < room:
        room, code = caps.buffer, codes.CASH_BUFFER
    if caps.venue < room:
        room, code = caps.venue, codes.VENUE_CASH
    return room, code


def smallest_cap(caps: Caps) -> tuple[float, int]:
    """Return the smallest of all caps in USD and its code, OK for the blend."""
    room, code = caps.blend, codes.OK
    if caps.position < room:
        room, code = caps.position, codes.POSITION_CAP
    hard, hard_code = hard_cap(caps)
    if hard < room:
        return hard, hard_code
    return room, code


def size_position(
    candidate: Candidate, rules: Rules, holdings: Holdings, limits: Limits, edge: Edge
) -> tuple[Blend, Caps, Order]:
    """Size an entry; the three results together explain themselves."""
    blend = blend_of(candidate, rules, holdings, limits, edge)
    caps = caps_of(candidate, rules, holdings, limits, blend)
    return blend, caps, size_order(candidate, rules, holdings, limits, edge, blend, caps)


def size_order(
    candidate: Candidate, rules: Rules, holdings: Holdings, limits: Limits, edge: Edge, blend: Blend, caps: Caps
) -> Order:
    """Turn the caps into whole lots, or say why there are none.

    The result exceeds no cap, with one exception: where less than the minimum trade remains and nothing
    of the coin is held, one minimum trade (rounded up to whole lots) stands in for blend and position
    cap, if all other caps allow it and the brake is not full (quant 1b, row 1).
    """
    early = refused_unsized(candidate, rules, holdings, limits, edge, blend, caps)
    if early.code != codes.OK:
        return early

    lot_usd = rules.lot_step * candidate.price
    room, binding = smallest_cap(caps)
    lots = lots_within(room, lot_usd)
    if lots * lot_usd < limits.min_trade:
        if not limits.floor_allowed or caps.blend <= 0.0 or candidate.held_usd > 0.0:
            if binding == codes.OK or room >= limits.min_trade:  # or it is the rounding to lots
                actual = room if room < limits.min_trade else lots * lot_usd
                return refused(room, binding, codes.BELOW_MIN_TRADE, limits.min_trade, actual)
            return refused(room, binding, binding, limits.min_trade, room)
        lots = lots_reaching(limits.min_trade, lot_usd)
        room, binding = hard_cap(caps)
        if lots * lot_usd > room:
            return refused(room, binding, binding, lots * lot_usd, room)
        binding = codes.MINIMUM_TRADE
    notional = lots * lot_usd
    minimum = max(rules.min_amount * candidate.price, rules.min_cost)
    if notional < minimum:
        return refused(notional, binding, codes.BELOW_VENUE_MINIMUM, minimum, notional)
    exits = exit_parts(lots, candidate.price, candidate.stop_distance, rules)
    if exits == 0:
        stop_price = candidate.price * (1.0 - candidate.stop_distance)
        needed = max(rules.min_amount * stop_price, rules.min_cost)
        left = lots * rules.lot_step * (1.0 - rules.fee_in) * stop_price
        return refused(notional, binding, codes.UNSELLABLE, needed, left)
    none = math.nan
    return Order(lots, notional, notional * blend.loss, exits, binding, codes.OK, none, none)


def refused_unsized(
    candidate: Candidate, rules: Rules, holdings: Holdings, limits: Limits, edge: Edge, blend: Blend, caps: Caps
) -> Order:
    """Refuse what no size can make good: costs, drawdown, brake, no edge; code OK where none of them refuses."""
    round_trip = break_even_move(rules.fee_in, rules.fee_out)
    if not candidate.stop_distance >= MIN_STOP_TO_COST * round_trip:
        limit = candidate.stop_distance / MIN_STOP_TO_COST
        return refused(caps.blend, codes.OK, codes.COSTS_TOO_HIGH, limit, round_trip)
    if blend.scale <= 0.0:
        return refused(0.0, codes.OK, codes.DRAWDOWN, limits.max_drawdown, holdings.drawdown)
    if blend.brake <= 0.0:
        return refused(0.0, codes.OK, codes.EDGE_BRAKE, BRAKE_FULL, edge.chance)
    if blend.mixed <= 0.0 and limits.kelly_weight > 0.0:
        # The Kelly leg alone is asked, and the results show no edge, or there are none yet.
        return refused(0.0, codes.OK, codes.NO_EDGE, 0.0, edge.mean)
    return refused(0.0, codes.OK, codes.OK, math.nan, math.nan)


def refused(notional: float, binding: int, code: int, limit: float, actual: float) -> Order:
    """Make an order of no lots with its reason."""
    return Order(0, notional, 0.0, 0, binding, code, limit, actual)


def lots_within(usd: float, lot_usd: float) -> int:
    """Whole lots that cost at most so much."""
    lots = int(usd / lot_usd)
    if lots * lot_usd > usd:  # the quotient was rounded up
        return lots - 1
    if (lots + 1) * lot_usd <= usd:  # or down
        return lots + 1
    return lots


def lots_reaching(usd: float, lot_usd: float) -> int:
    """Whole lots that cost at least so much."""
    lots = math.ceil(usd / lot_usd)
    if lots * lot_usd < usd:
        return lots + 1
    return lots
