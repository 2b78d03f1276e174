"""What the guards look at in a cycle, gathered from accounts and desk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.decide.confidence import Band, Confidence
from bot.domain.orders import OrderState, Side
from bot.engine.account import Account
from bot.engine.config import EngineConfig
from bot.engine.desk import OrderDesk
from bot.engine.gates import Gates

CENT_USD = 0.01
"""An account with less is empty: its silence keeps nobody from anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFacts:
    """One account; USD."""

    name: str
    fresh: bool
    problem: str
    """Why it does not answer, in its own words; '' where it does."""
    worth_usd: float
    minimum_usd: float
    """0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteFacts:
    """Best prices of one coin on an account that has answered."""

    account: str
    symbol: str
    bid: float
    ask: float
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardFacts:
    """Everything that the guards look at in a cycle; fractions, USD."""

    now: datetime
    equity: float
    drawdown: float
    daily_loss: float
    losses_in_a_row: int
    cash_frac: float
    positions: int
    max_positions: int
    """0 before the first tier."""
    heat_usd: float
    """What all stops together would cost now."""
    fees_usd: float
    """Paid in 30 days, and due for what is open."""
    venues: Sequence[VenueFacts]
    quotes: Sequence[QuoteFacts]
    reward: float
    """Net risk:reward; NaN: nothing has measured it yet."""
    reward_about: str
    confidence: Confidence
    confidence_about: str
    band: Band
    """Own trades against what the evidence lets expect."""
    band_about: str
    falls_short: bool
    """Whether they have been below it for long enough to pause."""
    waiting_for: str
    """The accounts that have not answered since the start."""
    frozen: bool
    """A transfer is pending, or something that is held has no price: latches stay as they are."""


def venues_of(accounts: Iterable[Account], gates: Gates, config: EngineConfig) -> list[VenueFacts]:
    """Describe every account."""
    return [
        VenueFacts(
            name=account.name,
            fresh=account.fresh,
            problem=account.error,
            worth_usd=gates.account_equity(account),
            minimum_usd=config.venue_minimum_usd.get(account.name, 0.0),
        )
        for account in accounts
    ]


def quotes_of(accounts: Iterable[Account], symbols: Sequence[str], now: datetime) -> list[QuoteFacts]:
    """Prices of the traded coins on the accounts that have answered."""
    return [
        QuoteFacts(
            account=account.name,
            symbol=symbol,
            bid=float(ticker.bid),
            ask=float(ticker.ask),
            age_s=(now - ticker.at).total_seconds(),
        )
        for account in accounts
        if account.fresh
        for symbol in symbols
        if (ticker := account.tickers.get(account.market_of(symbol))) is not None
    ]


def has_failed(accounts: Mapping[str, Account], gates: Gates, desk: OrderDesk) -> bool:
    """Whether the cycle that ends has failed.

    It has where an account with money, or one that has never answered, did not answer, and where a sale (a
    stop, an exit) was rejected or nobody knows what became of it.
    """
    for account in accounts.values():
        if not account.fresh and (not account.settled_once or gates.account_equity(account) >= CENT_USD):
            return True
    if any(order.side is Side.SELL for order, _ in desk.new_rejections):
        return True
    return any(order.side is Side.SELL and order.state is OrderState.UNKNOWN for order in desk.live())
