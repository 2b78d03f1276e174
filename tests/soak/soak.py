"""Simulated days at 60 s cycles through the whole live stack, in one process: what grows, and how fast it is.

    python tests/soak/soak.py --days 90

Ends with 1 where memory has grown by 5 MiB or more after the first day, a descriptor was left open, or the books are
not the exchanges' own.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import tracemalloc
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from soak_site import BEGIN, Site, assert_books_equal_exchanges, live_session, new_site

from bot.bootstrap import CONTROL_FOLDER, Session
from bot.engine.engine import CycleResult
from bot.engine.runner import run_engine
from bot.storage.control import ControlQueue

GROWTH_MAX_MIB = 5.0
RESUMED_EVERY_DAYS = 5
DEPOSIT = Decimal(150)
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Day(NamedTuple):
    """How things stand at the end of a day."""

    number: int
    cycles: int
    seconds: float
    rss_mib: float
    descriptors: int
    ledger_kib: float
    wal_kib: float
    orders: int
    fills: int
    trades: int
    equity_usd: float

    def line(self) -> str:
        return (
            f"day {self.number:3d}: {self.cycles:6d} cycles, {1000 * self.seconds / max(self.cycles, 1):5.2f} ms each, "
            f"RSS {self.rss_mib:6.2f} MiB, {self.descriptors} descriptors, ledger {self.ledger_kib:6.0f} KiB + WAL "
            f"{self.wal_kib:5.0f} KiB, {self.orders} orders, {self.fills} fills, {self.trades} trades closed, "
            f"equity {self.equity_usd:.2f} USD"
        )


def soak(days: int, *, traced: bool = False) -> list[Day]:
    """Run so many days; one entry each. Raises AssertionError where the books are not the exchanges'."""
    found: list[Day] = []
    site = new_site(days)
    with tempfile.TemporaryDirectory() as name, live_session(site, Path(name)) as session:
        user = ControlQueue(session.folder / CONTROL_FOLDER)
        for number in range(1, days + 1):
            if number % RESUMED_EVERY_DAYS == 0:  # a drawdown halts for good, and then there would be nothing to see
                user.put("resume", now=site.now(), reset_drawdown=True)
                site.coinbase_core.account.deposit("USD", DEPOSIT)
            found.append(_day(number, site, session))
            print(found[-1].line(), flush=True)
            if traced:
                _tell_growth(number)
    return found


def _day(number: int, site: Site, session: Session) -> Day:
    ends, cycles, equity = BEGIN + timedelta(days=number), 0, 0.0

    def count(result: CycleResult) -> None:
        nonlocal cycles, equity
        cycles, equity = cycles + 1, result.equity
        session.after_cycle(result.at)

    began = time.perf_counter()
    run_engine(session.engine, site, stopped=lambda: site.now() >= ends, on_cycle=count)
    seconds = time.perf_counter() - began
    assert_books_equal_exchanges(site, session)
    path = session.ledger.path
    wal = path.with_name(path.name + "-wal")
    return Day(
        number=number,
        cycles=cycles,
        seconds=seconds,
        rss_mib=int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_MIB,
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        ledger_kib=path.stat().st_size / 1024,
        wal_kib=wal.stat().st_size / 1024 if wal.exists() else 0.0,
        orders=sum(len(account.orders()) for account in site.accounts.values()),
        fills=sum(len(account.fills()) for account in site.accounts.values()),
        trades=len(session.engine.book.trades),
        equity_usd=equity,
    )


def faults_of(days: list[Day]) -> list[str]:
    """What a soak has shown to be wrong."""
    first, last = days[0], days[-1]
    faults = []
    highest = max(day.rss_mib for day in days)
    if highest - first.rss_mib >= GROWTH_MAX_MIB:
        faults.append(f"memory grew by {highest - first.rss_mib:.2f} MiB after the first day")
    if len({day.descriptors for day in days}) > 1:
        faults.append(f"descriptors: {first.descriptors} after the first day, {last.descriptors} after the last")
    if not last.fills:
        faults.append("nothing was bought: such a soak shows nothing")
    return faults


def _tell_growth(number: int) -> None:
    now = tracemalloc.take_snapshot()
    global _before  # noqa: PLW0603 - of the day before; a tool for people
    if _before is not None:
        for row in now.compare_to(_before, "traceback")[:12]:
            print(
                f"   {row.size_diff / 1024:8.1f} KiB {row.count_diff:6d}  {' < '.join(map(str, row.traceback[::-1]))}"
            )
    _before = now


_before: tracemalloc.Snapshot | None = None


def main() -> int:
    """Run, and tell how it went."""
    parser = argparse.ArgumentParser(description="Simulated days through the live stack: memory, files, speed.")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--trace", action="store_true", help="tell what has grown each day (slow)")
    asked = parser.parse_args()
    if asked.trace:
        tracemalloc.start(5)
    days = soak(asked.days, traced=asked.trace)
    cycles, seconds = sum(day.cycles for day in days), sum(day.seconds for day in days)
    first, last = days[0], days[-1]
    print(
        f"{len(days)} days, {cycles} cycles in {seconds:.0f} s, {cycles / seconds:.0f} a second; RSS "
        f"{first.rss_mib:.2f} MiB after the first day, {last.rss_mib:.2f} after the last; ledger "
        f"{last.ledger_kib / len(days):.1f} KiB a day, {last.ledger_kib / 1024:.2f} MiB at the end"
    )
    faults = faults_of(days)
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
