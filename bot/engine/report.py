"""The snapshot at the end of a cycle: plain values for every view, computed nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from bot.books.book import Book
from bot.decide.ensemble import MEMBERS
from bot.decide.regime import MODE_NAMES
from bot.decide.sizer import heat_limit
from bot.domain.finding import BLOCKING, Finding
from bot.domain.market import coin_symbol
from bot.domain.modes import EngineMode
from bot.domain.orders import Order, OrderState, Purpose
from bot.domain.refusal import GuardReading
from bot.domain.snapshot import (
    SNAPSHOT_SCHEMA_VERSION,
    CoinView,
    FindingView,
    GuardView,
    OrderView,
    PositionView,
    Snapshot,
    VenueView,
)
from bot.engine.account import Account, key_text
from bot.engine.config import EngineConfig
from bot.engine.decision import Decider
from bot.engine.exposure import heat_usd
from bot.engine.reach import reach_views
from bot.engine.state import EngineState
from bot.engine.wealth import Wealth


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The account as a whole at the end of a cycle; USD, fractions of 1, index."""

    equity: float
    fresh: bool
    cash: float
    exposure_frac: float
    index: float
    high_water_mark: float
    drawdown: float
    day_loss: float
    today_pnl: float
    tier: str
    max_positions: int
    risk_pct: float


def build_snapshot(
    *,
    config: EngineConfig,
    state: EngineState,
    accounts: Mapping[str, Account],
    book: Book,
    decider: Decider,
    orders: list[Order],
    readings: list[GuardReading],
    mode: EngineMode,
    reason: str,
    totals: Totals,
    earlier: Mapping[str, CoinView],
    wealth: Wealth,
    findings: Sequence[Finding],
    reconciled_at: datetime | None,
    cycle: int,
    now: datetime,
    next_cycle_at: datetime,
) -> Snapshot:
    """Gather everything a view shows; ``earlier`` tells what was decided before a restart, by symbol."""
    deposits = float(book.deposits_usd - wealth.gone())
    positions = [
        _position(key, state, accounts, book, orders, missing=wealth.missing(key)) for key in sorted(book.positions)
    ]
    risks = [_loss_at_stop(p) / totals.equity * 100 for p in positions if totals.equity > 0]
    return Snapshot(
        schema_version=SNAPSHOT_SCHEMA_VERSION,
        strategy=config.strategy.value,
        trading_mode=config.trading_mode.value,
        engine_mode=mode.value,
        engine_mode_reason=reason,
        at=now.isoformat(),
        cycle=cycle,
        poll_s=config.poll_s,
        equity_usd=totals.equity,
        fresh=totals.fresh,
        cash_usd=totals.cash,
        cash_buffer_usd=config.cash_buffer_frac * totals.equity,
        exposure_pct=totals.exposure_frac * 100,
        deposits_usd=deposits,
        profit_usd=totals.equity - deposits,
        fees_usd=float(book.fees_usd),
        high_water_mark_index=totals.high_water_mark,
        performance_index=totals.index,
        drawdown_pct=totals.drawdown * 100,
        today_pnl_usd=totals.today_pnl,
        tier=totals.tier,
        max_positions=totals.max_positions,
        risk_per_trade_pct=totals.risk_pct,
        effective_risk_pct=max(risks) if risks else None,
        heat_usd=heat_usd(decider.exposure.stakes()),
        heat_limit_usd=heat_limit(config.daily_loss_frac, totals.day_loss, config.drawdown_frac, totals.drawdown)
        * totals.equity,
        next_decision_at=decider.bars.next_decision_at(now).isoformat(),
        next_cycle_at=next_cycle_at.isoformat(),
        data_age_s=_oldest_price_age(accounts, now),
        venues=[_venue(account, config, decider, book, now) for account in accounts.values()],
        positions=positions,
        coins=[
            _coin(symbol, config, accounts, book, decider, earlier=earlier.get(symbol)) for symbol in config.symbols
        ],
        not_traded=dict(config.not_traded),
        guards=[_guard(reading) for reading in readings],
        reach=reach_views(
            config=config,
            accounts=accounts,
            decider=decider,
            equity=totals.equity,
            drawdown=totals.drawdown,
            day_loss=totals.day_loss,
            risk_pct=totals.risk_pct,
            max_positions=totals.max_positions,
            activation=next((r.limit for r in readings if r.name == "activation"), config.min_equity_usd),
            now=now,
        ),
        orders=[_order(order) for order in orders],
        findings=[_finding(found) for found in findings],
        reconciled_at=reconciled_at.isoformat() if reconciled_at is not None else None,
    )


def _loss_at_stop(position: PositionView) -> float:
    if position["stop_price"] is None:
        return position["value_usd"]
    return float(position["quantity"]) * (position["price"] - position["stop_price"])


def _position(
    key: tuple[str, str],
    state: EngineState,
    accounts: Mapping[str, Account],
    book: Book,
    orders: list[Order],
    *,
    missing: Decimal,
) -> PositionView:
    position = book.positions[key]
    ticker = accounts[key[0]].tickers.get(key[1]) if key[0] in accounts else None
    price = ticker.bid if ticker is not None else position.average_price
    plan = state.stops.get(key_text(*key))
    risk = position.average_price - Decimal(plan.first_stop_price) if plan is not None else Decimal(0)
    return PositionView(
        account=key[0],
        symbol=key[1],
        quantity=f"{position.quantity:f}",
        average_price=float(position.average_price),
        price=float(price),
        missing=f"{missing.normalize():f}" if missing else "",
        value_usd=float((position.quantity - missing) * price),
        unrealized_usd=float(position.quantity * price - position.cost),
        fees_usd=float(position.fees),
        stop_price=float(plan.stop_price) if plan is not None else None,
        stop_resting=any(
            (o.account, o.symbol) == key
            and o.purpose is Purpose.STOP
            and o.state in (OrderState.OPEN, OrderState.PARTLY_FILLED)
            for o in orders
        ),
        stop_watched=key[0] in accounts and (not accounts[key[0]].stops_rest or key_text(*key) in state.stop_refused),
        too_small=key[0] in accounts and accounts[key[0]].is_dust(key[1], position.quantity),
        r_multiple=float((price - position.average_price) / risk) if risk > 0 else None,
        opened_at=position.opened_at.isoformat(),
    )


def _venue(account: Account, config: EngineConfig, decider: Decider, book: Book, now: datetime) -> VenueView:
    minimum = config.venue_minimum_usd.get(account.name, 0.0)
    equity = decider.gates.account_equity(account)
    quotes = account.quote_assets()
    age_s = (now - account.answered_at).total_seconds() if account.answered_at is not None else None
    return VenueView(
        account=account.name,
        fresh=account.fresh,
        problem=account.error,
        equity_usd=equity,
        cash_usd=float(sum((book.cash.get((account.name, q), Decimal(0)) for q in quotes), Decimal(0))),
        free_cash_usd=account.free_cash_usd(),
        minimum_balance_usd=minimum,
        dormant=equity < minimum,
        maker_pct=float(account.fees.maker_frac) * 100 if account.fees else 0.0,
        taker_pct=float(account.fees.taker_frac) * 100 if account.fees else 0.0,
        fee_origin=account.fees.origin if account.fees else "",
        balance_age_s=age_s,
        cash_by_asset={q: float(book.cash[account.name, q]) for q in sorted(quotes) if (account.name, q) in book.cash},
        stops_rest=account.stops_rest,
        foreign_assets={asset: f"{quantity:f}" for asset, quantity in account.foreign.items()},
        dust_usd=float(sum((dust.cost for (name, _), dust in book.dust.items() if name == account.name), Decimal(0))),
    )


def _coin(
    symbol: str,
    config: EngineConfig,
    accounts: Mapping[str, Account],
    book: Book,
    decider: Decider,
    *,
    earlier: CoinView | None,
) -> CoinView:
    history = decider.histories[symbol]
    state, hits = history.regime(), history.regime_hits()
    members = list(zip(MEMBERS, history.members(), history.rules.weights, strict=True))
    last = decider.last.get(symbol)
    refusal = decider.refuser.last.get(symbol)
    prices = [a.tickers[a.market_of(symbol)] for a in accounts.values() if a.market_of(symbol) in a.tickers]
    held = sum(
        (p.quantity * accounts[name].tickers[market].bid)
        for (name, market), p in book.positions.items()
        if coin_symbol(market) == symbol and name in accounts and market in accounts[name].tickers
    )
    view = CoinView(
        symbol=symbol,
        price=float(prices[0].last) if prices else None,
        score=_number(history.score()),
        score_to_open=config.min_score,
        held_usd=float(held),
        target_usd=_number(decider.targets.get(symbol, float("nan"))),
        trigger_price=_number(history.trigger_close(config.min_score)),
        lowering_price=_number(history.lowering_close()),
        members={name: _number(value) for name, value, weight in members if weight > 0},
        weights={name: weight for name, _, weight in members if weight > 0},
        regime=MODE_NAMES[state.mode] if history.rules.regime else "",
        regime_rank=_number(state.rank),
        regime_periods=hits.periods,
        regime_right=hits.right,
        regime_rose=hits.rose,
        action=last.action if last is not None else "",
        refusal=refusal.code.value if refusal is not None else "",
        refusal_account=refusal.account if refusal is not None else "",
        refusal_limit=_number(refusal.limit) if refusal is not None else None,
        refusal_actual=_number(refusal.actual) if refusal is not None else None,
        refusal_unit=refusal.unit if refusal is not None else "",
        decided_bar_at=datetime.fromtimestamp(last.bar_ms / 1000, tz=UTC).isoformat() if last is not None else None,
    )
    if last is None and refusal is None and earlier is not None:
        view["target_usd"] = earlier["target_usd"]
        view["action"] = earlier["action"]
        view["refusal"] = earlier["refusal"]
        view["refusal_account"] = earlier["refusal_account"]
        view["refusal_limit"] = earlier["refusal_limit"]
        view["refusal_actual"] = earlier["refusal_actual"]
        view["refusal_unit"] = earlier["refusal_unit"]
        view["decided_bar_at"] = earlier["decided_bar_at"]
    return view


def _guard(reading: GuardReading) -> GuardView:
    return GuardView(
        name=reading.name,
        used=_number(reading.used),
        limit=reading.limit,
        unit=reading.unit,
        active=reading.active,
        action=reading.action,
        about=reading.about,
    )


def _order(order: Order) -> OrderView:
    price = order.price if order.price is not None else order.stop_price
    return OrderView(
        client_order_id=order.client_order_id,
        account=order.account,
        symbol=order.symbol,
        purpose=order.purpose.value,
        side=order.side.value,
        type=order.type.value,
        quantity=f"{order.quantity:f}",
        price=f"{price:f}" if price is not None else None,
        state=order.state.value,
        expires_at=order.expires_at.isoformat() if order.expires_at is not None else None,
    )


def _finding(found: Finding) -> FindingView:
    return FindingView(
        code=found.code.value,
        account=found.account,
        about=found.about,
        detail=found.detail,
        since=found.since.isoformat(),
        blocks=found.code in BLOCKING,
    )


def _oldest_price_age(accounts: Mapping[str, Account], now: datetime) -> float | None:
    times = [ticker.at for account in accounts.values() for ticker in account.tickers.values()]
    # A live price is a moment younger than the cycle that asked for it.
    return max(0.0, (now - min(times)).total_seconds()) if times else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has no NaN and no infinity
