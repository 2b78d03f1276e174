"""The answer of the sizer in words: the order or why there is none, its legs, its caps, the growth curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from bot.domain.modes import Strategy
from bot.domain.refusal import RefusalCode
from bot.views.refusals import Explanation, change_words, in_words
from bot.views.text import Column, Line, Look, Style, amount, finish, heading, labelled, money, percent, table, wrapped

CELLS = 16


class Given(NamedTuple):
    """One value that the answer rests on, as text; ``origin`` says where it is from, '' for the command line."""

    name: str
    value: str
    origin: str


class Leg(NamedTuple):
    """One leg of the blend: its clipped share of equity and its weight (0 to 1)."""

    name: str
    share_pct: float
    weight: float


class Cap(NamedTuple):
    """One cap: its code and the largest purchase that it allows; infinite where it does not bind, as without fees."""

    code: str
    usd: float


class GrowthPoint(NamedTuple):
    """Expected log growth of equity by one trade of this size, in percent."""

    what: str
    usd: float
    growth_pct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeReport:
    """Everything that is printed; percents 0 to 100, amounts in USD."""

    venue: str
    coin: str
    equity_usd: float
    given: tuple[Given, ...]
    quantity: Decimal
    """Base units to buy; 0 where the entry is refused."""
    lots: int
    notional_usd: float
    risk_usd: float
    risk_pct: float
    risk_limit_pct: float
    exits: int
    code: str
    """'' where the entry is allowed."""
    limit: float
    actual: float
    unit: str
    binding: str
    """Code of the cap that decided; '' where the blend did."""
    strategy: str
    exit_rule: str
    """Of breakout trades."""
    reward: float | None
    """Net risk:reward at the targets of the exit rule; None without an order or without targets."""
    reward_needed: float
    confidence_pct: float | None
    """That the win rate pays the costs at this reward; information only, None where there is no reward."""
    confidence_needed_pct: float
    round_trip_pct: float
    round_trip_usd: float
    loss_per_unit_pct: float
    sizer: str
    legs: tuple[Leg, ...]
    blend_pct: float
    """Of the weighted legs, before scale and brake."""
    scale: float
    brake: float
    release_days: int
    """Days until a full brake is released without new results; 0 where it is not full."""
    wish_usd: float
    caps: tuple[Cap, ...]
    win_rate_pct: float
    edge_chance_pct: float
    trades: int
    """Closed so far."""
    growth: tuple[GrowthPoint, ...]
    best_usd: float
    """Size with the highest expected growth; 0 where every size loses."""


CAP_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "": "the blend",
        "position_cap": "position cap",
        "volatility_room": "volatility of all positions",
        "risk_per_trade": "risk per trade",
        "heat": "loss at all stops",
        "fee_budget": "fees of 30 days",
        "cash_buffer": "cash above the buffer",
        "venue_cash": "free cash of the venue",
        "minimum_trade": "one minimum trade",
    }
)


def refusal_words(report: SizeReport) -> Explanation:
    """Explain why nothing would be bought."""
    return in_words(
        RefusalCode(report.code), limit=report.limit, actual=report.actual, unit=report.unit, account=report.venue
    )


def size_document(report: SizeReport) -> dict[str, object]:
    """The object of ``size --json``; the quantity is text, limit and actual value are null without a refusal."""
    document = asdict(report)
    document["given"] = {one.name: {"value": one.value, "origin": one.origin} for one in report.given}
    document["legs"] = {leg.name: {"share_pct": leg.share_pct, "weight": leg.weight} for leg in report.legs}
    document["caps_usd"] = {cap.code or "blend": cap.usd for cap in report.caps}
    document["growth"] = [point._asdict() for point in report.growth]
    document["quantity"] = f"{report.quantity:f}"
    document["explanation"] = refusal_words(report).what if report.code else ""
    if not report.code:
        document["limit"] = document["actual"] = None
    del document["caps"]
    return document


def render_size(report: SizeReport, look: Look) -> list[str]:
    """Render the answer; no line is wider than ``look.width`` cells."""
    lines = wrapped("A CALCULATION: no order is sent and nothing is recorded.", look, indent=" ", style=Style.LOUD)
    for section in (_answer, _legs, _caps, _growth, _given):
        lines += section(report, look)
    return finish(lines, look)


def _answer(report: SizeReport, look: Look) -> Iterator[Line]:
    yield from heading("ANSWER", look)
    if report.code:
        words = refusal_words(report)
        yield from wrapped(f"Nothing would be bought: {report.code}", look, style=Style.WARN)
        yield from wrapped(words.what, look)
        yield from wrapped(change_words(words.cure), look, style=Style.DIM)
        if report.release_days:
            text = f"Without new results the brake goes to half size after {report.release_days:,} days."
            yield from wrapped(text, look, style=Style.DIM)
    else:
        share = percent(100 * report.notional_usd / report.equity_usd)
        text = f"Buy {money(report.notional_usd)} of {report.coin} on {report.venue}, {share} of equity"
        yield from wrapped(text, look, style=Style.GOOD)
        yield from labelled("amount", f"{report.quantity:f} {report.coin} ({report.lots:,} lots)", look, cells=CELLS)
        risk = f"{money(report.risk_usd)}, {percent(report.risk_pct, digits=2)} of equity; "
        risk += f"the ceiling is {percent(report.risk_limit_pct, digits=2)}"
        yield from labelled("loss at stop", risk, look, cells=CELLS)
        yield from labelled("decided by", CAP_WORDS[report.binding], look, cells=CELLS)
        yield from labelled("reward:risk", _reward_words(report), look, cells=CELLS)
        if report.confidence_pct is not None and report.reward is not None:
            text = (
                f"{percent(report.confidence_pct)} that over {percent(100 / (1 + report.reward))} win, which pays the "
            )
            text += f"costs; the filter of {percent(report.confidence_needed_pct)} is not armed and lets pass"
            yield from labelled("confidence", text, look, cells=CELLS)
        parts = "three parts (33/33/34)" if report.exits == 3 else "one order: a third is below the venue's minimum"
        yield from labelled("can be sold in", parts, look, cells=CELLS)
    trip = f"{percent(report.round_trip_pct, digits=2)} of the amount"
    trip += f", {money(report.round_trip_usd)} here" if not report.code else ""
    yield from labelled("round trip", f"{trip}: so far must the price rise to pay both fees", look, cells=CELLS)


def _reward_words(report: SizeReport) -> str:
    rule = f"EXIT_RULE={report.exit_rule}"
    if report.reward is None:
        return f"not planned: {rule} has no price targets, so the bot measures its own trades"
    net = amount(report.reward, "ratio")
    if report.strategy == Strategy.BREAKOUT:
        return f"{net} net, at the targets of {rule}; an entry needs {amount(report.reward_needed, 'ratio')}"
    return f"{net} net, were it a breakout with {rule}; {report.strategy} has no targets and measures its own trades"


def _legs(report: SizeReport, look: Look) -> Iterator[Line]:
    yield from heading(f"LEGS ({report.sizer})", look)
    rows = [[leg.name, percent(leg.share_pct, digits=2), f"x {leg.weight:.2f}"] for leg in report.legs]
    yield from table([Column("leg"), Column("of equity", right=True), Column("weight", right=True)], rows, look)
    text = f"Together {percent(report.blend_pct, digits=2)}; drawdown scale x {report.scale:.3f}, "
    yield from wrapped(f"{text}edge brake x {report.brake:g}: the wish is {money(report.wish_usd)}.", look)
    whose = "The results, read with caution" if report.trades else "No trade is closed; assumed until then"
    text = f"{whose}: {percent(report.win_rate_pct)} wins, an edge is "
    yield from wrapped(f"{text}{percent(report.edge_chance_pct)} likely.", look, style=Style.DIM)


def _caps(report: SizeReport, look: Look) -> Iterator[Line]:
    yield from heading("LIMITS", look)
    # What is refused before any cap is looked at has none that decides.
    decided = not report.code or report.code in CAP_WORDS or report.code.startswith(("below_min", "below_venue"))
    marks = {report.binding: "decides"} if decided else {}
    rows = [
        [CAP_WORDS[cap.code], money(cap.usd) if math.isfinite(cap.usd) else "no limit", marks.get(cap.code, "")]
        for cap in report.caps
    ]
    yield from table([Column("limit"), Column("at most", right=True), Column("")], rows, look)
    if report.binding == "minimum_trade" and not report.code:
        text = (
            "The wish or the position cap is below the minimum trade; one minimum trade is bought instead, because "
            "all other limits allow it."
        )
        yield from wrapped(text, look, style=Style.DIM)


def _growth(report: SizeReport, look: Look) -> Iterator[Line]:
    yield from heading("GROWTH CURVE (information only)", look)
    rows = [[point.what, money(point.usd), percent(point.growth_pct, signed=True, digits=4)] for point in report.growth]
    yield from table([Column("size"), Column("USD", right=True), Column("growth per trade", right=True)], rows, look)
    best = f"highest at {money(report.best_usd)}" if report.best_usd else "negative at every possible size"
    text = f"Expected log growth with {percent(report.win_rate_pct)} wins: {best}."
    if not report.best_usd:
        text += " Without results that prove an edge it always is; it is no forecast."
    yield from wrapped(text, look, style=Style.DIM)


def _given(report: SizeReport, look: Look) -> Iterator[Line]:
    yield from heading("GIVEN", look)
    rows = [[one.name, one.value, one.origin] for one in report.given]
    yield from table([Column("what"), Column("value", right=True), Column("from", drop=1)], rows, look)
