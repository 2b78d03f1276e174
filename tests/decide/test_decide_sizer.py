from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest

from bot.decide import codes, sizer
from bot.decide.costs import Rules, break_even_move
from bot.decide.kelly import Edge, edge_of_counts
from bot.decide.sizer import Blend, Candidate, Caps, Holdings, Limits, Order

COINBASE = Rules(1e-8, 1e-8, 1.0, 0.006, 0.012)
KRAKEN = Rules(1e-8, 0.00005, 0.5, 0.0025, 0.004)

NO_TRADES = edge_of_counts(0, 0, 1.8, 0.12)
CANDIDATE = Candidate(
    volatility=0.60, stop_distance=0.06, price=63_000.0, gap=0.02, held_usd=0.0, wish_usd=math.inf, scale=1.0
)
LIMITS = Limits(
    position_cap=0.18,
    risk_per_trade=0.05,
    cash_buffer=0.15,
    daily_loss=0.06,
    max_drawdown=0.12,
    fee_budget=sizer.FEE_BUDGET,
    min_trade=5.0,
    max_positions=6,
    kelly_weight=0.30,
    volatility_weight=0.40,
    equity_weight=0.30,
    floor_allowed=1,
    correlation=sizer.CORRELATION,
    volatility_target=sizer.VOLATILITY_TARGET,
    volatility_ceiling=sizer.VOLATILITY_CEILING,
)


def holdings(equity: float) -> Holdings:
    """An account all in cash on one venue, at its peak."""
    return Holdings(
        equity=equity,
        base_usd=equity,
        free_cash=equity,
        venue_free_cash=equity,
        drawdown=0.0,
        day_loss=0.0,
        heat_usd=0.0,
        variance=0.0,
        covariance=0.0,
        fees_usd=0.0,
        trades=0,
    )


class Sized(NamedTuple):
    blend: Blend
    caps: Caps
    order: Order


def size(
    account: Holdings,
    rules: Rules = KRAKEN,
    candidate: Candidate = CANDIDATE,
    limits: Limits = LIMITS,
    edge: Edge = NO_TRADES,
) -> Sized:
    return Sized(*sizer.size_position(candidate, rules, account, limits, edge))


# -- the case table of quant 2.5: W = 1.8, volatility .60, sigma_T 10 %, slippage .001


class Case(NamedTuple):
    equity: float
    rules: Rules
    max_positions: int
    risk: float
    wins: int = 0
    losses: int = 0
    drawdown: float = 0.0
    cash: float = math.inf
    stop: float = 0.06

    def answer(self) -> Sized:
        cash = min(self.cash, self.equity)
        account = holdings(self.equity)._replace(
            free_cash=cash, venue_free_cash=cash, drawdown=self.drawdown, trades=self.wins + self.losses
        )
        return size(
            account,
            self.rules,
            CANDIDATE._replace(stop_distance=self.stop),
            LIMITS._replace(max_positions=self.max_positions, risk_per_trade=self.risk),
            edge_of_counts(self.wins, self.losses, 1.8, 0.12),
        )


# N and risk per trade are those of the tiers: STARTER 2, 3 %; GROWTH 3, 4 %; ADVANCED 4, 4 %; ELITE 6, 5 %.
TABLE = [
    # case, lu, n_K, n_V, n_E, blend, $, risk in %
    (Case(15, COINBASE, 2, 0.03), 0.078280, 0.0, 0.08784, 0.18, 0.08914, 5.00, 2.609),
    (Case(28, COINBASE, 2, 0.03), 0.078280, 0.0, 0.08784, 0.18, 0.08914, 5.00, 1.398),
    (Case(250, KRAKEN, 3, 0.04, 12, 8), 0.067260, 0.18, 0.05968, 0.18, 0.13187, 32.97, 0.887),
    (Case(750, KRAKEN, 4, 0.04, 30, 20, 0.06), 0.067260, 0.18, 0.04519, 0.18, 0.06706, 50.30, 0.451),
    (Case(1000, KRAKEN, 6, 0.05, 30, 20), 0.067260, 0.18, 0.03043, 0.14167, 0.10867, 108.67, 0.731),
    # (200 - 150) / 1.0025 = 49.8753: the table rounds it to 49.88 and says "down", which would be 49.87.
    (Case(1000, KRAKEN, 6, 0.05, 30, 20, cash=200), 0.067260, 0.18, 0.03043, 0.14167, 0.10867, 49.88, 0.335),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0].equity:g}-{row[0].wins}w-{row[0].cash:g}")
def test_size_position_of_the_case_table(row: tuple[Case, float, float, float, float, float, float, float]) -> None:
    case, loss, kelly, volatility, equity, share, notional, risk_pct = row
    blend, _, order = case.answer()
    assert blend.loss == pytest.approx(loss, abs=5e-7)
    assert blend.kelly == pytest.approx(kelly, abs=5e-6)
    assert blend.volatility == pytest.approx(volatility, abs=5e-6)
    assert blend.equity == pytest.approx(equity, abs=5e-6)
    assert blend.share == pytest.approx(share, abs=5e-6)
    assert order.code == codes.OK
    assert order.notional == pytest.approx(notional, abs=0.005)
    assert order.notional == pytest.approx(order.lots * 1e-8 * 63_000.0)
    assert 100 * order.risk_usd / case.equity == pytest.approx(risk_pct, abs=5e-4)


def test_size_position_of_the_case_table_what_bound_each() -> None:
    binding = [row[0].answer().order.binding for row in TABLE]
    assert binding == [
        codes.MINIMUM_TRADE,
        codes.MINIMUM_TRADE,
        codes.OK,
        codes.OK,
        codes.OK,
        codes.CASH_BUFFER,
    ]


def test_size_position_of_15_dollars_with_an_8_percent_stop_is_refused_for_its_risk() -> None:
    # lu = .08 + .006 + .012 x .92 + .001 = .09804: $5 would lose $.4902 or 3.27 % of $15, and
    # 3 % of $15 allows $.45 / .09804 = $4.59.
    blend, _, order = Case(15, COINBASE, 2, 0.03, stop=0.08).answer()
    assert (blend.kelly, blend.equity) == (0.0, 0.18)
    assert blend.volatility == pytest.approx(0.08784, abs=5e-6)
    assert (order.lots, order.risk_usd, order.code) == (0, 0.0, codes.RISK_PER_TRADE)
    assert order.limit == pytest.approx(5.0, abs=0.001)
    assert order.actual == pytest.approx(4.59, abs=0.005)


@pytest.mark.parametrize(
    ("fee_in", "last_stop"),
    # lu <= 9 %: d (1 - .012) <= .09 - .012 - .001 - fi, so 7.186 % maker in and 6.579 % taker in (quant 1b, row 1).
    [(0.006, 0.0718), (0.012, 0.0657)],
)
def test_size_position_of_15_dollars_on_coinbase_up_to_the_last_stop(fee_in: float, last_stop: float) -> None:
    rules = COINBASE._replace(fee_in=fee_in)
    limits = LIMITS._replace(max_positions=2, risk_per_trade=0.03)
    if fee_in == 0.012:  # there the stop must be 7.3 % away to pay for the round trip: the cost gate refuses all
        order = size(holdings(15.0), rules, CANDIDATE._replace(stop_distance=last_stop), limits).order
        assert order.code == codes.COSTS_TOO_HIGH
        return
    for stop, code in ((last_stop, codes.OK), (last_stop + 0.0002, codes.RISK_PER_TRADE)):
        order = size(holdings(15.0), rules, CANDIDATE._replace(stop_distance=stop), limits).order
        assert order.code == code


def test_size_position_of_4_wins_and_16_losses_is_braked_to_nothing() -> None:
    blend, _, order = Case(1000, KRAKEN, 6, 0.05, 4, 16).answer()
    assert (blend.kelly, blend.brake, blend.share) == (0.0, 0.0, 0.0)
    assert (order.lots, order.notional, order.risk_usd, order.code) == (0, 0.0, 0.0, codes.EDGE_BRAKE)
    assert (order.limit, order.binding) == (0.25, codes.OK)
    assert order.actual == pytest.approx(0.135, abs=5e-4)


# -- legs


def test_single_legs_keep_the_caps() -> None:
    edge = edge_of_counts(12, 8, 1.8, 0.12)
    shares = []
    for kelly, volatility, equity in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        limits = LIMITS._replace(
            max_positions=3, kelly_weight=float(kelly), volatility_weight=float(volatility), equity_weight=float(equity)
        )
        # 50 + 42.5 / 1.0025: cash for about $42.39 above the buffer
        blend, _, order = size(holdings(250.0)._replace(free_cash=80.0), edge=edge, limits=limits)
        shares.append(blend.share)
        assert order.notional == pytest.approx(min(blend.share * 250.0, (80.0 - 37.5) / 1.0025), abs=0.001)
    assert shares == pytest.approx([0.18, 0.05968, 0.18], abs=5e-6)


def test_kelly_alone_without_trades_buys_nothing() -> None:
    # The floor lifts a small wish, not an absent one: without results the mean is 0 R, and so is the edge.
    limits = LIMITS._replace(kelly_weight=1.0, volatility_weight=0.0, equity_weight=0.0)
    order = size(holdings(15.0), limits=limits).order
    assert (order.lots, order.code, order.limit, order.actual) == (0, codes.NO_EDGE, 0.0, 0.0)
    assert (order.notional, order.binding) == (0.0, codes.OK)


def test_volatility_alone_of_a_coin_that_has_none_does_not_speak_of_an_edge() -> None:
    # The one leg that is asked is 0, and it is not Kelly's: nothing is left of the order, whatever the results.
    limits = LIMITS._replace(kelly_weight=0.0, volatility_weight=1.0, equity_weight=0.0)
    order = size(holdings(1000.0), candidate=CANDIDATE._replace(volatility=0.0), limits=limits).order
    assert (order.lots, order.code, order.limit, order.actual) == (0, codes.BELOW_MIN_TRADE, 5.0, 0.0)


def test_kelly_leg_takes_the_smallest_of_three() -> None:
    edge = NO_TRADES._replace(used=0.02, constrained=0.01)
    assert sizer.kelly_leg(edge, 0.03, 0.1, 0.18) == pytest.approx(0.1)
    assert sizer.kelly_leg(edge._replace(constrained=0.5), 0.03, 0.1, 0.5) == pytest.approx(0.2)
    assert sizer.kelly_leg(edge._replace(constrained=0.5), 0.015, 0.1, 0.18) == pytest.approx(0.15)
    assert sizer.kelly_leg(edge, 0.03, 0.01, 0.18) == 0.18


def test_volatility_leg_without_a_volatility_is_zero() -> None:
    assert sizer.volatility_leg(0.0, 2, 0.8, 0.1, 0.18) == 0.0
    assert sizer.volatility_leg(math.nan, 2, 0.8, 0.1, 0.18) == 0.0
    assert sizer.volatility_leg(0.5, 1, 0.8, 0.1, 0.5) == pytest.approx(0.2)
    assert sizer.volatility_leg(0.1, 1, 0.8, 0.1, 0.18) == 0.18


def test_legs_of_no_positions_at_all_stop() -> None:
    with pytest.raises(AssertionError, match=r"^at least one position$"):
        sizer.volatility_leg(0.5, 0, 0.8, 0.1, 0.18)
    with pytest.raises(AssertionError, match=r"^at least one position$"):
        sizer.equity_leg(0.03, 0.1, 0.15, 0, 0.18)


def test_equity_leg_takes_the_smallest_of_three() -> None:
    assert sizer.equity_leg(0.01, 0.1, 0.15, 2, 0.18) == pytest.approx(0.1)
    assert sizer.equity_leg(0.03, 0.1, 0.15, 6, 0.18) == pytest.approx(0.85 / 6)
    assert sizer.equity_leg(0.03, 0.1, 0.15, 2, 0.18) == 0.18
    assert sizer.equity_leg(0.09, 0.1, 0.15, 1, 1.0) == 0.85


@pytest.mark.parametrize(
    ("drawdown", "scale"), [(0.0, 1.0), (0.03, 0.773196), (0.06, 0.531915), (0.09, 0.274725), (0.11, 0.25), (0.12, 0.0)]
)
def test_blend_scales_with_the_drawdown(drawdown: float, scale: float) -> None:
    blend = size(holdings(1000.0)._replace(drawdown=drawdown)).blend
    assert blend.scale == pytest.approx(scale, abs=5e-7)
    # .4 x .03043 + .3 x .14167 without a Kelly leg
    assert blend.share == pytest.approx((0.4 * 0.0304290 + 0.3 * 0.1416667) * scale, abs=1e-6)


def test_full_drawdown_is_refused_with_the_limit() -> None:
    order = size(holdings(1000.0)._replace(drawdown=0.13)).order
    assert (order.lots, order.code, order.limit, order.actual) == (0, codes.DRAWDOWN, 0.12, 0.13)
    assert (order.notional, order.risk_usd, order.exits, order.binding) == (0.0, 0.0, 0, codes.OK)


# -- portfolio room (quant 2.6)


def test_portfolio_room_of_the_third_coin() -> None:
    # BTC .18 and ETH .18 held, volatilities .55, .75, .95; rho .80 between the two, .75 with SOL.
    shares, volatilities = [0.18, 0.18], [0.55, 0.75]
    variance = sizer.book_variance(shares, volatilities, 0.80)
    assert variance == pytest.approx(0.18**2 * (0.55**2 + 0.75**2 + 2 * 0.8 * 0.55 * 0.75))
    covariance = sizer.book_covariance(0.95, shares, volatilities, [0.75, 0.75])
    assert sizer.portfolio_room(0.95, variance, covariance, 0.25) == pytest.approx(0.035789, abs=5e-7)
    assert sizer.portfolio_room(0.95, variance, covariance, 0.20) == 0.0
    # with that much of it the book stands exactly at its ceiling
    grown = sizer.book_variance([*shares, 0.0], [*volatilities, 0.95], 0.80) + 2 * 0.0357894737 * covariance
    assert math.sqrt(grown + (0.0357894737 * 0.95) ** 2) == pytest.approx(0.25, abs=1e-9)


def test_book_of_three_full_positions_has_37_percent() -> None:
    # "3 x 18 % book = 37.2 % vol": with rho .80 on all three pairs it is 37.8, with .80/.75/.75 it is 37.2.
    shares, volatilities = [0.18] * 3, [0.55, 0.75, 0.95]
    assert math.sqrt(sizer.book_variance(shares, volatilities, 0.80)) == pytest.approx(0.378, abs=5e-4)
    two = sizer.book_variance(shares[:2], volatilities[:2], 0.80)
    third = 0.18 * sizer.book_covariance(0.95, shares[:2], volatilities[:2], [0.75, 0.75])
    assert math.sqrt(two + 2 * third + (0.18 * 0.95) ** 2) == pytest.approx(0.372, abs=5e-4)


def test_portfolio_room_of_an_empty_book_is_ceiling_over_volatility() -> None:
    assert sizer.portfolio_room(0.5, 0.0, 0.0, 0.25) == pytest.approx(0.5)
    assert sizer.portfolio_room(0.1, 0.0, 0.0, 0.25) == 1.0
    assert sizer.portfolio_room(0.0, 0.0, 0.0, 0.25) == 0.0
    assert sizer.portfolio_room(0.5, 0.0625, 0.0, 0.25) == 0.0


def test_portfolio_room_binds_a_crowded_book() -> None:
    # .24 of volatility held at full correlation to the new coin's .60: (.25 - .24) / .60 of $1,000.
    account = holdings(1000.0)._replace(variance=0.24**2, covariance=0.60 * 0.24)
    order = size(account, limits=LIMITS._replace(max_positions=2)).order
    assert order.binding == codes.VOLATILITY_ROOM
    assert order.notional == pytest.approx(1000 * 0.01 / 0.60, abs=0.001)


# -- heat (quant 1b, row 7; correction 6)


def test_allowance_for_gaps_is_larger_for_other_coins() -> None:
    assert (sizer.GAP_MAJOR, sizer.GAP_OTHER) == (0.02, 0.04)  # correction 6


def test_mark_heat_counts_fee_and_gap_from_the_present_price() -> None:
    # $100, stop 10 % below, exit fee .4 % of $90, gap 2 %: 10 + .36 + 2
    assert sizer.mark_heat(100.0, 0.10, 0.004, 0.02) == pytest.approx(12.36)
    # already below its stop: fee and gap are still to come
    assert sizer.mark_heat(100.0, -0.05, 0.004, 0.02) == pytest.approx(2.4)


@pytest.mark.parametrize(
    ("day_loss", "drawdown", "limit"),
    [
        (0.0, 0.0, 0.06),
        (0.02, 0.0, 0.04),
        (0.0, 0.09, 0.03),
        (0.01, 0.11, 0.01),
        (0.07, 0.0, 0.0),
        (-0.05, -0.01, 0.06),
    ],
)
def test_heat_limit_is_the_smaller_rest(day_loss: float, drawdown: float, limit: float) -> None:
    assert sizer.heat_limit(0.06, day_loss, 0.12, drawdown) == pytest.approx(limit)


def test_heat_of_open_positions_leaves_the_rest() -> None:
    # 6 % of $1,000 less 1 % lost today less $47 at stops = $3; each dollar of the new one may lose
    # .06726 + .02 gap: 3 / .08726 = $34.38.
    account = holdings(1000.0)._replace(day_loss=0.01, heat_usd=47.0)
    order = size(account).order
    assert order.binding == codes.HEAT
    assert order.notional == pytest.approx(34.38, abs=0.005)
    full = size(account._replace(heat_usd=50.0)).order
    assert (full.lots, full.code, full.actual) == (0, codes.HEAT, 0.0)


def test_smallest_cap_names_each() -> None:
    caps = Caps(blend=9.0, position=9.0, room=9.0, risk=9.0, heat=9.0, fees=9.0, buffer=9.0, venue=9.0)
    assert sizer.smallest_cap(caps) == (9.0, codes.OK)  # of equal ones the first is named
    assert sizer.hard_cap(caps) == (9.0, codes.VOLATILITY_ROOM)
    expected = {
        "position": codes.POSITION_CAP,  # legs are clipped to it: it binds where the weights exceed 1
        "room": codes.VOLATILITY_ROOM,
        "risk": codes.RISK_PER_TRADE,
        "heat": codes.HEAT,
        "fees": codes.FEE_BUDGET,
        "buffer": codes.CASH_BUFFER,
        "venue": codes.VENUE_CASH,
    }
    for name, code in expected.items():
        assert sizer.smallest_cap(caps._replace(**{name: 8.0})) == (8.0, code)


# -- cash


def test_venue_cash_keeps_its_fee_reserve() -> None:
    # $40 on the venue: 40 x .99 / 1.0025
    order = size(holdings(1000.0)._replace(venue_free_cash=40.0)).order
    assert order.binding == codes.VENUE_CASH
    assert order.notional == pytest.approx(39.501, abs=0.0005)


def test_venue_without_cash_is_refused() -> None:
    for cash in (0.0, -3.0):
        order = size(holdings(1000.0)._replace(venue_free_cash=cash)).order
        assert (order.lots, order.code, order.actual) == (0, codes.VENUE_CASH, 0.0)


def test_blend_of_free_cash_only_is_smaller() -> None:
    # PRO_MODE off: a share of the $500 in cash
    half = size(holdings(1000.0)._replace(base_usd=500.0)).order
    assert half.notional == pytest.approx(size(holdings(1000.0)).order.notional / 2, rel=1e-6)


def test_held_part_counts_against_blend_and_cap() -> None:
    whole = size(holdings(1000.0)).order.notional
    rest = size(holdings(1000.0), candidate=CANDIDATE._replace(held_usd=30.0)).order
    assert rest.notional == pytest.approx(whole - 30.0, abs=0.001)
    limits = LIMITS._replace(kelly_weight=0.0, volatility_weight=0.0, equity_weight=1.0, max_positions=2)
    full = size(holdings(1000.0), candidate=CANDIDATE._replace(held_usd=178.0), limits=limits).order
    assert (full.lots, full.code, full.limit) == (0, codes.BELOW_MIN_TRADE, 5.0)
    assert full.actual == pytest.approx(2.0)


def test_caps_of_a_held_coin_count_what_is_held() -> None:
    # $1,000, $30 held, nothing else: 180 - 30; .25 / .60 of equity; 50 / .06726 - 30; 60 / (.06726 + .02);
    # 10 / .0065; (100 - 150) below the buffer; 40 x .99 / 1.0025.
    account = holdings(1000.0)._replace(free_cash=100.0, venue_free_cash=40.0)
    caps = size(account, candidate=CANDIDATE._replace(held_usd=30.0)).caps
    assert caps.position == pytest.approx(150.0)
    assert caps.room == pytest.approx(416.6667, abs=5e-5)
    assert caps.risk == pytest.approx(713.3839, abs=5e-5)
    assert caps.heat == pytest.approx(687.6003, abs=5e-5)
    assert caps.fees == pytest.approx(1538.4615, abs=5e-5)
    assert caps.buffer == 0.0
    assert caps.venue == pytest.approx(39.5012, abs=5e-5)
    over = size(account, candidate=CANDIDATE._replace(held_usd=900.0)).caps
    assert (over.blend, over.position, over.risk) == (0.0, 0.0, 0.0)


# -- the wish of the strategy


def test_wish_below_the_blend_is_what_is_bought() -> None:
    # The blend would be .4 x .0304290 + .3 x .1416667 of $1,000 = $54.67.
    order = size(holdings(1000.0), candidate=CANDIDATE._replace(wish_usd=20.0)).order
    assert (order.code, order.binding) == (codes.OK, codes.OK)
    assert order.notional == pytest.approx(20.0, abs=0.001)
    assert order.notional <= 20.0


def test_wish_above_the_blend_changes_nothing() -> None:
    without = size(holdings(1000.0))
    assert size(holdings(1000.0), candidate=CANDIDATE._replace(wish_usd=500.0)) == without
    assert without.caps.blend == pytest.approx(54.67, abs=0.005)


def test_wish_of_an_addition_is_the_gap_and_not_the_whole() -> None:
    # $54.67 less the $30 that are held leave $24.67; the strategy wants $10 more.
    candidate = CANDIDATE._replace(held_usd=30.0, wish_usd=10.0)
    assert size(holdings(1000.0), candidate=candidate).order.notional == pytest.approx(10.0, abs=0.001)
    assert size(holdings(1000.0), candidate=candidate._replace(wish_usd=40.0)).caps.blend == pytest.approx(
        24.67, abs=0.005
    )


def test_wish_below_the_minimum_trade_is_lifted_to_it_or_refused() -> None:
    small = CANDIDATE._replace(wish_usd=2.0)
    lifted = size(holdings(1000.0), candidate=small).order
    assert (lifted.binding, lifted.notional) == (codes.MINIMUM_TRADE, pytest.approx(5.0, abs=0.001))
    assert size(holdings(1000.0), candidate=CANDIDATE._replace(wish_usd=0.5)).order == lifted
    for candidate, limits in ((small, LIMITS._replace(floor_allowed=0)), (small._replace(held_usd=10.0), LIMITS)):
        order = size(holdings(1000.0), candidate=candidate, limits=limits).order
        assert (order.lots, order.code, order.limit, order.actual) == (0, codes.BELOW_MIN_TRADE, 5.0, 2.0)


def test_wish_for_nothing_buys_nothing() -> None:
    order = size(holdings(1000.0), candidate=CANDIDATE._replace(wish_usd=0.0)).order
    assert (order.lots, order.code, order.limit, order.actual) == (0, codes.BELOW_MIN_TRADE, 5.0, 0.0)


# -- the fee budget (quant 3c)


def test_fee_budget_pays_for_the_round_trip() -> None:
    # 1 % of $1,000 less $9.80 paid: $.20 over .25 + .40 % is $30.77.
    order = size(holdings(1000.0)._replace(fees_usd=9.8)).order
    assert order.binding == codes.FEE_BUDGET
    assert order.notional == pytest.approx(30.77, abs=0.005)


@pytest.mark.parametrize("paid", [10.0, 25.0])
def test_fee_budget_that_is_used_up_is_refused(paid: float) -> None:
    order = size(holdings(1000.0)._replace(fees_usd=paid)).order
    assert (order.lots, order.code, order.limit) == (0, codes.FEE_BUDGET, pytest.approx(5.0, abs=0.001))
    assert order.actual == pytest.approx(0.0, abs=1e-9)


def test_fee_budget_without_fees_is_endless() -> None:
    free = size(holdings(1000.0)._replace(fees_usd=25.0), KRAKEN._replace(fee_in=0.0, fee_out=0.0))
    assert (free.caps.fees, free.order.code) == (math.inf, codes.OK)


def test_fee_budget_holds_for_the_floor_too() -> None:
    # 1 % of $15 is $.15: one $5 round trip on Coinbase costs $.09, a second one within 30 days is too much.
    assert size(holdings(15.0), COINBASE, limits=SMALL).order.binding == codes.MINIMUM_TRADE
    order = size(holdings(15.0)._replace(fees_usd=0.09), COINBASE, limits=SMALL).order
    assert (order.lots, order.code) == (0, codes.FEE_BUDGET)
    assert order.actual == pytest.approx(0.06 / 0.018)


# -- the floor of one minimum trade (quant 1b, row 1)

SMALL = LIMITS._replace(max_positions=2, risk_per_trade=0.03)


def test_floor_without_micro_capital_mode_is_off() -> None:
    order = size(holdings(28.0), COINBASE, limits=SMALL._replace(floor_allowed=0)).order
    assert (order.lots, order.code, order.limit) == (0, codes.BELOW_MIN_TRADE, 5.0)
    assert order.actual == pytest.approx(28 * 0.08914, abs=0.001)


def test_floor_is_for_a_coin_that_is_not_held() -> None:
    order = size(holdings(28.0), COINBASE, CANDIDATE._replace(held_usd=0.5), SMALL).order
    assert (order.lots, order.code) == (0, codes.BELOW_MIN_TRADE)


def test_floor_below_the_cash_buffer_is_refused() -> None:
    # $7.20 - 15 % of $15 = $4.95, less the fee: 4.95 / 1.006
    account = holdings(15.0)._replace(free_cash=7.20, venue_free_cash=7.20)
    order = size(account, COINBASE, limits=SMALL).order
    assert (order.lots, order.code) == (0, codes.CASH_BUFFER)
    assert order.actual == pytest.approx(4.95 / 1.006)
    enough = account._replace(free_cash=7.30, venue_free_cash=7.30)
    assert size(enough, COINBASE, limits=SMALL).order.binding == codes.MINIMUM_TRADE


def test_floor_beyond_the_heat_is_refused() -> None:
    # 6 % of $15 = $.90 less $.45: .45 / (.07828 + .02) = $4.58
    order = size(holdings(15.0)._replace(heat_usd=0.45), COINBASE, limits=SMALL).order
    assert (order.lots, order.code) == (0, codes.HEAT)
    assert order.actual == pytest.approx(0.45 / 0.09828)


def test_floor_beyond_the_volatility_room_is_refused() -> None:
    # A book at its ceiling takes no further position, however small; SOL at 95 % a year is too wild for $15:
    # .25 / .95 x 15 = $3.95.
    full = holdings(250.0)._replace(variance=0.25**2)
    order = size(full, COINBASE, limits=SMALL).order
    assert (order.lots, order.code, order.actual) == (0, codes.VOLATILITY_ROOM, 0.0)
    wild = size(holdings(15.0), COINBASE, CANDIDATE._replace(volatility=0.95), SMALL).order
    assert (wild.lots, wild.code) == (0, codes.VOLATILITY_ROOM)
    assert wild.actual == pytest.approx(15 * 0.25 / 0.95)


def test_floor_at_half_brake_is_allowed_and_at_full_brake_not() -> None:
    account = holdings(28.0)._replace(trades=20)
    assert size(account, COINBASE, limits=SMALL, edge=NO_TRADES).order.binding == codes.MINIMUM_TRADE
    assert size(account, COINBASE, limits=SMALL, edge=NO_TRADES).blend.brake == 0.5
    assert size(account, COINBASE, limits=SMALL, edge=NO_TRADES._replace(chance=0.2)).order.code == codes.EDGE_BRAKE


def test_floor_is_rounded_up_to_whole_lots() -> None:
    # Lots of $2: three of them are the smallest order of at least $5; risk 6 x .07828 = $.47 of $.84.
    rules = COINBASE._replace(lot_step=0.001)
    order = size(holdings(28.0), rules, CANDIDATE._replace(price=2000.0), SMALL).order
    assert (order.lots, order.notional, order.binding) == (3, 6.0, codes.MINIMUM_TRADE)
    # Of $20 it may lose $.60, and at 11.9 % stop distance three lots lose .119 + .006 + .0106 + .001 = .13657 x 6.
    tight = size(holdings(20.0), rules, CANDIDATE._replace(price=2000.0, stop_distance=0.10), SMALL).order
    assert (tight.lots, tight.code, tight.limit) == (0, codes.RISK_PER_TRADE, 6.0)
    assert tight.actual == pytest.approx(0.6 / (0.10 + 0.006 + 0.012 * 0.90 + 0.001))


def test_rounding_to_lots_below_the_minimum_trade_is_refused_without_the_floor() -> None:
    # The blend asks for $8.91 of $100; lots of $4.50 leave one.
    rules = COINBASE._replace(lot_step=0.00225)
    limits = SMALL._replace(floor_allowed=0)
    order = size(holdings(100.0), rules, CANDIDATE._replace(price=2000.0), limits).order
    assert (order.lots, order.code, order.limit, order.actual) == (0, codes.BELOW_MIN_TRADE, 5.0, 4.5)


def test_amounts_exactly_at_the_minimum_trade_pass() -> None:
    # Numbers that floats hold exactly: $20, a cap of a quarter, no fees, a buffer of a quarter, lots of $5.
    free = Rules(0.5, 0.0, 0.0, 0.0, 0.0)
    quiet = CANDIDATE._replace(price=10.0, volatility=0.10)
    limits = SMALL._replace(position_cap=0.25, cash_buffer=0.25, risk_per_trade=0.06)
    limits = limits._replace(kelly_weight=0.0, volatility_weight=0.0, equity_weight=1.0)
    exact = size(holdings(20.0), free, quiet, limits).order
    assert (exact.lots, exact.notional, exact.binding) == (1, 5.0, codes.OK)
    # The floor with exactly $5 above the buffer: 10 - .25 x 20.
    narrow = holdings(20.0)._replace(free_cash=10.0)
    floored = size(narrow, free, quiet, limits._replace(position_cap=0.125)).order
    assert (floored.lots, floored.notional, floored.binding) == (1, 5.0, codes.MINIMUM_TRADE)
    # Lots of $4: the cash allows the minimum trade, the rounding does not.
    four = size(narrow, free._replace(lot_step=0.4), quiet, limits._replace(floor_allowed=0, position_cap=0.5)).order
    assert (four.lots, four.code, four.limit, four.actual) == (0, codes.BELOW_MIN_TRADE, 5.0, 4.0)
    assert four.binding == codes.CASH_BUFFER


# -- venue rules and selling


def test_stop_nearer_than_three_round_trips_is_refused() -> None:
    # Kraken .25/.40 %: 1.0025 / .996 - 1 = .652610 %, three of them 1.957831 %
    order = size(holdings(1000.0), candidate=CANDIDATE._replace(stop_distance=0.0195)).order
    assert (order.lots, order.code, order.limit) == (0, codes.COSTS_TOO_HIGH, 0.0195 / 3)
    assert order.actual == pytest.approx(0.00652610, abs=5e-9)
    assert size(holdings(1000.0), candidate=CANDIDATE._replace(stop_distance=0.0196)).order.code == codes.OK
    exact = 3.0 * break_even_move(0.006, 0.012)
    for stop, code in ((exact, codes.OK), (math.nextafter(exact, 0.0), codes.COSTS_TOO_HIGH)):
        assert size(holdings(1000.0), COINBASE, CANDIDATE._replace(stop_distance=stop)).order.code == code


@pytest.mark.parametrize("stop", [1.0, 1.5])
def test_stop_at_or_below_zero_is_refused(stop: float) -> None:
    order = size(holdings(1000.0), candidate=CANDIDATE._replace(stop_distance=stop)).order
    assert (order.lots, order.code) == (0, codes.UNSELLABLE)
    assert math.isfinite(order.limit)
    assert math.isfinite(order.actual)


def test_refusals_say_what_was_left_of_the_order() -> None:
    # Before any cap is looked at it is the blend; a cap's own refusal gives the cap.
    near = size(holdings(1000.0), candidate=CANDIDATE._replace(stop_distance=0.0195, wish_usd=40.0)).order
    assert (near.code, near.notional) == (codes.COSTS_TOO_HIGH, 40.0)
    assert (near.lots, near.risk_usd, near.exits, near.binding) == (0, 0.0, 0, codes.OK)
    poor = size(holdings(1000.0)._replace(venue_free_cash=4.0)).order
    assert (poor.code, poor.notional) == (codes.VENUE_CASH, pytest.approx(4.0 * 0.99 / 1.0025))


def test_refusals_name_the_cap_that_decided() -> None:
    # With the floor and without it: $4 x .99 / 1.0025 of venue cash are less than one minimum trade.
    poor = holdings(1000.0)._replace(venue_free_cash=4.0)
    for limits in (LIMITS, LIMITS._replace(floor_allowed=0)):
        order = size(poor, limits=limits).order
        assert (order.code, order.binding) == (codes.VENUE_CASH, codes.VENUE_CASH)
    # What the blend asked for, and what the floor lifted.
    sol = Rules(1e-8, 0.06, 0.5, 0.0025, 0.004)
    small = size(holdings(60.0), sol, CANDIDATE._replace(price=150.0), SMALL).order
    assert (small.code, small.binding) == (codes.BELOW_VENUE_MINIMUM, codes.OK)
    stuck = size(holdings(28.0), KRAKEN._replace(min_cost=5.0), limits=SMALL).order
    assert (stuck.code, stuck.binding) == (codes.UNSELLABLE, codes.MINIMUM_TRADE)


def test_order_that_is_not_refused_has_no_limit_and_no_value() -> None:
    account = holdings(1000.0)
    blend, caps, order = size(account)
    assert order.code == codes.OK
    assert (order.limit, order.actual) == pytest.approx((math.nan, math.nan), nan_ok=True)
    early = sizer.refused_unsized(CANDIDATE, KRAKEN, account, LIMITS, NO_TRADES, blend, caps)
    nothing = Order(0, 0.0, 0.0, 0, codes.OK, codes.OK, math.nan, math.nan)
    assert early == pytest.approx(nothing, nan_ok=True)


def test_below_the_venues_minimum_is_refused() -> None:
    # Kraken takes no less than .06 SOL = $9 at $150; the floor is one MIN_TRADE_SIZE and not more.
    sol = Rules(1e-8, 0.06, 0.5, 0.0025, 0.004)
    order = size(holdings(60.0), sol, CANDIDATE._replace(price=150.0), SMALL).order
    assert (order.lots, order.code) == (0, codes.BELOW_VENUE_MINIMUM)
    assert order.limit == pytest.approx(9.0)
    assert order.actual == pytest.approx(60 * 0.08914, abs=0.001)


def test_order_of_exactly_the_venues_minimum_is_large_enough_to_buy() -> None:
    # One lot of $5 where the venue takes orders from $5: what is missing is the sale at the stop, $4.70.
    exact = Rules(0.5, 0.0, 5.0, 0.0, 0.0)
    order = size(holdings(28.0), exact, CANDIDATE._replace(price=10.0), SMALL).order
    assert (order.code, order.limit, order.actual) == (codes.UNSELLABLE, 5.0, pytest.approx(4.7))


def test_what_could_not_be_sold_at_its_stop_is_refused() -> None:
    # The venue takes orders from $5: $5 bought are $4.68 at the stop.
    rules = KRAKEN._replace(min_cost=5.0)
    order = size(holdings(28.0), rules, limits=SMALL).order
    assert (order.lots, order.code, order.limit) == (0, codes.UNSELLABLE, 5.0)
    assert order.actual == pytest.approx(5.0 * 0.9975 * 0.94, abs=0.001)


def test_lots_are_rounded_down_and_reach_up() -> None:
    assert [sizer.lots_within(usd, 0.1) for usd in (0.0, 0.05, 0.3, 0.35)] == [0, 0, 2, 3]  # 3 x .1 > .3 in floats
    assert [sizer.lots_reaching(usd, 0.1) for usd in (0.0, 0.05, 0.3, 0.35)] == [0, 1, 3, 4]
    assert sizer.lots_reaching(7.2, 2.4) == 4  # the quotient is 3.0, and 3 x 2.4 is 7.199999999999999
    assert sizer.lots_within(7.7, 1.1) == 6  # the quotient is 7.0, and 7 x 1.1 is 7.700000000000001


def broken(field: str) -> dict[str, Any]:
    return {field: math.nan}


@pytest.mark.parametrize("field", ["equity", "base_usd", "free_cash", "venue_free_cash", "day_loss", "heat_usd"])
def test_balance_that_is_no_number_stops(field: str) -> None:
    with pytest.raises(AssertionError, match=r"^a balance is not a number$"):
        size(holdings(1000.0)._replace(**broken(field)))


def test_held_part_that_is_no_number_stops() -> None:
    with pytest.raises(AssertionError, match=r"^a balance is not a number$"):
        size(holdings(1000.0), candidate=CANDIDATE._replace(held_usd=math.nan))


def test_fees_or_a_wish_that_are_no_number_stop() -> None:
    with pytest.raises(AssertionError, match=r"^fees or a wish are not a number$"):
        size(holdings(1000.0)._replace(fees_usd=math.nan))
    with pytest.raises(AssertionError, match=r"^fees or a wish are not a number$"):
        size(holdings(1000.0), candidate=CANDIDATE._replace(wish_usd=math.nan))


@pytest.mark.parametrize(
    "field",
    [
        "position_cap",
        "risk_per_trade",
        "cash_buffer",
        "daily_loss",
        "max_drawdown",
        "fee_budget",
        "volatility_ceiling",
        "min_trade",
    ],
)
def test_limit_that_is_no_number_stops(field: str) -> None:
    with pytest.raises(AssertionError, match=r"^a limit is not a number$"):
        size(holdings(1000.0), limits=LIMITS._replace(**broken(field)))


@pytest.mark.parametrize("field", ["kelly_weight", "volatility_weight", "equity_weight", "volatility_target"])
def test_legs_that_are_no_number_stop(field: str) -> None:
    # min() of a wish and a NaN is the wish: the legs would no longer hold it back.
    with pytest.raises(AssertionError, match=r"^a cap cannot be computed$"):
        size(
            holdings(1000.0),
            candidate=CANDIDATE._replace(wish_usd=900.0),
            limits=LIMITS._replace(**broken(field)),
        )


def test_kelly_that_is_no_number_stops() -> None:
    for edge in (NO_TRADES._replace(used=math.nan), NO_TRADES._replace(constrained=math.nan)):
        with pytest.raises(AssertionError, match=r"^an edge is not a number$"):
            size(holdings(1000.0), edge=edge)


@pytest.mark.parametrize("field", ["variance", "covariance"])
def test_book_that_is_no_number_stops(field: str) -> None:
    # Else the room would be all of equity: min(1, NaN) is 1.
    with pytest.raises(AssertionError, match=r"^the volatility of the book is not a number$"):
        size(holdings(1000.0)._replace(**broken(field)))


def test_drawdown_or_chance_that_is_no_number_refuses() -> None:
    lost = size(holdings(1000.0)._replace(drawdown=math.nan)).order
    assert (lost.lots, lost.code) == (0, codes.DRAWDOWN)
    blind = size(holdings(1000.0), edge=NO_TRADES._replace(chance=math.nan)).order
    assert (blind.lots, blind.code) == (0, codes.EDGE_BRAKE)


@pytest.mark.parametrize("volatility", [0.0, -0.1, math.nan])
def test_coin_without_a_volatility_is_refused(volatility: float) -> None:
    order = size(holdings(1000.0), candidate=CANDIDATE._replace(volatility=volatility)).order
    assert (order.lots, order.code, order.actual) == (0, codes.VOLATILITY_ROOM, 0.0)


def test_stop_gap_or_fee_that_is_no_number_stops() -> None:
    for field in ("stop_distance", "gap"):
        with pytest.raises(AssertionError, match=r"^a cap cannot be computed$"):
            size(holdings(1000.0), candidate=CANDIDATE._replace(**broken(field)))
    for rules in (KRAKEN._replace(fee_in=math.nan), KRAKEN._replace(fee_out=math.nan)):
        with pytest.raises(AssertionError, match=r"^a cap cannot be computed$"):
            size(holdings(1000.0), rules)


def test_names_of_the_codes_stand_at_their_place() -> None:
    numbers = {name: value for name, value in vars(codes).items() if isinstance(value, int)}
    actions = {name.upper() for name in codes.ACTION_NAMES}
    named = {value: name.lower() for name, value in numbers.items() if name not in actions | {"OK"}}
    assert list(codes.REFUSAL_NAMES) == ["", *(named[value] for value in range(1, len(named) + 1))]
    assert codes.ACTION_NAMES == ("hold", "enter", "add", "reduce", "exit", "refuse")
    assert [numbers[name.upper()] for name in codes.ACTION_NAMES] == [0, 1, 2, 3, 4, 5]
