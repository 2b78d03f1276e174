"""One candle file: read line by line, checked strictly, kept as compact arrays."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice, pairwise, repeat
from operator import le, lt, mod
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from bot.domain.errors import CandleDataError
from bot.domain.market import TIMEFRAME_MS, Candle

COLUMNS = "timestamp,open,high,low,close,volume"

_LINE_MAX = 1_000
_BLOCK_LINES = 4_096
_COMMAS = COLUMNS.count(",")
FIRST_MS = 946_684_800_000
"""2000-01-01: no candle is older."""
LAST_MS = 4_102_444_800_000
"""2100-01-01: no candle is newer."""


class CandleSeries:
    """Ascending candles of one timeframe in six arrays: 48 bytes a bar."""

    __slots__ = ("columns", "length_ms", "timeframe", "times")

    def __init__(self, timeframe: str) -> None:
        self.timeframe = timeframe
        self.length_ms = TIMEFRAME_MS[timeframe]
        self.times: array[int] = array("q")
        self.columns: tuple[array[float], ...] = tuple(array("d") for _ in range(5))
        """Open, high, low, close, volume."""

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, place: int) -> Candle:
        return Candle(self.times[place], *(column[place] for column in self.columns))

    def append(self, candle: Candle) -> None:
        """Add a candle that is later than all others."""
        assert not self.times or candle.open_ms > self.times[-1]
        self.times.append(candle.open_ms)
        for column, value in zip(self.columns, candle[1:], strict=True):
            column.append(value)

    def between(self, first: int, last: int) -> list[Candle]:
        """Candles at the places [first, last)."""
        if last - first == 1:  # the common question of a replay, asked a hundred thousand times
            return [self[first]]
        return list(map(Candle, self.times[first:last], *(column[first:last] for column in self.columns)))

    def ended_within(self, after_ms: int, until_ms: int) -> list[Candle]:
        """Candles that end in (``after_ms``, ``until_ms``]."""
        first = bisect_right(self.times, after_ms - self.length_ms)
        return self.between(first, bisect_right(self.times, until_ms - self.length_ms))

    def open_at(self, now_ms: int) -> tuple[float, int] | None:
        """Open price and opening time of the candle that contains ``now_ms``; None in a gap."""
        place = bisect_right(self.times, now_ms) - 1
        if place < 0 or self.times[place] + self.length_ms <= now_ms:
            return None
        return self.columns[0][place], self.times[place]

    def count_within(self, from_ms: int, to_ms: int) -> int:
        """Number of candles that open in [``from_ms``, ``to_ms``)."""
        return bisect_left(self.times, to_ms) - bisect_left(self.times, from_ms)


class Gap(NamedTuple):
    """Bars that are not there: the first one would open at ``from_ms``, the next bar opens at ``to_ms``."""

    from_ms: int
    to_ms: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleFile:
    """One file, read and checked."""

    path: Path
    series: CandleSeries
    gaps: tuple[Gap, ...]


def gap_summary(gaps: Sequence[Gap]) -> str:
    """One line on gaps, for the user."""
    if not gaps:
        return "no gaps"
    longest = max(gaps, key=lambda gap: gap.missing)
    bars = sum(gap.missing for gap in gaps)
    return (
        f"{len(gaps)} gap{'' if len(gaps) == 1 else 's'}, {bars} bar{'' if bars == 1 else 's'} missing and skipped, "
        f"longest {longest.missing} from {utc_text(longest.from_ms)}"
    )


# ---- one file


def read_candle_file(path: Path, timeframe: str, *, torn_end: bool = False) -> CandleFile:
    """Read one file and check every row; ``torn_end`` leaves out a last line without a line break.

    Raises CandleDataError naming file, line, what was found and what is allowed.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as raw, io.BufferedReader(cast("io.RawIOBase", raw)) as stream:
            return _read_rows(path, timeframe, cast("BinaryIO", stream), torn_end=torn_end)
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise CandleDataError(f"{path.name}: broken gzip file: {e}; copy or download it again") from e
    except OSError as e:
        raise CandleDataError(f"{path.name}: cannot be read: {e.strerror or e}") from e


def check_candle_rows(name: str, timeframe: str, rows: str) -> None:
    """Raise CandleDataError where rows that are still to be written would not be read as candles."""
    _read_rows(Path(name), timeframe, io.BytesIO(f"{COLUMNS}\n{rows}".encode()))


def _read_rows(path: Path, timeframe: str, stream: BinaryIO, *, torn_end: bool = False) -> CandleFile:
    series = CandleSeries(timeframe)
    number, line = 1, b""
    lines: Iterator[bytes] = iter(partial(stream.readline, _LINE_MAX), b"")
    _check_header(path, next(lines, b""))
    if torn_end:
        lines = (line for line in lines if line.endswith(b"\n") or len(line) == _LINE_MAX)
    while block := list(islice(lines, _BLOCK_LINES)):
        if not _take_block(series, block):
            _take_rows(path, series, block, number + 1)
        number, line = number + len(block), block[-1]
    if not series:
        raise CandleDataError(f"{path.name}: there is no candle in it, only the header")
    if not line.endswith(b"\n"):
        raise CandleDataError(
            f"{path.name}, line {number}: the last line does not end with a line break, so the file may be cut off; "
            f"if it is complete, add one"
        )
    return CandleFile(path=path, series=series, gaps=tuple(_gaps_in(series)))


def _take_block(series: CandleSeries, block: Sequence[bytes]) -> bool:
    """Take rows column by column, which costs a third; False, and nothing is taken, where any is not as it must be."""
    text = b",".join(block)
    if b"_" in text or any(line.count(b",") != _COMMAS for line in block):  # Python reads 1_000 as a number
        return False
    fields = text.split(b",")
    try:
        times = array("q", map(int, fields[::6]))
        columns = [array("d", map(float, fields[place::6])) for place in range(1, 6)]
    except (ValueError, OverflowError):
        return False
    first, high, low, close, volume = columns
    none, most = repeat(0.0), repeat(float("inf"))
    good = (
        (series.times[-1] if series else 0) < times[0]
        and all(map(lt, times, times[1:]))
        and not any(map(mod, times, repeat(series.length_ms)))
        and times[0] >= FIRST_MS
        and times[-1] < LAST_MS
        and all(map(lt, none, low))
        and all(map(le, low, first))
        and all(map(le, first, high))
        and all(map(lt, high, most))
        and all(map(le, low, close))
        and all(map(le, close, high))
        and all(map(le, none, volume))
        and all(map(lt, volume, most))
    )
    if good:
        series.times.extend(times)
        for column, values in zip(series.columns, columns, strict=True):
            column.extend(values)
    return good


def _take_rows(path: Path, series: CandleSeries, block: Sequence[bytes], number: int) -> None:
    """Take rows one by one, from line ``number`` on; raises CandleDataError naming the first that is wrong."""
    length = series.length_ms
    before = series.times[-1] if series else 0
    for at, line in enumerate(block, start=number):
        fields = line.split(b",")
        try:
            moment, (first, high, low, close, volume) = int(fields[0]), map(float, fields[1:])
        except ValueError:
            raise CandleDataError(_fault(path, at, line, before, length)) from None
        good = (
            before < moment
            and not moment % length
            and FIRST_MS <= moment < LAST_MS
            and 0 < low <= first <= high < float("inf")
            and low <= close <= high
            and 0 <= volume < float("inf")
            and b"_" not in line
        )
        if not good:
            raise CandleDataError(_fault(path, at, line, before, length))
        before = moment
        series.append(Candle(moment, first, high, low, close, volume))


def _gaps_in(series: CandleSeries) -> Iterator[Gap]:
    times, length = series.times, series.length_ms
    if times[-1] - times[0] == (len(times) - 1) * length:
        return
    for before, moment in pairwise(times):
        if moment - before != length:
            yield Gap(before + length, moment, (moment - before) // length - 1)


def _check_header(path: Path, line: bytes) -> None:
    if not line:
        raise CandleDataError(f"{path.name}: the file is empty; its first line must be {COLUMNS}")
    header = line.removeprefix(b"\xef\xbb\xbf").strip()
    if header != COLUMNS.encode():
        raise CandleDataError(f"{path.name}, line 1: the header is {_shown(header)}; it must be {COLUMNS}")


def _fault(path: Path, number: int, line: bytes, before: int, length: int) -> str:
    """What is wrong with a row that failed, in words."""
    where = f"{path.name}, line {number}: "
    fields = [field.strip() for field in line.split(b",")]
    if len(fields) != 6:
        cut = "" if line.endswith(b"\n") or len(line) == _LINE_MAX else "; the file seems to be cut off"
        return f"{where}number of columns is {len(fields)}, needed are 6 ({COLUMNS}): {_shown(line.strip())}{cut}"
    names = COLUMNS.split(",")
    if not re.fullmatch(rb"\d{1,18}", fields[0]):
        return f"{where}timestamp is {_shown(fields[0])}; it must be whole milliseconds since 1970"
    moment = int(fields[0])
    if not FIRST_MS <= moment < LAST_MS:
        hint = " (seconds? they must be milliseconds)" if FIRST_MS <= moment * 1000 < LAST_MS else ""
        return f"{where}timestamp {moment} is outside the years 2000 to 2099{hint}"
    for name, text in zip(names[1:], fields[1:], strict=True):
        if not re.fullmatch(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) or float(text) == float("inf"):
            return f"{where}{name} is {_shown(text)}; it must be a finite number"
    values = dict(zip(names[1:], map(float, fields[1:]), strict=True))
    for name in ("open", "high", "low", "close"):
        if values[name] <= 0:
            return f"{where}{name} is {values[name]}; a price must be above 0"
    if values["volume"] < 0:
        return f"{where}volume is {values['volume']}; it must be 0 or more"
    return where + _fault_of_order(moment, values, before, length)


def _fault_of_order(moment: int, values: dict[str, float], before: int, length: int) -> str:
    high, low = values["high"], values["low"]
    if high < max(values["open"], values["close"], low):
        return (
            f"high {high} is below open {values['open']}, close {values['close']} or low {low}; it must be the highest"
        )
    if low > min(values["open"], values["close"]):
        return f"low {low} is above open {values['open']} or close {values['close']}; it must be the lowest"
    if moment == before:
        return f"timestamp {moment} ({utc_text(moment)}) is there twice; each must be there once"
    if moment < before:
        return f"timestamp {moment} ({utc_text(moment)}) comes after {before} ({utc_text(before)}); they must ascend"
    assert moment % length, "a row was refused without a reason"
    return f"timestamp {moment} is not a multiple of the timeframe ({length} ms); a bar opens on the grid"


def _shown(text: bytes) -> str:
    """Foreign bytes, short and printable."""
    return repr(text[:60])[1:] + (" ..." if len(text) > 60 else "")


def utc_text(ms: int) -> str:
    """A time in milliseconds as people write it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


# ---- a folder of files
