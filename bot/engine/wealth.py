"""What the account is worth by its books, at the prices that are known."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bot.books.book import Book
from bot.engine.account import Account
from bot.engine.gates import PEGGED, usdc_usd


class Wealth:
    """Reads the books and the last prices; holds nothing of its own."""

    def __init__(self, *, accounts: Mapping[str, Account], book: Book) -> None:
        self._accounts = accounts
        self._book = book

    def equity(self) -> Decimal:
        """Quote cash by the books plus own positions at bid; a silent venue's at the lower known price."""
        prices = {(name, PEGGED): self._usdc() for name, asset in self._book.cash if asset == "USDC"}
        for name, symbol in self._book.positions:
            bids = [
                account.tickers[symbol].bid
                for account in self._accounts.values()
                if symbol in account.tickers and (account.name == name or not self._is_fresh(name))
            ]
            prices[name, symbol] = min(bids) if bids else self._book.positions[name, symbol].average_price
        return self._book.equity(prices=prices, cash=self._book.cash)

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
