"""The order state machine: every pair of states, and any walk over the legal ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import InvariantError
from bot.domain.orders import (
    FINAL_STATES,
    TRANSITIONS,
    Order,
    OrderState,
    OrderType,
    Purpose,
    Side,
)

D = Decimal
T0 = datetime(2024, 1, 1, tzinfo=UTC)
S = OrderState

# Written out a second time on purpose: a change of the machine must be wanted in two places.
LEGAL = {
    (S.INTENT, S.IN_FLIGHT),
    (S.INTENT, S.REFUSED),
    (S.IN_FLIGHT, S.OPEN),
    (S.IN_FLIGHT, S.PARTLY_FILLED),
    (S.IN_FLIGHT, S.FILLED),
    (S.IN_FLIGHT, S.CANCELED),
    (S.IN_FLIGHT, S.REJECTED),
    (S.IN_FLIGHT, S.UNKNOWN),
    (S.OPEN, S.PARTLY_FILLED),
    (S.OPEN, S.FILLED),
    (S.OPEN, S.CANCEL_IN_FLIGHT),
    (S.OPEN, S.CANCELED),
    (S.OPEN, S.UNKNOWN),
    (S.PARTLY_FILLED, S.PARTLY_FILLED),
    (S.PARTLY_FILLED, S.FILLED),
    (S.PARTLY_FILLED, S.CANCEL_IN_FLIGHT),
    (S.PARTLY_FILLED, S.CANCELED),
    (S.PARTLY_FILLED, S.UNKNOWN),
    (S.CANCEL_IN_FLIGHT, S.OPEN),
    (S.CANCEL_IN_FLIGHT, S.PARTLY_FILLED),
    (S.CANCEL_IN_FLIGHT, S.FILLED),
    (S.CANCEL_IN_FLIGHT, S.CANCELED),
    (S.CANCEL_IN_FLIGHT, S.UNKNOWN),
    (S.UNKNOWN, S.IN_FLIGHT),
    (S.UNKNOWN, S.OPEN),
    (S.UNKNOWN, S.PARTLY_FILLED),
    (S.UNKNOWN, S.FILLED),
    (S.UNKNOWN, S.CANCELED),
    (S.UNKNOWN, S.REJECTED),
}
PAIRS = [(before, after) for before in S for after in S]


def make_order(state: OrderState = S.INTENT, *, filled: str = "0", quantity: str = "10") -> Order:
    return Order(
        client_order_id="id",
        account="coinbase",
        symbol="BTC/USD",
        intent_number=1,
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=D(quantity),
        price=D(100),
        reason="test",
        state=state,
        filled_quantity=D(filled),
        created_at=T0,
        updated_at=T0,
    )


@pytest.mark.parametrize(("before", "after"), [pair for pair in PAIRS if pair in LEGAL])
def test_order_moved_to_legal_state_is_there(before: OrderState, after: OrderState) -> None:
    moved = make_order(before).moved_to(after, at=T0 + timedelta(hours=1), venue_order_id="v-1")
    assert moved.state is after
    assert moved.updated_at == T0 + timedelta(hours=1)
    assert moved.created_at == T0
    assert moved.venue_order_id == "v-1"


@pytest.mark.parametrize(("before", "after"), [pair for pair in PAIRS if pair not in LEGAL])
def test_order_moved_to_illegal_state_raises_and_names_both(before: OrderState, after: OrderState) -> None:
    with pytest.raises(InvariantError, match=rf"no transition from {before} to {after}"):
        make_order(before).moved_to(after, at=T0)


def test_transitions_cover_every_state() -> None:
    assert set(TRANSITIONS) == set(S)


@pytest.mark.parametrize("state", list(S))
def test_order_is_live_until_a_final_state(state: OrderState) -> None:
    final = state in {S.FILLED, S.CANCELED, S.REJECTED, S.REFUSED}
    assert (state in FINAL_STATES) is final
    assert make_order(state).is_live is not final


def test_unknown_order_never_becomes_refused_or_intent() -> None:
    # Unknown means that it may have arrived: only the venue's answer ends that, never a local refusal.
    assert not TRANSITIONS[S.UNKNOWN] & {S.REFUSED, S.INTENT, S.UNKNOWN}


def test_order_filled_quantity_that_falls_raises() -> None:
    order = make_order(S.PARTLY_FILLED, filled="4")
    with pytest.raises(InvariantError, match="filled quantity fell from 4 to 3"):
        order.moved_to(S.PARTLY_FILLED, at=T0, filled_quantity=D(3))


def test_order_moved_without_a_quantity_keeps_what_was_filled() -> None:
    moved = make_order(S.PARTLY_FILLED, filled="4").moved_to(S.CANCEL_IN_FLIGHT, at=T0)
    assert moved.filled_quantity == D(4)
    assert moved.remaining == D(6)  # 10 - 4


def test_order_moved_without_a_venue_id_keeps_the_known_one() -> None:
    known = make_order(S.IN_FLIGHT).moved_to(S.OPEN, at=T0, venue_order_id="v-1")
    assert known.moved_to(S.CANCELED, at=T0).venue_order_id == "v-1"


@pytest.mark.parametrize("filled", ["-1", "10.00000001"])
def test_order_filled_outside_its_quantity_is_no_order(filled: str) -> None:
    with pytest.raises(AssertionError, match="filled"):
        make_order(S.OPEN, filled=filled)


@given(st.lists(st.tuples(st.sampled_from(list(S)), st.integers(0, 12)), max_size=25))
def test_walk_over_legal_transitions_never_leaves_a_final_state_and_never_unfills(
    steps: list[tuple[OrderState, int]],
) -> None:
    order = make_order()
    for state, filled in steps:
        before = order
        try:
            order = order.moved_to(state, at=T0, filled_quantity=D(filled))
        except (InvariantError, AssertionError):  # refused: the order stays what it was
            assert state not in TRANSITIONS[before.state] or filled < before.filled_quantity or filled > 10
            continue
        assert before.state not in FINAL_STATES
        assert before.filled_quantity <= order.filled_quantity <= order.quantity
        assert (before.state, order.state) in LEGAL


def test_limit_order_without_a_price_is_no_order() -> None:
    with pytest.raises(AssertionError, match="limit order"):
        _typed(OrderType.LIMIT, price=None, stop=None, post_only=False)


def test_market_order_with_a_price_is_no_order() -> None:
    with pytest.raises(AssertionError, match="limit order"):
        _typed(OrderType.MARKET, price="1", stop=None, post_only=False)


def test_stop_order_without_a_stop_price_is_no_order() -> None:
    with pytest.raises(AssertionError, match="stop price"):
        _typed(OrderType.STOP, price=None, stop=None, post_only=False)


def test_post_only_order_that_is_no_limit_is_no_order() -> None:
    with pytest.raises(AssertionError, match="post-only"):
        _typed(OrderType.STOP, price=None, stop="1", post_only=True)


def test_order_of_nothing_or_without_time_zone_is_no_order() -> None:
    with pytest.raises(AssertionError, match="positive"):
        make_order(quantity="0")
    with pytest.raises(AssertionError, match="tz-aware"):
        _typed(OrderType.MARKET, price=None, stop=None, post_only=False, at=T0.replace(tzinfo=None))


def _typed(kind: OrderType, *, price: str | None, stop: str | None, post_only: bool, at: datetime = T0) -> Order:
    return Order(
        client_order_id="id",
        account="coinbase",
        symbol="BTC/USD",
        intent_number=1,
        purpose=Purpose.EXIT,
        side=Side.SELL,
        type=kind,
        quantity=D(1),
        price=None if price is None else D(price),
        stop_price=None if stop is None else D(stop),
        post_only=post_only,
        reason="test",
        created_at=at,
        updated_at=at,
    )
