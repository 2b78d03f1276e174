"""Loaded by every Python that has this folder on its PYTHONPATH: a machine of its own for the bot under test.

Its clock runs so many seconds ahead (and jumps when SIGUSR1 says that the file has another number), pauses and
timeouts may be shortened, and it may die by SIGKILL at a chosen write. Nothing else looks at these variables.
"""

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_AHEAD_S = os.environ.get("TESTS_CLOCK_AHEAD_S", "")
if _AHEAD_S:
    import freezegun.api  # by its full name: what is imported from it here would be shifted too
    from freezegun import freeze_time

    _now = datetime.now(tz=UTC)  # noqa: TID251  the one moment that is not shifted yet
    _clock = freeze_time(_now + timedelta(seconds=float(_AHEAD_S)), tick=True).start()

    def _jump(_number: int, _frame: object) -> None:
        ahead = timedelta(seconds=float(Path(os.environ["TESTS_CLOCK_FILE"]).read_text(encoding="ascii")))
        _clock.move_to(freezegun.api.real_datetime.now(tz=UTC) + ahead)

    if "TESTS_CLOCK_FILE" in os.environ:
        signal.signal(signal.SIGUSR1, _jump)

if "TESTS_WAIT_MAX_S" in os.environ:
    import socket
    import time

    _longest = float(os.environ["TESTS_WAIT_MAX_S"])
    _sleep = time.sleep  # noqa: TID251  it is put in the place of the true one
    _settimeout = socket.socket.settimeout

    def _short_sleep(seconds: Any) -> None:
        _sleep(min(seconds, _longest / 10))

    def _short_timeout(self: Any, seconds: Any) -> None:
        _settimeout(self, None if seconds is None else min(seconds, _longest))

    time.sleep = _short_sleep  # noqa: TID251  see above
    socket.socket.settimeout = _short_timeout  # type: ignore[method-assign]

if "TESTS_DIES_AT_WRITE" in os.environ:
    import itertools
    import sqlite3

    _writes = itertools.count(1)
    _last = int(os.environ["TESTS_DIES_AT_WRITE"])
    _connect, _replace = sqlite3.connect, os.replace

    def _count() -> None:
        if next(_writes) == _last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _statement(text: str) -> None:
        if text.startswith(("INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "CREATE")):
            _count()

    def _traced_connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = _connect(*arguments, **named)
        connection.set_trace_callback(_statement)
        return connection

    def _counted_replace(*arguments: Any, **named: Any) -> None:
        _count()
        _replace(*arguments, **named)

    sqlite3.connect = _traced_connect  # type: ignore[assignment]
    os.replace = _counted_replace
