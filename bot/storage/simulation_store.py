"""What a simulated run needs to continue after a restart: its seed, its time, its accounts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot.domain.errors import StateFileError
from bot.ports import Clock
from bot.storage.state_file import JsonStateFile


class SimulationStore:
    """One JSON file for all simulated accounts, replaced as a whole."""

    def __init__(self, file: JsonStateFile) -> None:
        self._file = file
        self._document: dict[str, Any] = file.load()
        self._clock: Clock | None = None

    @property
    def stored(self) -> bool:
        """Whether there is a simulation to continue."""
        return bool(self._document)

    @property
    def seed(self) -> int:
        """Seed of the built-in market."""
        return int(self._field("seed"))

    @property
    def started_at(self) -> datetime:
        """Virtual time at which the simulation began."""
        return datetime.fromisoformat(self._field("started_at"))

    @property
    def now(self) -> datetime:
        """Virtual time at which the simulation stands."""
        return datetime.fromisoformat(self._field("now"))

    @property
    def traded(self) -> bool:
        """Whether any account has ever had an order."""
        return any(state.get("core", {}).get("orders_made") for state in self._field("accounts").values())

    def begin(self, *, seed: int, started_at: datetime, now: datetime, given: Mapping[str, Decimal]) -> None:
        """Start a new simulation; ``given`` is the play money of each account, which is paid in once."""
        self._document = {
            "schema_version": 1,
            "seed": seed,
            "started_at": started_at.isoformat(),
            "now": now.isoformat(),
            "given": {name: str(amount) for name, amount in given.items()},
            "accounts": {},
        }

    def given(self, name: str) -> Decimal:
        """Play money that an account begins with; 0 for one that the settings named later."""
        return Decimal(self._document.get("given", {}).get(name, "0"))

    def run_by(self, clock: Clock) -> None:
        """Take the virtual time from this clock from now on."""
        self._clock = clock

    def account(self, name: str) -> Mapping[str, Any] | None:
        """Stored state of an account, None where it has none."""
        state = self._field("accounts").get(name)
        return state if isinstance(state, dict) else None

    def put(self, name: str, state: Mapping[str, object]) -> None:
        """Store an account, together with the present virtual time."""
        self._field("accounts")[name] = state
        self.save()

    def save(self) -> None:
        """Write everything. Raises StateFileError."""
        if self._clock is not None:
            self._document["now"] = self._clock.now().isoformat()
        self._file.save(self._document)

    def _field(self, key: str) -> Any:
        try:
            return self._document[key]
        except KeyError as e:
            raise StateFileError(f"{self._file.path}: {key} is missing; delete the folder to begin anew") from e
