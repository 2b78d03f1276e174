"""What the account is worth by its books, at the prices that are known."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bot.books.book import Book
from bot.books.positions import quote_asset
from bot.engine.account import Account, PositionKey, key_text
from bot.engine.gates import PEGGED, usdc_usd
from bot.engine.state import EngineState


class Wealth:
    """Reads the books and the last prices; holds nothing of its own."""

    def __init__(self, *, accounts: Mapping[str, Account], book: Book, state: EngineState) -> None:
        self._accounts = accounts
        self._book = book
        self._state = state

    def equity(self) -> Decimal:
        """Quote cash by the books plus own positions at bid; a silent venue's at the lower known price.

        Coins that are certainly not there do not count.
        """
        prices = {(name, PEGGED): self._usdc() for name, asset in self._book.cash if asset == "USDC"}
        prices |= {key: self.price(*key) for key in self._book.positions}
        missing = (
            self.dollars(self.missing(key) * self.price(*key), quote_asset(key[1])) for key in self._book.positions
        )
        return self._book.equity(prices=prices, cash=self._book.cash) - sum(missing, Decimal(0))

    def missing(self, key: PositionKey) -> Decimal:
        """Coins of a position that are certainly not there."""
        if not self._state.missing:
            return Decimal(0)
        return min(Decimal(self._state.missing.get(key_text(*key), "0")), self._book.positions[key].quantity)

    def gone(self) -> Decimal:
        """What left with the coins that are not there, in USD: at the price of the first look."""
        worth = Decimal(0)
        for key in self._book.positions if self._state.missing else ():
            seen = self._state.short_prices.get(key_text(*key))
            price = self.price(*key) if seen is None else Decimal(seen)
            worth += self.dollars(self.missing(key) * price, quote_asset(key[1]))
        return worth

    def price(self, name: str, symbol: str) -> Decimal:
        """At which a position counts."""
        bids = [
            account.tickers[symbol].bid
            for account in self._accounts.values()
            if symbol in account.tickers and (account.name == name or not self._is_fresh(name))
        ]
        return min(bids) if bids else self._book.positions[name, symbol].average_price

    def cash(self) -> Decimal:
        """Quote cash by the books in USD."""
        return sum((self.dollars(amount, asset) for (_, asset), amount in self._book.cash.items()), Decimal(0))

    def dollars(self, amount: Decimal, quote: str) -> Decimal:
        """An amount of USD or USDC in USD: USDC at its price."""
        return amount * self._usdc() if quote == "USDC" else amount

    def is_priced(self) -> bool:
        """Whether everything that is held has a known price: a cost in its place would look like a loss or a gain."""
        return all(any(symbol in a.tickers for a in self._accounts.values()) for _, symbol in self._book.positions)

    def _usdc(self) -> Decimal:
        return usdc_usd(self._accounts.values())

    def _is_fresh(self, name: str) -> bool:
        return name in self._accounts and self._accounts[name].fresh
