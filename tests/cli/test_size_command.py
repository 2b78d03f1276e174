from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.decide import codes
from bot.decide.sizer import Caps
from bot.domain.refusal import RefusalCode
from bot.settings import load_settings
from bot.settings_schema import Settings
from bot.views.size_text import CAP_WORDS, SizeReport, render_size
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
    fees = [line.split()[4:] for line in lines if line.strip().startswith("fees of 30 days")]
    assert fees == [["$208.33"], ["$0.00", "default"]]  # 2.50 / .012
    assert "highest at $211.65" in text  # information: the order above is smaller
    assert max(map(len, lines)) <= 80


def test_size_without_fees_has_no_fee_limit() -> None:
    free = {"KRAKEN_MAKER_FEE_PCT": "0", "KRAKEN_TAKER_FEE_PCT": "0"}
    assert size_json(*CASE_250, **free)["caps_usd"]["fee_budget"] is None
    line = next(line for line in size(*CASE_250, **free).stdout.splitlines() if "fees of 30 days" in line)
    assert line.split() == ["fees", "of", "30", "days", "no", "limit"]


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
        (
            ("--equity", "250", "--stop", "6", "--fees-paid", "1.90", "--open", "ETH:45:6"),
            "fee_budget",
            # 1 % of 250 less 1.90 and the 1.2 % of 45 that selling costs: .06 / .018
            "What fees may still cost within 30 days leaves $3.33 for this coin; the smallest order is $5.00.",
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


def test_size_without_pro_mode_counts_what_is_held_of_the_coin_itself() -> None:
    # $150 in other coins is no base; the $20 of this coin is, or each purchase would make the next target smaller.
    arguments = ("--equity", "1000", "--stop", "6", "--open", "ETH:150:6", "--open", "BTC:20:6", "--venue", "kraken")
    whole, part = size_json(*arguments), size_json(*arguments, PRO_MODE="False")
    assert part["wish_usd"] == pytest.approx(0.85 * whole["wish_usd"])


def test_size_counts_what_is_held_of_the_coin() -> None:
    without, with_held = (
        answer(Question(equity=1000.0, stop_frac=0.06, venue="kraken", open_positions=held), settings())
        for held in ((), (OpenPosition("BTC", 20.0, 0.06, 0.55),))
    )
    assert with_held.notional_usd == pytest.approx(without.notional_usd - 20.0, abs=0.002)


@pytest.mark.parametrize(
    ("arguments", "ceiling", "expected"),
    # GROWTH allows 3
    [((), "", 3), ((), "2", 2), ((), "5", 3), (("--positions", "6"), "2", 6)],
)
def test_size_positions_are_the_lower_of_tier_and_setting(
    arguments: tuple[str, ...], ceiling: str, expected: int
) -> None:
    found = size_json("--equity", "250", "--stop", "6", *arguments, MAX_POSITIONS=ceiling)
    assert found["given"]["positions at most"]["value"] == str(expected)


# -- risk:reward


@pytest.mark.parametrize(
    ("fees", "arguments", "exits", "reward"),
    [
        # Ladder at a stop of 6 %: mean target (.33 x 1.8 + .33 x 3 + .34 x 5) x .06 = .19704. Kraken .25/.40 %:
        # (.19704 - .0025 - .004 x 1.19704 - .001) / .06726
        (QUANT_FEES, CASE_250, 3, 2.8063),
        # Coinbase .60/1.20 %: (.19704 - .006 - .012 x 1.19704 - .001) / .07828
        ({}, ("--equity", "28", "--venue", "coinbase", "--stop", "6"), 3, 2.2442),
        # A third of $5.00 is below Kraken's .00005 BTC: all at 3 R, (.18 - .0025 - .004 x 1.18 - .001) / .06726
        (QUANT_FEES, ("--equity", "50", "--venue", "kraken", "--stop", "6", "--price", "63000"), 1, 2.5540),
    ],
)
def test_size_shows_the_net_reward_of_the_order(
    fees: dict[str, str], arguments: tuple[str, ...], exits: int, reward: float
) -> None:
    found = size_json(*arguments, **fees)
    assert (found["code"], found["exits"], found["reward_needed"]) == ("", exits, 1.8)
    assert found["reward"] == pytest.approx(reward, abs=5e-5)


# The cases of quant 2.5 as the breakout strategy would be asked; None: refused before there is a plan to judge.
@pytest.mark.parametrize(
    ("arguments", "code", "reward"),
    [
        (("--equity", "15", "--venue", "coinbase"), "", 2.244),
        (("--equity", "28", "--venue", "coinbase"), "", 2.244),
        (("--equity", "250", "--venue", "kraken", "--wins", "12", "--losses", "8"), "", 2.806),
        (("--equity", "750", "--venue", "kraken", "--wins", "30", "--losses", "20", "--drawdown", "6"), "", 2.806),
        (("--equity", "1000", "--venue", "kraken", "--wins", "30", "--losses", "20"), "", 2.806),
        (
            ("--equity", "1000", "--venue", "kraken", "--wins", "30", "--losses", "20", "--cash", "200"),
            "",
            2.806,
        ),
        (("--equity", "1000", "--venue", "kraken", "--wins", "4", "--losses", "16"), "edge_brake", None),
    ],
)
def test_size_of_the_case_table_passes_the_gate_of_risk_reward(
    arguments: tuple[str, ...], code: str, reward: float | None
) -> None:
    found = size_json(*arguments, "--stop", "6", "--volatility", "60", STRATEGY="breakout", **QUANT_FEES)
    assert found["code"] == code
    assert found["reward"] == (None if reward is None else pytest.approx(reward, abs=5e-4))


def test_size_of_a_breakout_with_too_little_reward_is_refused() -> None:
    enough, less = (
        size_json(*CASE_250, STRATEGY="breakout", MIN_RISK_REWARD=needed, **QUANT_FEES) for needed in ("2.80", "2.81")
    )
    assert (enough["code"], less["code"]) == ("", "risk_reward")
    assert (less["lots"], less["notional_usd"], less["risk_usd"]) == (0, 0.0, 0.0)
    assert (less["limit"], less["unit"], less["reward"]) == (2.81, "ratio", less["actual"])
    assert less["explanation"].startswith("After fees and slippage the reward is 2.8063 times")
    text = size(*CASE_250, STRATEGY="breakout", MIN_RISK_REWARD="3", **QUANT_FEES).stdout
    assert "Nothing would be bought: risk_reward" in text
    assert "the reward is 2.81 times the risk; an entry needs 3.00 (MIN_RISK_REWARD)." in " ".join(text.split())
    assert "decides" not in text


def test_size_of_an_allocation_is_not_refused_for_targets_that_it_has_not() -> None:
    found = size_json(*CASE_250, STRATEGY="allocation", MIN_RISK_REWARD="5", **QUANT_FEES)
    assert (found["code"], found["reward"]) == ("", pytest.approx(2.8063, abs=5e-5))
    text = " ".join(size(*CASE_250, STRATEGY="allocation", **QUANT_FEES).stdout.split())
    assert "2.81 net, were it a breakout with EXIT_RULE=ladder; allocation has no targets" in text


def test_size_of_a_breakout_names_what_the_reward_must_be() -> None:
    text = " ".join(size(*CASE_250, STRATEGY="breakout", **QUANT_FEES).stdout.split())
    assert "2.81 net, at the targets of EXIT_RULE=ladder; an entry needs 1.80" in text


def test_size_of_an_exit_rule_without_targets_plans_no_reward() -> None:
    found = size_json(*CASE_250, STRATEGY="breakout", EXIT_RULE="trail", MIN_RISK_REWARD="5")
    assert (found["code"], found["reward"]) == ("", None)
    text = " ".join(size(*CASE_250, STRATEGY="breakout", EXIT_RULE="trail").stdout.split())
    assert "not planned: EXIT_RULE=trail has no price targets" in text


# -- more money


def notional(equity: float, **question: Any) -> float:
    asked = Question(equity=equity, stop_frac=0.06, venue="kraken", volatility=0.60, **question)
    return answer(asked, settings()).notional_usd


@pytest.mark.parametrize("tier", [(15.0, 249.99), (250.0, 499.99), (500.0, 999.99), (1000.0, 5000.0)])
@pytest.mark.parametrize("results", [{}, {"wins": 12, "losses": 8}])
def test_size_never_falls_with_equity_within_a_tier(tier: tuple[float, float], results: dict[str, int]) -> None:
    low, high = tier
    sizes = [notional(low + (high - low) * i / 60, **results) for i in range(61)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_size_falls_by_design_where_a_tier_allows_more_positions() -> None:
    # The legs share risk among the positions of the tier: n_V .08784 (2), .05968 (3), .04519 (4), .03043 (6);
    # n_E .18 up to 4, .85 / 6 = .14167 with 6. Shares .4 n_V + .3 n_E.
    below = [notional(249.99), notional(499.99), notional(999.99)]
    at = [notional(250.0), notional(500.0), notional(1000.0)]
    assert below == pytest.approx([249.99 * 0.089136, 499.99 * 0.077872, 999.99 * 0.072076], rel=1e-4)
    assert at == pytest.approx([250.0 * 0.077872, 500.0 * 0.072076, 1000.0 * 0.054672], rel=1e-4)
    # With the number of positions held, it does not.
    assert notional(250.0, max_positions=2) >= below[0]


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
        (
            ("--equity", "250", "--stop", "6", "--fees-paid", "-1"),
            "'--fees-paid': '-1' must be dollars from 0 to 1,000,000",
        ),
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
    no_refusals = {"", codes.REFUSAL_NAMES[codes.WITHIN_BAND], codes.REFUSAL_NAMES[codes.MINIMUM_TRADE]}
    assert set(codes.REFUSAL_NAMES) - no_refusals <= {code.value for code in RefusalCode}
    assert {cap.code for report in reports() for cap in report.caps} <= set(CAP_WORDS)
    assert len({cap.code for report in reports() for cap in report.caps}) == len(Caps._fields)
    assert codes.REFUSAL_NAMES[codes.OK] in CAP_WORDS


def test_size_without_a_trade_says_that_its_rates_are_assumed() -> None:
    asked = ("--equity", "250", "--stop", "6")
    assert "No trade is closed; assumed until then: 35.7 % wins" in " ".join(size(*asked).stdout.split())
    assert "The results, read with caution" in " ".join(size(*asked, "--wins", "3", "--losses", "2").stdout.split())
