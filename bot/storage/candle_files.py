"""Candle files on disk: finding them, reading them strictly, choosing what a replay runs on.

A file is named ``<source>_<BASE>-<QUOTE>_<timeframe>.csv`` or ``.csv.gz``; its columns are
``timestamp,open,high,low,close,volume`` (opening time in milliseconds UTC, prices in quote units,
volume in base units). Every row of a file that is opened is checked, also outside the asked range.
A gap is not an error: it is listed, and skipped, never filled.
"""

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
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from bot.domain.errors import CandleDataError, ConfigError
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle

COLUMNS = "timestamp,open,high,low,close,volume"
QUOTES = ("USD", "USDT", "USDC")
"""Accepted quotes, best first."""
COARSE_TIMEFRAMES = ("1h", "2h", "4h", "6h", "1d")
"""Execution timeframes, best first."""
FINE_TIMEFRAMES = ("30m", "15m", "5m", "1m")
"""Taken only on request, or where no coarse timeframe has a bar in the range; best first."""

_NAME = re.compile(r"(?P<source>[a-z0-9]+)_(?P<base>[A-Z0-9]+)-(?P<quote>[A-Z0-9]+)_(?P<timeframe>\w+)\.csv(\.gz)?")
_LINE_MAX = 1_000
_FIRST_MS = 946_684_800_000  # 2000-01-01
_LAST_MS = 4_102_444_800_000  # 2100-01-01
_ENOUGH_FRAC = 0.99
_DAY_ENOUGH_FRAC = 22 / 24

IGNORED_SHOWN = 5


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinData:
    """What one coin is replayed on."""

    coin: str
    quote: str
    execution: CandleSeries
    daily: CandleSeries
    """The ``1d`` file where there is one, and days made from execution bars where it has none."""
    gaps: tuple[Gap, ...]
    """Gaps of the execution bars."""
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceData:
    """Everything that a replay needs from one folder; ``[from_ms, to_ms)`` is the range to replay."""

    source: str
    timeframe: str
    from_ms: int
    to_ms: int
    coins: dict[str, CoinData]
    missing: dict[str, str]
    """Coins that were asked for and cannot be replayed, and why."""
    ignored: tuple[str, ...]
    """CSV files in the folder whose names are not those of candle files."""

    def notes(self) -> list[str]:
        """One line per coin: files, bars in the range, gaps in the range; and what is missing."""
        lines = []
        for data in self.coins.values():
            gaps = [gap for gap in data.gaps if gap.from_ms < self.to_ms and gap.to_ms > self.from_ms]
            bars = data.execution.count_within(self.from_ms, self.to_ms)
            lines.append(f"{data.coin}: {bars} bars of {self.timeframe} ({', '.join(data.files)}), {gap_summary(gaps)}")
        lines.extend(f"{coin}: not replayed, {why}" for coin, why in self.missing.items())
        if self.ignored:
            shown = ", ".join(self.ignored[:IGNORED_SHOWN]) + (" ..." if len(self.ignored) > IGNORED_SHOWN else "")
            lines.append(f"ignored: {shown}; candle files are named like binance_BTC-USDT_1h.csv.gz")
        return lines


def gap_summary(gaps: Sequence[Gap]) -> str:
    """One line on gaps, for the user."""
    if not gaps:
        return "no gaps"
    longest = max(gaps, key=lambda gap: gap.missing)
    bars = sum(gap.missing for gap in gaps)
    return (
        f"{len(gaps)} gap{'' if len(gaps) == 1 else 's'}, {bars} bar{'' if bars == 1 else 's'} missing and skipped, "
        f"longest {longest.missing} from {_utc(longest.from_ms)}"
    )


# ---- one file


def read_candle_file(path: Path, timeframe: str) -> CandleFile:
    """Read one file and check every row.

    Raises CandleDataError naming file, line, what was found and what is allowed.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as raw, io.BufferedReader(cast("io.RawIOBase", raw)) as stream:
            return _read_rows(path, timeframe, cast("BinaryIO", stream))
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise CandleDataError(f"{path.name}: broken gzip file: {e}; copy or download it again") from e
    except OSError as e:
        raise CandleDataError(f"{path.name}: cannot be read: {e.strerror or e}") from e


def _read_rows(path: Path, timeframe: str, stream: BinaryIO) -> CandleFile:
    series = CandleSeries(timeframe)
    length = series.length_ms
    add_time = series.times.append
    add_open, add_high, add_low, add_close, add_volume = (column.append for column in series.columns)
    gaps: list[Gap] = []
    before = 0
    line = b""
    lines: Iterator[bytes] = iter(partial(stream.readline, _LINE_MAX), b"")
    _check_header(path, next(lines, b""))
    for number, line in enumerate(lines, start=2):
        fields = line.split(b",")
        try:
            moment, (first, high, low, close, volume) = int(fields[0]), map(float, fields[1:])
        except ValueError:
            raise CandleDataError(_fault(path, number, line, before, length)) from None
        good = (
            before < moment
            and not moment % length
            and _FIRST_MS <= moment < _LAST_MS
            and 0 < low <= first <= high < float("inf")
            and low <= close <= high
            and 0 <= volume < float("inf")
            and b"_" not in line  # Python reads 1_000 as a number
        )
        if not good:
            raise CandleDataError(_fault(path, number, line, before, length))
        if before and moment - before != length:
            gaps.append(Gap(before + length, moment, (moment - before) // length - 1))
        before = moment
        add_time(moment)
        add_open(first)
        add_high(high)
        add_low(low)
        add_close(close)
        add_volume(volume)
    if not series:
        raise CandleDataError(f"{path.name}: there is no candle in it, only the header")
    if not line.endswith(b"\n"):
        raise CandleDataError(
            f"{path.name}, line {number}: the last line does not end with a line break, so the file may be cut off; "
            f"if it is complete, add one"
        )
    return CandleFile(path=path, series=series, gaps=tuple(gaps))


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
    if not _FIRST_MS <= moment < _LAST_MS:
        hint = " (seconds? they must be milliseconds)" if _FIRST_MS <= moment * 1000 < _LAST_MS else ""
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
        return f"timestamp {moment} ({_utc(moment)}) is there twice; each must be there once"
    if moment < before:
        return f"timestamp {moment} ({_utc(moment)}) comes after {before} ({_utc(before)}); they must ascend"
    assert moment % length, "a row was refused without a reason"
    return f"timestamp {moment} is not a multiple of the timeframe ({length} ms); a bar opens on the grid"


def _shown(text: bytes) -> str:
    """Foreign bytes, short and printable."""
    return repr(text[:60])[1:] + (" ..." if len(text) > 60 else "")


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


# ---- a folder of files


class _Folder:
    """The files of one source, by coin and timeframe, read at most once each."""

    def __init__(self, folder: Path, source: str, coins: Sequence[str]) -> None:
        if not folder.is_dir():
            raise ConfigError(f"candle folder {folder}: {'not a folder' if folder.exists() else 'does not exist'}")
        named = [(path, match) for path in sorted(folder.iterdir()) if (match := _NAME.fullmatch(path.name))]
        known = [(path, match) for path, match in named if match["timeframe"] in TIMEFRAME_MS]
        candles = {path.name for path, _ in known}
        self.ignored = tuple(
            path.name
            for path in sorted(folder.iterdir())
            if path.name.endswith((".csv", ".csv.gz")) and path.name not in candles
        )
        sources = sorted({match["source"] for _, match in known})
        if not sources:
            raise ConfigError(
                f"candle folder {folder}: no candle files; they are named like binance_BTC-USDT_1h.csv.gz"
            )
        if source not in sources:
            raise ConfigError(f"source {source!r}: no files in {folder}; there are files of {', '.join(sources)}")
        self.source = source
        self._paths: dict[tuple[str, str], Path] = {}
        self._files: dict[Path, CandleFile] = {}
        self.quotes: dict[str, str] = {}
        for coin in coins:
            own = [(path, match) for path, match in known if match["source"] == source and match["base"] == coin]
            quote = next((quote for quote in QUOTES if any(match["quote"] == quote for _, match in own)), None)
            if quote is None:
                continue
            self.quotes[coin] = quote
            for path, match in own:
                if match["quote"] == quote:
                    self._add(coin, match["timeframe"], path)

    def _add(self, coin: str, timeframe: str, path: Path) -> None:
        other = self._paths.setdefault((coin, timeframe), path)
        if other is not path:
            raise ConfigError(f"{other.name} and {path.name} hold the same candles; remove one of them")

    def timeframes(self, among: Sequence[str]) -> list[str]:
        """Timeframes for which there is a file of any coin."""
        return [timeframe for timeframe in among if any(key[1] == timeframe for key in self._paths)]

    def file(self, coin: str, timeframe: str) -> CandleFile | None:
        """One file, read and checked; None where there is none."""
        path = self._paths.get((coin, timeframe))
        if path is None:
            return None
        if path not in self._files:
            self._files[path] = read_candle_file(path, timeframe)
        return self._files[path]

    def span(self, timeframe: str) -> tuple[int, int]:
        """First opening and last end of any coin's candles of a timeframe."""
        all_series = [file.series for coin in self.quotes if (file := self.file(coin, timeframe)) is not None]
        return min(s.times[0] for s in all_series), max(s.times[-1] + s.length_ms for s in all_series)

    def covered_ms(self, timeframe: str, from_ms: int, to_ms: int) -> int:
        """Time that the candles of a timeframe cover within a range, all coins added."""
        files = [file for coin in self.quotes if (file := self.file(coin, timeframe)) is not None]
        return sum(file.series.count_within(from_ms, to_ms) * file.series.length_ms for file in files)


def open_source(
    folder: Path,
    source: str,
    coins: Sequence[str],
    *,
    timeframe: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> SourceData:
    """Read what a replay of ``[from_ms, to_ms)`` needs; None stands for the first and the last candle.

    Per coin the quote is the first of USD, USDT, USDC that has a file. All coins are executed on one
    timeframe: the asked one, or the first of 1h, 2h, 4h, 6h, 1d that covers at least 99 % of what the
    best of them covers, or, where none of them has a bar in the range, the same among 30m to 1m.
    Everything is read, also what lies before the range: it is the warm-up.
    Raises ConfigError (folder, source, timeframe, range) and CandleDataError (contents of a file).
    """
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise ConfigError(f"--from {_utc(from_ms)} must be before --to {_utc(to_ms)}")
    found = _Folder(folder, source, coins)
    if not found.quotes:
        raise ConfigError(f"source {source!r}: no files for {', '.join(coins)} against {', '.join(QUOTES)} in {folder}")
    chosen = _choose_timeframe(found, timeframe, from_ms, to_ms)
    start, end = found.span(chosen)
    from_ms = start if from_ms is None else from_ms
    to_ms = end if to_ms is None else to_ms
    data: dict[str, CoinData] = {}
    missing: dict[str, str] = {}
    for coin in coins:
        file = found.file(coin, chosen) if coin in found.quotes else None
        if coin not in found.quotes:
            missing[coin] = f"no {source} file against {', '.join(QUOTES)}"
        elif file is None:
            missing[coin] = f"no {source} file of {chosen} candles"
        elif not file.series.count_within(from_ms, to_ms):
            missing[coin] = f"no {chosen} candle from {_utc(from_ms)} to {_utc(to_ms)} in {file.path.name}"
        else:
            data[coin] = _coin_data(found, coin, file)
    return SourceData(
        source=source,
        timeframe=chosen,
        from_ms=from_ms,
        to_ms=to_ms,
        coins=data,
        missing=missing,
        ignored=found.ignored,
    )


def _choose_timeframe(found: _Folder, asked: str | None, from_ms: int | None, to_ms: int | None) -> str:
    """The execution timeframe. Raises ConfigError where it has no files, or the range has no candles."""
    existing = found.timeframes((*COARSE_TIMEFRAMES, *FINE_TIMEFRAMES))
    if asked is not None and asked not in existing:
        raise ConfigError(f"timeframe {asked!r}: {found.source} has files of {', '.join(existing) or 'no known one'}")
    low, high = from_ms or _FIRST_MS, to_ms or _LAST_MS
    groups = [(asked,)] if asked is not None else [COARSE_TIMEFRAMES, FINE_TIMEFRAMES]
    for group in groups:
        covered = {name: found.covered_ms(name, low, high) for name in existing if name in group}
        best = max(covered.values(), default=0)
        if not best:
            continue
        starts, ends = zip(*(found.span(name) for name in covered), strict=True)
        # To the day: --from and --to are dates, the first candle of a file may open at any hour.
        begins = from_ms is None or min(starts) - MS_PER_DAY < from_ms
        if begins and (to_ms is None or to_ms < max(ends) + MS_PER_DAY):
            return next(name for name in group if covered.get(name, 0) >= _ENOUGH_FRAC * best)
        break
    first = "the first candle" if from_ms is None else _utc(from_ms)
    last = "the last" if to_ms is None else _utc(to_ms)
    spans = ((name, *found.span(name)) for name in ([asked] if asked else existing))
    ranges = "; ".join(f"{name} from {_utc(start)} to {_utc(end)}" for name, start, end in spans)
    raise ConfigError(f"--from/--to ask for {first} to {last}; {found.source} has {ranges}")


def _coin_data(found: _Folder, coin: str, file: CandleFile) -> CoinData:
    daily_file = found.file(coin, "1d")
    daily = CandleSeries("1d") if daily_file is None else daily_file.series
    files = [file.path.name]
    if daily_file is not None and daily_file.path != file.path:
        files.append(daily_file.path.name)
    return CoinData(
        coin=coin,
        quote=found.quotes[coin],
        execution=file.series,
        daily=_with_days_of(daily, file.series),
        gaps=file.gaps,
        files=tuple(files),
    )


def _with_days_of(daily: CandleSeries, bars: CandleSeries) -> CandleSeries:
    """Daily candles and, for days that they lack, days made from bars (at least 22/24 of them)."""
    if bars.length_ms >= MS_PER_DAY:
        return daily
    known = set(daily.times)
    needed = _DAY_ENOUGH_FRAC * MS_PER_DAY / bars.length_ms
    opens, highs, lows, closes, volumes = bars.columns
    made: list[Candle] = []
    first = 0
    while first < len(bars):
        day = bars.times[first] - bars.times[first] % MS_PER_DAY
        end = bisect_left(bars.times, day + MS_PER_DAY, first)
        if day not in known and end - first >= needed:
            high, low, volume = max(highs[first:end]), min(lows[first:end]), sum(volumes[first:end])
            made.append(Candle(day, opens[first], high, low, closes[end - 1], volume))
        first = end
    if not made:
        return daily
    merged = CandleSeries("1d")
    for candle in sorted([*daily.between(0, len(daily)), *made]):
        merged.append(candle)
    return merged
