"""What a simulated run needs to continue after a restart: its accounts, its seed, its time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from bot.ports import Clock
from bot.storage.paper_store import AccountsFile
from bot.storage.state_file import JsonStateFile


class SimulationStore(AccountsFile):
    """The accounts of a simulation, stored together with its virtual time."""

    def __init__(self, file: JsonStateFile) -> None:
        super().__init__(file)
        self._clock: Clock | None = None

    def _check_more(self) -> None:
        if type(self._field("seed")) is not int:
            raise TypeError("seed")
        for moment in (self.started_at, self.now):
            if moment.tzinfo is None:
                raise ValueError("a time without a time zone")

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

    def begin(self, *, seed: int, started_at: datetime, now: datetime, given: Mapping[str, Decimal]) -> None:
        """Start a new simulation; ``given`` is the play money of each account, which is paid in once."""
        self._begin(given, seed=seed, started_at=started_at.isoformat(), now=now.isoformat())

    def run_by(self, clock: Clock) -> None:
        """Take the virtual time from this clock from now on."""
        self._clock = clock

    def save(self) -> None:
        """Write everything, the present virtual time with it. Raises StateFileError."""
        if self._clock is not None:
            self._document["now"] = self._clock.now().isoformat()
        super().save()
