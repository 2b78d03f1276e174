"""`bash scripts/simulate`: many seeds on all cores, the coverage table, and the command that replays a violation."""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sim_checks import Violation
from sim_faults import FAULTS_AT, NONE, Cell, Step, cells
from sim_world import Report, simulate

ROOT = Path(__file__).resolve().parents[2]
CYCLES = 200
HIT_AT_LEAST = 100
"""Every cell of the table that can be reached is hit so often in a long run."""
LONG_RUN_CYCLES = 1_000_000
SHOWN_MOST = 20
CHUNK = 10
PROGRESS_EVERY_S = 30.0


def commit() -> str:
    """Short name of the commit that is checked out, '' where there is no git."""
    try:
        told = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip()


def words(violation: Violation, *, cycles: int = CYCLES, intensity: float = 1.0) -> str:
    """A violation with what is needed to see it again."""
    again = f"bash scripts/simulate --seed {violation.seed}" + (f" --cycles {cycles}" if cycles != CYCLES else "")
    again += f" --intensity {intensity:g}" if intensity != 1.0 else ""
    return (
        f"VIOLATION seed {violation.seed} cycle {violation.cycle} rule '{violation.rule}' commit {commit()}\n"
        f"  {violation.text}\n  again: {again}"
    )


def run_seeds(seeds: Iterable[int], cycles: int = CYCLES, intensity: float = 1.0) -> Report:
    """Live through these seeds, one after the other."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=_fast_folder()) as folder:
        for seed in seeds:
            simulate(Path(folder), seed, report, cycles, intensity)
    return report


def _fast_folder() -> str | None:
    """Memory, where the system has a folder there: a simulation needs no disk."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() else None


def table(coverage: Counter[Cell]) -> str:
    """State of the order down, step and fault across: one block of lines per step."""
    reached = set(cells())
    lines = []
    for step in Step:
        faults = FAULTS_AT[step]
        states = [NONE, *(s for s in dict.fromkeys(c[0] for c in [*reached, *coverage] if c[2] is step) if s != NONE)]
        lines.append(f"{step:<18}" + "".join(f"{fault:>16}" for fault in faults))
        for state in states:
            counts = [coverage[state, fault, step] for fault in faults]
            if any(counts) or any((state, fault, step) in reached for fault in faults):
                marks = ["" if (state, fault, step) in reached else "*" for fault in faults]
                row = "".join(f"{f'{n:,}{m}':>16}" for n, m in zip(counts, marks, strict=True))
                lines.append(f"  {state:<16}{row}")
    lines.append("* not counted on: see STATES_AT in tests/simulation/sim_faults.py")
    return "\n".join(lines)


def too_rare(coverage: Counter[Cell], least: int) -> list[str]:
    """Cells that can be reached and were hit less often than ``least``."""
    return [f"{s}, {f}, {step}: {coverage[s, f, step]}" for s, f, step in cells() if coverage[s, f, step] < least]


def totals(report: Report) -> str:
    """The counts in a line."""
    return (
        f"{report.episodes:,} episodes, {report.cycles:,} cycles ({report.faulty:,} with a fault in them), "
        f"{report.faults:,} faults, {report.deaths:,} deaths; orders sent: {report.entries:,} entries, "
        f"{report.stops:,} stops, {report.exits:,} exits; {report.fills:,} fills; "
        f"{report.quiet:,} quiet points; violations: {len({v.seed for v in report.violations}):,}"
    )


def run_parallel(seeds: Sequence[int], cycles: int, processes: int, intensity: float = 1.0) -> Report:
    """Live through many seeds on several cores; a line of progress now and then."""
    report, told_at = Report(), time.monotonic()
    chunks = [(list(seeds[i : i + CHUNK]), cycles, intensity) for i in range(0, len(seeds), CHUNK)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for part in pool.imap_unordered(_run_chunk, chunks):
            report.add(part)
            for violation in part.violations[:1]:
                print(words(violation, cycles=cycles, intensity=intensity), flush=True)
            if time.monotonic() - told_at >= PROGRESS_EVERY_S:
                told_at = time.monotonic()
                print(totals(report), flush=True)
    return report


def _run_chunk(asked: tuple[list[int], int, float]) -> Report:
    return run_seeds(*asked)


def main() -> int:
    """Run, print the tables, and say by the exit code whether all is well."""
    parser = argparse.ArgumentParser(prog="bash scripts/simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, metavar="N", help="so many episodes (500)")
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="M", help="the first seed (0)")
    parser.add_argument("--seed", type=int, metavar="S", help="one episode only: replays it")
    parser.add_argument("--cycles", type=int, default=CYCLES, metavar="N", help="cycles of an episode (200)")
    parser.add_argument("--intensity", type=float, default=1.0, metavar="X", help="faults so many times as often (1)")
    parser.add_argument("--planted", action="store_true", help="plant bugs and tell how many seeds find each")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count(), metavar="N")
    asked = parser.parse_args()
    if asked.planted:
        from sim_planted import planted_table

        text, all_found = planted_table()
        print(text)
        return 0 if all_found else 1
    if asked.seed is not None:
        report = run_seeds([asked.seed], asked.cycles, asked.intensity)
    else:
        seeds = range(asked.first, asked.first + asked.seeds)
        report = run_parallel(seeds, asked.cycles, asked.processes, asked.intensity)
    print(table(report.coverage))
    print(totals(report))
    for violation in report.violations[:SHOWN_MOST]:
        print(words(violation, cycles=asked.cycles, intensity=asked.intensity))
    rare = too_rare(report.coverage, HIT_AT_LEAST) if report.cycles >= LONG_RUN_CYCLES else []
    for line in rare:
        print(f"TOO RARE, below {HIT_AT_LEAST}: {line}")
    return 1 if report.violations or rare else 0


if __name__ == "__main__":
    raise SystemExit(main())
