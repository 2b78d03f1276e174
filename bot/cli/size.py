"""`size`: what the sizer would answer, for any equity, venue, coin and stop."""

from __future__ import annotations

from collections.abc import Callable

import click

from bot.cli.env import settings_from
from bot.cli.options import json_option, read_number, stdout_look
from bot.views.size_text import render_size, size_document
from bot.views.status import json_text
from bot.whatsize import COINS, EXAMPLE_VOLATILITIES, VENUES, OpenPosition, Question, answer

MAX_USD = 1_000_000.0
MAX_PRICE = 100_000_000.0

Reader = Callable[[click.Context, click.Parameter, str | None], float | None]


def _number(text: str, noun: str, low: float, high: float, *, per_cent: bool = False) -> float:
    """Read a number from ``low`` to ``high``; a percent becomes a fraction, and a typed fraction is noticed."""
    number = read_number(text.strip().removesuffix("%"))
    if low <= number <= high:
        return number / 100 if per_cent else number
    is_fraction = per_cent and 0 < number < low <= number * 100 <= high
    hint = f"; did you mean {number * 100:g}?" if is_fraction else ""
    raise click.BadParameter(f"{text!r} must be {noun} from {low:,g} to {high:,.0f}{hint}")


def reads(noun: str, low: float, high: float, *, per_cent: bool = False) -> Reader:
    """Make an option's callback that reads a number of a range; percents become fractions."""

    def read(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> float | None:
        return None if text is None else _number(text, noun, low, high, per_cent=per_cent)

    return read


def _stop(text: str) -> float:
    return _number(text, "a percent", 0.5, 90, per_cent=True)


def _volatility(text: str) -> float:
    return _number(text, "a percent a year", 5, 500, per_cent=True)


def _positions(_ctx: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[OpenPosition, ...]:
    return tuple(_position(text) for text in texts)


def _position(text: str) -> OpenPosition:
    coin, *rest = text.split(":")
    coin = coin.strip().upper()
    if coin not in COINS or len(rest) not in (2, 3):
        raise click.BadParameter(
            f"{text!r} must be COIN:USD:STOP, such as ETH:45:6 for an open position of $45 whose stop is 6 % below "
            f"its price, with a coin of {', '.join(COINS)}; its volatility in percent may follow"
        )
    return OpenPosition(
        coin,
        _number(rest[0], "dollars", 0.01, MAX_USD),
        _stop(rest[1]),
        _volatility(rest[2]) if rest[2:] else EXAMPLE_VOLATILITIES[coin],
    )


_loss = reads("a percent", 0, 100, per_cent=True)
_cash = reads("dollars", 0, MAX_USD)


@click.command()
@click.option(
    "--equity", required=True, metavar="USD", callback=reads("dollars", 1, MAX_USD), help="Of the whole account."
)
@click.option("--venue", type=click.Choice(VENUES, case_sensitive=False), help="Default: PRIMARY_BROKER.")
@click.option("--coin", type=click.Choice(COINS, case_sensitive=False), help=f"Default: {COINS[0]}.")
@click.option(
    "--stop",
    required=True,
    metavar="PCT",
    callback=lambda _ctx, _parameter, text: _stop(text),
    help="Distance of the stop below the price.",
)
@click.option("--price", metavar="USD", callback=reads("dollars", 1e-6, MAX_PRICE), help="Default: an example.")
@click.option(
    "--volatility",
    metavar="PCT",
    callback=lambda _ctx, _parameter, text: text and _volatility(text),
    help="A year. Default: an example for the coin.",
)
@click.option("--wins", type=click.IntRange(0, 10_000), metavar="N", help="Trades won so far. Default: 0.")
@click.option("--losses", type=click.IntRange(0, 10_000), metavar="N", help="Trades lost so far. Default: 0.")
@click.option(
    "--payoff",
    metavar="R",
    callback=reads("a ratio", 0.1, 100),
    help="Mean win as a multiple of the loss at the stop. Default: 1.8.",
)
@click.option("--results-age", metavar="DAYS", callback=reads("days", 0, 10_000), help="Of those trades. Default: 0.")
@click.option("--drawdown", metavar="PCT", callback=_loss, help="Below the peak. Default: 0.")
@click.option("--day-loss", metavar="PCT", callback=_loss, help="Lost today. Default: 0.")
@click.option("--fees-paid", metavar="USD", callback=_cash, help="Fees of the last 30 days. Default: 0.")
@click.option("--cash", metavar="USD", callback=_cash, help="Free on all venues. Default: all that is in no position.")
@click.option("--venue-cash", metavar="USD", callback=_cash, help="Free on this venue. Default: all the cash.")
@click.option(
    "--positions",
    type=click.IntRange(1, 20),
    metavar="N",
    help="Allowed at a time. Default: the tier's, or MAX_POSITIONS where that is lower.",
)
@click.option(
    "--open",
    "open_positions",
    multiple=True,
    metavar="COIN:USD:STOP",
    callback=_positions,
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
    wins: int | None,
    losses: int | None,
    payoff: float | None,
    results_age: float | None,
    drawdown: float | None,
    day_loss: float | None,
    fees_paid: float | None,
    cash: float | None,
    venue_cash: float | None,
    positions: int | None,
    open_positions: tuple[OpenPosition, ...],
    as_json: bool,
) -> None:
    r"""Show what would be bought, why not more, or why nothing.

    Nothing is sent. Limits, fees and weights are those of the settings; PCT is in percent (6 is 6 %).

    \b
    Example:
      python bot.py size --equity 250 --venue kraken --coin BTC --stop 6 --wins 12 --losses 8
    """
    idle = equity - sum(position.usd for position in open_positions)
    if idle < 0:
        text = f"${equity - idle:,.2f} in all must be at most --equity {equity:,.2f}"
        raise click.BadParameter(text, param_hint="'--open'")
    _at_most("--cash", cash, idle, "the equity that is in no position")
    _at_most("--venue-cash", venue_cash, idle if cash is None else cash, "the cash")
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
        fees_paid=fees_paid,
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
        text = f"{value:,.2f} must be dollars from 0 to {limit:,.2f}: {what}"
        raise click.BadParameter(text, param_hint=f"'{option}'")
