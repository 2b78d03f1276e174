"""`download`: a venue's public candles into files that a backtest and a replay read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from bot.bootstrap_config import PAPER_ACCOUNTS
from bot.bootstrap_download import open_download
from bot.cli.env import current_time, settings_from
from bot.cli.main import EXIT_INTERRUPTED
from bot.cli.options import json_option
from bot.cli.values import end_ms_of, start_ms_of
from bot.domain.errors import BotError, ConfigError
from bot.domain.market import TIMEFRAME_MS
from bot.settings_rules import KNOWN_COINS
from bot.storage.candle_files import candles_folder
from bot.storage.candle_reader import utc_text
from bot.views.download_text import CoinReport, download_document, render_download
from bot.views.status import json_text
from bot.views.terminal import look_of

TOLD_EVERY_PAGES = 20
TOLD_PARTS = 10
"""Without a terminal a long download tells how far it is so many times, a short one not at all."""


@click.command()
@click.argument("coins", nargs=-1, metavar="[COIN]...", type=click.Choice(KNOWN_COINS, case_sensitive=False))
@click.option(
    "--venue",
    type=click.Choice(PAPER_ACCOUNTS, case_sensitive=False),
    default="coinbase",
    show_default=True,
    help="Kraken serves its newest 720 candles only.",
)
@click.option("--timeframe", type=click.Choice(list(TIMEFRAME_MS)), default="1d", show_default=True)
@click.option(
    "--from", "from_text", metavar="DATE", help="First day, UTC, such as 2022-01-01. Default: seven years back."
)
@click.option("--to", "to_text", metavar="DATE", help="Last day, UTC. Default: the last candle that has closed.")
@click.option(
    "--folder", type=click.Path(path_type=Path), metavar="DIR", help="Where to. Default: candles/ in STATE_DIR."
)
@json_option
def download(
    *,
    coins: tuple[str, ...],
    venue: str,
    timeframe: str,
    from_text: str | None,
    to_text: str | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    r"""Fetch public candles of coins, by default those of TRADE_ONLY; no key is needed.

    What is in the files already is not fetched again, so the same command goes on where it was ended, and brings a
    file up to date later. Candles that the venue does not have are counted as gaps and never invented.

    \b
    Examples:
      python bot.py download
      python bot.py download --timeframe 1h --from 2022-01-01 BTC ETH
      python bot.py backtest candles --source coinbase
    """
    settings = settings_from()
    start_ms, end_ms = start_ms_of(from_text), end_ms_of(to_text)
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise ConfigError(f"--from {from_text} must be before --to {to_text}")
    progress = _Progress()
    reports: list[CoinReport] = []
    with open_download(
        settings,
        account=venue.lower(),
        timeframe=timeframe,
        from_ms=start_ms,
        to_ms=end_ms,
        folder=candles_folder(settings.state_dir) if folder is None else folder,
        now=current_time(),
        on_page=progress.page,
    ) as opened:
        asked = opened.asked
        span = f"{utc_text(asked.from_ms)} to {utc_text(asked.to_ms)}"
        click.echo(f"{asked.venue}: candles of {timeframe}, {span}, into {asked.folder}", err=True)
        if asked.note:
            click.echo(f"NOTE: {asked.note}.", err=True)
        for report in opened.coins(tuple(dict.fromkeys(coins)) or settings.trade_only):
            progress.clear()
            reports.append(report)
            if not as_json:
                click.echo(render_download(asked, report))
    if as_json:
        click.echo(json_text(download_document(asked, reports)))
    _end(reports)


def _end(reports: list[CoinReport]) -> None:
    """Raise what the exit code is made of."""
    stored = "what has arrived is stored, and the same command goes on from there"
    if any(report.interrupted for report in reports):
        click.echo(f"Interrupted: {stored}.", err=True)
        raise SystemExit(EXIT_INTERRUPTED)
    problems = [f"{report.coin}: {report.problem}" for report in reports if report.problem]
    if problems:
        raise BotError(f"not complete: {stored} once the reason is gone.\n" + "\n".join(problems))


class _Progress:
    """How far a coin is, on stderr: one line that is written anew, or, without a terminal, a few lines."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._cells = look_of(sys.stderr, os.environ).width - 1  # a line that is broken could not be written anew
        self._told: tuple[str, int] | None = None

    def page(self, coin: str, done: int, needed: int, at_ms: int) -> None:
        """Tell before each page."""
        text = f"{coin}: {done:,} of {needed:,} pages, at {utc_text(at_ms)}"
        if self._on_terminal:
            click.echo(f"\r{text[: self._cells]:<{self._cells}}", err=True, nl=False)
        elif needed >= TOLD_EVERY_PAGES and self._told != (coin, part := done * TOLD_PARTS // needed):
            self._told = coin, part
            click.echo(text, err=True)

    def clear(self) -> None:
        """Make room for the result."""
        if self._on_terminal:
            click.echo(f"\r{'':<{self._cells}}\r", err=True, nl=False)
