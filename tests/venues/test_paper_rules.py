from __future__ import annotations

from decimal import Decimal

import pytest

from bot.domain.errors import ConfigError
from bot.venues.rules import PAPER_ACCOUNTS, paper_instruments


@pytest.mark.parametrize(
    ("account", "symbol", "min_amount", "tick", "min_cost"),
    [
        ("coinbase", "BTC/USD", "0.00000001", "0.01", "1"),
        ("coinbase", "SOL/USD", "0.00000001", "0.01", "1"),
        ("kraken", "BTC/USD", "0.00005", "0.1", "0.5"),
        ("kraken", "ETH/USD", "0.002", "0.01", "0.5"),
        ("kraken", "SOL/USD", "0.06", "0.01", "0.5"),
    ],
)
def test_rules_of_a_paper_account_are_the_published_ones(
    account: str, symbol: str, min_amount: str, tick: str, min_cost: str
) -> None:
    market = paper_instruments(account)[symbol]
    assert (market.min_amount, market.tick_size) == (Decimal(min_amount), Decimal(tick))
    assert (market.min_cost, market.lot_step) == (Decimal(min_cost), Decimal("0.00000001"))
    assert (market.base, market.quote) == (symbol[:3], "USD")


def test_rules_for_some_coins_are_only_theirs() -> None:
    assert list(paper_instruments("kraken", ["ETH", "BTC"])) == ["ETH/USD", "BTC/USD"]


def test_unknown_account_or_coin_is_named_with_the_known_ones() -> None:
    assert PAPER_ACCOUNTS == ("coinbase", "kraken")
    with pytest.raises(ConfigError, match="no paper account 'mtgox': there are coinbase, kraken"):
        paper_instruments("mtgox")
    with pytest.raises(ConfigError, match="kraken paper account: no market for DOGE: there are BTC, ETH, SOL"):
        paper_instruments("kraken", ["BTC", "DOGE"])
