"""The rest of the world at both venues: no money after fees, closed markets and venues, limits of the rate, clocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from coinbase_venue_rig import CoinbaseBench, coinbase_bench
from http_shell import Fault, FaultKind
from kraken_venue_rig import KrakenBench, SystemStatus, complaint, kraken_bench
from venue_contract import new_order, sent
from venue_helpers import BTC, D
from wire import Reply, json_reply

from bot.domain.errors import VenueError
from bot.domain.orders import OrderState
from bot.ports import Accepted, Rejected, Unknown

DOWN = Fault(FaultKind.REPLY, Reply(503, b"<html>We are down for maintenance</html>", "text/html"))
TOO_MANY = Fault(FaultKind.REPLY, Reply(429, b"Too Many Requests", "text/plain"))


@pytest.fixture
def kraken() -> Iterator[KrakenBench]:
    with kraken_bench() as bench:
        bench.ready()
        yield bench


@pytest.fixture
def coinbase() -> Iterator[CoinbaseBench]:
    with coinbase_bench() as bench:
        yield bench


Bench = KrakenBench | CoinbaseBench


@pytest.fixture(params=["coinbase", "kraken"])
def either(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


# ---- money


def test_order_that_has_the_money_but_not_the_fee_is_rejected_and_holds_nothing(either: Bench) -> None:
    """1,000 USD buy 10 at 100 to the cent, and no fee is left."""
    outcome = either.venue.submit(new_order(either, "limit buy", "11.1", price="90"))  # 999 USD, and at least 0.2 %
    assert isinstance(outcome, Rejected)
    assert "funds" in outcome.reason.lower() or "FUND" in outcome.reason
    assert either.venue.open_orders() == []
    balance = either.venue.balances()["USD"]
    assert (balance.free, balance.used) == (D(1000), D(0))
    assert isinstance(either.venue.submit(new_order(either, "limit buy", "10.5", price="90", name="b")), Accepted)


# ---- markets and venues that close


def test_kraken_that_only_takes_cancellations_takes_no_order_and_lets_one_go(kraken: KrakenBench) -> None:
    resting = sent(kraken, new_order(kraken, "limit buy", "1", price="90"))
    kraken.core.status = SystemStatus.CANCEL_ONLY
    refused = kraken.venue.submit(new_order(kraken, "limit buy", "1", price="80", name="b"))
    assert isinstance(refused, Rejected)
    assert "Market in cancel_only mode" in refused.reason
    assert [report.state for report in kraken.venue.open_orders()] == [OrderState.OPEN]
    assert isinstance(kraken.venue.cancel(resting), Accepted)
    assert kraken.venue.open_orders() == []


def test_kraken_in_maintenance_is_silent_and_comes_back_with_everything(kraken: KrakenBench) -> None:
    resting = sent(kraken, new_order(kraken, "limit buy", "1", price="90"))
    kraken.core.status = SystemStatus.MAINTENANCE
    for ask in (kraken.venue.balances, kraken.venue.open_orders, lambda: kraken.venue.find_order(resting)):
        with pytest.raises(VenueError, match="EService:Unavailable"):
            ask()
    assert isinstance(kraken.venue.submit(new_order(kraken, "limit buy", "1", price="80", name="b")), Unknown)
    assert isinstance(kraken.venue.cancel(resting), Unknown)  # it may rest
    kraken.core.status = SystemStatus.ONLINE
    assert [report.venue_order_id for report in kraken.venue.open_orders()] == [resting.venue_order_id]
    assert kraken.venue.balances()["USD"].total == 1000


def test_coinbase_in_maintenance_is_asked_three_times_and_silent(coinbase: CoinbaseBench) -> None:
    coinbase.server.inject("*/accounts", DOWN, count=3)
    with pytest.raises(VenueError, match="coinbase: balances: ExchangeNotAvailable"):
        coinbase.venue.balances()
    assert len(coinbase.pauses) == 2
    assert coinbase.venue.balances()["USD"].total == 1000  # the next cycle


def test_coinbase_product_that_only_takes_cancellations_rejects_in_words(coinbase: CoinbaseBench) -> None:
    order = new_order(coinbase, "limit buy", "0.5", price="90")
    resting = sent(coinbase, order)
    coinbase.core.products["BTC-USD"] = replace(coinbase.core.products["BTC-USD"], flag="cancel_only")
    refused = coinbase.venue.submit(new_order(coinbase, "limit buy", "0.5", price="80", name="b"))
    assert isinstance(refused, Rejected), refused
    assert isinstance(coinbase.venue.cancel(resting), Accepted)
    assert coinbase.venue.open_orders() == []


# ---- limits of the rate


def test_coinbase_that_is_asked_too_often_is_left_alone_until_the_next_cycle(coinbase: CoinbaseBench) -> None:
    coinbase.server.inject("*/accounts", TOO_MANY)
    with pytest.raises(VenueError, match="RateLimitExceeded"):
        coinbase.venue.balances()
    assert coinbase.pauses == []  # not asked again at once
    assert coinbase.venue.balances()["USD"].total == 1000


def test_order_refused_for_the_rate_is_rejected_and_may_be_sent_again_under_its_id(coinbase: CoinbaseBench) -> None:
    order = new_order(coinbase, "limit buy", "0.5", price="90")
    coinbase.server.inject("*/brokerage/orders", TOO_MANY)
    assert isinstance(coinbase.venue.submit(order), Rejected)
    assert coinbase.venue.find_order(order) is None
    assert isinstance(coinbase.venue.submit(order), Accepted)
    assert len(coinbase.account.live_orders()) == 1


def test_kraken_lockout_during_a_cancellation_leaves_the_order_known_and_cancels_later(kraken: KrakenBench) -> None:
    resting = sent(kraken, new_order(kraken, "limit buy", "1", price="90"))
    kraken.server.inject("*/CancelOrder", complaint("EGeneral:Temporary lockout"))
    assert isinstance(kraken.venue.cancel(resting), Unknown)
    assert isinstance(kraken.venue.cancel(resting), Unknown)  # not sent: the venue wants to be left alone
    assert kraken.sent_to("CancelOrder") == 1
    kraken.clock.advance(timedelta(seconds=15))
    assert [report.state for report in kraken.venue.open_orders()] == [OrderState.OPEN]
    assert isinstance(kraken.venue.cancel(resting), Accepted)
    assert kraken.venue.open_orders() == []


# ---- clocks


def test_kraken_clock_put_back_while_it_runs_is_heard_all_the_same(
    kraken: KrakenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests are numbered by the time, and no number may be below the last one."""
    right = kraken.client.milliseconds()
    monkeypatch.setattr(kraken.client, "milliseconds", lambda: right + 60_000)
    assert kraken.venue.balances()["USD"].total == 1000
    monkeypatch.setattr(kraken.client, "milliseconds", lambda: right + 10_000)
    for _ in range(3):
        assert kraken.venue.balances()["USD"].total == 1000
    assert isinstance(kraken.venue.submit(new_order(kraken, "limit buy", "1", price="90")), Accepted)


@pytest.mark.parametrize("hours", [-1, 1])
def test_coinbase_with_a_clock_an_hour_off_is_silent_and_places_nothing(
    coinbase: CoinbaseBench, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A signed request lives for two minutes."""
    off = coinbase.now() + timedelta(hours=hours)
    monkeypatch.setattr(coinbase.open_clients[-1], "seconds", lambda: int(off.timestamp()))
    with pytest.raises(VenueError, match="AuthenticationError"):
        coinbase.venue.balances()
    assert isinstance(coinbase.venue.submit(new_order(coinbase, "limit buy", "0.5", price="90")), Rejected)
    assert coinbase.account.live_orders() == []
    monkeypatch.undo()
    assert coinbase.venue.balances()["USD"].total == 1000
    assert coinbase.venue.tickers()[BTC].bid == D("99.95")


def test_coinbase_with_a_clock_a_minute_off_goes_on(coinbase: CoinbaseBench, monkeypatch: pytest.MonkeyPatch) -> None:
    off = coinbase.now() - timedelta(seconds=60)
    monkeypatch.setattr(coinbase.open_clients[-1], "seconds", lambda: int(off.timestamp()))
    assert coinbase.venue.balances()["USD"].total == 1000


def test_error_of_a_venue_is_one_line_of_bounded_length(coinbase: CoinbaseBench) -> None:
    page = Fault(FaultKind.REPLY, Reply(503, b"<html>\n" + b"down " * 10_000, "text/html"))
    coinbase.server.inject("*/accounts", page, count=3)
    with pytest.raises(VenueError) as silent:
        coinbase.venue.balances()
    assert "\n" not in str(silent.value)
    assert len(str(silent.value)) < 400
    coinbase.server.inject("*/accounts", Fault(FaultKind.REPLY, json_reply({"accounts": 7})), count=3)
    with pytest.raises(VenueError):
        coinbase.venue.balances()
