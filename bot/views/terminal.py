"""What the device behind a stream can show."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

from bot.views.text import Look

MIN_WIDTH, DEFAULT_WIDTH, MAX_WIDTH = 40, 80, 100
_NEEDED = "╔█→✅💰"


def look_of(stream: TextIO, environ: Mapping[str, str]) -> Look:
    """Colour on a terminal only and never under NO_COLOR; ASCII where the encoding has no box characters."""
    on_terminal = stream.isatty()
    colour = on_terminal and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"
    return Look(width=_width(stream, environ, on_terminal), colour=colour, ascii=not _encodes(stream))


def _width(stream: TextIO, environ: Mapping[str, str], on_terminal: bool) -> int:
    wanted = environ.get("COLUMNS", "")
    columns = DEFAULT_WIDTH
    if wanted.isascii() and wanted.isdigit():
        columns = int(wanted)
    elif on_terminal:
        try:
            columns = os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH
        except OSError:  # a terminal that does not know its size
            columns = DEFAULT_WIDTH
    return min(max(columns, MIN_WIDTH), MAX_WIDTH)


def _encodes(stream: TextIO) -> bool:
    try:
        _NEEDED.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
