"""The receipt in words, as JSON, and in the few lines of the weekly summary."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bot.books.holding import Held
from bot.books.receipt import MOST_EXPECTED_PCT, RECORD_DAYS, Slipped, Stopping, together
from bot.domain.orders import Purpose
from bot.views.receipt import Receipt
from bot.views.status_text import mode_lines
from bot.views.text import Column, Line, Look, Style, amount, finish, heading, moment, money, percent, table, wrapped

BPS = 10_000
MANY = 100_000
"""From here on a number of trades is as good as never."""


def receipt_document(receipt: Receipt) -> dict[str, object]:
    """The object of ``receipt --json``: USD as numbers, percentages 0 to 100, times ISO 8601 UTC, None: not known."""
    luck = receipt.luck
    return {
        "mode": receipt.mode.value,
        "since": receipt.since.isoformat(),
        "as_of": receipt.as_of.isoformat(),
        "days": receipt.days,
        "put_in_usd": receipt.put_in,
        "worth_usd": receipt.worth,
        "bot": {
            "gross_usd": receipt.net + receipt.fees,
            "fees_usd": receipt.fees,
            "net_usd": receipt.net,
            "server_usd": receipt.server,
            "after_server_usd": receipt.after_costs,
            "worst_fall_pct": 100 * receipt.worst_fall,
        },
        "same_exposure": _held_document(receipt, receipt.same_exposure)
        | {"exposure_pct": 100 * receipt.exposure, "coins": list(receipt.coins)},
        "all_in_coins": _held_document(receipt, receipt.all_in) | {"coins": list(receipt.coins)},
        "cash": {
            "made_usd": receipt.made(receipt.cash),
            "worth_usd": receipt.cash,
            "yield_pct": 100 * receipt.cash_yield,
        },
        "slippage": _slipped_document(together(receipt.slippage.values()))
        | {"by": {_purpose(purpose): _slipped_document(part) for purpose, part in receipt.slippage.items()}},
        "luck": {
            "trades": luck.trades,
            "trades_needed": luck.needed,
            "told": luck.is_told,
            "mean_pct": luck.mean_pct,
            "low_pct": luck.low_pct,
            "high_pct": luck.high_pct,
            "trades_a_year": receipt.trades_a_year,
            "words": luck_words(receipt),
        },
        "server": {
            "usd_month": receipt.server_month,
            "usd_year": receipt.server_year,
            "pct_of_equity_year": _server_pct(receipt),
        },
        "stopping": {
            "verdict": receipt.stopping.value,
            "better": receipt.stopping.is_better,
            "words": stopping_words(receipt),
        },
    }


def _held_document(receipt: Receipt, held: Held) -> dict[str, object]:
    return {
        "made_usd": receipt.made(held.worth),
        "worth_usd": held.worth,
        "worst_fall_pct": 100 * held.worst_fall,
    }


def _slipped_document(part: Slipped) -> dict[str, object]:
    return {"usd": float(part.usd), "bps": _bps(part), "fills": part.fills, "of_fills": part.of}


def _bps(part: Slipped) -> float:
    return float(part.usd / part.notional) * BPS if part.notional else math.nan


def _purpose(purpose: Purpose | None) -> str:
    return purpose.value if purpose is not None else "unknown"


# -- for people --------------------------------------------------------------------------------------


def render_receipt(receipt: Receipt, look: Look) -> list[str]:
    """Render all lines; none is wider than ``look.width`` cells."""
    lines = mode_lines(receipt.mode, look)
    lines += wrapped(
        f"From {moment(receipt.since)} to {moment(receipt.as_of)}, {amount(receipt.days, 'days')}. Put in "
        f"{money(receipt.put_in)}, deposits less withdrawals; now worth {money(receipt.worth)}.",
        look,
        indent=" ",
    )
    lines += [*_made(receipt, look), *_costs(receipt, look)]
    lines += heading("LUCK OR SKILL", look) + wrapped(luck_words(receipt), look)
    better = receipt.stopping.is_better
    lines += heading("STOPPING THE BOT", look)
    lines += wrapped(stopping_words(receipt), look, style=Style.WARN if better else Style.PLAIN)
    return finish(lines, look)


def _made(receipt: Receipt, look: Look) -> Iterator[Line]:
    yield from heading("WHAT THE MONEY MADE", look)
    columns = [
        Column("the same money"),
        Column("made", right=True),
        Column("is worth", right=True, drop=2),
        Column("worst fall", right=True, drop=1),
    ]
    bot_fall = percent(100 * receipt.worst_fall)
    rows = [
        ("bot, before fees", money(receipt.net + receipt.fees, signed=True), "", ""),
        ("bot, after fees", money(receipt.net, signed=True), money(receipt.worth), bot_fall),
        ("bot, less server too", money(receipt.after_costs, signed=True), "", ""),
        _held_row(receipt, "coins, bot's exposure", receipt.same_exposure),
        _held_row(receipt, "coins, all of it", receipt.all_in),
        (
            f"cash at {percent(100 * receipt.cash_yield)} a year",
            money(receipt.made(receipt.cash), signed=True),
            money(receipt.cash),
            "",
        ),
    ]
    yield from table(columns, rows, look)
    yield from wrapped(_definitions(receipt), look, style=Style.DIM)


def _held_row(receipt: Receipt, name: str, held: Held) -> tuple[str, ...]:
    fall = percent(100 * held.worst_fall)
    return (name, money(receipt.made(held.worth), signed=True), money(held.worth), fall)


def _definitions(receipt: Receipt) -> str:
    if math.isnan(receipt.all_in.worth):
        return "No prices of the coins are recorded yet: what they would have made is unknown."
    coins = ", ".join(symbol.partition("/")[0] for symbol in receipt.coins)
    exposure = f"{percent(100 * receipt.exposure)} of the money" if math.isfinite(receipt.exposure) else "its share"
    text = (
        f"The coins are {coins}, in equal parts, without fees. At the bot's exposure: {exposure}, what it had in coins "
        "on average, set anew each day; the rest lies idle, as the bot's does. All of it: bought with each deposit and "
        "kept. What was put in or taken out counts everywhere, in the coins at the nearest daily close. Falls are "
        "those at the ends of days."
    )
    if min(receipt.same_exposure.worth, receipt.all_in.worth, receipt.cash) < 0:
        text += " Worth less than nothing: so much of what was taken out would not have been there."
    return text


def _costs(receipt: Receipt, look: Look) -> Iterator[Line]:
    yield from heading("COSTS SINCE THE START", look)
    yield from wrapped(f"Fees {money(receipt.fees)}, in the result.", look)
    yield from wrapped(
        f"Server {money(receipt.server)}, not in the result: SERVER_COST_USD_MONTH={receipt.server_month:g}, for "
        f"{receipt.time.total_seconds() / 86_400 / 30.4375:,.1f} months.",
        look,
    )
    whole = together(receipt.slippage.values())
    if whole.of == 0:
        yield from wrapped("Slippage: nothing has been bought yet.", look)
        return
    if whole.fills == 0:
        yield from wrapped(f"Slippage: for none of {whole.of:,} fills a decision price is recorded.", look)
        return
    parts = ", ".join(
        f"{_purpose(purpose)} {money(float(part.usd), signed=True)} ({part.fills:,} of {part.of:,} fills)"
        for purpose, part in receipt.slippage.items()
    )
    yield from wrapped(
        f"Slippage {money(float(whole.usd), signed=True)} against the prices of the decisions, "
        f"{_bps(whole):+.1f} basis points of {money(float(whole.notional))}, in the result: {parts}. "
        "Above zero is a cost; a stop is measured from its trigger.",
        look,
    )


def luck_words(receipt: Receipt) -> str:
    """Say whether results like these can be told from luck, and from how many trades on."""
    luck = receipt.luck
    closed = "1 trade is closed" if luck.trades == 1 else f"{luck.trades:,} trades are closed"
    mean = f", on average {percent(luck.mean_pct, signed=True, digits=2)} of what they had cost" if luck.trades else ""
    if luck.is_told:
        side = "make" if luck.low_pct > 0 else "lose"
        return (
            f"{closed}{mean}, with 95 % between {percent(luck.low_pct, signed=True, digits=2)} and "
            f"{percent(luck.high_pct, signed=True, digits=2)}: they {side} more than luck explains. One record in "
            "twenty of pure luck shows as much, and the next trades may differ."
        )
    if luck.needed > MANY:
        return f"{closed}{mean}: cannot tell, the mean is too near to zero for any number of trades."
    like = " of such a mean and spread" if luck.trades > 1 else " at least"
    text = f"Cannot tell before {luck.needed:,.0f} trades{like}; {closed}{mean}."
    years = (luck.needed - luck.trades) / receipt.trades_a_year if receipt.trades_a_year > 0 else math.nan
    if math.isfinite(years):
        text += f" At their pace that takes {years:,.1f} more years."
    return text


def stopping_words(receipt: Receipt) -> str:
    """Say whether stopping is the better choice, with the numbers of the rule, and what the server takes."""
    cash = receipt.after_costs - receipt.made(receipt.cash)
    holding = receipt.after_costs - receipt.made(receipt.same_exposure.worth)
    against = f"after fees and server it is {money(cash, signed=True)} against cash"
    if math.isfinite(holding):
        against += f" and {money(holding, signed=True)} against the coins at its exposure"
    match receipt.stopping:
        case Stopping.EMPTY:
            text = "There is no money in it, and nothing to run it for."
        case Stopping.SERVER:
            text = (
                f"Better stopped, as it runs now: {against}, and the server alone takes more than "
                f"{MOST_EXPECTED_PCT:g} % a year, the best median that a simulation of these rules had, which is not "
                "proven. Without a server (`run --once` from cron on a computer that runs anyway, "
                "SERVER_COST_USD_MONTH=0) that falls away."
            )
        case Stopping.LOSING:
            text = f"Better stopped: its trades lose, and more than luck explains; {against}."
        case Stopping.BEHIND:
            text = f"Better stopped: {receipt.days:,.0f} days are a record, and {against}."
        case Stopping.TOO_EARLY:
            text = f"Too early to tell: fewer than {RECORD_DAYS} days, and too few trades; {against}."
        case Stopping.NO_REASON:
            text = f"No rule says stop: {against}."
    return f"{text} {_server_words(receipt)}"


def _server_pct(receipt: Receipt) -> float:
    return 100 * receipt.server_year / receipt.worth if receipt.worth > 0 else math.nan


def _server_words(receipt: Receipt) -> str:
    if receipt.server_month == 0:
        return "The server costs nothing."
    share = f", {percent(_server_pct(receipt))} of the equity" if receipt.worth > 0 else ""
    much = " That is much: `advise` says what else you could do." if _server_pct(receipt) > MOST_EXPECTED_PCT else ""
    return f"The server costs {money(receipt.server_month)} x 12 = {money(receipt.server_year)} a year{share}.{much}"


def digest_receipt(receipt: Receipt) -> list[str]:
    """The lines of the weekly summary, a fact a line."""
    made = [
        f"the bot {money(receipt.net, signed=True)} after fees",
        f"the coins at its exposure ({percent(100 * receipt.exposure)}) "
        f"{money(receipt.made(receipt.same_exposure.worth), signed=True)}",
        f"cash {money(receipt.made(receipt.cash), signed=True)}",
    ]
    lines = [
        f"Since {receipt.since:%Y-%m-%d}: {', '.join(made)}.",
        f"Fees {money(receipt.fees)}, in it; server {money(receipt.server)}, not in it.",
    ]
    if receipt.stopping.is_better:
        lines.append("Stopping it is the better choice: `python bot.py receipt` says why.")
    return lines
