"""Decisions: once per closed daily bar, at the right moment, and a reason for everything not done."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from engine_rig import BTC, ETH, START, TODAY_MS, Rig, make_rig, rising_days

from bot.domain.market import MS_PER_DAY
from bot.domain.orders import OrderState, OrderType, Purpose

D = Decimal
NEWEST_MS = TODAY_MS - MS_PER_DAY


def at(rig: Rig, hour: int, minute: int, second: int = 0, *, day: int = 1) -> tuple[str, ...]:
    """Run a cycle at this time of 1 June (or ``day``); returns the coins that were decided."""
    rig.clock.moment = datetime(2024, 6, day, hour, minute, second, tzinfo=UTC)
    return rig.cycle(after_s=0.0).decided


def test_bar_is_decided_sixty_seconds_after_it_closed_and_not_before(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    assert at(rig, 0, 1, 0) == (BTC,)
    assert at(rig, 0, 2, 0) == ()
    assert at(rig, 23, 59, 0) == ()
    rig.board.close_day(BTC, 102.0)
    assert at(rig, 0, 0, 59, day=2) == ()
    assert at(rig, 0, 1, 0, day=2) == (BTC,)
    assert rig.engine.state.last_decided_bar == {BTC: TODAY_MS}


def test_bar_that_has_just_closed_is_not_looked_at_yet(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    at(rig, 0, 0, 30)  # started half a minute after midnight: the bar before is the newest that counts
    assert rig.engine.decider.histories[BTC].last_open_ms == NEWEST_MS - MS_PER_DAY
    assert at(rig, 0, 1) == (BTC,)
    assert rig.engine.decider.histories[BTC].last_open_ms == NEWEST_MS


def test_start_in_the_middle_of_the_day_decides_the_last_closed_bar(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    assert at(rig, 15, 30) == (BTC,)
    assert len(rig.entries()) == 1
    (row,) = rig.ledger._rows("SELECT bar_ms, first_bar_ms, bars, account, score FROM decisions")
    assert row == (NEWEST_MS, TODAY_MS - 120 * MS_PER_DAY, 120, "coinbase", 1.0)


# The stop distance at the price p is 4 ATR / p; with 4 ATR = 9.4111 half of it is a move of 4.6 % at 104.6.
@pytest.mark.parametrize(("price", "entered"), [(104.4, True), (104.8, False), (95.5, True), (95.0, False)])
def test_start_after_a_move_of_more_than_half_the_stop_distance_is_refused(
    tmp_path: Path, price: float, entered: bool
) -> None:
    rig = make_rig(tmp_path)
    rig.board.prices[BTC] = price
    at(rig, 15, 30)
    assert bool(rig.entries()) is entered
    assert rig.refusals() == ([] if entered else [("price_moved", BTC)])


def test_decision_is_not_made_again_after_a_restart_on_the_same_day(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    at(rig, 0, 1)
    for hour in range(1, 5):
        rig.restart()
        assert at(rig, hour, 0) == ()
    assert len(rig.decisions()) == 1
    assert len(rig.orders(Purpose.ENTRY)) == 1
    rig.board.close_day(BTC, 102.0)
    rig.restart()
    assert at(rig, 0, 1, day=2) == (BTC,)


def test_history_after_a_restart_comes_from_the_ledger(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    at(rig, 0, 1)
    before = rig.engine.decider.histories[BTC]
    rig.restart()
    after = rig.engine.decider.histories[BTC]
    assert (after.closes, after.flags, after.atr(), after.volatility()) == (
        before.closes,
        before.flags,
        before.atr(),
        before.volatility(),
    )


def test_bar_that_is_revised_later_is_not_traded_again(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    at(rig, 0, 1)
    rig.board.days[BTC][-1] = rig.board.days[BTC][-1]._replace(close=50.0, low=50.0)
    rig.restart()
    assert at(rig, 1, 0) == ()
    assert rig.engine.decider.histories[BTC].closes[-1] == 100.0


def test_missing_bar_is_waited_for_and_asked_for_again_after_five_minutes(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"))
    bar = rig.board.days[ETH].pop()
    assert at(rig, 0, 1) == (BTC,)
    rig.board.days[ETH].append(bar)
    assert at(rig, 0, 5, 59) == ()
    assert at(rig, 0, 6, 0) == (ETH,)
    assert {o.symbol for o in rig.entries()} == {BTC, ETH}


def test_coin_whose_candles_fail_does_not_keep_the_others_from_being_decided(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"))
    rig.venue.hidden_candles.add(BTC)
    assert at(rig, 0, 1) == (ETH,)


def test_day_that_is_missing_for_good_is_passed_over(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    at(rig, 0, 1)
    rig.board.close_day(BTC, 102.0)
    rig.board.close_day(BTC, 104.0)
    del rig.board.days[BTC][-2]
    assert at(rig, 0, 1, day=2) == ()
    assert at(rig, 12, 0, day=2) == ()
    assert at(rig, 0, 1, day=3) == (BTC,)


def test_no_bars_at_all_decide_nothing_and_do_not_crash(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, days={BTC: rising_days()})
    rig.board.days[BTC] = []
    assert at(rig, 0, 1) == ()
    assert rig.engine.guards.mode == "ACTIVE"


def test_days_that_were_slept_through_are_decided_once_on_the_newest(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    at(rig, 0, 1)
    for close in (102.0, 104.0, 106.0):
        rig.board.close_day(BTC, close)
    assert at(rig, 9, 0, day=4) == (BTC,)
    assert len(rig.decisions()) == 2


def test_short_history_is_refused_in_days(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, days={BTC: rising_days(80)})
    at(rig, 0, 1)
    assert rig.refusal("history_too_short") == (91.0, 80.0, "days", "")
    assert rig.orders() == []


def test_weak_score_is_refused_as_a_score(tmp_path: Path) -> None:
    days = rising_days()
    for _ in range(3):
        days.append(
            days[-1]._replace(open_ms=days[-1].open_ms + MS_PER_DAY, low=60.0, close=60.0, open=60.0, high=60.0)
        )
    days = [day._replace(open_ms=day.open_ms - 3 * MS_PER_DAY) for day in days]
    rig = make_rig(tmp_path, days={BTC: days})
    at(rig, 0, 1)
    limit, actual, unit, _ = rig.refusal("signal_too_weak")
    assert (limit, unit) == (0.75, "score")
    assert actual == pytest.approx(2 / 6)  # only the lookbacks of 60 and 90 days are still long


def test_refusal_is_stored_once_per_bar_coin_and_code(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.control.put("pause")
    at(rig, 0, 1)
    for _ in range(3):
        rig.engine.state.last_decided_bar.clear()  # as if a crash had lost it
        rig.cycle()
    assert rig.refusals() == [("paused_by_user", BTC)]
    rig.board.close_day(BTC, 102.0)
    at(rig, 0, 1, day=2)
    assert rig.refusals() == [("paused_by_user", BTC)] * 2


def test_refused_entry_is_counted_in_dollars(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.control.put("pause")
    at(rig, 0, 1)
    ((usd,),) = rig.ledger._rows("SELECT notional_usd FROM refusals")
    assert usd == pytest.approx(18.0)


# -- entries


def test_entry_is_post_only_at_the_bid(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    (entry,) = rig.entries()
    assert (entry.type, entry.post_only, entry.price) == (OrderType.LIMIT, True, D("99.95"))


def test_entry_rests_for_twenty_minutes_and_is_then_given_up(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.cycle(after_s=1199.0)
    assert len(rig.entries()) == 1
    rig.cycle(after_s=1.0)
    assert rig.entries() == []
    assert [o.state for o in rig.orders()] == [OrderState.CANCELED]
    assert rig.refusal("entry_not_filled") == (pytest.approx(1 / 3), pytest.approx(1 / 3), "hours", "coinbase")
    ((usd,),) = rig.ledger._rows("SELECT notional_usd FROM refusals")
    assert usd == pytest.approx(18.0)
    rig.cycle()
    assert len(rig.orders()) == 1  # not sent again before the next bar


def test_entry_that_was_given_up_is_tried_again_on_the_next_bar(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.cycle(after_s=1200.0, BTC=101.0)
    rig.next_decision(BTC=102.0)
    assert len(rig.entries()) == 1


def test_position_within_the_band_is_held(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.next_decision(BTC=102.0)
    assert rig.decisions()[-1] == (BTC, "hold")
    assert rig.entries() == []


def test_entries_of_one_decision_share_the_cash(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), position_cap_frac=0.6, risk_ceiling_pct=None)
    rig.first_cycle()
    spent = sum(float(o.quantity) * 100 for o in rig.entries())
    assert spent * 1.006 <= 85.0 + 1e-6  # 15 % stay in cash
    assert spent > 30


def test_coin_with_the_higher_score_is_served_first(tmp_path: Path) -> None:
    # BTC has fallen below its 5-day low: four of six lookbacks; ETH is at its high.
    btc = rising_days()
    btc = [*btc[1:], btc[-1]._replace(open_ms=TODAY_MS, low=89.0, close=90.0)]
    btc = [day._replace(open_ms=day.open_ms - MS_PER_DAY) for day in btc]
    days = {BTC: btc, ETH: rising_days()}
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), days=days, min_score=0.5, max_positions_ceiling=1)
    rig.first_cycle()
    assert [o.symbol for o in rig.entries()] == [ETH]
    assert rig.refusals() == [("max_positions", BTC)]


def test_next_decision_is_announced(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    decider = rig.engine.decider
    assert decider.bars.next_decision_at(START.replace(minute=0)) == datetime(2024, 6, 1, 0, 1, tzinfo=UTC)
    assert decider.bars.next_decision_at(START) == datetime(2024, 6, 2, 0, 1, tzinfo=UTC)
