"""What a download has brought: candles, gaps, and what is still missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS
from bot.storage.candle_reader import Gap, utc_text

GAPS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was to be downloaded: candles that open in [``from_ms``, ``to_ms``), all of them closed."""

    venue: str
    timeframe: str
    from_ms: int
    to_ms: int
    folder: Path
    note: str = ""
    """Why it is less than the user asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinReport:
    """One coin's file after a download; ``first_ms`` and ``last_ms`` are opening times, None without candles."""

    coin: str
    file: str
    pages: int
    """Answers of the venue in this run."""
    added: int
    """Candles that are new in this run."""
    candles: int
    first_ms: int | None
    last_ms: int | None
    gaps: tuple[Gap, ...]
    """Between the file's candles, as far as they lie in what was asked."""
    problem: str
    """Why it is not complete; '' where it is."""
    interrupted: bool = False

    @property
    def missing(self) -> int:
        """Bars in the gaps."""
        return sum(gap.missing for gap in self.gaps)


def gaps_within(gaps: Sequence[Gap], from_ms: int, to_ms: int, length_ms: int) -> tuple[Gap, ...]:
    """Those parts of gaps that lie in [``from_ms``, ``to_ms``), which are on the grid."""
    cut = ((max(gap.from_ms, from_ms), min(gap.to_ms, to_ms)) for gap in gaps)
    return tuple(Gap(low, high, (high - low) // length_ms) for low, high in cut if low < high)


def render_download(asked: Asked, report: CoinReport) -> str:
    """One line on one coin."""
    length_ms = TIMEFRAME_MS[asked.timeframe]
    if report.first_ms is None or report.last_ms is None:
        parts = []
    else:
        span = f"{_time(report.first_ms, length_ms)} to {_time(report.last_ms, length_ms)}"
        parts = [
            f"{_many(report.candles, 'candle')} of {asked.timeframe} in {report.file}, {span} "
            f"({report.added:,} new, {_many(report.pages, 'page')})",
            gaps_text(report, length_ms),
        ]
        if not report.problem and report.first_ms > asked.from_ms:
            parts.append(f"nothing older at {asked.venue}")
        if not report.problem and report.last_ms + length_ms < asked.to_ms:
            parts.append(f"nothing newer at {asked.venue}")
    if report.problem:
        parts.append("NOT COMPLETE")
    return f"{report.coin}: {'; '.join(parts)}"


def gaps_text(report: CoinReport, length_ms: int) -> str:
    """How many candles are not there, and the first places where."""
    if not report.gaps:
        return "no gaps"
    shown = [
        f"{_time(gap.from_ms, length_ms)} to {_time(gap.to_ms - length_ms, length_ms)} ({gap.missing:,})"
        for gap in report.gaps[:GAPS_SHOWN]
    ]
    more = len(report.gaps) - len(shown)
    places = ", ".join(shown) + (f" and {more:,} more" if more else "")
    return f"{_many(len(report.gaps), 'gap')}, {_many(report.missing, 'candle')} missing: {places}"


def download_document(asked: Asked, reports: Sequence[CoinReport]) -> dict[str, Any]:
    """All of it; times are ISO 8601, UTC. ``to`` is the end of the last candle, exclusive as in the gaps."""
    return {
        "venue": asked.venue,
        "timeframe": asked.timeframe,
        "from": _iso(asked.from_ms),
        "to": _iso(asked.to_ms),
        "folder": str(asked.folder),
        "note": asked.note,
        "coins": [
            {
                "coin": report.coin,
                "file": report.file,
                "complete": not report.problem,
                "problem": report.problem,
                "pages": report.pages,
                "new_candles": report.added,
                "candles": report.candles,
                "first": None if report.first_ms is None else _iso(report.first_ms),
                "last": None if report.last_ms is None else _iso(report.last_ms),
                "missing": report.missing,
                "gaps": [
                    {"from": _iso(gap.from_ms), "to": _iso(gap.to_ms), "missing": gap.missing} for gap in report.gaps
                ],
            }
            for report in reports
        ],
    }


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(ms: int, length_ms: int) -> str:
    """An opening time: its day where bars are days."""
    return utc_text(ms)[: len("2022-01-01")] if length_ms == MS_PER_DAY else utc_text(ms)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()
