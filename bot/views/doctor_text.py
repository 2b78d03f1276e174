"""What the doctor found, a line each: good, doubtful or bad, and what would mend it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import groupby

from bot.domain.errors import BotError
from bot.views.text import Line, Look, Style, finish, heading, labelled, wrapped

DOCTOR_SCHEMA_VERSION = 1
QUICK = "Not looked at with --quick: the venues (keys, clocks, balances, fees) and what trading costs."

_HEALTH_CELLS = 6
LEAST_CELLS = 30
"""Narrower than this a text does not stand beside its label."""


class Health(StrEnum):
    """How one thing is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    area: str
    """What it belongs to: a heading."""
    name: str
    """Short: it stands in a column."""
    health: Health
    found: str
    """For people; line ends where it lists several things."""
    fix: str = ""
    """What to do; '' where nothing is to be done."""


def fenced(area: str, name: str, checks: Iterator[Check], *, fix: str) -> Iterator[Check]:
    """Hand checks on; where looking itself breaks, that is a failed check with the reason and ``fix``."""
    try:
        yield from checks
    except Exception as e:  # noqa: BLE001 - broken files break readers in every way, and the other lines must come
        yield Check(area=area, name=name, health=Health.FAIL, found=_reason(e), fix=fix)


def _reason(error: Exception) -> str:
    if isinstance(error, BotError):
        return str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error}"


_STYLES = {Health.OK: Style.PLAIN, Health.WARN: Style.WARN, Health.FAIL: Style.BAD}


def is_healthy(checks: Sequence[Check]) -> bool:
    """Whether nothing failed; warnings are not counted."""
    return all(check.health is not Health.FAIL for check in checks)


def doctor_document(checks: Sequence[Check], *, not_looked_at: str = "") -> dict[str, object]:
    """The object of ``doctor --json``."""
    return {
        "schema_version": DOCTOR_SCHEMA_VERSION,
        "healthy": is_healthy(checks),
        "counts": {health.value: _count(checks, health) for health in Health},
        "checks": [asdict(check) for check in checks],
        "not_looked_at": not_looked_at,
    }


def render_doctor(checks: Sequence[Check], look: Look, *, not_looked_at: str = "") -> list[str]:
    """Render the checks under the headings of their areas; no line is wider than ``look.width`` cells."""
    lines: list[Line] = []
    cells = _HEALTH_CELLS + max((len(check.name) for check in checks), default=0) + 2
    if look.width - cells < LEAST_CELLS:
        cells = 0
    for area, of_area in groupby(checks, key=lambda check: check.area):
        lines += heading(area.upper(), look)
        for check in of_area:
            lines += _check(check, look, cells)
    warnings, failures = _count(checks, Health.WARN), _count(checks, Health.FAIL)
    total = f"{_count(checks, Health.OK)} ok, {warnings} to look at, {failures} failed."
    style = Style.BAD if failures else Style.WARN if warnings else Style.GOOD
    lines.append(Line(""))
    if not_looked_at:
        lines += wrapped(not_looked_at, look, indent=" ", style=Style.DIM)
    lines += wrapped(total, look, indent=" ", style=style)
    return finish(lines, look)


def _check(check: Check, look: Look, cells: int) -> Iterator[Line]:
    label, style = f"{check.health.value:<{_HEALTH_CELLS}}{check.name}", _STYLES[check.health]
    if not cells:  # a label of its own line: beside it the words would stand one below the other
        yield from wrapped(label, look, style=style)
        label, cells = "", _HEALTH_CELLS
    for text in check.found.splitlines():
        yield from labelled(label, text, look, cells=cells, style=style)
        label = ""
    if check.fix:
        yield from labelled("", f"Do: {check.fix}", look, cells=cells, style=Style.DIM)


def _count(checks: Sequence[Check], health: Health) -> int:
    return sum(check.health is health for check in checks)
