"""The paper venue: an account at a simulated exchange, fed with invented, recorded or live prices, as a Venue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.domain.account import Balance, FeeSchedule, Fill
from bot.domain.errors import StateFileError
from bot.domain.instrument import Instrument
from bot.domain.market import MS_PER_DAY, Candle, Ticker
from bot.domain.orders import Order, OrderReport
from bot.ports import Accepted, Clock, Outcome
from bot.venues.feeds import PriceFeed, TimedBar
from bot.venues.matching import MatchingCore

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class PaperVenue:
    """A Venue whose matching core catches up with the feed whenever it is asked anything.

    Bars that were completed since the last question are matched in time order, then the price moves to the
    present one. On a feed that steps, the range of a bar counts as later than everything that was submitted
    during it: inside a bar only its open is known. On a live one an order meets only bars that began after it;
    of the minute in which it is placed it sees the quotes alone. A feed that raises leaves everything as it is
    to the next question: its VenueError is passed on by every method that needs prices. After a deposit,
    withdrawal, order, cancellation or fill ``store`` gets ``to_state()`` BEFORE the caller gets the result; what
    it raises is passed on. Everything else can be found again from the feed.
    """

    def __init__(
        self,
        *,
        core: MatchingCore,
        feed: PriceFeed,
        clock: Clock,
        store: Callable[[dict[str, object]], None] | None = None,
    ) -> None:
        self._core = core
        self._feed = feed
        self._clock = clock
        self._store = store
        self._asked_at: datetime | None = None
        self._matched_ms: dict[str, int] = {}
        """Per symbol: bars that end up to here have been matched."""

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        *,
        account: str,
        instruments: Mapping[str, Instrument],
        fees: FeeSchedule,
        half_spread_frac: Decimal,
        feed: PriceFeed,
        clock: Clock,
        store: Callable[[dict[str, object]], None] | None = None,
    ) -> PaperVenue:
        """Continue from what ``store`` got; bars missed meanwhile are matched at the first question.

        Orders on a market that is not among ``instruments`` any more are canceled; the coins stay.
        Raises StateFileError where the state is of another account or version, or broken.
        """
        try:
            core_state, matched = state["core"], state["matched_ms"]
            matched_ms = {str(symbol): int(ms) for symbol, ms in matched.items()}
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as e:
            raise StateFileError(f"paper account {account}: stored state is broken: {type(e).__name__}: {e}") from e
        core = MatchingCore.from_state(
            core_state, account=account, instruments=instruments, fees=fees, half_spread_frac=half_spread_frac
        )
        venue = cls(core=core, feed=feed, clock=clock, store=store)
        venue._matched_ms = matched_ms
        if len(core.open_orders()) != len(core_state["working"]):
            venue._save()  # what was canceled with its market must not rest again when the market comes back
        return venue

    def to_state(self) -> dict[str, object]:
        """The account as plain JSON."""
        return {"core": self._core.to_state(), "matched_ms": dict(self._matched_ms)}

    @property
    def account(self) -> str:
        """Name of the account."""
        return self._core.account

    def instruments(self) -> Mapping[str, Instrument]:
        """Traded markets by symbol."""
        return self._core.instruments

    def fees(self) -> FeeSchedule:
        """Fees of this account."""
        return self._core.fees

    def balances(self) -> Mapping[str, Balance]:
        """Every asset that the account holds."""
        self._catch_up()
        return self._core.balances()

    def tickers(self) -> Mapping[str, Ticker]:
        """Prices with the time at which they were current: in a gap the last close with its old time."""
        self._catch_up()
        found = {symbol: self._core.ticker(symbol) for symbol in self._core.instruments}
        return {symbol: ticker for symbol, ticker in found.items() if ticker is not None}

    def candles(self, symbol: str, timeframe: str, since_ms: int) -> Sequence[Candle]:
        """Closed candles from the feed. Raises VenueError for a symbol or timeframe it does not have."""
        return self._feed.closed_candles(symbol, timeframe, since_ms, _ms(self._clock.now()))

    def open_orders(self) -> Sequence[OrderReport]:
        """Resting orders."""
        self._catch_up()
        return self._core.open_orders()

    def find_order(self, order: Order) -> OrderReport | None:
        """An order by the client's id; None: this account never accepted it for this symbol."""
        self._catch_up()
        report = self._core.find_order(order.client_order_id)
        return report if report is not None and report.symbol == order.symbol else None

    def stops_rest(self) -> bool:
        """Whether stops rest here: they do."""
        return True

    def fills_since(self, cursor: str, *, deep: bool = False) -> tuple[Sequence[Fill], str]:  # noqa: ARG002 - none is late
        """Fills after a cursor and the next cursor. Raises VenueError for a cursor that is not one."""
        self._catch_up()
        return self._core.fills_since(cursor)

    def submit(self, order: Order) -> Outcome:
        """Take an order at the present price."""
        self._catch_up()
        outcome = self._core.submit(order, self._clock.now())
        if isinstance(outcome, Accepted):
            self._save()
        return outcome

    def cancel(self, order: Order) -> Outcome:
        """Cancel a resting order."""
        self._catch_up()
        outcome = self._core.cancel(order)
        if isinstance(outcome, Accepted):
            self._save()
        return outcome

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Put play money in. Raises VenueError unless the amount is positive with at most 8 decimals."""
        self._catch_up()
        self._core.deposit(asset, amount)
        self._save()

    def withdraw(self, asset: str, amount: Decimal) -> None:
        """Take play money out. Raises VenueError where not enough is free."""
        self._catch_up()
        self._core.withdraw(asset, amount)
        self._save()

    def _save(self) -> None:
        if self._store is not None:
            self._store(self.to_state())

    def _catch_up(self) -> None:
        """Bring the core up to now. The feed is asked first: if it fails, nothing has been matched."""
        now = self._clock.now()
        if self._asked_at is not None and now <= self._asked_at:
            return
        now_ms = _ms(now)
        bars: list[tuple[int, str, Candle | TimedBar]] = []
        openings: dict[str, tuple[float, int] | Ticker] = {}
        matched = dict(self._matched_ms)
        for symbol in self._core.instruments:
            opening = self._feed.opening(symbol, now_ms)
            if opening is not None:
                openings[symbol] = opening
            # With nothing to match and a present price, what happened in between does not matter.
            if opening is None or self._core.has_resting(symbol):
                new = self._feed.bars(symbol, matched.get(symbol, now_ms - MS_PER_DAY), now_ms)
                if new:
                    matched[symbol] = self._end_ms(new[-1])
                    bars.extend((self._end_ms(bar), symbol, bar) for bar in new)
            else:
                known_ms = now_ms if isinstance(opening, Ticker) else opening[1]
                matched[symbol] = max(matched.get(symbol, 0), known_ms)
        self._matched_ms = matched
        self._asked_at = now
        fills_before = self._core.fills_made
        self._match(bars, openings, now)
        if self._core.fills_made != fills_before:
            self._save()

    def _match(
        self,
        bars: list[tuple[int, str, Candle | TimedBar]],
        openings: Mapping[str, tuple[float, int] | Ticker],
        now: datetime,
    ) -> None:
        """Run the core through completed bars, in the order in which they ended, to the present prices."""
        for opening in openings.values():
            if isinstance(opening, Ticker):
                self._core.learn_spread(opening)
        for end_ms, symbol, bar in sorted(bars, key=lambda row: row[:2]):
            if isinstance(bar, TimedBar):
                self._core.on_range(symbol, bar.candle, _moment(end_ms), began=_moment(bar.candle.open_ms))
            else:
                self._core.on_range(symbol, bar, _moment(end_ms))
        for symbol, opening in openings.items():
            if isinstance(opening, Ticker):
                self._core.on_quote(opening, now)
            else:
                self._core.on_open(symbol, opening[0], _moment(opening[1]))

    def _end_ms(self, bar: Candle | TimedBar) -> int:
        return bar.end_ms if isinstance(bar, TimedBar) else bar.open_ms + self._feed.bar_ms


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS


def _moment(ms: int) -> datetime:
    return _EPOCH + ms * _MS
