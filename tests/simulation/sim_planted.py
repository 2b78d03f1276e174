"""Bugs, each planted into the engine, and how many seeds it takes until the simulation finds it."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from sim_run import CYCLES, _fast_folder
from sim_world import Report, simulate

from bot.books.book import Book
from bot.decide import sizer
from bot.domain.errors import VenueError
from bot.domain.orders import Order, OrderState
from bot.engine.account import Account
from bot.engine.desk import OrderDesk
from bot.engine.exposure import Exposure
from bot.engine.gates import Gates
from bot.engine.protect import Protector
from bot.ports import Outcome, Unknown
from bot.storage.ledger import SqliteLedger

D = Decimal
STARTS = (0, 10_000, 20_000)
"""Where the counting begins; the median of so many counts is told."""
SEEDS_MOST = 40
"""Seeds after which a bug counts as not found from a start."""


class Patches:
    """Changes of attributes that are taken back; the part of pytest's monkeypatch that is needed here."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def setattr(self, target: Any, name: str, value: Any) -> None:
        self._before.append((target, name, getattr(target, name)))
        setattr(target, name, value)

    def undo(self) -> None:
        for target, name, value in reversed(self._before):
            setattr(target, name, value)
        self._before.clear()


# -- the bugs


def sends_before_journal(patch: Patches) -> None:
    """The order goes out first and is written down afterwards."""
    whole = OrderDesk.place

    def place(self: OrderDesk, account: Account, *args: Any, **kwargs: Any) -> Order:
        venue, ledger = account.venue, self._ledger
        outcomes: list[Outcome] = []

        class Early:
            """Sends what is about to be journalled."""

            def __getattr__(self, name: str) -> Any:
                return getattr(ledger, name)

            def record_intent(self, order: Order) -> None:
                try:
                    outcomes.append(venue.submit(replace(order, state=OrderState.IN_FLIGHT)))
                except VenueError as e:
                    outcomes.append(Unknown(reason=str(e)))
                ledger.record_intent(order)

        class Sent:
            """Answers with what has been sent already."""

            def __getattr__(self, name: str) -> Any:
                return getattr(venue, name)

            def submit(self, _: Order) -> Outcome:
                return outcomes.pop()

        self._ledger = Early()
        account.venue = Sent()
        try:
            return whole(self, account, *args, **kwargs)
        finally:
            self._ledger, account.venue = ledger, venue

    patch.setattr(OrderDesk, "place", place)


def resends_on_timeout(patch: Patches) -> None:
    """An order without an answer is sent once more, as a new one."""
    whole = OrderDesk.place

    def place(self: OrderDesk, account: Account, *args: Any, **kwargs: Any) -> Order:
        order = whole(self, account, *args, **kwargs)
        return whole(self, account, *args, **kwargs) if order.state is OrderState.UNKNOWN else order

    patch.setattr(OrderDesk, "place", place)


def forgets_the_stop(patch: Patches) -> None:
    """What an entry has bought gets no stop."""
    patch.setattr(Protector, "_hold_stop", lambda *_, **__: None)


def unknown_is_free_cash(patch: Patches) -> None:
    """An entry that nobody knows the outcome of takes no money and no place."""
    known = Exposure.stakes

    def stakes(self: Exposure, entries: Sequence[Any] = ()) -> Any:
        whole = self._desk.live
        self._desk.live = lambda *a, **k: [o for o in whole(*a, **k) if o.state is not OrderState.UNKNOWN]  # type: ignore[method-assign]
        try:
            return known(self, entries)
        finally:
            del self._desk.live

    patch.setattr(Exposure, "stakes", stakes)
    patch.setattr(OrderDesk, "doubtful_usd", lambda *_, **__: 0.0)
    patch.setattr(OrderDesk, "unresolved", lambda *_: [])


def rounds_lots_up(patch: Patches) -> None:
    """Sizes are rounded up to the next tenth of a lot's worth that a hasty hand would take: two per cent more."""
    whole = sizer.size_order

    def size_order(*args: Any) -> Any:
        order = whole(*args)
        return order._replace(lots=order.lots + max(1, order.lots // 50)) if order.lots else order

    patch.setattr(sizer, "size_order", size_order)


def failed_question_is_flat(patch: Patches) -> None:
    """An account that does not answer holds nothing."""
    whole = Account.observe

    def observe(self: Account, now: Any) -> None:
        whole(self, now)
        if not self.fresh and self.tickers:
            self.balances, self.fresh = {}, True

    patch.setattr(Account, "observe", observe)


def absent_after_one_look(patch: Patches) -> None:
    """One look is enough to take an order for absent."""
    whole = OrderDesk._learn_from

    def learn_from(self: OrderDesk, account: Account, order: Order, report: Any, now: Any) -> None:
        if report is None:
            state = OrderState.REJECTED if order.state is OrderState.UNKNOWN else OrderState.CANCELED
            self._moved(order, state, now, note="the venue does not have it")
        else:
            whole(self, account, order, report, now)

    patch.setattr(OrderDesk, "_learn_from", learn_from)


def fill_booked_twice(patch: Patches) -> None:
    """A fill that a venue tells again is booked again."""
    whole = SqliteLedger.record_fill

    def record_fill(self: SqliteLedger, fill: Any) -> bool:
        whole(self, fill)
        return True

    patch.setattr(SqliteLedger, "record_fill", record_fill)


def fee_dropped(patch: Patches) -> None:
    """The books forget the fee of every sale."""
    whole = Book.apply_fill

    def apply_fill(self: Book, fill: Any, purpose: str = "") -> Any:
        return whole(self, replace(fill, fee=D(0)) if fill.side == "sell" else fill, purpose)

    patch.setattr(Book, "apply_fill", apply_fill)


def ignores_the_tier(patch: Patches) -> None:
    """Two positions more than the tier allows."""
    whole = Gates.why_unfit
    patch.setattr(Gates, "why_unfit", lambda self, a, s, taken, most, now: whole(self, a, s, taken, most + 2, now))


def cancel_is_done(patch: Patches) -> None:
    """A cancellation that was asked for counts as carried out."""
    whole = OrderDesk.cancel

    def cancel(self: OrderDesk, account: Account, order: Order, now: Any) -> Order:
        ended = whole(self, account, order, now)
        return self._moved(ended, OrderState.CANCELED, now, note="asked for") if ended.is_live else ended

    patch.setattr(OrderDesk, "cancel", cancel)


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug, and the bound for the median number of seeds that find it."""

    plant: Callable[[Patches], None]
    median_most: int

    @property
    def name(self) -> str:
        return self.plant.__name__.replace("_", " ")


PLANTED = (
    Planted(sends_before_journal, 3),
    Planted(resends_on_timeout, 20),
    Planted(forgets_the_stop, 3),
    Planted(unknown_is_free_cash, 30),
    Planted(rounds_lots_up, 10),
    Planted(failed_question_is_flat, 15),
    Planted(absent_after_one_look, 10),
    Planted(fill_booked_twice, 3),
    Planted(fee_dropped, 3),
    Planted(ignores_the_tier, 15),
    Planted(cancel_is_done, 30),
)


@contextmanager
def planted_in(plant: Callable[[Patches], None]) -> Any:
    """The engine with a bug in it."""
    patches = Patches()
    try:
        plant(patches)
        yield
    finally:
        patches.undo()


def seeds_until_found(plant: Callable[[Patches], None], start: int) -> tuple[int, str]:
    """How many seeds from ``start`` on it takes, and the rule that found it; SEEDS_MOST + 1 and '' where none did."""
    with planted_in(plant), tempfile.TemporaryDirectory(prefix="planted-", dir=_fast_folder()) as folder:
        for tried in range(1, SEEDS_MOST + 1):
            report = Report()
            simulate(Path(folder), start + tried, report, CYCLES)
            if report.violations:
                return tried, report.violations[0].rule
    return SEEDS_MOST + 1, ""


def measure(planted: Planted, starts: Sequence[int] = STARTS) -> tuple[float, list[int], set[str]]:
    """Median, counts and rules over several starts."""
    found = [seeds_until_found(planted.plant, start) for start in starts]
    counts = [count for count, _ in found]
    return statistics.median(counts), counts, {rule for _, rule in found}


def line_of(planted: Planted, median: float, counts: Sequence[int], rules: set[str]) -> str:
    """A row of the table."""
    return f"{planted.name:<26}{median:>8g}{planted.median_most:>8}  {', '.join(map(str, counts)):<22}{sorted(rules)}"


def planted_table() -> tuple[str, bool]:
    """The whole table, and whether every bug is found within its bound."""
    lines = [f"{'planted bug':<26}{'median':>8}{'bound':>8}  {'seeds from each start':<22}rules that found it"]
    all_found = True
    for planted in PLANTED:
        median, counts, rules = measure(planted)
        all_found = all_found and median <= planted.median_most
        lines.append(line_of(planted, median, counts, rules))
        print(lines[-1], flush=True)
    return "\n".join(lines), all_found
