"""What the engine says about itself at the end of each cycle: the one model behind every view.

It is stored as JSON under the ledger key ``snapshot``; money as float USD (for display only, the
books keep the Decimals), times as ISO 8601 UTC, percentages 0 to 100.
"""

from __future__ import annotations

from typing import TypedDict

SNAPSHOT_KEY = "snapshot"
SNAPSHOT_SCHEMA_VERSION = 1


class VenueView(TypedDict):
    """One account."""

    account: str
    fresh: bool
    """False: the venue did not answer; the figures are the last known ones."""
    equity_usd: float
    cash_usd: float
    free_cash_usd: float
    minimum_balance_usd: float
    dormant: bool
    maker_pct: float
    taker_pct: float
    fee_origin: str
    balance_age_s: float | None
    foreign_assets: dict[str, str]
    """Coins that the bot did not buy: asset to quantity. Never counted, never touched."""


class PositionView(TypedDict):
    """One open position."""

    account: str
    symbol: str
    quantity: str
    average_price: float
    price: float
    value_usd: float
    unrealized_usd: float
    fees_usd: float
    stop_price: float | None
    stop_resting: bool
    """True: the stop rests on the venue; False: the bot has yet to place it."""
    r_multiple: float | None
    """(price - average price) / (average price - first stop)."""
    opened_at: str


class CoinView(TypedDict):
    """What one coin waits for."""

    symbol: str
    price: float | None
    score: float | None
    score_to_open: float
    held_usd: float
    target_usd: float | None
    trigger_price: float | None
    """A daily close above it would lift the score to ``score_to_open``; None: already there, or unknown."""
    lowering_price: float | None
    """A daily close below it would lower the score; None: it is 0, or unknown."""
    action: str
    """Of the last decision: ``enter``, ``add``, ``reduce``, ``exit``, ``hold``, ``refuse``; '' before the first."""
    refusal: str
    """RefusalCode of the last decision or ''."""
    refusal_limit: float | None
    refusal_actual: float | None
    refusal_unit: str
    decided_bar_at: str | None


class GuardView(TypedDict):
    """One limit as used / limit."""

    name: str
    used: float
    limit: float
    unit: str
    active: bool
    action: str


class OrderView(TypedDict):
    """One live order."""

    client_order_id: str
    account: str
    symbol: str
    purpose: str
    side: str
    type: str
    quantity: str
    price: str | None
    state: str


class Snapshot(TypedDict):
    """The whole account at the end of a cycle."""

    schema_version: int
    trading_mode: str
    """``LIVE``, ``PAPER``, ``SIMULATED`` or ``REPLAY``."""
    engine_mode: str
    """``ACTIVE``, ``REDUCE_ONLY``, ``HALTED`` or ``STALLED``."""
    engine_mode_reason: str
    at: str
    cycle: int
    poll_s: float
    equity_usd: float
    fresh: bool
    cash_usd: float
    cash_buffer_usd: float
    exposure_pct: float
    deposits_usd: float
    """Net external flows since the start."""
    profit_usd: float
    """equity - deposits."""
    fees_usd: float
    high_water_mark_index: float
    performance_index: float
    drawdown_pct: float
    today_pnl_usd: float
    tier: str
    max_positions: int
    risk_per_trade_pct: float
    effective_risk_pct: float | None
    """Largest loss to stop of an open position as a share of equity; None without positions."""
    next_decision_at: str
    next_cycle_at: str
    data_age_s: float | None
    """Age of the oldest current price."""
    venues: list[VenueView]
    positions: list[PositionView]
    coins: list[CoinView]
    guards: list[GuardView]
    orders: list[OrderView]
