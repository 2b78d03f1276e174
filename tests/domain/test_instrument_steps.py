"""Instruments: rounding to lots and ticks, and the smallest order a venue takes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.instrument import Instrument

D = Decimal
BTC = Instrument(
    symbol="BTC/USD",
    base="BTC",
    quote="USD",
    lot_step=D("0.0001"),
    tick_size=D("0.05"),
    min_amount=D("0.0005"),
    min_cost=D("10"),
)
steps = st.sampled_from([D("1"), D("0.5"), D("0.1"), D("0.05"), D("0.001"), D("0.00000001")])
prices = st.decimals(min_value=D("0.01"), max_value=D(100_000), places=4)
amounts = st.decimals(min_value=D(0), max_value=D(1000), places=9)


def test_lots_in_a_quantity_are_rounded_down() -> None:
    assert BTC.lots_in(D("0.00029999")) == 2  # 2.9999 lots
    assert BTC.lots_in(D("0.0003")) == 3
    assert BTC.lots_in(D("0.00009")) == 0


def test_quantity_and_price_are_whole_steps() -> None:
    assert BTC.quantity_of(7) == D("0.0007")
    assert BTC.price_of(3) == D("0.15")


def test_price_between_two_ticks_goes_down_and_up() -> None:
    assert BTC.price_down(D("100.07")) == D("100.05")
    assert BTC.price_up(D("100.07")) == D("100.10")


def test_price_on_a_tick_stays() -> None:
    assert BTC.price_down(D("100.05")) == BTC.price_up(D("100.05")) == D("100.05")


def test_minimum_quantity_where_the_cost_decides_is_rounded_up() -> None:
    # $10 at 7,000 are 0.00142857 BTC: 15 lots
    assert BTC.minimum_quantity_at(D(7_000)) == D("0.0015")


def test_minimum_quantity_where_the_amount_decides_is_that_amount() -> None:
    # $10 at 30,000 are 0.00033333 BTC, less than min_amount
    assert BTC.minimum_quantity_at(D(30_000)) == D("0.0005")


def test_minimum_quantity_without_minimums_is_one_lot() -> None:
    free = replace(BTC, min_amount=D(0), min_cost=D(0))
    assert free.minimum_quantity_at(D(30_000)) == D("0.0001")


def test_minimum_quantity_counts_the_multiplier() -> None:
    # One contract of 0.01 BTC at 10,000 is worth $100: $250 need 2.5 -> 3 contracts.
    contract = replace(BTC, lot_step=D(1), min_amount=D(1), min_cost=D(250), multiplier=D("0.01"))
    assert contract.minimum_quantity_at(D(10_000)) == D(3)


def test_minimum_quantity_on_an_odd_minimum_is_whole_lots() -> None:
    odd = replace(BTC, lot_step=D("0.0003"), min_cost=D(0))
    assert odd.minimum_quantity_at(D(100)) == D("0.0006")  # 0.0005 is 1.67 lots


@pytest.mark.parametrize("price", ["0", "-1"])
def test_minimum_quantity_without_a_price_is_refused(price: str) -> None:
    with pytest.raises(AssertionError):
        BTC.minimum_quantity_at(D(price))


@pytest.mark.parametrize(
    ("field", "value"), [("lot_step", 0), ("tick_size", -1), ("min_amount", -1), ("min_cost", -1), ("multiplier", 0)]
)
def test_instrument_with_an_impossible_step_or_minimum_is_refused(field: str, value: int) -> None:
    with pytest.raises(AssertionError):
        replace(BTC, **cast(Any, {field: D(value)}))


@given(steps, amounts)
def test_lots_never_exceed_the_quantity_and_miss_less_than_one(step: Decimal, quantity: Decimal) -> None:
    instrument = replace(BTC, lot_step=step)
    left = quantity - instrument.quantity_of(instrument.lots_in(quantity))
    assert 0 <= left < step


@given(steps, prices)
def test_prices_round_to_the_two_ticks_around(tick: Decimal, price: Decimal) -> None:
    instrument = replace(BTC, tick_size=tick)
    below, above = instrument.price_down(price), instrument.price_up(price)
    assert below <= price <= above
    assert above - below in (0, tick)
    assert below % tick == 0


@given(steps, prices, amounts, amounts)
def test_minimum_quantity_is_the_smallest_whole_number_of_lots_that_holds_both_minimums(
    step: Decimal, price: Decimal, min_amount: Decimal, min_cost: Decimal
) -> None:
    instrument = replace(BTC, lot_step=step, min_amount=min_amount, min_cost=min_cost)

    def fits(quantity: Decimal) -> bool:
        return quantity >= max(min_amount, step) and quantity * price >= min_cost

    found = instrument.minimum_quantity_at(price)
    assert found % step == 0
    assert fits(found)
    assert not fits(found - step)
