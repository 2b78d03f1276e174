"""Options and endings that the reading commands share."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bot.domain.modes import TradingMode
from bot.views.folders import NothingRecordedError
from bot.views.output import EXIT_NOTHING_RECORDED
from bot.views.terminal import look_of
from bot.views.text import Look

mode_option = click.option(
    "--mode",
    "mode_name",
    type=click.Choice([mode.value.lower() for mode in TradingMode], case_sensitive=False),
    help="Whose account; default: where a bot runs, else where one ran last.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class _NothingRecorded(click.ClickException):
    exit_code = EXIT_NOTHING_RECORDED


_GROUPED = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")


def read_number(text: str) -> float:
    """Read a number such as ``$1,234.50``; NaN where it is none. A comma is for thousands only: 1,8 is not 18."""
    plain = text.strip().removeprefix("$").strip()
    if "," in plain and not _GROUPED.fullmatch(plain):
        return math.nan
    try:
        return float(plain.replace(",", ""))
    except ValueError:
        return math.nan


@contextmanager
def nothing_recorded_is_3() -> Iterator[None]:
    """End with 3 where there is no account to show."""
    try:
        yield
    except NothingRecordedError as e:
        raise _NothingRecorded(str(e)) from e


def chosen_mode(name: str | None) -> TradingMode | None:
    """Turn the value of --mode into a mode."""
    return TradingMode(name.upper()) if name is not None else None


def stdout_look() -> Look:
    """What stdout can show."""
    return look_of(sys.stdout, os.environ)
