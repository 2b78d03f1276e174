"""What every command needs from its surroundings: the settings and the present time."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from bot.settings import load_settings
from bot.settings_schema import Settings

ENV_FILE = Path(".env")


def settings_from() -> Settings:
    """Read the settings from --set, environment and ./.env. Raises ConfigError listing all problems."""
    context = click.get_current_context(silent=True)
    overrides = context.find_root().obj if context is not None else None
    env_file = ENV_FILE if ENV_FILE.exists() else None
    return load_settings(env_file=env_file, environ=os.environ, overrides=overrides or {})


def current_time() -> datetime:
    """Tell the present time, UTC; the commands pass it on."""
    return datetime.now(tz=UTC)  # noqa: TID251  the edge where time comes in
