"""A backtest from settings and candle files: the same terms that a replay of the engine would have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from bot.backtest.bootstrap import resample
from bot.backtest.layout import CENT_UNITS, LOT_UNITS, MONEY_UNITS, SPREAD_UNITS, Book, Market, Signals, Terms
from bot.backtest.market import Kit, market_of, signals_of
from bot.backtest.result import BacktestRun, result_of
from bot.backtest.run import compiled_fold, compiled_resample, run
from bot.backtest.signals import fold_signals
from bot.bootstrap_config import CYCLE_OFFSET, engine_config_of, paper_fees
from bot.decide import sizer
from bot.domain.account import FeeSchedule
from bot.domain.errors import ConfigError
from bot.domain.instrument import Instrument
from bot.domain.market import MAJOR_COINS, TIMEFRAME_MS
from bot.domain.modes import ExitRule, Strategy, TradingMode
from bot.engine.config import EngineConfig
from bot.engine.history import SignalRules
from bot.scaling.ladder import SCALING_TIERS, activation_equity
from bot.settings_schema import Settings
from bot.storage.candle_files import SourceData
from bot.venues.rules import paper_instruments

LOT = Decimal(1) / LOT_UNITS
FEE_STEP_PCT = Decimal(100) / 100_000_000
SPREAD_STEP_BPS = Decimal(10_000) / SPREAD_UNITS


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
    assert len({instrument.min_cost for instrument in of}) == 1, f"{account}: one least cost for all markets"
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
        follows_master=int(config.follows_master),
        position_cap=config.position_cap_frac,
        cash_buffer=config.cash_buffer_frac,
        daily_loss=config.daily_loss_frac,
        max_drawdown=config.drawdown_frac,
        max_losses=config.max_losses,
        min_score=config.min_score,
        min_confidence=config.min_confidence if config.trade_filter else math.nan,
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
        maker_rate=_whole(fees.maker_frac * 100, f"{account.upper()}_MAKER_FEE_PCT", FEE_STEP_PCT),
        taker_rate=_whole(fees.taker_frac * 100, f"{account.upper()}_TAKER_FEE_PCT", FEE_STEP_PCT),
        half_spread=_whole(half_spread_frac * 10_000, "PAPER_HALF_SPREAD_BPS", SPREAD_STEP_BPS),
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


def _whole(value: Decimal, name: str, step: Decimal) -> int:
    """Count the steps in a setting. Raises ConfigError where they are not whole."""
    if value % step:
        raise ConfigError(f"{name}: for a backtest it must be a multiple of {step}, was {value.normalize():f}")
    return int(value / step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An account and its market, ready to be run any number of times."""

    market: Market
    signals: Signals
    terms: Terms
    fees: FeeSchedule
    kit: Kit
    candles: int
    data: SourceData

    def run(self, *, keeps: bool = True) -> Book:
        """Run it once."""
        return run(self.market, self.signals, self.terms, kit=self.kit, keeps=keeps)

    def between(self, from_ms: int, to_ms: int) -> Prepared:
        """Return the same account over a part of the candles; all that lies before it is warm-up."""
        market = market_between(self.data, self.terms, start_ms=from_ms, end_ms=to_ms, kit=self.kit)
        candles = sum(of.execution.count_within(from_ms, to_ms) for of in self.data.coins.values())
        return replace(self, market=market, candles=candles)


def prepared(
    settings: Settings,
    *,
    data: SourceData,
    account: str,
    equity: Decimal,
    compiled: bool,
    fees: FeeSchedule | None = None,
) -> Prepared:
    """Put candles and settings into the form in which they are run; ``fees`` stand in for those of the settings.

    Raises ConfigError where the settings or the candles do not fit.
    """
    config = _config_of(settings, data, account)
    return prepared_as(config, settings, data=data, account=account, equity=equity, compiled=compiled, fees=fees)


def prepared_as(
    config: EngineConfig,
    settings: Settings,
    *,
    data: SourceData,
    account: str,
    equity: Decimal,
    compiled: bool,
    fees: FeeSchedule | None = None,
) -> Prepared:
    """Put candles and an engine's configuration into that form."""
    fees = paper_fees(account, settings) if fees is None else fees
    terms = _terms_as(config, settings, account=account, equity=equity, fees=fees)
    signals, kit = signals_from(data, config.signals, compiled=compiled)
    market = market_between(data, terms, start_ms=data.from_ms, end_ms=data.to_ms, kit=kit)
    return Prepared(
        market=market,
        signals=signals,
        terms=terms,
        fees=fees,
        kit=kit,
        candles=sum(of.execution.count_within(market.start_ms, market.end_ms) for of in data.coins.values()),
        data=data,
    )


def terms_from(settings: Settings, *, data: SourceData, account: str, equity: Decimal) -> Terms:
    """Say in the backtest's numbers on what terms an account of these settings trades. Raises ConfigError."""
    config, fees = _config_of(settings, data, account), paper_fees(account, settings)
    return _terms_as(config, settings, account=account, equity=equity, fees=fees)


def market_between(data: SourceData, terms: Terms, *, start_ms: int, end_ms: int, kit: Kit) -> Market:
    """Put the execution bars within a range on one grid. Raises ConfigError where it holds no whole one."""
    bar_ms = TIMEFRAME_MS[data.timeframe]
    start_ms, end_ms = -(-start_ms // bar_ms) * bar_ms, end_ms // bar_ms * bar_ms
    if start_ms >= end_ms:
        raise ConfigError(f"the range holds no whole bar of {data.timeframe}; choose a longer one")
    return market_of(
        {coin: of.execution for coin, of in data.coins.items()},
        bar_ms=bar_ms,
        start_ms=start_ms,
        end_ms=end_ms,
        offset_ms=min(round(CYCLE_OFFSET.total_seconds() * 1000), bar_ms // 2),
        tick_cents=terms.tick_cents,
        half_spread=terms.half_spread,
        kit=kit,
    )


def signals_from(data: SourceData, rules: SignalRules, *, compiled: bool) -> tuple[Signals, Kit]:
    """Fold the daily bars of the whole history, and say how tables and rows are made."""
    kit = Kit(compiled=compiled)
    signals = signals_of(
        {coin: of.daily for coin, of in data.coins.items()},
        kit=kit,
        weights=rules.weights,
        regime=rules.regime,
        fold=compiled_fold() if compiled else fold_signals,
    )
    return signals, kit


def _terms_as(config: EngineConfig, settings: Settings, *, account: str, equity: Decimal, fees: FeeSchedule) -> Terms:
    return terms_of(
        config,
        paper_instruments(account, config.coins),
        fees,
        account=account,
        half_spread_frac=settings.paper_half_spread_bps / 10_000,
        equity=equity,
    )


def _config_of(settings: Settings, data: SourceData, account: str) -> EngineConfig:
    return engine_config_of(
        settings,
        mode=TradingMode.REPLAY,
        coins=tuple(data.coins),
        accounts=(account,),
        bar_source=data.source,
        poll_s=TIMEFRAME_MS[data.timeframe] / 1000,
        snapshot_every_cycles=1_000,
        not_traded=data.missing,
    )


def run_backtest(
    settings: Settings,
    *,
    data: SourceData,
    account: str,
    equity: Decimal,
    looks: int,
    compiled: bool,
    clock: Callable[[], float],
) -> BacktestRun:
    """Run the account of these settings over candles that were opened; ``clock`` counts seconds.

    The compiled form, which needs the ``research`` extra, and the plain one do the same.
    Raises ConfigError where the settings or the candles do not fit.
    """
    began = clock()
    ready = prepared(settings, data=data, account=account, equity=equity, compiled=compiled)
    if compiled:
        ready.run()  # else its loading, or once its compiling, would count as running
    at_kernel = clock()
    book = ready.run()
    kernel_seconds = clock() - at_kernel
    result = result_of(
        ready.market,
        ready.terms,
        book,
        kit=ready.kit,
        resample=compiled_resample() if compiled else resample,
        looks=looks,
    )
    return BacktestRun(
        result=result,
        source=data.source,
        timeframe=data.timeframe,
        coins=tuple(data.coins),
        account=account,
        fees=ready.fees,
        start_ms=ready.market.start_ms,
        end_ms=ready.market.end_ms,
        candles=ready.candles,
        seconds=clock() - began,
        kernel_seconds=kernel_seconds,
        compiled=compiled,
        market=ready.market,
        terms=ready.terms,
        book=book,
    )
