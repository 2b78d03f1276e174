"""Sample records for the ledger's tests."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from bot.domain.account import CoinsOut, DustEvent, Fill, Flow, Liquidity
from bot.domain.orders import Order, OrderType, Purpose, Side
from bot.domain.refusal import Refusal, RefusalCode
from bot.ports import DecisionRecord, EquityPoint, GuardEvent

T0 = datetime(2024, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
BAR_MS = 1_709_164_800_000


def an_order(number: int = 1, *, symbol: str = "BTC/USD", quantity: str = "0.00100000") -> Order:
    return Order(
        client_order_id=f"id-{symbol}-{number}",
        account="coinbase",
        symbol=symbol,
        intent_number=number,
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=Decimal("62345.67"),
        post_only=True,
        reason="score 0.71",
        created_at=T0,
        updated_at=T0,
    )


def a_fill(fill_id: str = "f1", *, account: str = "coinbase", at: datetime = T0, fee: str = "0.0374074020") -> Fill:
    return Fill(
        fill_id=fill_id,
        account=account,
        symbol="BTC/USD",
        client_order_id="id-BTC/USD-1",
        side=Side.BUY,
        quantity=Decimal("0.00010000"),
        price=Decimal("62345.67"),
        fee=Decimal(fee),
        liquidity=Liquidity.MAKER,
        at=at,
    )


def a_flow(amount: str = "100.00", *, at: datetime = T0) -> Flow:
    return Flow(account="coinbase", asset="USD", amount=Decimal(amount), at=at, note="deposit")


def a_write_off(symbol: str = "BTC/USD", *, at: datetime = T0) -> DustEvent:
    return DustEvent(account="coinbase", symbol=symbol, at=at)


def a_removal(quantity: str = "0.00005", *, at: datetime = T0) -> CoinsOut:
    return CoinsOut(account="coinbase", symbol="BTC/USD", quantity=Decimal(quantity), price=Decimal("60000.50"), at=at)


def a_refusal(
    code: RefusalCode = RefusalCode.CASH_BUFFER, *, bar_ms: int = BAR_MS, symbol: str = "BTC/USD", at: datetime = T0
) -> Refusal:
    return Refusal(
        code=code,
        limit=15.0,
        actual=12.5,
        unit="pct",
        symbol=symbol,
        account="coinbase",
        bar_ms=bar_ms,
        notional_usd=18.25,
        at=at,
    )


def a_decision(*, symbol: str = "BTC/USD", score: float = 0.71, at: datetime = T0) -> DecisionRecord:
    return DecisionRecord(
        symbol=symbol,
        account="coinbase",
        bar_ms=BAR_MS,
        first_bar_ms=BAR_MS - 200 * 86_400_000,
        bars=201,
        action="enter",
        score=score,
        details={"sma200": 51234.5, "why": "above trend", "stop": None},
        at=at,
    )


def a_guard_event(name: str = "drawdown", *, active: bool = True, used: float = 12.1) -> GuardEvent:
    return GuardEvent(name=name, active=active, used=used, limit=12.0, unit="pct", at=T0)


def an_equity_point(at: datetime, equity: float = 260.0, index: float = 1.0) -> EquityPoint:
    return EquityPoint(
        at=at, equity=equity, cash=120.5, performance_index=index, high_water_mark=1.2, exposure_frac=0.25, fresh=True
    )
