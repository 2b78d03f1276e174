"""`doctor`: what is right and what is wrong here, with the fix. Its exit code is the health."""

from __future__ import annotations

import click

from bot.cli.env import ENV_FILE, current_time, settings_from, state_dir_alone
from bot.cli.options import json_option, stdout_look
from bot.doctor import examine
from bot.domain.errors import ConfigError
from bot.settings_schema import Settings
from bot.views.doctor_text import doctor_document, is_healthy, render_doctor
from bot.views.status import json_text

EXIT_UNHEALTHY = 4
EXIT_CONFIG = 78


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Look at everything that can go wrong here, and say what would mend it.

    Nothing is changed, nothing is sent. Ends with 0 where nothing failed, 4 where something did, 78 where
    the settings cannot be used.
    """
    settings, problem = _settings()
    checks = examine(settings=settings, problem=problem, env_file=ENV_FILE, now=current_time())
    click.echo(json_text(doctor_document(checks)) if as_json else "\n".join(render_doctor(checks, stdout_look())))
    raise SystemExit(EXIT_CONFIG if problem else 0 if is_healthy(checks) else EXIT_UNHEALTHY)


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
