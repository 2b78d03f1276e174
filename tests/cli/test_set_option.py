from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli.main import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAPER_EQUITY", raising=False)


def setting(name: str, *arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(main, [*arguments, "config", "--json"])
    assert result.exit_code == 0, result.output
    row = json.loads(result.stdout)[name]
    return row["value"], row["origin"]


@pytest.mark.parametrize("arguments", [("--set", "PAPER_EQUITY=250"), ("--set=PAPER_EQUITY=250",)])
def test_set_option_wins_over_environment_and_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    (tmp_path / ".env").write_text("PAPER_EQUITY=90\n")
    assert setting("PAPER_EQUITY")[1] == ".env line 1"
    monkeypatch.setenv("PAPER_EQUITY", "80")
    assert setting("PAPER_EQUITY")[1] == "environment"
    value, origin = setting("PAPER_EQUITY", *arguments)
    assert value.startswith("250")
    assert origin == "command line"


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("PAPER_EQUITY", 2, "NAME=VALUE"),
        ("=5", 2, "NAME=VALUE"),
        ("PAPER_EQUIT=5", 78, "did you mean PAPER_EQUITY?"),
        ("MAX_DRAWDOWN=30", 78, "MAX_DRAWDOWN"),
        ("KRAKEN_MASTER_API_SECRET=abc", 78, "KRAKEN_MASTER_API_SECRET is a secret"),
    ],
)
def test_set_option_that_cannot_be_used_says_why(text: str, code: int, told: str) -> None:
    result = CliRunner().invoke(main, ["--set", text, "config"])
    assert result.exit_code == code
    assert told in result.output
    assert "abc" not in result.output


def test_set_option_without_a_command_is_a_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--set", "PAPER_EQUITY=40", "--once"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "simulated" / "ledger.sqlite3").exists()
