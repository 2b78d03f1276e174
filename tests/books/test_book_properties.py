"""Any valid sequence of events balances to the last digit at every prefix.

The checks run in fractions and know nothing of the book's own sums.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from book_events import T0
from hypothesis import given
from hypothesis import strategies as st

from bot.books.book import Book
from bot.books.positions import Position, Trade, quote_asset
from bot.domain.account import BookEvent, DustEvent, Fill, Flow, Liquidity
from bot.domain.orders import Side

ACCOUNTS = ("coinbase", "kraken")
SYMBOLS = ("BTC/USD", "ETH/USD", "SOL/USDC")
PURPOSE = "exit"


def _decimal(units: int, decimals: int) -> Decimal:
    return Decimal(units).scaleb(-decimals)


@st.composite
def event_lists(draw: st.DrawFn) -> list[BookEvent]:
    """Valid events: sells and dust only of what is held; 8 decimals, prices 2."""
    held: dict[tuple[str, str], int] = defaultdict(int)  # in units of 1e-8
    events: list[BookEvent] = []
    for number in range(draw(st.integers(1, 25))):
        account, symbol = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(SYMBOLS))
        at = T0 + timedelta(hours=7 * number)
        kinds = ["buy", "flow"] + (["sell", "sell", "sell all", "dust"] if held[account, symbol] else [])
        kind = draw(st.sampled_from(kinds))
        if kind == "flow":
            amount = draw(st.integers(-(10**12), 10**12).filter(bool))
            asset = quote_asset(symbol)
            events.append(Flow(account=account, asset=asset, amount=_decimal(amount, 8), at=at, note=""))
            continue
        if kind == "dust":
            held[account, symbol] = 0
            events.append(DustEvent(account=account, symbol=symbol, at=at))
            continue
        limit = 10**11 if kind == "buy" else held[account, symbol]
        units = limit if kind == "sell all" else draw(st.integers(1, limit))
        held[account, symbol] += units if kind == "buy" else -units
        events.append(
            Fill(
                fill_id=str(number),
                account=account,
                symbol=symbol,
                client_order_id=f"order {number}",
                side=Side.BUY if kind == "buy" else Side.SELL,
                quantity=_decimal(units, 8),
                price=_decimal(draw(st.integers(1, 10**7)), 2),
                fee=_decimal(draw(st.integers(0, 10**9)), 8),
                liquidity=Liquidity.TAKER,
                at=at,
            )
        )
    return events


def _book_of(events: list[BookEvent]) -> Book:
    book = Book()
    for event in events:
        book.apply(event, PURPOSE)
    return book


def _sums(events: list[BookEvent]) -> tuple[dict[tuple[str, str], Fraction], ...]:
    """Cash, flows and fees by (account, asset), added up plainly."""
    cash: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    flows: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    fees: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for event in events:
        if isinstance(event, Flow):
            cash[event.account, event.asset] += Fraction(event.amount)
            flows[event.account, event.asset] += Fraction(event.amount)
        elif isinstance(event, Fill):
            key = (event.account, quote_asset(event.symbol))
            sign = -1 if event.side is Side.BUY else 1
            cash[key] += sign * Fraction(event.quantity) * Fraction(event.price) - Fraction(event.fee)
            fees[key] += Fraction(event.fee)
    return cash, flows, fees


@given(event_lists())
def test_book_any_events_balance_at_every_prefix(events: list[BookEvent]) -> None:
    book = Book()
    for count, event in enumerate(events, start=1):
        book.apply(event, PURPOSE)
        cash, flows, fees = _sums(events[:count])
        assert {key: Fraction(value) for key, value in book.cash.items()} == cash
        for key, quote in book.quote.items():
            open_cost = sum(
                Fraction(position.cost)
                for position in book.positions.values()
                if (position.account, quote_asset(position.symbol)) == key
            )
            assert Fraction(quote.fees) == fees[key]
            assert flows[key] + Fraction(quote.gross_pnl) - fees[key] - open_cost == cash[key]
        assert Fraction(book.fees_usd) == sum(fees.values())
        assert sum(Fraction(day.gross_pnl) for day in book.days.values()) == Fraction(book.gross_pnl_usd)
        assert sum(Fraction(day.fees) for day in book.days.values()) == Fraction(book.fees_usd)


@given(event_lists())
def test_book_any_events_trades_and_open_positions_explain_all_pnl_and_fees(events: list[BookEvent]) -> None:
    book = _book_of(events)
    partly = sum(
        Fraction(p.sold_proceeds) - (Fraction(p.bought_cost) - Fraction(p.cost)) for p in book.positions.values()
    )
    assert sum(Fraction(trade.gross_pnl) for trade in book.trades) + partly == Fraction(book.gross_pnl_usd)
    everything: list[Trade | Position] = [*book.trades, *book.positions.values()]
    assert sum(Fraction(each.fees) for each in everything) == Fraction(book.fees_usd)
    assert sum(each.fills for each in everything) == sum(isinstance(event, Fill) for event in events)
    for trade in book.trades:
        assert Fraction(trade.net_pnl) == (
            Fraction(trade.sold_proceeds) - Fraction(trade.bought_cost) - Fraction(trade.fees)
        )


@given(event_lists())
def test_book_any_events_quantities_are_held_sold_or_dust(events: list[BookEvent]) -> None:
    book = _book_of(events)
    expected: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for event in events:
        if isinstance(event, Fill):
            sign = 1 if event.side is Side.BUY else -1
            expected[event.account, event.symbol] += sign * Fraction(event.quantity)
    found: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for key, position in book.positions.items():
        found[key] += Fraction(position.quantity)
    for key, dust in book.dust.items():
        found[key] += Fraction(dust.quantity)
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}


@given(event_lists())
def test_book_replayed_from_scratch_is_equal(events: list[BookEvent]) -> None:
    assert _book_of(events) == _book_of(events)


@given(event_lists())
def test_book_order_of_independent_accounts_does_not_matter(events: list[BookEvent]) -> None:
    def by_account(trades: list[Trade]) -> list[Trade]:
        return sorted(trades, key=lambda trade: trade.account)  # stable: each account keeps its order

    mixed = _book_of(events)
    sorted_events = sorted(events, key=lambda event: event.account)
    apart = _book_of(sorted_events)
    assert by_account(mixed.trades) == by_account(apart.trades)
    mixed.trades = apart.trades = []
    assert mixed == apart
