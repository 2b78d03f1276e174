"""`montecarlo`: what may become of the account, from its own trades or from a win rate."""

from __future__ import annotations

import math
from importlib.util import find_spec

import click

from bot.backtest.market import Kit
from bot.backtest.metrics import ENOUGH_TRADES
from bot.backtest.montecarlo import BLOCK_TRADES, odds_of, two_outcomes
from bot.backtest.paths import walk_paths, walk_paths_at_once
from bot.cli.env import settings_from
from bot.cli.options import chosen_mode, json_option, mode_option, nothing_recorded_is_3
from bot.cli.size import reads
from bot.domain.errors import ConfigError
from bot.scaling.ladder import SCALING_TIERS, activation_equity, tier_for
from bot.scaling.transitions import floor_equity
from bot.views.folders import find_place
from bot.views.montecarlo_text import Question, montecarlo_document, read_own_results, render_montecarlo
from bot.views.status import json_text

WORK_AT_ONCE = 100_000
"""Trades on all paths: plain Python takes as long for so many as numpy to be imported."""


@click.command()
@click.option(
    "--win-rate", metavar="PCT", callback=reads("a percent", 1, 99, per_cent=True), help="Instead of own trades."
)
@click.option("--payoff", metavar="R", callback=reads("a ratio", 0.1, 100), help="Mean win in R. Default: 1.8.")
@click.option("--loss", metavar="R", callback=reads("a ratio", 0.1, 10), help="Mean loss in R. Default: 1.")
@click.option(
    "--risk",
    metavar="PCT",
    callback=reads("a percent", 0.05, 50, per_cent=True),
    help="With --win-rate: 1 R as a share of equity. Default: 1; the tiers allow 3 to 5.",
)
@click.option("--equity", metavar="USD", callback=reads("dollars", 1, 1_000_000), help="Default: the account's.")
@click.option("--trades", "count", type=click.IntRange(1, 5_000), default=365, show_default=True, help="On each path.")
@click.option(
    "--paths", type=click.IntRange(100, 100_000), default=10_000, show_default=True, help="Futures to invent."
)
@click.option(
    "--per-year", type=click.FloatRange(0.1, 10_000), metavar="N", help="Trades a year, to tell times in months."
)
@click.option("--seed", type=click.IntRange(0, 1_000_000), default=1, show_default=True, help="Of the drawing.")
@mode_option
@json_option
def montecarlo(
    *,
    win_rate: float | None,
    payoff: float | None,
    loss: float | None,
    risk: float | None,
    equity: float | None,
    count: int,
    paths: int,
    per_year: float | None,
    seed: int,
    mode_name: str | None,
    as_json: bool,
) -> None:
    r"""Say how likely it is to double before halving, to fall by the drawdown limit, to reach the next tier.

    From the account's own closed trades, at least 30 of them, drawn in blocks so that streaks stay together; or from
    --win-rate, --payoff and --risk.

    \b
    Example:
      python bot.py montecarlo --win-rate 45 --payoff 1.8 --risk 1 --equity 250 --trades 50
    """
    settings = settings_from()
    if win_rate is not None:
        payoff, loss, risk = payoff or 1.8, loss or 1.0, risk or 0.01
        changes, block = two_outcomes(win_rate, risk * payoff, risk * loss), 1.0
        about = f"{win_rate * 100:g} % win {payoff:g} R, the others lose {loss:g} R; 1 R is {risk * 100:g} % of equity"
        start, yearly = float(settings.paper_equity), math.nan
    else:
        given = {"--payoff": payoff, "--loss": loss, "--risk": risk}
        alone = [name for name, value in given.items() if value is not None]
        if alone:
            raise ConfigError(f"{', '.join(alone)} describes assumed trades and needs --win-rate, such as 45")
        with nothing_recorded_is_3():
            own = read_own_results(find_place(settings.state_dir, chosen_mode(mode_name)))
        if len(own.changes) < ENOUGH_TRADES:
            raise ConfigError(
                f"{len(own.changes)} closed trades of the {own.mode} account are insufficient, {ENOUGH_TRADES} are "
                "needed; `--win-rate 45 --payoff 1.8 --risk 1` asks for assumed ones"
            )
        changes, block, start, yearly = list(own.changes), BLOCK_TRADES, own.equity, own.per_year
        about = f"{len(changes)} closed trades of the {own.mode} account, in blocks of {BLOCK_TRADES:g} on average"
    start = equity if equity is not None else start
    if tier_for(start, SCALING_TIERS) is None:
        least = activation_equity(SCALING_TIERS)
        raise ConfigError(f"with ${start:.2f} nothing is opened: an account becomes active at ${least:.2f}")
    above = sorted((one for one in SCALING_TIERS if one.min_equity > start), key=lambda one: one.min_equity)
    question = Question(
        equity=start,
        next_tier=above[0].name if above else "",
        next_tier_usd=above[0].min_equity if above else math.inf,
        floor_usd=floor_equity(SCALING_TIERS),
        drawdown_limit=settings.max_drawdown / 100,
        about=about,
        per_year=per_year if per_year is not None else yearly,
    )
    fast = find_spec("numpy") is not None and paths * count > WORK_AT_ONCE
    odds = odds_of(
        changes,
        block=block,
        trades=count,
        paths=paths,
        equity=start,
        next_tier=question.next_tier_usd,
        floor=question.floor_usd,
        drawdown_limit=question.drawdown_limit,
        seed=seed,
        kit=Kit(compiled=fast),
        walk=walk_paths_at_once if fast else walk_paths,
    )
    if as_json:
        click.echo(json_text(montecarlo_document(question, odds)))
        return
    for line in render_montecarlo(question, odds):
        click.echo(line)
