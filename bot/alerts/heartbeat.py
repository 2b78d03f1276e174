"""Pings an outside monitor after each good cycle, so that somebody notices a dead bot."""

from __future__ import annotations

import threading
from http.client import HTTPException

from loguru import logger

from bot.settings_rules import Secret

TIMEOUT_S = 10.0


class Heartbeat:
    """Pings one address; without one it does nothing. Never raises, never makes the caller wait."""

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._thread: threading.Thread | None = None
        self._is_failing = False

    def ping(self) -> None:
        """Ask for the address in the background; left out while the ping before is still on its way."""
        if not self._url or (self._thread is not None and self._thread.is_alive()):
            return
        # A daemon: a monitor that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._ask, name="heartbeat", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads for this process
            self._thread = None
            self._note("no thread could be started")

    def close(self, *, wait_s: float) -> None:
        """Give the last ping a bounded time: a program of one cycle ends right after it."""
        if self._thread is not None:
            self._thread.join(timeout=wait_s)

    def _ask(self) -> None:
        # urllib, not requests: measured, ccxt's requests has loaded it already (0 MB more), and where there is no
        # ccxt it needs 10 MB and 84 modules, requests 19 MB and 351. Proxies and redirects work the same.
        import urllib.request  # noqa: PLC0415 - only where a heartbeat is wanted

        request = urllib.request.Request(self._url.reveal(), headers={"User-Agent": "micro-capital-bot"})  # noqa: S310 - the settings allow http and https only
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310 - see above
                pass
        except (OSError, HTTPException, ValueError) as e:
            # The error's own text can hold the address, and that a token.
            status = getattr(e, "code", None)
            cause = getattr(e, "reason", None)
            self._note(f"status {status}" if status is not None else type(cause if cause is not None else e).__name__)
            return
        if self._is_failing:
            self._is_failing = False
            logger.info("heartbeat: HEARTBEAT_URL answers again")

    def _note(self, problem: str) -> None:
        """Log a failure once, until it works again."""
        if not self._is_failing:
            self._is_failing = True
            logger.warning("heartbeat: HEARTBEAT_URL could not be pinged: {}; tried again after each cycle", problem)
