from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.settings import load_settings
from bot.settings_schema import Settings
from bot.views.size_text import CAP_WORDS, OWN_SENTENCES, SizeReport, render_size
from bot.views.text import Look
from bot.whatsize import OpenPosition, Question, answer


@pytest.fixture(autouse=True)
def without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)


def size(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["size", *arguments], env={"COLUMNS": "80", **variables})


def size_json(*arguments: str, **variables: str) -> dict[str, Any]:
    result = size(*arguments, "--json", **variables)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


CASE_250 = ("--equity", "250", "--venue", "kraken", "--coin", "BTC", "--stop", "6", "--wins", "12", "--losses", "8")
QUANT_FEES = {"KRAKEN_MAKER_FEE_PCT": "0.25", "KRAKEN_TAKER_FEE_PCT": "0.40"}


# -- the answer


def test_size_of_the_250_dollar_case_is_that_of_the_table() -> None:
    # quant 2.5: n_K .18, n_V .05968, n_E .18, blend .13187, $32.97, risk .887 %; the break-even move 1.0025 / .996 - 1.
    found = size_json(*CASE_250, "--volatility", "60", **QUANT_FEES)
    assert (found["code"], found["limit"], found["actual"], found["binding"]) == ("", None, None, "")
    assert found["notional_usd"] == pytest.approx(32.97, abs=0.005)
    assert found["risk_pct"] == pytest.approx(0.887, abs=5e-4)
    assert found["round_trip_pct"] == pytest.approx(0.6526, abs=5e-5)
    legs = {name: leg["share_pct"] for name, leg in found["legs"].items()}
    assert legs == pytest.approx({"Kelly": 18.0, "volatility": 5.968, "equity": 18.0}, abs=5e-4)
    assert found["quantity"] == "0.00032967"
    assert found["lots"] == 32_967
    assert found["exits"] == 3
    assert found["caps_usd"]["blend"] == pytest.approx(32.97, abs=0.005)
    assert found["caps_usd"]["position_cap"] == 45.0
    assert found["edge_chance_pct"] == pytest.approx(94.0, abs=0.05)


def test_size_in_words_names_order_legs_limits_and_what_was_assumed() -> None:
    result = size(*CASE_250)
    assert result.exit_code == 0
    text = result.stdout
    assert "A CALCULATION: no order is sent" in text
    assert "Buy $33.51 of BTC on kraken, 13.4 % of equity" in text
    assert "loss at stop    $2.43, 0.97 % of equity; the ceiling is 4.00 %" in text
    assert "decided by      the blend" in text
    assert "round trip      1.21 % of the amount, $0.41 here" in text
    lines = text.splitlines()
    assert [line for line in lines if "an example, not the market" in line and "$100,000.00" in line]
    assert [line.split() for line in lines if line.strip().startswith("cash  ")] == [["cash", "$250.00", "default"]]
    assert not [line for line in lines if line.strip().startswith("trades won") and "default" in line]
    assert "highest at $211.65" in text  # information: the order above is smaller
    assert max(map(len, lines)) <= 80


def test_size_of_15_dollars_is_one_minimum_trade_or_the_reason() -> None:
    bought = size("--equity", "15", "--venue", "coinbase", "--stop", "6")
    assert "Buy $5.00 of BTC on coinbase, 33.3 % of equity" in bought.stdout
    assert "decided by      one minimum trade" in bought.stdout
    refused = size("--equity", "15", "--venue", "coinbase", "--stop", "8")
    assert refused.exit_code == 0
    assert "Nothing would be bought: risk_per_trade" in refused.stdout
    assert "The risk per trade leaves $4.59 for this coin; the smallest order is $5.00." in refused.stdout
    assert "Without results that prove an edge it always is; it is no forecast." in " ".join(refused.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--equity", "10", "--stop", "6"), "below_activation", "Equity is $10.00; trading needs $15.00."),
        (
            ("--equity", "28", "--venue", "kraken", "--stop", "6"),
            "venue_dormant",
            "The account on kraken is worth $28.00; entries there begin at $50.00.",
        ),
        (
            ("--equity", "250", "--stop", "6", "--positions", "1", "--open", "ETH:20:6"),
            "max_positions",
            "Positions open or being opened: 1; allowed are 1.",
        ),
        (
            ("--equity", "250", "--venue", "coinbase", "--stop", "5"),
            "costs_too_high",
            # 1.006 / .988 - 1 = 1.8219 % against 5 / 3
            "A round trip costs 1.82 %; with so near a stop it may cost 1.67 %.",
        ),
        (
            ("--equity", "1000", "--stop", "6", "--wins", "4", "--losses", "16"),
            "edge_brake",
            "The results so far make an edge 13.52 % likely; below 25.00 % nothing is bought (edge brake).",
        ),
        (
            ("--equity", "1000", "--stop", "6", "--drawdown", "12"),
            "drawdown",
            "The account is 12.00 % below its peak; the limit is 12.00 %.",
        ),
        (
            ("--equity", "1000", "--stop", "6", "--day-loss", "6"),
            "heat",
            "What all stops together may still cost leaves $0.00 for this coin; the smallest order is $5.00.",
        ),
        (
            ("--equity", "250", "--stop", "6", "--open", "ETH:45:6", "--open", "SOL:40:9", "--positions", "4"),
            "volatility_room",
            # held: sqrt(.135^2 + .152^2 + 2 x .8 x .135 x .152) = 27.2 % of volatility already
            "The volatility of all positions together leaves $0.00 for this coin; the smallest order is $5.00.",
        ),
        (
            ("--equity", "250", "--stop", "6", "--cash", "40"),
            "cash_buffer",
            "Above the cash buffer there is $2.49; the smallest order is $5.00.",  # 2.50 / 1.006
        ),
        (
            ("--equity", "250", "--stop", "6", "--venue-cash", "4", "--open", "ETH:10:6"),
            "venue_cash",
            "The free cash on coinbase is $3.94; the smallest order is $5.00.",  # 4 x .99 / 1.006
        ),
    ],
)
def test_size_refused_gives_the_reason(arguments: tuple[str, ...], code: str, words: str) -> None:
    variables = {"COINBASE_MAKER_FEE_PCT": "0.6"}
    found = size_json(*arguments, **variables)
    assert (found["code"], found["explanation"]) == (code, words)
    assert (found["lots"], found["quantity"], found["notional_usd"], found["risk_usd"]) == (0, "0.00000000", 0.0, 0.0)
    text = size(*arguments, **variables).stdout
    assert f"Nothing would be bought: {code}" in text
    assert words in " ".join(text.split())


def test_size_braked_says_when_it_is_released_and_then_is() -> None:
    record = ("--equity", "1000", "--stop", "6", "--wins", "4", "--losses", "16")
    assert "goes to half size after 169 days" in " ".join(size(*record).stdout.split())
    assert size_json(*record, "--results-age", "168")["code"] == "edge_brake"
    released = size_json(*record, "--results-age", "169")
    assert (released["code"], released["brake"]) == ("", 0.5)


# -- settings and tier in force


def test_size_keeps_the_users_limits_and_weights() -> None:
    found = size_json(*CASE_250, MAX_POSITION_PCT="5", RISK_PER_TRADE="1", POSITION_SIZER="EQUITY")
    assert found["sizer"] == "EQUITY"
    assert {name: leg["weight"] for name, leg in found["legs"].items()} == {"Kelly": 0, "volatility": 0, "equity": 1}
    assert found["caps_usd"]["position_cap"] == 12.5
    assert found["risk_limit_pct"] == 1.0
    assert found["notional_usd"] == pytest.approx(12.5, abs=0.001)


def test_size_without_micro_capital_mode_has_no_floor() -> None:
    found = size_json("--equity", "28", "--venue", "coinbase", "--stop", "6", MICRO_CAPITAL_MODE="False")
    assert (found["code"], found["limit"]) == ("below_min_trade", 5.0)


def test_size_without_pro_mode_is_a_share_of_free_cash() -> None:
    arguments = ("--equity", "1000", "--stop", "6", "--open", "ETH:100:6", "--venue", "kraken")
    whole, part = size_json(*arguments), size_json(*arguments, PRO_MODE="False")
    assert part["wish_usd"] == pytest.approx(0.9 * whole["wish_usd"])


def test_size_counts_what_is_held_of_the_coin() -> None:
    without, with_held = (
        answer(Question(equity=1000.0, stop_frac=0.06, venue="kraken", open_positions=held), settings())
        for held in ((), (OpenPosition("BTC", 20.0, 0.06, 0.55),))
    )
    assert with_held.notional_usd == pytest.approx(without.notional_usd - 20.0, abs=0.002)


# -- wrong input: option, value, what is allowed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--equity", "nan", "--stop", "6"), "'--equity': 'nan' must be dollars from 1 to 1,000,000"),
        (("--equity", "much", "--stop", "6"), "'--equity': 'much' must be dollars from 1 to 1,000,000"),
        (
            ("--equity", "250", "--stop", "0.06"),
            "'--stop': '0.06' must be a percent from 0.5 to 90; did you mean 6?",
        ),
        (("--equity", "250", "--stop", "91"), "'--stop': '91' must be a percent from 0.5 to 90"),
        (
            ("--equity", "250", "--stop", "6", "--volatility", "0.6"),
            "'--volatility': '0.6' must be a percent a year from 5 to 500; did you mean 60?",
        ),
        (
            ("--equity", "250", "--stop", "6", "--price", "0"),
            "'--price': '0' must be dollars from 1e-06 to 100,000,000",
        ),
        (("--equity", "250", "--stop", "6", "--drawdown", "-1"), "'--drawdown': '-1' must be a percent from 0 to 100"),
        (("--equity", "250", "--stop", "6", "--wins", "-1"), "'--wins': -1 is not in the range 0<=x<=10000"),
        (("--equity", "250", "--stop", "6", "--coin", "XRP"), "'--coin': 'XRP' is not one of "),
        (("--equity", "250", "--stop", "6", "--venue", "ftx"), "'--venue': 'ftx' is not one of "),
        (
            ("--equity", "250", "--stop", "6", "--cash", "300"),
            "'--cash': 300.00 must be dollars from 0 to 250.00: the equity that is in no position",
        ),
        (
            ("--equity", "250", "--stop", "6", "--cash", "100", "--venue-cash", "101"),
            "'--venue-cash': 101.00 must be dollars from 0 to 100.00: the cash",
        ),
        (("--equity", "250", "--stop", "6", "--open", "XRP:3:6"), "'--open': 'XRP:3:6' must be COIN:USD:STOP, such as"),
        (("--equity", "250", "--stop", "6", "--open", "ETH:3"), "'--open': 'ETH:3' must be COIN:USD:STOP, such as"),
        (("--equity", "250", "--stop", "6", "--open", "ETH:3:0.06"), "did you mean 6?"),
        (
            ("--equity", "250", "--stop", "6", "--open", "ETH:251:6"),
            "'--open': $251.00 in all must be at most --equity",
        ),
        (("--stop", "6"), "Missing option '--equity'"),
    ],
)
def test_size_with_wrong_input_names_option_value_and_what_is_allowed(arguments: tuple[str, ...], message: str) -> None:
    result = size(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_size_reads_dollars_and_percents_as_they_are_written() -> None:
    found = size_json("--equity", "$1,000", "--stop", "6%", "--open", "eth:45:6:80")
    assert found["equity_usd"] == 1000.0
    assert found["given"]["stop distance"] == {"value": "6.00 %", "origin": ""}
    assert found["given"]["open ETH"] == {"value": "$45.00", "origin": "stop 6.0 %, volatility 80.0 %"}


def test_size_with_a_wrong_setting_ends_with_78() -> None:
    result = size("--equity", "250", "--stop", "6", MIN_SIGNAL_SCORE="7")
    assert (result.exit_code, result.stdout) == (78, "")


# -- words


def settings() -> Settings:
    return load_settings(env_file=None, environ={})


def reports() -> list[SizeReport]:
    return [
        answer(Question(equity=equity, stop_frac=stop, venue=venue, coin=coin, wins=wins, losses=losses), settings())
        for equity in (12.0, 15.0, 60.0, 250.0, 5000.0)
        for stop in (0.01, 0.06, 0.3)
        for venue, coin in (("coinbase", "BTC"), ("kraken", "SOL"))
        for wins, losses in ((0, 0), (30, 20), (2, 30))
    ]


@pytest.mark.parametrize("look", [Look(width=40, ascii=True), Look(width=80), Look(width=100, colour=True)])
def test_size_of_any_account_is_rendered_within_the_width(look: Look) -> None:
    for report in reports():
        lines = render_size(report, look)
        if not look.colour:
            assert max(map(len, lines)) <= look.width
        if look.ascii:
            assert all(line.isascii() for line in lines)


def test_words_cover_what_the_sizer_can_name() -> None:
    from bot.decide import codes, sizer
    from bot.domain.refusal import RefusalCode

    known = {code.value for code in RefusalCode} | set(OWN_SENTENCES)
    no_refusals = {"", sizer.NAMES[codes.WITHIN_BAND], sizer.NAMES[sizer.MINIMUM_TRADE]}
    assert set(sizer.NAMES) - no_refusals <= known
    assert {cap.code for report in reports() for cap in report.caps} <= set(CAP_WORDS)
    assert sizer.NAMES[codes.OK] in CAP_WORDS
