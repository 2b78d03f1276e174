"""Replay of all hourly candles of 2022 to 2024, three coins, through the full engine.

    python benchmarks/replay.py CANDLE_FOLDER [RUNS]

Limits: 60 s, 150 MB.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import PYTHON, ROOT, measure, report


def main() -> None:
    """Measure and exit with 1 where a limit is missed."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    command = [PYTHON, str(ROOT / "bot.py"), "run", "--replay", str(folder), "--source", "binance"]
    command += ["--from", "2022-01-01", "--to", "2024-12-31", "--equity", "260", "--json"]
    with tempfile.TemporaryDirectory() as state:
        figures = measure(command, runs=runs, cwd=Path(state), environ={"STATE_DIR": state})
    if not report("replay 2022-2024, 1h, 3 coins, 2 accounts", figures, limit_s=60, limit_mb=150):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
