"""Daily history of one coin, folded bar by bar into what the decision needs."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bot.decide import breakout, indicators, trend
from bot.decide.ensemble import WEIGHTS, ensemble_score
from bot.domain.market import MS_PER_DAY, Candle


class History:
    """Closed daily bars in order, and the indicators after the newest of them."""

    def __init__(self) -> None:
        self.open_ms: list[int] = []
        self.highs: list[float] = []
        self.lows: list[float] = []
        self.closes: list[float] = []
        self.flags = [trend.NOT_READY] * len(trend.LOOKBACKS)
        self._atr = 0.0
        self._variance = 0.0

    def __len__(self) -> int:
        return len(self.closes)

    @property
    def last_open_ms(self) -> int | None:
        """Opening time of the newest bar."""
        return self.open_ms[-1] if self.open_ms else None

    @property
    def last_close_ms(self) -> int | None:
        """Closing time of the newest bar."""
        return self.open_ms[-1] + MS_PER_DAY if self.open_ms else None

    def extend(self, bars: Iterable[Candle]) -> list[Candle]:
        """Fold bars that are newer than the newest one; returns those that were."""
        fresh = []
        for bar in bars:
            if self.open_ms and bar.open_ms <= self.open_ms[-1]:
                continue
            self._fold(bar)
            fresh.append(bar)
        return fresh

    def _fold(self, bar: Candle) -> None:
        seen = len(self.closes)
        if seen:
            previous = self.closes[-1]
            self._atr = indicators.atr_step(
                self._atr, seen - 1, indicators.true_range(bar.high, bar.low, previous), indicators.ATR_PERIOD
            )
            self._variance = indicators.ewma_variance_step(
                self._variance, seen - 1, bar.close / previous - 1.0, indicators.EWMA_LAMBDA
            )
        self.open_ms.append(bar.open_ms)
        self.highs.append(bar.high)
        self.lows.append(bar.low)
        self.closes.append(bar.close)
        trend.advance_flags(self.flags, self.highs, self.lows, self.closes, seen)

    def score(self) -> float:
        """Ensemble score, 0 to 1; NaN while the history is too short."""
        return ensemble_score((trend.trend_score(self.flags),), WEIGHTS)

    def atr(self) -> float:
        """Average true range in quote units; NaN while the history is too short."""
        return self._atr if len(self.closes) > indicators.ATR_PERIOD else math.nan

    def volatility(self) -> float:
        """Annual volatility as a fraction; NaN while the history is too short."""
        return indicators.annual_volatility(self._variance) if len(self.closes) > indicators.ATR_PERIOD else math.nan

    def since_breakout(self) -> float:
        """Bars since a close above the prior 20-day high, within the newest three; NaN where there is none."""
        return breakout.bars_since_breakout(self.highs, self.closes, len(self.closes))

    def trigger_close(self, min_score: float) -> float:
        """Level that the next close must exceed for ``min_score``; NaN: there already, or unknown."""
        return trend.close_that_reaches(self.flags, self.highs, len(self.highs), min_score)

    def lowering_close(self) -> float:
        """Level below which the next close lowers the score; NaN where it is 0 already, or unknown."""
        return trend.close_that_lowers(self.flags, self.lows, len(self.lows))
