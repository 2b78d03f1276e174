"""The summary of a day or week in honest dollars: what there is, what it cost, why nothing happens. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from bot.domain.modes import EngineMode
from bot.domain.snapshot import PositionView, Snapshot
from bot.settings_schema import DigestEvery
from bot.views.findings import detail_of, finding_sentence
from bot.views.refusals import decision_words, explain
from bot.views.text import amount, moment, money, percent, price

AFTER_MIDNIGHT = timedelta(minutes=5)
"""The decision of the new day, a minute after midnight UTC, belongs into the summary."""


def is_due(last: datetime, *, every: DigestEvery, now: datetime) -> bool:
    """Whether a UTC day, or a week that begins on Monday, has begun since ``last``."""
    assert now.tzinfo is not None, "now must be tz-aware"
    if every is DigestEvery.OFF:
        return False
    return _period(now - AFTER_MIDNIGHT, every) > _period(last, every)


def _period(at: datetime, every: DigestEvery) -> tuple[int, ...]:
    day = at.astimezone(UTC).date()
    return tuple(day.isocalendar())[:2] if every is DigestEvery.WEEKLY else (day.toordinal(),)


def digest_text(snapshot: Snapshot, receipt: Sequence[str] = ()) -> str:
    """The account at the end of a cycle, a fact a line, with the lines of a receipt."""
    return "\n".join(_lines(snapshot, receipt))


def _lines(snapshot: Snapshot, receipt: Sequence[str]) -> Iterator[str]:
    if snapshot["engine_mode"] != EngineMode.ACTIVE:
        yield f"{snapshot['engine_mode']}: {snapshot['engine_mode_reason'] or 'no reason is recorded'}."
    silent = [venue["account"] for venue in snapshot["venues"] if not venue["fresh"]]
    if silent:
        yield f"{', '.join(silent)} does not answer: its figures are the last known ones."
    for finding in snapshot["findings"]:
        yield f"{finding_sentence(finding)} {detail_of(finding)}".rstrip()
    yield from _money_lines(snapshot)
    yield from receipt
    for position in snapshot["positions"]:
        yield _position_line(position)
    if not snapshot["positions"]:
        yield "No position is open."
    for coin in snapshot["coins"]:
        what = explain(coin).what or decision_words(coin, snapshot["orders"])
        yield f"{coin['symbol']}: {what}"
    yield f"Next decision {moment(datetime.fromisoformat(snapshot['next_decision_at']))}. {_as_of(snapshot)}"


def _money_lines(snapshot: Snapshot) -> Iterator[str]:
    deposits = snapshot["deposits_usd"]
    share = f" ({percent(snapshot['profit_usd'] / deposits * 100, signed=True)})" if deposits > 0 else ""
    yield (
        f"Equity {money(snapshot['equity_usd'])}, of which in coins {percent(snapshot['exposure_pct'])}; "
        f"today {money(snapshot['today_pnl_usd'], signed=True)}."
    )
    yield (
        f"Put in {money(deposits)}; result since the start {money(snapshot['profit_usd'], signed=True)}{share} "
        f"after {money(snapshot['fees_usd'])} of fees."
    )
    limits = {guard["name"]: amount(guard["limit"], guard["unit"]) for guard in snapshot["guards"]}
    limit = f" (limit {limits['drawdown']})" if "drawdown" in limits else ""
    yield f"{percent(snapshot['drawdown_pct'], digits=2)} below the peak{limit}. Tier {snapshot['tier']}."


def _position_line(position: PositionView) -> str:
    gain = money(position["unrealized_usd"], signed=True)
    text = f"{position['symbol']} on {position['account']}: {money(position['value_usd'])} ({gain})"
    if position["too_small"]:
        return f"{text}, too small to sell or to protect."
    if position["stop_price"] is None:
        return f"{text}, WITHOUT A STOP."
    where = "NOT PLACED"
    if position["stop_resting"]:
        where = "on the venue"
    elif position.get("stop_watched"):
        where = "watched by the bot only"
    return f"{text}, stop {price(position['stop_price'])} {where}."


def _as_of(snapshot: Snapshot) -> str:
    return f"As of {moment(datetime.fromisoformat(snapshot['at']))}."
