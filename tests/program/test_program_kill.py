"""Crash-only: the bot is killed at any moment, started again, and its books are exact and its positions protected."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from program_rig import bot, pause, running
from simulation_rig import (
    assert_books_equal_the_accounts,
    assert_orders_are_told_apart,
    assert_positions_have_their_stops,
    fast_markets,
    fills_in,
    reader,
    simulate,
    simulation,
)

from bot.domain.orders import OrderState
from bot.engine.runner import run_engine
from bot.storage.ledger import SqliteLedger
from bot.storage.simulation_store import SimulationStore
from bot.storage.state_file import JsonStateFile

KILLS = 10
TWO_COINS: Any = {"SIGNAL_ENSEMBLE": "False"}
"""On the trend alone two coins are bought within the first hours."""


def assert_all_is_well(folder: Path) -> None:
    book = assert_books_equal_the_accounts(folder)
    assert_orders_are_told_apart(folder)
    assert_positions_have_their_stops(folder, book)
    with reader(folder) as ledger:
        doubtful = (OrderState.INTENT, OrderState.IN_FLIGHT, OrderState.UNKNOWN, OrderState.CANCEL_IN_FLIGHT)
        assert [order for order in ledger.orders() if order.state in doubtful] == []


def test_bot_killed_at_random_moments_restarts_with_exact_books(tmp_path: Path) -> None:
    chance = random.Random(20260203)
    for kill in range(KILLS):
        with running(tmp_path, "run", "--interval", "0", **TWO_COINS) as program:
            if kill:
                program.wait_for_cycles(1)
                pause(chance.uniform(0.0, 0.25))
            else:
                pause(0.3)  # about where the very first start makes its files
            program.signal(signal.SIGKILL)
            assert program.wait() == -signal.SIGKILL
        done = bot(tmp_path, "run", "--cycles", "2", "--interval", "0", **TWO_COINS)
        assert done.returncode == 0, done.stderr
        assert "Ended cleanly" in done.stderr
        assert_all_is_well(tmp_path)
    assert len(fills_in(tmp_path)) >= 2


@pytest.fixture
def fast() -> Iterator[None]:
    with fast_markets():
        yield


class _Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


class _Executioner:
    """Counts writes to ledger and files, and kills before the chosen one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        self.deadly = 0
        run, save = SqliteLedger._run, JsonStateFile.save

        def counted_run(ledger: SqliteLedger, sql: str, values: Sequence[object] | dict[str, object] = ()) -> Any:
            if not sql.lstrip().startswith(("SELECT", "PRAGMA")):
                self._count()
            return run(ledger, sql, values)

        def counted_save(file: JsonStateFile, state: Any) -> None:
            self._count()
            save(file, state)

        monkeypatch.setattr(SqliteLedger, "_run", counted_run)
        monkeypatch.setattr(JsonStateFile, "save", counted_save)

    def _count(self) -> None:
        self.writes += 1
        if self.writes == self.deadly:
            raise _Killed


@pytest.mark.usefixtures("fast")
def test_bot_killed_before_any_write_restarts_with_exact_books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executioner = _Executioner(monkeypatch)
    simulate(tmp_path / "whole", 14, **TWO_COINS)
    assert len(fills_in(tmp_path / "whole")) == 2  # hours 13 to 2: entries, fills, stops, a second decision
    writes = executioner.writes
    assert writes > 100
    chance = random.Random(7)
    for number in sorted(chance.sample(range(1, writes + 1), 10)):
        folder = tmp_path / str(number)
        executioner.writes, executioner.deadly = 0, number
        with pytest.raises(_Killed), simulation(folder, **TWO_COINS) as session:
            run_engine(
                session.engine,
                session.clock,
                stopped=lambda: False,
                on_cycle=lambda result, session=session: session.after_cycle(result.at),  # type: ignore[misc]
                cycles=14,
            )
        executioner.deadly = 0
        simulate(folder, 2, **TWO_COINS)
        assert_all_is_well(folder)


def test_simulation_store_killed_while_saving_keeps_the_last_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(tmp_path, 3)
    path = tmp_path / "simulated" / "paper_accounts.json"
    before = path.read_bytes()

    def dies(self: Path, target: object) -> None:
        raise _Killed

    store = SimulationStore(JsonStateFile(path, durable=False))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        with pytest.raises(_Killed):
            store.save()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.glob("*.tmp")] == []
