"""Short builders of fills, flows and trades for the tests of the books."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bot.books.positions import Trade
from bot.domain.account import Fill, Flow, Liquidity
from bot.domain.orders import Side

T0 = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)
D = Decimal


def fill(
    side: Side,
    quantity: str,
    price: str,
    fee: str = "0",
    *,
    account: str = "coinbase",
    symbol: str = "BTC/USD",
    at: datetime = T0,
) -> Fill:
    return Fill(
        fill_id=f"{account}-{symbol}-{side}-{at.isoformat()}",
        account=account,
        symbol=symbol,
        client_order_id="an-order",
        side=side,
        quantity=D(quantity),
        price=D(price),
        fee=D(fee),
        liquidity=Liquidity.TAKER,
        at=at,
    )


def buy(quantity: str, price: str, fee: str = "0", *, symbol: str = "BTC/USD", at: datetime = T0) -> Fill:
    return fill(Side.BUY, quantity, price, fee, symbol=symbol, at=at)


def sell(quantity: str, price: str, fee: str = "0", *, symbol: str = "BTC/USD", at: datetime = T0) -> Fill:
    return fill(Side.SELL, quantity, price, fee, symbol=symbol, at=at)


def flow(amount: str, *, account: str = "coinbase", asset: str = "USD") -> Flow:
    return Flow(account=account, asset=asset, amount=D(amount), at=T0, note="")


def trade(net: str, risk: str | None, *, closed_after_h: int = 0) -> Trade:
    """A trade that bought for 100 and nets ``net`` after a fee of 1."""
    return Trade(
        account="coinbase",
        symbol="BTC/USD",
        opened_at=T0,
        closed_at=T0 + timedelta(hours=closed_after_h),
        bought_quantity=D(1),
        bought_cost=D(100),
        sold_quantity=D(1),
        sold_proceeds=D(101) + D(net),
        fees=D(1),
        fills=2,
        last_purpose="exit",
        initial_risk_usd=None if risk is None else D(risk),
    )
