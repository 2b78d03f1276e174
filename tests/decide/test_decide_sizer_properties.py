from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sizer_cases import CASES, EPS, MORE, SIZING, Case, assert_within_caps, case_of

from bot.decide import codes, sizer


@SIZING
@given(case=CASES)
def test_size_position_exceeds_no_cap_and_no_minimum(case: Case) -> None:
    order = case.order()
    if order.code == codes.OK:
        assert_within_caps(case, order)
        return
    assert (order.lots, order.risk_usd, order.exits) == (0, 0.0, 0)
    assert order.notional >= 0.0
    assert math.isfinite(order.limit)
    assert math.isfinite(order.actual)
    assert order.actual >= 0.0 or order.code == codes.NO_EDGE  # a mean result may be a loss


def test_generated_cases_reach_every_answer() -> None:
    refusals: Counter[str] = Counter()
    bindings: Counter[str] = Counter()
    for seed in range(4_000):
        order = case_of(seed).order()
        refusals[codes.REFUSAL_NAMES[order.code]] += 1
        if order.code == codes.OK:
            bindings[codes.REFUSAL_NAMES[order.binding]] += 1
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
        "no_edge",
        "heat",
        "volatility_room",
        "drawdown",
        "fee_budget",
    }  # not the position cap: the legs are clipped to it and their weights sum to 1
    assert refusals[""] >= 900
    assert {"", "cash_buffer", "venue_cash", "heat", "volatility_room", "fee_budget", "minimum_trade"} <= set(bindings)


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
    assert case.at(holdings=account._replace(fees_usd=account.fees_usd + more * account.equity)).order().lots <= before
    held = case.candidate._replace(held_usd=case.candidate.held_usd + more * account.equity)
    assert case.at(candidate=held).order().lots <= before


@SIZING
@given(case=CASES, more=st.floats(0.0, 2_000.0))
def test_size_never_falls_with_the_wish_and_never_exceeds_it_but_for_the_floor(case: Case, more: float) -> None:
    before = case.order()
    larger = case.at(candidate=case.candidate._replace(wish_usd=case.candidate.wish_usd + more)).order()
    assert larger.lots >= before.lots
    endless = case.at(candidate=case.candidate._replace(wish_usd=math.inf)).order()
    assert before.lots <= endless.lots
    if before.lots and before.binding != codes.MINIMUM_TRADE:
        assert before.notional <= case.candidate.wish_usd
    nothing = case.at(candidate=case.candidate._replace(wish_usd=0.0)).order()
    assert nothing.lots == 0


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
