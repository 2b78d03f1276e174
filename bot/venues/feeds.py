"""Where a simulated exchange takes its prices from."""

from __future__ import annotations

from typing import Protocol

from bot.domain.market import Candle


class PriceFeed(Protocol):
    """Prices of several symbols as they become known; nothing later than ``now_ms`` is ever shown.

    Raises VenueError for a symbol or timeframe that the feed does not have.
    """

    @property
    def bar_ms(self) -> int:
        """Length of the bars that orders are matched on, in milliseconds."""
        ...

    def bars(self, symbol: str, after_ms: int, now_ms: int) -> list[Candle]:
        """Complete bars that END in (``after_ms``, ``now_ms``], ascending; gaps stay gaps."""
        ...

    def opening(self, symbol: str, now_ms: int) -> tuple[float, int] | None:
        """Open of the bar that contains ``now_ms`` and the time of that price; None in a gap.

        Only the open: the rest of that bar is not known yet.
        """
        ...

    def closed_candles(self, symbol: str, timeframe: str, since_ms: int, now_ms: int) -> list[Candle]:
        """Closed candles that OPEN at or after ``since_ms``, ascending, for decisions."""
        ...
