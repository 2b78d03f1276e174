"""The modes: whether orders are real, what the engine may do, and by which rules it trades."""

from __future__ import annotations

from enum import StrEnum


class TradingMode(StrEnum):
    """Whether orders are real; stands in every view and log line."""

    LIVE = "LIVE"
    PAPER = "PAPER"
    SIMULATED = "SIMULATED"
    REPLAY = "REPLAY"


class EngineMode(StrEnum):
    """What the engine may do now."""

    ACTIVE = "ACTIVE"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALTED = "HALTED"
    STALLED = "STALLED"


class Strategy(StrEnum):
    """By which rules coins are bought and sold."""

    ALLOCATION = "allocation"
    """Hold each coin in proportion to its trend and against its volatility."""
    BREAKOUT = "breakout"
    """Buy new highs of a trend; stop, targets and time end the trade."""


class ExitRule(StrEnum):
    """How a breakout trade takes its profit; multiples are of R, the distance to the first stop."""

    LADDER = "ladder"
    """33 / 33 / 34 % at 1.8, 3 and 5 R, the stop at break-even after the first."""
    RUNNER = "runner"
    """33 / 33 % at 1.8 and 3 R, the rest behind a stop that trails by 3 ATR."""
    TRAIL = "trail"
    """No targets: a stop that trails by 3 ATR."""
    TRAIL_TIGHT = "trail_tight"
    """No targets: a stop that trails by 2 ATR."""
