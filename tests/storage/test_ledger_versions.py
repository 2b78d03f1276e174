"""A ledger of an older version is brought up to date, and a copy of it stays beside."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from ledger_samples import BAR_MS, T0, a_decision, a_fill, a_flow, a_removal, a_write_off

from bot.domain.errors import LedgerError
from bot.storage import ledger_schema
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_audit import LedgerAudit
from bot.storage.ledger_reader import LedgerReader
from bot.storage.ledger_rows import micros
from bot.storage.ledger_schema import MIGRATIONS, SCHEMA

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
        ledger.record_coins_out(a_removal())
        assert ledger.book_events() == [a_flow(), a_fill(), a_write_off(), a_fill("f2"), a_removal()]
    assert version_of(path) == (3, "3")


def test_version_1_brought_up_to_date_has_the_tables_of_a_new_ledger(path: Path, tmp_path: Path) -> None:
    make_version_1(path).close()
    SqliteLedger(path).close()
    SqliteLedger(tmp_path / "new").close()
    assert tables_of(path) == tables_of(tmp_path / "new")
    assert version_of(tmp_path / "new") == (3, "3")


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


DETAILS = '{"why": "above trend, \\"quoted\\", \\u00fc", "stop": null, "sma200": 51234.5}'


def make_version_2(path: Path) -> None:
    """Write a ledger as version 2 did: a flow, a fill, a write-off, three decisions (one without a score)."""
    connection = make_version_1(path)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 2")
    connection.execute("UPDATE meta SET value = '2' WHERE key = 'schema_version'")
    connection.execute("INSERT INTO dust VALUES (3, 'coinbase', 'BTC/USD', ?)", (micros(T0),))
    for number, score in ((1, 0.71), (2, None), (3, 0.5)):
        connection.execute(
            "INSERT INTO decisions (symbol, account, bar_ms, first_bar_ms, bars, action, score, details, at)"
            " VALUES ('BTC/USD', '', ?, ?, 201, 'hold', ?, ?, ?)",
            (BAR_MS + number * 86_400_000, BAR_MS - 200 * 86_400_000, score, DETAILS, micros(T0) + number),
        )
    connection.close()


def test_version_2_with_decisions_is_chained_and_goes_on_from_there(path: Path) -> None:
    make_version_2(path)
    with SqliteLedger(path) as ledger:
        assert ledger.epoch == EPOCH
        assert ledger.book_events() == [a_flow(), a_fill(), a_write_off()]
        ledger.record_decision(a_decision())
        ledger.record_coins_out(a_removal())
        assert ledger.book_events() == [a_flow(), a_fill(), a_write_off(), a_removal()]
    assert version_of(path) == (3, "3")
    with LedgerAudit(path) as audit:
        state = audit.chain()
        assert state is not None
        assert (state.anchor, state.count, state.last_seq) == (str(EPOCH), 4, 4)
        assert audit.broken_chain(state) == []
        assert [number for number, _ in audit.numbered_decisions()] == [1, 2, 3, 4]
    copy = path.with_name("ledger.sqlite3.v2.bak")
    assert version_of(copy) == (2, "2")
    with LedgerReader(copy) as reader:
        assert reader.book_events() == [a_flow(), a_fill(), a_write_off()]
        assert [decision.details["sma200"] for decision in reader.decisions()] == [51234.5] * 3


def test_version_2_brought_up_to_date_has_the_tables_of_a_new_ledger(path: Path, tmp_path: Path) -> None:
    make_version_2(path)
    SqliteLedger(path).close()
    SqliteLedger(tmp_path / "new").close()
    assert tables_of(path) == tables_of(tmp_path / "new")


def test_decision_of_version_2_changed_after_it_was_chained_is_found(path: Path) -> None:
    make_version_2(path)
    SqliteLedger(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE decisions SET score = 0.4 WHERE seq = 2")
    connection.close()
    with LedgerAudit(path) as audit:
        state = audit.chain()
        assert state is not None
        assert [problem.split()[1] for problem in audit.broken_chain(state)] == ["2"]


@pytest.mark.parametrize("make", [make_version_1, make_version_2])
def test_audit_of_an_older_version_has_no_chain_and_changes_nothing(path: Path, make: Callable[[Path], object]) -> None:
    made = make(path)
    if isinstance(made, sqlite3.Connection):
        made.close()
    before = path.read_bytes()
    with LedgerAudit(path) as audit:
        assert audit.chain() is None
        assert audit.all_damage() == []
        assert audit.order_lives() == []
    assert path.read_bytes() == before
