"""One seeded year of 5-minute candles of three pairs (315,360 candles) through `backtest`, and its kernel alone.

    python benchmarks/backtest.py [RUNS]

And `whatif` over seven years of their days: a second.

From the files to the result, as a whole process: at most 2 s and 193 MB, an eighth of the time and a quarter of the
memory that freqtrade was measured to take for a simpler task on such candles (16 s, 773 MB); `peer.py` runs both in
turn. The kernel alone, with sizer, guards, ladder and lots: at least 20 million candles a second in compiled form (the
research extra), 200,000 in plain Python. Both forms of the kernel run on the same candles, in this process.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from candles import write_candles
from measure import PYTHON, ROOT, measure, report

sys.path.insert(0, str(ROOT))

from bot.backtest import layout
from bot.backtest.compiled import is_available
from bot.bootstrap_backtest import prepared
from bot.cli.values import end_ms_of, start_ms_of
from bot.settings import load_settings
from bot.storage.candle_files import open_source

FIRST, LAST = "2023-01-01", "2023-12-31"
FIRST_MS = 1_672_531_200_000
LONG_AGO_MS = 1_483_228_800_000
"""2017-01-01."""
SEVEN_YEARS = 2_557
STRATEGIES = ("allocation", "breakout")
COMPILED_LEAST, PLAIN_LEAST = 20e6, 200e3


def timed(run: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Median seconds of a call, after one that does not count."""
    result = run()
    seconds = []
    for _ in range(runs):
        began = perf_counter()
        result = run()
        seconds.append(perf_counter() - began)
    return statistics.median(seconds), result


def kernel(folder: Path, strategy: str, *, compiled: bool, runs: int) -> float:
    """Print and return the candles that the kernel runs through in a second."""
    settings = load_settings(env_file=None, environ={"STRATEGY": strategy, "STATE_DIR": str(folder)})
    data = open_source(
        folder, "binance", settings.trade_only, timeframe="5m", from_ms=start_ms_of(FIRST), to_ms=end_ms_of(LAST)
    )
    ready = prepared(settings, data=data, account="kraken", equity=settings.paper_equity * 10, compiled=compiled)
    seconds, book = timed(lambda: ready.run(keeps=False), runs)
    rate = ready.candles / seconds
    form, total = "compiled" if compiled else "plain", book.total
    print(
        f"kernel, {strategy}, {form}: {seconds * 1000:.1f} ms, {rate / 1e6:.2f} million candles a second "
        f"({ready.candles:,} candles, {total[layout.DECISIONS]:,} decisions, {total[layout.FILLS]} fills)"
    )
    return rate


def main() -> None:
    """Measure and exit with 1 where a limit is missed."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_candles(folder, timeframe="5m", first_ms=FIRST_MS, days=365, bars_a_day=288)
        # The processes first: one that is started by a large process counts its memory as its own.
        for strategy in STRATEGIES:
            command = [PYTHON, str(ROOT / "bot.py"), "--set", f"STRATEGY={strategy}", "backtest", str(folder)]
            command += ["--from", FIRST, "--to", LAST, "--timeframe", "5m", "--equity", "1000", "--json"]
            figures = measure(command, runs=runs, cwd=folder, environ={"STATE_DIR": name})
            good = report(f"files to result, {strategy}, plain", figures, limit_s=2, limit_mb=193) and good
        days = folder / "seven years"
        days.mkdir()
        write_candles(days, timeframe="1d", first_ms=LONG_AGO_MS, days=SEVEN_YEARS, bars_a_day=1)
        command = [PYTHON, str(ROOT / "bot.py"), "whatif", str(days), "--equity", "250", "--venue", "kraken", "--json"]
        figures = measure(command, runs=runs, cwd=folder, environ={"STATE_DIR": name})
        good = report("whatif, six of seven years of days, plain", figures, limit_s=1, limit_mb=100) and good
        for strategy in STRATEGIES:
            good = kernel(folder, strategy, compiled=False, runs=runs) >= PLAIN_LEAST and good
            if is_available():
                good = kernel(folder, strategy, compiled=True, runs=runs * 4) >= COMPILED_LEAST and good
    if not is_available():
        print("not measured: the compiled form, whose packages are not installed here")
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
