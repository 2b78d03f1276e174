"""A mode folder with one round trip and one open position, written by the real ledger."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from bot.domain.account import Fill, Flow, Liquidity
from bot.domain.modes import EngineMode, TradingMode
from bot.domain.orders import Order, OrderType, Purpose, Side
from bot.domain.refusal import Refusal, RefusalCode
from bot.domain.snapshot import (
    SNAPSHOT_KEY,
    SNAPSHOT_SCHEMA_VERSION,
    CoinView,
    PositionView,
    ReachView,
    Snapshot,
    VenueView,
)
from bot.ports import EquityPoint
from bot.scaling.ladder import SCALING_TIERS
from bot.scaling.state import TierState, apply
from bot.storage.ledger import SqliteLedger
from bot.storage.modes import STATE_FILE_NAME, ledger_path, mode_folder

T0 = datetime(2026, 2, 1, 0, 1, tzinfo=UTC)
NOW = T0 + timedelta(days=10)


def write_account(
    state_dir: Path, mode: TradingMode = TradingMode.PAPER, *, engine_mode: EngineMode = EngineMode.ACTIVE
) -> Path:
    """Write ledger and tier state of a $100 account; returns its folder."""
    folder = mode_folder(state_dir, mode)
    folder.mkdir(parents=True, exist_ok=True)
    with SqliteLedger(ledger_path(folder), durable=False) as ledger:
        ledger.record_flow(Flow(account="coinbase", asset="USD", amount=Decimal(100), at=T0, note="opening balance"))
        # bought for 0.0002 x 90000 = $18.00 and $0.10 of fees, sold for $19.00 and $0.20: net +$0.70
        _buy(ledger, 1, price="90000", fee="0.10", at=T0)
        _sell(ledger, 2, price="95000", fee="0.20", at=T0 + timedelta(days=3))
        _buy(ledger, 3, price="100000", fee="0.12", at=T0 + timedelta(days=5))
        for day, code in ((1, RefusalCode.SIGNAL_TOO_WEAK), (4, RefusalCode.CASH_BUFFER), (9, RefusalCode.CASH_BUFFER)):
            ledger.record_refusal(_refusal(code, T0 + timedelta(days=day), "ETH/USD" if day == 9 else "BTC/USD"))
        for day, equity in ((0, 100.0), (9, 101.0), (10, 100.48)):
            ledger.record_equity(_point(T0 + timedelta(days=day), equity))
        ledger.set_value(SNAPSHOT_KEY, _snapshot(mode, engine_mode))
    _, state = apply(TierState(), 100.0, SCALING_TIERS, T0)
    (folder / STATE_FILE_NAME).write_text(json.dumps(state.to_json()), encoding="utf-8")
    return folder


def _buy(ledger: SqliteLedger, number: int, *, price: str, fee: str, at: datetime) -> None:
    _execute(ledger, number, Side.BUY, Purpose.ENTRY, price=price, fee=fee, at=at)


def _sell(ledger: SqliteLedger, number: int, *, price: str, fee: str, at: datetime) -> None:
    _execute(ledger, number, Side.SELL, Purpose.EXIT, price=price, fee=fee, at=at)


def _execute(
    ledger: SqliteLedger, number: int, side: Side, purpose: Purpose, *, price: str, fee: str, at: datetime
) -> None:
    order_id = f"id-{number}"
    ledger.record_intent(
        Order(
            client_order_id=order_id,
            account="coinbase",
            symbol="BTC/USD",
            intent_number=number,
            purpose=purpose,
            side=side,
            type=OrderType.MARKET,
            quantity=Decimal("0.0002"),
            reason="a test",
            created_at=at,
            updated_at=at,
        )
    )
    ledger.record_fill(
        Fill(
            fill_id=f"fill-{number}",
            account="coinbase",
            symbol="BTC/USD",
            client_order_id=order_id,
            side=side,
            quantity=Decimal("0.0002"),
            price=Decimal(price),
            fee=Decimal(fee),
            liquidity=Liquidity.TAKER,
            at=at,
        )
    )


def _refusal(code: RefusalCode, at: datetime, symbol: str) -> Refusal:
    is_signal = code is RefusalCode.SIGNAL_TOO_WEAK
    return Refusal(
        code=code,
        limit=0.75 if is_signal else 5.0,
        actual=0.33 if is_signal else 3.21,
        unit="score" if is_signal else "usd",
        symbol=symbol,
        account="" if is_signal else "coinbase",
        bar_ms=int(at.timestamp() * 1000),
        notional_usd=0.0 if is_signal else 18.2,
        at=at,
    )


def _point(at: datetime, equity: float) -> EquityPoint:
    return EquityPoint(
        at=at,
        equity=equity,
        cash=80.58,
        performance_index=equity / 100,
        high_water_mark=1.01,
        exposure_frac=0.2,
        fresh=True,
    )


def _snapshot(mode: TradingMode, engine_mode: EngineMode) -> Snapshot:
    return Snapshot(
        schema_version=SNAPSHOT_SCHEMA_VERSION,
        strategy="allocation",
        trading_mode=mode.value,
        engine_mode=engine_mode.value,
        engine_mode_reason="halted by the user; `resume` ends the halt" if engine_mode is EngineMode.HALTED else "",
        at=NOW.isoformat(),
        cycle=14_400,
        poll_s=60.0,
        equity_usd=100.48,
        fresh=True,
        cash_usd=80.58,
        cash_buffer_usd=15.07,
        exposure_pct=19.8,
        deposits_usd=100.0,
        profit_usd=0.48,
        fees_usd=0.42,
        high_water_mark_index=1.01,
        performance_index=1.0048,
        drawdown_pct=0.51,
        today_pnl_usd=-0.52,
        tier="STARTER",
        max_positions=2,
        risk_per_trade_pct=3.0,
        effective_risk_pct=1.89,
        heat_usd=1.9,
        heat_limit_usd=5.55,
        next_decision_at=(NOW + timedelta(days=1)).isoformat(),
        next_cycle_at=(NOW + timedelta(minutes=1)).isoformat(),
        data_age_s=2.0,
        venues=[_venue()],
        positions=[_position()],
        coins=[_coin()],
        guards=[],
        not_traded={},
        reach=[_reach()],
        orders=[],
        findings=[],
        reconciled_at=NOW.isoformat(),
    )


def _reach() -> ReachView:
    return ReachView(
        account="coinbase",
        symbol="BTC/USD",
        stop_pct=13.2,
        order_usd=8.04,
        risk_usd=1.2,
        risk_pct=1.2,
        round_trip_pct=1.82,
        round_trip_usd=0.15,
        refusal="",
        refusal_limit=None,
        refusal_actual=None,
        refusal_unit="",
        from_equity_usd=100.48,
    )


def _venue() -> VenueView:
    return VenueView(
        account="coinbase",
        fresh=True,
        problem="",
        equity_usd=100.48,
        cash_usd=80.58,
        free_cash_usd=80.58,
        cash_by_asset={"USD": 80.58},
        stops_rest=True,
        minimum_balance_usd=10.0,
        dormant=False,
        maker_pct=0.6,
        taker_pct=1.2,
        fee_origin="paper: default",
        balance_age_s=0.0,
        foreign_assets={},
        dust_usd=0.0,
    )


def _position() -> PositionView:
    return PositionView(
        account="coinbase",
        symbol="BTC/USD",
        quantity="0.0002",
        missing="",
        average_price=100_000.0,
        price=99_500.0,
        value_usd=19.9,
        unrealized_usd=-0.1,
        fees_usd=0.12,
        stop_price=90_000.0,
        stop_resting=True,
        stop_watched=False,
        too_small=False,
        r_multiple=-0.05,
        opened_at=(T0 + timedelta(days=5)).isoformat(),
    )


def _coin() -> CoinView:
    return CoinView(
        symbol="BTC/USD",
        price=99_500.0,
        score=0.78,
        score_to_open=0.75,
        held_usd=19.9,
        target_usd=20.0,
        trigger_price=None,
        lowering_price=None,
        members={},
        weights={},
        regime="",
        regime_rank=None,
        regime_periods=0,
        regime_right=0,
        regime_rose=0,
        action="hold",
        refusal="",
        refusal_limit=None,
        refusal_actual=None,
        refusal_account="",
        refusal_unit="",
        decided_bar_at=(NOW - timedelta(days=1)).isoformat(),
    )
