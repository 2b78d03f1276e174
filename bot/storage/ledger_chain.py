"""The hash chain over the decisions: each row carries a hash of itself and of the one before it.

It shows every later change of a stored decision. It is no seal: whoever can write to the file could compute
all hashes anew. Who notes the newest one elsewhere (``ledger verify`` prints it) would see that as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from bot.domain.errors import LedgerError
from bot.storage.ledger_rows import Row

CHAIN_KEY = "decision_chain"
"""Of the table ``meta``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainState:
    """Both ends of the chain, stored in the transaction that adds or removes a decision."""

    anchor: str
    """Hash before the oldest row that is there: the ledger's epoch, then that of the newest one that was removed."""
    head: str
    """Hash of the newest row; the anchor where there is none."""
    count: int
    """Rows that are there."""
    last_seq: int

    @classmethod
    def begun(cls, epoch: UUID) -> ChainState:
        """Begin the chain of a ledger without decisions."""
        return cls(anchor=str(epoch), head=str(epoch), count=0, last_seq=0)

    def to_text(self) -> str:
        """Form in ``meta``."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, path: Path, stored: str | None) -> ChainState:
        """Read what ``to_text`` gave. Raises LedgerError where it cannot be."""
        try:
            found = json.loads(stored or "")
            return cls(
                anchor=str(found["anchor"]),
                head=str(found["head"]),
                count=int(found["count"]),
                last_seq=int(found["last_seq"]),
            )
        except (ValueError, TypeError, KeyError) as e:
            raise LedgerError(
                f"ledger {path}: table meta, row {CHAIN_KEY}: found {stored!r} where the two ends of the decisions' "
                "chain belong; the file was edited. Put a backup in its place"
            ) from e

    def with_row(self, row: Row) -> ChainState:
        """Append a row: all columns of ``decisions`` but the hash, which is the new head."""
        return ChainState(anchor=self.anchor, head=link(self.head, row), count=self.count + 1, last_seq=row[0])


def link(previous: str, row: Row) -> str:
    """SHA-256 (hex) over the hash before and the row: (seq, symbol, ..., at), as they are stored."""
    # JSON: one text for one row (floats in their shortest exact form), whatever stands in a text column.
    canonical = json.dumps([previous, *row], separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def broken_links(state: ChainState, rows: Iterable[Row]) -> Iterator[str]:
    """Say in words where stored rows (with their hash as last column, ascending) and ends do not fit."""
    previous, count, seq = state.anchor, 0, 0
    for *columns, chain in rows:
        count, seq = count + 1, columns[0]
        if chain != link(previous, tuple(columns)):
            yield (
                f"decision {seq} ({columns[1]}) does not follow from the one before it: "
                "one of the two was changed, or rows between them were removed or added"
            )
        previous = chain
    if previous != state.head or count != state.count or (count > 0 and seq != state.last_seq):
        yield (
            f"the newest decision should be {state.last_seq} of {state.count} stored ones; "
            f"found {seq if count else 'none'} of {count}"
        )
