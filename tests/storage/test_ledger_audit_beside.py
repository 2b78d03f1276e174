"""The audit beside a bot that writes: one view of the file, and it notices a bot that has just started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ledger_samples import a_decision, a_flow

from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_audit import LedgerAudit

ROOT = Path(__file__).parents[2]
LOOKS = 25

_WRITER = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from ledger_samples import a_decision, a_flow
from bot.storage.ledger import SqliteLedger
with SqliteLedger({path!r}, durable=False) as ledger:
    number = 0
    for _ in sys.stdin:
        for _ in range(20):
            number += 1
            with ledger.transaction():
                ledger.record_flow(a_flow("1"))
                ledger.record_decision(a_decision())
                ledger.set_value("count", number)
        ledger.prune(a_flow().at)
        print(number, flush=True)
"""


def test_audit_beside_a_writing_bot_sees_whole_commits_and_an_unbroken_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    code = _WRITER.format(root=str(ROOT), here=str(Path(__file__).parent), path=str(path))
    seen = []
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def begin_batch() -> None:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()

        begin_batch()
        child.stdout.readline()
        for _ in range(LOOKS):
            begin_batch()
            with LedgerAudit(path) as audit:
                state = audit.chain()
                assert state is not None
                assert audit.broken_chain(state) == []
                child.stdout.readline()  # what this batch has committed by now must not be seen either
                assert audit.broken_chain(state) == []
                assert len(audit.flows()) == state.count == audit.value("count")
                assert not audit.disturbed
                seen.append(state.count)
        child.stdin.close()
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_audit_of_a_closed_ledger_notices_a_bot_that_starts(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with SqliteLedger(path) as ledger:
        ledger.record_decision(a_decision())
    with LedgerAudit(path) as audit:
        assert not audit.disturbed
        with SqliteLedger(path) as ledger:
            ledger.record_flow(a_flow())
            assert audit.disturbed
            with LedgerAudit(path) as second:
                assert not second.disturbed
                assert second.flows() == [a_flow()]
