"""`costs`: what an equity could buy, what that costs and risks, without a running bot."""

from __future__ import annotations

import click

from bot.cli.env import settings_from
from bot.cli.options import json_option, stdout_look
from bot.cli.size import MAX_USD, reads
from bot.domain.modes import Strategy
from bot.views.costs_text import costs_document, costs_markdown, render_costs
from bot.views.status import json_text
from bot.whatcosts import GUIDE_EQUITIES, VENUES, costs_of


@click.command()
@click.option(
    "--equity", metavar="USD", callback=reads("dollars", 1, MAX_USD), help="Of the account. Default: PAPER_EQUITY."
)
@click.option("--venue", type=click.Choice(VENUES, case_sensitive=False), help="Default: the venues of the settings.")
@click.option(
    "--strategy",
    "strategy_name",
    type=click.Choice([strategy.value for strategy in Strategy], case_sensitive=False),
    help="Default: STRATEGY.",
)
@click.option("--markdown", is_flag=True, help="Print the guide's table: four equities, all venues, both strategies.")
@json_option
def costs(*, equity: float | None, venue: str | None, strategy_name: str | None, markdown: bool, as_json: bool) -> None:
    r"""Show which coins can be traded, from what equity the others, and what it costs.

    Nothing is sent. Limits and fees are those of the settings; prices are examples.

    \b
    Example:
      python bot.py costs --equity 50 --venue kraken --strategy breakout
    """
    if markdown and as_json:
        raise click.UsageError("--markdown and --json are two forms of one answer: choose one")
    settings = settings_from()
    asked = [Strategy(strategy_name)] if strategy_name is not None else []
    if markdown:
        report = costs_of(
            settings,
            equities=GUIDE_EQUITIES if equity is None else [equity],
            venues=VENUES if venue is None else [venue],
            strategies=asked or list(Strategy),
        )
        click.echo(costs_markdown(report), nl=False)
        return
    report = costs_of(
        settings,
        equities=[float(settings.paper_equity) if equity is None else equity],
        venues=[] if venue is None else [venue],
        strategies=asked,
    )
    click.echo(json_text(costs_document(report)) if as_json else "\n".join(render_costs(report, stdout_look())))
