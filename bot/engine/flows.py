"""Deposits and withdrawals: a balance change that no fill explains, at two looks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.domain.account import Flow
from bot.engine.account import CONFIRMED_AFTER, Account, key_of, key_text
from bot.engine.desk import OrderDesk
from bot.engine.state import EngineState, parse_time

TOLERANCE = Decimal("0.01")
"""Smaller differences are rounding of the venue, not somebody's transfer."""

LARGE_OUTFLOW_FRAC = 0.05
TRANSFER_WINDOW = timedelta(hours=24)
MATCH_FRAC = 0.02
"""A transfer arrives less the fee of its network."""


class FlowDetector:
    """Compares what the venues hold with what the books expect."""

    def __init__(self, *, accounts: Mapping[str, Account], book: Book, desk: OrderDesk, state: EngineState) -> None:
        self._accounts = accounts
        self._book = book
        self._desk = desk
        self._state = state
        for name in list(state.unexplained):
            if key_of(name)[0] not in accounts:  # the settings have left it out: nobody can look a second time
                self._forget(name)

    def detect(self, now: datetime, equity: float, *, older_than_books: Collection[str] = ()) -> Iterator[Flow]:
        """Give the flows that are certain now, oldest account first; the caller books each before the next.

        The opening balance of an account counts at once; a later difference must stand unchanged at two looks
        that are ``CONFIRMED_AFTER`` apart, because balances and fills are not read at the same instant. An account is
        open only when its balance has been booked: a crash in between must not make a deposit of it. The first sight
        outlives the process: else a bot that is started for one cycle at a time would never see a second.
        While nobody knows what an order has moved, a difference says nothing: it may be that order's. Nor does it for
        the accounts whose balances are ``older_than_books``: a fill has come in since they were read.
        """
        for account in self._accounts.values():
            if not account.fresh:
                continue
            opening = account.name not in self._state.opened_accounts
            if account.name in older_than_books or self._is_doubtful(account, now):
                continue
            for asset in sorted(account.quote_assets()):
                balance = account.balances.get(asset)
                reported = balance.total if balance is not None else Decimal(0)
                difference = reported - self._book.cash.get((account.name, asset), Decimal(0))
                name, unexplained = key_text(account.name, asset), self._state.unexplained
                if abs(difference) < TOLERANCE:
                    self._forget(name)
                elif opening or self._is_confirmed(name, difference, now):
                    self._forget(name)
                    note = "opening balance" if opening else "deposit" if difference > 0 else "withdrawal"
                    if not opening:
                        self._watch_transfer(float(difference), equity, now)
                    yield Flow(account=account.name, asset=asset, amount=difference, at=now, note=note)
                elif unexplained.get(name) != str(difference):
                    unexplained[name] = str(difference)
                    self._state.unexplained_at[name] = now.isoformat()
            if opening:
                self._state.opened_accounts.append(account.name)

    def _is_doubtful(self, account: Account, now: datetime) -> bool:
        live = self._desk.live(account.name)
        return bool(self._desk.in_doubt(account.name)) or any(
            self._desk.balance_tells(account, order, now) for order in live
        )

    def _is_confirmed(self, name: str, difference: Decimal, now: datetime) -> bool:
        first = parse_time(self._state.unexplained_at.get(name, ""))
        if first is None or now < first:  # the clock was put back
            self._state.unexplained.pop(name, None)
            return False
        same = Decimal(self._state.unexplained.get(name, "0")) == difference
        return same and now - first >= CONFIRMED_AFTER

    def _forget(self, name: str) -> None:
        self._state.unexplained.pop(name, None)
        self._state.unexplained_at.pop(name, None)

    def _watch_transfer(self, amount: float, equity: float, now: datetime) -> None:
        state = self._state
        pending_until = parse_time(state.transfer_pending_until)
        pending = pending_until is not None and now < pending_until
        if amount < 0 and -amount >= LARGE_OUTFLOW_FRAC * equity:
            state.transfer_pending_until = (now + TRANSFER_WINDOW).isoformat()
            state.transfer_amount = -amount
        elif amount > 0 and pending and abs(amount - state.transfer_amount) <= MATCH_FRAC * state.transfer_amount:
            state.transfer_pending_until = ""
            state.transfer_amount = 0.0

    def transfer_pending(self, now: datetime) -> bool:
        """Whether a large outflow is waiting for its other end."""
        until = parse_time(self._state.transfer_pending_until)
        return until is not None and now < until
