"""The checkers can fail: bugs that are planted into the engine are found, each within a stated number of seeds."""

from __future__ import annotations

import pytest
from sim_planted import PLANTED, Planted, line_of, measure


@pytest.mark.parametrize("planted", PLANTED, ids=[planted.name for planted in PLANTED])
def test_planted_bug_is_found_within_its_median(planted: Planted) -> None:
    median, counts, rules = measure(planted)
    print(f"\n{'planted bug':<26}{'median':>8}{'bound':>8}  {'seeds from each start':<22}rules that found it")
    print(line_of(planted, median, counts, rules))
    assert median <= planted.median_most, f"{counts} seeds, {sorted(rules)}"
