from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from book_events import T0, D, buy, sell, trade

from bot.books.book import Book
from bot.books.positions import Trade
from bot.books.results import Results, longest_idle_days, loss_streak, results_of


def test_results_of_a_book_counts_net_wins_and_all_fees() -> None:
    book = Book()
    for exit_price in ("110", "101.5", "102", "90"):
        book.apply_fill(buy("1", "100", "1"))
        book.apply_fill(sell("1", exit_price, "1"))
    book.apply_fill(buy("1", "100", "1.5"))
    # Net +8, -0.5 (a gain before fees), 0 (neither), -12; fees 4 x 2 + 1.5 of the open position.
    assert results_of(book) == Results(trades=4, wins=1, losses=2, fees_usd=D("9.5"))


def test_results_of_an_empty_book_are_zero() -> None:
    assert results_of(Book()) == Results(trades=0, wins=0, losses=0, fees_usd=D(0))


@pytest.mark.parametrize(
    ("trades", "streak"),
    [
        ([], 0),
        ([trade("-1", "4")], 1),  # exactly -0.25 R
        ([trade("-0.99", "4")], 0),  # less than a quarter of R
        ([trade("-0.01", None)], 1),  # R unknown: any loss counts
        ([trade("-4", "4"), trade("-4", "4"), trade("-4", "4")], 3),
        ([trade("-4", "4"), trade("5", "4"), trade("-4", "4")], 1),  # a win ends it
        ([trade("-4", "4"), trade("0", None)], 0),  # so does a trade that loses nothing
        ([trade("-4", "4"), trade("-0.5", "4"), trade("-4", "4")], 2),  # a scratch neither counts nor ends it
    ],
)
def test_loss_streak_of_trades_counts_losses_of_a_quarter_r(trades: list[Trade], streak: int) -> None:
    assert loss_streak(trades) == streak


def test_loss_streak_skips_what_was_never_sold() -> None:
    crumb = replace(trade("-4", "4"), sold_quantity=D(0), last_purpose="dust")
    assert loss_streak([trade("-4", "4"), crumb, trade("-4", "4")]) == 2


def test_loss_streak_since_forgives_earlier_trades() -> None:
    trades = [trade("-4", "4", closed_after_h=hours) for hours in (1, 2, 3)]
    assert loss_streak(trades, T0 + timedelta(hours=2)) == 2  # the one closed at that moment counts
    assert loss_streak(trades, T0 + timedelta(hours=4)) == 0


def test_loss_streak_late_report_of_another_account_is_skipped() -> None:
    trades = [
        trade("-4", "4", closed_after_h=5),
        trade("-4", "4", closed_after_h=1),
        trade("-4", "4", closed_after_h=6),
    ]
    assert loss_streak(trades, T0 + timedelta(hours=2)) == 2


def test_longest_idle_days_between_fills_and_edges() -> None:
    end = T0 + timedelta(days=10)
    fills = [T0 + timedelta(days=4), T0 + timedelta(days=1), T0 + timedelta(days=4, hours=12)]
    assert longest_idle_days(fills, start=T0, end=end) == 5.5  # from 4.5 to 10
    assert longest_idle_days([*fills, T0 + timedelta(days=9)], start=T0, end=end) == 4.5  # 4.5 to 9
    assert longest_idle_days([], start=T0, end=end) == 10.0
    assert longest_idle_days([T0 - timedelta(days=1)], start=T0, end=end) == 10.0  # outside: does not count
    assert longest_idle_days([], start=T0, end=T0) == 0.0
