"""The training of the model: its figures against scikit-learn's, what arms it, and that it needs no library later."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from backtest_rig import DATA, walk
from hypothesis import given
from hypothesis import strategies as st

from bot.backtest.compiled import compiled
from bot.backtest.events import Event
from bot.backtest.purged import purged_splits
from bot.backtest.skill import auc, auc_range, brier
from bot.backtest.train import REGULARISATION, evaluated, foretold, is_available, train
from bot.decide.features import FEATURE_NAMES, features_at
from bot.decide.model import probability
from bot.domain.errors import ConfigError
from bot.domain.market import MS_PER_DAY
from bot.domain.model_card import ModelCard
from bot.engine.model_verdict import model_verdict
from bot.storage.candle_reader import read_candle_file

NOW = datetime(2025, 1, 2, 3, 4, tzinfo=UTC)


# -- figures


def test_auc_by_hand() -> None:
    # Won 0.9 and 0.4, lost 0.6 and 0.4: of four pairs won, won, lost, tied
    assert auc([1, 0, 1, 0], [0.9, 0.6, 0.4, 0.4]) == 0.625
    assert auc([0, 1], [0.1, 0.2]) == 1.0
    assert auc([1, 0, 1], [0.5, 0.5, 0.5]) == 0.5
    assert math.isnan(auc([1, 1], [0.1, 0.2]))
    assert math.isnan(auc([], []))


def test_brier_by_hand() -> None:
    assert brier([1, 0], [0.8, 0.4]) == pytest.approx(0.1)  # (0.04 + 0.16) / 2
    assert math.isnan(brier([], []))


@pytest.fixture(scope="module")
def measures() -> Any:
    return import_module("sklearn.metrics")


@given(seed=st.integers(0, 10_000), count=st.integers(3, 60), digits=st.integers(1, 6))
def test_figures_are_those_of_the_library(measures: Any, seed: int, count: int, digits: int) -> None:
    """With one digit many probabilities are the same."""
    chance = random.Random(seed)
    labels = [0, 1, *(chance.randrange(2) for _ in range(count - 2))]
    said = [round(chance.random(), digits) for _ in labels]
    assert auc(labels, said) == pytest.approx(measures.roc_auc_score(labels, said), abs=1e-12)
    assert brier(labels, said) == pytest.approx(measures.brier_score_loss(labels, said), abs=1e-12)


def coin_flips(seed: int, count: int) -> tuple[list[int], list[float]]:
    chance = random.Random(seed)
    return [chance.randrange(2) for _ in range(count)], [chance.random() for _ in range(count)]


def test_range_is_that_of_theory_where_events_are_alone() -> None:
    """Of 100 won and 100 lost without skill the AUC varies by sqrt(201 / (12 x 100 x 100)) = 0.0409: +- 0.067."""
    labels, said = coin_flips(1, 200)
    low, high = auc_range(labels, said, range(200))
    assert low < auc(labels, said) < high
    assert high - low == pytest.approx(2 * 0.067, rel=0.15)


def test_range_is_wider_where_events_come_in_groups() -> None:
    """Every event four times over says no more than once."""
    labels, said = coin_flips(2, 50)
    low, high = auc_range(labels * 4, said * 4, [*range(50)] * 4)
    alone = auc_range(labels * 4, said * 4, range(200))
    assert high - low > 1.6 * (alone[1] - alone[0])
    once = auc_range(labels, said, range(50))
    assert (low, high) == pytest.approx(once)


# -- arming


def invented(seed: int, count: int, skill: float) -> list[Event]:
    """An event each five days of one day each, won with a chance that the first feature moves by ``skill``."""
    chance, events = random.Random(seed), []
    for place in range(count):
        features = tuple(chance.gauss(3.0, 2.0) for _ in FEATURE_NAMES)
        won = chance.random() < 1 / (1 + math.exp(-skill * (features[0] - 3.0) / 2.0))
        net = 0.05 if won else -0.05
        events.append(Event("X", place * 5 * MS_PER_DAY, (place * 5 + 1) * MS_PER_DAY, net, net, features))
    return events


def armed(events: list[Event]) -> tuple[bool, dict[str, bool]]:
    card = replace(trained_once(), evaluation=evaluated(events)[0])
    return card.armed, {condition.name: condition.met for condition in card.conditions}


def trained() -> ModelCard:
    daily = {coin: of.daily for coin, of in walk(1, timeframe="1d", days=1_300, coins=3).coins.items()}
    files = {"b.csv": "22", "a.csv": "11"}
    return train(daily, source="walk", files=files, fee_in=0.0025, fee_out=0.004, now=NOW)


@cache
def trained_once() -> ModelCard:
    return trained()


def test_planted_skill_is_found_and_arms() -> None:
    assert armed(invented(1, 400, 1.5)) == (True, {"auc": True, "brier": True, "events": True})


def test_planted_skill_of_too_few_events_does_not_arm() -> None:
    # The first 73 of 270 are the warm-up of a year; 197 are tested.
    assert armed(invented(1, 270, 1.5)) == (False, {"auc": True, "brier": True, "events": False})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pure_chance_does_not_arm(seed: int) -> None:
    assert armed(invented(seed, 600, 0.0))[0] is False


def test_what_comes_later_does_not_change_what_was_said_before() -> None:
    """The last third of the events turned round: what is said of the others stays, of the last ones not."""
    events = invented(4, 300, 1.0)
    turned = [*events[:200], *(event._replace(net_return=-event.net_return) for event in events[200:])]
    splits = purged_splits([event.entry_ms for event in events], [event.exit_ms for event in events])
    places = [place for split in splits for place in split.test]
    before, after = (dict(zip(places, foretold(of, splits), strict=True)) for of in (events, turned))
    assert [before[place] for place in places if place < 200] == [after[place] for place in places if place < 200]
    assert before[299] != after[299]


def test_too_few_events_are_an_error_that_says_so() -> None:
    with pytest.raises(ConfigError, match="too few breakouts to train and to test a model: 60, of which 0 come late"):
        evaluated(invented(1, 60, 1.0))
    with pytest.raises(ConfigError, match="too few breakouts"):
        train({}, source="none", files={}, fee_in=0.0, fee_out=0.0, now=NOW)


def test_events_that_all_ended_alike_are_an_error() -> None:
    events = [event._replace(net_return=0.01) for event in invented(1, 300, 1.0)]
    with pytest.raises(ConfigError, match="too few breakouts"):
        evaluated(events)


# -- the model and its card


def test_exported_model_says_what_the_library_says() -> None:
    np, linear = import_module("numpy"), import_module("sklearn.linear_model")
    scaler_of = import_module("sklearn.preprocessing").StandardScaler
    events = invented(7, 300, 1.0)
    fitted = evaluated(events)[1]
    rows = np.asarray([event.features for event in events])
    scaler = scaler_of().fit(rows)
    model = linear.LogisticRegression(C=REGULARISATION, max_iter=1_000)
    model.fit(scaler.transform(rows), [event.label for event in events])
    wanted = model.predict_proba(scaler.transform(rows))[:, 1]
    scores = (rows - np.asarray(fitted.means)) / np.asarray(fitted.scales) @ np.asarray(fitted.weights)
    by_numpy = 1.0 / (1.0 + np.exp(-(scores + fitted.intercept)))
    for event, library, array in zip(events, wanted, by_numpy, strict=True):
        said = probability(fitted.means, fitted.scales, fitted.weights, fitted.intercept, event.features)
        assert said == pytest.approx(library, abs=1e-12)
        assert said == pytest.approx(array, abs=1e-12)


def test_card_tells_where_it_comes_from() -> None:
    card = trained_once()
    assert card.features == FEATURE_NAMES
    assert (card.trained_at, card.source, card.coins) == (NOW, "walk", ("BTC", "ETH", "SOL"))
    assert card.files == (("a.csv", "11"), ("b.csv", "22"))
    assert (card.fee_in_frac, card.fee_out_frac, card.slippage_frac) == (0.0025, 0.004, 0.001)
    assert card.evaluation.events <= card.evaluation.signals < card.signals
    assert card.evaluation.auc_low < card.evaluation.auc < card.evaluation.auc_high
    assert card.from_at == datetime(2024, 1, 23, tzinfo=UTC)  # 130 days before the walk begins
    assert card.evaluation.from_at >= datetime(2025, 1, 22, tzinfo=UTC)


def test_training_twice_gives_the_same_model() -> None:
    assert trained() == trained_once()


def test_verdict_of_a_model_that_is_not_armed_is_an_abstention() -> None:
    skilled = evaluated(invented(1, 400, 1.5))[0]
    card = replace(trained_once(), evaluation=skilled)
    features = card.means
    wanted = 1 / (1 + math.exp(-card.intercept))
    assert model_verdict(card, features) == (pytest.approx(wanted), True)
    assert math.isnan(model_verdict(card, [math.nan] * len(features))[0])
    for unarmed in (None, replace(card, evaluation=replace(skilled, auc=0.55))):
        said, listened_to = model_verdict(unarmed, features)
        assert math.isnan(said)
        assert listened_to is False


@pytest.mark.skipif(not DATA.is_dir(), reason="no real candles in ../shared/data beside the repository")
def test_model_of_real_candles_is_not_armed_and_shuffling_flatters_it() -> None:
    daily = {
        coin: read_candle_file(DATA / f"binance_{coin}-USDT_1d.csv.gz", "1d").series for coin in ("BTC", "ETH", "SOL")
    }
    card = train(daily, source="binance", files={"x": "y"}, fee_in=0.0025, fee_out=0.004, now=NOW)
    of = card.evaluation
    assert card.armed is False
    assert of.auc < of.shuffled_auc < of.in_sample_auc
    assert of.auc_low < 0.5  # no skill that a range of 90 % tells from none
    assert of.brier > of.base_brier


# -- the compiled form, and what the live program loads


def test_compiled_features_and_probability_are_the_plain_ones() -> None:
    np = import_module("numpy")
    of = walk(3, timeframe="1d", days=400, coins=1).coins["BTC"].daily
    _, highs, lows, closes, _ = (np.asarray(column) for column in of.columns)
    volumes = closes * (1.0 + np.arange(len(closes)) % 7)
    fast, fast_probability = compiled(features_at), compiled(probability)
    card = trained_once()
    means, scales, weights = (np.asarray(row) for row in (card.means, card.scales, card.weights))
    for n_bars in (300, 386, 450, len(closes)):
        rest = (n_bars, 0.03 * closes[n_bars - 1], 0.6, 0.5)
        plain = features_at(list(highs), list(lows), list(closes), list(volumes), *rest)
        made = fast(highs, lows, closes, volumes, *rest)
        assert made == pytest.approx(plain, abs=1e-12, rel=1e-12, nan_ok=True)
        said = probability(card.means, card.scales, card.weights, card.intercept, plain)
        assert fast_probability(means, scales, weights, card.intercept, made) == pytest.approx(said, nan_ok=True)


def test_live_side_of_the_model_loads_no_library() -> None:
    assert is_available()
    root = Path(__file__).resolve().parents[2]
    code = (
        "import sys, bot.backtest.train, bot.engine.model_verdict, bot.storage.model_file, bot.views.model_text;"
        "print([name for name in ('numpy', 'sklearn', 'scipy', 'numba') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
