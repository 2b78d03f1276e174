"""A backtest as one HTML page that needs nothing else: no network, no other file.

The page is filled by jinja2 and its charts are drawn by Plotly, whose script is written into it (the ``report`` extra).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from bot.backtest import metrics
from bot.backtest.course import Course, course_of, guards_reached, held_of
from bot.backtest.fan import Fan, fan_of
from bot.backtest.result import BLOCK_DAYS, ENOUGH_DAYS, BacktestRun
from bot.backtest.run import Fill, fills_of
from bot.storage.candle_files import SourceData, checksum_of
from bot.storage.candle_reader import utc_text
from bot.views import report_charts as charts
from bot.views import report_words as words
from bot.views.backtest_text import LAST_LINE, backtest_document, between, computed, first_line, headline, tier_words
from bot.views.status import json_text
from bot.views.text import money, percent

TEMPLATE = "report.html.j2"
SEED = 1
FILLS_SHOWN = 1_000
DAYS_SHOWN = 12
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedFile:
    """A candle file that a run was computed from."""

    name: str
    candles: int
    first: str
    end: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a page is made of; a part is None where no candle lies on that side of the split."""

    run: BacktestRun
    in_sample: BacktestRun | None
    out_of_sample: BacktestRun | None
    split_ms: int
    data: SourceData
    files: Sequence[UsedFile]
    version: str
    made_at: datetime


def is_available() -> bool:
    """Whether the packages of the ``report`` extra are installed."""
    return find_spec("jinja2") is not None and find_spec("plotly") is not None


def used_files(data: SourceData) -> list[UsedFile]:
    """Name the files that were read, each with its checksum. Raises OSError where one is gone by now."""
    found = []
    for file in (file for of in data.coins.values() for file in of.read):
        times = file.series.times
        first, end = utc_text(times[0]), utc_text(times[-1] + file.series.length_ms)
        found.append(
            UsedFile(name=file.path.name, candles=len(times), first=first, end=end, sha256=checksum_of(file.path))
        )
    return found


def data_hash(files: Sequence[UsedFile]) -> str:
    """One hash for all files: that of the lines which `sha256sum` would print for them, by name."""
    lines = sorted((file.name, f"{file.sha256}  {file.name}\n") for file in files)
    return sha256("".join(text for _, text in lines).encode()).hexdigest()


def render_report(report: Report) -> str:
    """Make the page. Needs the ``report`` extra."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - the extra
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # noqa: PLC0415 - the extra

    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_joined,
    )
    environment.policies["json.dumps_function"] = _compact
    # Plotly's own file, written to be put between script tags; everything else is escaped.
    script = Markup(get_plotlyjs())  # noqa: S704
    return environment.get_template(TEMPLATE).render(page_of(report), plotly=script)


def _joined(value: object) -> object:
    """Keep a number and its percent sign on one line; what is marked as safe stays as it is."""
    return value.replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value


def _compact(value: object, **_options: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def page_of(report: Report) -> dict[str, Any]:
    """Everything that the template shows."""
    run = report.run
    course, fills = course_of(run.market, run.terms, run.book), fills_of(run.book)
    held = held_of(run.market, run.terms, run.result.exposure)
    fan, years = _fan(course, run.terms.max_drawdown), month_rows(course)
    drawn = {
        "equity": charts.equity_chart(run, course, held),
        "drawdown": charts.drawdown_chart(course, run.terms.max_drawdown),
        "exposure": charts.exposure_chart(course),
        "tiers": charts.tier_chart(run, course),
        "fees": charts.fees_chart(run, course),
    }
    coins = []
    for number, (coin, of) in enumerate(report.data.coins.items()):
        own = [fill for fill in fills if fill.coin == number]
        coins.append({"name": coin, "chart": f"trades{number}", "fills": len(own)})
        drawn[f"trades{number}"] = charts.trade_chart(coin, of.daily, own, run.start_ms, run.end_ms)
    if fan is not None:
        drawn["fan"] = charts.fan_chart(fan, run.result.end_equity)
    return {
        "first_line": first_line(run),
        "last_line": LAST_LINE,
        "tiles": list(_tiles(run)),
        "headline": list(headline(run)),
        "computed": computed(run),
        "sample": words.sample_words(run, report.split_ms),
        "parts": [
            {"name": name, "line": first_line(part), "rows": list(headline(part))} for name, part in _parts(report)
        ],
        "drawdown_pct": percent(run.result.drawdown * 100),
        "exposure_pct": percent(run.result.exposure * 100),
        "ladder": words.ladder_words(),
        "tiers": list(tier_words(run)),
        "coins": coins,
        "fills": [_fill_row(list(report.data.coins), fill) for fill in fills[:FILLS_SHOWN]],
        "fills_in_all": len(fills),
        "names": MONTHS,
        "months": [month for month in range(len(MONTHS)) if any(cells[month] for _, cells, _ in years)],
        "years": years,
        "fees": _fee_words(run),
        "fan": None if fan is None else _fan_words(fan, run),
        "too_few_days": between(run.result.statistics["cvar95"], 100, " %"),
        "guards": list(_guard_rows(run)),
        "refusals": words.refusal_rows(run),
        "assumptions": list(words.assumption_rows(run)),
        "files": report.files,
        "data_hash": data_hash(report.files),
        "notes": report.data.notes(),
        "version": report.version,
        "made_at": report.made_at.strftime("%Y-%m-%d %H:%M UTC"),
        "charts": drawn,
        "span": charts.span_of(run),
        "result": json.loads(json_text(backtest_document(run))),
        "part_results": {name: json.loads(json_text(backtest_document(part))) for name, part in _parts(report)},
    }


def _parts(report: Report) -> Iterator[tuple[str, BacktestRun]]:
    if report.in_sample is not None:
        yield "In sample", report.in_sample
    if report.out_of_sample is not None:
        yield "Out of sample", report.out_of_sample


def _tiles(run: BacktestRun) -> Iterator[tuple[str, str, str, str]]:
    """Name, field of the result, number and what it rests on, of what one looks at first."""
    result, of = run.result, run.result.statistics
    change = (result.end_equity / result.start_equity - 1) * 100
    about = f"from {money(result.start_equity)}: {percent(change, signed=True)} in {result.days} days"
    yield "Equity at the end", "end_equity", money(result.end_equity), about
    for name, field, key, factor, unit in (
        ("Growth a year", "cagr_pct", "cagr", 100, " %"),
        ("Sharpe ratio", "sharpe", "sharpe", 1, ""),
        ("Worst drawdown", "max_drawdown_pct", "drawdown", 100, " %"),
    ):
        text = between(of[key], factor, unit)
        if math.isnan(of[key].value):
            number, _, rest = text.partition(": ")
        else:
            number, _, rest = text.removesuffix(")").partition(" (")
        if name == "Worst drawdown":
            rest += f"; halt at {run.terms.max_drawdown * 100:g} %"
        yield name, field, number, rest
    few = "" if result.trades >= metrics.ENOUGH_TRADES else f"; fewer than {metrics.ENOUGH_TRADES} say nothing"
    yield "Trades closed", "trades", str(result.trades), f"{result.wins} won, {result.orders} orders sent{few}"
    yield "Fees", "fees_usd", money(result.fees_usd), "taken off the equity"


def month_rows(course: Course) -> list[tuple[str, list[str], str]]:
    """Return of each month and of each year, as texts; '' where there was none of it."""
    ends: dict[tuple[int, int], float] = {}
    for ms, equity in zip(course.at_ms[1:], course.equity[1:], strict=True):
        day = datetime.fromtimestamp((ms - 1) / 1000, tz=UTC)  # at midnight a day ends
        ends[day.year, day.month] = equity
    rows, before = [], course.equity[0]
    for year, months in groupby(ends, key=lambda month: month[0]):
        cells, at_start = [""] * len(MONTHS), before
        for _, month in months:
            cells[month - 1] = _change(before, ends[year, month])
            before = ends[year, month]
        rows.append((str(year), cells, _change(at_start, before)))
    return rows


def _change(before: float, after: float) -> str:
    if before <= 0:
        return ""
    change = round((after / before - 1) * 100, 1)
    return f"{change:+.1f}" if change else "0.0"


def _fill_row(coins: Sequence[str], fill: Fill) -> tuple[str, str]:
    return charts.chart_time(fill.at_ms), charts.fill_words(coins[fill.coin], fill)


def _fee_words(run: BacktestRun) -> str:
    """What came in before fees, what they took, what was left."""
    net = run.result.end_equity - run.result.start_equity
    gross = net + run.result.fees_usd
    share = f" ({percent(run.result.fees_usd / gross * 100)} of it)" if gross > 0 else ""
    fees, left = money(run.result.fees_usd), money(net, signed=True)
    return f"{money(gross, signed=True)} before fees, {fees} fees{share}, {left} left"


def _fan(course: Course, limit: float) -> Fan | None:
    """The next year; None where the days are too few, or without any change."""
    returns = metrics.daily_returns(course.equity)
    if len(returns) < ENOUGH_DAYS or not metrics.moments(returns).deviation > 0.0:
        return None
    return fan_of(returns, block=BLOCK_DAYS, drawdown_limit=limit, seed=SEED)


def _fan_words(fan: Fan, run: BacktestRun) -> dict[str, str]:
    start = run.result.end_equity
    low, middle, high = (money(start * fan.bands[share][-1]) for share in (0.10, 0.50, 0.90))
    fell, lost = (
        f"{percent(of.share * 100)} ({of.low * 100:.1f} to {of.high * 100:.1f})" for of in (fan.fell, fan.lost)
    )
    return {
        "paths": f"{fan.paths:,} invented years from {money(start)}, drawn from the {run.result.days} days of this run "
        f"in blocks of {fan.block_days:g} on average (seed {SEED})",
        "ends": f"{low} / {middle} / {high}: one in ten ends below, half, one in ten above",
        "fell": f"{fell} fall {run.terms.max_drawdown * 100:g} % from a peak, where the bot would halt; "
        "here they go on",
        "lost": f"{lost} end below where they began",
    }


def _guard_rows(run: BacktestRun) -> Iterator[tuple[str, str, int, str]]:
    """Limit, what it does, how often it was reached, and on which days."""
    reached = guards_reached(run.book)
    for name, (limit, does) in words.guard_words(run).items():
        count = run.result.guards.get(name, 0)
        days = [charts.chart_time(ms)[:10] for ms in reached.get(name, [])]
        more = f" and {count - DAYS_SHOWN} more" if count > DAYS_SHOWN else ""
        yield limit, does, count, ", ".join(days[:DAYS_SHOWN]) + more
