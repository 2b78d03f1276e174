"""A search for better settings (Optuna), in batches, every trial counted: also failed ones and those of other days."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.domain.errors import ConfigError

BATCH = 16
"""Trials that are asked for at once. It is the same for any number of workers, and so the search is too."""
STUDY = "optimize"
ABOUT = "about"
VIEWED = "viewed"
"""How often the winner so far was run over the held-out part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """A setting and what it may be: texts to choose from, or a range of numbers."""

    name: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False

    def __str__(self) -> str:
        """As it is given to --vary."""
        if self.choices:
            return f"{self.name}={','.join(self.choices)}"
        return f"{self.name}={self.low:g}..{self.high:g}"


Changes = dict[str, str]
"""Texts of settings by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to."""

    best: Changes | None
    """Of all trials that were ever made; None where all of them failed."""
    trials: int
    """Ever made, failed and interrupted ones too."""
    failed: int
    resumed: int
    """Of earlier runs of the same study."""
    viewed: int
    """How often the held-out part has been looked at before."""
    ratings: tuple[float, ...]
    """Of all trials that have one."""


def search(
    space: Sequence[Dimension],
    *,
    trials: int,
    seed: int,
    study_file: Path | None,
    about: str,
    rate: Callable[[Sequence[Changes]], Sequence[float | None]],
    on_batch: Callable[[int], None] = lambda _: None,
) -> Found:
    """Make ``trials`` more trials; ``rate`` says how good each set of a batch is, None where that cannot be said.

    ``about`` tells what is searched on: a study that was made on something else is not continued.
    Raises ConfigError where the study cannot be continued.
    """
    with _quiet() as optuna, _study(optuna, study_file, about) as study:
        resumed = len(study.trials)
        # A seed that was used would ask for the same first trials again.
        study.sampler = optuna.samplers.TPESampler(seed=seed + resumed)
        distributions = {one.name: _distribution(optuna, one) for one in space}
        done = 0
        while done < trials:
            batch = [study.ask(distributions) for _ in range(min(BATCH, trials - done))]
            ratings = rate([_texts(space, trial.params) for trial in batch])
            for trial, rating in zip(batch, ratings, strict=True):
                if rating is None:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(trial, rating)
            done += len(batch)
            on_batch(len(batch))
        viewed = int(study.user_attrs.get(VIEWED, 0))
        study.set_user_attr(VIEWED, viewed + 1)
        return _found(study.trials, space, resumed=resumed, viewed=viewed)


def _found(trials: Sequence[Any], space: Sequence[Dimension], *, resumed: int, viewed: int) -> Found:
    rated = [trial for trial in trials if trial.values]
    # The first of equals: later ones have changed something that does not matter.
    best = max(rated, key=lambda trial: (trial.values[0], -trial.number), default=None)
    return Found(
        best=None if best is None else _texts(space, best.params),
        trials=len(trials),
        failed=len(trials) - len(rated),
        resumed=resumed,
        viewed=viewed,
        ratings=tuple(float(trial.values[0]) for trial in rated),
    )


def _texts(space: Sequence[Dimension], params: Mapping[str, Any]) -> Changes:
    texts = {}
    for one in space:
        value = params[one.name]
        is_fraction = not one.choices and not one.whole
        texts[one.name] = f"{value:.4f}".rstrip("0").rstrip(".") if is_fraction else str(value)
    return texts


def _distribution(optuna: Any, one: Dimension) -> Any:
    if one.choices:
        return optuna.distributions.CategoricalDistribution(one.choices)
    if one.whole:
        return optuna.distributions.IntDistribution(int(one.low), int(one.high))
    return optuna.distributions.FloatDistribution(one.low, one.high)


@contextmanager
def _quiet() -> Iterator[Any]:
    """Import Optuna, which neither logs what is said here anyway nor warns of what is meant."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def _study(optuna: Any, path: Path | None, about: str) -> Iterator[Any]:
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"--study {path}: the folder {path.parent} does not exist")
    try:
        journal = optuna.storages.journal
        storage = None if path is None else optuna.storages.JournalStorage(journal.JournalFileBackend(str(path)))
        study = optuna.create_study(study_name=STUDY, storage=storage, direction="maximize", load_if_exists=True)
    except OSError as e:
        raise ConfigError(f"--study {path}: cannot be opened ({e.strerror or e})") from e
    except (ValueError, KeyError, TypeError) as e:
        raise ConfigError(f"--study {path}: this is no study that can be continued ({e})") from e
    known = study.user_attrs.get(ABOUT)
    if known is None:
        study.set_user_attr(ABOUT, about)
    elif known != about:
        raise ConfigError(
            f"--study {path}: its trials were made on something else ({known}; now {about}); go on with the same "
            "settings, candles and options, or name another file"
        )
    yield study
