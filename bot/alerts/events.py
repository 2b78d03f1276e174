"""What happened in a cycle that the user should hear of, told once. Pure: no I/O, no clock.

Times are the engine's; ``AlertWatch`` remembers what it told as plain JSON, so that a bot that cron
starts every few minutes does not tell the same thing each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from bot.alerts.digest import digest_text, is_due
from bot.domain.modes import EngineMode
from bot.domain.orders import Order, OrderState
from bot.domain.refusal import GuardReading
from bot.domain.snapshot import PositionView, Snapshot
from bot.settings_schema import DigestEvery
from bot.views.findings import detail_of, finding_name, finding_sentence, words_of
from bot.views.text import amount, moment, money, percent, price

LASTING = timedelta(minutes=15)
"""A venue that answers again sooner is no news."""

CYCLES_UNPROTECTED = 2
"""A stop that is being replaced is missing for a moment; over the end of two cycles in a row it is missing."""

REJECTION_QUIET = timedelta(hours=24)
"""An order that the bot sends anew each cycle and the venue rejects each time is told once in this time."""

ENDING_QUIET = timedelta(hours=1)
"""A bot that systemd starts again and again, and that ends each time for the same reason, says so once in this time."""
ENDING_KEY_CHARS = 100
"""Reasons that begin alike are one."""

KEPT_MAX = 100
"""Entries that each part of the memory holds at most; the oldest go first."""

VENUE_WORDS_MAX = 300
"""Characters of a venue's own words that are repeated."""

WAITING_WORDS = "waiting for "
"""So begins the engine's reason while a venue has not answered since the start."""


class Event(StrEnum):
    """Kinds of alerts; each can be on, silent or off."""

    TIER_CHANGE = "tier_change"
    HALT = "halt"
    ORDER = "order"
    UNPROTECTED = "unprotected"
    RESTART = "restart"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message; its title begins with the trading mode."""

    event: Event
    title: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleFacts:
    """What a cycle said about itself."""

    at: datetime
    mode: str
    """Trading mode: ``LIVE``, ``PAPER``, ``SIMULATED``."""
    tier_change: str
    """'' or ``STARTER -> GROWTH``."""
    engine_mode: str
    reason: str
    guards_activated: Sequence[GuardReading]
    rejections: Sequence[tuple[Order, str]]
    snapshot: Snapshot | None
    """None: this cycle made none; what can only be seen there stays as it was."""


ENTRY_ENDING_LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "daily_loss": "the daily loss limit is reached",
        "drawdown": "halted, the drawdown limit is reached",
        "loss_streak": "too many losses in a row",
        "activation": "equity is below the minimum for trading",
        "errors": "too many failed cycles in a row",
        "stalled": "no order is possible any more",
        "unknown_venue": "a venue does not answer",
    }
)
"""Guards that end all entries, or all on a venue. The others refuse single orders and are explained there."""

TRUE_WHILE_WAITING = ("unknown_venue", "errors")

_MIN_AGE: Mapping[str, timedelta] = MappingProxyType({"unknown_venue": LASTING})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Condition:
    """Something that is so at the end of this cycle, and what is said once it has been so for long enough."""

    key: str
    alert: Alert
    min_age: timedelta = timedelta(0)
    min_cycles: int = 1


@dataclass(slots=True)
class _Record:
    """What is remembered of a condition."""

    since: datetime
    cycles: int
    told: bool


class AlertWatch:
    """Turns cycles into alerts. Everything it remembers is in ``memory()``."""

    def __init__(self, memory: Mapping[str, object] | None = None) -> None:
        stored = memory or {}
        self._records = dict(_stored_records(stored.get("conditions")))
        told = stored.get("orders")
        self._told_orders: dict[str, None] = dict.fromkeys(map(str, told)) if isinstance(told, list) else {}
        self._rejected_at = dict(_stored_times(stored.get("rejected")))
        self._ended_at = dict(_stored_times(stored.get("ended")))
        self._digest_at = stored_time(stored.get("digest_at"))
        profit = stored.get("digest_profit_usd")
        self._digest_profit_usd = float(profit) if isinstance(profit, int | float) else None

    def memory(self) -> dict[str, object]:
        """What to give the next AlertWatch; plain JSON of bounded size."""
        return {
            "conditions": {
                key: {"since": record.since.isoformat(), "cycles": record.cycles, "told": record.told}
                for key, record in self._records.items()
            },
            "orders": list(self._told_orders),
            "rejected": {key: at.isoformat() for key, at in self._rejected_at.items()},
            "ended": {reason: at.isoformat() for reason, at in self._ended_at.items()},
            "digest_at": self._digest_at.isoformat() if self._digest_at is not None else "",
            "digest_profit_usd": self._digest_profit_usd,
        }

    def cycle_alerts(self, facts: CycleFacts) -> list[Alert]:
        """What is new in this cycle."""
        assert facts.at.tzinfo is not None, "the time of a cycle must be tz-aware"
        alerts = [_tier_alert(facts)] if facts.tier_change else []
        alerts += self._rejections(facts)
        alerts += self._unknown_orders(facts)
        alerts += self._conditions(facts)
        for kept in (self._records, self._told_orders, self._rejected_at):
            _forget_oldest(kept)
        return alerts

    def digest_alert(
        self,
        snapshot: Snapshot | None,
        *,
        every: DigestEvery,
        now: datetime,
        receipt: Callable[[], Sequence[str]] = tuple,
    ) -> Alert | None:
        """The summary where one is due; the first one comes when a day (or week) has begun after the first call.

        The ``receipt`` is asked for its lines only where a weekly summary is due.
        """
        if snapshot is None:
            return None
        if self._digest_at is not None:
            self._digest_at = min(self._digest_at, now)  # of a clock that was ahead
            if not is_due(self._digest_at, every=every, now=now):
                return None
        first, before_usd = self._digest_at is None, self._digest_profit_usd
        self._digest_at, self._digest_profit_usd = now, snapshot["profit_usd"]
        if first:
            return None
        title = f"{snapshot['trading_mode']}: {money(snapshot['equity_usd'])}"
        if before_usd is not None:
            title += f", {money(snapshot['profit_usd'] - before_usd, signed=True)} since the last summary"
        lines = receipt() if every is DigestEvery.WEEKLY else ()
        return Alert(event=Event.DIGEST, title=title, body=digest_text(snapshot, lines))

    def ended_alert(self, reason: str, *, mode: str, at: datetime) -> Alert | None:
        """That the bot ends by itself, and why; None where that was told a moment ago."""
        if not _is_news(self._ended_at, reason[:ENDING_KEY_CHARS], at, quiet=ENDING_QUIET):
            return None
        _forget_oldest(self._ended_at)
        text = f"The bot has ended: {reason}\nStops that rest on a venue stay there; all else waits for its next start."
        return Alert(event=Event.HALT, title=f"{mode}: the bot has ended", body=f"{text}\n{moment(at)}")

    def _rejections(self, facts: CycleFacts) -> Iterator[Alert]:
        for order, reason in facts.rejections:
            key = f"{order.account}|{order.symbol}|{order.purpose}"
            if not _is_news(self._rejected_at, key, facts.at, quiet=REJECTION_QUIET):
                continue
            text = f"The {order.purpose} order ({order.side} {order.quantity:f} {order.symbol}) was rejected: "
            title = f"{order.account} rejected an order for {order.symbol}"
            yield _alert(Event.ORDER, facts, title, text + reason[:VENUE_WORDS_MAX])

    def _unknown_orders(self, facts: CycleFacts) -> Iterator[Alert]:
        for order in facts.snapshot["orders"] if facts.snapshot is not None else ():
            if order["state"] != OrderState.UNKNOWN or order["client_order_id"] in self._told_orders:
                continue
            self._told_orders[order["client_order_id"]] = None
            text = (
                f"Nobody knows yet whether {order['account']} took the {order['purpose']} order "
                f"({order['side']} {order['quantity']} {order['symbol']}). The venue is asked each cycle; until it has "
                "answered, nothing is entered in this coin there and the money counts as spent."
            )
            yield _alert(Event.ORDER, facts, f"the outcome of an order for {order['symbol']} is unknown", text)

    def _conditions(self, facts: CycleFacts) -> Iterator[Alert]:
        snapshot = facts.snapshot
        waiting = facts.engine_mode == EngineMode.HALTED and facts.reason.startswith(WAITING_WORDS)
        current = list(_limits(facts, waiting=waiting))
        if snapshot is not None:
            current += [*_positions(facts, snapshot), *_findings(facts, snapshot)]
            yield from self._protected_again(facts, snapshot)
            yield from self._settled(facts, snapshot)
        # Without a snapshot it is not known which limits and positions are all right again.
        known = {condition.key for condition in current} | (self._records.keys() if snapshot is None else set())
        # A venue that has not answered since the start is told as one that does not answer, once that lasts.
        if facts.engine_mode == EngineMode.HALTED and not waiting and "limit drawdown" not in known:
            current.append(_halt(facts))
        seen = {condition.key for condition in current}
        for key in self._records.keys() - seen:
            is_halt, is_limit = key.startswith("halt "), key.startswith("limit ")
            if is_halt or (snapshot is not None and not (is_limit and waiting)):
                del self._records[key]
        for condition in current:
            record = self._records.setdefault(condition.key, _Record(facts.at, 0, told=False))
            record.cycles = min(record.cycles + 1, CYCLES_UNPROTECTED)
            old_enough = facts.at - record.since >= condition.min_age and record.cycles >= condition.min_cycles
            if old_enough and not record.told:
                record.told = True
                yield condition.alert

    def _protected_again(self, facts: CycleFacts, snapshot: Snapshot) -> Iterator[Alert]:
        for position in snapshot["positions"]:
            told = [self._records.get(f"{kind} {_name(position)}") for kind in ("unprotected", "watched")]
            if position["stop_resting"] and any(record is not None and record.told for record in told):
                text = f"The stop of {_what(position)} rests on the venue, at {price(position['stop_price'])}."
                yield _alert(Event.UNPROTECTED, facts, f"{position['symbol']} is protected again", text)

    def _settled(self, facts: CycleFacts, snapshot: Snapshot) -> Iterator[Alert]:
        """Tell that findings which were told stand no more, and whether one still ends entries."""
        standing = {f"finding {finding_name(finding)}" for finding in snapshot["findings"]}
        for key, record in self._records.items():
            if not (key.startswith("finding ") and record.told and key not in standing):
                continue
            code, account, about = key.removeprefix("finding ").split("|", 2)
            blocked = any(finding["blocks"] for finding in snapshot["findings"])
            then = "Another one still ends all entries." if blocked else "It ends entries no more."
            text = f"{account}{f' ({about})' if about else ''}: {code.replace('_', ' ')} no longer stands. {then}"
            yield _alert(Event.HALT, facts, f"settled: {code.replace('_', ' ')}", text)


def restart_alert(*, mode: str, at: datetime, equity: float | None, version: str) -> Alert:
    """Tell that the bot has started; ``equity`` in USD, None where it is not known yet."""
    worth = f"Equity {money(equity)}. " if equity is not None else ""
    text = f"{worth}Version {version}. {moment(at)}"
    return Alert(event=Event.RESTART, title=f"{mode}: the bot has started", body=text)


def _alert(event: Event, facts: CycleFacts, title: str, text: str) -> Alert:
    """Every text ends with its time: it may arrive hours later."""
    return Alert(event=event, title=f"{facts.mode}: {title}", body=f"{text}\n{moment(facts.at)}")


def _equity_words(facts: CycleFacts) -> str:
    return f" Equity {money(facts.snapshot['equity_usd'])}." if facts.snapshot is not None else ""


def _tier_alert(facts: CycleFacts) -> Alert:
    text = f"The tier has changed: {facts.tier_change}.{_equity_words(facts)}"
    if facts.snapshot is not None:
        risk = percent(facts.snapshot["risk_per_trade_pct"])
        text += f" Now at most {facts.snapshot['max_positions']} positions and {risk} of risk per trade."
    return _alert(Event.TIER_CHANGE, facts, f"tier {facts.tier_change}", text)


def _limits(facts: CycleFacts, *, waiting: bool) -> Iterator[_Condition]:
    """The limits that end entries and are active now, or, without a snapshot, became active now.

    While the bot waits for the first answer of a venue, most of them are read from an account that is not known yet.
    """
    active: dict[str, tuple[float | None, float, str, str, str]] = {
        r.name: (r.used, r.limit, r.unit, r.action, r.about) for r in facts.guards_activated
    }
    if facts.snapshot is not None:
        views = [view for view in facts.snapshot["guards"] if view["active"]]
        active = {v["name"]: (v["used"], v["limit"], v["unit"], v["action"], v["about"]) for v in views}
    for name, (used, limit, unit, action, about) in active.items():
        if name not in ENTRY_ENDING_LIMITS or (waiting and name not in TRUE_WHILE_WAITING):
            continue
        of = f" ({about})" if about else ""
        text = f"Now {amount(used, unit)}, the limit is {amount(limit, unit)}{of}: {action}.{_equity_words(facts)}"
        if facts.reason:
            text += f"\n{facts.engine_mode}: {facts.reason}"
        yield _Condition(
            key=f"limit {name}",
            alert=_alert(Event.HALT, facts, ENTRY_ENDING_LIMITS[name], text),
            min_age=_MIN_AGE.get(name, timedelta(0)),
        )


def _halt(facts: CycleFacts) -> _Condition:
    """A halt that is no limit's: by the user, or by an error inside the program."""
    text = f"{facts.reason[:1].upper()}{facts.reason[1:]}. Nothing is entered.{_equity_words(facts)}"
    return _Condition(key=f"halt {facts.reason}", alert=_alert(Event.HALT, facts, "halted", text))


def _positions(facts: CycleFacts, snapshot: Snapshot) -> Iterator[_Condition]:
    """Positions without a stop on their venue; what is too small for any order is no position to protect."""
    for position in snapshot["positions"]:
        if position["stop_resting"] or position["too_small"]:
            continue
        stop = position["stop_price"]
        worth = f"{_what(position)} ({position['quantity']}, worth {money(position['value_usd'])})"
        if position.get("stop_watched"):
            text = (
                f"No stop can rest on the venue for {worth}: the bot watches the price and sells at {price(stop)}. "
                "While the bot does not run, nothing protects it."
            )
            title = f"the stop of {position['symbol']} is watched by the bot only"
            yield _Condition(key=f"watched {_name(position)}", alert=_alert(Event.UNPROTECTED, facts, title, text))
            continue
        planned = f"it belongs at {price(stop)}" if stop is not None else "it has no price yet"
        text = f"No stop rests on the venue for {worth}; {planned}. The bot tries again each cycle."
        yield _Condition(
            key=f"unprotected {_name(position)}",
            alert=_alert(Event.UNPROTECTED, facts, f"{position['symbol']} is unprotected", text),
            min_cycles=CYCLES_UNPROTECTED,
        )


def _findings(facts: CycleFacts, snapshot: Snapshot) -> Iterator[_Condition]:
    """What does not agree between a venue and the ledger and ends all entries until it is settled."""
    for finding in snapshot["findings"]:
        if not finding["blocks"]:
            continue
        words = words_of(finding)
        text = f"{finding_sentence(finding)} {detail_of(finding)}\n{words.answer}\nDo: {words.cure}"
        yield _Condition(key=f"finding {finding_name(finding)}", alert=_alert(Event.HALT, facts, words.title, text))


def _name(position: PositionView) -> str:
    return f"{position['account']}|{position['symbol']}"


def _what(position: PositionView) -> str:
    return f"{position['symbol']} on {position['account']}"


def _is_news(told_at: dict[str, datetime], key: str, at: datetime, *, quiet: timedelta) -> bool:
    """Whether ``key`` has not been told for so long; then it counts as told now."""
    before = told_at.get(key)
    if before is not None and timedelta(0) <= at - before < quiet:
        return False
    told_at.pop(key, None)  # told again it is the newest
    told_at[key] = at
    return True


def _forget_oldest(kept: dict[str, Any]) -> None:
    for key in list(kept)[: max(0, len(kept) - KEPT_MAX)]:
        del kept[key]


def stored_time(value: object) -> datetime | None:
    """Read a stored time; None for anything else: a memory that cannot be read is an empty one."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


def _stored_times(value: object) -> Iterable[tuple[str, datetime]]:
    for key, text in value.items() if isinstance(value, dict) else ():
        at = stored_time(text)
        if at is not None:
            yield str(key), at


def _stored_records(value: object) -> Iterable[tuple[str, _Record]]:
    for key, stored in value.items() if isinstance(value, dict) else ():
        since = stored_time(stored.get("since")) if isinstance(stored, dict) else None
        if since is not None:
            cycles = stored.get("cycles")
            yield (
                str(key),
                _Record(since, cycles if isinstance(cycles, int) else 0, told=stored.get("told") is True),
            )
