"""Helpers for tests that run the whole program: the bot as a subprocess, and candle files for it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from math import exp, sqrt
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
BOT = [sys.executable, str(ROOT / "bot.py")]
SECONDS_MAX = 60.0
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Bar = tuple[int, float, float, float, float, float]


NOWHERE = "http://127.0.0.1:1"
"""A port on which nothing listens: that no exchange answers is certain there, and known at once."""


def environment(**variables: str) -> dict[str, str]:
    """Nothing of the tester's own settings, and no exchange unless the test names one."""
    return {
        "PATH": os.defpath,
        "HOME": os.devnull,
        "LANG": "C.UTF-8",
        "COINBASE_API_URL": NOWHERE,
        "KRAKEN_API_URL": NOWHERE,
        **variables,
    }


def bot(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the bot to its end, without a terminal."""
    return subprocess.run(
        [*BOT, *arguments],
        check=False,
        cwd=folder,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=SECONDS_MAX,
    )


def bot_inside(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `bot` gives, from this process and so in a twentieth of the time: for the many ways to be wrong."""
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(os, "environ", environment())
        result = CliRunner().invoke(main, arguments, prog_name="bot.py")
    assert isinstance(result.exception, SystemExit | None), result.exception
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


class Running:
    """A bot that runs in the background; its stderr goes to a file, so that no pipe fills up."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self.folder = folder
        self._log = folder / "stderr.txt"
        self._out = folder / "stdout.txt"
        with self._log.open("wb") as err, self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [*BOT, *arguments],
                cwd=folder,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def err(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def cycles(self) -> int:
        """Complete cycles so far, by the log."""
        return self.err.count("| cycle ")

    def wait_for_cycles(self, count: int) -> None:
        """Return once so many cycles are in the log."""
        ends = time.monotonic() + SECONDS_MAX
        while self.cycles < count:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.err}"
            assert time.monotonic() < ends, f"only {self.cycles} cycles:\n{self.err}"
            pause(0.01)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = SECONDS_MAX) -> int:
        """Exit code; raises TimeoutExpired."""
        return self.process.wait(seconds)


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[Running]:
    """A bot in the background that is gone at the end of the block, whatever happens in it."""
    program = Running(folder, *arguments, **variables)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
        program.process.wait(SECONDS_MAX)


def pause(seconds: float) -> None:
    """Real time for another process; nothing in this process is waited for by sleeping."""
    time.sleep(seconds)  # noqa: TID251  the clock of a subprocess cannot be injected


def status(folder: Path) -> dict[str, Any]:
    """The account as `status --json` tells it; its exit code 4 means halted."""
    done = bot(folder, "status", "--json")
    assert done.returncode in (0, 4), done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def write_env(folder: Path, *lines: str) -> None:
    path = folder / ".env"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o600)


def assert_fails(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """A failure as a user should meet it: its exit code, the parts in the message, no traceback, no output."""
    assert done.returncode == code, f"{done.returncode}\n{done.stderr}"
    assert [part for part in parts if part not in done.stderr] == [], done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# ---- candle files


def day_ms(text: str) -> int:
    """Opening time of a UTC day."""
    day = date.fromisoformat(text)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def walk(*, seed: int, first_ms: int, hours: int, price: float, drifts: tuple[float, ...]) -> list[Bar]:
    """Hourly bars of a geometric random walk; ``drifts`` (log, per year) share the time in equal parts.

    60 % volatility a year: 0.6 / sqrt(8766) = 0.64 % an hour.
    """
    chance = random.Random(seed)
    sigma = 0.6 / sqrt(8766)
    bars: list[Bar] = []
    for hour in range(hours):
        drift = drifts[hour * len(drifts) // hours] / 8766
        opened, price = price, price * exp(drift + sigma * chance.gauss(0, 1))
        high = max(opened, price) * (1 + sigma * chance.random())
        low = min(opened, price) * (1 - sigma * chance.random())
        volume = 100 * chance.random()
        open_ms = first_ms + hour * HOUR_MS
        bars.append(
            (open_ms, round(opened, 4), round(high, 4), round(low, 4), round(price, 4), round(volume, 4)),
        )
    return bars


def days_of(hours: list[Bar]) -> list[Bar]:
    """Daily bars of whole days of hourly ones."""
    days = [hours[place : place + 24] for place in range(0, len(hours), 24)]
    return [
        (
            day[0][0],
            day[0][1],
            max(bar[2] for bar in day),
            min(bar[3] for bar in day),
            day[-1][4],
            round(sum(bar[5] for bar in day), 4),
        )
        for day in days
    ]


def candle_text(bars: list[Bar]) -> str:
    rows = [",".join(map(str, bar)) for bar in bars]
    return "\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n"


def write_candles(folder: Path, name: str, bars: list[Bar]) -> Path:
    path = folder / name
    path.write_text(candle_text(bars), encoding="utf-8")
    return path
