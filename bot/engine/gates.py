"""What an account or a price must be like before anything is entered there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from bot.books.book import Book
from bot.decide import guards
from bot.domain.market import Ticker, coin_symbol
from bot.domain.refusal import Reason, RefusalCode
from bot.engine.account import Account, PositionKey
from bot.engine.config import EngineConfig

PEG_LOWEST, PEG_HIGHEST = Decimal("0.995"), Decimal("1.005")
"""What a USDC may be worth where it is spent."""
PEGGED = "USDC/USD"


def usdc_usd(accounts: Iterable[Account]) -> Decimal:
    """What a USDC is worth: the lowest bid that any account knows.

    1 where none knows one: Coinbase has one book for both and changes them one for one.
    """
    bids = [account.tickers[PEGGED].bid for account in accounts if PEGGED in account.tickers]
    return min(bids, default=Decimal(1))


def is_off_peg(value: Decimal) -> bool:
    """Whether a USDC at this value (USD) buys nothing."""
    return not PEG_LOWEST <= value <= PEG_HIGHEST


class Gates:
    """Says for each account why it may not take an entry; the guards' own functions compare."""

    def __init__(self, *, config: EngineConfig, accounts: Mapping[str, Account], book: Book) -> None:
        self._config = config
        self._accounts = accounts
        self._book = book

    def why_unfit(
        self, account: Account, symbol: str, taken: set[PositionKey], max_positions: int, now: datetime
    ) -> Reason | None:
        """Why this account takes no entry in the symbol, or None; ``taken`` are positions and entries."""
        if not account.fresh:
            return RefusalCode.VENUE_UNKNOWN, 0.0, 0.0, "count"
        ticker = account.tickers.get(symbol)
        instrument = account.instruments.get(symbol)
        if instrument is None or not instrument.is_open or ticker is None:
            return RefusalCode.NO_MARKET, 0.0, 0.0, "count"
        if (account.name, symbol) not in taken and len(taken) >= max_positions:
            return RefusalCode.MAX_POSITIONS, float(max_positions), float(len(taken)), "count"
        minimum = self._config.venue_minimum_usd.get(account.name, 0.0)
        worth = guards.venue_minimum(self.account_equity(account), minimum)
        if worth.active:
            return RefusalCode.VENUE_DORMANT, worth.limit, worth.used, "usd"
        if instrument.quote != "USD":
            value = usdc_usd(self._accounts.values())
            if is_off_peg(value):
                limit = PEG_LOWEST if value < PEG_LOWEST else PEG_HIGHEST
                return RefusalCode.QUOTE_OFF_PEG, float(limit), float(value), "usd"
        return self._why_price_unfit(account, symbol, ticker, now)

    def _why_price_unfit(self, account: Account, symbol: str, ticker: Ticker, now: datetime) -> Reason | None:
        age = guards.stale_data((now - ticker.at).total_seconds(), self._config.stale_after_s)
        if age.active:
            return RefusalCode.STALE_DATA, age.limit / 3600, age.used / 3600, "hours"
        spread = guards.spread(float(ticker.bid), float(ticker.ask), self._config.max_spread_frac)
        if spread.active:
            return RefusalCode.SPREAD, spread.limit * 100, spread.used * 100, "pct"
        for other in self._accounts.values():
            quote = other.tickers.get(other.market_of(coin_symbol(symbol)))
            if other is account or not other.fresh or quote is None:
                continue
            if guards.stale_data((now - quote.at).total_seconds(), self._config.stale_after_s).active:
                continue  # an old price contradicts nothing
            difference = guards.price_sanity(
                float(ticker.bid + ticker.ask) / 2, float(quote.bid + quote.ask) / 2, self._config.max_disagreement_frac
            )
            if difference.active:
                return RefusalCode.PRICE_DISAGREES, difference.limit * 100, difference.used * 100, "pct"
        return None

    def account_equity(self, account: Account) -> float:
        """Cash and own positions of one account in USD, from the books and its last prices."""
        cash = sum((amount for (name, _), amount in self._book.cash.items() if name == account.name), Decimal(0))
        coins = 0.0
        for (name, symbol), position in self._book.positions.items():
            ticker: Ticker | None = account.tickers.get(symbol)
            if name == account.name:
                coins += float(position.quantity * ticker.bid) if ticker else float(position.cost)
        return float(cash) + coins
