"""From a wish to whole lots: the hybrid sizer, fed with the account as it stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from bot.books.book import Book
from bot.decide import allocation, breakout, codes, exits, kelly, measured, sizer
from bot.decide.costs import SLIPPAGE, Rules
from bot.decide.guards import risk_reward
from bot.decide.intents import Coin
from bot.decide.kelly import Edge
from bot.decide.sizer import Blend, Candidate, Caps, Holdings, Limits, Order
from bot.domain.market import coin_symbol
from bot.domain.modes import ExitRule, Strategy
from bot.domain.refusal import Reason
from bot.engine.account import Account
from bot.engine.config import EngineConfig
from bot.engine.desk import OrderDesk
from bot.engine.exposure import Entry, Exposure, gap_of, heat_usd
from bot.engine.own_results import own_results

RULE_CODES = {rule: code for code, rule in enumerate(ExitRule)}
"""The core's number of an exit rule: its place in the enumeration."""

STOP_ATR = {Strategy.ALLOCATION: allocation.STOP_ATR, Strategy.BREAKOUT: breakout.STOP_ATR}
"""Distance of the first stop in daily ATR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The account as a whole at the decision; USD and fractions."""

    now: datetime
    equity: float
    drawdown: float
    day_loss: float
    risk_frac: float
    max_positions: int
    block: Reason | None
    """What forbids entries on all accounts."""
    halted: bool
    """Nothing is sold either: positions keep their stops."""


class SizerInputs(NamedTuple):
    """What the sizer's order follows from; stored with the decision, so that it can be made again."""

    candidate: Candidate
    rules: Rules
    holdings: Holdings
    limits: Limits
    edge: Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """What the sizer made of a wish on one account."""

    inputs: SizerInputs

    blend: Blend
    caps: Caps
    order: Order
    reward: float
    """Net risk:reward of the order; NaN: nothing to measure it by yet."""
    min_reward: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The account's closed trades as the core reads them."""

    edge: Edge
    trades: int
    reward: float
    """Measured; NaN while too few trades count."""
    counted: float


def target_rule(rule: ExitRule) -> int:
    """The core's number of a rule with price targets, -1 for one without."""
    code = RULE_CODES[rule]
    return code if exits.target_count(code, 1) > 0 else -1


def rewarding(order: Order, reward: float, min_reward: float) -> Order:
    """The order, refused where its net risk:reward is known and too low."""
    if order.lots > 0 and not math.isnan(reward):
        gate = risk_reward(reward, min_reward)
        if gate.active:
            return sizer.refused(order.notional, order.binding, codes.RISK_REWARD, gate.limit, gate.used)
    return order


class Sizing:
    """Sizes entries of both strategies, and knows what the account's own results say."""

    def __init__(
        self,
        *,
        config: EngineConfig,
        accounts: Mapping[str, Account],
        book: Book,
        desk: OrderDesk,
        exposure: Exposure,
    ) -> None:
        self._config = config
        self._accounts = accounts
        self._book = book
        self._desk = desk
        self._exposure = exposure
        self._record: tuple[int, date, Record] | None = None

    def record(self, now: datetime) -> Record:
        """Read the closed trades; once a day and once per trade, as they age by days."""
        closed, today = len(self._book.trades), now.date()
        if self._record is None or self._record[:2] != (closed, today):
            self._record = closed, today, self._read(now)
        return self._record[2]

    def _read(self, now: datetime) -> Record:
        own = own_results(self._book.trades, now)
        return Record(
            edge=kelly.edge_of_results(own.results, own.weights, self._config.drawdown_frac),
            trades=own.trades,
            reward=measured.measured_reward(own.results, own.idle_days),
            counted=measured.trades_that_count(len(own.results), own.idle_days),
        )

    def limits(self, standing: Standing) -> Limits:
        """What settings and tier allow."""
        config = self._config
        possible = len(config.symbols) * len(self._accounts)
        return Limits(
            position_cap=config.position_cap_frac,
            risk_per_trade=standing.risk_frac,
            cash_buffer=config.cash_buffer_frac,
            daily_loss=config.daily_loss_frac,
            max_drawdown=config.drawdown_frac,
            fee_budget=config.fee_budget_frac,
            min_trade=config.min_trade_usd,
            max_positions=max(1, min(standing.max_positions, possible)),
            kelly_weight=config.leg_weights[0],
            volatility_weight=config.leg_weights[1],
            equity_weight=config.leg_weights[2],
            floor_allowed=int(config.floor_allowed),
            correlation=sizer.CORRELATION,
            volatility_target=sizer.VOLATILITY_TARGET,
            volatility_ceiling=sizer.VOLATILITY_CEILING,
        )

    def entry_cap(self, symbol: str, coin: Coin, standing: Standing) -> float:
        """Largest share that the legs ask for on any account, before drawdown scale and edge brake."""
        best = 0.0
        if math.isnan(coin.stop_distance) or math.isnan(coin.volatility):
            return best
        record, limits = self.record(standing.now), self.limits(standing)
        for account in self._accounts.values():
            rules = account.rules.get(account.market_of(symbol))
            if rules is not None:
                holdings = self._bare(coin, standing, record.trades)
                blend = sizer.blend_of(self._candidate(symbol, coin, math.inf), rules, holdings, limits, record.edge)
                best = max(best, blend.mixed)
        return best

    def base_usd(self, coin: Coin, standing: Standing) -> float:
        """What shares are shares of: equity, or free cash and what is held of the coin (PRO_MODE off)."""
        return standing.equity if self._config.size_on_equity else self._free_cash() + coin.held_usd

    def size(
        self,
        market: str,
        coin: Coin,
        wish_usd: float,
        account: Account,
        *,
        standing: Standing,
        entries: Sequence[Entry],
        rules: Rules | None = None,
    ) -> Sized:
        """Size a wish on one account, at the price at which this account would buy.

        ``rules`` are those of the market; others where the order would pay other fees.
        """
        candidate = self._candidate(market, coin, wish_usd)
        rules = account.rules[market] if rules is None else rules
        limits, record = self.limits(standing), self.record(standing.now)
        holdings = self._holdings(market, coin, account, standing=standing, entries=entries, trades=record.trades)
        blend, caps, order = sizer.size_position(candidate, rules, holdings, limits, record.edge)
        reward = record.reward
        if self._has_targets:
            parts = order.exits if order.lots > 0 else 1
            rule = RULE_CODES[self._config.exit_rule]
            reward = exits.net_reward(rule, parts, coin.stop_distance, rules.fee_in, rules.fee_out, SLIPPAGE)
        return Sized(
            inputs=SizerInputs(candidate, rules, holdings, limits, record.edge),
            blend=blend,
            caps=caps,
            order=rewarding(order, reward, self._config.min_reward),
            reward=reward,
            min_reward=self._config.min_reward,
        )

    @property
    def _has_targets(self) -> bool:
        return self._config.strategy is Strategy.BREAKOUT and target_rule(self._config.exit_rule) >= 0

    def reward_words(self, now: datetime) -> str:
        """Where the measured risk:reward stands, for rules without price targets; '' for those with."""
        if self._has_targets:
            return ""
        record = self.record(now)
        if math.isnan(record.reward):
            closed = f"{record.trades} closed, " if record.trades else ""
            return (
                f"{closed}{record.counted:.1f} of {measured.NEEDED_TRADES:.0f} trades that it needs, as they fade; "
                "it lets pass"
            )
        return f"measured on {min(record.trades, measured.COUNTED_TRADES)} closed trades"

    def _candidate(self, symbol: str, coin: Coin, wish_usd: float) -> Candidate:
        return Candidate(
            coin.volatility, coin.stop_distance, coin.price, gap_of(symbol), coin.held_usd, wish_usd, coin.scale
        )

    def _free_cash(self) -> float:
        return sum(self._free_on(account) for account in self._accounts.values())

    def _free_on(self, account: Account, quote: str = "") -> float:
        """Free cash of an account; what has come in and is in no book yet is not spent before it counts as equity."""
        assets = [quote] if quote else account.quote_assets()
        unbooked = sum((account.unbooked.get(asset, Decimal(0)) for asset in assets), Decimal(0))
        return max(0.0, account.free_cash_usd(quote) - float(unbooked) - self._desk.doubtful_usd(account.name, quote))

    def _bare(self, coin: Coin, standing: Standing, trades: int) -> Holdings:
        return Holdings(
            equity=standing.equity,
            base_usd=self.base_usd(coin, standing),
            free_cash=0.0,
            venue_free_cash=0.0,
            drawdown=standing.drawdown,
            day_loss=standing.day_loss,
            heat_usd=0.0,
            variance=0.0,
            covariance=0.0,
            fees_usd=0.0,
            trades=trades,
        )

    def _holdings(
        self,
        market: str,
        coin: Coin,
        account: Account,
        *,
        standing: Standing,
        entries: Sequence[Entry],
        trades: int,
    ) -> Holdings:
        stakes = self._exposure.stakes(entries)
        symbols, shares, volatilities = self._exposure.shares(stakes, standing.equity)
        correlations = [1.0 if held == coin_symbol(market) else sizer.CORRELATION for held in symbols]
        return Holdings(
            equity=standing.equity,
            base_usd=self.base_usd(coin, standing),
            free_cash=self._free_cash(),
            venue_free_cash=self._free_on(account, account.instruments[market].quote),
            drawdown=standing.drawdown,
            day_loss=standing.day_loss,
            heat_usd=heat_usd(stakes),
            variance=sizer.book_variance(shares, volatilities, sizer.CORRELATION),
            covariance=sizer.book_covariance(coin.volatility, shares, volatilities, correlations),
            fees_usd=self._exposure.fees_usd(standing.now, stakes),
            trades=trades,
        )
