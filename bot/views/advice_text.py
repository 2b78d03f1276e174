"""What the user could do, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from bot.domain.modes import TradingMode
from bot.views.status_text import mode_lines
from bot.views.text import INDENT, Line, Look, Style, finish, heading, labelled, money, wrapped

CELLS = 12
"""Of the column of dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing to do."""

    code: str
    what: str
    usd_year: float
    """Saved; 0 where it saves nothing and changes something else."""
    arithmetic: str
    is_possible: bool = True
    """False: it would be, with more equity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceReport:
    """Everything that is printed."""

    mode: TradingMode | None
    """Whose record was read; None: nobody's."""
    equity_usd: float
    advice: tuple[Advice, ...]
    """The most dollars first."""
    not_now: tuple[Advice, ...]
    worth_usd: float
    """A year: less is nothing."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing of it is worth its trouble."""
        return not any(one.usd_year >= self.worth_usd or one.code == "setting" for one in self.advice)


def advice_document(report: AdviceReport) -> dict[str, object]:
    """The object of ``advise --json``; USD a year, the most first."""
    return {
        "mode": report.mode.value if report.mode is not None else None,
        "equity_usd": report.equity_usd,
        "nothing": report.is_nothing,
        "advice": [_document(one) for one in report.advice],
        "not_now": [_document(one) for one in report.not_now],
    }


def _document(one: Advice) -> dict[str, object]:
    found = asdict(one)
    del found["is_possible"]
    return found


def render_advice(report: AdviceReport, look: Look) -> list[str]:
    """Render all lines; none is wider than ``look.width`` cells."""
    return finish(_lines(report, look), look)


def _lines(report: AdviceReport, look: Look) -> Iterator[Line]:
    if report.mode is not None:
        yield from mode_lines(report.mode, look)
        whose = "the account's record and the settings"
    else:
        yield from wrapped("A CALCULATION: no account is read.", look, indent=" ", style=Style.LOUD)
        whose = "the settings and example prices"
    text = f"For {money(report.equity_usd)}, by {whose}. Dollars a year saved; none of it is a promise of return."
    yield from wrapped(text, look, indent=" ", style=Style.DIM)
    yield from heading("WHAT YOU COULD DO", look)
    if report.is_nothing:
        yield from wrapped(f"Nothing: no change is worth {money(report.worth_usd)} a year.", look)
    for one in report.advice:
        yield from _advice(one, look)
    if report.not_now:
        yield from heading("NOT AT THIS EQUITY", look)
    for one in report.not_now:
        yield from _advice(one, look)


def _advice(one: Advice, look: Look) -> Iterator[Line]:
    yield from labelled(f"{money(one.usd_year):>{CELLS - 2}}", f"{one.what}.", look, cells=CELLS)
    yield from wrapped(one.arithmetic, look, indent=INDENT + " " * CELLS, style=Style.DIM)
