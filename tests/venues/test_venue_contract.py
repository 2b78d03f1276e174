"""The paper venue keeps what every venue promises, on bars that step and on live prices."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from venue_contract import CONTRACT, Promise, VenueBench
from venue_helpers import (
    BTC,
    FEES,
    HALF_SPREAD,
    D,
    FakePrices,
    HandClock,
    ListedFeed,
    bar,
    later,
    new_core,
)

from bot.ports import Venue
from bot.venues.feeds import PriceFeed
from bot.venues.live_feed import LiveFeed
from bot.venues.paper import PaperVenue
from bot.venues.rules import paper_instruments

MINUTE = timedelta(minutes=1)


class PaperBench:
    """A paper account with 1,000 USD, a minute after the full hour, on a feed that a subclass moves."""

    def __init__(self, account: str, feed: PriceFeed) -> None:
        self.clock = HandClock()
        self.clock.moment = later(0) + MINUTE
        self.feed = feed
        self.hour = 0
        self.stored: dict[str, Any] = {}
        core = new_core("1000", price=None, account=account)
        self.venue = PaperVenue(core=core, feed=feed, clock=self.clock, store=self.keep)

    def keep(self, state: dict[str, object]) -> None:
        self.stored = json.loads(json.dumps(state))

    def now(self) -> datetime:
        return self.clock.now()

    def restarted(self) -> Venue:
        account = self.venue.account
        return PaperVenue.from_state(
            self.stored,
            account=account,
            instruments=paper_instruments(account),
            fees=FEES,
            half_spread_frac=HALF_SPREAD,
            feed=self.feed,
            clock=self.clock,
            store=self.keep,
        )


class SteppingBench(PaperBench):
    """On hourly bars: a price is told by the bar that opens with it."""

    def __init__(self, account: str) -> None:
        self.listed = ListedFeed(BTC=[bar(100, 100, 100, 100)], ETH=[], SOL=[])
        super().__init__(account, self.listed)

    def trade_at(self, price: str) -> None:
        self.hour += 1
        self.listed.of[BTC].append(bar(*[float(price)] * 4, hour=self.hour))
        self.clock.moment = later(self.hour) + MINUTE

    def hours_at(self, *prices: str) -> None:
        for price in [*prices, prices[-1]]:
            self.trade_at(price)


class LiveBench(PaperBench):
    """On what a fake exchange tells everybody."""

    def __init__(self, account: str) -> None:
        self.prices = FakePrices(account)
        self.prices.quote(BTC, "99.9", "100.1", "100", later(0) + MINUTE)
        super().__init__(account, LiveFeed(self.prices))

    def trade_at(self, price: str) -> None:
        self.clock.moment += MINUTE
        tick = D("0.1")
        self.prices.quote(BTC, str(D(price) - tick), str(D(price) + tick), price, self.clock.moment)

    def hours_at(self, *prices: str) -> None:
        for price in prices:
            self.hour += 1
            self.prices.add(BTC, "1h", bar(*[float(price)] * 4, hour=self.hour))
        self.clock.moment = later(self.hour + 1) + MINUTE
        self.trade_at(prices[-1])


@pytest.fixture(params=["coinbase", "kraken"])
def account(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[SteppingBench, LiveBench], ids=["stepping", "live"])
def bench(request: pytest.FixtureRequest, account: str) -> VenueBench:
    make: Callable[[str], VenueBench] = request.param
    return make(account)


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_paper_venue_keeps(promise: Promise, bench: VenueBench) -> None:
    promise(bench)
