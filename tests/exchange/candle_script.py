"""Bars of a local exchange, scripted ahead and served as a venue does: closed ones, then the one still forming."""

from __future__ import annotations

from collections.abc import Iterable

from bot.domain.market import TIMEFRAME_MS, Candle

FORMING_VOLUME = 1.0
"""Not 0: a client must know the forming bar by its time, not by an empty volume."""


class CandleScript:
    """Scripted bars by (symbol, timeframe)."""

    def __init__(self) -> None:
        self._bars: dict[tuple[str, str], list[Candle]] = {}

    def put(self, symbol: str, timeframe: str, candles: Iterable[Candle]) -> None:
        """Replace all bars of a symbol and timeframe."""
        self._bars[symbol, timeframe] = []
        for candle in candles:
            self.add(symbol, timeframe, candle)

    def add(self, symbol: str, timeframe: str, candle: Candle) -> None:
        """Append a bar; it opens on the timeframe's grid, after the newest."""
        bars = self._bars.setdefault((symbol, timeframe), [])
        assert candle.open_ms % TIMEFRAME_MS[timeframe] == 0, f"{symbol} {timeframe}: {candle.open_ms} is off the grid"
        assert not bars or candle.open_ms > bars[-1].open_ms, (
            f"{symbol} {timeframe}: {candle.open_ms} is not the newest"
        )
        bars.append(candle)

    def served(self, symbol: str, timeframe: str, *, now_ms: int, last: float | None) -> list[Candle]:
        """What exists at ``now_ms``: the closed bars, then the forming one where there is a price ``last``."""
        length = TIMEFRAME_MS[timeframe]
        bars = [bar for bar in self._bars.get((symbol, timeframe), []) if bar.open_ms + length <= now_ms]
        if last is not None:
            before = bars[-1].close if bars else last
            high, low = max(before, last), min(before, last)
            bars.append(Candle(now_ms - now_ms % length, before, high, low, last, FORMING_VOLUME))
        return bars
