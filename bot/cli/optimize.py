"""`optimize`: whether other settings would have done better, and whether they still do where nobody searched."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import click

from bot.bootstrap_optimize import SEARCHED, optimise
from bot.bootstrap_sweep import parse_space
from bot.cli.env import settings_from
from bot.cli.sweep import Asked, demand_search, progress, sweep_options
from bot.cli.values import parse_moment
from bot.domain.errors import ConfigError
from bot.views.optimize_text import optimization_document, render_optimization
from bot.views.status import json_text

LEAST_HOLDOUT, MOST_HOLDOUT = 0.05, 0.75


@click.command()
@sweep_options
@click.option(
    "--trials", type=click.IntRange(1, 100_000), default=96, show_default=True, metavar="N", help="Sets to try."
)
@click.option(
    "--holdout",
    default="0.25",
    show_default=True,
    metavar="PART",
    help="What the search never sees: the last part of the time, as a share, or from a date on.",
)
@click.option("--seed", type=click.IntRange(0, 1_000_000), default=1, show_default=True, help="Of the search.")
@click.option(
    "--study",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep the trials there and go on with them; a relative path begins in STATE_DIR.",
)
def optimize(*, trials: int, holdout: str, seed: int, study: Path | None, **asked: Any) -> None:
    r"""Search settings on the first part of the candles and test the winner on the last part. Sets nothing.

    --vary NAME=LOW..HIGH or NAME=A,B,C says what is tried. Every trial counts as a look at the same candles. The
    three weights of the sizer are proportions: each set's are scaled to a sum of 1.

    \b
    Example:
      python bot.py optimize FOLDER --vary STRATEGY=allocation,breakout --vary MAX_POSITION_PCT=6..18 --workers 2
    """
    demand_search()
    options = Asked(**asked)
    space = parse_space(options.varied or SEARCHED, settings_from)
    part = _holdout_of(holdout)
    bench = options.bench()
    if study is not None:
        study = bench.settings.state_dir / study
    with progress("Searching", trials) as done:
        result = optimise(
            bench,
            space,
            holdout=part,
            trials=trials,
            workers=options.workers,
            cluster=options.cluster,
            study_file=study,
            seed=seed,
            compiled=options.compiles(bench, trials),
            clock=perf_counter,
            on_batch=done,
        )
    if options.as_json:
        click.echo(json_text(optimization_document(result)))
        return
    for line in render_optimization(result):
        click.echo(line)


def _holdout_of(text: str) -> float | int:
    """Read a share of the time, or a date in ms. Raises ConfigError."""
    try:
        share = float(text)
    except ValueError:
        return int(parse_moment(text, "--holdout", end_of_day=False).timestamp() * 1000)
    if not LEAST_HOLDOUT <= share <= MOST_HOLDOUT:
        raise ConfigError(
            f"--holdout {text!r}: must be a share from {LEAST_HOLDOUT:g} to {MOST_HOLDOUT:g}, or a date such as "
            "2024-01-01"
        )
    return share
