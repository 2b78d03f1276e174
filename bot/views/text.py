"""Text for people: amounts with their units, lines of a given width, plain or painted, Unicode or ASCII."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

UNKNOWN = "unknown"
INDENT = "   "
BAR_CELLS = 10


class Style(StrEnum):
    """What a line is; on a terminal with colours it is the line's colour."""

    PLAIN = ""
    HEADING = "1"
    LOUD = "1;7"
    GOOD = "32"
    WARN = "33"
    BAD = "1;31"
    DIM = "2"


class Line(NamedTuple):
    """One line of output before it is painted."""

    text: str
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the output device can show."""

    width: int = 80
    colour: bool = False
    ascii: bool = False


_ASCII: Mapping[int, str] = MappingProxyType(
    str.maketrans(
        {
            **dict.fromkeys("═─", "="),
            **dict.fromkeys("╔╗╚╝", "+"),
            "║": "|",
            "█": "#",
            "░": ".",
            "•": "*",
            "→": ">",
            "·": "|",
            "✅": "+",
            "❌": "-",
            **dict.fromkeys("💰🎯📈📜", "*"),
        }
    )
)
"""Replacements of one character each, so that no line grows."""


def finish(lines: Iterable[Line], look: Look) -> list[str]:
    """Turn lines into what the device can show."""
    finished = []
    for text, style in lines:
        shown = text.rstrip()
        if look.ascii:
            shown = shown.translate(_ASCII).encode("ascii", "replace").decode("ascii")
        if look.colour and style and shown:
            shown = f"\x1b[{style}m{shown}\x1b[0m"
        finished.append(shown)
    return finished


def heading(title: str, look: Look) -> list[Line]:
    """An empty line and a title with a rule up to the full width."""
    return [Line(""), Line(f"{title} {'─' * (look.width - len(title) - 1)}", Style.HEADING)]


def wrapped(
    text: str, look: Look, *, indent: str = INDENT, hanging: str = "", style: Style = Style.PLAIN
) -> list[Line]:
    """Break a text into indented lines; those after the first are indented by ``hanging`` more."""
    lines = textwrap.wrap(
        text, width=look.width - 1, initial_indent=indent, subsequent_indent=indent + hanging, break_on_hyphens=False
    )
    return [Line(line, style) for line in lines]


def labelled(label: str, text: str, look: Look, *, cells: int, style: Style = Style.PLAIN) -> list[Line]:
    """Set a label in a column of ``cells`` before a text, which is broken beside it."""
    lines = wrapped(text, look, indent=INDENT + " " * cells, style=style)
    return [Line(f"{INDENT}{label:<{cells}}{lines[0].text[len(INDENT) + cells :]}", style), *lines[1:]]


class Column(NamedTuple):
    """A column of a table; the one with the highest ``drop`` goes first where the width is too small."""

    title: str
    right: bool = False
    drop: int = 0


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], look: Look) -> list[Line]:
    """Align rows under titles; columns with ``drop`` 0 are kept whatever the width."""
    cells = [max(len(text) for text in (column.title, *texts)) for column, *texts in zip(columns, *rows, strict=True)]
    kept = list(range(len(columns)))
    while len(INDENT) + sum(cells[i] + 2 for i in kept) - 2 > look.width:
        last = max(kept, key=lambda i: columns[i].drop)
        if columns[last].drop == 0:
            break
        kept.remove(last)

    def aligned(texts: Sequence[str]) -> str:
        parts = (f"{texts[i]:>{cells[i]}}" if columns[i].right else f"{texts[i]:<{cells[i]}}" for i in kept)
        return (INDENT + "  ".join(parts))[: look.width]

    titles = [column.title for column in columns]
    return [Line(aligned(titles), Style.DIM), *(Line(aligned(row)) for row in rows)]


def bar(frac: float) -> str:
    """A bar of ten cells for 0 to 1, which only the whole fills."""
    full = BAR_CELLS if frac >= 1 else min(BAR_CELLS - 1, round(max(0.0, frac) * BAR_CELLS))
    return "█" * full + "░" * (BAR_CELLS - full)


def money(usd: float | None, *, signed: bool = False, digits: int = 2) -> str:
    """Dollars with cents, such as ``$1,234.50``, ``-$0.31`` or, signed, ``+$0.60``."""
    if usd is None or not math.isfinite(usd):
        return UNKNOWN
    rounded = round(usd, digits)
    sign = "-" if rounded < 0 else "+" if signed and rounded > 0 else ""
    return f"{sign}${abs(rounded):,.{digits}f}"


def price(usd: float | None) -> str:
    """A price in dollars: cents from $10 on, five significant digits below."""
    if usd is None or not math.isfinite(usd):
        return UNKNOWN
    if usd >= 10 or usd <= 0:
        return money(usd)
    return money(usd, digits=min(12, 4 - math.floor(math.log10(usd))))


def percent(pct: float | None, *, signed: bool = False, digits: int = 1) -> str:
    """A percentage, such as ``1.8 %``."""
    if pct is None or not math.isfinite(pct):
        return UNKNOWN
    rounded = round(pct, digits) + 0.0  # takes the sign from a zero
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f} %"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units, such as ``3 h 12 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "an unknown time"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours and days < 10 else f"{days} d"


def moment(at: datetime) -> str:
    """A time to the minute; all times are UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def amount(value: float | None, unit: str, *, digits: int = 2) -> str:
    """A value in one of the units of refusals and guards (``usd, pct, count, score, ratio, hours, days, base``)."""
    if unit == "hours":
        return duration(None if value is None else value * 3600)
    if value is None or not math.isfinite(value):
        return UNKNOWN
    match unit:
        case "usd":
            return money(value, digits=digits)
        case "pct":
            return percent(value, digits=digits)
        case "score" | "ratio":
            return f"{value:.{digits}f}"
        case "days":
            return f"{value:,.0f} days" if round(value) != 1 else "1 day"
        case _:
            return f"{value:,.8f}".rstrip("0").rstrip(".")
