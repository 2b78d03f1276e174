"""What `optimize` and `walkforward` ask alike: candles, account, what is varied, and where it is computed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from bot.backtest.compiled import HOW_TO_INSTALL, is_available, is_cached
from bot.backtest.sweep import MOST_WORKERS
from bot.bootstrap_config import PAPER_ACCOUNTS
from bot.bootstrap_sweep import Bench
from bot.cli.backtest import COMPILED_FROM
from bot.cli.env import settings_from
from bot.cli.options import json_option
from bot.cli.values import end_ms_of, parse_equity, start_ms_of
from bot.domain.errors import ConfigError
from bot.settings_schema import configured_accounts
from bot.storage.candle_files import open_source

_OPTIONS = (
    click.argument("folder", type=click.Path(path_type=Path)),
    click.option("--source", default="binance", metavar="NAME", help="Whose candle files. Default: binance."),
    click.option("--from", "from_text", metavar="DATE", help="First day. Default: the first candle."),
    click.option("--to", "to_text", metavar="DATE", help="Last day. Default: the last candle."),
    click.option("--equity", metavar="USD", help="To begin with. Default: PAPER_EQUITY."),
    click.option(
        "--venue", type=click.Choice(PAPER_ACCOUNTS, case_sensitive=False), help="Default: the first configured."
    ),
    click.option("--timeframe", metavar="TIME", help="Of the execution bars, such as 1h. Default: the best there is."),
    click.option("--vary", "varied", multiple=True, metavar="NAME=VALUES", help="What is tried; again for more."),
    click.option(
        "--workers",
        type=click.IntRange(1, MOST_WORKERS),
        default=1,
        show_default=True,
        metavar="N",
        help="Processes on this computer.",
    ),
    click.option("--cluster", metavar="ADDRESS", help="Dask scheduler to compute on, such as tcp://127.0.0.1:8786."),
    click.option(
        "--compiled/--plain",
        default=None,
        help="How it is computed; the result is the same. Default: compiled where there is much to do.",
    ),
    json_option,
)


def sweep_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options, as they were given."""

    folder: Path
    source: str
    from_text: str | None
    to_text: str | None
    equity: str | None
    venue: str | None
    timeframe: str | None
    varied: tuple[str, ...]
    workers: int
    cluster: str | None
    compiled: bool | None
    as_json: bool

    def bench(self) -> Bench:
        """Open the candles. Raises ConfigError, CandleDataError."""
        settings = settings_from()
        amount = parse_equity(self.equity) if self.equity is not None else settings.paper_equity
        start_ms, end_ms = start_ms_of(self.from_text), end_ms_of(self.to_text)
        if start_ms is not None and end_ms is not None and start_ms >= end_ms:
            raise ConfigError(f"--from {self.from_text} must be before --to {self.to_text}")
        if self.cluster is not None and self.workers > 1:
            raise ConfigError("--workers is for this computer; a --cluster has its own")
        _demand("distributed" if self.cluster else "joblib" if self.workers > 1 else "")
        data = open_source(
            self.folder,
            self.source,
            settings.trade_only,
            timeframe=self.timeframe,
            from_ms=start_ms,
            to_ms=end_ms,
        )
        for note in data.notes():
            click.echo(note, err=True)
        account = self.venue.lower() if self.venue is not None else configured_accounts(settings)[0]
        return Bench(settings=settings, settings_with=settings_from, data=data, account=account, equity=amount)

    def compiles(self, bench: Bench, runs: int) -> bool:
        """Tell whether so many runs are better compiled, and that the first time takes its time."""
        candles = sum(len(of.execution) for of in bench.data.coins.values())
        compiled = self.compiled
        if compiled is None:
            compiled = is_available() and candles * runs >= COMPILED_FROM
        if compiled:
            _demand("numba")
        if compiled and not is_cached():
            click.echo("Compiling, once and for about a minute; from then on it starts at once.", err=True)
        return compiled


def _demand(package: str) -> None:
    """Raise ConfigError where a package is needed and not installed."""
    if package and find_spec(package) is None:
        raise ConfigError(f"this needs {package}, which is not installed here; {HOW_TO_INSTALL}")


def demand_search() -> None:
    """Raise ConfigError where there is nothing to search with."""
    _demand("optuna")


@contextmanager
def progress(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr; nothing is shown where stderr is no terminal."""
    bar: Any = click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())
    with bar:
        yield bar.update
