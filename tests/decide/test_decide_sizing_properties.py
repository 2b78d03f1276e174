"""The whole path of an entry: what the strategy wants, then what the sizer makes of it, as the engine does it."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import NamedTuple

from decide_samples import COINBASE_BTC, KRAKEN_BTC, KRAKEN_ETH, KRAKEN_SOL
from hypothesis import assume, given
from hypothesis import strategies as st
from sizer_cases import EPS, MORE, SIZING, Case, assert_within_caps, case_of

from bot.decide import allocation, breakout, codes, regime, sizer
from bot.decide.allocation import lots_to_sell
from bot.decide.costs import Rules
from bot.decide.intents import Coin, Intent
from bot.decide.sizer import Candidate, Holdings, Limits, Order

MIN_SCORE = 0.75
COINS = 3


class Path(NamedTuple):
    """A coin at its decision, and the account; stop, price and volatility are the candidate's."""

    score: float
    bar_close: float
    case: Case

    def coin(self) -> Coin:
        candidate = self.case.candidate
        return Coin(
            self.score,
            candidate.volatility,
            candidate.stop_distance,
            candidate.price,
            self.bar_close,
            candidate.held_usd,
            regime.UNKNOWN,
            math.nan,
            math.nan,
            candidate.scale,
        )

    def intent(self) -> Intent:
        """What the allocation asks for, bounded by what the legs ask for."""
        _, rules, account, limits, edge, *_ = self.case
        blend = sizer.blend_of(self.case.candidate, rules, account, limits, edge)
        cap, base, scale = limits.position_cap, account.base_usd, blend.scale
        return allocation.intend(
            self.coin(), account.equity, cap, base, blend.mixed, COINS, scale, MIN_SCORE, limits.min_trade
        )

    def wished(self, intent: Intent) -> Case:
        return self.case._replace(candidate=self.case.candidate._replace(wish_usd=intent.gap_usd))

    def order(self) -> Order | None:
        """None where the strategy does not ask for an entry."""
        intent = self.intent()
        return self.wished(intent).order() if intent.action in (codes.ENTER, codes.ADD) else None

    def lots(self) -> int:
        order = self.order()
        return 0 if order is None else order.lots

    def at(
        self,
        candidate: Candidate | None = None,
        rules: Rules | None = None,
        holdings: Holdings | None = None,
        limits: Limits | None = None,
    ) -> Path:
        return self._replace(case=self.case.at(candidate, rules, holdings, limits))


def path_of(seed: int) -> Path:
    rng = random.Random(~seed)
    case = case_of(seed)
    moved = rng.choice([0.0, 0.0, 0.0, rng.uniform(-0.1, 0.1)])
    score = rng.choice([1.0, 1.0, 8 / 9, 0.75, 0.75, 0.5, 0.0])
    return Path(score, case.candidate.price * (1.0 + moved), case)


PATHS = st.integers(0, 2**32 - 1).map(path_of)


@SIZING
@given(path=PATHS)
def test_entry_exceeds_no_cap_no_minimum_and_no_target(path: Path) -> None:
    intent, order = path.intent(), path.order()
    if order is None or order.lots == 0:
        return
    assert_within_caps(path.wished(intent), order)
    assert path.score >= MIN_SCORE
    if order.binding != codes.MINIMUM_TRADE:
        held_after = path.case.candidate.held_usd + order.notional
        assert held_after <= intent.target_usd * (1.0 + EPS)
        annual = held_after * path.case.candidate.volatility
        assert annual <= allocation.VOLATILITY_TARGET / COINS * path.case.holdings.base_usd * (1.0 + EPS)


def test_generated_paths_reach_entries_additions_and_refusals() -> None:
    entered: Counter[int] = Counter()
    actions: Counter[int] = Counter()
    for seed in range(3_000):
        path = path_of(seed)
        intent = path.intent()
        actions[intent.action] += 1
        entered[intent.action] += path.lots() > 0
    assert set(actions) == {codes.HOLD, codes.ENTER, codes.ADD, codes.REDUCE, codes.EXIT, codes.REFUSE}
    assert entered[codes.ENTER] >= 400
    assert entered[codes.ADD] >= 20


@SIZING
@given(path=PATHS, more=MORE)
def test_entry_never_rises_with_the_stop_distance(path: Path, more: float) -> None:
    # By design a wider stop lifts two refusals, which say that the stop is too near: of the costs, and of a price
    # that has moved by more than half a stop distance.
    before = path.order()
    intent = path.intent()
    assume(intent.code != codes.PRICE_MOVED and (before is None or before.code != codes.COSTS_TOO_HIGH))
    distance = min(0.99, path.case.candidate.stop_distance * (1.0 + more))
    wider = path.at(candidate=path.case.candidate._replace(stop_distance=distance))
    assert wider.lots() <= path.lots()


@SIZING
@given(path=PATHS, more=MORE)
def test_entry_never_rises_with_costs(path: Path, more: float) -> None:
    before, rules = path.lots(), path.case.rules
    assert path.at(rules=rules._replace(fee_in=(rules.fee_in + 1e-6) * (1.0 + more))).lots() <= before
    assert path.at(rules=rules._replace(fee_out=(rules.fee_out + 1e-6) * (1.0 + more))).lots() <= before
    fees = path.case.holdings.fees_usd + more * path.case.holdings.equity
    assert path.at(holdings=path.case.holdings._replace(fees_usd=fees)).lots() <= before


@SIZING
@given(path=PATHS, more=MORE, correlation=st.floats(0.0, 1.0))
def test_entry_never_rises_with_volatility_or_correlation(path: Path, more: float, correlation: float) -> None:
    before, case = path.lots(), path.case
    wilder = case.candidate._replace(volatility=case.candidate.volatility * (1.0 + more))
    assert path.at(candidate=wilder).lots() <= before
    other = path.at(limits=case.limits._replace(correlation=correlation)).lots()
    assert other <= before if correlation >= case.limits.correlation else other >= before
    wild_book = case._replace(volatilities=[volatility * (1.0 + more) for volatility in case.volatilities])
    assert path._replace(case=wild_book.at()).lots() <= before


@SIZING
@given(path=PATHS, more=st.floats(1e-6, 0.13))
def test_entry_never_rises_with_drawdown_day_loss_or_heat(path: Path, more: float) -> None:
    before, account = path.lots(), path.case.holdings
    assert path.at(holdings=account._replace(drawdown=account.drawdown + more)).lots() <= before
    assert path.at(holdings=account._replace(day_loss=account.day_loss + more)).lots() <= before
    assert path.at(holdings=account._replace(heat_usd=account.heat_usd + more * account.equity)).lots() <= before


@SIZING
@given(path=PATHS, more=st.floats(0.0, 2_000.0))
def test_entry_never_falls_with_more_cash_within_a_tier(path: Path, more: float) -> None:
    # A tier allows more positions and makes each smaller: what happens at its threshold is in test_size_command.
    before, account = path.lots(), path.case.holdings
    for richer in (
        account._replace(venue_free_cash=account.venue_free_cash + more),
        account._replace(
            equity=account.equity + more,
            base_usd=account.base_usd + more,
            free_cash=account.free_cash + more,
            venue_free_cash=account.venue_free_cash + more,
        ),
    ):
        assert path.at(holdings=richer).lots() >= before


@SIZING
@given(path=PATHS, score=st.floats(0.0, 1.0))
def test_entry_never_falls_with_the_score(path: Path, score: float) -> None:
    higher = path._replace(score=max(score, path.score))
    assert higher.lots() >= path.lots()


@SIZING
@given(path=PATHS)
def test_allocation_never_buys_more_than_a_breakout_would(path: Path) -> None:
    coin = path.coin()
    intent = breakout.intend(coin, 0.0, MIN_SCORE)
    if coin.held_usd > 0.0:
        assert intent.action == codes.HOLD  # no additions
        return
    assert (intent.action == codes.ENTER) == (path.intent().action == codes.ENTER)
    if intent.action == codes.ENTER:
        order = path.wished(intent).order()
        assert path.lots() <= order.lots
        if order.lots:
            assert_within_caps(path.wished(intent), order)


@SIZING
@given(path=PATHS, scale=st.sampled_from([0.0, 0.25, 0.6, 1.0]))
def test_intend_answers_are_whole(path: Path, scale: float) -> None:
    coin, equity = path.coin(), path.case.holdings.equity
    intent = allocation.intend(coin, equity, 0.18, equity, math.inf, COINS, scale, MIN_SCORE, 5.0)
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
        assert coin.score >= MIN_SCORE
        assert abs(coin.price / coin.bar_close - 1.0) <= 0.5 * coin.stop_distance
    if intent.action == codes.ADD:
        assert intent.gap_usd > max(5.0, 0.3 * intent.target_usd * (1.0 - EPS))
    if intent.action in (codes.REDUCE, codes.EXIT):
        assert -coin.held_usd <= intent.gap_usd < 0.0


COARSE = Rules(0.01, 0.05, 10.0, 0.004, 0.006)
MARKETS = st.sampled_from([COINBASE_BTC, KRAKEN_BTC, KRAKEN_ETH, KRAKEN_SOL, COARSE])


@SIZING
@given(
    rules=MARKETS,
    price=st.floats(0.05, 200_000.0),
    distance=st.floats(0.001, 0.9),
    held_usd=st.floats(0.0, 1_000.0),
    share=st.floats(-0.1, 1.2),
)
def test_lots_to_sell_leaves_all_none_or_what_can_be_sold(
    rules: Rules, price: float, distance: float, held_usd: float, share: float
) -> None:
    gap = -share * held_usd
    lot_usd = rules.lot_step * price
    held_lots = int(held_usd / lot_usd)
    lots = lots_to_sell(gap, price, distance, held_lots, rules)
    minimum = max(rules.min_amount * price, rules.min_cost) * (1.0 - EPS)
    assert 0 <= lots <= held_lots
    if 0 < lots < held_lots:
        assert lots * lot_usd >= minimum
        stop = price * (1.0 - distance)
        assert (held_lots - lots) * rules.lot_step * stop >= max(rules.min_amount * stop, rules.min_cost) * (1.0 - EPS)
        assert lots * lot_usd <= -gap * (1.0 + EPS)
