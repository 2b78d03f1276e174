"""`size`: what the sizer would answer, for any equity, venue, coin and stop."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import click

from bot.cli.env import settings_from
from bot.cli.options import json_option, stdout_look
from bot.views.size_text import render_size, size_document
from bot.views.status import json_text
from bot.whatsize import COINS, EXAMPLE_VOLATILITIES, VENUES, OpenPosition, Question, answer

MAX_USD = 1_000_000.0
MAX_PRICE = 100_000_000.0


class Number(click.ParamType):
    """A number from ``low`` to ``high``; with ``per_cent`` it becomes a fraction, and a typed fraction is noticed."""

    name = "number"

    def __init__(self, noun: str, low: float, high: float, *, per_cent: bool = False) -> None:
        self._noun, self._low, self._high, self._per_cent = noun, low, high, per_cent

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the text; '$', ',' and '%' are allowed where they belong."""
        if isinstance(value, float):
            return value
        try:
            number = float(str(value).strip().removeprefix("$").removesuffix("%").replace(",", ""))
        except ValueError:
            number = math.nan
        if not self._low <= number <= self._high:
            self._refuse(value, number, param, ctx)
        return number / 100 if self._per_cent else number

    def _refuse(self, value: Any, number: float, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        meant = number * 100
        is_fraction = self._per_cent and 0 < number < self._low <= meant <= self._high
        hint = f"; did you mean {meant:g}?" if is_fraction else ""
        self.fail(f"{value!r} must be {self._noun} from {self._low:,g} to {self._high:,.0f}{hint}", param, ctx)


STOP = Number("a percent", 0.5, 90, per_cent=True)
VOLATILITY = Number("a percent a year", 5, 500, per_cent=True)
POSITION_USD = Number("dollars", 0.01, MAX_USD)
CASH = Number("dollars", 0, MAX_USD)


class Position(click.ParamType):
    """``COIN:USD:STOP`` or ``COIN:USD:STOP:VOLATILITY``, the latter two in percent."""

    name = "coin:usd:stop"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> OpenPosition:
        """Read the parts."""
        if isinstance(value, OpenPosition):
            return value
        coin, *rest = str(value).split(":")
        coin = coin.strip().upper()
        if coin not in COINS or not 2 <= len(rest) <= 3:
            self.fail(
                f"{value!r} must be COIN:USD:STOP such as ETH:45:6 (an open position of $45 whose stop is 6 % below "
                f"its price), with a coin of {', '.join(COINS)}; a volatility in percent may follow",
                param,
                ctx,
            )
        return OpenPosition(
            coin,
            POSITION_USD.convert(rest[0], param, ctx),
            STOP.convert(rest[1], param, ctx),
            VOLATILITY.convert(rest[2], param, ctx) if rest[2:] else EXAMPLE_VOLATILITIES[coin],
        )


@click.command()
@click.option(
    "--equity", type=Number("dollars", 1, MAX_USD), metavar="USD", required=True, help="Of the whole account."
)
@click.option("--venue", type=click.Choice(VENUES, case_sensitive=False), help="Default: PRIMARY_BROKER.")
@click.option("--coin", type=click.Choice(COINS, case_sensitive=False), help="Default: BTC.")
@click.option("--stop", type=STOP, metavar="PCT", required=True, help="Distance of the stop below the price.")
@click.option("--price", type=Number("dollars", 1e-6, MAX_PRICE), metavar="USD", help="Default: an example.")
@click.option("--volatility", type=VOLATILITY, metavar="PCT", help="A year. Default: an example for the coin.")
@click.option("--wins", type=click.IntRange(0, 10_000), default=0, show_default=True, help="Trades won so far.")
@click.option("--losses", type=click.IntRange(0, 10_000), default=0, show_default=True, help="Trades lost so far.")
@click.option(
    "--payoff", type=Number("a ratio", 0.1, 100), metavar="R", help="Mean win in losses at the stop. Default: 1.8."
)
@click.option(
    "--results-age", type=Number("days", 0, 10_000), default=0.0, metavar="DAYS", help="Of those trades. Default: 0."
)
@click.option(
    "--drawdown", type=Number("a percent", 0, 100, per_cent=True), default=0.0, metavar="PCT", help="Default: 0."
)
@click.option(
    "--day-loss",
    type=Number("a percent", 0, 100, per_cent=True),
    default=0.0,
    metavar="PCT",
    help="Lost today. Default: 0.",
)
@click.option("--cash", type=CASH, metavar="USD", help="Free on all venues. Default: all that is in no position.")
@click.option("--venue-cash", type=CASH, metavar="USD", help="Free on this venue. Default: all the cash.")
@click.option("--positions", type=click.IntRange(1, 20), help="Allowed at a time. Default: the tier's.")
@click.option(
    "--open",
    "open_positions",
    type=Position(),
    multiple=True,
    metavar="COIN:USD:STOP",
    help="An open position, such as ETH:45:6. Can be repeated.",
)
@json_option
def size(
    *,
    equity: float,
    venue: str | None,
    coin: str | None,
    stop: float,
    price: float | None,
    volatility: float | None,
    wins: int,
    losses: int,
    payoff: float | None,
    results_age: float,
    drawdown: float,
    day_loss: float,
    cash: float | None,
    venue_cash: float | None,
    positions: int | None,
    open_positions: tuple[OpenPosition, ...],
    as_json: bool,
) -> None:
    """Show what would be bought, why not more, or why nothing.

    Nothing is sent. Limits, fees and weights are those of the settings; PCT is in percent (6 is 6 %).

    \b
    Example:
      python bot.py size --equity 250 --venue kraken --coin BTC --stop 6 --wins 12 --losses 8
    """
    invested = sum(position.usd for position in open_positions)
    if invested > equity:
        raise click.BadParameter(
            f"${invested:,.2f} in all must be at most --equity {equity:,.2f}", param_hint="'--open'"
        )
    _at_most("--cash", cash, equity - invested, "equity that is in no position")
    _at_most("--venue-cash", venue_cash, equity - invested if cash is None else cash, "the cash")
    question = Question(
        equity=equity,
        stop_frac=stop,
        venue=venue,
        coin=coin,
        price=price,
        volatility=volatility,
        cash=cash,
        venue_cash=venue_cash,
        drawdown=drawdown,
        day_loss=day_loss,
        wins=wins,
        losses=losses,
        payoff=payoff,
        results_age_days=results_age,
        max_positions=positions,
        open_positions=open_positions,
    )
    report = answer(question, settings_from())
    click.echo(json_text(size_document(report)) if as_json else "\n".join(render_size(report, stdout_look())))


def _at_most(option: str, value: float | None, limit: float, what: str) -> None:
    if value is not None and value > limit:
        raise click.BadParameter(
            f"{value:,.2f} must be dollars from 0 to {limit:,.2f}: {what}", param_hint=f"'{option}'"
        )
