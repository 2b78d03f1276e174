"""Coinbase's list of products at its full size: the pairs the bot trades, and hundreds it must ignore."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

FULL_SIZE = 708
"""As many spot products as the venue lists."""
QUOTES = ("USD", "USDC", "USDT", "EUR", "GBP", "BTC")
STATES = ("trading_disabled", "view_only", "cancel_only", "limit_only", "post_only", "is_disabled", "auction_mode")


@dataclass(frozen=True, slots=True)
class Product:
    """One row of the list; `flag` names the one state that is set, or nothing."""

    base: str
    quote: str
    price: Decimal
    base_step: Decimal
    price_step: Decimal
    base_min: Decimal
    quote_min: Decimal = Decimal(1)
    alias: str = ""
    alias_to: tuple[str, ...] = ()
    flag: str = ""

    @property
    def product_id(self) -> str:
        return f"{self.base}-{self.quote}"


def catalog(count: int = FULL_SIZE) -> dict[str, Product]:
    """`count` products by id; the eight that matter come first, all others are invented and never change."""
    rows = _known()
    assert count >= len(rows), "the list holds at least the pairs the bot trades"
    number = 0
    while len(rows) < count:
        rows.append(_invented(number))
        number += 1
    listed = {row.product_id: row for row in rows}
    assert len(listed) == count, "no product twice"
    return listed


def _known() -> list[Product]:
    tiny, cent = Decimal("0.00000001"), Decimal("0.01")
    rows = []
    for base, price in (("BTC", "103459.11"), ("ETH", "2584.11"), ("SOL", "172.55")):
        # One book: the USDC product is an alias of the USD product, and only the wallet that pays differs.
        dollar, coin = f"{base}-USD", f"{base}-USDC"
        rows.append(Product(base, "USD", Decimal(price), tiny, cent, tiny, alias_to=(coin,)))
        rows.append(Product(base, "USDC", Decimal(price), tiny, cent, tiny, alias=dollar))
    rows.append(Product("USDT", "USD", Decimal("1.0001"), cent, Decimal("0.00001"), cent))
    rows.append(Product("USDT", "USDC", Decimal("1.0001"), cent, Decimal("0.0001"), cent))
    return rows


def _invented(number: int) -> Product:
    step = Decimal(1).scaleb(-(number % 9))
    return Product(
        f"X{number:04d}",
        QUOTES[number % len(QUOTES)],
        Decimal(number + 1).scaleb(-2),
        step,
        Decimal(1).scaleb(-(2 + number % 7)),
        step,
        flag=STATES[number // 50 % len(STATES)] if number % 50 == 49 else "",
    )


def product_json(product: Product, price: Decimal | None = None) -> dict[str, Any]:
    """A product as the list shows it; `price` replaces the one of the catalogue."""
    row: dict[str, Any] = {
        "product_id": product.product_id,
        "price": plain(product.price if price is None else price),
        "price_percentage_change_24h": "1.25",
        "volume_24h": "1000.5",
        "volume_percentage_change_24h": "2",
        "base_increment": plain(product.base_step),
        "quote_increment": plain(product.price_step),
        "quote_min_size": plain(product.quote_min),
        "quote_max_size": "150000000",
        "base_min_size": plain(product.base_min),
        "base_max_size": "3400",
        "base_name": product.base,
        "quote_name": product.quote,
        "watched": False,
        "new": False,
        "status": "online",
        "product_type": "SPOT",
        "quote_currency_id": product.quote,
        "base_currency_id": product.base,
        "fcm_trading_session_details": None,
        "mid_market_price": "",
        "alias": product.alias,
        "alias_to": list(product.alias_to),
        "base_display_symbol": product.base,
        "quote_display_symbol": product.quote,
        "price_increment": plain(product.price_step),
        "display_name": product.product_id,
        "product_venue": "CBE",
        "approximate_quote_24h_volume": "1000000",
        "new_at": "2023-01-01T00:00:00Z",
    }
    return row | {state: state == product.flag for state in STATES}


def plain(value: Decimal) -> str:
    """The number without an exponent and without zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
