"""Prices: candles for decisions and matching, tickers for the moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

MS_PER_SECOND = 1_000
MAJOR_COINS = ("BTC", "ETH")
"""Deep enough markets for a smaller allowance behind the stop (quant, correction 6)."""

MS_PER_DAY = 86_400_000

TIMEFRAME_MS: dict[str, int] = {
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "1d": MS_PER_DAY,
}
"""Length of each known timeframe in milliseconds."""


PEGGED_QUOTES = ("USD", "USDC")
"""Quotes in which a coin may be traded, the one that names the coin first."""


def coin_symbol(market: str) -> str:
    """Name a coin whatever its market is quoted in: ``BTC/USD`` of ``BTC/USDC``."""
    return f"{market.partition('/')[0]}/{PEGGED_QUOTES[0]}"


class Candle(NamedTuple):
    """One bar. ``open_ms`` is its opening time in milliseconds UTC; prices in quote units."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """Best prices of one symbol at one moment, in quote units."""

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal
    at: datetime

    def __post_init__(self) -> None:
        assert self.at.tzinfo is not None, "ticker time must be tz-aware"
        assert 0 < self.bid <= self.ask, f"{self.symbol}: bid {self.bid} above ask {self.ask}"
