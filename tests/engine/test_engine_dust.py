"""Dust: what no order can sell is written off once, journalled, and stays written off."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from engine_rig import BTC, START, Fuse, ProcessDiedError, Rig, assert_protected, make_rig

from bot.books.book import Book, Dust
from bot.domain.account import DustEvent, Fill, Liquidity
from bot.domain.instrument import Instrument
from bot.domain.market import Ticker
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side
from bot.engine.account import Account
from bot.engine.desk import OrderDesk
from bot.engine.dust import write_off_dust
from bot.engine.rebuild import rebuilt_book
from bot.engine.state import ExitPlan, StateKeeper
from bot.storage.ledger import SqliteLedger

D = Decimal
KEY = ("coinbase", BTC)
NAME = "coinbase|BTC/USD"
DAY_S = 86_400.0
CRUMB = D("0.00990000")
"""At the entry's 99.95 it cost $0.989505: less than the venue's $1."""


def written_off(rig: Rig) -> list[DustEvent]:
    return [event for event in rig.ledger.book_events() if isinstance(event, DustEvent)]


def with_a_crumb(rig: Rig) -> Rig:
    """Run an entry of which only ``CRUMB`` is filled, at START + 60 s, before it is given up."""
    rig.first_cycle()
    (entry,) = rig.entries()
    rig.venue.core.next_fill_fraction = (CRUMB + D("0.000000005")) / entry.quantity
    rig.cycle(BTC=99.9)
    rig.cycle(after_s=1200.0, BTC=100.0)
    assert rig.engine.desk.live() == []
    assert rig.engine.book.positions[KEY].quantity == CRUMB
    return rig


def after_a_sale_that_keeps(rig: Rig, keep: str) -> Rig:
    """Buy, and sell all but ``keep``: done when the exit and the cycle after it have ended."""
    rig.entered()
    rig.engine.state.exits[NAME] = ExitPlan(keep, "a leg")
    rig.cycle()
    assert rig.orders(Purpose.EXIT)[0].state is OrderState.FILLED
    assert rig.engine.book.positions[KEY].quantity == D(keep)
    return rig


def test_crumb_of_an_entry_waits_a_day_and_is_then_a_loss(tmp_path: Path) -> None:
    rig = with_a_crumb(make_rig(tmp_path))
    rig.cycle(after_s=DAY_S - 1201.0)  # a second less than a day since its fill
    assert list(rig.engine.book.positions) == [KEY]
    before = rig.engine.wealth.equity()
    assert written_off(rig) == []
    shown = rig.engine.snapshot(rig.now, rig.now)
    assert [(position["symbol"], position["too_small"]) for position in shown["positions"]] == [(BTC, True)]
    assert shown["venues"][0]["dust_usd"] == 0.0

    rig.cycle(after_s=1.0)
    book = rig.engine.book
    assert book.positions == {}
    assert rig.engine.snapshot(rig.now, rig.now)["venues"][0]["dust_usd"] == 0.989505
    assert book.dust == {KEY: Dust(quantity=CRUMB, cost=D("0.989505"))}  # 0.0099 x 99.95
    (trade,) = book.trades
    assert (trade.last_purpose, trade.gross_pnl, trade.average_exit) == ("dust", D("-0.989505"), None)
    assert written_off(rig) == [DustEvent(account="coinbase", symbol=BTC, at=rig.now)]
    # Equity falls by what it was worth at the bid: 0.0099 x 99.95.
    assert before - rig.engine.wealth.equity() == D("0.989505")
    assert rig.engine.book.cash["coinbase", "USD"] == rig.venue.core.balances()["USD"].total


def test_rest_of_a_sale_is_written_off_in_the_next_cycle(tmp_path: Path) -> None:
    rig = after_a_sale_that_keeps(make_rig(tmp_path), "0.00500000")
    rig.cycle()
    assert rig.engine.book.positions == {}
    assert rig.engine.book.dust[KEY].quantity == D("0.005")
    assert NAME not in rig.engine.state.stops
    assert NAME not in rig.engine.state.exits
    rig.cycle()
    rig.cycle(after_s=2 * DAY_S)
    assert len(written_off(rig)) == 1


def test_rest_of_a_sale_above_the_minimum_is_no_dust(tmp_path: Path) -> None:
    rig = after_a_sale_that_keeps(make_rig(tmp_path), "0.02000000")
    rig.cycle()
    assert rig.engine.book.positions[KEY].quantity == D("0.02")
    assert_protected(rig)
    assert written_off(rig) == []


def test_dust_is_not_foreign_and_what_the_user_adds_is(tmp_path: Path) -> None:
    rig = after_a_sale_that_keeps(make_rig(tmp_path), "0.00500000")
    rig.cycle()
    rig.cycle()
    assert rig.engine.book.dust[KEY].quantity == rig.venue.core.balances()["BTC"].total == D("0.005")
    assert rig.engine.accounts["coinbase"].foreign == {}
    rig.venue.core.deposit("BTC", D("0.3"))
    rig.cycle()
    assert rig.engine.accounts["coinbase"].foreign == {"BTC": D("0.3")}


def test_position_bought_after_a_write_off_is_a_new_one_and_sold_without_the_dust(tmp_path: Path) -> None:
    rig = after_a_sale_that_keeps(make_rig(tmp_path), "0.00500000")
    rig.cycle()
    rig.next_decision(BTC=102.0)
    rig.cycle(BTC=101.8)
    rig.cycle()
    position = rig.engine.book.positions[KEY]
    assert position.opened_at > rig.engine.book.trades[0].closed_at
    assert position.sold_quantity == 0
    assert rig.venue.core.balances()["BTC"].total == position.quantity + D("0.005")
    assert rig.engine.accounts["coinbase"].foreign == {}
    assert_protected(rig)

    rig.control.put("flatten")
    rig.cycle()
    assert rig.engine.book.positions == {}
    assert rig.venue.core.balances()["BTC"].total == D("0.005")
    assert rig.engine.book.dust[KEY].quantity == D("0.005")
    assert [trade.last_purpose for trade in rig.engine.book.trades] == ["dust", "exit"]


def test_books_rebuilt_after_a_write_off_are_the_running_ones(tmp_path: Path) -> None:
    rig = after_a_sale_that_keeps(make_rig(tmp_path), "0.00500000")
    rig.cycle()
    rig.next_decision(BTC=102.0)
    rig.cycle(BTC=101.8)
    rig.venue.core.deposit("USD", D(7))
    rig.cycle()
    rig.cycle()
    running = rig.engine.book
    assert running.trades[0].initial_risk_usd is not None
    rig.restart()
    assert rig.engine.book is not running
    assert rig.engine.book == running
    rig.cycle()
    assert rig.engine.book == running  # and nothing is written off again


def test_death_at_any_write_neither_loses_nor_doubles_a_write_off(tmp_path: Path) -> None:
    def about_to_write_off(folder: Path) -> Rig:
        rig = after_a_sale_that_keeps(make_rig(folder, fuse=Fuse()), "0.00500000")
        rig.fuse.touched = 0
        return rig

    whole = about_to_write_off(tmp_path / "whole")
    whole.cycle()
    deaths = []
    for n in range(1, whole.fuse.touched + 1):
        rig = about_to_write_off(tmp_path / f"{n}")
        rig.fuse.left = n
        with pytest.raises(ProcessDiedError):
            rig.cycle()
        deaths.append(rig.fuse.at)
        rig.restart()
        rig.cycle()
        assert len(written_off(rig)) == 1, f"died {rig.fuse.at}"
        assert rig.engine.book == rebuilt_book(rig.ledger, rig.engine.state)
        assert rig.engine.book.positions == {}
        assert rig.engine.book.dust == whole.engine.book.dust
        assert rig.engine.book.trades == whole.engine.book.trades
        rig.ledger.close()
    assert deaths[0] == "before ledger.commit"  # that of the write-off itself
    assert len(deaths) > 2


# -- the rule alone: BTC bought at 100 where an order must be worth $1, so 0.01 BTC at that price


def fill(side: Side, quantity: str) -> Fill:
    return Fill(
        fill_id=f"{side} {quantity}",
        account="coinbase",
        symbol=BTC,
        client_order_id="an order",
        side=side,
        quantity=D(quantity),
        price=D(100),
        fee=D(0),
        liquidity=Liquidity.MAKER,
        at=START,
    )


def an_account(*, bid: str | None, listed: bool = True, fresh: bool = True) -> Account:
    instrument = Instrument(
        symbol=BTC,
        base="BTC",
        quote="USD",
        lot_step=D("0.00000001"),
        tick_size=D("0.01"),
        min_amount=D("0.00000001"),
        min_cost=D(1),
    )
    tickers = {} if bid is None else {BTC: Ticker(symbol=BTC, bid=D(bid), ask=D(bid) + 1, last=D(bid), at=START)}
    return Account(
        venue=cast(Any, None),  # nobody is asked
        name="coinbase",
        instruments={BTC: instrument} if listed else {},
        tickers=tickers,
        fresh=fresh,
    )


def is_written_off(
    folder: Path,
    held: str,
    *,
    sold: str = "",
    after: timedelta = timedelta(days=1),
    account: Account,
    live: Order | None = None,
) -> bool:
    """Whether ``held``, bought and last filled at START, is written off ``after`` that."""
    with SqliteLedger(folder / "ledger.sqlite3", durable=False) as ledger:
        book = Book()
        book.apply_fill(fill(Side.BUY, str(D(held) + D(sold or "0"))))
        if sold:
            book.apply_fill(fill(Side.SELL, sold))
        if live is not None:
            ledger.record_intent(live)
        keeper = StateKeeper(ledger)
        keeper.state.initial_risks["noted in this cycle"] = 4.0
        accounts = {account.name: account}
        desk = OrderDesk(ledger=ledger, accounts=accounts, book=book, keeper=keeper)
        write_off_dust(accounts=accounts, book=book, desk=desk, ledger=ledger, keeper=keeper, now=START + after)
        gone = not book.positions
        assert ledger.book_events() == ([DustEvent(account="coinbase", symbol=BTC, at=START + after)] if gone else [])
        assert bool(StateKeeper(ledger).state.initial_risks) is gone  # the trade's R is durable with its end
        return gone


@pytest.mark.parametrize(
    ("held", "sold", "after", "bid", "gone"),
    [
        ("0.00999999", "", timedelta(days=1), "100", True),
        ("0.01", "", timedelta(days=1), "100", False),  # exactly the minimum
        ("0.00999999", "", timedelta(days=1) - timedelta(microseconds=1), "100", False),  # may still become more
        ("0.00999999", "0.5", timedelta(0), "100", True),  # what a sale has left becomes no more
        ("0.01", "0.5", timedelta(days=9), "100", False),
        ("0.01", "0.5", timedelta(days=9), "99", False),  # $0.99 now: a price that dips comes back
        ("0.009", "0.5", timedelta(days=9), "112", False),  # $1.008 now: it can be sold
        ("0.009", "0.5", timedelta(days=9), "111", True),  # $0.999
    ],
)
def test_write_off_needs_too_little_at_both_prices_and_a_day_or_a_sale(
    tmp_path: Path, *, held: str, sold: str, after: timedelta, bid: str, gone: bool
) -> None:
    assert is_written_off(tmp_path, held, sold=sold, after=after, account=an_account(bid=bid)) is gone


@pytest.mark.parametrize(
    "account",
    [
        an_account(bid="100", fresh=False),
        an_account(bid=None),
        an_account(bid="100", listed=False),
    ],
    ids=["silent venue", "no price", "not listed"],
)
def test_write_off_waits_until_the_venue_tells_its_minimum_and_price(tmp_path: Path, account: Account) -> None:
    assert is_written_off(tmp_path, "0.005", sold="0.5", account=account) is False


@pytest.mark.parametrize(("symbol", "gone"), [(BTC, False), ("ETH/USD", True)])
def test_write_off_waits_for_a_live_order_of_the_same_coin(tmp_path: Path, symbol: str, gone: bool) -> None:
    entry = Order(
        client_order_id="an entry",
        account="coinbase",
        symbol=symbol,
        intent_number=1,
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=D(1),
        price=D(99),
        post_only=True,
        reason="",
        created_at=START,
        updated_at=START,
    )
    assert is_written_off(tmp_path, "0.005", sold="0.5", account=an_account(bid="100"), live=entry) is gone


def test_write_off_of_an_account_that_is_no_longer_used_waits(tmp_path: Path) -> None:
    other = an_account(bid="100")
    other.name = "kraken"
    assert is_written_off(tmp_path, "0.005", sold="0.5", account=other) is False
