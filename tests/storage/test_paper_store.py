"""The file of play money: what is given once, what is kept, and that files of before are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.clock import VirtualClock
from bot.domain.errors import StateFileError
from bot.storage.paper_store import PaperStore
from bot.storage.simulation_store import SimulationStore
from bot.storage.state_file import JsonStateFile

AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
GIVEN = {"coinbase": Decimal("60.50"), "kraken": Decimal(0)}


def opened(folder: Path) -> PaperStore:
    return PaperStore(JsonStateFile(folder / "paper_accounts.json"))


def test_new_store_is_empty_until_it_begins_and_nothing_is_written_before_the_first_account(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert not store.stored
    store.begin(given=GIVEN)
    assert store.stored
    assert list(tmp_path.iterdir()) == []
    assert (store.given("coinbase"), store.given("kraken")) == (Decimal("60.50"), Decimal(0))
    assert store.account("coinbase") is None


def test_account_put_is_there_for_the_next_process_and_what_was_given_too(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.begin(given=GIVEN)
    store.put("coinbase", {"core": {"orders_made": 0}})
    store = opened(tmp_path)
    assert store.stored
    assert store.account("coinbase") == {"core": {"orders_made": 0}}
    assert store.account("kraken") is None
    assert store.given("coinbase") == Decimal("60.50")
    assert store.given("somebody") == 0
    assert not store.traded
    store.put("kraken", {"core": {"orders_made": 3}})
    assert opened(tmp_path).traded


def test_file_without_accounts_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "paper_accounts.json").write_text('{"schema_version": 1}')
    with pytest.raises(StateFileError, match=r"paper_accounts.json: is not what this program stores"):
        opened(tmp_path)


def test_simulation_stores_its_time_with_every_account(tmp_path: Path) -> None:
    path = tmp_path / "paper_accounts.json"
    store = SimulationStore(JsonStateFile(path))
    store.begin(seed=7, started_at=AT, now=AT + timedelta(minutes=1), given=GIVEN)
    clock = VirtualClock(AT + timedelta(minutes=1))
    store.run_by(clock)
    clock.wait_until(AT + timedelta(hours=3))
    store.put("coinbase", {"core": {"orders_made": 1}})
    again = SimulationStore(JsonStateFile(path))
    assert (again.seed, again.started_at, again.now) == (7, AT, AT + timedelta(hours=3))
    assert (again.given("coinbase"), again.traded) == (Decimal("60.50"), True)


def test_simulation_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "paper_accounts.json"
    path.write_text(
        json.dumps(
            {
                "schema_version": 1,
                "seed": 15,
                "started_at": "2026-09-01T12:00:00+00:00",
                "now": "2026-09-01T15:01:00+00:00",
                "given": {"coinbase": "100"},
                "accounts": {"coinbase": {"core": {"orders_made": 2}, "matched_ms": {}}},
            }
        )
    )
    store = SimulationStore(JsonStateFile(path))
    assert (store.seed, store.started_at, store.now) == (15, AT, AT + timedelta(hours=3, minutes=1))
    assert (store.given("coinbase"), store.traded) == (Decimal(100), True)
    assert store.account("coinbase") == {"core": {"orders_made": 2}, "matched_ms": {}}
