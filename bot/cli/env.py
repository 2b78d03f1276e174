"""What every command needs from its surroundings: the settings and the present time."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from bot.settings import load_settings
from bot.settings_schema import Settings

ENV_FILE = Path(".env")


def settings_from() -> Settings:
    """Read the settings from environment and ./.env. Raises ConfigError listing all problems."""
    return load_settings(env_file=ENV_FILE if ENV_FILE.exists() else None, environ=os.environ, overrides={})


def current_time() -> datetime:
    """Tell the present time, UTC; the commands pass it on."""
    return datetime.now(tz=UTC)  # noqa: TID251  the edge where time comes in
