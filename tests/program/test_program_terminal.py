"""`run` on a terminal: one calm screen that is redrawn and leaves the terminal as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program_rig import BOT, SECONDS_MAX, environment
from simulation_rig import simulate

ALTERNATE_ON, ALTERNATE_OFF = "\x1b[?1049h", "\x1b[?1049l"
CURSOR_OFF, CURSOR_ON = "\x1b[?25l", "\x1b[?25h"
HOME = "\x1b[H"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CTRL_C = b"\x03"
OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes the pseudo-terminal the one whose Ctrl-C reaches the bot, then becomes the bot."""


class Terminal:
    """A pseudo-terminal with a bot on it; ``text`` is everything that it has drawn."""

    def __init__(self, leader: int, process: subprocess.Popen[bytes]) -> None:
        self._leader = leader
        self.process = process
        self.text = ""

    def read_until(self, wanted: Callable[[str], bool]) -> None:
        """Read until the text is as wanted, or to its end."""
        ends = time.monotonic() + SECONDS_MAX
        while not wanted(self.text):
            assert time.monotonic() < ends, self.text
            if not select.select([self._leader], [], [], 1.0)[0]:
                continue
            try:
                more = os.read(self._leader, 65_536)
            except OSError:  # Linux says EIO where the other side has gone
                more = b""
            if not more:
                return
            self.text += more.decode("utf-8", errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self._leader, key)

    def settings(self) -> list[object]:
        """Line settings: echo, line by line reading, ..."""
        return list(termios.tcgetattr(self._leader))

    def end(self) -> int:
        """Read the rest; the exit code."""
        self.read_until(lambda _: False)
        return self.process.wait(SECONDS_MAX)


@contextmanager
def terminal(folder: Path, *arguments: str, size: tuple[int, int] = (40, 100), **variables: str) -> Iterator[Terminal]:
    """A bot on a terminal of ``size`` (rows, columns)."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, *BOT, *arguments],
        cwd=folder,
        env=environment(**{"TERM": "xterm-256color", **variables}),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    try:
        yield Terminal(leader, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(SECONDS_MAX)
        os.close(leader)


def screens(text: str) -> list[str]:
    """What was drawn between the alternate screen's beginning and end, one entry per redrawing."""
    drawn = text.partition(ALTERNATE_ON)[2].partition(ALTERNATE_OFF)[0]
    return [part for part in drawn.split(HOME) if part.strip()]


def test_run_on_terminal_draws_one_screen_and_leaves_it_as_it_was(tmp_path: Path) -> None:
    with terminal(tmp_path, "run", "--interval", "0.05") as on:
        settings = on.settings()
        on.read_until(lambda text: len(screens(text)) >= 4)
        on.press(CTRL_C)
        assert on.end() == 0
        assert on.settings() == settings
    assert on.text.count(ALTERNATE_ON) == on.text.count(ALTERNATE_OFF) == 1
    assert on.text.rindex(CURSOR_ON) > on.text.rindex(CURSOR_OFF)
    before, _, after = on.text.partition(ALTERNATE_ON)
    assert "SIMULATED: prices are invented" in before
    assert "Ended cleanly" in after.partition(ALTERNATE_OFF)[2]
    drawn = screens(on.text)
    assert all("SIMULATED" in COLOUR.sub("", screen) for screen in drawn[1:])
    assert len(set(drawn)) >= 3  # the account moves on, and the screen with it
    assert "| cycle " not in on.text
    assert "Traceback" not in on.text


def test_screen_is_never_larger_than_the_terminal(tmp_path: Path) -> None:
    simulate(tmp_path, 40)
    with terminal(tmp_path, "run", "--cycles", "3", "--interval", "0", size=(12, 50)) as on:
        assert on.end() == 0
    drawn = screens(on.text)
    assert len(drawn) >= 3
    for screen in drawn:
        lines = COLOUR.sub("", screen).replace("\r", "").split("\n")
        assert len(lines) <= 12
        assert max(map(len, lines)) <= 50 + len(CURSOR_OFF)


def test_run_on_terminal_with_no_color_draws_without_colours(tmp_path: Path) -> None:
    with terminal(tmp_path, "run", "--cycles", "2", "--interval", "0", NO_COLOR="1") as on:
        assert on.end() == 0
    codes = {code for found in COLOUR.findall(on.text) for code in found[2:-1].split(";")}
    assert codes <= {"", "0", "1", "2", "7"}  # plain, bold, dim, reversed
    assert screens(on.text)


def test_run_on_dumb_terminal_writes_log_lines(tmp_path: Path) -> None:
    with terminal(tmp_path, "run", "--cycles", "2", "--interval", "0", TERM="dumb") as on:
        assert on.end() == 0
    assert "\x1b" not in on.text
    assert on.text.count("| cycle mode=SIMULATED ") == 2


def test_flatten_on_terminal_asks_first(tmp_path: Path) -> None:
    simulate(tmp_path, 12)
    with terminal(tmp_path, "flatten") as on:
        on.read_until(lambda text: "Type 'flatten'" in text)
        on.press(b"yes\n")
        assert on.end() == 1
        assert "nothing was sold" in on.text
    with terminal(tmp_path, "flatten") as on:
        on.read_until(lambda text: "Type 'flatten'" in text)
        on.press(b"flatten\n")
        assert on.end() == 0
        assert "Everything is being sold" in on.text


@pytest.mark.parametrize("encoding", ["C", "POSIX"])
def test_run_on_terminal_without_utf8_draws_its_screen(tmp_path: Path, encoding: str) -> None:
    with terminal(
        tmp_path,
        *("run", "--cycles", "2", "--interval", "0"),
        LANG=encoding,
        LC_ALL=encoding,
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    ) as on:
        assert on.end() == 0
    assert on.text.isascii()
    assert "SIMULATED" in screens(on.text)[-1]
