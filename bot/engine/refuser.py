"""Refusals as the engine makes them: typed, with limit and actual value, stored once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from bot.decide import codes
from bot.domain.market import coin_symbol
from bot.domain.refusal import Refusal, RefusalCode
from bot.engine.history import History
from bot.ports import Ledger

HISTORY_NEEDED_DAYS = 91.0
"""Six lookbacks of the trend ensemble must be ready: the sixth needs 90 bars before the newest."""


class Refuser:
    """Builds refusals for the bar that is being decided, stores them, remembers the last per coin."""

    def __init__(self, ledger: Ledger, histories: Mapping[str, History]) -> None:
        self._ledger = ledger
        self._histories = histories
        self.last: dict[str, Refusal] = {}

    def build(
        self,
        code: RefusalCode,
        *,
        symbol: str,
        now: datetime,
        account: str = "",
        limit: float = 0.0,
        actual: float = 0.0,
        unit: str = "count",
        notional_usd: float = 0.0,
    ) -> Refusal:
        """Make a refusal; limit and actual value are in ``unit``. ``symbol`` is a coin or one of its markets."""
        symbol = coin_symbol(symbol)
        history = self._histories.get(symbol)  # None: an order of a coin that is no longer traded
        return Refusal(
            code=code,
            limit=limit,
            actual=actual,
            unit=unit,
            symbol=symbol,
            account=account,
            bar_ms=(history.last_open_ms if history is not None else None) or 0,
            notional_usd=max(0.0, notional_usd) if math.isfinite(notional_usd) else 0.0,
            at=now,
        )

    def from_core(
        self,
        core_code: int,
        *,
        symbol: str,
        now: datetime,
        account: str = "",
        limit: float,
        actual: float,
        notional_usd: float,
    ) -> Refusal:
        """Make a refusal of a code and values of the decision core."""
        code = RefusalCode(codes.REFUSAL_NAMES[core_code])
        unit, factor = codes.UNITS.get(core_code, ("usd", 1.0))
        if core_code == codes.HISTORY_TOO_SHORT:
            unit, limit, actual = "days", HISTORY_NEEDED_DAYS, float(len(self._histories[symbol]))
        assert not math.isnan(limit), f"{code} without a limit"
        actual = 0.0 if math.isnan(actual) else actual  # a breakout that never was
        return self.build(
            code,
            symbol=symbol,
            now=now,
            account=account,
            limit=limit * factor,
            actual=actual * factor,
            unit=unit,
            notional_usd=notional_usd,
        )

    def forget(self, code: RefusalCode) -> None:
        """Show a reason no longer that has been lifted since; what is stored stays."""
        for symbol in [symbol for symbol, refusal in self.last.items() if refusal.code is code]:
            del self.last[symbol]

    def record(self, refusal: Refusal) -> None:
        """Store it, once per (bar, coin, code)."""
        self._ledger.record_refusal(refusal)
        self.last[refusal.symbol] = refusal
