"""`doctor`: what is right and what is wrong here, with the fix. Its exit code is the health."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

import click

from bot.cli.env import ENV_FILE, current_time, settings_from, state_dir_alone
from bot.cli.options import json_option, stdout_look
from bot.doctor import examine
from bot.domain.errors import ConfigError
from bot.domain.venue_report import VenueReport
from bot.settings_schema import Settings
from bot.views.doctor_text import QUICK, doctor_document, is_healthy, render_doctor
from bot.views.status import json_text

EXIT_UNHEALTHY = 4
EXIT_CONFIG = 78


@click.command()
@click.option("--quick", is_flag=True, help="Ask no venue; for health checks. Looks at the running bot's last cycle.")
@json_option
def doctor(*, quick: bool, as_json: bool) -> None:
    """Look at everything that can go wrong here, and say what would mend it.

    Nothing is changed. The venues are asked, and with a key so are the accounts; where the bot runs live, it alone
    uses the keys, and what it was told is shown. Ends with 0 where nothing failed, 4 where something did, 78 where
    the settings cannot be used.
    """
    settings, problem = _settings()
    now = current_time()

    def ask() -> Sequence[VenueReport]:
        assert settings is not None, "nobody is asked without settings"
        return ask_venues(settings, now)

    checks = examine(settings=settings, problem=problem, env_file=ENV_FILE, now=now, ask=None if quick else ask)
    left_out = QUICK if quick else ""
    click.echo(
        json_text(doctor_document(checks, not_looked_at=left_out))
        if as_json
        else "\n".join(render_doctor(checks, stdout_look(), not_looked_at=left_out))
    )
    raise SystemExit(EXIT_CONFIG if problem else 0 if is_healthy(checks) else EXIT_UNHEALTHY)


def ask_venues(settings: Settings, now: datetime) -> Sequence[VenueReport]:
    """Ask every venue of the settings; says so on a terminal, because it takes some seconds."""
    from bot.bootstrap_live import venue_reports  # noqa: PLC0415 - the venues are loaded where they are asked only

    if sys.stderr.isatty():
        click.echo("Asking the venues ...", err=True)
    return venue_reports(settings, now)


def _settings() -> tuple[Settings | None, str]:
    """Return the settings, or what is left of them and why they cannot be used."""
    try:
        return settings_from(), ""
    except ConfigError as e:
        problem = str(e)
    try:
        return state_dir_alone(), problem
    except ConfigError:
        return None, problem
