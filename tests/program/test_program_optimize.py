"""`optimize` and `walkforward` as a user runs them, in words and as JSON, and with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program_rig import assert_fails, bot, bot_inside, day_ms, days_of, walk, write_candles, write_env

FIRST, DAYS = "2022-01-01", 420
PRICES = {"BTC": 40_000.0, "ETH": 3_000.0, "SOL": 100.0}
DRIFTS = (0.3, 2.5, -1.5, 3.0)
RUN = ("--from", "2022-06-01", "--equity", "1000", "--venue", "kraken")
VARY = ("--vary", "STRATEGY=allocation,breakout", "--vary", "MAX_POSITION_PCT=6..18")
SEARCH = (*RUN, "--trials", "6", *VARY)
WALK = (*RUN, "--train", "3", "--test", "2")


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("candles")
    for place, (coin, price) in enumerate(PRICES.items()):
        hours = walk(seed=20 + place, first_ms=day_ms(FIRST), hours=DAYS * 24, price=price, drifts=DRIFTS)
        write_candles(folder, f"binance_{coin}-USDT_1d.csv", days_of(hours))
    return folder


@pytest.fixture
def account(tmp_path: Path) -> Path:
    write_env(tmp_path, "KRAKEN_MAKER_FEE_PCT=0.1", "KRAKEN_TAKER_FEE_PCT=0.2", f"STATE_DIR={tmp_path}")
    return tmp_path


def document(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> dict[str, Any]:
    done = bot_inside(monkeypatch, folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_search_tells_numbers_with_what_they_rest_on(
    account: Path, candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = document(monkeypatch, account, "optimize", str(candles), *SEARCH)
    assert (found["mode"], found["trials"], found["looks"], found["compiled"]) == ("OPTIMIZE", 6, 421, False)
    assert found["varied"] == ["STRATEGY=allocation,breakout", "MAX_POSITION_PCT=6..18"]
    assert found["winner"].keys() == found["present"].keys() == {"STRATEGY", "MAX_POSITION_PCT"}
    for part in ("searched", "held_out"):
        for name in ("winner", "present", "hold"):
            ratio = found[part][name]["sharpe"]
            assert ratio["n"] == found[part][name]["days"]
            assert ratio["value"] is None or ratio["low"] < ratio["value"] < ratio["high"]
    assert found["searched"]["winner"]["sharpe"]["value"] is not None
    assert 0.0 <= found["winner_dsr"] <= 1.0
    ahead = found["ahead_pct_a_year"]
    assert ahead["low"] <= ahead["value"] <= ahead["high"]
    assert found["beats_present_settings"] is (ahead["low"] > 0)
    assert found["searched"]["to"] < found["held_out"]["from"]
    assert found["decisions"] > 1_000


def test_search_in_words_ends_with_a_verdict_and_writes_no_setting(
    account: Path, candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in account.iterdir()), (account / ".env").read_bytes()
    done = bot_inside(monkeypatch, account, "optimize", str(candles), *SEARCH)
    assert done.returncode == 0, done.stderr
    for words in (
        "OPTIMIZE on binance candles (1d): searched 2022-06-01 to ",
        "simulated, and nothing is set.",
        "with the 415 rules before them 421 looks",
        "Instead of      STRATEGY=allocation, MAX_POSITION_PCT=18.0",
        "Where nobody searched",
        "points a year (",
        "paired, in blocks)",
        "Verdict         ",
        "6 sets on ",
    ):
        assert words in done.stdout
    assert " nan" not in done.stdout
    assert (sorted(path.name for path in account.iterdir()), (account / ".env").read_bytes()) == before


def test_study_in_the_state_folder_goes_on(account: Path, candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("optimize", str(candles), *SEARCH, "--study", "trials.log")
    first = document(monkeypatch, account, *asked)
    again = document(monkeypatch, account, *asked)
    assert (account / "trials.log").exists()
    assert (first["trials"], again["trials"], again["resumed_trials"], again["looks"]) == (6, 12, 6, 427)
    assert again["held_out"]["looked_at_before"] == 1


def test_walk_tells_windows_and_sums(account: Path, candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = document(monkeypatch, account, "walkforward", str(candles), *WALK, "--vary", "STRATEGY=breakout")
    assert found["grid"] == [{}, {"STRATEGY": "breakout"}]
    assert [(one["train_from"], one["test_from"], one["test_to"]) for one in found["windows"]] == [
        ("2022-06-01", "2022-09-01", "2022-10-31"),
        ("2022-08-01", "2022-11-01", "2022-12-31"),
    ]
    assert (found["mode"], found["runs"], found["looks"]) == ("WALKFORWARD", 8, 417)
    assert found["chosen"]["days"] == found["present"]["days"] == found["hold"]["days"] == 122
    assert found["below_median_share"]["n"] == 2
    assert found["ahead_of_present_pct_a_year"]["n"] == 122


def test_walk_in_words(account: Path, candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bot_inside(monkeypatch, account, "walkforward", str(candles), *WALK)
    assert done.returncode == 0, done.stderr
    for words in (
        "WALKFORWARD on binance candles (1d): 2 rolling windows, 11 sets of settings in each; simulated",
        "each window begins with $1,000.00 anew",
        "Tested          2022-09-01 to 2022-12-31; the last ",
        "Window 1        chosen on 2022-06-01 to 2022-08-31: ",
        "All tests, one after the other",
        "Overfitting     in ",
        "Verdict         ",
        "44 runs over ",
    ):
        assert words in done.stdout
    assert " nan" not in done.stdout


Mistake = tuple[tuple[str, ...], int, tuple[str, ...]]
"""Arguments, exit code, words of the message."""


@pytest.mark.parametrize(
    "mistake",
    [
        (("optimize",), 2, ("FOLDER",)),
        (("optimize", "nowhere"), 78, ("candle folder", "does not exist")),
        (("optimize", "FOLDER", "--vary", "MAX_POSITION_PCT=6..30"), 78, ("--vary", "MAX_POSITION_PCT", "1 to 18")),
        (("optimize", "FOLDER", "--vary", "RISK=1..2"), 78, ("--vary", "RISK", "no such setting")),
        (("optimize", "FOLDER", "--holdout", "0.9"), 78, ("--holdout", "'0.9'", "0.05 to 0.75")),
        (("optimize", "FOLDER", "--holdout", "soon"), 78, ("--holdout", "'soon'", "date")),
        (("optimize", "FOLDER", "--from", "2022-12-15"), 78, ("--holdout leaves", "each needs 40")),
        (("optimize", "FOLDER", "--trials", "0"), 2, ("--trials",)),
        (("optimize", "FOLDER", "--workers", "0"), 2, ("--workers",)),
        (("optimize", "FOLDER", "--cluster", "tcp://x", "--workers", "2"), 78, ("--workers", "--cluster")),
        (("optimize", "FOLDER", "--equity", "2", "--trials", "2"), 78, ("none of 2 trials sent 10 orders",)),
        (("optimize", "FOLDER", "--study", "nowhere/x.log"), 78, ("--study", "nowhere does not exist")),
        (("walkforward", "FOLDER"), 78, ("--train 24 and --test 6 months need more than",)),
        (("walkforward", "FOLDER", "--vary", "MAX_POSITION_PCT=6..18"), 78, ("a grid needs single values",)),
        (("walkforward", "FOLDER", "--train", "1"), 2, ("--train",)),
    ],
)
def test_mistakes_are_named(account: Path, candles: Path, monkeypatch: pytest.MonkeyPatch, mistake: Mistake) -> None:
    arguments, code, words = mistake
    given = [str(candles) if word == "FOLDER" else word for word in arguments]
    assert_fails(bot_inside(monkeypatch, account, *given), code, *words)


def test_missing_packages_are_named(account: Path, candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.cli.sweep.find_spec", lambda name: None)
    for arguments, package in (
        (("optimize", str(candles)), "optuna"),
        (("walkforward", str(candles), "--workers", "2"), "joblib"),
        (("walkforward", str(candles), "--cluster", "tcp://127.0.0.1:1"), "distributed"),
    ):
        done = bot_inside(monkeypatch, account, *arguments)
        assert_fails(done, 78, f"needs {package}", "scripts/requirements-research.txt")


def test_help_names_the_commands(tmp_path: Path) -> None:
    said = bot(tmp_path, "--help").stdout
    assert "optimize" in said
    assert "walkforward" in said
