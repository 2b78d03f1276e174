"""`halt`, `pause`, `resume`, `flatten`: tell the running bot, or do it here where none runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from bot.bootstrap import CONTROL_FOLDER, Session, open_simulated
from bot.cli.env import current_time, settings_for_looking, settings_from
from bot.clock import StopSignal
from bot.domain.errors import BotError
from bot.domain.modes import TradingMode
from bot.settings_schema import Settings
from bot.storage.control import ControlQueue
from bot.storage.lock import holder
from bot.storage.modes import ledger_path, mode_folder

FLATTEN_CYCLES_MAX = 5
"""A sale takes two cycles; a stop that must first be taken back from a slow venue some more."""


@click.command()
def halt() -> None:
    """Stop entries and cancel those that rest; stops stay where they are."""
    _command("halt", "HALTED: no entries; positions keep their stops. `resume` goes on.")


@click.command()
def pause() -> None:
    """Stop opening; go on managing and closing what is open."""
    _command("pause", "REDUCE_ONLY: no entries; exits go on. `resume` goes on.")


@click.command()
@click.option("--reset-drawdown", is_flag=True, help="Also end a drawdown halt: drawdown counts anew from now.")
def resume(*, reset_drawdown: bool) -> None:
    """End a halt or a pause. A drawdown halt ends with --reset-drawdown only."""
    text = "Resumed." + (" The drawdown counts from the present equity; this is recorded." if reset_drawdown else "")
    _command("resume", text, reset_drawdown=reset_drawdown)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def flatten(*, yes: bool) -> None:
    """Sell every position at the market and stay halted."""
    if not (yes or _confirmed()):
        raise click.ClickException("nothing was sold; answer 'flatten', or add --yes where nobody can answer")
    _command("flatten", "Everything is being sold; then HALTED. `resume` goes on.")


def _confirmed() -> bool:
    question = "This sells every position at the market. Type 'flatten' to go on"
    try:
        return bool(click.prompt(question, err=True) == "flatten")
    except click.Abort:  # nobody is there to answer, or Ctrl-C
        click.echo(err=True)
        return False


def _command(name: str, done: str, **arguments: bool) -> None:
    settings = settings_for_looking()
    folder = mode_folder(settings.state_dir, TradingMode.SIMULATED)
    if holder(folder) is not None:
        _queue(folder, name, **arguments)
        click.echo(f"Told the running bot (SIMULATED). Within a cycle: {done}")
        return
    if not ledger_path(folder).exists():
        raise _NotRunning(f"no bot runs and there is no account yet in {folder.resolve()}; start one with `bot.py run`")
    _without_bot(settings_from(), name, lambda session: _queue(session.folder, name, **arguments))
    click.echo(f"No bot was running; done here (SIMULATED). {done}")


def _queue(folder: Path, name: str, **arguments: bool) -> None:
    ControlQueue(folder / CONTROL_FOLDER).put(name, now=current_time(), **arguments)


def _without_bot(settings: Settings, name: str, tell: Callable[[Session], None]) -> None:
    """Be the bot for a cycle, or for as many as selling everything takes."""
    until_flat = name == "flatten"
    stop = StopSignal()
    session = open_simulated(settings, seed=None, pace_s=0.0, stop=stop, now=current_time(), command=name)
    try:
        tell(session)
        for _ in range(FLATTEN_CYCLES_MAX if until_flat else 1):
            was_flat = not session.engine.book.positions
            result = session.engine.cycle(session.clock.now(), decides=False)
            session.after_cycle(result.at)
            if not until_flat or (was_flat and not session.engine.book.positions):
                break  # one cycle more than the sale takes: a cycle's equity is from before its own orders
            session.clock.wait_until(result.next_cycle_at)
        session.engine.finish()
        if until_flat and session.engine.book.positions:
            left = ", ".join(f"{symbol} on {account}" for account, symbol in session.engine.book.positions)
            raise BotError(f"not everything could be sold yet: {left}; the next `bot.py run` goes on selling")
    finally:
        session.close()
        stop.close()


class _NotRunning(click.ClickException):
    exit_code = 3
