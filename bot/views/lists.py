"""The refusals and the settings as lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from bot.domain.modes import TradingMode
from bot.domain.refusal import Refusal
from bot.settings import SettingRow
from bot.settings_schema import SETTINGS
from bot.views.refusals import change_words, explain_refusal
from bot.views.status import refusal_document
from bot.views.status_text import mode_lines
from bot.views.text import INDENT, Line, Look, Style, finish, heading, moment, money, wrapped


def refusals_document(mode: TradingMode, refusals: Sequence[Refusal], counts: Mapping[str, int]) -> dict[str, object]:
    """The object of ``refusals --json``: counts by code since the start, and the chosen ones, newest first."""
    return {"mode": mode.value, "counts": dict(counts), "refusals": [refusal_document(one) for one in refusals]}


def render_refusals(mode: TradingMode, refusals: Sequence[Refusal], counts: Mapping[str, int], look: Look) -> list[str]:
    """Render refusals, newest first, grouped by day; no line is wider than ``look.width`` cells."""
    lines = mode_lines(mode, look)
    for day, of_day in groupby(refusals, key=lambda refusal: f"{refusal.at:%Y-%m-%d}"):
        lines += heading(day, look)
        for refusal in of_day:
            lines += _refusal(refusal, look)
    if not refusals:
        lines += wrapped("Nothing was refused." if not counts else "No refusal matches.", look, indent=" ")
    else:
        total = sum(counts.values())
        shown = f"{len(refusals):,} of {total:,} since the start" if total > len(refusals) else "all since the start"
        lines += [Line(""), *wrapped(shown, look, indent=" ", style=Style.DIM)]
    return finish(lines, look)


def _refusal(refusal: Refusal, look: Look) -> Iterator[Line]:
    what, cure = explain_refusal(refusal)
    size = f" ({money(refusal.notional_usd)} not bought)" if refusal.notional_usd >= 0.01 else ""
    account = f" on {refusal.account}" if refusal.account else ""
    at = moment(refusal.at).split(" ", 1)[1]
    yield from wrapped(f"{at}  {refusal.symbol}{account}  {refusal.code.value}{size}", look, hanging=INDENT)
    yield from wrapped(what, look, indent=INDENT * 2)
    yield from wrapped(change_words(cure), look, indent=INDENT * 2, style=Style.DIM)


def settings_document(rows: Sequence[SettingRow]) -> dict[str, object]:
    """The object of ``config --json``: every setting by name; secrets are masked."""
    return {
        row.name: {
            "value": row.value,
            "unit": row.unit,
            "origin": row.origin,
            "help": row.help,
            "effect": row.effect,
        }
        for row in rows
    }


def render_settings(rows: Sequence[SettingRow], unknown_names: Sequence[str], look: Look) -> list[str]:
    """Render every effective value with its origin; no line is wider than ``look.width`` cells."""
    lines: list[Line] = []
    notes: list[str] = []
    cells = max(len(row.name) for row in rows) + 2
    for section, of_section in groupby(rows, key=lambda row: SETTINGS[row.name].section):
        lines += heading(section.value, look)
        for row in of_section:
            if row.effect and row.effect not in notes:
                notes.append(row.effect)
            mark = f" [{notes.index(row.effect) + 1}]" if row.effect else ""
            value = f"{row.value} {row.unit}".rstrip() if row.value[:1].isdigit() else row.value
            origin = "" if row.origin == "default" else f"  ({row.origin})"
            style = Style.PLAIN if origin else Style.DIM
            lines += wrapped(f"{row.name:<{cells}}{value}{mark}{origin}", look, hanging=INDENT, style=style)
    lines += heading("NOTES", look)
    lines += wrapped("Without an origin in parentheses a value is the default.", look)
    for number, note in enumerate(notes, start=1):
        lines += wrapped(f"[{number}] {note}", look, hanging="    ")
    if unknown_names:
        lines += wrapped(f"Not used by this program: {', '.join(unknown_names)}", look, style=Style.WARN)
    return finish(lines, look)
