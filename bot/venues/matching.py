"""The matching core: one account at one simulated exchange, exact and without a clock.

Prices come in as floats (as candles carry them), money and quantities are Decimal. Rules:

* A fill's fee is in quote: on top of a buy, out of the proceeds of a sale. The fees of one order, over
  all its fills, are rounded UP to 1e-8 quote together.
* A resting buy holds its cost at the limit price with the taker fee, the worst case; a resting sale
  or stop holds its coins.
* MARKET executes at once at bid or ask, a marketable LIMIT at once as taker, never worse than its limit.
* IOC executes like a marketable LIMIT; what of it does not execute at once is canceled.
* A resting LIMIT fills as maker at its limit price, even where a bar opens beyond it, and only when the
  price trades THROUGH it: there is no queue here, so a touch is not counted.
* A STOP (sales only) triggers when the price is at or below it and executes as taker half a spread below
  the lower of stop and open. Inside one bar: open, then stops, then limits.
* Where real quotes are told, bid and ask are theirs: a resting buy fills once the ask is below its limit, a
  sale once the bid is above; a stop triggers on ``last`` and sells at the bid. Bars between two
  quotes have the spread of the newest one.
* A bar whose beginning is told is met only by orders that rested then.
* Real quotes and bars whose beginning is told end the orders whose time has come. Bars that step are too coarse:
  there nothing expires.
* Spot only, one account only. History is bounded to the newest 10,000 fills and ended orders.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from bot.domain.account import Balance, FeeSchedule, Fill, Liquidity
from bot.domain.errors import StateFileError, VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import Candle, Ticker
from bot.domain.orders import Order, OrderReport, OrderState, OrderType, Side
from bot.ports import Accepted, Outcome, Rejected
from bot.venues.order_rules import MONEY_STEP, is_marketable, order_faults, rounded_up
from bot.venues.working_order import (
    WorkingOrder,
    fill_from_json,
    fill_to_json,
    order_from_json,
    order_to_json,
    report_from_json,
    report_to_json,
)

HISTORY_KEPT = 10_000
"""Fills and ended orders that stay known."""

STATE_SCHEMA_VERSION = 1

_MONEY_MOST = Decimal("1e15")
_ZERO = Decimal(0)


class MatchingCore:
    """One simulated account; see the rules at the head of this file.

    ``half_spread_frac``: half the distance between bid and ask as a fraction of the price in the middle,
    for symbols without real quotes.
    ``next_fill_fraction`` is there for tests: the next execution fills only that fraction, in whole
    lots (at least one); the rest of a limit order rests, that of a market or stop order is canceled.
    """

    def __init__(
        self,
        *,
        account: str,
        instruments: Mapping[str, Instrument],
        fees: FeeSchedule,
        half_spread_frac: Decimal,
    ) -> None:
        assert 0 <= half_spread_frac < 1, f"half_spread_frac must be in [0, 1), was {half_spread_frac}"
        for instrument in instruments.values():
            assert instrument.multiplier == 1, f"{instrument.symbol}: the matching core knows spot markets only"
        self.account = account
        self.instruments = dict(instruments)
        self.fees = fees
        self.next_fill_fraction: Decimal | None = None
        self._half_spread = half_spread_frac
        self._totals: dict[str, Decimal] = {}
        self._prices: dict[str, tuple[float, datetime]] = {}
        self._quotes: dict[str, Ticker] = {}
        """Real bid and ask, where they are the present price."""
        self._spreads: dict[str, Decimal] = {}
        """Half spreads as fractions, of the newest real quotes."""
        self._working: dict[str, WorkingOrder] = {}
        self._ended: OrderedDict[str, OrderReport] = OrderedDict()
        self._fills: deque[Fill] = deque(maxlen=HISTORY_KEPT)
        self._orders_made = 0
        self._fills_made = 0

    # ---- what the account knows

    @property
    def fills_made(self) -> int:
        """Number of fills since the account began."""
        return self._fills_made

    def has_resting(self, symbol: str) -> bool:
        """Whether an order of this symbol waits for a price."""
        return any(order.symbol == symbol for order in self._working.values())

    def balances(self) -> dict[str, Balance]:
        """Every asset that the account holds."""
        used = self._used()
        return {
            asset: Balance(asset=asset, free=total - used.get(asset, _ZERO), used=used.get(asset, _ZERO))
            for asset, total in self._totals.items()
            if total
        }

    def ticker(self, symbol: str) -> Ticker | None:
        """The real quote, or bid and ask around the present price, rounded away from it; None: no price yet."""
        if symbol in self._quotes:
            return self._quotes[symbol]
        known = self._prices.get(symbol)
        if known is None:
            return None
        price, at = known
        last = Decimal(repr(price))
        return Ticker(symbol=symbol, bid=self._below(symbol, last), ask=self._above(symbol, last), last=last, at=at)

    def open_orders(self) -> list[OrderReport]:
        """Resting orders, oldest first."""
        return [order.report() for order in self._working.values()]

    def find_order(self, client_order_id: str) -> OrderReport | None:
        """An order by the client's id, resting or ended; None: it was never accepted."""
        order = self._working.get(client_order_id)
        return order.report() if order is not None else self._ended.get(client_order_id)

    def fills_since(self, cursor: str) -> tuple[Sequence[Fill], str]:
        """Fills after a cursor ('' for all that are kept) and the next cursor, a running number.

        A cursor beyond the newest fill comes from a state that was lost: everything is told again.
        Raises VenueError where the cursor is not a number.
        """
        if cursor and not (cursor.isascii() and cursor.isdigit()):
            raise VenueError(f"{self.account}: fills cursor must be '' or a whole number, was {cursor!r}")
        known = int(cursor) if cursor else 0
        unseen = self._fills_made - known if known <= self._fills_made else self._fills_made
        unseen = min(unseen, len(self._fills))
        newest_first = list(islice(reversed(self._fills), unseen))
        return newest_first[::-1], str(self._fills_made)

    # ---- money from and to the outside

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Add to an asset. Raises VenueError unless the amount is positive with at most 8 decimals."""
        self._check_amount(asset, amount)
        self._totals[asset] = self._totals.get(asset, _ZERO) + amount

    def withdraw(self, asset: str, amount: Decimal) -> None:
        """Take from what is free of an asset. Raises VenueError where there is not enough."""
        self._check_amount(asset, amount)
        free = self._free(asset)
        if amount > free:
            raise VenueError(f"{self.account}: cannot withdraw {amount} {asset}, only {free} is free")
        self._totals[asset] -= amount

    # ---- orders

    def submit(self, order: Order, at: datetime) -> Outcome:
        """Take an order, executing at once what executes at once.

        A client order id that was accepted before gets that acceptance again and no second order.
        """
        assert order.account == self.account, f"order for {order.account} sent to {self.account}"
        known = self.find_order(order.client_order_id)
        if known is not None:
            return Accepted(venue_order_id=known.venue_order_id)
        quote = self.ticker(order.symbol) if order.symbol in self.instruments else None
        fault = self._fault(order, quote)
        if fault or quote is None:
            return Rejected(reason=fault)
        self._orders_made += 1
        working = WorkingOrder(
            client_order_id=order.client_order_id,
            venue_order_id=f"{self.account}-{self._orders_made}",
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            quantity=order.quantity,
            price=order.price,
            stop_price=order.stop_price,
            placed_at=at,
            expires_at=order.expires_at,
        )
        self._working[working.client_order_id] = working
        if order.type is OrderType.STOP:
            assert order.stop_price is not None
            if quote.last <= order.stop_price:
                self._execute(working, quote.bid, Liquidity.TAKER, at)
        elif is_marketable(order, quote):
            self._execute(working, quote.ask if order.side is Side.BUY else quote.bid, Liquidity.TAKER, at)
        elif order.type is OrderType.IOC:
            self._end(working, OrderState.CANCELED)
        self._check()
        return Accepted(venue_order_id=working.venue_order_id)

    def cancel(self, order: Order) -> Outcome:
        """Cancel a resting order; Rejected where it does not rest."""
        working = self._working.get(order.client_order_id)
        if working is None:
            return Rejected(reason=f"order {order.client_order_id} is not resting")
        self._end(working, OrderState.CANCELED)
        return Accepted(venue_order_id=working.venue_order_id)

    # ---- prices

    def on_open(self, symbol: str, price: float, at: datetime) -> None:
        """Let the price jump to ``price``: gapped stops and limits beyond it execute."""
        if self._prices.get(symbol) == (price, at):
            return  # the same price told twice is not a second trade
        self._set_price(symbol, price, at)
        resting = self._resting(symbol)
        if resting:
            moment = Decimal(repr(price))
            self._match(resting, first=moment, low=moment, high=moment, at=at)

    def learn_spread(self, quote: Ticker) -> None:
        """Take the spread of a real quote for the bars that are told next."""
        self._spreads[quote.symbol] = (quote.ask - quote.bid) / (quote.ask + quote.bid)

    def on_quote(self, quote: Ticker, at: datetime) -> None:
        """Let the market stand at real prices; what they execute is executed at ``at``."""
        symbol = quote.symbol
        self._expire(symbol, at)
        if self._quotes.get(symbol) == quote:
            return
        self.learn_spread(quote)
        self._prices[symbol] = (float(quote.last), quote.at)
        self._quotes[symbol] = quote
        for order in self._resting(symbol):
            if order.stop_price is not None:
                if quote.last <= order.stop_price:
                    self._execute(order, quote.bid, Liquidity.TAKER, at)
            elif order.price is not None and _is_through(order, low=quote.ask, high=quote.bid):
                self._execute(order, order.price, Liquidity.MAKER, at)

    def on_range(self, symbol: str, candle: Candle, at: datetime, *, began: datetime | None = None) -> None:
        """Let the price run through a completed bar that ended at ``at``; it is at the close afterwards.

        With ``began`` only orders that rested then and had not expired meet it, else all that rest.
        """
        if began is not None:
            self._expire(symbol, began)
        self._set_price(symbol, candle.close, at)
        meeting = self._resting(symbol, began)
        if meeting:
            first, low, high = (Decimal(repr(price)) for price in (candle.open, candle.low, candle.high))
            self._match(meeting, first=first, low=first, high=first, at=at)
            self._match(self._resting(symbol, began), first=first, low=low, high=high, at=at)

    def _set_price(self, symbol: str, price: float, at: datetime) -> None:
        assert price > 0, f"{symbol}: price must be positive, was {price}"
        known = self._prices.get(symbol)
        if known is None or at >= known[1]:  # a bar that comes late must not turn the clock back
            self._prices[symbol] = (price, at)
            self._quotes.pop(symbol, None)

    def _expire(self, symbol: str, now: datetime) -> None:
        for order in self._resting(symbol):
            if order.expires_at is not None and order.expires_at <= now:
                self._end(order, OrderState.CANCELED)

    def _resting(self, symbol: str, since: datetime | None = None) -> list[WorkingOrder]:
        """Orders of a symbol that rest, or rested at ``since`` already."""
        of_symbol = (order for order in self._working.values() if order.symbol == symbol)
        return [order for order in of_symbol if since is None or order.placed_at <= since]

    def _match(
        self, resting: Sequence[WorkingOrder], *, first: Decimal, low: Decimal, high: Decimal, at: datetime
    ) -> None:
        for order in resting:
            if order.stop_price is not None and low <= order.stop_price:
                price = self._below(order.symbol, min(order.stop_price, first))
                self._execute(order, price, Liquidity.TAKER, at)
        for order in resting:
            if order.price is not None and _is_through(order, low=low, high=high):
                self._execute(order, order.price, Liquidity.MAKER, at)

    # ---- one execution

    def _execute(self, order: WorkingOrder, price: Decimal, liquidity: Liquidity, at: datetime) -> None:
        """Fill the order, or the part of it that a test asked for, and move the money."""
        instrument = self.instruments[order.symbol]
        quantity = self._executable(order, instrument)
        cost = price * quantity
        rate = self.fees.maker_frac if liquidity is Liquidity.MAKER else self.fees.taker_frac
        order.fee_due += cost * rate
        fee = rounded_up(order.fee_due) - order.fee_paid
        if order.side is Side.SELL:
            fee = min(fee, cost)  # a part too small for its rounded fee leaves the rest to the next part
        order.fee_paid += fee
        order.filled += quantity
        sign = 1 if order.side is Side.BUY else -1
        self._totals[instrument.base] = self._totals.get(instrument.base, _ZERO) + sign * quantity
        self._totals[instrument.quote] = self._totals.get(instrument.quote, _ZERO) - sign * cost - fee
        self._fills_made += 1
        self._fills.append(
            Fill(
                # The number makes it unique here, the client's id even if this state is ever lost.
                fill_id=f"{self._fills_made}-{order.client_order_id}",
                account=self.account,
                symbol=order.symbol,
                client_order_id=order.client_order_id,
                side=order.side,
                quantity=quantity,
                price=price,
                fee=fee,
                liquidity=liquidity,
                at=at,
            )
        )
        if not order.remaining:
            self._end(order, OrderState.FILLED)
        elif order.type is not OrderType.LIMIT:
            self._end(order, OrderState.CANCELED)
        self._check()

    def _executable(self, order: WorkingOrder, instrument: Instrument) -> Decimal:
        fraction, self.next_fill_fraction = self.next_fill_fraction, None
        if fraction is None:
            return order.remaining
        assert 0 < fraction <= 1, f"next_fill_fraction must be in (0, 1], was {fraction}"
        return instrument.quantity_of(max(1, instrument.lots_in(order.remaining * fraction)))

    def _end(self, order: WorkingOrder, state: OrderState) -> None:
        del self._working[order.client_order_id]
        self._ended[order.client_order_id] = order.report(state)
        if len(self._ended) > HISTORY_KEPT:
            self._ended.popitem(last=False)

    # ---- what survives a restart

    def to_state(self) -> dict[str, object]:
        """Everything that the account has to remember, as plain JSON; Decimals are exact strings."""
        return {
            "schema_version": STATE_SCHEMA_VERSION,
            "account": self.account,
            "totals": {asset: str(total) for asset, total in self._totals.items()},
            "prices": {symbol: [price, at.isoformat()] for symbol, (price, at) in self._prices.items()},
            "working": [order_to_json(order) for order in self._working.values()],
            "ended": [report_to_json(report) for report in self._ended.values()],
            "fills": [fill_to_json(fill) for fill in self._fills],
            "orders_made": self._orders_made,
            "fills_made": self._fills_made,
        }

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        *,
        account: str,
        instruments: Mapping[str, Instrument],
        fees: FeeSchedule,
        half_spread_frac: Decimal,
    ) -> MatchingCore:
        """Continue from ``to_state()``; rules and fees are today's.

        Raises StateFileError where the state is of another account or version, or broken.
        """
        core = cls(account=account, instruments=instruments, fees=fees, half_spread_frac=half_spread_frac)
        found = (state.get("schema_version"), state.get("account"))
        if found != (STATE_SCHEMA_VERSION, account):
            raise StateFileError(
                f"paper account {account}: stored state is of version {found[0]!r} and account {found[1]!r}, "
                f"needed are {STATE_SCHEMA_VERSION} and {account!r}"
            )
        try:
            core._restore(state)
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError) as e:
            raise StateFileError(f"paper account {account}: stored state is broken: {type(e).__name__}: {e}") from e
        return core

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._totals = {asset: Decimal(total) for asset, total in state["totals"].items()}
        for symbol, (price, at) in state["prices"].items():
            self._set_price(symbol, float(price), datetime.fromisoformat(at))
        for data in state["working"]:
            working = order_from_json(data)
            self._working[working.client_order_id] = working
        for data in state["ended"]:
            report = report_from_json(data)
            self._ended[report.client_order_id] = report
        for working in [*self._working.values()]:
            if working.symbol not in self.instruments:  # an exchange that closes a market cancels what rests there
                self._end(working, OrderState.CANCELED)
        self._fills.extend(fill_from_json(self.account, data) for data in state["fills"])
        self._orders_made = int(state["orders_made"])
        self._fills_made = int(state["fills_made"])
        assert self._fills_made >= len(self._fills)
        self._check()

    # ---- what an order needs

    def _fault(self, order: Order, quote: Ticker | None) -> str:
        """Why the exchange does not take the order; '' where it does."""
        instrument = self.instruments.get(order.symbol)
        if instrument is None:
            return f"no market {order.symbol} on {self.account}: there are {', '.join(self.instruments)}"
        if quote is None:
            return f"{order.symbol}: there is no price yet"
        return next(order_faults(order, instrument, quote, taker_frac=self.fees.taker_frac, free=self._free), "")

    def _hold(self, order: WorkingOrder) -> tuple[str, Decimal]:
        """Asset and quantity that the rest of a resting order may still take, fee included."""
        instrument = self.instruments[order.symbol]
        if order.side is Side.SELL:
            return instrument.base, order.remaining
        assert order.price is not None, "only a limit order buys later"
        cost = order.remaining * order.price
        return instrument.quote, cost + rounded_up(order.fee_due + cost * self.fees.taker_frac) - order.fee_paid

    def _used(self) -> dict[str, Decimal]:
        used: dict[str, Decimal] = {}
        for order in self._working.values():
            asset, held = self._hold(order)
            used[asset] = used.get(asset, _ZERO) + held
        return used

    def _free(self, asset: str) -> Decimal:
        return self._totals.get(asset, _ZERO) - self._used().get(asset, _ZERO)

    def _below(self, symbol: str, price: Decimal) -> Decimal:
        """Half a spread below a price, on the tick: what a seller gets."""
        instrument = self.instruments[symbol]
        half_spread = self._spreads.get(symbol, self._half_spread)
        return max(instrument.price_down(price * (1 - half_spread)), instrument.tick_size)

    def _above(self, symbol: str, price: Decimal) -> Decimal:
        """Half a spread above a price, on the tick: what a buyer pays."""
        half_spread = self._spreads.get(symbol, self._half_spread)
        return self.instruments[symbol].price_up(price * (1 + half_spread))

    def _check_amount(self, asset: str, amount: Decimal) -> None:
        if not amount.is_finite() or not 0 < amount < _MONEY_MOST or amount % MONEY_STEP:
            raise VenueError(f"{self.account}: an amount of {asset} is above 0 with at most 8 decimals, was {amount}")

    def _check(self) -> None:
        used = self._used()
        for asset in self._totals.keys() | used.keys():
            total, held = self._totals.get(asset, _ZERO), used.get(asset, _ZERO)
            assert 0 <= held <= total, f"{self.account}: {held} {asset} held, {total} there"


def _is_through(order: WorkingOrder, *, low: Decimal, high: Decimal) -> bool:
    """Whether prices between low and high go beyond the limit of a resting order."""
    assert order.price is not None
    return low < order.price if order.side is Side.BUY else high > order.price
