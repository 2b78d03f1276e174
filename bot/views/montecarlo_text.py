"""Odds of an account, in words and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.backtest.montecarlo import Chance, Odds
from bot.backtest.result import rounded
from bot.books.positions import EXACT
from bot.domain.account import Flow
from bot.domain.modes import TradingMode
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path
from bot.views.folders import Place
from bot.views.recorded import recorded_book
from bot.views.text import money, percent

MONTHS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnResults:
    """Closed trades of an account as shares of the equity before each, oldest first."""

    mode: TradingMode
    changes: Sequence[float]
    equity: float
    """Cash paid in and what the trades have brought, USD."""
    per_year: float
    """Trades; NaN where there are too few to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the odds are of; USD, fractions."""

    equity: float
    next_tier: str
    next_tier_usd: float
    """Infinite where there is none."""
    floor_usd: float
    drawdown_limit: float
    about: str
    """The trades, in words."""
    per_year: float


def read_own_results(place: Place) -> OwnResults:
    """Read the closed trades of a mode folder. Raises LedgerError where the ledger cannot be read."""
    with LedgerReader(ledger_path(place.folder)) as reader:
        book = recorded_book(reader)
        flows = [event for event in reader.book_events() if isinstance(event, Flow)]
    changes, earned = [], Decimal(0)
    for trade in (trade for trade in book.trades if trade.is_result):
        paid_in = sum((flow.amount for flow in flows if flow.at <= trade.closed_at), Decimal(0))
        before = EXACT.add(paid_in, earned)
        if before > 0:
            changes.append(float(trade.net_pnl / before))
        earned = EXACT.add(earned, trade.net_pnl)
    times = [trade.closed_at for trade in book.trades]
    years = (times[-1] - times[0]).total_seconds() / 31_557_600 if len(times) > 1 else 0.0
    total = EXACT.add(sum((flow.amount for flow in flows), Decimal(0)), earned)
    return OwnResults(
        mode=place.mode,
        changes=changes,
        equity=float(total),
        per_year=(len(times) - 1) / years if years > 0 else math.nan,
    )


def montecarlo_document(question: Question, odds: Odds) -> dict[str, Any]:
    """All numbers; percentages 0 to 100, amounts in USD."""
    return {
        "about": question.about,
        "equity": round(question.equity, 2),
        "paths": odds.paths,
        "trades": odds.trades,
        "double_before_halve": _document(odds.doubled),
        "halve_before_double": _document(odds.halved),
        "drawdown": _document(odds.fell) | {"limit_pct": round(question.drawdown_limit * 100, 2)},
        "next_tier_before_floor": None if odds.rose is None else _document(odds.rose) | {"tier": question.next_tier},
        "floor_before_next_tier": _document(odds.sank) | {"floor_usd": round(question.floor_usd, 2)},
        "loss_at_the_end": _document(odds.lost),
        "end_equity": {
            name: round(question.equity * factor, 2)
            for name, factor in zip(("p10", "p50", "p90"), odds.growth, strict=True)
        },
        "trades_a_year": rounded(question.per_year, 1),
    }


def render_montecarlo(question: Question, odds: Odds) -> Iterator[str]:
    """The same in words."""
    years = f", {odds.trades / question.per_year:.0f} years at their pace" if question.per_year > 0 else ""
    length = f"{odds.trades} trades each{years}"
    yield f"MONTE CARLO: {odds.paths:,} invented futures of {length}, from {money(question.equity)}."
    yield "They go on where the bot would halt: what comes after the drawdown limit needs your command."
    yield f"Trades          {question.about}"
    limit, floor = f"{question.drawdown_limit * 100:g} %", money(question.floor_usd)
    yield f"Double          {_share(odds.doubled)} double before they halve{_time(odds.doubled, question)}"
    yield f"Halve           {_share(odds.halved)} halve before they double{_time(odds.halved, question)}"
    yield f"Drawdown        {_share(odds.fell)} fall {limit}, where the bot halts{_time(odds.fell, question)}"
    if odds.rose is not None:
        tier = f"{question.next_tier} at {money(question.next_tier_usd)}"
        yield f"Next tier       {_share(odds.rose)} reach {tier} before the floor{_time(odds.rose, question)}"
    yield f"Floor           {_share(odds.sank)} come down to {floor}, where entries end{_time(odds.sank, question)}"
    low, middle, high = (question.equity * factor for factor in odds.growth)
    yield f"At the end      {money(low)} / {money(middle)} / {money(high)}: one in ten is below, half, one in ten above"
    yield f"Lost money      {_share(odds.lost)} end below where they began"
    yield (
        "Ranges are 90 %, of the drawing alone: whether these trades are those of the future no drawing knows. "
        "Taxes and a server are not in it."
    )


def _document(chance: Chance) -> dict[str, Any]:
    return {
        "pct": rounded(chance.share * 100, 2),
        "low_pct": rounded(chance.low * 100, 2),
        "high_pct": rounded(chance.high * 100, 2),
        "median_trades": rounded(chance.median_trades, 1),
    }


def _share(chance: Chance) -> str:
    return f"{percent(chance.share * 100)} ({chance.low * 100:.1f} to {chance.high * 100:.1f})"


def _time(chance: Chance, question: Question) -> str:
    """After how many trades half of those had come to it; '' where none did."""
    if math.isnan(chance.median_trades):
        return ""
    text = f"; half of those within {chance.median_trades:.0f} trades"
    if question.per_year > 0:
        text += f", {chance.median_trades / question.per_year * MONTHS:.0f} months"
    return text
