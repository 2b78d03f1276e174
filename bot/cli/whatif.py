"""`whatif`: what this account would have come to from many starts, by the code that trades, in a second."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click

from bot.backtest.choice import LAST_DAY
from bot.backtest.windows import MONTHS, spans, window_of
from bot.bootstrap import PAPER_ACCOUNTS
from bot.bootstrap_backtest import prepared
from bot.cli.env import settings_from
from bot.cli.options import json_option
from bot.cli.replay import parse_equity
from bot.domain.errors import ConfigError
from bot.settings_schema import configured_accounts
from bot.storage.candle_files import candles_folder, open_source, preferred_source
from bot.views.recorded import own_account
from bot.views.status import json_text
from bot.views.whatif_text import WhatIf, render_whatif, whatif_document

YEARS = 6
LONG_YEAR_MS = 366 * 86_400_000


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

    Twelve months from a start every three months: a bad, a middling and a good one, in dollars, beside holding the
    same coins and cash. Candles are those of `download`.

    \b
    Example:
      python bot.py whatif --equity 250 --venue kraken
    """
    settings = settings_from()
    account = venue.lower() if venue is not None else configured_accounts(settings)[0]
    own = own_account(settings.state_dir, account)
    if equity is not None:
        start, equity_from = parse_equity(equity), "--equity"
    elif own is not None and own.equity_usd > 0:
        start, equity_from = Decimal(repr(round(own.equity_usd, 2))), "the account's"
    else:
        start, equity_from = settings.paper_equity, "PAPER_EQUITY"
    where = candles_folder(settings.state_dir) if folder is None else folder
    if folder is None and not where.is_dir():
        raise ConfigError(
            f"there are no candles in {where}: `python bot.py download` fetches six years of them in half a minute"
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
    windows = []
    for from_ms, to_ms in spans(max(data.from_ms, data.to_ms - years * LONG_YEAR_MS), data.to_ms):
        part = ready.between(from_ms, to_ms)
        windows.append(window_of(part.market, part.terms, part.run(keeps=False)))
    if not windows:
        raise ConfigError(f"{chosen} candles in {where} hold less than {MONTHS} whole months; `download` fetches more")
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
    if as_json:
        click.echo(json_text(whatif_document(asked)))
        return
    for line in render_whatif(asked):
        click.echo(line)
