"""A backtest as JSON and in words; percentages 0 to 100, amounts in USD."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bot.backtest.metrics import ENOUGH_TRADES, Estimate
from bot.backtest.result import ENOUGH_DAYS, BacktestRun, rounded
from bot.domain.tier import UNRANKED
from bot.scaling.ladder import SCALING_TIERS
from bot.views.text import money, percent

MODE = "BACKTEST"
INSUFFICIENT = f"insufficient: fewer than {ENOUGH_TRADES} trades"
LAST_LINE = "Ranges are 90 %. Past prices say nothing certain about future ones; costs of a server are not in it."
PERCENTS = {"cagr": "cagr_pct", "cvar95": "cvar95_pct", "drawdown": "max_drawdown_pct"}
"""Statistics that are fractions inside and percent outside."""


def backtest_document(run: BacktestRun) -> dict[str, Any]:
    """All numbers of a run; ``intervals`` holds for each statistic what it rests on, and 90 % around it."""
    result = run.result
    document: dict[str, Any] = {
        "mode": MODE,
        "account": run.account,
        "source": run.source,
        "timeframe": run.timeframe,
        "from": _moment(run.start_ms),
        "to": _moment(run.end_ms),
        "maker_fee_pct": float(run.fees.maker_frac * 100),
        "taker_fee_pct": float(run.fees.taker_frac * 100),
        "start_equity": round(result.start_equity, 2),
        "end_equity": round(result.end_equity, 2),
        "orders": result.orders,
        "trades": result.trades,
        "wins": result.wins,
        "fees_usd": round(result.fees_usd, 2),
        "tier_history": [
            {
                "timestamp": _moment(ms),
                "from_tier": _tier(before),
                "to_tier": _tier(after),
                "equity": round(equity, 2),
                "direction": "up" if after > before else "down",
            }
            for ms, before, after, equity in result.tier_changes
        ],
        "refusals": result.refusals,
        "guards": result.guards,
        "exposure_pct": round(result.exposure * 100, 2),
        "longest_idle_days": round(result.longest_idle_days, 2),
        "candles": run.candles,
        "seconds": round(run.seconds, 3),
        "days": result.days,
        "decisions": result.decisions,
    }
    intervals = {}
    for name, estimate in result.statistics.items():
        factor = 100.0 if name in PERCENTS else 1.0
        key = PERCENTS.get(name, name)
        document[key] = rounded(estimate.value * factor)
        intervals[key] = {
            "n": estimate.n,
            "low": rounded(estimate.low * factor),
            "high": rounded(estimate.high * factor),
        }
    document |= {
        "buy_hold_pct": rounded(result.hold * 100),
        "exposure_matched_hold_pct": rounded(result.matched_hold * 100),
        "skipped_below_minimum": result.skipped_below_minimum,
        "kernel_seconds": round(run.kernel_seconds, 6),
        "candles_per_second": round(run.candles / run.kernel_seconds) if run.kernel_seconds > 0 else None,
        "compiled": run.compiled,
        "insufficient": [
            name for name in ("profit_factor", "expectancy_r") if result.statistics[name].n < ENOUGH_TRADES
        ],
        "intervals": intervals,
    }
    return document


def render_backtest(run: BacktestRun) -> Iterator[str]:
    """The run in words."""
    result = run.result
    yield first_line(run)
    for label, text in headline(run):
        yield f"{label:<15} {text}"
    for day, text in tier_words(run):
        yield f"Tier            {day}  {text}"
    for name, count in sorted(result.refusals.items(), key=lambda item: -item[1]):
        yield f"Refused         {count:5d} x {name}"
    for name, count in sorted(result.guards.items()):
        yield f"Guard           {count:5d} x {name}"
    yield f"Computed        {computed(run)}"
    yield LAST_LINE


def first_line(run: BacktestRun) -> str:
    """What was run, and that it is simulated."""
    return (
        f"BACKTEST on {run.source} candles ({run.timeframe}), {_moment(run.start_ms)[:10]} to "
        f"{_moment(run.end_ms - 1)[:10]}: recorded prices, simulated orders, nothing real."
    )


def headline(run: BacktestRun) -> Iterator[tuple[str, str]]:
    """The numbers of a run as pairs of label and text."""
    result, of = run.result, run.result.statistics
    fees = f"{float(run.fees.maker_frac) * 100:g} % maker, {float(run.fees.taker_frac) * 100:g} % taker"
    yield "Account", f"{run.account}, {fees}; {', '.join(run.coins)}"
    change = (result.end_equity / result.start_equity - 1) * 100
    yield "Equity", f"{money(result.start_equity)} -> {money(result.end_equity)}  {percent(change, signed=True)}"
    yield "A year", between(of["cagr"], 100, " %")
    yield "Worst drawdown", between(of["drawdown"], 100, " %")
    yield "Under water", f"{between(of['time_under_water_days'], 1, ' days', digits=0)}: the longest"
    yield "Worst days", f"{between(of['cvar95'], 100, ' %')}: mean of the worst 5 %"
    yield "Sharpe", f"{between(of['sharpe'], 1, '')}; Sortino {between(of['sortino'], 1, '')}"
    yield "Calmar", between(of["calmar"], 1, "")
    yield "Luck", _luck(of)
    yield "Orders", f"{result.orders} sent, {result.trades} trades closed, {result.wins} won"
    yield "Fees", money(result.fees_usd)
    yield "A trade", _trades(of)
    yield "In coins", f"{percent(result.exposure * 100)} of equity on average"
    yield (
        "Just holding",
        f"{percent(result.hold * 100, signed=True)} for all of it in equal parts, "
        f"{percent(result.matched_hold * 100, signed=True)} with as much in coins each day as the bot on average",
    )
    yield "Longest idle", f"{result.longest_idle_days:.0f} days without a fill"


def tier_words(run: BacktestRun) -> Iterator[tuple[str, str]]:
    """Day and text of each change of tier."""
    for ms, before, after, equity in run.result.tier_changes:
        yield _moment(ms)[:10], f"{_tier(before) or UNRANKED.name} -> {_tier(after)} at {money(equity)}"


def computed(run: BacktestRun) -> str:
    """How much was computed, and how fast."""
    form = "compiled" if run.compiled else "plain Python"
    speed = run.candles / run.kernel_seconds if run.kernel_seconds > 0 else 0.0
    return (
        f"{run.candles:,} candles, {run.result.decisions:,} decisions in {run.kernel_seconds:.3f} s "
        f"({speed:,.0f} candles a second, {form}); {run.seconds:.1f} s in all"
    )


def between(estimate: Estimate, factor: float, unit: str, *, digits: int = 2) -> str:
    """An estimate with its range and what it rests on, or why there is none."""
    if math.isnan(estimate.value):
        if estimate.n < ENOUGH_DAYS:
            return f"insufficient: fewer than {ENOUGH_DAYS} days ({estimate.n})"
        return f"none: equity has not moved, or only up (n {estimate.n} days)"
    text = f"{estimate.value * factor:.{digits}f}{unit}"
    if math.isnan(estimate.low):
        return f"{text} (n {estimate.n})"
    low, high = f"{estimate.low * factor:.{digits}f}", f"{estimate.high * factor:.{digits}f}"
    return f"{text} ({low} to {high}; n {estimate.n} days)"


def _luck(of: dict[str, Estimate]) -> str:
    if math.isnan(of["psr"].value):
        return between(of["psr"], 1, "")
    sure, after = _sure(of["psr"].value), _sure(of["dsr"].value)
    return f"{sure} sure that the Sharpe ratio is above 0; {after} after the rules that were tried before"


def _sure(share: float) -> str:
    """A probability in words; nothing here is certain."""
    return ">99 %" if share > 0.99 else "<1 %" if share < 0.01 else f"{share * 100:.0f} %"


def _trades(of: dict[str, Estimate]) -> str:
    count = of["expectancy_r"].n
    if count < ENOUGH_TRADES:
        return f"{INSUFFICIENT} ({count})"
    mean, factor = of["expectancy_r"], of["profit_factor"]
    return (
        f"{mean.value:+.2f} R ({mean.low:+.2f} to {mean.high:+.2f}; n {mean.n}); profit factor {factor.value:.2f} "
        f"({factor.low:.2f} to {factor.high:.2f})"
    )


def _tier(rung: int) -> str | None:
    tiers = sorted(SCALING_TIERS, key=lambda tier: tier.min_equity)
    return tiers[rung].name if rung >= 0 else None


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).isoformat()
