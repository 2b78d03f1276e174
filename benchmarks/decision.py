"""One decision of the live bot: three coins over two accounts, in plain Python, with everything it records.

    python benchmarks/decision.py [DAYS]

The engine of the bot trades a year of invented daily candles on both venues at once. Timed is what it does once a day:
the new bars of three coins folded into signals, regime, members and score; wishes, gates and sizes on both accounts;
refusals, and the records with all inputs in the ledger. Not in it: asking a venue for the bars, waiting for the disk.
Limit: 20 ms at the 99th percentile; the first day folds all history and is told apart.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any

from candles import write_candles
from measure import ROOT

sys.path.insert(0, str(ROOT))

from bot.bootstrap import open_replay
from bot.domain.modes import Strategy
from bot.engine.history import History
from bot.engine.runner import run_engine
from bot.settings import load_settings
from bot.storage.candle_files import open_source

FIRST = datetime(2023, 1, 1, tzinfo=UTC)
LIMIT_MS = 20.0
ACCOUNTS = ("coinbase", "kraken")


def decisions(folder: Path, strategy: Strategy, days: int) -> list[float]:
    """Milliseconds of every decision step."""
    settings = load_settings(env_file=None, environ={"STATE_DIR": str(folder), "STRATEGY": strategy.value})
    data = open_source(folder, "binance", settings.trade_only, timeframe="1d")
    end = FIRST + timedelta(days=days)
    session = open_replay(settings, data=data, accounts=ACCOUNTS, equity=Decimal(1000), start=FIRST, now=FIRST)
    decider, taken = session.engine.decider, list[float]()
    decide, folding, folds = decider.decide, History.extend, list[float]()

    def timed_fold(history: History, bars: Any) -> Any:
        began = perf_counter()
        fresh = folding(history, bars)
        folds.append((perf_counter() - began) * 1000)
        return fresh

    def timed(symbols: list[str], *rest: Any) -> Any:
        began = perf_counter()
        entries = decide(symbols, *rest)
        taken.append((perf_counter() - began) * 1000 + sum(folds))
        folds.clear()
        return entries

    # The same steps, with a watch beside them.
    decider.decide = timed  # type: ignore[assignment,method-assign]
    History.extend = timed_fold  # type: ignore[assignment,method-assign]
    try:
        run_engine(session.engine, session.clock, stopped=lambda: False, on_cycle=lambda _: None, until=end)
    finally:
        History.extend = folding  # type: ignore[method-assign]
        session.close()
    return taken


def main() -> None:
    """Measure and exit with 1 where the limit is missed."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 365
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_candles(folder, timeframe="1d", first_ms=round(FIRST.timestamp() * 1000), days=days, bars_a_day=1)
        for strategy in Strategy:
            taken = decisions(folder, strategy, days)
            first, *later = taken
            median, last = statistics.median(later), statistics.quantiles(later, n=100)[98]
            print(
                f"one decision, {strategy.value}, three coins x two venues, plain: median {median:.2f} ms, 99th "
                f"percentile {last:.2f} ms of {len(later)} (limit {LIMIT_MS:g}); the first, all history, {first:.0f} ms"
            )
            good = last <= LIMIT_MS and good
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
