"""`run --replay`: the same engine over candle files, on a virtual clock."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from bot.books.results import longest_idle_days, results_of
from bot.bootstrap import Session, open_replay
from bot.cli.values import end_ms_of, parse_equity, parse_venues, start_ms_of
from bot.clock import StopSignal
from bot.domain.errors import ConfigError
from bot.domain.market import TIMEFRAME_MS
from bot.engine.engine import CycleResult
from bot.engine.runner import RunTally, run_engine
from bot.settings_schema import Settings, configured_accounts
from bot.storage.candle_files import SourceData, open_source
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

INTERRUPTED = "Interrupted: the figures are those up to the last cycle."


def run_replay(
    settings: Settings,
    *,
    folder: Path,
    source: str,
    from_text: str | None,
    to_text: str | None,
    equity_text: str | None,
    venues_text: str | None,
    timeframe: str | None,
    as_json: bool,
    cycles: int | None,
    stop: StopSignal,
    now: datetime,
) -> None:
    """Replay and print what came of it: a report, or with ``as_json`` one object."""
    equity = parse_equity(equity_text) if equity_text is not None else settings.paper_equity
    accounts = parse_venues(venues_text) if venues_text is not None else configured_accounts(settings)
    start, end = start_ms_of(from_text), end_ms_of(to_text)
    if start is not None and end is not None and start >= end:
        raise ConfigError(f"--from {from_text} must be before --to {to_text}")
    data = open_source(
        folder,
        source,
        settings.trade_only,
        timeframe=timeframe,
        from_ms=start,
        to_ms=end,
    )
    for note in data.notes():
        click.echo(note, err=True)
    began = perf_counter()
    # A cycle in the middle of a bar would find each price stale: the first one belongs to a bar's open.
    bar_ms = TIMEFRAME_MS[data.timeframe]
    first = datetime.fromtimestamp(-(-data.from_ms // bar_ms) * bar_ms / 1000, tz=UTC)
    last = datetime.fromtimestamp(data.to_ms / 1000, tz=UTC)
    session = open_replay(settings, data=data, accounts=accounts, equity=equity, start=first, now=now)
    tally = RunTally()
    try:
        with _progress(first, last) as moved_to:

            def on_cycle(result: CycleResult) -> None:
                tally.add(result)
                moved_to(result.at)

            run_engine(
                session.engine,
                session.clock,
                stopped=lambda: stop.requested,
                on_cycle=on_cycle,
                cycles=cycles,
                until=last,
            )
        summary = summarise(session, data, tally, first, perf_counter() - began)
    finally:
        session.close()
    if as_json:
        if stop.requested:
            click.echo(INTERRUPTED, err=True)
        click.echo(json.dumps(summary, indent=2))
    else:
        for line in report_lines(summary, data, interrupted=stop.requested):
            click.echo(line)


def summarise(session: Session, data: SourceData, tally: RunTally, start: datetime, seconds: float) -> dict[str, Any]:
    """The result object of a replay; amounts in USD, percentages 0 to 100."""
    engine = session.engine
    results = results_of(engine.book)
    end = session.clock.now()
    end_ms = int(end.timestamp() * 1000)
    with LedgerReader(ledger_path(session.folder)) as reader:
        refusals = reader.refusal_counts()
        guards = reader.guard_activations()
    return {
        "mode": session.mode.value,
        "start_equity": round(tally.start_equity or 0.0, 2),
        "end_equity": round(tally.end_equity, 2),
        "max_drawdown_pct": round(tally.max_drawdown_frac * 100, 4),
        "orders": tally.orders,
        "trades": results.trades,
        "wins": results.wins,
        "fees_usd": round(float(results.fees_usd), 2),
        "tier_history": engine.tier_history(),
        "refusals": refusals,
        "guards": guards,
        "exposure_pct": round(tally.exposure_frac * 100, 2),
        "longest_idle_days": round(longest_idle_days(tally.fill_times, start=start, end=end), 2),
        "candles": sum(coin.execution.count_within(data.from_ms, end_ms) for coin in data.coins.values()),
        "seconds": round(seconds, 3),
    }


def report_lines(summary: dict[str, Any], data: SourceData, *, interrupted: bool) -> Iterator[str]:
    """The result in words."""
    start, end = summary["start_equity"], summary["end_equity"]
    yield ""
    yield f"REPLAY of {data.source} candles ({data.timeframe}): recorded prices, simulated orders, nothing real."
    if TIMEFRAME_MS[data.timeframe] > TIMEFRAME_MS["1h"]:
        yield f"Between two cycles, {data.timeframe} here, an entry rests, and what it buys has no stop yet."
    if interrupted:
        yield INTERRUPTED
    change = f"{(end / start - 1) * 100:+.1f} %" if start else ""
    yield f"Equity          ${start:.2f} -> ${end:.2f}  {change}"
    yield f"Worst drawdown  {summary['max_drawdown_pct']:.1f} %"
    yield f"Orders          {summary['orders']} sent, {summary['trades']} trades closed, {summary['wins']} won"
    yield f"Fees            ${summary['fees_usd']:.2f}"
    yield f"In coins        {summary['exposure_pct']:.1f} % of equity on average"
    yield f"Longest idle    {summary['longest_idle_days']:.0f} days without a fill"
    for change in summary["tier_history"]:
        arrow = f"{change['from_tier'] or 'UNRANKED'} -> {change['to_tier']}"
        yield f"Tier            {change['timestamp'][:10]}  {arrow} at ${change['equity']:.2f}"
    for name, count in sorted(summary["refusals"].items(), key=lambda item: -item[1]):
        yield f"Refused         {count:5d} x {name}"
    for name, count in sorted(summary["guards"].items()):
        yield f"Guard           {count:5d} x {name}"
    yield f"Replayed        {summary['candles']} candles in {summary['seconds']:.1f} s"
    yield "Past prices say nothing certain about future ones. `bot.py status --mode replay` shows the end state."


@contextmanager
def _progress(start: datetime, end: datetime) -> Iterator[Callable[[datetime], None]]:
    """A progress bar on stderr; nothing is shown where stderr is no terminal."""
    days = max(1, (end - start).days)
    bar: ProgressBar[int] = click.progressbar(
        length=days, label="Replaying", file=sys.stderr, hidden=not sys.stderr.isatty()
    )
    with bar:
        done = 0

        def moved_to(moment: datetime) -> None:
            nonlocal done
            day = (moment - start).days
            if day > done:
                bar.update(day - done)
                done = day

        yield moved_to
