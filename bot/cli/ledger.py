"""`ledger`: does what is recorded hold, and how does it get out: checks, tables for other programs, backups."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import click

from bot.cli.env import current_time, settings_for_looking
from bot.cli.options import chosen_mode, json_option, mode_option, nothing_recorded_is_3, stdout_look
from bot.domain.errors import BotError, LedgerError
from bot.domain.modes import TradingMode
from bot.storage.ledger_audit import LedgerAudit
from bot.storage.ledger_copy import BACKUP_FOLDER, back_up
from bot.storage.ledger_schema import is_damage
from bot.storage.modes import PAPER_ACCOUNTS_NAME, ledger_path, mode_folder
from bot.storage.whole_file import write_whole
from bot.views.folders import NothingRecordedError, Place, find_place
from bot.views.ledger_checked import Checked, attempt
from bot.views.ledger_checks import stored_checks
from bot.views.ledger_lots import LOTS_NOTE
from bot.views.ledger_tables import What, csv_text, json_tables, read_tables
from bot.views.ledger_text import render_backup, render_verified, verified_document
from bot.views.output import EXIT_HALTED
from bot.views.status import json_text

_LOOKS = 2
"""A bot that starts while the file is read as one that nobody writes: then it is read again."""

_ALL = "all"


@click.group()
def ledger() -> None:
    """Check, export or back up what is recorded. Nothing here changes the ledger; a bot may run meanwhile."""


@ledger.command()
@mode_option
@json_option
def verify(*, mode_name: str | None, as_json: bool) -> None:
    """Check that everything in the ledger fits together.

    The file; every order, its id and its transitions; fills; books and live orders against the last cycle; what
    the engine remembers; the hash chain of the decisions, and every decision made again from its stored bars.
    Ends with 4 where something does not hold, where the file is damaged, and where it is gone.
    """
    with nothing_recorded_is_3():
        place = _place_or_lost(mode_name)
    path = ledger_path(place.folder)
    try:
        checks = _checks(path, place.mode)
    except LedgerError as e:
        if not is_damage(e):
            raise
        checks = [Checked(name="file", ok=False, found="it cannot be read, nor can anything else", problems=[str(e)])]
    if as_json:
        click.echo(json_text(verified_document(place.mode, path, checks)))
    else:
        click.echo("\n".join(render_verified(place.mode, path, checks, stdout_look())))
    raise SystemExit(0 if all(check.ok for check in checks) else EXIT_HALTED)


@ledger.command(help=f"Write what is recorded as tables for other programs, such as a tax tool.\n\n{LOTS_NOTE}")
@mode_option
@click.option("--format", "form", type=click.Choice(["csv", "json"]), required=True, help="Of the output.")
@click.option(
    "--what",
    type=click.Choice([*(what.value for what in What), _ALL]),
    default=_ALL,
    show_default=True,
    help="Which table; one for CSV.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a file per table there. Default: to stdout.",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
def export(*, mode_name: str | None, form: str, what: str, out: Path | None, force: bool) -> None:
    """Write tables to stdout or to files."""
    wanted = list(What) if what == _ALL else [What(what)]
    if out is None and form == "csv" and len(wanted) > 1:
        raise click.UsageError("several tables do not fit into one CSV: choose one with --what, or a folder with --out")
    place = _place(mode_name)
    for _ in range(_LOOKS):
        with LedgerAudit(ledger_path(place.folder)) as audit:
            tables = read_tables(audit, wanted)
            if not audit.disturbed:
                break
    if form == "csv":
        texts = {name.value: csv_text(name, table) for name, table in tables.items()}
    elif out is None:
        texts = {what: json_tables(place.mode, tables)}
    else:
        texts = {name.value: json_tables(place.mode, {name: table}) for name, table in tables.items()}
    if out is None:
        click.echo("".join(texts.values()), nl=False)
    else:
        _write(out, {f"{name}.{form}": text for name, text in texts.items()}, force=force)
    if What.LOTS in wanted:
        click.echo(LOTS_NOTE, err=True)


@ledger.command()
@mode_option
@click.argument("file", required=False, type=click.Path(path_type=Path))
def backup(*, mode_name: str | None, file: Path | None) -> None:
    """Copy the ledger to FILE, while a bot runs too, and check the copy.

    Without FILE into `backups/` beside the ledger, named by the time (UTC). No file is ever replaced.
    """
    place = _place(mode_name)
    path = ledger_path(place.folder)
    if file is None:
        file = place.folder / BACKUP_FOLDER / f"ledger-{current_time():%Y%m%dT%H%M%SZ}.sqlite3"
    back_up(path, file)
    click.echo("\n".join(render_backup(path, file, stdout_look())))


def _place(mode_name: str | None) -> Place:
    with nothing_recorded_is_3():
        return find_place(settings_for_looking().state_dir, chosen_mode(mode_name))


def _write(folder: Path, texts: dict[str, str], *, force: bool) -> None:
    """Write the files of an export, all or, where one is there already, none. Raises BotError."""
    there = [name for name in texts if (folder / name).exists()]
    if there and not force:
        raise BotError(f"export {folder}: {', '.join(there)} would be replaced; name another folder, or use --force")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in texts.items():
            write_whole(folder / name, text)
            click.echo(f"{folder / name}: {text.count(chr(10)):,} lines", err=True)
    except OSError as e:
        raise BotError(f"export {folder}: cannot be written ({e.strerror}); check disk, owner and permissions") from e


def _checks(path: Path, mode: TradingMode) -> list[Checked]:
    from bot.cli.ledger_engine import memory_check, replay_check  # noqa: PLC0415 - the engine, for this command only

    checks: list[Checked] = []
    for _ in range(_LOOKS):
        with LedgerAudit(path) as audit:
            checks = [
                *stored_checks(audit),
                attempt("memory", partial(memory_check, audit, mode)),
                attempt("replay", partial(replay_check, audit)),
            ]
            if not audit.disturbed:
                break
    return checks


def _place_or_lost(mode_name: str | None) -> Place:
    """Find the account; ends with 4 where its ledger is gone and something else of it is there.

    Raises NothingRecordedError where there is nothing at all.
    """
    state_dir, wanted = settings_for_looking().state_dir, chosen_mode(mode_name)
    try:
        return find_place(state_dir, wanted)
    except NothingRecordedError:
        for mode in TradingMode if wanted is None else [wanted]:
            path = ledger_path(mode_folder(state_dir, mode))
            accounts = path.with_name(PAPER_ACCOUNTS_NAME)
            beside = f", and {accounts.name} beside it is there" if accounts.exists() else ""
            if beside or os.path.lexists(path):
                raise LostLedgerError(
                    f"ledger {path}: it is missing, empty or no file{beside}. Put a backup in its place, or move the "
                    "rest of this account away too"
                ) from None
        raise


class LostLedgerError(click.ClickException):
    """What belongs to a ledger is there, and the ledger is not."""

    exit_code = EXIT_HALTED
