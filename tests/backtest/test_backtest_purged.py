"""Splits in time: what is tested was not seen, and shuffling would have flattered."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.backtest.events import Event
from bot.backtest.purged import Split, purged_splits, shuffled_splits
from bot.backtest.skill import auc
from bot.backtest.train import foretold
from bot.domain.market import MS_PER_DAY

spans = st.lists(st.tuples(st.integers(0, 1_500), st.integers(1, 20)), max_size=80)


def times_of(days: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    days = sorted(days)
    return [day * MS_PER_DAY for day, _ in days], [(day + length) * MS_PER_DAY for day, length in days]


@given(days=spans, block=st.integers(1, 400), embargo=st.integers(0, 30))
def test_nothing_that_is_trained_on_reaches_into_what_is_tested(
    days: list[tuple[int, int]], block: int, embargo: int
) -> None:
    entries, exits = times_of(days)
    for train, test in purged_splits(entries, exits, block_days=block, embargo_days=embargo):
        begin = min(entries[place] for place in test)
        assert all(exits[place] + embargo * MS_PER_DAY <= begin for place in train)
        assert not set(train) & set(test)


@given(days=spans, block=st.integers(1, 400))
def test_every_event_after_the_warm_up_is_tested_once(days: list[tuple[int, int]], block: int) -> None:
    entries, exits = times_of(days)
    splits = purged_splits(entries, exits, block_days=block)
    begin = entries[0] + 365 * MS_PER_DAY if entries else 0
    wanted = [place for place, entry in enumerate(entries) if entry >= begin]
    assert [place for split in splits for place in split.test] == wanted


def test_purged_splits_by_hand() -> None:
    """Warm-up of 100 days, blocks of 100, embargo of 5; the test parts begin on days 100 and 200."""
    entries, exits = times_of([(0, 10), (80, 15), (85, 11), (100, 5), (150, 20), (180, 15), (190, 6), (250, 3)])
    assert purged_splits(entries, exits, warm_up_days=100, block_days=100, embargo_days=5) == [
        Split([0, 1], [3, 4, 5, 6]),  # the third ended on day 96, in the embargo
        Split([0, 1, 2, 3, 4, 5], [7]),  # the seventh on day 196
    ]


def test_events_out_of_order_are_an_error() -> None:
    with pytest.raises(AssertionError, match="order"):
        purged_splits([5, 1], [6, 2])
    with pytest.raises(AssertionError, match="length"):
        purged_splits([1], [1])


@given(count=st.integers(0, 60), folds=st.integers(2, 6), seed=st.integers(0, 100))
def test_shuffled_splits_test_every_event_once(count: int, folds: int, seed: int) -> None:
    splits = shuffled_splits(count, folds, seed)
    assert Counter(place for split in splits for place in split.test) == Counter(range(count))
    assert all(sorted(split.train + split.test) == list(range(count)) for split in splits)


def test_shuffled_splits_shuffle() -> None:
    assert shuffled_splits(20, 4, 1) != shuffled_splits(20, 4, 2)
    assert shuffled_splits(20, 4, 1)[0].test != [0, 4, 8, 12, 16]


def without_skill(seed: int, count: int = 800) -> list[Event]:
    """A signal a day whose features drift slowly, and whose label is the sign of the next 20 days of pure chance.

    Neighbours share nineteen of the twenty days, and nearly their features; nothing foretells anything.
    """
    chance = random.Random(seed)
    returns = [chance.gauss(0.0, 1.0) for _ in range(count + 20)]
    features, events = [0.0] * 10, []
    for day in range(count):
        features = [0.98 * value + chance.gauss(0.0, 0.2) for value in features]
        net = sum(returns[day : day + 20])
        events.append(Event("X", day * MS_PER_DAY, (day + 20) * MS_PER_DAY, net, net, tuple(features)))
    return events


def test_shuffled_cross_validation_looks_better_than_purged() -> None:
    """On events that nothing can foretell the shuffled one finds skill, the purged one none."""
    shuffled: list[float] = []
    purged: list[float] = []
    for seed in range(4):
        events = without_skill(seed)
        for found, splits in (
            (shuffled, shuffled_splits(len(events), 5, seed)),
            (purged, purged_splits([event.entry_ms for event in events], [event.exit_ms for event in events])),
        ):
            tested = [events[place].label for split in splits for place in split.test]
            found.append(auc(tested, foretold(events, splits)))
    assert sum(shuffled) / 4 > 0.60
    assert 0.40 < sum(purged) / 4 < 0.55
    assert all(one > other for one, other in zip(shuffled, purged, strict=True))
