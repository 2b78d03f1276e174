"""What the account has at stake: open positions, resting entries, and entries decided a moment ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.decide import sizer
from bot.decide.costs import SLIPPAGE, loss_per_unit
from bot.domain.market import MAJOR_COINS, coin_symbol
from bot.domain.orders import Purpose
from bot.engine.account import Account, PositionKey, key_text
from bot.engine.desk import OrderDesk
from bot.engine.history import History
from bot.engine.state import EngineState

FEE_WINDOW_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry that passed every limit, ready to be sent."""

    account: Account
    symbol: str
    lots: int
    notional_usd: float
    stop_frac: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """One position or entry; USD, fractions."""

    symbol: str
    """Of the coin."""
    usd: float
    heat_usd: float
    """What it costs when its stop is reached from the present price, costs and gap included."""
    fees_due_usd: float


def gap_of(symbol: str) -> float:
    """Loss beyond the stop to reckon with, as a share of notional."""
    return sizer.GAP_MAJOR if symbol.partition("/")[0] in MAJOR_COINS else sizer.GAP_OTHER


def heat_usd(stakes: Sequence[Stake]) -> float:
    """What all stops together would cost now."""
    return sum(stake.heat_usd for stake in stakes)


class Exposure:
    """Reads the books and the desk; holds nothing of its own."""

    def __init__(
        self,
        *,
        accounts: Mapping[str, Account],
        book: Book,
        desk: OrderDesk,
        state: EngineState,
        histories: Mapping[str, History],
    ) -> None:
        self._accounts = accounts
        self._book = book
        self._desk = desk
        self._state = state
        self._histories = histories

    def stakes(self, entries: Sequence[Entry] = ()) -> list[Stake]:
        """Everything at stake, ``entries`` of this decision included."""
        found = [self._of_position(key) for key in self._book.positions]
        for order in self._desk.live(purpose=Purpose.ENTRY):
            usd = float(order.remaining * (order.price or Decimal(0)))
            stop_frac = self._state.entry_stop_frac.get(key_text(order.account, order.symbol), 1.0)
            found.append(self._of_entry(order.account, order.symbol, usd, stop_frac))
        found.extend(self._of_entry(e.account.name, e.symbol, e.notional_usd, e.stop_frac) for e in entries)
        return found

    def fees_usd(self, now: datetime, stakes: Sequence[Stake]) -> float:
        """Fees of the last 30 UTC days, and those due when everything at stake is bought and sold."""
        today = now.date()
        days = (self._book.days.get(today - timedelta(days=back)) for back in range(FEE_WINDOW_DAYS))
        paid = float(sum((day.fees for day in days if day is not None), Decimal(0)))
        return paid + sum(stake.fees_due_usd for stake in stakes)

    def shares(self, stakes: Sequence[Stake], equity: float) -> tuple[list[str], list[float], list[float]]:
        """Coins, shares of equity and annual volatilities of everything at stake.

        One entry per coin over all accounts: a coin moves with itself, whatever the correlation of any two is.
        """
        by_coin: dict[str, float] = {}
        for stake in stakes:
            by_coin[stake.symbol] = by_coin.get(stake.symbol, 0.0) + stake.usd / equity
        return list(by_coin), list(by_coin.values()), [self._volatility(symbol) for symbol in by_coin]

    def _volatility(self, symbol: str) -> float:
        history = self._histories.get(symbol)
        value = history.volatility() if history is not None else 1.0
        return value if value > 0.0 else 1.0  # what cannot be measured counts as wild

    def _of_position(self, key: PositionKey) -> Stake:
        account, symbol = key
        position = self._book.positions[key]
        ticker = self._accounts[account].tickers.get(symbol) if account in self._accounts else None
        price = float(ticker.bid if ticker is not None else position.average_price)
        usd = float(position.quantity) * price
        plan = self._state.stops.get(key_text(account, symbol))
        distance = self._state.entry_stop_frac.get(key_text(account, symbol), 1.0)
        if plan is not None:
            distance = 1.0 - float(plan.stop_price) / price
        _, fee_out = self._fees(account, symbol)
        heat = sizer.mark_heat(usd, distance, fee_out, gap_of(symbol))
        return Stake(symbol=coin_symbol(symbol), usd=usd, heat_usd=heat, fees_due_usd=usd * fee_out)

    def _of_entry(self, account: str, symbol: str, usd: float, stop_frac: float) -> Stake:
        fee_in, fee_out = self._fees(account, symbol)
        heat = usd * (loss_per_unit(stop_frac, fee_in, fee_out, SLIPPAGE) + gap_of(symbol))
        return Stake(symbol=coin_symbol(symbol), usd=usd, heat_usd=heat, fees_due_usd=usd * (fee_in + fee_out))

    def _fees(self, account: str, symbol: str) -> tuple[float, float]:
        rules = self._accounts[account].rules.get(symbol) if account in self._accounts else None
        return (rules.fee_in, rules.fee_out) if rules is not None else (0.0, 0.0)
