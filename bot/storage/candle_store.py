"""A candle file that grows page by page, and can be ended at any line of the program.

At its end a file is continued in place: each page is durable before the next is asked for, and of a page that was
being written when the program died only the last line can be torn, which every reader refuses and the next
continuation cuts off. What is older than the file's first candle grows in a file of its own beside it, and the two
become one, atomically, when they meet. One process at a time: the caller holds a lock.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from bot.domain.errors import CandleDataError
from bot.domain.market import Candle
from bot.storage.candle_reader import COLUMNS, check_candle_rows, read_candle_file
from bot.storage.whole_file import TEMPORARY_SUFFIX, replacing, sync_folder, write_whole

EARLIER_SUFFIX = ".earlier"
_TAIL = 1_000
"""Bytes at a file's end among which its last line break is; a row is shorter."""


class CandleStore:
    """One file of one market and timeframe, there or not yet; every row of it is checked when it is opened.

    Raises CandleDataError naming file and line where it is no candle file, or cannot be read or written.
    """

    def __init__(self, path: Path, timeframe: str) -> None:
        self.path = path.resolve()  # replacing a symbolic link would leave its target behind
        self.timeframe = timeframe
        self.first_ms: int | None = None
        """Opening time of the first candle; None while there is none."""
        self.last_ms: int | None = None
        self._size = self._torn = 0
        for left in path.parent.glob(f"{path.name}.*{TEMPORARY_SUFFIX}"):  # by a program that was killed
            _remove(left)
        packed = path.with_name(f"{path.name}.gz")
        if packed.exists():
            raise CandleDataError(f"{packed.name}: a packed file cannot be continued; unpack it with gunzip")
        if path.exists():
            try:
                times = read_candle_file(path, timeframe, torn_end=True).series.times
            except CandleDataError as e:
                raise CandleDataError(f"{e}; it is left as it is: correct it, or move it away") from e
            self.first_ms, self.last_ms = times[0], times[-1]
            self._size, self._torn = _whole_and_torn(path)

    def append(self, candles: Sequence[Candle]) -> None:
        """Add candles that are later than all others, durably; all of them or none."""
        if not candles:
            return
        assert self.last_ms is None or candles[0].open_ms > self.last_ms, "candles are added at the end"
        rows = "".join(f"{','.join(map(repr, candle))}\n" for candle in candles)
        check_candle_rows(f"{self.path.name}, what the venue answered", self.timeframe, rows)
        try:
            if self.last_ms is None:
                write_whole(self.path, f"{COLUMNS}\n{rows}")
            else:
                self._write(rows.encode())
        except OSError as e:
            raise CandleDataError(f"{self.path}: cannot be written: {e.strerror or e}") from e
        if self.first_ms is None:
            self.first_ms = candles[0].open_ms
        self.last_ms = candles[-1].open_ms
        self._size, self._torn = self.path.stat().st_size, 0

    def _write(self, rows: bytes) -> None:
        with self.path.open("r+b", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != self._size + self._torn:
                raise CandleDataError(f"{self.path.name}: another program has changed it meanwhile; start again")
            file.truncate(self._size)
            file.seek(self._size)
            try:
                _write_all(file, rows)
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(self._size)
                raise

    def earlier(self) -> CandleStore:
        """Open the file beside this one in which older candles grow; one that has been joined already is removed."""
        assert self.first_ms is not None, "there is nothing that others could be earlier than"
        store = CandleStore(self.path.with_name(self.path.name + EARLIER_SUFFIX), self.timeframe)
        if store.last_ms is None or store.last_ms < self.first_ms:
            return store
        _remove(store.path)  # the program died between the two steps of join
        return CandleStore(store.path, self.timeframe)

    def join(self, earlier: CandleStore) -> None:
        """Put older candles before those of this file, atomically, and remove their own file."""
        if earlier.last_ms is None:
            return
        assert self.first_ms is not None, "candles are joined to others"
        assert earlier.last_ms < self.first_ms, "older candles come before"
        try:
            with replacing(self.path) as file, earlier.path.open("rb") as older, self.path.open("rb") as newer:
                shutil.copyfileobj(older, file)
                file.truncate(earlier._size)
                file.seek(earlier._size)
                newer.readline()
                shutil.copyfileobj(newer, file)
        except OSError as e:
            raise CandleDataError(f"{self.path}: cannot be written: {e.strerror or e}") from e
        self.first_ms = earlier.first_ms
        self._size, self._torn = _whole_and_torn(self.path)
        _remove(earlier.path)


def _write_all(file: FileIO, rows: bytes) -> None:
    if file.write(rows) != len(rows):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _remove(path: Path) -> None:
    try:
        path.unlink()
        sync_folder(path.parent)
    except OSError as e:
        raise CandleDataError(f"{path}: cannot be removed: {e.strerror or e}") from e


def _whole_and_torn(path: Path) -> tuple[int, int]:
    """Bytes up to the last line break, and bytes after it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        torn = len(file.read().rpartition(b"\n")[2])
    return size - torn, torn
