"""Runs a command several times as a whole process and reports medians: wall, CPU, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
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


def measure(
    command: Sequence[str], *, runs: int, cwd: Path, environ: Mapping[str, str] | None = None, ok: Sequence[int] = (0,)
) -> Figures:
    """Run the command once to warm up and ``runs`` times to count; its output is thrown away.

    Raises SystemExit where a run ends with another exit code than those in ``ok``.
    """
    walls, cpus, peaks = [], [], []
    for run in range(runs + 1):
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603  the commands are those of this folder
            command,
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in ok:
            raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
        if run:
            walls.append(wall)
            cpus.append(usage.ru_utime + usage.ru_stime)
            peaks.append(usage.ru_maxrss * 1024 / 1e6)
    return Figures(statistics.median(walls), min(walls), max(walls), statistics.median(cpus), statistics.median(peaks))


def report(name: str, figures: Figures, *, limit_s: float, limit_mb: float | None) -> bool:
    """Print one line and tell whether the medians are within their limits."""
    fits = figures.wall_s <= limit_s and (limit_mb is None or figures.peak_mb <= limit_mb)
    memory = f"{figures.peak_mb:.1f} MB" + ("" if limit_mb is None else f" (limit {limit_mb:g})")
    sys.stdout.write(
        f"{name}: wall {figures.wall_s:.3f} s (limit {limit_s:g}; {figures.wall_min_s:.3f} to "
        f"{figures.wall_max_s:.3f}), cpu {figures.cpu_s:.3f} s, peak {memory}{'' if fits else '  MISSED'}\n"
    )
    return fits
