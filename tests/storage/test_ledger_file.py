"""The file itself: how it is made, what it refuses, what a kill leaves."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_samples import T0, a_fill, an_equity_point, an_order

from bot.domain.errors import LedgerError
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_reader import LedgerReader
from bot.storage.ledger_schema import is_damage

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def _pragma(ledger: SqliteLedger, name: str) -> object:
    return ledger._connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_new_file_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "state" / "paper" / "ledger.sqlite3"
    with SqliteLedger(path) as ledger:
        ledger.record_fill(a_fill())
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_durable_ledger_syncs_every_commit(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        # synchronous: 2 is FULL, 0 is OFF
        assert [_pragma(ledger, name) for name in ("journal_mode", "synchronous", "foreign_keys")] == ["wal", 2, 1]
    with SqliteLedger(path, durable=False) as ledger:
        assert _pragma(ledger, "synchronous") == 0


def test_epoch_is_stored_and_differs_between_ledgers(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "a") as ledger:
        epoch = ledger.epoch
    with SqliteLedger(tmp_path / "a") as again, SqliteLedger(tmp_path / "b") as other:
        assert again.epoch == epoch
        assert other.epoch != epoch
        assert epoch.version == 4


def test_contents_survive_reopening(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        ledger.record_intent(an_order())
        ledger.set_value("mode", "ACTIVE")
    with SqliteLedger(path) as ledger:
        assert ledger.live_orders() == [an_order()]
        assert ledger.value("mode") == "ACTIVE"


def test_version_is_in_the_file_header_and_meta(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        assert _pragma(ledger, "user_version") == 3
        assert ledger._connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("3",)


def test_newer_version_is_refused_untouched(path: Path) -> None:
    SqliteLedger(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 4")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"newer version.*schema 4.*up to 3"):
        SqliteLedger(path)
    assert path.read_bytes() == before


def test_other_programs_database_is_refused_untouched(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE guests (name TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="another program"):
        SqliteLedger(path)
    assert path.read_bytes() == before


def test_file_that_is_no_database_is_refused_untouched(path: Path) -> None:
    path.write_bytes(b"my shopping list, " * 100)
    with pytest.raises(LedgerError, match="not a ledger") as caught:
        SqliteLedger(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"my shopping list, " * 100


def test_damaged_file_is_refused_untouched(path: Path) -> None:
    with SqliteLedger(path, durable=False) as ledger:
        for n in range(500):
            ledger.record_fill(a_fill(f"f{n}"))
    whole = path.read_bytes()
    # a page of 4096 bytes at the end: nothing that opening by itself would read
    damaged = whole[:-4096] + b"\xa5" * 4096
    path.write_bytes(damaged)
    with pytest.raises(LedgerError, match="damaged") as caught:
        SqliteLedger(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("old", "new"), [(b"CREATE TABLE meta", b"CREATE TABL\xca meta"), (b"CREATE INDEX", b"CREATE IND\xca\xff")]
)
def test_damage_that_is_told_in_broken_bytes_is_refused_in_words(path: Path, old: bytes, new: bytes) -> None:
    """SQLite quotes the file in its message; what is no text there is no reason for a traceback."""
    SqliteLedger(path).close()
    whole = path.read_bytes()
    assert old in whole
    broken = whole.replace(old, new, 1)
    path.write_bytes(broken)
    with pytest.raises(LedgerError, match=r"quotes bytes that are no text; the file is damaged") as caught:
        SqliteLedger(path)
    assert is_damage(caught.value)
    assert path.read_bytes() == broken
    with LedgerReader(path) as reader, pytest.raises(LedgerError, match="the file is damaged"):
        reader.fills()


def test_empty_file_becomes_a_ledger(path: Path) -> None:
    # what a kill between making the file and making its tables leaves
    path.touch()
    with SqliteLedger(path) as ledger:
        assert ledger.record_fill(a_fill()) is True


def test_path_that_is_a_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        SqliteLedger(tmp_path)


def test_folder_that_is_a_file_raises(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("x")
    with pytest.raises(LedgerError, match="STATE_DIR"):
        SqliteLedger(tmp_path / "state" / "ledger.sqlite3")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_raises(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(LedgerError, match="cannot be made"):
        SqliteLedger(folder / "ledger.sqlite3")


def test_read_only_database_raises_and_names_the_reason(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        ledger._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(LedgerError, match="read-only"):
            ledger.record_fill(a_fill())


def test_full_disk_raises_and_keeps_what_was_committed(path: Path) -> None:
    def fill_the_disk() -> None:
        with ledger.transaction():
            for n in range(1000):
                ledger.record_fill(a_fill(f"f{n}"))

    with SqliteLedger(path, durable=False) as ledger:
        ledger.record_fill(a_fill("before"))
        pages = _pragma(ledger, "page_count")
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LedgerError, match="disk is full"):
            fill_the_disk()
        ledger._connection.execute("PRAGMA max_page_count = 100000")
        assert ledger.fills() == [a_fill("before")]
        assert ledger.record_fill(a_fill("after")) is True


def test_locked_database_raises_and_names_the_reason(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        ledger._connection.execute("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="another process keeps it locked"):
            ledger.record_fill(a_fill())
        with pytest.raises(LedgerError, match="another process keeps it locked"), ledger.transaction():
            pytest.fail("the block must not start")
        other.close()
        assert ledger.record_fill(a_fill()) is True


_KILLED_INSIDE = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from ledger_samples import T0, a_fill, an_equity_point, an_order
from bot.domain.orders import OrderState
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_reader import LedgerReader
from bot.storage.ledger_schema import is_damage
ledger = SqliteLedger({path!r})
# a cache of ten pages: the transaction spills into the -wal long before its end
ledger._connection.execute("PRAGMA cache_size = 10")
with ledger.transaction():
    ledger.record_intent(an_order(1))
    ledger.record_fill(a_fill("committed"))
with ledger.transaction():
    ledger.record_transition(an_order(1).moved_to(OrderState.IN_FLIGHT, at=T0), OrderState.INTENT)
    for n in range(2000):
        ledger.record_fill(a_fill(f"lost{{n}}"))
    print("inside", flush=True)
    sys.stdin.read()
"""


def _start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_kill_inside_a_transaction_leaves_all_of_the_first_and_none_of_the_second(path: Path) -> None:
    code = _KILLED_INSIDE.format(root=str(ROOT), here=str(Path(__file__).parent), path=str(path))
    with _start(code) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "inside\n"
        child.kill()
        assert child.wait() == -signal.SIGKILL
    with SqliteLedger(path) as ledger:
        assert ledger.live_orders() == [an_order(1)]
        assert ledger.fills() == [a_fill("committed")]


_KILLED_ANYWHERE = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from ledger_samples import a_fill
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_reader import LedgerReader
from bot.storage.ledger_schema import is_damage
ledger = SqliteLedger({path!r})
for n in range(1, 100_000):
    with ledger.transaction():
        ledger.record_fill(a_fill(f"first{{n}}"))
        ledger.record_fill(a_fill(f"second{{n}}"))
        ledger.set_value("count", n)
    print(n, flush=True)
"""


def test_kill_while_committing_loses_no_commit_and_halves_none(path: Path) -> None:
    code = _KILLED_ANYWHERE.format(root=str(ROOT), here=str(Path(__file__).parent), path=str(path))
    with _start(code) as child:
        assert child.stdout is not None
        for _ in range(40):
            told = int(child.stdout.readline())
        child.kill()
        child.wait()
    with SqliteLedger(path) as ledger:
        count = ledger.value("count")
        assert isinstance(count, int)
        assert count >= told
        assert len(ledger.fills()) == 2 * count


def test_prune_lets_the_file_reuse_its_pages(path: Path) -> None:
    sizes = []
    with SqliteLedger(path, durable=False) as ledger:
        for round_ in range(2):
            with ledger.transaction():
                for minute in range(3000):
                    ledger.record_equity(an_equity_point(T0 + timedelta(days=100 * round_, minutes=minute)))
            pages = _pragma(ledger, "page_count")
            assert isinstance(pages, int)
            ledger.prune(T0 + timedelta(days=100 * (round_ + 1)))
            sizes.append(pages)
        # 3000 points a round, all but three (one per day) thinned: the second round needs hardly a new page
        assert sizes[1] <= sizes[0] + 2
