"""The trained model's features and its probability, by hand, and nothing looks ahead."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from decide_samples import Bars, flags_by_bar, random_bars, real_bars
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import indicators, model
from bot.decide.features import FEATURE_NAMES, NEEDED_BARS, features_at, volatility_rank, volume_ratio
from bot.decide.trend import trend_score

SERVED_BY_KRAKEN = 720


def invented_volumes(seed: int, n: int) -> list[float]:
    chance = random.Random(seed)
    return [math.exp(chance.gauss(5.0, 0.5)) for _ in range(n)]


def features_by_bar(bars: Bars, volumes: Sequence[float], wanted: Sequence[int]) -> dict[int, tuple[float, ...]]:
    """The features after the bars at the places ``wanted``, folded from the first bar on."""
    flags = flags_by_bar(bars)
    found: dict[int, tuple[float, ...]] = {}
    atr = variance = 0.0
    for i in range(len(bars.closes)):
        if i:
            before = bars.closes[i - 1]
            atr = indicators.atr_step(atr, i - 1, indicators.true_range(bars.highs[i], bars.lows[i], before), 14)
            variance = indicators.ewma_variance_step(variance, i - 1, bars.closes[i] / before - 1.0, 0.94)
        if i in wanted:
            found[i] = features_at(
                bars.highs,
                bars.lows,
                bars.closes,
                volumes,
                i + 1,
                atr,
                indicators.annual_volatility(variance),
                trend_score(flags[i]),
            )
    return found


# -- by hand


def rising(n: int) -> Bars:
    """Each close 1 % above the last one; the high 1 % above the close, the low 3 % below it."""
    closes = [100.0 * 1.01**i for i in range(n)]
    return Bars([close * 1.01 for close in closes], [close * 0.97 for close in closes], closes)


def test_features_of_steady_days_by_hand() -> None:
    bars = rising(400)
    volumes = [100.0] * 395 + [300.0] * 5
    close = bars.closes[-1]
    # A daily volatility of 2 %: annual 0.02 x sqrt(365) = 0.382099
    found = dict(
        zip(FEATURE_NAMES, features_at(*bars, volumes, 400, 0.05 * close, 0.02 * math.sqrt(365), 0.875), strict=True)
    )
    # ln 1.01 = 0.00995033; of n days n of them, over 0.02 sqrt(n): 0.4975165 sqrt(n)
    assert found["momentum_10"] == pytest.approx(1.573286, abs=1e-6)
    assert found["momentum_28"] == pytest.approx(2.632610, abs=1e-6)
    assert found["momentum_90"] == pytest.approx(4.719856, abs=1e-6)
    # Mean of 200 closes in units of the last: (1 - 1.01^-200) / (200 x (1 - 1 / 1.01)) = 0.435974; -ln of it 0.830172
    assert found["distance_mean_200"] == pytest.approx(0.830172 / (0.02 * math.sqrt(200)), abs=1e-5)
    assert found["atr_to_price"] == pytest.approx(0.05)
    # The prior high is that of the day before: close / 1.01 x 1.01 = close
    assert found["breakout_strength"] == pytest.approx(0.0, abs=1e-9)
    assert found["trend_score"] == 0.875
    # Mean volume of 5 days 300, of 50 days (45 x 100 + 5 x 300) / 50 = 120: ln 2.5
    assert found["volume_ratio"] == pytest.approx(0.916291, abs=1e-6)
    # 3 % above the low of a bar of 4 %
    assert found["close_in_bar"] == pytest.approx(0.75)


def test_breakout_strength_is_measured_in_ranges() -> None:
    bars = Bars([101.0] * 400, [99.0] * 400, [100.0] * 399 + [107.0])
    bars.highs[-1] = 108.0
    found = features_at(*bars, [1.0] * 400, 400, 2.0, 0.5, 0.0)
    assert found[FEATURE_NAMES.index("breakout_strength")] == 3.0  # (107 - 101) / 2


def test_volatility_rank_counts_calmer_months() -> None:
    """Daily moves of 1 % in turn; the last twenty days move otherwise."""

    def rank_after(last: float) -> float:
        closes = [100.0]
        for i in range(1, NEEDED_BARS):
            move = last if i >= NEEDED_BARS - 20 else 0.01
            closes.append(closes[-1] * math.exp(move if i % 2 else -move))
        return volatility_rank(closes, NEEDED_BARS)

    assert rank_after(0.02) == 1.0
    assert rank_after(0.005) == 0.0


def test_volatility_rank_of_the_middle() -> None:
    """Every later day moves more, but for the last twenty, which move like those around the 180th."""
    moves = [0.001 + i * 0.0001 for i in range(NEEDED_BARS)]
    moves[-20:] = moves[170:190]
    closes = [100.0]
    for move in moves[1:]:
        closes.append(closes[-1] * math.exp(move))
    # Months that end before day 189 are calmer, those after it not; the first ends with day 20: 169 of 365. Of the last
    # 19, which hold days of both kinds, all are wilder.
    assert volatility_rank(closes, NEEDED_BARS) == pytest.approx(169 / 365)


def test_volume_ratio_without_volume_is_not_a_number() -> None:
    assert math.isnan(volume_ratio([100.0] * 45 + [0.0] * 5, 50))


@pytest.mark.parametrize(
    ("n_bars", "atr", "volatility", "trend"),
    [
        (385, 1.0, 0.5, 0.5),
        (386, math.nan, 0.5, 0.5),
        (386, 0.0, 0.5, 0.5),
        (386, 1.0, math.nan, 0.5),
        (386, 1.0, 0.0, 0.5),
        (386, 1.0, 0.5, math.nan),
    ],
)
def test_features_without_what_they_need_are_not_numbers(
    n_bars: int, atr: float, volatility: float, trend: float
) -> None:
    bars, volumes = rising(400), [1.0] * 400
    assert all(math.isnan(value) for value in features_at(*bars, volumes, n_bars, atr, volatility, trend))
    assert all(math.isfinite(value) for value in features_at(*bars, volumes, 386, 1.0, 0.5, 0.0))


def test_bar_without_a_range_closes_in_its_middle() -> None:
    flat = [100.0] * 400
    assert features_at(flat, flat, flat, [1.0] * 400, 400, 1.0, 0.5, 0.0)[-1] == 0.5


# -- nothing looks ahead


def assert_prefixes_agree(bars: Bars, volumes: list[float], wanted: list[int]) -> None:
    whole = features_by_bar(bars, volumes, wanted)
    for i in wanted:
        prefix = features_by_bar(bars.first(i + 1), volumes[: i + 1], [i])[i]
        assert prefix == pytest.approx(whole[i], abs=1e-12, rel=1e-12, nan_ok=True), i
        if i + 1 > SERVED_BY_KRAKEN:
            first = i + 1 - SERVED_BY_KRAKEN
            window = Bars(bars.highs[first : i + 1], bars.lows[first : i + 1], bars.closes[first : i + 1])
            live = features_by_bar(window, volumes[first : i + 1], [SERVED_BY_KRAKEN - 1])[SERVED_BY_KRAKEN - 1]
            assert live == pytest.approx(whole[i], rel=1e-9, abs=1e-9), i


@pytest.mark.parametrize("seed", [1, 2])
def test_features_of_a_prefix_and_of_the_live_window_are_those_of_the_whole(seed: int) -> None:
    assert_prefixes_agree(random_bars(seed, 900), invented_volumes(seed, 900), [100, 384, 385, 500, 719, 760, 899])


def test_features_of_real_candles_do_not_look_ahead() -> None:
    bars = real_bars()
    n = len(bars.closes)
    assert_prefixes_agree(bars, invented_volumes(3, n), [400, 1_000, 2_000, n - 1])


@given(factor=st.floats(1e-3, 1e3))
def test_features_do_not_know_the_price_level(factor: float) -> None:
    bars, volumes = random_bars(4, 400), invented_volumes(4, 400)
    scaled = Bars(*([value * factor for value in column] for column in bars))
    one = features_at(*bars, volumes, 400, 7.0, 0.5, 0.5)
    assert features_at(*scaled, volumes, 400, 7.0 * factor, 0.5, 0.5) == pytest.approx(one, rel=1e-9, abs=1e-9)


# -- probability


def test_probability_by_hand() -> None:
    # (3 - 1) / 2 x 0.5 + (4 - 5) / 0.5 x 0.25 - 0.2 = 0.5 - 0.5 - 0.2; 1 / (1 + e^0.2) = 0.450166
    assert model.probability((1.0, 5.0), (2.0, 0.5), (0.5, 0.25), -0.2, (3.0, 4.0)) == pytest.approx(0.450166, abs=1e-6)
    assert model.probability((1.0, 5.0), (2.0, 0.5), (0.5, 0.25), 0.2, (3.0, 4.0)) == pytest.approx(0.549834, abs=1e-6)
    assert model.probability((0.0,), (1.0,), (1.0,), 0.0, (0.0,)) == 0.5


@pytest.mark.parametrize(("far", "said"), [(1e6, 1.0), (-1e6, 0.0)])
def test_probability_far_from_all_that_was_seen_does_not_overflow(far: float, said: float) -> None:
    assert model.probability((0.0,), (1.0,), (1.0,), 0.0, (far,)) == said


def test_probability_of_an_unknown_feature_abstains() -> None:
    assert math.isnan(model.probability((0.0, 0.0), (1.0, 1.0), (0.0, 1.0), 0.0, (math.nan, 1.0)))


def test_probability_of_another_number_of_features_is_an_error() -> None:
    with pytest.raises(AssertionError, match=r"^one feature for each weight$"):
        model.probability((0.0,), (1.0,), (1.0,), 0.0, (1.0, 2.0))
