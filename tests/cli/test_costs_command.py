from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.domain.modes import Strategy
from bot.settings import load_settings
from bot.views.costs_text import CostsCase, costs_markdown, render_costs
from bot.views.text import Look
from bot.whatcosts import EXAMPLE_RANGES, GUIDE_EQUITIES, VENUES, costs_of
from bot.whatsize import EXAMPLE_PRICES, EXAMPLE_VOLATILITIES


@pytest.fixture(autouse=True)
def without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)


def costs(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["costs", *arguments], env={"COLUMNS": "80", **variables})


def costs_json(*arguments: str, **variables: str) -> dict[str, Any]:
    result = costs(*arguments, "--json", **variables)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


def case(equity: float, venue: str, strategy: Strategy, **variables: str) -> CostsCase:
    settings = load_settings(env_file=None, environ=variables)
    (found,) = costs_of(settings, equities=[equity], venues=[venue], strategies=[strategy]).cases
    return found


# -- the answer


def test_costs_of_15_dollars_on_coinbase_are_those_of_the_table() -> None:
    # quant, correction 12: BTC passes with .084208 x 5 / 15 = 2.807 %.
    # ETH needs 5 x .133608 / .03 = 22.268, SOL 5 x .14744 / .03 = 24.573.
    found = case(15.0, "coinbase", Strategy.BREAKOUT)
    btc, eth, sol = found.reach
    assert [view["symbol"] for view in found.reach] == ["BTC/USD", "ETH/USD", "SOL/USD"]
    assert (btc["refusal"], eth["refusal"], sol["refusal"]) == ("", "risk_per_trade", "risk_per_trade")
    assert btc["order_usd"] == pytest.approx(5.0)
    assert btc["risk_pct"] == pytest.approx(2.80693, abs=1e-5)
    assert btc["round_trip_usd"] == pytest.approx(5 * 0.018218623)
    assert [view["stop_pct"] for view in found.reach] == pytest.approx([6.6, 11.6, 13.0])
    assert (eth["from_equity_usd"], sol["from_equity_usd"]) == (22.27, 24.58)
    assert (found.tier, found.max_positions, found.risk_ceiling_pct) == ("STARTER", 2, 3.0)
    assert found.heat_limit_usd == pytest.approx(0.9)  # 6 % of $15
    assert found.server_pct_year == pytest.approx(400.0)  # 60 / 15


def test_costs_on_kraken_below_its_minimum_balance_are_dormant() -> None:
    found = case(15.0, "kraken", Strategy.BREAKOUT)
    assert [view["refusal"] for view in found.reach] == ["venue_dormant"] * 3
    assert [(view["refusal_limit"], view["refusal_actual"]) for view in found.reach] == [(50.0, 15.0)] * 3
    assert found.reach[0]["from_equity_usd"] == 54.39  # see test_decide_reach: what is left must be sellable
    assert found.min_balance_usd == 50.0


def test_costs_of_allocation_have_the_wider_stop_and_its_share() -> None:
    # .132 + .006 + .012 x .868 + .001 = .149416: 5 x .149416 / .03 = 24.903
    btc = case(15.0, "coinbase", Strategy.ALLOCATION).reach[0]
    assert btc["stop_pct"] == pytest.approx(13.2)
    assert btc["from_equity_usd"] == 24.91
    rich = case(1000.0, "kraken", Strategy.ALLOCATION)
    # six positions: .4 x .1 / sqrt(6 x 5) / .55 + .3 x (.85 / 6) = .0132782 + .0425 = .0557782
    assert rich.reach[0]["order_usd"] == pytest.approx(55.778, abs=0.002)
    assert rich.tier == "ELITE"


def test_costs_below_the_lowest_tier_begin_with_it() -> None:
    found = case(10.0, "coinbase", Strategy.BREAKOUT)
    assert found.tier == "STARTER (not reached)"
    assert [view["refusal"] for view in found.reach] == ["below_activation"] * 3
    assert found.reach[0]["from_equity_usd"] == 15.0


def test_costs_keep_the_users_ceilings_fees_and_coins() -> None:
    tight = case(
        100.0,
        "coinbase",
        Strategy.BREAKOUT,
        RISK_PER_TRADE="0.4",
        MAX_POSITIONS="1",
        TRADE_ONLY="ETH",
        SERVER_COST_USD_MONTH="0",
    )
    (eth,) = tight.reach
    assert (tight.risk_ceiling_pct, tight.max_positions, tight.server_pct_year) == (0.4, 1, 0.0)
    # .4 / .133608 = $2.99 of $5; from 5 x .133608 / .004 = 167.01
    assert (eth["refusal"], eth["from_equity_usd"]) == ("risk_per_trade", 167.01)
    free = case(100.0, "coinbase", Strategy.BREAKOUT, COINBASE_MAKER_FEE_PCT="0.3", COINBASE_TAKER_FEE_PCT="0.5")
    assert free.reach[0]["round_trip_pct"] == pytest.approx(100 * (1.003 / 0.995 - 1))


def test_costs_of_trailing_rules_ask_for_no_targets_reward() -> None:
    # two daily ranges of BTC are 6.6 %: the runner's reward there is 1.79 (see test_decide_reach)
    assert case(100.0, "coinbase", Strategy.BREAKOUT, EXIT_RULE="runner").reach[0]["refusal"] == "risk_reward"
    assert case(100.0, "coinbase", Strategy.BREAKOUT, EXIT_RULE="trail").reach[0]["refusal"] == ""


# -- the command


def test_costs_in_words_name_orders_reasons_and_what_was_assumed() -> None:
    result = costs("--equity", "15", "--venue", "coinbase", "--strategy", "breakout")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "A CALCULATION: no order is sent and nothing is recorded." in text
    assert "$15.00 ON COINBASE" in text
    assert "coinbase BTC/USD $5.00 6.6 % 1.82 %, $0.09 $0.42, 2.8 %" in text
    assert "coinbase ETH/USD from $22.27 11.6 % 1.82 %, $0.09 $0.67, 4.5 %" in text
    assert "The ceiling is 3.0 % of equity per trade; the order that risks most, BTC/USD on coinbase, really" in text
    assert "ETH/USD: The risk per trade leaves $3.37 for this coin; the smallest order is $5.00." in text
    assert "Tier STARTER: at most 2 positions; all stops together may cost $0.90." in text
    assert "Server: $5.00 a month is $60.00 a year, 400 % of this equity" in text
    assert "range of a day BTC 3.3 %, ETH 5.8 %, SOL 6.5 % an example" in text
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_costs_without_options_take_equity_venues_and_strategy_of_the_settings() -> None:
    found = costs_json(PAPER_EQUITY="70", STRATEGY="breakout")["cases"]
    assert [(one["equity_usd"], one["venue"], one["strategy"]) for one in found] == [
        (70.0, "coinbase", "breakout"),
        (70.0, "kraken", "breakout"),
    ]
    (one,) = costs_json(PRIMARY_BROKER="KRAKEN", SECONDARY_BROKER="NONE")["cases"]
    assert (one["equity_usd"], one["venue"], one["strategy"]) == (100.0, "kraken", "allocation")


def test_costs_json_has_figures_and_words() -> None:
    found = costs_json("--equity", "$15", "--venue", "Kraken")
    assert set(found) == {"cases", "server_usd_month", "given"}
    (one,) = found["cases"]
    assert set(one) == {
        "equity_usd",
        "venue",
        "strategy",
        "tier",
        "risk_ceiling_pct",
        "max_positions",
        "min_balance_usd",
        "heat_limit_usd",
        "server_pct_year",
        "reach",
    }
    assert one["reach"][0]["why"] == "The account on kraken is worth $15.00; entries there begin at $50.00."
    assert found["given"]["fees of kraken"] == {"value": "0.40 % in, 0.80 % out", "origin": "default"}
    assert costs_json(KRAKEN_TAKER_FEE_PCT="0.5")["given"]["fees of kraken"]["origin"] == "environment"


def test_costs_markdown_is_a_table_of_equities_venues_and_strategies() -> None:
    result = costs("--markdown")
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if line.startswith("| $")]
    assert len(rows) == len(GUIDE_EQUITIES) * len(VENUES) * len(Strategy) == 16
    assert rows[1] == (
        "| $15 | coinbase | breakout | BTC $5.00 | ETH from $22.27, SOL from $24.58 "
        "| 1.82 %, $0.09 | BTC 2.8 % | 400 % |"
    )
    assert rows[2].startswith("| $15 | kraken | allocation | none | dormant below $50; BTC from $54.39, ")
    assert {line.count("|") for line in result.stdout.splitlines() if line.startswith("|")} == {9}
    (one,) = [
        line
        for line in costs(
            "--markdown", "--equity", "50.5", "--venue", "kraken", "--strategy", "breakout"
        ).stdout.splitlines()
        if line.startswith("| $")
    ]
    assert one.startswith("| $50.50 | kraken | breakout | none | BTC from $54.39, ")


def test_costs_markdown_of_a_coin_that_cannot_be_traded_at_any_equity_says_so() -> None:
    dear = load_settings(env_file=None, environ={"KRAKEN_MAKER_FEE_PCT": "1.2", "KRAKEN_TAKER_FEE_PCT": "1.2"})
    report = costs_of(dear, equities=[250.0], venues=["kraken"], strategies=[Strategy.BREAKOUT])
    assert "| BTC not now | 2.43 %, " in costs_markdown(report)


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_costs_of_any_account_fit_the_width(width: int) -> None:
    settings = load_settings(env_file=None, environ={})
    report = costs_of(
        settings, equities=[1.0, 15.0, 60.0, 250.0, 1_000_000.0], venues=VENUES, strategies=tuple(Strategy)
    )
    lines = render_costs(report, Look(width=width, ascii=True))
    assert max(map(len, lines)) <= width
    assert all(line.isascii() for line in lines)


def test_costs_promise_and_predict_nothing() -> None:
    for text in (costs("--equity", "250").stdout, costs("--markdown").stdout):
        assert not [word for word in ("profit", "return", "expect", "forecast", "will ") if word in text.lower()]


def test_examples_cover_the_same_coins() -> None:
    assert set(EXAMPLE_PRICES) == set(EXAMPLE_VOLATILITIES) == set(EXAMPLE_RANGES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--equity", "nan"), "'--equity': 'nan' must be dollars from 1 to 1,000,000"),
        (("--equity", "0"), "'--equity': '0' must be dollars from 1 to 1,000,000"),
        (("--venue", "ftx"), "'--venue': 'ftx' is not one of "),
        (("--strategy", "hope"), "'--strategy': 'hope' is not one of "),
        (("--markdown", "--json"), "--markdown and --json are two forms of one answer: choose one"),
    ],
)
def test_costs_with_wrong_input_say_what_is_allowed(arguments: tuple[str, ...], message: str) -> None:
    result = costs(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_costs_with_a_wrong_setting_end_with_78() -> None:
    result = costs(MIN_SIGNAL_SCORE="7")
    assert (result.exit_code, result.stdout) == (78, "")
