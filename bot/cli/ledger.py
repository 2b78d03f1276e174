"""`ledger`: does what is recorded hold, and how does it get out: checks, tables for other programs, backups."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import click

from bot.cli.env import current_time, settings_for_looking
from bot.cli.options import chosen_mode, json_option, mode_option, nothing_recorded_is_3, stdout_look
from bot.domain.errors import BotError
from bot.storage.ledger_audit import LedgerAudit
from bot.storage.ledger_copy import BACKUP_FOLDER, back_up
from bot.storage.modes import ledger_path
from bot.storage.whole_file import write_whole
from bot.views.folders import Place, find_place
from bot.views.ledger_checks import Checked, attempt, checked, stored_checks
from bot.views.ledger_lots import LOTS_NOTE
from bot.views.ledger_tables import What, csv_text, json_tables, read_tables
from bot.views.ledger_text import render_backup, render_verified, verified_document
from bot.views.output import EXIT_HALTED
from bot.views.status import json_text

DAILY = "1d"
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

    The file, every order's transitions, fills, books against the last cycle, the hash chain of the
    decisions, and every decision made again from its stored bars. Ends with 4 where something does not hold.
    """
    place = _place(mode_name)
    path = ledger_path(place.folder)
    checks: list[Checked] = []
    for _ in range(_LOOKS):
        with LedgerAudit(path) as audit:
            checks = [*stored_checks(audit), _replay(audit)]
            if not audit.disturbed:
                break
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


def _replay(audit: LedgerAudit) -> Checked:
    return attempt("replay", lambda: _replayed(audit))


def _replayed(audit: LedgerAudit) -> Checked:
    """Make every decision again from its stored bars."""
    from bot.engine.redecide import Depth, Redecider  # noqa: PLC0415 - the decision core, needed by this command only

    redecider = Redecider(lambda source, symbol: audit.bars(source, symbol, DAILY))
    problems: list[str] = []
    depths: Counter[Depth] = Counter()
    reasons: Counter[str] = Counter()
    for number, record in audit.numbered_decisions():
        again = redecider.again(record)
        depths[again.depth] += 1
        if again.why:
            reasons[again.why] += 1
        if again.differences:
            bar = datetime.fromtimestamp(record.bar_ms / 1000, tz=UTC)
            problems.append(f"decision {number} ({record.symbol}, bar {bar:%Y-%m-%d}): {'; '.join(again.differences)}")
    parts = [f"{depths[Depth.WHOLE]:,} decisions made again"]
    if depths[Depth.SIGNALS]:
        parts.append(f"of {depths[Depth.SIGNALS]:,} the signals alone")
    if depths[Depth.NOTHING]:
        parts.append(f"{depths[Depth.NOTHING]:,} not")
    why = ", ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common())
    return checked("replay", ", ".join(parts) + (f" ({why})" if why else ""), problems)
