"""The commands that list what was recorded or set: `trades`, `refusals`, `config`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice

import click

from bot.cli.env import current_time, settings_for_looking, settings_from
from bot.cli.options import chosen_mode, json_option, mode_option, nothing_recorded_is_3, stdout_look
from bot.domain.refusal import RefusalCode
from bot.settings import describe
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path
from bot.views.folders import find_place
from bot.views.lists import refusals_document, render_refusals, render_settings, settings_document
from bot.views.status import json_text
from bot.views.trades import is_coin, read_trades, render_trades, trades_document

_limit_option = click.option(
    "--limit", type=click.IntRange(min=1, max=10_000), default=20, show_default=True, help="Show at most so many."
)
_coin_option = click.option("--coin", metavar="COIN", help="Only this coin, such as BTC.")


@click.command()
@mode_option
@_coin_option
@_limit_option
@json_option
def trades(*, mode_name: str | None, coin: str | None, limit: int, as_json: bool) -> None:
    """Show open round trips and the last closed ones, newest first."""
    with nothing_recorded_is_3():
        place = find_place(settings_for_looking().state_dir, chosen_mode(mode_name))
        model = read_trades(place, limit=limit, coin=coin)
    click.echo(json_text(trades_document(model)) if as_json else "\n".join(render_trades(model, stdout_look())))


@click.command()
@mode_option
@click.option(
    "--code", type=click.Choice([code.value for code in RefusalCode]), metavar="CODE", help="Only this reason."
)
@click.option("--since", metavar="WHEN", help="Only since: a date such as 2026-01-31, or 7d, or 12h.")
@_coin_option
@_limit_option
@json_option
def refusals(
    *, mode_name: str | None, code: str | None, since: str | None, coin: str | None, limit: int, as_json: bool
) -> None:
    """Show what was not bought and why, newest first."""
    with nothing_recorded_is_3():
        place = find_place(settings_for_looking().state_dir, chosen_mode(mode_name))
        with LedgerReader(ledger_path(place.folder)) as reader:
            found = reader.refusals(
                limit if coin is None else None,
                code=RefusalCode(code) if code is not None else None,
                since=_moment(since, now=_account_now(reader)) if since is not None else None,
            )
            counts = reader.refusal_counts()
    chosen = list(islice((one for one in found if is_coin(one.symbol, coin)), limit))
    if as_json:
        click.echo(json_text(refusals_document(place.mode, chosen, counts)))
    else:
        click.echo("\n".join(render_refusals(place.mode, chosen, counts, stdout_look())))


@click.command()
@json_option
def config(*, as_json: bool) -> None:
    """Show every setting, its value and where it came from; secrets are masked.

    Ends with 78 and a list of everything that is wrong where the settings cannot be used.
    """
    settings = settings_from()
    rows = describe(settings)
    if as_json:
        click.echo(json_text(settings_document(rows)))
    else:
        click.echo("\n".join(render_settings(rows, settings.unknown_names, stdout_look())))


def _account_now(reader: LedgerReader) -> datetime:
    """The time of the last cycle: a simulated account has its own, and 7d means seven of its days."""
    snapshot = reader.snapshot()
    return datetime.fromisoformat(snapshot["at"]) if snapshot is not None else current_time()


def _moment(text: str, *, now: datetime) -> datetime:
    """Read a date, an ISO 8601 time, or a time span before ``now``."""
    span = re.fullmatch(r"(\d{1,5})([dh])", text.strip())
    try:
        if span is not None:
            return now - (timedelta(days=int(span[1])) if span[2] == "d" else timedelta(hours=int(span[1])))
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as e:
        raise click.BadParameter(
            f"{text!r} must be a date such as 2026-01-31, or a span such as 7d or 12h", param_hint="'--since'"
        ) from e
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
