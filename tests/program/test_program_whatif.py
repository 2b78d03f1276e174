"""`whatif` as a user runs it: without arguments, beside `backtest`, and with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program_rig import assert_fails, bot, bot_inside, day_ms, days_of, walk, write_candles, write_env

from bot.backtest.windows import spans

FIRST, DAYS = "2020-01-01", 1_250
PRICES = {"BTC": 20_000.0, "ETH": 600.0, "SOL": 30.0}
DRIFTS = (0.3, 1.5, -0.5, 2.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with daily candles, as `download` leaves them."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "candles").mkdir()
    for place, (coin, price) in enumerate(PRICES.items()):
        hours = walk(seed=40 + place, first_ms=day_ms(FIRST), hours=DAYS * 24, price=price, drifts=DRIFTS)
        write_candles(folder / "candles", f"coinbase_{coin}-USD_1d.csv", days_of(hours))
    write_env(folder, "PAPER_EQUITY=300", "SERVER_COST_USD_MONTH=2.5", "CASH_YIELD_PCT=4")
    return folder


@pytest.fixture(scope="module")
def document(home: Path) -> dict[str, Any]:
    ended = bot(home, "whatif", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert isinstance(found, dict)
    return found


def test_starts_are_four_months_apart_and_whole_years() -> None:
    found = list(spans(day_ms("2020-01-01"), day_ms("2021-08-20")))
    assert found == [(day_ms("2020-08-01"), day_ms("2021-08-01")), (day_ms("2020-04-01"), day_ms("2021-04-01"))]
    assert list(spans(day_ms("2020-01-02"), day_ms("2021-01-01"))) == []
    assert list(spans(day_ms("2020-01-01"), day_ms("2021-01-01"))) == [(day_ms("2020-01-01"), day_ms("2021-01-01"))]


def test_without_arguments_it_takes_settings_and_downloaded_candles(document: dict[str, Any]) -> None:
    assert (document["account"], document["source"], document["timeframe"]) == ("coinbase", "coinbase", "1d")
    assert (document["start_equity"], document["equity_from"]) == (300.0, "PAPER_EQUITY")
    assert document["n"] == len(document["windows"]) == 5  # 2022-06 back to 2021-02: after a year
    assert (document["from"], document["to"]) == ("2021-02-01", "2023-05-31")


def test_every_window_is_the_backtest_of_its_year(
    monkeypatch: pytest.MonkeyPatch, home: Path, document: dict[str, Any]
) -> None:
    window = document["windows"][0]
    assert window["from"] == "2022-06-01"
    arguments = ("--source", "coinbase", "--from", "2022-06-01", "--to", "2023-05-31", "--equity", "300")
    ended = bot_inside(monkeypatch, home, "backtest", "candles", *arguments, "--json")
    whole = json.loads(ended.stdout)
    assert window["orders"] > 0
    for name in ("end_equity", "orders", "fees_usd"):
        assert window[name] == whole[name], name
    assert window["drawdown_pct"] == round(whole["max_drawdown_pct"], 2)
    assert window["hold_all_pct"] == round(whole["buy_hold_pct"], 2)
    assert window["hold_same_exposure_pct"] == round(whole["exposure_matched_hold_pct"], 2)


def test_outcomes_are_percentiles_with_the_costs_of_the_server(document: dict[str, Any]) -> None:
    ends = sorted(window["end_equity"] for window in document["windows"])
    assert document["end_equity"]["bot"]["p10"] == pytest.approx(ends[0] * 0.6 + ends[1] * 0.4, abs=0.02)
    assert document["end_equity"]["bot"]["median"] == pytest.approx(ends[2], abs=0.02)
    assert document["server_usd"] == 30.0
    for name, value in document["end_equity"]["bot_after_server"].items():
        assert value == pytest.approx(document["end_equity"]["bot"][name] - 30.0, abs=0.011)
    assert document["end_equity"]["cash"] == {"p10": 312.0, "median": 312.0, "p90": 312.0}
    assert document["lost"]["bot"] == sum(end < 300.0 for end in ends)
    assert document["behind_cash"] == sum(end - 30.0 < 312.0 for end in ends)
    assert document["independent_windows"] == 2.3


def test_words_say_what_it_is_and_promise_nothing(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    ended = bot_inside(monkeypatch, home, "whatif", "--equity", "15", "--venue", "kraken")
    assert ended.returncode == 0
    assert ended.stdout.startswith("WHATIF on coinbase candles (1d), 2021-02-01 to 2023-05-31: recorded prices")
    for words in (
        "bad (p10)",
        "The bot, after the server",
        "Holding all of it",
        "overlap",
        "No promise.",
        "lost money",
    ):
        assert words in ended.stdout, words


def test_starts_without_warm_up_or_candles_are_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path
) -> None:
    hours = walk(seed=40, first_ms=day_ms(FIRST), hours=DAYS * 24, price=20_000.0, drifts=DRIFTS)
    days = days_of(hours)
    write_env(tmp_path)
    write_candles(tmp_path, "x_BTC-USD_1d.csv", days[:900] + days[1_150:])  # 2022-06-19 to 2023-02-23 are missing
    done = bot_inside(monkeypatch, tmp_path, "whatif", ".", "--json")
    assert "3 starts are left out: less than a year of candles lies before." in done.stderr
    assert "3 starts are left out: candles are missing of BTC." in done.stderr
    assert "BTC: 1 gap, 250 " in done.stderr
    assert json.loads(done.stdout)["n"] == 2
    write_candles(tmp_path, "y_BTC-USD_1d.csv", days[-700:])
    cold = bot_inside(monkeypatch, tmp_path, "whatif", ".", "--source", "y")
    assert "No start has a year of candles before it" in cold.stderr
    assert "Insufficient: 3 starts say what happened, not how it varies." in cold.stdout


def test_coin_whose_candles_end_early_is_told_and_its_starts_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_env(tmp_path)
    for place, (coin, price) in enumerate(PRICES.items()):
        hours = walk(seed=40 + place, first_ms=day_ms(FIRST), hours=DAYS * 24, price=price, drifts=DRIFTS)
        kept = {"BTC": slice(0, 900), "ETH": slice(0, None), "SOL": slice(500, None)}[coin]
        write_candles(tmp_path, f"x_{coin}-USD_1d.csv", days_of(hours)[kept])
    done = bot_inside(monkeypatch, tmp_path, "whatif", ".", "--json")
    assert "BTC: no gaps; none after 2022-06-19 00:00 UTC" in done.stderr
    assert "3 starts are left out: candles are missing of BTC." in done.stderr
    found = json.loads(done.stdout)
    assert [window["from"] for window in found["windows"]] == ["2021-06-01", "2021-02-01"]  # SOL begins 2021-05-15


def test_what_is_refused_is_told(monkeypatch: pytest.MonkeyPatch, home: Path, document: dict[str, Any]) -> None:
    windows = document["windows"]
    for name, count in document["refusals"].items():
        assert count == sum(window["refusals"].get(name, 0) for window in windows), name
    done = bot_inside(monkeypatch, home, "whatif", "--equity", "5")
    assert "First purchase  none, from no start" in done.stdout
    assert " x below_activation" in done.stdout


def test_fees_of_the_settings_count_where_no_account_is_known(
    monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path
) -> None:
    candles = home / "candles"
    write_env(tmp_path, "COINBASE_TAKER_FEE_PCT=0.9", "COINBASE_MAKER_FEE_PCT=0.5")
    found = json.loads(bot_inside(monkeypatch, tmp_path, "whatif", str(candles), "--json").stdout)
    assert (found["maker_fee_pct"], found["taker_fee_pct"]) == (0.5, 0.9)


def test_without_candles_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_env(tmp_path)
    assert_fails(bot_inside(monkeypatch, tmp_path, "whatif"), 78, "there are no candles in", "bot.py download")
    (tmp_path / "candles").mkdir()
    assert_fails(bot_inside(monkeypatch, tmp_path, "whatif"), 78, "no candle files")


def test_less_than_a_year_of_candles_is_not_enough(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / "short").mkdir(exist_ok=True)
    hours = walk(seed=1, first_ms=day_ms("2022-01-01"), hours=200 * 24, price=100.0, drifts=DRIFTS)
    write_candles(home / "short", "x_BTC-USD_1d.csv", days_of(hours))
    assert_fails(bot_inside(monkeypatch, home, "whatif", "short"), 78, "less than 12 whole months")
