"""`walkforward`: what choosing the best settings anew, again and again, would have brought."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import click

from bot.bootstrap_sweep import grid_of, parse_space
from bot.bootstrap_walkforward import GRID, walk_forward, windows_for
from bot.cli.env import settings_from
from bot.cli.sweep import Asked, progress, sweep_options
from bot.views.status import json_text
from bot.views.walkforward_text import render_walk_forward, walk_forward_document


@click.command()
@sweep_options
@click.option(
    "--train", type=click.IntRange(2, 240), default=24, show_default=True, metavar="MONTHS", help="To choose on."
)
@click.option(
    "--test", type=click.IntRange(1, 120), default=6, show_default=True, metavar="MONTHS", help="To be tested on."
)
@click.option("--anchored", is_flag=True, help="Choose on everything since the beginning, not on the last months.")
def walkforward(*, train: int, test: int, anchored: bool, **asked: Any) -> None:
    r"""Choose the best of a few settings on some months, test it on the next ones, and go on; sets nothing.

    Against the settings as they are, and against holding. --vary NAME=A,B,C makes a grid of its own.

    \b
    Example:
      python bot.py walkforward FOLDER --train 24 --test 6 --venue kraken --equity 250
    """
    options = Asked(**asked)
    grid = grid_of(parse_space(options.varied, settings_from)) if options.varied else list(GRID)
    bench = options.bench()
    windows = windows_for(bench, train_months=train, test_months=test, anchored=anchored)
    share = (train + test) / (train + test * len(windows))
    with progress("Walking", len(windows)) as done:
        result = walk_forward(
            bench,
            grid,
            windows,
            anchored=anchored,
            workers=options.workers,
            cluster=options.cluster,
            compiled=options.compiles(bench, max(1, round(share * len(windows) * len(grid)))),
            clock=perf_counter,
            on_window=done,
        )
    if options.as_json:
        click.echo(json_text(walk_forward_document(result)))
        return
    for line in render_walk_forward(result):
        click.echo(line)
