"""The account that both local exchanges share: exact, scripted, without clock, threads and chance.

All amounts are Decimal, all times tz-aware UTC and given by the caller. Symbols and assets are the venue's own
names (``BTC-USD``, ``XXBTZUSD``; ``USD``, ``ZUSD``, ``USD.F``): this file never reads a meaning into them. Rules:

* A fee is in quote: on top of a buy, out of the proceeds of a sale. The fees of one order, over all its fills,
  are rounded UP to ``fee_step`` together.
* A live buy holds the cost of what is left at its limit price with the taker fee, a live sale its coins.
* The book is scripted: takers eat its levels (one fill a level); a market order's unfilled rest is canceled.
  The account's own fills do not move ``last``.
* A resting limit order fills as maker at its own price once the market goes through it: a buy when
  ask <= limit or last < limit, a sale when bid >= limit or last > limit. A touch of ``last`` is not enough.
* A stop triggers on ``last``: downwards at or below, upwards at or above. A stop-market then takes, a stop-limit
  becomes a limit order. Stops are looked at before resting limits.
* A buy that would cost more than the account has when it executes is canceled instead (``why_ended`` says so).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

from account_types import (
    Book,
    ExchangeFill,
    ExchangeOrder,
    Holding,
    Kind,
    Level,
    Market,
    NewOrder,
    RefusalCode,
    RefusedError,
    Status,
    TimeInForce,
)
from candle_script import CandleScript

from bot.domain.account import Liquidity
from bot.domain.market import Candle
from bot.domain.orders import Side

__all__ = [
    "AccountState",
    "Book",
    "ExchangeFill",
    "ExchangeOrder",
    "Holding",
    "Kind",
    "Level",
    "Market",
    "NewOrder",
    "RefusalCode",
    "RefusedError",
    "Status",
    "TimeInForce",
    "uuid_id",
]

DEEP = Decimal(1_000_000)
"""Size in base units of a level put with ``set_price``."""

_ZERO = Decimal(0)
_STOPS = {Kind.STOP_MARKET, Kind.STOP_LIMIT}


def uuid_id(chance: Random) -> str:
    """An id in the form of a version 4 UUID from a seeded generator."""
    return str(UUID(int=chance.getrandbits(128), version=4))


class AccountState:
    """One account at one exchange; see the rules at the head of this file.

    ``order_ids`` and ``fill_ids`` make ids from the seeded generator (the Kraken core gives its txid form).
    Public attributes may be changed at any time by a test:

    * ``maker_frac``, ``taker_frac``: fees as fractions, 0 <= maker <= taker, for orders placed from then on.
    * ``open_delay``: how long a new order is PENDING before it reaches the book (0: at once); see ``advance``.
    * ``cancel_delay``: how long a cancellation that was accepted waits to be carried out (0: at once).
    * ``refuse_triggered_stops``: refuse a stop whose trigger is reached already (Coinbase); else it triggers at once.
    """

    def __init__(
        self,
        *,
        markets: Iterable[Market],
        maker_frac: Decimal,
        taker_frac: Decimal,
        order_ids: Callable[[Random], str] = uuid_id,
        fill_ids: Callable[[Random], str] = uuid_id,
        fee_step: Decimal = Decimal("0.00000001"),
        refuse_triggered_stops: bool = False,
        seed: int = 1,
    ) -> None:
        self.markets: dict[str, Market] = {market.symbol: market for market in markets}
        self.maker_frac = maker_frac
        self.taker_frac = taker_frac
        self.open_delay = timedelta(0)
        self.cancel_delay = timedelta(0)
        self.refuse_triggered_stops = refuse_triggered_stops
        self._order_ids = order_ids
        self._fill_ids = fill_ids
        self._fee_step = fee_step
        self._chance = Random(seed)
        self._totals: dict[str, Decimal] = {}
        self._books: dict[str, Book] = {}
        self._orders: dict[str, ExchangeOrder] = {}
        self._live: dict[str, ExchangeOrder] = {}
        self._fills: list[ExchangeFill] = []
        self._fractions: dict[str, deque[Decimal]] = {}
        self._candles = CandleScript()

    # ---- money

    def holdings(self) -> dict[str, Holding]:
        """Every asset ever held, by name, also at zero, in the order in which they came."""
        return {asset: self.holding(asset) for asset in self._totals}

    def holding(self, asset: str) -> Holding:
        """One asset; zeros where it was never held."""
        hold = sum((held for name, held in map(self._hold, self._live.values()) if name == asset), _ZERO)
        return Holding(available=self._totals.get(asset, _ZERO) - hold, hold=hold)

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Add a positive amount of any asset from outside."""
        assert amount > 0, f"a deposit is above 0, was {amount}"
        self._totals[asset] = self._totals.get(asset, _ZERO) + amount

    def withdraw(self, asset: str, amount: Decimal) -> None:
        """Take a positive amount out of what is available. Raises RefusedError(INSUFFICIENT_FUNDS)."""
        assert amount > 0, f"a withdrawal is above 0, was {amount}"
        available = self.holding(asset).available
        if amount > available:
            raise RefusedError(RefusalCode.INSUFFICIENT_FUNDS, f"{amount} {asset} asked, {available} available")
        self._totals[asset] -= amount

    # ---- orders

    def check(self, new: NewOrder) -> None:
        """Judge an order without placing it (validate, preview). Raises RefusedError."""
        assert (new.quantity is None) != (new.quote_size is None), f"either quantity or quote_size: {new}"
        assert new.quote_size is None or (new.kind is Kind.MARKET and new.side is Side.BUY), new
        assert (new.time_in_force is TimeInForce.GTD) == (new.expires_at is not None), new
        market = self.markets.get(new.symbol)
        if market is None:
            raise RefusedError(RefusalCode.UNKNOWN_MARKET, new.symbol)
        book = self.book(new.symbol)
        if book is None:
            raise RefusedError(RefusalCode.NO_PRICE, new.symbol)
        for code, detail in self._faults(new, market, book):
            raise RefusedError(code, detail)

    def place(self, new: NewOrder, now: datetime) -> ExchangeOrder:
        """Accept an order and let it execute as far as it does at once. Raises RefusedError: nothing was placed.

        Client ids are not compared here: what a repeat means differs by venue (``with_client_id``).
        """
        self.check(new)
        order = self._accepted(new, self._books[new.symbol], now)
        order.order_id = self._order_ids(self._chance)
        assert order.order_id not in self._orders, f"order id {order.order_id} came twice"
        self._orders[order.order_id] = self._live[order.order_id] = order
        if not self.open_delay:
            self._open(order, now)
        self._assert_covered()
        return order

    def cancel(self, order_id: str, now: datetime) -> ExchangeOrder:
        """Cancel a live order, after ``cancel_delay``; asking again changes nothing.

        Raises RefusedError(UNKNOWN_ORDER or NOT_LIVE).
        """
        order = self._orders.get(order_id)
        if order is None:
            raise RefusedError(RefusalCode.UNKNOWN_ORDER, order_id)
        if not order.is_live:
            raise RefusedError(RefusalCode.NOT_LIVE, f"{order_id} is {order.status}")
        order.cancel_asked_at = order.cancel_asked_at or now
        if not self.cancel_delay:
            self._end(order, Status.CANCELED, now)
        return order

    def order(self, order_id: str) -> ExchangeOrder | None:
        """One order, live or ended; None: there never was one."""
        return self._orders.get(order_id)

    def orders(self) -> list[ExchangeOrder]:
        """All orders, oldest first."""
        return list(self._orders.values())

    def live_orders(self) -> list[ExchangeOrder]:
        """Orders that may still fill, oldest first."""
        return list(self._live.values())

    def with_client_id(self, client_id: str) -> list[ExchangeOrder]:
        """All orders with this client id (not ''), oldest first."""
        assert client_id, "'' is no client id"
        return [order for order in self._orders.values() if order.asked.client_id == client_id]

    def fills(self) -> list[ExchangeFill]:
        """All fills, oldest first."""
        return list(self._fills)

    # ---- the market, scripted

    def set_price(self, symbol: str, *, bid: Decimal, ask: Decimal, now: datetime, last: Decimal | None = None) -> None:
        """Put a deep book of one level a side (``DEEP``) and match; ``last`` None: the middle, down to the tick."""
        self.set_book(symbol, bids=[(bid, DEEP)], asks=[(ask, DEEP)], now=now, last=last)

    def set_book(
        self,
        symbol: str,
        *,
        bids: Sequence[tuple[Decimal, Decimal]],
        asks: Sequence[tuple[Decimal, Decimal]],
        now: datetime,
        last: Decimal | None = None,
    ) -> None:
        """Put (price, size) levels, best first, at least one a side; trigger stops, then match resting limits."""
        tick = self.markets[symbol].tick_size
        self.advance(now)
        prices = [price for price, _ in [*reversed(bids), *asks]]
        assert bids, f"{symbol}: a book needs bids"
        assert asks, f"{symbol}: a book needs asks"
        assert prices == sorted(set(prices)), f"{symbol}: levels best first, bids below asks: {prices}"
        assert all(price > 0 and price % tick == 0 for price in prices), f"{symbol}: prices off the tick: {prices}"
        if last is None:
            last = _down(sum((bids[0][0], asks[0][0]), _ZERO) / 2, tick)
        self._books[symbol] = Book(
            bids=tuple(Level(*level) for level in bids), asks=tuple(Level(*level) for level in asks), last=last, at=now
        )
        self._match(symbol, now)
        self._assert_covered()

    def book(self, symbol: str) -> Book | None:
        """The present book; None: no price yet (or a side was eaten up)."""
        book = self._books.get(symbol)
        return book if book is not None and book.bids and book.asks else None

    def fill_partly(self, symbol: str, *fractions: Decimal) -> None:
        """Let the next executions of this symbol fill only these fractions, in (0, 1], of what is left.

        In whole lots, at least one; one fraction an execution; fill-or-kill and quote-sized orders take none.
        The rest of a limit order rests until the market goes through it again, that of a market or stop-market
        order is canceled.
        """
        assert all(0 < fraction <= 1 for fraction in fractions), f"fractions are in (0, 1], were {fractions}"
        self._fractions.setdefault(symbol, deque()).extend(fractions)

    def advance(self, now: datetime) -> None:
        """Let time pass: PENDING orders reach the book, queued cancellations are done, GTD orders expire.

        Cores call it first in ``handle``.
        """
        for order in self.live_orders():
            expires_at = order.asked.expires_at
            if expires_at is not None and expires_at <= now:
                self._end(order, Status.EXPIRED, now)
            elif order.cancel_asked_at is not None and order.cancel_asked_at + self.cancel_delay <= now:
                self._end(order, Status.CANCELED, now)
            elif order.status is Status.PENDING and order.created_at + self.open_delay <= now:
                self._open(order, now)
        self._assert_covered()

    # ---- candles, scripted

    def set_candles(self, symbol: str, timeframe: str, candles: Iterable[Candle]) -> None:
        """Script all bars of a symbol and timeframe (``1h``; bot.domain.market.TIMEFRAME_MS), also future ones."""
        self._candles.put(symbol, timeframe, candles)

    def add_candle(self, symbol: str, timeframe: str, candle: Candle) -> None:
        """Script one more bar; it must open after the newest."""
        self._candles.add(symbol, timeframe, candle)

    def candles(
        self,
        symbol: str,
        timeframe: str,
        *,
        now: datetime,
        start_ms: int | None = None,
        end_ms: int | None = None,
        cap: int | None = None,
    ) -> list[Candle]:
        """Bars as a venue serves them at ``now``: ascending, gaps stay gaps.

        First the newest ``cap`` of what exists (Kraken: 720, whatever ``since`` says), then those that open in
        [start_ms, end_ms], both ends included. Scripted bars that have closed come as they are; where there is
        a price, the bar still forming follows, from the close before to ``last``: it is NOT closed.
        """
        book = self.book(symbol)
        last = None if book is None else float(book.last)
        now_ms = int(now.timestamp()) * 1000 + now.microsecond // 1000
        bars = self._candles.served(symbol, timeframe, now_ms=now_ms, last=last)
        return [
            bar
            for bar in (bars if cap is None else bars[-cap:])
            if (start_ms is None or start_ms <= bar.open_ms) and (end_ms is None or bar.open_ms <= end_ms)
        ]

    # ---- judging an order

    def _faults(self, new: NewOrder, market: Market, book: Book) -> Iterator[tuple[RefusalCode, str]]:
        """Everything wrong with an order, the plainest first; later ones count on the earlier ones being absent."""
        size, step = (new.quantity, market.lot_step) if new.quote_size is None else (new.quote_size, market.tick_size)
        assert size is not None
        if not size.is_finite() or size <= 0 or size % step:
            yield RefusalCode.BAD_QUANTITY, f"{size} is not above 0 in steps of {step}"
        needs_limit, needs_stop = new.kind in {Kind.LIMIT, Kind.STOP_LIMIT}, new.kind in _STOPS
        for price, needed in ((new.limit_price, needs_limit), (new.stop_price, needs_stop)):
            if needed and (price is None or not price.is_finite() or price <= 0 or price % market.tick_size):
                yield RefusalCode.BAD_PRICE, f"{price} is not above 0 in steps of {market.tick_size}"
        order = self._accepted(new, book, book.at)
        touch = book.ask if new.side is Side.BUY else book.bid
        price = new.limit_price or new.stop_price or touch
        quantity = self._affordable(order, touch) if new.quantity is None else new.quantity
        if quantity < max(market.min_amount, market.lot_step):
            yield RefusalCode.BELOW_MIN_AMOUNT, f"{quantity} is below {market.min_amount} {market.base}"
        if (cost := new.quote_size or quantity * price) < market.min_cost:
            yield RefusalCode.BELOW_MIN_COST, f"{cost} is below {market.min_cost} {market.quote}"
        if new.post_only and _marketable(new, book):
            yield RefusalCode.POST_ONLY_WOULD_TAKE, f"{new.limit_price} against bid {book.bid}, ask {book.ask}"
        if self.refuse_triggered_stops and new.kind in _STOPS and _is_reached(new, book.last):
            yield RefusalCode.STOP_WOULD_TRIGGER, f"{new.stop_price} against last {book.last}"
        asset, needs = self._hold(order)
        if needs > (available := self.holding(asset).available):
            yield RefusalCode.INSUFFICIENT_FUNDS, f"{needs} {asset} needed, {available} available"

    def _accepted(self, new: NewOrder, book: Book, now: datetime) -> ExchangeOrder:
        """The order as it would be accepted, without an id and not yet in the account."""
        return ExchangeOrder(
            order_id="",
            asked=replace(new, tags=dict(new.tags)),
            created_at=now,
            status=Status.PENDING,
            triggered=new.kind not in _STOPS,
            hold_price=new.limit_price or new.stop_price or book.ask,
            maker_frac=self.maker_frac,
            taker_frac=self.taker_frac,
        )

    def _hold(self, order: ExchangeOrder) -> tuple[str, Decimal]:
        """Asset and amount that the rest of a live order may still take, fee included."""
        new, market = order.asked, self.markets[order.asked.symbol]
        if new.side is Side.SELL:
            return market.base, order.remaining
        if new.quote_size is not None and new.quote_includes_fee:
            return market.quote, new.quote_size
        cost = new.quote_size if new.quote_size is not None else order.remaining * order.hold_price
        return market.quote, cost + self._round_up(order.fee_unrounded + cost * order.taker_frac) - order.fee

    def _affordable(self, order: ExchangeOrder, price: Decimal) -> Decimal:
        """Base units, in whole lots, that the rest of a quote-sized order buys at a price."""
        new, step = order.asked, self.markets[order.asked.symbol].lot_step
        assert new.quote_size is not None
        if not new.quote_includes_fee:
            return _down((new.quote_size - order.cost) / price, step)

        def bought(budget: Decimal) -> Decimal:
            return _down(max(budget / (1 + order.taker_frac) - order.cost, _ZERO) / price, step)

        quantity = bought(new.quote_size)
        cost = order.cost + quantity * price
        fits = cost + self._round_up(cost * order.taker_frac) <= new.quote_size
        return quantity if fits else bought(new.quote_size - self._fee_step)

    # ---- the life of an order

    def _open(self, order: ExchangeOrder, now: datetime) -> None:
        """Let an accepted order reach the book."""
        order.status = Status.OPEN
        book = self.book(order.asked.symbol)
        if not order.triggered and book is not None:
            order.triggered = _is_reached(order.asked, book.last)
        if order.triggered:
            self._take(order, now)

    def _match(self, symbol: str, now: datetime) -> None:
        """Hold the open orders of a symbol against its new book: stops first, then those that rested before."""
        opened = [o for o in self._live.values() if o.asked.symbol == symbol and o.status is Status.OPEN]
        resting = [order for order in opened if order.triggered]
        last = self._books[symbol].last
        for order in opened:
            if not order.triggered and _is_reached(order.asked, last):
                order.triggered = True
                self._take(order, now)
        for order in resting:
            if self._is_through(order):
                assert order.asked.limit_price is not None
                self._execute(order, self._scripted_part(order), order.asked.limit_price, Liquidity.MAKER, now)

    def _is_through(self, order: ExchangeOrder) -> bool:
        book, limit = self._books[order.asked.symbol], order.asked.limit_price
        assert limit is not None
        if order.asked.side is Side.BUY:
            return book.last < limit or any(level.price <= limit for level in book.asks)
        return book.last > limit or any(level.price >= limit for level in book.bids)

    def _take(self, order: ExchangeOrder, now: datetime) -> None:
        """Let a triggered order eat the levels within its limit, then rest or end."""
        new, buys = order.asked, order.asked.side is Side.BUY
        book = self._books[new.symbol]
        levels = book.asks if buys else book.bids
        if order.is_resting_kind:
            assert new.limit_price is not None
            limit = new.limit_price
            levels = tuple(lv for lv in levels if (lv.price <= limit if buys else lv.price >= limit))
        if new.post_only and levels and new.kind is Kind.LIMIT:
            return self._end(order, Status.CANCELED, now, "post-only would take")
        fill_or_kill = new.time_in_force is TimeInForce.FOK
        if fill_or_kill and sum((level.size for level in levels), _ZERO) < order.remaining:
            return self._end(order, Status.CANCELED, now, "cannot be filled whole")
        part = order.remaining if fill_or_kill or not levels else self._scripted_part(order)
        for level in levels:
            wanted = part if new.quantity is not None else self._affordable(order, level.price)
            quantity = min(wanted, level.size)
            if quantity <= 0 or not order.is_live:
                break
            self._execute(order, quantity, level.price, Liquidity.TAKER, now)
            if order.is_live or order.status is Status.FILLED:
                part -= quantity
                self._eat(new.symbol, new.side, level, quantity)
        if order.is_live and not (order.is_resting_kind and new.time_in_force in {TimeInForce.GTC, TimeInForce.GTD}):
            self._end(order, Status.CANCELED, now, "no more to take")
        return None

    def _scripted_part(self, order: ExchangeOrder) -> Decimal:
        """Base units of the next execution of an order sized in base (0 for one sized in quote)."""
        fractions = self._fractions.get(order.asked.symbol)
        if not fractions or order.asked.quantity is None:
            return order.remaining
        step = self.markets[order.asked.symbol].lot_step
        return max(_down(order.remaining * fractions.popleft(), step), step)

    def _eat(self, symbol: str, side: Side, level: Level, quantity: Decimal) -> None:
        """Take a quantity out of the best level of the side that the taker trades with."""
        book = self._books[symbol]
        levels = book.asks if side is Side.BUY else book.bids
        assert levels[0].price == level.price
        rest = levels[0].size - quantity
        left = (Level(level.price, rest), *levels[1:]) if rest else levels[1:]
        self._books[symbol] = replace(book, asks=left) if side is Side.BUY else replace(book, bids=left)

    def _execute(
        self, order: ExchangeOrder, quantity: Decimal, price: Decimal, liquidity: Liquidity, now: datetime
    ) -> None:
        """Fill a part of an order and move the money; end it where it is filled or cannot be paid."""
        new, market = order.asked, self.markets[order.asked.symbol]
        sells = new.side is Side.SELL
        cost = quantity * price
        due = order.fee_unrounded + cost * (order.maker_frac if liquidity is Liquidity.MAKER else order.taker_frac)
        fee = self._round_up(due) - order.fee
        if sells:
            fee = min(fee, cost)  # a part too small for its rounded fee leaves the rest to the next part
        elif cost + fee > self.holding(market.quote).available + self._hold(order)[1]:
            return self._end(order, Status.CANCELED, now, "insufficient funds")
        order.fee_unrounded = due
        order.fee += fee
        order.cost += cost
        order.filled += quantity
        sign = -1 if sells else 1
        self._totals[market.base] = self._totals.get(market.base, _ZERO) + sign * quantity
        self._totals[market.quote] = self._totals.get(market.quote, _ZERO) - sign * cost - fee
        fill = ExchangeFill(
            fill_id=self._fill_ids(self._chance),
            number=len(self._fills) + 1,
            order_id=order.order_id,
            symbol=new.symbol,
            side=new.side,
            quantity=quantity,
            price=price,
            fee=fee,
            liquidity=liquidity,
            at=now,
        )
        self._fills.append(fill)
        order.fill_ids.append(fill.fill_id)
        if not (order.remaining if new.quantity is not None else self._affordable(order, price)):
            self._end(order, Status.FILLED, now)
        return None

    def _end(self, order: ExchangeOrder, status: Status, now: datetime, why: str = "") -> None:
        order.status, order.ended_at, order.why_ended = status, now, why
        del self._live[order.order_id]

    def _round_up(self, fee: Decimal) -> Decimal:
        rounded = _down(fee, self._fee_step)
        return rounded if rounded == fee else rounded + self._fee_step

    def _assert_covered(self) -> None:
        for asset, holding in self.holdings().items():
            assert holding.hold >= 0, f"{asset}: {holding}"
            assert holding.available >= 0, f"{asset}: {holding}"


def _down(value: Decimal, step: Decimal) -> Decimal:
    """A value that is not negative, down to a multiple of ``step``."""
    return value // step * step


def _marketable(new: NewOrder, book: Book) -> bool:
    if new.kind is not Kind.LIMIT:
        return new.kind is Kind.MARKET
    assert new.limit_price is not None
    return new.limit_price >= book.ask if new.side is Side.BUY else new.limit_price <= book.bid


def _is_reached(new: NewOrder, last: Decimal) -> bool:
    assert new.stop_price is not None
    return last >= new.stop_price if new.stop_up else last <= new.stop_price
