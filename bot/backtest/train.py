"""Trains the model of the trade filter and measures it on events that came later; needs the ``research`` extra."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec

from bot.backtest.events import HORIZON_BARS, TARGET_ATR, Event, events_of, without_overlap
from bot.backtest.layout import MS_PER_DAY
from bot.backtest.market import Bars
from bot.backtest.purged import Split, purged_splits, shuffled_splits
from bot.backtest.skill import auc, auc_range, brier
from bot.decide.breakout import BREAKOUT_DAYS, STOP_ATR
from bot.decide.costs import SLIPPAGE
from bot.decide.features import FEATURE_NAMES
from bot.domain.errors import ConfigError
from bot.domain.model_card import Evaluation, ModelCard

REGULARISATION = 0.05
"""The C of scikit-learn, chosen before any look at these data (quant 4f)."""

MIN_TRAINED = 20
"""Events below which a block is not tested, but belongs to the warm-up."""

CONFIDENT = 0.70
MONTH_DAYS = 30
FOLDS = 5
SEED = 1

PREDICTS = (
    f"whether a daily close above the prior {BREAKOUT_DAYS}-day high, bought at the next open, ends above its costs: "
    f"stop {STOP_ATR:g} daily ATR, target {TARGET_ATR:g}, at most {HORIZON_BARS} days"
)

LIMITS = (
    "It has seen daily candles only: no order books, no news, no other coins.",
    "It learned from breakouts that end by stop, target or time; an entry that ends otherwise is another bet.",
    "The coins were chosen when it was known that they had risen.",
    "Every entry is taken to fill at the open with the maker's fee, every exit at its price with the taker's.",
    "Coins rise and fall together, so the events are fewer than their number says; the range draws whole months.",
    "A model that was right in the past may be wrong from now on.",
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A logistic regression on standardised features, as numbers."""

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float


def is_available() -> bool:
    """Whether the packages that train are installed (the ``research`` extra)."""
    return find_spec("sklearn") is not None and find_spec("numpy") is not None


def train(
    daily: Mapping[str, Bars],
    *,
    source: str,
    files: Mapping[str, str],
    fee_in: float,
    fee_out: float,
    now: datetime,
) -> ModelCard:
    """Train on the events of the coins' daily bars, and measure by splits that respect time.

    ``files`` gives the SHA-256 of each candle file by its name; fees are fractions per side. Raises ConfigError where
    the bars hold too few events.
    """
    assert now.tzinfo is not None, "now must be tz-aware"
    events = events_of(daily, fee_in=fee_in, fee_out=fee_out)
    evaluation, fitted = evaluated(events)
    return ModelCard(
        predicts=PREDICTS,
        trained_at=now.astimezone(UTC),
        features=FEATURE_NAMES,
        means=fitted.means,
        scales=fitted.scales,
        weights=fitted.weights,
        intercept=fitted.intercept,
        source=source,
        coins=tuple(daily),
        from_at=_moment(min(bars.times[0] for bars in daily.values())),
        to_at=_moment(max(bars.times[-1] for bars in daily.values()) + MS_PER_DAY),
        files=tuple(sorted(files.items())),
        fee_in_frac=fee_in,
        fee_out_frac=fee_out,
        slippage_frac=SLIPPAGE,
        signals=len(events),
        wins=sum(event.label for event in events),
        evaluation=evaluation,
        limits=LIMITS,
    )


def evaluated(events: Sequence[Event]) -> tuple[Evaluation, Fitted]:
    """Measure out of sample, and fit on all. Raises ConfigError where there are too few events for either."""
    labels = [event.label for event in events]
    splits = purged_splits([event.entry_ms for event in events], [event.exit_ms for event in events])
    splits = [split for split in splits if _teaches(labels, split.train)]
    tested = [place for split in splits for place in split.test]
    of_tested = [labels[place] for place in tested]
    if len(set(of_tested)) < 2:
        raise ConfigError(
            f"too few breakouts to train and to test a model: {len(events)}, of which {len(tested)} come late enough "
            f"to be tested; use more coins or more years of daily candles"
        )
    said = foretold(events, splits)
    base = [sum(labels[k] for k in split.train) / len(split.train) for split in splits for _ in split.test]
    low, high = auc_range(of_tested, said, [events[k].entry_ms // (MONTH_DAYS * MS_PER_DAY) for k in tested], seed=SEED)
    shuffled = shuffled_splits(len(events), FOLDS, SEED)
    of_shuffled = [labels[place] for split in shuffled for place in split.test]
    fitted, in_sample = _fit(events, range(len(events)), range(len(events)))
    confident = [label for label, p in zip(of_tested, said, strict=True) if p >= CONFIDENT]
    evaluation = Evaluation(
        from_at=_moment(events[tested[0]].entry_ms),
        to_at=_moment(events[tested[-1]].entry_ms),
        signals=len(tested),
        events=len(without_overlap([events[place] for place in tested])),
        wins=sum(of_tested),
        auc=auc(of_tested, said),
        auc_low=low,
        auc_high=high,
        brier=brier(of_tested, said),
        base_brier=brier(of_tested, base),
        confident=len(confident),
        confident_wins=sum(confident),
        shuffled_auc=auc(of_shuffled, foretold(events, shuffled)),
        in_sample_auc=auc(labels, in_sample),
    )
    return evaluation, fitted


def foretold(events: Sequence[Event], splits: Iterable[Split]) -> list[float]:
    """Return the probabilities of all tested events, split by split, each from a model of its own training part."""
    return [p for split in splits for p in _fit(events, split.train, split.test)[1]]


def _teaches(labels: Sequence[int], places: Sequence[int]) -> bool:
    return len(places) >= MIN_TRAINED and len({labels[place] for place in places}) == 2


def _fit(events: Sequence[Event], train_on: Sequence[int], test_on: Sequence[int]) -> tuple[Fitted, list[float]]:
    """Fit on some events, and say the probabilities of others; means and scales are those of the training part."""
    import numpy as np

    rows = np.asarray([events[place].features for place in train_on])
    scaler = import_module("sklearn.preprocessing").StandardScaler().fit(rows)  # it carries no types
    model = import_module("sklearn.linear_model").LogisticRegression(C=REGULARISATION, max_iter=1_000)
    model.fit(scaler.transform(rows), [events[place].label for place in train_on])
    tested = np.asarray([events[place].features for place in test_on])
    fitted = Fitted(
        tuple(float(value) for value in scaler.mean_),
        tuple(float(value) for value in scaler.scale_),
        tuple(float(value) for value in model.coef_[0]),
        float(model.intercept_[0]),
    )
    return fitted, [float(value) for value in model.predict_proba(scaler.transform(tested))[:, 1]]


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
