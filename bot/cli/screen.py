"""The running bot's screen: the same model and text as `status`, redrawn each cycle."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bot.cli.env import current_time
from bot.domain.modes import TradingMode
from bot.engine.engine import CycleResult
from bot.settings_schema import Settings
from bot.views.folders import find_place
from bot.views.status import read_status
from bot.views.status_text import render_status
from bot.views.terminal import look_of


@contextmanager
def status_screen(
    settings: Settings, mode: TradingMode, first_words: Sequence[str]
) -> Iterator[Callable[[CycleResult], None]]:
    """Own the terminal while the bot runs; where it is low, the least urgent sections are left out.

    ``first_words`` are there until the first cycle is done: an exchange may take its time.
    """
    console = Console(highlight=False)
    terminal = sys.stdout  # rich puts a stand-in there that does not tell its encoding
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        live.update(Text("\n".join(first_words)), refresh=True)

        def show(_result: CycleResult) -> None:
            model = read_status(
                find_place(settings.state_dir, mode),
                server_cost_usd_month=settings.server_cost_usd_month,
                now=current_time(),
            )
            lines = render_status(model, look_of(terminal, os.environ), rows=console.height)
            live.update(Text.from_ansi("\n".join(lines), no_wrap=True), refresh=True)

        yield show
