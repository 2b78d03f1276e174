"""Tax lots: first in, first out, to the last digit of the books."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.books.book import Book
from bot.domain.account import BookEvent, CoinsOut, DustEvent, Fill, Flow, Liquidity
from bot.domain.errors import InvariantError
from bot.domain.orders import Side
from bot.views.ledger_lots import Came, Lot, Went, tax_lots

T0 = datetime(2025, 3, 1, 12, tzinfo=UTC)
D = Decimal
BTC = "BTC/USD"


def fill(
    day: float, side: Side, quantity: str, price: str, fee: str = "0", *, symbol: str = BTC, account: str = "kraken"
) -> Fill:
    return Fill(
        fill_id=f"{account}{symbol}{day}",
        account=account,
        symbol=symbol,
        client_order_id="order",
        side=side,
        quantity=D(quantity),
        price=D(price),
        fee=D(fee),
        liquidity=Liquidity.TAKER,
        at=T0 + timedelta(days=day),
    )


def buy(day: float, quantity: str, price: str, fee: str = "0", *, symbol: str = BTC, account: str = "kraken") -> Fill:
    return fill(day, Side.BUY, quantity, price, fee, symbol=symbol, account=account)


def sell(day: float, quantity: str, price: str, fee: str = "0", *, symbol: str = BTC, account: str = "kraken") -> Fill:
    return fill(day, Side.SELL, quantity, price, fee, symbol=symbol, account=account)


def moved(day: float, quantity: str, price: str) -> CoinsOut:
    return CoinsOut(account="kraken", symbol=BTC, quantity=D(quantity), price=D(price), at=T0 + timedelta(days=day))


def money(lots: Iterable[Lot]) -> list[tuple[Decimal, Decimal, Decimal | None, Decimal | None, int | None]]:
    return [(lot.quantity, lot.cost, lot.proceeds, lot.gain, lot.holding_days) for lot in lots]


def test_sale_over_two_lots_takes_the_oldest_first_and_divides_proceeds_by_quantity() -> None:
    lots = tax_lots([buy(0, "0.3", "100", "0.18"), buy(10, "0.2", "110", "0.132"), sell(40.9, "0.4", "120", "0.288")])
    # cost 0.3 x 100 + 0.18 = 30.18 and 0.2 x 110 + 0.132 = 22.132; proceeds 0.4 x 120 - 0.288 = 47.712
    assert money(lots) == [
        (D("0.3"), D("30.18"), D("35.784"), D("5.604"), 40),  # 47.712 x 3 / 4
        (D("0.1"), D("11.066"), D("11.928"), D("0.862"), 30),  # 22.132 / 2, 47.712 / 4, 30.9 days
        (D("0.1"), D("11.066"), None, None, None),
    ]
    assert [lot.disposed_by for lot in lots] == [Went.SOLD, Went.SOLD, Went.HELD]
    assert lots[0].acquired_at == T0
    assert lots[1].disposed_at == T0 + timedelta(days=40.9)


def test_thirds_of_a_lot_lose_nothing_to_rounding() -> None:
    lots = tax_lots([buy(0, "3", "10", "0.01"), *(sell(day, "1", "11") for day in (1, 2, 3))])
    # 30.01 / 3 is cut after 12 decimals; what that leaves stays with the last part
    assert [lot.cost for lot in lots] == [D("10.003333333333"), D("10.003333333333"), D("10.003333333334")]


def test_coins_moved_out_have_no_proceeds_and_no_gain() -> None:
    lots = tax_lots([buy(0, "0.3", "100", "0.18"), moved(400, "0.1", "150"), sell(401, "0.2", "100")])
    assert money(lots) == [
        (D("0.1"), D("10.06"), None, None, 400),
        (D("0.2"), D("20.12"), D("20.0"), D("-0.12"), 401),
    ]
    assert [lot.disposed_by for lot in lots] == [Went.MOVED_OUT, Went.SOLD]


def test_coins_that_came_back_are_a_lot_of_their_price_then() -> None:
    lots = tax_lots([buy(0, "1", "100"), moved(1, "1", "110"), moved(2, "-1", "120"), sell(3, "1", "125")])
    assert [(lot.acquired_by, lot.disposed_by, lot.cost, lot.gain) for lot in lots] == [
        (Came.BOUGHT, Went.MOVED_OUT, D("100"), None),
        (Came.MOVED_IN, Went.SOLD, D("120"), D("5")),
    ]
    assert lots[1].acquired_at == T0 + timedelta(days=2)


def test_dust_is_written_off_at_its_cost() -> None:
    dust = DustEvent(account="kraken", symbol=BTC, at=T0 + timedelta(days=2))
    lots = tax_lots([buy(0, "1", "100", "1"), sell(1, "0.9", "100"), dust])
    assert money(lots)[1] == (D("0.1"), D("10.1"), D("0"), D("-10.1"), 2)
    assert lots[1].disposed_by is Went.WRITTEN_OFF


def test_dust_of_one_market_leaves_the_coins_of_another_alone() -> None:
    usdc = "BTC/USDC"
    dust = DustEvent(account="kraken", symbol=usdc, at=T0 + timedelta(days=3))
    events: list[BookEvent] = [buy(0, "1", "100"), buy(1, "0.1", "120", symbol=usdc), dust, sell(4, "1", "130")]
    # first in, first out is by coin: the crumb of 0.1 takes from the lot of the other market
    assert [(lot.quantity, lot.cost, lot.disposed_by) for lot in tax_lots(events)] == [
        (D("0.1"), D("10"), Went.WRITTEN_OFF),
        (D("0.9"), D("90"), Went.SOLD),
        (D("0.1"), D("12"), Went.SOLD),
    ]


def test_accounts_and_coins_have_lots_of_their_own() -> None:
    lots = tax_lots(
        [
            buy(0, "1", "100", account="coinbase"),
            buy(1, "1", "200"),
            buy(2, "1", "50", symbol="ETH/USD"),
            sell(3, "1", "300"),
        ]
    )
    assert [(lot.account, lot.asset, lot.cost) for lot in lots if lot.disposed_at is None] == [
        ("coinbase", "BTC", D("100")),
        ("kraken", "ETH", D("50")),
    ]
    assert lots[0].gain == D("100")


def test_more_sold_than_bought_is_told() -> None:
    with pytest.raises(InvariantError, match=r"1 more sold than was ever acquired"):
        tax_lots([buy(0, "1", "100"), sell(1, "2", "100")])


AMOUNTS = st.decimals("0.00000001", "9.99999999", places=8)
PRICES = st.decimals("0.0001", "99999.99", places=4)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "all", "out", "back", "dust", "flow"]),
        st.sampled_from([("kraken", BTC), ("kraken", "BTC/USDC"), ("coinbase", "ETH/USD")]),
        AMOUNTS,
        PRICES,
    ),
    max_size=30,
)


@given(STEPS)
def test_sum_of_all_lots_equals_the_books(steps: list[tuple[str, tuple[str, str], Decimal, Decimal]]) -> None:
    book, events, paid_in = Book(), [], D(0)
    for number, (kind, (account, symbol), quantity, price) in enumerate(steps):
        at = T0 + timedelta(hours=number)
        position = book.positions.get((account, symbol))
        held = position.quantity if position is not None else D(0)
        event: BookEvent
        if kind == "flow":
            event = Flow(account=account, asset="USD", amount=price, at=at, note="")
            paid_in += price
            book.apply_flow(event)
        elif kind in ("out", "back") and (kind == "back" or held):
            part = -quantity if kind == "back" else min(quantity, held)
            event = CoinsOut(account=account, symbol=symbol, quantity=part, price=price, at=at)
            book.apply_coins_out(event)
        elif kind == "dust" and held:
            event = DustEvent(account=account, symbol=symbol, at=at)
            book.book_dust(account, symbol)
        elif kind == "buy" or held:
            side = Side.BUY if kind == "buy" else Side.SELL
            traded = quantity if kind == "buy" else held if kind == "all" else min(quantity, held)
            event = fill(number, side, str(traded), str(price), str(traded / 1000), symbol=symbol, account=account)
            book.apply_fill(event)
        else:
            continue
        events.append(event)
    lots = tax_lots(events)
    received = sum((lot.proceeds for lot in lots if lot.proceeds is not None), D(0))
    spent = sum((lot.cost for lot in lots if lot.acquired_by is Came.BOUGHT), D(0))
    assert received - spent == sum(book.cash.values(), D(0)) - paid_in
    left: dict[tuple[str, str], Decimal] = {}
    for lot in lots:
        assert lot.quantity > 0
        assert lot.cost >= 0
        if lot.disposed_by is Went.HELD:
            left[lot.account, lot.asset] = left.get((lot.account, lot.asset), D(0)) + lot.quantity
    expected: dict[tuple[str, str], Decimal] = {}
    for (account, symbol), position in book.positions.items():
        key = (account, symbol.partition("/")[0])
        expected[key] = expected.get(key, D(0)) + position.quantity
    assert left == expected
