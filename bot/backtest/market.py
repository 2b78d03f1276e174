"""Candles as the compiled replay reads them: one grid for all coins, prices in whole numbers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from bot.backtest.layout import MS_PER_DAY, PRICE_UNITS, SPREAD_UNITS, Market, Signals
from bot.backtest.orders import PRICE_PER_CENT, price_below
from bot.backtest.signals import fold_signals
from bot.decide.ensemble import TREND_ONLY
from bot.decide.trend import LOOKBACKS, NOT_READY


class Bars(Protocol):
    """Ascending bars of one length, as ``bot.storage.candle_reader.CandleSeries`` keeps them."""

    @property
    def length_ms(self) -> int:
        """Length of a bar."""
        ...

    @property
    def times(self) -> Sequence[int]:
        """Opening times, ms."""
        ...

    @property
    def columns(self) -> tuple[Sequence[float], ...]:
        """Open, high, low, close, volume."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """How tables and rows are made: lists for the plain form, arrays for the compiled one."""

    compiled: bool

    def ints(self, length: int, value: int = 0) -> MutableSequence[int]:
        """Make a row of whole numbers."""
        if not self.compiled:
            return [value] * length
        import numpy as np

        return cast("MutableSequence[int]", np.full(length, value, dtype=np.int64))

    def floats(self, length: int, value: float = 0.0) -> MutableSequence[float]:
        """Make a row of floats."""
        if not self.compiled:
            return [value] * length
        import numpy as np

        return cast("MutableSequence[float]", np.full(length, value, dtype=np.float64))

    def int_row(self, values: Sequence[int]) -> MutableSequence[int]:
        """Put whole numbers into a row."""
        row = self.ints(len(values))
        for place, value in enumerate(values):
            row[place] = value
        return row

    def float_row(self, values: Sequence[float]) -> MutableSequence[float]:
        """Put floats into a row."""
        row = self.floats(len(values))
        for place, value in enumerate(values):
            row[place] = value
        return row

    def int_table(self, rows: int, width: int, value: int = 0) -> Any:
        """Make a table of whole numbers."""
        if not self.compiled:
            return [[value] * width for _ in range(rows)]
        import numpy as np

        return np.full((rows, width), value, dtype=np.int64)

    def float_table(self, rows: int, width: int, value: float = 0.0) -> Any:
        """Make a table of floats."""
        if not self.compiled:
            return [[value] * width for _ in range(rows)]
        import numpy as np

        return np.full((rows, width), value, dtype=np.float64)


def market_of(
    series: Mapping[str, Bars],
    *,
    bar_ms: int,
    start_ms: int,
    end_ms: int,
    offset_ms: int,
    tick_cents: Sequence[int],
    half_spread: int,
    kit: Kit,
) -> Market:
    """Put the execution bars of all coins on one grid from ``start_ms`` to ``end_ms``, both on it.

    ``tick_cents`` of each coin and ``half_spread`` are those of the account's terms.
    """
    assert start_ms % bar_ms == 0, "a run begins with a bar"
    assert end_ms % bar_ms == 0, "a run ends with a bar"
    assert start_ms < end_ms, "a run has a length"
    steps = (end_ms - start_ms) // bar_ms
    columns = [kit.ints(len(series) * (steps + 1)) for _ in range(3)]
    before, before_ms = kit.ints(len(series)), kit.ints(len(series))
    for number, bars in enumerate(series.values()):
        assert bars.length_ms == bar_ms, "all coins have the same timeframe"
        first, last = bisect_left(bars.times, start_ms), bisect_right(bars.times, end_ms)
        base = number * (steps + 1)
        ended = bisect_right(bars.times, start_ms + offset_ms - bar_ms) - 1
        if ended >= 0 and bars.times[ended] + bar_ms > start_ms + offset_ms - MS_PER_DAY:
            before[number] = round(bars.columns[3][ended] * PRICE_UNITS)
            before_ms[number] = bars.times[ended] + bar_ms
        for column, prices in zip(columns, (bars.columns[0], bars.columns[2], bars.columns[3]), strict=True):
            _fill(column, base, bars.times, prices, first, last, start_ms, bar_ms, kit)
    bids = kit.ints(len(series) * (steps + 1))
    for number, tick in enumerate(tick_cents):
        _fill_bids(bids, columns[0], number * (steps + 1), steps + 1, half_spread, tick, kit)
    by_name = sorted(range(len(series)), key=lambda number: list(series)[number])
    names = kit.ints(len(series))
    for place, number in enumerate(by_name):
        names[place] = number
    opens, lows, closes = columns
    return Market(
        coins=len(series),
        steps=steps,
        start_ms=start_ms,
        bar_ms=bar_ms,
        offset_ms=offset_ms,
        end_ms=end_ms,
        opens=opens,
        lows=lows,
        closes=closes,
        bids=bids,
        before=before,
        before_ms=before_ms,
        by_name=names,
    )


def _fill(
    column: MutableSequence[int],
    base: int,
    times: Sequence[int],
    prices: Sequence[float],
    first: int,
    last: int,
    start_ms: int,
    bar_ms: int,
    kit: Kit,
) -> None:
    if not kit.compiled:
        begin, count = base + (times[first] - start_ms) // bar_ms if first < last else base, last - first
        if count > 1 and times[last - 1] - times[first] == (count - 1) * bar_ms:  # without a gap: all at once
            column[begin : begin + count] = [round(price * PRICE_UNITS) for price in prices[first:last]]
            return
        for i in range(first, last):
            column[base + (times[i] - start_ms) // bar_ms] = round(prices[i] * PRICE_UNITS)
        return
    import numpy as np

    places = base + (np.asarray(times[first:last]) - start_ms) // bar_ms
    column[places] = np.rint(np.asarray(prices[first:last]) * PRICE_UNITS).astype(np.int64)  # type: ignore[call-overload]


def _fill_bids(
    bids: MutableSequence[int],
    opens: Sequence[int],
    first: int,
    count: int,
    half_spread: int,
    tick_cents: int,
    kit: Kit,
) -> None:
    if not kit.compiled:
        for place in range(first, first + count):
            bids[place] = price_below(opens[place], half_spread, tick_cents)
        return
    import numpy as np

    whole, rest = np.divmod(np.asarray(opens[first : first + count]), SPREAD_UNITS)
    below = whole * (SPREAD_UNITS - half_spread) + rest * (SPREAD_UNITS - half_spread) // SPREAD_UNITS
    bids[first : first + count] = np.maximum(below // (PRICE_PER_CENT * tick_cents), 1) * tick_cents


def signals_of(
    daily: Mapping[str, Bars],
    *,
    kit: Kit,
    weights: Sequence[float] = TREND_ONLY,
    regime: bool = False,
    fold: Any = fold_signals,
) -> Signals:
    """Fold the daily bars of every coin; ``fold`` is the plain or the compiled form of ``fold_signals``.

    ``weights`` of the ensemble's members and whether the ``regime`` counts are those of ``engine/history``.
    """
    longest = max(len(bars.times) for bars in daily.values())
    counts = kit.ints(len(daily))
    opened = kit.int_table(len(daily), longest)
    highs, lows, closes = (kit.float_table(len(daily), longest) for _ in range(3))
    told = [kit.float_table(len(daily), longest) for _ in range(8)]
    for number, bars in enumerate(daily.values()):
        assert bars.length_ms == MS_PER_DAY, "decisions are made on daily bars"
        count = len(bars.times)
        counts[number] = count
        for row, values in (
            (opened, bars.times),
            (highs, bars.columns[1]),
            (lows, bars.columns[2]),
            (closes, bars.columns[3]),
        ):
            row[number][:count] = values[:count]
        flags = kit.ints(len(LOOKBACKS), NOT_READY)
        fold(
            highs[number],
            lows[number],
            closes[number],
            kit.float_row(bars.columns[4]),
            kit.float_row(weights),
            int(regime),
            flags,
            *(table[number] for table in told),
            count,
        )
    return Signals(counts, opened, highs, closes, *told)
