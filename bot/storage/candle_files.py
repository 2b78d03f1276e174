"""Candle files on disk: finding them, reading them strictly, choosing what a replay runs on.

A file is named ``<source>_<BASE>-<QUOTE>_<timeframe>.csv`` or ``.csv.gz``; its columns are
``timestamp,open,high,low,close,volume`` (opening time in milliseconds UTC, prices in quote units,
volume in base units). Every row of a file that is opened is checked, also outside the asked range.
A gap is not an error: it is listed, and skipped, never filled.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from bot.domain.errors import ConfigError
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle
from bot.storage.candle_reader import (
    FIRST_MS,
    LAST_MS,
    CandleFile,
    CandleSeries,
    Gap,
    gap_summary,
    read_candle_file,
    utc_text,
)

QUOTES = ("USD", "USDT", "USDC")
"""Accepted quotes, best first."""
COARSE_TIMEFRAMES = ("1h", "2h", "4h", "6h", "1d")
"""Execution timeframes, best first."""
FINE_TIMEFRAMES = ("30m", "15m", "5m", "1m")
"""Taken only on request, or where no coarse timeframe has a bar in the range; best first."""

CANDLES_FOLDER = "candles"

_NAME = re.compile(r"(?P<source>[a-z0-9]+)_(?P<base>[A-Z0-9]+)-(?P<quote>[A-Z0-9]+)_(?P<timeframe>\w+)\.csv(\.gz)?")
_ENOUGH_FRAC = 0.99
_DAY_ENOUGH_FRAC = 22 / 24

IGNORED_SHOWN = 5


def checksum_of(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises OSError."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def candles_folder(state_dir: Path) -> Path:
    """Folder of the candle files below STATE_DIR, shared by all modes."""
    return state_dir / CANDLES_FOLDER


def candle_file_name(source: str, symbol: str, timeframe: str) -> str:
    """Name of the file with a market's candles, such as ``coinbase_BTC-USD_1d.csv`` for ``BTC/USD``."""
    name = f"{source}_{symbol.replace('/', '-')}_{timeframe}.csv"
    assert _NAME.fullmatch(name), name
    return name


PREFERRED = ("coinbase", "kraken", "binance")
"""Sources of candles, best first: one that serves years before one that serves the newest 720 days."""


def preferred_source(folder: Path) -> str:
    """Whose files of a folder to take where nobody says; the first of the known ones where it has none."""
    matches = (_NAME.fullmatch(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
    found = sorted({match["source"] for match in matches if match and match["timeframe"] in TIMEFRAME_MS})
    return next((name for name in (*PREFERRED, *found) if name in found), PREFERRED[0])


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
    read: tuple[CandleFile, ...] = ()
    """The same files, as they were read."""


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
    shortened: str = ""
    """Where a longer range was asked for than there are candles: what is left of it."""

    def notes(self) -> list[str]:
        """One line per coin: files, bars in the range, gaps in the range; and what is missing."""
        lines = [self.shortened] if self.shortened else []
        for data in self.coins.values():
            gaps = [gap for gap in data.gaps if gap.from_ms < self.to_ms and gap.to_ms > self.from_ms]
            bars = data.execution.count_within(self.from_ms, self.to_ms)
            lines.append(
                f"{data.coin}: {bars} bars of {self.timeframe} ({', '.join(data.files)}), {gap_summary(gaps)}"
                f"{self.ends_early(data)}"
            )
        lines.extend(f"{coin}: not replayed, {why}" for coin, why in self.missing.items())
        if self.ignored:
            shown = ", ".join(self.ignored[:IGNORED_SHOWN]) + (" ..." if len(self.ignored) > IGNORED_SHOWN else "")
            lines.append(f"ignored: {shown}; candle files are named like binance_BTC-USDT_1h.csv.gz")
        return lines

    def ends_early(self, data: CoinData) -> str:
        """Say that a coin's candles end a day or more before the range does; '' where they do not."""
        end = data.execution.times[-1] + data.execution.length_ms
        return "" if self.to_ms - end < MS_PER_DAY else f"; none after {utc_text(end)}, which leaves its last price"


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
        raise ConfigError(f"--from {utc_text(from_ms)} must be before --to {utc_text(to_ms)}")
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
            missing[coin] = f"no {chosen} candle from {utc_text(from_ms)} to {utc_text(to_ms)} in {file.path.name}"
        else:
            data[coin] = _coin_data(found, coin, file)
    first, last, shortened = _with_candles(data, chosen, from_ms, to_ms)
    return SourceData(
        source=source,
        timeframe=chosen,
        from_ms=first,
        to_ms=last,
        coins=data,
        missing=missing,
        ignored=found.ignored,
        shortened=shortened,
    )


def _with_candles(data: Mapping[str, CoinData], timeframe: str, from_ms: int, to_ms: int) -> tuple[int, int, str]:
    """Leave out the days before the first and after the last candle of any coin: they would count as days without gain.

    Returns the range, and in words what is left of it where it is shorter by a day or more.
    """
    if not data:
        return from_ms, to_ms, ""
    series = [of.execution for of in data.values()]
    first = min(one.times[bisect_left(one.times, from_ms)] for one in series)
    last = max(one.times[bisect_left(one.times, to_ms) - 1] for one in series) + TIMEFRAME_MS[timeframe]
    first = first if first - from_ms >= MS_PER_DAY else from_ms
    last = last if to_ms - last >= MS_PER_DAY else to_ms
    if (first, last) == (from_ms, to_ms):
        return from_ms, to_ms, ""
    return (
        first,
        last,
        f"there are candles of {timeframe} from {utc_text(first)} to {utc_text(last)} only; no more is run",
    )


def _choose_timeframe(found: _Folder, asked: str | None, from_ms: int | None, to_ms: int | None) -> str:
    """The execution timeframe. Raises ConfigError where it has no files, or the range has no candles."""
    existing = found.timeframes((*COARSE_TIMEFRAMES, *FINE_TIMEFRAMES))
    if asked is not None and asked not in existing:
        raise ConfigError(f"timeframe {asked!r}: {found.source} has files of {', '.join(existing) or 'no known one'}")
    low, high = from_ms or FIRST_MS, to_ms or LAST_MS
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
    first = "the first candle" if from_ms is None else utc_text(from_ms)
    last = "the last" if to_ms is None else utc_text(to_ms)
    spans = ((name, *found.span(name)) for name in ([asked] if asked else existing))
    ranges = "; ".join(f"{name} from {utc_text(start)} to {utc_text(end)}" for name, start, end in spans)
    raise ConfigError(f"--from/--to ask for {first} to {last}; {found.source} has {ranges}")


def _coin_data(found: _Folder, coin: str, file: CandleFile) -> CoinData:
    daily_file = found.file(coin, "1d")
    daily = CandleSeries("1d") if daily_file is None else daily_file.series
    read = [file]
    if daily_file is not None and daily_file.path != file.path:
        read.append(daily_file)
    return CoinData(
        coin=coin,
        quote=found.quotes[coin],
        execution=file.series,
        daily=_with_days_of(daily, file.series),
        gaps=file.gaps,
        files=tuple(one.path.name for one in read),
        read=tuple(read),
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
