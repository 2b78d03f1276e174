"""What both strategies would have done in every 12 months since 2018, through the full engine.

    python benchmarks/strategies.py CANDLE_FOLDER [--timeframe 1d] [--step 3] [--processes 2]

Replays daily candles in windows of 365 days that begin every STEP months from 2018-09 on, for $16, $50,
$260 and $1,000 alone on each venue at the fees of the settings. The windows overlap and all three
coins rose over these years: this describes the past, and forecasts nothing. Server costs are not in it.
"""

# ruff: noqa: E402 - the import of the program has to wait for the path

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the program is a folder, not an installed package

from bot.books.results import longest_idle_days, results_of
from bot.bootstrap import open_replay
from bot.engine.runner import RunTally, run_engine
from bot.settings import load_settings
from bot.storage.candle_files import open_source

EQUITIES = (16, 50, 260, 1000)
VENUES = ("kraken", "coinbase")
STRATEGIES = ("allocation", "breakout")
FIRST = datetime(2018, 9, 1, tzinfo=UTC)
LAST = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


class Window(NamedTuple):
    """One replay of 12 months."""

    strategy: str
    venue: str
    equity: int
    start: datetime
    folder: str
    timeframe: str


class Outcome(NamedTuple):
    """What came of it; percents of the equity at its start."""

    change_pct: float
    drawdown_pct: float
    exposure_pct: float
    fees_pct: float
    orders: int
    idle_days: float


def starts(step_months: int) -> Iterator[datetime]:
    """First days of the windows."""
    month = FIRST
    while month + YEAR <= LAST:
        yield month
        index = month.month - 1 + step_months
        month = month.replace(year=month.year + index // 12, month=index % 12 + 1)


def replay(window: Window) -> Outcome:
    """Run one window through the engine, in a folder of its own."""
    end = window.start + YEAR
    with tempfile.TemporaryDirectory() as state:
        settings = load_settings(env_file=None, environ={}, overrides={"STATE_DIR": state, "STRATEGY": window.strategy})
        data = open_source(
            Path(window.folder),
            "binance",
            settings.trade_only,
            timeframe=window.timeframe,
            from_ms=int(window.start.timestamp() * 1000),
            to_ms=int(end.timestamp() * 1000),
        )
        session = open_replay(
            settings, data=data, accounts=(window.venue,), equity=Decimal(window.equity), start=window.start, now=end
        )
        tally = RunTally()
        try:
            run_engine(session.engine, session.clock, stopped=lambda: False, on_cycle=tally.add, until=end)
            fees = float(results_of(session.engine.book).fees_usd)
        finally:
            session.close()
    return Outcome(
        change_pct=(tally.end_equity / window.equity - 1) * 100,
        drawdown_pct=tally.max_drawdown_frac * 100,
        exposure_pct=tally.exposure_frac * 100,
        fees_pct=fees / window.equity * 100,
        orders=tally.orders,
        idle_days=longest_idle_days(tally.fill_times, start=window.start, end=end),
    )


def row(outcomes: Sequence[Outcome]) -> str:
    """One line of figures."""
    changes = sorted(outcome.change_pct for outcome in outcomes)
    tenth = statistics.quantiles(changes, n=10)[0]
    return (
        f"{statistics.median(changes):+7.1f} {tenth:+7.1f} {sum(c < 0 for c in changes) / len(changes):6.0%} "
        f"{changes[0]:+7.1f} {statistics.median(o.drawdown_pct for o in outcomes):6.1f} "
        f"{max(o.drawdown_pct for o in outcomes):6.1f} {statistics.mean(o.exposure_pct for o in outcomes):6.1f} "
        f"{statistics.median(o.fees_pct for o in outcomes):6.2f} {statistics.median(o.orders for o in outcomes):6.0f} "
        f"{sum(o.orders == 0 for o in outcomes) / len(outcomes):6.0%}"
    )


def main() -> None:
    """Replay all windows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--timeframe", default="1d")
    parser.add_argument("--step", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    firsts = list(starts(options.step))
    cells = [(s, v, e) for s in STRATEGIES for v in VENUES for e in EQUITIES]
    windows = [
        Window(s, v, e, start, str(Path(options.folder).resolve()), options.timeframe)
        for s, v, e in cells
        for start in firsts
    ]
    sys.stdout.write(f"{len(firsts)} windows of 365 days each, {firsts[0]:%Y-%m} to {firsts[-1]:%Y-%m}, in percent\n")
    sys.stdout.write(
        f"{'strategy':<11}{'venue':<10}{'start':>6}  {'median':>7} {'p10':>7} {'P(loss)':>6} {'worst':>6} "
        f"{'DD med':>6} {'DD max':>6} {'in':>6} {'fees':>6} {'orders':>6} {'none':>6}\n"
    )
    with ProcessPoolExecutor(options.processes) as pool:
        outcomes = list(pool.map(replay, windows))
    for i, (strategy, venue, equity) in enumerate(cells):
        of_cell = outcomes[i * len(firsts) : (i + 1) * len(firsts)]
        sys.stdout.write(f"{strategy:<11}{venue:<10}{equity:>6}  {row(of_cell)}\n")


if __name__ == "__main__":
    main()
