"""A small JSON file that is replaced as a whole and never lost."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from bot.domain.errors import StateFileError

_log = logging.getLogger("bot.storage")  # the standard library's: the guide's API loads this without loguru

KNOWN_SCHEMA_VERSION = 1
"""Newest ``schema_version`` that this program understands."""

SET_ASIDE_MAX = 5
"""Unusable files kept as ``<name>.unreadable-<n>``; the oldest go first."""


class JsonStateFile:
    """A JSON object in a file, read and written as a whole; implements ``bot.ports.StateFile``.

    ``durable=False`` leaves out the fsyncs, for simulations. ``check`` is called with what was read
    and raises ValueError where that cannot be used (such as ``TierState.from_json``); the file is then
    set aside like one that is not JSON at all.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durable: bool = True,
        check: Callable[[Mapping[str, object]], object] | None = None,
    ) -> None:
        # Resolved once: a later change of the working directory must not move the state, and replacing
        # a symbolic link would leave its target behind.
        self.path = Path(path).resolve()
        self._durable = durable
        self._check = check

    def load(self) -> dict[str, object]:
        """Contents, or {} where there is no usable file (an unusable one is set aside).

        Raises StateFileError where the file was written by a newer program, is a folder, or cannot be
        set aside.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except IsADirectoryError as e:
            raise StateFileError(f"{self.path}: is a folder; a state file was expected") from e
        except (OSError, UnicodeDecodeError) as e:
            self._set_aside(str(e))
            return {}
        try:
            return self._parse(text)
        except (ValueError, RecursionError) as e:
            self._set_aside(str(e))
            return {}

    def save(self, state: Mapping[str, object]) -> None:
        """Replace the contents atomically. Raises StateFileError naming the path and the system's reason."""
        try:
            text = json.dumps(state, indent=2, allow_nan=False) + "\n"
        except (TypeError, ValueError, RecursionError) as e:
            raise StateFileError(f"{self.path}: cannot be written: {e}") from e
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._replace(text)
        except OSError as e:
            raise StateFileError(f"{self.path}: cannot be written: {e.strerror or e}") from e

    def _parse(self, text: str) -> dict[str, object]:
        document: object = json.loads(text, parse_constant=_no_number)
        if isinstance(document, dict):
            self._check_version(document.get("schema_version", KNOWN_SCHEMA_VERSION))
            if self._check is not None:
                self._check(document)
            return document
        raise ValueError(f"must be a JSON object, was {type(document).__name__}")

    def _check_version(self, version: object) -> None:
        if type(version) is not int:  # True is an int to isinstance
            raise ValueError(f"schema_version: must be a whole number, was {version!r}")
        if version > KNOWN_SCHEMA_VERSION:
            # Not set aside: the file is good, this program is too old for it.
            raise StateFileError(
                f"{self.path}: schema_version {version} is newer than {KNOWN_SCHEMA_VERSION}, the newest that this "
                f"program knows; update the program, or move the file away to start afresh"
            )

    def _replace(self, text: str) -> None:
        handle, temporary = tempfile.mkstemp(prefix=f"{self.path.name}.", suffix=".tmp", dir=self.path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._sync_folder()

    def _set_aside(self, reason: str) -> None:
        prefix = f"{self.path.name}.unreadable-"
        try:
            numbers = sorted(
                int(sibling.name.removeprefix(prefix))
                for sibling in self.path.parent.iterdir()
                if sibling.name.startswith(prefix) and sibling.name.removeprefix(prefix).isdecimal()
            )
            following = numbers[-1] + 1 if numbers else 1
            kept = self.path.with_name(f"{prefix}{following}")
            self.path.replace(kept)
            for number in numbers[: max(0, len(numbers) + 1 - SET_ASIDE_MAX)]:
                self.path.with_name(f"{prefix}{number}").unlink(missing_ok=True)
            self._sync_folder()
        except OSError as e:
            raise StateFileError(
                f"{self.path}: cannot be used ({reason}) and cannot be set aside: {e.strerror or e}"
            ) from e
        _log.warning("%s: cannot be used (%s); kept as %s, and started afresh", self.path, reason, kept.name)

    def _sync_folder(self) -> None:
        """Make the new name itself durable."""
        if not self._durable:
            return
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
