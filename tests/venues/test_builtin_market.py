from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from bot.domain.errors import VenueError
from bot.domain.market import MS_PER_DAY, Candle
from bot.venues.builtin_market import HISTORY_DAYS, HOUR_MS, HOURS_KEPT, BuiltinMarket

START = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
START_MS = int(START.timestamp()) * 1000
SYMBOLS = ("BTC/USD", "ETH/USD", "SOL/USD")
SEEDS = (1, 2, 3)


def market(seed: int = 1) -> BuiltinMarket:
    return BuiltinMarket(seed=seed, start=START)


def daily_moves(candles: list[Candle]) -> list[float]:
    return [math.log(after.close / before.close) for before, after in pairwise(candles)]


def test_same_seed_and_start_give_the_same_prices_and_another_seed_others() -> None:
    def closes(seed: int) -> list[float]:
        return [candle.close for candle in market(seed).closed_candles("SOL/USD", "1d", 0, START_MS)]

    assert closes(7) == closes(7)
    assert closes(7) != closes(8)


def test_generated_in_steps_equals_generated_at_once() -> None:
    until = START_MS + 40 * MS_PER_DAY
    in_steps, at_once = market(), market()
    for moment in range(START_MS, until, 7 * HOUR_MS + 1234):
        in_steps.opening("ETH/USD", moment)
    for symbol in SYMBOLS:
        for timeframe in ("1h", "1d"):
            assert in_steps.closed_candles(symbol, timeframe, 0, until) == at_once.closed_candles(
                symbol, timeframe, 0, until
            )


def test_history_before_the_start_is_whole_days_at_realistic_prices() -> None:
    for symbol, low, high in (("BTC/USD", 10_000, 300_000), ("ETH/USD", 500, 20_000), ("SOL/USD", 20, 1_500)):
        days = market().closed_candles(symbol, "1d", 0, START_MS)
        assert len(days) == HISTORY_DAYS >= 400
        # the start is cut to its day: the last closed day ends there
        assert days[-1].open_ms + MS_PER_DAY == START_MS - START_MS % MS_PER_DAY
        assert all(low < day.close < high for day in days)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_bar_is_valid_and_follows_the_one_before(seed: int) -> None:
    made = market(seed)
    for symbol in SYMBOLS:
        for timeframe, length in (("1h", HOUR_MS), ("1d", MS_PER_DAY)):
            bars = made.closed_candles(symbol, timeframe, 0, START_MS)
            for bar in bars:
                assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
                assert bar.volume > 0
            for before, after in pairwise(bars):
                assert (after.open_ms, after.open) == (before.open_ms + length, before.close)


def test_day_is_made_of_its_hours() -> None:
    made = market()
    day = made.closed_candles("BTC/USD", "1d", 0, START_MS)[-1]
    hours = made.bars("BTC/USD", day.open_ms, day.open_ms + MS_PER_DAY)
    assert len(hours) == 24
    assert (day.open, day.close) == (hours[0].open, hours[-1].close)
    assert (day.high, day.low) == (max(h.high for h in hours), min(h.low for h in hours))


@pytest.mark.parametrize("seed", SEEDS)
def test_coins_move_together_and_as_wildly_as_the_real_ones(seed: int) -> None:
    made = market(seed)
    until = START_MS + 365 * MS_PER_DAY
    moves = {symbol: daily_moves(made.closed_candles(symbol, "1d", 0, until)) for symbol in SYMBOLS}
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert 0.6 < statistics.correlation(moves[SYMBOLS[one]], moves[SYMBOLS[other]]) < 0.95
    for symbol in SYMBOLS:
        assert 0.4 < statistics.stdev(moves[symbol]) * math.sqrt(365) < 1.1


def test_volatility_changes_with_time() -> None:
    moves = daily_moves(market().closed_candles("BTC/USD", "1d", 0, START_MS + 700 * MS_PER_DAY))
    months = [statistics.stdev(moves[at : at + 30]) for at in range(0, len(moves) - 30, 30)]
    # with constant volatility the spread of 30-day estimates would be about 13 %: 1 / sqrt(2 * 30)
    assert statistics.stdev(months) / statistics.mean(months) > 0.2


def test_opening_is_the_open_of_the_hour_and_tells_nothing_of_its_rest() -> None:
    made = market()
    # 09:30 lies in the hour from 09:00
    assert made.opening("BTC/USD", START_MS) == made.opening("BTC/USD", START_MS + 1)
    price, at_ms = made.opening("BTC/USD", START_MS) or (0.0, 0)
    assert at_ms == START_MS - HOUR_MS // 2
    assert made.bars("BTC/USD", at_ms - HOUR_MS, START_MS)[-1].close == price


def test_bars_asked_are_those_that_end_in_the_range() -> None:
    made = market()
    nine = START_MS - HOUR_MS // 2
    ends = [bar.open_ms + HOUR_MS for bar in made.bars("BTC/USD", nine - 2 * HOUR_MS, nine)]
    assert ends == [nine - HOUR_MS, nine]
    assert made.bars("BTC/USD", nine, nine) == []
    assert [bar.open_ms for bar in made.closed_candles("BTC/USD", "1h", nine - HOUR_MS, START_MS)] == [nine - HOUR_MS]


def test_before_the_history_there_is_nothing() -> None:
    made = market()
    long_ago = START_MS - (HISTORY_DAYS + 5) * MS_PER_DAY
    assert made.opening("BTC/USD", long_ago) is None
    assert made.bars("BTC/USD", 0, long_ago) == []
    made.opening("BTC/USD", START_MS)
    assert made.opening("BTC/USD", long_ago) is None
    assert made.bars("BTC/USD", 0, long_ago) == []
    assert made.closed_candles("BTC/USD", "1d", 0, long_ago) == []


def test_hours_are_bounded_and_days_are_kept() -> None:
    made = market()
    until = START_MS + 300 * MS_PER_DAY
    hours = made.bars("BTC/USD", 0, until)
    assert HOURS_KEPT <= len(hours) <= 2 * HOURS_KEPT + 24
    assert hours[-1].open_ms + 2 * HOUR_MS > until
    assert len(made.closed_candles("BTC/USD", "1d", 0, until)) == HISTORY_DAYS + 300


def test_unknown_symbol_or_timeframe_is_named_with_the_known_ones() -> None:
    with pytest.raises(VenueError, match="no XRP/USD in the built-in market: there are BTC/USD, ETH/USD, SOL/USD"):
        market().bars("XRP/USD", 0, START_MS)
    with pytest.raises(VenueError, match="no 4h candles in the built-in market, only 1h and 1d"):
        market().closed_candles("BTC/USD", "4h", 0, START_MS)


def test_start_within_a_day_does_not_matter() -> None:
    early = BuiltinMarket(seed=1, start=START - timedelta(hours=9))
    assert early.opening("BTC/USD", START_MS) == market().opening("BTC/USD", START_MS)
    assert early.symbols == SYMBOLS
    assert early.bar_ms == HOUR_MS
