"""Steering for programs (`--json`), and `resume` saying what it accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from account_samples import NOW, write_account
from click.testing import CliRunner, Result

from bot.bootstrap import CONTROL_FOLDER
from bot.cli import control
from bot.cli.main import main
from bot.clock import StopSignal
from bot.domain.modes import TradingMode
from bot.domain.snapshot import SNAPSHOT_KEY, SNAPSHOT_SCHEMA_VERSION
from bot.storage.control import ControlQueue
from bot.storage.ledger import SqliteLedger
from bot.storage.lock import ModeLock
from bot.storage.modes import ledger_path

MISSING = {
    "code": "coins_missing",
    "account": "coinbase",
    "about": "BTC/USD",
    "detail": "the books hold 0.0002, the venue 0",
    "since": NOW.isoformat(),
    "blocks": True,
}
ACCEPTED = (
    "Accepted: coins of the bot are missing on coinbase (BTC/USD), since 2026-02-11 00:01 UTC: it is booked out like a "
    "withdrawal, no sooner than ten minutes after it was missed. The books hold 0.0002, the venue 0."
)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a simulated account, in which coins are missing; no pause is waited for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(control, "current_time", lambda: NOW)
    folder = write_account(tmp_path)
    with SqliteLedger(ledger_path(folder), durable=False) as ledger:
        snapshot = ledger.value(SNAPSHOT_KEY)
        assert isinstance(snapshot, dict)
        foreign = {**MISSING, "code": "foreign_coins", "blocks": False}
        ledger.set_value(SNAPSHOT_KEY, {**snapshot, "findings": [foreign, MISSING]})
    return folder


@pytest.fixture
def bot(account: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bot that runs there and takes each command while it is waited for."""
    monkeypatch.setattr(StopSignal, "wait", lambda *_: ControlQueue(account / CONTROL_FOLDER).take_all())
    with ModeLock(account, now=NOW, command="run --paper"):
        yield


def say(*words: str) -> Result:
    return CliRunner().invoke(main, [*words], prog_name="bot.py")


@pytest.mark.usefixtures("bot")
def test_resume_says_what_it_accepts() -> None:
    result = say("resume", "--book-out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == f"Taken. Resumed. {ACCEPTED} `status` shows what came of it."


@pytest.mark.usefixtures("bot")
def test_resume_json_is_one_object_with_what_it_accepts() -> None:
    result = say("resume", "--reset-drawdown", "--book-out", "--accept-results", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    text = document.pop("text")
    assert document == {
        "command": "resume",
        "mode": "PAPER",
        "accepted": [ACCEPTED],
        "reset_drawdown": True,
        "book_out": True,
        "accept_results": True,
        "by": "running bot",
    }
    assert text.startswith(
        "Taken. Resumed. The drawdown counts from the present equity; this is recorded. Results count anew from now "
        "against what is expected; this is recorded. Accepted: "
    )
    assert result.stderr.startswith("Told the running bot (PAPER). Waiting")  # never between the lines of the object


@pytest.mark.usefixtures("bot")
@pytest.mark.parametrize("command", [("halt",), ("pause",), ("flatten", "--yes")])
def test_other_commands_json_is_one_object_and_accepts_nothing(command: tuple[str, ...]) -> None:
    document = json.loads(say(*command, "--json").stdout)
    assert (document["command"], document["accepted"], document["by"]) == (command[0], [], "running bot")


@pytest.mark.usefixtures("bot")
def test_resume_beside_a_ledger_of_another_version_steers_all_the_same(account: Path) -> None:
    with SqliteLedger(ledger_path(account), durable=False) as ledger:
        snapshot = ledger.value(SNAPSHOT_KEY)
        assert isinstance(snapshot, dict)
        older = {key: value for key, value in snapshot.items() if key not in ("findings", "reconciled_at")}
        ledger.set_value(SNAPSHOT_KEY, {**older, "schema_version": SNAPSHOT_SCHEMA_VERSION - 1})
    result = say("resume", "--json")
    assert (result.exit_code, json.loads(result.stdout)["accepted"]) == (0, [])


def test_command_without_a_bot_is_done_here_and_says_so_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begun = say("run", "--simulated", "--once", "--interval", "0")
    assert begun.exit_code == 0, begun.stderr
    result = say("pause", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["command"], document["mode"], document["by"]) == (
        "pause",
        TradingMode.SIMULATED.value,
        "this command",
    )
