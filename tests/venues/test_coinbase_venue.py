"""The Coinbase adapter over HTTP against the local Coinbase: the contract, then what it alone promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from coinbase_venue_rig import CoinbaseBench, coinbase_bench
from venue_contract import CONTRACT, Promise


@pytest.fixture
def bench() -> Iterator[CoinbaseBench]:
    with coinbase_bench() as bench:
        yield bench


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_coinbase_keeps(promise: Promise, bench: CoinbaseBench) -> None:
    promise(bench)
