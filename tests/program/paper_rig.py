"""Paper accounts on the prices of the local exchanges: the whole program, and sessions with a time of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from live_rig import Exchanges
from program_rig import SECONDS_MAX, Running, pause

from bot.bootstrap import Session
from bot.bootstrap_live import open_paper
from bot.clock import StopSignal, VirtualClock
from bot.domain.snapshot import Snapshot
from bot.settings import load_settings
from bot.storage.ledger_reader import LedgerReader
from bot.storage.state_file import JsonStateFile

CREDENTIALS = ("COINBASE_API_KEY", "COINBASE_API_SECRET", "KRAKEN_MASTER_API_KEY", "KRAKEN_MASTER_API_SECRET")
EQUITY = "520"
QUOTES_KEPT = timedelta(seconds=3)
"""A feed asks for new quotes after two seconds."""


def public(site: Exchanges, **more: str) -> dict[str, str]:
    """Environment of a bot without keys, in the exchanges' time: $260 of play money on each venue."""
    without_keys = {name: value for name, value in site.settings().items() if name not in CREDENTIALS}
    return {**without_keys, "PAPER_EQUITY": EQUITY, **more}


def snapshot_in(folder: Path) -> Snapshot | None:
    """The newest snapshot of the paper account; None before the first."""
    ledger = folder / "paper" / "ledger.sqlite3"
    if not ledger.exists() or not ledger.stat().st_size:
        return None
    with LedgerReader(ledger) as reader:
        return reader.snapshot()


def wait_for(folder: Path, program: Running, wanted: Callable[[Snapshot], bool]) -> Snapshot:
    """The first snapshot that is as wanted; the bot must be running meanwhile."""
    program.wait_for_cycles(1)
    ends = time.monotonic() + SECONDS_MAX
    while (found := snapshot_in(folder)) is None or not wanted(found):
        assert program.process.poll() is None, program.err
        assert time.monotonic() < ends, f"never came: {found}\n{program.err[-3000:]}"
        pause(0.05)
    return found


def paper_cash(folder: Path) -> dict[str, Decimal]:
    """Cash of each account as the simulated venues have it."""
    accounts: Any = JsonStateFile(folder / "paper" / "paper_accounts.json").load()["accounts"]
    return {name: Decimal(account["core"]["totals"].get("USD", "0")) for name, account in accounts.items()}


def private_requests(site: Exchanges) -> list[str]:
    """Requests that are not for everybody, or that carry a signature or a key."""
    marks = {"authorization", "api-key", "api-sign", "cb-access-key", "cb-access-sign"}
    found = []
    for server, beginnings in (
        (site.coinbase_server, ("/api/v3/brokerage/time", "/api/v3/brokerage/market/")),
        (site.kraken_server, ("/0/public/",)),
    ):
        with server.locked():
            for entry in server.log:
                request = entry.request
                is_public = request.method == "GET" and request.path.startswith(beginnings) and not request.body
                if not is_public or marks & {name.lower() for name in request.headers}:
                    found.append(f"{request.method} {request.path}")
    return found


def requests_made(site: Exchanges) -> int:
    return len(site.coinbase_server.log) + len(site.kraken_server.log)


@contextmanager
def paper_session(
    folder: Path, site: Exchanges, *, now: datetime, **more: str
) -> Iterator[tuple[Session, VirtualClock]]:
    """A paper session in this process on a clock that the test moves; closed at the end."""
    clock = VirtualClock(now)
    stop = StopSignal()
    settings = load_settings(env_file=None, environ=public(site, STATE_DIR=str(folder), **more))

    def this_clock(_: StopSignal) -> VirtualClock:
        return clock

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bot.bootstrap_live.WallClock", this_clock)
            session = open_paper(settings, stop=stop, now=now, interval_s=None, command="run --paper")
            try:
                yield session, clock
            finally:
                session.close()
    finally:
        stop.close()


def cycle(session: Session, clock: VirtualClock) -> Any:
    """One cycle with new quotes."""
    clock.wait_until(clock.now() + QUOTES_KEPT)
    result = session.engine.cycle(clock.now(), decides=True)
    session.after_cycle(result.at)
    return result
