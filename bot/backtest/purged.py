"""Splits of labelled events in time, so that nothing that is tested was seen in training.

An event's label is known only when the event has ended. Trained is on events whose label ended, and five days more
passed, before the first tested entry (purge and embargo: Lopez de Prado 2018, Advances in Financial Machine Learning,
chapter 7). Each block is tested by what came before it, as it would have been live.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bot.backtest.bootstrap import following, seeded
from bot.backtest.layout import MS_PER_DAY

BLOCK_DAYS = 182
EMBARGO_DAYS = 5
WARM_UP_DAYS = 365


class Split(NamedTuple):
    """Places of the events to train on and to test."""

    train: list[int]
    test: list[int]


def purged_splits(
    entries_ms: Sequence[int],
    exits_ms: Sequence[int],
    *,
    warm_up_days: int = WARM_UP_DAYS,
    block_days: int = BLOCK_DAYS,
    embargo_days: int = EMBARGO_DAYS,
) -> list[Split]:
    """Split ascending events: test blocks of half a year after the warm-up, each trained on all that ended before it.

    ``exits_ms`` says when each label was known. Blocks without an event are left out.
    """
    assert list(entries_ms) == sorted(entries_ms), "events come in the order of their entries"
    assert all(start < end for start, end in zip(entries_ms, exits_ms, strict=True)), "an event has a length"
    splits = []
    if entries_ms:
        begin = entries_ms[0] + warm_up_days * MS_PER_DAY
        while begin <= entries_ms[-1]:
            end = begin + block_days * MS_PER_DAY
            known = begin - embargo_days * MS_PER_DAY
            test = [place for place, entry in enumerate(entries_ms) if begin <= entry < end]
            if test:
                splits.append(Split([place for place, exit_ms in enumerate(exits_ms) if exit_ms <= known], test))
            begin = end
    return splits


def shuffled_splits(count: int, folds: int, seed: int) -> list[Split]:
    """Split events without regard to time, as is often done and too good to be true: neighbours share their days."""
    places, state = list(range(count)), seeded(seed)
    for last in range(count - 1, 0, -1):  # Fisher and Yates
        state = following(state)
        other = state % (last + 1)
        places[last], places[other] = places[other], places[last]
    parts = [set(places[fold::folds]) for fold in range(folds)]
    return [Split([place for place in range(count) if place not in part], sorted(part)) for part in parts if part]
