"""Labelled events: the barriers by hand, what an entry brings after its costs, and that nothing looks ahead."""

from __future__ import annotations

import math

import pytest
from backtest_rig import DATA, walk

from bot.backtest.events import HORIZON_BARS, TARGET_ATR, Event, barrier_exit, events_of, without_overlap
from bot.decide.features import NEEDED_BARS
from bot.domain.market import MS_PER_DAY, Candle
from bot.storage.candle_reader import CandleSeries, read_candle_file

STOP, TARGET = 92.0, 114.4
"""Of an entry at 100 with an ATR of 4."""
FEES = {"fee_in": 0.0025, "fee_out": 0.004}

Bar = tuple[float, float, float, float]
"""Open, high, low, close."""
QUIET: Bar = (100.0, 101.0, 99.0, 100.0)


def ended(*bars: Bar) -> tuple[int, float]:
    opens, highs, lows, closes = (list(column) for column in zip(*bars, strict=True))
    return barrier_exit(opens, highs, lows, closes, 0, len(bars) - 1, STOP, TARGET)


@pytest.mark.parametrize(
    ("bars", "wanted"),
    [
        ([QUIET, (100.0, 101.0, 92.0, 100.0), QUIET], (1, 92.0)),  # at the stop
        ([QUIET, (91.0, 101.0, 90.0, 100.0), QUIET], (1, 91.0)),  # opens below it
        ([QUIET, (100.0, 114.4, 99.0, 100.0), QUIET], (1, 114.4)),  # at the target
        ([QUIET, (116.0, 117.0, 115.0, 116.0), QUIET], (1, 116.0)),  # opens above it
        ([QUIET, (100.0, 120.0, 90.0, 118.0), QUIET], (1, 92.0)),  # both in one bar: the stop
        ([(100.0, 101.0, 91.0, 95.0), (100.0, 120.0, 99.0, 118.0)], (0, 92.0)),  # in the bar of the entry
        ([QUIET, QUIET, (100.0, 102.0, 99.0, 101.5)], (2, 101.5)),  # time is up
    ],
)
def test_first_barrier_ends_an_event(bars: list[Bar], wanted: tuple[int, float]) -> None:
    assert ended(*bars) == wanted


def breakout(*after: Bar) -> CandleSeries:
    """A year and more between 98 and 102, a close at 104, and then these bars."""
    series = CandleSeries("1d")
    bars = [(100.0, 102.0, 98.0, 100.0 + i % 2) for i in range(NEEDED_BARS + 20)]
    for place, bar in enumerate([*bars, (100.0, 104.0, 100.0, 104.0), *after]):
        series.append(Candle(place * MS_PER_DAY, *bar, 1.0))
    return series


SIGNAL = NEEDED_BARS + 20
"""Place of the breakout's bar; it opens below all stops and closes at its high."""
LATER: Bar = (103.0, 103.5, 102.5, 103.0)


def only_event(series: CandleSeries, **fees: float) -> Event:
    (event,) = events_of({"BTC": series}, **(fees or FEES))
    return event


def test_event_by_hand() -> None:
    """All true ranges are 4, so the ATR is 4: from 103 the stop is 95, the target 117.40."""
    event = only_event(breakout(LATER, LATER, (103.0, 117.4, 103.0, 104.0), *[LATER] * 19))
    assert pytest.approx(3.6) == TARGET_ATR
    assert (event.coin, event.entry_ms, event.exit_ms) == ("BTC", (SIGNAL + 1) * MS_PER_DAY, (SIGNAL + 4) * MS_PER_DAY)
    # 14.4 / 103 = 0.139806; less 0.25 % in, 0.4 % of 1.139806 out, 0.1 % slippage: 0.131747
    assert event.net_return == pytest.approx(0.131747, abs=1e-6)
    assert event.r == pytest.approx(0.131747 / (8.0 / 103.0), abs=1e-5)
    assert event.label == 1


def test_stop_costs_more_than_one_r() -> None:
    event = only_event(breakout(LATER, (103.0, 103.0, 95.0, 96.0), *[LATER] * 20))
    # -8 / 103 = -0.077670; less 0.0025 + 0.004 x 0.922330 + 0.001: -0.084859
    assert event.net_return == pytest.approx(-0.084859, abs=1e-6)
    assert event.r == pytest.approx(-1.09256, abs=1e-5)
    assert event.label == 0


@pytest.mark.parametrize(("fee_in", "fee_out", "label"), [(0.0025, 0.004, 1), (0.004, 0.008, 0)])
def test_fees_turn_a_small_gain_into_a_loss(fee_in: float, fee_out: float, label: int) -> None:
    """After 20 days the close is 1 % above the entry: 0.0075 at Kraken's middle fees, 0.013 at the worst."""
    series = breakout(*[LATER] * 19, (103.0, 104.03, 103.0, 104.03), LATER)
    event = only_event(series, fee_in=fee_in, fee_out=fee_out)
    assert event.exit_ms - event.entry_ms == HORIZON_BARS * MS_PER_DAY
    assert event.net_return == pytest.approx(0.01 - fee_in - fee_out * 1.01 - 0.001)
    assert event.label == label


def test_signal_near_the_end_is_no_event_even_where_its_end_is_known() -> None:
    stopped = (103.0, 103.0, 95.0, 96.0)
    assert len(events_of({"BTC": breakout(stopped, *[LATER] * 19)}, **FEES)) == 1
    assert events_of({"BTC": breakout(stopped, *[LATER] * 18)}, **FEES) == []


def test_signal_before_the_features_have_values_is_no_event() -> None:
    early = CandleSeries("1d")
    for place in range(200):
        early.append(Candle(place * MS_PER_DAY, *(100.0, 102.0, 98.0, 101.0 if place != 100 else 102.0), 1.0))
    assert events_of({"BTC": early}, **FEES) == []
    assert events_of({}, **FEES) == []


def at(coin: str, entry: int, exit_: int) -> Event:
    return Event(coin, entry, exit_, 0.0, 0.0, ())


def test_events_without_overlap_are_those_of_one_account() -> None:
    events = [at("A", 1, 5), at("B", 2, 3), at("A", 4, 9), at("A", 5, 6), at("B", 3, 8), at("A", 6, 7)]
    assert without_overlap(events) == [events[0], events[1], events[3], events[4], events[5]]


@pytest.mark.parametrize("seed", [1, 2])
def test_later_candles_do_not_change_earlier_events(seed: int) -> None:
    daily = {coin: of.daily for coin, of in walk(seed, timeframe="1d", days=700, coins=2).coins.items()}
    whole = events_of(daily, **FEES)
    assert len(whole) > 20
    assert [event.entry_ms for event in whole] == sorted(event.entry_ms for event in whole)
    for length in (500, 640, 800):
        cut = {coin: first_of(series, length) for coin, series in daily.items()}
        end_ms = {coin: series.times[-HORIZON_BARS] for coin, series in cut.items()}
        wanted = [event for event in whole if event.entry_ms <= end_ms[event.coin]]
        assert events_of(cut, **FEES) == wanted
        assert all(math.isfinite(value) for event in wanted for value in event.features)


def first_of(series: CandleSeries, length: int) -> CandleSeries:
    cut = CandleSeries(series.timeframe)
    for place in range(length):
        cut.append(series[place])
    return cut


@pytest.mark.skipif(not DATA.is_dir(), reason="no real candles in ../shared/data beside the repository")
def test_events_of_real_candles() -> None:
    names = {coin: DATA / f"binance_{coin}-USDT_1d.csv.gz" for coin in ("BTC", "ETH", "SOL")}
    events = events_of({coin: read_candle_file(path, "1d").series for coin, path in names.items()}, **FEES)
    assert len(events) > 1.5 * len(without_overlap(events)) > 225  # to 2024: 413 and 186
    assert 0.3 < sum(event.label for event in events) / len(events) < 0.7
    assert all(0 < event.exit_ms - event.entry_ms <= HORIZON_BARS * MS_PER_DAY for event in events)
    assert min(event.r for event in events) > -1.6  # no daily bar opened far below a stop
