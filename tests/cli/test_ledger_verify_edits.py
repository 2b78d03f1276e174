"""`ledger verify` over the ledger of a real run, in which one thing was edited, removed or damaged."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.storage.modes import LEDGER_NAME

ROOT = Path(__file__).resolve().parents[2]
STOP = "(SELECT client_order_id FROM orders_now WHERE purpose = 'stop' AND live = 1 ORDER BY seq LIMIT 1)"
BOUGHT = "(SELECT client_order_id FROM orders_now WHERE state = 'filled' ORDER BY seq LIMIT 1)"
DAY_US = 86_400_000_000


# The invented market begins at a fixed time, so that it is the same one on every day.
_RUN = """
from datetime import UTC, datetime
from bot.cli import main, run
run.current_time = lambda: datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
main.main(["--set", "SIGNAL_ENSEMBLE=False", "run", "--simulated", "--cycles", "60", "--interval", "0"])
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the program has run for 60 hours: two positions with their stops."""
    folder = tmp_path_factory.mktemp("recorded")
    ended = subprocess.run(
        [sys.executable, "-c", _RUN],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def ledger(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger of a copy of it, in the working directory."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIR", raising=False)
    return tmp_path / "simulated" / LEDGER_NAME


def edit(path: Path, *statements: str) -> None:
    """Change something; each statement must reach a row."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
    finally:
        connection.close()


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ledger", "verify", *arguments])


def checks() -> dict[str, dict[str, Any]]:
    """The outcome of ``verify --json`` by name."""
    result = verify("--json")
    document = json.loads(result.stdout)
    assert result.exit_code == (0 if document["ok"] else 4)
    return {check["name"]: check for check in document["checks"]}


def test_verify_of_a_real_run_holds_and_says_what_it_cannot_prove(ledger: Path) -> None:
    result = verify()
    assert result.exit_code == 0, result.stdout
    assert "NOT OK" not in result.stdout
    words = " ".join(result.stdout.split())
    assert "Everything holds. Not provable, because the file has it once: prices of orders that have ended;" in words
    with sqlite3.connect(ledger) as connection:  # else the edits below would edit nothing
        assert connection.execute("SELECT count(*) FROM orders_now WHERE purpose = 'stop' AND live = 1").fetchone() == (
            2,
        )
    connection.close()


_REMOVED_STOP = (
    f"CREATE TEMP TABLE gone AS SELECT {STOP} AS id",
    "DELETE FROM order_events WHERE client_order_id IN gone",
    "DELETE FROM orders WHERE client_order_id IN gone",
    "DELETE FROM intents WHERE client_order_id IN gone",
)
_REMOVED_BUY = (
    f"CREATE TEMP TABLE gone AS SELECT {BOUGHT} AS id",
    *_REMOVED_STOP[1:],
)
_CANCELED_STOP = (
    f"CREATE TEMP TABLE gone AS SELECT {STOP} AS id",
    "UPDATE order_events SET to_state = 'canceled' WHERE client_order_id IN gone AND to_state = 'open'",
    "UPDATE orders SET state = 'canceled', live = 0 WHERE client_order_id IN gone",
)
Edit = tuple[str | tuple[str, ...], str, str]
"""Statements, the check that finds them, words of what it finds."""
EDITS: list[Edit] = [
    # fills
    (f"UPDATE fills SET at = at + {DAY_US} WHERE seq = 2", "fills", "its order was filled at "),
    ("UPDATE fills SET at = -1 WHERE seq = 2", "fills", "it is of 1969-12-31 23:59, its order was made at "),
    ("UPDATE fills SET symbol = 'DOGE/USD' WHERE seq = 2", "fills", "its symbol is DOGE/USD, that of its order "),
    ("UPDATE fills SET account = 'kraken' WHERE seq = 2", "fills", "its account is kraken, that of its order coinbase"),
    ("UPDATE fills SET side = 'sell' WHERE seq = 2", "fills", "its side is sell, that of its order buy"),
    ("UPDATE fills SET fee = '5000' WHERE seq = 2", "fills", "its fee 5000 is more than it is worth"),
    ("UPDATE fills SET fee = '-5000' WHERE seq = 2", "fills", "its fee -5000 is more than it is worth"),
    ("UPDATE fills SET quantity = '9' WHERE seq = 2", "fills", "its fills add up to 9"),
    ("UPDATE fills SET quantity = '1e999999' WHERE seq = 2", "fills", "row 2, column quantity: found '1e999999'"),
    ("UPDATE fills SET price = '1e-999999' WHERE seq = 2", "books", "row 2, column price: found '1e-999999'"),
    # intents
    (f"UPDATE intents SET quantity = '5' WHERE client_order_id = {BOUGHT}", "orders", "it is filled, with 0.0"),
    (
        f"UPDATE intents SET quantity = '5' WHERE client_order_id = {STOP}",
        "orders",
        "its quantity is 5, the last cycle",
    ),
    (f"UPDATE intents SET stop_price = '1' WHERE client_order_id = {STOP}", "orders", "its price is 1, the last cycle"),
    (
        f"UPDATE intents SET side = 'buy' WHERE client_order_id = {STOP}",
        "orders",
        "its purpose is stop and its side buy",
    ),
    (f"UPDATE intents SET purpose = 'exit' WHERE client_order_id = {STOP}", "orders", "is exit and its type stop"),
    (
        f"UPDATE intents SET number = 77 WHERE client_order_id = {STOP}",
        "orders",
        "its id was not made for number 77 of",
    ),
    (f"UPDATE intents SET symbol = 'DOGE/USD' WHERE client_order_id = {STOP}", "orders", "of DOGE/USD on coinbase in"),
    (f"UPDATE intents SET account = 'kraken' WHERE client_order_id = {STOP}", "orders", "not made for number 2 of "),
    (f"UPDATE intents SET at = at + 1 WHERE client_order_id = {BOUGHT}", "ok", ""),  # what the tolerance leaves
    # orders and what became of them
    (
        f"UPDATE orders SET venue_order_id = NULL WHERE client_order_id = {STOP}",
        "orders",
        "the venue's id of it is miss",
    ),
    (f"UPDATE orders SET filled_quantity = '7' WHERE client_order_id = {STOP}", "orders", "(filled 7 of 0."),
    (f"UPDATE orders SET updated_at = 5 WHERE client_order_id = {STOP}", "orders", "at another time than its last"),
    (f"UPDATE orders SET live = 0 WHERE client_order_id = {STOP}", "orders", "it is open, and marked as ended"),
    (_CANCELED_STOP, "orders", "the last cycle stored it as open, none of its transitions led there"),
    (
        (
            "UPDATE order_events SET to_state = 'partly_filled'"
            f" WHERE client_order_id = {BOUGHT} AND to_state = 'filled'",
            f"UPDATE orders SET state = 'partly_filled', live = 1 WHERE client_order_id = {BOUGHT}",
        ),
        "orders",
        "it is partly_filled, and the last cycle did not know it",
    ),
    (_REMOVED_STOP, "orders", "the last cycle stored it as open, and it is not in the ledger"),
    (_REMOVED_BUY, "fills", " was removed"),
    (_REMOVED_BUY, "orders", "table intents: order 1 is missing of "),
    (f"DELETE FROM intents WHERE client_order_id = {BOUGHT}", "orders", "an intent that belongs to it is missing"),
    (f"DELETE FROM order_events WHERE client_order_id = {BOUGHT}", "orders", "its transitions end in intent"),
    (
        "UPDATE order_events SET client_order_id = 'x' WHERE seq = 1",
        "orders",
        "table order_events, row 1: an order that belongs to it is missing",
    ),
    # memory
    ("DELETE FROM engine_values", "memory", "row engine_state: it is missing: halts, pauses, limits that were reached"),
    ("DELETE FROM engine_values WHERE key = 'performance'", "memory", "drawdown and daily loss would begin at zero"),
    ("DELETE FROM engine_values WHERE key = 'snapshot'", "memory", "row snapshot: it is missing: nothing tells what"),
    ("UPDATE engine_values SET value = '7'", "memory", "row engine_state: found '7' where the engine's state belongs"),
    (
        "UPDATE engine_values SET value = '{}'",
        "memory",
        "row engine_state: halted_by, cursors, stops, daily_loss_day is",
    ),
    ("UPDATE engine_values SET value = '{}'", "memory", "row performance: the performance record in the ledger cannot"),
    (
        "UPDATE engine_values SET value = '[]' WHERE key = 'snapshot'",
        "memory",
        "row snapshot: found '[]' where the acc",
    ),
    (
        "UPDATE engine_values SET value = json_set(value, '$.halted_by', 5) WHERE key = 'engine_state'",
        "memory",
        "row engine_state: the engine state in the ledger cannot be read: halted_by is 5",
    ),
    (
        "UPDATE engine_values SET value = json_set(value, '$.positions', 1) WHERE key = 'snapshot'",
        "books",
        "row snapshot: found '1' where the list of positions belongs",
    ),
    ("UPDATE equity SET equity = -5", "memory", "the equity is -5.0, below zero"),
    ("UPDATE equity SET equity = 9e999 WHERE at = (SELECT max(at) FROM equity)", "memory", "a value is no number"),
    ("UPDATE equity SET equity = equity + 1", "memory", "the last cycle stored "),
    ("UPDATE equity SET performance_index = 0", "memory", "the index is 0.0"),
    ("DELETE FROM equity", "memory", "table equity: the last cycle, of "),
    (
        "UPDATE meta SET value = '1' WHERE key = 'schema_version'",
        "file",
        "tables are of version 3, table meta, row sche",
    ),
    # bars
    ("DELETE FROM bars", "replay", ", 0 are there: table bars has lost some"),
    ("UPDATE bars SET source = 'x'", "replay", "0 are there: table bars has lost some"),
    ("DELETE FROM bars WHERE open_ms = (SELECT min(open_ms) FROM bars)", "replay", "table bars has lost some"),
    ("DELETE FROM bars WHERE open_ms = (SELECT max(open_ms) FROM bars)", "replay", "table bars has lost some"),
    ("UPDATE bars SET close = 0", "file", "a price is 0, negative or no number"),
    ("UPDATE bars SET close = 0", "replay", "its bars cannot be used: a stored number is zero, too large or too small"),
]


@pytest.mark.parametrize(("statements", "name", "words"), EDITS)
def test_verify_names_what_was_edited(ledger: Path, statements: str | tuple[str, ...], name: str, words: str) -> None:
    connection = sqlite3.connect(ledger, isolation_level=None)
    changed = 0
    for statement in (statements,) if isinstance(statements, str) else statements:
        changed += max(0, connection.execute(statement).rowcount)
    connection.close()
    assert changed > 0
    found = checks()
    if name == "ok":
        assert all(check["ok"] for check in found.values()), found
        return
    assert not found[name]["ok"], found
    assert any(words in problem for problem in found[name]["problems"]), found[name]
    assert " holds" not in found[name]["found"]
    assert "balance" not in found[name]["found"]
    assert "newest hash" not in found[name]["found"]
    for check in found.values():
        for problem in check["problems"]:
            assert "Error(" not in problem
            assert "<class" not in problem


# -- no false alarms


def test_verify_of_bars_that_came_later_is_no_problem(ledger: Path) -> None:
    # a gap that a venue filled after the decisions were made: they are not made again, and nothing is lost
    edit(
        ledger,
        "INSERT INTO bars SELECT source, symbol, timeframe, open_ms + 1, open, high, low, close, volume FROM bars"
        " WHERE open_ms = (SELECT min(open_ms) FROM bars)",
    )
    assert checks()["replay"]["ok"]


def test_verify_of_an_order_that_was_found_again_allows_for_lost_numbers(ledger: Path) -> None:
    edit(ledger, f"UPDATE intents SET reason = 'found at the venue: lost' WHERE client_order_id = {STOP}")
    connection = sqlite3.connect(ledger, isolation_level=None)
    for statement in _REMOVED_BUY:
        connection.execute(statement)
    connection.close()
    assert checks()["orders"]["ok"]


@pytest.mark.parametrize("days", [3, -3], ids=["died after a pause", "clock put back"])
def test_verify_of_a_fill_far_from_the_last_cycle_that_came_with_its_transition_is_no_problem(
    ledger: Path, days: int
) -> None:
    by = days * DAY_US
    edit(
        ledger,
        f"UPDATE fills SET at = at + {by} WHERE client_order_id = {BOUGHT}",
        f"UPDATE order_events SET at = at + {by} WHERE client_order_id = {BOUGHT} AND to_state = 'filled'",
        f"UPDATE orders SET updated_at = updated_at + {by} WHERE client_order_id = {BOUGHT}",
    )
    found = checks()
    assert found["fills"]["ok"], found["fills"]
    assert found["orders"]["ok"], found["orders"]


# -- files that are no ledger any more


@pytest.mark.parametrize("content", [b"no ledger at all, only text" * 100, b""])
def test_verify_of_a_file_that_is_no_ledger_ends_with_4(ledger: Path, content: bytes) -> None:
    ledger.write_bytes(content)
    result = verify("--mode", "simulated")
    assert result.exit_code == 4
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Put a backup in its place" in " ".join(result.output.split())


def test_verify_of_half_a_file_ends_with_4_and_says_what_moving_it_away_costs(ledger: Path) -> None:
    content = ledger.read_bytes()
    ledger.write_bytes(content[: len(content) // 2])
    result = verify()
    assert result.exit_code == 4
    words = " ".join(result.stdout.split())
    assert "NOT OK file" in words
    assert "On a live account that has a price" in words
    assert not json.loads(verify("--json").stdout)["ok"]


@pytest.mark.parametrize("instead", ["nothing", "folder", "link"])
def test_verify_of_a_ledger_that_is_gone_beside_its_account_ends_with_4(ledger: Path, instead: str) -> None:
    ledger.unlink()
    if instead == "folder":
        ledger.mkdir()
    elif instead == "link":
        ledger.symlink_to("nowhere")
    result = verify()
    assert result.exit_code == 4
    assert "it is missing, empty or no file, and paper_accounts.json beside it is there" in result.output
