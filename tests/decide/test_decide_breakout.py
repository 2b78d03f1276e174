from __future__ import annotations

import math
from typing import Any

import pytest
from decide_samples import COIN, random_bars
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import breakout, codes
from bot.decide.breakout import bars_since_breakout, intend
from bot.decide.intents import Coin, Intent

NAN = math.nan
FRESH = 0.0

# -- bars_since_breakout --------------------------------------------------------------------------


def since(highs: list[float], closes: list[float]) -> float:
    return bars_since_breakout(highs, closes, len(closes))


def quiet(n: int) -> tuple[list[float], list[float]]:
    """Bars that all have a high of 100 and a close of 95."""
    return [100.0] * n, [95.0] * n


@pytest.mark.parametrize("n", [0, 1, 20])
def test_since_breakout_without_twenty_bars_before_is_none(n: int) -> None:
    highs, closes = quiet(n)
    if n:
        closes[-1] = 500.0
    assert math.isnan(since(highs, closes))


def test_since_breakout_with_exactly_twenty_bars_before_is_found() -> None:
    highs, closes = quiet(21)
    closes[20] = 100.01  # the newest bar; bars 0 to 19 have a high of 100
    assert since(highs, closes) == 0.0


@pytest.mark.parametrize(("close", "found"), [(99.99, False), (100.0, False), (100.01, True)])
def test_since_breakout_of_a_close_at_the_old_high_is_none(close: float, found: bool) -> None:
    highs, closes = quiet(40)
    closes[-1] = close
    assert math.isnan(since(highs, closes)) is not found


# A close above its 20 bars, ``back`` bars before the newest; the bars after it close at 95 again.
@pytest.mark.parametrize(("back", "expected"), [(0, 0.0), (1, 1.0), (2, 2.0), (3, NAN), (4, NAN)])
def test_since_breakout_is_followed_for_three_bars(back: int, expected: float) -> None:
    highs, closes = quiet(60)
    closes[59 - back] = 101.0
    assert since(highs, closes) == pytest.approx(expected, nan_ok=True)


def test_since_breakout_of_two_gives_the_newer_one() -> None:
    highs, closes = quiet(60)
    closes[57], closes[58] = 101.0, 102.0  # the high of bar 57 is still 100
    assert since(highs, closes) == 1.0


@pytest.mark.parametrize(("index", "found"), [(38, False), (39, True), (19, False), (18, True)])
def test_since_breakout_looks_at_exactly_the_twenty_bars_before(index: int, found: bool) -> None:
    # Newest bar 39: bars 19 to 38 are before it. Only a high there is in the way, its own is not.
    highs, closes = quiet(40)
    closes[39] = 105.0
    highs[index] = 110.0
    assert math.isnan(since(highs, closes)) is not found


def test_since_breakout_is_above_a_high_and_not_above_a_close() -> None:
    highs, closes = quiet(40)
    closes[39] = 98.0  # the highest close of all, below the highs
    assert math.isnan(since(highs, closes))


def test_since_breakout_reads_no_bar_beyond_its_number() -> None:
    highs, closes = quiet(40)
    closes[39] = 200.0
    assert math.isnan(bars_since_breakout(highs, closes, 39))
    assert bars_since_breakout(highs, closes, 40) == 0.0


@given(seed=st.integers(0, 10_000), n=st.integers(0, 200))
def test_since_breakout_agrees_with_the_plain_definition(seed: int, n: int) -> None:
    bars = random_bars(seed, n)
    fresh = [
        back
        for back in range(3)
        if n - 1 - back >= 20 and bars.closes[n - 1 - back] > max(bars.highs[n - 21 - back : n - 1 - back])
    ]
    expected = float(fresh[0]) if fresh else NAN
    assert since(bars.highs, bars.closes) == pytest.approx(expected, nan_ok=True)


# -- intend ---------------------------------------------------------------------------------------


def intent_of(coin: Coin, since_breakout: float = FRESH, min_score: float = 0.75) -> Intent:
    return intend(coin, since_breakout, min_score)


@pytest.mark.parametrize("since_breakout", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("score", [0.75, 1.0])
def test_intend_on_a_fresh_breakout_leaves_the_size_to_the_sizer(since_breakout: float, score: float) -> None:
    intent = intent_of(COIN._replace(score=score), since_breakout)
    assert (intent.action, intent.code) == (codes.ENTER, codes.OK)
    assert (intent.gap_usd, intent.target_usd) == (math.inf, math.inf)
    assert math.isnan(intent.limit)
    assert math.isnan(intent.actual)


def test_intend_without_a_fresh_breakout_refuses() -> None:
    # Three bars are the limit; how long ago the last breakout was has not been looked for.
    refusal = Intent(codes.REFUSE, 0.0, NAN, codes.NO_BREAKOUT, 3.0, NAN)
    assert intent_of(COIN, NAN) == pytest.approx(refusal, nan_ok=True)


@pytest.mark.parametrize("since_breakout", [0.0, NAN])
def test_intend_of_a_weak_score_refuses_for_the_score(since_breakout: float) -> None:
    score = math.nextafter(0.75, 0.0)
    intent = intent_of(COIN._replace(score=score), since_breakout)
    assert (intent.action, intent.code) == (codes.REFUSE, codes.SIGNAL_TOO_WEAK)
    assert (intent.limit, intent.actual, intent.gap_usd) == (0.75, score, 0.0)


# Half of a stop distance of 0.125 is 0.0625: from a close of 100 the price may lie in 93.75 to 106.25.
@pytest.mark.parametrize(
    ("price", "code"),
    [(106.25, codes.OK), (93.75, codes.OK), (106.26, codes.PRICE_MOVED), (93.74, codes.PRICE_MOVED)],
)
def test_intend_follows_the_price_for_half_a_stop(price: float, code: int) -> None:
    intent = intent_of(COIN._replace(stop_distance=0.125, bar_close=100.0, price=price))
    assert intent.code == code
    if code == codes.PRICE_MOVED:
        assert (intent.action, intent.limit) == (codes.REFUSE, 0.0625)
        assert intent.actual == pytest.approx(0.0626, rel=1e-9)


def test_intend_of_a_price_that_is_no_number_refuses() -> None:
    assert intent_of(COIN._replace(price=NAN)).code == codes.PRICE_MOVED


@pytest.mark.parametrize("score", [0.0, 1.0])
@pytest.mark.parametrize("since_breakout", [0.0, NAN])
def test_intend_of_a_held_coin_adds_and_sells_nothing(score: float, since_breakout: float) -> None:
    intent = intent_of(COIN._replace(score=score, held_usd=0.01), since_breakout)
    # What is held has no target: its exits end it.
    assert intent == pytest.approx(Intent(codes.HOLD, 0.0, NAN, codes.OK, NAN, NAN), nan_ok=True)


@pytest.mark.parametrize("field", ["score", "volatility", "stop_distance"])
@pytest.mark.parametrize("held_usd", [0.0, 100.0])
def test_intend_with_a_number_missing_refuses(field: str, held_usd: float) -> None:
    missing: Any = {field: NAN}
    intent = intent_of(COIN._replace(held_usd=held_usd)._replace(**missing))
    nothing = Intent(codes.REFUSE, 0.0, NAN, codes.HISTORY_TOO_SHORT, NAN, NAN)
    assert intent == pytest.approx(nothing, nan_ok=True)


def test_stop_of_a_breakout_is_two_daily_ranges() -> None:
    assert breakout.STOP_ATR == 2.0  # quant 7
