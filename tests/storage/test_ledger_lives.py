"""Property: whatever lives orders have, the ledger reads back what was recorded."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_samples import T0, an_order

from bot.domain.orders import TRANSITIONS, Order, OrderState
from bot.storage.ledger import SqliteLedger

_STATES = list(OrderState)


@st.composite
def a_life(draw: st.DrawFn, number: int) -> list[Order]:
    """One order in all of its states, from the intent on."""
    lots = draw(st.integers(1, 10**12))
    order = an_order(number, symbol=draw(st.sampled_from(["BTC/USD", "ETH/USD"])), quantity=f"{lots}e-8")
    life = [order]
    filled = 0
    for step in range(1, draw(st.integers(0, 8)) + 1):
        following = sorted(TRANSITIONS[order.state])
        if not following:
            break
        filled = draw(st.integers(filled, lots))
        order = order.moved_to(
            draw(st.sampled_from(following)),
            at=T0 + timedelta(microseconds=step * 7),
            venue_order_id=draw(st.sampled_from([None, f"v{number}"])),
            filled_quantity=Decimal(f"{filled}e-8"),
        )
        life.append(order)
    return life


@st.composite
def interleaved_lives(draw: st.DrawFn) -> list[tuple[Order | None, Order]]:
    """Steps (order before, order after) of several lives, each life in its order."""
    lives = [draw(a_life(number)) for number in range(1, draw(st.integers(1, 4)) + 1)]
    steps = [[(None, life[0]), *pairwise(life)] for life in lives]
    turns = draw(st.permutations([n for n, life in enumerate(steps) for _ in life]))
    return [steps[n].pop(0) for n in turns]


@settings(max_examples=60, deadline=None)
@given(steps=interleaved_lives(), grouped=st.booleans())
def test_order_lives_recorded_are_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Order | None, Order]], grouped: bool
) -> None:
    path = tmp_path_factory.mktemp("lives") / "ledger.sqlite3"
    expected: dict[str, Order] = {}
    with SqliteLedger(path, durable=False) as ledger:
        for before, after in steps:
            if before is None:
                ledger.record_intent(after)
            elif grouped:
                with ledger.transaction():
                    ledger.record_transition(after, before.state)
            else:
                ledger.record_transition(after, before.state)
            expected[after.client_order_id] = after
    with SqliteLedger(path, durable=False) as ledger:
        assert {name: ledger.order(name) for name in expected} == expected
        # dicts keep the order of first insertion: that of the intents
        assert ledger.live_orders() == [order for order in expected.values() if order.is_live]
