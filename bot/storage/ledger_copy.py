"""A whole copy of an open ledger, beside it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from bot.domain.errors import LedgerError
from bot.storage.ledger_schema import ledger_error


def copy_beside(connection: sqlite3.Connection, path: Path, *, suffix: str) -> None:
    """Copy the ledger at ``path``, open as ``connection``, to the same name with ``suffix``.

    The copy holds every commit, those in the -wal too; only its owner reads it. It gets its name when it
    is whole, and replaces an earlier one. Raises LedgerError where it cannot be written.
    """
    copy = path.with_name(f"{path.name}{suffix}")
    unfinished = path.with_name(f"{copy.name}.tmp")
    try:
        try:
            unfinished.unlink(missing_ok=True)  # what a kill has left
            os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            target = sqlite3.connect(unfinished)
            try:
                connection.backup(target)
            finally:
                target.close()
            unfinished.replace(copy)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except sqlite3.Error as e:
        raise ledger_error(copy, e) from e
    except OSError as e:
        raise LedgerError(f"ledger {path}: no copy of it can be made at {copy} ({e.strerror})") from e
