"""The same coins simply held, by hand; and the small compiled forms against the plain ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from backtest_cases import CASES

from bot.backtest.bootstrap import Histories, resample
from bot.backtest.compare import hold_equities
from bot.backtest.compiled import compiled
from bot.backtest.course import held_of
from bot.backtest.layout import PRICE_UNITS, Market, Terms
from bot.backtest.market import Kit, market_of
from bot.backtest.paths import crossed
from bot.backtest.result import hold_return, matched_hold
from bot.bootstrap_backtest import prepared_as
from bot.domain.market import MS_PER_DAY, Candle
from bot.storage.candle_reader import CandleSeries

START_MS = 1_717_200_000_000
BAR_MS = MS_PER_DAY // 4


def series(first: int, opening: float, *closes: float) -> CandleSeries:
    """Bars of six hours, each open at the close before."""
    made = CandleSeries("6h")
    for place, close in enumerate(closes, start=first):
        low, high = min(opening, close), max(opening, close)
        made.append(Candle(START_MS + place * BAR_MS, opening, high, low, close, 1.0))
        opening = close
    return made


def market(**coins: CandleSeries) -> Market:
    return market_of(
        coins,
        bar_ms=BAR_MS,
        start_ms=START_MS,
        end_ms=START_MS + 9 * BAR_MS,
        offset_ms=60_000,
        tick_cents=[1] * len(coins),
        half_spread=0,
        kit=Kit(compiled=False),
    )


UP = series(0, 100.0, 105.0, 110.0, 115.0, 120.0, 110.0, 90.0, 80.0, 60.0, 90.0)
"""+20 % on the first day, -50 % on the second, +50 % in the quarter that is left: 0.9 in all."""
LATER = series(4, 10.0, 12.0, 15.0, 18.0, 20.0, 20.0)
"""No price on the first day; what it rises on its own first day nobody could have held from the day before."""


SAME_DAY = series(3, 10.0, 12.0, 15.0, 18.0, 20.0, 20.0, 20.0)


@pytest.fixture
def terms(tmp_path: Path) -> Terms:
    case = CASES["allocation"]
    settings, data = case.found(tmp_path), case.data()
    config = case.config(settings, data)
    ready = prepared_as(config, settings, data=data, account="kraken", equity=settings.paper_equity, compiled=False)
    return ready.terms._replace(half_spread=0, taker=0.01)


def test_held_share_is_set_anew_each_day() -> None:
    assert market(BTC=UP).opens[0] == 100 * PRICE_UNITS
    assert matched_hold(market(BTC=UP), 1.0) == pytest.approx(1.2 * 0.5 * 1.5 - 1)
    assert matched_hold(market(BTC=UP), 0.1) == pytest.approx(1.02 * 0.95 * 1.05 - 1)
    assert matched_hold(market(BTC=UP), 0.0) == 0.0


def test_coin_that_comes_later_is_held_from_then_on() -> None:
    assert matched_hold(market(BTC=UP, SOL=LATER), 1.0) == pytest.approx(1.2 * 0.5 * (1 + (0.5 + 0.0) / 2) - 1)


def test_holding_all_pays_both_fees(terms: Terms) -> None:
    btc, eth = 90 * 0.99 / (100 * 1.01) - 1, 20 * 0.99 / (10 * 1.01) - 1
    assert hold_return(market(BTC=UP), terms) == pytest.approx(btc)
    assert hold_return(market(BTC=UP, ETH=SAME_DAY), terms) == pytest.approx((btc + eth) / 2)


def test_holding_all_buys_what_there_is_at_the_start(terms: Terms) -> None:
    """As the receipt does: nobody keeps a third in cash for a coin that does not exist yet."""
    assert hold_return(market(BTC=UP, SOL=LATER), terms) == hold_return(market(BTC=UP), terms)
    assert hold_equities(market(BTC=UP, SOL=LATER), terms, 2) == hold_equities(market(BTC=UP), terms, 2)
    both = held_of(market(BTC=UP, SOL=LATER), terms, 0.5)
    assert both.all_of_it == held_of(market(BTC=UP), terms, 0.5).all_of_it
    assert both.all_of_it[-1] - 1 == pytest.approx(hold_return(market(BTC=UP, SOL=LATER), terms))


def test_histories_are_the_same_in_both_forms() -> None:
    changes, found = [0.03, -0.02, 0.01, -0.04], []
    for is_compiled in (False, True):
        kit = Kit(compiled=is_compiled)
        draw: Any = compiled(resample) if is_compiled else resample
        rows = Histories(*(kit.floats(20) for _ in Histories._fields))
        draw(kit.float_row(changes), 4, 30, 5.0, 3, rows, kit.floats(30))
        found.append([list(row) for row in rows])
    assert found[0] == found[1]


def test_compiles_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service without a home of its own."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [compiled(crossed)(value, 2.0, 0.5) for value in (2.0, 1.0, 0.5)] == [1, 0, -1]
