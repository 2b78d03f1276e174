"""Hand-made snapshots and models for the tests of the views."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from bot.domain.finding import BLOCKING
from bot.domain.modes import TradingMode
from bot.domain.refusal import Refusal, RefusalCode
from bot.domain.snapshot import (
    SNAPSHOT_SCHEMA_VERSION,
    CoinView,
    FindingView,
    GuardView,
    OrderView,
    PositionView,
    ReachView,
    Snapshot,
    VenueView,
)
from bot.scaling.state import TierChange, TierState
from bot.scaling.transitions import Direction
from bot.storage.ledger_reader import DayResult
from bot.storage.lock import LockHolder
from bot.views.folders import Place
from bot.views.status import StatusModel, build_status

AT = datetime(2026, 3, 2, 14, 1, tzinfo=UTC)
RUNNING = LockHolder(pid=4242, since=AT, command="run")


def a_coin(**changes: Any) -> CoinView:
    """BTC whose score is too low."""
    coin: dict[str, Any] = {
        "symbol": "BTC/USD",
        "price": 100_000.0,
        "score": 0.33,
        "score_to_open": 0.75,
        "held_usd": 0.0,
        "target_usd": 0.0,
        "trigger_price": 103_000.0,
        "lowering_price": 91_000.0,
        "members": {},
        "weights": {},
        "regime": "",
        "regime_rank": None,
        "regime_periods": 0,
        "regime_right": 0,
        "regime_rose": 0,
        "action": "refuse",
        "refusal": "signal_too_weak",
        "refusal_limit": 0.75,
        "refusal_actual": 0.33,
        "refusal_unit": "score",
        "refusal_account": "",
        "decided_bar_at": "2026-03-01T00:00:00+00:00",
    }
    return cast(CoinView, {**coin, **changes})


def a_position(**changes: Any) -> PositionView:
    """0.0002 BTC bought at $95,000, now $100,000, stop at $90,000."""
    position: dict[str, Any] = {
        "account": "coinbase",
        "symbol": "BTC/USD",
        "quantity": "0.00020000",
        "missing": "",
        "average_price": 95_000.0,
        "price": 100_000.0,
        "value_usd": 20.0,
        "unrealized_usd": 1.0,
        "fees_usd": 0.11,
        "stop_price": 90_000.0,
        "stop_resting": True,
        "stop_watched": False,
        "too_small": False,
        "r_multiple": 1.0,
        "opened_at": "2026-02-20T00:01:00+00:00",
    }
    return cast(PositionView, {**position, **changes})


def a_venue(**changes: Any) -> VenueView:
    """Coinbase with the whole account."""
    venue: dict[str, Any] = {
        "account": "coinbase",
        "fresh": True,
        "problem": "",
        "equity_usd": 98.35,
        "cash_usd": 78.35,
        "free_cash_usd": 78.35,
        "cash_by_asset": {"USD": 78.35},
        "stops_rest": True,
        "minimum_balance_usd": 10.0,
        "dormant": False,
        "maker_pct": 0.6,
        "taker_pct": 1.2,
        "fee_origin": "paper: default",
        "balance_age_s": 0.0,
        "foreign_assets": {},
        "dust_usd": 0.0,
    }
    return cast(VenueView, {**venue, **changes})


def a_guard(name: str = "drawdown", used: float | None = 1.65, limit: float = 12.0, **changes: Any) -> GuardView:
    """A guard with room."""
    guard: dict[str, Any] = {
        "unit": "pct",
        "active": False,
        "action": "halted until `resume --reset-drawdown`",
        "about": "",
    }
    return cast(GuardView, {"name": name, "used": used, "limit": limit, **guard, **changes})


def a_reach(**changes: Any) -> ReachView:
    """$7.87 of BTC on Coinbase: a stop of 13.2 % loses 0.132 + 0.006 + 0.012 x 0.868 + 0.001 = 14.94 % of it."""
    reach: dict[str, Any] = {
        "account": "coinbase",
        "symbol": "BTC/USD",
        "stop_pct": 13.2,
        "order_usd": 7.87,
        "risk_usd": 1.176,
        "risk_pct": 1.196,
        "round_trip_pct": 1.8219,
        "round_trip_usd": 0.1434,
        "refusal": "",
        "refusal_limit": None,
        "refusal_actual": None,
        "refusal_unit": "",
        "from_equity_usd": 98.35,
    }
    return cast(ReachView, {**reach, **changes})


def an_order(**changes: Any) -> OrderView:
    """The stop of the position."""
    order: dict[str, Any] = {
        "client_order_id": "0b5e1d54-52c0-5d6c-9a0e-000000000001",
        "account": "coinbase",
        "symbol": "BTC/USD",
        "purpose": "stop",
        "side": "sell",
        "type": "stop",
        "quantity": "0.00020000",
        "price": "90000.00",
        "state": "open",
        "expires_at": None,
    }
    return cast(OrderView, {**order, **changes})


def a_finding(code: str = "coins_missing", **changes: Any) -> FindingView:
    """Half of the position is gone."""
    finding: dict[str, Any] = {
        "code": code,
        "account": "coinbase",
        "about": "BTC/USD",
        "detail": "the books hold 0.0002, the venue 0.0001: 0.0001 worth $10.00 are missing",
        "since": "2026-03-02T13:42:00+00:00",
        "blocks": code in BLOCKING,
    }
    return cast(FindingView, {**finding, **changes})


def a_snapshot(**changes: Any) -> Snapshot:
    """An active paper account of $98.35 without a position."""
    snapshot: dict[str, Any] = {
        "schema_version": SNAPSHOT_SCHEMA_VERSION,
        "strategy": "allocation",
        "trading_mode": "PAPER",
        "engine_mode": "ACTIVE",
        "engine_mode_reason": "",
        "at": AT.isoformat(),
        "cycle": 1204,
        "poll_s": 60.0,
        "equity_usd": 98.35,
        "fresh": True,
        "cash_usd": 78.35,
        "cash_buffer_usd": 14.75,
        "exposure_pct": 20.3,
        "deposits_usd": 98.0,
        "profit_usd": 0.35,
        "fees_usd": 0.62,
        "high_water_mark_index": 1.0,
        "performance_index": 0.9835,
        "drawdown_pct": 1.65,
        "today_pnl_usd": -0.31,
        "tier": "STARTER",
        "max_positions": 2,
        "risk_per_trade_pct": 3.0,
        "effective_risk_pct": None,
        "heat_usd": 2.31,
        "heat_limit_usd": 5.59,
        "next_decision_at": "2026-03-03T00:01:00+00:00",
        "next_cycle_at": "2026-03-02T14:02:00+00:00",
        "data_age_s": 8.0,
        "venues": [a_venue()],
        "positions": [],
        "coins": [a_coin()],
        "not_traded": {},
        "guards": [a_guard()],
        "reach": [a_reach()],
        "orders": [],
        "findings": [],
        "reconciled_at": "2026-03-02T13:57:00+00:00",
    }
    return cast(Snapshot, {**snapshot, **changes})


def a_refusal(code: RefusalCode = RefusalCode.CASH_BUFFER, **changes: Any) -> Refusal:
    """Bitcoin for $18.20 that the cash buffer did not allow."""
    values: dict[str, Any] = {
        "limit": 5.0,
        "actual": 3.21,
        "unit": "usd",
        "symbol": "BTC/USD",
        "account": "coinbase",
        "bar_ms": 1_772_323_200_000,
        "notional_usd": 18.2,
        "at": AT,
    }
    return Refusal(code=code, **{**values, **changes})


def a_day(day: date = date(2026, 3, 2)) -> DayResult:
    """A day that lost 31 cents."""
    return DayResult(
        day=day, equity=98.35, performance_index=0.9835, change_pct=-0.314, pnl_usd=-0.31, fees_usd=Decimal("0.12")
    )


TIER_STATE = TierState(
    current_tier="STARTER",
    last_equity=99.0,
    last_upgrade_time=AT,
    upgrade_history=(
        TierChange(timestamp=AT, from_tier=None, to_tier="STARTER", equity=100.0, direction=Direction.UP),
    ),
)


def a_place(mode: TradingMode = TradingMode.PAPER, *, holder: LockHolder | None = RUNNING) -> Place:
    """A folder that nobody opens."""
    return Place(mode=mode, folder=Path("/nowhere"), holder=holder, written_at=AT)


def a_status(
    snapshot: Snapshot | None = None,
    *,
    holder: LockHolder | None = RUNNING,
    tier_state: TierState = TIER_STATE,
    days: Sequence[DayResult] = (a_day(),),
    refusals: Sequence[Refusal] = (),
    refusal_counts: dict[str, int] | None = None,
    server_cost: str = "5",
    now: datetime = AT,
) -> StatusModel:
    """The model of a snapshot."""
    return build_status(
        snapshot=a_snapshot() if snapshot is None else snapshot,
        tier_state=tier_state,
        days=days,
        refusals=refusals,
        refusal_counts=refusal_counts or {},
        place=a_place(holder=holder),
        server_cost_usd_month=Decimal(server_cost),
        now=now,
    )
