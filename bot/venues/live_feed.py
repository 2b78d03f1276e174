"""A feed over what an exchange tells everybody: present quotes, and what happened since, in bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bot.domain.market import TIMEFRAME_MS, Candle, Ticker
from bot.venues.feeds import PublicPrices, TimedBar

PRICES_KEPT_MS = 2_000
"""One call asks for all symbols; within this time it answers every question, as a cycle asks several in a row."""

BARS_KEPT_MS = 20_000
"""A minute without a trade has no bar: an exchange that has none yet is not asked again at once."""

BARS_AT_ONCE = 300
"""Bars of one length that both venues give in one answer."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_MS = TIMEFRAME_MS["1m"]


class _Told(NamedTuple):
    """Bars, and the question that they answer."""

    after_ms: int
    asked_ms: int
    bars: list[TimedBar]


class LiveFeed:
    """A PriceFeed of real quotes and bars; raises VenueError where the exchange does not answer.

    What happened in up to 5 hours is told in minute bars; of a longer pause the older part is told in hours, and
    what lies 12 days back in days. All of it is told, in at most 600 bars and one for each further day. The first
    bar of a part may begin before the time asked for: orders that were placed inside it do not meet it, and see
    the market again from its end on.
    """

    def __init__(self, prices: PublicPrices) -> None:
        self._prices = prices
        self._tickers: Mapping[str, Ticker] = {}
        self._tickers_ms: int | None = None
        self._told: dict[str, _Told] = {}

    @property
    def bar_ms(self) -> int:
        """One minute."""
        return _MINUTE_MS

    def opening(self, symbol: str, now_ms: int) -> Ticker | None:
        """The quote of now, or of up to two seconds ago; None where the exchange has no price for the symbol.

        Its ``last`` is the middle of bid and ask: the last trade of a quiet market may be of another time.
        """
        if self._tickers_ms is None or not 0 <= now_ms - self._tickers_ms < PRICES_KEPT_MS:
            self._tickers = self._prices.tickers()
            self._tickers_ms = now_ms
        quote = self._tickers.get(symbol)
        if quote is None:
            return None
        # The answer is a moment younger than the question, and two clocks never agree.
        at = min(quote.at, _EPOCH + timedelta(milliseconds=now_ms))
        return replace(quote, last=(quote.bid + quote.ask) / 2, at=at)

    def bars(self, symbol: str, after_ms: int, now_ms: int) -> list[TimedBar]:
        """Complete bars that ended in (``after_ms``, ``now_ms``], ascending; minutes, and coarser ones before them."""
        if now_ms - now_ms % _MINUTE_MS <= after_ms:
            return []
        told = self._told.get(symbol)
        if told is None or told.after_ms != after_ms or not 0 <= now_ms - told.asked_ms < BARS_KEPT_MS:
            told = _Told(after_ms, now_ms, self._ask(symbol, after_ms, now_ms))
            self._told[symbol] = told
        return told.bars

    def closed_candles(self, symbol: str, timeframe: str, since_ms: int, now_ms: int) -> list[Candle]:
        """Closed candles that open at or after ``since_ms``, ascending."""
        candles = self._prices.candles(symbol, timeframe, since_ms)
        return [candle for candle in candles if candle.open_ms + TIMEFRAME_MS[timeframe] <= now_ms]

    def _ask(self, symbol: str, after_ms: int, now_ms: int) -> list[TimedBar]:
        bars: list[TimedBar] = []
        for timeframe, first_ms, until_ms in parts(after_ms, now_ms):
            length_ms = TIMEFRAME_MS[timeframe]
            for candle in self._prices.candles(symbol, timeframe, first_ms):
                end_ms = candle.open_ms + length_ms
                if first_ms <= candle.open_ms and after_ms < end_ms <= until_ms:
                    bars.append(TimedBar(candle, end_ms))
        return bars


def parts(after_ms: int, now_ms: int) -> Sequence[tuple[str, int, int]]:
    """Timeframe, first opening and end of the parts in which (``after_ms``, ``now_ms``] is told, oldest first.

    Without gap or overlap: each part but the last ends where the next, finer one begins.
    """
    assert after_ms < now_ms, f"nothing lies between {after_ms} and {now_ms}"
    newest_first: list[tuple[str, int, int]] = []
    until_ms = now_ms
    for timeframe, coarser in (("1m", "1h"), ("1h", "1d")):
        length_ms, coarser_ms = TIMEFRAME_MS[timeframe], TIMEFRAME_MS[coarser]
        first_ms = after_ms - after_ms % length_ms
        reach_ms = until_ms - BARS_AT_ONCE * length_ms
        if first_ms >= reach_ms:
            newest_first.append((timeframe, first_ms, until_ms))
            return newest_first[::-1]
        begin_ms = -(-reach_ms // coarser_ms) * coarser_ms
        newest_first.append((timeframe, begin_ms, until_ms))
        until_ms = begin_ms
    day_ms = TIMEFRAME_MS["1d"]
    newest_first.append(("1d", after_ms - after_ms % day_ms, until_ms))
    return newest_first[::-1]
