"""`advise`: what the user could do, in dollars a year, each with its arithmetic."""

from __future__ import annotations

import click

from bot.cli.env import settings_from
from bot.cli.options import chosen_mode, json_option, mode_option, nothing_recorded_is_3, stdout_look
from bot.cli.size import MAX_USD, reads
from bot.settings_schema import Settings
from bot.views.activity import Activity, read_activity
from bot.views.advice_text import advice_document, render_advice
from bot.views.folders import NothingRecordedError, find_place
from bot.views.status import json_text
from bot.whathelps import advice_of


@click.command()
@click.option(
    "--equity",
    metavar="USD",
    callback=reads("dollars", 1, MAX_USD),
    help="Of an account without a record. Default: the account's, else PAPER_EQUITY.",
)
@mode_option
@json_option
def advise(*, equity: float | None, mode_name: str | None, as_json: bool) -> None:
    r"""Say what you could do: a cheaper venue, no server, patience, a setting that blocks; or nothing.

    By the account's own trades, fees and prices; without an account, or with --equity, by the settings, example
    prices and an assumed number of trades, which it names. Nothing is sent or changed.

    \b
    Example:
      python bot.py advise --equity 250
    """
    settings = settings_from()
    if equity is not None and mode_name is not None:
        raise click.UsageError("--equity is for an account without a record, --mode reads one: choose one")
    activity = _activity(settings, mode_name) if equity is None else None
    if equity is None:
        equity = activity.equity if activity is not None else float(settings.paper_equity)
    report = advice_of(settings, activity=activity, equity=equity)
    click.echo(json_text(advice_document(report)) if as_json else "\n".join(render_advice(report, stdout_look())))


def _activity(settings: Settings, mode_name: str | None) -> Activity | None:
    """Read the account's record; None where there is none, and a mode that was asked for must have one."""
    if mode_name is not None:
        with nothing_recorded_is_3():
            return read_activity(find_place(settings.state_dir, chosen_mode(mode_name)))
    try:
        return read_activity(find_place(settings.state_dir, None))
    except NothingRecordedError:
        return None
