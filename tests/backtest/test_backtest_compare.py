"""Windows, differences and holding, by hand."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import pytest
from backtest_rig import D, settings_of, walk

from bot.backtest.bootstrap import resample
from bot.backtest.compare import Window, difference, hold_equities, is_below_median, stitched, windows_of
from bot.backtest.market import Kit
from bot.backtest.metrics import share_estimate
from bot.backtest.result import hold_return
from bot.bootstrap_backtest import prepared

KIT = Kit(compiled=False)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def window(train_from: str, test_from: str, test_to: str) -> Window:
    return Window(train_from_ms=ms(train_from), test_from_ms=ms(test_from), test_to_ms=ms(test_to))


def test_rolling_windows_by_hand() -> None:
    """From the first midnight on; two months are left over at the end."""
    found = windows_of(ms("2020-01-14T07:00"), ms("2022-09-15"), train_months=12, test_months=6, anchored=False)
    assert found == [
        window("2020-01-15", "2021-01-15", "2021-07-15"),
        window("2020-07-15", "2021-07-15", "2022-01-15"),
        window("2021-01-15", "2022-01-15", "2022-07-15"),
    ]


def test_anchored_windows_begin_with_the_first_candle() -> None:
    found = windows_of(ms("2020-01-15"), ms("2021-07-15"), train_months=6, test_months=6, anchored=True)
    assert found == [
        window("2020-01-15", "2020-07-15", "2021-01-15"),
        window("2020-01-15", "2021-01-15", "2021-07-15"),
    ]


def test_month_without_such_a_day_gives_way_to_the_next() -> None:
    found = windows_of(ms("2023-10-31"), ms("2024-04-01"), train_months=4, test_months=1, anchored=False)
    assert found == [window("2023-10-31", "2024-03-01", "2024-03-31")]


def test_too_little_time_has_no_window() -> None:
    assert windows_of(ms("2020-01-01"), ms("2021-06-30"), train_months=12, test_months=6, anchored=False) == []


def test_stitched_series_go_on_where_the_last_one_ended() -> None:
    """+10 %, then -50 %, +20 %: each window begins with 100 anew."""
    assert stitched([[100.0, 110.0], [100.0, 50.0, 60.0]]) == pytest.approx([100.0, 110.0, 55.0, 66.0])


def test_same_gain_every_day_is_certain() -> None:
    """0.1 % a day more than nothing: 0.365 a year in every other history too."""
    ours = [100.0 * 1.001**day for day in range(101)]
    found = difference(ours, [100.0] * 101, kit=KIT, resample=resample)
    assert (found.n, found.value) == (100, pytest.approx(0.365))
    assert (found.low, found.high) == (pytest.approx(0.365), pytest.approx(0.365))


def test_what_moves_both_cancels_out() -> None:
    chance = random.Random(1)
    market = [100.0]
    for _ in range(400):
        market.append(market[-1] * (1 + chance.gauss(0.0, 0.05)))
    better = [price * 1.001**day for day, price in enumerate(market)]
    found = difference(better, market, kit=KIT, resample=resample)
    assert 0.3 < found.low < found.value < found.high < 0.43


def test_noise_is_not_called_better() -> None:
    chance = random.Random(3)
    ours, theirs = [100.0], [100.0]
    for _ in range(300):
        ours.append(ours[-1] * (1 + chance.gauss(0.0, 0.02)))
        theirs.append(theirs[-1] * (1 + chance.gauss(0.0, 0.02)))
    found = difference(ours, theirs, kit=KIT, resample=resample)
    assert found.low < 0.0 < found.high


def test_few_days_have_no_range() -> None:
    found = difference([100.0] * 39 + [101.0], [100.0] * 40, kit=KIT, resample=resample)
    assert (found.n, found.value) == (39, pytest.approx(0.01 / 39 * 365))
    assert math.isnan(found.low)


@pytest.mark.parametrize(("chosen", "below"), [(0, True), (1, False), (2, False), (3, True)])
def test_below_the_median(chosen: int, below: bool) -> None:
    """Of 0.1, 0.5, 0.4, 0.2 the median is 0.3."""
    assert is_below_median(chosen, [0.1, 0.5, 0.4, 0.2]) == below


def test_share_by_hand() -> None:
    """Wilson 1927 with z = 1.645: 5 of 10 is 0.269 to 0.731; nothing of 10 may still be 0.213."""
    assert share_estimate(5, 10) == (0.5, 10, pytest.approx(0.2693, abs=5e-4), pytest.approx(0.7307, abs=5e-4))
    assert share_estimate(0, 10) == (0.0, 10, 0.0, pytest.approx(0.213, abs=5e-4))
    assert math.isnan(share_estimate(0, 0).value)


def test_holding_ends_with_what_holding_returns(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = walk(5, timeframe="4h", days=20, gaps=0.05)
    settings = settings_of(tmp_path_factory.mktemp("state"), {})
    ready = prepared(settings, data=data, account="kraken", equity=D(250), compiled=False)
    held = hold_equities(ready.market, ready.terms, 20)
    assert len(held) == 21
    assert held[0] == 250.0
    assert held[-1] == pytest.approx(250.0 * (1 + hold_return(ready.market, ready.terms)))
    assert len(set(held)) == 21
