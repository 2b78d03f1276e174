"""A bot on a pseudo-terminal: what it draws, and keys for it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from program_rig import BOT, SECONDS_MAX, environment, pause

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

    def interrupt(self, question: str) -> None:
        """Press Ctrl-C once, at a question that is being read: in the instant before, Python itself loses the key."""
        self.read_until(lambda text: question in text)
        pause(0.5)
        self.press(b"\x03")

    def settings(self) -> list[object]:
        """Line settings: echo, line by line reading, ..."""
        return list(termios.tcgetattr(self._leader))

    def end(self) -> int:
        """Read the rest; the exit code."""
        self.read_until(lambda _: False)
        return self.process.wait(SECONDS_MAX)


@contextmanager
def terminal(
    folder: Path,
    *arguments: str,
    size: tuple[int, int] = (40, 100),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Terminal]:
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
