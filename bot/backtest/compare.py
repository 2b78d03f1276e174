"""Which of two accounts did better, and whether that is more than noise; windows that follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from bot.backtest import layout as at
from bot.backtest import metrics
from bot.backtest.bootstrap import Histories
from bot.backtest.layout import Market, Terms
from bot.backtest.market import Kit
from bot.backtest.metrics import Estimate
from bot.backtest.result import BLOCK_DAYS, ENOUGH_DAYS, Resample, coins_at_start

HISTORIES = 1_000
SEED = 1
MONTHS_A_YEAR = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch to choose on, and the one right after it to be tested on; ms."""

    train_from_ms: int
    test_from_ms: int
    test_to_ms: int


def windows_of(from_ms: int, to_ms: int, *, train_months: int, test_months: int, anchored: bool) -> list[Window]:
    """Cut a range into windows by calendar months, oldest first; the tests follow each other without a gap.

    ``anchored``: each train stretch begins with the range, else it is ``train_months`` long. What is left at the end
    and is shorter than a test is in no window.
    """
    start = _next_midnight(from_ms)
    windows = []
    for first in range(0, 12_000, test_months):
        test_from, test_to = (_later(start, first + train_months + of) for of in (0, test_months))
        if test_to > to_ms:
            break
        train_from = start if anchored else _later(start, first)
        windows.append(Window(train_from_ms=train_from, test_from_ms=test_from, test_to_ms=test_to))
    return windows


def _next_midnight(ms: int) -> int:
    return -(-ms // at.MS_PER_DAY) * at.MS_PER_DAY


def _later(ms: int, months: int) -> int:
    """The same day so many months later; the first of the next month where there is no such day."""
    moment = datetime.fromtimestamp(ms / 1000, tz=UTC)
    years, month = divmod(moment.month - 1 + months, MONTHS_A_YEAR)
    year, month = moment.year + years, month + 1
    try:
        moment = moment.replace(year=year, month=month)
    except ValueError:
        month = month % MONTHS_A_YEAR + 1
        moment = moment.replace(year=year, month=month, day=1)
    return int(moment.timestamp() * 1000)


def stitched(parts: Sequence[Sequence[float]]) -> list[float]:
    """Put series of equities one after the other, each in proportion to what the one before it ended with."""
    equities = [parts[0][0]]
    for part in parts:
        factor = equities[-1] / part[0]
        equities.extend(equity * factor for equity in part[1:])
    return equities


def difference(ours: Sequence[float], theirs: Sequence[float], *, kit: Kit, resample: Resample) -> Estimate:
    """Mean of the daily differences of return between two accounts over the same days, as a fraction a year.

    The range encloses 90 % of the means of other histories of these differences, in blocks (stationary bootstrap):
    paired, so that what moves both accounts cancels out. ``n`` counts days; fewer than 40 have no range.
    """
    assert len(ours) == len(theirs), "two accounts over the same days"
    returns = zip(metrics.daily_returns(ours), metrics.daily_returns(theirs), strict=True)
    changes = [our - their for our, their in returns]
    days = len(changes)
    mean = sum(changes) / days * metrics.DAYS_PER_YEAR if days else 0.0
    if days < ENOUGH_DAYS:
        return Estimate(mean, days, float("nan"), float("nan"))
    found = Histories(*(kit.floats(HISTORIES) for _ in Histories._fields))
    resample(kit.float_row(changes), days, days, BLOCK_DAYS, SEED, found, kit.floats(days))
    ordered = sorted(float(value) * metrics.DAYS_PER_YEAR for value in found.mean)
    return Estimate(mean, days, metrics.quantile(ordered, 0.05), metrics.quantile(ordered, 0.95))


def is_below_median(chosen: int, values: Sequence[float]) -> bool:
    """Whether one of the values is below their median."""
    return values[chosen] < median(values)


def hold_equities(market: Market, terms: Terms, days: int) -> list[float]:
    """Equity at the end of each day of equal parts of the coins there are, bought at the first ask, kept at the bid.

    ``days`` are those of the account that is compared; fees as a taker, that of the end on the last day.
    """
    width, a_day = market.steps + 1, at.MS_PER_DAY // market.bar_ms
    half = terms.half_spread / at.SPREAD_UNITS
    parts = []
    for c, first in coins_at_start(market).items():
        opens = market.opens[c * width : (c + 1) * width]
        bought = int(opens[first]) * (1 + half) * (1 + terms.taker)
        closes, value = [1.0], 1.0
        for end in range(a_day, a_day * days + 1, a_day):
            last = next((i for i in range(min(end, market.steps) - 1, end - a_day - 1, -1) if opens[i]), None)
            if last is not None and last >= first:
                value = int(market.closes[c * width + last]) * (1 - half) / bought
            closes.append(value)
        closes[-1] *= 1 - terms.taker
        parts.append(closes)
    if not parts:
        return [terms.equity_usd] * (days + 1)
    return [terms.equity_usd * sum(values) / len(parts) for values in zip(*parts, strict=True)]
