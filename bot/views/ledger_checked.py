"""One check of `ledger verify`: how its outcome is told, and what the checks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.domain.errors import BotError, LedgerError
from bot.domain.snapshot import SNAPSHOT_KEY, SNAPSHOT_SCHEMA_VERSION, Snapshot
from bot.storage.ledger_audit import PROBLEMS_MAX, LedgerAudit

_LISTS = ("venues", "positions", "orders", "findings")
"""Of the snapshot; what the checks read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One check and its outcome."""

    name: str
    ok: bool
    found: str
    """What was looked at; where it is not ok, what is wrong in one line."""
    problems: Sequence[str] = ()
    """The first ones."""
    hash: str = ""
    """Of the newest decision; whoever notes it can tell later whether this ledger is still the same one."""


def checked(name: str, looked_at: str, problems: Sequence[str], *, holds: str = "", newest_hash: str = "") -> Checked:
    """Outcome of a check; ``holds`` goes on where ``looked_at`` ends, and is said only where there are no problems."""
    if not problems:
        return Checked(name=name, ok=True, found=looked_at + holds, hash=newest_hash)
    many = f"{counted(len(problems), 'problem')} in {looked_at}"
    return Checked(name=name, ok=False, found=many, problems=list(problems)[:PROBLEMS_MAX])


def counted(number: int, noun: str) -> str:
    """Number and noun, such as ``1 order`` and ``2 orders``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def attempt(name: str, check: Callable[[], Checked]) -> Checked:
    """Make a check; what keeps it from being made is its outcome."""
    try:
        return check()
    except (BotError, AssertionError) as e:
        words = str(e) or "what is stored contradicts itself"
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as e:  # a stored JSON of another shape
        words = in_words(e)
    return Checked(name=name, ok=False, found="this cannot be checked", problems=[words])


def in_words(error: Exception) -> str:
    """Why stored values cannot be used."""
    if isinstance(error, ArithmeticError):
        return "a stored number is zero, too large or too small to be computed with"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing in what is stored"
    return f"a stored value is of another kind than it must be ({error})"


def read_snapshot(audit: LedgerAudit) -> Snapshot | None:
    """What the last cycle stored; None before the first, or where another version wrote it.

    Raises LedgerError where it is not what this version writes.
    """
    found = audit.value(SNAPSHOT_KEY)
    if found is None:
        return None
    where = f"table engine_values, row {SNAPSHOT_KEY}"
    version = found.get("schema_version") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(version, int) or version < 1:
        raise LedgerError(f"{where}: found {str(found)[:60]!r} where the account of the last cycle belongs")
    snapshot = audit.snapshot()
    if snapshot is None:
        if version > SNAPSHOT_SCHEMA_VERSION:
            raise LedgerError(f"{where}: a newer version of this program wrote it (schema {version})")
        return None
    missing = [name for name in Snapshot.__annotations__ if name not in found]
    if missing:
        raise LedgerError(f"{where}: {', '.join(missing[:3])} is missing in it")
    for name in _LISTS:
        if not isinstance(found[name], list) or not all(isinstance(row, dict) for row in found[name]):
            raise LedgerError(f"{where}: found {str(found[name])[:60]!r} where the list of {name} belongs")
    return snapshot
