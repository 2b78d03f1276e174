"""A feed over candle series that are in memory already: what a replay runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bot.domain.errors import VenueError
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle


class BarSeries(Protocol):
    """Ascending bars of one length; see ``bot.storage.candle_reader.CandleSeries``."""

    @property
    def timeframe(self) -> str:
        """Such as ``1h``."""
        ...

    def ended_within(self, after_ms: int, until_ms: int) -> list[Candle]:
        """Bars that end in (``after_ms``, ``until_ms``]."""
        ...

    def open_at(self, now_ms: int) -> tuple[float, int] | None:
        """Open price and opening time of the bar that contains ``now_ms``; None in a gap."""
        ...


class CandleFeed:
    """Prices from one execution series and one daily series per symbol."""

    def __init__(self, *, execution: Mapping[str, BarSeries], daily: Mapping[str, BarSeries]) -> None:
        assert execution, "a feed needs at least one symbol"
        assert execution.keys() == daily.keys(), "every symbol needs an execution and a daily series"
        timeframes = {series.timeframe for series in execution.values()}
        assert len(timeframes) == 1, f"one execution timeframe for all symbols, found {sorted(timeframes)}"
        self._execution = dict(execution)
        self._daily = dict(daily)
        self._timeframe = timeframes.pop()
        self._bar_ms = TIMEFRAME_MS[self._timeframe]

    @property
    def bar_ms(self) -> int:
        """Length of the execution bars in milliseconds."""
        return self._bar_ms

    def bars(self, symbol: str, after_ms: int, now_ms: int) -> list[Candle]:
        """Complete execution bars that end in (``after_ms``, ``now_ms``]."""
        return self._series(self._execution, symbol).ended_within(after_ms, now_ms)

    def opening(self, symbol: str, now_ms: int) -> tuple[float, int] | None:
        """Open of the execution bar that contains ``now_ms``."""
        return self._series(self._execution, symbol).open_at(now_ms)

    def closed_candles(self, symbol: str, timeframe: str, since_ms: int, now_ms: int) -> list[Candle]:
        """Closed daily or execution candles that open at or after ``since_ms``."""
        if timeframe == "1d":
            # A bar opens at or after `since` exactly where it ends after `since + length - 1`.
            return self._series(self._daily, symbol).ended_within(since_ms + MS_PER_DAY - 1, now_ms)
        if timeframe != self._timeframe:
            raise VenueError(f"{symbol}: no {timeframe} candles here, only {self._timeframe} and 1d")
        return self.bars(symbol, since_ms + self._bar_ms - 1, now_ms)

    @staticmethod
    def _series(of: dict[str, BarSeries], symbol: str) -> BarSeries:
        series = of.get(symbol)
        if series is None:
            raise VenueError(f"no candles for {symbol}: there are {', '.join(of)}")
        return series
