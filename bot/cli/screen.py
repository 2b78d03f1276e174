"""The running bot's screen: the same model and text as `status`, redrawn each cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bot.cli.env import current_time
from bot.domain.modes import TradingMode
