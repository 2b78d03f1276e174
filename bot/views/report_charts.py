"""The charts of the HTML report, as Plotly reads them: plain lists and dictionaries.

Colours are roles (``@blue``), which the page turns into those of its light or dark look. Series differ in their dashes
or signs too, for eyes and printers without colours.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bot.backtest import layout as at
from bot.backtest.course import Course, Held
from bot.backtest.fan import Fan
from bot.backtest.result import BacktestRun
from bot.backtest.run import Fill
from bot.backtest.words import reason_words
from bot.scaling.ladder import SCALING_TIERS
from bot.storage.candle_reader import CandleSeries
from bot.views.text import amount, money, price

Chart = dict[str, Any]
"""``data`` and ``layout``; what all charts have in common the page adds."""

STOPS = (at.WHY_STOP, at.WHY_AT_STOP, at.WHY_BELOW_STOP)
DOLLARS = {"tickformat": "$,~f", "hoverformat": "$,.2f"}
FINE_TICKS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
COARSE_TICKS = (1.0, 2.0, 5.0)
TICKS_ENOUGH, TICKS_MOST = 4, 8


def chart_time(ms: int) -> str:
    """A moment as the charts take it; all times are UTC."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def span_of(run: BacktestRun) -> tuple[str, str]:
    """From when to when all charts over time go: a little more than the run, so that no mark is cut off."""
    margin_ms = (run.end_ms - run.start_ms) // 100
    return chart_time(run.start_ms - margin_ms), chart_time(run.end_ms + margin_ms)


def equity_chart(run: BacktestRun, course: Course, held: Held) -> Chart:
    """Equity beside the same coins held, all of them and as much as the bot held, and beside cash; logarithmic."""
    start = run.result.start_equity
    of_bot = line("Bot", course.at_ms, course.equity, "@blue", width=2.5)
    everything = [start * factor for factor in held.all_of_it]
    matched = [start * factor for factor in held.matched]
    data = [
        of_bot,
        line("Holding as much as the bot", held.at_ms, matched, "@orange", dash="dash"),
        line("Holding all of it", held.at_ms, everything, "@purple", dash="dot"),
        line("Cash", [held.at_ms[0], held.at_ms[-1]], [start, start], "@grey", dash="longdash"),
    ]
    positive = [value for values in (course.equity, everything, matched) for value in values if value > 0.0]
    ticks = log_ticks(min(positive), max(positive))
    axis = {"type": "log", "tickvals": ticks, "ticktext": [money(tick, digits=0 if tick >= 1 else 2) for tick in ticks]}
    axis["hoverformat"] = "$,.2f"
    return {"data": data, "layout": {"yaxis": axis}}


def drawdown_chart(course: Course, limit: float) -> Chart:
    """Fall from the highest equity before, as percent below 0, with the line at which the bot halts."""
    fallen = [-value * 100 for value in course.drawdown]
    area = line("Below the peak", course.at_ms, fallen, "@blue") | {"fill": "tozeroy", "fillcolor": "@bluefill"}
    ends = [course.at_ms[0], course.at_ms[-1]]
    halt = line(f"Halt at {limit * 100:g} %", ends, [-limit * 100] * 2, "@red", dash="dash")
    lowest = min(*fallen, -limit * 100) * 1.08
    return {"data": [area, halt], "layout": {"yaxis": {"ticksuffix": " %", "hoverformat": ".2f", "range": [lowest, 0]}}}


def exposure_chart(course: Course) -> Chart:
    """Share of equity in coins."""
    shares = [value * 100 for value in course.exposure]
    area = line("In coins", course.at_ms, shares, "@blue") | {"fill": "tozeroy", "fillcolor": "@bluefill"}
    top = max(10.0, max(shares) * 1.08)
    return {
        "data": [area],
        "layout": {"yaxis": {"ticksuffix": " %", "hoverformat": ".1f", "range": [0, top]}, "showlegend": False},
    }


def tier_chart(run: BacktestRun, course: Course) -> Chart:
    """Equity over bands of the tiers, and where the tier has changed."""
    low, high = min(course.equity) * 0.95, max(course.equity) * 1.05
    tiers = sorted(SCALING_TIERS, key=lambda tier: tier.min_equity)
    shapes, words = [], []
    for place, tier in enumerate(tiers):
        upper = tiers[place + 1].min_equity if place + 1 < len(tiers) else math.inf
        bottom, top = max(low, tier.min_equity), min(high, upper)
        if bottom >= top:
            continue
        shapes.append(
            {
                "type": "rect",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": bottom,
                "y1": top,
                "line": {"width": 0},
                "fillcolor": "@band" if place % 2 else "@bandalt",
                "layer": "below",
            }
        )
        words.append(
            {
                "xref": "paper",
                "x": 0.99,
                "xanchor": "right",
                "y": bottom,
                "yanchor": "bottom",
                "text": f"{html.escape(tier.name)} from {money(tier.min_equity, digits=0)}",
                "showarrow": False,
                "bgcolor": "@card",
                "borderpad": 2,
                "yshift": 2,
            }
        )
    changes = run.result.tier_changes
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": "Tier changes",
        "x": [chart_time(ms) for ms, *_ in changes],
        "y": [round(equity, 2) for *_, equity in changes],
        "marker": {"symbol": "diamond", "size": 10, "color": "@orange", "line": {"width": 1, "color": "@ink"}},
    }
    axis = DOLLARS | {"range": [low, high]}
    data = [line("Equity", course.at_ms, course.equity, "@blue"), marks]
    return {"data": data, "layout": {"yaxis": axis, "shapes": shapes, "annotations": words}}


def trade_chart(coin: str, days: CandleSeries, fills: Sequence[Fill], start_ms: int, end_ms: int) -> Chart:
    """Daily candles of a coin with every fill on them."""
    places = [i for i, ms in enumerate(days.times) if start_ms <= ms < end_ms]
    opens, highs, lows, closes = ([float(f"{column[i]:.6g}") for i in places] for column in days.columns[:4])
    candles = {
        "type": "candlestick",
        "name": f"{coin}, daily",
        "x": [chart_time(days.times[i] + at.MS_PER_DAY // 2) for i in places],  # among the fills of the day
        "xhoverformat": "%Y-%m-%d",
        "open": opens,
        "high": highs,
        "low": lows,
        "close": closes,
        "increasing": {"line": {"color": "@grey", "width": 1}, "fillcolor": "@paper"},
        "decreasing": {"line": {"color": "@grey", "width": 1}, "fillcolor": "@grey"},
    }
    kinds = (
        ("Bought", "triangle-up", "@blue", [fill for fill in fills if fill.buys]),
        ("Sold", "triangle-down", "@orange", [f for f in fills if not f.buys and f.why not in STOPS]),
        ("Stopped", "x", "@red", [fill for fill in fills if not fill.buys and fill.why in STOPS]),
    )
    marks = [_marks(coin, name, symbol, colour, some) for name, symbol, colour, some in kinds if some]
    axis: dict[str, Any] = {"type": "log" if _is_wide(lows, highs) else "linear", **DOLLARS}
    if axis["type"] == "log":
        ticks = log_ticks(min(lows), max(highs))
        axis |= {"tickvals": ticks, "ticktext": [f"${tick:,.10g}" for tick in ticks]}
    return {"data": [candles, *marks], "layout": {"yaxis": axis, "xaxis": {"rangeslider": {"visible": False}}}}


def fill_words(coin: str, fill: Fill) -> str:
    """What a fill was: side, quantity, price, fee and reason."""
    side = "bought" if fill.buys else "sold"
    quantity, usd = fill.lots / at.LOT_UNITS, fill.cents * fill.lots / at.MONEY_UNITS
    return (
        f"{side} {amount(quantity, 'base')} {coin} at {price(fill.cents / at.CENT_UNITS)} = {money(usd)}, "
        f"fee {money(fill.fee / at.FEE_UNITS, digits=4)}: {reason_words(fill.why, fill.note)}"
    )


def fees_chart(run: BacktestRun, course: Course) -> Chart:
    """What prices brought, what fees took of it, and what was left."""
    start = run.result.start_equity
    net = [equity - start for equity in course.equity]
    gross = [value + fee for value, fee in zip(net, course.fees_usd, strict=True)]
    data = [
        line("Before fees", course.at_ms, gross, "@orange", dash="dash"),
        line("After fees", course.at_ms, net, "@blue", width=2.5),
        line("Fees paid", course.at_ms, course.fees_usd, "@red", dash="dot"),
    ]
    return {"data": data, "layout": {"yaxis": DOLLARS}}


def fan_chart(fan: Fan, start: float) -> Chart:
    """Bands in which so many of the invented years lie."""
    days = list(range(fan.days + 1))

    def edge(share: float, **more: Any) -> dict[str, Any]:
        values = [round(start * factor, 2) for factor in fan.bands[share]]
        return {
            "type": "scatter",
            "mode": "lines",
            "x": days,
            "y": values,
            "line": {"width": 1, "color": "@blue"},
            "hovertemplate": f"p{share * 100:g}: $%{{y:,.2f}}<extra></extra>",
        } | more

    dotted = {"width": 1, "color": "@grey", "dash": "dot"}
    data = [
        edge(0.95, name="p5 to p95", line=dotted),
        edge(0.05, name="p5", line=dotted, showlegend=False),
        edge(0.90, name="p10 to p90"),
        edge(0.10, name="p10", fill="tonexty", fillcolor="@bluefill", showlegend=False),
        edge(0.75, name="p25 to p75", line={"width": 0, "color": "@blue"}, showlegend=False),
        edge(0.25, name="p25 to p75", fill="tonexty", fillcolor="@bluefill", line={"width": 0, "color": "@blue"}),
        edge(0.50, name="Median", line={"width": 2.5, "color": "@ink"}),
    ]
    axis = {"type": "linear", "ticksuffix": " d", "range": [0, fan.days]}
    return {"data": data, "layout": {"yaxis": DOLLARS, "xaxis": axis}}


def line(
    name: str, moments: Sequence[int], values: Sequence[float], colour: str, *, dash: str = "solid", width: float = 1.8
) -> dict[str, Any]:
    """One line over time."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [chart_time(ms) for ms in moments],
        "y": [round(value, 4) for value in values],
        "line": {"color": colour, "dash": dash, "width": width},
    }


def log_ticks(low: float, high: float) -> list[float]:
    """Round values between two on a logarithmic axis: a few, and never none."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in (FINE_TICKS, COARSE_TICKS, (1.0,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        inside = [tick for tick in ticks if low * 0.97 <= tick <= high * 1.03]
        if len(inside) <= TICKS_MOST:
            break
    if len(inside) >= 2:
        return inside
    return sorted({float(f"{low + (high - low) * i / (TICKS_ENOUGH - 1):.3g}") for i in range(TICKS_ENOUGH)})


def _marks(coin: str, name: str, symbol: str, colour: str, fills: Sequence[Fill]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [chart_time(fill.at_ms) for fill in fills],
        "y": [fill.cents / at.CENT_UNITS for fill in fills],
        "text": [f"{chart_time(fill.at_ms)}<br>{html.escape(fill_words(coin, fill))}" for fill in fills],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": symbol, "size": 12, "color": colour, "line": {"width": 1, "color": "@paper"}},
    }


def _is_wide(lows: Sequence[float], highs: Sequence[float]) -> bool:
    """Whether prices have moved so far that early ones would be flat on a linear axis."""
    return bool(lows) and max(highs) > 4 * min(lows)
