"""Journal first: what the ledger holds when the venue is asked, and what it learns from the answer."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from engine_rig import (
    BTC,
    QUANTITY,
    Rig,
    assert_books_equal_venues,
    assert_orders_equal_venues,
    assert_protected,
    make_rig,
)

from bot.domain.account import Fill, Liquidity
from bot.domain.orders import Order, OrderState, Purpose, Side, client_order_id

D = Decimal
S = OrderState


def events(rig: Rig, order: Order) -> list[tuple[str, str]]:
    rows = rig.ledger._rows(
        "SELECT from_state, to_state FROM order_events WHERE client_order_id = ? ORDER BY seq", (order.client_order_id,)
    )
    return [(row[0], row[1]) for row in rows]


def test_order_that_is_sent_is_in_flight_in_the_ledger_and_outside_a_transaction(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    seen = []

    def look(order: Order) -> None:
        seen.append((rig.ledger.order(order.client_order_id), rig.ledger._in_block))

    rig.venue.before["submit"] = look
    rig.first_cycle()

    ((stored, in_transaction),) = seen
    assert not in_transaction
    assert stored == rig.venue.submitted[0]
    assert stored is not None
    assert stored.state is S.IN_FLIGHT
    assert (stored.quantity, stored.price, stored.post_only) == (QUANTITY, D("99.95"), True)
    assert stored.client_order_id == client_order_id(rig.ledger.epoch, "coinbase", BTC, 1)


def test_order_that_is_cancelled_is_in_cancel_flight_in_the_ledger_before(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    seen = []
    rig.venue.before["cancel"] = lambda order: seen.append(
        (rig.ledger.order(order.client_order_id), rig.ledger._in_block)
    )
    rig.control.put("pause")
    rig.cycle()

    ((stored, in_transaction),) = seen
    assert not in_transaction
    assert stored is not None
    assert stored.state is S.CANCEL_IN_FLIGHT
    assert [o.state for o in rig.orders()] == [S.CANCELED]
    assert events(rig, rig.orders()[0]) == [
        ("intent", "in_flight"),
        ("in_flight", "open"),
        ("open", "cancel_in_flight"),
        ("cancel_in_flight", "canceled"),
    ]


def test_entry_that_fills_later_becomes_a_position(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()

    entry = rig.orders(Purpose.ENTRY)[0]
    assert (entry.state, entry.filled_quantity) == (S.FILLED, QUANTITY)
    position = rig.engine.book.positions["coinbase", BTC]
    # cost 0.18009004 * 99.95 = 17.999999498; fee 0.6 % of it = 0.107999996988, rounded up to eight decimals
    assert (position.quantity, position.cost, position.fees) == (QUANTITY, D("17.999999498"), D("0.108"))
    assert rig.engine.book.cash["coinbase", "USD"] == D("81.892000502")  # 100 - 17.999999498 - 0.108
    assert_books_equal_venues(rig)
    assert_orders_equal_venues(rig)


def test_order_that_fills_at_once_is_booked_in_the_same_cycle(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.control.put("flatten")
    result = rig.cycle()

    sale = rig.orders(Purpose.EXIT)[0]
    assert events(rig, sale) == [("intent", "in_flight"), ("in_flight", "open"), ("open", "filled")]
    assert [fill.side for fill in result.fills] == [Side.SELL]
    assert rig.engine.book.positions == {}
    assert_books_equal_venues(rig)


def test_order_that_is_rejected_ends_and_is_refused_with_its_reason(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    told = "the market is in maintenance"
    rig.venue.rejections = [told]
    result = rig.first_cycle()

    assert [o.state for o in rig.orders()] == [S.REJECTED]
    assert [(order.client_order_id, reason) for order, reason in result.rejections] == [
        (rig.orders()[0].client_order_id, told)
    ]
    assert rig.cycle().rejections == ()  # told once
    note = rig.ledger._rows("SELECT note FROM order_events ORDER BY seq DESC LIMIT 1")[0][0]
    assert note == told
    assert rig.refusals() == [("order_rejected", BTC)]
    assert rig.engine.desk.live() == []


def test_order_filled_in_parts_counts_each_and_the_stop_grows(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.next_fill_fraction = D("0.25")
    rig.cycle(BTC=99.9)

    entry = rig.orders(Purpose.ENTRY)[0]
    assert (entry.state, entry.filled_quantity) == (S.PARTLY_FILLED, D("0.04502251"))  # a quarter
    assert [stop.quantity for stop in rig.stops()] == [D("0.04502251")]

    rig.cycle(BTC=99.8)
    entry = rig.orders(Purpose.ENTRY)[0]
    assert (entry.state, entry.filled_quantity) == (S.FILLED, QUANTITY)
    assert ("partly_filled", "filled") in events(rig, entry)
    assert_protected(rig)
    risk = rig.engine.book.positions["coinbase", BTC].initial_risk_usd
    assert risk is not None
    assert abs(risk - D("1.69313")) < D("0.00001")  # the whole cost of 18 times 0.0940630, not the first part's
    assert_books_equal_venues(rig)


def test_cancel_that_loses_the_race_against_the_fill_books_the_fill(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.control.put("pause")
    rig.venue.before["cancel"] = lambda order: rig.venue.core.on_open(BTC, 99.0, rig.now + timedelta(seconds=1))
    rig.cycle()

    entry = rig.orders(Purpose.ENTRY)[0]
    assert (entry.state, entry.filled_quantity) == (S.FILLED, QUANTITY)
    assert events(rig, entry)[-1] == ("cancel_in_flight", "filled")
    assert rig.refusals() == []  # it was taken
    assert_protected(rig)  # in the same cycle
    assert_books_equal_venues(rig)


def test_cancel_that_races_a_fill_still_knows_what_the_position_risks(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.control.put("pause")
    rig.venue.before["cancel"] = lambda order: rig.venue.core.on_open(BTC, 99.0, rig.now + timedelta(seconds=1))
    rig.cycle()
    rig.cycle()

    # The quantity times 9.41, the way from 99.95 to the stop at 90.54.
    assert rig.engine.book.positions["coinbase", BTC].initial_risk_usd == D("1.6946472764")


def test_cancel_of_a_partly_filled_entry_keeps_what_was_filled(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.next_fill_fraction = D("0.5")
    rig.cycle(BTC=99.9)
    rig.control.put("pause")
    rig.cycle(BTC=101.0)

    entry = rig.orders(Purpose.ENTRY)[0]
    assert (entry.state, entry.filled_quantity) == (S.CANCELED, D("0.09004502"))
    assert rig.engine.book.positions["coinbase", BTC].quantity == D("0.09004502")
    assert ("entry_not_filled", BTC) not in rig.refusals()
    assert_protected(rig)


def test_fill_that_is_told_twice_is_booked_once(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.venue.repeat_fills = True
    before = dict(rig.engine.book.cash)
    result = rig.cycle()

    assert result.fills == ()
    assert rig.engine.book.cash == before
    assert len(rig.ledger.fills()) == 1


def test_fill_of_somebody_elses_order_is_not_booked(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    foreign = Fill(
        fill_id="x-1",
        account="coinbase",
        symbol=BTC,
        client_order_id="not-ours",
        side=Side.BUY,
        quantity=D(1),
        price=D(100),
        fee=D(1),
        liquidity=Liquidity.TAKER,
        at=rig.now,
    )
    rig.venue.extra_fills = [foreign]
    rig.first_cycle()

    assert rig.ledger.fills() == []
    assert rig.engine.book.positions == {}
    assert rig.engine.book.cash == {("coinbase", "USD"): D(100)}


def test_foreign_coins_are_shown_and_never_counted_or_sold(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.core.deposit("BTC", D(3))
    result = rig.first_cycle()
    assert result.snapshot is not None
    assert result.snapshot["venues"][0]["foreign_assets"] == {"BTC": "3"}
    assert result.equity == 100.0
    rig.cycle()

    rig.cycle(BTC=99.9)
    rig.control.put("flatten")
    result = rig.cycle()
    assert rig.engine.book.positions == {}
    assert rig.venue.core.balances()["BTC"].total == D(3)


def test_books_rebuilt_from_the_ledger_are_the_same(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.control.put("flatten")
    rig.cycle(BTC=97.0)
    rig.control.put("resume", reset_drawdown=False)
    rig.next_decision(BTC=102.0)
    rig.cycle(BTC=101.8)
    before, performance = rig.engine.book, rig.engine.performance
    assert before.positions
    assert before.trades
    rig.restart()

    assert rig.engine.book == before
    assert rig.engine.performance == performance


def test_new_ledger_never_repeats_an_old_id(tmp_path: Path) -> None:
    one, two = make_rig(tmp_path / "one"), make_rig(tmp_path / "two")
    one.first_cycle()
    two.first_cycle()
    assert one.orders()[0].intent_number == two.orders()[0].intent_number == 1
    assert one.orders()[0].client_order_id != two.orders()[0].client_order_id
