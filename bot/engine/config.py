"""What the engine needs to know from the settings, in its own units (fractions, seconds)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.decide.confidence import Evidence
from bot.decide.sizer import FEE_BUDGET
from bot.domain.model_card import ModelCard
from bot.domain.modes import ExitRule, Strategy, TradingMode
from bot.engine.history import SignalRules


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Limits and habits of one engine; ``*_frac`` are fractions of equity."""

    trading_mode: TradingMode
    strategy: Strategy
    exit_rule: ExitRule
    """Of breakout trades."""
    leg_weights: tuple[float, float, float]
    """Kelly, volatility and equity leg."""
    size_on_equity: bool
    """PRO_MODE; False: on free cash only."""
    floor_allowed: bool
    """MICRO_CAPITAL_MODE: one minimum trade may exceed blend and position cap."""
    follows_master: bool
    """MODE=MASTER_FOLLOW: nothing is entered on signals of its own."""
    shuts_off_on_errors: bool
    coins: tuple[str, ...]
    symbols: tuple[str, ...]
    """One symbol per coin, in the order of preference among equal scores."""
    primary_account: str
    """Whose daily candles decide; the account that the others are compared with."""
    bar_source: str
    poll_s: float
    """From one cycle to the next."""
    position_cap_frac: float
    cash_buffer_frac: float
    daily_loss_frac: float
    drawdown_frac: float
    max_losses: int
    min_score: float
    min_confidence: float
    min_reward: float
    """Net risk:reward that an entry needs."""
    routes_by_cost: bool
    """ROUTE_BY: the account with the lower net cost takes an entry; False: the first that can."""
    min_trade_usd: float
    min_equity_usd: float
    venue_minimum_usd: Mapping[str, float]
    max_positions_ceiling: int | None
    risk_ceiling_pct: float | None
    halt_flattens: bool
    stale_after_s: float
    """A price older than this is no price to enter at."""
    entry_patience_s: float = 1200.0
    """Post-only entries rest this long, then they are given up (20 minutes, quant correction 10)."""
    crossing_accounts: frozenset[str] = frozenset()
    """Where an entry that was not filled as maker may be tried once as taker."""
    busy_poll_s: float = math.inf
    """The same while an entry rests, whose fill needs its stop soon, or a stop is watched, where that is shorter."""
    reconcile_s: float = 900.0
    """Between two comparisons of everything at the venues with the ledger (RECONCILE_MINUTES)."""
    decision_delay_s: float = 60.0
    """A bar is decided at least this long after its close: venues correct the last trades late."""
    signals: SignalRules = field(default_factory=SignalRules)
    trade_filter: bool = False
    """AI_TRADE_FILTER: entries of too little confidence are refused once there are own trades to tell by."""
    evidence: Evidence | None = None
    """Simulated trades of these settings on this account; never where old prices are run through again."""
    evidence_about: str = ""
    """What they are, or why there are none."""
    evidence_fees_pct: tuple[float, float] | None = None
    """Maker and taker fee that they were found with."""
    rules_key: str = ""
    """Account and rules by which the trades are made: under others they are not compared with this evidence."""
    model: ModelCard | None = None
    model_about: str = ""
    stall_days: float = 14.0
    fee_budget_frac: float = FEE_BUDGET
    """Share of equity that 30 days of fees may take (quant 3c)."""
    max_spread_frac: float = 0.005
    """Widest spread, as a share of the middle, at which anything is entered."""
    max_disagreement_frac: float = 0.02
    """Widest difference between the venues' prices of one coin at which it is entered."""
    max_failed_cycles: int = 5
    not_traded: Mapping[str, str] = field(default_factory=dict)
    """Coins that the settings name and nothing here can trade, each with the reason."""
    snapshot_every_cycles: int = 1
