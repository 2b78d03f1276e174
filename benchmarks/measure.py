"""Runs a command several times as a whole process and reports medians: wall, CPU, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable


class Figures(NamedTuple):
    """Medians over the runs, and the spread of the wall time."""

    wall_s: float
    wall_min_s: float
    wall_max_s: float
    cpu_s: float
    peak_mb: float
    """Peak resident memory in MB (10^6 bytes)."""


class Ended(NamedTuple):
    """What one process took."""

    code: int
    wall_s: float
    cpu_s: float
    peak_kib: int
    """Peak resident memory in KiB."""


class Process:
    """A command in a process of its own; ``lines`` is its stderr, each line with the seconds since its start."""

    def __init__(self, command: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> None:
        self.lines: list[tuple[float, str]] = []
        self._began = time.perf_counter()
        self.process = subprocess.Popen(  # noqa: S603  the commands are those of this folder
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self.lines.append((time.perf_counter() - self._began, line.rstrip("\n")))

    def wait(self, *, ok: Sequence[int] = (0,)) -> Ended:
        """Let it come to its end. Raises SystemExit, with its last words, for an exit code that is not in ``ok``."""
        _, status, usage = os.wait4(self.process.pid, 0)
        wall = time.perf_counter() - self._began
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self._reader.join()
        if self.process.returncode not in ok:
            words = "\n".join(line for _, line in self.lines[-20:])
            raise SystemExit(f"{self.process.args!r} ended with exit code {self.process.returncode}:\n{words}")
        return Ended(self.process.returncode, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def measure(
    command: Sequence[str], *, runs: int, cwd: Path, environ: Mapping[str, str] | None = None, ok: Sequence[int] = (0,)
) -> Figures:
    """Run the command once to warm up and ``runs`` times to count; its output is thrown away.

    Raises SystemExit where a run ends with another exit code than those in ``ok``.
    """
    counted = [
        Process(command, cwd=cwd, environ={**os.environ, **(environ or {})}).wait(ok=ok) for _ in range(runs + 1)
    ][1:]
    walls = [one.wall_s for one in counted]
    return Figures(
        statistics.median(walls),
        min(walls),
        max(walls),
        statistics.median(one.cpu_s for one in counted),
        statistics.median(one.peak_kib for one in counted) * 1024 / 1e6,
    )


def report(name: str, figures: Figures, *, limit_s: float, limit_mb: float | None) -> bool:
    """Print one line and tell whether the medians are within their limits."""
    fits = figures.wall_s <= limit_s and (limit_mb is None or figures.peak_mb <= limit_mb)
    memory = f"{figures.peak_mb:.1f} MB" + ("" if limit_mb is None else f" (limit {limit_mb:g})")
    sys.stdout.write(
        f"{name}: wall {figures.wall_s:.3f} s (limit {limit_s:g}; {figures.wall_min_s:.3f} to "
        f"{figures.wall_max_s:.3f}), cpu {figures.cpu_s:.3f} s, peak {memory}{'' if fits else '  MISSED'}\n"
    )
    return fits
