"""The status as it is printed: shared by the command and by scripts/scaling_summary.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.domain.modes import EngineMode, TradingMode
from bot.settings_schema import Settings
from bot.views.folders import find_place
from bot.views.status import json_text, read_status, status_document
from bot.views.status_text import render_status
from bot.views.text import Look

EXIT_NOTHING_RECORDED = 3
EXIT_HALTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What to print, and with what exit code to end."""

    text: str
    exit_code: int


def status_output(
    settings: Settings, *, wanted: TradingMode | None, as_json: bool, look: Look, now: datetime
) -> Output:
    """Read and render the status; exit code 4 while the engine is halted.

    Raises NothingRecordedError (3 to the shell) and LedgerError.
    """
    place = find_place(settings.state_dir, wanted)
    model = read_status(place, server_cost_usd_month=settings.server_cost_usd_month, now=now)
    halted = model.snapshot["engine_mode"] == EngineMode.HALTED
    text = json_text(status_document(model)) if as_json else "\n".join(render_status(model, look))
    return Output(text=text, exit_code=EXIT_HALTED if halted else 0)
