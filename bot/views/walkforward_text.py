"""What choosing winners would have brought, as JSON and in words; percentages 0 to 100."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bot.backtest.metrics import Estimate
from bot.backtest.result import rounded
from bot.backtest.sweep import Score
from bot.backtest.walked import Stitched, Tested, WalkForward
from bot.views.sweep_words import (
    LAST_WORDS,
    ahead_words,
    change_words,
    changes_words,
    day_of,
    drawdown_words,
    estimate_document,
    score_document,
    sharpe_words,
    sure_words,
)

MODE = "WALKFORWARD"


def walk_forward_document(of: WalkForward) -> dict[str, Any]:
    """All numbers."""
    return {
        "mode": MODE,
        "account": of.account,
        "source": of.source,
        "timeframe": of.timeframe,
        "coins": list(of.coins),
        "anchored": of.anchored,
        "grid": list(of.grid),
        "windows": [_window_document(one) for one in of.tested],
        "chosen": _stitched_document(of.chosen),
        "present": _stitched_document(of.present),
        "hold": _stitched_document(of.hold),
        "ahead_of_present_pct_a_year": estimate_document(of.ahead, 100),
        "ahead_of_holding_pct_a_year": estimate_document(of.ahead_of_holding, 100),
        "below_median_share": estimate_document(of.overfit),
        "looks": of.looks,
        "left_over_days": of.left_over_days,
        "runs": of.runs,
        "candles": of.candles,
        "decisions": of.decisions,
        "seconds": round(of.seconds, 3),
        "compiled": of.compiled,
    }


def render_walk_forward(of: WalkForward) -> Iterator[str]:
    """The walk in words."""
    first, last = of.tested[0].window, of.tested[-1].window
    kind = "anchored" if of.anchored else "rolling"
    yield (
        f"WALKFORWARD on {of.source} candles ({of.timeframe}): {len(of.tested)} {kind} windows, "
        f"{len(of.grid)} sets of settings in each; simulated, and nothing is set."
    )
    yield f"Account         {of.account}; {', '.join(of.coins)}; each window begins with {_start(of)} anew"
    yield f"Tested          {day_of(first.test_from_ms)} to {day_of(last.test_to_ms - 1)}{_left_over(of)}"
    for number, one in enumerate(of.tested, start=1):
        window = one.window
        yield (
            f"Window {number:<8} chosen on {day_of(window.train_from_ms)} to {day_of(window.test_from_ms - 1)}: "
            f"{changes_words(one.chosen)} ({_short(one.train)})"
        )
        below = ", below the middle of the grid" if one.below_median else ""
        yield f"                tested to {day_of(window.test_to_ms - 1)}: {_short(one.test)}{below}"
        yield f"                as they are: {_short(one.present)}"
    yield "All tests, one after the other"
    for name, series in (("Chosen", of.chosen), ("As they are", of.present), ("Just holding", of.hold)):
        yield f"  {name:<13} {_series_words(series)}"
    yield f"  Luck          {_luck(of)}"
    yield f"  Against these {ahead_words(of.ahead)}"
    yield f"  Against hold  {ahead_words(of.ahead_of_holding)}"
    yield f"Overfitting     {_overfit(of.overfit)}"
    yield f"Verdict         {_verdict(of)}"
    form = "compiled" if of.compiled else "plain Python"
    yield (
        f"Computed        {of.runs} runs over {of.candles:,} candles, {of.decisions:,} decisions, in "
        f"{of.seconds:.1f} s ({form})"
    )
    yield LAST_WORDS


def _verdict(of: WalkForward) -> str:
    if of.ahead.low > 0.0:
        return "choosing anew was better than the settings as they are, by more than noise; one history is no proof."
    if of.ahead.high < 0.0:
        return "keep the settings: choosing anew was worse than leaving them alone, by more than noise."
    if math.isnan(of.ahead.low):
        return "keep the settings: so few days cannot tell."
    return "keep the settings: choosing anew was not better than leaving them alone by more than noise."


def _luck(of: WalkForward) -> str:
    psr, dsr = of.chosen.statistics["psr"].value, of.chosen.statistics["dsr"].value
    if math.isnan(psr):
        return "nothing can be said"
    above, after = sure_words(psr), sure_words(dsr)
    return f"{above} sure that choosing has a Sharpe ratio above 0; {after} after {of.looks} looks"


def _overfit(overfit: Estimate) -> str:
    low, high = overfit.low * 100, overfit.high * 100
    return (
        f"in {overfit.value * 100:.0f} % of the windows ({low:.0f} to {high:.0f}; n {overfit.n}) the chosen set was "
        "below the middle of the grid afterwards; choosing by chance comes to half"
    )


def _start(of: WalkForward) -> str:
    return f"${of.tested[0].test.equities[0]:,.2f}"


def _left_over(of: WalkForward) -> str:
    return f"; the last {of.left_over_days} days are in no window" if of.left_over_days else ""


def _short(score: Score) -> str:
    sharpe = "no move" if math.isnan(score.sharpe) else f"Sharpe {score.sharpe:.2f}"
    return f"{change_words(score.change)}, {sharpe}, {score.trades} trades, {score.days} days"


def _series_words(series: Stitched) -> str:
    days = len(series.equities) - 1
    return (
        f"{change_words(series.equities[-1] / series.equities[0] - 1)} in {days} days, "
        f"{sharpe_words(series.statistics['sharpe'])}, {drawdown_words(series.statistics['drawdown'])}"
    )


def _window_document(one: Tested) -> dict[str, Any]:
    return {
        "train_from": day_of(one.window.train_from_ms),
        "test_from": day_of(one.window.test_from_ms),
        "test_to": day_of(one.window.test_to_ms - 1),
        "chosen": one.chosen,
        "train": score_document(one.train),
        "test": score_document(one.test),
        "present": score_document(one.present),
        "median_sharpe": rounded(one.median_sharpe),
        "below_median": one.below_median,
    }


def _stitched_document(series: Stitched) -> dict[str, Any]:
    of = series.statistics
    return {
        "days": len(series.equities) - 1,
        "change_pct": rounded((series.equities[-1] / series.equities[0] - 1) * 100),
        "max_drawdown_pct": estimate_document(of["drawdown"], 100),
        "sharpe": estimate_document(of["sharpe"]),
        "cagr_pct": estimate_document(of["cagr"], 100),
        "psr": rounded(of["psr"].value),
        "dsr": rounded(of["dsr"].value),
    }
