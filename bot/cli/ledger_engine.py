"""The two checks of `ledger verify` that need the engine: what it remembers, and its decisions made again."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache

from bot.books import performance
from bot.domain.errors import LedgerError
from bot.domain.market import Candle
from bot.domain.modes import TradingMode
from bot.domain.snapshot import SNAPSHOT_KEY, Snapshot
from bot.engine.engine import PERFORMANCE_KEY
from bot.engine.redecide import Depth, Redecider
from bot.engine.state import STATE_KEY, EngineState
from bot.ports import DecisionRecord, EquityPoint
from bot.storage.ledger_audit import LedgerAudit
from bot.views.ledger_checked import Checked, checked, counted, in_words, read_snapshot

DAILY = "1d"
_ALWAYS_THERE = ("halted_by", "cursors", "stops", "daily_loss_day")
"""In the engine's state, whichever version wrote it: with nothing in it everything would begin anew."""
_FORGOTTEN = {
    STATE_KEY: "halts, pauses, limits that were reached, stops and how far fills were read would be forgotten",
    PERFORMANCE_KEY: "drawdown and daily loss would begin at zero",
    SNAPSHOT_KEY: "nothing tells what the last cycle had",
}
_CENT_USD = 0.01


def memory_check(audit: LedgerAudit, mode: TradingMode) -> Checked:
    """Look at what guards and stops rest on between two cycles, and at the equity points."""
    points = audit.equity_points()
    problems = [*_equity_problems(points), *_memory_problems(audit, points, mode)]
    try:
        snapshot = read_snapshot(audit)
    except LedgerError as e:
        problems.append(str(e))
    else:
        problems += _last_point_problems(points, snapshot)
    return checked("memory", f"state, performance and {counted(len(points), 'equity point')}", problems)


def _memory_problems(audit: LedgerAudit, points: list[EquityPoint], mode: TradingMode) -> Iterator[str]:
    """What is missing although something happened, and what cannot be read."""
    traded = bool(audit.orders(1))
    begun = bool(points or audit.flows())
    needed = {STATE_KEY: traded or begun, PERFORMANCE_KEY: begun}
    # A replay writes it now and then only, and may have been ended before.
    needed[SNAPSHOT_KEY] = bool(points) and mode is not TradingMode.REPLAY
    for key, wanted in needed.items():
        where = f"table engine_values, row {key}"
        stored = audit.value(key)
        if stored is None:
            if wanted:
                yield f"{where}: it is missing: {_FORGOTTEN[key]}"
            continue
        try:
            if key == STATE_KEY:
                _read_state(stored)
            elif key == PERFORMANCE_KEY:
                performance.from_json(stored)
        except LedgerError as e:
            yield f"{where}: {e}"


def _read_state(stored: object) -> None:
    if not isinstance(stored, dict):
        raise LedgerError(f"found {str(stored)[:60]!r} where the engine's state belongs")
    missing = [name for name in _ALWAYS_THERE if name not in stored]
    if missing:
        raise LedgerError(f"{', '.join(missing)} is missing in it: {_FORGOTTEN[STATE_KEY]}")
    EngineState.from_json(stored)


def _equity_problems(points: list[EquityPoint]) -> Iterator[str]:
    for point in points:
        values = (point.equity, point.cash, point.performance_index, point.high_water_mark, point.exposure_frac)
        if not all(math.isfinite(value) for value in values):
            yield f"table equity, {point.at:%Y-%m-%d %H:%M:%S}: a value is no number"
        elif point.equity < -_CENT_USD:
            yield f"table equity, {point.at:%Y-%m-%d %H:%M:%S}: the equity is {point.equity!r}, below zero"
        elif not 0 < point.performance_index <= point.high_water_mark:
            yield (
                f"table equity, {point.at:%Y-%m-%d %H:%M:%S}: the index is {point.performance_index!r} and its highest "
                f"{point.high_water_mark!r}"
            )


def _last_point_problems(points: list[EquityPoint], snapshot: Snapshot | None) -> Iterator[str]:
    """Where the equity of the last cycle is not what that cycle stored of itself."""
    if snapshot is None:
        return
    at = datetime.fromisoformat(snapshot["at"])
    point = next((point for point in reversed(points) if point.at == at), None)
    if point is None:
        yield f"table equity: the last cycle, of {at:%Y-%m-%d %H:%M:%S}, is missing"
    elif (point.equity, point.cash) != (snapshot["equity_usd"], snapshot["cash_usd"]):
        yield (
            f"table equity, {at:%Y-%m-%d %H:%M:%S}: equity {point.equity!r} and cash {point.cash!r}, the last cycle "
            f"stored {snapshot['equity_usd']!r} and {snapshot['cash_usd']!r}"
        )


def replay_check(audit: LedgerAudit) -> Checked:
    """Make every decision again from its stored bars."""

    @cache
    def bars_of(source: str, symbol: str) -> list[Candle]:
        return audit.bars(source, symbol, DAILY)

    @cache
    def times_of(source: str, symbol: str) -> list[int]:
        return [bar.open_ms for bar in bars_of(source, symbol)]

    redecider = Redecider(bars_of)
    problems: list[str] = []
    depths: Counter[Depth] = Counter()
    reasons: Counter[str] = Counter()
    decisions = audit.numbered_decisions()
    for number, record in decisions:
        missing = _missing_bars(record, times_of)
        try:
            again = redecider.again(record)
        except (ArithmeticError, ValueError) as e:
            problems.append(f"{_name(number, record)}: its bars cannot be used: {in_words(e)}")
            continue
        depths[again.depth] += 1
        if missing:
            problems.append(f"{_name(number, record)}: {missing}")
        elif again.differences:
            problems.append(f"{_name(number, record)}: {'; '.join(again.differences)}")
        elif again.why:
            reasons[again.why] += 1
    parts = [f"{counted(depths[Depth.WHOLE], 'decision')} made again"]
    if depths[Depth.SIGNALS]:
        parts.append(f"of {depths[Depth.SIGNALS]:,} the signals alone")
    if depths[Depth.NOTHING]:
        parts.append(f"{depths[Depth.NOTHING]:,} not")
    why = ", ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common())
    found = ", ".join(parts) + (f" ({why})" if why else "")
    return checked("replay", counted(len(decisions), "decision") if problems else found, problems)


def _missing_bars(record: DecisionRecord, times_of: Callable[[str, str], list[int]]) -> str:
    """Say which bars of a decision are gone; '' for none. They stay as long as their decision does."""
    source = record.details.get("bar_source")
    if not isinstance(source, str):
        return ""
    times = times_of(source, record.symbol)
    first, end = bisect_left(times, record.first_bar_ms), bisect_right(times, record.bar_ms)
    there = end - first
    if there >= record.bars and times[end - 1] == record.bar_ms:
        return ""
    return f"it was made from {counted(record.bars, 'bar')} of {source}, {there:,} are there: table bars has lost some"


def _name(number: int, record: DecisionRecord) -> str:
    bar = datetime.fromtimestamp(record.bar_ms / 1000, tz=UTC)
    return f"decision {number} ({record.symbol}, bar {bar:%Y-%m-%d})"
