"""A backtest from settings and candle files: the same terms that a replay of the engine would have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from bot.backtest.layout import CENT_UNITS, LOT_UNITS, MONEY_UNITS, SPREAD_UNITS, Terms
from bot.decide import sizer
from bot.domain.account import FeeSchedule
from bot.domain.errors import ConfigError
from bot.domain.instrument import Instrument
from bot.domain.market import MAJOR_COINS
from bot.domain.modes import ExitRule, Strategy
from bot.engine.config import EngineConfig
from bot.scaling.ladder import SCALING_TIERS, activation_equity

LOT = Decimal(1) / LOT_UNITS
RATE_UNITS = 100_000_000


def terms_of(
    config: EngineConfig,
    instruments: Mapping[str, Instrument],
    fees: FeeSchedule,
    *,
    account: str,
    half_spread_frac: Decimal,
    equity: Decimal,
) -> Terms:
    """Say in the backtest's numbers what the engine's configuration, an account's markets and its fees are.

    Raises ConfigError where a market has steps, or the settings a spread or a fee, that these numbers cannot hold.
    """
    for instrument in instruments.values():
        if instrument.lot_step != LOT or instrument.tick_size % Decimal("0.01"):
            raise ConfigError(
                f"{instrument.symbol}: a backtest needs lots of {LOT} and prices in whole cents, found "
                f"{instrument.lot_step} and {instrument.tick_size}"
            )
    kelly, volatility, even = config.leg_weights
    tiers = sorted(SCALING_TIERS, key=lambda tier: tier.min_equity)
    of = [instruments[symbol] for symbol in config.symbols]
    return Terms(
        strategy=list(Strategy).index(config.strategy),
        exit_rule=list(ExitRule).index(config.exit_rule),
        equity_usd=float(equity),
        kelly_weight=kelly,
        volatility_weight=volatility,
        equity_weight=even,
        size_on_equity=int(config.size_on_equity),
        floor_allowed=int(config.floor_allowed),
        crosses=int(account in config.crossing_accounts),
        halt_flattens=int(config.halt_flattens),
        position_cap=config.position_cap_frac,
        cash_buffer=config.cash_buffer_frac,
        daily_loss=config.daily_loss_frac,
        max_drawdown=config.drawdown_frac,
        max_losses=config.max_losses,
        min_score=config.min_score,
        min_reward=config.min_reward,
        min_trade=config.min_trade_usd,
        min_equity=config.min_equity_usd,
        venue_minimum=config.venue_minimum_usd.get(account, 0.0),
        max_positions=config.max_positions_ceiling or 0,
        risk_ceiling=math.nan if config.risk_ceiling_pct is None else config.risk_ceiling_pct / 100,
        fee_budget=config.fee_budget_frac,
        max_spread=config.max_spread_frac,
        stale_after_s=config.stale_after_s,
        patience_s=config.entry_patience_s,
        decision_delay_s=config.decision_delay_s,
        maker=float(fees.maker_frac),
        taker=float(fees.taker_frac),
        maker_rate=_whole(fees.maker_frac * RATE_UNITS, "maker fee"),
        taker_rate=_whole(fees.taker_frac * RATE_UNITS, "taker fee"),
        half_spread=_whole(half_spread_frac * SPREAD_UNITS, "PAPER_HALF_SPREAD_BPS"),
        tick_cents=tuple(int(instrument.tick_size * CENT_UNITS) for instrument in of),
        min_lots=tuple(instrument.lots_in(instrument.minimum_quantity_at(Decimal(10**12))) for instrument in of),
        min_amount=tuple(float(instrument.min_amount) for instrument in of),
        min_cost=float(of[0].min_cost),
        min_cost_money=int(of[0].min_cost * MONEY_UNITS),
        gap=tuple(sizer.GAP_MAJOR if i.base in MAJOR_COINS else sizer.GAP_OTHER for i in of),
        tier_start=tuple(tier.min_equity for tier in tiers),
        tier_positions=tuple(tier.max_positions for tier in tiers),
        tier_risk=tuple(tier.risk_per_trade / 100 for tier in tiers),
        activation=activation_equity(tiers),
    )


def _whole(value: Decimal, name: str) -> int:
    if value % 1:
        raise ConfigError(f"{name}: a backtest needs a rounder value; in its smallest steps it was {value}")
    return int(value)
