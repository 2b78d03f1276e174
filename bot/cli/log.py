"""Logging of the running bot: loguru to stderr, one canonical line per cycle."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

from loguru import logger

from bot.domain.snapshot import Snapshot
from bot.engine.engine import CycleResult
from bot.views.refusals import explain

_FORMAT = "{time:YYYY-MM-DD HH:mm:ss!UTC} | {level} | {message}"


class _ToLoguru(logging.Handler):
    """Passes stdlib records of our own facades on."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.log(record.levelname, record.getMessage())


def set_up_logging(*, to_stderr: bool) -> None:
    """Send everything to stderr, or nothing anywhere while a screen owns the terminal."""
    logger.remove()
    if to_stderr:
        logger.add(sys.stderr, format=_FORMAT, level="INFO", backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.INFO, force=True)


def log_cycle(result: CycleResult, mode: str, *, signal_rejections: bool, entry_blocks: bool) -> None:
    """Write what happened in a cycle: first what is new, then the canonical line."""
    for fill in result.fills:
        logger.info(
            "{} {} {} {} at {} on {} ({}, fee ${:.4f})",
            mode,
            "bought" if fill.side == "buy" else "sold",
            f"{fill.quantity:f}",
            fill.symbol,
            f"{fill.price:f}",
            fill.account,
            fill.liquidity,
            fill.fee,
        )
    if result.tier_change:
        logger.info("{} AUTO-SCALING: {} at ${:.2f}", mode, result.tier_change, result.equity)
    for order, reason in result.rejections:
        logger.warning(
            "{} {} order for {} on {} rejected: {}", mode, order.purpose, order.symbol, order.account, reason
        )
    for reading in result.guards_activated:
        # That the allowed positions are all open, or a second venue is empty, is no reason to worry.
        level = "INFO" if reading.name in ("positions", "venue_minimum") else "WARNING"
        name = f"{reading.name} ({reading.about})" if reading.about else reading.name
        logger.log(level, "{} limit {} is active: {}", mode, name, reading.action)
    if result.decided and result.snapshot is not None:
        _log_decisions(result.snapshot, mode, signal_rejections=signal_rejections, entry_blocks=entry_blocks)
    logger.info(_canonical_line(result, mode))


def _log_decisions(snapshot: Snapshot, mode: str, *, signal_rejections: bool, entry_blocks: bool) -> None:
    for coin in snapshot["coins"]:
        score = "none" if coin["score"] is None else f"{coin['score']:.2f}"
        if not coin["refusal"]:
            logger.info("{} {}: {}, score {}", mode, coin["symbol"], coin["action"] or "waiting", score)
            continue
        is_signal = coin["refusal"] in ("signal_too_weak", "history_too_short", "no_breakout")
        if signal_rejections if is_signal else entry_blocks:
            logger.info("{} {}: refused, score {}: {}", mode, coin["symbol"], score, explain(coin)[0])


def _canonical_line(result: CycleResult, mode: str) -> str:
    values: Mapping[str, object] = {
        "mode": mode,
        "at": result.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "engine": result.mode.value,
        "equity": f"{result.equity:.2f}",
        "tier": result.tier,
        "drawdown_pct": f"{result.drawdown_frac * 100:.2f}",
        "exposure_pct": f"{result.exposure_frac * 100:.1f}",
        "orders": result.orders_placed,
        "fills": len(result.fills),
    }
    reason = f' reason="{result.reason}"' if result.reason else ""
    return "cycle " + " ".join(f"{key}={value}" for key, value in values.items()) + reason
