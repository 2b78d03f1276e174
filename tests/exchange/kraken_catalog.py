"""What Kraken lists: the pairs a bot would trade, and fillers up to the size of the real list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from account_types import Market

LOT_DECIMALS = 8
COST_DECIMALS = 5
FULL_SIZE = 1455
"""Markets that ccxt counted at Kraken in 2026 (docs/wire.md, section 5)."""

_ALTNAMES = {"XXBT": "XBT", "XETH": "ETH", "ZUSD": "USD", "ZEUR": "EUR"}
_DECIMALS = {"XXBT": 10, "XETH": 10, "SOL": 10, "ZUSD": 4, "ZEUR": 4, "XBT.F": 10, "ETH.F": 10, "USD.F": 4}
_REWARDED = ("XBT.F", "ETH.F", "SOL.F", "USD.F")
"""Balances that earn; they exist beside the plain asset and are in no pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One row of AssetPairs; ``min_amount`` in base, ``min_cost`` in quote units, ``max_leverage`` 1 for none."""

    id: str
    altname: str
    base: str
    quote: str
    price_decimals: int
    min_amount: str
    min_cost: str = "0.5"
    max_leverage: int = 1

    @property
    def wsname(self) -> str:
        """The name with a slash."""
        return f"{_altname(self.base)}/{_altname(self.quote)}"

    @property
    def tick_size(self) -> Decimal:
        """Price step in quote units."""
        return Decimal(1).scaleb(-self.price_decimals)

    def market(self) -> Market:
        """The pair as the account knows it."""
        return Market(
            symbol=self.id,
            base=self.base,
            quote=self.quote,
            lot_step=Decimal(1).scaleb(-LOT_DECIMALS),
            tick_size=self.tick_size,
            min_amount=Decimal(self.min_amount),
            min_cost=Decimal(self.min_cost),
        )


def _altname(asset: str) -> str:
    return _ALTNAMES.get(asset, asset)


TRADED_PAIRS: tuple[Pair, ...] = (
    Pair(
        id="XXBTZUSD",
        altname="XBTUSD",
        base="XXBT",
        quote="ZUSD",
        price_decimals=1,
        min_amount="0.00005",
        max_leverage=10,
    ),
    Pair(
        id="XETHZUSD",
        altname="ETHUSD",
        base="XETH",
        quote="ZUSD",
        price_decimals=2,
        min_amount="0.001",
        max_leverage=10,
    ),
    Pair(id="SOLUSD", altname="SOLUSD", base="SOL", quote="ZUSD", price_decimals=2, min_amount="0.06", max_leverage=10),
    Pair(
        id="XBTUSDC",
        altname="XBTUSDC",
        base="XXBT",
        quote="USDC",
        price_decimals=2,
        min_amount="0.00005",
        max_leverage=3,
    ),
    Pair(
        id="ETHUSDC", altname="ETHUSDC", base="XETH", quote="USDC", price_decimals=2, min_amount="0.001", max_leverage=3
    ),
    Pair(id="SOLUSDC", altname="SOLUSDC", base="SOL", quote="USDC", price_decimals=2, min_amount="0.06"),
    Pair(id="USDTZUSD", altname="USDTUSD", base="USDT", quote="ZUSD", price_decimals=5, min_amount="5"),
    Pair(id="USDCUSD", altname="USDCUSD", base="USDC", quote="ZUSD", price_decimals=4, min_amount="5"),
)


def full_size_pairs(count: int = FULL_SIZE) -> tuple[Pair, ...]:
    """The traded pairs and made-up ones (``T0000/USD``, ``T0000/EUR``, ...), ``count`` together."""
    fillers = []
    for number in range(count - len(TRADED_PAIRS)):
        base, quote = f"T{number // 2:04d}", ("ZUSD", "ZEUR")[number % 2]
        name = base + _altname(quote)
        fillers.append(Pair(id=name, altname=name, base=base, quote=quote, price_decimals=4, min_amount="1"))
    return TRADED_PAIRS + tuple(fillers)


def asset_decimals(asset: str) -> int:
    """Decimals with which the venue shows an amount of an asset."""
    return _DECIMALS.get(asset, 8)


def asset_rows(pairs: Iterable[Pair]) -> dict[str, dict[str, object]]:
    """Result of Assets: every asset that a pair names, and the rewarded ones."""
    names = dict.fromkeys(asset for pair in pairs for asset in (pair.base, pair.quote))
    return {
        name: {
            "aclass": "currency",
            "altname": _altname(name),
            "decimals": asset_decimals(name),
            "display_decimals": 5,
            "collateral_value": 1.0,
            "status": "enabled",
        }
        for name in (*names, *_REWARDED)
    }


def pair_rows(
    pairs: Iterable[Pair], taker_pct: Decimal | None, maker_pct: Decimal | None
) -> dict[str, dict[str, object]]:
    """Result of AssetPairs; fees in percent, None: the empty lists that the venue served in September 2026."""

    def tiers(first_pct: Decimal | None) -> list[list[float]]:
        return [] if first_pct is None else [[0, float(first_pct)]]

    return {
        pair.id: {
            "altname": pair.altname,
            "wsname": pair.wsname,
            "aclass_base": "currency",
            "base": pair.base,
            "aclass_quote": "currency",
            "quote": pair.quote,
            "lot": "unit",
            "cost_decimals": COST_DECIMALS,
            "pair_decimals": pair.price_decimals,
            "lot_decimals": LOT_DECIMALS,
            "lot_multiplier": 1,
            "leverage_buy": list(range(2, pair.max_leverage + 1)),
            "leverage_sell": list(range(2, pair.max_leverage + 1)),
            "fees": tiers(taker_pct),
            "fees_maker": tiers(maker_pct),
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": pair.min_amount,
            "costmin": pair.min_cost,
            "tick_size": str(pair.tick_size),
            "status": "online",
            "long_position_limit": 250,
            "short_position_limit": 200,
        }
        for pair in pairs
    }


def by_any_name(pairs: Sequence[Pair]) -> dict[str, Pair]:
    """Pairs by id and altname: requests may use both."""
    return {name: pair for pair in pairs for name in (pair.altname, pair.id)}
