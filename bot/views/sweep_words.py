"""Words and JSON that `optimize` and `walkforward` have in common; percentages 0 to 100."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.backtest.metrics import ENOUGH_TRADES, Estimate
from bot.backtest.result import ENOUGH_DAYS, rounded
from bot.backtest.sweep import Score
from bot.views.text import percent

LAST_WORDS = (
    "Ranges are 90 %. Recorded prices, simulated orders, nothing real; past prices say nothing certain about future "
    "ones; costs of a server are not in it."
)


def day_of(ms: int) -> str:
    """The UTC day of a moment."""
    return f"{datetime.fromtimestamp(ms / 1000, tz=UTC):%Y-%m-%d}"


def estimate_document(estimate: Estimate, factor: float = 1.0) -> dict[str, Any]:
    """A number with what it rests on."""
    value, low, high = (rounded(number * factor) for number in (estimate.value, estimate.low, estimate.high))
    return {"value": value, "n": estimate.n, "low": low, "high": high}


def score_document(score: Score) -> dict[str, Any]:
    """One account over one stretch."""
    return {
        "days": score.days,
        "change_pct": rounded(score.change * 100),
        "sharpe": rounded(score.sharpe),
        "max_drawdown_pct": rounded(score.drawdown * 100),
        "exposure_pct": rounded(score.exposure * 100, 2),
        "orders": score.orders,
        "trades": score.trades,
        "fees_usd": rounded(score.fees_usd, 2),
    }


def changes_words(changes: Mapping[str, str]) -> str:
    """A set of settings in words."""
    return ", ".join(f"{name}={value}" for name, value in changes.items()) or "as they are"


def sharpe_words(sharpe: Estimate) -> str:
    """A Sharpe ratio with its range."""
    if math.isnan(sharpe.value):
        why = f"fewer than {ENOUGH_DAYS} days" if sharpe.n < ENOUGH_DAYS else "equity has not moved"
        return f"Sharpe none: {why}"
    return f"Sharpe {sharpe.value:.2f} ({sharpe.low:.2f} to {sharpe.high:.2f})"


def drawdown_words(drawdown: Estimate) -> str:
    """The deepest fall with its range."""
    text = f"worst drawdown {percent(drawdown.value * 100)}"
    if math.isnan(drawdown.low):
        return text
    return f"{text} ({drawdown.low * 100:.1f} to {drawdown.high * 100:.1f})"


def trades_words(trades: int) -> str:
    """How many trades, and that they are few where they are."""
    few = f", insufficient below {ENOUGH_TRADES}" if trades < ENOUGH_TRADES else ""
    return f"{trades} trades{few}"


def ahead_words(ahead: Estimate) -> str:
    """A difference a year with its range, in points of percent."""
    if math.isnan(ahead.low):
        return f"{ahead.value * 100:+.1f} points a year (n {ahead.n} days: too few for a range)"
    low, high = ahead.low * 100, ahead.high * 100
    return f"{ahead.value * 100:+.1f} points a year ({low:+.1f} to {high:+.1f}; n {ahead.n} days, paired, in blocks)"


def change_words(change: float) -> str:
    """A return."""
    return percent(change * 100, signed=True)


def sure_words(probability: float) -> str:
    """A probability; nothing here is certain."""
    return ">99 %" if probability > 0.99 else "<1 %" if probability < 0.01 else f"{probability * 100:.0f} %"
