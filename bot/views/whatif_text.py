"""What the account would have done from many starts, as JSON and in words; amounts in USD, percentages 0 to 100."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.backtest.result import rounded
from bot.backtest.windows import MONTHS, Spread, Window, spread_of
from bot.domain.account import FeeSchedule
from bot.views.text import money

FEW = 5
REFUSALS_SHOWN = 3
LABEL_CELLS = 34
CELLS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """An account begun at many moments."""

    account: str
    fees: FeeSchedule
    equity: float
    equity_from: str
    strategy: str
    coins: tuple[str, ...]
    source: str
    timeframe: str
    windows: tuple[Window, ...]
    """Newest first."""
    server_usd_month: float
    cash_yield_pct: float
    chosen_to: str
    """Last day of the data on which the shipped defaults were chosen."""

    @property
    def years(self) -> float:
        """Length of the time that all windows together cover."""
        days = (max(w.end_ms for w in self.windows) - min(w.start_ms for w in self.windows)) / 86_400_000
        return days / 365.25

    @property
    def server_usd(self) -> float:
        """What the server costs in one window."""
        return self.server_usd_month * MONTHS

    def outcomes(self) -> dict[str, list[float]]:
        """End of every window in USD, by what was done with the money."""
        cash = self.equity * (1.0 + self.cash_yield_pct / 100.0 * MONTHS / 12.0)
        return {
            "bot": [w.end_equity for w in self.windows],
            "bot_after_server": [w.end_equity - self.server_usd for w in self.windows],
            "hold_same_exposure": [self.equity * (1.0 + w.matched_hold) for w in self.windows],
            "hold_all": [self.equity * (1.0 + w.hold) for w in self.windows],
            "cash": [cash for _ in self.windows],
        }


NAMES = {
    "bot": "The bot",
    "bot_after_server": "The bot, after the server",
    "hold_same_exposure": "Holding as much as the bot did",
    "hold_all": "Holding all of it",
    "cash": "Cash",
}


def whatif_document(asked: WhatIf) -> dict[str, Any]:
    """All numbers, with every window."""
    windows = asked.windows
    entered = [w.first_entry_days for w in windows if not math.isnan(w.first_entry_days)]
    outcomes = asked.outcomes()
    return {
        "mode": "WHATIF",
        "account": asked.account,
        "maker_fee_pct": float(asked.fees.maker_frac * 100),
        "taker_fee_pct": float(asked.fees.taker_frac * 100),
        "fees_from": asked.fees.origin,
        "start_equity": round(asked.equity, 2),
        "equity_from": asked.equity_from,
        "strategy": asked.strategy,
        "coins": list(asked.coins),
        "source": asked.source,
        "timeframe": asked.timeframe,
        "from": _day(min(w.start_ms for w in windows)),
        "to": _day(max(w.end_ms for w in windows) - 1),
        "n": len(windows),
        "window_months": MONTHS,
        "independent_windows": round(asked.years * 12 / MONTHS, 1),
        "server_usd": round(asked.server_usd, 2),
        "end_equity": {name: _spread(spread_of(values)) for name, values in outcomes.items()},
        "lost": {name: sum(value < asked.equity for value in values) for name, values in outcomes.items()},
        "behind_cash": sum(b < c for b, c in zip(outcomes["bot_after_server"], outcomes["cash"], strict=True)),
        "drawdown_pct": _spread(spread_of([w.drawdown * 100 for w in windows])),
        "exposure_pct": _spread(spread_of([w.exposure * 100 for w in windows])),
        "orders": _spread(spread_of([float(w.orders) for w in windows])),
        "fees_usd": _spread(spread_of([w.fees_usd for w in windows])),
        "first_entry_days": _spread(spread_of(entered)) | {"never": len(windows) - len(entered)},
        "refusals": _refusals(windows),
        "windows": [
            {
                "from": _day(w.start_ms),
                "end_equity": round(w.end_equity, 2),
                "drawdown_pct": round(w.drawdown * 100, 2),
                "orders": w.orders,
                "fees_usd": round(w.fees_usd, 2),
                "first_entry_days": rounded(w.first_entry_days, 1),
                "hold_all_pct": rounded(w.hold * 100, 2),
                "hold_same_exposure_pct": rounded(w.matched_hold * 100, 2),
                "refusals": dict(w.refusals),
            }
            for w in windows
        ],
    }


def render_whatif(asked: WhatIf) -> Iterator[str]:
    """The same in words."""
    windows, outcomes = asked.windows, asked.outcomes()
    fees = f"{float(asked.fees.maker_frac) * 100:g} % maker, {float(asked.fees.taker_frac) * 100:g} % taker"
    first, last = _day(min(w.start_ms for w in windows)), _day(max(w.end_ms for w in windows) - 1)
    yield (
        f"WHATIF on {asked.source} candles ({asked.timeframe}), {first} to {last}: recorded prices, simulated orders, "
        "nothing real."
    )
    yield f"{money(asked.equity)} ({asked.equity_from}) on {asked.account}, {fees} ({asked.fees.origin});"
    yield f"{asked.strategy} of {', '.join(asked.coins)} for {MONTHS} months, from {len(windows)} starts."
    yield ""
    head = "".join(f"{title:>{CELLS}}" for title in ("bad (p10)", "median", "good (p90)"))
    yield f"{'After a year':<{LABEL_CELLS}}{head}   lost money"
    for name, values in outcomes.items():
        spread = spread_of(values)
        lost = sum(value < asked.equity for value in values)
        cells = "".join(f"{money(value):>{CELLS}}" for value in (spread.low, spread.median, spread.high))
        yield f"{NAMES[name]:<{LABEL_CELLS}}{cells}   {lost} of {len(values)}"
    yield ""
    share = asked.server_usd / asked.equity * 100
    yield f"The server      {money(asked.server_usd)} a year, {share:.0f} % of the account"
    yield f"Worst fall      {_percents([w.drawdown * 100 for w in windows])}"
    yield f"In coins        {_percents([w.exposure * 100 for w in windows])} of equity"
    yield f"First purchase  {_first(windows)}"
    fees_paid, orders = spread_of([w.fees_usd for w in windows]), spread_of([float(w.orders) for w in windows])
    yield f"Costs           {money(fees_paid.median)} of fees for {orders.median:.0f} orders in the median year"
    told = [f"{count:,} x {name}" for name, count in list(_refusals(windows).items())[:REFUSALS_SHOWN]]
    yield f"Refused         {', '.join(told) or 'nothing'}, from all starts together"
    yield ""
    if len(windows) < FEW:
        yield f"Insufficient: {len(windows)} starts say what happened, not how it varies."
    yield (
        f"The starts overlap: {asked.years:.1f} years say as much as {asked.years * 12 / MONTHS:.0f} independent ones. "
        "Holding as much as the bot did costs nothing here."
    )
    yield (
        f"The shipped settings were chosen on prices to {asked.chosen_to}, and the coins are those that survived: "
        "expect less. No promise."
    )


def _refusals(windows: Sequence[Window]) -> dict[str, int]:
    """What was refused from all starts together, the most frequent first."""
    found = Counter[str]()
    for window in windows:
        found.update(window.refusals)
    return dict(found.most_common())


def _percents(values: Sequence[float]) -> str:
    spread = spread_of(values)
    return f"{spread.median:.1f} % in the median, {spread.low:.1f} to {spread.high:.1f} % from p10 to p90"


def _first(windows: Sequence[Window]) -> str:
    entered = [w.first_entry_days for w in windows if not math.isnan(w.first_entry_days)]
    if not entered:
        return "none, from no start"
    spread = spread_of(entered)
    text = f"after {spread.median:.0f} days in the median, {spread.low:.0f} to {spread.high:.0f} from p10 to p90"
    never = len(windows) - len(entered)
    return f"{text}; none at all from {never} starts" if never else text


def _spread(spread: Spread) -> dict[str, Any]:
    return {"p10": rounded(spread.low, 2), "median": rounded(spread.median, 2), "p90": rounded(spread.high, 2)}


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).date().isoformat()
