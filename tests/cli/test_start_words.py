"""What a start says, and where it says nothing: two modes at once, a bot that runs already, real money left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from account_samples import NOW, write_account
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.cli.modes import live_left_alone
from bot.domain.modes import TradingMode
from bot.domain.snapshot import SNAPSHOT_KEY
from bot.settings import load_settings
from bot.storage.ledger import SqliteLedger
from bot.storage.lock import ModeLock
from bot.storage.modes import ledger_path, mode_folder

KRAKEN = {
    "KRAKEN_MASTER_API_KEY": "key",
    "KRAKEN_MASTER_API_SECRET": "c2VjcmV0LW5vLW9uZS1zZWVz",
    "PRIMARY_BROKER": "KRAKEN",
    "SECONDARY_BROKER": "NONE",
    "LIVE_TRADING": "True",
    "KRAKEN_API_URL": "http://127.0.0.1:1",
}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["run", *words], env=variables, prog_name="bot.py")


@pytest.mark.parametrize(
    ("modes", "named"),
    [
        (("--live", "--paper"), "--live and --paper"),
        (("--paper", "--live"), "--live and --paper"),
        (("--simulated", "--paper"), "--paper and --simulated"),
        (("--replay", ".", "--live"), "--live and --replay"),
        (("--live", "--paper", "--simulated"), "--live and --paper and --simulated"),
    ],
)
def test_run_in_two_modes_is_wrong_usage(folder: Path, modes: tuple[str, ...], named: str) -> None:
    result = run(*modes, "--once")
    assert result.exit_code == 2
    assert f"{named}: one mode at a time" in result.stderr
    assert list(folder.iterdir()) == []


def test_start_beside_a_running_bot_says_nothing_but_who_runs(folder: Path) -> None:
    with ModeLock(mode_folder(folder, TradingMode.LIVE), now=NOW, command="run --live"):
        result = run("--live", "--once", **KRAKEN)
    assert result.exit_code == 1
    assert "another process (pid " in result.stderr
    assert "REAL MONEY" not in result.stderr
    assert "Asking" not in result.stderr


def test_start_beside_a_bot_of_another_mode_says_what_it_is(folder: Path) -> None:
    with ModeLock(mode_folder(folder, TradingMode.LIVE), now=NOW, command="run --live"):
        result = run("--simulated", "--once", "--interval", "0")
    assert result.exit_code == 0
    assert result.stderr.startswith("SIMULATED: ")


def test_real_positions_left_alone_are_known_from_the_books_of_any_version(folder: Path) -> None:
    settings = load_settings(env_file=None, environ={}, overrides={"STATE_DIR": str(folder)})
    assert live_left_alone(settings) == []
    account = write_account(folder, TradingMode.LIVE)
    with SqliteLedger(ledger_path(account), durable=False) as ledger:
        ledger.set_value(SNAPSHOT_KEY, {"schema_version": 1})
    # of its three orders none was seen to end
    assert live_left_alone(settings) == [
        "WARNING: the LIVE account holds 1 positions and 3 orders, and nobody looks after them while this runs: see "
        "`status --mode live`."
    ]
    with ModeLock(account, now=NOW, command="run --live"):
        assert live_left_alone(settings) == []
