"""Exits of breakout trades, from the entry to the last lot.

On Kraken: 0.25 % maker, 0.4 % taker, ticks of 0.1. The entry rests at the bid of 99.9 and is filled when
BTC trades at 99.8: 1.80180180 BTC for $180, 18 % of $1,000. The first stop lies 2 ATR below:
99.9 * (1 - 2 * 2.35158 / 100) = 95.2016, on the tick 95.2. So R is 4.7, and the targets are
99.9 + 1.8 R = 108.36, + 3 R = 114.0, + 5 R = 123.4. A third is int(180180180 * .33) = 59459459 lots.
Break-even with fees is 99.9 * 1.0025 / .996 = 100.552, on the tick above 100.6.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    BTC,
    ETH,
    Fuse,
    ProcessDiedError,
    Rig,
    assert_books_equal_venues,
    assert_orders_equal_venues,
    assert_protected,
    look_again,
    make_rig,
)

from bot.domain.modes import ExitRule, Strategy
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side
from bot.engine.protect import lowest_price
from bot.engine.state import ExitPlan
from bot.venues.rules import paper_instruments

D = Decimal
S = OrderState
NAME = f"kraken|{BTC}"
BOUGHT = D("1.80180180")
LEG = D("0.59459459")
AFTER_ONE, AFTER_TWO = BOUGHT - LEG, BOUGHT - 2 * LEG
FIRST_STOP, BREAK_EVEN = D("95.2"), D("100.6")


def breakout_rig(folder: Path, *, fuse: Fuse | None = None, **changes: Any) -> Rig:
    """A trade that has just been filled and stopped."""
    settings: dict[str, Any] = {"cash": {"kraken": "1000"}, "strategy": Strategy.BREAKOUT, **changes}
    rig = make_rig(folder, fuse=fuse, **settings)
    return rig.entered(BTC=99.8)


def held(rig: Rig) -> Decimal:
    position = rig.engine.book.positions.get(("kraken", BTC))
    return position.quantity if position is not None else D(0)


def stop(rig: Rig) -> tuple[Decimal, Decimal | None]:
    """Quantity and price of the one order that rests."""
    assert_protected(rig)
    (order,) = rig.engine.desk.live()
    return order.quantity, order.stop_price


def sales(rig: Rig) -> list[tuple[Decimal, str]]:
    """Filled quantity and reason of every exit that sold something."""
    return [(o.filled_quantity, o.reason) for o in rig.orders(Purpose.EXIT) if o.filled_quantity]


# -- a trade's life


def test_entry_is_stopped_two_atr_below(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    assert stop(rig) == (BOUGHT, FIRST_STOP)
    assert rig.engine.state.targets_reached == {}


def test_ladder_sells_a_third_at_each_target_and_ends_with_nothing_left(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.cycle(BTC=108.4)  # bid 108.3: not yet
    assert sales(rig) == []
    assert stop(rig) == (BOUGHT, FIRST_STOP)

    rig.cycle(BTC=108.5)  # bid 108.4
    assert sales(rig) == [(LEG, "target 1 of 3 (1.8 R)")]
    assert stop(rig) == (AFTER_ONE, BREAK_EVEN)
    rig.cycle(BTC=112.0)
    rig.cycle(BTC=108.5)
    assert len(sales(rig)) == 1
    assert len(rig.orders(Purpose.STOP)) == 2

    rig.cycle(BTC=114.1)  # bid 114.0, the very target
    assert sales(rig)[1:] == [(LEG, "target 2 of 3 (3 R)")]
    assert stop(rig) == (AFTER_TWO, BREAK_EVEN)

    rig.cycle(BTC=123.6)  # bid 123.5
    assert sales(rig)[2:] == [(AFTER_TWO, "target 3 of 3 (5 R)")]
    assert held(rig) == 0
    assert rig.engine.desk.live() == []
    (trade,) = rig.engine.book.trades
    # .59459459 * 108.4 + .59459459 * 114.0 + .61261262 * 123.5
    assert trade.sold_proceeds == D("64.454053556") + D("67.78378326") + D("75.65765857")
    # .0025 * 179.99999982 in; .004 of each sale out, rounded up to 1e-8
    assert trade.fees == D("0.45") + D("0.25781622") + D("0.27113514") + D("0.30263064")
    assert_books_equal_venues(rig)


def test_stop_of_the_rest_rests_before_a_part_is_sold(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    sent: list[str] = []
    rig.venue.before["submit"] = lambda order: sent.append(f"submit {order.purpose} {order.quantity}")
    rig.venue.before["cancel"] = lambda order: sent.append(f"cancel {order.purpose}")
    rig.cycle(BTC=108.5)
    assert sent == ["cancel stop", f"submit stop {AFTER_ONE}", f"submit exit {LEG}"]


def test_jump_over_two_targets_sells_both_parts_at_once(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.cycle(BTC=116.0)
    assert sales(rig) == [(2 * LEG, "target 2 of 3 (3 R)")]
    assert stop(rig) == (AFTER_TWO, BREAK_EVEN)


def test_jump_over_all_targets_sells_everything(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.cycle(BTC=130.0)
    assert sales(rig) == [(BOUGHT, "target 3 of 3 (5 R)")]
    assert held(rig) == 0


def test_trade_that_is_stopped_at_break_even_costs_no_more_than_the_slippage(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.cycle(BTC=108.5)
    rig.cycle(BTC=100.6)  # the stop is touched, and executed half a spread below: 100.5497, on the tick 100.5
    (trade,) = rig.engine.book.trades
    assert trade.last_purpose == "stop"
    proceeds = AFTER_ONE * D("100.5")
    assert trade.sold_proceeds == LEG * D("108.4") + proceeds
    # The rest alone: what it brought less its exit fee, its cost and its share of the entry fee.
    rest = proceeds * D("0.996") - AFTER_ONE * D("99.9") * D("1.0025")
    slippage = AFTER_ONE * (BREAK_EVEN - D("100.5"))
    assert -slippage <= rest < 0
    # 185.778378161 - 179.99999982 less fees of .45 + .25781622 + .4852973
    assert trade.net_pnl == D("4.585264821")
    assert rig.engine.state.targets_reached == {}


def test_next_trade_of_the_coin_begins_anew(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.cycle(BTC=116.0)
    rig.cycle(BTC=123.6)
    assert held(rig) == 0
    rig.next_decision(BTC=124.0)
    rig.cycle(BTC=123.5)
    assert held(rig) > 0
    plan = rig.engine.state.stops[NAME]
    assert plan.stop_price == plan.first_stop_price
    assert stop(rig)[1] == D(plan.first_stop_price)
    rig.cycle(BTC=124.0)
    assert len(sales(rig)) == 2  # of the first trade


# -- what comes between the target and its sale


def test_target_once_reached_is_sold_though_the_price_falls_back(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.venue.down.add("submit")
    rig.cycle(BTC=108.5)
    assert sales(rig) == []
    rig.venue.speak()
    rig.cycle(BTC=105.0)  # bid 104.9; the stop for the rest, sent into the void, is looked for
    rig.cycle(BTC=105.0)
    assert sales(rig) == [(LEG, "target 1 of 3 (1.8 R)")]
    assert rig.engine.desk.new_fills[-1].price == D("104.9")
    assert stop(rig) == (AFTER_ONE, BREAK_EVEN)


def test_price_that_falls_below_break_even_before_the_sale_sells_everything(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.venue.down.add("submit")
    rig.cycle(BTC=108.5)
    rig.venue.speak()
    rig.cycle(BTC=100.0)
    rig.cycle(BTC=100.0)  # bid 99.9: a stop at 100.6 would be rejected
    assert sales(rig) == [(BOUGHT, "the price is at its stop of 100.60 or below")]
    assert held(rig) == 0
    # The first one, and the one for the rest, which never arrived.
    assert [(o.quantity, o.stop_price, o.state) for o in rig.orders(Purpose.STOP)] == [
        (BOUGHT, FIRST_STOP, S.CANCELED),
        (AFTER_ONE, BREAK_EVEN, S.REJECTED),
    ]
    assert_books_equal_venues(rig)


def test_price_below_the_stop_when_the_fill_is_seen_is_sold_at_once(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"kraken": "1000"}, strategy=Strategy.BREAKOUT)
    rig.first_cycle()
    rig.cycle(BTC=90.0)  # fills at 99.9 and falls through; bid 89.9
    assert [(o.purpose, o.type, o.state) for o in rig.orders()] == [
        (Purpose.ENTRY, OrderType.LIMIT, S.FILLED),
        (Purpose.EXIT, OrderType.IOC, S.FILLED),
    ]
    assert rig.orders()[1].price == D("88.1")  # 2 % below the bid of 89.9 are 88.102
    assert held(rig) == 0


def test_stop_that_rests_is_left_to_the_venue(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.cycle(BTC=108.5)
    rig.cycle(BTC=100.61)  # the bid of 100.5 is below the stop, the price is not
    assert stop(rig) == (AFTER_ONE, BREAK_EVEN)
    assert len(sales(rig)) == 1


def test_silent_venue_reaches_no_target(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.venue.silence()
    rig.cycle(BTC=108.5)
    assert rig.engine.state.targets_reached == {}
    rig.venue.speak()
    rig.cycle(BTC=105.0)
    assert sales(rig) == []
    assert stop(rig) == (BOUGHT, FIRST_STOP)


def test_sale_whose_answer_is_lost_is_not_made_twice(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.venue.mute.add("submit")
    rig.cycle(BTC=108.5)
    rig.venue.mute.clear()
    rig.cycle(BTC=108.5)
    assert sales(rig) == [(LEG, "target 1 of 3 (1.8 R)")]
    assert stop(rig) == (AFTER_ONE, BREAK_EVEN)
    assert_books_equal_venues(rig)


# -- parts


def test_sale_in_parts_goes_on_until_the_third_is_sold(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.venue.core.next_fill_fraction = D("0.5")
    rig.cycle(BTC=108.5)
    assert [(o.state, o.filled_quantity) for o in rig.orders(Purpose.EXIT)] == [
        (S.CANCELED, D("0.29729729")),
        (S.FILLED, D("0.29729730")),
    ]
    assert [(o.quantity, o.stop_price) for o in rig.orders(Purpose.STOP)] == [
        (BOUGHT, FIRST_STOP),
        (AFTER_ONE, BREAK_EVEN),  # of the rest, while the part is sold
        (D("1.50450451"), BREAK_EVEN),  # of all that is left: half of the part was not sold
        (AFTER_ONE, BREAK_EVEN),
    ]
    # 2 % below the bid of 108.4 are 106.232, 4 % below 104.064.
    assert [o.price for o in rig.orders(Purpose.EXIT)] == [D("106.2"), D("104.0")]
    rig.cycle(BTC=108.5)
    assert stop(rig) == (AFTER_ONE, BREAK_EVEN)
    assert_books_equal_venues(rig)


def test_part_too_small_for_the_venue_waits_for_the_next_target(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.venue.core.next_fill_fraction = D("0.995")
    rig.cycle(BTC=108.5)  # .59162161 sold; .00297298 more would be $0.32, and Kraken takes $0.50
    rig.cycle(BTC=108.5)
    assert sales(rig) == [(D("0.59162161"), "target 1 of 3 (1.8 R)")]
    assert stop(rig) == (D("1.21018019"), BREAK_EVEN)
    assert rig.engine.state.exits == {}
    rig.cycle(BTC=114.1)
    assert sales(rig)[1:] == [(D("0.59756757"), "target 2 of 3 (3 R)")]
    assert stop(rig) == (AFTER_TWO, BREAK_EVEN)


def test_position_whose_third_is_too_small_is_sold_at_once_at_three_r(tmp_path: Path) -> None:
    # SOL in ticks of 0.01: .18009004 SOL at 99.95, a third is .0594 and Kraken takes .06. The stop is
    # 99.95 * (1 - .0470315) = 95.2492, on the tick 95.24: R is 4.71, 3 R is 114.08 and 1.8 R 108.428.
    rig = make_rig(tmp_path, coins=("SOL",), cash={"kraken": "100"}, strategy=Strategy.BREAKOUT)
    rig.entered(SOL=99.9)
    rig.cycle(SOL=110.0)
    rig.cycle(SOL=114.13)  # bid 114.0729 -> 114.07
    assert sales(rig) == []
    assert [o.stop_price for o in rig.stops()] == [D("95.24")]
    rig.cycle(SOL=114.15)  # bid 114.0929 -> 114.09
    assert sales(rig) == [(D("0.18009004"), "target 1 of 1 (3 R)")]
    assert rig.engine.book.positions == {}


def test_entry_that_still_rests_has_no_targets_until_it_is_given_up(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"kraken": "1000"}, strategy=Strategy.BREAKOUT)
    rig.first_cycle()
    rig.venue.core.next_fill_fraction = D("0.5")
    rig.cycle(BTC=99.8)
    rig.cycle(BTC=108.5)
    assert sales(rig) == []
    rig.cycle(after_s=1200.0, BTC=108.5)
    assert rig.entries() == []
    # .90090090 were bought: a third is int(90090090 * .33) lots.
    assert sales(rig) == [(D("0.29729729"), "target 1 of 3 (1.8 R)")]
    assert stop(rig) == (D("0.60360361"), BREAK_EVEN)


# -- the lowest price


@pytest.mark.parametrize(
    ("tries", "price"),
    # 2, 4, 6, 8, 10 % below 108.4, down to the tick of 0.1: 106.232, 104.064, 101.896, 99.728, 97.56; never lower.
    [(0, "106.2"), (1, "104.0"), (2, "101.8"), (3, "99.7"), (4, "97.5"), (5, "97.5"), (50, "97.5")],
)
def test_sale_accepts_less_with_each_try_and_never_less_than_ten_percent_below_the_bid(
    tmp_path: Path, tries: int, price: str
) -> None:
    rig = breakout_rig(tmp_path)
    rig.engine.state.exits[NAME] = ExitPlan("0", "by hand", tries)
    rig.cycle(BTC=108.5)
    (sale,) = rig.orders(Purpose.EXIT)
    assert (sale.type, sale.price) == (OrderType.IOC, D(price))
    assert rig.engine.desk.new_fills[-1].price == D("108.4")  # and gets the bid


@pytest.mark.parametrize(
    ("quantity", "price"),
    # Kraken takes $0.50 and measures an order at its limit: .5 / .0051 = 98.04 -> 98.1. Where the bid itself is
    # less than that the bid is the limit.
    [("0.0051", "98.1"), ("0.005", "100.0"), ("0.004", "100.0"), ("1", "98.0")],
)
def test_lowest_price_leaves_the_order_large_enough_for_the_venue(quantity: str, price: str) -> None:
    instrument = paper_instruments("kraken", ("BTC",))[BTC]
    assert lowest_price(instrument, D("100.0"), D(quantity), 0) == D(price)


def test_sale_for_which_nobody_pays_is_tried_lower_and_the_stop_comes_back_meanwhile(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    # Each time the sale arrives the price has fallen by 5: nothing is executed at 2 % below the bid that was seen.
    seen: list[tuple[Decimal | None, Decimal]] = []

    def fall(order: Order) -> None:
        if order.purpose is Purpose.EXIT:
            price = 103.5 - 5.0 * len(seen)
            rig.venue.core.on_open(BTC, price, rig.now + timedelta(seconds=1 + len(seen)))
            seen.append((order.price, order.quantity))

    rig.venue.before["submit"] = fall
    rig.engine.state.exits[NAME] = ExitPlan("0", "by hand")
    rig.cycle(BTC=107.0)  # bid 106.9: 104.762 against a price of 103.5, then 102.624 against 98.5
    assert seen == [(D("104.7"), BOUGHT), (D("102.6"), BOUGHT)]
    assert [o.state for o in rig.orders(Purpose.EXIT)] == [S.CANCELED, S.CANCELED]
    assert rig.engine.state.exits[NAME].tries == 2
    assert stop(rig) == (BOUGHT, FIRST_STOP)
    rig.venue.before.clear()
    rig.cycle(BTC=98.6)  # bid 98.5; 6 % below are 92.59
    assert rig.orders(Purpose.EXIT)[-1].price == D("92.5")
    assert held(rig) == 0
    assert rig.engine.state.exits == {}
    assert_books_equal_venues(rig)


# -- time


def test_trade_that_nothing_else_ends_is_sold_after_twenty_days(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)  # filled at 00:02
    for _ in range(20):
        rig.next_decision(BTC=100.0)  # at 00:01
    assert held(rig) == BOUGHT
    rig.cycle()
    assert sales(rig) == [(BOUGHT, "20 days are over")]
    assert held(rig) == 0


# -- the other rules


def test_runner_sells_two_parts_and_trails_with_the_rest(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, exit_rule=ExitRule.RUNNER)
    rig.cycle(BTC=108.5)
    assert stop(rig) == (AFTER_ONE, BREAK_EVEN)
    rig.cycle(BTC=114.1)
    assert sales(rig) == [(LEG, "target 1 of 2 (1.8 R)"), (LEG, "target 2 of 2 (3 R)")]
    assert stop(rig) == (AFTER_TWO, BREAK_EVEN)  # 99.9 - 3 ATR is far below
    # The first bar began before the entry: its close of 116 counts. Its range is 116.58 - 99.5 = 17.08, so
    # the ATR is (13 * 2.35158 + 17.08) / 14 = 3.40361 and the stop 116 - 3 * 3.40361 = 105.789.
    rig.next_decision(BTC=116.0)
    assert stop(rig) == (AFTER_TWO, D("105.8"))
    # High 120.6, range 120.6 - 115.42 = 5.18: (13 * 3.40361 + 5.18) / 14 = 3.53049; 120.6 - 10.5915 = 110.0085.
    rig.next_decision(BTC=120.0)
    assert stop(rig) == (AFTER_TWO, D("110.1"))
    # High 120.6 again, range 120.6 - 114.425 = 6.175: ATR 3.71938; 109.44 would be lower.
    rig.next_decision(BTC=115.0)
    assert stop(rig) == (AFTER_TWO, D("110.1"))
    rig.cycle(BTC=140.0)  # beyond every target of the ladder
    assert held(rig) == AFTER_TWO
    rig.cycle(BTC=110.0)
    assert held(rig) == 0
    assert rig.engine.book.trades[0].last_purpose == "stop"


@pytest.mark.parametrize(
    ("rule", "first", "second"),
    # Close 104 of the entry's bar, ATR (13 * 2.35158 + 5.02) / 14 = 2.54218: 104 - 3 ATR = 96.3735, - 2 ATR = 98.9156.
    # Then high 106.53, range 3.05, ATR 2.57845: 106.53 - 3 ATR = 98.7946, - 2 ATR = 101.3731.
    [(ExitRule.TRAIL, "96.4", "98.8"), (ExitRule.TRAIL_TIGHT, "99.0", "101.4")],
)
def test_trailing_rules_have_no_target_and_follow_the_highest_price(
    tmp_path: Path, rule: ExitRule, first: str, second: str
) -> None:
    rig = breakout_rig(tmp_path, exit_rule=rule)
    rig.cycle(BTC=130.0)
    assert sales(rig) == []
    assert stop(rig) == (BOUGHT, FIRST_STOP)
    rig.next_decision(BTC=104.0)
    assert stop(rig) == (BOUGHT, D(first))
    rig.next_decision(BTC=106.0)
    assert stop(rig) == (BOUGHT, D(second))
    rig.restart()
    rig.cycle(BTC=107.0)
    assert stop(rig) == (BOUGHT, D(second))
    assert len(rig.orders(Purpose.STOP)) == 3


def test_trailing_stop_that_would_be_above_the_price_sells_now(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, exit_rule=ExitRule.TRAIL_TIGHT)
    rig.next_decision(BTC=104.0)
    rig.venue.hidden_candles = {BTC}
    rig.next_decision(BTC=106.0)
    assert stop(rig) == (BOUGHT, D("99.0"))
    # The bar comes late and tells of a high of 140, the stop belongs far above the price of 106.
    rig.board.days[BTC][-1] = rig.board.days[BTC][-1]._replace(high=140.0)
    rig.venue.hidden_candles = set()
    rig.cycle(after_s=301.0)
    assert sales(rig) == [(BOUGHT, "the price is below where its stop belongs by now")]
    assert held(rig) == 0


# -- halts, flatten, other strategies


def test_halt_sells_no_target_until_it_ends(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.control.put("halt")
    rig.cycle()
    rig.cycle(BTC=116.0)
    assert sales(rig) == []
    assert stop(rig) == (BOUGHT, FIRST_STOP)
    rig.cycle(BTC=109.0)
    rig.control.put("resume", reset_drawdown=False)
    rig.cycle(BTC=109.0)  # 3 R were not counted in the halt, 1.8 R are there now
    assert sales(rig) == [(LEG, "target 1 of 3 (1.8 R)")]


def test_halt_lets_stops_rise(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, exit_rule=ExitRule.TRAIL)
    rig.control.put("halt")
    rig.cycle()
    rig.next_decision(BTC=104.0)
    assert stop(rig) == (BOUGHT, D("96.4"))


def test_pause_goes_on_selling_targets(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.control.put("pause")
    rig.cycle(BTC=108.5)
    assert sales(rig) == [(LEG, "target 1 of 3 (1.8 R)")]


def test_plan_that_leaves_less_is_not_replaced_by_a_target(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.engine.state.exits[NAME] = ExitPlan("1", "by hand")
    rig.cycle(BTC=108.5)
    assert sales(rig) == [(BOUGHT - 1, "by hand")]
    assert stop(rig) == (D(1), BREAK_EVEN)


def test_plan_that_leaves_more_gives_way_to_a_target(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.engine.state.exits[NAME] = ExitPlan("1.5", "by hand")
    rig.cycle(BTC=108.5)
    assert sales(rig) == [(LEG, "target 1 of 3 (1.8 R)")]


def test_allocation_has_no_targets_and_its_position_is_led_to_an_end_after_a_change_of_strategy(
    tmp_path: Path,
) -> None:
    rig = breakout_rig(tmp_path, strategy=Strategy.ALLOCATION)
    # Four ATR: 99.9 * (1 - .094063) = 90.503, on the tick 90.5. R is 9.4, 1.8 R are at 116.82.
    assert stop(rig) == (BOUGHT, D("90.5"))
    rig.cycle(BTC=117.0)
    assert sales(rig) == []
    assert rig.engine.state.targets_reached == {}
    rig.restart(strategy=Strategy.BREAKOUT)
    rig.cycle(BTC=116.8)  # bid 116.7
    assert sales(rig) == []
    rig.cycle(BTC=117.0)  # bid 116.9
    assert sales(rig) == [(LEG, "target 1 of 3 (1.8 R)")]
    assert stop(rig) == (AFTER_ONE, BREAK_EVEN)


def test_what_was_sold_before_the_change_of_strategy_counts_for_the_targets(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, strategy=Strategy.ALLOCATION)
    rig.engine.state.exits[NAME] = ExitPlan("1", "a reduction")
    rig.cycle(BTC=100.0)
    rig.restart(strategy=Strategy.BREAKOUT)
    rig.cycle(BTC=117.0)
    assert held(rig) == 1  # less than two thirds already
    assert stop(rig) == (D(1), BREAK_EVEN)
    rig.cycle(BTC=128.2)  # 99.9 + 3 * 9.4 = 128.1, bid 128.1
    assert held(rig) == AFTER_TWO


def test_coin_that_is_no_longer_traded_keeps_its_targets(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, coins=("BTC", "ETH"))
    rig.restart(coins=("ETH",), symbols=(ETH,))
    rig.cycle(BTC=108.5)
    assert sales(rig) == [(LEG, "target 1 of 3 (1.8 R)")]


# -- the process dies

RESTARTED_AFTER = timedelta(seconds=31)
"""By then a venue's "not here" counts as an answer."""


def dies_at(rig: Rig, n: int | None) -> None:
    rig.fuse.touched, rig.fuse.left = 0, n


def cycle_through_a_death(rig: Rig) -> None:
    """Run a cycle to its end, over one death."""
    try:
        rig.engine.cycle(rig.now)
    except ProcessDiedError:
        rig.clock.moment += RESTARTED_AFTER
        rig.restart()
        rig.engine.cycle(rig.now)
    look_again(rig)


def fills(rig: Rig) -> list[tuple[Side, Decimal, Decimal, Decimal]]:
    return [(fill.side, fill.quantity, fill.price, fill.fee) for fill in rig.ledger.fills()]


def partly(rig: Rig) -> None:
    rig.venue.core.next_fill_fraction = D("0.4")


Step = tuple[float, Callable[[Rig], None] | None]
TO_THE_END: tuple[Step, ...] = ((108.5, None), (114.1, partly), (112.0, None), (123.6, None))
STOPPED_OUT: tuple[Step, ...] = ((108.5, partly), (107.0, None), (100.6, None))


def play(rig: Rig, steps: tuple[Step, ...]) -> None:
    for price, happens in steps:
        rig.clock.moment += timedelta(seconds=60)
        rig.board.prices[BTC] = price
        if happens is not None:
            happens(rig)
        cycle_through_a_death(rig)
        assert_orders_equal_venues(rig)
        assert_protected(rig)


@pytest.mark.parametrize("steps", [TO_THE_END, STOPPED_OUT], ids=["to the end", "stopped out"])
def test_death_at_any_call_ends_with_the_same_books(tmp_path: Path, steps: tuple[Step, ...]) -> None:
    whole = breakout_rig(tmp_path / "whole")
    dies_at(whole, None)
    play(whole, steps)
    calls, expected = whole.fuse.touched, fills(whole)
    assert held(whole) == 0
    assert calls > 20
    for n in range(1, calls + 1):
        rig = breakout_rig(tmp_path / f"{n}")
        dies_at(rig, n)
        play(rig, steps)
        assert rig.fuse.at, f"did not die at call {n} of {calls}"
        assert fills(rig) == expected, f"died at call {n} of {calls}, {rig.fuse.at}"
        assert rig.engine.book.cash == whole.engine.book.cash
        assert rig.engine.state.targets_reached == {}
        assert rig.engine.state.exits == {}
        assert rig.engine.state.stops == {}
        assert_books_equal_venues(rig)
        rig.ledger.close()


def test_target_is_remembered_over_a_death_though_the_price_falls_back(tmp_path: Path) -> None:
    whole = breakout_rig(tmp_path / "whole")
    dies_at(whole, None)
    whole.cycle(BTC=108.5)
    calls = whole.fuse.touched
    kept = []
    for n in range(1, calls + 1):
        rig = breakout_rig(tmp_path / f"{n}")
        dies_at(rig, n)
        with pytest.raises(ProcessDiedError):
            rig.cycle(BTC=108.5)
        rig.clock.moment += RESTARTED_AFTER
        rig.restart()
        for _ in range(3):
            rig.cycle(BTC=105.0)
        kept.append(stop(rig))
        assert_books_equal_venues(rig)
        rig.ledger.close()
    # Only a death before the first write, that of the target itself, forgets it.
    assert kept == [(BOUGHT, FIRST_STOP), *[(AFTER_ONE, BREAK_EVEN)] * (calls - 1)]


def test_target_is_durable_before_an_order_goes_out(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    stored: list[Any] = []

    def look(order: Order) -> None:
        state = rig.ledger.value("engine_state")
        assert isinstance(state, dict)
        stored.append((order.purpose, state["targets_reached"], state["exits"], state["stops"][NAME]["stop_price"]))

    rig.venue.before["cancel"] = look
    rig.cycle(BTC=108.5)
    plan = {"keep": str(AFTER_ONE), "reason": "target 1 of 3 (1.8 R)", "tries": 0, "by_stop": False}
    assert stored == [(Purpose.STOP, {NAME: 1}, {NAME: plan}, "100.6")]
