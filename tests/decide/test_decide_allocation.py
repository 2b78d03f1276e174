from __future__ import annotations

import math

import pytest
from decide_samples import BUDGET, COIN, COINBASE_BTC, KRAKEN_BTC, KRAKEN_ETH, KRAKEN_SOL

from bot.decide import allocation, codes
from bot.decide.allocation import Budget, Coin, Rules, intend, lots_to_sell, size_entry, stop_distance, target_fraction
from bot.decide.costs import break_even_move

NAN = math.nan

# -- target ---------------------------------------------------------------------------------------


def test_stop_distance_is_four_atr_of_the_price() -> None:
    assert allocation.stop_distance(1_250.0, 50_000.0) == 0.1  # 4 x 1250 / 50000
    assert math.isnan(allocation.stop_distance(NAN, 50_000.0))


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
def test_target_fraction_of_three_coins(score: float, volatility: float, scale: float, expected: float) -> None:
    assert target_fraction(score, volatility, 0.18, 3, scale) == pytest.approx(expected, rel=1e-12)


def test_target_fraction_shares_the_volatility_among_the_coins() -> None:
    assert target_fraction(1.0, 1.0, 0.18, 2, 1.0) == 0.125  # 0.25 / 1 / 2
    assert target_fraction(1.0, 1.0, 0.18, 1, 1.0) == 0.18  # 0.25: the cap holds


# -- intend ---------------------------------------------------------------------------------------

# Equity 900, volatility 0.5, three coins: the target at full score is 900 / 6 = 150.
EQUITY = 900.0


def intent_of(coin: Coin, scale: float = 1.0) -> allocation.Intent:
    return intend(coin, EQUITY, 0.18, 3, scale, 0.75, 5.0)


def held(usd: float, score: float = 1.0) -> Coin:
    return COIN._replace(held_usd=usd, score=score)


@pytest.mark.parametrize("field", ["score", "volatility", "stop_distance"])
@pytest.mark.parametrize("held_usd", [0.0, 100.0])
def test_intend_with_a_number_missing_refuses(field: str, held_usd: float) -> None:
    intent = intent_of(held(held_usd)._replace(**{field: NAN}))
    assert (intent.action, intent.code, intent.gap_usd) == (codes.REFUSE, codes.HISTORY_TOO_SHORT, 0.0)


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
    intent = intend(held(held_usd), 960.0, 0.18, 3, 1.0, 0.75, 5.0)
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


# -- size_entry: the caps -------------------------------------------------------------------------


def sized(gap_usd: float, coin: Coin = COIN, rules: Rules = COINBASE_BTC, budget: Budget = BUDGET) -> allocation.Size:
    return size_entry(gap_usd, coin, rules, budget)


def with_risk(risk: float) -> Budget:
    return BUDGET._replace(risk_per_trade=risk)


@pytest.mark.parametrize(
    ("case", "notional", "binding"),
    [
        ((100.0, COIN, COINBASE_BTC, BUDGET), 100.0, codes.OK),
        ((300.0, COIN, COINBASE_BTC, BUDGET), 180.0, codes.POSITION_CAP),  # 0.18 x 1000
        ((300.0, held(80.0), COINBASE_BTC, BUDGET), 100.0, codes.POSITION_CAP),  # 180 - 80
        # Loss at the stop on Coinbase: 0.10 + 0.006 + 0.012 x 0.90 + 0.001 = 0.1178; 10 / 0.1178
        ((300.0, COIN, COINBASE_BTC, with_risk(0.01)), 84.889643, codes.RISK_PER_TRADE),
        ((300.0, held(50.0), COINBASE_BTC, with_risk(0.01)), 34.889643, codes.RISK_PER_TRADE),
        # On Kraken: 0.10 + 0.0025 + 0.004 x 0.90 + 0.001 = 0.1071; 10 / 0.1071
        ((300.0, COIN, KRAKEN_BTC, with_risk(0.01)), 93.370682, codes.RISK_PER_TRADE),
        # (200 - 0.15 x 1000) / 1.0025
        ((300.0, COIN, KRAKEN_BTC, BUDGET._replace(free_cash=200.0)), 49.875312, codes.CASH_BUFFER),
        # 50 x 0.99 / 1.006
        ((300.0, COIN, COINBASE_BTC, BUDGET._replace(venue_free_cash=50.0)), 49.204771, codes.VENUE_CASH),
        ((300.0, COIN, KRAKEN_BTC, BUDGET._replace(venue_free_cash=50.0)), 49.376559, codes.VENUE_CASH),
    ],
)
def test_size_entry_takes_the_tightest_cap(
    case: tuple[float, Coin, Rules, Budget], notional: float, binding: int
) -> None:
    size = size_entry(*case)
    lot_usd = 1e-8 * 50_000.0  # $0.0005
    assert (size.code, size.binding) == (codes.OK, binding)
    assert notional - lot_usd - 1e-6 <= size.notional <= notional + 1e-6
    assert size.notional == size.lots * lot_usd
    assert math.isnan(size.limit)
    assert math.isnan(size.actual)


def test_size_entry_rounds_down_to_whole_lots() -> None:
    rules = COINBASE_BTC._replace(lot_step=0.001)
    size = sized(179.0, rules=rules)  # a lot is $50: three fit
    assert (size.lots, size.notional) == (3, 150.0)
    assert sized(150.0, rules=rules).lots == 3
    assert sized(149.99, rules=rules).lots == 2


def test_size_entry_of_a_gap_that_equals_a_cap_is_not_bound_by_it() -> None:
    rules = COINBASE_BTC._replace(lot_step=0.001)
    assert (sized(180.0, rules=rules).binding, sized(180.01, rules=rules).binding) == (codes.OK, codes.POSITION_CAP)


def test_size_entry_corrects_a_quotient_that_was_rounded_up() -> None:
    # 7.7 / 1.1 is 7.0 in floats, but 7 x 1.1 is 7.700000000000001: six lots.
    size = sized(7.7, COIN._replace(price=1.0), COINBASE_BTC._replace(lot_step=1.1))
    assert (size.lots, size.code) == (6, codes.OK)


def test_size_entry_at_15_dollars_is_under_the_position_cap() -> None:
    # 0.18 x 15 = 2.70 < 5: a $15 account holds nothing as long as the smallest trade is $5.
    size = sized(2.5, budget=BUDGET._replace(equity=15.0, free_cash=15.0, venue_free_cash=15.0))
    assert (size.lots, size.code, size.limit, size.actual) == (0, codes.BELOW_MIN_TRADE, 5.0, 2.5)


# -- size_entry: the refusals ---------------------------------------------------------------------


def refused(
    size: allocation.Size, code: int, limit: float, actual: float, *, binding: int = codes.OK, tolerance: float = 1e-6
) -> None:
    assert (size.lots, size.code, size.binding) == (0, code, binding)
    assert size.limit == pytest.approx(limit, rel=1e-6)
    assert size.actual == pytest.approx(actual, rel=1e-6, abs=tolerance)


@pytest.mark.parametrize(
    ("rules", "stop", "round_trip"),
    [
        (COINBASE_BTC, 0.0546, 0.01821862),  # 1.006 / 0.988 - 1; times 3 is 0.05465587
        (KRAKEN_BTC, 0.0195, 0.00652610),  # 1.0025 / 0.996 - 1; times 3 is 0.01957831
    ],
)
def test_size_entry_with_a_stop_inside_three_round_trips_refuses(rules: Rules, stop: float, round_trip: float) -> None:
    size = sized(100.0, COIN._replace(stop_distance=stop), rules)
    refused(size, codes.COSTS_TOO_HIGH, stop / 3.0, round_trip)
    assert size.notional == 100.0
    assert sized(100.0, COIN._replace(stop_distance=stop + 0.0001), rules).lots > 0


def test_size_entry_with_a_stop_at_exactly_three_round_trips_buys() -> None:
    stop = 3.0 * break_even_move(0.006, 0.012)
    assert sized(100.0, COIN._replace(stop_distance=stop)).lots > 0
    assert sized(100.0, COIN._replace(stop_distance=math.nextafter(stop, 0.0))).code == codes.COSTS_TOO_HIGH


@pytest.mark.parametrize(("gap", "room"), [(4.99, 4.99), (0.0, 0.0), (-20.0, 0.0)])
def test_size_entry_of_a_gap_below_the_minimum_trade_refuses(gap: float, room: float) -> None:
    refused(sized(gap), codes.BELOW_MIN_TRADE, 5.0, room)


@pytest.mark.parametrize(
    ("coin", "budget", "code", "room"),
    [
        (COIN, BUDGET._replace(equity=27.0), codes.POSITION_CAP, 4.86),  # 0.18 x 27
        (held(200.0), BUDGET, codes.POSITION_CAP, 0.0),  # more is held than the cap allows
        (COIN, with_risk(0.0005), codes.RISK_PER_TRADE, 4.244482),  # 0.5 / 0.1178
        (COIN, BUDGET._replace(free_cash=154.0), codes.CASH_BUFFER, 3.976143),  # 4 / 1.006
        (COIN, BUDGET._replace(free_cash=100.0), codes.CASH_BUFFER, 0.0),
        (COIN, BUDGET._replace(venue_free_cash=5.0), codes.VENUE_CASH, 4.920477),  # 5 x 0.99 / 1.006
        (COIN, BUDGET._replace(venue_free_cash=0.0), codes.VENUE_CASH, 0.0),
    ],
)
def test_size_entry_refuses_in_the_name_of_the_cap(coin: Coin, budget: Budget, code: int, room: float) -> None:
    refused(sized(100.0, coin, budget=budget), code, 5.0, room, binding=code)


def test_size_entry_of_the_minimum_trade_is_not_rounded_below_it() -> None:
    # BTC at 84,000: a lot is $0.00084, and 5 / 0.00084 = 5952.4 lots: 5952 of them are $4.99968.
    coin = COIN._replace(price=84_000.0)
    refused(sized(5.0, coin), codes.BELOW_MIN_TRADE, 5.0, 4.99968)
    assert sized(5.0009, coin).lots == 5953  # $5.00052


def test_size_entry_with_coarse_lots_is_not_rounded_below_the_minimum_trade() -> None:
    rules = COINBASE_BTC._replace(lot_step=0.00008)  # a lot is $4: one fits into $7
    refused(sized(7.0, rules=rules), codes.BELOW_MIN_TRADE, 5.0, 4.0)
    refused(
        sized(9.0, budget=BUDGET._replace(equity=35.0), rules=rules),  # 0.18 x 35 = 6.30
        codes.BELOW_MIN_TRADE,
        5.0,
        4.0,
        binding=codes.POSITION_CAP,
    )
    assert sized(8.0, rules=rules).lots == 2


@pytest.mark.parametrize(
    ("rules", "price", "minimum"),
    [
        (KRAKEN_SOL, 140.0, 8.40),  # 0.06 x 140
        (KRAKEN_BTC, 120_000.0, 6.00),  # 0.00005 x 120,000
        (KRAKEN_ETH, 6_000.0, 6.00),  # 0.001 x 6,000
    ],
)
def test_size_entry_below_the_minimum_of_the_venue_refuses(rules: Rules, price: float, minimum: float) -> None:
    coin = COIN._replace(price=price)
    # $0.0026 away: a lot of BTC at 120,000 is $0.0012
    refused(
        sized(minimum - 0.0026, coin, rules), codes.BELOW_VENUE_MINIMUM, minimum, minimum - 0.0026, tolerance=0.0013
    )
    size = sized(minimum + 0.0026, coin, rules)
    assert (size.code, size.lots > 0) == (codes.OK, True)
    assert size.notional >= minimum


@pytest.mark.parametrize(
    ("gap", "code", "limit", "actual"),
    [
        (9.99, codes.BELOW_VENUE_MINIMUM, 10.0, 9.99),
        (11.10, codes.UNSELLABLE, 10.0, 9.99),  # at the stop 11.10 x 0.90
        (11.12, codes.OK, NAN, NAN),  # 11.12 x 0.90 = 10.008
    ],
)
def test_size_entry_must_reach_the_minimum_cost_twice(gap: float, code: int, limit: float, actual: float) -> None:
    size = sized(gap, rules=COINBASE_BTC._replace(min_cost=10.0))
    assert (size.code, size.lots > 0) == (code, code == codes.OK)
    assert (size.limit, size.actual) == pytest.approx((limit, actual), abs=6e-4, nan_ok=True)


def test_size_entry_of_bitcoin_on_kraken_is_held_back_by_the_minimum_trade_first() -> None:
    coin = COIN._replace(price=84_000.0)  # 0.00005 BTC = $4.20 < $5
    refused(sized(4.5, coin, KRAKEN_BTC), codes.BELOW_MIN_TRADE, 5.0, 4.5)
    assert sized(5.01, coin, KRAKEN_BTC).lots > 0


@pytest.mark.parametrize("held_usd", [0.0, 50.0])
def test_size_entry_that_the_stop_could_not_sell_refuses(held_usd: float) -> None:
    # $1.10 with a stop 20 % away is worth $0.88 there; Coinbase sells from $1. What is held may lie elsewhere.
    coin = COIN._replace(stop_distance=0.20, held_usd=held_usd)
    budget = BUDGET._replace(min_trade=0.5)
    refused(sized(1.10, coin, budget=budget), codes.UNSELLABLE, 1.0, 0.88, tolerance=5e-4)
    assert sized(1.26, coin, budget=budget).lots > 0  # 1.26 x 0.8 = 1.008


def test_size_entry_with_a_stop_at_or_below_zero_refuses() -> None:
    for stop in (1.0, 1.5):
        size = sized(100.0, COIN._replace(stop_distance=stop))
        assert (size.lots, size.code) == (0, codes.UNSELLABLE)
        assert math.isfinite(size.limit)
        assert math.isfinite(size.actual)


def test_size_entry_that_cannot_compute_a_cap_stops() -> None:
    with pytest.raises(AssertionError, match="cannot be computed"):
        sized(NAN)
    for coin in (COIN._replace(held_usd=NAN), COIN._replace(stop_distance=NAN)):
        with pytest.raises(AssertionError, match="cannot be computed"):
            sized(100.0, coin)
    for field in ("equity", "free_cash", "venue_free_cash", "position_cap", "risk_per_trade", "cash_buffer"):
        with pytest.raises(AssertionError, match="cannot be computed"):
            sized(100.0, budget=BUDGET._replace(**{field: NAN}))


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


def test_stop_distance_of_a_wild_market_leaves_a_price_above_zero() -> None:
    assert stop_distance(25.0, 100.0) == 0.9  # 4 x 25 % is the whole price
    assert stop_distance(2.0, 100.0) == 0.08
    assert math.isnan(stop_distance(NAN, 100.0))


@pytest.mark.parametrize(("held_usd", "action"), [(11.1, codes.HOLD), (10.9, codes.ADD), (20.9, codes.HOLD), (21.1, 3)])
def test_intend_of_a_small_account_needs_the_minimum_trade_too(held_usd: float, action: int) -> None:
    # Equity 96: target 16, band 4.8; but nothing below $5 is traded: 11 to 21 is held.
    intent = intend(held(held_usd), 96.0, 0.18, 3, 1.0, 0.75, 5.0)
    assert intent.action == action
    if action == codes.HOLD:
        assert intent.limit == 5.0


def test_intend_gives_a_tiny_position_up_as_a_whole() -> None:
    intent = intend(held(2.0, score=0.0), 100.0, 0.18, 3, 1.0, 0.75, 5.0)
    assert (intent.action, intent.gap_usd) == (codes.EXIT, -2.0)
