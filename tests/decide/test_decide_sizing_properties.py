from __future__ import annotations

import math
import random
from collections import Counter
from typing import NamedTuple

import pytest
from decide_samples import COINBASE_BTC, KRAKEN_BTC, KRAKEN_ETH, KRAKEN_SOL
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot.decide import allocation, codes
from bot.decide.allocation import Budget, Coin, Rules, intend, lots_to_sell, size_entry
from bot.decide.costs import loss_per_unit
from bot.decide.risk import drawdown_scale

EPS = 1e-9
"""Relative slack for the rounding of floats, where a cap is computed in another order than in the code."""

COARSE = Rules(0.01, 0.05, 10.0, 0.004, 0.006)
MARKETS = (COINBASE_BTC, KRAKEN_BTC, KRAKEN_ETH, KRAKEN_SOL, COARSE)


class Case(NamedTuple):
    """One question to the sizer."""

    gap_usd: float
    coin: Coin
    rules: Rules
    budget: Budget


def case_of(seed: int) -> Case:
    """A question drawn evenly, with round values mixed in; drawn singly, the floats would sit at their ends."""
    rng = random.Random(seed)
    made_up = Rules(
        rng.choice([1e-8, 1e-5, 0.001, 0.01, 1.0]),
        rng.choice([0.0, 1e-8, 0.001, 0.06, 1.0]),
        rng.choice([0.0, 0.5, 1.0, 10.0]),
        rng.uniform(0.0, 0.012),
        rng.uniform(0.0, 0.012),
    )
    coin = Coin(
        score=rng.choice([0.0, 0.5, 0.75, 8 / 9, 1.0]),
        volatility=rng.uniform(0.1, 2.0),
        stop_distance=rng.choice([rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3), rng.uniform(0.001, 1.2), 0.1, 0.5]),
        price=rng.choice([rng.uniform(0.05, 2.0), rng.uniform(2.0, 500.0), rng.uniform(1_000.0, 200_000.0), 100.0]),
        bar_close=100.0,
        held_usd=rng.choice([0.0, 0.0, rng.uniform(0.0, 100.0)]),
    )
    equity = rng.choice([rng.uniform(10.0, 300.0), rng.uniform(300.0, 5_000.0), 100.0])
    free_cash = equity * rng.choice([1.0, rng.random()])
    budget = Budget(
        equity=equity,
        free_cash=free_cash,
        venue_free_cash=free_cash * rng.choice([0.0, 0.1, 0.5, 1.0, 1.0]),
        position_cap=rng.choice([0.05, 0.18, 0.36]),
        risk_per_trade=rng.choice([0.001, 0.01, 0.03, 0.05]),
        cash_buffer=rng.choice([0.0, 0.15, 0.15, 0.5]),
        min_trade=rng.choice([0.5, 1.0, 5.0, 20.0]),
    )
    gap = rng.choice([rng.uniform(-50.0, 50.0), rng.uniform(0.0, 300.0), rng.uniform(0.0, 2_000.0), 5.0, 10.0, 20.0])
    return Case(gap, coin, rng.choice([*MARKETS, made_up, made_up, made_up]), budget)


SEEDS = st.integers(0, 2**32 - 1)
CASES = SEEDS.map(case_of)

MORE = st.floats(1e-6, 3.0)
"""Relative increase, large enough for floats to tell the two apart."""

SIZING = settings(max_examples=400)


def assert_within_caps(size: allocation.Size, case: Case) -> None:
    gap, coin, rules, budget = case
    amount = size.lots * rules.lot_step
    notional = amount * coin.price
    slack = EPS * budget.equity
    assert size.notional == pytest.approx(notional, rel=EPS)
    assert notional <= gap + slack
    assert coin.held_usd + notional <= budget.position_cap * budget.equity + slack
    loss = loss_per_unit(coin.stop_distance, rules.fee_in, rules.fee_out, allocation.SLIPPAGE)
    assert (coin.held_usd + notional) * loss <= budget.risk_per_trade * budget.equity + slack
    paid = notional * (1.0 + rules.fee_in)
    assert budget.free_cash - paid >= budget.cash_buffer * budget.equity - slack
    assert paid <= budget.venue_free_cash + slack
    # What is bought can be bought, and sold again at the stop.
    assert size.notional >= budget.min_trade
    assert amount >= rules.min_amount * (1.0 - EPS)
    assert notional >= rules.min_cost * (1.0 - EPS)
    assert amount * coin.price * (1.0 - coin.stop_distance) >= rules.min_cost * (1.0 - EPS)


@SIZING
@given(case=CASES)
def test_size_entry_exceeds_no_cap_and_no_minimum(case: Case) -> None:
    size = size_entry(*case)
    assert isinstance(size.lots, int)
    if size.code == codes.OK:
        assert size.lots > 0
        assert_within_caps(size, case)
    else:
        assert size.lots == 0
        assert math.isfinite(size.limit)
        assert math.isfinite(size.actual)
        assert math.isfinite(size.notional)
        if size.code == codes.COSTS_TOO_HIGH:
            assert size.actual > size.limit
        else:
            assert size.actual < size.limit


def test_size_entry_of_the_generated_cases_is_no_empty_exercise() -> None:
    # The strategies above reach every answer that the sizer has.
    seen: Counter[int] = Counter()

    @settings(max_examples=1_000, database=None)
    @given(case=CASES)
    def collect(case: Case) -> None:
        seen[size_entry(*case).code] += 1

    collect()
    answers = {
        codes.OK,
        codes.BELOW_MIN_TRADE,
        codes.BELOW_VENUE_MINIMUM,
        codes.UNSELLABLE,
        codes.COSTS_TOO_HIGH,
        codes.POSITION_CAP,
        codes.RISK_PER_TRADE,
        codes.CASH_BUFFER,
        codes.VENUE_CASH,
    }
    assert set(seen) == answers
    assert seen[codes.OK] >= 150


@SIZING
@given(case=CASES, more=st.floats(0.0, 1_000.0))
def test_size_entry_with_more_cash_is_never_smaller(case: Case, more: float) -> None:
    before = size_entry(*case)
    for richer in (
        case.budget._replace(free_cash=case.budget.free_cash + more),
        case.budget._replace(venue_free_cash=case.budget.venue_free_cash + more),
        case.budget._replace(
            free_cash=case.budget.free_cash + more, venue_free_cash=case.budget.venue_free_cash + more
        ),
    ):
        assert size_entry(*case._replace(budget=richer)).lots >= before.lots


@SIZING
@given(case=CASES, more=MORE)
def test_size_entry_with_a_wider_stop_is_never_larger(case: Case, more: float) -> None:
    before = size_entry(*case)
    assume(before.code != codes.COSTS_TOO_HIGH)  # the one refusal that a wider stop lifts
    wider = case.coin._replace(stop_distance=case.coin.stop_distance * (1.0 + more))
    assert size_entry(*case._replace(coin=wider)).lots <= before.lots


@SIZING
@given(case=CASES, more=MORE)
def test_size_entry_with_a_higher_fee_is_never_larger(case: Case, more: float) -> None:
    before = size_entry(*case)
    rules = case.rules
    dear_in = rules._replace(fee_in=(rules.fee_in + 1e-6) * (1.0 + more))
    dear_out = rules._replace(fee_out=(rules.fee_out + 1e-6) * (1.0 + more))
    assert size_entry(*case._replace(rules=dear_in)).lots <= before.lots
    assert size_entry(*case._replace(rules=dear_out)).lots <= before.lots


@SIZING
@given(case=CASES, more=st.floats(0.0, 100.0))
def test_size_entry_with_more_held_is_never_larger_and_with_a_larger_gap_never_smaller(case: Case, more: float) -> None:
    before = size_entry(*case)
    assert size_entry(*case._replace(coin=case.coin._replace(held_usd=case.coin.held_usd + more))).lots <= before.lots
    assert size_entry(*case._replace(gap_usd=case.gap_usd + more)).lots >= before.lots


@SIZING
@given(case=CASES, first=st.floats(0.0, 0.2), second=st.floats(0.0, 0.2))
def test_entry_after_a_larger_drawdown_is_never_larger(case: Case, first: float, second: float) -> None:
    _, coin, rules, budget = case
    coin = coin._replace(held_usd=0.0, bar_close=coin.price)
    lots = []
    for drawdown in sorted((first, second)):
        intent = intend(coin, budget.equity, budget.position_cap, 3, drawdown_scale(drawdown, 0.12), 0.75, 5.0)
        assert intent.action in (codes.ENTER, codes.REFUSE)
        lots.append(size_entry(intent.gap_usd, coin, rules, budget).lots if intent.action == codes.ENTER else 0)
    assert lots[1] <= lots[0]


@SIZING
@given(case=CASES, scale=st.sampled_from([0.0, 0.25, 0.6, 1.0]))
def test_intend_answers_are_whole(case: Case, scale: float) -> None:
    coin, equity = case.coin._replace(bar_close=case.coin.price), case.budget.equity
    intent = intend(coin, equity, 0.18, 3, scale, 0.75, 5.0)
    assert 0.0 <= intent.target_usd <= 0.18 * equity * (1.0 + EPS)
    holds_or_refuses = intent.action in (codes.HOLD, codes.REFUSE)
    assert (intent.code == codes.OK) == (not holds_or_refuses)
    assert math.isfinite(intent.limit) == holds_or_refuses
    assert math.isfinite(intent.actual) == holds_or_refuses
    if coin.held_usd == 0.0:
        assert intent.action in (codes.ENTER, codes.REFUSE)
    else:
        assert intent.action != codes.ENTER
    if intent.action in (codes.ENTER, codes.ADD):
        assert coin.score >= 0.75
    if intent.action == codes.ADD:
        assert 0.3 * intent.target_usd * (1.0 - EPS) < intent.gap_usd
    if intent.action in (codes.REDUCE, codes.EXIT):
        assert -coin.held_usd <= intent.gap_usd < 0.0


@SIZING
@given(case=CASES, held_usd=st.floats(0.0, 1_000.0), share=st.floats(-0.1, 1.2))
def test_lots_to_sell_leaves_all_none_or_what_can_be_sold(case: Case, held_usd: float, share: float) -> None:
    gap, price, rules = -share * held_usd, case.coin.price, case.rules
    lot_usd = rules.lot_step * price
    held_lots = int(held_usd / lot_usd)
    distance = case.coin.stop_distance
    lots = lots_to_sell(gap, price, distance, held_lots, rules)
    minimum = max(rules.min_amount * price, rules.min_cost) * (1.0 - EPS)
    assert 0 <= lots <= held_lots
    if 0 < lots < held_lots:
        assert lots * lot_usd >= minimum
        stop = price * (1.0 - distance)
        assert (held_lots - lots) * rules.lot_step * stop >= max(rules.min_amount * stop, rules.min_cost) * (1.0 - EPS)
        assert lots * lot_usd <= -gap * (1.0 + EPS)
