from __future__ import annotations

import pytest
from venue_helpers import BTC, HOUR, T0_MS, bar

from bot.domain.errors import VenueError
from bot.domain.market import MS_PER_DAY, Candle
from bot.storage.candle_reader import CandleSeries
from bot.venues.candle_feed import CandleFeed


def series(timeframe: str, *candles: Candle) -> CandleSeries:
    made = CandleSeries(timeframe)
    for candle in candles:
        made.append(candle)
    return made


# Hours 0, 1 and 3 of a day (hour 2 is a gap), and two whole days.
HOURS = [bar(100, 101, 99, 100.5, hour=0), bar(110, 111, 109, 110.5, hour=1), bar(130, 131, 129, 130.5, hour=3)]
DAYS = [bar(100, 140, 90, 135, hour=0), bar(135, 150, 130, 145, hour=24)]
FEED = CandleFeed(execution={BTC: series("1h", *HOURS)}, daily={BTC: series("1d", *DAYS)})


@pytest.mark.parametrize(
    ("after_hour", "now_hour", "expected"),
    [(0, 0.99, []), (0, 1, [0]), (1, 1, []), (0, 2, [0, 1]), (1, 9, [1, 2]), (-5, 2.5, [0, 1]), (4, 9, [])],
)
def test_bars_are_those_that_end_after_and_up_to_now(after_hour: float, now_hour: float, expected: list[int]) -> None:
    found = FEED.bars(BTC, T0_MS + int(after_hour * HOUR), T0_MS + int(now_hour * HOUR))
    assert found == [HOURS[place] for place in expected]


@pytest.mark.parametrize(
    ("hour", "expected"),
    [(-0.1, None), (0, (100.0, 0)), (0.99, (100.0, 0)), (1, (110.0, 1)), (2, None), (2.9, None), (3.5, (130.0, 3))],
)
def test_opening_is_that_of_the_bar_that_contains_now(hour: float, expected: tuple[float, int] | None) -> None:
    found = FEED.opening(BTC, T0_MS + int(hour * HOUR))
    assert found == (None if expected is None else (expected[0], T0_MS + expected[1] * HOUR))


def test_daily_candles_open_at_or_after_since_and_are_closed() -> None:
    end = T0_MS + 2 * MS_PER_DAY
    assert FEED.closed_candles(BTC, "1d", T0_MS, end) == DAYS
    assert FEED.closed_candles(BTC, "1d", T0_MS, end - 1) == DAYS[:1]
    assert FEED.closed_candles(BTC, "1d", T0_MS + 1, end) == DAYS[1:]
    assert FEED.closed_candles(BTC, "1h", T0_MS + HOUR, end) == HOURS[1:]


def test_unknown_symbol_or_timeframe_is_named_with_the_known_ones() -> None:
    assert FEED.bar_ms == HOUR
    with pytest.raises(VenueError, match="no candles for SOL/USD: there are BTC/USD"):
        FEED.opening("SOL/USD", T0_MS)
    with pytest.raises(VenueError, match="no 4h candles here, only 1h and 1d"):
        FEED.closed_candles(BTC, "4h", 0, T0_MS)
