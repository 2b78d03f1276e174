"""The book: one mutable accumulator of fills, flows and dust that balances to the last digit.

For every account, quote asset and prefix of events::

    flows + realized gross P&L - fees - cost of open positions == cash

Totals over quote assets take USDC as one dollar; only ``equity`` prices it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date
from decimal import Decimal, localcontext

from bot.books.positions import EXACT, MOVED, Position, Trade, bought, closed, quote_asset, sold
from bot.domain.account import BookEvent, CoinsOut, DustEvent, Fill, Flow, Liquidity
from bot.domain.errors import InvariantError
from bot.domain.orders import Side

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteCash:
    """What happened to one quote asset of one account, in units of that asset."""

    cash: Decimal = ZERO
    """Expected balance: the plain sum of flows and fills."""
    flows: Decimal = ZERO
    gross_pnl: Decimal = ZERO
    """Realized, without fees; the cost of dust is in it as a loss."""
    fees: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class DayResult:
    """What was realized, and paid in fees, on one UTC day; quote units."""

    gross_pnl: Decimal = ZERO
    fees: Decimal = ZERO

    @property
    def net_pnl(self) -> Decimal:
        """``gross_pnl`` less the fees of that day."""
        return EXACT.subtract(self.gross_pnl, self.fees)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dust:
    """Base units that no venue would buy, and what they cost (a realized loss, quote units)."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO


@dataclass(slots=True)
class Book:
    """Cash, positions, trades and P&L as they follow from fills and flows.

    Rebuilt at start from the ledger's events, then fed by the running bot. Other rooms read its
    fields and change it through its methods only. ``trades`` and ``days`` keep the whole history:
    at about 60 orders a year they need no bound. Amounts that would need more than 100 digits raise
    decimal.Inexact rather than lose one.
    """

    quote: dict[tuple[str, str], QuoteCash] = field(default_factory=dict)
    """By (account, quote asset)."""
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    """Open ones by (account, symbol)."""
    trades: list[Trade] = field(default_factory=list)
    """Closed ones in the order of their closing."""
    dust: dict[tuple[str, str], Dust] = field(default_factory=dict)
    """By (account, symbol)."""
    days: dict[date, DayResult] = field(default_factory=dict)
    """By UTC day; days without a fill are absent."""

    def apply(self, event: BookEvent, purpose: str = "") -> None:
        """Count one event of any kind; ``purpose`` is that of a fill's order. Raises InvariantError."""
        match event:
            case Flow():
                self.apply_flow(event)
            case Fill():
                self.apply_fill(event, purpose)
            case DustEvent():
                self.book_dust(event.account, event.symbol)
            case CoinsOut():
                self.apply_coins_out(event)

    def apply_flow(self, flow: Flow) -> None:
        """Count quote cash that came or went from outside."""
        key = (flow.account, flow.asset)
        before = self.quote.get(key, QuoteCash())
        with localcontext(EXACT):
            after = replace(before, cash=before.cash + flow.amount, flows=before.flows + flow.amount)
        self.quote[key] = after
        self._assert_balanced(key)

    def apply_fill(self, fill: Fill, purpose: str = "") -> Trade | None:
        """Count one execution and return the trade that it closed, if it did.

        ``purpose`` is that of its order and is kept on the trade. A fill must be applied once: the
        ledger tells known ones apart. Raises InvariantError on a sell of more than is held.
        """
        key = (fill.account, fill.symbol)
        position = self.positions.get(key)
        with localcontext(EXACT):
            value = fill.quantity * fill.price
            after: Position | Trade
            if fill.side is Side.BUY:
                after, gross_pnl, cash_change = bought(position, fill), ZERO, -value - fill.fee
            else:
                after, gross_pnl = sold(position, fill, purpose)
                cash_change = value - fill.fee
            self._count(fill, gross_pnl=gross_pnl, cash_change=cash_change)
        return self._put(key, after)

    def book_dust(self, account: str, symbol: str) -> Trade:
        """Close a position that is too small to be sold; what is left of its cost is lost.

        Its quantity and cost move to ``dust`` and stay there: a later buy begins a new position. Trade and
        loss are dated at its last fill. The ledger's DustEvent tells when to call this. Raises
        InvariantError where nothing is held.
        """
        key = (account, symbol)
        position = self._open_position(key, "book dust of")
        dust = self.dust.get(key, Dust())
        cash_key = (account, quote_asset(symbol))
        day = position.last_fill_at.astimezone(UTC).date()
        with localcontext(EXACT):
            self.dust[key] = Dust(quantity=dust.quantity + position.quantity, cost=dust.cost + position.cost)
            quote = self.quote[cash_key]
            self.quote[cash_key] = replace(quote, gross_pnl=quote.gross_pnl - position.cost)
            result = self.days[day]
            self.days[day] = replace(result, gross_pnl=result.gross_pnl - position.cost)
        trade = closed(position, "dust")
        self._put(key, trade)
        return trade

    def apply_coins_out(self, event: CoinsOut) -> Trade | None:
        """Take coins out that left without an order: sold at ``price`` without a fee, and the money withdrawn.

        Cash stays as it is; a trade that it closes is marked ``moved``. Coins that came back are bought at
        ``price`` with money that was paid in. Raises InvariantError where less is held.
        """
        quantity = abs(event.quantity)
        fill = Fill(
            fill_id=f"{MOVED} {event.at.isoformat()}",
            account=event.account,
            symbol=event.symbol,
            client_order_id="",
            side=Side.SELL if event.quantity > 0 else Side.BUY,
            quantity=quantity,
            price=event.price,
            fee=ZERO,
            liquidity=Liquidity.TAKER,
            at=event.at,
        )
        trade = self.apply_fill(fill, MOVED)
        value = EXACT.multiply(-event.quantity, event.price)
        self.apply_flow(
            Flow(account=event.account, asset=quote_asset(event.symbol), amount=value, at=event.at, note=MOVED)
        )
        return trade

    def set_initial_risk(self, account: str, symbol: str, usd: Decimal) -> None:
        """Note R, the planned loss at the first stop, on the open position and its later trade.

        It is no ledger event: who rebuilds the book must tell it again after the entry's
        first fill. Raises InvariantError where nothing is held.
        """
        assert usd > 0, f"{account} {symbol}: initial risk must be positive, was {usd}"
        key = (account, symbol)
        self.positions[key] = replace(self._open_position(key, "set the initial risk of"), initial_risk_usd=usd)

    @property
    def cash(self) -> dict[tuple[str, str], Decimal]:
        """Expected quote cash by (account, asset)."""
        return {key: quote.cash for key, quote in self.quote.items()}

    @property
    def cash_usd(self) -> Decimal:
        """Expected quote cash of all accounts; USDC at par."""
        return _total(quote.cash for quote in self.quote.values())

    @property
    def fees_usd(self) -> Decimal:
        """All fees paid, those of open positions included."""
        return _total(quote.fees for quote in self.quote.values())

    @property
    def deposits_usd(self) -> Decimal:
        """Net flows from outside since the start."""
        return _total(quote.flows for quote in self.quote.values())

    @property
    def gross_pnl_usd(self) -> Decimal:
        """Realized P&L without fees, that of partly sold positions and dust included."""
        return _total(quote.gross_pnl for quote in self.quote.values())

    def positions_value_usd(self, prices: Mapping[tuple[str, str], Decimal]) -> Decimal:
        """Value of all open positions at the bids in ``prices``, by (account, symbol).

        Raises InvariantError where a price is missing: a silent venue is marked at its last price.
        """
        return _total(
            position.quantity * _bid(prices, *key) * _dollars(prices, key[0], quote_asset(key[1]))
            for key, position in self.positions.items()
        )

    def equity(self, *, prices: Mapping[tuple[str, str], Decimal], cash: Mapping[tuple[str, str], Decimal]) -> Decimal:
        """Value of quote cash and positions in USD: USD at par, USDC at its bid, positions at bid.

        ``prices`` are bids by (account, symbol), ``USDC/USD`` among them where the account has any;
        ``cash`` is by (account, asset) what the venues report, or ``self.cash``; ``USD.F`` counts
        as USD. Raises InvariantError on a missing price and on an asset that is no quote cash.
        """
        with localcontext(EXACT):
            total = _total(amount * _dollars(prices, *key) for key, amount in cash.items() if amount)
            return total + self.positions_value_usd(prices)

    def _count(self, fill: Fill, *, gross_pnl: Decimal, cash_change: Decimal) -> None:
        key = (fill.account, quote_asset(fill.symbol))
        quote = self.quote.get(key, QuoteCash())
        self.quote[key] = replace(
            quote,
            cash=quote.cash + cash_change,
            gross_pnl=quote.gross_pnl + gross_pnl,
            fees=quote.fees + fill.fee,
        )
        day = fill.at.astimezone(UTC).date()
        result = self.days.get(day, DayResult())
        self.days[day] = DayResult(gross_pnl=result.gross_pnl + gross_pnl, fees=result.fees + fill.fee)

    def _put(self, key: tuple[str, str], after: Position | Trade) -> Trade | None:
        trade = after if isinstance(after, Trade) else None
        if isinstance(after, Position):
            self.positions[key] = after
        else:
            del self.positions[key]
            self.trades.append(after)
        self._assert_balanced((key[0], quote_asset(key[1])))
        return trade

    def _open_position(self, key: tuple[str, str], wanted: str) -> Position:
        position = self.positions.get(key)
        if position is None:
            raise InvariantError(f"cannot {wanted} {key[1]} on {key[0]}: the books hold none of it")
        return position

    def _assert_balanced(self, key: tuple[str, str]) -> None:
        # The pair of the sums above: cash is summed without looking at costs, P&L from costs alone.
        quote = self.quote[key]
        with localcontext(EXACT):
            open_cost = _total(
                position.cost
                for (account, symbol), position in self.positions.items()
                if (account, quote_asset(symbol)) == key
            )
            explained = quote.flows + quote.gross_pnl - quote.fees - open_cost
        assert explained == quote.cash, f"{key}: cash {quote.cash}, but flows, P&L and costs explain {explained}"


def _total(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(EXACT):
        return sum(amounts, ZERO)


def _bid(prices: Mapping[tuple[str, str], Decimal], account: str, symbol: str) -> Decimal:
    price = prices.get((account, symbol))
    if price is None:
        raise InvariantError(f"no bid for {symbol} on {account}: equity needs one for everything that is held")
    return price


def _dollars(prices: Mapping[tuple[str, str], Decimal], account: str, asset: str) -> Decimal:
    # Kraken reports cash in its rewards programme as USD.F; it is the same dollar.
    match asset.removesuffix(".F"):
        case "USD":
            return Decimal(1)
        case "USDC":
            return _bid(prices, account, "USDC/USD")
        case _:
            raise InvariantError(f"{asset} on {account} is no quote cash: equity counts USD and USDC")
