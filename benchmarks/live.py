"""The live bot in front of exchanges with as many markets as the real ones: its start, one cycle, and idling.

    python benchmarks/live.py [--minutes 10] [--rounds 3] [--answer-ms 100]

Limits: `run --live --once` 3 s where the client's rate limiter is off, 90 MiB always; the first line after 2 s; the
first cycle done and the account reconciled after 25 s with the limiter on; at a cycle each 60 s, 100 MiB after the
last minute and 1 % of a core. The memory is resident memory in MiB (2^20 bytes) as the kernel counts it.

The exchanges are those of the tests, on this machine, in two ways. At hand: plain HTTP and `bot.py` as it is, which
leaves the limiter off for an address of this machine. As real: TLS, the limiter on and a delay before each answer;
for that the command line runs with two constants changed, see `local_venues.AS_REAL`. Not in any figure: the limits
of the venues themselves. It takes the packages of the tests, and its wall times are of use on a quiet machine only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from local_venues import RealWay, Venues, full_size_venues
from measure import Ended, Process

POLL_S = 60
LOOK_AFTER_S = 45
"""In each minute: a cycle as real is over by then, and the next one has not begun."""
ONCE_LIMIT_S, ONCE_LIMIT_MIB = 3.0, 90.0
FIRST_LINE_LIMIT_S, RECONCILED_LIMIT_S = 2.0, 25.0
IDLE_LIMIT_MIB, IDLE_LIMIT_PCT = 100.0, 1.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Start(NamedTuple):
    """One `run --live --once`; ``requests`` by venue."""

    ended: Ended
    first_line_s: float
    reconciled_s: float
    requests: dict[str, int]


class Usage(NamedTuple):
    """Of a process that runs: memory in MiB, CPU seconds since its start."""

    rss_mib: float
    peak_mib: float
    cpu_s: float


# ---- one cycle


def measure_once(rounds: int, way: RealWay | None) -> bool:
    """The first start in an empty folder, which asks for all candles, and the start after it; new each round."""
    firsts, nexts = [], []
    for _ in range(rounds):
        with full_size_venues(way) as venues:
            firsts.append(start_once(venues))
            nexts.append(start_once(venues))
    name = "at hand" if way is None else "as real"
    first_fits = report_once(f"run --live --once, {name}, first start", firsts, limited=way is not None)
    return report_once(f"run --live --once, {name}, next start", nexts, limited=way is not None) and first_fits


def start_once(venues: Venues) -> Start:
    """Run it to its end."""
    before = venues.requests()
    process = venues.bot("--once")
    ended = process.wait()
    requests = {venue: count - before[venue] for venue, count in venues.requests().items()}
    return Start(ended, process.lines[0][0], reconciled_s(process), requests)


def reconciled_s(process: Process) -> float:
    """Seconds to the end of the first cycle that may trade. Raises SystemExit where there was none."""
    for at, line in process.lines:
        if "| cycle " in line and "engine=ACTIVE" in line:
            return at
    raise SystemExit("no cycle was ACTIVE:\n" + "\n".join(line for _, line in process.lines))


def report_once(name: str, starts: Sequence[Start], *, limited: bool) -> bool:
    """Print medians and spread; tells whether the medians are within their limits."""
    peak_mib = statistics.median(start.ended.peak_kib for start in starts) / 1024
    fits = peak_mib <= ONCE_LIMIT_MIB
    parts = []
    for what, values, limit in (
        ("wall", [start.ended.wall_s for start in starts], None if limited else ONCE_LIMIT_S),
        ("first line", [start.first_line_s for start in starts], FIRST_LINE_LIMIT_S),
        ("reconciled", [start.reconciled_s for start in starts], RECONCILED_LIMIT_S),
    ):
        middle = statistics.median(values)
        fits = fits and (limit is None or middle <= limit)
        limit_text = "" if limit is None else f"limit {limit:g}; "
        parts.append(f"{what} {middle:.2f} s ({limit_text}{min(values):.2f} to {max(values):.2f})")
    parts += [
        f"cpu {statistics.median(start.ended.cpu_s for start in starts):.2f} s",
        f"peak {peak_mib:.1f} MiB (limit {ONCE_LIMIT_MIB:g})",
        *(f"{count} requests to {venue}" for venue, count in starts[-1].requests.items()),
    ]
    print_line(f"{name}: {', '.join(parts)}{'' if fits else '  MISSED'}")
    return fits


# ---- the loop


def measure_idle(minutes: int, way: RealWay) -> bool:
    """A bot that has bought in its first cycle, has its stops at the venues and nothing to do."""
    with full_size_venues(way) as venues:
        began = time.monotonic()
        bot = venues.bot(POLL_SECONDS=str(POLL_S))
        usages = []
        try:
            for minute in range(minutes + 1):
                wait_until(began + minute * POLL_S + LOOK_AFTER_S)
                if bot.process.poll() is not None:
                    break
                usages.append(usage_of(bot.process.pid))
                print_minute(minute, usages)
                venues.trade()
        finally:
            bot.process.terminate()
            bot.wait()
        cycles = sum("| cycle " in line for _, line in bot.lines)
        requests = ", ".join(f"{count} requests to {venue}" for venue, count in venues.requests().items())
        print_line(f"  {cycles} cycles, {venues.resting()} orders rest, {requests}")
    return report_idle(usages)


def report_idle(usages: Sequence[Usage]) -> bool:
    """Memory at the last look, CPU between the first and the last one: a start is no idling."""
    minutes = len(usages) - 1
    percent = (usages[-1].cpu_s - usages[0].cpu_s) / (minutes * POLL_S) * 100
    fits = usages[-1].rss_mib <= IDLE_LIMIT_MIB and percent <= IDLE_LIMIT_PCT
    print_line(
        f"idle loop, as real, after {minutes} minutes: {usages[-1].rss_mib:.1f} MiB (limit {IDLE_LIMIT_MIB:g}; "
        f"peak {usages[-1].peak_mib:.1f}), {percent:.2f} % of a core (limit {IDLE_LIMIT_PCT:g})"
        f"{'' if fits else '  MISSED'}"
    )
    return fits


def usage_of(process_id: int) -> Usage:
    """Read what the kernel counts of a process (Linux)."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    rows = dict(row.split(":", 1) for row in status.splitlines())
    rss_kib, peak_kib = (int(rows[name].split()[0]) for name in ("VmRSS", "VmHWM"))
    # The second field is a name in parentheses; the 14th and 15th are the ticks in user and in system mode.
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return Usage(rss_kib / 1024, peak_kib / 1024, (int(fields[11]) + int(fields[12])) / TICKS_PER_S)


def print_minute(minute: int, usages: Sequence[Usage]) -> None:
    """One line: how it is now, and the CPU since the line before."""
    now = usages[-1]
    spent = now.cpu_s - (usages[-2].cpu_s if minute else 0.0)
    print_line(f"  minute {minute}: {now.rss_mib:.1f} MiB, peak {now.peak_mib:.1f} MiB, cpu {spent:.2f} s")


def print_line(text: str) -> None:
    """Print at once: the next line may be a minute away."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def wait_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    time.sleep(max(0.0, moment - time.monotonic()))  # noqa: TID251  a figure after ten minutes takes ten minutes


def main() -> None:
    """Measure and exit with 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10, help="of idling after the first; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3, help="of starts; 0 leaves them out")
    parser.add_argument("--answer-ms", type=int, default=100, help="as real: delay of each answer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        way = RealWay(Path(folder), answer_s=options.answer_ms / 1000)
        fits = []
        if options.rounds:
            fits += [measure_once(options.rounds, None), measure_once(options.rounds, way)]
        if options.minutes:
            fits.append(measure_idle(options.minutes, way))
    if not all(fits):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
