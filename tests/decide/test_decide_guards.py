from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import guards
from bot.decide.guards import Limit

NAN = math.nan


def same(one: Limit, other: tuple[int, float, float]) -> bool:
    """Equality in which a NaN equals a NaN."""
    pairs = zip(one, other, strict=True)
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def just_below(value: float) -> float:
    return math.nextafter(value, -math.inf)


def just_above(value: float) -> float:
    return math.nextafter(value, math.inf)


# -- guards that are active from their limit on ----------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "limit", "active"),
    [
        (0.0, 0.06, 0),
        (-0.02, 0.06, 0),
        (just_below(0.06), 0.06, 0),
        (0.06, 0.06, 1),
        (0.07, 0.06, 1),
        (NAN, 0.06, 1),
        (0.01, NAN, 1),
    ],
)
def test_daily_loss_is_active_from_its_limit_on(loss: float, limit: float, active: int) -> None:
    assert same(guards.daily_loss(loss, limit), (active, loss, limit))


@pytest.mark.parametrize(
    ("below_peak", "limit", "active"),
    [(0.0, 0.12, 0), (just_below(0.12), 0.12, 0), (0.12, 0.12, 1), (0.5, 0.12, 1), (NAN, 0.12, 1), (0.0, NAN, 1)],
)
def test_drawdown_is_active_from_its_limit_on(below_peak: float, limit: float, active: int) -> None:
    assert same(guards.drawdown(below_peak, limit), (active, below_peak, limit))


@pytest.mark.parametrize(("losses", "active"), [(0, 0), (2, 0), (3, 1), (4, 1)])
def test_loss_streak_is_active_from_the_third_loss_on(losses: int, active: int) -> None:
    assert guards.loss_streak(losses, 3) == (active, losses, 3)


@pytest.mark.parametrize(("failed", "active"), [(0, 0), (4, 0), (5, 1), (6, 1)])
def test_error_shutoff_is_active_from_the_fifth_failed_cycle_on(failed: int, active: int) -> None:
    assert guards.error_shutoff(failed, 5) == (active, failed, 5)


@pytest.mark.parametrize(("days", "active"), [(0.0, 0), (just_below(14.0), 0), (14.0, 1), (15.5, 1), (NAN, 1)])
def test_stalled_is_active_from_the_fourteenth_day_on(days: float, active: int) -> None:
    assert same(guards.stalled(days, 14.0), (active, days, 14.0))


@pytest.mark.parametrize(("unanswered", "active"), [(0, 0), (1, 1), (2, 1)])
def test_unknown_venue_is_active_from_the_first_on(unanswered: int, active: int) -> None:
    assert guards.unknown_venue(unanswered) == (active, unanswered, 1)


@pytest.mark.parametrize(
    ("open_positions", "allowed", "active"),
    [(0, 2, 0), (1, 2, 0), (2, 2, 1), (3, 2, 1), (0, 0, 0), (1, 0, 0), (1, 1, 1)],
)
def test_positions_are_full_where_any_are_allowed_and_as_many_are_open(
    open_positions: int, allowed: int, active: int
) -> None:
    assert guards.positions(open_positions, allowed) == (active, open_positions, allowed)


# -- guards that are active below their limit ------------------------------------------------------


@pytest.mark.parametrize(
    ("cash", "buffer", "active"),
    [(0.9, 0.15, 0), (0.15, 0.15, 0), (just_below(0.15), 0.15, 1), (0.0, 0.15, 1), (NAN, 0.15, 1), (0.9, NAN, 1)],
)
def test_cash_buffer_is_active_below_its_limit(cash: float, buffer: float, active: int) -> None:
    assert same(guards.cash_buffer(cash, buffer), (active, cash, buffer))


@pytest.mark.parametrize(
    ("worth", "minimum", "active"),
    [(60.0, 50.0, 0), (50.0, 50.0, 0), (49.99, 50.0, 1), (0.0, 10.0, 1), (NAN, 10.0, 1), (20.0, NAN, 1)],
)
def test_venue_below_its_minimum_is_dormant(worth: float, minimum: float, active: int) -> None:
    assert same(guards.venue_minimum(worth, minimum), (active, worth, minimum))


@pytest.mark.parametrize(
    ("equity", "activated", "active", "limit"),
    [
        (14.99, 0, 1, 15.0),
        (15.0, 0, 0, 15.0),
        (14.88, 1, 0, 13.2),  # after the first fee
        (13.2, 1, 0, 13.2),  # 15 x (1 - 0.12)
        (13.19, 1, 1, 13.2),
        (NAN, 1, 1, 13.2),
        (NAN, 0, 1, 15.0),
    ],
)
def test_activation_asks_for_less_once_active(equity: float, activated: int, active: int, limit: float) -> None:
    reading = guards.activation(equity, activated, 15.0, 0.12)
    assert reading.active == active
    assert reading.limit == pytest.approx(limit, rel=1e-12)


@pytest.mark.parametrize(("min_equity", "max_drawdown"), [(NAN, 0.12), (15.0, NAN)])
def test_activation_without_a_usable_limit_is_active(min_equity: float, max_drawdown: float) -> None:
    assert guards.activation(1000.0, 1, min_equity, max_drawdown).active == 1


@pytest.mark.parametrize(
    ("reward", "minimum", "active"),
    [
        (2.32, 1.8, 0),
        (1.8, 1.8, 0),
        (just_below(1.8), 1.8, 1),
        (0.0, 1.8, 1),
        (-0.5, 1.8, 1),
        (NAN, 1.8, 0),  # nothing has measured it yet: it abstains
        (2.32, NAN, 1),
        (NAN, NAN, 1),
    ],
)
def test_risk_reward_is_active_below_the_minimum_and_abstains_without_a_value(
    reward: float, minimum: float, active: int
) -> None:
    assert same(guards.risk_reward(reward, minimum), (active, reward, minimum))


# -- heat and fees ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heat_usd", "day_loss", "below_peak", "expected"),
    [
        (5.99, 0.0, 0.0, (0, 0.0599, 0.06)),
        (6.0, 0.0, 0.0, (1, 0.06, 0.06)),
        (6.01, 0.0, 0.0, (1, 0.0601, 0.06)),
        (3.0, 0.02, 0.0, (0, 0.03, 0.04)),  # 0.06 - 0.02
        (4.1, 0.02, 0.0, (1, 0.041, 0.04)),
        (3.0, -0.02, 0.0, (0, 0.03, 0.06)),  # a gain of the day gives no room
        (3.0, 0.02, 0.10, (1, 0.03, 0.02)),  # 0.12 - 0.10 is the nearer limit
        (1.0, 0.02, 0.10, (0, 0.01, 0.02)),
        (0.0, 0.06, 0.06, (1, 0.0, 0.0)),  # no room at all
        (0.0, 0.0, 0.13, (1, 0.0, 0.0)),
    ],
)
def test_heat_may_cost_what_daily_loss_and_drawdown_leave(
    heat_usd: float, day_loss: float, below_peak: float, expected: tuple[int, float, float]
) -> None:
    reading = guards.heat(heat_usd, 100.0, 0.06, day_loss, 0.12, below_peak)
    assert tuple(reading) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    "values",
    [
        (NAN, 100.0, 0.06, 0.0, 0.12, 0.0),
        (1.0, NAN, 0.06, 0.0, 0.12, 0.0),
        (1.0, 100.0, NAN, 0.0, 0.12, 0.0),
        (1.0, 100.0, 0.06, NAN, 0.12, 0.0),
        (1.0, 100.0, 0.06, 0.0, NAN, 0.0),
        (1.0, 100.0, 0.06, 0.0, 0.12, NAN),
        (1.0, 0.0, 0.06, 0.0, 0.12, 0.0),  # something at risk and no equity
    ],
)
def test_heat_that_cannot_be_computed_is_active(values: tuple[float, float, float, float, float, float]) -> None:
    assert guards.heat(*values).active == 1


def test_heat_of_an_empty_account_is_none() -> None:
    assert guards.heat(0.0, 0.0, 0.06, 0.0, 0.12, 0.0) == (0, 0.0, 0.06)


def test_heat_of_cents_is_a_share_of_cents() -> None:
    assert guards.heat(0.02, 0.50, 0.06, 0.0, 0.12, 0.0) == (0, 0.04, 0.06)  # 2 of 50 cents


@pytest.mark.parametrize(
    ("fees_usd", "equity", "active", "limit"),
    [
        (0.0, 100.0, 0, 1.0),
        (0.99, 100.0, 0, 1.0),
        (1.0, 100.0, 1, 1.0),
        (1.01, 100.0, 1, 1.0),
        (0.0, 0.0, 0, 0.0),  # nothing spent is no spent budget
        (0.01, 0.0, 1, 0.0),
        (NAN, 100.0, 1, 1.0),
        (0.0, NAN, 1, NAN),
        (0.5, NAN, 1, NAN),
    ],
)
def test_fee_budget_is_one_percent_of_equity(fees_usd: float, equity: float, active: int, limit: float) -> None:
    assert same(guards.fee_budget(fees_usd, equity, 0.01), (active, fees_usd, limit))


# -- prices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bid", "ask", "active", "used"),
    [
        (100.0, 100.0, 0, 0.0),
        (99.95, 100.05, 0, 0.001),  # 0.1 / 100
        (99.75, 100.25, 0, 0.005),  # 0.5 / 100: at the limit
        (99.74, 100.26, 1, 0.0052),
        (0.0999, 0.1001, 0, 0.002),  # 0.0002 / 0.1: a coin of ten cents
        (100.25, 99.75, 1, NAN),  # crossed
        (0.0, 100.0, 1, NAN),
        (-1.0, 100.0, 1, NAN),
        (NAN, 100.0, 1, NAN),
        (100.0, NAN, 1, NAN),
        (100.0, math.inf, 1, NAN),
    ],
)
def test_spread_is_active_above_half_a_percent_of_the_middle(bid: float, ask: float, active: int, used: float) -> None:
    reading = guards.spread(bid, ask, 0.005)
    assert (reading.active, reading.limit) == (active, 0.005)
    assert reading.used == pytest.approx(used, abs=1e-12, nan_ok=True)


def test_spread_without_a_usable_limit_is_active() -> None:
    assert guards.spread(100.0, 100.0, NAN).active == 1


@pytest.mark.parametrize(
    ("price", "other", "active", "used"),
    [
        (100.0, 100.0, 0, 0.0),
        (100.0, 101.99, 0, 0.0199),
        (100.0, 102.0, 0, 0.02),  # 2 / 100: at the limit
        (102.0, 100.0, 0, 0.02),  # whichever is asked first
        (100.0, 102.01, 1, 0.0201),
        (102.01, 100.0, 1, 0.0201),
        (0.50, 0.505, 0, 0.01),  # coins of less than a dollar
        (0.52, 0.50, 1, 0.04),
        (0.0, 100.0, 1, NAN),
        (100.0, 0.0, 1, NAN),
        (NAN, 100.0, 1, NAN),
        (100.0, NAN, 1, NAN),
        (math.inf, 100.0, 1, math.inf),
    ],
)
def test_price_sanity_is_active_above_two_percent_of_the_lower_price(
    price: float, other: float, active: int, used: float
) -> None:
    reading = guards.price_sanity(price, other, 0.02)
    assert (reading.active, reading.limit) == (active, 0.02)
    assert reading.used == pytest.approx(used, abs=1e-12, nan_ok=True)


def test_price_sanity_without_a_usable_limit_is_active() -> None:
    assert guards.price_sanity(100.0, 100.0, NAN).active == 1


@pytest.mark.parametrize(
    ("age", "limit", "active"),
    [(0.0, 900.0, 0), (900.0, 900.0, 0), (900.001, 900.0, 1), (NAN, 900.0, 1), (0.0, NAN, 1)],
)
def test_stale_data_is_active_above_its_limit(age: float, limit: float, active: int) -> None:
    assert same(guards.stale_data(age, limit), (active, age, limit))


# -- what holds for all of them --------------------------------------------------------------------

VALUES = st.floats(0.0, 1e6)


@given(first=VALUES, second=VALUES, limit=VALUES)
def test_guards_never_end_where_the_value_gets_worse(first: float, second: float, limit: float) -> None:
    small, large = sorted((first, second))
    for rises in (guards.daily_loss, guards.drawdown, guards.stale_data, guards.stalled):
        assert rises(small, limit).active <= rises(large, limit).active
    for falls in (guards.cash_buffer, guards.venue_minimum, guards.risk_reward):
        assert falls(large, limit).active <= falls(small, limit).active
    assert guards.fee_budget(small, limit, 0.01).active <= guards.fee_budget(large, limit, 0.01).active
    assert guards.heat(small, 100.0, 0.06, 0.01, 0.12, 0.02).active <= (
        guards.heat(large, 100.0, 0.06, 0.01, 0.12, 0.02).active
    )


@given(day_loss=st.floats(0.0, 0.2), below_peak=st.floats(0.0, 0.2), heat_usd=st.floats(0.0, 20.0))
def test_heat_that_is_allowed_fits_into_both_limits(day_loss: float, below_peak: float, heat_usd: float) -> None:
    if guards.heat(heat_usd, 100.0, 0.06, day_loss, 0.12, below_peak).active == 0:
        assert day_loss + heat_usd / 100.0 < 0.06 + 1e-12
        assert below_peak + heat_usd / 100.0 < 0.12 + 1e-12
