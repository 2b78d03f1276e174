"""The composition root prunes once a day, and leaves a replay's journal whole."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ledger_samples import T0, a_decision

from bot.bootstrap import _with_daily_pruning
from bot.domain.errors import LedgerError
from bot.storage.ledger import SqliteLedger

LATER = T0 + timedelta(days=800)


class CountedLedger(SqliteLedger):
    """Remembers when it was pruned."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, durable=False)
        self.pruned: list[tuple[datetime, bool]] = []

    def prune(self, now: datetime, *, journal: bool = True) -> int:
        self.pruned.append((now, journal))
        return super().prune(now, journal=journal)


@pytest.mark.parametrize("journal", [True, False])
def test_pruned_after_the_first_cycle_of_each_day(tmp_path: Path, journal: bool) -> None:
    done: list[datetime] = []
    with CountedLedger(tmp_path / "ledger.sqlite3") as ledger:
        ledger.record_decision(a_decision())
        ledger.record_decision(a_decision(at=LATER))
        after_cycle = _with_daily_pruning(done.append, ledger, journal=journal)
        moments = [LATER, LATER + timedelta(hours=1), LATER + timedelta(days=1)]
        for now in moments:
            after_cycle(now)
        assert ledger.pruned == [(LATER, journal), (LATER + timedelta(days=1), journal)]
        assert ledger._rows("SELECT count(*) FROM decisions") == [(1 if journal else 2,)]
    assert done == moments


def test_ledger_that_was_replaced_meanwhile_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with CountedLedger(path) as ledger:
        after_cycle = _with_daily_pruning(lambda _: None, ledger, journal=True)
        path.rename(tmp_path / "aside")
        with pytest.raises(LedgerError, match="removed or replaced while the bot ran"):
            after_cycle(T0)
        assert ledger.pruned == []
