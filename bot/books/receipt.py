"""What the bot has been good for: costs, slippage against the decision, luck or skill, and when to stop it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from bot.books.holding import YEAR
from bot.books.positions import EXACT
from bot.domain.account import Fill
from bot.domain.market import coin_symbol
from bot.domain.orders import Order, Purpose, Side

MONTHS = 12

DECIDED_WITHIN = timedelta(days=1)
"""A decision stands until the next daily close: an older one is not that of the order."""

TRADES_MIN = 30
Z_95 = 1.959963984540054
"""Of the standard normal distribution: 2.5 % lie above."""

SERVER_DAYS = 30
"""A month of the server is paid: before, a bot is behind cash for no reason but its bill."""

RECORD_DAYS = 365
"""From here on a record speaks for itself."""

MOST_EXPECTED_PCT = 9.0
"""A year: the best median of twelve months in the shipped evidence, rounded up; simulated, not proven.

A server that takes more of the equity than that is hardly earned back.
"""


# -- slippage ----------------------------------------------------------------------------------------


class Decided(NamedTuple):
    """A decision to buy or sell, and the price at which it was made."""

    symbol: str
    """Of the coin."""
    at: datetime
    side: Side
    price: Decimal


class Slipped(NamedTuple):
    """What fills have cost beyond the price of their decision; USD, below 0 where they were better."""

    usd: Decimal
    notional: Decimal
    """At the prices of the decisions."""
    fills: int
    """That have a decision price."""
    of: int
    """All."""


def slippage_of(
    fills: Iterable[Fill], orders: Iterable[Order], decisions: Sequence[Decided]
) -> dict[Purpose | None, Slipped]:
    """Compare each fill with the price at which it was decided, by the purpose of its order; None: no order is known.

    A stop's price is the one that triggers it. An entry or sale has that of the last decision of its coin to
    buy or to sell, at most a day before its order; a price target and the end of a trade's time have none.
    """
    known = {order.client_order_id: order for order in orders}
    by_coin: dict[tuple[str, Side], list[Decided]] = {}
    for one in sorted(decisions, key=lambda decided: decided.at):
        by_coin.setdefault((one.symbol, one.side), []).append(one)
    found: dict[Purpose | None, Slipped] = {}
    for fill in fills:
        order = known.get(fill.client_order_id)
        price = None if order is None else _decided_price(order, by_coin)
        purpose = None if order is None else order.purpose
        before = found.get(purpose, Slipped(Decimal(0), Decimal(0), 0, 0))
        if price is None:
            found[purpose] = before._replace(of=before.of + 1)
            continue
        worse = EXACT.subtract(fill.price, price) if fill.side is Side.BUY else EXACT.subtract(price, fill.price)
        found[purpose] = Slipped(
            EXACT.add(before.usd, EXACT.multiply(fill.quantity, worse)),
            EXACT.add(before.notional, EXACT.multiply(fill.quantity, price)),
            before.fills + 1,
            before.of + 1,
        )
    return found


def together(parts: Iterable[Slipped]) -> Slipped:
    """Sum up."""
    usd, notional, fills, of = Decimal(0), Decimal(0), 0, 0
    for part in parts:
        usd, notional = EXACT.add(usd, part.usd), EXACT.add(notional, part.notional)
        fills, of = fills + part.fills, of + part.of
    return Slipped(usd, notional, fills, of)


def _decided_price(order: Order, by_coin: dict[tuple[str, Side], list[Decided]]) -> Decimal | None:
    if order.purpose is Purpose.STOP:
        return order.stop_price
    decisions = by_coin.get((coin_symbol(order.symbol), order.side), [])
    place = bisect_right(decisions, order.created_at, key=lambda decided: decided.at)
    if place == 0 or order.created_at - decisions[place - 1].at > DECIDED_WITHIN:
        return None
    return decisions[place - 1].price


# -- luck or skill -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """How much the mean result of a trade says; percents of what each trade had cost."""

    trades: int
    mean_pct: float
    """NaN without trades."""
    low_pct: float
    """With ``high_pct`` 95 % for the mean; NaN below ``TRADES_MIN`` trades."""
    high_pct: float
    needed: float
    """Trades from which on a mean and spread like these are told from luck; infinite where the mean is 0."""

    @property
    def is_told(self) -> bool:
        """Whether there are enough trades, so that the interval leaves out 0."""
        return self.trades >= self.needed


def luck_of(results: Sequence[float]) -> Luck:
    """Judge results (fractions of the cost of each trade) by the interval of their mean.

    m +- z s / sqrt(n) leaves out 0 from n = (z s / m)^2 trades on, with z = 1.96 for 95 % (sample size for a mean:
    Cochran, Sampling Techniques, 1977, 4.6), and at least 30, below which the normal approximation does not hold.
    With fewer than 2 trades there is no spread, and N is that least number.
    """
    n = len(results)
    if n < 2:
        mean = results[0] if n else math.nan
        return Luck(trades=n, mean_pct=100 * mean, low_pct=math.nan, high_pct=math.nan, needed=TRADES_MIN)
    mean = math.fsum(results) / n
    spread = math.sqrt(math.fsum((result - mean) ** 2 for result in results) / (n - 1))
    needed = math.inf
    if mean != 0.0:
        ratio = Z_95 * spread / abs(mean)
        needed = max(TRADES_MIN, math.ceil(ratio * ratio)) if ratio < 1e9 else math.inf
    half = Z_95 * spread / math.sqrt(n) if n >= TRADES_MIN else math.nan
    return Luck(trades=n, mean_pct=100 * mean, low_pct=100 * (mean - half), high_pct=100 * (mean + half), needed=needed)


# -- when stopping is better -------------------------------------------------------------------------


class Stopping(StrEnum):
    """Whether stopping the bot is the better choice."""

    EMPTY = "empty"
    """There is no money in it."""
    SERVER = "server"
    """Better: after a month it is behind cash, and the server takes more than can be expected."""
    LOSING = "losing"
    """Better: its trades lose, and that is told from luck."""
    BEHIND = "behind"
    """Better: after a year it is behind cash and behind the same coins at its exposure."""
    TOO_EARLY = "too_early"
    NO_REASON = "no_reason"

    @property
    def is_better(self) -> bool:
        """Whether it is."""
        return self in (Stopping.EMPTY, Stopping.SERVER, Stopping.LOSING, Stopping.BEHIND)


def stopping_of(
    *, worth: float, after_costs: float, cash: float, holding: float, server_usd_year: float, days: float, luck: Luck
) -> Stopping:
    """Apply the guide's rule, in its order; USD since the start.

    ``after_costs`` is what the bot made less fees and server, ``cash`` and ``holding`` what the others made; a holding
    that is not known (NaN) is no excuse.
    """
    behind_cash = after_costs < cash
    if worth < 0.01:
        return Stopping.EMPTY
    if days >= SERVER_DAYS and behind_cash and server_usd_year > MOST_EXPECTED_PCT / 100 * worth:
        return Stopping.SERVER
    if luck.is_told and luck.high_pct < 0.0:
        return Stopping.LOSING
    if days >= RECORD_DAYS and behind_cash and not after_costs >= holding:
        return Stopping.BEHIND
    if days < RECORD_DAYS and not luck.is_told:
        return Stopping.TOO_EARLY
    return Stopping.NO_REASON


def server_usd(usd_month: float, time: timedelta) -> float:
    """Cost of a server for so long; USD."""
    return usd_month * MONTHS * (time / YEAR)
