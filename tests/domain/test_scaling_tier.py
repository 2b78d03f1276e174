"""ScalingTier: its fields, its range, and the values that no account can have."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from bot.domain.tier import UNRANKED, ScalingTier

FIELDS: dict[str, Any] = {
    "name": "CUSTOM",
    "min_equity": 2000.0,
    "max_equity": 3000.0,
    "max_positions": 8,
    "risk_per_trade": 6.0,
    "copy_trading": True,
    "leverage_enabled": False,
    "description": "For tests",
}


def tier(**changes: Any) -> ScalingTier:
    return ScalingTier(**(FIELDS | changes))


def test_tier_prints_as_its_name_and_gives_all_fields() -> None:
    assert str(tier()) == f"{tier()}" == "CUSTOM"
    assert tier().to_dict() == FIELDS


def test_tier_without_a_description_has_an_empty_one() -> None:
    assert ScalingTier("A", 1.0, None, 1, 1.0, False, False).description == ""


@pytest.mark.parametrize(
    ("equity", "inside"), [(1999.99, False), (2000.0, True), (2999.99, True), (3000.0, False), (math.nan, False)]
)
def test_tier_range_is_half_open(equity: float, inside: bool) -> None:
    assert tier().matches(equity) is inside


def test_tier_without_an_upper_end_matches_everything_above() -> None:
    assert tier(max_equity=None).matches(1e12)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "name must not be empty"),
        ("min_equity", -0.01, "min_equity must be a number >= 0, was -0.01"),
        ("min_equity", math.nan, "min_equity must be a number"),
        ("min_equity", math.inf, "min_equity must be a number"),
        ("max_equity", 2000.0, "max_equity must be above min_equity 2000.0, was 2000.0"),
        ("max_equity", math.nan, "max_equity must be above"),
        ("max_positions", 0, "max_positions must be at least 1, was 0"),
        ("risk_per_trade", 0.0, "above 0 and at most 6"),
        ("risk_per_trade", 6.01, "above 0 and at most 6"),
        ("risk_per_trade", math.nan, "above 0 and at most 6"),
    ],
)
def test_tier_with_an_impossible_value_is_refused_by_name(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tier(**{field: value})


@pytest.mark.parametrize(("field", "value"), [("min_equity", 0.0), ("max_positions", 1), ("risk_per_trade", 6.0)])
def test_tier_at_the_edge_of_what_is_allowed_is_accepted(field: str, value: float) -> None:
    assert getattr(tier(**{field: value}), field) == value


def test_tier_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        tier().max_positions = 99  # type: ignore[misc]  # what this test is about


def test_unranked_is_falsy_with_a_name() -> None:
    assert not UNRANKED
    assert str(UNRANKED) == UNRANKED.name == "UNRANKED"
