"""1,000 sets of settings over four years of hourly candles of three coins, with one worker and with two.

    python benchmarks/sweep.py [RUNS]

At most 20 s with two workers, on two cores. The candles are invented and opened before; counted is what follows: each
set through the settings' own checks, the candles on their grid, new workers started and handed them, every run and its
daily equities back. The sets are drawn from what `optimize` varies; what a search takes to think is not in it.
Needs the research extra.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from candles import write_candles
from measure import ROOT

sys.path.insert(0, str(ROOT))

from bot.backtest.compiled import is_available
from bot.backtest.search import Changes, Dimension
from bot.backtest.sweep import Job, Score, score_of, scores_by
from bot.bootstrap_optimize import SEARCHED
from bot.bootstrap_sweep import Bench, candles_of, parse_space
from bot.cli.env import settings_from
from bot.storage.candle_files import open_source

FIRST_MS, DAYS = 1_577_836_800_000, 1_461
SETS = 1_000
LIMIT_S = 20.0


def drawn(space: tuple[Dimension, ...]) -> list[Changes]:
    """Sets that have nothing to do with each other, the same each time."""
    chance = random.Random(7)  # noqa: S311 - settings, no secrets
    return [
        {
            one.name: chance.choice(one.choices) if one.choices else f"{chance.uniform(one.low, one.high):.4f}"
            for one in space
        }
        for _ in range(SETS)
    ]


def swept(bench: Bench, sets: list[Changes], workers: int) -> tuple[float, list[Score]]:
    """Seconds and scores of all sets, with workers that are started for it."""
    began = perf_counter()
    data = bench.sweep_data([(bench.data.from_ms, bench.data.to_ms)], compiled=True)
    jobs = [Job(0, bench.terms(changes)) for changes in sets]
    with scores_by(data, workers=workers) as scores:
        found = scores(jobs)
    return perf_counter() - began, found


def main() -> None:
    """Measure and exit with 1 where the limit is missed."""
    if not is_available():
        raise SystemExit("the packages of the research extra are not installed here")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)  # nobody's own settings
        write_candles(folder, timeframe="1h", first_ms=FIRST_MS, days=DAYS, bars_a_day=24)
        settings = settings_from()
        data = open_source(folder, "binance", settings.trade_only, timeframe="1h", from_ms=FIRST_MS, to_ms=None)
        bench = Bench(
            settings=settings,
            settings_with=settings_from,
            data=data,
            account="kraken",
            equity=settings.paper_equity * 10,
        )
        sets = drawn(parse_space(SEARCHED, settings_from))
        warm = bench.sweep_data([(data.from_ms, data.to_ms)], compiled=True)
        score_of(warm, Job(0, bench.terms({})))  # compiled once, for a minute or so, and kept
        medians = {}
        for workers in (1, 2):
            seconds = []
            for _ in range(runs):
                taken, found = swept(bench, sets, workers)
                seconds.append(taken)
            medians[workers] = statistics.median(seconds)
            candles, decisions = candles_of(warm, 0) * SETS, sum(score.decisions for score in found)
            print(
                f"{SETS:,} sets, {workers} worker{'s'[: workers - 1]}: {medians[workers]:.1f} s ({min(seconds):.1f} to "
                f"{max(seconds):.1f}), {candles / medians[workers] / 1e6:.1f} million candles a second "
                f"({candles:,} candles, {decisions:,} decisions, {sum(score.orders for score in found):,} orders)",
                flush=True,
            )
    print(f"two workers against one: {medians[1] / medians[2]:.2f} times as fast, limit {LIMIT_S:g} s with two")
    if medians[2] > LIMIT_S:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
