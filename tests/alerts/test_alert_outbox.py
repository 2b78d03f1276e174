from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from alerts_rig import AT
from loguru import logger

from bot.alerts.outbox import FAILURES_MAX, WAITING_MAX, Address, Message
from bot.settings_rules import Secret

TOKEN = "123456:a-token-that-nobody-may-see"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    told: list[str] = []
    sink = logger.add(told.append, format="{level}|{message}")
    yield told
    logger.remove(sink)


def an_address(waiting: int = 0) -> Address:
    address = Address(number=2, url=Secret(f"TGRAM://{TOKEN}/chat"))
    for number in range(waiting):
        address.put(a_message(number))
    return address


def a_message(number: int) -> Message:
    return Message(number=number, title=f"title {number}", body="", silent=False)


def numbers(address: Address) -> list[int]:
    return [message.number for message in address.waiting]


def test_address_is_named_without_its_token(lines: list[str]) -> None:
    address = an_address(1)
    address.failed(0, AT)
    assert address.name == "address 2 of NOTIFY_URLS (tgram)"
    assert TOKEN not in repr(address) + json.dumps(address.to_json()) + "".join(lines)
    assert Address(number=1, url=Secret(TOKEN)).scheme == "unreadable"


def test_full_address_drops_the_oldest_and_counts_them(lines: list[str]) -> None:
    address = an_address(WAITING_MAX + 3)
    assert numbers(address) == list(range(3, WAITING_MAX + 3))
    assert address.dropped == 3
    assert len(lines) == 3


def test_failures_wait_longer_each_time_up_to_a_quarter_of_an_hour_then_give_up(lines: list[str]) -> None:
    address = an_address(2)
    now, pauses = AT, []
    for _ in range(FAILURES_MAX - 1):
        address.failed(0, now)
        assert address.not_before is not None
        pauses.append(int((address.not_before - now).total_seconds()))
        assert not address.is_due(address.not_before - timedelta(seconds=1))
        now = address.not_before
        assert address.is_due(now)
    assert pauses == [30, 60, 120, 240, 480, *[900] * (FAILURES_MAX - 6)]
    # 30 + 60 + 120 + 240 + 480 + 18 x 900 = 17,130 s: nearly five hours
    assert sum(pauses) == 17_130
    address.failed(0, now)
    assert numbers(address) == []
    assert address.dropped == 2
    assert len(lines) == FAILURES_MAX
    # What comes later is tried once each, without a pause before it.
    address.put(a_message(7))
    assert address.is_due(now)
    address.failed(7, now)
    assert numbers(address) == []


def test_message_that_fails_goes_behind_the_others() -> None:
    address = an_address(3)
    address.failed(0, AT)
    assert numbers(address) == [1, 2, 0]


def test_success_ends_the_pause_and_says_so(lines: list[str]) -> None:
    address = an_address(3)
    address.dropped = 2
    address.failed(0, AT)
    address.took({1, 2}, told_dropped=1)
    assert (numbers(address), address.failures, address.not_before, address.dropped) == ([0], 0, None, 1)
    assert lines[-1] == "INFO|alerts: address 2 of NOTIFY_URLS (tgram) works again\n"


def test_pause_from_before_the_clock_was_put_back_holds_nothing_back() -> None:
    address = an_address(1)
    address.failed(0, AT)
    assert not address.is_due(AT)
    assert address.is_due(AT - timedelta(days=1))


def test_refused_address_takes_nothing_any_more() -> None:
    address = an_address(1)
    address.refuse()
    address.put(a_message(5))
    assert numbers(address) == []


def test_address_is_restored_with_its_pause_under_new_numbers() -> None:
    before = an_address(2)
    before.failed(0, AT)
    stored = json.loads(json.dumps(before.to_json()))
    after = an_address()
    assert after.restore(stored, first_number=10) == 12
    assert [(m.number, m.title) for m in after.waiting] == [(10, "title 1"), (11, "title 0")]
    assert (after.failures, after.not_before) == (1, before.not_before)


@pytest.mark.parametrize("change", [{"number": 1}, {"scheme": "ntfy"}])
def test_address_that_has_changed_takes_nothing_over(change: dict[str, Any]) -> None:
    after = an_address()
    assert after.restore({**an_address(2).to_json(), **change}, first_number=1) == 1
    assert numbers(after) == []
