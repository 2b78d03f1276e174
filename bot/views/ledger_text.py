"""What `ledger verify` and `ledger backup` say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bot.domain.modes import TradingMode
from bot.views.ledger_checked import Checked
from bot.views.status_text import mode_lines
from bot.views.text import INDENT, Line, Look, Style, finish, labelled, wrapped

_CELLS = 18
NOT_PROVEN = (
    "Not provable, because the file has it once: prices of orders that have ended; ids that a venue gave; whether a "
    "resting order's fill was maker or taker; times of fills to within 12 hours; refusals, guard events, notes; "
    "what the engine remembers; the equity of earlier cycles. A backup kept elsewhere tells."
)


def verified_document(mode: TradingMode, path: Path, checks: Sequence[Checked]) -> dict[str, object]:
    """The object of ``ledger verify --json``."""
    return {
        "mode": mode.value,
        "ledger": str(path),
        "ok": all(check.ok for check in checks),
        "checks": [
            {"name": check.name, "ok": check.ok, "found": check.found, "problems": list(check.problems)}
            | ({"hash": check.hash} if check.hash else {})
            for check in checks
        ],
        "not_proven": NOT_PROVEN,
    }


def render_verified(mode: TradingMode, path: Path, checks: Sequence[Checked], look: Look) -> list[str]:
    """A line per check, its first problems below it; no line is wider than ``look.width`` cells."""
    lines: list[Line] = [*mode_lines(mode, look), *wrapped(str(path), look, indent=" ", style=Style.DIM), Line("")]
    for check in checks:
        style = Style.PLAIN if check.ok else Style.BAD
        label = f"{'ok' if check.ok else 'NOT OK':<8}{check.name}"
        lines += labelled(label, check.found, look, cells=_CELLS, style=style)
        lines += [Line(f"{INDENT}{check.hash}", style)] if check.hash else []
        for problem in check.problems:
            lines += wrapped(problem, look, indent=INDENT * 2, hanging=INDENT)
    failed = [check.name for check in checks if not check.ok]
    verdict = "Everything holds."
    if failed:
        verdict = (
            f"Does not hold: {', '.join(failed)}. Nothing was changed. "
            "Keep this file; if a bot runs, `python bot.py halt` stops entries until it is clear what happened"
        )
    lines += [Line(""), *wrapped(verdict, look, indent=" ", style=Style.BAD if failed else Style.GOOD)]
    lines += wrapped(NOT_PROVEN, look, indent=" ", style=Style.DIM)
    return finish(lines, look)


def render_backup(ledger: Path, backup: Path, look: Look) -> list[str]:
    """Where it is, and how to put it back."""
    ways = (
        f"To put it back: stop the bot; move {ledger.name} and its -wal and -shm files away; copy the backup to "
        f"{ledger}; run `python bot.py ledger verify`; start the bot. It notices orders and fills that a backup does "
        "not know, takes them in again, and buys nothing until `python bot.py resume`."
    )
    return finish(
        [
            *wrapped(f"Written and checked: {backup}", look, indent=" ", style=Style.GOOD),
            *wrapped(ways, look, indent=" "),
        ],
        look,
    )
