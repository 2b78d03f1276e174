"""What the sizer would answer: puts settings, tier, market rules and a question together.

A composition root of its own for `bot.py size`: it needs the decision core and the rules of the
paper accounts, and no engine, ledger or venue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from bot.decide import codes, exits, guards, kelly, sizer
from bot.decide.costs import SLIPPAGE, Rules, break_even_move
from bot.decide.growth import best_lots, growth
from bot.decide.sizer import Blend, Candidate, Caps, Holdings, Limits, Order
from bot.domain.instrument import Instrument
from bot.domain.market import MAJOR_COINS
from bot.domain.modes import ExitRule, Strategy
from bot.domain.refusal import RefusalCode
from bot.domain.tier import ScalingTier
from bot.scaling.ladder import SCALING_TIERS, tier_for
from bot.settings_schema import Settings, configured_accounts, leg_weights
from bot.venues.rules import PAPER_ACCOUNTS, PAPER_COINS, paper_instruments
from bot.views.size_text import Cap, Given, GrowthPoint, Leg, SizeReport
from bot.views.text import duration, money, percent
from bot.views.text import price as price_text

VENUES = PAPER_ACCOUNTS
COINS = PAPER_COINS

EXAMPLE_PRICES: Mapping[str, float] = MappingProxyType({"BTC": 100_000.0, "ETH": 4_000.0, "SOL": 200.0})
"""Only the rounding to lots and the venue's minimums depend on the price."""

EXAMPLE_VOLATILITIES: Mapping[str, float] = MappingProxyType({"BTC": 0.55, "ETH": 0.75, "SOL": 0.95})
"""Annual (quant 2.6)."""

DEFAULT = "default"


class OpenPosition(NamedTuple):
    """A position that is open besides; ``stop_frac`` is measured from its present price."""

    coin: str
    usd: float
    stop_frac: float
    volatility: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked; USD and fractions. None takes the default that the answer then names."""

    equity: float
    stop_frac: float
    venue: str | None = None
    coin: str | None = None
    price: float | None = None
    volatility: float | None = None
    cash: float | None = None
    venue_cash: float | None = None
    drawdown: float | None = None
    day_loss: float | None = None
    fees_paid: float | None = None
    wins: int | None = None
    losses: int | None = None
    payoff: float | None = None
    results_age_days: float | None = None
    max_positions: int | None = None
    open_positions: Sequence[OpenPosition] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """The question with every default filled in."""

    question: Question
    venue: str
    coin: str
    instrument: Instrument
    rules: Rules
    tier: ScalingTier
    price: float
    volatility: float
    cash: float
    venue_cash: float
    drawdown: float
    day_loss: float
    wins: float
    """Faded by their age, as are the losses."""
    losses: float
    trades: int
    payoff: float
    edge: kelly.Edge
    limits: Limits
    given: tuple[Given, ...]


def answer(question: Question, settings: Settings) -> SizeReport:
    """Size one entry under the settings in force; nothing is read or written besides.

    Raises ConfigError for a coin without a market.
    """
    facts = _facts(question, settings)
    candidate, holdings = _candidate(facts), _holdings(facts, settings)
    blend, caps, order = sizer.size_position(candidate, facts.rules, holdings, facts.limits, facts.edge)
    reward = _reward(facts, settings, order)
    code, limit, actual, unit = _refusal(facts, settings, order, reward)
    allowed = not code
    round_trip = break_even_move(facts.rules.fee_in, facts.rules.fee_out)
    notional = order.notional if allowed else 0.0
    risk = order.risk_usd if allowed else 0.0
    curve, best = _growth(facts, caps, blend, notional)
    weights = facts.limits.kelly_weight, facts.limits.volatility_weight, facts.limits.equity_weight
    shares = blend.kelly, blend.volatility, blend.equity
    return SizeReport(
        venue=facts.venue,
        coin=facts.coin,
        equity_usd=question.equity,
        given=facts.given,
        quantity=facts.instrument.quantity_of(order.lots if allowed else 0),
        lots=order.lots if allowed else 0,
        notional_usd=notional,
        risk_usd=risk,
        risk_pct=100 * risk / question.equity,
        risk_limit_pct=100 * facts.limits.risk_per_trade,
        exits=order.exits if allowed else 0,
        code=code,
        limit=limit,
        actual=actual,
        unit=unit,
        binding=codes.REFUSAL_NAMES[order.binding],
        strategy=settings.strategy.value,
        exit_rule=settings.exit_rule.value,
        reward=None if math.isnan(reward) else reward,
        reward_needed=settings.min_risk_reward,
        confidence_pct=None
        if math.isnan(reward)
        else 100 * kelly.confidence(facts.wins, facts.losses, 1 / (1 + reward)),
        confidence_needed_pct=100 * settings.min_ai_confidence,
        round_trip_pct=100 * round_trip,
        round_trip_usd=notional * round_trip,
        loss_per_unit_pct=100 * blend.loss,
        sizer=settings.position_sizer.value,
        legs=tuple(
            Leg(name, 100 * share, weight)
            for name, share, weight in zip(("Kelly", "volatility", "equity"), shares, weights, strict=True)
        ),
        blend_pct=100 * blend.mixed,
        scale=blend.scale,
        brake=blend.brake,
        release_days=0 if blend.brake > 0 else kelly.days_until_release(facts.wins, facts.losses, facts.payoff),
        wish_usd=blend.share * holdings.base_usd,
        caps=_caps(caps),
        win_rate_pct=100 * facts.edge.win_rate,
        edge_chance_pct=100 * facts.edge.chance,
        trades=facts.trades,
        growth=curve,
        best_usd=best,
    )


def _facts(question: Question, settings: Settings) -> _Facts:
    venue = question.venue or settings.primary_broker.value.lower()
    coin = question.coin or COINS[0]
    instrument = paper_instruments(venue, [coin])[f"{coin}/USD"]
    tier = tier_for(question.equity, SCALING_TIERS) or SCALING_TIERS[0]
    maker, taker = f"{venue}_maker_fee_pct", f"{venue}_taker_fee_pct"
    rules = Rules(
        float(instrument.lot_step),
        float(instrument.min_amount),
        float(instrument.min_cost),
        float(getattr(settings, maker)) / 100,
        float(getattr(settings, taker)) / 100,
    )
    invested = sum(position.usd for position in question.open_positions)
    cash = _or(question.cash, question.equity - invested)
    faded = kelly.result_weight(question.results_age_days or 0.0)
    wins, losses = (question.wins or 0) * faded, (question.losses or 0) * faded
    payoff = kelly.shrunken_payoff(_or(question.payoff, kelly.PRIOR_PAYOFF), wins)
    facts = _Facts(
        question=question,
        venue=venue,
        coin=coin,
        instrument=instrument,
        rules=rules,
        tier=tier,
        price=_or(question.price, EXAMPLE_PRICES[coin]),
        volatility=_or(question.volatility, EXAMPLE_VOLATILITIES[coin]),
        cash=cash,
        venue_cash=_or(question.venue_cash, cash),
        drawdown=question.drawdown or 0.0,
        day_loss=question.day_loss or 0.0,
        wins=wins,
        losses=losses,
        trades=(question.wins or 0) + (question.losses or 0),
        payoff=payoff,
        edge=kelly.edge_of_counts(wins, losses, payoff, settings.max_drawdown / 100),
        limits=limits_of(settings, tier, question.max_positions),
        given=(),
    )
    return replace(facts, given=_given(facts, [settings.origins.get(name.upper(), DEFAULT) for name in (maker, taker)]))


def _given(facts: _Facts, fee_origins: Sequence[str]) -> tuple[Given, ...]:
    question, limits, tier = facts.question, facts.limits, f"tier {facts.tier.name}"

    def given(name: str, value: str, asked: object, origin: str = DEFAULT) -> Given:
        return Given(name, value, origin if asked is None else "")

    rows = [
        given("equity", money(question.equity), question.equity),
        given("venue", facts.venue, question.venue, f"{DEFAULT}: PRIMARY_BROKER"),
        given("coin", facts.coin, question.coin),
        given("price", price_text(facts.price), question.price, f"{DEFAULT}: an example, not the market"),
        given("stop distance", percent(100 * question.stop_frac, digits=2), question.stop_frac),
        given("volatility a year", percent(100 * facts.volatility), question.volatility, f"{DEFAULT}: an example"),
        given("cash", money(facts.cash), question.cash),
        given("cash on the venue", money(facts.venue_cash), question.venue_cash),
        given("drawdown", percent(100 * facts.drawdown), question.drawdown),
        given("loss today", percent(100 * facts.day_loss), question.day_loss),
        given("fees of 30 days", money(question.fees_paid or 0.0), question.fees_paid),
        given("trades won", str(question.wins or 0), question.wins),
        given("trades lost", str(question.losses or 0), question.losses),
        given("age of the trades", duration(86_400 * (question.results_age_days or 0.0)), question.results_age_days),
        given("mean win, shrunk", f"{facts.payoff:.2f} R", question.payoff),
        given("positions at most", str(limits.max_positions), question.max_positions, f"{tier} and settings"),
        given("risk per trade", percent(100 * limits.risk_per_trade), None, f"{tier} and settings"),
        given("fee in, maker", percent(100 * facts.rules.fee_in, digits=2), None, fee_origins[0]),
        given("fee out, taker", percent(100 * facts.rules.fee_out, digits=2), None, fee_origins[1]),
    ]
    for position in question.open_positions:
        stop, volatility = percent(100 * position.stop_frac), percent(100 * position.volatility)
        rows.append(Given(f"open {position.coin}", money(position.usd), f"stop {stop}, volatility {volatility}"))
    return tuple(rows)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def limits_of(settings: Settings, tier: ScalingTier, max_positions: int | None) -> Limits:
    """Limits of the sizer on a tier under the settings; None: as many positions as both allow."""
    possible = len(settings.trade_only) * len(configured_accounts(settings))
    allowed = min(tier.max_positions, settings.max_positions or tier.max_positions, possible)
    risk_pct = min(tier.risk_per_trade, settings.risk_per_trade or tier.risk_per_trade)
    kelly_weight, volatility_weight, equity_weight = leg_weights(settings)
    return Limits(
        position_cap=settings.max_position_pct / 100,
        risk_per_trade=risk_pct / 100,
        cash_buffer=settings.force_cash_buffer / 100,
        daily_loss=settings.daily_max_loss / 100,
        max_drawdown=settings.max_drawdown / 100,
        fee_budget=sizer.FEE_BUDGET,
        min_trade=float(settings.min_trade_size),
        max_positions=max_positions or allowed,
        kelly_weight=kelly_weight,
        volatility_weight=volatility_weight,
        equity_weight=equity_weight,
        floor_allowed=int(settings.micro_capital_mode),
        correlation=sizer.CORRELATION,
        volatility_target=sizer.VOLATILITY_TARGET,
        volatility_ceiling=sizer.VOLATILITY_CEILING,
    )


def _gap(coin: str) -> float:
    return sizer.GAP_MAJOR if coin in MAJOR_COINS else sizer.GAP_OTHER


def _held_usd(facts: _Facts) -> float:
    return sum(position.usd for position in facts.question.open_positions if position.coin == facts.coin)


def _candidate(facts: _Facts) -> Candidate:
    return Candidate(
        volatility=facts.volatility,
        stop_distance=facts.question.stop_frac,
        price=facts.price,
        gap=_gap(facts.coin),
        held_usd=_held_usd(facts),
        wish_usd=math.inf,
        scale=1.0,
    )


def _holdings(facts: _Facts, settings: Settings) -> Holdings:
    question, positions = facts.question, facts.question.open_positions
    shares = [position.usd / question.equity for position in positions]
    volatilities = [position.volatility for position in positions]
    correlations = [1.0 if position.coin == facts.coin else sizer.CORRELATION for position in positions]
    return Holdings(
        equity=question.equity,
        base_usd=question.equity if settings.pro_mode else facts.cash + _held_usd(facts),
        free_cash=facts.cash,
        venue_free_cash=facts.venue_cash,
        drawdown=facts.drawdown,
        day_loss=facts.day_loss,
        heat_usd=sum(
            sizer.mark_heat(position.usd, position.stop_frac, facts.rules.fee_out, _gap(position.coin))
            for position in positions
        ),
        variance=sizer.book_variance(shares, volatilities, sizer.CORRELATION),
        covariance=sizer.book_covariance(facts.volatility, shares, volatilities, correlations),
        fees_usd=(question.fees_paid or 0.0) + facts.rules.fee_out * sum(position.usd for position in positions),
        trades=facts.trades,
    )


def _reward(facts: _Facts, settings: Settings, order: Order) -> float:
    """Net risk:reward of the order at the targets of the exit rule; NaN where there is no order or no target."""
    if order.lots == 0:
        return math.nan
    rule = tuple(ExitRule).index(settings.exit_rule)
    fees = facts.rules.fee_in, facts.rules.fee_out
    return exits.net_reward(rule, order.exits, facts.question.stop_frac, *fees, SLIPPAGE)


def _refusal(facts: _Facts, settings: Settings, order: Order, reward: float) -> tuple[str, float, float, str]:
    """Why nothing would be bought: (code, limit, actual, unit) for people, code '' where it would be."""
    question = facts.question
    activation = float(settings.min_balance_to_trade)
    if question.equity < activation:
        return RefusalCode.BELOW_ACTIVATION.value, activation, question.equity, "usd"
    minimum = float(getattr(settings, f"min_balance_{facts.venue}"))
    worth = facts.venue_cash + sum(position.usd for position in question.open_positions)
    if worth < minimum:
        return RefusalCode.VENUE_DORMANT.value, minimum, worth, "usd"
    coins = [position.coin for position in question.open_positions]
    if facts.coin not in coins and len(coins) >= facts.limits.max_positions:
        return RefusalCode.MAX_POSITIONS.value, float(facts.limits.max_positions), float(len(coins)), "count"
    if order.code == codes.OK:
        gate = guards.risk_reward(reward, settings.min_risk_reward)
        if gate.active and settings.strategy is Strategy.BREAKOUT:
            return RefusalCode.RISK_REWARD.value, gate.limit, gate.used, "ratio"
        return "", 0.0, 0.0, ""
    unit, factor = codes.UNITS.get(order.code, ("usd", 1.0))
    return codes.REFUSAL_NAMES[order.code], order.limit * factor, order.actual * factor, unit


def _caps(caps: Caps) -> tuple[Cap, ...]:
    by_code = {
        codes.OK: caps.blend,
        codes.POSITION_CAP: caps.position,
        codes.VOLATILITY_ROOM: caps.room,
        codes.RISK_PER_TRADE: caps.risk,
        codes.HEAT: caps.heat,
        codes.FEE_BUDGET: caps.fees,
        codes.CASH_BUFFER: caps.buffer,
        codes.VENUE_CASH: caps.venue,
    }
    return tuple(Cap(codes.REFUSAL_NAMES[code], usd) for code, usd in by_code.items())


def _growth(facts: _Facts, caps: Caps, blend: Blend, notional: float) -> tuple[tuple[GrowthPoint, ...], float]:
    """The curve at telling sizes, and the best size that the cash allows, in USD."""
    equity, win_rate, loss = facts.question.equity, facts.edge.win_rate, blend.loss
    gain = facts.payoff * loss
    sizes = {
        "this order": notional,
        "one minimum trade": facts.limits.min_trade,
        "the position cap": facts.limits.position_cap * equity,
        "all cash above the buffer": caps.buffer,
    }
    points = [
        GrowthPoint(what, usd, 100 * growth(usd / equity, win_rate, gain, loss))
        for what, usd in sorted(sizes.items(), key=lambda item: item[1])
        if usd > 0
    ]
    lot_usd = facts.rules.lot_step * facts.price
    fewest = sizer.lots_reaching(facts.limits.min_trade, lot_usd)
    most = sizer.lots_within(caps.buffer, lot_usd)
    return tuple(points), best_lots(win_rate, gain, loss, lot_usd / equity, fewest, most) * lot_usd
