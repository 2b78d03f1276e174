"""The truth in dollars, in the status and beside it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from view_samples import a_guard, a_place, a_reach, a_snapshot, a_status

from bot.domain.modes import Strategy
from bot.domain.snapshot import SNAPSHOT_KEY, SNAPSHOT_SCHEMA_VERSION, ReachView, Snapshot
from bot.storage.ledger import SqliteLedger
from bot.storage.modes import ledger_path
from bot.views.costs_text import STRATEGY_WORDS, from_words, why_not
from bot.views.folders import NothingRecordedError, find_place
from bot.views.status import older_snapshot, read_status, status_document
from bot.views.status_text import render_status
from bot.views.text import Look

REFUSED = a_reach(
    symbol="ETH/USD",
    stop_pct=23.2,
    order_usd=0.0,
    risk_usd=1.24,
    risk_pct=1.26,
    refusal="below_venue_minimum",
    refusal_limit=8.0,
    refusal_actual=5.0,
    refusal_unit="usd",
    from_equity_usd=123.34,
)
DORMANT = [
    a_reach(
        account="kraken",
        symbol=symbol,
        order_usd=0.0,
        refusal="venue_dormant",
        refusal_limit=50.0,
        refusal_actual=12.0,
        refusal_unit="usd",
        from_equity_usd=54.39,
    )
    for symbol in ("BTC/USD", "SOL/USD")
]
NEVER = a_reach(
    order_usd=0.0,
    refusal="costs_too_high",
    refusal_limit=1.57,
    refusal_actual=1.82,
    refusal_unit="pct",
    from_equity_usd=None,
)
UNKNOWN = a_reach(
    stop_pct=None,
    order_usd=0.0,
    risk_usd=0.0,
    risk_pct=0.0,
    round_trip_pct=0.0,
    round_trip_usd=0.0,
    refusal="history_too_short",
    refusal_limit=91.0,
    refusal_actual=5.0,
    refusal_unit="days",
    from_equity_usd=None,
)


def dollars(snapshot: Snapshot, *, server_cost: str = "5", width: int = 80) -> str:
    """The section without the white space in which it is laid out."""
    text = "\n".join(render_status(a_status(snapshot, server_cost=server_cost), Look(width=width)))
    found = re.search(r"^IN DOLLARS ─+\n(.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return " ".join(found[1].split())


def test_status_in_dollars_tells_orders_risk_heat_and_server() -> None:
    guards = [
        a_guard("risk_reward", used=2.317, limit=1.8, unit="score", about="BTC/USD"),
        a_guard("confidence", used=None, limit=0.7, unit="score", about="not armed: no measured evidence yet"),
    ]
    assert dollars(a_snapshot(guards=guards, reach=[a_reach(), REFUSED])) == (
        "Strategy allocation: holds a coin in proportion to its score, with a stop four average daily ranges below; "
        "sells when the score falls, not at a price. "
        "Reward after costs as a multiple of the risk: at least 1.80; 2.32. "
        "Confidence of the trade filter: at least 0.70; abstains, not armed: no measured evidence yet. "
        "At a full score, with all $98.35, 1.6 % below the peak, in cash on the one venue and nothing else held: "
        "venue coin order stop round trip risk at the stop "
        "coinbase BTC/USD $7.87 13.2 % 1.82 %, $0.14 $1.18, 1.2 % "
        "coinbase ETH/USD from $123.34 23.2 % 1.82 %, $0.14 $1.24, 1.3 % "
        "Where there is no order, the amounts are those of the smallest trade. "
        "The ceiling is 3.0 % of equity per trade; the order that risks most, BTC/USD on coinbase, really risks 1.2 %. "
        "coinbase ETH/USD: The order would be $5.00; coinbase takes none below $8.00. "
        # 2.31 / 98.35 = 2.3 %; 60 / 98.35 = 61 %
        "All stops together would cost $2.31 now (2.3 % of equity); the limit is $5.59. "
        "Server: $5.00 a month is $60.00 a year, 61 % of this equity: that much must be earned before anything is."
    )


def test_status_in_dollars_names_a_reason_once_for_each_venue() -> None:
    text = dollars(a_snapshot(reach=[NEVER, UNKNOWN, *DORMANT], strategy="breakout"))
    assert "Strategy breakout: buys a new 20-day high" in text
    assert "coinbase BTC/USD not now 13.2 %" in text
    assert "coinbase BTC/USD unknown kraken BTC/USD from $54.39" in text
    assert "The ceiling is 3.0 % of equity per trade; no order is possible now." in text
    assert text.count("The account on kraken is worth $12.00; entries there begin at $50.00.") == 1
    assert "kraken BTC/USD, SOL/USD: The account on kraken" in text
    assert "coinbase BTC/USD: Daily prices are known for 5 days; the score needs 91 days." in text


def test_status_in_dollars_without_equity_or_server_says_no_shares() -> None:
    text = dollars(a_snapshot(equity_usd=0.0, heat_usd=0.0, heat_limit_usd=0.0, reach=[]), server_cost="0")
    assert text.endswith("All stops together would cost $0.00 now; the limit is $0.00.")
    assert "venue coin" not in text


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("equity", [12.0, 900_000.0])
def test_status_in_dollars_fits_the_width(width: int, equity: float) -> None:
    rich = a_reach(order_usd=162_000.0, risk_usd=24_300.0, round_trip_usd=2951.44, from_equity_usd=900_000.0)
    snapshot = a_snapshot(equity_usd=equity, reach=[rich, REFUSED, NEVER, UNKNOWN, *DORMANT])
    lines = render_status(a_status(snapshot), Look(width=width, ascii=True))
    assert max(map(len, lines)) <= width
    assert any("from $123.34" in line for line in lines)


def test_status_json_has_the_figures_and_the_words() -> None:
    document = status_document(a_status(a_snapshot(reach=[a_reach(), REFUSED])))
    assert document["in_dollars"] == [
        {"account": "coinbase", "symbol": "BTC/USD", "why_not": ""},
        {
            "account": "coinbase",
            "symbol": "ETH/USD",
            "why_not": "The order would be $5.00; coinbase takes none below $8.00.",
        },
    ]
    snapshot = document["snapshot"]
    assert isinstance(snapshot, dict)
    assert snapshot["reach"] == [a_reach(), REFUSED]
    assert (snapshot["heat_usd"], snapshot["heat_limit_usd"], snapshot["strategy"]) == (2.31, 5.59, "allocation")


@pytest.mark.parametrize(
    ("view", "words"),
    [(REFUSED, "from $123.34"), (NEVER, "not now"), (UNKNOWN, "unknown"), (DORMANT[0], "from $54.39")],
)
def test_from_words_say_from_when_not_now_or_unknown(view: ReachView, words: str) -> None:
    assert from_words(view) == words


def test_why_not_is_empty_for_an_order() -> None:
    assert why_not(a_reach()) == ""
    assert why_not(NEVER) == "A round trip costs 1.82 %; with so near a stop it may cost 1.57 %."


def test_strategy_words_cover_every_strategy() -> None:
    assert set(STRATEGY_WORDS) == set(Strategy)


# -- what another version has recorded


@pytest.mark.parametrize("version", [SNAPSHOT_SCHEMA_VERSION - 1, SNAPSHOT_SCHEMA_VERSION + 1])
def test_status_of_another_versions_snapshot_says_that_it_is_renewed(tmp_path: Path, version: int) -> None:
    folder = tmp_path / "simulated"
    folder.mkdir()
    with SqliteLedger(ledger_path(folder), durable=False) as ledger:
        ledger.set_value(SNAPSHOT_KEY, {"schema_version": version})
    place = find_place(tmp_path, None)
    with pytest.raises(NothingRecordedError) as raised:
        read_status(place, server_cost_usd_month=Decimal(5), now=place.written_at)
    assert str(raised.value) == (
        f"the last cycle in {folder.resolve()} was recorded by another version of this program; the next cycle of "
        "this one renews it (`bash scripts/run` does). Nothing is lost: `python bot.py trades` and `refusals` show "
        "what they did"
    )
    assert "the bot that runs is of that version: restart it" in str(older_snapshot(a_place()))
