"""Which mode a start takes, and why: real orders only where everything asks for them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from bot.cli.env import ENV_FILE
from bot.domain.errors import BotError, ConfigError
from bot.domain.modes import TradingMode
from bot.settings import env_file_is_private, secrets_stand_in
from bot.settings_schema import Settings, accounts_with_keys, configured_accounts, missing_credentials
from bot.storage.lock import holder
from bot.storage.modes import ledger_path, mode_folder
from bot.views.recorded import left_open

CONFIRMATION = "live"
"""What is typed before the first real order of a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A mode and the line that says why; '' where it needs no reason."""

    mode: TradingMode
    why: str


def choose_mode(settings: Settings, wanted: str | None, *, can_ask: bool) -> Choice:
    """Decide between LIVE, PAPER and SIMULATED; ``can_ask``: somebody sits at the terminal.

    Raises ConfigError for `--live` where something is missing for it, and where others can read the keys.
    """
    if wanted == "simulated":
        return Choice(mode=TradingMode.SIMULATED, why="")
    if wanted == "live":
        check_live(settings, why="--live")
        return Choice(mode=TradingMode.LIVE, why="")
    obstacle = _obstacle(settings)
    if wanted == "paper" or obstacle:
        return Choice(mode=TradingMode.PAPER, why="--paper" if wanted == "paper" else obstacle)
    if not ledger_path(mode_folder(settings.state_dir, TradingMode.LIVE)).exists():
        if not can_ask:
            return Choice(
                mode=TradingMode.PAPER,
                why="real orders were never confirmed, and nobody is at the terminal; `run --live` confirms them",
            )
        if not _confirmed(settings):
            return Choice(mode=TradingMode.PAPER, why="real orders were not confirmed")
    check_live(settings, why="LIVE")
    return Choice(mode=TradingMode.LIVE, why="")


def check_live(settings: Settings, *, why: str) -> None:
    """Raise ConfigError where no real order can be sent, or where others can read the keys, in ./.env or elsewhere."""
    obstacle = _obstacle(settings)
    if obstacle:
        raise ConfigError(f"{why}: {obstacle}")
    if secrets_stand_in(ENV_FILE, settings) and not env_file_is_private(ENV_FILE):
        raise ConfigError(
            f"{ENV_FILE}: it holds keys and others on this machine can read it; no real order is sent with such keys. "
            f"`chmod 600 {ENV_FILE}`, and if others use this machine, make new keys"
        )
    if settings.open_secret_files:
        raise ConfigError(
            f"{', '.join(settings.open_secret_files)}: others on this machine can read the file, or change it; no real "
            "order is sent with secrets from there. `chmod 600` the file (as systemd's credential it needs nothing), "
            "and if others use this machine, make new keys"
        )


def live_left_alone(settings: Settings) -> list[str]:
    """Warn of real positions and orders that nobody looks after while the bot trades play money; [] without any."""
    path = ledger_path(mode_folder(settings.state_dir, TradingMode.LIVE))
    if not path.exists() or holder(path.parent) is not None:
        return []
    try:
        left = left_open(path.parent)
    except BotError:
        return []  # `doctor` says what is wrong with it
    if not left.accounts:
        return []
    return [
        f"WARNING: the LIVE account holds {len(left.positions)} positions and {len(left.orders)} orders, "
        "and nobody looks after them while this runs: see `status --mode live`."
    ]


def _obstacle(settings: Settings) -> str:
    """Why no real order can be sent, '' where it can."""
    if not settings.live_trading:
        return "LIVE_TRADING is False"
    if accounts_with_keys(settings):
        return ""
    missing = [name for account in configured_accounts(settings) for name in missing_credentials(settings, account)]
    return f"no venue has complete credentials ({', '.join(missing)} not set)"


def _confirmed(settings: Settings) -> bool:
    accounts = ", ".join(accounts_with_keys(settings))
    question = (
        f"This starts REAL TRADING with real money ({accounts}). It promises no return and can lose.\n"
        f"Type '{CONFIRMATION}' to go on; anything else trades play money"
    )
    try:
        with ctrl_c_ends():
            return bool(click.prompt(question, err=True, default="", show_default=False) == CONFIRMATION)
    except click.Abort:
        click.echo(err=True)
        return False


@contextmanager
def ctrl_c_ends() -> Iterator[None]:
    """While a question waits, Ctrl-C ends the program: elsewhere it is a wish to stop, which no question hears."""

    def end(_number: int, _frame: object) -> None:
        click.echo("\nInterrupted.", err=True)
        raise SystemExit(130)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def somebody_is_there() -> bool:
    """Whether a question would be seen and could be answered."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
