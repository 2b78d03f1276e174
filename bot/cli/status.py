"""`status`: the account at a glance. It loads nothing that only the other commands need."""

from __future__ import annotations

import click

from bot.cli.env import current_time, settings_for_looking
from bot.cli.options import chosen_mode, json_option, mode_option, nothing_recorded_is_3, stdout_look
from bot.views.output import status_output


@click.command()
@mode_option
@json_option
def status(*, mode_name: str | None, as_json: bool) -> None:
    """Show tier, limits, positions, results, and why nothing happens.

    Works while a bot runs and afterwards. Ends with 3 where nothing is recorded, with 4 while halted.
    """
    with nothing_recorded_is_3():
        output = status_output(
            settings_for_looking(),
            wanted=chosen_mode(mode_name),
            as_json=as_json,
            look=stdout_look(),
            now=current_time(),
        )
    click.echo(output.text)
    raise SystemExit(output.exit_code)
