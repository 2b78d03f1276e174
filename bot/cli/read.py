"""The commands that look and change nothing: `status`, `trades`, `refusals`, `config`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice

import click

from bot.cli.env import current_time, settings_from
from bot.domain.modes import TradingMode
from bot.domain.refusal import RefusalCode
from bot.settings import describe
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path
from bot.views.folders import NothingRecordedError, find_place
from bot.views.lists import refusals_document, render_refusals, render_settings, settings_document
from bot.views.output import EXIT_NOTHING_RECORDED, status_output
from bot.views.status import json_text
from bot.views.terminal import look_of
from bot.views.text import Look
from bot.views.trades import is_coin, read_trades, render_trades, trades_document

_mode_option = click.option(
    "--mode",
    "mode_name",
    type=click.Choice([mode.value.lower() for mode in TradingMode], case_sensitive=False),
    help="Whose account; default: where a bot runs, else where one ran last.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_limit_option = click.option(
    "--limit", type=click.IntRange(min=1, max=10_000), default=20, show_default=True, help="Show at most so many."
)
_coin_option = click.option("--coin", metavar="COIN", help="Only this coin, such as BTC.")


@click.command()
@_mode_option
@_json_option
def status(*, mode_name: str | None, as_json: bool) -> None:
    """Show tier, limits, positions, results, and why nothing happens.

    Works while a bot runs and afterwards. Ends with 3 where nothing is recorded, with 4 while halted.
    """
    with _nothing_recorded_is_3():
        output = status_output(
            settings_from(), wanted=_mode(mode_name), as_json=as_json, look=_look(), now=current_time()
        )
    click.echo(output.text)
    raise SystemExit(output.exit_code)


@click.command()
@_mode_option
@_coin_option
@_limit_option
@_json_option
def trades(*, mode_name: str | None, coin: str | None, limit: int, as_json: bool) -> None:
    """Show open round trips and the last closed ones, newest first."""
    with _nothing_recorded_is_3():
        place = find_place(settings_from().state_dir, _mode(mode_name))
        model = read_trades(place, limit=limit, coin=coin)
    click.echo(json_text(trades_document(model)) if as_json else "\n".join(render_trades(model, _look())))


@click.command()
@_mode_option
@click.option(
    "--code", type=click.Choice([code.value for code in RefusalCode]), metavar="CODE", help="Only this reason."
)
@click.option("--since", metavar="WHEN", help="Only since: a date such as 2026-01-31, or 7d, or 12h.")
@_coin_option
@_limit_option
@_json_option
def refusals(
    *, mode_name: str | None, code: str | None, since: str | None, coin: str | None, limit: int, as_json: bool
) -> None:
    """Show what was not bought and why, newest first."""
    with _nothing_recorded_is_3():
        place = find_place(settings_from().state_dir, _mode(mode_name))
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
        click.echo("\n".join(render_refusals(place.mode, chosen, counts, _look())))


@click.command()
@_json_option
def config(*, as_json: bool) -> None:
    """Show every setting, its value and where it came from; secrets are masked.

    Ends with 78 and a list of everything that is wrong where the settings cannot be used.
    """
    settings = settings_from()
    rows = describe(settings)
    if as_json:
        click.echo(json_text(settings_document(rows)))
    else:
        click.echo("\n".join(render_settings(rows, settings.unknown_names, _look())))


class _NothingRecorded(click.ClickException):
    exit_code = EXIT_NOTHING_RECORDED


@contextmanager
def _nothing_recorded_is_3() -> Iterator[None]:
    try:
        yield
    except NothingRecordedError as e:
        raise _NothingRecorded(str(e)) from e


def _mode(name: str | None) -> TradingMode | None:
    return TradingMode(name.upper()) if name is not None else None


def _look() -> Look:
    return look_of(sys.stdout, os.environ)


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
