"""Questions to the sizer, drawn evenly, and what holds for every order that answers them."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st

from bot.decide import codes, sizer
from bot.decide.costs import FEE_RESERVE, SLIPPAGE, Rules, loss_per_unit
from bot.decide.kelly import Edge, edge_of_counts
from bot.decide.sizer import Candidate, Holdings, Limits, Order

EPS = 1e-9
"""Relative slack for the rounding of floats, where a cap is computed in another order than in the code."""

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
    equity = rng.choice([rng.uniform(15.0, 60.0), rng.uniform(60.0, 600.0), rng.uniform(60.0, 600.0), 3_000.0, 100.0])
    shares = [rng.uniform(0.0, 0.18) for _ in range(rng.choice([0, 0, 1, 2]))]
    held = rng.choice([0.0] * 4 + [rng.uniform(0.0, 0.1) * equity])
    cash = max(0.0, equity * (1.0 - sum(shares)) - held) * rng.choice([1.0, 1.0, rng.random()])
    wins, losses = rng.choice(
        [(0, 0), (rng.randrange(20), rng.randrange(20)), (rng.randrange(20, 60), rng.randrange(40))]
    )
    weights = rng.choice(WEIGHTS)
    max_drawdown = rng.choice([0.12, 0.12, 0.05])
    case = Case(
        Candidate(
            volatility=rng.uniform(0.1, 1.5),
            stop_distance=rng.choice([*[rng.uniform(0.04, 0.2) for _ in range(4)], rng.uniform(0.005, 0.99), 0.06]),
            price=rng.choice([rng.uniform(0.05, 5.0), rng.uniform(50.0, 500.0), rng.uniform(1_000.0, 200_000.0)]),
            gap=rng.choice([0.0, 0.02, 0.04]),
            held_usd=held,
            wish_usd=equity * rng.choice([math.inf] * 6 + [0.0] + [rng.uniform(0.0, 0.2)] * 4),
            scale=rng.choice([1.0] * 4 + [rng.uniform(0.5, 1.0), 0.0]),
        ),
        rules,
        Holdings(
            equity=equity,
            base_usd=rng.choice([equity, equity, cash + held]),
            free_cash=cash,
            venue_free_cash=cash * rng.choice([1.0, 1.0, rng.random()]),
            drawdown=rng.choice([0.0] * 4 + [rng.uniform(0.0, 0.13)]),
            day_loss=rng.choice([0.0, 0.0, rng.uniform(-0.02, 0.065)]),
            heat_usd=equity * rng.choice([0.0, sum(shares) * 0.1]),
            variance=0.0,
            covariance=0.0,
            fees_usd=equity * rng.choice([0.0, rng.uniform(0.0, 0.01)]),
            trades=wins + losses,
        ),
        Limits(
            position_cap=rng.choice([0.18, 0.18, 0.05]),
            risk_per_trade=rng.choice([0.03, 0.04, 0.05, 0.005]),
            cash_buffer=rng.choice([0.15, 0.15, 0.5]),
            daily_loss=0.06,
            max_drawdown=max_drawdown,
            fee_budget=sizer.FEE_BUDGET,
            min_trade=rng.choice([5.0] * 5 + [20.0]),
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


def assert_within_caps(case: Case, order: Order) -> None:
    """Every cap, computed afresh from its definition; the two minimums, in and out."""
    candidate, rules, account, limits = case.candidate, case.rules, case.holdings, case.limits
    assert isinstance(order.lots, int)
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
    assert account.fees_usd + notional * (rules.fee_in + rules.fee_out) <= limits.fee_budget * equity + slack
    paid = notional * (1.0 + rules.fee_in)
    assert account.free_cash - paid >= limits.cash_buffer * equity - slack
    assert paid <= account.venue_free_cash * (1.0 - FEE_RESERVE) + slack
    assert account.drawdown < limits.max_drawdown
    own = notional / equity * candidate.volatility
    variance = account.variance + own * own + 2.0 * notional / equity * account.covariance
    assert math.sqrt(variance) <= limits.volatility_ceiling + EPS
    # Blend, wish and position cap, for which one minimum trade may stand in.
    share = sizer.blend_of(candidate, rules, account, limits, case.edge).share
    assert share > 0.0
    assert candidate.wish_usd > 0.0
    if order.binding == codes.MINIMUM_TRADE:
        assert limits.floor_allowed
        assert candidate.held_usd == 0.0
        assert notional < limits.min_trade + lot_usd + slack
    else:
        assert total <= limits.position_cap * equity + slack
        assert total <= share * account.base_usd + slack
        assert notional <= candidate.wish_usd
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
