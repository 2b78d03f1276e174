"""Outcomes that nobody knows: asked until answered, never guessed, and a restart in the middle of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    BTC,
    ETH,
    Rig,
    assert_books_equal_venues,
    assert_orders_equal_venues,
    assert_protected,
    look_again,
    make_rig,
)

from bot.domain.orders import Order, OrderState, Purpose
from bot.engine.runner import run_engine

D = Decimal
S = OrderState


def lose_the_answer(rig: Rig, *, arrived: bool) -> None:
    """The next submit is not answered, and then the account's orders cannot be asked for."""
    venue = rig.venue
    (venue.mute if arrived else venue.down).add("submit")

    def silence(order: Order) -> None:
        venue.down |= {"open_orders", "find_order", "fills_since"}

    venue.before["submit"] = silence


def heal(rig: Rig) -> None:
    rig.venue.speak()
    rig.venue.mute.clear()
    rig.venue.before.clear()


@pytest.mark.parametrize("arrived", [True, False])
def test_entry_without_an_answer_is_unknown_and_stays_so_while_the_venue_is_silent(
    tmp_path: Path, arrived: bool
) -> None:
    rig = make_rig(tmp_path)
    lose_the_answer(rig, arrived=arrived)
    rig.first_cycle()
    for _ in range(30):
        rig.cycle()
    assert [o.state for o in rig.orders()] == [S.UNKNOWN]
    assert len(rig.venue.submitted) <= 1  # nothing is sent a second time


def test_unknown_entry_that_arrived_is_found_and_goes_on(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    lose_the_answer(rig, arrived=True)
    rig.first_cycle()
    heal(rig)
    rig.cycle()
    assert [o.state for o in rig.orders()] == [S.OPEN]
    assert rig.orders()[0].venue_order_id == "coinbase-1"

    rig.cycle(BTC=99.9)
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_unknown_entry_that_was_filled_meanwhile_is_booked(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    lose_the_answer(rig, arrived=True)
    rig.first_cycle()
    heal(rig)
    rig.cycle(BTC=99.9)
    assert rig.orders(Purpose.ENTRY)[0].state is S.FILLED
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_unknown_entry_that_never_arrived_is_sent_again_under_the_same_id(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    lose_the_answer(rig, arrived=False)
    rig.first_cycle()
    heal(rig)
    rig.cycle()
    assert [o.state for o in rig.orders()] == [S.UNKNOWN]  # one look is no answer
    rig.cycle()  # from here on: when within its cycle the first look was made nobody knows
    rig.cycle(after_s=29.0)
    assert [o.state for o in rig.orders()] == [S.UNKNOWN]
    rig.cycle(after_s=1.0)
    assert [o.state for o in rig.orders()] == [S.OPEN]
    assert [o.client_order_id for o in rig.venue.submitted] == [rig.orders()[0].client_order_id]  # the first got lost
    rig.cycle(BTC=99.9)
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_unknown_entry_that_never_arrived_twice_is_rejected(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.down.add("submit")
    rig.first_cycle()
    rig.cycle()
    rig.cycle(after_s=30.0)  # sent again, and lost again
    assert [to for (to,) in rig.ledger._rows("SELECT to_state FROM order_events")].count("in_flight") == 2
    rig.venue.speak()
    rig.cycle()
    rig.cycle(after_s=29.0)
    assert [o.state for o in rig.orders()] == [S.UNKNOWN]
    rig.cycle(after_s=1.0)
    assert [o.state for o in rig.orders()] == [S.REJECTED]
    assert rig.venue.submitted == []
    assert rig.refusals() == [("order_rejected", BTC)]
    assert rig.engine.state.sent_again == rig.engine.state.missing_since == {}
    assert_books_equal_venues(rig)


def test_unknown_entry_that_never_arrived_is_not_sent_again_while_nothing_may_be_bought(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    lose_the_answer(rig, arrived=False)
    rig.first_cycle()
    heal(rig)
    rig.cycle()
    rig.control.put("pause")
    rig.cycle()
    rig.cycle()
    assert [o.state for o in rig.orders()] == [S.REJECTED]
    assert rig.venue.submitted == []


@pytest.mark.parametrize("sent_again", [False, True], ids=["unknown", "sent again in this cycle"])
def test_unknown_entry_takes_its_cash_and_the_highest_fee_from_the_next_entry(tmp_path: Path, sent_again: bool) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash_buffer_frac=0.7)
    rig.venue.hidden_candles.add(ETH)  # so that it is decided later
    lose_the_answer(rig, arrived=False)
    rig.first_cycle()
    heal(rig)
    if sent_again:
        rig.cycle()
        rig.cycle()
    rig.venue.hidden_candles.clear()
    rig.cycle(after_s=600.0)
    btc, eth = rig.orders(Purpose.ENTRY)
    assert (btc.symbol, btc.state) == (BTC, S.OPEN if sent_again else S.UNKNOWN)
    assert eth.price is not None
    # $30 above the buffer less $14.999999 and 1.2 % of it are $14.820001: $14.731611 and 0.6 % of it.
    assert 14.731609 < float(eth.quantity * eth.price) < 14.731612


def test_balance_that_an_absent_entry_would_explain_keeps_it_unknown(tmp_path: Path) -> None:
    """Executed, and listed nowhere yet: only the coins tell. Nothing is sent on top of it."""
    rig = make_rig(tmp_path)
    rig.venue.mute.add("submit")
    rig.venue.before["submit"] = lambda order: rig.venue.down.update({"open_orders", "find_order", "fills_since"})
    rig.first_cycle()
    heal(rig)
    hidden: Any = rig.venue
    whole = hidden.open_orders, hidden.find_order, hidden.fills_since
    hidden.open_orders, hidden.find_order = list, lambda order: None
    hidden.fills_since = lambda cursor, *, deep=False: ([], cursor)
    for _ in range(5):
        rig.cycle(BTC=99.9)
    assert [o.state for o in rig.orders()] == [S.UNKNOWN]
    assert rig.engine.book.deposits_usd == D(100)  # the cash that is gone is no withdrawal
    found = rig.cycle().snapshot
    assert found is not None
    assert [(f["code"], f["about"], f["blocks"]) for f in found["findings"]][:1] == [("outcome_unknown", BTC, False)]

    hidden.open_orders, hidden.find_order, hidden.fills_since = whole
    rig.cycle()
    assert len(rig.venue.submitted) == 2  # the entry and, now, its stop
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_unknown_entry_that_arrives_late_is_not_given_up_before(tmp_path: Path) -> None:
    # The request times out, the venue is asked at once and does not have it YET: no answer at all.
    rig = make_rig(tmp_path)
    rig.venue.down.add("submit")
    rig.first_cycle()
    (entry,) = rig.orders()
    assert entry.state is S.UNKNOWN
    rig.cycle(after_s=29.0)
    assert rig.orders()[0].state is S.UNKNOWN

    rig.venue.inner.submit(entry)
    rig.venue.speak()
    rig.cycle(after_s=31.0)
    assert rig.orders()[0].state is S.OPEN
    assert_orders_equal_venues(rig)


def test_stop_that_the_venue_has_lost_without_a_trace_is_placed_again(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    del rig.venue.core._working[rig.stops()[0].client_order_id]
    for _ in range(3):
        rig.cycle()
    assert [o.state for o in rig.orders(Purpose.STOP)] == [S.CANCELED, S.OPEN]
    assert_protected(rig)


def test_symbol_with_an_unknown_order_takes_no_entry_and_the_other_does(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "500", "kraken": "500"})
    rig.venue.hidden_candles.add(ETH)  # only BTC is decided at first
    kraken = rig.venues["kraken"]  # cheaper: the entry goes there
    kraken.mute.add("submit")
    kraken.before["submit"] = lambda order: kraken.down.update({"open_orders", "find_order"})
    rig.first_cycle()
    assert [(o.account, o.symbol, o.state) for o in rig.orders()] == [("kraken", BTC, S.UNKNOWN)]

    rig.venue.hidden_candles.clear()
    rig.venue.core.deposit("USD", D(1000))  # so that the target of BTC grows far beyond the unknown order
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=102.0, ETH=102.0)
    assert rig.refusals() == [("order_pending", BTC)]
    assert rig.refusal("order_pending")[1:] == (1.0, "count", "kraken")
    assert [(o.account, o.symbol) for o in rig.orders()[1:]] == [("coinbase", ETH)]


def test_cash_of_an_unknown_entry_counts_as_spent(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    lose_the_answer(rig, arrived=False)
    rig.first_cycle()
    rig.cycle()  # the venue shows the whole cash as free
    assert rig.venue.core.balances()["USD"].free == D(100)
    assert abs(rig.engine.decider.sizing._free_cash() - 81.784) < 1e-6  # with the taker's fee, 1.2 % of $18


@pytest.mark.parametrize("arrived", [True, False])
def test_unknown_stop_is_asked_for_and_the_position_ends_up_protected(tmp_path: Path, arrived: bool) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    lose_the_answer(rig, arrived=arrived)
    rig.cycle(BTC=99.9)
    assert [o.state for o in rig.stops()] == [S.UNKNOWN]
    for _ in range(3):
        rig.cycle()
    assert len(rig.orders(Purpose.STOP)) == 1  # not a second one on top of it

    heal(rig)
    rig.cycle()
    look_again(rig)
    assert_protected(rig)
    assert_orders_equal_venues(rig)


@pytest.mark.parametrize("arrived", [True, False])
def test_unknown_exit_sells_once(tmp_path: Path, arrived: bool) -> None:
    rig = make_rig(tmp_path).entered()
    lose_the_answer(rig, arrived=arrived)
    rig.control.put("flatten")
    rig.cycle()
    assert [o.state for o in rig.orders(Purpose.EXIT)] == [S.UNKNOWN]
    rig.cycle()
    assert len(rig.orders(Purpose.EXIT)) == 1
    heal(rig)
    for _ in range(3):
        rig.cycle()

    assert "BTC" not in rig.venue.core.balances()
    assert rig.engine.book.positions == {}
    assert [o.state for o in rig.orders(Purpose.EXIT)] == [S.FILLED]
    assert_books_equal_venues(rig)


@pytest.mark.parametrize("arrived", [True, False])
def test_unknown_cancel_is_asked_for(tmp_path: Path, arrived: bool) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    (rig.venue.mute if arrived else rig.venue.down).add("cancel")
    rig.venue.before["cancel"] = lambda order: rig.venue.down.update({"open_orders", "find_order"})
    rig.control.put("pause")
    rig.cycle()
    assert [o.state for o in rig.orders()] == [S.UNKNOWN]

    heal(rig)
    rig.cycle()
    rig.cycle()
    assert [o.state for o in rig.orders()] == [S.CANCELED]
    assert rig.venue.core.open_orders() == []


def put_in_ledger(rig: Rig, state: OrderState, *, arrived: bool) -> Order:
    """An entry as a crash leaves it: journalled, and sent or not."""
    rig.first_cycle()
    resting = rig.orders()[0]
    if not arrived:
        rig.venue.core.cancel(resting)
        del rig.venue.core._ended[resting.client_order_id]  # as if it had never come
    known = resting.venue_order_id if arrived else None
    rig.ledger._run("UPDATE orders SET state = ?, live = 1, venue_order_id = ?", (state.value, known))
    return resting


def test_restart_with_an_intent_refuses_it(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    put_in_ledger(rig, S.INTENT, arrived=False)
    rig.restart()
    rig.cycle()
    assert [o.state for o in rig.orders()] == [S.REFUSED]
    note = rig.ledger._rows("SELECT note FROM order_events ORDER BY seq DESC LIMIT 1")[0][0]
    assert note == "the program ended before it was sent"


@pytest.mark.parametrize("arrived", [True, False])
def test_restart_with_an_order_in_flight_asks_the_venue(tmp_path: Path, arrived: bool) -> None:
    rig = make_rig(tmp_path)
    put_in_ledger(rig, S.IN_FLIGHT, arrived=arrived)
    rig.restart()
    rig.cycle()
    look_again(rig)
    assert [o.state for o in rig.orders()] == [S.OPEN]
    moves = rig.ledger._rows("SELECT from_state, to_state FROM order_events ORDER BY seq")
    again = [("unknown", "in_flight"), ("in_flight", "open")]  # under the same id: the venue does not have it
    assert [tuple(row) for row in moves][2:] == [
        ("in_flight", "unknown"),
        *([("unknown", "open")] if arrived else again),
    ]


def test_restart_with_an_order_in_flight_and_a_silent_venue_keeps_it_unknown(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    put_in_ledger(rig, S.IN_FLIGHT, arrived=True)
    rig.venue.silence()
    rig.restart()
    for _ in range(3):
        result = rig.cycle()
    assert [o.state for o in rig.orders()] == [S.UNKNOWN]
    assert result.mode == "HALTED"
    assert "waiting for coinbase" in result.reason


def test_restart_with_a_cancel_in_flight_finishes_it(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    put_in_ledger(rig, S.CANCEL_IN_FLIGHT, arrived=True)
    rig.restart()
    rig.cycle(after_s=1200.0)
    assert [o.state for o in rig.orders()] == [S.CANCELED]
    assert rig.venue.core.open_orders() == []


def test_stop_of_unknown_outcome_is_settled_although_every_cycle_is_long(tmp_path: Path) -> None:
    """A venue that answers slowly makes cycles of 85 s; that is no clock that was stepped."""
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.down.add("submit")
    rig.cycle(BTC=99.9)
    rig.venue.speak()
    due_at = rig.now
    for _ in range(3):
        rig.clock.moment += timedelta(seconds=85)
        due_at = rig.now
        rig.engine.cycle(rig.now, due_at=due_at)
    assert_protected(rig)


def test_clock_that_is_stepped_between_two_looks_makes_no_order_absent(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.down.add("submit")
    rig.first_cycle()
    rig.cycle()
    due_at = rig.now + timedelta(seconds=60)
    rig.clock.moment += timedelta(hours=1)
    rig.engine.cycle(rig.now, due_at=due_at)
    assert [o.state for o in rig.orders()] == [S.UNKNOWN]
    assert rig.engine.desk.absent == set()


def test_run_for_one_cycle_goes_on_until_an_outcome_is_known(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.down.add("submit")
    rig.cycle(BTC=99.9)
    rig.venue.speak()
    rig.restart(busy_poll_s=20.0)
    cycles: list[datetime] = []
    run_engine(
        rig.engine,
        rig.clock,
        stopped=lambda: False,
        on_cycle=lambda result: cycles.append(result.at),
        cycles=1,
        settling_most=6,
    )
    assert [(later - earlier).total_seconds() for earlier, later in pairwise(cycles)] == [20.0, 20.0]
    assert_protected(rig)


def test_order_that_has_been_seen_is_never_sent_again(tmp_path: Path) -> None:
    """It has filled in part, its cancellation is lost, and then the venue lists it nowhere: it has ended."""
    rig = make_rig(tmp_path)
    rig.first_cycle()
    (entry,) = rig.entries()
    rig.ledger._run(
        "UPDATE orders SET state = 'unknown', venue_order_id = NULL, filled_quantity = '0.01' WHERE live = 1"
    )
    rig.venue.core.cancel(entry)
    del rig.venue.core._ended[entry.client_order_id]
    rig.restart()
    sent = len(rig.venue.submitted)
    for _ in range(4):
        rig.cycle()
    assert [o.state for o in rig.orders()] == [S.CANCELED]
    assert len(rig.venue.submitted) == sent
