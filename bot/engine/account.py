"""One account as the engine sees it: the venue behind it and its last answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from bot.decide.costs import Rules
from bot.domain.account import Balance, FeeSchedule
from bot.domain.errors import VenueError
from bot.domain.instrument import Instrument
from bot.domain.market import PEGGED_QUOTES, Ticker
from bot.domain.orders import OrderReport
from bot.ports import Venue

FEES_VALID_FOR = timedelta(days=1)
FALLBACK_FEES_VALID_FOR = timedelta(hours=1)
"""Where the account's own could not be learnt."""
CLOSED_FOR = timedelta(minutes=10)
"""So long is a market taken for closed before it is asked about again: stops must rise, and exits wait."""

CONFIRMED_AFTER = timedelta(seconds=30)
"""So far apart are two looks at a balance: it is not read at the same instant as the fills, and may be stale once."""

PositionKey = tuple[str, str]
"""(account, symbol)."""


def key_text(account: str, symbol: str) -> str:
    """Name a position in JSON."""
    return f"{account}|{symbol}"


def key_of(text: str) -> PositionKey:
    """Read back what ``key_text`` gave."""
    account, _, symbol = text.partition("|")
    return account, symbol


BELIEVED_FRAC = Decimal("0.10")
"""A bid further than this below the ask is a broken book: no price at all."""


def is_believable(ticker: Ticker) -> bool:
    """Whether a price may value an account and bound a sale; without one both wait for the next cycle."""
    return ticker.ask - ticker.bid <= BELIEVED_FRAC * ticker.ask


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
    stops_rest: bool = True
    """Whether protective stops rest on the venue; else the bot watches the price."""
    usdc_is_off_peg: bool = False
    unbooked: dict[str, Decimal] = field(default_factory=dict)
    """Quote asset: what had come in and was in no book when balances and fills had last been read."""
    foreign: Mapping[str, Decimal] = field(default_factory=dict)
    """Coins that the bot did not buy: shown, never counted, never touched."""
    resting: Sequence[OrderReport] = ()
    """What rested when everything was last compared with the ledger, whoever had sent it."""
    reconciled_at: datetime | None = None
    spent: dict[str, float] = field(default_factory=dict)
    """Quote asset: free cash of it that orders sent since the last answer have taken."""

    def observe(self, now: datetime) -> None:
        """Ask the venue for balances and prices; on no answer keep the last ones, marked stale."""
        try:
            if self._rules_are_old(now):
                self._load_rules(now)
            balances = self.venue.balances()
            tickers = self.venue.tickers()
            self.stops_rest = self.venue.stops_rest()
        except VenueError as e:
            self.fresh = False
            self.error = str(e)
            return
        self.balances = balances
        self.tickers = {symbol: ticker for symbol, ticker in tickers.items() if is_believable(ticker)}
        self.fresh = True
        self.error = ""
        self.answered_at = now
        self.spent = {}

    def _rules_are_old(self, now: datetime) -> bool:
        if self.fees is None or self.fees_at is None:
            return True
        age = now - self.fees_at  # below 0: the clock was put back
        valid_for = FALLBACK_FEES_VALID_FOR if self.fees.is_fallback else FEES_VALID_FOR
        if not all(instrument.is_open for instrument in self.instruments.values()):
            valid_for = CLOSED_FOR
        return age < timedelta(0) or age >= valid_for

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

    def total(self, asset: str) -> Decimal:
        """What the venue said of an asset last, held by orders or not."""
        balance = self.balances.get(asset)
        return balance.total if balance is not None else Decimal(0)

    def is_dust(self, symbol: str, quantity: Decimal) -> bool:
        """Whether the venue is known to take no order for so little."""
        instrument, ticker = self.instruments.get(symbol), self.tickers.get(symbol)
        return instrument is not None and ticker is not None and quantity < instrument.minimum_quantity_at(ticker.bid)

    def market_of(self, coin: str) -> str:
        """The market in which a coin (``BTC/USD``) is bought here.

        Of several with money for an order: an open one, not one off its peg, the one with the most free cash.
        """
        base = coin.partition("/")[0]
        markets = [market for quote in PEGGED_QUOTES if (market := f"{base}/{quote}") in self.instruments]
        if len(markets) < 2:
            return markets[0] if markets else coin
        ranks = {market: self._rank(self.instruments[market]) for market in markets}
        return max(markets, key=lambda market: ranks[market])

    def _rank(self, instrument: Instrument) -> tuple[bool, bool, bool, float]:
        cash = self.free_cash_usd(instrument.quote)
        off_peg = self.usdc_is_off_peg and instrument.quote == "USDC"
        return cash >= instrument.min_cost, instrument.is_open, not off_peg, cash

    def taken_usd(self, market: str, notional_usd: float) -> float:
        """What a purchase may take: a venue holds the worst fee, the taker's."""
        fee_frac = self.rules[market].fee_out if market in self.rules else 0.0
        return notional_usd * (1.0 + fee_frac)

    def spend(self, market: str, notional_usd: float) -> None:
        """Count what an order is about to take."""
        if market not in self.rules:  # its market has gone since: nothing is bought there any more
            return
        quote = self.instruments[market].quote
        self.spent[quote] = self.spent.get(quote, 0.0) + self.taken_usd(market, notional_usd)

    def round_trip_cost(self, market: str) -> float:
        """Both fees and half the spread that a sale crosses, as a share of the amount."""
        rules, ticker = self.rules[market], self.tickers[market]
        half_spread = float((ticker.ask - ticker.bid) / (ticker.ask + ticker.bid))
        return rules.fee_in + rules.fee_out + half_spread

    def note_unbooked(self, booked: Mapping[tuple[str, str], Decimal]) -> None:
        """Compare balances and books (cash by account and asset); later fills of this cycle are younger than both."""
        self.unbooked = {
            asset: max(Decimal(0), self.balances[asset].total - booked.get((self.name, asset), Decimal(0)))
            for asset in self.quote_assets()
            if asset in self.balances
        }

    def quote_assets(self) -> set[str]:
        """Assets that count as cash on this account."""
        return {instrument.quote for instrument in self.instruments.values()}

    def free_cash_usd(self, quote: str = "") -> float:
        """Quote cash, of one asset or of all, that no order holds and none has just taken; USDC at par."""
        assets = [quote] if quote else sorted(self.quote_assets())
        free = sum((self.balances[asset].free for asset in assets if asset in self.balances), Decimal(0))
        return max(0.0, float(free) - sum(self.spent.get(asset, 0.0) for asset in assets))
