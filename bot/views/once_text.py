"""What a run says at its end: how long it may sleep, and what nobody looks after meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from bot.domain.modes import Strategy
from bot.domain.orders import OrderState, Purpose
from bot.domain.snapshot import Snapshot
from bot.views.findings import finding_head, words_of
from bot.views.text import moment, money, price


def sleep_lines(snapshot: Snapshot) -> list[str]:
    """Say what is unprotected until the next run, and until when that may be."""
    alone = [*_unprotected(snapshot)]
    entries = [*_entries(snapshot)]
    lines = [*alone, *entries, *_remnants(snapshot), *_targets(snapshot), *_blocked(snapshot)]
    decision = moment(datetime.fromisoformat(snapshot["next_decision_at"]))
    daily = f"The next daily decision: {decision}."
    silent = [venue for venue in snapshot["venues"] if not venue["fresh"]]
    for venue in silent:
        why = f" ({venue['problem']})" if venue["problem"] else ""
        lines.append(f"{venue['account']} did not answer{why}: how things stand there is not known now.")
    if alone:
        lines.append("Run again at once, or keep the bot running: what is named above has nothing under it.")
    elif silent:
        lines.append(f"Run again at once, to ask again. {daily}")
    elif entries:
        lines.append(f"Run again soon: where an entry fills, each minute until then is one without a stop. {daily}")
    elif any(not position["too_small"] for position in snapshot["positions"]):
        lines.append(f"Every position has its stop on its venue. May sleep until the next daily decision: {decision}.")
    else:
        lines.append(f"Nothing is open. May sleep until the next daily decision: {decision}.")
    return lines


def _unprotected(snapshot: Snapshot) -> Iterator[str]:
    for position in snapshot["positions"]:
        if position["stop_resting"] or position["too_small"]:
            continue
        at = f" at {price(position['stop_price'])}" if position["stop_price"] is not None else ""
        why = "the bot watches it, and only while it runs" if position["stop_watched"] else "it is not placed yet"
        yield (
            f"UNPROTECTED: {position['symbol']} on {position['account']}, {money(position['value_usd'])}: "
            f"its stop{at} does not rest on the venue; {why}."
        )
    for order in snapshot["orders"]:
        if order["state"] == OrderState.UNKNOWN:
            yield f"UNKNOWN: the outcome of the {order['purpose']} order for {order['symbol']} on {order['account']}."


def _entries(snapshot: Snapshot) -> Iterator[str]:
    for order in snapshot["orders"]:
        if order["purpose"] == Purpose.ENTRY and order["state"] != OrderState.UNKNOWN and order["price"] is not None:
            worth = money(float(order["quantity"]) * float(order["price"]))
            until, by_then = "with no end", ""
            if order["expires_at"] is not None:
                until, by_then = f"until {moment(datetime.fromisoformat(order['expires_at']))}", " by then"
            yield (
                f"AN ENTRY RESTS: {order['symbol']} on {order['account']}, {worth} at {price(float(order['price']))}, "
                f"{until}. What it buys{by_then} has no stop before the next run."
            )


def _remnants(snapshot: Snapshot) -> Iterator[str]:
    for position in snapshot["positions"]:
        if position["too_small"]:
            what = f"{position['symbol']} on {position['account']}, {money(position['value_usd'])}"
            yield f"TOO SMALL: {what}: no order is possible for so little, and so no stop."


def _blocked(snapshot: Snapshot) -> Iterator[str]:
    for finding in snapshot["findings"]:
        if finding["blocks"]:
            yield f"NOTHING IS BOUGHT: {finding_head(finding)}. {words_of(finding).cure}"


def _targets(snapshot: Snapshot) -> Iterator[str]:
    if snapshot["positions"] and snapshot["strategy"] == Strategy.BREAKOUT:
        yield "Targets are taken and stops are raised only when it runs."
