"""The rest of the world: no money after fees, markets that close, clocks that step, nights and months without the bot,
disks that are full. For each what the engine does and what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    BTC,
    ETH,
    QUANTITY,
    START,
    D,
    Rig,
    assert_books_equal_venues,
    assert_orders_equal_venues,
    assert_protected,
    make_rig,
)

from bot.domain.errors import LedgerError, StateFileError
from bot.domain.modes import EngineMode
from bot.domain.orders import OrderState, Purpose
from bot.domain.snapshot import Snapshot
from bot.engine.engine import CycleResult
from bot.engine.state import STATE_KEY

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def snapshot_of(result: CycleResult) -> Snapshot:
    assert result.snapshot is not None
    return result.snapshot


def guard_of(result: CycleResult, name: str) -> tuple[float | None, bool]:
    [guard] = [guard for guard in snapshot_of(result)["guards"] if guard["name"] == name]
    return guard["used"], guard["active"]


def at(rig: Rig, moment: datetime, **prices: float) -> CycleResult:
    """Run the cycle of a clock that stands at this moment, whatever it was before."""
    for coin, price in prices.items():
        rig.board.prices[f"{coin}/USD"] = price
    rig.clock.moment = moment
    return rig.engine.cycle(rig.now)


# -- money


def test_order_that_the_venue_has_no_money_for_is_refused_and_waits_for_the_next_decision(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.rejections = ["InsufficientFunds: EOrder:Insufficient funds"]
    result = rig.first_cycle()
    [(order, reason)] = result.rejections
    assert (order.state, order.purpose, reason) == (
        OrderState.REJECTED,
        Purpose.ENTRY,
        "InsufficientFunds: EOrder:Insufficient funds",
    )
    assert rig.refusals() == [("order_rejected", BTC)]
    for _ in range(3):
        assert rig.cycle().rejections == ()
    assert len(rig.venue.submitted) == 1
    assert rig.engine.desk.doubtful_usd("coinbase") == 0.0  # it took nothing, and counts as nothing
    rig.next_decision(BTC=100.0)
    assert [o.state for o in rig.orders(Purpose.ENTRY)] == [OrderState.REJECTED, OrderState.OPEN]


@pytest.mark.parametrize("crosses", [False, True])
def test_order_at_the_edge_of_the_cash_leaves_its_fee_and_the_buffer(tmp_path: Path, crosses: bool) -> None:
    rig = make_rig(
        tmp_path,
        position_cap_frac=1.0,
        risk_ceiling_pct=None,
        crossing_accounts=frozenset({"coinbase"} if crosses else ()),
    )
    rig.first_cycle()
    if crosses:
        rig.cycle(after_s=1260.0, BTC=100.0)  # 20 minutes without a fill: at the ask, with the taker's fee
    else:
        rig.cycle(BTC=99.9)
    assert rig.engine.book.positions
    assert rig.venue.core.balances()["USD"].total >= D("0.15") * D(repr(rig.cycle().equity))
    assert [o.state for o in rig.orders(Purpose.ENTRY)][-1] is OrderState.FILLED
    assert_books_equal_venues(rig)


# -- markets that close


def closed(rig: Rig, *symbols: str) -> CycleResult:
    """The venue says of these markets that they take no orders; its rules are asked for again a day later."""
    rig.venue.closed_markets = set(symbols)
    rig.clock.moment += DAY
    return rig.engine.cycle(rig.now)


def test_market_that_only_takes_cancellations_keeps_its_stop_until_it_opens_again(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    closed(rig, BTC)
    [stop] = rig.stops()
    sent = len(rig.venue.submitted)
    rig.control.put("flatten")
    for _ in range(3):
        assert rig.cycle().rejections == ()
    assert [o.client_order_id for o in rig.stops()] == [stop.client_order_id]  # nothing could be placed in its stead
    assert len(rig.venue.submitted) == sent
    assert_orders_equal_venues(rig)
    closed(rig)
    rig.cycle()
    assert rig.engine.book.positions == {}
    assert_books_equal_venues(rig)


def test_market_that_is_found_closed_by_a_rejection_is_tried_again_and_ends_entries(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.rejections = ["market is in cancel-only mode"] * 4
    results = [rig.cycle(BTC=99.9) for _ in range(5)]
    no = ["market is in cancel-only mode"]
    # After each rejection but the first the pause is twice the last, at most a quarter of an hour.
    assert [[reason for _, reason in result.rejections] for result in results] == [no, no, no, [], no]
    [position] = snapshot_of(results[-1])["positions"]
    assert (position["stop_resting"], position["stop_watched"]) == (False, True)  # not at the venue: shown as watched
    after = rig.cycle()  # it takes orders again
    assert (after.mode, after.reason) == (
        EngineMode.REDUCE_ONLY,
        "5 cycles in a row failed; entries again after 5 good ones, or `resume`",
    )
    for _ in range(3):
        rig.cycle()
    assert_protected(rig)


def test_coin_that_is_delisted_is_held_shown_and_keeps_the_others_going(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "1000"}).entered(BTC=99.9)
    assert set(rig.engine.book.positions) == {("coinbase", BTC)}
    rig.venue.hidden_markets = rig.venue.hidden_tickers = {BTC}
    result = rig.next_decision(BTC=100.0, ETH=100.0)
    assert result.rejections == ()
    assert [p["symbol"] for p in snapshot_of(result)["positions"]] == [BTC]
    assert [o.symbol for o in rig.entries()] == [ETH]
    assert {report.symbol for report in rig.venue.core.open_orders()} == {BTC, ETH}  # its stop still rests
    rig.cycle(ETH=99.9)
    assert_books_equal_venues(rig)


# -- clocks


def test_clock_put_back_over_midnight_decides_nothing_twice_and_forgets_no_loss(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, position_cap_frac=0.8, risk_ceiling_pct=None).entered()
    before = rig.cycle(BTC=95.0)
    loss, _ = guard_of(before, "daily_loss")
    assert loss is not None
    assert loss > 1
    sent, decided = len(rig.venue.submitted), rig.decisions()
    results = [at(rig, START - 2 * HOUR), rig.cycle(), at(rig, START + HOUR), rig.cycle()]
    assert [guard_of(result, "daily_loss")[0] for result in results] == pytest.approx([loss] * 4)
    assert [result.mode for result in results] == [before.mode] * 4
    today = snapshot_of(before)["today_pnl_usd"]
    assert today < -1
    assert [snapshot_of(result)["today_pnl_usd"] for result in results] == pytest.approx([today] * 4)
    assert (len(rig.venue.submitted), rig.decisions()) == (sent, decided)
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_clock_put_back_while_an_entry_rests_keeps_entry_and_protection(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    at(rig, START - 1.5 * HOUR)
    assert [o.state for o in rig.entries()] == [OrderState.OPEN]
    rig.clock.moment = START + timedelta(minutes=2)
    rig.cycle(BTC=99.9)
    assert rig.engine.book.positions["coinbase", BTC].quantity == QUANTITY
    assert_protected(rig)
    assert_orders_equal_venues(rig)


def test_clock_put_forward_a_day_waits_for_the_bar_and_comes_back_unharmed(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    decided = rig.decisions()
    for moment in (START + DAY, START + 400 * DAY, START + HOUR):
        result = at(rig, moment)
        assert result.rejections == ()
        assert_protected(rig)
    assert rig.decisions() == decided  # no daily bar, no decision
    assert rig.next_decision(BTC=101.0).decided == (BTC,)  # the real day closes
    assert_books_equal_venues(rig)


def test_daily_loss_latched_by_a_clock_that_was_ahead_still_holds_when_it_is_put_right(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, position_cap_frac=0.8, risk_ceiling_pct=None).entered()
    ahead = at(rig, START + DAY, BTC=50.0)  # far below every stop: it has sold
    assert guard_of(ahead, "daily_loss")[1]
    right = at(rig, START + HOUR)
    assert guard_of(right, "daily_loss")[1]
    assert right.mode in (EngineMode.REDUCE_ONLY, EngineMode.HALTED)


def test_sale_of_unknown_outcome_from_a_clock_that_was_ahead_does_not_hold_up_the_position(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    rig.control.put("flatten")
    rig.venue.down = {"submit"}  # it never arrives
    at(rig, START + DAY)
    assert [o.state for o in rig.orders(Purpose.EXIT)] == [OrderState.UNKNOWN]
    rig.venue.speak()
    at(rig, START + HOUR)
    for _ in range(5):
        rig.cycle()
    assert rig.engine.book.positions == {}
    assert_books_equal_venues(rig)
    assert_orders_equal_venues(rig)


# -- nights and months without the bot


def away(rig: Rig, until: datetime, *, closes: float, price: float) -> None:
    """End without a farewell; days close meanwhile, and the bot starts again."""
    rig.ledger.close()
    while rig.board.days[BTC][-1].open_ms < (until - 2 * DAY).timestamp() * 1000:
        for symbol in rig.board.days:
            rig.board.close_day(symbol, closes)
    rig.board.prices[BTC] = price
    rig.clock.moment = until
    rig.restart()


@pytest.mark.parametrize(
    "until",
    [
        datetime(2024, 6, 2, 0, 0, 30, tzinfo=UTC),  # midnight, before the bar is decided
        datetime(2024, 6, 2, 0, 1, tzinfo=UTC),
        datetime(2024, 7, 1, 12, 0, tzinfo=UTC),  # a month's end
        datetime(2025, 1, 1, 0, 5, tzinfo=UTC),  # a year's
    ],
)
def test_bot_that_was_away_over_midnight_decides_the_newest_bar_once(tmp_path: Path, until: datetime) -> None:
    rig = make_rig(tmp_path).entered()
    away(rig, until, closes=100.0, price=100.0)
    results = [rig.first_cycle(), rig.cycle(), rig.cycle()]
    decided = [result.decided for result in results if result.decided]
    assert decided == [(BTC,)]
    assert rig.engine.state.today == until.date().isoformat()
    assert snapshot_of(results[0])["today_pnl_usd"] == pytest.approx(0.0, abs=0.05)  # 99.95 against 99.85: 2 cents
    next_day = datetime.combine(until.date() + DAY, datetime.min.time(), tzinfo=UTC) + timedelta(minutes=1)
    assert snapshot_of(results[-1])["next_decision_at"] == next_day.isoformat()
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_loss_while_the_bot_was_away_counts_on_the_day_of_its_return(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    away(rig, datetime(2024, 6, 4, 0, 0, 30, tzinfo=UTC), closes=100.0, price=60.0)
    result = rig.first_cycle()
    # 0.18009004 at 99.95 are $18; at 59.97 they sell for $10.80 less 1.2 %: 7.44 with the fee of the entry
    loss, active = guard_of(result, "daily_loss")
    assert active
    assert loss == pytest.approx(7.44, abs=0.01)
    assert result.reason == "the daily loss limit was reached; entries again on the next UTC day"
    assert rig.engine.book.positions == {}
    assert_books_equal_venues(rig)


# -- disks and files


def fill_disk(rig: Rig) -> None:
    [pages] = rig.ledger._connection.execute("PRAGMA page_count").fetchone()
    rig.ledger._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_disk_that_is_full_ends_the_cycle_before_anything_is_sent(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    fill_disk(rig)
    with pytest.raises(LedgerError, match="the disk is full: free some space and start again"):
        rig.first_cycle()
    assert rig.venue.submitted == []
    rig.restart()  # with space again
    rig.first_cycle()
    assert len(rig.venue.submitted) == 1
    assert_books_equal_venues(rig)
    assert_orders_equal_venues(rig)


def test_tier_file_that_cannot_be_written_says_so_and_costs_no_order(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)

    def refuse(_: object) -> None:
        raise StateFileError("state file: cannot be written (No space left on device)")

    saved: Any = rig.state_file
    saved.save = refuse
    with pytest.raises(StateFileError, match="No space left"):
        rig.first_cycle()
    rig.restart()
    rig.cycle(BTC=99.9)
    assert len(rig.orders(Purpose.ENTRY)) == 1
    assert_protected(rig)
    assert_books_equal_venues(rig)


@pytest.mark.parametrize("stored", [7, "text", [], {"today": 5}, {"stops": {"coinbase|BTC/USD": 1}}])
def test_state_in_the_ledger_that_cannot_be_read_is_named_and_left_alone(tmp_path: Path, stored: object) -> None:
    rig = make_rig(tmp_path).entered()
    rig.ledger.set_value(STATE_KEY, stored)
    with pytest.raises(LedgerError, match="the engine state in the ledger cannot be read"):
        rig.restart()
    assert rig.ledger.value(STATE_KEY) == stored
    assert rig.venue.core.open_orders()[0].symbol == BTC  # what rests goes on resting
    assert ETH not in rig.config.symbols
