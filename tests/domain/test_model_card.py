from __future__ import annotations

import math

import pytest

from bot.domain.model_card import arming


@pytest.mark.parametrize(
    ("auc", "brier", "base_brier", "events", "met"),
    [
        (0.56, 0.24, 0.25, 200, (True, True, True)),
        (0.55, 0.24, 0.25, 200, (False, True, True)),
        (0.56, 0.25, 0.25, 200, (True, False, True)),
        (0.56, 0.24, 0.25, 199, (True, True, False)),
        (0.49, 0.2615, 0.2461, 1072, (False, False, True)),  # the logistic model of quant 4f
        (math.nan, 0.24, 0.25, 200, (False, True, True)),
        (0.56, math.nan, 0.25, 200, (True, False, True)),
        (0.56, 0.24, math.nan, 200, (True, False, True)),
    ],
)
def test_arming_needs_all_three_conditions(
    auc: float, brier: float, base_brier: float, events: int, met: tuple[bool, bool, bool]
) -> None:
    conditions = arming(auc, brier, base_brier, events)
    assert tuple(condition.met for condition in conditions) == met
    assert [condition.name for condition in conditions] == ["auc", "brier", "events"]
    assert [condition.limit for condition in conditions[::2]] == [0.55, 200]
