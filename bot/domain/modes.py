"""The modes: whether orders are real, and what the engine may do."""

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
