"""`receipt`: what the bot has been good for since the start, against holding and cash, and what it cost."""

from __future__ import annotations

import click

from bot.cli.env import settings_for_looking
from bot.cli.options import chosen_mode, json_option, mode_option, nothing_recorded_is_3, stdout_look
from bot.views.folders import find_place
from bot.views.receipt import read_receipt
from bot.views.receipt_text import receipt_document, render_receipt
from bot.views.status import json_text


@click.command()
@mode_option
@json_option
def receipt(*, mode_name: str | None, as_json: bool) -> None:
    """Show in dollars what the bot made, what the same money would have made otherwise, and the costs.

    Says whether it can be told from luck, and when stopping the bot is the better choice. Ends with 3 where
    nothing is recorded.
    """
    settings = settings_for_looking()
    with nothing_recorded_is_3():
        found = read_receipt(
            find_place(settings.state_dir, chosen_mode(mode_name)),
            server_cost_usd_month=settings.server_cost_usd_month,
            cash_yield_pct=settings.cash_yield_pct,
        )
    click.echo(json_text(receipt_document(found)) if as_json else "\n".join(render_receipt(found, stdout_look())))
