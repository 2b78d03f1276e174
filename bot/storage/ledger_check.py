"""A look for damage in a ledger, without changing it."""

from __future__ import annotations

from time import monotonic

from bot.storage.ledger_reader import LedgerReader
from bot.storage.ledger_schema import SQLITE_FAULTS, ledger_error

_STEPS_PER_LOOK = 10_000
"""Instructions of SQLite's machine between two looks at the time: well below a millisecond."""


class LedgerCheck(LedgerReader):
    """A reader that also examines the file."""

    @property
    def schema_version(self) -> int:
        """Version of the tables in the file."""
        return self._version

    def damage(self, *, within_s: float) -> str | None:
        """The first damage that SQLite finds in its pages and rows, '' for none; None: not done ``within_s``.

        Raises LedgerError where the file cannot be read at all.
        """
        ends_at = monotonic() + within_s
        self._connection.set_progress_handler(lambda: monotonic() > ends_at, _STEPS_PER_LOOK)
        try:
            found = str(self._connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except SQLITE_FAULTS as e:
            if getattr(e, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                return None
            raise ledger_error(self.path, e) from e
        finally:
            self._connection.set_progress_handler(None, 0)
        return "" if found == "ok" else found
