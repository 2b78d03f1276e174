"""`walkforward`: in each window the best set of a small grid is chosen on one stretch and tested on the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from bot.backtest.compare import Window, difference, hold_equities, is_below_median, stitched, windows_of
from bot.backtest.metrics import share_estimate
from bot.backtest.result import LOOKS, statistics_of
from bot.backtest.search import Changes
from bot.backtest.sweep import Job, Score, SweepData, scores_by, sharpe_or_zero
from bot.backtest.walked import Stitched, Tested, WalkForward
from bot.bootstrap_backtest import market_between
from bot.bootstrap_sweep import Bench, candles_of, resample_of
from bot.domain.errors import ConfigError
from bot.domain.market import TIMEFRAME_MS

PRESENT: Changes = {}
"""The settings as they are: always the first of the grid."""
GRID: tuple[Changes, ...] = (
    *({"STRATEGY": "allocation", "MAX_POSITION_PCT": most} for most in ("6", "12", "18")),
    *(
        {"STRATEGY": "breakout", "EXIT_RULE": rule, "MIN_SIGNAL_SCORE": score}
        for rule in ("ladder", "runner", "trail", "trail_tight")
        for score in ("0.75", "0.9")
    ),
)
"""What the present settings are compared with unless --vary says something else: written down before any run."""


def windows_for(bench: Bench, *, train_months: int, test_months: int, anchored: bool) -> list[Window]:
    """Cut the candles into windows. Raises ConfigError where there is none."""
    data = bench.data
    windows = windows_of(
        data.from_ms, data.to_ms, train_months=train_months, test_months=test_months, anchored=anchored
    )
    if not windows:
        days = (data.to_ms - data.from_ms) // 86_400_000
        raise ConfigError(
            f"--train {train_months} and --test {test_months} months need more than the {days} days of these candles"
        )
    return windows


def walk_forward(
    bench: Bench,
    grid: Sequence[Changes],
    windows: Sequence[Window],
    *,
    anchored: bool,
    workers: int,
    cluster: str | None,
    compiled: bool,
    clock: Callable[[], float],
    on_window: Callable[[int], None] = lambda _: None,
) -> WalkForward:
    """Choose and test, window by window; all sets are run on both stretches, so that the choice can be judged.

    Raises ConfigError where a set is impossible, or the cluster does not answer.
    """
    began = clock()
    by_terms: dict[str, Changes] = {}
    for changes in (PRESENT, *grid):  # each once: what says the same as the present settings is these
        by_terms.setdefault(repr(bench.terms(changes)), changes)
    sets = tuple(by_terms.values())
    terms = [bench.terms(changes) for changes in sets]
    bar_ms = TIMEFRAME_MS[bench.data.timeframe]
    stretches: list[tuple[int, int]] = []
    for window in windows:
        # The bar before the test only closes the account: nothing of the test is seen.
        stretches += [(window.train_from_ms, window.test_from_ms - bar_ms), (window.test_from_ms, window.test_to_ms)]
    data = bench.sweep_data(stretches, compiled=compiled)
    tested = []
    decisions = 0
    with scores_by(data, workers=workers, cluster=cluster) as scores:
        for number, window in enumerate(windows):
            found = scores([Job(2 * number + part, one) for part in (0, 1) for one in terms])
            decisions += sum(score.decisions for score in found)
            tested.append(_tested(window, sets, found[: len(sets)], found[len(sets) :]))
            on_window(1)
    whole = market_between(
        bench.data, terms[0], start_ms=windows[0].test_from_ms, end_ms=windows[-1].test_to_ms, kit=data.kit
    )
    chosen = stitched([one.test.equities for one in tested])
    present = stitched([one.present.equities for one in tested])
    hold = hold_equities(whole, terms[0], len(chosen) - 1)
    resample, looks = resample_of(data), LOOKS + len(sets)
    overfit = sum(one.below_median for one in tested)
    return WalkForward(
        tested=tuple(tested),
        grid=sets,
        anchored=anchored,
        chosen=_series(chosen, data, looks),
        present=_series(present, data, looks),
        hold=_series(hold, data, looks),
        ahead=difference(chosen, present, kit=data.kit, resample=resample),
        ahead_of_holding=difference(chosen, hold, kit=data.kit, resample=resample),
        overfit=share_estimate(overfit, len(tested)),
        looks=looks,
        left_over_days=(bench.data.to_ms - windows[-1].test_to_ms) // 86_400_000,
        source=bench.data.source,
        timeframe=bench.data.timeframe,
        account=bench.account,
        coins=tuple(bench.data.coins),
        runs=len(stretches) * len(sets),
        candles=sum(candles_of(data, number) for number in range(len(stretches))) * len(sets),
        decisions=decisions,
        seconds=clock() - began,
        compiled=compiled,
    )


def _tested(window: Window, sets: Sequence[Changes], train: Sequence[Score], test: Sequence[Score]) -> Tested:
    """Choose the highest Sharpe ratio of the train stretch; of equals the first, which is nearest to the present."""
    ratings = [sharpe_or_zero(score) for score in train]
    best = ratings.index(max(ratings))
    out_of_sample = [sharpe_or_zero(score) for score in test]
    return Tested(
        window=window,
        chosen=sets[best],
        train=train[best],
        test=test[best],
        present=test[0],
        median_sharpe=median(out_of_sample),
        below_median=is_below_median(best, out_of_sample),
    )


def _series(equities: Sequence[float], data: SweepData, looks: int) -> Stitched:
    statistics = statistics_of(equities, [], [], kit=data.kit, resample=resample_of(data), looks=looks)
    return Stitched(equities=tuple(equities), statistics=statistics)
