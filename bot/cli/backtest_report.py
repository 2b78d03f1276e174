"""`backtest --report`: the same run as one HTML file, with the parts before and after the day of --split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click

from bot.backtest.result import BacktestRun
from bot.cli.env import program_version
from bot.cli.values import parse_moment
from bot.domain.errors import ConfigError
from bot.domain.market import TIMEFRAME_MS
from bot.storage.candle_files import SourceData
from bot.storage.whole_file import write_whole
from bot.views.report import Report, is_available, render_report, used_files
from bot.views.report_words import SPLIT_MS

HOW_TO_INSTALL = (
    "`.venv/bin/python -m pip install --no-deps --require-hashes --requirement scripts/requirements-report.txt` "
    "installs them"
)


def check_report(path: Path) -> None:
    """Find out before anything is computed what would keep a report from being written. Raises ConfigError."""
    if not is_available():
        raise ConfigError(f"--report needs packages that are not installed here; {HOW_TO_INSTALL}")
    try:
        if path.is_dir():
            raise ConfigError(f"--report {path}: is a folder; give the name of a file")
        if not path.parent.is_dir():
            raise ConfigError(f"--report {path}: the folder {path.parent} does not exist; make it first")
    except OSError as e:
        raise _unwritable(path, e) from e


def split_ms_of(text: str | None, report: Path | None) -> int:
    """Read --split as milliseconds. Raises ConfigError."""
    if text is not None and report is None:
        raise ConfigError(f"--split {text} belongs to --report FILE, which is missing")
    return SPLIT_MS if text is None else int(parse_moment(text, "--split", end_of_day=False).timestamp() * 1000)


def write_report(
    path: Path,
    run: BacktestRun,
    *,
    data: SourceData,
    split_ms: int,
    again: Callable[[SourceData], BacktestRun],
    now: datetime,
) -> None:
    """Run both parts, make the page and write it whole. Raises ConfigError where it cannot be written."""
    bar_ms = TIMEFRAME_MS[data.timeframe]
    is_split = run.start_ms + bar_ms <= split_ms <= run.end_ms - bar_ms
    try:
        text = render_report(
            Report(
                run=run,
                in_sample=again(replace(data, to_ms=split_ms)) if is_split else None,
                out_of_sample=again(replace(data, from_ms=split_ms)) if is_split else None,
                split_ms=split_ms,
                data=data,
                files=used_files(data),
                version=program_version(),
                made_at=now,
            )
        )
        write_whole(path, text)
    except OSError as e:
        raise _unwritable(path, e) from e
    click.echo(f"Report: {path}, {len(text.encode()) / 1_000_000:.1f} MB", err=True)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"--report {path}: cannot be written: {error.strerror or error}")
