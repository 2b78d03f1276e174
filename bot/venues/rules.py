"""Market rules of the paper accounts: what the real exchanges asked for when this was written.

A real venue answers with its own rules at run time; a paper account has nobody to ask. Where two
sources disagree, the stricter one stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from bot.domain.errors import ConfigError
from bot.domain.instrument import Instrument

PAPER_COINS = ("BTC", "ETH", "SOL")

_LOT = Decimal("0.00000001")

# Per coin: smallest order in base units, price step in USD.
_COINBASE = {
    "BTC": (_LOT, Decimal("0.01")),
    "ETH": (_LOT, Decimal("0.01")),
    # The steps of SOL-USD were found nowhere; they are presumed to be those of BTC and ETH.
    "SOL": (_LOT, Decimal("0.01")),
}
_KRAKEN = {
    "BTC": (Decimal("0.00005"), Decimal("0.1")),
    # Sources say 0.001, 0.002 and (an old one) 0.01; the larger of the recent ones.
    "ETH": (Decimal("0.002"), Decimal("0.01")),
    "SOL": (Decimal("0.06"), Decimal("0.01")),
}
_ACCOUNTS = {"coinbase": (_COINBASE, Decimal(1)), "kraken": (_KRAKEN, Decimal("0.5"))}

PAPER_ACCOUNTS = tuple(_ACCOUNTS)


def paper_instruments(account: str, coins: Sequence[str] = PAPER_COINS) -> dict[str, Instrument]:
    """Markets of one paper account by symbol (``BTC/USD``).

    Raises ConfigError for an account or coin that has no rules here.
    """
    if account not in _ACCOUNTS:
        raise ConfigError(f"no paper account {account!r}: there are {', '.join(PAPER_ACCOUNTS)}")
    rules, min_cost = _ACCOUNTS[account]
    unknown = [coin for coin in coins if coin not in rules]
    if unknown:
        raise ConfigError(f"{account} paper account: no market for {', '.join(unknown)}: there are {', '.join(rules)}")
    return {
        f"{coin}/USD": Instrument(
            symbol=f"{coin}/USD",
            base=coin,
            quote="USD",
            lot_step=_LOT,
            tick_size=rules[coin][1],
            min_amount=rules[coin][0],
            min_cost=min_cost,
        )
        for coin in coins
    }
