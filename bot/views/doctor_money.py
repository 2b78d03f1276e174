"""What trading costs here, in dollars: what can be bought, round trips, risk, all stops, the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from bot.domain.snapshot import ReachView
from bot.views.costs_text import MONTHS, explain_reach, from_words, is_open, server_words, why_not
from bot.views.doctor_text import Check, Health
from bot.views.text import money, percent

AREA = "money"
SERVER_WARN_PCT = 10.0
"""Of equity a year: more than a careful account can count on earning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the money lines rest on; USD, percents 0 to 100."""

    source: str
    """Of which account this is said."""
    strategy: str
    equity_usd: float
    risk_ceiling_pct: float
    """The tier's, or the user's where that is lower."""
    heat_usd: float
    heat_limit_usd: float
    reach: Sequence[ReachView]


def check_money(costs: Costs) -> Iterator[Check]:
    """Say what the present equity can do; a warning only where it can buy nothing anywhere."""
    yield _ok("strategy", f"{costs.strategy} with {money(costs.equity_usd)}: {costs.source}")
    possible = any(is_open(row) for row in costs.reach)
    by_account = {name: list(rows) for name, rows in groupby(costs.reach, key=lambda row: row["account"])}
    for name, rows in by_account.items():
        yield _venue(name, rows, possible=possible)
    for name, rows in by_account.items():
        known = [row for row in rows if row["stop_pct"] is not None]
        if known:
            pct = percent(known[0]["round_trip_pct"], digits=2)
            yield _ok("round trip", f"{name}: {pct} of an order, {_span([row['round_trip_usd'] for row in known])}")
    yield from _risk(costs)
    text = f"{money(costs.heat_usd)} now, gaps included; at {money(costs.heat_limit_usd)} nothing more is bought"
    yield _ok("all stops", text)


def check_server(usd_month: Decimal, equity_usd: float) -> Check:
    """Say what a year of the server takes from the equity."""
    pct = 100 * MONTHS * float(usd_month) / equity_usd
    found = server_words(float(usd_month), pct)
    if pct <= SERVER_WARN_PCT:
        return _ok("server", found)
    fix = "a machine that runs anyway, or more equity"
    return Check(area=AREA, name="server", health=Health.WARN, found=found, fix=fix)


def _ok(name: str, found: str) -> Check:
    return Check(area=AREA, name=name, health=Health.OK, found=found)


def _venue(name: str, rows: Sequence[ReachView], *, possible: bool) -> Check:
    coins = [f"{_coin(row)} for {money(row['order_usd'])}" for row in rows if is_open(row)]
    lines = [f"can be bought at full score: {', '.join(coins)}"] if coins else ["nothing can be bought"]
    whys: dict[str, list[str]] = {}
    for row in rows:
        if not is_open(row):
            whys.setdefault(why_not(row), []).append(f"{_coin(row)} ({from_words(row)})")
    lines += [f"{', '.join(names)}: {why}" for why, names in whys.items()]
    starts = [row["from_equity_usd"] for row in rows if row["from_equity_usd"] is not None]
    if possible:
        health, fix = Health.OK, ""
    else:
        health = Health.WARN
        fix = f"a deposit: {money(min(starts))} on this venue is enough for one coin" if starts else _cures(rows)
    return Check(area=AREA, name=name, health=health, found="\n".join(lines), fix=fix)


def _cures(rows: Sequence[ReachView]) -> str:
    return " ".join(dict.fromkeys(explain_reach(row).cure for row in rows))


def _coin(row: ReachView) -> str:
    return row["symbol"].partition("/")[0]


def _risk(costs: Costs) -> Iterator[Check]:
    known = [row for row in costs.reach if row["stop_pct"] is not None]
    orders = [row for row in known if is_open(row)] or known
    if not orders:
        return
    what = "an order" if is_open(orders[0]) else "one smallest trade"
    found = (
        f"{what} that is stopped costs {_span([row['risk_usd'] for row in orders])}, "
        f"{_span([row['risk_pct'] for row in orders], unit='pct')} of equity; the ceiling is "
        f"{percent(costs.risk_ceiling_pct)}"
    )
    yield _ok("risk per trade", found)


def _span(values: Sequence[float], *, unit: str = "usd") -> str:
    """Least and largest of some amounts, or the one that they all are."""
    text = percent if unit == "pct" else money
    low, high = text(min(values)), text(max(values))
    return low if low == high else f"{low} to {high}"
