"""Reconciliation: each difference between a venue and the ledger is a finding with its own answer."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import pytest
from engine_rig import (
    BTC,
    ETH,
    Rig,
    assert_books_equal_venues,
    assert_orders_equal_venues,
    assert_protected,
    make_rig,
)

from bot.domain.account import Fill, Flow, Liquidity
from bot.domain.modes import EngineMode
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side, client_order_id
from bot.engine import reconcile
from bot.engine.engine import CycleResult

D = Decimal
HALF_A_MINUTE = 31.0


@pytest.fixture(autouse=True)
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is accepted leave the books at once, but where the waiting is tested."""
    if "waits" not in request.node.name:
        monkeypatch.setattr(reconcile, "BOOKED_OUT_AFTER", timedelta(0))


def codes(result: CycleResult, *, blocking: bool = False) -> list[tuple[str, str]]:
    """(code, about) of the findings that the snapshot shows."""
    assert result.snapshot is not None
    return [(f["code"], f["about"]) for f in result.snapshot["findings"] if f["blocks"] or not blocking]


def detail(result: CycleResult) -> str:
    assert result.snapshot is not None
    return result.snapshot["findings"][0]["detail"]


def bought(folder: Path, **changes: object) -> Rig:
    """One BTC position of 0.18009004 at 99.95, its stop resting."""
    rig = make_rig(folder, **changes).entered()  # type: ignore[arg-type]
    assert [p.quantity for p in rig.engine.book.positions.values()] == [D("0.18009004")]
    return rig


def take_coins(rig: Rig, quantity: str) -> None:
    """As the user does it at the venue: cancel the stop, then send the coins away."""
    for order in rig.stops():
        rig.venue.core.cancel(order)
    rig.venue.core.withdraw("BTC", D(quantity))


def someones_order(client_id: str, *, side: Side = Side.BUY, price: str = "50") -> Order:
    return Order(
        client_order_id=client_id,
        account="coinbase",
        symbol=BTC,
        intent_number=1,
        purpose=Purpose.ENTRY,
        side=side,
        type=OrderType.LIMIT,
        quantity=D("0.1"),
        price=D(price),
        reason="mine",
        created_at=datetime.fromisoformat("2024-06-01T00:00:00+00:00"),
        updated_at=datetime.fromisoformat("2024-06-01T00:00:00+00:00"),
    )


# -- coins that are not there


def test_coins_moved_away_are_missing_at_the_second_look_and_end_entries(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"))
    rig.venue.hidden_candles.add(ETH)  # so that it is decided later
    rig.entered()
    take_coins(rig, "0.18009004")
    assert codes(rig.cycle(after_s=20.0), blocking=True) == []  # one look: the balance may be older than the books
    result = rig.cycle(after_s=HALF_A_MINUTE)
    assert codes(result, blocking=True) == [("coins_missing", "BTC")]
    assert detail(result) == (
        "0.18009004 of 0.18009004 BTC are not there, or held by an order that the bot did not send; the bot did not "
        "sell them, and they do not count any more"
    )
    assert result.mode is EngineMode.REDUCE_ONLY
    assert result.reason == "what a venue holds and the ledger do not agree; `status` says what, and what ends it"
    sent = len(rig.venue.submitted)
    rig.venue.hidden_candles.clear()
    rig.next_decision(BTC=103.0, ETH=103.0)
    assert rig.refusals() == [("unreconciled", ETH)]
    assert len(rig.venue.submitted) == sent  # neither a stop nor a sale of what is not there


def test_coins_missed_once_on_an_account_left_out_block_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "100", "kraken": "100"}, coins=("BTC", "ETH"))
    for venue in rig.venues.values():
        venue.hidden_candles.add(ETH)  # so that it is decided later
    rig.entered(BTC=99.0)
    [held] = {name for name, _ in rig.engine.book.positions}
    gone = rig.venues[held]
    for order in rig.stops():
        gone.core.cancel(order)
    gone.core.withdraw("BTC", rig.engine.book.positions[held, BTC].quantity)
    rig.cycle()  # the first look
    assert rig.engine.reconciler.is_short
    rig.venues.pop(held)
    rig.restart()
    for venue in rig.venues.values():
        venue.hidden_candles.clear()
    rig.cycle(after_s=10.0)
    assert not rig.engine.reconciler.is_short
    assert [order.symbol for order in rig.entries()] == [ETH]


def test_missing_coins_are_booked_out_by_resume_as_money_that_left(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    index = rig.engine.performance.index
    take_coins(rig, "0.18009004")
    rig.cycle()
    rig.cycle()
    rig.control.put("resume", book_out=True)
    result = rig.cycle()
    assert [(out.symbol, out.quantity, out.price) for out in result.coins_out] == [(BTC, D("0.18009004"), D("99.85"))]
    assert codes(result) == []
    assert result.mode is EngineMode.ACTIVE
    assert rig.engine.book.positions == {}
    (trade,) = rig.engine.book.trades
    assert trade.last_purpose == "moved"
    assert rig.engine.performance.index == index  # neither profit nor loss
    assert_books_equal_venues(rig)
    rig.restart()
    assert rig.engine.book.positions == {}
    rig.cycle()
    assert_books_equal_venues(rig)


def test_coins_that_are_accepted_waits_ten_minutes_for_a_balance_that_was_wrong(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    take_coins(rig, "0.18009004")
    rig.cycle()
    rig.cycle()
    rig.control.put("resume", book_out=True)
    assert rig.cycle().coins_out == ()
    for _ in range(7):
        assert rig.cycle().coins_out == ()  # 9 minutes after the first look
    assert [out.quantity for out in rig.cycle().coins_out] == [D("0.18009004")]
    assert codes(rig.cycle()) == []
    assert_books_equal_venues(rig)


def test_plain_resume_books_nothing_out(tmp_path: Path) -> None:
    """It may have been said for another reason: what leaves the books is not protected any more."""
    rig = bought(tmp_path)
    take_coins(rig, "0.18009004")
    rig.cycle()
    rig.cycle()
    rig.control.put("resume")
    for _ in range(3):
        result = rig.cycle()
    assert codes(result, blocking=True) == [("coins_missing", "BTC")]
    assert result.coins_out == ()
    assert rig.engine.state.accepted == {}


def test_coins_sold_by_hand_bring_their_money_in_and_leave_the_books_on_resume(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    index = rig.engine.performance.index
    take_coins(rig, "0.18009004")
    rig.venue.core.deposit("USD", D("17.80"))  # what the sale has brought
    for _ in range(3):
        rig.cycle()
    assert rig.engine.book.deposits_usd == D("117.80")
    rig.control.put("resume", book_out=True)
    result = rig.cycle()
    # 0.18009004 BTC at the bid of 99.85 leave: 17.981990494 of the 117.80
    assert rig.engine.book.deposits_usd == D("117.80") - D("17.9819904940")
    assert rig.engine.performance.index == index
    assert result.equity == pytest.approx(float(rig.venue.core.balances()["USD"].total))
    assert_books_equal_venues(rig)


def test_part_of_the_coins_that_is_gone_leaves_the_rest_protected(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    take_coins(rig, "0.08009004")
    rig.cycle()
    result = rig.cycle()
    assert codes(result, blocking=True) == [("coins_missing", "BTC")]
    assert detail(result).startswith("0.08009004 of 0.18009004 BTC")
    assert [(o.quantity, o.state) for o in rig.stops()] == [(D("0.1"), OrderState.OPEN)]
    rejected = [order for order in rig.orders() if order.state is OrderState.REJECTED]
    rig.cycle()
    rig.cycle()
    assert [order for order in rig.orders() if order.state is OrderState.REJECTED] == rejected  # nothing is hammered
    rig.cycle(BTC=70.0)  # through the stop: what is there is sold
    rig.control.put("resume", book_out=True)
    rig.cycle()
    assert_books_equal_venues(rig)
    assert rig.engine.book.positions == {}


def test_coins_that_come_back_end_the_finding_by_themselves(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    take_coins(rig, "0.18009004")
    rig.cycle()
    assert codes(rig.cycle(), blocking=True) == [("coins_missing", "BTC")]
    rig.venue.core.deposit("BTC", D("0.18009004"))
    assert codes(rig.cycle()) == []
    rig.cycle()
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_missing_coins_survive_a_restart_and_a_silent_venue_says_nothing_new(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    take_coins(rig, "0.18009004")
    rig.cycle()
    rig.cycle()
    rig.venue.silence()
    rig.restart()
    assert codes(rig.cycle(), blocking=True) == [("coins_missing", "BTC")]
    rig.venue.speak()
    assert codes(rig.cycle(), blocking=True) == [("coins_missing", "BTC")]


def test_venue_that_fails_to_answer_is_never_flat(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    rig.venue.silence()
    for _ in range(5):
        result = rig.cycle()
    assert codes(result) == []
    assert [p.quantity for p in rig.engine.book.positions.values()] == [D("0.18009004")]
    assert rig.engine.state.short_since == {}


def test_resume_accepts_only_what_was_shown(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    take_coins(rig, "0.08")
    rig.cycle()
    rig.cycle()
    for order in rig.stops():
        rig.venue.core.cancel(order)
    rig.venue.core.withdraw("BTC", D("0.02"))  # more is gone when the word comes
    rig.control.put("resume", book_out=True)
    result = rig.cycle()
    assert result.coins_out == ()
    assert detail(result).startswith("0.1 of 0.18009004 BTC are not there")
    rig.control.put("resume", book_out=True)
    assert [out.quantity for out in rig.cycle().coins_out] == [D("0.10")]


def test_sale_of_coins_that_were_booked_out_brings_them_back_first(tmp_path: Path) -> None:
    """The venue lists the fill of a stop only after the user has accepted that the coins are gone."""
    rig = bought(tmp_path)
    (stop,) = rig.stops()
    rig.venue.core.cancel(stop)
    del rig.venue.core._ended[stop.client_order_id]
    rig.venue.core.withdraw("BTC", D("0.18009004"))
    for _ in range(6):  # while the stop is looked for nothing is taken for gone
        rig.cycle()
    rig.control.put("resume", book_out=True)
    rig.cycle()
    assert rig.engine.book.positions == {}
    late = Fill(
        fill_id="late",
        account="coinbase",
        symbol=BTC,
        client_order_id=stop.client_order_id,
        side=Side.SELL,
        quantity=D("0.18009004"),
        price=D("90"),
        fee=D("0.19"),
        liquidity=Liquidity.TAKER,
        at=rig.now,
    )
    rig.venue.extra_fills = [late]
    rig.cycle(after_s=1000.0)
    assert rig.engine.book.positions == {}
    # 0.18009004 at 90 less the fee came in as money that had been counted as gone
    assert rig.engine.book.cash["coinbase", "USD"] == rig.venue.core.balances()["USD"].total + D("16.0181036")
    rig.restart()
    assert rig.engine.book.positions == {}


def test_coins_whose_price_fell_before_they_were_accepted_are_no_loss(tmp_path: Path) -> None:
    """Sold by hand at 100; the user says so only after the price has fallen to 40."""
    rig = bought(tmp_path)
    take_coins(rig, "0.18009004")
    rig.venue.core.deposit("USD", D("17.98"))
    rig.cycle()
    rig.cycle()
    index = rig.engine.performance.index
    rig.cycle(BTC=40.0)
    rig.control.put("resume", book_out=True)
    result = rig.cycle(BTC=40.0)
    assert [out.price for out in result.coins_out] == [D("99.85")]  # the bid when they were missed first
    assert float(rig.engine.performance.index) == pytest.approx(float(index))
    assert result.drawdown_frac < 0.002  # the fee of the entry, and half a spread
    assert result.snapshot is not None
    # 100 - 0.108 of fee, half a spread twice and a cent of the sale by hand are all that was lost
    assert result.snapshot["profit_usd"] == pytest.approx(-0.13, abs=0.01)
    assert rig.engine.decider.sizing.record(rig.now).trades == 0  # no result to learn from
    rig.cycle()
    assert_books_equal_venues(rig)


def test_coins_that_are_missing_do_not_count_and_the_limits_go_on(tmp_path: Path) -> None:
    """Sold by hand: the money has come in, and the coins must not count beside it. Other losses count as ever."""
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "1000"}).entered(BTC=99.9, ETH=99.9)
    assert len(rig.engine.book.positions) == 2
    before = rig.cycle().equity
    for order in rig.stops():
        if order.symbol == BTC:
            rig.venue.core.cancel(order)
    coins = rig.venue.core.balances()["BTC"].total
    rig.venue.core.withdraw("BTC", coins)
    rig.venue.core.deposit("USD", D("179.90"))
    rig.cycle()
    rig.cycle()
    result = rig.cycle()
    assert codes(result, blocking=True) == [("coins_missing", "BTC")]
    assert result.equity == pytest.approx(before, abs=0.5)
    assert result.snapshot is not None
    held = {position["symbol"]: position for position in result.snapshot["positions"]}
    assert (held[BTC]["missing"], held[BTC]["value_usd"]) == (f"{coins.normalize():f}", 0.0)
    assert held[ETH]["missing"] == ""
    assert result.snapshot["deposits_usd"] == pytest.approx(1000.0, abs=0.5)
    result = rig.cycle(ETH=60.0)  # through its stop: 18 % of the account lose about 40 %
    assert result.equity < 0.95 * before
    assert rig.cycle().drawdown_frac > 0.05  # measured, although coins are missing


def test_coins_in_an_order_of_the_owner_leave_the_rest_protected(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    for order in rig.stops():
        rig.venue.core.cancel(order)
    mine = replace(someones_order("my sale", side=Side.SELL, price="150"), quantity=D("0.05"))
    rig.venue.inner.submit(mine)
    for _ in range(3):
        result = rig.cycle()
    assert codes(result, blocking=True) == [("coins_missing", "BTC")]
    assert [order.quantity for order in rig.stops()] == [D("0.13009004")]
    rig.cycle(BTC=70.0)
    rig.cycle(BTC=70.0)
    assert rig.venue.core.balances()["BTC"].total == D("0.05")  # what the owner's order holds; the rest is sold


def test_coins_missing_from_two_markets_are_booked_out_where_they_are_missing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "1000"}, usdc={"coinbase": "1000"}).entered()
    (key,) = rig.engine.book.positions
    first = rig.engine.book.positions[key].quantity
    wealth, reconciler = rig.engine.wealth, rig.engine.reconciler
    account = rig.engine.accounts["coinbase"]
    moved = list(reconciler._count_anew(account, "BTC", D("0.1"), rig.now))
    assert [(m.event.symbol, m.event.quantity, m.is_booked) for m in moved] == [(key[1], D("0.1"), False)]
    assert wealth.missing(key) == D("0.1")
    assert rig.engine.protector._there(account, key) == first - D("0.1")
    assert [m.event.quantity for m in reconciler._out(account, "BTC", rig.now)] == [D("0.1")]


def test_coins_that_an_own_sale_holds_are_there_whatever_the_balance_says(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    whole = rig.venue.balances
    rig.venue.balances = lambda: {k: v for k, v in whole().items() if k != "BTC"}  # type: ignore[method-assign]
    for _ in range(4):
        result = rig.cycle()
    assert codes(result) == []
    assert rig.engine.state.short_since == {}


# -- what others own


def test_coins_added_by_the_user_are_shown_never_counted_never_sold(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    rig.venue.core.deposit("BTC", D("0.5"))
    before = rig.cycle().equity
    result = rig.cycle()
    assert codes(result) == [("foreign_coins", "BTC")]
    assert codes(result, blocking=True) == []
    assert detail(result) == "0.5 BTC that the bot did not buy"
    assert result.equity == pytest.approx(before)
    rig.control.put("flatten")
    rig.cycle()
    assert rig.venue.core.balances()["BTC"].total == D("0.5")


def test_order_of_the_user_is_shown_at_the_next_comparison_and_never_touched(tmp_path: Path) -> None:
    rig = bought(tmp_path, reconcile_s=900.0)
    rig.venue.core.submit(someones_order("my own order"), rig.now)
    (own,) = [report for report in rig.venue.core.open_orders() if report.client_order_id == "my own order"]
    result = rig.cycle(after_s=900.0)
    assert codes(result) == [("foreign_order", own.venue_order_id)]
    assert detail(result) == "buy 0.1 BTC/USD at 50, not sent by this ledger"
    assert result.mode is EngineMode.ACTIVE
    rig.control.put("flatten")
    rig.cycle()
    assert own in rig.venue.core.open_orders()


# -- ledgers that are not what they were


def test_ledger_deleted_while_a_stop_rests_blocks_entries_until_resume(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    rig.ledger.close()
    for path in tmp_path.glob("ledger.sqlite3*"):
        path.unlink()
    rig._start()
    resting = rig.venue.core.open_orders()
    result = rig.cycle()
    assert ("ledger_new", "ledger") in codes(result, blocking=True)
    assert "1 resting orders of a bot" in detail(result)
    assert rig.engine.entries is not None
    assert rig.refusals() == [("unreconciled", BTC)]
    assert rig.venue.core.open_orders() == resting  # shown, never touched
    rig.control.put("resume", book_out=True)
    result = rig.cycle()
    assert codes(result, blocking=True) == []
    assert {code for code, _ in codes(result)} == {"foreign_order", "foreign_coins"}


def test_ledger_deleted_with_coins_and_no_order_is_known_by_the_tier_file(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    take_coins(rig, "0.00000001")  # its stop is cancelled; the coins lie there
    rig.ledger.close()
    for path in tmp_path.glob("ledger.sqlite3*"):
        path.unlink()
    rig._start()
    assert codes(rig.cycle(), blocking=True) == [("ledger_new", "ledger")]


def test_first_start_on_an_account_with_coins_of_its_owner_is_no_finding(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.core.deposit("BTC", D("0.5"))
    assert codes(rig.first_cycle(), blocking=True) == []
    assert len(rig.entries()) == 1


def test_orders_of_another_bot_on_the_account_block_a_new_ledger(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.inner.submit(someones_order(str(uuid5(NAMESPACE_DNS, "another bot"))))
    assert ("ledger_new", "ledger") in codes(rig.first_cycle(), blocking=True)
    assert rig.entries() == []


def backed_up(tmp_path: Path, **changes: object) -> tuple[Rig, Path]:
    """A rig before its first entry was filled, and a copy of its ledger from then."""
    rig = make_rig(tmp_path, **changes)  # type: ignore[arg-type]
    rig.venue.down |= {"candles"}
    rig.first_cycle()
    rig.venue.speak()
    rig.ledger.close()
    copy = tmp_path / "backup"
    shutil.copy(tmp_path / "ledger.sqlite3", copy)
    rig._start()
    return rig, copy


def put_back(rig: Rig, copy: Path) -> None:
    rig.ledger.close()
    for path in rig.folder.glob("ledger.sqlite3*"):
        path.unlink()
    shutil.copy(copy, rig.folder / "ledger.sqlite3")
    rig._start()


def test_old_backup_takes_its_lost_orders_and_fills_in_again(tmp_path: Path) -> None:
    rig, copy = backed_up(tmp_path)
    rig.entered()
    ids = [order.client_order_id for order in rig.orders()]
    book = dict(rig.engine.book.positions)
    put_back(rig, copy)
    result = rig.cycle()
    assert codes(result, blocking=True) == [("ledger_too_old", "ledger")]
    assert {order.client_order_id for order in rig.orders()} >= set(ids)
    assert len(rig.orders(Purpose.ENTRY)) == 1
    (position,) = rig.engine.book.positions.values()
    assert position.quantity == next(iter(book.values())).quantity
    assert_protected(rig)
    assert_books_equal_venues(rig)
    assert_orders_equal_venues(rig)
    rig.control.put("resume", book_out=True)
    assert codes(rig.cycle(), blocking=True) == []


def test_old_backup_uses_no_number_that_the_lost_part_may_have_used(tmp_path: Path) -> None:
    rig, copy = backed_up(tmp_path)
    rig.entered()
    used = {order.client_order_id for order in rig.orders()}
    put_back(rig, copy)
    rig.cycle()
    rig.control.put("resume", book_out=True)
    rig.control.put("flatten")
    rig.cycle()
    assert rig.engine.book.positions == {}
    newest = rig.orders()[-1]
    assert newest.purpose is Purpose.EXIT
    assert newest.intent_number > 1000
    assert newest.client_order_id not in used
    assert_books_equal_venues(rig)


def test_old_backup_of_a_position_that_was_sold_since_is_flat_again(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    rig.ledger.close()
    copy = tmp_path / "backup"
    shutil.copy(tmp_path / "ledger.sqlite3", copy)
    rig._start()
    rig.cycle(BTC=70.0)
    rig.cycle()
    assert rig.engine.book.positions == {}
    put_back(rig, copy)
    rig.cycle()
    assert rig.engine.book.positions == {}
    assert_books_equal_venues(rig)


def lost_part(rig: Rig) -> tuple[Decimal, Decimal]:
    """Sell the position and buy another one much higher: (price, stop) of it."""
    rig.cycle(BTC=70.0)
    rig.cycle()
    assert rig.engine.book.positions == {}
    for _ in range(5):
        rig.next_decision(BTC=200.0)
    rig.cycle(BTC=199.8)
    rig.cycle()
    (position,) = rig.engine.book.positions.values()
    (stop,) = rig.stops()
    assert stop.stop_price is not None
    return position.average_price, stop.stop_price


def test_old_backup_protects_another_position_by_its_own_stop(tmp_path: Path) -> None:
    """The plans of the position that the backup knew are not those of the one that has taken its place."""
    rig = bought(tmp_path)
    rig.ledger.close()
    copy = tmp_path / "backup"
    shutil.copy(tmp_path / "ledger.sqlite3", copy)
    rig._start()
    price, stop = lost_part(rig)
    put_back(rig, copy)
    rig.cycle()
    rig.cycle()
    (position,) = rig.engine.book.positions.values()
    assert position.average_price == price
    assert [order.stop_price for order in rig.stops()] == [stop]
    assert_protected(rig)
    assert_books_equal_venues(rig)


# -- when it looks


def test_everything_is_compared_at_the_start_and_every_quarter_of_an_hour(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.hidden_candles.add(BTC)  # nothing is decided: no order that is looked after
    asked: list[bool] = []
    real = rig.venue.fills_since

    def fills_since(cursor: str, *, deep: bool = False) -> object:
        asked.append(deep)
        return real(cursor, deep=deep)

    rig.venue.fills_since = fills_since  # type: ignore[method-assign,assignment]
    first = rig.first_cycle()
    assert first.snapshot is not None
    assert first.snapshot["reconciled_at"] == rig.now.isoformat()
    for _ in range(15):
        rig.cycle()
    assert asked == [True, *[False] * 14, True]


def test_comparison_that_was_not_answered_is_asked_for_again(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.down.add("open_orders")
    result = rig.first_cycle()
    assert result.snapshot is not None
    assert result.snapshot["reconciled_at"] is None
    assert result.mode is EngineMode.HALTED
    rig.venue.speak()
    result = rig.cycle()
    assert result.snapshot is not None
    assert result.snapshot["reconciled_at"] == rig.now.isoformat()


def test_clock_that_was_put_back_compares_at_once(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.clock.moment -= timedelta(hours=5)
    result = rig.cycle()
    assert result.snapshot is not None
    assert result.snapshot["reconciled_at"] == rig.now.isoformat()


# -- cash while nobody knows what an order has moved


def test_fill_that_is_listed_late_is_no_withdrawal(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    real = rig.venue.fills_since
    rig.venue.fills_since = lambda cursor, *, deep=False: ([], cursor)  # type: ignore[method-assign]
    results = [rig.cycle(BTC=99.9) for _ in range(4)]
    assert codes(results[-1]) == [("fills_late", BTC)]
    assert rig.ledger.flows() == [
        Flow(
            account="coinbase",
            asset="USD",
            amount=D(100),
            at=results[0].at - timedelta(minutes=1),
            note="opening balance",
        )
    ]
    rig.venue.fills_since = real  # type: ignore[method-assign]
    rig.cycle()
    assert_protected(rig)
    assert_books_equal_venues(rig)
    assert ETH not in [order.symbol for order in rig.orders()]


def test_stop_whose_fill_nobody_lists_sells_no_coins_of_the_owner(tmp_path: Path) -> None:
    """Executed, and for two minutes only the balances know: what the owner has beside it is not the bot's to sell."""
    rig = bought(tmp_path)
    rig.venue.core.deposit("BTC", D("0.5"))
    rig.cycle()
    venue: Any = rig.venue
    whole = venue.open_orders, venue.find_order, venue.fills_since
    venue.open_orders, venue.find_order = list, lambda order: None
    venue.fills_since = lambda cursor, *, deep=False: ([], cursor)
    for _ in range(6):
        rig.cycle(BTC=80.0)
    assert rig.venue.core.balances()["BTC"].total == D("0.5")
    venue.open_orders, venue.find_order, venue.fills_since = whole
    rig.cycle(BTC=80.0)
    rig.cycle(BTC=80.0)
    assert rig.engine.book.positions == {}
    assert rig.venue.core.balances()["BTC"].total == D("0.5")
    assert rig.ledger.flows()[1:] == []
    assert rig.engine.book.cash["coinbase", "USD"] == rig.venue.core.balances()["USD"].total


def test_orders_of_a_copy_of_this_ledger_are_never_touched_and_end_entries(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.venue.hidden_candles.add(BTC)
    rig.first_cycle()
    number = rig.ledger.next_intent_number("coinbase", BTC)
    copied = someones_order(client_order_id(rig.ledger.epoch, "coinbase", BTC, number))
    rig.venue.inner.submit(copied)
    result = rig.cycle(after_s=900.0)
    assert codes(result, blocking=True) == [("second_bot", "ledger")]
    assert rig.orders() == []
    assert [report.client_order_id for report in rig.venue.core.open_orders()] == [copied.client_order_id]


def test_stop_that_ended_with_a_part_executed_protects_the_rest_although_its_fill_is_never_listed(
    tmp_path: Path,
) -> None:
    rig = bought(tmp_path)
    venue: Any = rig.venue
    (stop,) = rig.stops()
    rig.venue.core.cancel(stop)
    rig.venue.core.withdraw("BTC", D("0.1"))  # executed there; no fill is ever told
    found = venue.find_order

    def find_order(order: Order) -> Any:
        report = found(order)
        ours = report is not None and order.client_order_id == stop.client_order_id
        return replace(report, filled_quantity=D("0.1")) if ours else report

    venue.find_order = find_order
    for _ in range(3):
        result = rig.cycle()
    assert ("fills_late", BTC) in codes(result)
    assert [(o.quantity, o.state) for o in rig.stops() if o is not stop][-1] == (D("0.08009004"), OrderState.OPEN)
    rig.cycle(BTC=70.0)
    assert "BTC" not in rig.venue.core.balances()


def test_market_that_was_closed_for_a_moment_is_asked_about_again_soon(tmp_path: Path) -> None:
    rig = bought(tmp_path)
    rig.venue.closed_markets = {BTC}
    rig.engine.accounts["coinbase"].fees_at = None
    rig.cycle()
    rig.venue.closed_markets = set()
    rig.control.put("flatten")
    rig.cycle()
    assert rig.engine.book.positions != {}  # it takes cancellations only, as far as is known
    rig.cycle(after_s=600.0)
    assert rig.engine.book.positions == {}
