"""What the steering commands say of a running bot: that it has taken the command, or plainly that it has not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from account_samples import NOW, write_account
from click.testing import CliRunner, Result

from bot.bootstrap import CONTROL_FOLDER
from bot.cli import control
from bot.cli.main import main
from bot.clock import StopSignal
from bot.domain.snapshot import SNAPSHOT_KEY, SNAPSHOT_SCHEMA_VERSION
from bot.storage.control import ControlQueue
from bot.storage.ledger import SqliteLedger
from bot.storage.lock import ModeLock
from bot.storage.modes import ledger_path

PATIENCE_S = 90.0
"""30, and the 60 for which the sample's bot sleeps at NOW."""


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a paper account."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(control, "current_time", lambda: NOW)
    return write_account(tmp_path)


@pytest.fixture
def bot(account: Path) -> Iterator[ModeLock]:
    """A bot that runs there: this process has its lock, and the test does what it would do."""
    lock = ModeLock(account, now=NOW, command="run --paper")
    with lock:
        yield lock


def meanwhile(monkeypatch: pytest.MonkeyPatch, does: Callable[[int], None]) -> list[float]:
    """Instead of waiting, ``does`` is called with the number of the wait; the list fills with their seconds."""
    waits: list[float] = []

    def wait(_: StopSignal, seconds: float) -> None:
        waits.append(seconds)
        does(len(waits))

    monkeypatch.setattr(StopSignal, "wait", wait)
    return waits


def say(*words: str) -> Result:
    return CliRunner().invoke(main, [*words], prog_name="bot.py")


def queued(account: Path) -> list[Path]:
    return sorted((account / CONTROL_FOLDER).glob("*.json"))


@pytest.mark.usefixtures("bot")
def test_command_is_waited_for_until_the_bot_has_taken_it(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ControlQueue(account / CONTROL_FOLDER).put("resume", now=NOW - timedelta(minutes=1), reset_drawdown=False)

    def take(number: int) -> None:
        if number == 3:
            assert len(ControlQueue(account / CONTROL_FOLDER).take_all()) == 2
            ControlQueue(account / CONTROL_FOLDER).put("pause", now=NOW)  # somebody else's: not waited for

    waits = meanwhile(monkeypatch, take)
    result = say("halt")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "Told the running bot (PAPER). Waiting until it takes the command, at most 90 s.",
        "Taken. HALTED: no entries; positions keep their stops. `resume` goes on. `status` shows what came of it.",
    ]
    assert waits == [control.LOOKED_EVERY_S] * 3


@pytest.mark.usefixtures("bot")
@pytest.mark.parametrize("command", [("halt",), ("pause",), ("resume",), ("flatten", "--yes")])
def test_command_that_nobody_takes_says_so_and_ends_with_4(
    account: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    waits = meanwhile(monkeypatch, lambda _: None)
    result = say(*command)
    assert result.exit_code == 4
    assert sum(waits) == pytest.approx(PATIENCE_S)
    assert "Taken" not in result.stdout
    assert f"the running bot (pid {os.getpid()}) has not taken the command within 90 s" in result.stderr
    assert f"say `{command[0]}` again" in result.stderr
    assert ("nothing has been sold" in result.stderr) is (command[0] == "flatten")
    assert len(queued(account)) == 1


def test_command_to_a_bot_that_ends_without_taking_it_says_so(
    account: Path, bot: ModeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda _: bot.close())
    result = say("halt")
    assert result.exit_code == 4
    assert "the bot has ended and has not taken it; say `halt` again, and it is done here" in result.stderr
    assert len(queued(account)) == 1


@pytest.mark.usefixtures("bot")
@pytest.mark.parametrize(
    ("in_s", "wait_s"),
    [
        (41, 71),  # 30 + 41
        (-500, 30),  # a bot that should have looked long ago
        (86_400, 90),  # 30 + 60: no bot that polls every 60 s sleeps for longer
    ],
)
def test_command_waits_for_as_long_as_the_bot_may_sleep(
    account: Path, monkeypatch: pytest.MonkeyPatch, in_s: int, wait_s: int
) -> None:
    with SqliteLedger(ledger_path(account), durable=False) as ledger:
        snapshot = ledger.value(SNAPSHOT_KEY)
        assert isinstance(snapshot, dict)
        new = {"next_cycle_at": (NOW + timedelta(seconds=in_s)).isoformat(), "poll_s": 60.0}
        ledger.set_value(SNAPSHOT_KEY, {**snapshot, "schema_version": SNAPSHOT_SCHEMA_VERSION, **new})
    waits = meanwhile(monkeypatch, lambda _: None)
    result = say("halt")
    assert f"at most {wait_s} s." in result.stdout
    assert sum(waits) == pytest.approx(wait_s)
