"""`whatif`: what this account would have come to from many starts, by the code that trades, in a second."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import click

from bot.backtest.choice import LAST_DAY
from bot.backtest.windows import MONTHS, WARM_UP_MS, Window, spans, window_of
from bot.bootstrap_backtest import Prepared, prepared
from bot.bootstrap_config import PAPER_ACCOUNTS
from bot.cli.env import settings_from
from bot.cli.options import json_option
from bot.cli.values import parse_equity
from bot.domain.errors import ConfigError
from bot.settings_schema import Settings, configured_accounts
from bot.storage.candle_files import candles_folder, open_source, preferred_source
from bot.storage.candle_reader import CandleSeries, gap_summary
from bot.views.recorded import OwnAccount, own_account
from bot.views.status import json_text
from bot.views.whatif_text import WhatIf, render_whatif, whatif_document

YEARS = 6
LONG_YEAR_MS = 366 * 86_400_000
COVERED_FRAC = 0.9
"""Of the days of a window that each coin must have, from its first one on."""


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--source", metavar="NAME", help="Whose candle files. Default: coinbase, else what there is.")
@click.option("--equity", metavar="USD", help="To begin with. Default: the account's, else PAPER_EQUITY.")
@click.option("--venue", type=click.Choice(PAPER_ACCOUNTS, case_sensitive=False), help="Default: the first configured.")
@click.option("--years", type=click.IntRange(2, 20), default=YEARS, show_default=True, help="Of candles, the newest.")
@click.option("--timeframe", metavar="TIME", default="1d", show_default=True, help="Of the execution bars, such as 1h.")
@json_option
def whatif(
    *,
    folder: Path | None,
    source: str | None,
    equity: str | None,
    venue: str | None,
    years: int,
    timeframe: str,
    as_json: bool,
) -> None:
    r"""Say what this account would have come to, begun at any time in six years.

    Twelve months from a start every four months: a bad, a middling and a good one, in dollars, beside holding the
    same coins and cash. Candles are those of `download`.

    \b
    Example:
      python bot.py whatif --equity 250 --venue kraken
    """
    settings = settings_from()
    account = venue.lower() if venue is not None else configured_accounts(settings)[0]
    own = own_account(settings.state_dir, account)
    start, equity_from = _equity(equity, own, settings)
    where = candles_folder(settings.state_dir) if folder is None else folder
    if folder is None and not where.is_dir():
        raise ConfigError(
            f"there are no candles in {where}: `python bot.py download` fetches seven years of them in seconds"
        )
    chosen = source if source is not None else preferred_source(where)
    data = open_source(where, chosen, settings.trade_only, timeframe=timeframe)
    ready = prepared(
        settings,
        data=data,
        account=account,
        equity=start,
        compiled=False,
        fees=None if own is None else own.fees,
    )
    starts = list(spans(max(data.from_ms, data.to_ms - years * LONG_YEAR_MS), data.to_ms))
    if not starts:
        raise ConfigError(
            f"{chosen} candles in {where} hold less than {MONTHS} whole months; `download` fetches more, and --source "
            "names others that lie there"
        )
    windows = [_run(ready, from_ms, to_ms) for from_ms, to_ms in _usable(ready, starts)]
    if not windows:
        raise ConfigError(f"{chosen} candles in {where} have gaps in each {MONTHS} months; `download` fetches them")
    asked = WhatIf(
        account=account,
        fees=ready.fees,
        equity=float(start),
        equity_from=equity_from,
        strategy=settings.strategy.value,
        coins=tuple(data.coins),
        source=chosen,
        timeframe=data.timeframe,
        windows=tuple(windows),
        server_usd_month=float(settings.server_cost_usd_month),
        cash_yield_pct=float(settings.cash_yield_pct),
        chosen_to=LAST_DAY,
    )
    for coin, why in data.missing.items():
        click.echo(f"{coin}: left out, {why}", err=True)
    for of in data.coins.values():
        if of.gaps or data.ends_early(of):
            click.echo(f"{of.coin}: {gap_summary(of.gaps)}{data.ends_early(of)}", err=True)
    if as_json:
        click.echo(json_text(whatif_document(asked)))
        return
    for line in render_whatif(asked):
        click.echo(line)


def _equity(given: str | None, own: OwnAccount | None, settings: Settings) -> tuple[Decimal, str]:
    """What to begin with, and where that is from."""
    if given is not None:
        return parse_equity(given), "--equity"
    if own is not None and own.equity_usd > 0:
        return Decimal(repr(round(own.equity_usd, 2))), "the account's"
    return settings.paper_equity, "PAPER_EQUITY"


def _usable(ready: Prepared, starts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out what has no warm-up, where others have one, and what the candles do not cover; each is said."""
    data = ready.data
    warm = [span for span in starts if span[0] >= data.from_ms + WARM_UP_MS]
    if not warm:
        click.echo("No start has a year of candles before it: the signals begin cold, and buy later.", err=True)
    elif len(warm) < len(starts):
        click.echo(f"{len(starts) - len(warm)} starts are left out: less than a year of candles lies before.", err=True)
    covered, lacking = [], set[str]()
    for from_ms, to_ms in warm or starts:
        bare = {of.coin for of in data.coins.values() if not _covers(of.execution, from_ms, to_ms)}
        if not bare:
            covered.append((from_ms, to_ms))
        lacking |= bare
    if lacking:
        left_out = f"{len(warm or starts) - len(covered)} starts are left out"
        click.echo(f"{left_out}: candles are missing of {', '.join(sorted(lacking))}.", err=True)
    return covered


def _covers(bars: CandleSeries, from_ms: int, to_ms: int) -> bool:
    """Whether there are enough candles of a coin in a window, from the day on that it has any."""
    begins = max(from_ms, bars.times[0])
    return bars.count_within(from_ms, to_ms) * bars.length_ms >= COVERED_FRAC * (to_ms - begins)


def _run(ready: Prepared, from_ms: int, to_ms: int) -> Window:
    part = ready.between(from_ms, to_ms)
    return window_of(part.market, part.terms, part.run(keeps=False))
