"""What the closed trades amount to: wins, losses, the loss streak, idle time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from bot.books.book import Book
from bot.books.positions import EXACT, MOVED, Trade

LOSS_MIN_R = Decimal("0.25")
"""A trade counts for the loss streak from a net loss of this many R (design.md, Three losses)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Counts over all closed trades; a trade that nets exactly nothing is neither win nor loss.

    What was moved away by hand is none.
    """

    trades: int
    wins: int
    losses: int
    fees_usd: Decimal
    """Everything paid in fees, open positions included."""


def results_of(book: Book) -> Results:
    """Sum up a book; the fees of open positions are in it, their trades are not."""
    nets = [trade.net_pnl for trade in book.trades if trade.last_purpose != MOVED]
    return Results(
        trades=len(nets),
        wins=sum(net > 0 for net in nets),
        losses=sum(net < 0 for net in nets),
        fees_usd=book.fees_usd,
    )


def loss_streak(trades: Sequence[Trade], since: datetime | None = None) -> int:
    """Losses in a row up to the newest of ``trades`` (in the order of their closing).

    A loss is a net result of -0.25 R or worse; where R is unknown, any net loss. A smaller loss
    neither counts nor ends the streak: only a trade that does not lose ends it. Trades closed before
    ``since`` are forgiven. What was never sold (the crumb of an entry that filled in part, written off as
    dust) says nothing about the trading, nor does what was moved away by hand.
    """
    losses = 0
    for trade in reversed(trades):
        if since is not None and trade.closed_at < since:
            continue  # not break: a late report of another account may stand out of time order
        if not trade.is_result:
            continue
        if trade.net_pnl >= 0:
            break
        losses += _is_streak_loss(trade)
    return losses


def longest_idle_days(fill_times: Iterable[datetime], *, start: datetime, end: datetime) -> float:
    """Longest time in days between neighbouring fills, counted from ``start`` and up to ``end``."""
    assert start <= end, f"start {start} after end {end}"
    moments = [start, *sorted(at for at in fill_times if start <= at <= end), end]
    gaps = (later - earlier for earlier, later in pairwise(moments))
    return max(gaps) / timedelta(days=1)


def _is_streak_loss(trade: Trade) -> bool:
    if trade.initial_risk_usd is None:
        return True
    return EXACT.add(trade.net_pnl, EXACT.multiply(LOSS_MIN_R, trade.initial_risk_usd)) <= 0
