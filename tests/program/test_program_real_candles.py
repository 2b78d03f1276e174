"""A replay of recorded prices; only where the project's data folder lies beside the repository."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from program_rig import DAY_MS, HOUR_MS, ROOT, bot, day_ms

DATA = ROOT.parent / "shared" / "data"
COINS = ("BTC", "ETH", "SOL")
pytestmark = pytest.mark.skipif(
    not all((DATA / f"binance_{coin}-USDT_1h.csv.gz").is_file() for coin in COINS),
    reason="no recorded candles in ../shared/data",
)


def bars_in_file(coin: str, from_ms: int, to_ms: int) -> int:
    """Counted without the program's own reader."""
    with gzip.open(DATA / f"binance_{coin}-USDT_1h.csv.gz", "rt", encoding="utf-8") as lines:
        next(lines)
        return sum(from_ms <= int(line.partition(",")[0]) < to_ms for line in lines)


def test_replay_of_a_recorded_quarter_keeps_every_limit(tmp_path: Path) -> None:
    done = bot(
        tmp_path,
        *("run", "--replay", str(DATA), "--source", "binance", "--timeframe", "1h", "--json"),
        *("--from", "2023-01-01", "--to", "2023-03-31", "--equity", "260", "--venues", "coinbase,kraken"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    from_ms, to_ms = day_ms("2023-01-01"), day_ms("2023-03-31") + DAY_MS
    assert result["candles"] == sum(bars_in_file(coin, from_ms, to_ms) for coin in COINS)
    # 90 days of 24 hours; the exchange was down for an hour or two of them
    assert 0.99 * 3 * 90 * 24 <= result["candles"] <= 3 * (to_ms - from_ms) // HOUR_MS
    assert result["start_equity"] == 260.0
    assert result["end_equity"] > 0
    assert result["max_drawdown_pct"] < 12
    assert not {"drawdown", "activation"} & set(result["guards"])
    assert result["refusals"]
    assert result["orders"] > 0
    assert result["tier_history"][0]["to_tier"] == "GROWTH"
