"""What the doctor says of one venue: does it answer, clock, key, cash, fees, stops, markets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from bot.domain.venue_report import VenueReport
from bot.settings_schema import Settings
from bot.views.doctor_text import Check, Health
from bot.views.text import duration, money, percent

DRIFT_WARN_S = 2.0
DRIFT_FAIL_S = 30.0
"""A signed request of Coinbase lives 120 s; half a minute leaves room for slow answers."""
OLD_AFTER = timedelta(days=2)
"""A running bot asks its venues daily."""
CASH = ("USD", "USDC")
EARNING = "USD.F"
"""Kraken's name for dollars that earn: they count as equity and can not be spent."""


def area_of(account: str) -> str:
    """Heading of a venue's lines."""
    return f"venue {account}"


def check_venue(report: VenueReport, settings: Settings, *, now: datetime, told_to_bot: bool) -> Iterator[Check]:
    """Judge what a venue told; what it did not tell has no line.

    ``told_to_bot``: the running bot was told, the venue was not asked now.
    """
    area = area_of(report.account)
    yield _answer(area, report, now, told_to_bot=told_to_bot)
    if report.clock_drift_s is not None:
        yield _clock(area, report.clock_drift_s)
    yield from _key(area, report, may_be_unknown=settings.allow_unknown_key_rights)
    if report.assets is not None:
        yield from _assets(area, report.account, report.assets, settings)
    if report.maker_pct is not None and report.taker_pct is not None:
        yield _fees(area, report, report.maker_pct, report.taker_pct)
    if report.stops_rest is not None or (report.has_key and not report.problem):
        yield _stops(area, report)
    if report.markets or not report.problem:
        yield _markets(area, report, settings.trade_only)


def cash_of(report: VenueReport) -> Decimal | None:
    """Cash in USD, USDC taken as a dollar and dollars that earn included; None where it is not known."""
    if report.assets is None:
        return None
    return sum((Decimal(report.assets.get(name, "0")) for name in (*CASH, EARNING)), Decimal(0))


def _cure(report: VenueReport) -> str:
    """What mends a silence, by the class of error that its text names."""
    name = report.account.upper()
    if "AuthenticationError" in report.problem or "InvalidNonce" in report.problem:
        return f"copy {name}'s key and secret again, whole; put the clock right; let no other program use the key"
    return f"check network and {name}_API_URL; the venue may be down: look again later"


def _answer(area: str, report: VenueReport, now: datetime, *, told_to_bot: bool) -> Check:
    age = now - datetime.fromisoformat(report.at)
    when = f"as the running bot was told {duration(age.total_seconds())} ago" if told_to_bot else "asked just now"
    if report.problem and not (report.rights_problem and report.rights_problem in report.problem):
        return Check(
            area=area,
            name="answer",
            health=Health.FAIL if report.has_key else Health.WARN,
            found=f"{report.problem} ({when})",
            fix=_cure(report),
        )
    if told_to_bot and age > OLD_AFTER:
        fix = "look into the bot's log: it asks its venues daily"
        return Check(area=area, name="answer", health=Health.WARN, found=f"it answers, {when}", fix=fix)
    return Check(area=area, name="answer", health=Health.OK, found=f"it answers, {when}")


def _clock(area: str, drift_s: float) -> Check:
    found = f"this machine is {abs(drift_s):.1f} s {'behind' if drift_s < 0 else 'ahead of'} the venue"
    if abs(drift_s) <= DRIFT_WARN_S:
        return Check(area=area, name="clock", health=Health.OK, found=found)
    health = Health.FAIL if abs(drift_s) > DRIFT_FAIL_S else Health.WARN
    fix = "keep the clock right: `timedatectl set-ntp true`; a venue refuses requests from another time"
    return Check(area=area, name="clock", health=health, found=found, fix=fix)


def _key(area: str, report: VenueReport, *, may_be_unknown: bool) -> Iterator[Check]:
    rights = ", ".join(report.rights)
    if not report.has_key:
        found = "none: only what the venue tells everybody; no real order is sent here"
        yield Check(area=area, name="key", health=Health.OK, found=found)
    elif report.rights_problem and not rights and may_be_unknown:
        found = f"{report.rights_problem}; it is used all the same (ALLOW_UNKNOWN_KEY_RIGHTS)"
        fix = "a key whose rights the venue tells; this one may be able to withdraw"
        yield Check(area=area, name="key", health=Health.WARN, found=found, fix=fix)
    elif report.rights_problem:
        found = f"it is not used: {report.rights_problem}" + (f"\nit may: {rights}" if rights else "")
        fix = "make a new key that may look and trade and nothing else, and delete this one"
        yield Check(area=area, name="key", health=Health.FAIL, found=found, fix=fix)
    elif rights:
        yield Check(area=area, name="key", health=Health.OK, found=f"it may: {rights}")
    elif not report.problem:
        fix = "look again later; without an answer the bot does not trade here"
        yield Check(area=area, name="key", health=Health.WARN, found="its rights have not been told yet", fix=fix)


def _assets(area: str, account: str, assets: Mapping[str, str], settings: Settings) -> Iterator[Check]:
    amounts = {name: Decimal(text) for name, text in assets.items()}
    cash = [f"{name} {amounts[name]:.2f}" for name in CASH if amounts.get(name)]
    if amounts.get(EARNING):
        cash.append(f"{EARNING} {amounts[EARNING]:.2f} (earns: counted, never spent)")
    yield Check(area=area, name="cash", health=Health.OK, found=", ".join(cash) or "none")
    coins = [f"{name} {amounts[name]:f}" for name in sorted(amounts) if amounts[name] and name not in (*CASH, EARNING)]
    if coins:
        found = f"{', '.join(coins)}; coins that the bot did not buy are never touched"
        yield Check(area=area, name="coins", health=Health.OK, found=found)
    yield _minimums(area, account, amounts, settings, has_coins=bool(coins))


def _minimums(area: str, account: str, amounts: Mapping[str, Decimal], settings: Settings, *, has_coins: bool) -> Check:
    free = sum((amounts.get(name, Decimal(0)) for name in CASH), Decimal(0))
    total = free + amounts.get(EARNING, Decimal(0))
    venue_name = f"MIN_BALANCE_{account.upper()}"
    venue, order = Decimal(getattr(settings, venue_name.lower())), settings.min_trade_size
    lines, fixes = [], []
    if total < venue:
        unless = ", unless the bot's own coins make up for it" if has_coins else ""
        lines.append(f"cash {money(float(total))} is below {money(float(venue))} ({venue_name}): dormant{unless}")
        fixes.append(f"a deposit of {money(float(venue - total))}; until then only exits are made here")
    elif free < order:
        lines.append(f"cash to spend {money(float(free))} is below {money(float(order))}, the smallest order")
        fixes.append("a deposit, or a sale; until then nothing is bought here")
    else:
        lines.append(f"above {money(float(venue))} ({venue_name}) and {money(float(order))} (MIN_TRADE_SIZE)")
    health = Health.WARN if fixes else Health.OK
    return Check(area=area, name="minimums", health=health, found="\n".join(lines), fix="".join(fixes))


def _fees(area: str, report: VenueReport, maker_pct: float, taker_pct: float) -> Check:
    found = f"maker {percent(maker_pct, digits=2)}, taker {percent(taker_pct, digits=2)}: {report.fee_origin}"
    if not (report.fee_is_fallback and report.has_key):
        return Check(area=area, name="fees", health=Health.OK, found=found)
    venue = report.account.upper()
    fix = f"none needed: it is the dearest case; or set {venue}_MAKER_FEE_PCT and {venue}_TAKER_FEE_PCT"
    return Check(area=area, name="fees", health=Health.WARN, found=f"{found} (the account's are not known)", fix=fix)


def _stops(area: str, report: VenueReport) -> Check:
    about = f": {report.stops_about}" if report.stops_about else ""
    if report.stops_rest:
        return Check(area=area, name="stops", health=Health.OK, found=f"they rest on the venue{about}")
    if report.stops_rest is None:
        found = f"not known whether they can rest on the venue{about}"
        fix = "none needed: the bot asks again; until then it watches the price itself"
    else:
        found = f"they do not rest on the venue, the bot watches the price{about}"
        fix = "keep the bot running: between two runs of `run --once` nothing protects a position here"
    return Check(area=area, name="stops", health=Health.WARN, found=found, fix=fix)


def _markets(area: str, report: VenueReport, coins: Sequence[str]) -> Check:
    origin = f" (from {report.markets_origin})" if report.markets_origin else ""
    traded = {symbol.partition("/")[0] for symbol in report.markets}
    missing = [coin for coin in coins if coin not in traded]
    found = f"{', '.join(report.markets) or 'none'}{origin}"
    if not missing:
        return Check(area=area, name="markets", health=Health.OK, found=found)
    fix = "none needed where another venue has them; else take them out of TRADE_ONLY"
    found += f"; none for {', '.join(missing)}"
    return Check(area=area, name="markets", health=Health.WARN, found=found, fix=fix)
