"""Accounts on which no stop can rest, and stops that rest and do not sell: the bot watches the price itself.

Coinbase's rules as in the rig: the entry of .18009004 BTC at 99.95 has its stop at 90.54.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    BTC,
    QUANTITY,
    Fuse,
    ProcessDiedError,
    Rig,
    assert_books_equal_venues,
    assert_orders_equal_venues,
    assert_protected,
    look_again,
    make_rig,
)

from bot.domain.modes import Strategy
from bot.domain.orders import OrderReport, OrderState, OrderType, Purpose, Side
from bot.engine.state import ExitPlan

D = Decimal
S = OrderState
NAME = f"coinbase|{BTC}"
STOP = "90.54"
AT_STOP = f"the price is at its stop of {STOP} or below"
OVERDUE = f"the stop of {STOP} was reached and did not sell"
RESTARTED_AFTER = timedelta(seconds=31)


def test_cycles_come_sooner_while_a_stop_is_watched(tmp_path: Path) -> None:
    rig = watched_rig(tmp_path, busy_poll_s=20.0)
    result = rig.cycle()
    assert (result.next_cycle_at - result.at).total_seconds() == 20.0


def watched_rig(folder: Path, *, fuse: Fuse | None = None, **changes: Any) -> Rig:
    """A position on an account where no stop can rest; the rig's venue fails at a stop order."""
    rig = make_rig(folder, fuse=fuse, **changes)
    rig.venue.rests = False
    return rig.entered()


def sales(rig: Rig) -> list[tuple[OrderType, Decimal, Decimal | None, str]]:
    return [(o.type, o.filled_quantity, o.price, o.reason) for o in rig.orders(Purpose.EXIT)]


def test_account_that_can_hold_no_stop_gets_none_and_the_price_is_remembered(tmp_path: Path) -> None:
    rig = watched_rig(tmp_path)
    for price in (95.0, 120.0, 91.0):
        rig.cycle(BTC=price)
    assert rig.orders(Purpose.STOP) == []
    assert rig.engine.state.stops[NAME].stop_price == STOP
    assert rig.engine.book.positions["coinbase", BTC].quantity == QUANTITY


# Half a spread below 90.60 is 90.5547, below 90.59 it is 90.5447: bids of 90.55 and 90.54.
@pytest.mark.parametrize(("price", "sold"), [(90.60, False), (90.59, True), (80.0, True)])
def test_bid_at_the_watched_stop_sells_everything(tmp_path: Path, price: float, sold: bool) -> None:
    rig = watched_rig(tmp_path)
    rig.cycle(BTC=price)
    assert (rig.engine.book.positions == {}) is sold
    assert [row[3] for row in sales(rig)] == ([AT_STOP] if sold else [])


def test_watched_sale_is_bounded_two_percent_below_the_bid(tmp_path: Path) -> None:
    rig = watched_rig(tmp_path)
    rig.cycle(BTC=90.5)  # bid 90.4547 -> 90.45; 2 % below are 88.641
    assert sales(rig) == [(OrderType.IOC, QUANTITY, D("88.64"), AT_STOP)]
    assert rig.engine.desk.live() == []
    assert rig.engine.state.stops == {}
    assert_books_equal_venues(rig)


def test_watched_sale_in_parts_goes_on_until_all_is_sold(tmp_path: Path) -> None:
    rig = watched_rig(tmp_path)
    rig.venue.core.next_fill_fraction = D("0.5")
    rig.cycle(BTC=90.5)  # 4 % below 90.45 are 86.832
    half = D("0.09004502")
    assert [row[:3] for row in sales(rig)] == [(OrderType.IOC, half, D("88.64")), (OrderType.IOC, half, D("86.83"))]
    assert rig.engine.book.positions == {}
    assert rig.orders(Purpose.STOP) == []
    assert_books_equal_venues(rig)


def test_watched_stop_is_remembered_over_a_restart(tmp_path: Path) -> None:
    rig = watched_rig(tmp_path)
    rig.restart()
    rig.cycle(BTC=91.0)
    assert sales(rig) == []
    rig.restart()
    rig.cycle(BTC=90.5)
    assert rig.engine.book.positions == {}


def test_watched_stop_sells_in_a_halt(tmp_path: Path) -> None:
    rig = watched_rig(tmp_path)
    rig.control.put("halt")
    rig.cycle(BTC=92.0)
    assert sales(rig) == []
    rig.cycle(BTC=90.5)
    assert [row[3] for row in sales(rig)] == [AT_STOP]
    assert rig.engine.book.positions == {}


def test_watched_stop_of_a_silent_venue_sells_when_it_answers(tmp_path: Path) -> None:
    rig = watched_rig(tmp_path)
    rig.venue.silence()
    rig.cycle(BTC=85.0)
    assert sales(rig) == []
    rig.venue.speak()
    rig.cycle(BTC=84.0)
    assert [row[3] for row in sales(rig)] == [AT_STOP]
    assert rig.engine.book.positions == {}


def test_part_is_sold_without_a_stop_for_the_rest_where_none_can_rest(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"kraken": "1000"}, strategy=Strategy.BREAKOUT)
    rig.venue.rests = False
    rig.entered(BTC=99.8)
    rig.cycle(BTC=108.5)  # the first target, as in the tests of exits
    assert [(row[1], row[3]) for row in sales(rig)] == [(D("0.59459459"), "target 1 of 3 (1.8 R)")]
    assert rig.orders(Purpose.STOP) == []
    assert rig.engine.state.stops[f"kraken|{BTC}"].stop_price == "100.6"  # break-even
    rig.cycle(BTC=100.6)  # bid 100.5
    assert rig.engine.book.positions == {}
    assert [row[3] for row in sales(rig)][1:] == ["the price is at its stop of 100.60 or below"]


def test_stop_is_placed_once_the_account_can_hold_one(tmp_path: Path) -> None:
    rig = watched_rig(tmp_path)
    rig.venue.rests = True
    rig.cycle()
    assert [(o.quantity, o.stop_price) for o in rig.stops()] == [(QUANTITY, D(STOP))]
    assert_protected(rig)


def test_stop_that_rests_stays_when_the_account_can_hold_no_more(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.venue.rests = False
    rig.cycle(BTC=95.0)
    assert_protected(rig)
    rig.control.put("flatten")
    rig.cycle()
    assert [o.state for o in rig.orders(Purpose.STOP)] == [S.CANCELED]
    assert rig.engine.book.positions == {}


def test_death_at_any_call_of_a_watched_sale_sells_once(tmp_path: Path) -> None:
    whole = watched_rig(tmp_path / "whole")
    whole.fuse.touched = 0
    whole.cycle(BTC=90.5)
    calls, expected = whole.fuse.touched, whole.engine.book.cash
    assert calls > 5
    for n in range(1, calls + 1):
        rig = watched_rig(tmp_path / f"{n}")
        rig.fuse.touched, rig.fuse.left = 0, n
        with pytest.raises(ProcessDiedError):
            rig.cycle(BTC=90.5)
        rig.clock.moment += RESTARTED_AFTER
        rig.restart()
        rig.cycle(after_s=0.0)
        look_again(rig)
        assert rig.engine.book.positions == {}, f"died at call {n} of {calls}, {rig.fuse.at}"
        assert rig.engine.book.cash == expected, f"died at call {n} of {calls}, {rig.fuse.at}"
        assert_books_equal_venues(rig)
        assert_orders_equal_venues(rig)
        rig.ledger.close()


# -- stops that rest and do not sell


def stuck_rig(folder: Path) -> Rig:
    """A stop that the venue triggers and does not execute, as a stop-limit whose limit the price has jumped."""
    rig = make_rig(folder).entered()
    (stop,) = rig.stops()
    rig.venue.core._working[stop.client_order_id].stop_price = D("0.01")
    told = rig.venue.open_orders  # what the venue tells of it is what was asked for

    def open_orders() -> list[OrderReport]:
        return [replace(r, stop_price=D(STOP)) if r.side is Side.SELL else r for r in told()]

    rig.venue.open_orders = open_orders  # type: ignore[method-assign]
    return rig


def test_reached_stop_that_does_not_sell_is_taken_back_after_thirty_seconds(tmp_path: Path) -> None:
    rig = stuck_rig(tmp_path)
    rig.cycle(BTC=90.5)
    assert sales(rig) == []
    assert_protected(rig)
    rig.cycle(after_s=29.0)
    assert sales(rig) == []
    rig.cycle(after_s=1.0)
    assert sales(rig) == [(OrderType.IOC, QUANTITY, D("88.64"), OVERDUE)]
    assert [o.state for o in rig.orders(Purpose.STOP)] == [S.CANCELED]
    assert rig.engine.book.positions == {}
    assert rig.engine.state.stop_reached_at == {}
    assert_books_equal_venues(rig)


# At 90.55 the last price is above the stop of 90.54, though the bid of 90.50 is not.
@pytest.mark.parametrize(("price", "waits"), [(90.54, False), (90.55, True)])
def test_stop_counts_as_reached_by_the_last_price(tmp_path: Path, price: float, waits: bool) -> None:
    rig = stuck_rig(tmp_path)
    rig.cycle(BTC=price)
    rig.cycle()
    rig.cycle()
    assert (sales(rig) == []) is waits


def test_price_that_recovers_begins_the_wait_anew(tmp_path: Path) -> None:
    rig = stuck_rig(tmp_path)
    rig.cycle(BTC=90.5)
    rig.cycle(after_s=20.0, BTC=91.0)
    rig.cycle(after_s=20.0, BTC=90.5)
    assert sales(rig) == []
    rig.cycle(after_s=29.0)
    assert sales(rig) == []
    rig.cycle(after_s=1.0)
    assert [row[3] for row in sales(rig)] == [OVERDUE]


def test_wait_for_a_reached_stop_outlives_the_program(tmp_path: Path) -> None:
    rig = stuck_rig(tmp_path)
    rig.cycle(BTC=90.5)
    rig.restart()
    rig.cycle(after_s=30.0)
    assert [row[3] for row in sales(rig)] == [OVERDUE]
    assert rig.engine.book.positions == {}


def test_overdue_sale_of_which_a_part_is_bought_goes_on_lower(tmp_path: Path) -> None:
    rig = stuck_rig(tmp_path)
    rig.cycle(BTC=90.5)
    rig.venue.core.next_fill_fraction = D("0.5")
    rig.cycle(after_s=30.0)
    # The rest has no stop any more, and none can be placed at a price above the bid.
    assert [row[2] for row in sales(rig)] == [D("88.64"), D("86.83")]
    assert rig.engine.book.positions == {}
    assert len(rig.orders(Purpose.STOP)) == 1


def test_plan_for_a_part_gives_way_to_the_stop(tmp_path: Path) -> None:
    rig = watched_rig(tmp_path)
    rig.engine.state.exits[NAME] = ExitPlan("0.09", "a part", 3)
    rig.cycle(BTC=90.5)
    assert sales(rig) == [(OrderType.IOC, QUANTITY, D("88.64"), AT_STOP)]
