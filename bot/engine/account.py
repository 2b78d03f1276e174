"""One account as the engine sees it: the venue behind it and its last answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from bot.decide.costs import Rules
from bot.domain.account import Balance, FeeSchedule
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import Ticker
from bot.ports import Venue

FEES_VALID_FOR = timedelta(days=1)

PositionKey = tuple[str, str]
"""(account, symbol)."""


def key_text(account: str, symbol: str) -> str:
    """Name a position in JSON."""
    return f"{account}|{symbol}"


def key_of(text: str) -> PositionKey:
    """Read back what ``key_text`` gave."""
    account, _, symbol = text.partition("|")
    return account, symbol


@dataclass(slots=True)
class Account:
    """A venue and its last answers; ``fresh`` is False while they are not of this cycle."""

    venue: Venue
    name: str
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    fees: FeeSchedule | None = None
    fees_at: datetime | None = None
    balances: Mapping[str, Balance] = field(default_factory=dict)
    tickers: Mapping[str, Ticker] = field(default_factory=dict)
    rules: dict[str, Rules] = field(default_factory=dict)
    fresh: bool = False
    answered_at: datetime | None = None
    error: str = "not asked yet"
    settled_once: bool = False
    foreign: Mapping[str, Decimal] = field(default_factory=dict)
    """Coins that the bot did not buy: shown, never counted, never touched."""
    spent_usd: float = 0.0
    """Free cash that orders sent since the last answer have taken."""

    def observe(self, now: datetime) -> None:
        """Ask the venue for balances and prices; on no answer keep the last ones, marked stale."""
        try:
            if self.fees is None or self.fees_at is None or now - self.fees_at >= FEES_VALID_FOR:
                self._load_rules(now)
            balances = self.venue.balances()
            tickers = self.venue.tickers()
        except VenueError as e:
            self.fresh = False
            self.error = str(e)
            return
        self.balances = balances
        self.tickers = tickers
        self.fresh = True
        self.error = ""
        self.answered_at = now
        self.spent_usd = 0.0

    def _load_rules(self, now: datetime) -> None:
        self.instruments = self.venue.instruments()
        self.fees = self.venue.fees()
        self.fees_at = now
        self.rules = {
            symbol: Rules(
                float(instrument.lot_step),
                float(instrument.min_amount),
                float(instrument.min_cost),
                float(self.fees.maker_frac),
                float(self.fees.taker_frac),
            )
            for symbol, instrument in self.instruments.items()
        }

    def find_foreign(self, own: Mapping[str, Decimal]) -> None:
        """Compare what the venue reports with what the bot bought, by base asset; ``own`` counts written-off dust.

        To be called when balances and fills have just been read: after a sale the balances are older
        than the books.
        """
        quotes = self.quote_assets()
        self.foreign = {
            asset: balance.total - own.get(asset, Decimal(0))
            for asset, balance in self.balances.items()
            if asset not in quotes and balance.total > own.get(asset, Decimal(0))
        }

    def is_dust(self, symbol: str, quantity: Decimal) -> bool:
        """Whether the venue is known to take no order for so little."""
        instrument, ticker = self.instruments.get(symbol), self.tickers.get(symbol)
        return instrument is not None and ticker is not None and quantity < instrument.minimum_quantity_at(ticker.bid)

    def quote_assets(self) -> set[str]:
        """Assets that count as cash on this account."""
        return {instrument.quote for instrument in self.instruments.values()}

    def free_cash_usd(self) -> float:
        """Quote cash that no order holds and none has just taken."""
        free = sum((self.balances[a].free for a in self.quote_assets() if a in self.balances), Decimal(0))
        return max(0.0, float(free) - self.spent_usd)
