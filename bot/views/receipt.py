"""The receipt: what the bot has been good for since the start, read from the ledger of a mode folder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bot.books.holding import (
    Day,
    Held,
    Moved,
    Quote,
    all_held,
    in_cash,
    mean_exposure,
    share_held,
    worst_fall,
)
from bot.books.receipt import (
    MONTHS,
    Decided,
    Luck,
    Slipped,
    Stopping,
    luck_of,
    server_usd,
    slippage_of,
    stopping_of,
)
from bot.domain.account import CoinsOut, Flow
from bot.domain.errors import LedgerError
from bot.domain.market import MS_PER_DAY, coin_symbol
from bot.domain.modes import TradingMode
from bot.domain.orders import Purpose, Side
from bot.domain.snapshot import Snapshot
from bot.ports import DecisionRecord, EquityPoint
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path
from bot.views.folders import Place, no_snapshot
from bot.views.recorded import recorded_book

DAILY = "1d"
NEAREST = timedelta(hours=12)
"""How far the nearest daily close can be."""
HALF_A_CENT = 0.005
PRICE_MAX = 1e12
"""No coin costs more: a text that somebody has changed might."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the bot and the others made of the same money; USD, fractions, times UTC."""

    mode: TradingMode
    since: datetime
    as_of: datetime
    """Of the last recorded equity."""
    put_in: float
    """Deposits less withdrawals."""
    worth: float
    fees: float
    server_month: float
    server: float
    """Since the start."""
    worst_fall: float
    coins: Sequence[str]
    exposure: float
    """Of the bot, on average; NaN without any equity."""
    same_exposure: Held
    """With ``all_in``: NaN where no prices are recorded."""
    all_in: Held
    cash: float
    """What it would be worth."""
    cash_yield: float
    slippage: Mapping[Purpose | None, Slipped]
    luck: Luck
    trades_a_year: float
    """NaN within the first 30 days."""

    @property
    def net(self) -> float:
        """What the bot made after fees, server not counted."""
        return self.worth - self.put_in

    @property
    def after_costs(self) -> float:
        """The same less the server."""
        return self.net - self.server

    @property
    def time(self) -> timedelta:
        """Between the start and the last record."""
        return self.as_of - self.since

    @property
    def days(self) -> float:
        """The same."""
        return self.time / timedelta(days=1)

    @property
    def server_year(self) -> float:
        """What the server costs a year."""
        return self.server_month * MONTHS

    def made(self, worth: float) -> float:
        """What another made of the same money."""
        return worth - self.put_in

    @property
    def stopping(self) -> Stopping:
        """Whether stopping the bot is the better choice."""
        return stopping_of(
            worth=self.worth,
            after_costs=self.after_costs,
            cash=self.made(self.cash),
            holding=self.made(self.same_exposure.worth),
            server_usd_year=self.server_year,
            days=self.days,
            luck=self.luck,
        )


def read_receipt(place: Place, *, server_cost_usd_month: Decimal, cash_yield_pct: float) -> Receipt:
    """Read a mode folder.

    Raises NothingRecordedError before the first finished cycle, LedgerError where the ledger cannot be read.
    """
    with LedgerReader(ledger_path(place.folder)) as reader:
        points = reader.day_ends()
        if not points:
            raise no_snapshot(place)
        return _receipt(place.mode, reader, points, float(server_cost_usd_month), cash_yield_pct / 100)


def _receipt(
    mode: TradingMode, reader: LedgerReader, points: Sequence[EquityPoint], server_month: float, cash_yield: float
) -> Receipt:
    book, snapshot = recorded_book(reader), reader.snapshot()
    as_of, worth = points[-1].at, points[-1].equity
    if snapshot is not None:  # the newer of the two where a clock was set back, and what the status shows
        as_of, worth = datetime.fromisoformat(snapshot["at"]), snapshot["equity_usd"]
    if not math.isfinite(worth):
        raise LedgerError(f"ledger {reader.path}: table equity, row {as_of.isoformat()}: found {worth} as equity")
    moves = _moves(reader, snapshot, as_of)
    since = min([as_of, points[0].at, *(move.at for move in moves)])
    days = [
        Day(point.at.astimezone(UTC).date(), point.equity, point.exposure_frac, point.performance_index)
        for point in points
        if point.at <= as_of
    ]
    exposure = mean_exposure(days)
    quotes = _quotes(reader, snapshot, since=since, end=as_of)
    unknown = Held(math.nan, math.nan)
    results = [float(trade.net_pnl / trade.bought_cost) for trade in book.trades if trade.is_result]
    years = (as_of - since) / timedelta(days=365.25)
    return Receipt(
        mode=mode,
        since=since,
        as_of=as_of,
        put_in=math.fsum(move.usd for move in moves),
        worth=worth,
        fees=float(book.fees_usd),
        server_month=server_month,
        server=server_usd(server_month, as_of - since),
        worst_fall=worst_fall([1.0, *(day.performance for day in days)]),
        coins=sorted({coin for quote in quotes for coin in quote.prices}),
        exposure=exposure,
        same_exposure=share_held(moves, quotes, exposure) if quotes and math.isfinite(exposure) else unknown,
        all_in=all_held(moves, quotes) if quotes else unknown,
        cash=in_cash(moves, as_of, cash_yield),
        cash_yield=cash_yield,
        slippage=slippage_of(reader.fills(), reader.orders(), list(_decided(reader.acted()))),
        luck=luck_of(results),
        trades_a_year=len(results) / years if years >= 30 / 365.25 else math.nan,
    )


def _moves(reader: LedgerReader, snapshot: Snapshot | None, as_of: datetime) -> list[Moved]:
    """What came and went, oldest first; coins that left by hand went at their price.

    With the last cycle's sum: what it does not know yet does not count, and coins that are not there are gone.
    """
    moves = []
    for event in reader.book_events():
        if isinstance(event, Flow):
            moves.append(Moved(min(event.at, as_of), float(event.amount)))
        elif isinstance(event, CoinsOut):
            moves.append(Moved(min(event.at, as_of), -float(event.quantity * event.price)))
    if snapshot is not None:
        rest = snapshot["deposits_usd"] - math.fsum(move.usd for move in moves)
        if abs(rest) >= HALF_A_CENT:
            moves.append(Moved(as_of, rest))
    return sorted(moves)


def _quotes(reader: LedgerReader, snapshot: Snapshot | None, *, since: datetime, end: datetime) -> list[Quote]:
    """Daily closes from the nearest to the start on, and last the prices of the last cycle; of traded coins only."""
    traded = None if snapshot is None else {coin["symbol"]: coin["price"] for coin in snapshot["coins"]}
    first = since - NEAREST
    by_time: dict[int, dict[str, float]] = {}
    for symbol, open_ms, close in reader.closes(DAILY, _ms(first) - MS_PER_DAY):
        if (traded is None or symbol in traded) and math.isfinite(close) and close > 0:
            by_time.setdefault(open_ms + MS_PER_DAY, {})[symbol] = close
    last = {symbol: price for symbol, price in (traded or {}).items() if price is not None and price > 0}
    if last:  # of the last cycle; without it the last close has to do
        by_time[_ms(end)] = last
    return [
        Quote(datetime.fromtimestamp(ms / 1000, tz=UTC), prices)
        for ms, prices in sorted(by_time.items())
        if _ms(first) <= ms <= _ms(end)
    ]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _decided(decisions: Sequence[DecisionRecord]) -> Iterator[Decided]:
    """The price at the venue where the order went, else that of the coin."""
    for decision in decisions:
        for name in ("candidate_price", "price"):
            price = decision.details.get(name)
            if isinstance(price, int | float) and 0 < price < PRICE_MAX:
                side = Side.BUY if decision.action in {"enter", "add"} else Side.SELL
                yield Decided(coin_symbol(decision.symbol), decision.at, side, Decimal(repr(price)))
                break
