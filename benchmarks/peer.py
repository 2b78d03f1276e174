"""The year of `benchmarks/backtest.py`, files to result, here and by freqtrade, in turn on the same candles.

    python benchmarks/peer.py PEER_PYTHON [RUNS]

PEER_PYTHON is the interpreter of an environment of its own that holds freqtrade, unmodified: 0.8 GB, no part of this
project. It runs the sample strategy that it brings along, which is less than what runs here: no sizer, no guards, no
ladder, no lots. It asks an exchange for its markets first: Kraken of the tests, in a process of its own. At most an
eighth of its wall time and a quarter of its peak memory, by medians of the ratios of neighbours.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from candles import write_candles
from measure import PYTHON, ROOT, Ended, Process

FIRST, LAST, FIRST_MS = "2023-01-01", "2023-12-31", 1_672_531_200_000
TIME_LEAST, MEMORY_LEAST = 8.0, 4.0
COINS = ("BTC", "ETH", "SOL")
START_S = 30.0


def main() -> None:
    """Measure and exit with 1 where a limit is missed."""
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    if len(sys.argv) < 2:
        raise SystemExit((__doc__ or "").splitlines()[2].strip())
    peer, runs = Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_candles(folder, timeframe="5m", first_ms=FIRST_MS, days=365, bars_a_day=288)
        exchange = Process([PYTHON, str(Path(__file__)), "serve"], cwd=folder, environ=os.environ)
        try:
            raise SystemExit(0 if compare(peer, folder, url_of(exchange), runs) else 1)
        finally:
            exchange.process.terminate()
            exchange.wait(ok=(-15,))


def compare(peer: Path, folder: Path, url: str, runs: int) -> bool:
    """Print the medians of both and of their ratios; returns whether the limits are kept."""
    theirs = prepare_peer(peer, folder, url)
    ours = [PYTHON, str(ROOT / "bot.py"), "backtest", str(folder), "--from", FIRST, "--to", LAST]
    ours += ["--timeframe", "5m", "--equity", "1000", "--json"]
    pairs: list[tuple[Ended, Ended]] = []
    for _ in range(runs + 1):  # the first does not count
        one = Process(ours, cwd=folder, environ={**os.environ, "STATE_DIR": str(folder)}).wait()
        pairs.append((one, Process(theirs, cwd=folder, environ=os.environ).wait()))
    del pairs[0]
    for label, ended in (("here", [a for a, _ in pairs]), ("freqtrade", [b for _, b in pairs])):
        wall, cpu = (statistics.median(getattr(one, what) for one in ended) for what in ("wall_s", "cpu_s"))
        peak = statistics.median(one.peak_kib for one in ended) * 1024 / 1e6
        print(f"{label}: wall {wall:.2f} s, cpu {cpu:.2f} s, peak {peak:.0f} MB (medians of {runs})")
    faster = statistics.median(b.wall_s / a.wall_s for a, b in pairs)
    smaller = statistics.median(b.peak_kib / a.peak_kib for a, b in pairs)
    fits = faster >= TIME_LEAST and smaller >= MEMORY_LEAST
    print(
        f"1/{faster:.1f} of the time (limit 1/{TIME_LEAST:g}), 1/{smaller:.1f} of the memory "
        f"(limit 1/{MEMORY_LEAST:g}){'' if fits else '  MISSED'}"
    )
    return fits


def prepare_peer(peer: Path, folder: Path, url: str) -> list[str]:
    """Lay out the other's folder, with the candles in the format that it reads fastest; returns its command."""
    command, user, config = [str(peer), "-m", "freqtrade"], folder / "peer", folder / "peer.json"
    Process([*command, "create-userdir", "--userdir", str(user)], cwd=folder, environ=os.environ).wait()
    data = user / "data" / "kraken"
    data.mkdir(parents=True, exist_ok=True)
    for coin in COINS:
        lines = (folder / f"binance_{coin}-USDT_5m.csv").read_text(encoding="utf-8").splitlines()[1:]
        rows: list[list[float]] = [
            [int(time_ms), *map(float, rest)] for time_ms, *rest in (x.split(",") for x in lines)
        ]
        (data / f"{coin}_USD-5m.json").write_text(json.dumps(rows), encoding="ascii")
    config.write_text(json.dumps(peer_config(url)), encoding="ascii")
    at = ["--userdir", str(user), "--config", str(config)]
    convert = ["convert-data", "--format-from", "json", "--format-to", "feather", "--erase"]
    Process([*command, *convert, *at], cwd=folder, environ=os.environ).wait()
    run = ["backtesting", "--strategy", "SampleStrategy", "--timeframe", "5m", "--cache", "none", "--export", "none"]
    return [*command, *run, *at]


def peer_config(url: str) -> dict[str, Any]:
    """The smallest configuration with which it backtests on Kraken's markets."""
    api = {"urls": {"api": {"public": url, "private": url}}}
    price = {"price_side": "same", "use_order_book": False}
    return {
        "dry_run": True,
        "stake_currency": "USD",
        "stake_amount": "unlimited",
        "max_open_trades": len(COINS),
        "dry_run_wallet": 1000,
        "fee": 0.004,
        "timeframe": "5m",
        "exchange": {
            "name": "kraken",
            "pair_whitelist": [f"{coin}/USD" for coin in COINS],
            "ccxt_config": api,
            "ccxt_async_config": api,
        },
        "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": price,
        "exit_pricing": price,
    }


def serve() -> None:
    """Be the exchange until ended; the address is the first line on stderr."""
    from local_venues import full_size_venues  # noqa: PLC0415 - not in the process that measures: its memory counts

    with full_size_venues(None) as venues:
        print(venues.settings["KRAKEN_API_URL"], file=sys.stderr, flush=True)
        while True:
            time.sleep(3600)  # noqa: TID251 - until it is ended


def url_of(exchange: Process) -> str:
    """Wait for the address."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if exchange.lines:
            return exchange.lines[0][1]
        time.sleep(0.05)  # noqa: TID251 - the other process says when
    raise SystemExit("the local exchange has not started")


if __name__ == "__main__":
    main()
