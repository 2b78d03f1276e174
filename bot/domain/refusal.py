"""Refusals and guards are results: typed, with limit and actual value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RefusalCode(StrEnum):
    """Why an entry was not taken."""

    SIGNAL_TOO_WEAK = "signal_too_weak"
    HISTORY_TOO_SHORT = "history_too_short"
    BELOW_MIN_TRADE = "below_min_trade"
    BELOW_VENUE_MINIMUM = "below_venue_minimum"
    UNSELLABLE = "unsellable"
    COSTS_TOO_HIGH = "costs_too_high"
    POSITION_CAP = "position_cap"
    RISK_PER_TRADE = "risk_per_trade"
    CASH_BUFFER = "cash_buffer"
    VENUE_CASH = "venue_cash"
    VOLATILITY_ROOM = "volatility_room"
    HEAT = "heat"
    FEE_BUDGET = "fee_budget"
    EDGE_BRAKE = "edge_brake"
    NO_EDGE = "no_edge"
    RISK_REWARD = "risk_reward"
    NO_BREAKOUT = "no_breakout"
    MARKET_FLAT = "market_flat"
    MARKET_CRASH = "market_crash"
    LOW_CONFIDENCE = "low_confidence"
    BELOW_EXPECTATION = "below_expectation"
    MAX_POSITIONS = "max_positions"
    VENUE_DORMANT = "venue_dormant"
    VENUE_UNKNOWN = "venue_unknown"
    ORDER_PENDING = "order_pending"
    STALE_DATA = "stale_data"
    SPREAD = "spread"
    PRICE_DISAGREES = "price_disagrees"
    PRICE_MOVED = "price_moved"
    NO_MARKET = "no_market"
    QUOTE_OFF_PEG = "quote_off_peg"
    BELOW_ACTIVATION = "below_activation"
    ERROR_SHUTOFF = "error_shutoff"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    LOSS_STREAK = "loss_streak"
    UNRECONCILED = "unreconciled"
    TRANSFER_PENDING = "transfer_pending"
    PAUSED_BY_USER = "paused_by_user"
    FOLLOWS_MASTER = "follows_master"
    ENTRY_NOT_FILLED = "entry_not_filled"
    ORDER_REJECTED = "order_rejected"


Reason = tuple[RefusalCode, float, float, str]
"""A refusal before it is one: (code, limit, actual value, unit)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An entry that was not taken; ``limit`` and ``actual`` are in the code's own unit."""

    code: RefusalCode
    limit: float
    actual: float
    unit: str
    """One of ``usd``, ``pct``, ``count``, ``score``, ``ratio``, ``hours``, ``days``, ``base``."""
    symbol: str
    account: str
    bar_ms: int
    """Opening time of the decision bar: a refusal is stored once per (bar, coin, code)."""
    notional_usd: float
    """Size of the trade that was not made, 0 where none was computed."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardReading:
    """One limit as it stands now."""

    name: str
    used: float
    """NaN where there is nothing to measure yet: the guard abstains, and ``about`` says why."""
    limit: float
    unit: str
    active: bool
    action: str
    """What the guard does while active, in plain words."""
    about: str = ""
    """Which venue or coin the values are of, where the guard watches several."""
