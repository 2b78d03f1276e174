"""Trades and status say in words what dust is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from view_samples import a_position, a_snapshot, a_status, a_venue

from bot.domain.account import DustEvent, Fill, Liquidity
from bot.domain.modes import TradingMode
from bot.domain.orders import Side
from bot.storage.ledger import SqliteLedger
from bot.storage.modes import ledger_path
from bot.views.folders import Place
from bot.views.status_text import render_status
from bot.views.text import Look
from bot.views.trades import read_trades, render_trades, trades_document

T0 = datetime(2026, 2, 1, 0, 1, tzinfo=UTC)
LOOK = Look(width=100)


def a_fill(side: Side, quantity: str, price: str, *, hours: int) -> Fill:
    return Fill(
        fill_id=f"f{hours}",
        account="coinbase",
        symbol="BTC/USD",
        client_order_id="unknown here",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(0),
        liquidity=Liquidity.TAKER,
        at=T0 + timedelta(hours=hours),
    )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A ledger with $0.37 of Bitcoin written off, and Bitcoin bought again."""
    with SqliteLedger(ledger_path(tmp_path), durable=False) as ledger:
        ledger.record_fill(a_fill(Side.BUY, "0.0010", "100000", hours=0))
        ledger.record_fill(a_fill(Side.SELL, "0.0009963", "110000", hours=1))
        ledger.record_dust(DustEvent(account="coinbase", symbol="BTC/USD", at=T0 + timedelta(hours=2)))
        ledger.record_fill(a_fill(Side.BUY, "0.0005", "90000", hours=3))
    return Place(mode=TradingMode.PAPER, folder=tmp_path, holder=None, written_at=T0)


def test_trades_closed_by_dust_are_explained(place: Place) -> None:
    model = read_trades(place, limit=10)
    lines = [line.strip() for line in render_trades(model, LOOK)]
    # 0.0000037 x 100,000 = $0.37
    said = "dust: $0.37 of BTC/USD too small to sell; it stays on coinbase, and what it cost counts as lost"
    assert said in lines
    assert [trade.last_purpose for trade in model.closed] == ["dust"]
    assert [position.quantity for position in model.open] == [Decimal("0.0005")]
    # 0.0009963 x 110,000 - 100 = 9.593
    assert model.net_usd == Decimal("9.593")
    assert trades_document(model)["dust"] == [
        {"account": "coinbase", "symbol": "BTC/USD", "quantity": "0.0000037", "cost_usd": "0.370000000000"}
    ]


def test_trades_of_another_coin_do_not_mention_the_dust(place: Place) -> None:
    model = read_trades(place, limit=10, coin="ETH")
    assert not any("dust" in line for line in render_trades(model, LOOK))


def test_status_tells_written_off_dust_of_a_venue() -> None:
    lines = [line.strip() for line in render_status(a_status(a_snapshot(venues=[a_venue(dust_usd=0.37)])), LOOK)]
    assert "dust: $0.37 too small to sell, written off as a loss; it stays there" in lines
    assert not any("dust" in line for line in render_status(a_status(), LOOK))


def test_status_of_a_position_too_small_to_sell_promises_no_stop() -> None:
    position = a_position(too_small=True, value_usd=0.37, stop_price=None, stop_resting=False)
    lines = [line.strip() for line in render_status(a_status(a_snapshot(positions=[position])), LOOK)]
    assert "dust: $0.37 too small to sell; written off if it stays so" in lines
    assert not any("no stop yet" in line for line in lines)
