"""`backtest`: what these settings would have done, by the code that trades, in a moment."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import perf_counter

import click

from bot.backtest.compiled import HOW_TO_INSTALL, is_available, is_cached
from bot.backtest.result import LOOKS
from bot.bootstrap_backtest import run_backtest
from bot.bootstrap_config import PAPER_ACCOUNTS
from bot.cli.backtest_report import check_report, split_ms_of, write_report
from bot.cli.env import current_time, settings_from
from bot.cli.options import json_option
from bot.cli.values import end_ms_of, parse_equity, start_ms_of
from bot.domain.errors import ConfigError
from bot.settings_schema import configured_accounts
from bot.storage.candle_files import SourceData, open_source
from bot.views.backtest_text import backtest_document, render_backtest
from bot.views.status import json_text

COMPILED_FROM = 1_000_000
"""Candles: plain Python takes some seconds for so many, and loading the compiled form half a second."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--source", default="binance", metavar="NAME", help="Whose candle files. Default: binance.")
@click.option("--from", "from_text", metavar="DATE", help="First day, such as 2022-01-01. Default: the first candle.")
@click.option("--to", "to_text", metavar="DATE", help="Last day. Default: the last candle.")
@click.option("--equity", metavar="USD", help="To begin with. Default: PAPER_EQUITY.")
@click.option("--venue", type=click.Choice(PAPER_ACCOUNTS, case_sensitive=False), help="Default: the first configured.")
@click.option("--timeframe", metavar="TIME", help="Of the execution bars, such as 1h. Default: the best there is.")
@click.option(
    "--looks",
    type=click.IntRange(1, 1_000_000),
    default=LOOKS,
    show_default=True,
    metavar="N",
    help="Rules that were tried before this one, for the deflated Sharpe ratio.",
)
@click.option(
    "--compiled/--plain",
    default=None,
    help="How it is computed; the result is the same. Default: compiled from a million candles on.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write one HTML page with charts, that needs no network; 5 to 6 MB.",
)
@click.option(
    "--split",
    metavar="DATE",
    help="With --report: first day that is out of sample. Default: 2025-01-01, as the defaults were chosen before.",
)
@json_option
def backtest(
    *,
    folder: Path,
    source: str,
    from_text: str | None,
    to_text: str | None,
    equity: str | None,
    venue: str | None,
    timeframe: str | None,
    looks: int,
    compiled: bool | None,
    report: Path | None,
    split: str | None,
    as_json: bool,
) -> None:
    r"""Run one account over candle files and say what came of it, with ranges.

    The same trades as `run --replay` on one venue; fees, spread and limits are those of the settings.

    \b
    Example:
      python bot.py backtest FOLDER --from 2022-01-01 --equity 250 --venue kraken
    """
    settings = settings_from()
    split_ms = split_ms_of(split, report)
    if report is not None:
        check_report(report)
    amount = parse_equity(equity) if equity is not None else settings.paper_equity
    start_ms, end_ms = start_ms_of(from_text), end_ms_of(to_text)
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise ConfigError(f"--from {from_text} must be before --to {to_text}")
    data = open_source(folder, source, settings.trade_only, timeframe=timeframe, from_ms=start_ms, to_ms=end_ms)
    for note in data.notes():
        click.echo(note, err=True)
    run_over = partial(
        run_backtest,
        settings,
        account=venue.lower() if venue is not None else configured_accounts(settings)[0],
        equity=amount,
        looks=looks,
        compiled=_is_compiled(compiled, data),
        clock=perf_counter,
    )
    run = run_over(data=data)
    if report is not None:
        write_report(
            report, run, data=data, split_ms=split_ms, again=lambda part: run_over(data=part), now=current_time()
        )
    if as_json:
        click.echo(json_text(backtest_document(run)))
        return
    for line in render_backtest(run):
        click.echo(line)


def _is_compiled(asked: bool | None, data: SourceData) -> bool:
    """Whether the compiled form computes. Raises ConfigError where it is asked for and not there."""
    if asked is None:
        asked = is_available() and sum(len(of.execution) for of in data.coins.values()) >= COMPILED_FROM
    if asked and not is_available():
        raise ConfigError(f"--compiled needs packages that are not installed here; {HOW_TO_INSTALL}")
    if asked and not is_cached():
        click.echo("Compiling, once and for about a minute; from then on it starts at once.", err=True)
    return asked
