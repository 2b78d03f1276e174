"""`ledger verify`, `ledger export`, `ledger backup` as a user calls them."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from account_samples import T0, write_account
from click.testing import CliRunner, Result

from bot.books import performance
from bot.cli.main import main
from bot.domain.account import CoinsOut, Flow
from bot.domain.modes import TradingMode
from bot.domain.orders import OrderState, client_order_id
from bot.engine.state import EngineState
from bot.ports import DecisionRecord
from bot.storage.ledger import SqliteLedger
from bot.storage.modes import ledger_path
from bot.views.ledger_tables import COLUMNS, What

ROOT = Path(__file__).resolve().parents[2]
NASTY = 'two\r\nlines, a "quote", a ; and = 1+1'


EPOCH = UUID("00000000-0000-4000-8000-000000000001")
IDS = [client_order_id(EPOCH, "coinbase", "BTC/USD", number) for number in (1, 2, 3)]


def _give_real_ids(path: Path) -> None:
    """Give the ledger the identity above, and its orders the ids that follow from it."""
    connection = sqlite3.connect(path, isolation_level=None)
    [(epoch,)] = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchall()
    connection.execute("UPDATE meta SET value = replace(value, ?, ?)", (epoch, str(EPOCH)))
    for number, order_id in enumerate(IDS, start=1):
        for table in ("intents", "orders", "fills"):
            connection.execute(
                f"UPDATE {table} SET client_order_id = ? WHERE client_order_id = ?",
                (order_id, f"id-{number}"),
            )
    connection.close()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger of a paper account in the working directory: a round trip, an open position, two decisions."""
    path = ledger_path(write_account(tmp_path))
    _give_real_ids(path)
    with SqliteLedger(path, durable=False) as opened:
        opened.set_value("engine_state", EngineState().to_json())
        opened.set_value("performance", performance.to_json(performance.Performance()))
        for order_id in IDS:
            order = opened.order(order_id)
            assert order is not None
            sent = order.moved_to(OrderState.IN_FLIGHT, at=order.created_at)
            opened.record_transition(sent, OrderState.INTENT)
            filled = sent.moved_to(
                OrderState.FILLED, at=order.created_at, filled_quantity=order.quantity, venue_order_id="v"
            )
            opened.record_transition(filled, OrderState.IN_FLIGHT, NASTY)
        for day in (0, 1):
            opened.record_decision(_decision(day))
    monkeypatch.chdir(tmp_path)
    for name in ("STATE_DIR", "MIN_SIGNAL_SCORE"):
        monkeypatch.delenv(name, raising=False)
    return path


def _decision(day: int) -> DecisionRecord:
    return DecisionRecord(
        symbol="BTC/USD",
        account="",
        bar_ms=int(T0.timestamp() * 1000) + day * 86_400_000,
        first_bar_ms=0,
        bars=3,
        action="hold",
        score=0.5,
        details={"why": NASTY},
        at=T0 + timedelta(days=day),
    )


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ledger", *arguments])


def edit(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        assert connection.execute(statement).rowcount > 0, statement
    finally:
        connection.close()


def checks() -> dict[str, dict[str, Any]]:
    """The outcome of ``verify --json`` by name."""
    result = call("verify", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code == 0) is document["ok"]
    assert result.exit_code in (0, 4)
    assert document["ok"] == all(check["ok"] for check in document["checks"])
    return {check["name"]: check for check in document["checks"]}


# -- verify


def test_verify_of_a_good_ledger_ends_with_0_and_a_line_per_check(ledger: Path) -> None:
    before = ledger.read_bytes()
    result = call("verify")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "PAPER: play money at live prices, no real orders"
    assert [line.split()[1] for line in lines if line.startswith("   ok ")] == [
        *("file", "orders", "fills", "books", "chain", "memory", "replay")
    ]
    assert " Everything holds." in lines
    assert " ".join(result.stdout.split()).endswith("A backup kept elsewhere tells.")
    assert all(len(line) <= 80 for line in lines)
    assert ledger.read_bytes() == before
    found = checks()
    assert found["orders"]["found"] == "3 orders, 6 transitions"
    assert found["fills"]["found"] == "3 fills"
    # $100 - 18.00 - 0.10 + 19.00 - 0.20 - 20.00 - 0.12
    assert found["books"]["found"] == (
        "4 events balance to the last digit: open positions 1, cash $80.58, fees $0.42; "
        "they equal what the last cycle stored"
    )
    assert len(found["chain"]["hash"]) == 64
    assert found["replay"]["found"] == (
        "0 decisions made again, 2 not (2: a version that did not store what they follow from made them)"
    )


EDITS = [
    (f"UPDATE orders SET state = 'canceled' WHERE client_order_id = '{IDS[0]}'", "orders", "stored as canceled"),
    (f"UPDATE orders SET live = 1 WHERE client_order_id = '{IDS[0]}'", "orders", "marked as live"),
    ("UPDATE orders SET updated_at = updated_at + 1", "orders", "another time"),
    ("UPDATE order_events SET to_state = 'rejected' WHERE seq = 2", "orders", "its transitions end in rejected"),
    ("UPDATE order_events SET from_state = 'open' WHERE seq = 2", "orders", "begins in open where the one before"),
    ("UPDATE order_events SET filled_quantity = '0.0001' WHERE seq = 2", "orders", "end with 0.0001"),
    ("DELETE FROM order_events WHERE seq = 1", "orders", "begins in in_flight where the one before ended in intent"),
    (f"UPDATE orders SET state = 'lost' WHERE client_order_id = '{IDS[1]}'", "orders", "column state: found 'lost'"),
    ("UPDATE fills SET quantity = '0.0001' WHERE fill_id = 'fill-3'", "fills", "its fills add up to 0.0001"),
    ("DELETE FROM fills WHERE fill_id = 'fill-3'", "fills", "its fills add up to 0"),
    ("UPDATE fills SET fee = '0.11' WHERE fill_id = 'fill-1'", "books", "the books say 80.57"),
    ("UPDATE fills SET price = '1' WHERE fill_id = 'fill-1'", "books", "USD on coinbase"),
    ("UPDATE fills SET quantity = '1' WHERE fill_id = 'fill-2'", "books", "the books hold 0.0002"),
    ("UPDATE flows SET amount = '101'", "books", "the books say 81.58"),
    ("DELETE FROM flows", "books", "the books say -19.42"),
    ("UPDATE flows SET amount = 'much'", "books", "table flows, row 1, column amount: found 'much'"),
    ("UPDATE decisions SET score = 0.75 WHERE seq = 2", "chain", "decision 2 (BTC/USD) does not follow"),
    ("DELETE FROM decisions WHERE seq = 2", "chain", "the newest decision should be 2 of 2"),
    ("UPDATE meta SET value = '{}' WHERE key = 'decision_chain'", "chain", "table meta, row decision_chain"),
    ("UPDATE meta SET value = 'x' WHERE key = 'epoch'", "file", "identity"),
    ("UPDATE engine_values SET value = '{' WHERE key = 'snapshot'", "file", "table engine_values, row snapshot"),
    (
        "UPDATE engine_values SET value = '{\"schema_version\": 6, \"positions\": 1}' WHERE key = 'snapshot'",
        "books",
        "table engine_values, row snapshot: strategy, trading_mode, engine_mode is missing in it",
    ),
    ("UPDATE refusals SET code = 'no_idea' WHERE seq = 1", "file", "table refusals, row 1, column code"),
    ("UPDATE decisions SET details = '{' WHERE seq = 1", "replay", "table decisions, row 1, column details"),
]


@pytest.mark.parametrize(("statement", "name", "words"), EDITS)
def test_verify_of_an_edited_ledger_ends_with_4_and_says_where(
    ledger: Path, statement: str, name: str, words: str
) -> None:
    edit(ledger, statement)
    found = checks()
    assert not found[name]["ok"]
    assert any(words in problem for problem in found[name]["problems"]), found[name]
    result = call("verify")
    assert result.exit_code == 4
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert f"NOT OK  {name}" in result.stdout
    assert "Does not hold: " in result.stdout


def test_verify_of_an_intent_without_an_order_says_so(ledger: Path) -> None:
    edit(ledger, "DELETE FROM fills")
    edit(ledger, "DELETE FROM order_events")
    edit(ledger, f"DELETE FROM orders WHERE client_order_id = '{IDS[1]}'")
    assert f"table intents, row {IDS[1]}: an order that belongs to it is missing" in checks()["orders"]["problems"]


def test_verify_shows_the_first_problems_and_counts_all(ledger: Path) -> None:
    with SqliteLedger(ledger, durable=False) as opened:
        for day in range(2, 30):
            opened.record_decision(_decision(day))
    edit(ledger, "UPDATE decisions SET action = 'exit'")
    found = checks()["chain"]
    assert len(found["problems"]) == 10
    assert found["found"] == "30 problems in 30 decisions"


def test_verify_beside_a_bot_between_two_cycles_takes_newer_events_for_what_they_are(ledger: Path) -> None:
    with SqliteLedger(ledger, durable=False) as opened:
        flow = Flow(account="coinbase", asset="USD", amount=Decimal(5), at=T0 + timedelta(days=10), note="deposit")
        with opened.transaction():
            opened.record_flow(flow)
            assert checks()["books"]["found"].endswith("; they equal what the last cycle stored")
        assert checks()["books"]["ok"]
        assert checks()["books"]["found"].endswith("; all but the newest 1 equal what the last cycle stored")


def test_verify_of_a_fill_after_the_end_of_its_order_is_no_problem(ledger: Path) -> None:
    edit(ledger, f"UPDATE orders SET state = 'canceled', filled_quantity = '0' WHERE client_order_id = '{IDS[2]}'")
    edit(ledger, "UPDATE order_events SET to_state = 'canceled', filled_quantity = '0' WHERE seq = 6")
    found = checks()
    assert found["orders"]["ok"]
    assert found["fills"] == {"name": "fills", "ok": True, "found": "3 fills, 1 order got more after the end"} | {
        "problems": []
    }


def test_verify_of_a_fill_that_the_venue_has_not_listed_waits_for_it(ledger: Path) -> None:
    finding = {
        "code": "fills_late",
        "account": "coinbase",
        "about": IDS[2],
        "detail": "",
        "since": T0.isoformat(),
        "blocks": False,
    }
    connection = sqlite3.connect(ledger, isolation_level=None)
    snapshot = json.loads(connection.execute("SELECT value FROM engine_values WHERE key = 'snapshot'").fetchone()[0])
    snapshot["findings"] = [finding]
    connection.execute("UPDATE engine_values SET value = ? WHERE key = 'snapshot'", (json.dumps(snapshot),))
    connection.close()
    edit(ledger, "DELETE FROM fills WHERE fill_id = 'fill-3'")
    assert checks()["fills"]["ok"]
    assert "1 order without fills that the venue has not listed yet" in checks()["fills"]["found"]


def test_verify_of_a_damaged_page_ends_with_4_and_no_traceback(ledger: Path) -> None:
    content = bytearray(ledger.read_bytes())
    content[-4096:] = b"\xff" * 4096
    ledger.write_bytes(bytes(content))
    result = call("verify")
    assert result.exit_code == 4
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("command", [("verify",), ("export", "--format", "json"), ("backup",)])
def test_nothing_recorded_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*command).exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_mode_chooses_the_ledger(ledger: Path, tmp_path: Path) -> None:
    write_account(tmp_path, TradingMode.LIVE)
    assert json.loads(call("verify", "--json", "--mode", "live").stdout)["mode"] == "LIVE"
    assert json.loads(call("verify", "--json", "--mode", "paper").stdout)["mode"] == "PAPER"
    assert call("verify", "--mode", "simulated").exit_code == 3


# -- export


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_export_of_fills_is_exact(ledger: Path) -> None:
    result = call("export", "--format", "csv", "--what", "fills")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        "at,account,symbol,side,quantity,price,fee,liquidity,client_order_id,fill_id",
        f"2026-02-01T00:01:00+00:00,coinbase,BTC/USD,buy,0.0002,90000,0.10,taker,{IDS[0]},fill-1",
    ]
    assert result.stderr == ""


def test_export_of_lots_is_first_in_first_out_and_says_what_it_is_not(ledger: Path) -> None:
    result = call("export", "--format", "csv", "--what", "lots")
    # 0.0002 x 90000 + 0.10 = 18.10; 0.0002 x 95000 - 0.20 = 18.80; 0.0002 x 100000 + 0.12 = 20.12
    assert result.stdout.splitlines() == [
        "account,asset,quantity,acquired_at,acquired_by,disposed_at,disposed_by,cost_basis,proceeds,gain,holding_days",
        "coinbase,BTC,0.0002,2026-02-01T00:01:00+00:00,bought,2026-02-04T00:01:00+00:00,sold,18.1000,18.8000,0.7000,3",
        "coinbase,BTC,0.0002,2026-02-06T00:01:00+00:00,bought,,,20.1200,,,",
    ]
    assert "first in, first out" in result.stderr
    assert "no tax advice" in result.stderr
    assert "no tax advice" in " ".join(call("export", "--help").output.split())


def test_export_of_flows_has_coins_that_were_moved(ledger: Path) -> None:
    with SqliteLedger(ledger, durable=False) as opened:
        for quantity in ("0.0001", "-0.0001"):
            opened.record_coins_out(
                CoinsOut(
                    account="coinbase", symbol="BTC/USD", quantity=Decimal(quantity), price=Decimal("99000.5"), at=T0
                )
            )
    at = "2026-02-01T00:01:00+00:00"
    assert call("export", "--format", "csv", "--what", "flows").stdout.splitlines() == [
        "at,account,asset,amount,price,note",
        f"{at},coinbase,USD,100,,opening balance",
        f"{at},coinbase,BTC,-0.0001,99000.5,coins moved out by hand",
        f"{at},coinbase,BTC,0.0001,99000.5,coins came back by hand",
    ]


def test_export_of_trades_and_orders_has_a_row_each(ledger: Path) -> None:
    [trade] = rows(call("export", "--format", "csv", "--what", "trades").stdout)
    assert (trade["gross_pnl"], trade["fees"], trade["closed_by"]) == ("1.0000", "0.30", "exit")
    assert Decimal(trade["net_pnl"]) == Decimal("0.70")
    orders = rows(call("export", "--format", "csv", "--what", "orders").stdout)
    assert [(order["client_order_id"], order["state"], order["price"]) for order in orders] == [
        (IDS[0], "filled", ""),
        (IDS[1], "filled", ""),
        (IDS[2], "filled", ""),
    ]


def test_export_keeps_newlines_commas_and_quotes(ledger: Path, tmp_path: Path) -> None:
    edit(ledger, f"UPDATE intents SET reason = '{NASTY}' WHERE number = 1")
    assert call("export", "--format", "csv", "--out", "out").exit_code == 0
    with (tmp_path / "out" / "orders.csv").open(newline="", encoding="utf-8") as file:
        assert next(iter(csv.DictReader(file)))["reason"] == NASTY
    with (tmp_path / "out" / "decisions.csv").open(newline="", encoding="utf-8") as file:
        assert json.loads(next(iter(csv.DictReader(file)))["details"]) == {"why": NASTY}
    result = call("export", "--format", "json", "--what", "orders")
    assert json.loads(result.stdout)["orders"][0]["reason"] == NASTY


def test_export_of_everything_as_json_has_every_table_with_its_columns(ledger: Path) -> None:
    document = json.loads(call("export", "--format", "json").stdout)
    assert list(document) == ["mode", "note", *What]
    for what in What:
        assert document[what], f"no {what}"
        assert list(document[what][0]) == COLUMNS[what]


def test_export_of_an_empty_ledger_has_header_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    SqliteLedger(tmp_path / "ledger.sqlite3").close()
    assert call("export", "--format", "csv", "--out", "out").exit_code == 0
    for what in What:
        assert (tmp_path / "out" / f"{what}.csv").read_text() == ",".join(COLUMNS[what]) + "\n"


def test_export_of_all_tables_into_one_csv_is_wrong_usage(ledger: Path) -> None:
    result = call("export", "--format", "csv")
    assert result.exit_code == 2
    assert "choose one with --what" in result.output


def test_export_replaces_no_file_unless_forced(ledger: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "lots.csv").write_text("mine")
    result = call("export", "--format", "csv", "--out", "out")
    assert result.exit_code == 1
    assert "lots.csv would be replaced" in result.output
    assert [file.name for file in out.iterdir()] == ["lots.csv"]
    assert (out / "lots.csv").read_text() == "mine"
    assert call("export", "--format", "csv", "--out", "out", "--force").exit_code == 0
    assert sorted(file.name for file in out.iterdir()) == sorted(f"{what}.csv" for what in What)
    assert {stat.S_IMODE(file.stat().st_mode) for file in out.iterdir()} == {0o600}


def test_export_where_nothing_can_be_written_says_so(ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call("export", "--format", "json", "--out", "file/out")
    assert result.exit_code == 1
    assert "export file/out: cannot be written" in result.output


def test_export_of_books_that_contradict_themselves_ends_with_1(ledger: Path) -> None:
    edit(ledger, "UPDATE fills SET quantity = '1' WHERE fill_id = 'fill-2'")
    result = call("export", "--format", "csv", "--what", "trades")
    assert result.exit_code == 1
    assert result.output.startswith(
        "Error: ledger paper/ledger.sqlite3: its books do not hold: fill fill-2 on coinbase"
    )
    assert "Traceback" not in result.output


# -- backup


def test_backup_goes_beside_the_ledger_named_by_its_time_and_says_how_to_put_it_back(ledger: Path) -> None:
    result = call("backup")
    assert result.exit_code == 0, result.output
    [backup] = (ledger.parent / "backups").iterdir()
    assert backup.name.startswith("ledger-2")
    assert backup.name.endswith("Z.sqlite3")
    assert len(backup.name) == len("ledger-20260101T000000Z.sqlite3")
    words = " ".join(result.stdout.split())
    assert str(backup.name) in words
    assert "stop the bot" in words
    assert "`python bot.py ledger verify`" in words


def test_backup_named_by_the_user_is_not_written_twice(ledger: Path, tmp_path: Path) -> None:
    assert call("backup", "mine.sqlite3").exit_code == 0
    result = call("backup", "mine.sqlite3")
    assert result.exit_code == 1
    assert "a backup replaces none" in result.output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine.sqlite3", "paper"]


def test_backup_put_back_verifies(ledger: Path, tmp_path: Path) -> None:
    assert call("backup", "mine.sqlite3").exit_code == 0
    edit(ledger, "DELETE FROM decisions")
    assert call("verify").exit_code == 4
    (tmp_path / "mine.sqlite3").replace(ledger)
    assert call("verify").exit_code == 0


# -- the program


def test_whole_account_of_a_real_run_verifies_while_it_is_exported(tmp_path: Path) -> None:
    def bot(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8", "BOT_RESTARTED": "1"}
        return subprocess.run(
            [sys.executable, str(ROOT / "bot.py"), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )

    assert bot("run", "--simulated", "--cycles", "60", "--interval", "0").returncode == 0
    run = bot("ledger", "verify", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    found = {check["name"]: check["found"] for check in json.loads(run.stdout)["checks"]}
    # 60 hours: two or three days of three coins and the first decision, all made again
    assert found["replay"] in ("9 decisions made again", "12 decisions made again")
    assert bot("ledger", "export", "--format", "csv", "--what", "fills").returncode == 0
