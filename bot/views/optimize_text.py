"""What a search of settings found, as JSON and in words; percentages 0 to 100."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bot.backtest.metrics import Estimate
from bot.backtest.optimized import Compared, Optimization, Part
from bot.backtest.result import LOOKS, rounded
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
    trades_words,
)

MODE = "OPTIMIZE"


def optimization_document(of: Optimization) -> dict[str, Any]:
    """All numbers."""
    return {
        "mode": MODE,
        "account": of.account,
        "source": of.source,
        "timeframe": of.timeframe,
        "coins": list(of.coins),
        "varied": [str(one) for one in of.space],
        "trials": of.found.trials,
        "failed_trials": of.found.failed,
        "resumed_trials": of.found.resumed,
        "looks": of.looks,
        "winner": of.winner,
        "present": of.present,
        "searched": _compared_document(of.searched),
        "held_out": _compared_document(of.held_out) | {"looked_at_before": of.found.viewed},
        "winner_dsr": rounded(of.deflated),
        "ahead_pct_a_year": estimate_document(of.ahead, 100),
        "beats_present_settings": of.beats,
        "candles_a_trial": of.candles,
        "decisions": of.decisions,
        "seconds": round(of.seconds, 3),
        "compiled": of.compiled,
    }


def render_optimization(of: Optimization) -> Iterator[str]:
    """The search in words."""
    searched, held_out = (
        f"{day_of(part.start_ms)} to {day_of(part.end_ms - 1)}" for part in (of.searched, of.held_out)
    )
    yield (
        f"OPTIMIZE on {of.source} candles ({of.timeframe}): searched {searched}, held out {held_out}; simulated, and "
        "nothing is set."
    )
    yield f"Account         {of.account}; {', '.join(of.coins)}"
    earlier = f", {of.found.resumed} of them earlier" if of.found.resumed else ""
    failed = f", {of.found.failed} failed" if of.found.failed else ""
    yield f"Trials          {of.found.trials}{earlier}{failed}; with the {LOOKS} rules before them {of.looks} looks"
    if of.first_failure:
        yield f"First failure   {of.first_failure}"
    yield f"Winner          {changes_words(of.winner)}"
    yield f"Instead of      {changes_words(of.present)}"
    yield "Where it was searched"
    yield from _compared_lines(of.searched)
    yield f"  Luck          {_luck(of)}"
    yield "Where nobody searched"
    yield from _compared_lines(of.held_out)
    yield f"  Difference    {ahead_words(of.ahead)}"
    if of.found.viewed:
        yield f"  Looked at     {of.found.viewed} times before by this study: it is less and less unseen"
    yield f"Verdict         {_verdict(of)}"
    form = "compiled" if of.compiled else "plain Python"
    yield (
        f"Computed        {of.found.trials - of.found.resumed} sets on {of.candles:,} candles each, {of.decisions:,} "
        f"decisions, in {of.seconds:.1f} s ({form})"
    )
    yield LAST_WORDS


def _verdict(of: Optimization) -> str:
    if of.winner == of.present or of.ahead.value == 0.0:
        return "keep the settings: the winner does what they do."
    if of.beats:
        return (
            "the winner was better by more than noise where nobody searched. That is one stretch of time, and no proof "
            "for the next; the limits of the account are the same either way."
        )
    if math.isnan(of.ahead.low):
        return "keep the settings: the held-out part is too short to tell."
    if of.ahead.high < 0.0:
        return "keep the settings: where nobody searched, the winner was worse by more than noise."
    return "keep the settings: where nobody searched, the winner was not better by more than noise."


def _luck(of: Optimization) -> str:
    if math.isnan(of.deflated):
        return "nothing can be said"
    sure = sure_words(of.deflated)
    return f"{sure} sure that the winner's Sharpe ratio is more than the best of {of.looks} looks owes to luck"


def _compared_document(of: Compared) -> dict[str, Any]:
    return {
        "from": day_of(of.start_ms),
        "to": day_of(of.end_ms - 1),
        "winner": _part_document(of.winner),
        "present": _part_document(of.present),
        "hold": {name: value for name, value in _part_document(of.hold).items() if name in _OF_HOLDING},
    }


_OF_HOLDING = ("days", "change_pct", "sharpe", "max_drawdown_pct")


def _part_document(part: Part) -> dict[str, Any]:
    return score_document(part.score) | {
        "sharpe": estimate_document(part.statistics["sharpe"]),
        "max_drawdown_pct": estimate_document(_drawdown(part), 100),
        "cagr_pct": estimate_document(part.statistics["cagr"], 100),
    }


def _compared_lines(of: Compared) -> Iterator[str]:
    for name, part in (("Winner", of.winner), ("As they are", of.present)):
        yield f"  {name:<13} {_part_words(part)}; {trades_words(part.score.trades)}"
    yield f"  {'Just holding':<13} {_part_words(of.hold)}"


def _part_words(part: Part) -> str:
    return (
        f"{change_words(part.score.change)} in {part.score.days} days, {sharpe_words(part.statistics['sharpe'])}, "
        f"{drawdown_words(_drawdown(part))}"
    )


def _drawdown(part: Part) -> Estimate:
    """Deepest fall within the days too, with the range of what the ends of days say."""
    return part.statistics["drawdown"]._replace(value=part.score.drawdown)
