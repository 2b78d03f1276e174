"""A backup is a whole, checked, private copy, made while the bot writes; it replaces nothing."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from ledger_samples import T0, a_decision, a_fill, a_flow, an_equity_point

from bot.domain.errors import LedgerError
from bot.storage import ledger_copy
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_copy import back_up
from bot.storage.ledger_reader import LedgerReader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite3"
    with SqliteLedger(path, durable=False) as ledger:
        ledger.record_flow(a_flow())
        ledger.record_decision(a_decision())
        ledger.record_decision(a_decision())
    return path


def test_backup_beside_a_writing_bot_has_every_commit_and_no_half_transaction(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backups" / "one.sqlite3"
    with SqliteLedger(path, durable=False) as ledger:
        ledger.record_fill(a_fill("f1"))  # in the -wal only
        with ledger.transaction():
            ledger.record_fill(a_fill("f2"))
            back_up(path, backup)
        ledger.record_fill(a_fill("f3"))
    with LedgerReader(backup) as reader:
        assert reader.book_events() == [a_flow(), a_fill("f1")]
    assert [file.name for file in backup.parent.iterdir()] == ["one.sqlite3"]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700


def test_backup_put_in_the_ledgers_place_goes_on_with_the_same_identity(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "copy"
    back_up(path, backup)
    with SqliteLedger(path) as ledger:
        epoch = ledger.epoch
        ledger.record_flow(a_flow("7"))
    backup.replace(path)
    with SqliteLedger(path) as ledger:
        assert ledger.epoch == epoch
        assert ledger.book_events() == [a_flow()]
        ledger.record_decision(a_decision())
    back_up(path, backup)  # checks the chain


def test_backup_changes_nothing_in_the_ledger_and_leaves_no_files_beside_it(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    back_up(path, tmp_path / "copy")
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy", "ledger.sqlite3"]


def test_backup_never_replaces_a_file(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "copy"
    backup.write_text("mine")
    with pytest.raises(LedgerError, match="there is such a file already, and a backup replaces none"):
        back_up(path, backup)
    assert backup.read_text() == "mine"


def test_backup_onto_the_ledger_itself_is_refused(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="there is such a file already"):
        back_up(path, path)
    assert path.read_bytes() == before


def test_backup_of_a_ledger_with_a_broken_chain_is_not_kept(path: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE decisions SET action = 'exit' WHERE seq = 1")
    connection.close()
    with pytest.raises(LedgerError, match=r"does not hold, so it was not kept: decision 1 \(BTC/USD\)"):
        back_up(path, tmp_path / "copy")
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite3"]


def test_backup_of_a_damaged_ledger_is_not_kept(path: Path, tmp_path: Path) -> None:
    with SqliteLedger(path, durable=False) as ledger, ledger.transaction():
        for minute in range(2000):
            ledger.record_equity(an_equity_point(T0.replace(microsecond=minute)))
    content = bytearray(path.read_bytes())
    content[-4096:] = bytes(4096)  # the last page, a leaf of the largest table
    path.write_bytes(bytes(content))
    with pytest.raises(LedgerError, match="does not hold, so it was not kept"):
        back_up(path, tmp_path / "copy")
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite3"]


def test_backup_where_nothing_can_be_written_says_so(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"no backup of it can be made at .*file/copy"):
        back_up(path, tmp_path / "file" / "copy")


def test_backup_that_a_kill_left_unfinished_hinders_none(path: Path, tmp_path: Path) -> None:
    (tmp_path / f"copy.{os.getpid()}.tmp").write_bytes(b"half of it")
    back_up(path, tmp_path / "copy")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy", "ledger.sqlite3"]


def test_backup_into_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A disk that is not mounted, or a slip of the pen, must not get its backup somewhere else."""
    path = tmp_path / "ledger.sqlite3"
    SqliteLedger(path, durable=False).close()
    with pytest.raises(LedgerError, match=r"no backup of it can be made at .*No such file or directory"):
        back_up(path, tmp_path / "usb" / "copy.sqlite3")
    assert not (tmp_path / "usb").exists()
    with pytest.raises(LedgerError, match=r"File name too long"):
        back_up(path, tmp_path / ("a" * 300))


def test_backup_whose_name_is_taken_meanwhile_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, backup = tmp_path / "ledger.sqlite3", tmp_path / "copy.sqlite3"
    SqliteLedger(path, durable=False).close()
    whole = ledger_copy._check

    def another_is_faster(*args: Path) -> None:
        whole(*args)
        backup.write_text("of another")

    monkeypatch.setattr(ledger_copy, "_check", another_is_faster)
    with pytest.raises(LedgerError, match="there is such a file already, and a backup replaces none"):
        back_up(path, backup)
    assert backup.read_text() == "of another"
    assert sorted(p.name for p in tmp_path.iterdir() if "tmp" in p.name) == []
