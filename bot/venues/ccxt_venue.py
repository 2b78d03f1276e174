"""A real account at an exchange, through ccxt, behind the Venue port: what both venues share.

Everything that a venue does in its own way is a method with a leading underscore that the two subclasses give.
Reads raise VenueError where there is no answer; an order or cancellation has an Outcome and is never sent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from bot.domain.account import Balance, FeeSchedule, Fill
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import TIMEFRAME_MS, Candle, Ticker
from bot.domain.orders import Order, OrderReport, OrderState, OrderType, Side
from bot.domain.venue_report import VenueReport
from bot.ports import Accepted, Outcome, Rejected, Unknown
from bot.venues.ccxt_calls import Caller
from bot.venues.ccxt_hooks import (
    CcxtHooks,
    KeyRefusedError,
    KeyRights,
    MarketCopy,
    decimal_of,
    instrument_of,
)
from bot.venues.fills_cursor import FILLS_OVERLAP, new_cursor, read_cursor

CASH = ("USD", "USDC")
"""What counts as cash; a coin's market may be in either."""
HISTORY_BARS = 720
"""Bars that are fetched at most: what Kraken serves, and so the same warm-up everywhere (quant, correction 8)."""
FILLS_LOOKED_FOR = timedelta(minutes=10)
"""After a start, an order, a question for one, or a change of the balance: else there is no fill, or it is listed late
and the order, which does not rest, is asked for again and again."""
LOOKUPS_MAX = 20
"""Of orders that somebody else placed, in one call; the next call goes on."""
STOPS_PROBED_AGAIN = timedelta(minutes=10)
LOOKED_FOR_BEFORE = timedelta(days=1)
"""Before its birth, as this machine's clock showed it."""
DRIFT_IGNORED_S = 30.0
"""A clock within this is right: the way to the venue takes a second, and signatures bear this much."""
DRIFT_BELIEVED_S = 366 * 86_400.0
"""A venue is never so far from this machine's clock: then its answer is broken, or nothing here can be trusted."""
_ORDERS_REMEMBERED = 5_000


class CcxtVenue(CcxtHooks):
    """One account; without ``has_key`` its public half only (prices, candles, markets)."""

    candles_per_page = 300
    candles_served: int | None = None
    """So many of a timeframe at most, the newest, the one that is forming among them; None: however old they are."""

    def __init__(
        self,
        *,
        account: str,
        caller: Caller,
        coins: Sequence[str],
        own_fees: FeeSchedule | None,
        fallback_fees: FeeSchedule,
        copy: MarketCopy,
        now: Callable[[], datetime],
        has_key: bool,
        allow_unknown_rights: bool = False,
    ) -> None:
        assert fallback_fees.is_fallback, "fallback fees must say that they are"
        self._account = account
        self._caller = caller
        self._client = caller.client
        self._coins = tuple(coins)
        self._own_fees = own_fees
        self._fallback_fees = fallback_fees
        self._copy = copy
        self._now = now
        self._has_key = has_key
        self._allow_unknown_rights = allow_unknown_rights
        self._instruments: dict[str, Instrument] = {}
        self._markets: Sequence[dict[str, Any]] = ()
        """As they are used; the copy may be none where nothing can be written."""
        self._unlisted: frozenset[str] = frozenset()
        """Markets that the venue told of earlier and does not list at present."""
        self._markets_origin = ""
        self._cleared = not has_key
        self._rights: KeyRights | None = None
        self._rights_problem = ""
        self._drift_s: float | None = None
        self._fees: FeeSchedule | None = None
        self._stops_rest: bool | None = None
        self._stops_about = ""
        self._stops_probed_at: datetime | None = None
        self._balances: dict[str, Balance] | None = None
        self._tickers: dict[str, Ticker] = {}
        self._problem = ""
        """Why the account did not answer when it was asked last."""
        self._client_ids: dict[str, str] = {}
        """Venue's order id: the client's, '' for an order without one."""
        self._look_for_fills_until = datetime.min.replace(tzinfo=UTC)
        self._looked_for_fills = False

    # ---- markets and money

    @property
    def account(self) -> str:
        """Name of the account."""
        return self._account

    def instruments(self) -> Mapping[str, Instrument]:
        """Markets of the traded coins in USD and USDC, asked anew; the last good copy where the venue is silent.

        One that was known before and is not in the venue's list stays, closed: what is held there can be sold.
        """
        now = self._now()
        copied, at = self._copy.load()
        try:
            copied = self._kept(copied)
        except Exception:  # noqa: BLE001 - a copy that somebody has changed may raise anything, and is none
            copied = []
        try:
            told = self._told_markets()
            listed = {market["symbol"] for market in told}
            known = {market["symbol"]: market for market in (*copied, *self._markets)}
            missing = (market for symbol, market in known.items() if symbol not in listed)
            wanted = [*told, *(market | {"active": False, "unlisted": True} for market in missing)]
            self._caller.read("markets", partial(self._use_markets, wanted))
            self._markets_origin = "the venue"
        except VenueError:
            if not copied:
                raise
            self._caller.read("the copy of the markets", partial(self._use_markets, copied))
            self._markets_origin = f"the copy of {at}"
        else:
            self._copy.save(wanted, now)
            with suppress(VenueError):  # daily, like the markets: a clock drifts
                self.measure_drift()
        return self._instruments

    def _told_markets(self) -> list[dict[str, Any]]:
        wanted = self._caller.read("markets", lambda: self._kept(self._fetch_markets()))
        if not wanted:
            raise VenueError(f"{self._account}: markets: none of {', '.join(self._coins)} against USD or USDC")
        return wanted

    def _kept(self, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The markets to keep; none where no coin is traded in any of them (a venue may keep one for its price).

        Raises VenueError where one of them is broken.
        """
        wanted = [market for market in told if self._is_wanted(market)]
        for market in wanted:
            instrument_of(market)  # before the client is given any of them
        return wanted if any(market.get("base") in self._coins for market in wanted) else []

    def _is_wanted(self, market: Mapping[str, Any]) -> bool:
        return bool(market.get("spot")) and market.get("base") in self._coins and market.get("quote") in CASH

    def _use_markets(self, wanted: Sequence[dict[str, Any]]) -> None:
        """Give the client these markets only: all of them would stay in memory for the life of the process."""
        self._client.set_markets(list(wanted))
        self._instruments = {symbol: instrument_of(market) for symbol, market in self._client.markets.items()}
        self._markets = wanted
        self._unlisted = frozenset(market["symbol"] for market in wanted if market.get("unlisted"))

    def fees(self) -> FeeSchedule:
        """The user's, else the account's, else the worst published."""
        self._fees = self._known_fees()
        return self._fees

    def _known_fees(self) -> FeeSchedule:
        if self._own_fees is not None:
            return self._own_fees
        if not self._has_key:
            return self._fallback_fees
        self._ready()
        try:
            maker, taker = self._caller.read("fees", self._ask_fees)
        except VenueError:
            return self._fallback_fees
        if not 0 <= maker <= taker < 1:
            return self._fallback_fees  # an answer that cannot be true is no answer
        return FeeSchedule(maker_frac=maker, taker_frac=taker, origin="the account")

    def balances(self) -> Mapping[str, Balance]:
        """Cash and coins of the account; ``USD.F`` and its like count as held: never free."""
        try:
            self._clear_key()
            told = self._caller.read("balances", self._fetch_balance)
        except (VenueError, KeyRefusedError) as e:
            self._problem = str(e)
            raise
        self._problem = ""
        if not told["total"] and self._balances:
            # Who has spent everything is told of zeros. Taken for true, this would be booked as a withdrawal.
            raise VenueError(f"{self._account}: balances: the list is empty, and was not before")
        balances: dict[str, Balance] = {}
        for asset, told_total in told["total"].items():
            total, free = decimal_of(told_total or 0), decimal_of(told["free"].get(asset) or 0)
            if not total or not asset:
                continue
            name = asset.removesuffix(".F")
            if not 0 <= free <= total:
                if name in (*self._coins, *CASH):
                    raise VenueError(f"{self._account}: balances: {free} of {total} {asset} cannot be free")
                continue  # what is not traded may be owed
            if name != asset:
                free = Decimal(0)
            known = balances.get(name, Balance(asset=name, free=Decimal(0), used=Decimal(0)))
            balances[name] = Balance(asset=name, free=known.free + free, used=known.used + total - free)
        if balances != self._balances:
            self._look_for_fills()
        self._balances = balances
        return balances

    def tickers(self) -> Mapping[str, Ticker]:
        """Best prices of every market of the traded coins; one that is not listed any more may be without."""
        self._ready()
        listed = tuple(symbol for symbol in self._instruments if symbol not in self._unlisted)
        found = self._caller.read("prices", lambda: self._fetch_tickers(listed))
        for symbol in sorted(self._unlisted):  # each alone: where it is gone for good, the others still have prices
            with suppress(VenueError):
                found |= self._caller.read(f"price of {symbol}", partial(self._fetch_tickers, (symbol,)))
        self._tickers = found
        return found

    def candles(self, symbol: str, timeframe: str, since_ms: int) -> Sequence[Candle]:
        """Closed candles that open at or after ``since_ms``, ascending, the newest 720 at most."""
        self._ready()
        length_ms = TIMEFRAME_MS[timeframe]
        now_ms = self.time_ms()
        first_ms = max(since_ms, now_ms - HISTORY_BARS * length_ms)
        first_ms = -(-first_ms // length_ms) * length_ms
        found: dict[int, Candle] = {}
        for start_ms in range(first_ms, now_ms, self.candles_per_page * length_ms):
            ask = partial(self._fetch_candles, symbol, timeframe, start_ms, self.candles_per_page)
            page = self._caller.read(f"candles of {symbol}", ask)
            found |= {bar.open_ms: bar for bar in page if first_ms <= bar.open_ms and bar.open_ms + length_ms <= now_ms}
        return [found[open_ms] for open_ms in sorted(found)]

    def candle_page(self, symbol: str, timeframe: str, start_ms: int, count: int) -> list[Candle]:
        """Closed candles that open in [``start_ms``, ``start_ms`` + ``count`` bars), ascending, however old they are.

        ``count`` is ``candles_per_page`` at most. For downloads: a complaint about too many calls is waited out.
        Raises VenueError where there is no answer, or one to another question.
        """
        self._ready()
        length_ms = TIMEFRAME_MS[timeframe]
        assert 0 < count <= self.candles_per_page, f"a page of {count}"
        assert start_ms % length_ms == 0, f"{start_ms} is off the grid of {timeframe}"
        what, now_ms = f"candles of {symbol}", self.time_ms()
        # Always a whole page: of an end that is the beginning nobody knows what a venue makes.
        ask = partial(self._fetch_candles, symbol, timeframe, start_ms, self.candles_per_page)
        page = self._caller.read(what, ask, waits_out_complaints=True)
        found = {bar.open_ms: bar for bar in page if start_ms <= bar.open_ms < start_ms + count * length_ms}
        if page and all(bar.open_ms < start_ms for bar in page):
            # An older page told again, by the venue or by something in between: taken for an empty one it were a gap.
            raise VenueError(f"{self._account}: {what}: the answer has older ones than were asked for")
        return [found[open_ms] for open_ms in sorted(found) if open_ms + length_ms <= now_ms]

    def served_from_ms(self, timeframe: str) -> int:
        """Opening time of the oldest closed candle that is served; 0 where there is no limit."""
        if self.candles_served is None:
            return 0
        length_ms = TIMEFRAME_MS[timeframe]
        return (self.time_ms() // length_ms - (self.candles_served - 1)) * length_ms

    def time_ms(self) -> int:
        """Present time by the venue's clock: a bar that this machine's calls closed may still be forming there."""
        return int(self._venue_time(self._now()).timestamp() * 1000)

    # ---- orders

    def open_orders(self) -> Sequence[OrderReport]:
        """All resting orders of the account, whoever placed them."""
        self._clear_key()
        told = self._caller.read("open orders", self._fetch_open_orders)
        return [self._report_of(order) for order in told]

    def find_order(self, order: Order) -> OrderReport | None:
        """Look an order up by the venue's id, or by the client's where that is all we have."""
        self._clear_key()
        self._look_for_fills()  # whoever asks misses it among the resting ones: it may have been filled
        known = order.venue_order_id
        told = self._caller.read("order", lambda: self._fetch_order(known, order.symbol)) if known else None
        if told is None:  # where the venue knows another id than it had told, too
            told = self._caller.read("order", lambda: self._find_by_client_id(order))
        return None if told is None else self._report_of(told)

    def fills_since(self, cursor: str, *, deep: bool = False) -> tuple[Sequence[Fill], str]:
        """Fills after a cursor: the time up to which they are known, and the ids of the newest ones."""
        self._clear_key()
        now = self._now()
        if not self._looked_for_fills:
            self._look_for_fills()
        if cursor and not deep and now >= self._look_for_fills_until:
            return [], cursor
        venue_now = self._venue_time(now)
        since_ms, known = read_cursor(self._account, cursor, venue_now, deep=deep)
        told = self._caller.read("fills", lambda: self._fetch_fills(since_ms))
        self._looked_for_fills = True
        fresh = sorted(((oid, fill) for oid, fill in told if fill.fill_id not in known), key=lambda row: row[1].at)
        fills: list[Fill] = []
        lookups = 0
        for order_id, fill in fresh:
            if order_id not in self._client_ids:
                if lookups == LOOKUPS_MAX:
                    self._look_for_fills()  # the next call goes on from here
                    break
                lookups += 1
                self._learn_client_id(order_id, fill)
            fills.append(replace(fill, client_order_id=self._client_ids[order_id]))
        return fills, new_cursor(cursor, [fill for _, fill in told], fills, known, venue_now)

    def submit(self, order: Order) -> Outcome:
        """Send an order once; an answer without an id is no answer."""
        self._look_for_fills()
        if not self._cleared:
            return Rejected(reason=f"{self._account}: nobody knows yet what the key may do")
        if order.symbol not in self._instruments:
            return Rejected(reason=f"{self._account}: no market {order.symbol}")
        told = self._caller.send(lambda: self._create(order).get("id"))
        if isinstance(told, Accepted | Rejected | Unknown):
            if isinstance(told, Rejected) and order.type is OrderType.STOP and self._is_unsupported(told.reason):
                self._stops_rest, self._stops_about = False, told.reason
            return told
        if not isinstance(told, str) or not told:
            return Unknown(reason="the answer has no order id")
        self._remember(told, order.client_order_id)
        return Accepted(venue_order_id=told)

    def cancel(self, order: Order) -> Outcome:
        """Ask to cancel; whether it had been executed before is for the next question to tell."""
        self._look_for_fills()
        venue_order_id = order.venue_order_id
        if venue_order_id is None:
            found = self.find_order(order)
            if found is None:
                return Unknown(reason="the venue does not list it; it may still be on its way")
            venue_order_id = found.venue_order_id
        return self._caller.send_cancel(lambda: self._cancel(venue_order_id))

    def _is_unsupported(self, reason: str) -> bool:
        """Whether a rejection means that this venue lets no stop rest."""
        return "UNSUPPORTED" in reason.upper()

    def stops_rest(self) -> bool:
        """Whether a protective stop rests here, as a probe showed; until one could be made: no."""
        now = self._now()
        if self._stops_rest is None and (
            self._stops_probed_at is None or now - self._stops_probed_at >= STOPS_PROBED_AGAIN
        ):
            self._stops_probed_at = now
            try:
                self._clear_key()
                symbol = next(iter(self._instruments))
                price = (self._tickers or self.tickers())[symbol].bid
                self._stops_rest, self._stops_about = self._caller.read(
                    "probe of stops", lambda: self._probe_stop(self._instruments[symbol], price)
                )
            except (VenueError, KeyError) as e:
                self._stops_about = f"not probed yet: {e}"
        return bool(self._stops_rest)

    # ---- the key, and what is told to people

    def check_key(self) -> None:
        """Learn what the key may do. Raises KeyRefusedError where it may not be used, VenueError without an answer."""
        if self._cleared:
            return
        if self._drift_s is None:  # before anything is signed: a nonce from a clock that is ahead shuts the key out
            with suppress(VenueError):
                self.measure_drift()
        rights = self._caller.read("key rights", self._ask_rights)
        self._rights = rights
        if rights is None:
            self._rights_problem = "the venue does not say what the key may do"
            if not self._allow_unknown_rights:
                raise KeyRefusedError(
                    f"{self._account}: {self._rights_problem}; a key that might withdraw is not used. Make a key with "
                    f"the right to trade and without any right to move funds, or set ALLOW_UNKNOWN_KEY_RIGHTS=True"
                )
        elif rights.forbidden:
            self._rights_problem = f"the key may also: {', '.join(rights.forbidden)}"
            raise KeyRefusedError(
                f"{self._account}: {self._rights_problem}. A bot never needs that: make a new key with the right to "
                f"trade only, and delete this one"
            )
        elif rights.missing:
            self._rights_problem = f"the key lacks: {', '.join(rights.missing)}"
            raise KeyRefusedError(f"{self._account}: {self._rights_problem}. Make a key that has it")
        self._cleared = True

    def _clear_key(self) -> None:
        if not self._has_key:
            raise VenueError(f"{self._account}: there is no key")
        self._ready()
        self.check_key()

    def measure_drift(self) -> float:
        """Tell this machine's clock less the venue's, in seconds; a second or so is the way there."""
        told_ms = self._caller.read("time", lambda: float(self._client.fetch_time()))
        drift_s = self._now().timestamp() - told_ms / 1000
        if not abs(drift_s) <= DRIFT_BELIEVED_S:
            raise VenueError(f"{self._account}: time: {told_ms / 1000:g} s since 1970 cannot be the time")
        self._drift_s = drift_s
        self._use_drift(drift_s if abs(drift_s) > DRIFT_IGNORED_S else 0.0)
        return drift_s

    def report(self, *, ask: bool = True) -> VenueReport:
        """What there is to tell about this account; with ``ask`` everything is asked now, else as it was told last."""
        problem = "" if ask else self._problem
        try:
            if ask:
                self.measure_drift()
                self.instruments()
                if self._has_key:
                    self.check_key()
                    self.balances()
                    self.fees()
                    self.stops_rest()
        except (VenueError, KeyRefusedError) as e:
            problem = str(e)
        fees = self._fees
        return VenueReport(
            account=self._account,
            at=self._now().isoformat(),
            problem=problem,
            clock_drift_s=self._drift_s,
            has_key=self._has_key,
            rights=self._rights.allowed if self._rights is not None else (),
            rights_problem=self._rights_problem,
            assets=self._assets_told(),
            maker_pct=float(fees.maker_frac) * 100 if fees is not None else None,
            taker_pct=float(fees.taker_frac) * 100 if fees is not None else None,
            fee_origin=fees.origin if fees is not None else "",
            fee_is_fallback=fees is not None and fees.is_fallback,
            stops_rest=self._stops_rest,
            stops_about=self._stops_about,
            markets=tuple(self._instruments),
            markets_origin=self._markets_origin,
        )

    def _assets_told(self) -> Mapping[str, str] | None:
        """Totals by the venue's own names."""
        if self._balances is None:
            return None
        return {asset: f"{balance.total:f}" for asset, balance in self._balances.items()}

    # ---- inside

    def _ready(self) -> None:
        if not self._instruments:
            self.instruments()

    def _venue_time(self, moment: datetime) -> datetime:
        """A moment of this machine's clock as the venue's clock shows it, as far as that is known."""
        return moment - timedelta(seconds=self._drift_s or 0.0)

    def _looked_for_from(self, order: Order) -> datetime:
        """From when on the venue is asked for an order; a clock that ran ahead when it was made must not hide it."""
        return self._venue_time(min(order.created_at, self._now())) - LOOKED_FOR_BEFORE

    def _look_for_fills(self) -> None:
        self._look_for_fills_until = self._now() + FILLS_LOOKED_FOR

    def _report_of(self, order: Mapping[str, Any]) -> OrderReport:
        """Read ccxt's order structure; every status that is no known end means that it may still be executed."""
        venue_order_id, client_order_id = order.get("id"), str(order.get("clientOrderId") or "")
        if not isinstance(venue_order_id, str) or not venue_order_id:
            raise VenueError(f"{self._account}: order: the answer has no id")
        self._remember(venue_order_id, client_order_id or self._client_ids.get(venue_order_id, ""))
        filled, amount = decimal_of(order.get("filled") or 0), decimal_of(order.get("amount") or 0)
        match order.get("status"):
            case "closed":
                state = OrderState.FILLED if filled >= amount else OrderState.CANCELED
            case "canceled" | "expired" | "rejected":  # the last one after it had been accepted
                state = OrderState.CANCELED
            case _:
                state = OrderState.PARTLY_FILLED if filled else OrderState.OPEN
        return OrderReport(
            client_order_id=self._client_ids[venue_order_id],
            venue_order_id=venue_order_id,
            symbol=str(order.get("symbol") or ""),
            state=state,
            filled_quantity=filled,
            side=Side(order["side"]) if order.get("side") in tuple(Side) else None,
            quantity=amount or None,
            price=decimal_of(order["price"]) if order.get("price") else None,
            stop_price=decimal_of(order["stop_price"]) if order.get("stop_price") else None,
        )

    def _learn_client_id(self, venue_order_id: str, fill: Fill) -> None:
        told = self._caller.read("order of a fill", lambda: self._fetch_order(venue_order_id, fill.symbol))
        if told is None and self._now() - fill.at < FILLS_OVERLAP:
            # Histories lag behind each other; taken for somebody else's, a fill of ours would never be booked.
            raise VenueError(f"{self._account}: order of a fill: {venue_order_id} is not listed yet")
        self._remember(venue_order_id, str((told or {}).get("clientOrderId") or ""))

    def _remember(self, venue_order_id: str, client_order_id: str) -> None:
        self._client_ids.pop(venue_order_id, None)
        self._client_ids[venue_order_id] = client_order_id
        while len(self._client_ids) > _ORDERS_REMEMBERED:
            del self._client_ids[next(iter(self._client_ids))]
