"""The daily bars that decide: fetched from the primary account when they have closed, remembered in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from bot.domain.errors import VenueError
from bot.domain.market import MS_PER_DAY
from bot.engine.account import Account
from bot.engine.config import EngineConfig
from bot.engine.history import History
from bot.engine.state import EngineState
from bot.ports import Ledger

DAILY = "1d"
FETCH_AGAIN_AFTER = timedelta(minutes=5)


class DailyBars:
    """The histories of the traded coins, and whether a closed bar waits for its decision."""

    def __init__(
        self, *, config: EngineConfig, ledger: Ledger, accounts: Mapping[str, Account], state: EngineState
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._accounts = accounts
        self._state = state
        self._fetch_after = datetime.min.replace(tzinfo=UTC)
        self.histories = {symbol: History(config.signals) for symbol in config.symbols}
        for symbol, history in self.histories.items():
            history.extend(ledger.bars(config.bar_source, symbol, DAILY))

    def next_decision_at(self, now: datetime) -> datetime:
        """When the next daily bar will have been closed long enough; now where a closed one waits for its decision."""
        newest_ms = _last_closed_bar(now, self._config.decision_delay_s)
        if any(0 <= self._state.last_decided_bar.get(symbol, -1) < newest_ms for symbol in self.histories):
            return now
        midnight = datetime.combine(now.date(), datetime.min.time(), tzinfo=UTC)
        due = midnight + timedelta(seconds=self._config.decision_delay_s)
        return due if now < due else due + timedelta(days=1)

    def due_symbols(self, now: datetime) -> list[str]:
        """Coins with a closed bar that is not decided; fetches new bars when they should be there."""
        newest_ms = _last_closed_bar(now, self._config.decision_delay_s)
        # One that lies further ahead was set by a clock that ran ahead.
        waits = timedelta(0) < self._fetch_after - now <= FETCH_AGAIN_AFTER
        if not waits and any((h.last_open_ms or 0) < newest_ms for h in self.histories.values()):
            self._fetch(now, newest_ms)
        due = []
        for symbol, history in self.histories.items():
            last = history.last_open_ms
            if last is not None and last > self._state.last_decided_bar.get(symbol, -1) and last >= newest_ms:
                due.append(symbol)
        return due

    def _fetch(self, now: datetime, newest_ms: int) -> None:
        primary = self._accounts[self._config.primary_account]
        for symbol, history in self.histories.items():
            since = 0 if history.last_open_ms is None else history.last_open_ms + 1
            # Always the same market, whatever the coin is bought for now: two books have two histories.
            market = symbol if symbol in primary.instruments else primary.market_of(symbol)
            try:
                bars = [c for c in primary.venue.candles(market, DAILY, since) if c.open_ms <= newest_ms]
            except VenueError:
                continue  # one coin's silence must not take the others with it
            self._ledger.record_bars(self._config.bar_source, symbol, DAILY, history.extend(bars))
        if any((h.last_open_ms or 0) < newest_ms for h in self.histories.values()):
            self._fetch_after = now + FETCH_AGAIN_AFTER


def _last_closed_bar(now: datetime, delay_s: float) -> int:
    """Opening time (ms) of the newest daily bar that closed at least ``delay_s`` ago."""
    closed_ms = int((now.timestamp() - delay_s) * 1000)
    return closed_ms // MS_PER_DAY * MS_PER_DAY - MS_PER_DAY
