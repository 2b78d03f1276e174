"""The wall's clock waits for what the caller meant, whatever happens to the machine's clock meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace

import pytest

from bot.clock import StopSignal, WallClock

T0 = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Machine:
    """Its two clocks, moved by hand, and how long the program waited."""

    def __init__(self) -> None:
        self.wall = T0
        self.steady_s = 5_000.0
        self.waited_s: list[float] = []

    def pass_s(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.steady_s += seconds


class Stop(StopSignal):
    """Time passes at once."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def wait(self, seconds: float) -> None:
        self._machine.waited_s.append(seconds)
        self._machine.pass_s(max(0.0, seconds))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()

    def now(tz: tzinfo) -> datetime:
        return found.wall.astimezone(tz)

    monkeypatch.setattr("bot.clock.datetime", SimpleNamespace(now=now))
    monkeypatch.setattr("bot.clock.time", SimpleNamespace(monotonic=lambda: found.steady_s))
    return found


def test_wait_ends_at_the_moment(machine: Machine) -> None:
    clock = WallClock(Stop(machine))
    for number in range(3):
        began = clock.now()
        machine.pass_s(8)  # the cycle
        assert clock.now() == began + timedelta(seconds=8)
        clock.wait_until(began + MINUTE)
        assert machine.waited_s == [52.0] * (number + 1)  # 60 - 8


def test_wait_after_the_clock_was_put_back_is_no_longer(machine: Machine) -> None:
    clock = WallClock(Stop(machine))
    began = clock.now()
    machine.pass_s(8)
    machine.wall -= timedelta(hours=24)
    clock.now()  # a venue asks for the time
    clock.wait_until(began + MINUTE)
    assert machine.waited_s == [52.0]
    # and the next wait is reckoned from the new time
    clock.wait_until(clock.now() + MINUTE)
    assert machine.waited_s == [52.0, 60.0]


def test_wait_after_the_clock_was_put_forward_is_over(machine: Machine) -> None:
    clock = WallClock(Stop(machine))
    began = clock.now()
    machine.wall += timedelta(hours=24)
    clock.wait_until(began + MINUTE)
    assert machine.waited_s[0] < 0


def test_clock_put_right_before_the_first_cycle_does_not_lengthen_its_wait(machine: Machine) -> None:
    clock = WallClock(Stop(machine))
    clock.now()  # while the session is opened
    machine.wall += timedelta(hours=24)
    clock.wait_until(clock.now() + MINUTE)
    assert machine.waited_s == [60.0]
