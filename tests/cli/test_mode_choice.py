"""Which mode a start takes, and the line that says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli.modes import Choice, check_live, choose_mode
from bot.domain.errors import ConfigError
from bot.domain.modes import TradingMode
from bot.settings import load_settings, secrets_stand_in
from bot.settings_schema import Settings, accounts_with_keys

COINBASE = {"COINBASE_API_KEY": "organizations/o/apiKeys/k7", "COINBASE_API_SECRET": "bG9jYWw="}
KRAKEN = {"KRAKEN_MASTER_API_KEY": "k9", "KRAKEN_MASTER_API_SECRET": "czk="}
NO_KEYS = (
    "no venue has complete credentials (COINBASE_API_KEY, COINBASE_API_SECRET, KRAKEN_MASTER_API_KEY, "
    "KRAKEN_MASTER_API_SECRET not set)"
)
NEVER_CONFIRMED = "real orders were never confirmed, and nobody is at the terminal; `run --live` confirms them"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, where ./.env and the live ledger are looked for."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(**values: str) -> Settings:
    return load_settings(env_file=None, environ={"LIVE_TRADING": "True", **values})


def settings_in_file(folder: Path, mode: int, **values: str) -> Settings:
    path = folder / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    path.chmod(mode)
    return load_settings(env_file=Path(".env"), environ={})


def traded_live(folder: Path) -> None:
    """A start before this one was confirmed."""
    (folder / "ledger.sqlite3").write_bytes(b"")


@contextmanager
def typing(answer: str) -> Iterator[list[bytes]]:
    """Somebody who types; what the question looked like is in the list afterwards."""
    shown: list[bytes] = []
    with CliRunner().isolation(input=answer) as (_, err, *_rest):
        yield shown
        shown.append(err.getvalue())


def chosen(mode: TradingMode, why: str = "") -> Choice:
    return Choice(mode=mode, why=why)


@pytest.mark.parametrize("values", [{}, {**COINBASE, **KRAKEN}, {"LIVE_TRADING": "False"}])
def test_simulated_asked_for_needs_no_reason(values: dict[str, str]) -> None:
    assert choose_mode(settings(**values), "simulated", can_ask=True) == chosen(TradingMode.SIMULATED)


@pytest.mark.parametrize("values", [{}, {**COINBASE, **KRAKEN}, {"LIVE_TRADING": "False"}])
def test_paper_asked_for_is_paper_whatever_else_is_there(folder: Path, values: dict[str, str]) -> None:
    traded_live(folder)
    assert choose_mode(settings(**values), "paper", can_ask=True) == chosen(TradingMode.PAPER, "--paper")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, NO_KEYS),
        ({**COINBASE, **KRAKEN, "LIVE_TRADING": "False"}, "LIVE_TRADING is False"),
        (
            {"COINBASE_API_KEY": "organizations/o/apiKeys/k7"},
            "no venue has complete credentials (COINBASE_API_SECRET, KRAKEN_MASTER_API_KEY, KRAKEN_MASTER_API_SECRET "
            "not set)",
        ),
        (
            {**KRAKEN, "SECONDARY_BROKER": "NONE"},
            "no venue has complete credentials (COINBASE_API_KEY, COINBASE_API_SECRET not set)",
        ),
    ],
)
@pytest.mark.parametrize("can_ask", [True, False])
def test_anything_missing_for_live_is_paper_and_says_what(
    folder: Path, values: dict[str, str], why: str, can_ask: bool
) -> None:
    traded_live(folder)  # also where real orders were confirmed once
    assert choose_mode(settings(**values), None, can_ask=can_ask) == chosen(TradingMode.PAPER, why)
    with pytest.raises(ConfigError) as refused:
        choose_mode(settings(**values), "live", can_ask=can_ask)
    assert str(refused.value) == f"--live: {why}"


@pytest.mark.parametrize("keys", [COINBASE, KRAKEN, {**COINBASE, **KRAKEN}])
def test_live_asked_for_with_the_keys_of_one_venue_is_confirmed_by_that(keys: dict[str, str]) -> None:
    assert choose_mode(settings(**keys), "live", can_ask=False) == chosen(TradingMode.LIVE)
    with_keys = {name.partition("_")[0].lower() for name in keys}
    assert set(accounts_with_keys(settings(**keys))) == with_keys


def test_first_start_with_nobody_there_is_paper() -> None:
    assert choose_mode(settings(**COINBASE), None, can_ask=False) == chosen(TradingMode.PAPER, NEVER_CONFIRMED)


def test_first_start_asks_and_the_word_live_starts() -> None:
    with typing("live\n") as shown:
        choice = choose_mode(settings(**KRAKEN), None, can_ask=True)
    assert choice == chosen(TradingMode.LIVE)
    question = shown[0].decode()
    assert question.startswith("This starts REAL TRADING with real money (")
    assert "promises no return and can lose" in question
    assert "Type 'live' to go on; anything else trades play money" in question


@pytest.mark.parametrize("answer", ["\n", "yes\n", "LIVE\n", "live!\n", "paper\n", ""])
def test_first_start_with_any_other_answer_is_paper(answer: str) -> None:
    with typing(answer):
        choice = choose_mode(settings(**COINBASE), None, can_ask=True)
    assert choice == chosen(TradingMode.PAPER, "real orders were not confirmed")


def test_question_names_only_the_venues_that_would_be_traded() -> None:
    with typing("\n") as shown:
        choose_mode(settings(**KRAKEN), None, can_ask=True)
    assert "real money (kraken)." in shown[0].decode()


@pytest.mark.parametrize("can_ask", [True, False])
def test_second_start_does_not_ask(folder: Path, can_ask: bool) -> None:
    traded_live(folder)
    with typing("") as shown:
        choice = choose_mode(settings(**COINBASE), None, can_ask=can_ask)
    assert choice == chosen(TradingMode.LIVE)
    assert shown == [b""]


def test_second_start_is_known_by_the_ledger_in_state_dir(folder: Path) -> None:
    traded_live(folder)  # of the working directory, which is not where this one keeps its books
    (folder / "kept").mkdir()
    elsewhere = settings(**COINBASE, STATE_DIR="kept")
    assert choose_mode(elsewhere, None, can_ask=False).mode is TradingMode.PAPER
    traded_live(folder / "kept")
    assert choose_mode(elsewhere, None, can_ask=False).mode is TradingMode.LIVE


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
@pytest.mark.parametrize("wanted", ["live", None])
def test_keys_in_a_file_that_others_can_read_stop_a_live_start(folder: Path, mode: int, wanted: str | None) -> None:
    traded_live(folder)
    open_to_others = settings_in_file(folder, mode, **KRAKEN)
    with pytest.raises(ConfigError, match=r"chmod 600 \.env") as refused:
        choose_mode(open_to_others, wanted, can_ask=False)
    assert "czk" not in str(refused.value)
    assert choose_mode(open_to_others, "paper", can_ask=False).mode is TradingMode.PAPER


def test_keys_in_a_private_file_start(folder: Path) -> None:
    traded_live(folder)
    assert choose_mode(settings_in_file(folder, 0o600, **KRAKEN), None, can_ask=False).mode is TradingMode.LIVE


def test_file_that_others_can_read_without_keys_in_it_does_not_stop(folder: Path) -> None:
    settings_in_file(folder, 0o644, PAPER_EQUITY="50")
    both = load_settings(env_file=Path(".env"), environ=KRAKEN)
    assert not secrets_stand_in(Path(".env"), both)
    check_live(both, why="--live")  # raises nothing


@pytest.mark.parametrize("wanted", ["live", None])
def test_key_from_a_file_that_others_can_read_stops_a_live_start(folder: Path, wanted: str | None) -> None:
    traded_live(folder)
    secret = folder / "where-the-key-is"
    secret.write_text("czk=")
    secret.chmod(0o640)
    values = {"KRAKEN_MASTER_API_KEY": "k9", "KRAKEN_MASTER_API_SECRET_FILE": str(secret)}
    with pytest.raises(ConfigError, match="KRAKEN_MASTER_API_SECRET_FILE: others on this machine can read") as refused:
        choose_mode(settings(**values), wanted, can_ask=False)
    assert "czk" not in str(refused.value)
    assert secret.name not in str(refused.value)
    assert choose_mode(settings(**values), "paper", can_ask=False).mode is TradingMode.PAPER
    secret.chmod(0o600)
    assert choose_mode(settings(**values), wanted, can_ask=False).mode is TradingMode.LIVE
