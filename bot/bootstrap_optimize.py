"""`optimize`: a search on the first part of the candles, whose winner then meets the last part once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import stdev

from bot.backtest import metrics
from bot.backtest.compare import difference
from bot.backtest.layout import Terms
from bot.backtest.optimized import Compared, Optimization, Part
from bot.backtest.result import ENOUGH_DAYS, LOOKS, LOOKS_DEVIATION, statistics_of
from bot.backtest.search import Changes, Dimension, search
from bot.backtest.sweep import Job, Score, Scores, SweepData, data_digest, hold_score, scores_by
from bot.bootstrap_sweep import WEIGHTS, Bench, balanced, candles_of, resample_of, words_of
from bot.domain.errors import ConfigError
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS

SEARCHED = (
    "STRATEGY=allocation,breakout",
    "EXIT_RULE=ladder,runner,trail,trail_tight",
    "MIN_SIGNAL_SCORE=0.75..0.95",
    "MIN_RISK_REWARD=1.8..3",
    "MAX_POSITION_PCT=6..18",
    "KELLY_WEIGHT=0..1",
    "VOLATILITY_WEIGHT=0..1",
    "EQUITY_WEIGHT=0..1",
)
"""What is varied unless --vary says something else."""
LEAST_ORDERS = 10
"""In the searched part: an account that hardly trades has a ratio of chance alone."""

SEARCH, HOLDOUT = 0, 1


def split_of(bench: Bench, holdout: float | int) -> tuple[int, int, int]:
    """Find first bar, midnight of the split, and end of the last bar (ms); ``holdout`` is a share, or a time in ms.

    Raises ConfigError where one of the parts is shorter than 40 days.
    """
    bar_ms = TIMEFRAME_MS[bench.data.timeframe]
    start, end = -(-bench.data.from_ms // bar_ms) * bar_ms, bench.data.to_ms // bar_ms * bar_ms
    split = holdout if isinstance(holdout, int) else end - int((end - start) * holdout)
    split = split // MS_PER_DAY * MS_PER_DAY
    if min(split - start, end - split) < ENOUGH_DAYS * MS_PER_DAY:
        days = [max(0, min(part, end - start) // MS_PER_DAY) for part in (split - start, end - split)]
        raise ConfigError(
            f"--holdout leaves {days[0]} days to search on and {days[1]} to test on; each needs {ENOUGH_DAYS} at least"
        )
    return start, split, end


def optimise(
    bench: Bench,
    space: Sequence[Dimension],
    *,
    holdout: float | int,
    trials: int,
    workers: int,
    cluster: str | None,
    study_file: Path | None,
    seed: int,
    compiled: bool,
    clock: Callable[[], float],
    on_batch: Callable[[int], None] = lambda _: None,
) -> Optimization:
    """Search, then compare the winner with the settings as they are. Nothing is written but the study.

    Raises ConfigError where settings, candles, study or cluster do not fit, or no trial came to anything.
    """
    began = clock()
    start, split, end = split_of(bench, holdout)
    # The bar before the split only closes the searched account: no price of the held-out part is seen.
    stretches = [(start, split - TIMEFRAME_MS[bench.data.timeframe]), (split, end)]
    data = bench.sweep_data(stretches, compiled=compiled)
    present = bench.terms({})
    tried = _Tried(bench)
    about = _about(bench, space, digest=data_digest(data, SEARCH))
    with scores_by(data, workers=workers, cluster=cluster) as scores:
        found = search(
            space,
            trials=trials,
            seed=seed,
            study_file=study_file,
            about=about,
            rate=lambda sets: tried.ratings(sets, scores),
            on_batch=on_batch,
        )
        if found.best is None:
            raise ConfigError(
                f"none of {found.trials} trials sent {LEAST_ORDERS} orders in the searched part, so there is nothing "
                f"to rate; take more time or equity{'; ' + tried.first_failure if tried.first_failure else ''}"
            )
        best = bench.terms(found.best)
        of_both = scores([Job(part, terms) for part in (SEARCH, HOLDOUT) for terms in (best, present)])
    looks = LOOKS + found.trials
    winner = balanced(found.best, bench.settings)
    moments = metrics.moments(metrics.daily_returns(of_both[0].equities))
    return Optimization(
        found=found,
        winner=winner,
        present={name: str(getattr(bench.settings, name.lower())) for name in winner},
        space=tuple(space),
        searched=_compared(data, SEARCH, of_both[:2], present, looks),
        held_out=_compared(data, HOLDOUT, of_both[2:], present, looks),
        ahead=difference(of_both[2].equities, of_both[3].equities, kit=data.kit, resample=resample_of(data)),
        looks=looks,
        deflated=metrics.deflated_sharpe(moments, looks, _spread(found.ratings, moments.n)),
        first_failure=tried.first_failure,
        source=bench.data.source,
        timeframe=bench.data.timeframe,
        account=bench.account,
        coins=tuple(bench.data.coins),
        candles=candles_of(data, SEARCH),
        decisions=tried.decisions,
        seconds=clock() - began,
        compiled=compiled,
    )


def _compared(data: SweepData, part: int, scores: Sequence[Score], present: Terms, looks: int) -> Compared:
    """Put winner and present settings beside holding the same coins over the same days."""
    winner, plain = scores
    parts = [
        Part(
            score=score,
            statistics=statistics_of(score.equities, [], [], kit=data.kit, resample=resample_of(data), looks=looks),
        )
        for score in (winner, plain, hold_score(data.markets[part], present, plain.days))
    ]
    market = data.markets[part]
    return Compared(start_ms=market.start_ms, end_ms=market.end_ms, winner=parts[0], present=parts[1], hold=parts[2])


def _spread(ratings: Sequence[float], days: int) -> float:
    """How far the Sharpe ratios of the looks spread: as was measured before, by chance in so many days, or these."""
    own = stdev(ratings) if len(ratings) > 1 else 0.0
    return max(LOOKS_DEVIATION, math.sqrt(metrics.DAYS_PER_YEAR / max(1, days - 1)), own)


class _Tried:
    """Rates sets on the searched part, and keeps count."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.decisions = 0
        self.first_failure = ""

    def ratings(self, sets: Sequence[Changes], scores: Scores) -> list[float | None]:
        """Sharpe ratio of each set on the searched part; None for what is impossible or hardly trades."""
        jobs: list[Job | None] = []
        for changes in sets:
            try:
                jobs.append(Job(SEARCH, self._bench.terms(changes)))
            except ConfigError as e:
                self.first_failure = self.first_failure or str(e)
                jobs.append(None)
        done = iter(scores([job for job in jobs if job is not None]))
        ratings: list[float | None] = []
        for changes, job in zip(sets, jobs, strict=True):
            score = None if job is None else next(done)
            self.decisions += score.decisions if score else 0
            if score is None or score.orders < LEAST_ORDERS or math.isnan(score.sharpe):
                few = f"{words_of(changes)}: sent {score.orders if score else 0} orders, fewer than {LEAST_ORDERS}"
                self.first_failure = self.first_failure or few
                ratings.append(None)
            else:
                ratings.append(score.sharpe)
        return ratings


def _about(bench: Bench, space: Sequence[Dimension], *, digest: str) -> str:
    """Name everything that a trial's rating depends on, so that a study is not continued on something else."""
    corner = {one.name: one.choices[-1] if one.choices else f"{one.high:g}" for one in space}
    corner |= dict.fromkeys(corner.keys() & set(WEIGHTS), "1")  # all of them could be 0, which is no set
    settings = sha256(repr((bench.terms(corner), [str(one) for one in space])).encode()).hexdigest()[:16]
    return f"candles {digest}, settings {settings}"
