from __future__ import annotations

import math
import random
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot.decide import codes, sizer
from bot.decide.allocation import FEE_RESERVE, SLIPPAGE, Rules
from bot.decide.costs import loss_per_unit
from bot.decide.kelly import Edge, edge_of_counts
from bot.decide.sizer import Candidate, Holdings, Limits, Order

EPS = 1e-9
SIZING = settings(max_examples=300)

WEIGHTS = ((0.3, 0.4, 0.3), (0.3, 0.4, 0.3), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


class Case(NamedTuple):
    """One question to the sizer, with the positions that are open besides."""

    candidate: Candidate
    rules: Rules
    holdings: Holdings
    limits: Limits
    edge: Edge
    shares: list[float]
    volatilities: list[float]

    def order(self) -> Order:
        return sizer.size_position(self.candidate, self.rules, self.holdings, self.limits, self.edge)[2]

    def at(
        self,
        candidate: Candidate | None = None,
        rules: Rules | None = None,
        holdings: Holdings | None = None,
        limits: Limits | None = None,
    ) -> Case:
        """The same question with other values; what the book means for the candidate follows them."""
        candidate = candidate or self.candidate
        limits = limits or self.limits
        holdings = holdings or self.holdings
        shares = [share * self.holdings.equity / holdings.equity for share in self.shares]
        holdings = holdings._replace(
            variance=sizer.book_variance(shares, self.volatilities, limits.correlation),
            covariance=sizer.book_covariance(
                candidate.volatility, shares, self.volatilities, [limits.correlation] * len(shares)
            ),
        )
        return self._replace(
            candidate=candidate, rules=rules or self.rules, holdings=holdings, limits=limits, shares=shares
        )


def case_of(seed: int) -> Case:
    """A question drawn evenly, with round values mixed in."""
    rng = random.Random(seed)
    rules = Rules(
        rng.choice([1e-8, 1e-8, 1e-5, 0.001, 0.01]),
        rng.choice([0.0, 0.00005, 0.001, 0.06]),
        rng.choice([0.0, 0.5, 1.0, 6.0]),
        rng.uniform(0.0, 0.012),
        rng.uniform(0.0, 0.012),
    )
    equity = rng.choice([rng.uniform(15.0, 60.0), rng.uniform(60.0, 600.0), rng.uniform(600.0, 5_000.0), 100.0])
    shares = [rng.uniform(0.0, 0.18) for _ in range(rng.choice([0, 0, 1, 2]))]
    cash = equity * (1.0 - sum(shares)) * rng.choice([1.0, 1.0, rng.random()])
    wins, losses = rng.choice([(0, 0), (rng.randrange(30), rng.randrange(30)), (rng.randrange(60), rng.randrange(40))])
    weights = rng.choice(WEIGHTS)
    max_drawdown = rng.choice([0.12, 0.12, 0.05])
    case = Case(
        Candidate(
            volatility=rng.uniform(0.1, 1.5),
            stop_distance=rng.choice([rng.uniform(0.03, 0.2), rng.uniform(0.03, 0.2), rng.uniform(0.005, 0.9), 0.06]),
            price=rng.choice([rng.uniform(0.05, 5.0), rng.uniform(50.0, 500.0), rng.uniform(1_000.0, 200_000.0)]),
            gap=rng.choice([0.0, 0.02, 0.04]),
            held_usd=rng.choice([0.0, 0.0, 0.0, rng.uniform(0.0, 0.18) * equity]),
        ),
        rules,
        Holdings(
            equity=equity,
            base_usd=rng.choice([equity, equity, cash]),
            free_cash=cash,
            venue_free_cash=cash * rng.choice([1.0, 1.0, rng.random()]),
            drawdown=rng.choice([0.0, 0.0, rng.uniform(0.0, 0.13)]),
            day_loss=rng.choice([0.0, 0.0, rng.uniform(-0.02, 0.065)]),
            heat_usd=equity * rng.choice([0.0, sum(shares) * 0.1]),
            variance=0.0,
            covariance=0.0,
            trades=wins + losses,
        ),
        Limits(
            position_cap=rng.choice([0.18, 0.18, 0.05]),
            risk_per_trade=rng.choice([0.03, 0.04, 0.05, 0.005]),
            cash_buffer=rng.choice([0.15, 0.15, 0.5]),
            daily_loss=0.06,
            max_drawdown=max_drawdown,
            min_trade=rng.choice([5.0, 5.0, 20.0]),
            max_positions=rng.choice([2, 3, 4, 6]),
            kelly_weight=weights[0],
            volatility_weight=weights[1],
            equity_weight=weights[2],
            floor_allowed=rng.choice([0, 1, 1]),
            correlation=rng.choice([0.8, 0.8, 0.0, 1.0]),
            volatility_target=sizer.VOLATILITY_TARGET,
            volatility_ceiling=rng.choice([sizer.VOLATILITY_CEILING, 0.15]),
        ),
        edge_of_counts(wins, losses, 1.8, max_drawdown),
        shares,
        [rng.uniform(0.3, 1.2) for _ in shares],
    )
    return case.at()


CASES = st.integers(0, 2**32 - 1).map(case_of)
MORE = st.floats(1e-6, 3.0)
"""Relative increase, large enough for floats to tell the two apart."""


@SIZING
@given(case=CASES)
def test_size_position_exceeds_no_cap_and_no_minimum(case: Case) -> None:
    order = case.order()
    candidate, rules, account, limits = case.candidate, case.rules, case.holdings, case.limits
    assert isinstance(order.lots, int)
    if order.code != codes.OK:
        assert (order.lots, order.risk_usd, order.exits) == (0, 0.0, 0)
        assert order.notional >= 0.0
        assert math.isfinite(order.limit)
        assert math.isfinite(order.actual)
        assert order.actual >= 0.0
        return
    equity, slack = account.equity, EPS * account.equity
    lot_usd = rules.lot_step * candidate.price
    notional = order.lots * lot_usd
    assert order.lots > 0
    assert order.notional == notional
    loss = loss_per_unit(candidate.stop_distance, rules.fee_in, rules.fee_out, SLIPPAGE)
    total = candidate.held_usd + notional
    # Caps without exception.
    assert total * loss <= limits.risk_per_trade * equity + slack
    heat = min(0.06 - max(0.0, account.day_loss), limits.max_drawdown - account.drawdown) * equity
    assert account.heat_usd + notional * (loss + candidate.gap) <= heat + slack
    paid = notional * (1.0 + rules.fee_in)
    assert account.free_cash - paid >= limits.cash_buffer * equity - slack
    assert paid <= account.venue_free_cash * (1.0 - FEE_RESERVE) + slack
    assert account.drawdown < limits.max_drawdown
    own = notional / equity * candidate.volatility
    variance = account.variance + own * own + 2.0 * notional / equity * account.covariance
    assert math.sqrt(variance) <= limits.volatility_ceiling + EPS
    # The cap for which one minimum trade may stand in.
    if order.binding == sizer.MINIMUM_TRADE:
        assert limits.floor_allowed
        assert candidate.held_usd == 0.0
        assert notional < limits.min_trade + lot_usd + slack
    else:
        assert total <= limits.position_cap * equity + slack
    # Above the minimums, in and out.
    assert notional >= limits.min_trade
    assert order.lots * rules.lot_step >= rules.min_amount * (1.0 - EPS)
    stop_price = candidate.price * (1.0 - candidate.stop_distance)
    for price in (candidate.price, stop_price):
        assert order.lots * rules.lot_step * price >= rules.min_cost * (1.0 - EPS)
    assert order.exits in (1, 3)
    if order.exits == 3:
        assert 0.33 * order.lots * rules.lot_step >= rules.min_amount * (1.0 - EPS)
        assert 0.33 * notional >= rules.min_cost * (1.0 - EPS)


def test_generated_cases_reach_every_answer() -> None:
    refusals: Counter[str] = Counter()
    bindings: Counter[str] = Counter()
    for seed in range(4_000):
        order = case_of(seed).order()
        refusals[sizer.NAMES[order.code]] += 1
        if order.code == codes.OK:
            bindings[sizer.NAMES[order.binding]] += 1
    assert set(refusals) == {
        "",
        "below_min_trade",
        "below_venue_minimum",
        "unsellable",
        "costs_too_high",
        "risk_per_trade",
        "cash_buffer",
        "venue_cash",
        "edge_brake",
        "heat",
        "volatility_room",
        "drawdown",
    }  # not the position cap: the legs are clipped to it and their weights sum to 1
    assert refusals[""] >= 600
    assert {"", "cash_buffer", "venue_cash", "heat", "volatility_room", "minimum_trade"} <= set(bindings)


@SIZING
@given(case=CASES, more=MORE)
def test_size_never_rises_with_the_stop_distance(case: Case, more: float) -> None:
    before = case.order()
    assume(before.code != codes.COSTS_TOO_HIGH)  # the one refusal that a wider stop lifts
    distance = min(0.99, case.candidate.stop_distance * (1.0 + more))
    assert case.at(candidate=case.candidate._replace(stop_distance=distance)).order().lots <= before.lots


@SIZING
@given(case=CASES, more=MORE)
def test_size_never_rises_with_costs(case: Case, more: float) -> None:
    before, rules = case.order().lots, case.rules
    assert case.at(rules=rules._replace(fee_in=(rules.fee_in + 1e-6) * (1.0 + more))).order().lots <= before
    assert case.at(rules=rules._replace(fee_out=(rules.fee_out + 1e-6) * (1.0 + more))).order().lots <= before
    assert case.at(candidate=case.candidate._replace(gap=case.candidate.gap + more)).order().lots <= before


@SIZING
@given(case=CASES, more=MORE, correlation=st.floats(0.0, 1.0))
def test_size_never_rises_with_volatility_or_correlation(case: Case, more: float, correlation: float) -> None:
    before = case.order().lots
    wilder = case.candidate._replace(volatility=case.candidate.volatility * (1.0 + more))
    assert case.at(candidate=wilder).order().lots <= before
    other = case.at(limits=case.limits._replace(correlation=correlation)).order().lots
    assert other <= before if correlation >= case.limits.correlation else other >= before
    wild_book = case._replace(volatilities=[volatility * (1.0 + more) for volatility in case.volatilities])
    assert wild_book.at().order().lots <= before


@SIZING
@given(case=CASES, more=st.floats(1e-6, 0.13))
def test_size_never_rises_with_drawdown_day_loss_heat_or_what_is_held(case: Case, more: float) -> None:
    before, account = case.order().lots, case.holdings
    assert case.at(holdings=account._replace(drawdown=account.drawdown + more)).order().lots <= before
    assert case.at(holdings=account._replace(day_loss=account.day_loss + more)).order().lots <= before
    assert case.at(holdings=account._replace(heat_usd=account.heat_usd + more * account.equity)).order().lots <= before
    held = case.candidate._replace(held_usd=case.candidate.held_usd + more * account.equity)
    assert case.at(candidate=held).order().lots <= before


@SIZING
@given(case=CASES, more=st.floats(0.0, 2_000.0))
def test_size_never_falls_with_more_cash(case: Case, more: float) -> None:
    before, account = case.order().lots, case.holdings
    for richer in (
        account._replace(free_cash=account.free_cash + more),
        account._replace(venue_free_cash=account.venue_free_cash + more),
        account._replace(base_usd=account.base_usd + more),
        # a deposit: equity and cash grow, what is open stays in dollars
        account._replace(
            equity=account.equity + more,
            base_usd=account.base_usd + more,
            free_cash=account.free_cash + more,
            venue_free_cash=account.venue_free_cash + more,
        ),
    ):
        assert case.at(holdings=richer).order().lots >= before


@SIZING
@given(case=CASES)
def test_size_never_rises_with_the_brake_or_without_the_floor(case: Case) -> None:
    before = case.order().lots
    braked = case.holdings._replace(trades=max(20, case.holdings.trades))
    assert case.at(holdings=braked).order().lots <= before
    assert case.at(limits=case.limits._replace(floor_allowed=0)).order().lots <= before


@SIZING
@given(case=CASES)
def test_blend_is_within_its_legs(case: Case) -> None:
    blend = sizer.blend_of(case.candidate, case.rules, case.holdings, case.limits, case.edge)
    legs = (blend.kelly, blend.volatility, blend.equity)
    assert all(0.0 <= leg <= case.limits.position_cap for leg in legs)
    factor = blend.scale * blend.brake
    assert 0.0 <= factor <= 1.0
    assert min(legs) * factor - EPS <= blend.share <= max(legs) * factor + EPS
    assert blend.kelly * blend.loss <= case.limits.risk_per_trade + EPS
    assert blend.equity * blend.loss == pytest.approx(min(blend.equity * blend.loss, case.limits.risk_per_trade))
