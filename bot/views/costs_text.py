"""What trading costs in dollars: what can be bought, from which equity the rest, what it costs and risks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from bot.domain.modes import Strategy
from bot.domain.refusal import RefusalCode
from bot.domain.snapshot import ReachView
from bot.views.refusals import Explanation, in_words
from bot.views.size_text import Given
from bot.views.text import INDENT, Column, Line, Look, Style, finish, heading, money, percent, table, wrapped

MONTHS = 12

STRATEGY_WORDS: Mapping[Strategy, str] = MappingProxyType(
    {
        Strategy.ALLOCATION: "holds a coin in proportion to its score, with a stop four average daily ranges below; "
        "sells when the score falls, not at a price",
        Strategy.BREAKOUT: "buys a new 20-day high at a high score, with a stop two average daily ranges below; "
        "EXIT_RULE says how the trade ends",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostsCase:
    """One equity on one venue under one strategy; USD, percents 0 to 100."""

    equity_usd: float
    venue: str
    strategy: str
    tier: str
    risk_ceiling_pct: float
    """What a trade may risk."""
    max_positions: int
    min_balance_usd: float
    """Below it the venue is dormant."""
    heat_limit_usd: float
    """What all stops together may cost."""
    server_pct_year: float
    """A year of the server as a share of equity."""
    reach: tuple[ReachView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostsReport:
    """Everything that is printed."""

    cases: tuple[CostsCase, ...]
    server_usd_month: float
    given: tuple[Given, ...]


# -- one coin on one venue ---------------------------------------------------------------------------


def is_open(view: ReachView) -> bool:
    """Whether there is an order."""
    return not view["refusal"]


def from_words(view: ReachView) -> str:
    """From which equity there is an order: ``from $24.91``, ``not now`` (more equity is no cure), ``unknown``."""
    if view["stop_pct"] is None:
        return "unknown"
    least = view["from_equity_usd"]
    return "not now" if least is None else f"from {money(least)}"


def why_not(view: ReachView) -> str:
    """Say why there is no order, '' where there is one."""
    return "" if is_open(view) else explain_reach(view).what


def explain_reach(view: ReachView) -> Explanation:
    """Explain why there is no order, and what would change it."""
    return in_words(
        RefusalCode(view["refusal"]),
        limit=view["refusal_limit"],
        actual=view["refusal_actual"],
        unit=view["refusal_unit"],
        account=view["account"],
    )


def server_words(usd_month: float, pct_year: float) -> str:
    """Say what the server takes, in dollars a year and as a share of equity."""
    return (
        f"{money(usd_month)} a month is {money(usd_month * MONTHS)} a year, "
        f"{percent(pct_year, digits=0 if pct_year >= 10 else 1)} of this equity: "
        "that much must be earned before anything is"
    )


def reach_lines(reach: Sequence[ReachView], look: Look, *, ceiling_pct: float) -> Iterator[Line]:
    """A row for each coin on each venue, the effective risk against its ceiling, and why there is no order."""
    columns = [
        Column("venue"),
        Column("coin"),
        Column("order", right=True),
        Column("stop", right=True, drop=1),
        Column("round trip", right=True, drop=3),
        Column("risk at the stop", right=True, drop=2),
    ]
    yield from table(columns, [_row(view) for view in reach], look)
    if any(not is_open(view) and view["stop_pct"] is not None for view in reach):
        yield from wrapped(
            "Where there is no order, the amounts are those of the smallest trade.", look, style=Style.DIM
        )
    yield from wrapped(_risk_words(reach, ceiling_pct), look)
    reasons: dict[tuple[str, str], list[str]] = {}
    for view in reach:
        if not is_open(view):
            reasons.setdefault((view["account"], why_not(view)), []).append(view["symbol"])
    for (account, reason), symbols in reasons.items():
        yield from wrapped(f"{account} {', '.join(symbols)}: {reason}", look, hanging=INDENT, style=Style.DIM)


def _row(view: ReachView) -> tuple[str, ...]:
    stop = view["stop_pct"]
    order = money(view["order_usd"]) if is_open(view) else from_words(view)
    known = ("", "", "")
    if stop is not None:
        trip = f"{percent(view['round_trip_pct'], digits=2)}, {money(view['round_trip_usd'])}"
        known = (percent(stop), trip, f"{money(view['risk_usd'])}, {percent(view['risk_pct'])}")
    return (view["account"], view["symbol"], order, *known)


def _risk_words(reach: Sequence[ReachView], ceiling_pct: float) -> str:
    words = f"The ceiling is {percent(ceiling_pct)} of equity per trade"
    orders = [view for view in reach if is_open(view)]
    if not orders:
        return f"{words}; no order is possible now."
    most = max(orders, key=lambda view: view["risk_pct"])
    where = f"{most['symbol']} on {most['account']}"
    return f"{words}; the order that risks most, {where}, really risks {percent(most['risk_pct'])}."


# -- the command -------------------------------------------------------------------------------------


def costs_document(report: CostsReport) -> dict[str, object]:
    """The object of ``costs --json``; in ``reach`` the words of each refusal stand under ``why``."""
    document = asdict(report)
    document["cases"] = [
        {**asdict(case), "reach": [{**view, "why": why_not(view)} for view in case.reach]} for case in report.cases
    ]
    document["given"] = {one.name: {"value": one.value, "origin": one.origin} for one in report.given}
    return document


def render_costs(report: CostsReport, look: Look) -> list[str]:
    """Render the answer; no line is wider than ``look.width`` cells."""
    lines = wrapped("A CALCULATION: no order is sent and nothing is recorded.", look, indent=" ", style=Style.LOUD)
    text = (
        "Orders at a full score, for an account that is all cash on the one venue. Prices, ranges and "
        "volatilities are examples, named below: the status of a running bot has the present ones."
    )
    lines += wrapped(text, look, indent=" ", style=Style.DIM)
    for case in report.cases:
        lines += _case(case, report, look)
    lines += heading("GIVEN", look)
    rows = [[one.name, one.value, one.origin] for one in report.given]
    lines += table([Column("what"), Column("value", right=True), Column("from", drop=1)], rows, look)
    return finish(lines, look)


def _case(case: CostsCase, report: CostsReport, look: Look) -> Iterator[Line]:
    yield from heading(f"{money(case.equity_usd)} ON {case.venue.upper()}", look)
    strategy = Strategy(case.strategy)
    yield from wrapped(f"Strategy {strategy}: {STRATEGY_WORDS[strategy]}.", look, style=Style.DIM)
    yield from reach_lines(case.reach, look, ceiling_pct=case.risk_ceiling_pct)
    positions = "1 position" if case.max_positions == 1 else f"{case.max_positions} positions"
    text = f"Tier {case.tier}: at most {positions}; all stops together may cost {money(case.heat_limit_usd)}."
    yield from wrapped(text, look)
    if report.server_usd_month > 0:
        yield from wrapped(f"Server: {server_words(report.server_usd_month, case.server_pct_year)}.", look)


# -- the guide's table -------------------------------------------------------------------------------

_TITLES = (
    "equity",
    "venue",
    "strategy",
    "can be traded: order",
    "the others",
    "round trip",
    "risk at the stop",
    "server a year",
)


def costs_markdown(report: CostsReport) -> str:
    """The cases as a table in Markdown, with what they rest on below; ends with a line end."""
    rows = [_TITLES, ("---",) * len(_TITLES), *(_markdown_row(case) for case in report.cases)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", "What the table rests on:", ""]
    lines += [f"- {one.name}: {one.value}" + (f" ({one.origin})" if one.origin else "") for one in report.given]
    return "\n".join([*lines, ""])


def _markdown_row(case: CostsCase) -> tuple[str, ...]:
    orders = [view for view in case.reach if is_open(view)]
    others = [view for view in case.reach if not is_open(view)]
    # Without an order: what the smallest trade would cost.
    trips = [view["round_trip_usd"] for view in orders or case.reach]
    trip = (
        money(min(trips)) if money(min(trips)) == money(max(trips)) else f"{money(min(trips))} to {money(max(trips))}"
    )
    dormant = case.equity_usd < case.min_balance_usd
    waiting = ", ".join(f"{_coin(view)} {from_words(view)}" for view in others) or "no others"
    return (
        _round_usd(case.equity_usd),
        case.venue,
        case.strategy,
        ", ".join(f"{_coin(view)} {money(view['order_usd'])}" for view in orders) or "none",
        f"dormant below {_round_usd(case.min_balance_usd)}; {waiting}" if dormant else waiting,
        f"{percent(case.reach[0]['round_trip_pct'], digits=2)}, {trip}",
        ", ".join(f"{_coin(view)} {percent(view['risk_pct'])}" for view in orders) or "no order",
        percent(case.server_pct_year, digits=0 if case.server_pct_year >= 10 else 1),
    )


def _coin(view: ReachView) -> str:
    return view["symbol"].partition("/")[0]


def _round_usd(usd: float) -> str:
    return money(usd, digits=0 if usd == round(usd) else 2)
