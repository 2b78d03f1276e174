"""Candles with trades in them, and a report of them read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from program_rig import day_ms, days_of, walk, write_candles

FIRST, DAYS, HOURLY_DAYS = "2022-01-01", 300, 120
FROM, TO, SPLIT = "2022-07-10", "2022-10-20", "2022-09-01"
PRICES = {"BTC": 40_000.0, "ETH": 3_000.0, "SOL": 100.0}
DRIFTS = (0.3, 1.5, -0.5, 3.0, -3.0, 3.0)
RUN = ("--from", FROM, "--to", TO, "--equity", "490", "--venue", "kraken")
SETTINGS = (
    *("STRATEGY=breakout", "SIGNAL_ENSEMBLE=False", "MARKET_REGIME_ENGINE=False"),  # so that some are stopped
    *("KRAKEN_MAKER_FEE_PCT=0.25", "KRAKEN_TAKER_FEE_PCT=0.40"),
)
NASTY = "<img src=x onerror=alert(1)>&'\".csv"
"""A file in the folder that is no candle file; its name is shown."""


def candle_folder(folder: Path) -> Path:
    for place, (coin, price) in enumerate(PRICES.items()):
        hours = walk(seed=20 + place, first_ms=day_ms(FIRST), hours=DAYS * 24, price=price, drifts=DRIFTS)
        write_candles(folder, f"binance_{coin}-USDT_1d.csv", days_of(hours))
        write_candles(folder, f"binance_{coin}-USDT_1h.csv", hours[-24 * HOURLY_DAYS :])
    (folder / NASTY).write_text("nothing", encoding="utf-8")
    return folder


class Page(HTMLParser):
    """A page in parts: its tags with their attributes, its text, its scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.fields: dict[str, str] = {}
        self.blocks: dict[str, str] = {}
        self._raw: str | None = None
        self._field: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag in ("script", "style"):
            self._raw = found.get("id") or tag
        self._field = found.get("data-field")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._raw = None
        self._field = None

    def handle_data(self, data: str) -> None:
        if self._raw is not None:
            self.blocks[self._raw] = self.blocks.get(self._raw, "") + data
            return
        self.words.append(data.replace("\N{NO-BREAK SPACE}", " "))
        if self._field is not None:
            self.fields[self._field] = self.words[-1]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def json(self, block: str) -> Any:
        return json.loads(self.blocks[block])


def read_page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def as_number(text: str) -> float:
    """A number as the page shows it, such as ``$1,234.50`` or ``7.7 %``."""
    return float(text.replace("$", "").replace(",", "").replace("%", "").replace("\N{NO-BREAK SPACE}", " ").strip())
