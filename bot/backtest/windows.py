"""The same account begun at many moments: what twelve months came to, and what the same money did otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.backtest import layout as at
from bot.backtest import metrics
from bot.backtest.layout import Book, Market, Terms
from bot.backtest.result import hold_return, matched_hold, refusals_of

MONTHS = 12
EVERY_MONTHS = 4
WARM_UP_MS = 365 * at.MS_PER_DAY
"""Before a window: the signals look back for a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One run; USD and fractions."""

    start_ms: int
    end_ms: int
    start_equity: float
    end_equity: float
    drawdown: float
    exposure: float
    orders: int
    fees_usd: float
    first_entry_days: float
    """Days to the first purchase; NaN where there was none."""
    hold: float
    """Return of holding all of it in equal parts of the coins, fees of both ends included."""
    matched_hold: float
    """The same with as much in coins as the bot on average, without costs."""
    refusals: Mapping[str, int]
    """By name: once a day, coin and reason."""

    @property
    def gain(self) -> float:
        """Return, before the server."""
        return self.end_equity / self.start_equity - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a number varies over windows: the tenth from below, the middle, the tenth from above."""

    low: float
    median: float
    high: float


def spread_of(values: Sequence[float]) -> Spread:
    """10th, 50th and 90th percentile, linear between ranks; NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return Spread(low=math.nan, median=math.nan, high=math.nan)
    return Spread(
        low=metrics.quantile(ordered, 0.1),
        median=metrics.quantile(ordered, 0.5),
        high=metrics.quantile(ordered, 0.9),
    )


def spans(first_ms: int, last_ms: int, *, months: int = MONTHS, every: int = EVERY_MONTHS) -> Iterator[tuple[int, int]]:
    """Windows of so many months, the newest ending with the last whole month, each ``every`` months before the next."""
    end = datetime.fromtimestamp(last_ms / 1000, tz=UTC)
    end_month = end.year * 12 + end.month - 1
    while True:
        start_ms, end_ms = _month_ms(end_month - months), _month_ms(end_month)
        if start_ms < first_ms:
            return
        yield start_ms, end_ms
        end_month -= every


def _month_ms(month: int) -> int:
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000


def window_of(market: Market, terms: Terms, book: Book) -> Window:
    """Sum up a run."""
    exposure = float(book.rate[at.EXPOSURE_SUM] / book.rate[at.CYCLES])
    bought = int(book.total[at.FIRST_BUY_MS])
    return Window(
        start_ms=market.start_ms,
        end_ms=market.end_ms,
        start_equity=terms.equity_usd,
        end_equity=float(book.rate[at.EQUITY]),
        drawdown=float(book.rate[at.WORST_DRAWDOWN]),
        exposure=exposure,
        orders=int(book.total[at.ORDERS]),
        fees_usd=int(book.total[at.FEES_PAID]) / at.FEE_UNITS,
        first_entry_days=math.nan if bought == 0 else (bought - market.start_ms) / at.MS_PER_DAY,
        hold=hold_return(market, terms),
        matched_hold=matched_hold(market, exposure),
        refusals=refusals_of(book),
    )
