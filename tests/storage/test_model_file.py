"""The model's file: written whole, read strictly, and no file arms a model against its own figures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_samples import ARMED, CARD, UNARMED

from bot.decide.features import FEATURE_NAMES
from bot.domain.errors import ConfigError
from bot.domain.model_card import ModelCard
from bot.storage.model_file import BYTES_MAX, model_document, read_model_card, write_model_card

NAME = "model.json"


@pytest.mark.parametrize("card", [CARD, ARMED])
def test_card_comes_back_as_it_was_written(tmp_path: Path, card: ModelCard) -> None:
    path = tmp_path / NAME
    write_model_card(path, card)
    assert read_model_card(path) == card
    assert json.loads(path.read_text())["armed"] is card.armed
    write_model_card(path, CARD)
    assert read_model_card(path) == CARD
    assert list(tmp_path.iterdir()) == [path]


def test_card_of_full_size_is_small(tmp_path: Path) -> None:
    n = len(FEATURE_NAMES)
    row = tuple(math.pi * 10.0**-k for k in range(n))
    card = replace(CARD, features=FEATURE_NAMES, means=row, scales=row, weights=row, limits=("x" * 200,) * 5)
    path = tmp_path / NAME
    write_model_card(path, card)
    assert path.stat().st_size < 10_000
    assert read_model_card(path, features=FEATURE_NAMES) == card


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_coefficients_come_back_to_the_last_digit(value: float) -> None:
    document = json.loads(json.dumps(model_document(replace(CARD, intercept=value))))
    assert document["intercept"] == value


def test_no_file_is_no_model(tmp_path: Path) -> None:
    assert read_model_card(tmp_path / NAME) is None


def test_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/model\.json: cannot be written: No such file"):
        write_model_card(tmp_path / "nowhere" / NAME, CARD)


def test_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_model_card(tmp_path)


def test_model_of_other_features_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write_model_card(path, CARD)
    assert read_model_card(path, features=["momentum", "volume"]) == CARD
    with pytest.raises(ConfigError, match="this program computes volume, momentum; the model was trained on momentum,"):
        read_model_card(path, features=["volume", "momentum"])


def put(*place: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        of: Any = document
        for step in place[:-1]:
            of = of[step]
        of[place[-1]] = value

    return change


def drop(*place: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        of = document
        for step in place[:-1]:
            of = of[step]
        del of[place[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("weights"), "weights: is missing"),
        (drop("evaluation", "auc"), "evaluation.auc: is missing"),
        (put("more", value=1), "more: is unknown"),
        (put("data", "more", value=1), "data.more: is unknown"),
        (put("schema_version", value=2), "schema_version: must be 1, was 2"),
        (put("predicts", value=""), "predicts: must be a text of one line, was ''"),
        (put("predicts", value="a\nb"), "predicts: must be a text of one line"),
        (put("trained_at", value="2025-01-02"), "trained_at: must be an ISO 8601 time with its time zone"),
        (put("features", value=[]), "features: must be a list of 1 to 100, was []"),
        (put("features", value="ab"), "features: must be a list of 1 to 100"),
        (put("features", 0, value=1), "features.0: must be a text of one line, was 1"),
        (put("features", 1, value="momentum"), "features: each must be there once"),
        (put("means", value=[1.0]), "means: must be 2 numbers, one for each feature, was 1"),
        (put("weights", 1, value="1"), "weights.1: must be a number, was '1'"),
        (put("weights", 1, value=True), "weights.1: must be a number, was True"),
        (put("weights", 1, value=None), "weights.1: must be a number, was None"),
        (put("intercept", value=10**400), "intercept: must be a number, was 1000"),
        (put("scales", 0, value=0.0), "scales: each must be above 0, the least was 0.0"),
        (put("data", value=[]), "data: must be a JSON object, was []"),
        (put("data", "files", 0, value={"name": "x"}), "data.files.0.sha256: is missing"),
        (put("costs", "fee_in_frac", value=-0.1), "costs.fee_in_frac: must be a number from 0 to 1, was -0.1"),
        (put("wins", value=4_131), "wins: must be a whole number from 0 to 4130, was 4131"),
        (put("signals", value=1.5), "signals: must be a whole number"),
        (put("evaluation", "auc", value=1.01), "evaluation.auc: must be a number from 0 to 1, was 1.01"),
        (put("evaluation", "events", value=3_721), "evaluation.events: must be a whole number from 0 to 3720"),
        (put("evaluation", "auc", value=0.9), "conditions: do not agree with the figures under evaluation"),
        (put("conditions", 0, "limit", value=0.4), "conditions: do not agree"),
        (put("armed", value=True), "armed: must be false by the figures under evaluation, was True"),
        (put("armed", value=0), "armed: must be false"),
    ],
)
def test_field_that_is_wrong_is_named(tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    path = tmp_path / NAME
    document = json.loads(json.dumps(model_document(CARD)))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_model_card(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert "train it anew, or delete it" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("[]", "the content: must be a JSON object, was []"),
        ('{"armed": NaN}', "NaN is no number of JSON"),
        ('{"armed": true, "armed": false}', "armed: is there twice"),
        ('{"armed": ', "Expecting value"),
        ("[" * 50_000, ""),
        (" " * (BYTES_MAX + 1), f"is longer than {BYTES_MAX:,} bytes"),
    ],
)
def test_content_that_is_no_card_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / NAME
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_model_card(path)
    assert str(caught.value).startswith(f"{path}: {said}")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="codec can't decode"):
        read_model_card(path)


def test_number_too_large_for_a_float_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    text = json.dumps(model_document(CARD)).replace('"intercept": -0.2', '"intercept": 1e999')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="intercept: must be a number, was inf"):
        read_model_card(path)


def test_figures_that_are_not_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_model_card(tmp_path / NAME, replace(CARD, evaluation=replace(UNARMED, auc=math.nan)))
    assert list(tmp_path.iterdir()) == []
