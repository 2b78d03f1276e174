"""One run of the account: makes its empty book, replays, and gives back what happened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from bot.backtest import layout as at
from bot.backtest.bootstrap import resample
from bot.backtest.compiled import compiled
from bot.backtest.layout import Book, Market, Signals, Terms
from bot.backtest.market import Kit
from bot.backtest.replay import replay
from bot.backtest.signals import fold_signals
from bot.domain.errors import BotError

FILLS_MOST_A_DAY = 12
"""Per coin: entries, sales and stops of a day; more than a decision a day can cause."""

TIER_CHANGES_KEPT = 200
GUARDS_KEPT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One fill of a run."""

    coin: int
    at_ms: int
    buys: bool
    cents: int
    lots: int
    fee: int
    """In units of 1e-8."""
    why: int
    note: tuple[float, float]


@cache
def compiled_replay() -> Any:
    """Return the compiled form of ``replay``."""
    return compiled(replay)


@cache
def compiled_fold() -> Any:
    """Return the compiled form of ``fold_signals``."""
    return compiled(fold_signals)


@cache
def compiled_resample() -> Any:
    """Return the compiled form of ``resample``."""
    return compiled(resample)


def empty_book(market: Market, terms: Terms, kit: Kit, *, keeps: bool) -> Book:
    """Make the book of an account that has just been paid in; ``keeps``: fills are noted one by one."""
    days = (market.end_ms - market.start_ms) // at.MS_PER_DAY + 2
    most = market.coins * (days * FILLS_MOST_A_DAY + 16) if keeps else 0
    trades = market.coins * (days * 2 + 16)
    book = Book(
        coin=kit.int_table(market.coins, at.COIN_PLACES),
        level=kit.float_table(market.coins, at.LEVEL_PLACES),
        total=kit.ints(at.TOTAL_PLACES),
        rate=kit.floats(at.RATE_PLACES),
        mark_ms=kit.ints(at.MARKS_KEPT),
        mark=kit.floats(at.MARKS_KEPT),
        fee_day=kit.ints(at.FEE_DAYS_KEPT),
        fee_sum=kit.ints(at.FEE_DAYS_KEPT),
        result=kit.floats(trades),
        result_ms=kit.ints(trades),
        weight=kit.floats(trades),
        refused=kit.ints(at.REFUSAL_CODES),
        day_equity=kit.floats(days, math.nan),
        fill=kit.int_table(most, at.FILL_PLACES),
        fill_note=kit.float_table(most, 2),
        tier_change=kit.int_table(TIER_CHANGES_KEPT, at.TIER_PLACES),
        net=kit.ints(trades),
        guard=kit.int_table(GUARDS_KEPT, at.GUARD_PLACES),
    )
    for c in range(market.coins):
        book.coin[c][at.BAR] = book.coin[c][at.DECIDED] = -1
        book.level[c][at.RISK] = book.level[c][at.ENTRY_STOP] = math.nan
        book.coin[c][at.LAST_EXIT_MS] = -1
    book.total[at.CASH] = round(terms.equity_usd * 100) * (at.MONEY_UNITS // 100)
    book.total[at.LOSS_DAY] = -1
    book.total[at.DAY] = -1
    book.total[at.TIER] = -1
    book.total[at.RECORD_CLOSED] = -1
    book.total[at.FOLLOWS_MASTER] = terms.follows_master
    book.total[at.FIRST_DAY] = market.start_ms // at.MS_PER_DAY
    book.rate[at.INDEX] = book.rate[at.PEAK] = book.rate[at.DAY_START] = 1.0
    return book


def run(market: Market, signals: Signals, terms: Terms, *, kit: Kit, keeps: bool = True) -> Book:
    """Replay the account over the market.

    Raises BotError where more happened than the tables hold, which no rule of the account allows.
    """
    terms = _rows_of(terms, kit)
    book = empty_book(market, terms, kit, keeps=keeps)
    (compiled_replay() if kit.compiled else replay)(market, signals, terms, book)
    if book.total[at.BROKEN]:
        raise BotError("more fills or trades than a run can have: its tables are full")
    return book


def _rows_of(terms: Terms, kit: Kit) -> Terms:
    """Put the terms of each coin into rows, so that one compiled form serves any number of coins."""
    return terms._replace(
        tick_cents=kit.int_row(terms.tick_cents),
        min_lots=kit.int_row(terms.min_lots),
        min_amount=kit.float_row(terms.min_amount),
        gap=kit.float_row(terms.gap),
        tier_start=kit.float_row(terms.tier_start),
        tier_positions=kit.int_row(terms.tier_positions),
        tier_risk=kit.float_row(terms.tier_risk),
    )


def fills_of(book: Book) -> list[Fill]:
    """Give the fills of a run, in the order in which they happened."""
    return [
        Fill(
            coin=int(row[0]),
            at_ms=int(row[1]),
            buys=bool(row[2]),
            cents=int(row[3]),
            lots=int(row[4]),
            fee=int(row[5]),
            why=int(row[6]),
            note=(float(note[0]), float(note[1])),
        )
        for row, note, _ in zip(book.fill, book.fill_note, range(int(book.total[at.FILLS])), strict=False)
    ]
