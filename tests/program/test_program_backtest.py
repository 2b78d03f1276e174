"""`backtest` as a user runs it: on candle files, beside `run --replay`, and with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program_rig import assert_fails, bot, bot_inside, day_ms, days_of, walk, write_candles, write_env

FIRST, DAYS, HOURLY_DAYS = "2022-01-01", 300, 60
FROM, TO = "2022-09-01", "2022-10-20"
PRICES = {"BTC": 40_000.0, "ETH": 3_000.0, "SOL": 100.0}
DRIFTS = (0.3, 1.5, -0.5, 2.0)
RUN = ("--from", FROM, "--to", TO, "--equity", "1000")
SHARED_WITH_REPLAY = (
    "start_equity",
    "end_equity",
    "max_drawdown_pct",
    "orders",
    "trades",
    "wins",
    "fees_usd",
    "tier_history",
    "refusals",
    "exposure_pct",
    "longest_idle_days",
    "candles",
)
STATISTICS = (
    "cagr_pct",
    "sharpe",
    "sortino",
    "calmar",
    "cvar95_pct",
    "profit_factor",
    "expectancy_r",
    "psr",
    "dsr",
    "time_under_water_days",
)
OTHERS = (
    "mode",
    "guards",
    "seconds",
    "buy_hold_pct",
    "exposure_matched_hold_pct",
    "skipped_below_minimum",
    "kernel_seconds",
    "candles_per_second",
)


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("candles")
    for place, (coin, price) in enumerate(PRICES.items()):
        hours = walk(seed=20 + place, first_ms=day_ms(FIRST), hours=DAYS * 24, price=price, drifts=DRIFTS)
        write_candles(folder, f"binance_{coin}-USDT_1d.csv", days_of(hours))
        write_candles(folder, f"binance_{coin}-USDT_1h.csv", hours[-24 * HOURLY_DAYS :])
    return folder


def document(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> dict[str, Any]:
    done = bot_inside(monkeypatch, folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("strategy", ["allocation", "breakout"])
def test_backtest_tells_what_a_replay_tells(
    tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    write_env(tmp_path, f"STRATEGY={strategy}", "KRAKEN_MAKER_FEE_PCT=0.25", "KRAKEN_TAKER_FEE_PCT=0.40")
    found = document(monkeypatch, tmp_path, "backtest", str(candles), *RUN, "--venue", "kraken")
    replayed = document(monkeypatch, tmp_path, "run", "--replay", str(candles), *RUN, "--venues", "kraken")
    for entry in (*found["tier_history"], *replayed["tier_history"]):
        entry.pop("direction", None)
    names = {name: replayed[name] for name in SHARED_WITH_REPLAY}
    kept = [{key: entry[key] for key in found["tier_history"][0]} for entry in names["tier_history"]]
    assert {name: found[name] for name in SHARED_WITH_REPLAY} == names | {"tier_history": kept}
    assert found["orders"] > 5
    assert set(found) >= {*STATISTICS, *OTHERS}


def test_every_statistic_says_what_it_rests_on(tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = document(monkeypatch, tmp_path, "backtest", str(candles), *RUN, "--venue", "kraken")
    assert found["intervals"].keys() == {*STATISTICS, "max_drawdown_pct"}
    for name in ("cagr_pct", "sharpe", "sortino", "calmar", "cvar95_pct", "max_drawdown_pct", "time_under_water_days"):
        of = found["intervals"][name]
        assert (of["n"], of["low"] < found[name] < of["high"]) == (50, True), name
    assert found["insufficient"] == ["profit_factor", "expectancy_r"]
    assert found["profit_factor"] is found["expectancy_r"] is None
    assert found["intervals"]["expectancy_r"]["n"] < 30
    assert 0.0 <= found["dsr"] < found["psr"] <= 1.0
    part = found["exposure_matched_hold_pct"] / (found["buy_hold_pct"] * found["exposure_pct"] / 100)
    assert 0.5 < part < 2.0  # set anew every day, without costs
    assert found["mode"] == "BACKTEST"
    assert found["compiled"] is False


def test_words_hide_nothing(tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bot_inside(monkeypatch, tmp_path, "backtest", str(candles), *RUN, "--venue", "kraken")
    assert done.returncode == 0
    for words in (
        "BACKTEST on binance candles (1h), 2022-09-01 to 2022-10-20: recorded prices, simulated orders, nothing real.",
        "Account         kraken, 0.4 % maker, 0.8 % taker; BTC, ETH, SOL",
        "A trade         insufficient: fewer than 30 trades (",
        "Just holding    ",
        "after the rules that were tried before",
        "Ranges are 90 %. Past prices say nothing certain about future ones; costs of a server are not in it.",
    ):
        assert words in done.stdout
    assert " nan" not in done.stdout


def test_account_in_which_nothing_happens_is_described_too(
    tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("backtest", str(candles), "--from", FROM, "--to", "2022-09-05", "--equity", "2")
    found = document(monkeypatch, tmp_path, *arguments)
    assert (found["orders"], found["end_equity"], found["sharpe"], found["cagr_pct"]) == (0, 2.0, None, None)
    done = bot_inside(monkeypatch, tmp_path, *arguments)
    assert "A year          insufficient: fewer than 40 days (5)" in done.stdout
    assert "Luck            insufficient: fewer than 40 days (5)" in done.stdout
    longer = bot_inside(monkeypatch, tmp_path, "backtest", str(candles), *RUN[:4], "--equity", "2")
    assert "Luck            none: equity has not moved, or only up (n 50 days)" in longer.stdout


Mistake = tuple[tuple[str, ...], int, tuple[str, ...]]
"""Arguments, exit code, words of the message."""


@pytest.mark.parametrize(
    "mistake",
    [
        (("nowhere",), 78, ("candle folder", "nowhere", "does not exist")),
        (("FOLDER", "--equity", "x"), 78, ("--equity", "'x'", "dollars from 1")),
        (("FOLDER", "--equity", "2,5"), 78, ("--equity", "'2,5'", "dollars from 1")),
        (("FOLDER", "--from", "2022-13-01"), 78, ("--from", "2022-13-01", "must be a date")),
        (("FOLDER", "--from", "2022-10-02", "--to", "2022-10-01"), 78, ("--from 2022-10-02 must be before",)),
        (("FOLDER", "--venue", "binance"), 2, ("--venue", "binance", "coinbase", "kraken")),
        (("FOLDER", "--source", "okx"), 78, ("okx",)),
        (("FOLDER", "--looks", "0"), 2, ("--looks", "0")),
        (("FOLDER", "--from", "2022-10-02T10:30", "--to", "2022-10-02T11:30"), 78, ("no whole bar of 1h",)),
        ((), 2, ("FOLDER",)),
    ],
)
def test_mistakes_are_named(tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch, mistake: Mistake) -> None:
    arguments, code, words = mistake
    given = [str(candles) if word == "FOLDER" else word for word in arguments]
    assert_fails(bot_inside(monkeypatch, tmp_path, "backtest", *given), code, *words)


def test_spread_that_a_backtest_cannot_hold_is_refused(
    tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_env(tmp_path, "PAPER_HALF_SPREAD_BPS=5.123")
    done = bot_inside(monkeypatch, tmp_path, "backtest", str(candles), *RUN)
    assert_fails(done, 78, "PAPER_HALF_SPREAD_BPS", "5.123", "multiple of 0.1")


def test_compiled_form_that_is_not_installed_is_said(
    tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.cli.backtest.is_available", lambda: False)
    done = bot_inside(monkeypatch, tmp_path, "backtest", str(candles), *RUN, "--compiled")
    assert_fails(done, 78, "--compiled", "scripts/requirements-research.txt")


def test_help_names_the_command(tmp_path: Path) -> None:
    assert "backtest" in bot(tmp_path, "--help").stdout
    assert "--looks" in bot(tmp_path, "backtest", "--help").stdout
