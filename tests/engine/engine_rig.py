"""A whole engine for tests: the real paper venue and ledger, prices moved by hand, every port breakable.

At ``START`` 120 daily bars are closed, each 2 % above the one before, so that the score is 1.0. The
newest close is 100.0; at price 100 the bid is 99.95 and the ask 100.05 (half a spread is 5 bp). Fees are
0.6 % maker and 1.2 % taker. The stop distance follows from the bars alone: ``STOP_DISTANCE``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.books.positions import Trade
from bot.domain.account import Balance, FeeSchedule, Fill
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import MS_PER_DAY, Candle, Ticker, coin_symbol
from bot.domain.modes import ExitRule, Strategy, TradingMode
from bot.domain.orders import Order, OrderReport, OrderType, Purpose
from bot.engine.config import EngineConfig
from bot.engine.engine import CycleResult, Engine
from bot.engine.tiers import TierKeeper
from bot.ports import Outcome, Rejected
from bot.scaling.ladder import SCALING_TIERS
from bot.scaling.state import TierState
from bot.storage.ledger import SqliteLedger
from bot.storage.state_file import JsonStateFile
from bot.venues.matching import MatchingCore
from bot.venues.paper import PaperVenue
from bot.venues.rules import paper_instruments

D = Decimal
START = datetime(2024, 6, 1, 0, 1, tzinfo=UTC)
"""A minute after the newest daily bar closed: the first cycle decides."""
TODAY_MS = 1_717_200_000_000
"""2024-06-01 00:00 UTC."""
WARM_UP_DAYS = 120
DAILY_RISE = 1.02
HALF_SPREAD = D("0.0005")
COINBASE_FEES = FeeSchedule(maker_frac=D("0.006"), taker_frac=D("0.012"), origin="test")
KRAKEN_FEES = FeeSchedule(maker_frac=D("0.0025"), taker_frac=D("0.004"), origin="test")
FEES = {"coinbase": COINBASE_FEES, "kraken": KRAKEN_FEES}
MINIMUMS = {"coinbase": 10.0, "kraken": 50.0}
QUANTITY = D("0.18009004")
"""18 % of $100 at the bid of 99.95, down to the lot. It costs $17.999999498 and a fee of $0.108."""
EVEN_VOLATILITY = 0.382099
"""sqrt(365) * 0.02, of days that rise by 2 % each."""
HYBRID = (0.3, 0.4, 0.3)
"""Weights of the Kelly, the volatility and the equity leg by default; the rig has the equity leg alone."""
BTC, ETH, SOL = "BTC/USD", "ETH/USD", "SOL/USD"
BTC_USDC = "BTC/USDC"
PEGGED = "USDC/USD"


class ProcessDiedError(BaseException):
    """The simulated end of the process; no ``except Exception`` may catch it."""


def rising_days(
    count: int = WARM_UP_DAYS, *, last_close: float = 100.0, until_ms: int = TODAY_MS, rise: float = DAILY_RISE
) -> list[Candle]:
    """Daily bars whose closes rise by 2 % (or ``rise``) each: every close is above every earlier high."""
    days = []
    for i in range(count):
        close = last_close / rise ** (count - 1 - i)
        before = close / rise
        days.append(Candle(until_ms - (count - i) * MS_PER_DAY, before, close * 1.005, before * 0.995, close, 1.0))
    return days


def even_days(daily_range: float) -> list[Candle]:
    """Days like ``rising_days``, each with the same range below its close: that is the ATR, to the last digit.

    At least 2, or the way from the close before would be longer. The annual volatility is
    sqrt(365) * 0.02 = ``EVEN_VOLATILITY``.
    """
    assert daily_range >= 2.0
    return [day._replace(high=day.close, low=day.close - daily_range) for day in rising_days()]


def next_day(days: list[Candle], close: float) -> Candle:
    """A quiet bar after the newest one that closes at ``close``."""
    last = days[-1]
    high, low = max(last.close, close) * 1.005, min(last.close, close) * 0.995
    return Candle(last.open_ms + MS_PER_DAY, last.close, high, low, close, 1.0)


class HandClock:
    """A clock that stands where it was put."""

    def __init__(self, start: datetime = START) -> None:
        self.moment = start

    def now(self) -> datetime:
        return self.moment

    def wait_until(self, moment: datetime) -> None:
        self.moment = max(self.moment, moment)


class Board:
    """A price feed: the price of each symbol as it was put last, and listed daily bars.

    A market in USDC has the price of the coin's, unless one of its own was put.
    """

    bar_ms = 60_000

    def __init__(self, days: Mapping[str, list[Candle]]) -> None:
        self.days = {symbol: list(bars) for symbol, bars in days.items()}
        self.prices = {symbol: bars[-1].close for symbol, bars in days.items()}
        self.price_age_ms = 0

    def bars(self, symbol: str, after_ms: int, now_ms: int) -> list[Candle]:
        return []

    def opening(self, symbol: str, now_ms: int) -> tuple[float, int] | None:
        price = self.prices.get(symbol, self.prices.get(coin_symbol(symbol)))
        return None if price is None else (price, now_ms - self.price_age_ms)

    def closed_candles(self, symbol: str, timeframe: str, since_ms: int, now_ms: int) -> list[Candle]:
        assert timeframe == "1d"
        symbol = symbol if symbol in self.days else coin_symbol(symbol)
        if symbol not in self.days:
            raise VenueError(f"no candles for {symbol}")
        return [bar for bar in self.days[symbol] if since_ms <= bar.open_ms and bar.open_ms + MS_PER_DAY <= now_ms]

    def close_day(self, symbol: str, close: float) -> None:
        """Append the bar of the day that is ending, and put the price at its close."""
        self.days[symbol].append(next_day(self.days[symbol], close))
        self.prices[symbol] = close


@dataclass(slots=True)
class Fuse:
    """Counts the calls to the ports and ends the process at the ``left``-th, before its effect."""

    left: int | None = None
    touched: int = 0
    at: str = ""

    def touch(self, name: str) -> None:
        self.touched += 1
        if self.touched == self.left:
            self.at = f"before {name}"
            raise ProcessDiedError(self.at)


class RigVenue:
    """A paper venue that can be told to fail.

    ``down``: methods that raise VenueError without an effect. ``mute``: methods that take effect and then
    raise, so that the answer is lost. ``before``: called with the order before ``submit`` or ``cancel``.
    ``rejections``: reasons with which the next orders are rejected, one each. Where not ``rests``, it says that it can
    hold no stops. ``usdc_bid``: what it says a USDC is worth.
    """

    def __init__(self, inner: PaperVenue, core: MatchingCore, fuse: Fuse) -> None:
        self.inner = inner
        self.core = core
        self.fuse = fuse
        self.down: set[str] = set()
        self.mute: set[str] = set()
        self.before: dict[str, Callable[[Order], None]] = {}
        self.hidden_markets: set[str] = set()
        self.hidden_tickers: set[str] = set()
        self.hidden_candles: set[str] = set()
        self.closed_markets: set[str] = set()
        self.rejections: list[str] = []
        self.rests = True
        self.usdc_bid: Decimal | None = None
        self.fees_asked = 0
        self.repeat_fills = False
        self.extra_fills: list[Fill] = []
        self.submitted: list[Order] = []

    @property
    def account(self) -> str:
        return self.inner.account

    def silence(self) -> None:
        """Answer nothing at all from now on."""
        self.down = set(ALL_METHODS)

    def speak(self) -> None:
        self.down = set()

    def _check(self, method: str) -> None:
        if method in self.down:
            raise VenueError(f"{self.account}: {method} is down")

    def instruments(self) -> Mapping[str, Instrument]:
        self._check("instruments")
        listed = {s: i for s, i in self.inner.instruments().items() if s not in self.hidden_markets}
        return {s: replace(i, is_open=s not in self.closed_markets) for s, i in listed.items()}

    def fees(self) -> FeeSchedule:
        self._check("fees")
        self.fees_asked += 1
        return self.inner.fees()

    def balances(self) -> Mapping[str, Balance]:
        self._check("balances")
        return self.inner.balances()

    def tickers(self) -> Mapping[str, Ticker]:
        self._check("tickers")
        told = {s: t for s, t in self.inner.tickers().items() if s not in self.hidden_tickers}
        if self.usdc_bid is not None:
            ask = self.usdc_bid + D("0.0001")
            told[PEGGED] = Ticker(symbol=PEGGED, bid=self.usdc_bid, ask=ask, last=ask, at=self.inner._clock.now())
        return told

    def candles(self, symbol: str, timeframe: str, since_ms: int) -> Sequence[Candle]:
        self._check("candles")
        if symbol in self.hidden_candles:
            raise VenueError(f"{self.account}: no candles of {symbol}")
        return self.inner.candles(symbol, timeframe, since_ms)

    def open_orders(self) -> Sequence[OrderReport]:
        self._check("open_orders")
        return self.inner.open_orders()

    def find_order(self, order: Order) -> OrderReport | None:
        self._check("find_order")
        return self.inner.find_order(order)

    def stops_rest(self) -> bool:
        return self.rests and self.inner.stops_rest()

    def fills_since(self, cursor: str, *, deep: bool = False) -> tuple[Sequence[Fill], str]:
        self._check("fills_since")
        fills, following = self.inner.fills_since("" if self.repeat_fills else cursor)
        return [*fills, *self.extra_fills], following

    def submit(self, order: Order) -> Outcome:
        if "submit" in self.before:
            self.before["submit"](order)
        self._check("submit")
        self.fuse.touch(f"{self.account}.submit {order.purpose}")
        self.submitted.append(order)
        assert self.rests or order.type is not OrderType.STOP, f"{self.account} can hold no stop"
        outcome = Rejected(reason=self.rejections.pop(0)) if self.rejections else self.inner.submit(order)
        if "submit" in self.mute:
            raise VenueError(f"{self.account}: no answer to submit")
        return outcome

    def cancel(self, order: Order) -> Outcome:
        if "cancel" in self.before:
            self.before["cancel"](order)
        self._check("cancel")
        self.fuse.touch(f"{self.account}.cancel {order.purpose}")
        outcome = self.inner.cancel(order)
        if "cancel" in self.mute:
            raise VenueError(f"{self.account}: no answer to cancel")
        return outcome


ALL_METHODS = (
    *("instruments", "fees", "balances", "tickers", "candles"),
    *("open_orders", "find_order", "fills_since", "submit", "cancel"),
)
LEDGER_WRITES = frozenset(name for name in dir(SqliteLedger) if name.startswith("record_") or name == "set_value")


class FusedLedger:
    """The real ledger; each write outside a transaction, and each transaction at its end, touches the fuse."""

    def __init__(self, inner: SqliteLedger, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse
        self._in_block = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in LEDGER_WRITES:
            return found

        def write(*args: Any, **kwargs: Any) -> Any:
            if not self._in_block:
                self._fuse.touch(f"ledger.{name}")
            return found(*args, **kwargs)

        return write

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._in_block = True
        try:
            with self._inner.transaction():
                yield
                self._fuse.touch("ledger.commit")
        finally:
            self._in_block = False


class FusedStateFile:
    """The real state file; each save touches the fuse."""

    def __init__(self, inner: JsonStateFile, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse
        self.saves = 0

    def load(self) -> dict[str, object]:
        return self._inner.load()

    def save(self, state: Mapping[str, object]) -> None:
        self.saves += 1
        self._fuse.touch("state_file.save")
        self._inner.save(state)


class ListedControl:
    """Commands waiting in a list."""

    def __init__(self) -> None:
        self.waiting: list[Mapping[str, object]] = []

    def put(self, command: str, **arguments: object) -> None:
        self.waiting.append({"command": command, **arguments})

    def take_all(self) -> list[Mapping[str, object]]:
        taken, self.waiting = self.waiting, []
        return taken


@dataclass(slots=True)
class Rig:
    """Engine, clock, prices, venues, files; ``restart`` is what a crash and a new start do."""

    folder: Path
    clock: HandClock
    board: Board
    venues: dict[str, RigVenue]
    config: EngineConfig
    fuse: Fuse
    control: ListedControl = field(default_factory=ListedControl)
    ledger: SqliteLedger = field(init=False)
    engine: Engine = field(init=False)
    state_file: FusedStateFile = field(init=False)

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.ledger = SqliteLedger(self.folder / "ledger.sqlite3", durable=False)
        inner = JsonStateFile(self.folder / "state.json", durable=False, check=TierState.from_json)
        self.state_file = FusedStateFile(inner, self.fuse)
        fused: Any = FusedLedger(self.ledger, self.fuse)
        self.engine = Engine(
            config=self.config,
            venues=list(self.venues.values()),
            ledger=fused,
            tiers=TierKeeper(self.state_file, SCALING_TIERS),
            control=self.control,
        )

    def restart(self, **changes: Any) -> None:
        """End without a farewell and start over the same files; ``changes`` are to the configuration."""
        self.ledger.close()
        self.config = replace(self.config, **changes)
        self._start()

    @property
    def venue(self) -> RigVenue:
        """The first account."""
        return next(iter(self.venues.values()))

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def cycle(self, *, after_s: float = 60.0, **prices: float) -> CycleResult:
        """Let time pass, put prices (``BTC=95.0``), run one cycle."""
        for coin, price in prices.items():
            self.board.prices[f"{coin}/USD"] = price
        self.clock.moment += timedelta(seconds=after_s)
        return self.engine.cycle(self.clock.now())

    def first_cycle(self) -> CycleResult:
        return self.cycle(after_s=0.0)

    def next_decision(self, **closes: float) -> CycleResult:
        """Close the day at these prices and run the cycle that decides, a minute after midnight."""
        midnight = (self.clock.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0)
        for symbol in self.board.days:
            self.board.close_day(symbol, closes.get(symbol.partition("/")[0], self.board.prices[symbol]))
        self.clock.moment = midnight + timedelta(minutes=1)
        return self.engine.cycle(self.clock.now())

    def entered(self, **dips: float) -> Rig:
        """Run the first cycle and let its entries fill: by default at a dip of BTC to 99.9."""
        self.first_cycle()
        self.cycle(**(dips or {"BTC": 99.9}))
        return self

    def orders(self, purpose: Purpose | None = None) -> list[Order]:
        """All orders of the ledger, oldest first."""
        rows = self.ledger._rows("SELECT client_order_id FROM intents ORDER BY seq")
        found = [self.ledger.order(row[0]) for row in rows]
        return [order for order in found if order is not None and (purpose is None or order.purpose is purpose)]

    def refusals(self) -> list[tuple[str, str]]:
        """(code, symbol) of the stored refusals, oldest first."""
        return [(row[0], row[1]) for row in self.ledger._rows("SELECT code, symbol FROM refusals ORDER BY seq")]

    def refusal(self, code: str) -> tuple[float, float, str, str]:
        """(limit, actual, unit, account) of the newest refusal of this code."""
        rows = self.ledger._rows(
            "SELECT limit_value, actual, unit, account FROM refusals WHERE code = ? ORDER BY seq DESC", (code,)
        )
        assert rows, f"no refusal {code}, only {self.refusals()}"
        return rows[0]

    def guard_events(self) -> list[tuple[str, bool]]:
        rows = self.ledger._rows("SELECT name, active FROM guard_events ORDER BY seq")
        return [(row[0], bool(row[1])) for row in rows]

    def details(self, symbol: str) -> dict[str, Any]:
        """What the newest decision about a coin was computed from."""
        rows = self.ledger._rows("SELECT details FROM decisions WHERE symbol = ? ORDER BY seq DESC LIMIT 1", (symbol,))
        found = json.loads(rows[0][0])
        assert isinstance(found, dict)
        return found

    def give_own_prices(self, account: str) -> Board:
        """From now on this account has prices of its own: those of the returned board."""
        board = Board(self.board.days)
        venue = self.venues[account]
        venue.inner = PaperVenue(core=venue.core, feed=board, clock=self.clock)
        return board

    def close_trades(self, results: Sequence[float], *, at: datetime = START) -> None:
        """Put closed trades with these results in R (of $1) into the books; a restart would lose them."""
        for result in results:
            trade = Trade(
                account=self.venue.account,
                symbol="DOGE/USD",  # no longer traded: what it did says nothing about the coins of the test
                opened_at=at - timedelta(days=1),
                closed_at=at,
                bought_quantity=D(1),
                bought_cost=D(100),
                sold_quantity=D(1),
                sold_proceeds=D(100) + D(repr(result)),
                fees=D(0),
                fills=2,
                last_purpose="exit",
                initial_risk_usd=D(1),
            )
            self.engine.book.trades.append(trade)

    def decisions(self) -> list[tuple[str, str]]:
        """(symbol, action), oldest first."""
        return [(row[0], row[1]) for row in self.ledger._rows("SELECT symbol, action FROM decisions ORDER BY seq")]

    def stops(self) -> list[Order]:
        return self.engine.desk.live(purpose=Purpose.STOP)

    def entries(self) -> list[Order]:
        return self.engine.desk.live(purpose=Purpose.ENTRY)


def make_rig(
    folder: Path,
    *,
    cash: Mapping[str, str] | None = None,
    usdc: Mapping[str, str] | None = None,
    coins: Sequence[str] = ("BTC",),
    days: Mapping[str, list[Candle]] | None = None,
    fuse: Fuse | None = None,
    **changes: Any,
) -> Rig:
    """An engine over accounts with this cash (by default $100 on coinbase) and these coins.

    Accounts in ``usdc`` hold so much of it, and trade every coin against it as well.
    """
    cash = {"coinbase": "100"} if cash is None else cash
    folder.mkdir(parents=True, exist_ok=True)
    symbols = tuple(f"{coin}/USD" for coin in coins)
    board = Board(days if days is not None else {symbol: rising_days() for symbol in symbols})
    clock = HandClock()
    fuse = fuse or Fuse()
    venues = {}
    for name, amount in cash.items():
        markets = paper_instruments(name, coins)
        if usdc is not None and name in usdc:
            others = [replace(i, symbol=f"{i.base}/USDC", quote="USDC") for i in markets.values()]
            markets |= {other.symbol: other for other in others}
        core = MatchingCore(account=name, instruments=markets, fees=FEES[name], half_spread_frac=HALF_SPREAD)
        for asset, money in (("USD", amount), ("USDC", (usdc or {}).get(name, "0"))):
            if D(money):
                core.deposit(asset, D(money))
        venues[name] = RigVenue(PaperVenue(core=core, feed=board, clock=clock), core, fuse)
    config = EngineConfig(
        trading_mode=TradingMode.SIMULATED,
        strategy=Strategy.ALLOCATION,
        exit_rule=ExitRule.LADDER,
        leg_weights=(0.0, 0.0, 1.0),  # the equity leg alone: sizes follow from the targets and the caps
        size_on_equity=True,
        floor_allowed=True,
        follows_master=False,
        shuts_off_on_errors=True,
        coins=tuple(coins),
        symbols=symbols,
        primary_account=next(iter(cash)),
        bar_source="test",
        poll_s=60.0,
        position_cap_frac=0.18,
        cash_buffer_frac=0.15,
        daily_loss_frac=0.06,
        drawdown_frac=0.12,
        max_losses=3,
        min_score=0.75,
        min_confidence=0.70,
        min_reward=1.8,
        routes_by_cost=True,
        min_trade_usd=5.0,
        min_equity_usd=15.0,
        venue_minimum_usd={name: MINIMUMS[name] for name in cash},
        max_positions_ceiling=None,
        risk_ceiling_pct=None,
        halt_flattens=False,
        stale_after_s=900.0,
    )
    return Rig(folder=folder, clock=clock, board=board, venues=venues, config=replace(config, **changes), fuse=fuse)


def look_again(rig: Rig) -> None:
    """Give the venues their second look: an order is absent when two, half a minute apart, have not found it.

    The half minute counts from the cycle after the first look.
    """
    for _ in range(3):
        if rig.engine.state.missing_since:
            rig.clock.moment += timedelta(seconds=31)
            rig.engine.cycle(rig.now)


# -- checks that hold whenever everything has been settled

QUOTES = ("USD", "USDC")


def assert_books_equal_venues(rig: Rig) -> None:
    """Cash, coins and fees agree to the last digit."""
    book = rig.engine.book
    for name, venue in rig.venues.items():
        held = venue.core.balances()
        fills, _ = venue.core.fills_since("")
        for quote in QUOTES:
            cash = held[quote].total if quote in held else D(0)
            assert book.cash.get((name, quote), D(0)) == cash, f"{name}: books {book.cash}, venue {cash} {quote}"
            fees = sum((fill.fee for fill in fills if fill.symbol.endswith(f"/{quote}")), D(0))
            assert book.quote[name, quote].fees == fees if (name, quote) in book.quote else fees == 0
        coins = {asset: balance.total for asset, balance in held.items() if asset not in QUOTES}
        ours: dict[str, Decimal] = {}
        for (account, symbol), position in book.positions.items():
            base = symbol.partition("/")[0]
            if account == name:
                ours[base] = ours.get(base, D(0)) + position.quantity
        assert ours == coins, f"{name}: books {ours}, venue {coins}"


def assert_orders_equal_venues(rig: Rig) -> None:
    """What the ledger calls live is what rests, with the same filled quantity."""
    for name, venue in rig.venues.items():
        resting = {report.client_order_id: report.filled_quantity for report in venue.core.open_orders()}
        live = {o.client_order_id: o.filled_quantity for o in rig.ledger.live_orders() if o.account == name}
        assert live == resting, f"{name}: ledger {live}, venue {resting}"


def assert_protected(rig: Rig) -> None:
    """Every position has exactly one resting stop, of its full size."""
    for (name, symbol), position in rig.engine.book.positions.items():
        stops = [o for o in rig.engine.desk.live(name, symbol) if o.purpose is Purpose.STOP]
        assert [stop.remaining for stop in stops] == [position.quantity], f"{name} {symbol}: {stops}"
        resting = {report.client_order_id for report in rig.venues[name].core.open_orders()}
        assert stops[0].client_order_id in resting
