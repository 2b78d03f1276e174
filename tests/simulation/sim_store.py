"""The real ledger, state file and command list of a simulation, with faults at every step of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim_faults import ORDER_JOURNAL, Fault, Step

from bot.domain.errors import LedgerError, StateFileError
from bot.scaling.state import TierState
from bot.storage.ledger import SqliteLedger
from bot.storage.state_file import JsonStateFile

if TYPE_CHECKING:
    from sim_world import World

WRITES = frozenset(name for name in dir(SqliteLedger) if name.startswith("record_") or name == "set_value")


def open_ledger(path: Path, epoch: uuid.UUID) -> SqliteLedger:
    """The ledger; a new one gets this epoch, for a random one would make every run of a seed another."""
    is_new = not path.exists()
    ledger = SqliteLedger(path, durable=False)
    if is_new:
        ledger._run("UPDATE meta SET value = ? WHERE key = 'epoch'", (str(epoch),))
        ledger._epoch = epoch
    return ledger


class SimLedger:
    """The real ledger; each write and each commit can fail, or be the last thing that the process does."""

    def __init__(self, inner: SqliteLedger, world: World) -> None:
        self._inner = inner
        self._world = world
        self._in_block = False
        for name in dir(inner):
            if not name.startswith("_") and name not in ("transaction", "epoch"):
                setattr(self, name, self._write(name) if name in WRITES else getattr(inner, name))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @property
    def epoch(self) -> uuid.UUID:
        return self._inner.epoch

    def _write(self, name: str) -> Callable[..., Any]:
        found = getattr(self._inner, name)
        is_of_order = name in ("record_intent", "record_transition")

        def write(*args: Any, **kwargs: Any) -> Any:
            if is_of_order:
                state = args[1] if name == "record_transition" else args[0].state
                fault = self._strike(lambda: [state], factor=ORDER_JOURNAL)
            else:
                fault = self._strike(self._world.live_states)
            told = found(*args, **kwargs)
            if fault is Fault.DEATH_AFTER:
                self._world.chaos.die(Step.JOURNAL, fault)
            return told

        return write

    def _strike(self, states: Callable[[], list[str]], *, factor: float = 1.0) -> Fault | None:
        fault = self._world.chaos.draw(Step.JOURNAL, states, factor=factor)
        if fault is Fault.DISK:
            raise LedgerError("ledger: the disk is full")
        if fault is Fault.DELAY:
            self._world.pass_time(self._world.chaos.chance.uniform(0.1, 20))
        elif fault is Fault.CLOCK:
            self._world.step_clock()
        return fault

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._inner.transaction():
            yield
            fault = self._strike(self._world.live_states, factor=2.0)
        if fault is Fault.DEATH_AFTER:
            self._world.chaos.die(Step.JOURNAL, fault)


class SimStateFile(JsonStateFile):
    """The real state file; a save fails, or the process ends before it, in its middle or after it."""

    def __init__(self, path: Path, world: World) -> None:
        super().__init__(path, durable=False, check=TierState.from_json)
        self._world = world

    def save(self, state: Mapping[str, object]) -> None:
        fault = self._world.chaos.draw(Step.STATE_FILE, self._world.live_states)
        if fault is Fault.DISK:
            raise StateFileError(f"{self.path}: cannot be written: no space left")
        if fault is Fault.DEATH_AFTER and self._world.chaos.chance.random() < 0.5:
            # Killed between writing the temporary file and renaming it: half of it lies there.
            self.path.with_name(f"{self.path.name}.half.tmp").write_text('{"schema_ver', encoding="utf-8")
            self._world.chaos.die(Step.STATE_FILE, fault)
        super().save(state)
        if fault is Fault.DEATH_AFTER:
            self._world.chaos.die(Step.STATE_FILE, fault)


class SimControl:
    """Commands of the user. One that the program took and did not live to obey is given again: the user sees it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.waiting: list[Mapping[str, object]] = []
        self.taken: list[Mapping[str, object]] = []

    def put(self, command: str, **arguments: object) -> None:
        self.waiting.append({"command": command, **arguments})

    def take_all(self) -> list[Mapping[str, object]]:
        self.taken, self.waiting = self.waiting, []
        for command in self.taken:
            self._world.checker.on_command(command)
        return list(self.taken)

    def give_again(self) -> None:
        self.waiting = [*self.taken, *self.waiting]
        self.taken = []
