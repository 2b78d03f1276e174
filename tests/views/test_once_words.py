"""What `run --once` says at its end, word for word."""

from __future__ import annotations

from typing import Any

import pytest
from view_samples import a_position, a_snapshot, a_venue, an_order

from bot.views.once_text import sleep_lines

NOTHING_OPEN = "Nothing is open. May sleep until the next daily decision: 2026-03-03 00:01 UTC."
ALL_STOPS_REST = (
    "Every position has its stop on its venue. May sleep until the next daily decision: 2026-03-03 00:01 UTC."
)
AT_ONCE = "Run again at once, or keep the bot running: what is named above has nothing under it."
ASK_AGAIN = "Run again at once, to ask again. The next daily decision: 2026-03-03 00:01 UTC."
SOON = (
    "Run again soon: where an entry fills, each minute until then is one without a stop. "
    "The next daily decision: 2026-03-03 00:01 UTC."
)
# 0.004 x 3,000 = 12
ENTRY = (
    "AN ENTRY RESTS: ETH/USD on kraken, $12.00 at $3,000.00, until 2026-03-02 14:26 UTC. "
    "What it buys by then has no stop before the next run."
)
WATCHED = (
    "UNPROTECTED: BTC/USD on coinbase, $20.00: its stop at $90,000.00 does not rest on the venue; the bot watches it, "
    "and only while it runs."
)


def an_entry(**changes: Any) -> Any:
    return an_order(
        account="kraken",
        symbol="ETH/USD",
        **{
            "purpose": "entry",
            "side": "buy",
            "type": "post_only",
            "quantity": "0.004",
            "price": "3000",
            "expires_at": "2026-03-02T14:26:00+00:00",
            **changes,
        },
    )


def test_nothing_open_may_sleep_until_the_decision() -> None:
    assert sleep_lines(a_snapshot()) == [NOTHING_OPEN]


def test_position_with_its_stop_on_the_venue_may_sleep_until_the_decision() -> None:
    assert sleep_lines(a_snapshot(positions=[a_position()], orders=[an_order()])) == [ALL_STOPS_REST]


def test_breakout_position_says_what_waits_for_the_next_run() -> None:
    snapshot = a_snapshot(positions=[a_position()], strategy="breakout")
    assert sleep_lines(snapshot) == ["Targets are taken and stops are raised only when it runs.", ALL_STOPS_REST]


def test_breakout_without_a_position_says_nothing_of_targets() -> None:
    assert sleep_lines(a_snapshot(strategy="breakout")) == [NOTHING_OPEN]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"stop_watched": True}, WATCHED),
        (
            {},
            "UNPROTECTED: BTC/USD on coinbase, $20.00: its stop at $90,000.00 does not rest on the venue; "
            "it is not placed yet.",
        ),
        (
            {"stop_price": None},
            "UNPROTECTED: BTC/USD on coinbase, $20.00: its stop does not rest on the venue; it is not placed yet.",
        ),
    ],
)
def test_position_without_a_resting_stop_is_named_and_may_not_sleep(changes: dict[str, Any], line: str) -> None:
    snapshot = a_snapshot(positions=[a_position(stop_resting=False, **changes)])
    assert sleep_lines(snapshot) == [line, AT_ONCE]


def test_position_too_small_for_any_order_is_nothing_to_protect() -> None:
    remnant = a_position(stop_resting=False, too_small=True, value_usd=0.4)
    line = "TOO SMALL: BTC/USD on coinbase, $0.40: no order is possible for so little, and so no stop."
    assert sleep_lines(a_snapshot(positions=[remnant])) == [line, NOTHING_OPEN]
    both = [remnant, a_position(symbol="ETH/USD")]
    assert sleep_lines(a_snapshot(positions=both)) == [line, ALL_STOPS_REST]


def test_one_of_two_positions_unprotected_is_named_alone() -> None:
    protected = a_position(symbol="ETH/USD", account="kraken")
    snapshot = a_snapshot(positions=[protected, a_position(stop_resting=False, stop_watched=True)])
    assert sleep_lines(snapshot) == [WATCHED, AT_ONCE]


def test_resting_entry_asks_for_a_run_soon_and_says_why() -> None:
    assert sleep_lines(a_snapshot(orders=[an_entry()])) == [ENTRY, SOON]


def test_resting_entry_that_no_venue_ends_says_so() -> None:
    line = ENTRY.replace("until 2026-03-02 14:26 UTC", "with no end").replace(" by then", "")
    assert sleep_lines(a_snapshot(orders=[an_entry(expires_at=None)])) == [line, SOON]


def test_resting_entry_beside_a_protected_position_asks_for_the_same() -> None:
    assert sleep_lines(a_snapshot(positions=[a_position()], orders=[an_order(), an_entry()])) == [ENTRY, SOON]


def test_resting_entry_beside_an_unprotected_position_may_not_sleep() -> None:
    snapshot = a_snapshot(positions=[a_position(stop_resting=False, stop_watched=True)], orders=[an_entry()])
    assert sleep_lines(snapshot) == [WATCHED, ENTRY, AT_ONCE]


def test_order_with_an_unknown_outcome_may_not_sleep() -> None:
    assert sleep_lines(a_snapshot(orders=[an_entry(state="unknown")])) == [
        "UNKNOWN: the outcome of the entry order for ETH/USD on kraken.",
        AT_ONCE,
    ]


def test_silent_venue_is_asked_again_soon() -> None:
    snapshot = a_snapshot(venues=[a_venue(), a_venue(account="kraken", fresh=False)])
    assert sleep_lines(snapshot) == ["kraken did not answer: how things stand there is not known now.", ASK_AGAIN]


def test_two_silent_venues_are_named_each_with_its_reason() -> None:
    refused = a_venue(account="kraken", fresh=False, problem="kraken: balances: AuthenticationError: Invalid key")
    snapshot = a_snapshot(venues=[a_venue(fresh=False), refused])
    assert sleep_lines(snapshot) == [
        "coinbase did not answer: how things stand there is not known now.",
        "kraken did not answer (kraken: balances: AuthenticationError: Invalid key): how things stand there is not "
        "known now.",
        ASK_AGAIN,
    ]


def test_silent_venue_beside_an_unprotected_position_names_both() -> None:
    snapshot = a_snapshot(
        venues=[a_venue(), a_venue(account="kraken", fresh=False)],
        positions=[a_position(stop_resting=False, stop_watched=True)],
    )
    line = "kraken did not answer: how things stand there is not known now."
    assert sleep_lines(snapshot) == [WATCHED, line, AT_ONCE]
