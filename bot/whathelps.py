"""What the user could do, in dollars a year: puts the settings, the account's record and the costs together.

A composition root of its own for `bot.py advise`. What a coin needs is asked of `costs`, or read from the
running bot's record; nothing is sent or written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from bot.books.receipt import MONTHS, MOST_EXPECTED_PCT
from bot.decide.costs import break_even_move
from bot.domain.modes import Strategy
from bot.domain.snapshot import ReachView
from bot.settings import load_settings
from bot.settings_schema import Settings, configured_accounts
from bot.views.activity import Activity, VenueActivity
from bot.views.advice_text import Advice, AdviceReport
from bot.views.costs_text import from_words, is_open
from bot.views.text import money, percent
from bot.whatcosts import VENUES, costs_of

ASSUMED_TRIPS: Mapping[Strategy, tuple[float, str]] = MappingProxyType(
    {
        Strategy.ALLOCATION: (4.0, "closed trades a year in the shipped evidence, rounded up"),
        Strategy.BREAKOUT: (17.0, "closed trades a year in the shipped evidence, rounded up"),
    }
)
"""Round trips a year of an account without a record of its own: those of the shipped evidence."""

RECORD_DAYS = 90
"""From here on the account's own pace counts."""

LEAST_USD = 1.0
"""Equity below which nothing is asked."""

WORTH_USD = 1.0
"""A year: less is not worth the trouble."""

BLOCKING = (
    "MIN_TRADE_SIZE",
    "MIN_BALANCE_TO_TRADE",
    "MIN_BALANCE_COINBASE",
    "MIN_BALANCE_KRAKEN",
    "MAX_POSITION_PCT",
    "RISK_PER_TRADE",
    "FORCE_CASH_BUFFER",
    "DAILY_MAX_LOSS",
    "MAX_DRAWDOWN",
    "MIN_RISK_REWARD",
)
"""Settings that can leave no order at all."""


def advice_of(settings: Settings, *, activity: Activity | None, equity: float) -> AdviceReport:
    """Advise an account of ``equity`` (USD) under the settings in force; None: it has no record.

    Raises ConfigError for a coin or venue without market rules.
    """
    found = list(_without_server(settings))
    if equity >= LEAST_USD:  # an empty account has nothing else to change
        found += [
            *_wait(settings, activity, equity),
            *_cheaper_venue(settings, activity, equity),
            *_unblock(settings, equity),
        ]
    possible = [one for one in found if one.is_possible]
    return AdviceReport(
        mode=activity.mode if activity is not None else None,
        equity_usd=equity,
        advice=tuple(sorted(possible, key=lambda one: -one.usd_year)),
        not_now=tuple(one for one in found if not one.is_possible),
        worth_usd=WORTH_USD,
    )


# -- the cheaper venue -------------------------------------------------------------------------------


def _cheaper_venue(settings: Settings, activity: Activity | None, equity: float) -> Iterator[Advice]:
    """Advise for each venue with money on it that is not the cheapest."""
    fees = {venue: _round_trip(settings, activity, venue) for venue in VENUES}
    cheapest = min(fees, key=lambda venue: fees[venue])
    known = {} if activity is None else {one.account: one for one in activity.venues}
    places: Mapping[str, VenueActivity | None] = known or {settings.primary_broker.value.lower(): None}
    for venue, record in places.items():
        if fees.get(venue, -math.inf) <= fees[cheapest] or (record is not None and record.worth < LEAST_USD):
            continue
        trips, size, about = _pace(settings, activity, record, venue, equity)
        if trips == 0 or size == 0:
            continue
        saved = trips * size * (fees[venue] - fees[cheapest])
        arithmetic = (
            f"{trips:,.1f} round trips a year x {money(size)} x ({percent(100 * fees[venue], digits=2)} - "
            f"{percent(100 * fees[cheapest], digits=2)}) = {money(saved)}. {about} What a transfer costs is not in it."
        )
        if cheapest not in configured_accounts(settings):
            arithmetic += f" It needs an account at {cheapest} and PRIMARY_BROKER or SECONDARY_BROKER set to it."
        missing = _lost_coins(settings, venue, cheapest, equity)
        if missing:
            arithmetic += f" At {money(equity)} it would lose orders that are possible now: {missing}."
        yield Advice(
            code="cheaper_venue",
            what=f"Move the cash from {venue} to {cheapest}",
            usd_year=saved,
            arithmetic=arithmetic,
            is_possible=not missing,
        )


def _round_trip(settings: Settings, activity: Activity | None, venue: str) -> float:
    """Move of the price that pays both fees, a fraction: the account's own fees where they are known."""
    for one in activity.venues if activity is not None else ():
        if one.account == venue and one.taker_pct > 0:
            return break_even_move(one.maker_pct / 100, one.taker_pct / 100)
    maker, taker = (float(getattr(settings, f"{venue}_{side}_fee_pct")) for side in ("maker", "taker"))
    return break_even_move(maker / 100, taker / 100)


def _pace(
    settings: Settings, activity: Activity | None, record: VenueActivity | None, venue: str, equity: float
) -> tuple[float, float, str]:
    """Round trips a year on a venue, what one costs (USD), and where both come from."""
    if activity is not None and record is not None and activity.days >= RECORD_DAYS:
        if record.round_trips:
            trips = record.round_trips * 365.25 / activity.days
            return trips, record.mean_usd, f"Its own: {record.round_trips:,} in {activity.days:,.0f} days."
        if any(one.round_trips for one in activity.venues):
            return 0.0, 0.0, ""  # it trades elsewhere already
    trips, source = ASSUMED_TRIPS[settings.strategy]
    about = f"An assumption, as no {RECORD_DAYS} days with trades are recorded: {source}"
    if record is not None and activity is not None and activity.equity > 0:
        trips *= min(1.0, record.worth / activity.equity)
    orders = [view["order_usd"] for view in _reach(settings, venue, equity) if is_open(view)]
    if not orders:
        return 0.0, 0.0, ""
    return trips, sum(orders) / len(orders), f"{about}; the size is the mean order that `costs` tells."


def _lost_coins(settings: Settings, venue: str, other: str, equity: float) -> str:
    """Coins that have an order on the one venue and none on the other, in words; '' where there are none."""
    here = {view["symbol"] for view in _reach(settings, venue, equity) if is_open(view)}
    lost = [view for view in _reach(settings, other, equity) if view["symbol"] in here and not is_open(view)]
    return ", ".join(f"{view['symbol'].partition('/')[0]} {from_words(view)}" for view in lost)


def _reach(settings: Settings, venue: str, equity: float) -> Sequence[ReachView]:
    return costs_of(settings, equities=[equity], venues=[venue]).cases[0].reach


# -- server and patience -----------------------------------------------------------------------------


def _without_server(settings: Settings) -> Iterator[Advice]:
    month = float(settings.server_cost_usd_month)
    if month > 0:
        yield Advice(
            code="cron",
            what="Run it from cron, without a server: `run --once` on a computer that runs anyway",
            usd_year=month * MONTHS,
            arithmetic=f"SERVER_COST_USD_MONTH {money(month)} x 12 = {money(month * MONTHS)}. Stops rest on the venue "
            "between two runs.",
        )


def _wait(settings: Settings, activity: Activity | None, equity: float) -> Iterator[Advice]:
    """Say from which equity on a server is bearable, and from which one every coin can be bought."""
    server = float(settings.server_cost_usd_month) * MONTHS
    bearable = server / (MOST_EXPECTED_PCT / 100)
    if bearable > equity:
        yield Advice(
            code="wait_server",
            what=f"Pay for a server from {money(bearable)} of equity on, not before",
            usd_year=server,
            arithmetic=f"{money(server)} a year is {percent(100 * server / equity)} of {money(equity)}, and "
            f"{MOST_EXPECTED_PCT:g} % of {money(bearable)}: the best median that a simulation of these rules had, "
            "which is not proven. The same dollars as those of cron, not others.",
        )
    least = _least_equities(settings, activity, equity)
    possible = [coin for coin, usd in least.items() if usd <= equity]
    waiting = {coin: usd for coin, usd in least.items() if equity < usd < math.inf}
    if waiting:
        most = max(waiting.values())
        spared = 0.0 if possible else server
        yield Advice(
            code="wait_coins",
            what=f"Wait for {money(most)}, or deposit the {money(most - equity)} that are missing",
            usd_year=spared,
            arithmetic=f"Now {', '.join(possible) or 'nothing'} can be bought; "
            f"{', '.join(f'{coin} from {money(usd)}' for coin, usd in waiting.items())}. "
            + (
                f"Until then a server costs {money(spared)} a year for nothing: the same dollars as those of cron."
                if spared
                else "It saves nothing, and what the coins would bring nobody knows."
            ),
        )


def _least_equities(settings: Settings, activity: Activity | None, equity: float) -> dict[str, float]:
    """Smallest equity at which each coin has an order on any venue; infinite: none.

    By the record of the running bot, else by example prices.
    """
    views: Sequence[ReachView] = activity.reach if activity is not None else ()
    if not views:
        views = [view for venue in configured_accounts(settings) for view in _reach(settings, venue, equity)]
    least: dict[str, float] = {}
    for view in views:
        usd = equity if is_open(view) else view["from_equity_usd"]
        coin = view["symbol"].partition("/")[0]
        least[coin] = min(least.get(coin, math.inf), math.inf if usd is None else usd)
    return least


# -- settings that block -----------------------------------------------------------------------------


def _unblock(settings: Settings, equity: float) -> Iterator[Advice]:
    """Settings whose default would let more coins be bought: each alone, else all together."""
    defaults = load_settings(env_file=None, environ={}, overrides={})
    changed = [name for name in BLOCKING if getattr(settings, name.lower()) != getattr(defaults, name.lower())]
    open_now = _open_coins(settings, equity)

    def opened(names: Sequence[str]) -> set[str]:
        eased = replace(settings, **{name.lower(): getattr(defaults, name.lower()) for name in names})
        return _open_coins(eased, equity) - open_now

    alone = [[name] for name in changed if opened([name])]
    for names in alone or [changed] * bool(opened(changed)):
        was = ", ".join(f"{name}={_value(settings, name)}" for name in names)
        default = ", ".join(f"{name}={_value(defaults, name)}" for name in names)
        yield Advice(
            code="setting",
            what=f"Take {was} back to the default",
            usd_year=0.0,
            arithmetic=f"With {default} {', '.join(sorted(opened(names)))} can be bought at {money(equity)}; now "
            f"{', '.join(sorted(open_now)) or 'nothing'} can. It saves nothing: it lets the bot trade.",
        )


def _open_coins(settings: Settings, equity: float) -> set[str]:
    return {
        view["symbol"].partition("/")[0]
        for venue in configured_accounts(settings)
        for view in _reach(settings, venue, equity)
        if is_open(view)
    }


def _value(settings: Settings, name: str) -> str:
    value = getattr(settings, name.lower())
    return "" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"
