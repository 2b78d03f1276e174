"""`receipt` as a user runs it: literals of a small ledger, a simulated run, and what may be wrong with a ledger."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from program_rig import assert_fails, bot, bot_inside, status

from bot.domain.account import CoinsOut, Fill, Flow, Liquidity
from bot.domain.market import Candle
from bot.domain.modes import TradingMode
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side, client_order_id
from bot.ports import DecisionRecord, EquityPoint
from bot.storage.ledger import SqliteLedger
from bot.storage.modes import ledger_path, mode_folder
from bot.views.folders import find_place
from bot.views.receipt import read_receipt
from bot.views.receipt_text import digest_receipt, render_receipt
from bot.views.text import Look
from bot.views.text import money as money_text

D = Decimal
START = datetime(2024, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def document(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> dict[str, Any]:
    done = bot_inside(monkeypatch, folder, *arguments, "receipt", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def open_ledger(folder: Path) -> SqliteLedger:
    place = mode_folder(folder, TradingMode.PAPER)
    place.mkdir(parents=True, exist_ok=True)
    return SqliteLedger(ledger_path(place), durable=False)


def flow(ledger: SqliteLedger, amount: str, at: float) -> None:
    ledger.record_flow(Flow(account="kraken", asset="USD", amount=D(amount), at=day(at), note="a test"))


def point(ledger: SqliteLedger, equity: float, at: float, *, exposure: float = 0.2, index: float = 1.0) -> None:
    ledger.record_equity(
        EquityPoint(
            at=day(at),
            equity=equity,
            cash=equity * (1 - exposure),
            performance_index=index,
            high_water_mark=1.2,
            exposure_frac=exposure,
            fresh=True,
        )
    )


def bars(ledger: SqliteLedger, source: str, symbol: str, closes: dict[int, float]) -> None:
    """A bar for each day at whose beginning there is a close."""
    first_ms = int(START.timestamp() * 1000)
    ledger.record_bars(
        source, symbol, "1d", [Candle(first_ms + (at - 1) * DAY_MS, c, c, c, c, 1.0) for at, c in closes.items()]
    )


def execute(
    ledger: SqliteLedger,
    number: int,
    purpose: Purpose,
    *,
    symbol: str = "BTC/USD",
    quantity: str = "0.1",
    price: str,
    fee: str,
    at: float,
    stop: str | None = None,
) -> None:
    side = Side.BUY if purpose is Purpose.ENTRY else Side.SELL
    order = Order(
        client_order_id=client_order_id(ledger.epoch, "kraken", symbol, number),
        account="kraken",
        symbol=symbol,
        intent_number=number,
        purpose=purpose,
        side=side,
        type=OrderType.STOP if stop is not None else OrderType.MARKET,
        quantity=D(quantity),
        stop_price=D(stop) if stop is not None else None,
        reason="a test",
        created_at=day(at),
        updated_at=day(at),
    )
    with ledger.transaction():
        ledger.record_intent(order)
        for state in (OrderState.IN_FLIGHT, OrderState.OPEN):
            before, order = order, order.moved_to(state, at=day(at))
            ledger.record_transition(order, before.state, "")
        ledger.record_fill(
            Fill(
                fill_id=f"f{symbol}{number}",
                account="kraken",
                symbol=symbol,
                client_order_id=order.client_order_id,
                side=side,
                quantity=D(quantity),
                price=D(price),
                fee=D(fee),
                liquidity=Liquidity.TAKER,
                at=day(at),
            )
        )


def decision(ledger: SqliteLedger, action: str, at: float, **details: float) -> None:
    ledger.record_decision(
        DecisionRecord(
            symbol="BTC/USD",
            account="kraken",
            bar_ms=0,
            first_bar_ms=0,
            bars=200,
            action=action,
            score=0.8,
            details=dict(details),
            at=day(at),
        )
    )


def with_money(folder: Path) -> Path:
    """20 days: +$100, on day 10 another $60, on day 15 $20 go. Between the closes of day 10 and 11 BTC rises by 20 %,
    ETH falls by 10 %; the bot has a fifth in coins."""
    with open_ledger(folder) as ledger:
        for amount, at in (("100", 0), ("60", 10), ("-20", 15)):
            flow(ledger, amount, at)
        for number in range(21):
            point(ledger, {0: 100.0, 20: 146.0}.get(number, 150.0), number, index=0.9 if number == 4 else 1.0)
        days = range(-3, 21)
        bars(ledger, "kraken", "BTC/USD", {n: 100.0 if n <= 10 else 120.0 for n in days})
        bars(ledger, "kraken", "ETH/USD", {n: 10.0 if n <= 10 else 9.0 for n in days})
        bars(ledger, "coinbase", "ETH/USD", {n: 77.0 * n for n in range(1, 10)})  # a source of before
        decision(ledger, "enter", 1, candidate_price=100.0, price=98.0)
        execute(ledger, 1, Purpose.ENTRY, price="101", fee="0.05", at=1.01)
        decision(ledger, "exit", 12, price=120.0)
        execute(ledger, 2, Purpose.EXIT, price="119", fee="0.06", at=12.0)
        execute(ledger, 1, Purpose.ENTRY, symbol="ETH/USD", quantity="1", price="10", fee="0.03", at=13)
        execute(ledger, 2, Purpose.STOP, symbol="ETH/USD", quantity="0.5", price="8.9", fee="0.01", at=14, stop="9")
    return folder


def test_receipt_is_that_of_the_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = document(monkeypatch, with_money(tmp_path))
    assert (found["mode"], found["since"], found["days"]) == ("PAPER", "2024-01-01T00:00:00+00:00", 20.0)
    assert (found["put_in_usd"], found["worth_usd"]) == (140.0, 146.0)
    # fees 0.05 + 0.06 + 0.03 + 0.01; server 5 x 12 x 20 / 365.25
    assert found["bot"] == pytest.approx(
        {
            "gross_usd": 6.15,
            "fees_usd": 0.15,
            "net_usd": 6.0,
            "server_usd": 3.285421,
            "after_server_usd": 2.714579,
            "worst_fall_pct": 10.0,
        },
        abs=1e-6,
    )
    # (20 % - 10 %) / 2 of a fifth of 160: 1.60
    same = found["same_exposure"]
    assert same.pop("coins") == ["BTC/USD", "ETH/USD"]
    assert same == pytest.approx(
        {"made_usd": 1.60, "worth_usd": 141.60, "worst_fall_pct": 0.0, "exposure_pct": 20.0}, abs=1e-9
    )
    # 160 buy 0.8 BTC and 8 ETH, worth 96 + 72 on day 11; 20 go
    every = found["all_in_coins"]
    del every["coins"]
    assert every == pytest.approx({"made_usd": 8.0, "worth_usd": 148.0, "worst_fall_pct": 0.0}, abs=1e-9)
    assert found["cash"] == {"made_usd": 0.0, "worth_usd": 140.0, "yield_pct": 0.0}
    slippage = found["slippage"]
    by = slippage.pop("by")
    # 0.1 x (101 - 100) + 0.1 x (120 - 119) + 0.5 x (9 - 8.9), of 10 + 12 + 4.50
    assert slippage == pytest.approx({"usd": 0.25, "bps": 94.339623, "fills": 3, "of_fills": 4}, abs=1e-6)
    assert (by["entry"]["usd"], by["entry"]["fills"], by["entry"]["of_fills"]) == (0.1, 1, 2)
    assert (by["stop"]["usd"], by["stop"]["bps"]) == (0.05, pytest.approx(111.111111))
    luck = found["luck"]
    # one trade: (11.90 - 10.10 - 0.11) / 10.10
    assert (luck["trades"], luck["trades_needed"], luck["told"], luck["low_pct"]) == (1, 30, False, None)
    assert luck["mean_pct"] == pytest.approx(16.732673, abs=1e-6)
    assert found["server"] == pytest.approx({"usd_month": 5.0, "usd_year": 60.0, "pct_of_equity_year": 41.095890})
    assert found["stopping"]["verdict"] == "too_early"


def test_receipt_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = bot_inside(monkeypatch, with_money(tmp_path), "receipt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == " PAPER: play money at live prices, no real orders"
    words = " ".join(done.stdout.split())
    for part in (
        "From 2024-01-01 00:00 UTC to 2024-01-21 00:00 UTC, 20 days. Put in $140.00",
        "bot, after fees +$6.00 $146.00 10.0 %",
        "bot, less server too +$2.71",
        "coins, bot's exposure +$1.60 $141.60 0.0 %",
        "coins, all of it +$8.00 $148.00 0.0 %",
        "The coins are BTC, ETH, in equal parts, without fees. At the bot's exposure: 20.0 % of the money",
        "Server $3.29, not in the result: SERVER_COST_USD_MONTH=5, for 0.7 months.",
        "Slippage +$0.25 against the prices of the decisions, +94.3 basis points of $26.50",
        "entry +$0.10 (1 of 2 fills), exit +$0.10 (1 of 1 fills), stop +$0.05 (1 of 1 fills)",
        "Cannot tell before 30 trades at least; 1 trade is closed, on average +16.73 % of what they had cost.",
        "Too early to tell: fewer than 365 days, and too few trades; after fees and server it is +$2.71 against cash "
        "and +$1.11 against the coins at its exposure.",
        "The server costs $5.00 x 12 = $60.00 a year, 41.1 % of the equity. That is much",
    ):
        assert part in words, f"{part}\n{done.stdout}"
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_receipt_counts_coins_that_left_by_hand_as_taken_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with open_ledger(with_money(tmp_path)) as ledger:
        ledger.record_coins_out(
            CoinsOut(account="kraken", symbol="ETH/USD", quantity=D("0.5"), price=D("9.02"), at=day(16))
        )
    found = document(monkeypatch, tmp_path)
    # 140 - 4.51; it is no trade
    assert (found["put_in_usd"], found["luck"]["trades"]) == (pytest.approx(135.49), 1)
    assert found["bot"]["net_usd"] == pytest.approx(10.51, abs=1e-9)
    assert found["all_in_coins"]["made_usd"] == pytest.approx(8.0, abs=1e-9)  # it went after the rise


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("money", [True, False])
def test_receipt_fits_the_width(tmp_path: Path, width: int, money: bool) -> None:
    with open_ledger(tmp_path) as ledger:
        point(ledger, 100_000.0, 0)
    place = find_place(with_money(tmp_path) if money else tmp_path, TradingMode.PAPER)
    receipt = read_receipt(place, server_cost_usd_month=D(50), cash_yield_pct=10.0)
    lines = render_receipt(receipt, Look(width=width))
    assert max(map(len, lines)) <= width
    assert [line for line in lines if "bot, after fees" in line and money_text(receipt.net, signed=True) in line]


def test_receipt_with_a_yield_and_a_dearer_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = document(
        monkeypatch, with_money(tmp_path), "--set", "CASH_YIELD_PCT=4", "--set", "SERVER_COST_USD_MONTH=10"
    )
    # 100 x 1.04^(20 / 365.25) + 60 x 1.04^(10 / 365.25) - 20 x 1.04^(5 / 365.25) = 140.268714
    assert found["cash"]["made_usd"] == pytest.approx(0.268714, abs=1e-6)
    assert found["bot"]["after_server_usd"] == pytest.approx(-0.570842, abs=1e-6)
    assert (found["stopping"]["verdict"], found["stopping"]["better"]) == ("too_early", False)
    assert found["stopping"]["words"].endswith(
        "The server costs $10.00 x 12 = $120.00 a year, 82.2 % of the equity. That is much: `advise` says what else "
        "you could do."
    )


def test_receipt_after_a_month_of_a_server_that_takes_too_much(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with open_ledger(with_money(tmp_path)) as ledger:
        point(ledger, 146.0, 40)
    # 6 - 5 x 12 x 40 / 365.25 is behind cash, and 60 a year are 41 % of 146
    found = document(monkeypatch, tmp_path)
    assert found["bot"]["after_server_usd"] == pytest.approx(-0.570842, abs=1e-6)
    assert (found["stopping"]["verdict"], found["stopping"]["better"]) == ("server", True)
    assert found["stopping"]["words"].startswith(
        "Better stopped, as it runs now: after fees and server it is -$0.57 against cash and -$2.17 against the coins "
        "at its exposure, and the server alone takes more than 9 % a year"
    )
    place = find_place(tmp_path, TradingMode.PAPER)
    assert digest_receipt(read_receipt(place, server_cost_usd_month=D(5), cash_yield_pct=0.0))[2:] == [
        "Stopping it is the better choice: `python bot.py receipt` says why."
    ]


def test_digest_lines_of_the_same_ledger(tmp_path: Path) -> None:
    place = find_place(with_money(tmp_path), TradingMode.PAPER)
    assert digest_receipt(read_receipt(place, server_cost_usd_month=D(5), cash_yield_pct=0.0)) == [
        "Since 2024-01-01: the bot +$6.00 after fees, the coins at its exposure (20.0 %) +$1.60, cash $0.00.",
        "Fees $0.15, in it; server $3.29, not in it.",
    ]


def test_receipt_of_a_simulated_run_is_that_of_status_and_trades(tmp_path: Path) -> None:
    done = bot(tmp_path, "run", "--simulated", "--cycles", "150", "--interval", "0")
    assert done.returncode == 0, done.stderr
    run = bot(tmp_path, "receipt", "--json")
    assert run.returncode == 0, run.stderr
    found, snapshot = json.loads(run.stdout), status(tmp_path)["snapshot"]
    totals = json.loads(bot(tmp_path, "trades", "--json").stdout)["totals"]
    assert found["as_of"] == snapshot["at"]
    assert found["worth_usd"] == pytest.approx(snapshot["equity_usd"], abs=1e-9)
    assert found["put_in_usd"] == pytest.approx(snapshot["deposits_usd"], abs=1e-9)
    assert found["bot"]["net_usd"] == pytest.approx(snapshot["profit_usd"], abs=1e-9)
    assert found["bot"]["fees_usd"] == float(totals["fees_usd"]) == pytest.approx(snapshot["fees_usd"], abs=1e-9)
    assert found["bot"]["fees_usd"] > 0
    assert found["luck"]["trades"] == totals["trades"]
    assert found["same_exposure"]["coins"] == ["BTC/USD", "ETH/USD", "SOL/USD"]
    assert found["slippage"]["fills"] == found["slippage"]["of_fills"] > 0


# -- what there may be too little of


def test_receipt_without_a_ledger_or_a_finished_cycle_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert_fails(bot_inside(monkeypatch, tmp_path, "receipt"), 3, "nothing recorded yet")
    with open_ledger(tmp_path) as ledger:
        flow(ledger, "100", 0)
    assert_fails(bot_inside(monkeypatch, tmp_path, "receipt"), 3, "no cycle")
    assert_fails(bot_inside(monkeypatch, tmp_path, "receipt", "--mode", "live"), 3, "nothing recorded yet")


def test_receipt_of_the_first_cycle_knows_nothing_of_the_coins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        flow(ledger, "100", 0)
        point(ledger, 100.0, 0, exposure=0.0)
    found = document(monkeypatch, tmp_path)
    assert found["bot"]["net_usd"] == found["bot"]["server_usd"] == found["days"] == 0.0
    assert found["same_exposure"]["made_usd"] is None
    assert found["all_in_coins"]["worth_usd"] is None
    assert found["stopping"]["verdict"] == "too_early"
    words = " ".join(bot_inside(monkeypatch, tmp_path, "receipt").stdout.split())
    assert "No prices of the coins are recorded yet" in words
    assert "Slippage: nothing has been bought yet." in words
    assert "coins, all of it unknown unknown unknown" in words


def test_receipt_after_everything_was_taken_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        flow(ledger, "100", 0)
        flow(ledger, "-110", 2)
        point(ledger, 100.0, 0)
        point(ledger, 110.0, 1.9)
        point(ledger, 0.0, 400, exposure=0.0)
        bars(ledger, "kraken", "BTC/USD", {number: 50.0 if number == 400 else 100.0 for number in range(401)})
    found = document(monkeypatch, tmp_path)
    # cash would have had 100 of the 110, all in coins too; the fall on the last day hurts nobody
    assert (found["put_in_usd"], found["bot"]["net_usd"]) == (-10.0, 10.0)
    assert (found["cash"]["made_usd"], found["all_in_coins"]["made_usd"]) == (0.0, 0.0)
    assert found["server"]["pct_of_equity_year"] is None
    assert found["stopping"]["verdict"] == "empty"
    words = " ".join(bot_inside(monkeypatch, tmp_path, "receipt").stdout.split())
    assert "Worth less than nothing: so much of what was taken out would not have been there." in words


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("UPDATE flows SET amount = 'ten' WHERE seq = 1", ("table flows, row 1, column amount", "'ten'")),
        ("UPDATE fills SET price = 'NaN'", ("table fills", "column price")),
        ("UPDATE equity SET equity = 9e999 WHERE at = (SELECT max(at) FROM equity)", ("table equity", "inf")),
        ("UPDATE decisions SET details = '[]'", ("table decisions", "column details")),
    ],
)
def test_receipt_of_a_damaged_ledger_names_the_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str, parts: tuple[str, ...]
) -> None:
    edit(with_money(tmp_path), change)
    assert_fails(bot_inside(monkeypatch, tmp_path, "receipt"), 1, *parts)


def test_receipt_leaves_out_prices_that_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    edit(with_money(tmp_path), "UPDATE bars SET close = -5 WHERE symbol = 'ETH/USD'", "UPDATE decisions SET at = 0")
    found = document(monkeypatch, tmp_path)
    # BTC alone: 20 % of a fifth of 160
    assert found["same_exposure"]["made_usd"] == pytest.approx(6.40, abs=1e-9)
    assert found["all_in_coins"]["made_usd"] == pytest.approx(32.0, abs=1e-9)
    assert (found["slippage"]["fills"], found["slippage"]["of_fills"]) == (1, 4)


def edit(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(ledger_path(mode_folder(folder, TradingMode.PAPER)))
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


def test_receipt_of_a_ledger_of_version_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    edit(
        with_money(tmp_path),
        "DROP VIEW next_book_seq",
        "DROP TABLE dust",
        "DROP TABLE coins_out",
        "ALTER TABLE decisions DROP COLUMN chain",
        "PRAGMA user_version = 1",
    )
    found = document(monkeypatch, tmp_path)
    assert (found["bot"]["net_usd"], found["all_in_coins"]["made_usd"]) == (6.0, pytest.approx(8.0, abs=1e-9))
