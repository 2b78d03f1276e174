"""Client order ids: what the venue is asked with must be found again, and never belong to another order."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.orders import client_order_id

EPOCH = uuid.UUID("12345678-1234-5678-1234-567812345678")
OTHER_EPOCH = uuid.UUID("12345678-1234-5678-1234-567812345679")

intents = st.tuples(
    st.sampled_from([EPOCH, OTHER_EPOCH]),
    st.sampled_from(["coinbase", "kraken"]),
    st.sampled_from(["BTC/USD", "ETH/USD", "SOL/USD"]),
    st.integers(1, 1000),
)


def test_client_order_id_of_the_same_intent_is_the_same() -> None:
    assert client_order_id(EPOCH, "coinbase", "BTC/USD", 1) == client_order_id(EPOCH, "coinbase", "BTC/USD", 1)


def test_client_order_id_is_a_version_5_uuid_of_account_symbol_and_number() -> None:
    # The name is part of the contract: another spelling would lose every order that rests during an update.
    found = uuid.UUID(client_order_id(EPOCH, "coinbase", "BTC/USD", 7))
    assert found.version == 5
    assert found == uuid.uuid5(EPOCH, "coinbase|BTC/USD|7")


@given(intents, intents)
def test_client_order_ids_of_different_intents_differ(
    one: tuple[uuid.UUID, str, str, int], two: tuple[uuid.UUID, str, str, int]
) -> None:
    assert (client_order_id(*one) == client_order_id(*two)) == (one == two)


@pytest.mark.parametrize("number", [0, -1])
def test_client_order_id_without_a_positive_number_is_refused(number: int) -> None:
    with pytest.raises(AssertionError, match="start at 1"):
        client_order_id(EPOCH, "coinbase", "BTC/USD", number)
