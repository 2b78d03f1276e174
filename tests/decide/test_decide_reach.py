"""What an account can reach; fees, stops and volatilities as in quant 3 (Coinbase 0.60/1.20 %, Kraken 0.40/0.80 %)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.decide import codes, exits
from bot.decide.costs import Rules
from bot.decide.kelly import Edge, edge_of_counts, edge_of_results
from bot.decide.reach import (
    LARGEST_EQUITY,
    Plan,
    Rung,
    cents_from,
    empty_account,
    first_in_parts,
    full_order,
    limits_on,
    rung_of,
    smallest_equity,
)
from bot.decide.sizer import Candidate, Limits, Order

RUNGS = [Rung(15.0, 0.03, 2), Rung(250.0, 0.04, 3), Rung(500.0, 0.04, 4), Rung(1000.0, 0.05, 6)]
LIMITS = Limits(
    position_cap=0.18,
    risk_per_trade=0.03,
    cash_buffer=0.15,
    daily_loss=0.06,
    max_drawdown=0.12,
    fee_budget=0.01,
    min_trade=5.0,
    max_positions=2,
    kelly_weight=0.3,
    volatility_weight=0.4,
    equity_weight=0.3,
    floor_allowed=1,
    correlation=0.8,
    volatility_target=0.10,
    volatility_ceiling=0.25,
)
NO_RESULTS = edge_of_results((), (), 0.12)
COINBASE = Rules(1e-8, 1e-8, 1.0, 0.006, 0.012)
COINBASE_TAKER = Rules(1e-8, 1e-8, 1.0, 0.012, 0.012)
KRAKEN_BTC = Rules(1e-8, 0.00005, 0.5, 0.004, 0.008)

# Stops of two daily ATR: 3.3 %, 5.8 % and 6.5 % (quant 3c).
BTC = Candidate(0.55, 0.066, 100_000.0, 0.02, 0.0, 0.0, 1.0)
ETH = Candidate(0.75, 0.116, 4_000.0, 0.02, 0.0, 0.0, 1.0)
SOL = Candidate(0.95, 0.130, 200.0, 0.04, 0.0, 0.0, 1.0)

LADDER = Plan(math.inf, exits.LADDER, math.nan, 1.8, 0, 0.0, 0.0)
RUNNER = Plan(math.inf, exits.RUNNER, math.nan, 1.8, 0, 0.0, 0.0)


def order_at(equity: float, coin: Candidate, rules: Rules, plan: Plan = LADDER, edge: Edge = NO_RESULTS) -> Order:
    return full_order(equity, coin, rules, limits_on(rung_of(equity, RUNGS), LIMITS), edge, plan)


def first_at(
    coin: Candidate, rules: Rules, plan: Plan = LADDER, *, least: float = 15.0, edge: Edge = NO_RESULTS
) -> float:
    return smallest_equity(least, RUNGS, coin, rules, LIMITS, edge, plan)


# -- the $15 truth (quant, correction 12)


@pytest.mark.parametrize(("equity", "risk"), [(15.0, 0.028069), (16.0, 0.026315)])
def test_order_of_15_dollars_on_coinbase_buys_btc(equity: float, risk: float) -> None:
    # loss per unit .066 + .006 + .012 x .934 + .001 = .084208; $5 of it are $0.42104
    order = order_at(equity, BTC, COINBASE)
    assert (order.code, order.lots, order.exits, order.binding) == (codes.OK, 5000, 3, codes.MINIMUM_TRADE)
    assert order.notional == pytest.approx(5.0)
    assert order.risk_usd == pytest.approx(0.42104)
    assert order.risk_usd / equity == pytest.approx(risk, abs=1e-6)
    assert first_at(BTC, COINBASE) == 15.0


@pytest.mark.parametrize(
    ("coin", "left", "first"),
    [
        # .116 + .006 + .012 x .884 + .001 = .133608; .45 / .133608; 5 x .133608 / .03 = 22.268
        (ETH, 3.36806, 22.27),
        # .13 + .006 + .012 x .87 + .001 = .14744; .45 / .14744; 5 x .14744 / .03 = 24.5733
        (SOL, 3.05209, 24.58),
    ],
)
def test_order_of_15_dollars_on_coinbase_refuses_eth_and_sol_by_risk(
    coin: Candidate, left: float, first: float
) -> None:
    for equity in (15.0, 16.0):
        assert order_at(equity, coin, COINBASE).code == codes.RISK_PER_TRADE
    order = order_at(15.0, coin, COINBASE)
    assert order.lots == 0
    assert (order.limit, order.actual) == pytest.approx((5.0, left), abs=1e-5)
    assert first_at(coin, COINBASE) == first


def test_order_with_taker_fees_both_ways_is_never_worth_its_costs() -> None:
    # 1.012 / .988 - 1 = 2.43 %, three of which are 7.29 % and more than the stop of 6.6 %, whatever the equity
    order = order_at(15.0, BTC, COINBASE_TAKER)
    assert order.code == codes.COSTS_TOO_HIGH
    assert (order.limit, order.actual) == pytest.approx((0.022, 0.0242915), abs=1e-7)
    assert math.isnan(first_at(BTC, COINBASE_TAKER))


def test_order_with_a_stop_of_four_ranges_needs_more_equity() -> None:
    # .132 + .006 + .012 x .868 + .001 = .149416; 5 x .149416 / .03 = 24.903
    disaster = Candidate(0.55, 0.132, 100_000.0, 0.02, 0.0, 0.0, 1.0)
    assert first_at(disaster, COINBASE, Plan(0.25 / 0.55 / 3, -1, math.nan, 1.8, 0, 0.0, 0.0)) == 24.91


def test_order_that_the_venue_would_not_sell_again_waits_until_the_blend_reaches_it() -> None:
    # $5 are 5000 lots = the venue's 0.00005, of which the entry fee leaves 4980. Blend: volatility leg
    # .1 / sqrt(2 x 1.8) / .55 = .0958266, equity leg .18: .4 x .0958266 + .3 x .18 = .0923306. 5021 lots
    # leave 5000.9, so $5.021 / .0923306 = 54.3807, rounded up.
    assert order_at(50.0, BTC, KRAKEN_BTC).code == codes.UNSELLABLE
    assert first_at(BTC, KRAKEN_BTC) == 54.39
    order = order_at(54.39, BTC, KRAKEN_BTC)
    assert (order.lots, order.exits) == (5021, 1)


# -- what the strategy asks for


def test_order_is_no_larger_than_the_strategys_share() -> None:
    # the blend allows .0923306 of $200 = $18.47
    free, asked = (
        order_at(200.0, BTC, COINBASE),
        order_at(200.0, BTC, COINBASE, Plan(0.04, -1, math.nan, 1.8, 0, 0.0, 0.0)),
    )
    assert free.notional == pytest.approx(18.466, abs=0.0011)
    assert asked.notional == pytest.approx(8.0, abs=0.0011)


def test_order_of_a_strategy_that_asks_for_nothing_is_none() -> None:
    assert order_at(200.0, BTC, COINBASE, Plan(0.0, -1, math.nan, 1.8, 0, 0.0, 0.0)).code == codes.BELOW_MIN_TRADE
    assert math.isnan(first_at(BTC, COINBASE, Plan(0.0, -1, math.nan, 1.8, 0, 0.0, 0.0)))


@pytest.mark.parametrize("equity", [0.0, 1.0])
@pytest.mark.parametrize("plan", [LADDER, Plan(0.15, -1, math.nan, 1.8, 0, 0.0, 0.0)])
def test_order_of_nothing_is_none(equity: float, plan: Plan) -> None:
    assert order_at(equity, BTC, COINBASE, plan).lots == 0


def test_order_of_half_a_dollar_is_refused_for_what_it_would_risk() -> None:
    # 3 % of $0.50 / .084208 = $0.178 is the nearest cap to one minimum trade; heat, fees and cash allow more.
    order = order_at(0.5, BTC, COINBASE)
    assert (order.lots, order.code) == (0, codes.RISK_PER_TRADE)
    assert (order.limit, order.actual) == pytest.approx((5.0, 0.178130), abs=1e-6)


def test_smallest_equity_of_a_single_lot_is_an_order() -> None:
    # Lots of 0.00005 BTC are $5, without fees one can be sold again: $5 x (.066 + .001) = $.335 of $.45.
    five = Rules(0.00005, 0.0, 0.0, 0.0, 0.0)
    assert (order_at(15.0, BTC, five).lots, order_at(15.0, BTC, five).exits) == (1, 1)
    assert first_at(BTC, five) == 15.0


# -- risk:reward


def test_order_of_the_runner_needs_its_reward_in_three_parts() -> None:
    # Coinbase, three parts at .33 x 1.8 + .33 x 3 + .34 x 3 = 2.604 R = .171864:
    # (.171864 - .006 - .012 x 1.171864 - .001) / .084208 = 1.7908
    order = order_at(200.0, BTC, COINBASE, RUNNER)
    assert (order.code, order.lots, order.limit) == (codes.RISK_REWARD, 0, 1.8)
    assert order.actual == pytest.approx(1.7908, abs=1e-4)
    assert order_at(200.0, BTC, COINBASE, LADDER).code == codes.OK  # 3.284 R: 2.317
    assert math.isnan(first_at(BTC, COINBASE, RUNNER))


def test_smallest_equity_one_part_is_worth_it_and_three_are_not() -> None:
    # Kraken, stop 4.5 %: loss .045 + .004 + .008 x .955 + .001 = .05764. One part at 3 R = .135:
    # (.135 - .005 - .008 x 1.135) / .05764 = 2.098. Three at 2.604 R = .11718: (.11218 - .00893744) / .05764 = 1.791.
    # A third can be sold from 15,213 lots on: 15.213 / .0923306 = 164.77.
    near = Candidate(0.55, 0.045, 100_000.0, 0.02, 0.0, 0.0, 1.0)
    assert first_at(near, KRAKEN_BTC, RUNNER) == 54.39
    assert order_at(164.76, near, KRAKEN_BTC, RUNNER).exits == 1
    assert order_at(164.77, near, KRAKEN_BTC, RUNNER).code == codes.RISK_REWARD
    assert math.isnan(first_at(near, KRAKEN_BTC, RUNNER, least=164.77))


def test_smallest_equity_three_parts_are_worth_it_and_one_is_not() -> None:
    # Kraken, stop 3.8 %, a reward of 2 demanded: loss .038 + .004 + .008 x .962 + .001 = .050696. One part at
    # 3 R = .114: (.114 - .005 - .008 x 1.114) / .050696 = 1.974; three at 3.284 R = .124792: 2.186.
    nearer = Candidate(0.55, 0.038, 100_000.0, 0.02, 0.0, 0.0, 1.0)
    demanding = Plan(math.inf, exits.LADDER, math.nan, 2.0, 0, 0.0, 0.0)
    assert order_at(100.0, nearer, KRAKEN_BTC, demanding).actual == pytest.approx(1.9743, abs=1e-4)
    assert first_at(nearer, KRAKEN_BTC, demanding) == 164.77


def test_order_without_targets_is_measured_by_the_accounts_own_trades() -> None:
    assert order_at(200.0, BTC, COINBASE, Plan(0.15, -1, math.nan, 1.8, 0, 0.0, 0.0)).lots > 0
    assert order_at(200.0, BTC, COINBASE, Plan(0.15, -1, 1.8, 1.8, 0, 0.0, 0.0)).lots > 0
    order = order_at(200.0, BTC, COINBASE, Plan(0.15, -1, 1.79, 1.8, 0, 0.0, 0.0))
    assert (order.lots, order.code, order.limit, order.actual) == (0, codes.RISK_REWARD, 1.8, 1.79)
    # It says what it would have been: 4 % of $200, and at $15 one minimum trade.
    order = order_at(200.0, BTC, COINBASE, Plan(0.04, -1, 1.79, 1.8, 0, 0.0, 0.0))
    assert (order.notional, order.binding) == (pytest.approx(8.0, abs=0.0011), codes.OK)
    order = order_at(15.0, BTC, COINBASE, Plan(0.04, -1, 1.79, 1.8, 0, 0.0, 0.0))
    assert (order.notional, order.binding) == (pytest.approx(5.0), codes.MINIMUM_TRADE)


def test_order_that_is_refused_already_keeps_its_reason_whatever_it_may_bring() -> None:
    assert order_at(15.0, SOL, COINBASE, Plan(0.15, -1, 1.0, 1.8, 0, 0.0, 0.0)).code == codes.RISK_PER_TRADE


def test_order_of_a_plan_with_targets_ignores_what_was_measured() -> None:
    assert order_at(200.0, BTC, COINBASE, Plan(math.inf, exits.LADDER, 0.5, 1.8, 0, 0.0, 0.0)).lots > 0


# -- the account's own results


def test_order_after_twenty_bad_trades_is_braked() -> None:
    bad = edge_of_counts(4.0, 16.0, 1.8, 0.12)  # an edge is 13.5 % likely (quant 2.1)
    braked = Plan(math.inf, exits.LADDER, math.nan, 1.8, 20, 0.0, 0.0)
    assert order_at(200.0, BTC, COINBASE, braked, bad).code == codes.EDGE_BRAKE
    assert math.isnan(first_at(BTC, COINBASE, braked, edge=bad))
    assert order_at(200.0, BTC, COINBASE, Plan(math.inf, exits.LADDER, math.nan, 1.8, 19, 0.0, 0.0), bad).lots > 0


def test_empty_account_is_all_cash_as_far_down_as_the_plan_says() -> None:
    account = empty_account(40.0, Plan(math.inf, exits.LADDER, math.nan, 1.8, 7, 0.06, 0.01))
    assert account[:4] == (40.0, 40.0, 40.0, 40.0)
    assert account[4:] == (0.06, 0.01, 0.0, 0.0, 0.0, 0.0, 7)


def test_full_order_in_a_drawdown_is_what_the_heat_leaves() -> None:
    # 12 % less 11 % leaves $4 of $400 for the stop: 4 / (.0842 + .02) = $38.39; a quarter of the blend is less.
    plan = Plan(math.inf, exits.LADDER, math.nan, 1.8, 0, 0.11, 0.0)
    whole = order_at(400.0, BTC, COINBASE)
    assert order_at(400.0, BTC, COINBASE, plan).notional == pytest.approx(0.25 * whole.notional, rel=1e-5)
    # 12 % less 11.9 %: $0.20 buys $1.92, less than one smallest trade
    flat = order_at(200.0, BTC, COINBASE, Plan(math.inf, exits.LADDER, math.nan, 1.8, 0, 0.119, 0.0))
    assert (flat.lots, flat.code) == (0, codes.HEAT)
    # 6 % less 5.9 % lost today: the same
    late = order_at(200.0, BTC, COINBASE, Plan(math.inf, exits.LADDER, math.nan, 1.8, 0, 0.0, 0.059))
    assert (late.lots, late.code) == (0, codes.HEAT)


# -- the ladder


@pytest.mark.parametrize(
    ("equity", "rung"), [(0.0, 0), (15.0, 0), (249.99, 0), (250.0, 1), (999.99, 2), (1000.0, 3), (1e6, 3)]
)
def test_rung_of_is_the_highest_that_is_reached(equity: float, rung: int) -> None:
    assert rung_of(equity, RUNGS) == RUNGS[rung]


def test_limits_on_another_rung_differ_in_risk_and_positions_only() -> None:
    assert limits_on(RUNGS[3], LIMITS) == LIMITS._replace(risk_per_trade=0.05, max_positions=6)


def test_smallest_equity_of_a_higher_rung_may_be_needed_again() -> None:
    # A venue that takes $20 at least: with fees and stop the order must be 20 / (.996 x .934) = $21.4993.
    # STARTER: / .0923306 = 232.85. GROWTH, three positions: .4 x .1 / sqrt(3 x 2.6) / .55 + .054 = .0800406: 268.61.
    dear = Rules(1e-8, 1e-8, 20.0, 0.004, 0.008)
    assert first_at(BTC, dear) == pytest.approx(232.86, abs=0.011)
    assert order_at(250.0, BTC, dear).code == codes.UNSELLABLE
    assert first_at(BTC, dear, least=250.0) == pytest.approx(268.61, abs=0.011)


def test_smallest_equity_begins_where_it_is_told() -> None:
    assert first_at(BTC, COINBASE, least=3.0) == 15.0
    assert first_at(BTC, COINBASE, least=50.0) == 50.0
    assert first_at(BTC, COINBASE, least=50.001) == 50.01
    assert first_at(BTC, COINBASE, least=5000.0) == 5000.0
    assert math.isnan(first_at(BTC, COINBASE, least=LARGEST_EQUITY))


def test_smallest_equity_with_a_ceiling_of_the_user_is_larger() -> None:
    # risk 1 %: 5 x .084208 / .01 = 42.104
    careful = [Rung(rung.from_equity, 0.01, rung.max_positions) for rung in RUNGS]
    assert smallest_equity(15.0, careful, BTC, COINBASE, LIMITS, NO_RESULTS, LADDER) == 42.11


@pytest.mark.parametrize(
    ("usd", "cents"),
    [(15.0, 1500), (0.29, 29), (1.1, 110), (29.0, 2900), (15.001, 1501), (164.77, 16477), (15.000000001, 1500)],
)
def test_cents_from_rounds_up_without_noise(usd: float, cents: int) -> None:
    assert cents_from(usd) == cents


def test_first_in_parts_looks_up_to_the_end_and_not_beyond() -> None:
    # ETH on Coinbase can be bought from $22.27 on, see above.
    found = [first_in_parts(1, 1500, high, ETH, COINBASE, LIMITS, NO_RESULTS, LADDER) for high in (2227, 2228, 2229)]
    assert found == [2227, 2227, 2227]  # the first is the end of its range: there is none


plans = st.builds(
    Plan,
    st.one_of(st.just(math.inf), st.floats(0.005, 0.3)),
    st.sampled_from([-1, exits.LADDER, exits.RUNNER]),
    st.one_of(st.just(math.nan), st.floats(0.5, 3.0)),
    st.floats(1.0, 2.5),
    st.just(0),
    st.sampled_from([0.0, 0.05, 0.11]),
    st.sampled_from([0.0, 0.03]),
)
coins = st.builds(
    Candidate,
    st.floats(0.2, 3.0),
    st.floats(0.02, 0.6),
    st.floats(0.5, 200_000.0),
    st.sampled_from([0.02, 0.04]),
    st.just(0.0),
    st.just(0.0),
    st.floats(0.5, 1.0),
)
markets = st.builds(
    lambda minimum, cost, fee, spread: Rules(1e-8, minimum, cost, fee, fee + spread),
    st.sampled_from([1e-8, 0.00005, 0.002, 0.06]),
    st.floats(0.1, 30.0),
    st.floats(0.0, 0.012),
    st.floats(0.0, 0.006),
)
limits = st.builds(
    lambda floor, cap: LIMITS._replace(floor_allowed=floor, position_cap=cap),
    st.sampled_from([0, 1]),
    st.floats(0.03, 0.18),
)


@given(coin=coins, rules=markets, plan=plans, general=limits, least=st.floats(0.0, 2000.0))
@settings(max_examples=200, deadline=None)
def test_smallest_equity_has_an_order_and_a_cent_less_has_none(
    coin: Candidate, rules: Rules, plan: Plan, general: Limits, least: float
) -> None:
    found = smallest_equity(least, RUNGS, coin, rules, general, NO_RESULTS, plan)

    def lots(equity: float) -> int:
        return full_order(equity, coin, rules, limits_on(rung_of(equity, RUNGS), general), NO_RESULTS, plan).lots

    first = max(least, RUNGS[0].from_equity)
    if math.isnan(found):
        ends = [rung.from_equity - 0.01 for rung in RUNGS[1:]] + [LARGEST_EQUITY - 0.01]
        assert [equity for equity in [first, *ends] if equity > first and lots(equity) > 0] == []
        return
    assert lots(found) > 0
    assert first <= found < LARGEST_EQUITY
    below = found - 0.01
    if below >= first and rung_of(below, RUNGS) == rung_of(found, RUNGS):
        assert lots(round(below, 2)) == 0
