"""Where a simulated exchange takes its prices from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from bot.domain.instrument import Instrument
from bot.domain.market import Candle, Ticker


class TimedBar(NamedTuple):
    """A bar of any length that began at ``candle.open_ms`` and ended at ``end_ms``, while prices were seen inside it.

    Its range is met only by orders that rested when it began.
    """

    candle: Candle
    end_ms: int


class PriceFeed(Protocol):
    """Prices of several symbols as they become known; nothing later than ``now_ms`` is ever shown.

    A feed is one of two kinds. One *steps*: inside a bar of ``bar_ms`` it shows only the open, so that the bar's
    range counts as later than everything that was submitted meanwhile; it tells plain candles and opens. The other
    is *live*: it tells real quotes at any moment, and bars that say when they ended.
    Raises VenueError for a symbol or timeframe that the feed does not have, and where nothing is known now.
    """

    @property
    def bar_ms(self) -> int:
        """Length of the bars that orders are matched on, in milliseconds."""
        ...

    def bars(self, symbol: str, after_ms: int, now_ms: int) -> Sequence[Candle] | Sequence[TimedBar]:
        """Complete bars that END in (``after_ms``, ``now_ms``], ascending; gaps stay gaps.

        A plain candle ended at ``open_ms + bar_ms``.
        """
        ...

    def opening(self, symbol: str, now_ms: int) -> tuple[float, int] | Ticker | None:
        """Present price; None where there is none.

        A stepping feed: open and opening time of the bar that contains ``now_ms``, for the rest of that bar is
        not known yet; None in a gap. A live one: the quote, whose own time is not after ``now_ms``.
        """
        ...

    def closed_candles(self, symbol: str, timeframe: str, since_ms: int, now_ms: int) -> list[Candle]:
        """Closed candles that OPEN at or after ``since_ms``, ascending, for decisions."""
        ...


class PublicPrices(Protocol):
    """What an exchange tells everybody, without keys. Every method may raise VenueError: then nothing is known."""

    def instruments(self) -> Mapping[str, Instrument]:
        """Traded markets by symbol, as of now."""
        ...

    def tickers(self) -> Mapping[str, Ticker]:
        """Best prices of every traded symbol that has a price."""
        ...

    def candles(self, symbol: str, timeframe: str, since_ms: int) -> Sequence[Candle]:
        """CLOSED candles that open at or after ``since_ms``, ascending, whole where they are 300 at most."""
        ...
