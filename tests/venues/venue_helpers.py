"""What the tests of the venues share: a clock that is set by hand, a feed of listed bars, short orders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.domain.account import FeeSchedule
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle, Ticker
from bot.domain.orders import Order, OrderType, Purpose, Side
from bot.venues.matching import MatchingCore
from bot.venues.rules import paper_instruments

T0 = datetime(2024, 1, 1, tzinfo=UTC)
T0_MS = 1_704_067_200_000
HOUR = TIMEFRAME_MS["1h"]
BTC = "BTC/USD"
D = Decimal

# Coinbase's lowest tier: 0.6 % maker, 1.2 % taker; bid and ask 5 bp from the middle: at 100 they are 99.95 and 100.05.
FEES = FeeSchedule(maker_frac=D("0.006"), taker_frac=D("0.012"), origin="test")
HALF_SPREAD = D("0.0005")


@dataclass
class KeptCopy:
    """A market copy in memory."""

    markets: list[dict[str, Any]] = field(default_factory=list)
    at: str = ""

    def save(self, markets: Sequence[Mapping[str, Any]], now: datetime) -> None:
        self.markets, self.at = json.loads(json.dumps(list(markets))), now.isoformat()

    def load(self) -> tuple[list[dict[str, Any]], str]:
        return self.markets, self.at


def later(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def new_core(
    usd: str = "1000",
    *,
    price: float | None = 100.0,
    account: str = "coinbase",
    instruments: dict[str, Instrument] | None = None,
) -> MatchingCore:
    """An account with cash and, at T0, a BTC price."""
    core = MatchingCore(
        account=account,
        instruments=paper_instruments(account) if instruments is None else instruments,
        fees=FEES,
        half_spread_frac=HALF_SPREAD,
    )
    if D(usd):
        core.deposit("USD", D(usd))
    if price is not None:
        core.on_open(BTC, price, T0)
    return core


def make_order(
    kind: str,
    quantity: str,
    *,
    price: str | None = None,
    stop: str | None = None,
    post_only: bool = False,
    client_id: str = "a",
    symbol: str = BTC,
    account: str = "coinbase",
    created_at: datetime = T0,
) -> Order:
    """``kind`` is ``market buy``, ``limit sell`` and so on."""
    order_type, side = kind.split()
    return Order(
        client_order_id=client_id,
        account=account,
        symbol=symbol,
        intent_number=1,
        purpose=Purpose.ENTRY if side == "buy" else Purpose.EXIT,
        side=Side(side),
        type=OrderType(order_type),
        quantity=D(quantity),
        price=None if price is None else D(price),
        stop_price=None if stop is None else D(stop),
        post_only=post_only,
        reason="test",
        created_at=created_at,
        updated_at=created_at,
    )


def bar(open_: float, high: float, low: float, close: float, *, hour: int = 0) -> Candle:
    return Candle(T0_MS + hour * HOUR, open_, high, low, close, 1.0)


class HandClock:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.moment = T0

    def now(self) -> datetime:
        return self.moment

    def wait_until(self, moment: datetime) -> None:
        self.moment = max(self.moment, moment)


class ListedFeed:
    """Hourly bars from a list that the test may add to."""

    bar_ms = HOUR

    def __init__(self, **bars: list[Candle]) -> None:
        self.of = {f"{coin}/USD": listed for coin, listed in bars.items()}
        self.asked = 0

    def bars(self, symbol: str, after_ms: int, now_ms: int) -> list[Candle]:
        self.asked += 1
        return [b for b in self.of.get(symbol, []) if after_ms < b.open_ms + HOUR <= now_ms]

    def opening(self, symbol: str, now_ms: int) -> tuple[float, int] | None:
        self.asked += 1
        found = [b for b in self.of.get(symbol, []) if b.open_ms <= now_ms < b.open_ms + HOUR]
        return (found[0].open, found[0].open_ms) if found else None

    def closed_candles(self, symbol: str, timeframe: str, since_ms: int, now_ms: int) -> list[Candle]:
        length = {"1h": HOUR, "1d": MS_PER_DAY}[timeframe]
        return [b for b in self.of[symbol] if since_ms <= b.open_ms and b.open_ms + length <= now_ms]


class FakePrices:
    """What an exchange tells everybody, as the test put it; nothing is ever computed here."""

    def __init__(self, account: str = "coinbase") -> None:
        self.markets = paper_instruments(account)
        self.told: dict[str, Ticker] = {}
        self.of: dict[tuple[str, str], list[Candle]] = {}
        self.tickers_asked = 0
        self.candles_asked: list[tuple[str, str, int]] = []
        self.broken = False
        """Whether the exchange does not answer."""
        self.candles_broken: set[str] = set()
        """Symbols without an answer to a question for candles."""

    def quote(self, symbol: str, bid: str, ask: str, last: str, at: datetime) -> None:
        self.told[symbol] = Ticker(symbol=symbol, bid=D(bid), ask=D(ask), last=D(last), at=at)

    def add(self, symbol: str, timeframe: str, *candles: Candle) -> None:
        self.of.setdefault((symbol, timeframe), []).extend(candles)

    def instruments(self) -> dict[str, Instrument]:
        return self.markets

    def tickers(self) -> dict[str, Ticker]:
        self.tickers_asked += 1
        if self.broken:
            raise VenueError("no answer")
        return dict(self.told)

    def candles(self, symbol: str, timeframe: str, since_ms: int) -> list[Candle]:
        self.candles_asked.append((symbol, timeframe, since_ms))
        if self.broken or symbol in self.candles_broken:
            raise VenueError(f"no candles of {symbol}")
        return [candle for candle in self.of.get((symbol, timeframe), []) if candle.open_ms >= since_ms]
