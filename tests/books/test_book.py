from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal, Inexact, localcontext

import pytest
from book_events import T0, D, buy, fill, flow, sell

from bot.books.book import Book, DayResult, Dust, QuoteCash
from bot.domain.errors import InvariantError
from bot.domain.orders import Side

BTC = ("coinbase", "BTC/USD")
USD = ("coinbase", "USD")


def test_book_round_trip_profit_net_of_both_fees() -> None:
    book = Book()
    book.apply_flow(flow("100"))
    assert book.apply_fill(buy("0.001", "50000", "0.30")) is None
    closed = book.apply_fill(sell("0.001", "60000", "0.36", at=T0 + timedelta(hours=5)), "exit")
    # Bought for 0.001 x 50000 = 50, sold for 0.001 x 60000 = 60.
    assert closed is not None
    assert book.trades == [closed]
    assert closed.gross_pnl == D("10")
    assert closed.fees == D("0.66")
    assert closed.net_pnl == D("9.34")
    assert (closed.average_entry, closed.average_exit) == (D(50000), D(60000))
    assert (closed.opened_at, closed.closed_at) == (T0, T0 + timedelta(hours=5))
    assert (closed.bought_quantity, closed.fills, closed.last_purpose) == (D("0.001"), 2, "exit")
    # 100 - 50 - 0.30 + 60 - 0.36 = 109.34
    assert book.quote == {USD: QuoteCash(cash=D("109.34"), flows=D(100), gross_pnl=D(10), fees=D("0.66"))}
    assert book.positions == {}


def test_book_several_buys_average_price_without_fees() -> None:
    book = Book()
    book.apply_fill(buy("1", "100", "0.6"))
    book.apply_fill(buy("2", "130", "1.56"))
    position = book.positions[BTC]
    # (1 x 100 + 2 x 130) / 3 = 360 / 3 = 120
    assert (position.quantity, position.cost, position.average_price) == (D(3), D(360), D(120))
    assert (position.fees, position.fills) == (D("2.16"), 2)


def test_book_partial_sell_remainder_of_the_rounded_cost_stays() -> None:
    book = Book()
    book.apply_fill(buy("3", "33.34"))
    assert book.apply_fill(sell("1", "40")) is None
    # Cost 100.02; a third is 33.34 exactly.
    assert book.positions[BTC].cost == D("66.68")
    book.apply_fill(buy("1", "0.02"))
    book.apply_fill(sell("1", "40"))
    # Cost 66.70 for 3: a third is 22.2333..., rounded down to 12 decimals; the rest stays.
    assert book.positions[BTC].cost == D("66.70") - D("22.233333333333")
    assert book.positions[BTC].cost == D("44.466666666667")
    # Realized 40 - 33.34 = 6.66 first and 40 - 22.233333333333 = 17.766666666667 then.
    assert book.gross_pnl_usd == D("24.426666666667")
    closed = book.apply_fill(sell("2", "40"))
    assert closed is not None
    # In the end nothing is lost to rounding: 4 x 40 - (100.02 + 0.02) = 59.96
    assert closed.gross_pnl == D("59.96")
    assert book.gross_pnl_usd == D("59.96")
    # (3 x 33.34 + 0.02) / 4 = 100.04 / 4
    assert closed.average_entry == D("25.01")


def test_book_cost_below_rounding_never_falls_below_zero() -> None:
    book = Book()
    book.apply_fill(buy("0.00000003", "0.00003"))  # cost 9e-13, less than the last of 12 decimals
    # Two thirds are 6e-13: rounded to the nearest that would be 1e-12, more than there is.
    book.apply_fill(sell("0.00000002", "0.00003"))
    assert book.positions[BTC].cost == D("9e-13")
    closed = book.apply_fill(sell("0.00000001", "0.00003"))
    assert closed is not None
    assert closed.gross_pnl == 0
    assert book.gross_pnl_usd == 0


@pytest.mark.parametrize("held", ["0", "1"])
def test_book_sell_of_more_than_held_raises_and_changes_nothing(held: str) -> None:
    book, untouched = Book(), Book()
    for each in (book, untouched):
        each.apply_flow(flow("1000"))
        if held != "0":
            each.apply_fill(buy(held, "100"))
    with pytest.raises(InvariantError, match=rf"sells 1\.00000001 BTC/USD, but the books hold {held}"):
        book.apply_fill(sell("1.00000001", "100"))
    assert book == untouched


def test_book_same_symbol_on_two_accounts_is_two_positions() -> None:
    book = Book()
    book.apply_fill(fill(Side.BUY, "1", "100", account="coinbase"))
    book.apply_fill(fill(Side.BUY, "2", "90", account="kraken"))
    with pytest.raises(InvariantError, match="on coinbase sells 2"):
        book.apply_fill(fill(Side.SELL, "2", "100", account="coinbase"))
    assert {key: position.quantity for key, position in book.positions.items()} == {
        ("coinbase", "BTC/USD"): D(1),
        ("kraken", "BTC/USD"): D(2),
    }
    assert book.cash == {("coinbase", "USD"): D(-100), ("kraken", "USD"): D(-180)}


def test_book_after_a_closed_trade_opens_a_new_one() -> None:
    book = Book()
    later = T0 + timedelta(days=1)
    book.apply_fill(buy("1", "100", "1"))
    book.apply_fill(sell("1", "90", "1"), "stop")
    book.apply_fill(buy("1", "80", "2", at=later))
    position = book.positions[BTC]
    assert (position.opened_at, position.cost, position.fees, position.fills) == (later, D(80), D(2), 1)
    assert [trade.net_pnl for trade in book.trades] == [D(-12)]  # 90 - 100 - 1 - 1
    assert book.fees_usd == D(4)


def test_book_days_realized_pnl_by_utc_day_of_the_fill() -> None:
    book = Book()
    # 00:30 on 2 March at UTC+2 is 22:30 UTC on 1 March.
    east = datetime(2024, 3, 2, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    book.apply_fill(buy("2", "100", "0.5", at=east))
    book.apply_fill(sell("1", "110", "0.25", at=datetime(2024, 3, 2, 0, 0, tzinfo=UTC)))
    book.apply_fill(sell("1", "95", "0.25", at=datetime(2024, 3, 2, 23, 59, tzinfo=UTC)))
    # 2 March: (110 - 100) + (95 - 100) = 5
    assert book.days == {
        date(2024, 3, 1): DayResult(gross_pnl=D(0), fees=D("0.5")),
        date(2024, 3, 2): DayResult(gross_pnl=D(5), fees=D("0.5")),
    }
    assert book.days[date(2024, 3, 1)].net_pnl == D("-0.5")
    assert book.days[date(2024, 3, 2)].net_pnl == D("4.5")


def test_book_dust_is_a_realized_loss_and_closes_the_trade() -> None:
    book = Book()
    book.apply_flow(flow("200"))
    sold_at = T0 + timedelta(hours=1)
    book.apply_fill(buy("1", "100", "1"))
    book.apply_fill(sell("0.99", "110", "1", at=sold_at), "exit")
    closed = book.book_dust("coinbase", "BTC/USD")
    # Sold for 108.90, bought for 100, the last 0.01 (cost 1) is worth nothing: 8.90 gross, 6.90 net.
    assert (closed.gross_pnl, closed.net_pnl) == (D("8.90"), D("6.90"))
    assert (closed.sold_quantity, closed.closed_at, closed.last_purpose) == (D("0.99"), sold_at, "dust")
    assert book.dust == {BTC: Dust(quantity=D("0.01"), cost=D(1))}
    assert book.positions == {}
    assert book.gross_pnl_usd == D("8.90")
    assert book.cash[USD] == D("206.90")  # 200 - 100 - 1 + 108.90 - 1
    assert book.days[T0.date()].gross_pnl == D("8.90")


def test_book_dust_of_an_unsold_position_has_no_exit_price() -> None:
    book = Book()
    book.apply_fill(buy("0.01", "100"))
    closed = book.book_dust("coinbase", "BTC/USD")
    assert closed.average_exit is None
    assert closed.gross_pnl == D(-1)
    book.apply_fill(buy("0.02", "100"))
    book.book_dust("coinbase", "BTC/USD")
    assert book.dust == {BTC: Dust(quantity=D("0.03"), cost=D(3))}  # tallies add up
    with pytest.raises(InvariantError, match="cannot book dust of BTC/USD on coinbase"):
        book.book_dust("coinbase", "BTC/USD")


def test_book_dust_is_no_part_of_what_is_bought_later() -> None:
    book = Book()
    book.apply_fill(buy("0.01", "100"))
    book.book_dust("coinbase", "BTC/USD")
    later = T0 + timedelta(days=2)
    book.apply_fill(buy("1", "90", at=later))
    position = book.positions[BTC]
    assert (position.quantity, position.cost, position.opened_at, position.fills) == (D(1), D(90), later, 1)
    with pytest.raises(InvariantError, match=r"sells 1\.01 BTC/USD, but the books hold 1"):
        book.apply_fill(sell("1.01", "90", at=later))
    book.apply_fill(sell("1", "90", at=later))
    assert book.dust == {BTC: Dust(quantity=D("0.01"), cost=D(1))}


def test_book_initial_risk_stays_on_the_trade() -> None:
    book = Book()
    with pytest.raises(InvariantError, match="cannot set the initial risk of BTC/USD on coinbase"):
        book.set_initial_risk("coinbase", "BTC/USD", D(4))
    book.apply_fill(buy("1", "100"))
    book.set_initial_risk("coinbase", "BTC/USD", D(4))
    book.apply_fill(buy("1", "100"))
    book.apply_fill(sell("1", "99"))
    book.apply_fill(sell("1", "99"))
    book.apply_fill(buy("1", "100"))
    book.apply_fill(sell("1", "99"))
    assert [trade.initial_risk_usd for trade in book.trades] == [D(4), None]  # the next trade starts without


def test_book_flows_are_neither_profit_nor_loss() -> None:
    book = Book()
    book.apply_flow(flow("100"))
    book.apply_flow(flow("-30.50"))
    book.apply_flow(flow("20", account="kraken", asset="USDC"))
    assert book.cash == {USD: D("69.50"), ("kraken", "USDC"): D(20)}
    assert (book.deposits_usd, book.gross_pnl_usd, book.fees_usd) == (D("89.50"), D(0), D(0))
    assert book.days == {}


def test_book_small_ambient_context_rounds_nothing() -> None:
    with localcontext(Context(prec=4)):
        book = Book()
        book.apply_flow(flow("1000000.12345678"))
        book.apply_fill(buy("1.00000001", "98765.43", "0.12345678"))
        book.apply_fill(sell("0.50000001", "98765.44", "0.00000001"))
        closed = book.apply_fill(sell("0.5", "98765.44"))
        fees, equity = book.fees_usd, book.equity(prices={}, cash=book.cash)
        assert closed is not None
        net, day_net = closed.net_pnl, book.days[T0.date()].net_pnl
    # Gross 1.00000001 x 0.01 = 0.0100000001; fees 0.12345679.
    assert fees == D("0.12345679")
    assert net == day_net == D("-0.1134567899")
    assert equity == book.cash[USD] == D("1000000.0099999901")  # 1000000.12345678 - 0.1134567899


def test_book_amount_beyond_the_context_raises_instead_of_rounding() -> None:
    book = Book()
    book.apply_flow(flow("1e60"))
    with pytest.raises(Inexact):
        book.apply_flow(flow("1e-60"))
    assert book.cash == {USD: D("1e60")}


def test_book_symbol_without_quote_raises() -> None:
    book = Book()
    with pytest.raises(InvariantError, match="'BTC' names no quote asset"):
        book.apply_fill(buy("1", "100", symbol="BTC"))
    assert book == Book()


def test_book_equity_usd_at_par_usdc_and_positions_at_bid() -> None:
    book = Book()
    book.apply_fill(buy("2", "100"))
    book.apply_fill(fill(Side.BUY, "3", "10", account="kraken", symbol="SOL/USDC"))
    prices = {BTC: D(105), ("kraken", "SOL/USDC"): D(11), ("kraken", "USDC/USD"): D("0.99")}
    cash = {USD: D(40), ("kraken", "USDC"): D(50), ("kraken", "USD.F"): D("7.5"), ("kraken", "USD"): D(1)}
    # Positions: 2 x 105 + 3 x 11 x 0.99 = 210 + 32.67; cash: 40 + 50 x 0.99 + 7.5 + 1 = 98
    assert book.positions_value_usd(prices) == D("242.67")
    assert book.equity(prices=prices, cash=cash) == D("340.67")


@pytest.mark.parametrize(
    ("prices", "cash", "found"),
    [
        ({}, {}, "no bid for BTC/USD on coinbase"),
        ({BTC: D(1)}, {("coinbase", "USDC"): D(1)}, "no bid for USDC/USD on coinbase"),
        ({BTC: D(1)}, {("coinbase", "ETH"): D(1)}, "ETH on coinbase is no quote cash"),
    ],
)
def test_book_equity_without_price_or_with_a_coin_raises(
    prices: dict[tuple[str, str], Decimal], cash: dict[tuple[str, str], Decimal], found: str
) -> None:
    book = Book()
    book.apply_fill(buy("1", "100"))
    with pytest.raises(InvariantError, match=found):
        book.equity(prices=prices, cash=cash)


def test_book_open_closed_and_unrealized_results_add_up_to_the_whole() -> None:
    book = Book()
    book.apply_flow(flow("1000"))
    book.apply_fill(buy("2", "100", "1.2"))
    book.apply_fill(sell("1", "130", "1.56"))
    position = book.positions[BTC]
    # Sold for 130 what had cost 100, fees 1.2 + 1.56: 30 - 2.76 = 27.24; held: 1 x (110 - 100) = 10.
    assert position.realized_pnl == D("27.24")
    equity = book.equity(prices={BTC: D(110)}, cash=book.cash)
    assert equity - D(1000) == position.realized_pnl + D(10)
