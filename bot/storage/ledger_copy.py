"""Whole copies of a ledger: beside it before it is changed, and backups while a bot writes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from bot.domain.errors import LedgerError
from bot.storage.ledger_audit import LedgerAudit
from bot.storage.ledger_schema import SQLITE_FAULTS, ledger_error
from bot.storage.whole_file import sync_folder

BACKUP_FOLDER = "backups"

_TRIES = 2


def copy_beside(connection: sqlite3.Connection, path: Path, *, suffix: str) -> None:
    """Copy the ledger at ``path``, open as ``connection``, to the same name with ``suffix``.

    The copy holds every commit, those in the -wal too; only its owner reads it. It gets its name when it
    is whole and on the disk, and replaces an earlier one. Raises LedgerError where it cannot be written.
    """
    copy = path.with_name(f"{path.name}{suffix}")
    unfinished = copy.with_name(f"{copy.name}.tmp")
    try:
        _write_copy(connection, path, unfinished)
        _name(unfinished, copy)
    except OSError as e:
        raise LedgerError(f"ledger {path}: no copy of it can be made at {copy} ({e.strerror})") from e
    finally:
        _remove(unfinished)


def back_up(path: Path, backup: Path) -> None:
    """Copy the ledger at ``path`` to a new file, also while a bot writes it, and check the copy.

    As with ``copy_beside``; of folders only ``backups/`` beside the ledger is made. Raises LedgerError where there is
    such a file already, where it cannot be written, and where the copy is not whole.
    """
    unfinished = backup.with_name(f"{backup.name}.{os.getpid()}.tmp")
    try:
        if backup.exists():
            raise FileExistsError  # noqa: TRY301 - told like the one that comes in between
        if backup.parent == path.parent / BACKUP_FOLDER:
            backup.parent.mkdir(mode=0o700, exist_ok=True)
        for _ in range(_TRIES):
            with LedgerAudit(path) as audit:
                audit.copy_to(lambda connection: _write_copy(connection, path, unfinished))
                if not audit.disturbed:
                    break
        _check(path, unfinished)
        _name(unfinished, backup, replaces=False)
    except FileExistsError as e:
        raise LedgerError(
            f"backup {backup}: there is such a file already, and a backup replaces none; name another"
        ) from e
    except OSError as e:
        raise LedgerError(f"ledger {path}: no backup of it can be made at {backup} ({e.strerror})") from e
    finally:
        _remove(unfinished)


def _write_copy(connection: sqlite3.Connection, path: Path, copy: Path) -> None:
    try:
        copy.unlink(missing_ok=True)  # what a kill has left
        os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        target = sqlite3.connect(copy)
        try:
            connection.backup(target)
        finally:
            target.close()
    except SQLITE_FAULTS as e:
        raise LedgerError(f"no copy: {ledger_error(path, e)}") from e


def _remove(unfinished: Path) -> None:
    with suppress(OSError):  # what went wrong before says more
        unfinished.unlink(missing_ok=True)


def _check(path: Path, copy: Path) -> None:
    with LedgerAudit(copy) as audit:
        problems = audit.all_damage()
        state = audit.chain()
        if state is not None and not problems:
            problems = audit.broken_chain(state)
    if problems:
        raise LedgerError(
            f"ledger {path}: a copy of it was made and does not hold, so it was not kept: {problems[0]}; "
            "`python bot.py ledger verify` tells more"
        )


def _name(unfinished: Path, copy: Path, *, replaces: bool = True) -> None:
    """Give a file that is on the disk its name. Raises FileExistsError where it may replace none and there is one."""
    descriptor = os.open(unfinished, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if replaces:
        unfinished.replace(copy)
    else:
        copy.hardlink_to(unfinished)
    sync_folder(copy.parent)
