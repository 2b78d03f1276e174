"""Entries from the decision to their end: they follow the bid, cross once where they may, or are given up.

Without another word on Coinbase: at 100 the bid is 99.95, $18 are decided and bought as .18009004 BTC. On Kraken
(ticks of 0.1) bid and ask are 99.9 and 100.1, $18 are .18018018 BTC. The stop distance is 9.40631 / price (4 ATR).
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
    KRAKEN_FEES,
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

from bot.domain.account import FeeSchedule, Liquidity
from bot.domain.orders import Order, OrderState, OrderType, Purpose

D = Decimal
S = OrderState
NAME = f"coinbase|{BTC}"
FIVE_MINUTES = 300.0
ON_KRAKEN = D("0.18018018")
WOULD_TAKE = "EOrder:Post only order"


def kraken_rig(folder: Path, *, fuse: Fuse | None = None, **changes: Any) -> Rig:
    """$100 on Kraken, where an entry may cross, and its first entry."""
    settings: dict[str, Any] = {"cash": {"kraken": "100"}, "crossing_accounts": frozenset({"kraken"}), **changes}
    rig = make_rig(folder, fuse=fuse, **settings)
    rig.first_cycle()
    return rig


def sent(rig: Rig) -> list[tuple[str, Decimal | None, Decimal, str]]:
    """Type, price, filled quantity and state of every entry order."""
    return [(o.type.value, o.price, o.filled_quantity, o.state.value) for o in rig.orders(Purpose.ENTRY)]


def states(rig: Rig) -> list[str]:
    return [row[3] for row in sent(rig)]


# -- while it rests


def test_cycles_come_sooner_while_an_entry_rests(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, busy_poll_s=20.0)
    pauses: list[float] = []
    for price in (100.0, 100.0, 99.0, 99.0):  # sent; rests; filled; nothing rests any more
        result = rig.cycle(BTC=price) if pauses else rig.first_cycle()
        pauses.append((result.next_cycle_at - result.at).total_seconds())
    assert pauses == [20.0, 20.0, 60.0, 60.0]


# -- following the bid


def test_entry_follows_a_higher_bid_after_five_minutes_and_not_before(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.cycle(after_s=299.0, BTC=100.5)
    assert states(rig) == ["open"]
    rig.cycle(after_s=1.0)
    old, new = rig.orders(Purpose.ENTRY)
    assert (old.state, new.state) == (S.CANCELED, S.OPEN)
    # 100.5 * .9995 = 100.44975, and 18 % of $100 at 100.44 are .17921146 BTC: sized anew.
    assert (new.type, new.post_only, new.price, new.quantity) == (OrderType.LIMIT, True, D("100.44"), D("0.17921146"))
    assert rig.refusals() == []
    assert len(rig.decisions()) == 1
    rig.cycle(BTC=100.4)  # trades through it
    assert states(rig) == ["canceled", "filled"]
    # The distance is that of the new price: 100.44 * (1 - 9.40631 / 100.5) = 91.0393.
    assert [o.stop_price for o in rig.stops()] == [D("91.03")]
    rig.cycle()
    assert rig.engine.state.entry_plans == {}
    assert_books_equal_venues(rig)


@pytest.mark.parametrize("price", [100.0, 99.98])  # bids of 99.95 and 99.93: at the order, and below it
def test_entry_that_the_bid_has_not_left_behind_stays(tmp_path: Path, price: float) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    for _ in range(3):
        rig.cycle(after_s=FIVE_MINUTES, BTC=price)
    assert states(rig) == ["open"]


def test_entry_follows_three_times_and_is_given_up_after_twenty_minutes_in_all(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    for price in (100.5, 101.0, 101.5):
        rig.cycle(after_s=FIVE_MINUTES, BTC=price)
    # Bids: 100.44975, 100.9495, 101.44925.
    assert [row[1] for row in sent(rig)] == [D("99.95"), D("100.44"), D("100.94"), D("101.44")]
    rig.cycle(after_s=299.0, BTC=102.0)
    assert states(rig) == ["canceled", "canceled", "canceled", "open"]
    rig.cycle(after_s=1.0)
    assert states(rig) == ["canceled"] * 4
    assert rig.refusals() == [("entry_not_filled", BTC)]
    assert rig.refusal("entry_not_filled") == (pytest.approx(1 / 3), pytest.approx(1 / 3), "hours", "coinbase")
    assert rig.engine.state.entry_plans == {}


def test_entry_does_not_follow_a_price_that_runs_more_than_half_the_stop_distance(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.cycle(after_s=FIVE_MINUTES, BTC=105.0)  # bid 104.9475 -> 104.94
    assert states(rig) == ["canceled"]
    # 104.94 / 99.95 = 1.049925; half of 9.40631 %
    limit, moved = pytest.approx(4.703155, abs=1e-5), pytest.approx(4.99250, abs=1e-5)
    assert rig.refusal("price_moved") == (limit, moved, "pct", "coinbase")
    rig.cycle(after_s=FIVE_MINUTES, BTC=100.0)
    assert len(rig.orders()) == 1


def test_entry_counts_the_run_of_the_price_from_the_decision(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.cycle(after_s=FIVE_MINUTES, BTC=103.0)
    assert states(rig) == ["canceled", "open"]
    rig.cycle(after_s=FIVE_MINUTES, BTC=105.0)  # 2 % above its own price, 5 % above the decision's
    assert states(rig) == ["canceled", "canceled"]
    assert rig.refusals() == [("price_moved", BTC)]


def test_entry_is_not_sent_again_after_a_fall_of_half_the_stop_distance(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.rejections = [WOULD_TAKE]
    rig.first_cycle()
    rig.cycle(BTC=95.0)  # bid 94.9525 -> 94.95: 5.0025 % below 99.95
    assert states(rig) == ["rejected"]
    assert rig.refusal("price_moved")[1] == pytest.approx(5.002501, abs=1e-5)


def test_smallest_trade_stays_large_enough_when_the_price_has_fallen(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "20"})
    rig.venue.rejections = [WOULD_TAKE]
    rig.first_cycle()
    rig.cycle(BTC=99.0)
    rejected, sent_again = rig.orders()
    # $5 are .05002502 BTC at 99.95, up to the lot, and .05053057 at 98.95.
    assert (rejected.quantity, sent_again.quantity) == (D("0.05002502"), D("0.05053058"))
    rig.cycle(BTC=98.9)
    rig.cycle()
    assert rig.engine.book.positions["coinbase", BTC].quantity == D("0.05053058")
    assert rig.engine.state.entry_plans == {}


def test_entry_ends_where_the_tier_has_no_place_for_it_any_more(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"))
    rig.first_cycle()
    rig.cycle(BTC=99.9)  # BTC is bought, ETH rests
    rig.restart(max_positions_ceiling=1)
    rig.cycle(after_s=240.0, ETH=100.5)
    assert [(o.symbol, o.state) for o in rig.orders(Purpose.ENTRY)] == [(BTC, S.FILLED), (ETH, S.CANCELED)]
    assert rig.refusal("max_positions") == (1.0, 1.0, "count", "coinbase")


def test_entry_that_follows_buys_only_what_is_left(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.next_fill_fraction = D("0.5")
    rig.cycle(BTC=99.9)
    rig.cycle(after_s=240.0, BTC=100.0)  # 5 minutes, and the bid is where the order is
    assert states(rig) == ["partly_filled"]
    rig.cycle(BTC=100.1)  # bid 100.04995 -> 100.04
    old, new = rig.orders(Purpose.ENTRY)
    assert (old.filled_quantity, old.state) == (D("0.09004502"), S.CANCELED)
    # .09004502 would be left, but the sizer allows less. The fee of .054 and the spread leave an equity of 99.9541, a
    # drawdown of .0459 %, which scales by (.12 - .000459) / (.12 * .999541) = .99663: .18 * 99.9541 * .99663 =
    # 17.9311, less .09004502 held at 100.1, over 100.04.
    assert new.price == D("100.04")
    assert float(new.quantity) == pytest.approx((17.9311 - 9.01351) / 100.04, abs=2e-6)
    rig.cycle(BTC=100.0)
    assert rig.engine.book.positions["coinbase", BTC].quantity == old.filled_quantity + new.quantity < QUANTITY
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_rest_below_the_minimum_trade_is_not_sent_again(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.next_fill_fraction = D("0.75")  # $4.50 are left
    rig.cycle(BTC=99.9)
    rig.cycle(after_s=FIVE_MINUTES, BTC=100.5)
    assert states(rig) == ["canceled"]
    assert rig.engine.state.entry_plans == {}
    assert rig.refusals() == []  # it was taken in part
    assert_protected(rig)


def test_price_at_which_nothing_is_entered_ends_an_entry_that_would_follow(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core._half_spread = D("0.004")
    rig.cycle(after_s=FIVE_MINUTES, BTC=101.0)  # bid 100.59, ask 101.41: .82 of 101
    assert states(rig) == ["canceled"]
    assert rig.refusal("spread") == (0.5, pytest.approx(100 * 0.82 / 101), "pct", "coinbase")


def test_guard_ends_an_entry_with_its_own_reason(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.control.put("pause")
    rig.cycle(after_s=FIVE_MINUTES, BTC=100.5)
    assert states(rig) == ["canceled"]
    assert rig.refusals() == [("paused_by_user", BTC)]
    assert rig.engine.state.entry_plans == {}


def test_entry_of_a_coin_that_is_no_longer_traded_ends_instead_of_following(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), days=None)
    rig.first_cycle()
    rig.restart(coins=("ETH",), symbols=(ETH,))
    rig.cycle(after_s=FIVE_MINUTES, BTC=100.5, ETH=100.0)
    assert [(o.symbol, o.state) for o in rig.orders(Purpose.ENTRY)] == [(BTC, S.CANCELED), (ETH, S.OPEN)]
    assert ("no_market", BTC) in rig.refusals()


def test_entry_that_is_about_to_follow_keeps_its_place(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), max_positions_ceiling=1)
    bar = rig.board.days[ETH].pop()
    rig.first_cycle()
    rig.board.days[ETH].append(bar)
    result = rig.cycle(after_s=FIVE_MINUTES, BTC=100.5)  # ETH is decided while BTC's order is taken back
    assert result.decided == (ETH,)
    assert rig.refusals() == [("max_positions", ETH)]
    assert [(o.symbol, o.state) for o in rig.orders()] == [(BTC, S.CANCELED), (BTC, S.OPEN)]


def test_silent_venue_leaves_its_entry_until_it_answers(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.silence()
    rig.cycle(after_s=1300.0, BTC=100.5)
    assert states(rig) == ["open"]
    rig.venue.speak()
    rig.cycle()
    assert states(rig) == ["canceled"]
    # 1360 s
    assert rig.refusal("entry_not_filled") == (pytest.approx(1 / 3), pytest.approx(1360 / 3600), "hours", "coinbase")


def test_cancel_whose_answer_is_lost_sends_nothing_until_it_is_known(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.mute = {"cancel"}
    rig.venue.down = {"find_order"}  # and it cannot be asked either
    rig.cycle(after_s=FIVE_MINUTES, BTC=100.5)
    assert states(rig) == ["unknown"]
    rig.venue.mute, rig.venue.down = set(), set()
    rig.cycle()
    assert states(rig) == ["canceled", "open"]
    assert rig.orders()[1].price == D("100.44")


def test_order_of_a_program_that_knew_no_plans_is_taken_back(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.engine.state.entry_plans.clear()
    rig.cycle()
    assert states(rig) == ["canceled"]
    assert rig.engine.desk.live() == []


# -- orders that would have taken


def test_post_only_order_that_would_take_is_tried_again_in_the_next_cycle(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    # The price falls between the look at it and the order.
    rig.venue.before["submit"] = lambda order: rig.venue.core.on_open(BTC, 99.0, rig.now + timedelta(seconds=1))
    result = rig.first_cycle()
    assert [reason for _, reason in result.rejections] == [
        "post-only at 99.95 would execute at once: bid 98.95, ask 99.05"
    ]
    assert rig.refusals() == []
    rig.venue.before.clear()
    rig.cycle(BTC=99.0)
    assert [(o.state, o.price) for o in rig.orders()] == [(S.REJECTED, D("99.95")), (S.OPEN, D("98.95"))]


def test_order_that_would_take_four_times_is_given_up(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.rejections = [WOULD_TAKE] * 9
    rig.first_cycle()
    for _ in range(3):
        rig.cycle()
    assert states(rig) == ["rejected"] * 4
    assert rig.refusals() == []
    rig.cycle()
    assert states(rig) == ["rejected"] * 4
    assert rig.refusal("order_rejected") == (0.0, 1.0, "count", "coinbase")
    assert rig.engine.state.entry_plans == {}


def test_rejections_count_as_tries_to_follow(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.rejections = [WOULD_TAKE] * 2
    rig.first_cycle()
    rig.cycle()
    rig.cycle()
    assert states(rig) == ["rejected", "rejected", "open"]
    rig.cycle(after_s=FIVE_MINUTES, BTC=100.5)
    assert states(rig) == ["rejected", "rejected", "canceled", "open"]
    rig.cycle(after_s=FIVE_MINUTES, BTC=101.0)  # three were all
    assert states(rig) == ["rejected", "rejected", "canceled", "open"]


def test_other_rejection_ends_the_entry_at_once(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.rejections = ["account restricted"]
    rig.first_cycle()
    assert rig.refusals() == [("order_rejected", BTC)]
    rig.cycle()
    assert states(rig) == ["rejected"]


# Kraken accepts a post-only order that would take, and cancels it.
@pytest.mark.parametrize(("waited", "expected"), [(90.0, ["canceled", "open"]), (91.0, ["canceled"])])
def test_order_that_the_venue_cancels_within_ninety_seconds_is_tried_again(
    tmp_path: Path, waited: float, expected: list[str]
) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.cancel(rig.entries()[0])
    rig.cycle(after_s=waited)
    assert states(rig) == expected
    assert rig.refusals() == ([] if len(expected) == 2 else [("entry_not_filled", BTC)])


# -- crossing


def test_entry_crosses_once_after_twenty_minutes(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path)
    rig.cycle(after_s=1199.0)
    assert states(rig) == ["open"]
    rig.cycle(after_s=1.0)
    rest, cross = rig.orders(Purpose.ENTRY)
    assert (rest.state, rest.price, rest.quantity) == (S.CANCELED, D("99.9"), ON_KRAKEN)
    # At the ask of 100.1, $18 are .17982017 BTC.
    assert (cross.type, cross.post_only, cross.price, cross.state) == (OrderType.IOC, False, D("100.1"), S.FILLED)
    assert cross.quantity == D("0.17982017")
    (fill,) = rig.ledger.fills()
    # .004 * .17982017 * 100.1 = .0719999960..., rounded up to eight decimals
    assert (fill.liquidity, fill.fee) == (Liquidity.TAKER, D("0.07200000"))
    assert_protected(rig)  # in the same cycle: 100.1 * (1 - .0940631) = 90.684, down to the tick
    assert [o.stop_price for o in rig.stops()] == [D("90.6")]
    rig.cycle()
    assert rig.engine.state.entry_plans == {}
    assert rig.refusals() == []
    # What it risks: its cost of 17.999999 times .0940630.
    assert float(rig.engine.book.positions["kraken", BTC].initial_risk_usd or 0) == pytest.approx(1.693134, abs=1e-6)
    assert_books_equal_venues(rig)


def test_entry_crosses_with_what_is_left_only(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path)
    rig.venue.core.next_fill_fraction = D("0.5")
    rig.cycle(BTC=99.8)
    rig.cycle(after_s=1140.0, BTC=99.9)  # ask 99.94995 -> 100.0; 20 minutes
    first, cross = rig.orders(Purpose.ENTRY)
    assert (first.filled_quantity, first.state) == (D("0.09009009"), S.CANCELED)
    assert (cross.type, cross.state) == (OrderType.IOC, S.FILLED)
    assert cross.quantity <= D("0.09009009")
    assert cross.quantity > D("0.0895")
    assert rig.engine.book.positions["kraken", BTC].quantity == D("0.09009009") + cross.quantity
    assert_protected(rig)


def test_each_crossing_has_its_stop_before_the_next_is_sent(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path, coins=("BTC", "ETH"))
    order_of: list[str] = []
    rig.venue.before["submit"] = lambda order: order_of.append(f"{order.symbol} {order.type}")
    rig.cycle(after_s=1200.0)
    assert order_of == [f"{BTC} ioc", f"{BTC} stop", f"{ETH} ioc", f"{ETH} stop"]


def test_crossing_that_buys_a_part_is_not_repeated(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path)
    rig.venue.before["submit"] = lambda order: (
        setattr(rig.venue.core, "next_fill_fraction", D("0.4")) if order.type is OrderType.IOC else None
    )
    rig.cycle(after_s=1200.0)
    for _ in range(3):
        rig.cycle()
    # .4 * .17982017 = .071928068 -> whole lots
    assert sent(rig)[1:] == [("ioc", D("100.1"), D("0.07192806"), "canceled")]
    assert rig.engine.state.entry_plans == {}
    assert rig.refusals() == []
    assert_protected(rig)


def test_crossing_that_finds_no_seller_is_given_up(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path)
    rig.venue.before["submit"] = lambda order: rig.venue.core.on_open(BTC, 101.0, rig.now + timedelta(seconds=1))
    rig.cycle(after_s=1200.0)
    rig.venue.before.clear()
    assert states(rig) == ["canceled", "canceled"]
    rig.cycle(BTC=100.0)
    assert len(rig.orders()) == 2
    # 1260 s after the decision
    assert rig.refusal("entry_not_filled") == (pytest.approx(1 / 3), pytest.approx(0.35), "hours", "kraken")


def test_crossing_needs_the_account_to_be_one_that_may(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path, crossing_accounts=frozenset({"coinbase"}))
    rig.cycle(after_s=1200.0)
    assert states(rig) == ["canceled"]
    assert rig.refusals() == [("entry_not_filled", BTC)]


def test_crossing_is_sized_with_the_takers_fee(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"kraken": "100"}, crossing_accounts=frozenset({"kraken"}))
    rig.venue.core.fees = FeeSchedule(maker_frac=D(0), taker_frac=D("0.02"), origin="test")
    rig.first_cycle()
    # As maker and taker 1 / .98 - 1 = 2.04 %, as taker twice 1.02 / .98 - 1 = 4.0816 %; the stop at 9.40631 %
    # bears a third of itself, 3.13544 %.
    assert states(rig) == ["open"]
    rig.cycle(after_s=1200.0)
    assert states(rig) == ["canceled"]
    limit, cost = pytest.approx(3.13544, abs=1e-5), pytest.approx(4.081633, abs=1e-5)
    assert rig.refusal("costs_too_high") == (limit, cost, "pct", "kraken")


def test_crossing_is_not_made_after_a_run_of_half_the_stop_distance(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path)
    rig.cycle(after_s=1200.0, BTC=104.6)  # ask 104.6523 -> 104.7: 4.805 % above 99.9, and 4.703 % are allowed
    assert states(rig) == ["canceled"]
    limit, moved = pytest.approx(4.703155, abs=1e-5), pytest.approx(4.804805, abs=1e-5)
    assert rig.refusal("price_moved") == (limit, moved, "pct", "kraken")


def test_crossing_is_not_made_while_a_guard_blocks(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path)
    rig.control.put("pause")
    rig.cycle(after_s=1200.0)
    assert states(rig) == ["canceled"]
    assert rig.refusals() == [("paused_by_user", BTC)]


def test_rejected_post_only_orders_do_not_keep_an_entry_from_crossing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"kraken": "100"}, crossing_accounts=frozenset({"kraken"}))
    rig.venue.rejections = [WOULD_TAKE]
    rig.first_cycle()
    rig.cycle(after_s=1200.0)
    assert [row[0] for row in sent(rig)] == ["limit", "ioc"]
    assert states(rig) == ["rejected", "filled"]


# -- plans and newer decisions


def test_newer_decision_replaces_an_older_plan(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path)
    rig.next_decision(BTC=102.0)  # nothing ran since yesterday's decision, as with a daily timer
    # Bid 101.949 -> 101.9: yesterday's order is taken back, today's rests, and nothing crosses.
    assert [(row[0], row[1], row[3]) for row in sent(rig)] == [
        ("limit", D("99.9"), "canceled"),
        ("limit", D("101.9"), "open"),
    ]
    rig.cycle()
    assert states(rig) == ["canceled", "open"]
    assert rig.refusals() == []


def test_newer_decision_against_the_coin_ends_an_older_plan(tmp_path: Path) -> None:
    rig = kraken_rig(tmp_path)
    rig.restart(min_score=1.01)  # no score reaches it
    rig.next_decision(BTC=101.0)
    assert [row[0] for row in sent(rig)] == ["limit"]
    assert states(rig) == ["canceled"]
    assert rig.refusals() == [("signal_too_weak", BTC)]
    assert rig.engine.state.entry_plans == {}


def test_addition_that_buys_a_part_moves_the_stop_when_it_ends(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.venue.core.deposit("USD", D(100))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=120.0)
    assert rig.decisions()[-1] == (BTC, "add")
    distance = rig.engine.state.entry_stop_frac[NAME]
    rig.venue.core.next_fill_fraction = D("0.6")
    rig.cycle(BTC=119.8)
    assert rig.stops()[0].stop_price == D("90.54")  # as long as more may come
    rig.cycle(after_s=1200.0, BTC=120.0)
    assert rig.entries() == []
    average = rig.engine.book.positions["coinbase", BTC].average_price
    wanted = average * (1 - D(repr(distance)))
    (stop,) = rig.stops()
    assert stop.stop_price is not None
    assert D(0) <= wanted - stop.stop_price < D("0.01")
    assert stop.stop_price > D("90.54")
    assert rig.engine.state.entry_stop_frac == {}


def test_risk_of_a_position_grows_until_its_entry_has_ended(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.core.next_fill_fraction = D("0.5")
    rig.cycle(BTC=99.9)
    rig.cycle(after_s=FIVE_MINUTES, BTC=100.5)
    position = rig.engine.book.positions["coinbase", BTC]
    # Half of $18 so far, times 9.40631 / 100.
    assert float(position.initial_risk_usd or 0) == pytest.approx(9.0 * 0.0940631, abs=1e-5)
    assert list(rig.engine.state.entry_plans) == [NAME]
    rig.cycle(BTC=100.4)
    position = rig.engine.book.positions["coinbase", BTC]
    # Of the whole cost, times the distance at which the second part was sized: 9.40631 / 100.5.
    assert float(position.initial_risk_usd or 0) == pytest.approx(float(position.cost) * 0.0935951, abs=1e-5)
    assert rig.engine.state.entry_plans == {}


# -- before anything is sent


def test_plan_is_durable_before_each_of_its_orders(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    stored: list[tuple[int, str]] = []

    def look(order: Order) -> None:
        state = rig.ledger.value("engine_state")
        assert isinstance(state, dict)
        plan = state["entry_plans"][NAME]
        stored.append((plan["tries"], plan["quantity"]))

    rig.venue.before["submit"] = look
    rig.first_cycle()
    rig.cycle(after_s=FIVE_MINUTES, BTC=100.5)
    assert stored == [(0, str(QUANTITY)), (1, str(QUANTITY))]


RESTARTED_AFTER = timedelta(seconds=31)
"""By then a venue's "not here" counts as an answer."""
Step = tuple[float, float, Callable[[Rig], None] | None]


def half(rig: Rig) -> None:
    rig.venue.core.next_fill_fraction = D("0.5")


# Seconds after the decision, price, what happens. The bids are 100.4, 100.9 (a half fills at 100.85), 101.4.
STEPS: tuple[Step, ...] = (
    (0.0, 100.0, None),
    (300.0, 100.5, None),
    (600.0, 101.0, None),
    (660.0, 100.85, half),
    (960.0, 101.5, None),
    (1200.0, 101.5, None),
    (1260.0, 101.5, None),
    (1320.0, 101.5, None),
)


def play(rig: Rig) -> None:
    """Run the steps through at most one death."""
    began = rig.now
    for after_s, price, happens in STEPS:
        rig.clock.moment = max(rig.now, began + timedelta(seconds=after_s))
        rig.board.prices[BTC] = price
        if happens is not None:
            happens(rig)
        try:
            rig.engine.cycle(rig.now)
        except ProcessDiedError:
            rig.clock.moment += RESTARTED_AFTER
            rig.restart()
            rig.engine.cycle(rig.now)
        look_again(rig)
        assert_orders_equal_venues(rig)
        assert_protected(rig)


def unplayed(folder: Path, fuse: Fuse) -> Rig:
    return make_rig(folder, fuse=fuse, cash={"kraken": "100"}, crossing_accounts=frozenset({"kraken"}))


def test_steps_without_a_death_follow_three_times_and_cross(tmp_path: Path) -> None:
    rig = unplayed(tmp_path, Fuse())
    play(rig)
    assert [(row[0], row[1], row[3]) for row in sent(rig)] == [
        ("limit", D("99.9"), "canceled"),
        ("limit", D("100.4"), "canceled"),
        ("limit", D("100.9"), "canceled"),
        ("limit", D("101.4"), "canceled"),
        ("ioc", D("101.6"), "filled"),
    ]
    assert rig.engine.state.entry_plans == {}
    assert_books_equal_venues(rig)


def test_death_at_any_call_buys_nothing_twice(tmp_path: Path) -> None:
    whole = unplayed(tmp_path / "whole", Fuse())
    play(whole)
    calls = whole.fuse.touched
    assert calls > 50
    crossed = 0
    for n in range(1, calls + 1):
        rig = unplayed(tmp_path / f"{n}", Fuse(left=n))
        play(rig)
        died = f"died at call {n} of {calls}, {rig.fuse.at}"
        assert rig.fuse.at, f"did not die at call {n} of {calls}"
        orders = rig.orders(Purpose.ENTRY)
        assert sum(o.filled_quantity for o in orders) <= ON_KRAKEN, died
        assert len(orders) <= 5, died
        assert len([o for o in orders if o.type is OrderType.IOC]) <= 1, died
        assert rig.engine.state.entry_plans == {}, died
        assert_books_equal_venues(rig)
        crossed += any(o.type is OrderType.IOC and o.state is S.FILLED for o in orders)
        rig.ledger.close()
    assert crossed > calls / 2


def test_death_between_two_orders_sends_the_second_afterwards(tmp_path: Path) -> None:
    """Whatever call of a repricing the process dies at: the entry goes on where the bid still is."""
    whole = kraken_rig(tmp_path / "whole")
    whole.fuse.touched = 0
    whole.cycle(after_s=FIVE_MINUTES, BTC=100.5)
    calls = whole.fuse.touched
    lost = []
    for n in range(1, calls + 1):
        rig = kraken_rig(tmp_path / f"{n}")
        rig.fuse.touched, rig.fuse.left = 0, n
        with pytest.raises(ProcessDiedError):
            rig.cycle(after_s=FIVE_MINUTES, BTC=100.5)
        rig.clock.moment += RESTARTED_AFTER
        rig.restart()
        rig.cycle(after_s=0.0)
        look_again(rig)
        if [(o.price, o.quantity) for o in rig.entries()] != [(o.price, o.quantity) for o in whole.entries()]:
            lost.append(rig.fuse.at)
        rig.ledger.close()
    # One that was journalled and never arrived is sent a second time, under the same id.
    assert lost == []


def test_fees_of_the_rig_are_what_the_arithmetic_assumes() -> None:
    assert (KRAKEN_FEES.maker_frac, KRAKEN_FEES.taker_frac) == (D("0.0025"), D("0.004"))
