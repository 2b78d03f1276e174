"""Commands to the running bot: one small JSON file each, in the ``control/`` folder of the mode folder."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from loguru import logger

from bot.domain.errors import BotError

MAX_WAITING = 100
_MAX_BYTES = 4096
_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
_SUFFIX = ".json"


class Command(StrEnum):
    """What a running bot can be told to do."""

    HALT = "halt"
    RESUME = "resume"
    FLATTEN = "flatten"
    PAUSE = "pause"


_ARGUMENTS: Mapping[Command, Mapping[str, type]] = {
    Command.HALT: {},
    Command.RESUME: {"reset_drawdown": bool, "book_out": bool, "accept_results": bool},
    Command.FLATTEN: {},
    Command.PAUSE: {},
}


class ControlQueue:
    """Queue of commands (the ``ControlQueue`` port): any process puts, the one that holds the lock takes.

    ``folder`` is the queue's own (``control/`` in the mode folder), made with the first command.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)

    def put(self, command: str, *, now: datetime, **arguments: object) -> Path:
        """Add a command with its arguments, in a file until it is taken (``resume`` has some, see ``_ARGUMENTS``).

        Raises BotError for an unknown command or argument, when 100 wait already, and where the folder
        cannot be written.
        """
        entry = _checked({"command": command, "at": now.astimezone(UTC).isoformat(), **arguments})
        time_ns = (now - _ORIGIN) // timedelta(microseconds=1) * 1000
        name = f"{time_ns:019d}-{secrets.token_hex(4)}{_SUFFIX}"
        unfinished = self._folder / f".{name}.tmp"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            waiting = len(self._waiting())
            if waiting >= MAX_WAITING:
                raise BotError(
                    f"{waiting} commands wait in {self._folder} (at most {MAX_WAITING}): "
                    "no bot takes them; see whether it runs, then delete the files there"
                )
            unfinished.touch(mode=0o600)
            unfinished.write_text(json.dumps(entry), encoding="utf-8")
            return unfinished.rename(self._folder / name)
        except OSError as e:
            raise BotError(f"the command {command!r} cannot be written to {self._folder} ({e.strerror})") from e

    def take_all(self) -> list[Mapping[str, object]]:
        """Remove and return the waiting commands, oldest first, at most 100 at a time.

        Each is ``{"command": Command, "at": ISO time, **arguments}``. A file that is no command is renamed
        to ``*.unreadable``, logged and passed over. Raises BotError where a file cannot be removed, since
        its command would be obeyed again and again.
        """
        taken: list[Mapping[str, object]] = []
        for path in self._waiting()[:MAX_WAITING]:
            try:
                entry = _read(path)
            except BotError as e:
                logger.warning("control file {} passed over: {}", path, e)
                with suppress(OSError):  # a file that cannot be moved either is passed over again next time
                    path.rename(path.with_suffix(".unreadable"))
                continue
            try:
                path.unlink()
            except FileNotFoundError:
                continue  # somebody has withdrawn the command
            except OSError as e:
                if taken:
                    break  # these are removed and must be obeyed; this error comes again next time
                raise BotError(f"the command file {path} cannot be removed ({e.strerror}); delete it") from e
            taken.append(entry)
        return taken

    def _waiting(self) -> list[Path]:
        return sorted(path for path in self._folder.glob(f"*{_SUFFIX}") if not path.name.startswith("."))


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise BotError(f"it is longer than {_MAX_BYTES} bytes")
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as e:
        raise BotError(f"it cannot be read ({e})") from e
    return _checked(found)


def _checked(entry: object) -> dict[str, object]:
    """Return a command as it is queued; raises BotError where it is none."""
    if not isinstance(entry, dict) or entry.get("command") not in list(Command):
        raise BotError(f"unknown command {entry!r}; known: {', '.join(Command)}")
    command = Command(entry["command"])
    wanted = _ARGUMENTS[command]
    told = {name: value for name, value in entry.items() if name not in {"command", "at"}}
    given = dict.fromkeys(wanted, False) | told  # what is not asked for is not wanted
    if not isinstance(entry.get("at"), str) or {name: type(value) for name, value in given.items()} != wanted:
        allowed = ", ".join(f"{name} ({kind.__name__})" for name, kind in wanted.items()) or "nothing"
        raise BotError(f"command {command}: it takes {allowed}, found {told!r}")
    return {**entry, **given, "command": command}
