"""One process per folder, and the second learns who is first."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bot.domain.errors import AlreadyRunningError, BotError
from bot.storage.lock import LockHolder, ModeLock, holder

T0 = datetime(2024, 3, 1, 12, 30, tzinfo=UTC)

_HOLD = """
import sys
from datetime import datetime, timezone
sys.path.insert(0, {root!r})
from bot.storage.lock import ModeLock
lock = ModeLock({folder!r}, now=datetime(2024, 3, 1, 12, 30, tzinfo=timezone.utc), command="bot.py run --paper")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def _held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    code = _HOLD.format(root=str(Path(__file__).parents[2]), folder=str(folder))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            yield child
        finally:
            child.kill()


def test_lock_held_by_other_process_names_pid_and_time(tmp_path: Path) -> None:
    with _held_elsewhere(tmp_path) as child:
        expected = rf"pid {child.pid}, running since 2024-03-01 12:30:00 UTC: bot\.py run --paper"
        with pytest.raises(AlreadyRunningError, match=expected):
            ModeLock(tmp_path, now=T0, command="second")
        assert holder(tmp_path) == LockHolder(pid=child.pid, since=T0, command="bot.py run --paper")


def test_lock_of_killed_process_is_free(tmp_path: Path) -> None:
    with _held_elsewhere(tmp_path) as child:
        child.kill()
        child.wait()
        assert holder(tmp_path) is None
        with ModeLock(tmp_path, now=T0, command="next"):
            assert holder(tmp_path) == LockHolder(pid=os.getpid(), since=T0, command="next")


def test_lock_closed_is_free_and_keeps_its_file(tmp_path: Path) -> None:
    lock = ModeLock(tmp_path / "paper", now=T0, command="first and rather long")
    file = tmp_path / "paper" / ".lock"
    inode = file.stat().st_ino
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lock.close()
    lock.close()
    assert holder(tmp_path / "paper") is None
    with ModeLock(tmp_path / "paper", now=T0 + timedelta(hours=1), command="2nd"):
        assert file.stat().st_ino == inode
        # a shorter text leaves nothing of the longer one behind
        assert holder(tmp_path / "paper") == LockHolder(pid=os.getpid(), since=T0 + timedelta(hours=1), command="2nd")


def test_lock_time_of_other_zone_is_told_in_utc(tmp_path: Path) -> None:
    now = datetime(2024, 3, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    with (
        ModeLock(tmp_path, now=now, command="first"),
        pytest.raises(AlreadyRunningError, match="since 2024-03-01 12:30:00 UTC"),
    ):
        ModeLock(tmp_path, now=T0, command="second")


@pytest.mark.parametrize(
    "note", [b"", b"\xff\xfe", b"{}", b'{"pid": 1', b'{"pid": "x", "since": 1, "command": ""}', b"7"]
)
def test_lock_with_unreadable_note_is_refused_all_the_same(tmp_path: Path, note: bytes) -> None:
    with ModeLock(tmp_path, now=T0, command="first"):
        (tmp_path / ".lock").write_bytes(note)
        with pytest.raises(AlreadyRunningError, match=r"note in the file cannot be read.*\.lock"):
            ModeLock(tmp_path, now=T0, command="second")
        assert holder(tmp_path) == LockHolder(pid=None, since=None, command="")


def test_failed_second_start_does_not_free_the_lock(tmp_path: Path) -> None:
    with ModeLock(tmp_path, now=T0, command="first"):
        for _ in range(2):
            with pytest.raises(AlreadyRunningError):
                ModeLock(tmp_path, now=T0, command="second")


def test_view_asking_who_runs_is_not_mistaken_for_a_bot(tmp_path: Path) -> None:
    ModeLock(tmp_path, now=T0, command="earlier").close()
    with (tmp_path / ".lock").open("rb") as view:
        fcntl.flock(view, fcntl.LOCK_SH)
        assert holder(tmp_path) is None
        # a view never holds it for long; one that does is named as a view
        with pytest.raises(AlreadyRunningError, match="a view keeps"):
            ModeLock(tmp_path, now=T0, command="bot")
    ModeLock(tmp_path, now=T0, command="bot").close()


def test_holder_of_folder_never_used_is_none_and_makes_nothing(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    assert holder(tmp_path / "missing") is None
    assert list(tmp_path.iterdir()) == []


def test_long_command_text_stays_readable(tmp_path: Path) -> None:
    with ModeLock(tmp_path, now=T0, command="\u00e4" * 10_000):
        found = holder(tmp_path)
        assert found is not None
        assert found.pid == os.getpid()
        assert found.command == "\u00e4" * 512


def test_lock_where_no_folder_can_be_made_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BotError, match="check STATE_DIR"):
        ModeLock(tmp_path / "file", now=T0, command="bot")
    with pytest.raises(BotError, match="check that folder"):
        ModeLock(tmp_path / "file", now=T0, command="download", name=".download.lock")
