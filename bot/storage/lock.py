"""One process per mode folder: a lock that dies with its holder and says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.domain.errors import AlreadyRunningError, BotError

LOCK_NAME = ".lock"
_MAX_TEXT = 4096
_MAX_TRIES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Who holds a mode folder; None and '' where the holder's text cannot be read."""

    pid: int | None
    since: datetime | None
    command: str


class ModeLock:
    """The lock of a mode folder, held from construction to ``close()`` or death.

    ``now`` and ``command`` are written into the file for those who come second. The file is never
    deleted: a process that opened it just before would then lock a file that nobody else sees.
    ``name`` is another one where the folder may be a mode's and the lock is not about the bot.
    Raises AlreadyRunningError where another process holds it, BotError where it cannot be made.
    """

    def __init__(self, folder: Path | str, *, now: datetime, command: str, name: str = LOCK_NAME) -> None:
        assert now.tzinfo is not None, "lock time must be tz-aware"
        self.path = Path(folder) / name
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor: int | None = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            where = "STATE_DIR" if name == LOCK_NAME else "that folder"
            raise BotError(f"the lock {self.path} cannot be made ({e.strerror}); check {where}") from e
        try:
            self._take(self._descriptor)
            told = {"pid": os.getpid(), "since": now.astimezone(UTC).isoformat(), "command": command[: _MAX_TEXT // 8]}
            line = json.dumps(told).encode() + b"\n"
            os.pwrite(self._descriptor, line, 0)
            os.ftruncate(self._descriptor, len(line))
        except OSError as e:
            self.close()
            raise BotError(f"the lock {self.path} cannot be used ({e.strerror}); check disk and STATE_DIR") from e
        except BaseException:
            self.close()
            raise

    def _take(self, descriptor: int) -> None:
        for _ in range(_MAX_TRIES):
            if _try_lock(descriptor, fcntl.LOCK_EX):
                return
            if not _try_lock(descriptor, fcntl.LOCK_SH):
                raise AlreadyRunningError(f"another process {_told(_read(descriptor))} holds {self.path}")
            # Only shared locks are in the way: views that ask who runs, each for microseconds.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.sched_yield()
        raise AlreadyRunningError(f"a view keeps {self.path} busy; try again")

    def close(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def holder(folder: Path | str) -> LockHolder | None:
    """Who runs in this mode folder now; None: nobody. Raises BotError where the lock cannot be asked."""
    path = Path(folder) / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise BotError(f"the lock {path} cannot be read ({e.strerror}); check owner and permissions") from e
    try:
        # shared, so that two views never see each other as a running bot
        return None if _try_lock(descriptor, fcntl.LOCK_SH) else _read(descriptor)
    except OSError as e:
        raise BotError(f"the lock {path} cannot be asked ({e.strerror})") from e
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> LockHolder:
    try:
        told = json.loads(os.pread(descriptor, _MAX_TEXT, 0))
        return LockHolder(
            pid=int(told["pid"]), since=datetime.fromisoformat(told["since"]), command=str(told["command"])
        )
    except (ValueError, TypeError, KeyError):
        return LockHolder(pid=None, since=None, command="")


def _told(who: LockHolder) -> str:
    if who.pid is None or who.since is None:
        return "(its note in the file cannot be read)"
    return f"(pid {who.pid}, running since {who.since:%Y-%m-%d %H:%M:%S} UTC: {who.command})"
