"""Entries of the past with how they ended: what the trained model learns from.

An entry is a daily close above the prior 20-day high, bought at the next open. The first of three barriers ends it: a
stop of 2 daily ATR, a target of 3.6, or 20 days (quant 4f). Inside one bar the stop comes first. The entry pays the
maker's fee, every exit the taker's, both slippage (quant, correction 3).

Every such close is an event, also while an earlier one of the coin goes on: each is a decision that the filter could
be asked for. So events overlap, and are fewer than they seem; ``without_overlap`` keeps those that an account could
trade.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bot.backtest.layout import MS_PER_DAY
from bot.backtest.market import Bars
from bot.decide.breakout import BREAKOUT_DAYS, STOP_ATR
from bot.decide.costs import SLIPPAGE, gain_per_unit
from bot.decide.exits import MAX_DAYS, TARGETS, stop_distance
from bot.decide.features import features_at
from bot.decide.indicators import (
    ATR_PERIOD,
    EWMA_LAMBDA,
    annual_volatility,
    atr_step,
    ewma_variance_step,
    highest,
    true_range,
)
from bot.decide.trend import LOOKBACKS, NOT_READY, advance_flags, trend_score

TARGET_ATR = TARGETS[0] * STOP_ATR
HORIZON_BARS = int(MAX_DAYS)


class Event(NamedTuple):
    """One entry and how it ended."""

    coin: str
    entry_ms: int
    """Open of the bar after the signal; what the features know ends here."""
    exit_ms: int
    """End of the bar in which a barrier was met; what the label knows ends here."""
    net_return: float
    """Per unit of notional, after fees and slippage."""
    r: float
    """The same in units of the stop distance."""
    features: tuple[float, ...]

    @property
    def label(self) -> int:
        """1 where the entry ended above its costs, 0 where not."""
        return int(self.net_return > 0.0)


def events_of(daily: Mapping[str, Bars], *, fee_in: float, fee_out: float) -> list[Event]:
    """Find all events of the coins' daily bars, by the time of entry; fees as fractions per side.

    Left out are signals whose features have no value yet, and those within 20 bars of the end: of these only the
    quick ones would be known.
    """
    found = [event for coin, bars in daily.items() for event in _of_coin(coin, bars, fee_in=fee_in, fee_out=fee_out)]
    return sorted(found, key=lambda event: (event.entry_ms, event.coin))


def without_overlap(events: Iterable[Event]) -> list[Event]:
    """Leave out events that begin before the one before them, of the same coin, has ended; they ascend."""
    kept: list[Event] = []
    free_ms: dict[str, int] = {}
    for event in events:
        if event.entry_ms >= free_ms.get(event.coin, 0):
            kept.append(event)
            free_ms[event.coin] = event.exit_ms
    return kept


def _of_coin(coin: str, bars: Bars, *, fee_in: float, fee_out: float) -> Iterator[Event]:
    """Fold the daily bars as the engine does, whatever signals are switched on, and follow each breakout."""
    assert bars.length_ms == MS_PER_DAY, "decisions are made on daily bars"
    opens, highs, lows, closes, volumes = bars.columns
    flags = [NOT_READY] * len(LOOKBACKS)
    atr = variance = 0.0
    for i in range(len(bars.times) - HORIZON_BARS):
        if i > 0:
            before = closes[i - 1]
            atr = atr_step(atr, i - 1, true_range(highs[i], lows[i], before), ATR_PERIOD)
            variance = ewma_variance_step(variance, i - 1, closes[i] / before - 1.0, EWMA_LAMBDA)
        advance_flags(flags, highs, lows, closes, i)
        if i < BREAKOUT_DAYS or closes[i] <= highest(highs, i - BREAKOUT_DAYS, i):
            continue
        features = features_at(
            highs, lows, closes, volumes, i + 1, atr, annual_volatility(variance), trend_score(flags)
        )
        if any(math.isnan(value) for value in features):
            continue
        entry = opens[i + 1]
        distance = stop_distance(atr, entry, STOP_ATR)
        last, price = barrier_exit(
            opens, highs, lows, closes, i + 1, i + HORIZON_BARS, entry * (1.0 - distance), entry + TARGET_ATR * atr
        )
        net = gain_per_unit(price / entry - 1.0, fee_in, fee_out, SLIPPAGE)
        yield Event(coin, bars.times[i + 1], bars.times[last] + MS_PER_DAY, net, net / distance, features)


def barrier_exit(
    opens: Sequence[float],
    highs: Sequence[float],
    lows: Sequence[float],
    closes: Sequence[float],
    first: int,
    last: int,
    stop: float,
    target: float,
) -> tuple[int, float]:
    """Follow a position from the open of bar ``first``: the bar that ends it, and the price.

    A bar that opens beyond a barrier is left at its open. Without a barrier met the close of bar ``last`` ends it.
    """
    for i in range(first, last + 1):
        if lows[i] <= stop:
            return i, min(opens[i], stop)
        if highs[i] >= target:
            return i, max(opens[i], target)
    return last, closes[last]
