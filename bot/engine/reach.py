"""What an account can reach, for people: each coin on each venue, in dollars, now and from which equity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.decide import allocation, codes, exits, guards, reach
from bot.decide.costs import SLIPPAGE, Rules, break_even_move, loss_per_unit
from bot.decide.kelly import Edge
from bot.decide.reach import Plan, Rung
from bot.decide.risk import drawdown_scale
from bot.decide.sizer import Candidate, Limits
from bot.domain.modes import ExitRule, Strategy
from bot.domain.refusal import Reason, RefusalCode
from bot.domain.snapshot import ReachView
from bot.domain.tier import ScalingTier
from bot.engine.account import Account
from bot.engine.config import EngineConfig
from bot.engine.decision import Decider
from bot.engine.exposure import gap_of
from bot.engine.refuser import HISTORY_NEEDED_DAYS
from bot.engine.sizing import STOP_ATR, Standing, target_rule
from bot.scaling.ladder import SCALING_TIERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One coin on one venue, and the account that asks; USD and fractions."""

    account: str
    symbol: str
    equity: float
    worth: float
    """Of the account on this venue."""
    venue_minimum: float
    activation: float
    """Equity that trading needs."""
    candidate: Candidate
    rules: Rules
    limits: Limits
    """Of the tier that applies now."""
    rungs: Sequence[Rung]
    edge: Edge
    plan: Plan


def rungs_of(
    tiers: Iterable[ScalingTier], *, risk_ceiling_pct: float | None, positions_ceiling: int | None, possible: int
) -> list[Rung]:
    """Turn the ladder into the core's rungs, with the user's ceilings; ``possible`` positions there are at all."""
    return [
        Rung(
            tier.min_equity,
            min(tier.risk_per_trade, risk_ceiling_pct or tier.risk_per_trade) / 100,
            max(1, min(tier.max_positions, positions_ceiling or tier.max_positions, possible)),
        )
        for tier in sorted(tiers, key=lambda tier: tier.min_equity)
    ]


def plan_of(
    strategy: Strategy,
    exit_rule: ExitRule,
    *,
    volatility: float,
    coins: int,
    min_reward: float,
    trades: int,
    reward: float,
    drawdown: float = 0.0,
    day_loss: float = 0.0,
    max_drawdown: float = 1.0,
) -> Plan:
    """Say what a strategy asks for at full score; ``trades`` and ``reward`` are the account's own results.

    ``drawdown`` and ``day_loss`` are those of the account now, fractions.
    """
    if strategy is Strategy.ALLOCATION:
        scale = drawdown_scale(drawdown, max_drawdown)
        share = allocation.target_share(1.0, volatility, math.inf, coins, scale)
        return Plan(share, -1, reward, min_reward, trades, drawdown, day_loss)
    return Plan(math.inf, target_rule(exit_rule), reward, min_reward, trades, drawdown, day_loss)


def view_of(case: Case) -> ReachView:
    """Answer for one coin on one venue."""
    candidate, rules, limits = case.candidate, case.rules, case.limits
    order = reach.full_order(case.equity, candidate, rules, limits, case.edge, case.plan)
    refused = _first_refusal(case)
    if refused is None and order.lots == 0:
        refused = _from_core(order.code, order.limit, order.actual)
    from_equity = case.equity
    if refused is not None:
        # A dormant venue is asked for what it would need, wherever the money lies now.
        present = case.equity if refused[0] is not RefusalCode.VENUE_DORMANT else 0.0
        least = max(present, case.activation, case.venue_minimum)
        from_equity = reach.smallest_equity(least, case.rungs, candidate, rules, limits, case.edge, case.plan)
    loss = loss_per_unit(candidate.stop_distance, rules.fee_in, rules.fee_out, SLIPPAGE)
    usd = order.notional if refused is None else limits.min_trade
    round_trip = break_even_move(rules.fee_in, rules.fee_out)
    return _view(
        case.account,
        case.symbol,
        stop_pct=100 * candidate.stop_distance,
        order_usd=usd if refused is None else 0.0,
        risk_usd=usd * loss,
        risk_pct=100 * usd * loss / case.equity if case.equity > 0 else 0.0,
        round_trip_pct=100 * round_trip,
        round_trip_usd=usd * round_trip,
        refused=refused,
        from_equity=from_equity,
    )


def reach_views(
    *,
    config: EngineConfig,
    accounts: Mapping[str, Account],
    decider: Decider,
    equity: float,
    drawdown: float,
    day_loss: float,
    risk_pct: float,
    max_positions: int,
    activation: float,
    now: datetime,
) -> list[ReachView]:
    """Answer for every coin on every account as prices and histories stand; risk and positions are the tier's."""
    record = decider.sizing.record(now)
    standing = Standing(
        now=now,
        equity=equity,
        drawdown=drawdown,
        day_loss=day_loss,
        risk_frac=risk_pct / 100,
        max_positions=max_positions,
        block=None,
        halted=False,
    )
    limits = decider.sizing.limits(standing)
    rungs = rungs_of(
        SCALING_TIERS,
        risk_ceiling_pct=config.risk_ceiling_pct,
        positions_ceiling=config.max_positions_ceiling,
        possible=len(config.symbols) * len(accounts),
    )
    if max_positions == 0:  # no tier yet
        limits = reach.limits_on(reach.rung_of(equity, rungs), limits)
    views = []
    for account in accounts.values():
        worth = decider.gates.account_equity(account)
        for symbol in config.symbols:
            history = decider.histories[symbol]
            market = account.market_of(symbol)
            rules, ticker = account.rules.get(market), account.tickers.get(market)
            if rules is None or ticker is None:
                code = RefusalCode.NO_MARKET if account.tickers else RefusalCode.VENUE_UNKNOWN
                views.append(_unknown(account.name, symbol, (code, 0.0, 0.0, "count")))
                continue
            price = float(ticker.bid)
            stop = exits.stop_distance(history.atr(), price, STOP_ATR[config.strategy])
            volatility = history.volatility()
            if math.isnan(stop) or math.isnan(volatility):
                days: Reason = (RefusalCode.HISTORY_TOO_SHORT, HISTORY_NEEDED_DAYS, float(len(history)), "days")
                if len(history) == 0:  # nobody has told any prices yet: no day of waiting helps
                    days = RefusalCode.VENUE_UNKNOWN, 0.0, 0.0, "count"
                views.append(_unknown(account.name, symbol, days))
                continue
            plan = plan_of(
                config.strategy,
                config.exit_rule,
                volatility=volatility,
                coins=len(config.symbols),
                min_reward=config.min_reward,
                trades=record.trades,
                reward=record.reward,
                drawdown=drawdown,
                day_loss=day_loss,
                max_drawdown=config.drawdown_frac,
            )
            case = Case(
                account=account.name,
                symbol=symbol,
                equity=equity,
                worth=worth,
                venue_minimum=config.venue_minimum_usd.get(account.name, 0.0),
                activation=activation,
                candidate=Candidate(volatility, stop, price, gap_of(symbol), 0.0, 0.0, 1.0),
                rules=rules,
                limits=limits,
                rungs=rungs,
                edge=record.edge,
                plan=plan,
            )
            views.append(view_of(case))
    return views


def _first_refusal(case: Case) -> Reason | None:
    """What stops an entry before its size is asked for."""
    if case.equity < case.activation:
        return RefusalCode.BELOW_ACTIVATION, case.activation, case.equity, "usd"
    if guards.venue_minimum(case.worth, case.venue_minimum).active:
        return RefusalCode.VENUE_DORMANT, case.venue_minimum, case.worth, "usd"
    return None


def _from_core(core_code: int, limit: float, actual: float) -> Reason:
    unit, factor = codes.UNITS.get(core_code, ("usd", 1.0))
    return RefusalCode(codes.REFUSAL_NAMES[core_code]), limit * factor, actual * factor, unit


def _unknown(account: str, symbol: str, refused: Reason) -> ReachView:
    """Say why nothing is known of a coin on a venue."""
    return _view(
        account,
        symbol,
        stop_pct=None,
        order_usd=0.0,
        risk_usd=0.0,
        risk_pct=0.0,
        round_trip_pct=0.0,
        round_trip_usd=0.0,
        refused=refused,
        from_equity=math.nan,
    )


def _view(
    account: str,
    symbol: str,
    *,
    stop_pct: float | None,
    order_usd: float,
    risk_usd: float,
    risk_pct: float,
    round_trip_pct: float,
    round_trip_usd: float,
    refused: Reason | None,
    from_equity: float,
) -> ReachView:
    code, limit, actual, unit = refused if refused is not None else ("", math.nan, math.nan, "")
    return ReachView(
        account=account,
        symbol=symbol,
        stop_pct=stop_pct,
        order_usd=order_usd,
        risk_usd=risk_usd,
        risk_pct=risk_pct,
        round_trip_pct=round_trip_pct,
        round_trip_usd=round_trip_usd,
        refusal=str(code),
        refusal_limit=limit if math.isfinite(limit) else None,
        refusal_actual=actual if math.isfinite(actual) else None,
        refusal_unit=unit,
        from_equity_usd=from_equity if math.isfinite(from_equity) else None,
    )
