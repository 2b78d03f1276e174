"""SIGINT, SIGTERM, and the lock: the bot ends cleanly, quickly, and leaves the folder to the next one."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import pytest
from program_rig import assert_fails, bot, pause, running, walk, write_candles

from bot.clock import StopSignal
from bot.storage.lock import holder

END_WITHIN_S = 10.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("interval", ["0", "60"])
def test_run_told_to_stop_ends_cleanly_within_seconds(tmp_path: Path, number: signal.Signals, interval: str) -> None:
    # with 60 it is waiting for the next cycle, with 0 it is in the middle of one
    with running(tmp_path, "run", "--interval", interval) as program:
        program.wait_for_cycles(1)
        who = holder(tmp_path / "simulated")
        assert who is not None
        assert who.pid == program.process.pid
        program.signal(number)
        assert program.wait(END_WITHIN_S) == 0
        assert program.out == ""
        assert "Traceback" not in program.err
        assert program.err.splitlines()[-1].startswith("Ended cleanly; the account is kept in ")
    assert holder(tmp_path / "simulated") is None
    # what SQLite leaves after a clean end: one file, no journal to be replayed
    assert [path.name for path in sorted((tmp_path / "simulated").glob("ledger*"))] == ["ledger.sqlite3"]


def open_writer(pipe: Path) -> int:
    """Our end of a named pipe, once the other process has opened its own."""
    ends = time.monotonic() + END_WITHIN_S
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as e:
            if e.errno != errno.ENXIO or time.monotonic() > ends:  # ENXIO: nobody reads yet
                raise
        pause(0.01)


def test_run_told_twice_to_stop_ends_at_once_with_130(tmp_path: Path) -> None:
    # The reading of a named pipe keeps the program busy where it cannot look at the first wish.
    candles = tmp_path / "candles"
    candles.mkdir()
    os.mkfifo(candles / "binance_BTC-USDT_1h.csv")
    with running(tmp_path, "run", "--replay", str(candles)) as program:
        writer = open_writer(candles / "binance_BTC-USDT_1h.csv")
        program.signal(signal.SIGINT)
        pause(0.2)
        assert program.process.poll() is None
        program.signal(signal.SIGINT)
        assert program.wait(END_WITHIN_S) == 130
        os.close(writer)
        assert "Traceback" not in program.err
        assert program.err.endswith("Interrupted.\n")


def test_replay_interrupted_prints_what_it_has_and_ends_with_130(tmp_path: Path) -> None:
    candles = tmp_path / "candles"
    candles.mkdir()
    write_candles(
        candles,
        "binance_BTC-USDT_1h.csv",
        walk(seed=1, first_ms=1_640_995_200_000, hours=30_000, price=40_000, drifts=(0.5,)),
    )
    with running(tmp_path, "run", "--replay", str(candles)) as program:
        ends = time.monotonic() + END_WITHIN_S
        while holder(tmp_path / "simulated" / "replay") is None and time.monotonic() < ends:
            pause(0.01)
        program.signal(signal.SIGINT)
        assert program.wait(END_WITHIN_S) == 130
        assert "Interrupted: the figures are those up to the last cycle." in program.out
        assert "Traceback" not in program.err


def test_second_bot_in_the_folder_is_told_who_runs(tmp_path: Path) -> None:
    with running(tmp_path, "run", "--interval", "60") as program:
        program.wait_for_cycles(1)
        second = bot(tmp_path, "run", "--once")
        assert second.returncode == 1
        assert f"another process (pid {program.process.pid}, running since 20" in second.stderr
        assert "Traceback" not in second.stderr
        assert second.stdout == ""
        assert program.process.poll() is None
        program.signal(signal.SIGTERM)
        assert program.wait(END_WITHIN_S) == 0
    assert bot(tmp_path, "run", "--once").returncode == 0


def test_replay_beside_a_running_bot_has_a_folder_of_its_own(tmp_path: Path) -> None:
    write_candles(
        tmp_path, "binance_BTC-USDT_1d.csv", [(1_640_995_200_000 + day * 86_400_000, 1, 1, 1, 1, 1) for day in range(9)]
    )
    with running(tmp_path, "run", "--interval", "60") as program:
        program.wait_for_cycles(1)
        done = bot(tmp_path, "run", "--replay", ".")
        assert done.returncode == 0, done.stderr
        assert program.process.poll() is None


def test_lock_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "simulated").write_text("a file where a folder belongs", encoding="utf-8")
    assert_fails(bot(tmp_path, "run", "--once"), 1, "STATE_DIR")


def test_stop_signal_requested_before_a_wait_ends_it_at_once() -> None:
    stop = StopSignal()
    try:
        stop.request()
        began = time.monotonic()
        stop.wait(30.0)
        assert time.monotonic() - began < 5.0
    finally:
        stop.close()
