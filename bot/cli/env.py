"""What every command needs from its surroundings: the settings and the present time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import click

from bot.domain.errors import ConfigError
from bot.settings import load_settings
from bot.settings_schema import Settings

ENV_FILE = Path(".env")


def settings_from(changes: Mapping[str, str] = MappingProxyType({})) -> Settings:
    """Read the settings from ``changes``, --set, environment and ./.env. Raises ConfigError listing all problems."""
    context = click.get_current_context(silent=True)
    overrides = context.find_root().obj if context is not None else None
    env_file = ENV_FILE if ENV_FILE.exists() else None
    return load_settings(env_file=env_file, environ=os.environ, overrides={**(overrides or {}), **changes})


def settings_for_looking() -> Settings:
    """Read the settings for commands that look or steer: a mistake in another setting must not stop them.

    Then a warning is printed and only STATE_DIR counts. Raises ConfigError where STATE_DIR is wrong.
    """
    try:
        return settings_from()
    except ConfigError as e:
        click.echo(f"WARNING: {e}\nOnly STATE_DIR is taken from the settings until this is corrected.", err=True)
    return state_dir_alone()


def state_dir_alone() -> Settings:
    """Defaults, with STATE_DIR from the environment or ./.env. Raises ConfigError where it is wrong."""
    state_dir = os.environ.get("STATE_DIR") or _in_env_file("STATE_DIR")
    return load_settings(env_file=None, environ={}, overrides={"STATE_DIR": state_dir} if state_dir else {})


def _in_env_file(name: str) -> str:
    from dotenv import dotenv_values  # noqa: PLC0415 - needed after a wrong setting only

    try:
        return dotenv_values(ENV_FILE, interpolate=False).get(name) or ""
    except (OSError, UnicodeDecodeError):
        return ""


def program_version() -> str:
    """Tell this program's version, as pyproject.toml has it."""
    import tomllib  # noqa: PLC0415 - needed for this only

    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


def current_time() -> datetime:
    """Tell the present time, UTC; the commands pass it on."""
    return datetime.now(tz=UTC)  # noqa: TID251  the edge where time comes in
