"""Clocks: the wall's, a paced one whose time runs faster than the wall's, a virtual one that jumps."""

from __future__ import annotations

import contextlib
import os
import select
import time
from datetime import UTC, datetime


class StopSignal:
    """A wish to stop that a signal handler may express at any moment.

    A pipe, not a threading.Event: a handler that runs while the same thread is inside
    ``Event.wait`` can deadlock on the event's lock.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self.requested = False

    def request(self) -> None:
        """Ask to stop; ends a wait at once."""
        self.requested = True
        with contextlib.suppress(BlockingIOError):  # the pipe is full of earlier wishes
            os.write(self._writer, b".")

    def wait(self, seconds: float) -> None:
        """Return after ``seconds`` or when asked to stop."""
        if not self.requested:
            select.select([self._reader], [], [], max(0.0, seconds))

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._reader)
        os.close(self._writer)


class WallClock:
    """Real time."""

    def __init__(self, stop: StopSignal) -> None:
        self._stop = stop
        self._asked: tuple[datetime, float] | None = None
        """When the time was first asked for since the last wait: by this clock, and by the monotonic one."""

    def now(self) -> datetime:
        """Current time, UTC."""
        now = datetime.now(tz=UTC)  # noqa: TID251  this is the clock
        if self._asked is None:
            self._asked = now, time.monotonic()
        return now

    def wait_until(self, moment: datetime) -> None:
        """Wait for ``moment`` or for the wish to stop.

        Where the machine's clock has been put back since the caller asked for the time, it waits no longer than
        it would have: ``moment`` was reckoned from the time before.
        """
        now = self.now()
        assert self._asked is not None
        asked_at, steady_then = self._asked
        self._asked = None
        by_steady_s = (moment - asked_at).total_seconds() - (time.monotonic() - steady_then)
        self._stop.wait(min((moment - now).total_seconds(), by_steady_s))


class PacedClock:
    """Invented time: each wait takes ``pace_s`` real seconds and ends at its virtual moment."""

    def __init__(self, start: datetime, *, pace_s: float, stop: StopSignal) -> None:
        assert start.tzinfo is not None, "start must be tz-aware"
        self._now = start.astimezone(UTC)
        self._pace_s = pace_s
        self._stop = stop

    def now(self) -> datetime:
        """Current virtual time."""
        return self._now

    def wait_until(self, moment: datetime) -> None:
        """Wait ``pace_s`` real seconds, then be at ``moment``; never backwards."""
        self._stop.wait(self._pace_s)
        self._now = max(self._now, moment)


class VirtualClock:
    """Time that moves only when told to, and then at once."""

    def __init__(self, start: datetime) -> None:
        assert start.tzinfo is not None, "start must be tz-aware"
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Current virtual time."""
        return self._now

    def wait_until(self, moment: datetime) -> None:
        """Jump to ``moment``; never backwards."""
        self._now = max(self._now, moment)
