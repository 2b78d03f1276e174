"""Logging of the running bot: loguru to stderr, one canonical line per cycle."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping

from loguru import logger

from bot.domain.finding import FindingCode
from bot.domain.orders import Order
from bot.domain.snapshot import FindingView, Snapshot
from bot.engine.engine import CycleResult
from bot.views.findings import finding_head, finding_name
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


class CycleLog:
    """Writes what happened in each cycle: first what is new, then the canonical line."""

    def __init__(self, mode: str, *, signal_rejections: bool, entry_blocks: bool) -> None:
        self._mode = mode
        self._signal_rejections = signal_rejections
        self._entry_blocks = entry_blocks
        self._findings: dict[str, FindingView] = {}

    def write(self, result: CycleResult) -> None:
        """Write the lines of one cycle."""
        _log_events(result, self._mode)
        if result.snapshot is not None:
            self._log_findings(result.snapshot)
            if result.decided:
                _log_decisions(
                    result.snapshot,
                    self._mode,
                    signal_rejections=self._signal_rejections,
                    entry_blocks=self._entry_blocks,
                )
        logger.info(_canonical_line(result, self._mode))

    def _log_findings(self, snapshot: Snapshot) -> None:
        """Tell what has appeared (after a start: what stands) and what is settled."""
        standing = {finding_name(finding): finding for finding in snapshot["findings"]}
        for name in sorted(standing.keys() - self._findings.keys()):
            text = f"{finding_head(standing[name])}: {standing[name]['detail'] or 'no details'}"
            # Coins of the user's own are no reason to worry.
            level = "INFO" if standing[name]["code"] == FindingCode.FOREIGN_COINS else "WARNING"
            logger.log(level, "{} finding: {}", self._mode, text)
        for name in sorted(self._findings.keys() - standing.keys()):
            logger.info("{} settled: {}", self._mode, finding_head(self._findings[name]))
        self._findings = standing


def _log_events(result: CycleResult, mode: str) -> None:
    for flow in result.flows:
        logger.info("{} {}: {} {} on {}", mode, flow.note, f"{flow.amount:+f}", flow.asset, flow.account)
    for event in result.coins_out:
        gone, at = f"{event.quantity:f} {event.symbol}", f"{event.price:f}"
        logger.warning("{} booked as gone: {} at {} on {}", mode, gone, at, event.account)
    sent = {order.client_order_id for order in result.placed}
    _log_ends(result, mode, only=lambda client_order_id: client_order_id not in sent)
    for order in result.placed:
        logger.info("{} sent: {}", mode, _words_of(order))
    _log_ends(result, mode, only=lambda client_order_id: client_order_id in sent)
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


def _log_ends(result: CycleResult, mode: str, *, only: Callable[[str], bool]) -> None:
    """Tell of fills and ends; those of orders that were sent in this cycle come after these."""
    for fill in result.fills:
        if only(fill.client_order_id):
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
    for order, note in result.canceled:
        if only(order.client_order_id):
            because = f" ({note})" if note else ""
            logger.info("{} ended: {}, filled {}{}", mode, _words_of(order), f"{order.filled_quantity:f}", because)


def _words_of(order: Order) -> str:
    price = order.price if order.price is not None else order.stop_price
    at = f" at {price:f}" if price is not None else ""
    kind = order.purpose.value if order.purpose.value == order.type.value else f"{order.purpose} ({order.type})"
    return f"{kind} {order.side} {order.quantity:f} {order.symbol}{at} on {order.account}: {order.reason}"


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
