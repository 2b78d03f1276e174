"""Invented candles for the benchmarks: random walks of three pairs that move together, the same for the same seed."""

from __future__ import annotations

import random
from pathlib import Path

DAY_MS = 86_400_000
WARM_UP_DAYS = 400
PRICES = {"BTC": 30_000.0, "ETH": 2_000.0, "SOL": 100.0}
DAILY_SPREAD = 0.0018 * 288**0.5
"""Standard deviation of a day's return."""


def write_candles(folder: Path, *, timeframe: str, first_ms: int, days: int, bars_a_day: int) -> None:
    """Write execution and daily bars with trends of some weeks: what the strategies were made for."""
    step_ms = DAY_MS // bars_a_day
    chance = random.Random(2023)  # noqa: S311 - prices, no secrets
    drifts = [chance.choice((0.004, 0.002, -0.003)) for _ in range((days + WARM_UP_DAYS) // 14 + 1)]
    spread = DAILY_SPREAD / bars_a_day**0.5
    for coin, price in PRICES.items():
        own = random.Random(coin)  # noqa: S311
        rows, daily = ["timestamp,open,high,low,close,volume"], ["timestamp,open,high,low,close,volume"]
        last = price
        for day in range(-WARM_UP_DAYS, days):
            drift = drifts[(day + WARM_UP_DAYS) // 14] / bars_a_day
            opening, high, low = last, 0.0, 1e12
            for bar in range(bars_a_day):
                first, last = last, max(1.0, round(last * (1 + own.gauss(drift, spread)), 2))
                top, bottom = round(max(first, last) * 1.0004, 2), round(min(first, last) * 0.9996, 2)
                high, low = max(high, top), min(low, bottom)
                if day >= 0:
                    rows.append(f"{first_ms + day * DAY_MS + bar * step_ms},{first},{top},{bottom},{last},1.0")
            daily.append(f"{first_ms + day * DAY_MS},{opening},{high},{low},{last},288.0")
        (folder / f"binance_{coin}-USDT_{timeframe}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        (folder / f"binance_{coin}-USDT_1d.csv").write_text("\n".join(daily) + "\n", encoding="utf-8")
