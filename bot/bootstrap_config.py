"""What the settings mean: the engine's configuration, the rules that evidence is of, and the fees of paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from bot.decide.ensemble import ENSEMBLE, TREND_ONLY
from bot.decide.features import FEATURE_NAMES
from bot.domain.account import FeeSchedule
from bot.domain.errors import ConfigError
from bot.domain.evidence import Rules
from bot.domain.model_card import ModelCard
from bot.domain.modes import TradingMode
from bot.engine.config import EngineConfig
from bot.engine.history import SignalRules
from bot.settings_schema import AccountMode, RouteBy, Settings, leg_weights
from bot.storage.evidence_file import MODEL_NAME, evidence_path
from bot.storage.model_file import read_model_card
from bot.venues.rules import PAPER_ACCOUNTS
from bot.views.model_text import card_words

__all__ = [
    "PAPER_ACCOUNTS",
    "engine_config_of",
    "minimum_balance",
    "paper_fees",
    "read_model",
    "rules_of",
    "signal_rules",
    "with_model",
]

RULE_SETTINGS = (
    *("TRADE_ONLY", "POSITION_SIZER", "KELLY_WEIGHT", "VOLATILITY_WEIGHT", "EQUITY_WEIGHT"),
    *("MIN_SIGNAL_SCORE", "MIN_AI_CONFIDENCE", "MIN_RISK_REWARD", "MIN_TRADE_SIZE", "MAX_POSITION_PCT"),
    *("MAX_POSITIONS", "RISK_PER_TRADE", "FORCE_CASH_BUFFER", "DAILY_MAX_LOSS", "MAX_DRAWDOWN"),
    *("MAX_CONSECUTIVE_LOSSES", "MICRO_CAPITAL_MODE", "PRO_MODE", "HALT_FLATTENS", "MODE"),
)
"""Settings besides strategy and switches that change what is bought."""

_NO_EVIDENCE = {
    TradingMode.SIMULATED: "evidence of real prices says nothing of invented ones",
    TradingMode.REPLAY: "evidence of the same prices would know the future",
}
CYCLE_OFFSET = timedelta(seconds=60)
"""Replayed and simulated cycles run this long after a bar opened, as the live decision does."""

STALE_AFTER_S = 900.0
"""A price older than this, or than half a bar where bars are longer, is no price to enter at."""

CROSSING_ACCOUNTS = frozenset({"kraken"})
"""Where the taker fee may still pay for an entry that nobody sold to (quant, correction 10)."""


def engine_config_of(
    settings: Settings,
    *,
    mode: TradingMode,
    coins: Sequence[str],
    accounts: Sequence[str],
    bar_source: str,
    poll_s: float,
    snapshot_every_cycles: int,
    busy_poll_s: float = math.inf,
    not_traded: Mapping[str, str] = MappingProxyType({}),
) -> EngineConfig:
    """Say in the engine's own units what the settings ask for."""
    return EngineConfig(
        trading_mode=mode,
        strategy=settings.strategy,
        exit_rule=settings.exit_rule,
        leg_weights=leg_weights(settings),
        signals=signal_rules(settings),
        trade_filter=settings.ai_trade_filter,
        evidence_about=_NO_EVIDENCE.get(mode, ""),
        size_on_equity=settings.pro_mode,
        floor_allowed=settings.micro_capital_mode,
        follows_master=settings.mode is AccountMode.MASTER_FOLLOW,
        shuts_off_on_errors=settings.auto_shutoff_on_errors,
        coins=tuple(coins),
        symbols=tuple(f"{coin}/USD" for coin in coins),
        primary_account=accounts[0],
        bar_source=bar_source,
        poll_s=poll_s,
        position_cap_frac=settings.max_position_pct / 100,
        cash_buffer_frac=settings.force_cash_buffer / 100,
        daily_loss_frac=settings.daily_max_loss / 100,
        drawdown_frac=settings.max_drawdown / 100,
        max_losses=settings.max_consecutive_losses,
        min_score=settings.min_signal_score,
        min_confidence=settings.min_ai_confidence,
        min_reward=settings.min_risk_reward,
        routes_by_cost=settings.route_by is RouteBy.COST,
        min_trade_usd=float(settings.min_trade_size),
        min_equity_usd=float(settings.min_balance_to_trade),
        venue_minimum_usd={name: float(minimum_balance(name, settings)) for name in accounts},
        max_positions_ceiling=settings.max_positions,
        risk_ceiling_pct=settings.risk_per_trade,
        halt_flattens=settings.halt_flattens,
        crossing_accounts=CROSSING_ACCOUNTS,
        stale_after_s=max(STALE_AFTER_S, poll_s / 2),
        snapshot_every_cycles=snapshot_every_cycles,
        busy_poll_s=busy_poll_s,
        reconcile_s=settings.reconcile_minutes * 60.0,
        not_traded=not_traded,
    )


def signal_rules(settings: Settings) -> SignalRules:
    """Which signals count with these settings."""
    weights = ENSEMBLE if settings.signal_ensemble else TREND_ONLY
    return SignalRules(weights=weights, regime=settings.market_regime_engine)


def rules_of(settings: Settings) -> Rules:
    """Say which rules the settings trade by."""
    return Rules(
        strategy=settings.strategy.value,
        exit_rule=settings.exit_rule.value,
        signal_ensemble=settings.signal_ensemble,
        market_regime_engine=settings.market_regime_engine,
        ai_trade_filter=settings.ai_trade_filter,
        others=tuple((name, _rule_text(getattr(settings, name.lower()))) for name in RULE_SETTINGS),
    )


def _rule_text(value: object) -> str:
    """A setting's value, written the same however it was given."""
    if isinstance(value, tuple):
        return ",".join(sorted(map(str, value)))
    return f"{value:g}" if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else str(value)


def read_model(state_dir: Path) -> ModelCard | None:
    """Read the user's trained model, else the shipped one. Raises ConfigError where it cannot be used."""
    return read_model_card(evidence_path(state_dir, MODEL_NAME), features=FEATURE_NAMES)


def with_model(config: EngineConfig, state_dir: Path) -> EngineConfig:
    """Add the trained model, of the user or as shipped; one that cannot be used is told, and abstains."""
    try:
        card = read_model(state_dir)
    except ConfigError as e:
        return replace(config, model_about=f"AI model: it abstains, {e}")
    return replace(config, model=card, model_about=card_words(card)[0])


def paper_fees(account: str, settings: Settings) -> FeeSchedule:
    """Fees of a paper account: nobody can be asked, so they are those of the settings."""
    maker, taker = f"{account}_maker_fee_pct", f"{account}_taker_fee_pct"
    return FeeSchedule(
        maker_frac=getattr(settings, maker) / 100,
        taker_frac=getattr(settings, taker) / 100,
        origin=f"paper: {settings.origins.get(taker.upper(), 'default')}",
    )


def minimum_balance(account: str, settings: Settings) -> Decimal:
    """USD from which an account trades."""
    minimum = getattr(settings, f"min_balance_{account}")
    assert isinstance(minimum, Decimal)
    return minimum
