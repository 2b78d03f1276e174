from __future__ import annotations

import json
from typing import Any

import pytest
from account_samples import write_account
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.domain.modes import TradingMode
from bot.settings import load_settings
from bot.storage.ledger import SqliteLedger
from bot.storage.modes import ledger_path, mode_folder
from bot.views.activity import Activity, VenueActivity
from bot.views.advice_text import Advice, AdviceReport, render_advice
from bot.views.text import Look
from bot.whathelps import advice_of


@pytest.fixture(autouse=True)
def without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)


def advise(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["advise", *arguments], env={"COLUMNS": "80", **variables})


def document(*arguments: str, **variables: str) -> dict[str, Any]:
    result = advise(*arguments, "--json", **variables)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def report(activity: Activity | None, equity: float, **variables: str) -> AdviceReport:
    return advice_of(load_settings(env_file=None, environ=variables), activity=activity, equity=equity)


def only(advice: tuple[Advice, ...], code: str) -> Advice:
    (found,) = [one for one in advice if one.code == code]
    return found


def an_activity(*venues: VenueActivity, days: float = 365.25, equity: float = 1000.0) -> Activity:
    return Activity(mode=TradingMode.PAPER, strategy="allocation", equity=equity, days=days, venues=venues, reach=[])


def a_venue(account: str = "coinbase", **changes: Any) -> VenueActivity:
    venue: dict[str, Any] = {"worth": 1000.0, "round_trips": 20, "mean_usd": 50.0, "maker_pct": 0.6, "taker_pct": 1.2}
    return VenueActivity(account=account, **(venue | changes))


FREE = {"SERVER_COST_USD_MONTH": "0"}


# -- the cheaper venue


def test_cheaper_venue_by_the_accounts_own_trades() -> None:
    # round trips cost 1.006 / 0.988 - 1 = 1.8219 % and 1.004 / 0.992 - 1 = 1.2097 %: 20 x 50 x 0.6122 %
    found = report(an_activity(a_venue()), 1000.0, **FREE)
    (one,) = found.advice
    assert one.code == "cheaper_venue"
    assert one.what == "Move the cash from coinbase to kraken"
    assert one.usd_year == pytest.approx(6.12188, abs=1e-4)
    assert one.arithmetic.startswith("20.0 round trips a year x $50.00 x (1.82 % - 1.21 %) = $6.12. Its own: 20 in 365")
    assert not found.is_nothing


def test_cheaper_venue_counts_half_a_year_twice_and_the_fees_that_the_venues_told() -> None:
    venues = a_venue(maker_pct=0.4, taker_pct=0.6), a_venue("kraken", maker_pct=0.1, taker_pct=0.2, round_trips=0)
    found = report(an_activity(*venues, days=182.625), 1000.0, **FREE)
    # 1.004 / 0.994 - 1.001 / 0.998 = 0.70543 %; 40 x 50 x that
    assert only(found.advice, "cheaper_venue").usd_year == pytest.approx(14.1085, abs=1e-3)


def test_cheaper_venue_on_which_it_trades_already_is_no_advice() -> None:
    venues = a_venue(round_trips=0, worth=500.0), a_venue("kraken", maker_pct=0.4, taker_pct=0.8)
    found = report(an_activity(*venues), 1000.0, **FREE)
    assert (found.advice, found.not_now, found.is_nothing) == ((), (), True)
    assert report(an_activity(a_venue("kraken", maker_pct=0.4, taker_pct=0.8)), 1000.0, **FREE).is_nothing


def test_cheaper_venue_without_a_record_is_an_assumption() -> None:
    costs = json.loads(CliRunner().invoke(main, ["costs", "--equity", "1000", "--venue", "coinbase", "--json"]).stdout)
    mean = sum(view["order_usd"] for view in costs["cases"][0]["reach"]) / 3
    assert mean == pytest.approx(52.74, abs=0.01)  # 55.78, 52.24 and 50.19 of the guide's table
    for activity in (None, an_activity(a_venue(round_trips=0)), an_activity(a_venue(round_trips=2), days=89.0)):
        one = only(report(activity, 1000.0, **FREE).advice, "cheaper_venue")
        assert one.usd_year == pytest.approx(4 * mean * 0.0061219, abs=1e-3)
        assert "An assumption, as no 90 days with trades are recorded: closed trades a year in" in one.arithmetic
    breakout = only(report(None, 1000.0, STRATEGY="breakout", **FREE).advice, "cheaper_venue")
    assert breakout.arithmetic.startswith("17.0 round trips a year")


def test_cheaper_venue_that_is_not_set_needs_an_account() -> None:
    one = only(report(None, 1000.0, SECONDARY_BROKER="NONE", **FREE).advice, "cheaper_venue")
    assert "It needs an account at kraken" in one.arithmetic


def test_cheaper_venue_that_takes_coins_away_is_not_for_now() -> None:
    # the guide's table: $55 at Kraken buys BTC alone
    found = report(None, 55.0, **FREE)
    assert [one.code for one in found.advice] == []
    one = only(found.not_now, "cheaper_venue")
    assert one.arithmetic.endswith("orders that are possible now: ETH from $123.34, SOL from $217.44.")


# -- server, patience, settings


def test_server_and_patience_at_15_dollars() -> None:
    found = report(None, 15.0)
    assert [(one.code, one.usd_year) for one in found.advice] == [
        ("cron", 60.0),
        ("wait_server", 60.0),
        ("wait_coins", 60.0),
    ]
    assert "$5.00 x 12 = $60.00" in found.advice[0].arithmetic
    # 60 / 9 % = 666.67
    assert found.advice[1].what == "Pay for a server from $666.67 of equity on, not before"
    # the guide's table; 45.98 - 15
    assert found.advice[2].what == "Wait for $45.98, or deposit the $30.98 that are missing"
    assert "Now nothing can be bought; BTC from $24.91, ETH from $41.37, SOL from $45.98." in found.advice[2].arithmetic


def test_server_is_bearable_from_its_share_on() -> None:
    assert [one.code for one in report(None, 666.66).advice if one.code.startswith("wait")] == ["wait_server"]
    assert [one.code for one in report(None, 666.67).advice if one.code.startswith("wait")] == []


def test_patience_that_saves_nothing_says_so() -> None:
    found = report(None, 30.0, **FREE)
    one = only(found.advice, "wait_coins")
    assert (one.usd_year, found.is_nothing) == (0.0, True)
    assert one.arithmetic.startswith("Now BTC can be bought; ETH from $41.37, SOL from $45.98. It saves nothing")


def test_setting_that_blocks_is_named_with_what_its_default_opens() -> None:
    found = report(None, 250.0, MIN_TRADE_SIZE="60", **FREE)
    one = only(found.advice, "setting")
    assert one.what == "Take MIN_TRADE_SIZE=60 back to the default"
    assert one.arithmetic.startswith("With MIN_TRADE_SIZE=5 ETH, SOL can be bought at $250.00; now BTC can.")
    assert not found.is_nothing


def test_settings_that_block_only_together_are_named_together() -> None:
    found = report(None, 100.0, MIN_TRADE_SIZE="200", MIN_BALANCE_TO_TRADE="150", **FREE)
    one = only(found.advice, "setting")
    assert one.what == "Take MIN_TRADE_SIZE=200, MIN_BALANCE_TO_TRADE=150 back to the default"


def test_nothing_is_an_answer() -> None:
    result = advise("--equity", "500", PRIMARY_BROKER="KRAKEN", SECONDARY_BROKER="NONE", **FREE)
    assert result.exit_code == 0, result.output
    assert "Nothing: no change is worth $1.00 a year." in result.output
    assert document("--equity", "500", PRIMARY_BROKER="KRAKEN", SECONDARY_BROKER="NONE", **FREE) == {
        "mode": None,
        "equity_usd": 500.0,
        "nothing": True,
        "advice": [],
        "not_now": [],
    }


# -- the command


def test_advise_reads_the_account_where_there_is_one(tmp_path: Any) -> None:
    assert document()["mode"] is None
    assert document(PAPER_EQUITY="333")["equity_usd"] == 333.0
    write_account(tmp_path)
    found = document()
    assert (found["mode"], found["equity_usd"]) == ("PAPER", 100.48)
    # 60 of 100.48
    assert "59.7 % of $100.48" in found["advice"][1]["arithmetic"]
    assert document("--equity", "70")["mode"] is None
    assert document("--mode", "paper")["mode"] == "PAPER"


def test_advise_of_a_mode_without_an_account_ends_with_3(tmp_path: Any) -> None:
    assert advise("--mode", "live").exit_code == 3
    folder = mode_folder(tmp_path, TradingMode.LIVE)
    with SqliteLedger(ledger_path(folder), durable=False):
        pass
    result = advise("--mode", "live")
    assert (result.exit_code, "no cycle" in result.output) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "part"), [(("--equity", "0.5"), "from 1 to"), (("--equity", "70", "--mode", "paper"), "choose one")]
)
def test_advise_asked_wrongly_ends_with_2(arguments: tuple[str, ...], part: str) -> None:
    result = advise(*arguments)
    assert (result.exit_code, part in result.output) == (2, True)


def test_advise_of_an_empty_account_speaks_of_the_server_alone() -> None:
    found = report(an_activity(a_venue(worth=0.0, round_trips=3), equity=0.0), 0.0)
    assert [one.code for one in found.advice] == ["cron"]
    assert report(an_activity(a_venue(worth=0.0), equity=0.0), 0.0, **FREE).is_nothing


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("equity", [15.0, 55.0, 1000.0])
def test_advice_fits_the_width(width: int, equity: float) -> None:
    lines = render_advice(report(None, equity), Look(width=width))
    assert max(map(len, lines)) <= width
