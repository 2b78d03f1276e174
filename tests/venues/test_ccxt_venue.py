"""What both live venues share, on a venue whose answers are lists in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from coinbase_venue_rig import WORST_FEES, KeptCopy
from venue_helpers import BTC, HOUR, D, HandClock, make_order

from bot.domain.account import Balance, FeeSchedule, Fill, Liquidity
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import Candle, Ticker
from bot.domain.orders import Order, OrderState, Side
from bot.ports import Accepted, Outcome, Rejected, Unknown
from bot.venues.ccxt_calls import Caller
from bot.venues.ccxt_hooks import KeyRefusedError, KeyRights, decimal_of
from bot.venues.ccxt_loader import load_exchange_classes
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.fills_cursor import new_cursor, read_cursor

ERRORS = load_exchange_classes().errors
MAY_TRADE = KeyRights(allowed=("trade",), forbidden=(), missing=())
NO_WAY = ERRORS.NetworkError("no way there")


def market(base: str = "BTC", quote: str = "USD", **other: Any) -> dict[str, Any]:
    """As much of ccxt's market structure as is read."""
    return {
        "symbol": f"{base}/{quote}",
        "id": f"{base}-{quote}",
        "type": "spot",
        "base": base,
        "quote": quote,
        "spot": True,
        "active": True,
        "precision": {"amount": 1e-8, "price": 0.01},
        "limits": {"amount": {"min": 5e-05}, "cost": {"min": 0.5}},
    } | other


class ListedClient:
    """The part of a client that the shared half uses."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.ahead_s = 0.0
        self.markets: dict[str, Any] = {}
        self.time_fails = False

    def set_markets(self, markets: list[dict[str, Any]]) -> None:
        self.markets = {row["symbol"]: row for row in markets}

    def fetch_time(self) -> float | None:
        return None if self.time_fails else (self.clock.moment.timestamp() + self.ahead_s) * 1000


class ListedVenue(CcxtVenue):
    """A venue whose answers a test lists; an Exception in the place of an answer is raised."""

    candles_per_page = 300
    timeframes = ("1h",)

    def __init__(
        self,
        *,
        copy: KeptCopy | None = None,
        own_fees: FeeSchedule | None = None,
        has_key: bool = True,
        allow_unknown_rights: bool = False,
    ) -> None:
        self.clock = HandClock()
        self.listed = ListedClient(self.clock)
        self.kept = copy if copy is not None else KeptCopy()
        self.answers: dict[str, Any] = {
            "markets": [market()],
            "fees": (D("0.001"), D("0.002")),
            "rights": MAY_TRADE,
            "balance": {"total": {"USD": "1000"}, "free": {"USD": "1000"}},
            "open": [],
            "tickers": {},
            "create": {"id": "V1"},
            "cancel": Accepted(venue_order_id="V1"),
            "found": None,
            "order": None,
            "fills": [],
            "probe": (True, "understood"),
        }
        self.asked: list[tuple[Any, ...]] = []
        self.bars: list[Candle] = []
        caller = Caller(
            account="kraken",
            client=self.listed,
            errors=ERRORS,
            secrets=[],
            definite=lambda text: "no" in text,
            pause=lambda _: None,
        )
        super().__init__(
            account="kraken",
            caller=caller,
            coins=("BTC", "ETH"),
            own_fees=own_fees,
            fallback_fees=WORST_FEES,
            copy=self.kept,
            now=self.clock.now,
            has_key=has_key,
            allow_unknown_rights=allow_unknown_rights,
        )

    def tell(self, name: str, *about: Any) -> Any:
        self.asked.append((name, *about))
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def times_asked(self, name: str) -> int:
        return sum(asked[0] == name for asked in self.asked)

    def wait(self, **span: float) -> None:
        self.clock.moment += timedelta(**span)

    def _fetch_markets(self) -> list[dict[str, Any]]:
        return list(self.tell("markets"))

    def _use_drift(self, drift_s: float) -> None:
        self.signs_behind_s = drift_s

    def _ask_fees(self) -> Any:
        return self.tell("fees")

    def _ask_rights(self) -> KeyRights | None:
        answer = self.tell("rights")
        assert answer is None or isinstance(answer, KeyRights)
        return answer

    def _fetch_balance(self) -> Mapping[str, Any]:
        return dict(self.tell("balance"))

    def _fetch_open_orders(self) -> Sequence[Mapping[str, Any]]:
        return list(self.tell("open"))

    def _fetch_tickers(self, symbols: Sequence[str]) -> dict[str, Ticker]:
        return dict(self.tell("tickers", *symbols))

    def _fetch_candles(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> list[Candle]:
        self.asked.append(("candles", since_ms, limit))
        return [bar for bar in self.bars if since_ms <= bar.open_ms < since_ms + limit * HOUR]

    def _create(self, order: Order) -> Mapping[str, Any]:
        return self.tell("create", order)  # type: ignore[no-any-return]  # a foreign body on purpose

    def _cancel(self, venue_order_id: str) -> Outcome:
        answer = self.tell("cancel", venue_order_id)
        assert isinstance(answer, Accepted | Rejected | Unknown)
        return answer

    def _find_by_client_id(self, order: Order) -> Mapping[str, Any] | None:
        return self.tell("found", order.client_order_id)  # type: ignore[no-any-return]

    def _fetch_order(self, venue_order_id: str, symbol: str) -> Mapping[str, Any] | None:
        return self.tell("order", venue_order_id)  # type: ignore[no-any-return]

    def _fetch_fills(self, since_ms: int) -> list[tuple[str, Fill]]:
        return [row for row in self.tell("fills", since_ms) if row[1].at.timestamp() * 1000 >= since_ms]

    def _probe_stop(self, instrument: Instrument, price: Any) -> tuple[bool, str]:
        told, words = self.tell("probe", instrument.symbol, price)
        return bool(told), str(words)

    # ---- what the tests ask for

    def ready(self) -> ListedVenue:
        self.instruments()
        self.check_key()
        self.asked.clear()
        return self


def ticker(price: str, venue: ListedVenue) -> dict[str, Ticker]:
    return {BTC: Ticker(symbol=BTC, bid=D(price), ask=D(price), last=D(price), at=venue.clock.moment)}


def structure(**other: Any) -> dict[str, Any]:
    """ccxt's order structure, as much as is read."""
    return {"id": "V1", "clientOrderId": "a", "symbol": BTC, "status": "open", "filled": "0", "amount": "1"} | other


# ---- markets


def test_markets_of_other_coins_quotes_and_kinds_are_dropped() -> None:
    venue = ListedVenue()
    future = market(spot=False, symbol="BTC/USD:USD")
    venue.answers["markets"] = [market(), market(quote="USDC"), market(quote="EUR"), market("DOGE"), future]
    assert list(venue.instruments()) == ["BTC/USD", "BTC/USDC"]
    assert list(venue.listed.markets) == ["BTC/USD", "BTC/USDC"]


def test_instrument_carries_the_rules_as_exact_decimals() -> None:
    venue = ListedVenue()
    venue.answers["markets"] = [market(active=False)]
    assert venue.instruments()[BTC] == Instrument(
        symbol=BTC,
        base="BTC",
        quote="USD",
        lot_step=D("0.00000001"),
        tick_size=D("0.01"),
        min_amount=D("0.00005"),
        min_cost=D("0.5"),
        is_open=False,
    )


def test_markets_are_copied_and_the_copy_serves_while_the_venue_is_silent() -> None:
    copy = KeptCopy()
    ListedVenue(copy=copy).instruments()
    assert [kept["symbol"] for kept in copy.markets] == [BTC]

    later = ListedVenue(copy=copy)
    later.answers["markets"] = NO_WAY
    assert list(later.instruments()) == [BTC]
    assert later.report(ask=False).markets_origin == "the copy of 2024-01-01T00:00:00+00:00"


def test_markets_without_answer_and_copy_are_a_venue_error() -> None:
    venue = ListedVenue()
    venue.answers["markets"] = NO_WAY
    with pytest.raises(VenueError, match="kraken: markets: NetworkError"):
        venue.instruments()


def test_markets_without_any_wanted_one_do_not_replace_the_copy() -> None:
    copy = KeptCopy(markets=[market()], at="yesterday")
    venue = ListedVenue(copy=copy)
    venue.answers["markets"] = [market("DOGE")]
    assert list(venue.instruments()) == [BTC]
    assert copy.at == "yesterday"


def test_market_missing_from_the_list_stays_closed_until_it_is_listed_again() -> None:
    copy = KeptCopy()
    venue = ListedVenue(copy=copy)
    venue.answers["markets"] = [market(), market("ETH")]
    venue.instruments()
    whole, venue.answers["markets"] = venue.answers["markets"], [market("ETH")]
    assert {symbol: one.is_open for symbol, one in venue.instruments().items()} == {"ETH/USD": True, BTC: False}
    assert {kept["symbol"] for kept in copy.markets} == {BTC, "ETH/USD"}

    later = ListedVenue(copy=copy)  # and after a start
    later.answers["markets"] = [market("ETH")]
    assert {symbol: one.is_open for symbol, one in later.instruments().items()} == {"ETH/USD": True, BTC: False}
    later.answers["markets"] = whole
    assert {symbol: one.is_open for symbol, one in later.instruments().items()} == {BTC: True, "ETH/USD": True}


def test_market_missing_from_the_list_stays_though_no_copy_can_be_kept() -> None:
    copy = KeptCopy()
    venue = ListedVenue(copy=copy)
    venue.answers["markets"] = [market(), market("ETH")]
    venue.instruments()
    copy.markets = []
    venue.answers["markets"] = [market("ETH")]
    assert {symbol: one.is_open for symbol, one in venue.instruments().items()} == {"ETH/USD": True, BTC: False}


def test_price_of_a_market_that_is_not_listed_any_more_is_asked_alone() -> None:
    venue = ListedVenue(copy=KeptCopy(markets=[market()], at="yesterday"))
    venue.answers["markets"] = [market("ETH")]
    venue.ready()
    venue.tickers()
    assert venue.asked == [("tickers", "ETH/USD"), ("tickers", BTC)]


def test_copy_of_a_coin_that_is_not_traded_any_more_is_no_market() -> None:
    venue = ListedVenue(copy=KeptCopy(markets=[market("DOGE")], at="yesterday"))
    venue.answers["markets"] = NO_WAY
    with pytest.raises(VenueError):
        venue.instruments()


def test_market_without_a_step_leaves_the_rules_as_they_were() -> None:
    venue = ListedVenue().ready()
    venue.answers["markets"] = [market("ETH"), market(precision={"amount": None, "price": 0.01})]
    assert list(venue.instruments()) == [BTC]  # the last good copy
    assert venue.report(ask=False).markets == (BTC,)


# ---- fees


def test_fees_are_the_accounts() -> None:
    fees = ListedVenue().fees()
    assert (fees.maker_frac, fees.taker_frac, fees.is_fallback) == (D("0.001"), D("0.002"), False)


@pytest.mark.parametrize(
    "answer",
    [NO_WAY, VenueError("empty"), (D("0.003"), D("0.002")), (D("-0.001"), D("0.002")), (D(0), D(1))],
    ids=["silent", "empty", "maker above taker", "negative", "everything"],
)
def test_fees_that_are_not_told_or_cannot_be_true_are_the_worst_published(answer: Any) -> None:
    venue = ListedVenue()
    venue.answers["fees"] = answer
    assert venue.fees() is WORST_FEES
    assert venue.report(ask=False).fee_is_fallback


def test_fees_set_by_the_user_are_not_asked_for() -> None:
    own = FeeSchedule(maker_frac=D(0), taker_frac=D("0.001"), origin="setting")
    venue = ListedVenue(own_fees=own)
    assert venue.fees() is own
    assert venue.times_asked("fees") == 0


def test_fees_without_a_key_are_the_worst_published() -> None:
    assert ListedVenue(has_key=False).fees() is WORST_FEES


# ---- balances


def test_balances_are_exact_and_assets_without_anything_are_left_out() -> None:
    venue = ListedVenue()
    venue.answers["balance"] = {"total": {"USD": 10.1, "BTC": "0.3", "ETH": 0}, "free": {"USD": 0.1, "BTC": "0.2"}}
    assert venue.balances() == {
        "USD": Balance(asset="USD", free=D("0.1"), used=D(10)),
        "BTC": Balance(asset="BTC", free=D("0.2"), used=D("0.1")),
    }


def test_balances_of_auto_earn_are_held_never_free() -> None:
    venue = ListedVenue()
    venue.answers["balance"] = {"total": {"USD.F": "5", "USD": "10", "BTC.F": "1"}, "free": {"USD.F": "5", "USD": "8"}}
    assert venue.balances() == {
        "USD": Balance(asset="USD", free=D(8), used=D(7)),  # 10 - 8 held, and 5 that earn
        "BTC": Balance(asset="BTC", free=D(0), used=D(1)),
    }


def test_balances_that_fail_are_no_empty_account() -> None:
    venue = ListedVenue()
    venue.answers["balance"] = VenueError("half")
    with pytest.raises(VenueError, match="half"):
        venue.balances()


def test_balances_empty_from_the_start_are_an_empty_account_and_after_some_no_answer() -> None:
    venue = ListedVenue()
    some, venue.answers["balance"] = venue.answers["balance"], {"total": {}, "free": {}}
    assert venue.balances() == {}
    venue.answers["balance"] = some
    assert venue.balances()
    venue.answers["balance"] = {"total": {}, "free": {}}
    with pytest.raises(VenueError, match="kraken: balances: the list is empty, and was not before"):
        venue.balances()
    venue.answers["balance"] = {"total": {"USD": D(0)}, "free": {"USD": D(0)}}  # told, and zero
    assert venue.balances() == {}


def test_assets_are_told_only_once_they_are_known() -> None:
    venue = ListedVenue()
    assert venue.report(ask=False).assets is None
    venue.answers["balance"] = {"total": {}, "free": {}}
    venue.balances()
    assert venue.report(ask=False).assets == {}


# ---- the key


def test_key_that_may_move_funds_is_refused_before_anything_is_asked_with_it() -> None:
    venue = ListedVenue()
    venue.answers["rights"] = KeyRights(allowed=("trade", "withdraw"), forbidden=("withdraw",), missing=())
    with pytest.raises(KeyRefusedError, match="the key may also: withdraw"):
        venue.balances()
    assert venue.times_asked("balance") == 0
    assert isinstance(venue.submit(make_order("limit buy", "1", price="90")), Rejected)
    assert venue.times_asked("create") == 0
    assert venue.report(ask=False).rights_problem == "the key may also: withdraw"


def test_key_without_the_right_to_trade_is_refused() -> None:
    venue = ListedVenue()
    venue.answers["rights"] = KeyRights(allowed=("view",), forbidden=(), missing=("trade",))
    with pytest.raises(KeyRefusedError, match="the key lacks: trade"):
        venue.check_key()


def test_key_of_unknown_rights_is_refused_unless_the_user_allows_it() -> None:
    venue = ListedVenue()
    venue.answers["rights"] = None
    with pytest.raises(KeyRefusedError, match="ALLOW_UNKNOWN_KEY_RIGHTS=True"):
        venue.check_key()
    allowed = ListedVenue(allow_unknown_rights=True)
    allowed.answers["rights"] = None
    assert allowed.balances()
    assert allowed.report(ask=False).rights_problem == "the venue does not say what the key may do"


def test_key_whose_venue_is_silent_is_neither_cleared_nor_refused() -> None:
    venue = ListedVenue()
    venue.instruments()
    venue.answers["rights"] = NO_WAY
    with pytest.raises(VenueError):
        venue.check_key()
    assert isinstance(venue.submit(make_order("limit buy", "1", price="90")), Rejected)
    venue.answers["rights"] = MAY_TRADE
    venue.check_key()
    assert isinstance(venue.submit(make_order("limit buy", "1", price="90")), Accepted)


def test_key_that_was_cleared_is_not_asked_about_again() -> None:
    venue = ListedVenue()
    venue.balances()
    venue.balances()
    assert venue.times_asked("rights") == 1


def test_venue_without_a_key_tells_prices_and_nothing_private() -> None:
    venue = ListedVenue(has_key=False)
    venue.answers["tickers"] = ticker("100", venue)
    assert BTC in venue.tickers()
    for ask in (venue.balances, venue.open_orders, lambda: venue.fills_since("")):
        with pytest.raises(VenueError, match="there is no key"):
            ask()
    assert venue.times_asked("rights") == 0


# ---- candles


def test_candles_come_in_pages_closed_ascending_and_the_newest_720_at_most() -> None:
    venue = ListedVenue().ready()
    venue.wait(hours=1000, minutes=30)
    start_ms = int(venue.clock.moment.timestamp() * 1000) // HOUR * HOUR - 1000 * HOUR
    venue.bars = [Candle(start_ms + hour * HOUR, 1, 1, 1, float(hour), 1) for hour in range(1001)]
    candles = venue.candles(BTC, "1h", 0)
    # The 1000th hour is still forming. 720 hours before the present, at the half hour, the 280th was under way.
    assert [candle.close for candle in candles] == [float(hour) for hour in range(281, 1000)]
    assert [(since - start_ms) // HOUR for _, since, _ in venue.asked] == [281, 581, 881]
    assert {limit for *_, limit in venue.asked} == {300}


def test_candle_that_closed_by_this_clock_but_not_by_the_venues_is_left_out() -> None:
    venue = ListedVenue()
    venue.listed.ahead_s = -10.0
    venue.ready()
    now_ms = int(venue.clock.moment.timestamp() * 1000)
    venue.wait(hours=1, seconds=5)  # at the venue: five seconds before the full hour
    venue.bars = [Candle(now_ms, 1, 1, 1, 1, 1)]
    assert venue.candles(BTC, "1h", now_ms) == []
    venue.wait(seconds=6)
    assert venue.candles(BTC, "1h", now_ms) == venue.bars


def test_drift_is_this_clock_less_the_venues() -> None:
    venue = ListedVenue()
    venue.listed.ahead_s = 3.0
    assert venue.measure_drift() == -3.0
    venue.listed.time_fails = True
    with pytest.raises(VenueError, match="kraken: time"):
        venue.measure_drift()


# ---- orders


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": ""}, "<html>", None])
def test_submit_answered_without_an_id_is_unknown(body: Any) -> None:
    venue = ListedVenue().ready()
    venue.answers["create"] = body
    assert isinstance(venue.submit(make_order("limit buy", "1", price="90")), Unknown)
    assert venue.times_asked("create") == 1


def test_submit_answered_with_an_id_is_accepted() -> None:
    venue = ListedVenue().ready()
    assert venue.submit(make_order("limit buy", "1", price="90")) == Accepted(venue_order_id="V1")


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("open", "0", OrderState.OPEN),
        ("open", "0.4", OrderState.PARTLY_FILLED),
        ("QUEUED", "0", OrderState.OPEN),
        (None, "0", OrderState.OPEN),
        ("closed", "1", OrderState.FILLED),
        ("closed", "0.4", OrderState.CANCELED),
        ("canceled", "0.4", OrderState.CANCELED),
        ("expired", "0", OrderState.CANCELED),
        ("rejected", "0", OrderState.CANCELED),
    ],
)
def test_status_of_an_order_that_is_no_known_end_is_live(status: str | None, filled: str, state: OrderState) -> None:
    venue = ListedVenue().ready()
    venue.answers["order"] = structure(status=status, filled=filled)
    report = venue.find_order(replace(make_order("limit buy", "1", price="90"), venue_order_id="V1"))
    assert report is not None
    assert (report.state, report.filled_quantity) == (state, D(filled))


def test_find_order_without_the_venues_id_looks_for_the_clients() -> None:
    venue = ListedVenue().ready()
    venue.answers["found"] = structure()
    report = venue.find_order(make_order("limit buy", "1", price="90"))
    assert report is not None
    assert (report.venue_order_id, report.client_order_id) == ("V1", "a")
    assert venue.asked == [("found", "a")]


def test_order_told_without_an_id_is_half_an_answer() -> None:
    venue = ListedVenue().ready()
    order = make_order("limit buy", "1", price="90")
    venue.answers["found"] = structure(id=None)
    with pytest.raises(VenueError, match="no id"):
        venue.find_order(order)
    venue.answers["open"] = [structure(id="")]
    with pytest.raises(VenueError, match="no id"):
        venue.open_orders()


def test_cancel_without_the_venues_id_looks_for_it_first() -> None:
    venue = ListedVenue().ready()
    order = make_order("limit buy", "1", price="90")
    assert isinstance(venue.cancel(order), Unknown)  # it may still be on its way
    assert venue.times_asked("cancel") == 0
    venue.answers["found"] = structure(id="V7")
    assert isinstance(venue.cancel(order), Accepted)
    assert venue.asked[-1] == ("cancel", "V7")


# ---- stops


def test_stop_is_probed_once_and_the_answer_is_kept() -> None:
    venue = ListedVenue().ready()
    venue.answers["tickers"] = ticker("100", venue)
    assert venue.stops_rest()
    assert venue.stops_rest()
    assert venue.times_asked("probe") == 1
    assert venue.report(ask=False).stops_about == "understood"


@pytest.mark.parametrize("broken", ["tickers", "probe"])
def test_stop_that_could_not_be_probed_is_watched_and_probed_again_after_ten_minutes(broken: str) -> None:
    venue = ListedVenue().ready()
    venue.answers["tickers"] = ticker("100", venue)
    whole, venue.answers[broken] = venue.answers[broken], VenueError("unclear")
    assert not venue.stops_rest()
    assert venue.report(ask=False).stops_rest is None
    venue.answers[broken] = whole
    venue.wait(minutes=9)
    assert not venue.stops_rest()
    venue.wait(minutes=1)
    assert venue.stops_rest()


def test_stop_rejected_as_unsupported_ends_the_resting_of_stops() -> None:
    venue = ListedVenue().ready()
    venue.answers["tickers"] = ticker("100", venue)
    assert venue.stops_rest()
    venue.answers["create"] = ERRORS.InvalidOrder("UNSUPPORTED_ORDER_CONFIGURATION")
    venue.submit(make_order("limit sell", "1", price="90"))
    assert venue.stops_rest()
    venue.submit(make_order("stop sell", "1", stop="90"))
    assert not venue.stops_rest()


# ---- fills


def fill(number: int, at: datetime, *, order_id: str = "V1") -> tuple[str, Fill]:
    return order_id, Fill(
        fill_id=f"f{number}",
        account="kraken",
        symbol=BTC,
        client_order_id="",
        side=Side.BUY,
        quantity=D(1),
        price=D(100),
        fee=D("0.1"),
        liquidity=Liquidity.TAKER,
        at=at,
    )


def test_fills_come_oldest_first_with_the_clients_id_and_each_once() -> None:
    venue = ListedVenue().ready()
    venue.submit(make_order("limit buy", "1", price="90"))
    now = venue.clock.moment
    venue.answers["fills"] = [fill(2, now), fill(1, now - timedelta(seconds=5))]
    fills, cursor = venue.fills_since("")
    assert [(told.fill_id, told.client_order_id) for told in fills] == [("f1", "a"), ("f2", "a")]
    assert venue.times_asked("order") == 0  # its own order needs no question
    again, same = venue.fills_since(cursor)
    assert (list(again), same) == ([], cursor)


def test_fill_that_appears_late_before_a_newer_one_is_not_missed() -> None:
    venue = ListedVenue().ready()
    venue.submit(make_order("limit buy", "1", price="90"))
    now = venue.clock.moment
    venue.answers["fills"] = [fill(2, now)]
    _, cursor = venue.fills_since("")
    venue.answers["fills"] = [fill(2, now), fill(1, now - timedelta(minutes=9))]
    late, _ = venue.fills_since(cursor)
    assert [told.fill_id for told in late] == ["f1"]


def test_fills_are_asked_for_only_where_one_is_possible() -> None:
    venue = ListedVenue().ready()
    _, cursor = venue.fills_since("")
    assert venue.times_asked("fills") == 1  # after a start
    venue.wait(minutes=10)
    venue.fills_since(cursor)
    assert venue.times_asked("fills") == 1
    venue.balances()  # seen for the first time
    venue.fills_since(cursor)
    assert venue.times_asked("fills") == 2
    venue.wait(minutes=10)
    venue.balances()
    venue.fills_since(cursor)
    assert venue.times_asked("fills") == 2
    venue.answers["balance"] = {"total": {"USD": "900", "BTC": "1"}, "free": {"USD": "900", "BTC": "1"}}
    venue.balances()
    venue.fills_since(cursor)
    assert venue.times_asked("fills") == 3
    venue.wait(minutes=10)
    venue.submit(make_order("limit buy", "1", price="90"))
    venue.fills_since(cursor)
    assert venue.times_asked("fills") == 4


def test_fills_listed_late_are_asked_for_while_the_order_is_asked_about() -> None:
    venue = ListedVenue().ready()
    order = replace(make_order("limit buy", "1", price="90"), venue_order_id="V1")
    _, cursor = venue.fills_since("")
    venue.answers["order"] = structure(status="closed", filled="1")
    for _ in range(3):
        venue.wait(minutes=11)
        venue.find_order(order)  # which the engine does in each cycle, until the fill has come
        fills, cursor = venue.fills_since(cursor)
        assert list(fills) == []
    assert venue.times_asked("fills") == 4
    venue.answers["fills"] = [fill(1, venue.clock.moment - timedelta(minutes=33))]
    venue.find_order(order)
    assert [told.fill_id for told in venue.fills_since(cursor)[0]] == ["f1"]


def test_fills_after_a_failed_question_are_asked_for_again() -> None:
    venue = ListedVenue().ready()
    venue.answers["fills"] = NO_WAY
    with pytest.raises(VenueError):
        venue.fills_since("")
    venue.wait(minutes=11)
    venue.answers["fills"] = [fill(1, venue.clock.moment)]
    venue.answers["order"] = structure(clientOrderId="b")
    fills, _ = venue.fills_since('{"ms":0,"ids":[]}')
    assert [told.client_order_id for told in fills] == ["b"]


def test_fill_of_an_order_that_is_not_listed_yet_is_asked_for_again_not_given_away() -> None:
    venue = ListedVenue().ready()
    venue.answers["fills"] = [fill(1, venue.clock.moment)]
    with pytest.raises(VenueError, match="V1 is not listed yet"):
        venue.fills_since("")
    venue.answers["order"] = structure(clientOrderId="mine")
    fills, _ = venue.fills_since("")
    assert [told.client_order_id for told in fills] == ["mine"]


def test_old_fill_of_an_order_that_nobody_lists_is_somebody_elses() -> None:
    venue = ListedVenue().ready()
    venue.answers["fills"] = [fill(1, venue.clock.moment - timedelta(minutes=10))]
    fills, _ = venue.fills_since("")
    assert [told.client_order_id for told in fills] == [""]


def test_fills_of_many_foreign_orders_are_learnt_over_several_calls_without_a_gap() -> None:
    venue = ListedVenue().ready()
    start = venue.clock.moment - timedelta(minutes=50)
    venue.answers["fills"] = [fill(n, start + timedelta(minutes=n), order_id=f"X{n}") for n in range(45)]
    venue.answers["order"] = structure(clientOrderId="")
    told: list[str] = []
    cursor, sizes = "", []
    for _ in range(4):
        fills, cursor = venue.fills_since(cursor)
        venue.wait(minutes=9)  # ten minutes after the start they are still looked for
        sizes.append(len(fills))
        told += [one.fill_id for one in fills]
    assert sizes == [20, 20, 5, 0]
    assert told == [f"f{n}" for n in range(45)]


# ---- the cursor by itself

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def test_cursor_of_a_new_account_looks_back_an_hour() -> None:
    assert read_cursor("kraken", "", NOW) == (milliseconds(NOW - timedelta(hours=1)), frozenset())


def test_cursor_starts_ten_minutes_before_the_newest_fill_and_knows_those() -> None:
    told = [fill(n, NOW - timedelta(minutes=n))[1] for n in (0, 9, 11)]
    cursor = new_cursor("", told, told, frozenset(), NOW)
    assert read_cursor("kraken", cursor, NOW) == (milliseconds(NOW - timedelta(minutes=10)), frozenset({"f0", "f9"}))


def test_cursor_keeps_what_was_known_and_does_not_name_what_was_not_returned() -> None:
    known, new, later = (fill(n, NOW + timedelta(minutes=n))[1] for n in (0, 1, 2))
    before = new_cursor("", [known], [known], frozenset(), NOW)
    cursor = new_cursor(before, [known, new, later], [new], frozenset({"f0"}), NOW)
    assert json.loads(cursor) == {"ms": milliseconds(new.at), "ids": ["f0", "f1"]}


def test_cursor_of_a_quiet_account_stays_where_it_is() -> None:
    old = new_cursor("", [], [], frozenset(), NOW)
    assert json.loads(old)["ms"] == milliseconds(NOW - timedelta(hours=1))
    assert new_cursor(old, [], [], frozenset(), NOW + timedelta(days=3)) == old


def test_cursor_of_a_clock_that_ran_ahead_hides_no_fill() -> None:
    ahead = new_cursor("", [], [], frozenset(), NOW + timedelta(days=365))
    assert read_cursor("kraken", ahead, NOW) == (milliseconds(NOW - timedelta(minutes=10)), frozenset())
    fresh = fill(1, NOW + timedelta(minutes=1))[1]
    after = new_cursor(ahead, [fresh], [fresh], frozenset(), NOW + timedelta(minutes=2))
    # 1 minute after NOW or the 2 minutes that the clock shows now, whichever is later
    assert json.loads(after)["ms"] == milliseconds(NOW + timedelta(minutes=2))


def test_cursor_asked_deeply_looks_back_a_day() -> None:
    cursor = new_cursor("", [told := fill(0, NOW)[1]], [told], frozenset(), NOW)
    assert read_cursor("kraken", cursor, NOW, deep=True)[0] == milliseconds(NOW - timedelta(days=1))


@pytest.mark.parametrize("cursor", ["7", "[]", '{"ms":"x","ids":[]}', '{"ms":1}', "nonsense"])
def test_cursor_that_is_none_of_ours_is_a_venue_error(cursor: str) -> None:
    with pytest.raises(VenueError, match="kraken: fills cursor"):
        read_cursor("kraken", cursor, NOW)


# ---- numbers


@pytest.mark.parametrize("value", [None, "", "abc", "NaN", "Infinity", float("nan"), [1]])
def test_number_that_is_none_is_a_venue_error(value: object) -> None:
    with pytest.raises(VenueError, match="a number was expected"):
        decimal_of(value)


def test_number_is_read_as_its_text_says() -> None:
    assert str(decimal_of("0.10")) == "0.10"
    assert decimal_of(1e-08) == D("0.00000001")


# ---- the report


def test_report_tells_what_was_asked_now() -> None:
    venue = ListedVenue()
    venue.answers["tickers"] = ticker("100", venue)
    report = venue.report()
    assert (report.problem, report.clock_drift_s, report.has_key, report.rights) == ("", 0.0, True, ("trade",))
    assert (report.assets, report.markets, report.markets_origin) == ({"USD": "1000"}, (BTC,), "the venue")
    assert (report.maker_pct, report.taker_pct, report.fee_origin) == (0.1, 0.2, "the account")
    assert report.stops_rest is True


def test_report_of_a_silent_venue_says_so_and_keeps_what_is_known() -> None:
    venue = ListedVenue()
    venue.balances()
    venue.answers["balance"] = NO_WAY
    report = venue.report()
    assert report.problem == "kraken: balances: NetworkError: no way there"
    assert report.assets == {"USD": "1000"}


def test_report_without_asking_asks_nothing() -> None:
    venue = ListedVenue()
    assert venue.report(ask=False).rights == ()
    assert venue.asked == []
