"""`montecarlo` as a user runs it: from assumed trades, from own ones, and with what is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from program_rig import assert_fails, bot, bot_inside, write_env

from bot.domain.account import Fill, Flow, Liquidity
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side, client_order_id
from bot.storage.ledger import SqliteLedger

D = Decimal
START = datetime(2024, 1, 1, tzinfo=UTC)
FEW = ("--paths", "400", "--trades", "50")


def document(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> dict[str, Any]:
    done = bot_inside(monkeypatch, folder, "montecarlo", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def trade(ledger: SqliteLedger, number: int, *, sold_at: str) -> None:
    """Buy 0.1 at $100 and sell it, a day later, without a fee."""
    for side, price, hours in ((Side.BUY, "100", 0), (Side.SELL, sold_at, 24)):
        now = START + timedelta(days=10 * number, hours=hours)
        place = 2 * number + (side is Side.SELL) + 1
        order = Order(
            client_order_id=client_order_id(ledger.epoch, "kraken", "BTC/USD", place),
            account="kraken",
            symbol="BTC/USD",
            intent_number=place,
            purpose=Purpose.ENTRY if side is Side.BUY else Purpose.EXIT,
            side=side,
            type=OrderType.LIMIT,
            quantity=D("0.1"),
            price=D(price),
            reason="test",
            created_at=now,
            updated_at=now,
        )
        with ledger.transaction():
            ledger.record_intent(order)
            for state in (OrderState.IN_FLIGHT, OrderState.OPEN):
                before, order = order, order.moved_to(state, at=now)
                ledger.record_transition(order, before.state, "")
            ledger.record_fill(
                Fill(
                    fill_id=f"f{place}",
                    account="kraken",
                    symbol="BTC/USD",
                    client_order_id=order.client_order_id,
                    side=side,
                    quantity=D("0.1"),
                    price=D(price),
                    fee=D(0),
                    liquidity=Liquidity.MAKER,
                    at=now,
                )
            )


def with_trades(folder: Path, count: int) -> Path:
    """Paid in $100; of the trades every second wins $2 and the others lose $1."""
    (folder / "paper").mkdir()
    with SqliteLedger(folder / "paper" / "ledger.sqlite3", durable=False) as ledger:
        with ledger.transaction():
            ledger.record_flow(Flow(account="kraken", asset="USD", amount=D(100), at=START, note="opening balance"))
        for number in range(count):
            trade(ledger, number, sold_at="120" if number % 2 else "90")
    return folder


@pytest.fixture
def account(tmp_path: Path) -> Path:
    return with_trades(tmp_path, 40)


def test_assumed_trades_bring_the_published_odds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = document(
        monkeypatch, tmp_path, "--win-rate", "45", "--risk", "2", "--equity", "250", "--trades", "50", "--paths", "4000"
    )
    assert found["drawdown"]["pct"] == pytest.approx(49, abs=3)
    assert found["drawdown"]["limit_pct"] == 12.0
    assert found["drawdown"]["low_pct"] < found["drawdown"]["pct"] < found["drawdown"]["high_pct"]
    assert found["next_tier_before_floor"]["tier"] == "ADVANCED"
    assert found["floor_before_next_tier"] == {
        "pct": 0.0,
        "low_pct": 0.0,
        "high_pct": pytest.approx(0.07, abs=0.01),
        "median_trades": None,
        "floor_usd": 13.2,
    }
    assert found["end_equity"]["p10"] < 250 < found["end_equity"]["p50"] < found["end_equity"]["p90"]
    assert (found["equity"], found["paths"], found["trades"]) == (250.0, 4000, 50)


def test_own_trades_are_shares_of_the_equity_before_them(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = document(monkeypatch, account, *FEW)
    assert found["about"] == "40 closed trades of the PAPER account, in blocks of 5 on average"
    assert found["equity"] == 120.0  # 100 + 20 x 2 - 20 x 1
    assert found["trades_a_year"] == pytest.approx(365.25 / 10, abs=0.1)
    assert found["end_equity"]["p50"] == pytest.approx(120 * 1.0045**50, rel=0.05)  # half a dollar of 110, mostly
    assert found["double_before_halve"]["pct"] < 5.0


def test_words_tell_times_in_months_where_they_are_known(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bot_inside(monkeypatch, account, "montecarlo", "--paths", "200", "--trades", "400")
    assert done.returncode == 0, done.stderr
    assert "MONTE CARLO: 200 invented futures of 400 trades each, 11 years at their pace, from $120.00." in done.stdout
    assert " double before they halve; half of those within " in done.stdout
    assert " months\n" in done.stdout
    assert "whether these trades are those of the future no drawing knows" in done.stdout
    assumed = bot_inside(monkeypatch, account, "montecarlo", "--win-rate", "60", *FEW)
    assert "months" not in assumed.stdout


def test_top_tier_reaches_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = document(monkeypatch, tmp_path, "--win-rate", "50", "--equity", "3000", *FEW)
    assert found["next_tier_before_floor"] is None


def test_same_seed_same_odds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("--win-rate", "45", *FEW)
    first, again, other = (document(monkeypatch, tmp_path, *asked, "--seed", seed) for seed in ("3", "3", "4"))
    assert first == again != other


def test_few_own_trades_are_called_insufficient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bot_inside(monkeypatch, with_trades(tmp_path, 29), "montecarlo")
    assert_fails(done, 78, "29 closed trades of the PAPER account are insufficient, 30 are needed", "--win-rate")


def test_nothing_recorded_ends_with_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_fails(bot_inside(monkeypatch, tmp_path, "montecarlo"), 3, "nothing recorded yet")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--win-rate", "0.45"), 2, "did you mean 45?"),
        (("--win-rate", "45", "--payoff", "1,8"), 2, "'1,8' must be a ratio"),
        (("--payoff", "3", "--risk", "2"), 78, "--payoff, --risk describes assumed trades and needs --win-rate"),
        (("--win-rate", "45", "--equity", "5"), 78, "nothing is opened: an account becomes active at $15.00"),
        (("--win-rate", "x"), 2, "'x' must be a percent"),
        (("--win-rate", "45", "--risk", "50", "--loss", "2"), 78, "costs all of the equity"),
        (("--win-rate", "45", "--paths", "1"), 2, "--paths"),
        (("--win-rate", "45", "--equity", "0"), 2, "dollars from 1"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    assert_fails(bot_inside(monkeypatch, tmp_path, "montecarlo", *arguments), code, words)


def test_drawdown_is_that_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_env(tmp_path, "MAX_DRAWDOWN=6")
    asked = ("--win-rate", "45", "--risk", "1", *FEW)
    assert document(monkeypatch, tmp_path, *asked)["drawdown"]["limit_pct"] == 6.0


def test_help_names_the_command(tmp_path: Path) -> None:
    assert "montecarlo" in bot(tmp_path, "--help").stdout
