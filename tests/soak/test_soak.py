"""Two days of the soak, as scripts/soak runs ninety: memory, descriptors, books."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from soak import GROWTH_MAX_MIB, Day, faults_of

PROGRAM = Path(__file__).with_name("soak.py")
SECONDS_MAX = 300


def test_two_days_leave_memory_descriptors_and_books_as_they_should_be() -> None:
    # In a process of its own: here other tests have left what can be taken up again unseen.
    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), "--days", "2"],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^day +(\d+): +(\d+) cycles.* (\d+) fills", done.stdout, flags=re.MULTILINE)
    assert [row[0] for row in found] == ["1", "2"]
    # 86,400 s a day at 60 s are 1,440 cycles; while an entry rests, or a stop is watched, there are more.
    assert all(int(cycles) >= 1440 for _, cycles, _ in found), found
    assert int(found[-1][2]) > 0


def day(number: int, rss_mib: float, *, descriptors: int = 12, fills: int = 4) -> Day:
    return Day(number, 1440, 7.0, rss_mib, descriptors, 300.0, 4000.0, 18, fills, 1, 520.0)


@pytest.mark.parametrize(
    ("days", "fault"),
    [
        ([day(1, 60.0), day(2, 60.0 + GROWTH_MAX_MIB)], "memory grew by 5.00 MiB"),
        ([day(1, 60.0), day(2, 66.0), day(3, 60.0)], "memory grew by 6.00 MiB"),
        ([day(1, 60.0), day(2, 60.0, descriptors=13)], "descriptors: 12 after the first day, 13"),
        ([day(1, 60.0, fills=0), day(2, 60.0, fills=0)], "nothing was bought"),
    ],
)
def test_faults_of_a_soak_are_told(days: list[Day], fault: str) -> None:
    assert [told.startswith(fault) for told in faults_of(days)] == [True]


def test_flat_soak_has_no_faults() -> None:
    assert faults_of([day(1, 60.0), day(2, 60.0 + GROWTH_MAX_MIB - 0.01)]) == []
