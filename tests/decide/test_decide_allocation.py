from __future__ import annotations

import math
from typing import Any

import pytest
from decide_samples import COIN, COINBASE_BTC, KRAKEN_SOL

from bot.decide import allocation, codes
from bot.decide.allocation import intend, lots_to_sell, target_share
from bot.decide.intents import Coin, Intent

NAN = math.nan

# -- target ---------------------------------------------------------------------------------------


def test_stop_of_an_allocation_is_four_daily_ranges() -> None:
    assert allocation.STOP_ATR == 4.0  # correction 14


@pytest.mark.parametrize(
    ("score", "volatility", "scale", "expected"),
    [
        (1.0, 0.50, 1.0, 1 / 6),  # 0.25 / 0.50 / 3
        (0.75, 0.50, 1.0, 0.125),
        (1.0, 0.30, 1.0, 0.18),  # 0.25 / 0.30 / 3 = 0.278: the cap holds
        (0.5, 0.30, 1.0, 0.09),  # the cap comes before the score
        (1.0, 0.50, 0.531915, 0.0886525),  # after a drawdown of 6 %
        (1.0, 0.50, 0.0, 0.0),
        (0.0, 0.50, 1.0, 0.0),
        (1.0, 0.0, 1.0, 0.0),
        (1.0, -0.1, 1.0, 0.0),
        (1.0, NAN, 1.0, 0.0),
        (1.0, math.inf, 1.0, 0.0),
    ],
)
def test_target_share_of_three_coins(score: float, volatility: float, scale: float, expected: float) -> None:
    assert target_share(score, volatility, 0.18, 3, scale) == pytest.approx(expected, rel=1e-12)


def test_target_share_shares_the_volatility_among_the_coins() -> None:
    assert target_share(1.0, 1.0, 0.18, 2, 1.0) == 0.125  # 0.25 / 1 / 2
    assert target_share(1.0, 1.0, 0.18, 1, 1.0) == 0.18  # 0.25: the cap holds


def test_target_share_is_a_score_of_what_the_legs_allow() -> None:
    assert target_share(0.75, 0.50, 0.12, 3, 1.0) == pytest.approx(0.09, rel=1e-12)  # 0.12 < 0.25 / 0.50 / 3
    assert target_share(1.0, 0.50, 0.0, 3, 1.0) == 0.0  # Kelly alone, before the first trade


# -- intend ---------------------------------------------------------------------------------------

# Equity 900, volatility 0.5, three coins: the target at full score is 900 / 6 = 150.
EQUITY = 900.0


def intent_of(coin: Coin, scale: float = 1.0) -> Intent:
    return intend(coin, EQUITY, 0.18, EQUITY, math.inf, 3, scale, 0.75, 5.0)


def held(usd: float, score: float = 1.0) -> Coin:
    return COIN._replace(held_usd=usd, score=score)


@pytest.mark.parametrize("field", ["score", "volatility", "stop_distance"])
@pytest.mark.parametrize("held_usd", [0.0, 100.0])
def test_intend_with_a_number_missing_refuses(field: str, held_usd: float) -> None:
    missing: Any = {field: NAN}
    intent = intent_of(held(held_usd)._replace(**missing))
    nothing = Intent(codes.REFUSE, 0.0, NAN, codes.HISTORY_TOO_SHORT, NAN, NAN)
    assert intent == pytest.approx(nothing, nan_ok=True)  # nor is there a target, a limit, or a value


@pytest.mark.parametrize(("score", "gap"), [(1.0, 150.0), (0.8, 120.0), (0.75, 112.5)])
def test_intend_with_score_and_nothing_held_enters(score: float, gap: float) -> None:
    intent = intent_of(held(0.0, score))
    assert (intent.action, intent.code) == (codes.ENTER, codes.OK)
    assert intent.gap_usd == pytest.approx(gap, rel=1e-12)
    assert intent.target_usd == intent.gap_usd


@pytest.mark.parametrize("score", [0.0, 0.5, math.nextafter(0.75, 0.0)])
def test_intend_below_the_minimum_score_refuses(score: float) -> None:
    intent = intent_of(held(0.0, score))
    assert (intent.action, intent.code) == (codes.REFUSE, codes.SIGNAL_TOO_WEAK)
    assert (intent.limit, intent.actual, intent.gap_usd) == (0.75, score, 0.0)
    assert intent.target_usd == pytest.approx(150.0 * score, rel=1e-12)


# Half of a stop distance of 0.125 is 0.0625: from a close of 100 the price may lie in 93.75 to 106.25.
@pytest.mark.parametrize("price", [100.0, 106.25, 93.75])
def test_intend_within_half_a_stop_of_the_close_enters(price: float) -> None:
    intent = intent_of(COIN._replace(stop_distance=0.125, bar_close=100.0, price=price))
    assert intent.action == codes.ENTER


@pytest.mark.parametrize(("price", "moved"), [(106.26, 0.0626), (93.74, 0.0626), (200.0, 1.0)])
def test_intend_after_the_price_moved_refuses(price: float, moved: float) -> None:
    intent = intent_of(COIN._replace(stop_distance=0.125, bar_close=100.0, price=price))
    assert (intent.action, intent.code, intent.limit) == (codes.REFUSE, codes.PRICE_MOVED, 0.0625)
    assert intent.actual == pytest.approx(moved, rel=1e-9)
    assert intent.gap_usd == pytest.approx(150.0, rel=1e-12)  # what was not bought


@pytest.mark.parametrize(
    ("coin", "scale"),
    [
        (held(100.0, score=0.0), 1.0),
        (held(100.0), 0.0),  # drawdown at its limit
        (held(100.0)._replace(volatility=0.0), 1.0),
    ],
)
def test_intend_held_without_a_target_exits(coin: Coin, scale: float) -> None:
    intent = intent_of(coin, scale)
    assert (intent.action, intent.code, intent.gap_usd, intent.target_usd) == (codes.EXIT, codes.OK, -100.0, 0.0)


# The band around a target of 150 is 45: nothing is done between 105 and 195.
@pytest.mark.parametrize(("held_usd", "gap"), [(150.0, 0.0), (105.01, 44.99), (194.99, -44.99)])
def test_intend_within_the_band_holds(held_usd: float, gap: float) -> None:
    intent = intent_of(held(held_usd))
    assert (intent.action, intent.code) == (codes.HOLD, codes.WITHIN_BAND)
    assert intent.gap_usd == pytest.approx(gap, abs=1e-9)
    assert intent.limit == pytest.approx(45.0, rel=1e-12)
    assert intent.actual == pytest.approx(abs(gap), abs=1e-9)


@pytest.mark.parametrize("held_usd", [112.0, 208.0])
def test_intend_at_the_edge_of_the_band_holds(held_usd: float) -> None:
    # Equity 960: target 160, band 0.30 x 160 = 48.
    intent = intend(held(held_usd), 960.0, 0.18, 960.0, math.inf, 3, 1.0, 0.75, 5.0)
    assert (intent.action, intent.limit, intent.actual) == (codes.HOLD, 48.0, 48.0)


@pytest.mark.parametrize(
    ("held_usd", "action", "gap"), [(104.99, codes.ADD, 45.01), (195.01, codes.REDUCE, -45.01), (500.0, 3, -350.0)]
)
def test_intend_outside_the_band_trades_the_whole_gap(held_usd: float, action: int, gap: float) -> None:
    intent = intent_of(held(held_usd))
    assert (intent.action, intent.code) == (action, codes.OK)
    assert intent.gap_usd == pytest.approx(gap, rel=1e-9)


def test_intend_reduces_a_held_coin_whose_score_falls() -> None:
    # Score 0.5: target 75, band 22.5; 100 held is 25 too many. A weak score does not sell everything.
    intent = intent_of(held(100.0, score=0.5))
    assert intent.action == codes.REDUCE
    assert intent.gap_usd == pytest.approx(-25.0, rel=1e-12)


def test_intend_after_a_drawdown_asks_for_less() -> None:
    assert intent_of(COIN, scale=0.25).gap_usd == pytest.approx(37.5, rel=1e-12)


# -- lots_to_sell ---------------------------------------------------------------------------------

# A lot of 0.01 SOL at $100 is $1; Kraken sells from 0.06 SOL = $6.
SOL_LOTS = KRAKEN_SOL._replace(lot_step=0.01)


@pytest.mark.parametrize(
    ("gap", "held_lots", "expected"),
    [
        (-20.0, 50, 20),
        (-20.9, 50, 20),  # whole lots
        (-44.0, 50, 44),  # a rest of $6 can be sold
        (-45.0, 50, 50),  # a rest of $5 could not
        (-50.0, 50, 50),
        (-80.0, 50, 50),  # never more than is held
        (-6.0, 50, 6),
        (-5.99, 50, 0),  # the reduction itself is below the minimum: wait
        (-5.0, 11, 0),
        (-5.0, 10, 10),  # a rest of $5 could not be sold, so all goes
        (-1.0, 5, 5),
        (0.0, 50, 0),
        (20.0, 50, 0),  # no reduction at all
        (-20.0, 0, 0),
    ],
)
def test_lots_to_sell_leaves_nothing_that_cannot_be_sold(gap: float, held_lots: int, expected: int) -> None:
    assert lots_to_sell(gap, 100.0, 0.15, held_lots, SOL_LOTS) == expected


def test_lots_to_sell_knows_no_minimum_trade() -> None:
    # $2 of BTC on Coinbase at 50,000: 4000 lots of $0.0005, far below MIN_TRADE_SIZE.
    lots = lots_to_sell(-2.0001, 50_000.0, 0.15, 100_000, COINBASE_BTC)
    assert lots == 4000
    assert lots_to_sell(-0.99, 50_000.0, 0.15, 100_000, COINBASE_BTC) == 0  # Coinbase takes orders from $1


def test_lots_to_sell_leaves_nothing_whose_stop_the_venue_would_refuse() -> None:
    # 4000 of 6100 lots leave $1.05 of BTC at 50,000; at a stop 15 % below that is $0.89, and Coinbase takes
    # nothing below $1. With a stop 4 % below it is $1.008.
    assert lots_to_sell(-2.0001, 50_000.0, 0.15, 6_100, COINBASE_BTC) == 6_100
    assert lots_to_sell(-2.0001, 50_000.0, 0.04, 6_100, COINBASE_BTC) == 4_000


@pytest.mark.parametrize(("held_usd", "action"), [(11.1, codes.HOLD), (10.9, codes.ADD), (20.9, codes.HOLD), (21.1, 3)])
def test_intend_of_a_small_account_needs_the_minimum_trade_too(held_usd: float, action: int) -> None:
    # Equity 96: target 16, band 4.8; but nothing below $5 is traded: 11 to 21 is held.
    intent = intend(held(held_usd), 96.0, 0.18, 96.0, math.inf, 3, 1.0, 0.75, 5.0)
    assert intent.action == action
    if action == codes.HOLD:
        assert intent.limit == 5.0


def test_intend_gives_a_tiny_position_up_as_a_whole() -> None:
    intent = intend(held(0.5, score=0.0), 100.0, 0.18, 100.0, math.inf, 3, 1.0, 0.75, 5.0)
    assert (intent.action, intent.gap_usd) == (codes.EXIT, -0.5)


def test_intend_with_a_tiny_target_reduces_and_does_not_exit() -> None:
    # 4.8 / 6 = 0.80: what is left of the target stays
    intent = intend(held(50.0), 4.8, 0.18, 4.8, math.inf, 3, 1.0, 0.75, 5.0)
    assert (intent.action, intent.target_usd) == (codes.REDUCE, pytest.approx(0.8))


def test_intend_adds_cents_where_the_minimum_trade_is_as_small() -> None:
    # Target 0.80, band 0.24 and above the minimum trade of 0.10: the missing 0.50 is bought, not sold.
    intent = intend(held(0.3), 4.8, 0.18, 4.8, math.inf, 3, 1.0, 0.75, 0.1)
    assert (intent.action, intent.gap_usd) == (codes.ADD, pytest.approx(0.5))


def test_intend_is_a_share_of_its_base() -> None:
    # PRO_MODE off: $300 in cash and $30 of the coin; a target of 330 / 6 = 55, 25 more than is held, the band is 16.5.
    intent = intend(held(30.0), 330.0, 0.18, 330.0, math.inf, 3, 1.0, 0.75, 5.0)
    assert (intent.action, intent.target_usd) == (codes.ADD, pytest.approx(55.0, rel=1e-12))
    assert intent.gap_usd == pytest.approx(25.0, rel=1e-12)


def test_intend_keeps_to_what_the_legs_allow() -> None:
    assert intend(COIN, EQUITY, 0.10, EQUITY, math.inf, 3, 1.0, 0.75, 5.0).gap_usd == pytest.approx(90.0, rel=1e-12)


@pytest.mark.parametrize("field", ["price", "bar_close"])
def test_intend_without_a_usable_price_buys_nothing(field: str) -> None:
    missing: Any = {field: NAN}
    assert intent_of(COIN._replace(**missing)).code == codes.PRICE_MOVED


def test_intend_of_a_weak_score_is_told_before_a_moved_price() -> None:
    intent = intent_of(COIN._replace(score=0.5, price=100_000.0))
    assert intent.code == codes.SIGNAL_TOO_WEAK


def test_intend_adds_only_while_the_price_is_near_the_close() -> None:
    # Half of the stop distance of 0.10: 5 %. Sales do not wait for that.
    far = 50_000.0 * 1.0501
    assert intent_of(held(20.0)._replace(price=far)).code == codes.PRICE_MOVED
    assert intent_of(held(20.0, score=0.5)._replace(price=far)).code == codes.SIGNAL_TOO_WEAK
    assert intent_of(held(500.0)._replace(price=far)).action == codes.REDUCE
    assert intent_of(held(20.0, score=0.0)._replace(price=far)).action == codes.EXIT


def test_intend_on_the_first_day_asks_for_less_than_the_minimum_trade_too() -> None:
    # $15: a target of 2.50. The sizer knows what one minimum trade may stand in for.
    intent = intend(COIN, 15.0, 0.18, 15.0, math.inf, 3, 1.0, 0.75, 5.0)
    assert (intent.action, intent.gap_usd) == (codes.ENTER, pytest.approx(2.5))


# -- the sizer's legs hold back purchases, and sell nothing ------------------------------------------


def capped(held_usd: float, entry_cap: float, entry_base: float = 1_000.0) -> Intent:
    # Volatility 50 %: the target is min(18 %, 25 / 50 / 3 = 16.67 %) of $1,000 = $166.67.
    return intend(held(held_usd), 1_000.0, 0.18, entry_base, entry_cap, 3, 1.0, 0.75, 5.0)


@pytest.mark.parametrize(
    ("held_usd", "action", "gap"),
    [
        (0.0, codes.ENTER, 80.0),  # the legs' 8 % of $1,000
        (50.0, codes.ADD, 30.0),  # 30 of 80 is more than the band of 24
        (57.0, codes.HOLD, 23.0),
        (80.0, codes.HOLD, 0.0),
        (166.0, codes.HOLD, 0.0),  # between the legs' share and the target nothing is bought or sold
        (200.0, codes.HOLD, 1_000.0 / 6 - 200.0),  # within 30 % of the target
        (220.0, codes.REDUCE, 1_000.0 / 6 - 220.0),  # down to the target, not to the legs' share
    ],
)
def test_intend_buys_up_to_the_legs_and_sells_down_to_the_target(held_usd: float, action: int, gap: float) -> None:
    intent = capped(held_usd, 0.08)
    assert (intent.action, intent.gap_usd) == (action, pytest.approx(gap, rel=1e-12, abs=1e-9))


def test_intend_buys_up_to_a_share_of_the_base() -> None:
    assert capped(0.0, 0.08, entry_base=400.0).gap_usd == pytest.approx(32.0, rel=1e-12)
    assert capped(0.0, 0.18, entry_base=2_000.0).gap_usd == pytest.approx(
        1_000.0 / 6, rel=1e-12
    )  # never above the target


def test_intend_without_any_leg_sells_nothing() -> None:
    assert capped(100.0, 0.0).action == codes.HOLD
    assert (capped(0.0, 0.0).action, capped(0.0, 0.0).gap_usd) == (codes.ENTER, 0.0)  # the sizer says why not
