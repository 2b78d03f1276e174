"""Daily history of one coin, folded bar by bar into what the decision needs."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.decide import breakout, ensemble, indicators, regime, trend
from bot.decide.features import features_at
from bot.decide.regime import Hits, Regime
from bot.domain.market import MS_PER_DAY, Candle

BISECTION_STEPS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRules:
    """Which signals count: SIGNAL_ENSEMBLE and MARKET_REGIME_ENGINE."""

    weights: tuple[float, ...] = ensemble.TREND_ONLY
    """Of the members of the ensemble."""
    regime: bool = False
    """Whether the regime holds back entries and makes them smaller."""


class History:
    """Closed daily bars in order, and the indicators after the newest of them."""

    def __init__(self, rules: SignalRules | None = None) -> None:
        self.rules = SignalRules() if rules is None else rules
        self.open_ms: list[int] = []
        self.highs: list[float] = []
        self.lows: list[float] = []
        self.closes: list[float] = []
        self.volumes: list[float] = []
        self.modes: list[int] = []
        self.flags = [trend.NOT_READY] * len(trend.LOOKBACKS)
        self._atr = 0.0
        self._variance = 0.0
        self._volatilities: list[float] = []
        self._ordered: list[float] = []
        self._regime = Regime(regime.UNKNOWN, math.nan, 1.0)
        self._trigger = -1, math.nan, math.nan

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
        self.volumes.append(bar.volume)
        trend.advance_flags(self.flags, self.highs, self.lows, self.closes, seen)
        self._volatilities.append(self.volatility())
        rank = math.nan
        if seen >= indicators.ATR_PERIOD:
            rank = regime.volatility_rank(self._ordered, self._volatilities, seen, indicators.ATR_PERIOD)
        crashed = regime.is_crash(rank, self.closes, seen + 1)
        self._regime = regime.regime_of(trend.trend_score(self.flags), rank, crashed)
        self.modes.append(self._regime.mode)

    def members(self) -> tuple[float, ...]:
        """Members of the ensemble, 0 to 1 each; NaN for those without a value."""
        return self._members_at(self.flags, len(self.closes), self._regime)

    def _members_at(self, flags: Sequence[int], n_bars: int, state: Regime) -> tuple[float, ...]:
        return (
            trend.trend_score(flags),
            ensemble.momentum_share(self.closes, n_bars),
            ensemble.breakout_strength(self.highs, self.lows, self.closes, n_bars),
            ensemble.volume_share(self.closes, self.volumes, n_bars),
            ensemble.regime_member(state.mode, state.scale) if self.rules.regime else math.nan,
        )

    def score(self) -> float:
        """Ensemble score, 0 to 1; NaN while the history is too short."""
        return ensemble.ensemble_score(self.members(), self.rules.weights)

    def regime(self) -> Regime:
        """State of the market after the newest bar, whether it is used or not."""
        return self._regime

    def regime_inputs(self) -> tuple[int, float, float, float]:
        """Mode, share of the trend, rank of the volatility and scale, as a decision is asked with them."""
        if not self.rules.regime:
            return regime.UNKNOWN, math.nan, math.nan, 1.0
        return self._regime.mode, trend.trend_score(self.flags), self._regime.rank, self._regime.scale

    def regime_hits(self, from_ms: int = 0) -> Hits:
        """How often this coin went where its mode pointed, from a moment on."""
        first = bisect_left(self.open_ms, from_ms)
        return regime.hits_of(self.modes[first:], self.closes[first:], len(self.closes) - first)

    def atr(self) -> float:
        """Average true range in quote units; NaN while the history is too short."""
        return self._atr if len(self.closes) > indicators.ATR_PERIOD else math.nan

    def volatility(self) -> float:
        """Annual volatility as a fraction; NaN while the history is too short."""
        return indicators.annual_volatility(self._variance) if len(self.closes) > indicators.ATR_PERIOD else math.nan

    def since_breakout(self) -> float:
        """Bars since a close above the prior 20-day high, within the newest three; NaN where there is none."""
        return breakout.bars_since_breakout(self.highs, self.closes, len(self.closes))

    def features(self) -> tuple[float, ...]:
        """What the trained model looks at; NaN while the history is too short."""
        return features_at(
            self.highs,
            self.lows,
            self.closes,
            self.volumes,
            len(self.closes),
            self.atr(),
            self.volatility(),
            trend.trend_score(self.flags),
        )

    def trigger_close(self, min_score: float) -> float:
        """Level that the next close must exceed for ``min_score``; NaN: there already, or unknown.

        With an ensemble it is sought by trying closes, each of a bar with the newest bar's volume; where scores fall
        again above a level, because the volatility rises with it, it may be another level than the lowest.
        """
        known = len(self.closes), min_score
        if self._trigger[:2] != known:
            self._trigger = *known, self._trigger_close(min_score)
        return self._trigger[2]

    def _trigger_close(self, min_score: float) -> float:
        exact = trend.close_that_reaches(self.flags, self.highs, len(self.highs), min_score)
        if self.rules.weights == ensemble.TREND_ONLY or math.isnan(self.score()):
            return exact
        low, high = self.closes[-1], 2.0 * self.closes[-1]
        if self._next_score(low) >= min_score or self._next_score(high) < min_score:
            return math.nan
        for _ in range(BISECTION_STEPS):
            middle = (low + high) / 2.0
            if self._next_score(middle) >= min_score:
                high = middle
            else:
                low = middle
        return low

    def _next_score(self, close: float) -> float:
        """Score after a next bar that closes at ``close``, between the newest close and it."""
        n, before = len(self.closes), self.closes[-1]
        variance = indicators.ewma_variance_step(self._variance, n - 1, close / before - 1.0, indicators.EWMA_LAMBDA)
        volatility = indicators.annual_volatility(variance) if n >= indicators.ATR_PERIOD else math.nan
        columns = (self.highs, self.lows, self.closes, self.volumes, self._volatilities)
        values = (max(close, before), min(close, before), close, self.volumes[-1], volatility)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        try:
            flags = list(self.flags)
            trend.advance_flags(flags, self.highs, self.lows, self.closes, n)
            rank = regime.volatility_rank(list(self._ordered), self._volatilities, n, indicators.ATR_PERIOD)
            crashed = regime.is_crash(rank, self.closes, n + 1)
            state = regime.regime_of(trend.trend_score(flags), rank, crashed)
            return ensemble.ensemble_score(self._members_at(flags, n + 1, state), self.rules.weights)
        finally:
            for column in columns:
                column.pop()

    def lowering_close(self) -> float:
        """Level below which the next close lowers the trend's score; NaN where it is 0 already, or unknown."""
        return trend.close_that_lowers(self.flags, self.lows, len(self.lows))
