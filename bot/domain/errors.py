"""The error tree.

BotError                 anything this program raises on purpose
├── ConfigError          a setting, file or option that the user can correct (exit code 78)
├── CandleDataError      a candle file or series that cannot be used as it is
├── StateFileError       a JSON state file that cannot be written
├── LedgerError          the ledger cannot be opened, read or written
├── AlreadyRunningError  another process holds the lock of this mode folder
├── VenueError           a venue answered with an error, or did not answer
└── InvariantError       the program contradicts itself: it must stop, not continue
"""

from __future__ import annotations


class BotError(Exception):
    """Root of every error raised on purpose; its text is fit for the user."""


class ConfigError(BotError):
    """A setting, file or option that the user can correct."""


class CandleDataError(BotError):
    """A candle file or series that cannot be used as it is."""


class StateFileError(BotError):
    """A JSON state file that cannot be written."""


class LedgerError(BotError):
    """The ledger cannot be opened, read or written."""


class AlreadyRunningError(BotError):
    """Another process holds the lock of this mode folder."""


class VenueError(BotError):
    """A venue answered with an error, or did not answer."""


class InvariantError(BotError):
    """The program contradicts itself; it must stop, not continue."""
