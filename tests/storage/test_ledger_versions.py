"""A ledger of an older version is brought up to date, and a copy of it stays beside."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from uuid import UUID

import pytest
from ledger_samples import a_fill, a_flow, a_write_off

from bot.domain.errors import LedgerError
from bot.storage import ledger_schema
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_reader import LedgerReader
from bot.storage.ledger_schema import MIGRATIONS, SCHEMA, micros

EPOCH = UUID("3f2b8c1e-0d7a-4c55-9b1e-6a7d2f4c8e90")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def make_version_1(path: Path) -> sqlite3.Connection:
    """Write a ledger as version 1 did: a flow, a fill. The connection is open: its -wal holds all of it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('epoch', ?), ('schema_version', '1')", (str(EPOCH),))
    connection.execute("PRAGMA user_version = 1")
    flow, fill = a_flow(), a_fill()
    connection.execute(
        "INSERT INTO flows (seq, account, asset, amount, at, note) VALUES (1, ?, ?, ?, ?, ?)",
        (flow.account, flow.asset, str(flow.amount), micros(flow.at), flow.note),
    )
    connection.execute(
        "INSERT INTO fills (seq, account, fill_id, symbol, client_order_id, side, quantity, price, fee, liquidity, at)"
        " VALUES (2, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(fill.account, fill.fill_id, fill.symbol, fill.client_order_id, fill.side.value, str(fill.quantity)),
            *(str(fill.price), str(fill.fee), fill.liquidity.value, micros(fill.at)),
        ),
    )
    return connection


def version_of(path: Path) -> tuple[int, str]:
    """By the header and by ``meta``."""
    connection = sqlite3.connect(path)
    try:
        in_header = connection.execute("PRAGMA user_version").fetchone()[0]
        in_meta = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()[0]
    finally:
        connection.close()
    return in_header, in_meta


def tables_of(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    finally:
        connection.close()


def test_version_1_opened_by_a_writer_takes_dust_and_keeps_everything(path: Path) -> None:
    make_version_1(path).close()
    with SqliteLedger(path) as ledger:
        assert ledger.epoch == EPOCH
        assert ledger.book_events() == [a_flow(), a_fill()]
        ledger.record_dust(a_write_off())
        assert ledger.record_fill(a_fill("f2")) is True
        assert ledger.book_events() == [a_flow(), a_fill(), a_write_off(), a_fill("f2")]
    assert version_of(path) == (2, "2")


def test_version_1_brought_up_to_date_has_the_tables_of_a_new_ledger(path: Path, tmp_path: Path) -> None:
    make_version_1(path).close()
    SqliteLedger(path).close()
    SqliteLedger(tmp_path / "new").close()
    assert tables_of(path) == tables_of(tmp_path / "new")
    assert version_of(tmp_path / "new") == (2, "2")


def test_version_1_copy_beside_is_whole_private_and_of_the_old_version(path: Path) -> None:
    # the connection stays open, so that every row is in the -wal only, as after a kill
    connection = make_version_1(path)
    SqliteLedger(path).close()
    connection.close()
    copy = path.with_name("ledger.sqlite3.v1.bak")
    assert sorted(file.name for file in path.parent.iterdir()) == ["ledger.sqlite3", copy.name]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert version_of(copy) == (1, "1")
    with LedgerReader(copy) as reader:
        assert reader.book_events() == [a_flow(), a_fill()]


def test_copy_put_in_the_ledgers_place_is_brought_up_to_date_again(path: Path) -> None:
    make_version_1(path).close()
    with SqliteLedger(path) as ledger:
        ledger.record_flow(a_flow("7"))
    path.with_name("ledger.sqlite3.v1.bak").replace(path)
    with SqliteLedger(path) as ledger:
        assert ledger.book_events() == [a_flow(), a_fill()]
    assert version_of(path.with_name("ledger.sqlite3.v1.bak")) == (1, "1")


def test_ledger_of_this_version_is_not_copied(path: Path) -> None:
    SqliteLedger(path).close()
    SqliteLedger(path).close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite3"]


def test_copy_that_a_kill_left_unfinished_is_made_anew(path: Path) -> None:
    make_version_1(path).close()
    path.with_name("ledger.sqlite3.v1.bak.tmp").write_bytes(b"half of it")
    path.with_name("ledger.sqlite3.v1.bak").write_bytes(b"an earlier one")
    SqliteLedger(path).close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["ledger.sqlite3", "ledger.sqlite3.v1.bak"]
    assert version_of(path.with_name("ledger.sqlite3.v1.bak")) == (1, "1")


def test_version_1_that_cannot_be_copied_stays_as_it_is(path: Path) -> None:
    make_version_1(path).close()
    path.with_name("ledger.sqlite3.v1.bak").mkdir()
    with pytest.raises(LedgerError, match=r"no copy of it can be made at .*\.v1\.bak"):
        SqliteLedger(path)
    assert version_of(path) == (1, "1")
    assert not path.with_name("ledger.sqlite3.v1.bak.tmp").exists()


def test_step_that_fails_leaves_version_1_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_version_1(path).close()
    before = tables_of(path)
    with monkeypatch.context() as patch:
        patch.setattr(ledger_schema, "MIGRATIONS", ((*MIGRATIONS[0], "CREATE TABLE fills (x TEXT)"),))
        with pytest.raises(LedgerError, match="fills already exists"):
            SqliteLedger(path)
    assert version_of(path) == (1, "1")
    assert tables_of(path) == before
    with SqliteLedger(path) as ledger:
        assert ledger.book_events() == [a_flow(), a_fill()]


def test_reader_of_version_1_reads_it_without_dust_and_changes_nothing(path: Path) -> None:
    make_version_1(path).close()
    before = path.read_bytes()
    with LedgerReader(path) as reader:
        assert reader.book_events() == [a_flow(), a_fill()]
        assert reader.fills() == [a_fill()]
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite3"]
